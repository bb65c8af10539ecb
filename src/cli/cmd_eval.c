#include "corpus_arguments.h"
#include "eval_absorption.h"
#include "eval_corpus.h"
#include "eval_layers.h"
#include "eval_measured.h"
#include "eval_saebench.h"
#include "eval_view.h"
#include <base/memory.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"corpus", 0, CLI_FILE, CLI_CORPUS_VALUE,
     "text that the dictionary was not trained on (text that the model writes itself, kept in the cache)", true, false},
    {"tokens", 0, CLI_INTEGER, "N", "rows collected, half of them to fit the controls (65536; 8192 of its own text)",
     false, false},
    {"loss-tokens", 0, CLI_INTEGER, "N",
     "tokens whose loss is measured with the reconstruction in place (8192; 2048 of its own text)", false, false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    {"control", 0, CLI_FILE, "DICT", "a dictionary to compare with, such as one of train --freeze-decoder", false,
     false},
    {"shuffled", 0, CLI_FILE, "MODEL",
     "the model with shuffled weights (fathom derive --shuffle), whose rows are "
     "measured too",
     false, false},
    {"probe", 0, CLI_FILE, "FILE", "JSONL with \"text\" and \"label\" (true or false), for sparse probing", true,
     false},
    {"absorption", 0, CLI_FLAG, NULL, "also first-letter absorption and splitting, on words of the vocabulary", false,
     false},
    {"catalogue", 0, CLI_FILE, "FILE", "the dictionary's catalogue, for how well its labels tell its features", false,
     false},
    {"saebench", 0, CLI_FOLDER, "FOLDER", "write the results in SAEBench's file format too", false, false},
    {"each-feature", 0, CLI_FLAG, NULL, "with --json: the figures of every feature as well", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* What is opened for an evaluation. */
struct opened {
    fathom_dictionary *dictionary, *control;
    fathom_model *model, *shuffled;
    struct fathom_feature_quality *features;
};

static void close_all(struct opened *opened) {
    fathom_dictionary_close(opened->dictionary);
    fathom_dictionary_close(opened->control);
    fathom_model_close(opened->model);
    fathom_model_close(opened->shuffled);
    fathom_free(opened->features);
}

/* An exit status. */
static int open_all(struct opened *opened, const struct cli_arguments *arguments, const char *path) {
    const char *control = cli_text(arguments, "control", NULL), *shuffled = cli_text(arguments, "shuffled", NULL);
    int code = CLI_OK;
    int status = fathom_dictionary_open(&opened->dictionary, path);
    if (!status && control) status = fathom_dictionary_open(&opened->control, control);
    if (!status && (cli_has(arguments, "each-feature") || cli_has(arguments, "saebench")))
        status = fathom__alloc(&opened->features, fathom_dictionary_describe(opened->dictionary)->n_features,
                               sizeof *opened->features);
    if (status) return cli_fail(arguments, status);
    opened->model = cli_open_model(&code, arguments);
    if (opened->model && shuffled) opened->shuffled = cli_open_model_at(&code, arguments, shuffled);
    return code;
}

static int print(const struct cli_arguments *arguments, const struct eval_measured *m) {
    const struct fathom_absorption_report *other = m->has_control ? &m->control_absorption : NULL;
    if (cli_json(arguments)) {
        json_t *value = eval_json(&m->evaluation, m->dictionary,
                                  cli_has(arguments, "each-feature") ? m->features : NULL, m->has_shuffled);
        json_object_set_new(value, "corpus", json_string(m->corpus));
        if (m->n_probes > 0)
            json_object_set_new(value, "sparse_probing", eval_probes_json(m->probes, m->n_probes, m->has_control));
        if (m->has_absorption) json_object_set_new(value, "absorption", eval_absorption_json(&m->absorption, other));
        if (m->has_labels) json_object_set_new(value, "monosemanticity", eval_labels_json(&m->labels));
        return cli_print_json(value);
    }
    cli_progress_end();
    eval_print(&m->evaluation, m->has_shuffled);
    eval_probes_print(m->probes, m->n_probes, m->has_control);
    if (m->has_absorption) eval_absorption_print(&m->absorption, other);
    if (m->has_labels) eval_labels_print(&m->labels);
    return cli_output_status();
}

static int measure_absorption(struct eval_measured *out, const struct opened *opened,
                              const struct fathom_evaluate_options *chosen) {
    const struct fathom_absorption_options wanted = {
        .n_threads = chosen->n_threads, .seed = chosen->seed, .progress = cli_progress};
    out->has_absorption = true;
    int status = fathom_absorption(&out->absorption, opened->model, opened->dictionary, &wanted);
    if (!status && opened->control)
        status = fathom_absorption(&out->control_absorption, opened->model, opened->control, &wanted);
    return status;
}

static int measure_labels(struct eval_measured *out, const struct opened *opened, const char *path) {
    fathom_catalogue *catalogue = NULL;
    out->has_labels = true;
    int status = fathom_catalogue_open(&catalogue, path, opened->dictionary);
    if (!status) status = fathom_catalogue_monosemanticity(&out->labels, catalogue);
    fathom_catalogue_close(catalogue);
    return status;
}

static int evaluate(const struct cli_arguments *arguments, struct opened *opened,
                    struct fathom_evaluate_options *chosen) {
    const char *folder = cli_text(arguments, "saebench", NULL), *catalogue = cli_text(arguments, "catalogue", NULL);
    struct eval_measured measured = {.dictionary = fathom_dictionary_describe(opened->dictionary),
                                     .model_name = fathom_model_describe(opened->model)->name,
                                     .corpus = chosen->sources[0].path,
                                     .context = chosen->context,
                                     .seed = chosen->seed,
                                     .features = opened->features,
                                     .has_control = opened->control != NULL,
                                     .has_shuffled = opened->shuffled != NULL};
    chosen->control = opened->control;
    chosen->shuffled = opened->shuffled;
    chosen->features = opened->features;
    int status = catalogue ? measure_labels(&measured, opened, catalogue) : FATHOM_OK;
    if (!status)
        status = eval_probes(&measured.probes, &measured.n_probes, arguments, opened->model, opened->dictionary,
                             opened->control, chosen->seed);
    if (!status && cli_has(arguments, "absorption")) status = measure_absorption(&measured, opened, chosen);
    if (!status) status = fathom_evaluate(&measured.evaluation, opened->dictionary, opened->model, chosen);
    if (!status && folder) status = eval_saebench_write(folder, &measured);
    const int code = status ? cli_fail(arguments, status) : print(arguments, &measured);
    fathom_free(measured.probes);
    return code;
}

static int read_corpus(struct corpus_arguments *corpus, struct fathom_evaluate_options *chosen,
                       const struct cli_arguments *arguments, const fathom_model *model) {
    int status;
    if (cli_has(arguments, "corpus")) {
        status = corpus_arguments_read(corpus, arguments, "corpus");
    } else {
        char *path = NULL;
        if (!chosen->tokens) chosen->tokens = EVAL_OWN_ROWS;
        if (!chosen->loss_tokens) chosen->loss_tokens = EVAL_OWN_LOSS_TOKENS;
        status = eval_own_corpus(&path, model, chosen->tokens, chosen->loss_tokens, chosen->n_threads);
        if (!status) status = corpus_arguments_parse(corpus, (const char *const[]){path}, 1);
        fathom_free(path);
    }
    chosen->sources = corpus->list;
    chosen->n_sources = corpus->n;
    return status;
}

static bool is_transcoder(const struct fathom_dictionary_info *info) {
    return info->n_layers > 0 || strcmp(info->hook_in, info->hook_out) != 0;
}

static int run(struct cli_arguments *arguments) {
    struct corpus_arguments corpus = {0};
    int64_t tokens, loss_tokens, context, threads, seed;
    size_t n_operands;
    int code = CLI_OK;
    struct opened opened = {0};
    if (!cli_integer(&tokens, arguments, "tokens", 1024, INT32_MAX, 0) ||
        !cli_integer(&loss_tokens, arguments, "loss-tokens", 1, INT32_MAX, 0) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    const char *path = cli_operands(&n_operands, arguments)[0];
    struct fathom_evaluate_options chosen = {.seed = (uint64_t)seed,
                                             .tokens = (uint64_t)tokens,
                                             .loss_tokens = (uint64_t)loss_tokens,
                                             .context = (uint32_t)context,
                                             .n_threads = (uint32_t)threads,
                                             .progress = cli_progress};
    code = open_all(&opened, arguments, path);
    if (code == CLI_OK) {
        const int status = read_corpus(&corpus, &chosen, arguments, opened.model);
        code = status ? cli_fail(arguments, status)
               : is_transcoder(fathom_dictionary_describe(opened.dictionary))
                   ? eval_layers(arguments, opened.dictionary, opened.model, &chosen)
                   : evaluate(arguments, &opened, &chosen);
    }
    close_all(&opened);
    corpus_arguments_free(&corpus);
    return code;
}

const struct cli_command cli_command_eval = {
    .name = "eval",
    .summary = "measure what a dictionary is worth, beside controls",
    .operands = "DICT",
    .least = 1,
    .most = 1,
    .description =
        "Measures how much of the activations' variance the dictionary explains and what next-token loss it "
        "costs when its reconstruction takes the activations' place, "
        "beside the same figures for an untrained dictionary of the same shape, as many principal "
        "components, as many raw neurons, the mean row of each token, the mean row alone and zeros. "
        "Divergence is the Kullback-Leibler divergence of the next token's distribution from the model's "
        "own.\n\n"
        "A dictionary trained with a frozen random decoder (--control) and the rows of the model with its "
        "weights shuffled (--shuffled) say how much of a figure is owed to what was learned.\n\n"
        "--probe tells how much of a labelled distinction lies in the one, two or five features whose means "
        "differ most: logistic regression on them, judged on texts that it never saw, beside as many raw "
        "neurons, shuffled labels and the whole row.\n\n"
        "--absorption counts on how many words the features of their first letter are silent while features "
        "for the words themselves carry the letter, and how many features a letter is split over, by words "
        "of the model's own vocabulary.\n\n"
        "--catalogue tells how many of the alive features have a label that tells when they are active on text that it "
        "was not made of, beside the best single token and other features' labels.\n\n"
        "--saebench writes core/, sparse_probing/ and absorption/ with what was measured, under SAEBench's "
        "names and by its formulas; sae_bench_commit_hash says that they are Fathom's. First positions, "
        "which the dictionary does not cover, are left out.\n\n"
        "Of a transcoder, the variance explained at each layer that it writes, beside the mean row of each token and, "
        "of "
        "a cross-layer one, what the features of that layer alone explain; and the loss with all that it writes in "
        "place at all layers at once, where features read what the replacements before them have made of the model, "
        "beside token means, the mean row and zeros.",
    .examples = "fathom eval layer12.gguf # on text that the model writes itself\n"
                "fathom eval layer12.gguf -m smollm2 --corpus held-out.jsonl # figures beside controls\n"
                "fathom eval layer12.gguf --control frozen12.gguf --corpus held-out.jsonl # beside a frozen decoder",
    .options = options,
    .run = run,
};
