#include "corpus_arguments.h"
#include "feature_view.h"
#include <base/error.h>
#include <base/memory.h>
#include <inttypes.h>
#include <string.h>

enum { SHOWN_EXAMPLES = 3, ABOUT = 10 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"text", 0, CLI_TEXT, "TEXT", "the text to read", false, false},
    {"top", 'n', CLI_INTEGER, "N", "features shown of each token (3)", false, false},
    {"about", 0, CLI_INTEGER, "N", "features shown of the text as a whole, with their evidence (10)", false, false},
    {"matrix", 0, CLI_OUTPUT, "OUT.safetensors",
     "write a corpus's sparse feature matrix instead: rows, columns, values, tokens, positions, documents", false,
     false},
    {"corpus", 0, CLI_FILE, CLI_CORPUS_VALUE, "with --matrix: text or JSONL files or folders", true, false},
    {"max-tokens", 0, CLI_INTEGER, "N", "with --matrix: tokens to read (the whole corpus)", false, false},
    {"context", 0, CLI_INTEGER, "N", "with --matrix: tokens of a sequence (256)", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* An entry of a row with its level. */
struct lit {
    uint32_t feature;
    float value;
    double level;
};

/* The strongest features of a token by level; returns their number. */
static size_t strongest(struct lit *out, size_t most, const struct feature_view *view, const struct feature_text *text,
                        size_t row, float fallback) {
    const struct fathom_sparse *features = &text->features;
    size_t n = 0;
    for (size_t i = features->offsets[row]; i < features->offsets[row + 1]; i++) {
        const struct lit lit = {features->features[i], features->values[i],
                                feature_level(view, features->features[i], features->values[i], fallback)};
        size_t at = n < most ? n++ : most;
        for (; at > 0 && out[at - 1].level < lit.level; at--)
            if (at < most) out[at] = out[at - 1];
        if (at < most) out[at] = lit;
    }
    return n;
}

static float largest_value(const struct feature_text *text) {
    float largest = 0;
    for (size_t i = 0; i < text->features.offsets[text->n]; i++)
        if (text->features.values[i] > largest) largest = text->features.values[i];
    return largest;
}

static void print_token_line(const struct feature_view *view, const struct feature_text *text, size_t row,
                             const struct lit *lit, size_t n) {
    printf("\n");
    feature_print_token(view, text->tokens[row]);
    if (!n) cli_print_dim(stdout, "  (a position that the dictionary leaves out, or nothing fires)");
    printf("\n");
    for (size_t i = 0; i < n; i++) {
        printf("  %8.2f  ", (double)lit[i].value);
        cli_print_level(stdout, "  ", 2, lit[i].level);
        printf(" %3.0f %%  ", 100 * lit[i].level);
        feature_print_head(view, lit[i].feature);
        printf("\n");
    }
}

/* The text itself, every token by its strongest feature. */
static void print_text(const struct feature_view *view, const struct feature_text *text, float fallback) {
    for (size_t row = 0; row < text->n; row++) {
        struct lit lit;
        const char *bytes;
        size_t length;
        const bool any = strongest(&lit, 1, view, text, row, fallback) > 0;
        if (fathom_token_bytes(&bytes, &length, view->model, text->tokens[row]) == FATHOM_OK)
            cli_print_level(stdout, bytes, length, any ? lit.level : 0);
    }
    printf("\n");
}

static json_t *token_json(const struct feature_view *view, const struct feature_text *text, size_t row,
                          const struct lit *lit, size_t n) {
    json_t *item = feature_token_json(view, text->tokens[row]), *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *feature = feature_json(view, lit[i].feature);
        json_object_set_new(feature, "activation", json_real((double)lit[i].value));
        json_object_set_new(feature, "level", json_real(lit[i].level));
        json_array_append_new(list, feature);
    }
    json_object_set_new(item, "active",
                        json_integer((json_int_t)(text->features.offsets[row + 1] - text->features.offsets[row])));
    json_object_set_new(item, "features", list);
    return item;
}

/* The features that the text as a whole is about, with their evidence; needs a catalogue. */
static int show_about(json_t *list, const struct cli_arguments *arguments, const struct feature_view *view,
                      const struct feature_text *text, size_t most) {
    struct fathom_hit *hits;
    size_t n = 0;
    int status = fathom__alloc(&hits, most, sizeof *hits);
    if (!status) status = fathom_catalogue_search_text(hits, &n, most, view->catalogue, &text->features);
    if (!status && !cli_json(arguments) && n) {
        printf("\n");
        cli_print_bold(stdout, "what the text is about: features that are strong in it and rare elsewhere");
        printf("\n");
    }
    for (size_t i = 0; !status && i < n; i++) {
        struct fathom_feature_details *details;
        if ((status = fathom_catalogue_details(&details, view->catalogue, hits[i].feature))) break;
        if (cli_json(arguments)) {
            json_t *item = feature_details_json(view, details, SHOWN_EXAMPLES);
            json_object_set_new(item, "search_score", json_real(hits[i].score));
            json_array_append_new(list, item);
        } else {
            printf("\n");
            feature_print_head(view, hits[i].feature);
            printf("\n");
            feature_print_evidence(view, details, SHOWN_EXAMPLES);
        }
        fathom_feature_details_free(details);
    }
    fathom_free(hits);
    return status;
}

static int show_text(const struct cli_arguments *arguments, const struct feature_view *view, const char *input,
                     size_t top, size_t about, uint32_t n_threads) {
    struct feature_text text;
    struct lit *lit = NULL;
    int status = feature_text_read(&text, view, input, n_threads);
    if (status) return cli_fail(arguments, status);
    json_t *tokens = json_array(), *about_list = json_array();
    const float fallback = largest_value(&text);
    if (!(status = fathom__alloc(&lit, top, sizeof *lit))) {
        if (!cli_json(arguments)) print_text(view, &text, fallback);
        for (size_t row = 0; row < text.n; row++) {
            const size_t n = strongest(lit, top, view, &text, row, fallback);
            if (cli_json(arguments))
                json_array_append_new(tokens, token_json(view, &text, row, lit, n));
            else
                print_token_line(view, &text, row, lit, n);
        }
        if (view->catalogue && about) status = show_about(about_list, arguments, view, &text, about);
    }
    fathom_free(lit);
    feature_text_free(&text);
    int code = CLI_OK;
    if (!status && cli_json(arguments)) {
        json_t *value = feature_view_json(view);
        json_object_set_new(value, "text", json_string(input));
        json_object_set(value, "tokens", tokens);
        json_object_set(value, "about", about_list);
        code = cli_print_json(value);
    }
    json_decref(tokens);
    json_decref(about_list);
    return status ? cli_fail(arguments, status) : code;
}

static int write_matrix(const struct cli_arguments *arguments, const struct feature_view *view,
                        const struct fathom_matrix_options *matrix) {
    const char *path = cli_text(arguments, "matrix", "");
    struct corpus_arguments corpus;
    uint64_t n_tokens, n_entries;
    int status = corpus_arguments_read(&corpus, arguments, "corpus");
    if (!status)
        status = fathom_feature_matrix(&n_tokens, &n_entries, path, view->dictionary, view->model, corpus.list,
                                       corpus.n, matrix);
    corpus_arguments_free(&corpus);
    if (status) return cli_fail(arguments, status);
    if (cli_json(arguments)) {
        json_t *value = feature_view_json(view);
        json_object_set_new(value, "matrix", json_string(path));
        json_object_set_new(value, "tokens", json_integer((json_int_t)n_tokens));
        json_object_set_new(value, "entries", json_integer((json_int_t)n_entries));
        return cli_print_json(value);
    }
    printf("%s: %" PRIu64 " tokens by %u features, %" PRIu64 " entries\n", path, n_tokens,
           fathom_dictionary_describe(view->dictionary)->n_features, n_entries);
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct feature_view view;
    int64_t top, about, tokens, context, threads, seed;
    int code;
    const char *text = cli_text(arguments, "text", NULL);
    const bool matrix = cli_has(arguments, "matrix");
    if (!cli_integer(&top, arguments, "top", 0, 1000, 3) ||
        !cli_integer(&about, arguments, "about", 0, 100000, ABOUT) ||
        !cli_integer(&tokens, arguments, "max-tokens", 1, INT32_MAX, 0) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    if (matrix == (text != NULL))
        return cli_usage(arguments, "one of --text TEXT and --matrix OUT.safetensors was expected");
    if (matrix != cli_has(arguments, "corpus"))
        return cli_usage(arguments, "--matrix OUT.safetensors and --corpus FILE belong together");
    if (!feature_view_open(&view, &code, arguments, false)) return code;
    if (matrix) {
        const struct fathom_matrix_options how = {.max_tokens = (uint64_t)tokens,
                                                  .context = (uint32_t)context,
                                                  .n_threads = (uint32_t)threads,
                                                  .seed = (uint64_t)seed,
                                                  .progress = cli_progress};
        code = write_matrix(arguments, &view, &how);
    } else {
        code = show_text(arguments, &view, text, (size_t)top, (size_t)about, (uint32_t)threads);
    }
    feature_view_close(&view);
    return code;
}

const struct cli_command cli_command_features = {
    .name = "features",
    .summary = "show which features light up on each token of a text",
    .operands = "",
    .description = "Reads the text with the model and its dictionary and prints it with every token coloured by how "
                   "strongly its strongest feature fires (in shares of the feature's "
                   "own maximum), then each token's strongest features with number, label and the label's score in "
                   "brackets (balanced accuracy on unseen text with near misses; 0.5 is "
                   "chance), then the features that the whole text is about, with their evidence.\n\n"
                   "With --matrix the features of a whole corpus go to a file instead, as a sparse matrix in "
                   "coordinates that numpy and scipy read. The corpus runs through a bf16 copy of the model, as for "
                   "training and indexing, so that values differ from those of --text by a few parts in a hundred.",
    .examples =
        "fathom features --text \"Steph Curry scored 30 points\" # with the default model, dictionary and catalogue\n"
        "fathom features -m model.gguf --dict layer12.gguf --text \"The bridge is red\" --top 5 --json # all as JSON\n"
        "fathom features --matrix features.safetensors --corpus texts.jsonl # for work in Python",
    .options = options,
    .run = run,
};
