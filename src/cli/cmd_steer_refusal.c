#include "generation.h"
#include "labelled.h"
#include "steer_subject.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/plan.h>
#include <fathom/refusal.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TRAIN = 32, MOST_TRAIN = 100000, MOST_POSITIONS = 64, SHOWN = 5, DEFAULT_TOKENS = 48 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"harmful", 0, CLI_FILE, "FILE", "questions to refuse, one a line or JSONL with \"text\"", false, true},
    {"harmless", 0, CLI_FILE, "FILE", "questions to answer", false, true},
    {"train", 0, CLI_INTEGER, "N", "the first N of each make the means, the rest selects (32)", false, false},
    {"select", 0, CLI_INTEGER, "N", "the most questions of each to select by (all the rest)", false, false},
    {"refusal", 0, CLI_TEXT, "TEXT", "what a refusal begins with (\"I cannot\", \"I'm sorry\" and the like)", true,
     false},
    {"divergence", 0, CLI_NUMBER, "NATS", "the most that harmless answers may change (0.1)", false, false},
    {"induce", 0, CLI_NUMBER, "ODDS", "the least refusal, as log odds, that the direction must induce (0)", false,
     false},
    {"positions", 0, CLI_INTEGER, "N", "tokens after the question that are tried (5)", false, false},
    {"prompt", 'p', CLI_TEXT, "TEXT", "a question to answer plainly and with the direction ablated", true, false},
    {"save-direction", 0, CLI_OUTPUT, "OUT.safetensors", "write the direction that was selected", false, false},
    CLI_OPTIONS_FRAME,
    {"stop", 0, CLI_TEXT, "TEXT", "end an answer before this text", false, false},
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct selection {
    const struct cli_arguments *arguments;
    fathom_model *model;
    struct fathom_texts texts[2]; /* harmless, harmful */
    const char **refusals;
    struct fathom_refusal_search search;
    struct fathom_refusal refusal;
    struct fathom_steer_asking asking;
    const char **prompts;
    struct fathom_answers plain, ablated;
};

static int copy_list(const char ***out, size_t *n, const struct cli_arguments *arguments, const char *option) {
    const char *const *given = cli_all(n, arguments, option);
    int status = fathom__alloc(out, *n, sizeof **out);
    if (status == FATHOM_OK && *n > 0) {
        memcpy(*out, given, *n * sizeof **out);
    }
    return status;
}

static int load(struct selection *selection, size_t most) {
    static const char *const names[] = {"harmless", "harmful"};
    int status = FATHOM_OK;
    for (int c = 0; c < 2 && status == FATHOM_OK; c++) {
        status = fathom_texts_load(&selection->texts[c], cli_text(selection->arguments, names[c], ""),
                                   c == 1 ? FATHOM_LABEL_POSITIVE : FATHOM_LABEL_NEGATIVE);
    }
    if (status == FATHOM_OK) {
        status = copy_list(&selection->refusals, &selection->search.n_refusals, selection->arguments, "refusal");
    }
    if (status == FATHOM_OK) {
        status = copy_list(&selection->prompts, &selection->asking.n_questions, selection->arguments, "prompt");
    }
    selection->asking.questions = selection->prompts;
    selection->search.refusals = selection->search.n_refusals > 0 ? selection->refusals : NULL;
    selection->search.harmless = (const char *const *)selection->texts[0].texts;
    selection->search.harmful = (const char *const *)selection->texts[1].texts;
    selection->search.n_harmless = selection->texts[0].n < most ? selection->texts[0].n : most;
    selection->search.n_harmful = selection->texts[1].n < most ? selection->texts[1].n : most;
    return status;
}

/* Answers plainly and with the direction taken away. */
static int answer(struct selection *selection) {
    struct fathom_steer_score score;
    fathom_steer *plan = NULL;
    if (selection->asking.n_questions == 0) {
        return FATHOM_OK;
    }
    int status = fathom_steer_ask(&score, &selection->plain, selection->model, NULL, &selection->asking, NULL, NULL);
    if (status == FATHOM_OK) {
        status = fathom_steer_open(&plan, selection->model);
    }
    if (status == FATHOM_OK) {
        status = fathom_refusal_ablate(plan, &selection->refusal.direction);
    }
    if (status == FATHOM_OK) {
        struct fathom_steer_score plain = score;
        status =
            fathom_steer_ask(&score, &selection->ablated, selection->model, plan, &selection->asking, NULL, &plain);
    }
    fathom_steer_close(plan);
    return status;
}

/* Admitted ones first, those of lowest bypass before others; then those that change the least. */
static int by_bypass(const void *a, const void *b) {
    const struct fathom_refusal_trial *x = a;
    const struct fathom_refusal_trial *y = b;
    if (x->admitted != y->admitted) {
        return x->admitted ? -1 : 1;
    }
    double first = x->admitted ? x->bypass : x->divergence;
    double second = y->admitted ? y->bypass : y->divergence;
    return first < second ? -1 : first > second;
}

static json_t *answers_json(const struct selection *selection) {
    json_t *list = json_array();
    for (size_t i = 0; i < selection->plain.n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "question", selection->prompts[i], "plain",
                                              selection->plain.texts[i], "ablated", selection->ablated.texts[i]));
    }
    return list;
}

static void print_figure(int width, double figure) {
    if (isnan(figure)) {
        printf("%*s  ", width, "-");
    } else {
        printf("%*.2f  ", width, figure);
    }
}

static int show(const struct selection *selection) {
    const struct fathom_refusal *refusal = &selection->refusal;
    if (cli_json(selection->arguments)) {
        json_t *list = json_array();
        for (size_t i = 0; i < refusal->n_trials; i++) {
            const struct fathom_refusal_trial *trial = &refusal->trials[i];
            json_array_append_new(list, json_pack("{s:i, s:i, s:o, s:o, s:f, s:b}", "position", trial->position,
                                                  "layer", trial->layer, "bypass", number_json(trial->bypass), "induce",
                                                  number_json(trial->induce), "divergence", trial->divergence,
                                                  "admitted", trial->admitted));
        }
        return cli_print_json(json_pack("{s:f, s:f, s:o, s:o}", "plain_harmful", refusal->plain_harmful,
                                        "plain_harmless", refusal->plain_harmless, "candidates", list, "answers",
                                        answers_json(selection)));
    }
    cli_print_bold(stdout, "Refusal");
    printf(" as log odds: harmful questions %.2f, harmless ones %.2f\n", refusal->plain_harmful,
           refusal->plain_harmless);
    puts("token  layer  harmful, ablated  harmless, added  harmless, ablated: nats");
    for (size_t i = 0; i < refusal->n_trials && i < SHOWN; i++) {
        const struct fathom_refusal_trial *trial = &refusal->trials[i];
        printf("%5d  %5d  ", trial->position, trial->layer);
        print_figure(16, trial->bypass);
        print_figure(15, trial->induce);
        printf("%23.3f%s\n", trial->divergence, trial->admitted ? "" : "  (not admitted)");
    }
    for (size_t i = 0; i < selection->plain.n; i++) {
        printf("\n%s\n  plain:   ", selection->prompts[i]);
        cli_print_level(stdout, selection->plain.texts[i], strlen(selection->plain.texts[i]), 0);
        fputs("\n  ablated: ", stdout);
        cli_print_level(stdout, selection->ablated.texts[i], strlen(selection->ablated.texts[i]), 0);
        putchar('\n');
    }
    return cli_output_status();
}

static int work(struct selection *selection) {
    const char *output = cli_text(selection->arguments, "save-direction", NULL);
    selection->search.style = selection->asking.style = steer_style(selection->arguments, selection->model);
    selection->search.progress = cli_progress;
    int status = fathom_refusal_select(&selection->refusal, selection->model, &selection->search);
    if (status == FATHOM_OK && output != NULL) {
        status = fathom_direction_write(&selection->refusal.direction, selection->model, output);
    }
    if (status == FATHOM_OK) {
        status = answer(selection);
    }
    if (status != FATHOM_OK) {
        return cli_fail(selection->arguments, status);
    }
    qsort(selection->refusal.trials, selection->refusal.n_trials, sizeof *selection->refusal.trials, by_bypass);
    return show(selection);
}

static int run(struct cli_arguments *arguments) {
    struct selection selection = {.arguments = arguments};
    int64_t n_train = 0;
    int64_t n_select = 0;
    int64_t n_positions = 0;
    int exit = CLI_USAGE;
    if (cli_has(arguments, "chat") && cli_has(arguments, "raw")) {
        return cli_usage(arguments, "--chat and --raw exclude each other");
    }
    if (!cli_integer(&n_train, arguments, "train", 1, MOST_TRAIN, DEFAULT_TRAIN) ||
        !cli_integer(&n_select, arguments, "select", 2, MOST_TRAIN, MOST_TRAIN) ||
        !cli_integer(&n_positions, arguments, "positions", 1, MOST_POSITIONS, 0) ||
        !cli_number(&selection.search.most_divergence, arguments, "divergence", 0, 1e6, 0) ||
        !cli_number(&selection.search.least_induce, arguments, "induce", -1e6, 1e6, 0) ||
        !cli_sampling(&selection.asking.sampling, &selection.asking.max_new, arguments)) {
        return exit;
    }
    selection.asking.max_new = cli_has(arguments, "max-tokens") ? selection.asking.max_new : DEFAULT_TOKENS;
    selection.search.n_train = (size_t)n_train;
    selection.search.most_positions = (uint32_t)n_positions;
    int status = load(&selection, (size_t)(n_train + n_select));
    if (status != FATHOM_OK) {
        exit = cli_fail(arguments, status);
    } else {
        selection.model = cli_open_model(&exit, arguments);
        exit = selection.model != NULL ? work(&selection) : exit;
    }
    fathom_refusal_free(&selection.refusal);
    fathom_answers_free(&selection.plain);
    fathom_answers_free(&selection.ablated);
    fathom_texts_free(&selection.texts[0]);
    fathom_texts_free(&selection.texts[1]);
    fathom_free(selection.refusals);
    fathom_free(selection.prompts);
    fathom_model_close(selection.model);
    return exit;
}

const struct cli_command cli_command_steer_refusal = {
    .name = "steer refusal",
    .summary = "find the direction that a model refuses by",
    .operands = "",
    .description =
        "Takes the difference between harmful and harmless questions at the beginning of every layer and at each token "
        "after the question, and selects the one that, taken away, makes harmful questions least refused, while added "
        "it "
        "makes harmless ones refused and taken away it leaves their answers as they were (Arditi et al. 2024).\n\n"
        "The direction's file can be used in plans: 'direction FILE out; direction FILE out on attn_out; direction "
        "FILE "
        "out on mlp_out' is the ablation.",
    .examples =
        "fathom steer refusal --harmful harmful.txt --harmless harmless.txt --save-direction refusal.safetensors",
    .options = options,
    .run = run,
};
