#include "feature_view.h"
#include <base/memory.h>
#include <fathom/capture.h>
#include <math.h>
#include <string.h>

static int open_dictionary(struct feature_view *view, const struct cli_arguments *arguments) {
    char *path = NULL;
    int status = fathom_locate_dictionary(&path, view->model, cli_text(arguments, "dict", NULL));
    if (!status) status = fathom_dictionary_open(&view->dictionary, path);
    if (!status) status = fathom_dictionary_match(NULL, view->dictionary, view->model);
    fathom_free(path);
    return status;
}

static int open_catalogue(struct feature_view *view, const struct cli_arguments *arguments, bool required) {
    char *path = NULL;
    int status = fathom_locate_catalogue(&path, view->dictionary, cli_text(arguments, "catalogue", NULL));
    if (status == FATHOM_ERROR_NOT_FOUND && !required && !cli_has(arguments, "catalogue")) return FATHOM_OK;
    if (!status) status = fathom_catalogue_open(&view->catalogue, path, view->dictionary);
    fathom_free(path);
    return status;
}

bool feature_view_open(struct feature_view *out, int *exit, const struct cli_arguments *arguments,
                       bool catalogue_required) {
    struct feature_view view = {0};
    *exit = CLI_OK;
    view.model = cli_open_model(exit, arguments);
    if (!view.model) return false;
    int status = open_dictionary(&view, arguments);
    if (!status) status = open_catalogue(&view, arguments, catalogue_required);
    if (status) {
        *exit = cli_fail(arguments, status);
        feature_view_close(&view);
        return false;
    }
    *out = view;
    return true;
}

void feature_view_close(struct feature_view *view) {
    fathom_catalogue_close(view->catalogue);
    fathom_dictionary_close(view->dictionary);
    fathom_model_close(view->model);
}

int feature_text_read(struct feature_text *out, const struct feature_view *view, const char *text, uint32_t n_threads) {
    const char *hook = fathom_dictionary_describe(view->dictionary)->hook_in;
    const struct fathom_capture_options options = {
        .hooks = &hook, .n_hooks = 1, .n_threads = n_threads, .progress = cli_progress};
    struct feature_text result = {.features = FATHOM_SPARSE_INIT};
    fathom_capture *capture = NULL;
    const int32_t *tokens, *positions;
    size_t width;
    int status = fathom_capture_open(&capture, view->model, &options);
    if (!status) status = fathom_capture_text(capture, text, strlen(text));
    if (status) goto done;
    result.n = fathom_capture_rows(&tokens, &positions, NULL, capture);
    const float *rows = fathom_capture_values(&width, capture, 0);
    if ((status = fathom__alloc(&result.tokens, result.n, sizeof *result.tokens))) goto done;
    memcpy(result.tokens, tokens, result.n * sizeof *tokens);
    status = fathom_dictionary_encode(&result.features, view->dictionary, rows, positions, result.n, FATHOM_ENCODE_RUN);
done:
    fathom_capture_close(capture);
    if (status)
        feature_text_free(&result);
    else
        *out = result;
    return status;
}

void feature_text_free(struct feature_text *text) {
    fathom_free(text->tokens);
    fathom_sparse_free(&text->features);
}

static const struct fathom_feature *known_feature(const struct feature_view *view, uint32_t feature) {
    return view->catalogue ? fathom_catalogue_feature(view->catalogue, feature) : NULL;
}

double feature_level(const struct feature_view *view, uint32_t feature, float value, float fallback) {
    const struct fathom_feature *known = known_feature(view, feature);
    const float maximum = known && known->max_activation > 0 ? known->max_activation : fallback;
    return maximum > 0 ? (double)(value / maximum) : 0;
}

void feature_print_head(const struct feature_view *view, uint32_t feature) {
    const struct fathom_feature *known = known_feature(view, feature);
    char number[16];
    snprintf(number, sizeof number, "%u", feature);
    cli_print_bold(stdout, number);
    if (!known || !known->label) {
        printf("  ");
        cli_print_dim(stdout, known ? "no label holds" : "no catalogue");
        return;
    }
    printf("  %s  ", known->label);
    char quality[48];
    if (isfinite(known->label_score))
        snprintf(quality, sizeof quality, "[%.2f]", (double)known->label_score);
    else
        snprintf(quality, sizeof quality, "[%s]", known->label_origin);
    cli_print_dim(stdout, quality);
}

void feature_print_token(const struct feature_view *view, int32_t token) {
    const char *bytes;
    size_t length;
    if (fathom_token_bytes(&bytes, &length, view->model, token)) {
        printf("‘#%d’", token);
        return;
    }
    fputs("‘", stdout);
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (c < ' ' || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    fputs("’", stdout);
}

static void print_effects(const struct feature_view *view, const char *what, const struct fathom_effect *effects,
                          size_t n) {
    if (!n) return;
    printf("  %s ", what);
    for (size_t i = 0; i < n; i++) {
        if (i) putchar(' ');
        feature_print_token(view, effects[i].token);
    }
    putchar('\n');
}

void feature_print_example(const struct feature_view *view, const struct fathom_example *example, float maximum,
                           size_t context) {
    const size_t first = example->peak > context ? example->peak - context : 0;
    const size_t end = example->n - example->peak > context ? example->peak + context + 1 : example->n;
    printf("  %7.2f  %s", (double)example->value, first ? "…" : "");
    for (size_t i = first; i < end; i++) {
        const char *bytes;
        size_t length;
        const double level = maximum > 0 ? (double)(example->activations[i] / maximum) : 0;
        if (fathom_token_bytes(&bytes, &length, view->model, example->tokens[i])) continue;
        const bool plain_peak = i == example->peak && !cli_colour();
        if (plain_peak) fputs("»", stdout);
        if (memchr(bytes, '\n', length))
            cli_print_level(stdout, "\\n", 2, level);
        else
            cli_print_level(stdout, bytes, length, level);
        if (plain_peak) fputs("«", stdout);
    }
    printf("%s\n", end < example->n ? "…" : "");
}

void feature_print_evidence(const struct feature_view *view, const struct fathom_feature_details *details,
                            size_t n_examples) {
    const struct fathom_feature *feature = &details->feature;
    enum { SHOWN_EFFECTS = 6, CONTEXT = 9 };
    printf("  fires on %.3g %% of tokens, at most %.2f\n", 100 * feature->density, (double)feature->max_activation);
    print_effects(view, "raises", details->raised,
                  details->n_raised < SHOWN_EFFECTS ? details->n_raised : SHOWN_EFFECTS);
    print_effects(view, "lowers", details->lowered,
                  details->n_lowered < SHOWN_EFFECTS ? details->n_lowered : SHOWN_EFFECTS);
    for (size_t i = 0, shown = 0; i < details->n_examples && shown < n_examples; i++) {
        if (details->examples[i].band != 0 || !details->examples[i].n) continue;
        feature_print_example(view, &details->examples[i], feature->max_activation, CONTEXT);
        shown++;
    }
}
