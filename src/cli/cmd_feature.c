#include "feature_view.h"
#include "stability_file.h"
#include <math.h>
#include <stdlib.h>

enum { EXAMPLE_CONTEXT = 16, HISTOGRAM_ROWS = 10, HISTOGRAM_WIDTH = 40 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"examples", 0, CLI_INTEGER, "N", "examples shown of the strongest, and of each quarter of the range (10)", false,
     false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* A person's label is measured on texts, and its rule names them with the level. */
static bool print_measured_on_texts(const struct fathom_label *label) {
    json_t *rule = label->rule ? json_loads(label->rule, 0, NULL) : NULL;
    const json_t *texts = json_object_get(rule, "texts");
    const char *name = json_string_value(json_array_get(texts, 0));
    if (name != NULL)
        printf(": from level %.4g on tells %.0f %% right of %u texts that it holds for and %u that it does not in %s "
               "(shuffled labels %.0f %%, best single token %.0f %%); F1 %.2f at a prevalence of %.3g %%",
               json_number_value(json_object_get(rule, "above")), 100 * (double)label->score, label->n_active,
               label->n_inactive, name, 100 * (double)label->shuffled, 100 * (double)label->single_token,
               (double)label->f1, 100 * (double)label->prevalence);
    const bool told = name != NULL;
    json_decref(rule);
    return told;
}

static void print_labels(const struct fathom_feature_details *details) {
    for (size_t i = 0; i < details->n_labels; i++) {
        const struct fathom_label *label = &details->labels[i];
        printf("  label “%s” (%s)", label->text, label->origin);
        if (isfinite(label->score) && !print_measured_on_texts(label))
            printf(": tells %.0f %% right of %u active and %u inactive rows of unseen text (labels of other features "
                   "%.0f %%, best single token %.0f %%); "
                   "F1 %.2f at a prevalence of %.3g %%",
                   100 * (double)label->score, label->n_active, label->n_inactive, 100 * (double)label->shuffled,
                   100 * (double)label->single_token, (double)label->f1, 100 * (double)label->prevalence);
        putchar('\n');
    }
}

static void print_effects(const struct feature_view *view, const char *title, const struct fathom_effect *effects,
                          size_t n) {
    if (!n) return;
    printf("\n%s\n", title);
    for (size_t i = 0; i < n; i++) {
        printf("  %+7.3f  ", (double)effects[i].value);
        feature_print_token(view, effects[i].token);
        putchar('\n');
    }
}

/* Five bins a line: enough to see the shape. */
static void print_histogram(const struct fathom_feature_details *details) {
    uint64_t rows[HISTOGRAM_ROWS] = {0}, most = 0;
    for (int i = 0; i < FATHOM_HISTOGRAM_BINS; i++)
        rows[i * HISTOGRAM_ROWS / FATHOM_HISTOGRAM_BINS] += details->histogram[i];
    for (int i = 0; i < HISTOGRAM_ROWS; i++)
        if (rows[i] > most) most = rows[i];
    if (!most) return;
    printf("\nactivations\n");
    for (int i = 0; i < HISTOGRAM_ROWS; i++) {
        printf("  to %8.2f  %9llu  ", (double)details->histogram_top * (i + 1) / HISTOGRAM_ROWS,
               (unsigned long long)rows[i]);
        for (uint64_t j = 0; j < (rows[i] * HISTOGRAM_WIDTH + most - 1) / most; j++)
            fputs("▪", stdout);
        putchar('\n');
    }
}

static void print_examples(const struct feature_view *view, const struct fathom_feature_details *details, size_t most) {
    const float maximum = details->feature.max_activation;
    for (int band = 0; band <= FATHOM_BANDS; band++) {
        size_t shown = 0;
        for (size_t i = 0; i < details->n_examples && shown < most; i++) {
            const struct fathom_example *example = &details->examples[i];
            if (example->band != band) continue;
            if (!shown && band == 0) printf("\nstrongest examples\n");
            if (!shown && band > 0)
                printf("\nactivations from %.2f to %.2f\n", (double)maximum * (band - 1) / FATHOM_BANDS,
                       (double)maximum * band / FATHOM_BANDS);
            if (example->n)
                feature_print_example(view, example, maximum, EXAMPLE_CONTEXT);
            else
                printf("  %7.2f  document %llu, position %d\n", (double)example->value,
                       (unsigned long long)example->document, example->position);
            shown++;
        }
    }
}

static void print_page(const struct feature_view *view, const struct fathom_feature_details *details,
                       const json_t *stability, size_t examples) {
    const struct fathom_catalogue_info *info = fathom_catalogue_describe(view->catalogue);
    const struct fathom_feature *feature = &details->feature;
    feature_print_head(view, feature->number);
    printf("\n  of %s at %s of %s\n", info->dictionary_name, info->hook, info->model_name);
    print_labels(details);
    printf("  fires on %.3g %% of tokens (%llu of %llu of %s), mean %.2f, at most %.2f\n", 100 * feature->density,
           (unsigned long long)feature->count, (unsigned long long)info->n_tokens, info->corpus,
           (double)feature->mean_active, (double)feature->max_activation);
    if (stability) stability_file_print(stability);
    print_effects(view, "output tokens it raises", details->raised, details->n_raised);
    print_effects(view, "output tokens it lowers", details->lowered, details->n_lowered);
    printf("\nnearest features\n");
    for (size_t i = 0; i < details->n_neighbours; i++) {
        printf("  %7.3f  ", (double)details->neighbours[i].cosine);
        feature_print_head(view, details->neighbours[i].feature);
        putchar('\n');
    }
    print_histogram(details);
    print_examples(view, details, examples);
}

static int run(struct cli_arguments *arguments) {
    struct feature_view view;
    struct fathom_feature_details *details = NULL;
    size_t n_operands;
    int64_t examples;
    int code;
    char *end;
    const char *text = cli_operands(&n_operands, arguments)[0];
    const unsigned long long feature = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || feature > UINT32_MAX)
        return cli_usage(arguments, "\"%s\": a feature's number was expected", text);
    if (!cli_integer(&examples, arguments, "examples", 0, INT32_MAX, 10)) return CLI_USAGE;
    if (!feature_view_open(&view, &code, arguments, true)) return code;
    json_t *stability = NULL;
    int status = fathom_catalogue_details(&details, view.catalogue, (uint32_t)feature);
    if (!status) status = stability_file_read(&stability, view.dictionary, (uint32_t)feature);
    if (status) {
        code = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        json_t *value = feature_view_json(&view);
        json_object_update_new(value, feature_details_json(&view, details, SIZE_MAX));
        if (stability) json_object_set(value, "stability", stability);
        code = cli_print_json(value);
    } else {
        print_page(&view, details, stability, (size_t)examples);
    }
    json_decref(stability);
    fathom_feature_details_free(details);
    feature_view_close(&view);
    return code;
}

const struct cli_command cli_command_feature = {
    .name = "feature",
    .summary = "show all that is known of one feature",
    .operands = "NUMBER",
    .least = 1,
    .most = 1,
    .description =
        "Prints a feature's labels with their scores and controls, how often and how strongly it fires, the "
        "output tokens that it raises and lowers, its nearest "
        "features, its strongest examples and some from every quarter of its range; and, where train --seeds "
        "left a .stability.json beside the dictionary, how far it comes back from other seeds. In a terminal "
        "the "
        "tokens of the examples are coloured by activation; elsewhere the "
        "strongest stands between » and «.",
    .examples = "fathom feature 304 # of the default model's dictionary\n"
                "fathom feature 304 --json # with all examples and their activations",
    .options = options,
    .run = run,
};
