#include "command_line.h"
#include <base/memory.h>
#include <explain/explanation_json.h>
#include <fathom/explain.h>
#include <math.h>
#include <string.h>

enum { DEFAULT_ANSWER_TOKENS = 1, MOST_FEATURES = 1000, MOST_CONTROLS = 100 };

/* Everything a run holds, for one cleanup. */
struct work {
    fathom_model *model;
    fathom_dictionary *dictionary;
    fathom_catalogue *catalogue;
    int32_t *prompt, *answer, *corrupt;
    size_t n_prompt, n_answer, n_corrupt;
    fathom_explanation *explanation;
    struct fathom_patching patching;
    bool patched;
};

static int tokenise(int32_t **out, size_t *n, const fathom_model *model, const char *text, bool start) {
    return fathom_tokenize(out, n, model, text, strlen(text), start, false);
}

/* The answer that greedy decoding gives, as its own tokens. */
static int take_token(const struct fathom_generated *generated, void *payload) {
    struct work *work = payload;
    if (!generated->end) work->answer[work->n_answer++] = generated->token;
    return 0;
}

static int greedy_answer(struct work *work, uint32_t n_tokens) {
    struct fathom_sampling sampling = FATHOM_SAMPLING_INIT;
    fathom_session *session = NULL;
    int code = fathom__alloc(&work->answer, n_tokens, sizeof *work->answer);
    if (code == FATHOM_OK) code = fathom_session_open(&session, work->model, NULL);
    if (code == FATHOM_OK)
        code = fathom_generate(NULL, session, work->prompt, work->n_prompt, n_tokens, &sampling, take_token, work);
    fathom_session_close(session);
    return code;
}

static int open_dictionary(struct work *work, const struct cli_arguments *arguments) {
    const char *given = cli_text(arguments, "dict", NULL);
    char *path = NULL;
    int code = fathom_locate_dictionary(&path, work->model, given);
    if (code == FATHOM_ERROR_NOT_FOUND && given == NULL) return FATHOM_OK; /* an explanation without features */
    if (code == FATHOM_OK) code = fathom_dictionary_open(&work->dictionary, path);
    fathom_free(path);
    path = NULL;
    if (code == FATHOM_OK)
        code = fathom_locate_catalogue(&path, work->dictionary, cli_text(arguments, "catalogue", NULL));
    if (code == FATHOM_OK) code = fathom_catalogue_open(&work->catalogue, path, work->dictionary);
    if (code == FATHOM_ERROR_NOT_FOUND && cli_text(arguments, "catalogue", NULL) == NULL) code = FATHOM_OK;
    fathom_free(path);
    return code;
}

static int prepare(struct work *work, const struct cli_arguments *arguments, uint32_t answer_tokens) {
    const char *answer = cli_text(arguments, "answer", NULL), *corrupt = cli_text(arguments, "corrupt", NULL);
    int code = tokenise(&work->prompt, &work->n_prompt, work->model, cli_text(arguments, "prompt", ""), true);
    if (code == FATHOM_OK && corrupt != NULL)
        code = tokenise(&work->corrupt, &work->n_corrupt, work->model, corrupt, true);
    if (code == FATHOM_OK)
        code = answer != NULL ? tokenise(&work->answer, &work->n_answer, work->model, answer, false)
                              : greedy_answer(work, answer_tokens);
    if (code == FATHOM_OK && !cli_has(arguments, "no-features")) code = open_dictionary(work, arguments);
    return code;
}

static void print_token(const struct work *work, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (fathom_token_bytes(&bytes, &length, work->model, token) == FATHOM_OK) {
        putchar('"');
        cli_print_level(stdout, bytes, length, 0);
        putchar('"');
    }
}

static void print_measure(const struct fathom_effect_measure *measure) {
    printf("%+6.2f nats (control %+.2f ± %.2f): %s", measure->effect, measure->control, measure->control_deviation,
           measure->holds ? "holds" : "does not stand out");
}

static void print_layers(const struct work *work) {
    const fathom_explanation *e = work->explanation;
    cli_print_bold(stdout, "\nWhat each layer would have said\n");
    for (size_t l = 0; l < e->n_layers; l++) {
        const struct fathom_explained_layer *layer = &e->layers[l];
        printf("  layer %2d  ", layer->layer);
        print_token(work, layer->reading.top[0].token);
        printf(" %.1f %%  | answer %.3g %%, rank %u | writes for it: attention %+.2f, MLP %+.2f\n",
               100 * layer->reading.top[0].probability, 100 * layer->reading.target_probability,
               layer->reading.target_rank + 1, layer->attention, layer->mlp);
    }
}

static void print_features(const struct work *work) {
    const fathom_explanation *e = work->explanation;
    if (work->dictionary == NULL) return;
    cli_print_bold(stdout, "\nWhich features carried it");
    printf("  (%zu active ones were each set to zero)\n", e->n_features_measured);
    for (size_t i = 0; i < e->n_features; i++) {
        const struct fathom_explained_feature *f = &e->features[i];
        const struct fathom_feature *known =
            work->catalogue != NULL ? fathom_catalogue_feature(work->catalogue, f->feature) : NULL;
        printf("  feature %5u on ", f->feature);
        print_token(work, e->prompt[f->position]);
        printf("  %s\n      ", known != NULL && known->label != NULL ? known->label : "(no label holds)");
        print_measure(&f->ablated);
        putchar('\n');
    }
    printf("  what the dictionary does not explain, taken away: %+.2f nats (it explains %.1f %% of these rows)\n",
           e->error_effect, 100 * e->reconstruction_fve);
}

static void print_tokens(const struct work *work) {
    const fathom_explanation *e = work->explanation;
    cli_print_bold(stdout, "\nWhich tokens carried it\n");
    for (size_t i = 0; i < e->n_tokens; i++) {
        fputs("  ", stdout);
        print_token(work, e->tokens[i].token);
        fputs("\n      erased ", stdout);
        print_measure(&e->tokens[i].erased);
        if (e->tokens[i].has_unseen) {
            fputs("\n      hidden ", stdout);
            print_measure(&e->tokens[i].unseen);
        }
        putchar('\n');
    }
}

static void print_human(const struct work *work) {
    const fathom_explanation *e = work->explanation;
    char *prompt = NULL, *answer = NULL;
    if (fathom_detokenize(&prompt, work->model, e->prompt, e->n_prompt) == FATHOM_OK &&
        fathom_detokenize(&answer, work->model, e->answer, e->n_answer) == FATHOM_OK) {
        printf("%s", prompt);
        cli_print_bold(stdout, answer);
        printf("\np(answer) %.3g %%; its first token %.3g %%, rank %u\n", 100 * exp(e->log_probability),
               100 * e->first_probability, e->first_rank + 1);
    }
    fathom_free(prompt);
    fathom_free(answer);
    print_layers(work);
    print_features(work);
    print_tokens(work);
}

static int finish(const struct work *work, const struct cli_arguments *arguments) {
    const char *report = cli_text(arguments, "report", NULL);
    const struct fathom_patching *patching = work->patched ? &work->patching : NULL;
    if (report != NULL) {
        char *command = NULL;
        int code = command_line(&command, arguments);
        if (code == FATHOM_OK)
            code = fathom_report_write(report, work->explanation, work->model, work->dictionary, work->catalogue,
                                       patching, command);
        fathom_free(command);
        if (code != FATHOM_OK) return cli_fail(arguments, code);
    }
    if (cli_json(arguments))
        return cli_print_json(fathom__explanation_json(work->explanation, work->model, work->catalogue, patching));
    print_human(work);
    if (report != NULL) printf("\nReport: %s\n", report);
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct work work = {0};
    int status = CLI_OK, code;
    int64_t features = 0, controls = 0, seed = 0, threads = 0, answer_tokens = 0;
    if (!cli_integer(&features, arguments, "top", 1, MOST_FEATURES, 12) ||
        !cli_integer(&controls, arguments, "controls", 1, MOST_CONTROLS, 8) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&answer_tokens, arguments, "answer-tokens", 1, 32, DEFAULT_ANSWER_TOKENS))
        return CLI_USAGE;
    work.model = cli_open_model(&status, arguments);
    if (work.model == NULL) return status;
    struct fathom_explain_options options = {
        .n_features = (size_t)features,
        .n_controls = (size_t)controls,
        .seed = (uint64_t)seed,
        .n_threads = (uint32_t)threads,
        .progress = cli_progress,
    };
    code = prepare(&work, arguments, (uint32_t)answer_tokens);
    if (code == FATHOM_OK && work.corrupt != NULL && work.n_corrupt != work.n_prompt) {
        status = cli_usage(arguments, "--corrupt has %zu tokens, but the prompt %zu: patching needs as many",
                           work.n_corrupt, work.n_prompt);
        goto done;
    }
    if (code == FATHOM_OK)
        code = fathom_explain(&work.explanation, work.model, work.dictionary, work.prompt, work.n_prompt, work.answer,
                              work.n_answer, &options);
    if (code == FATHOM_OK && work.corrupt != NULL) {
        code = fathom_patch(&work.patching, work.model, work.prompt, work.corrupt, work.n_prompt, work.answer,
                            work.n_answer, (uint32_t)threads, cli_progress, NULL);
        work.patched = code == FATHOM_OK;
    }
    status = code != FATHOM_OK ? cli_fail(arguments, code) : finish(&work, arguments);
done:
    fathom_free(work.patching.recovered);
    fathom_explanation_free(work.explanation);
    fathom_catalogue_close(work.catalogue);
    fathom_dictionary_close(work.dictionary);
    fathom_free(work.prompt);
    fathom_free(work.answer);
    fathom_free(work.corrupt);
    fathom_model_close(work.model);
    return status;
}

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"prompt", 0, CLI_TEXT, "T", "the text that the model goes on from", false, true},
    {"answer", 0, CLI_TEXT, "T", "the continuation to explain, with its leading space (what greedy decoding says)",
     false, false},
    {"answer-tokens", 0, CLI_INTEGER, "N", "tokens of the greedy answer when none is given (1)", false, false},
    {"corrupt", 0, CLI_TEXT, "T", "another prompt of as many tokens: where is the difference carried", false, false},
    {"report", 0, CLI_OUTPUT, "FILE", "write the explanation as one HTML page", false, false},
    {"top", 0, CLI_INTEGER, "N", "features to show (12)", false, false},
    {"controls", 0, CLI_INTEGER, "N", "controls of each claim, at most (8)", false, false},
    {"no-features", 0, CLI_FLAG, NULL, "explain by layers and tokens only", false, false},
    CLI_OPTION_SEED,
    CLI_OPTION_THREADS,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_explain = {
    .name = "explain",
    .summary = "why a prompt continues with an answer, each claim checked by intervention",
    .operands = "",
    .description =
        "Shows what each layer would have said, which features and which earlier tokens carried the answer, and what "
        "becomes of its probability when each of them is taken away, beside the same done to others of the kind.\n"
        "Effects are changes of log p(answer) in nats.",
    .examples =
        "fathom explain --prompt \"The Golden Gate Bridge is located in the city of\" --answer \" San Francisco\" "
        "--report why.html",
    .options = options,
    .run = run,
};
