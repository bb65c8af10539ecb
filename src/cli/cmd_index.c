#include "corpus_arguments.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/catalogue.h>
#include <inttypes.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_CATALOGUE,
    {"corpus", 0, CLI_FILE, CLI_CORPUS_VALUE,
     "text or JSONL files or folders, with the field of the text and a share; * repeats the source", true, true},
    {"unquoted", 0, CLI_FILE, CLI_CORPUS_VALUE,
     "more text that counts for figures and labels, but is quoted in no example", true, false},
    {"corpus-name", 0, CLI_TEXT, "TEXT", "how the catalogue describes the corpus (the files' names)", false, false},
    {"max-tokens", 'n', CLI_INTEGER, "N", "tokens to index (the whole corpus)", false, false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    {"top", 0, CLI_INTEGER, "N", "strongest examples kept of a feature (20)", false, false},
    {"band", 0, CLI_INTEGER, "N", "examples kept of each quarter of a feature's range (5)", false, false},
    {"wordnet", 0, CLI_FOLDER, "FOLDER", "where WordNet's index.noun and data.noun lie (/usr/share/wordnet)", false,
     false},
    {"no-text", 0, CLI_FLAG, NULL, "keep numbers only: no tokens, no text, no label that quotes the corpus", false,
     false},
    {"no-labels", 0, CLI_FLAG, NULL, "make no labels", false, false},
    {"restart", 0, CLI_FLAG, NULL, "start again even where an interrupted run could go on", false, false},
    {"keep-checkpoint", 0, CLI_FLAG, NULL,
     "keep the finished pass beside the catalogue, so that the next run starts at the labels", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* The command line as the library wants it. */
struct request {
    struct fathom_index_options options;
    struct corpus_arguments quoted, unquoted;
};

static bool read_options(struct request *request, const struct cli_arguments *arguments) {
    int64_t tokens, context, top, band, threads, seed;
    if (!cli_integer(&tokens, arguments, "max-tokens", 1, (int64_t)FATHOM_INDEX_TOKENS, 0) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&top, arguments, "top", 1, INT32_MAX, 0) ||
        !cli_integer(&band, arguments, "band", 1, INT32_MAX, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return false;
    request->options = (struct fathom_index_options){.max_tokens = (uint64_t)tokens,
                                                     .context = (uint32_t)context,
                                                     .n_threads = (uint32_t)threads,
                                                     .n_top = (uint32_t)top,
                                                     .n_band = (uint32_t)band,
                                                     .seed = (uint64_t)seed,
                                                     .wordnet = cli_text(arguments, "wordnet", NULL),
                                                     .corpus_name = cli_text(arguments, "corpus-name", NULL),
                                                     .no_text = cli_has(arguments, "no-text"),
                                                     .no_labels = cli_has(arguments, "no-labels"),
                                                     .restart = cli_has(arguments, "restart"),
                                                     .keep_checkpoint = cli_has(arguments, "keep-checkpoint"),
                                                     .progress = cli_progress};
    return true;
}

static json_t *yield_json(const struct fathom_label_yield *yield) {
    return json_pack("{s:i, s:f, s:f, s:f, s:f}", "labels", (int)yield->n, "balanced_accuracy", yield->score, "f1",
                     yield->f1, "single_token", yield->single_token, "shuffled", yield->shuffled);
}

static json_t *counts_json(const struct fathom_label_counts *counts) {
    json_t *kinds = json_object();
    for (int k = 0; k < FATHOM_LABEL_KINDS; k++)
        json_object_set_new(kinds, fathom_label_kind_name((enum fathom_label_kind)k), yield_json(&counts->kinds[k]));
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "rare", (int)counts->n_rare, "dense",
                     (int)counts->n_dense, "candidates", (int)counts->n_candidates, "no_rule", (int)counts->n_no_rule,
                     "low_score", (int)counts->n_low_score, "low_f1", (int)counts->n_low_f1, "distinct",
                     (int)counts->n_distinct, "strong", (int)counts->n_strong, "all", yield_json(&counts->all), "kinds",
                     kinds);
}

static void print_yield(const char *name, const struct fathom_label_yield *yield) {
    if (yield->n)
        printf("    %-11s %6u  %.3f (single token %.3f, other features' labels %.3f), F1 %.3f\n", name, yield->n,
               yield->score, yield->single_token, yield->shuffled, yield->f1);
}

static void print_counts(const struct fathom_label_counts *counts) {
    static const char *const names[FATHOM_LABEL_KINDS] = {"kinds", "named lists", "words", "other lists", "shapes"};
    printf("  %u of them too seldom to find and test a label, %u too often\n", counts->n_rare, counts->n_dense);
    printf("  of the other %u, %u have a label that holds on text it was not made from; balanced accuracy:\n",
           counts->n_candidates, counts->all.n);
    print_yield("all", &counts->all);
    for (int k = 0; k < FATHOM_LABEL_KINDS; k++)
        print_yield(names[k], &counts->kinds[k]);
    printf("  %u different labels; %u hold only where their feature is strong\n", counts->n_distinct, counts->n_strong);
    printf(
        "  the rest have none: nothing sets %u apart, for %u the best was too inaccurate, for %u it fired too often\n",
        counts->n_no_rule, counts->n_low_score, counts->n_low_f1);
}

static int print_result(const struct cli_arguments *arguments, const struct fathom_index_result *result,
                        const char *path) {
    if (cli_json(arguments))
        return cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:i, s:i, s:i, s:o, s:f, s:f, s:f}", "catalogue", path,
                                        "tokens", (json_int_t)result->n_tokens, "documents",
                                        (json_int_t)result->n_documents, "resumed", (json_int_t)result->n_resumed,
                                        "alive", (int)result->n_alive, "candidates", (int)result->labels.n_candidates,
                                        "labelled", (int)result->labels.all.n, "labels", counts_json(&result->labels),
                                        "seconds", result->seconds, "tokens_per_second", result->tokens_per_second,
                                        "label_seconds", result->label_seconds));
    printf("%s\n", path);
    printf("  %" PRIu64 " tokens of %" PRIu64 " documents", result->n_tokens, result->n_documents);
    if (result->n_resumed) printf(", %" PRIu64 " of them from an earlier run", result->n_resumed);
    printf("; %.0f tokens a second\n", result->tokens_per_second);
    printf("  %u features fired\n", result->n_alive);
    if (!cli_has(arguments, "no-labels")) print_counts(&result->labels);
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct request request = {0};
    struct fathom_index_result result;
    fathom_dictionary *dictionary = NULL;
    char *path = NULL;
    size_t n_operands;
    int code = CLI_OK;
    if (!read_options(&request, arguments)) return CLI_USAGE;
    fathom_model *model = cli_open_model(&code, arguments);
    if (!model) return code;
    int status = fathom_dictionary_open(&dictionary, cli_operands(&n_operands, arguments)[0]);
    if (!status) status = corpus_arguments_read(&request.quoted, arguments, "corpus");
    if (!status) status = corpus_arguments_read(&request.unquoted, arguments, "unquoted");
    request.options.unquoted = request.unquoted.list;
    request.options.n_unquoted = request.unquoted.n;
    if (!status)
        status = cli_has(arguments, "catalogue") ? fathom__copy_string(&path, cli_text(arguments, "catalogue", ""))
                                                 : fathom_catalogue_default_path(&path, dictionary);
    if (!status)
        status =
            fathom_index(&result, path, dictionary, model, request.quoted.list, request.quoted.n, &request.options);
    code = status ? cli_fail(arguments, status) : print_result(arguments, &result, path);
    corpus_arguments_free(&request.quoted);
    corpus_arguments_free(&request.unquoted);
    fathom_free(path);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return code;
}

const struct cli_command cli_command_index = {
    .name = "index",
    .summary = "build the catalogue of a dictionary: examples, statistics, effects and labels",
    .operands = "DICT",
    .least = 1,
    .most = 1,
    .description = "Runs a corpus through the model and the dictionary once and keeps, of every feature: how often and "
                   "how strongly it fires, "
                   "its strongest examples and some of its whole range, the output tokens it raises and lowers, its "
                   "nearest features, and a "
                   "label where one holds.\n\n"
                   "Examples quote the corpus. Text given by --unquoted counts for figures and labels as well, but no "
                   "example is taken from "
                   "it: so a catalogue can be passed on whose evidence may not be.\n\n"
                   "Labels are found on three documents of five, chosen among candidates on the fourth and tested on "
                   "the fifth, against "
                   "near misses: the same words where the feature is silent, and the examples of its nearest features. "
                   "A feature without a "
                   "label that holds there stays unlabelled. A label “… (where strong)” was found and tested on "
                   "activations above half of the feature's maximum: what sets off the weaker ones, no rule told. "
                   "A list of words is called by what its members share, which stands before them: “cities "
                   "(‘Boston’, ‘Chicago’) and ‘stadium’”. Labels that several features have end in the word "
                   "where each is strongest.\n\n"
                   "The catalogue changes in one step at the end. A run that was stopped goes on where it was; what "
                   "the catalogue had on this "
                   "dictionary before is replaced, except for labels that people gave.",
    .examples = "fathom index layer12.gguf --corpus wiki.jsonl --max-tokens 2000000 # into the user's own catalogue\n"
                "fathom index layer12.gguf --corpus mail.jsonl:body --no-text --catalogue numbers.sqlite # private "
                "text stays out",
    .options = options,
    .run = run,
};
