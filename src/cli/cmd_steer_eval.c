#include "generation.h"
#include "labelled.h"
#include "preset.h"
#include "steer_command.h"
#include "steer_plan.h"
#include <base/error.h>
#include <base/memory.h>
#include <string.h>

enum { DEFAULT_TOKENS = 48, MOST_SEEDS = 1000, METHODS = 6 };
enum { OTHER_SEEDS = 1000003 }; /* held-out answers are other draws than those that strengths are chosen on */

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"concept-file", 0, CLI_FILE, "FILE.json",
     "\"words\", \"texts\" for the difference of means, \"questions\" to choose strengths on, \"held_out\" to rate on",
     false, false},
    {"feature", 0, CLI_TEXT, "N[=W]…", "rate this feature, or several together", true, false},
    {"mode", 0, CLI_CHOICE, "clamp|add|ablate", "what is done with a feature (clamp)", false, false},
    CLI_OPTION_PLAN,
    CLI_OPTION_PRESET,
    {"rows", 0, CLI_CHOICE, "all|prompt|answer", "which part of the text is edited (all)", false, false},
    {"layers", 0, CLI_TEXT, "A[-B]",
     "of feature and directions (the dictionary's own layer, else a third of the depth)", false, false},
    {"strengths", 0, CLI_TEXT, "S,…", "to try for features, in maxima (0.4,0.8,1.2,1.6,2)", false, false},
    {"direction-strengths", 0, CLI_TEXT, "S,…", "to try for directions, in median norms (0.1,0.2,0.4,0.8,1.2)", false,
     false},
    {"instruction", 0, CLI_TEXT, "TEXT",
     "put before every question where only a prompt steers (made of the first word)", false, false},
    {"seeds", 0, CLI_INTEGER, "N", "answers to each question (1)", false, false},
    CLI_OPTIONS_FRAME,
    {"stop", 0, CLI_TEXT, "TEXT", "end an answer before this text", false, false},
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* One way to steer, and how it is rated. */
struct method {
    const char *name;
    const struct steer_subject *subject; /* NULL: none */
    const char *instruction;             /* NULL: none */
    bool fixed;                          /* no strength to choose */
    float strength;
    struct fathom_steer_rating development, rating;
    struct fathom_answers answers;
};

struct evaluation {
    const struct cli_arguments *arguments;
    struct concept_file file;
    fathom_concept *concept;
    struct steer_subject subject, control, means, random;
    bool controlled;
    struct steer_setting setting;
    struct fathom_steer_asking asking;
    char *instruction;
    fathom_steer_rater *development, *test;
    struct method methods[METHODS];
    size_t n_methods;
};

static const float feature_strengths[] = {0.4f, 0.8f, 1.2f, 1.6f, 2};
static const float direction_strengths[] = {0.1f, 0.2f, 0.4f, 0.8f, 1.2f};

static int strengths_for(float *out, size_t *n, const struct evaluation *evaluation, bool feature) {
    const char *text = cli_text(evaluation->arguments, feature ? "strengths" : "direction-strengths", NULL);
    *n = 0;
    if (text != NULL) {
        return steer_strengths_parse(out, n, text);
    }
    *n = sizeof feature_strengths / sizeof feature_strengths[0];
    memcpy(out, feature ? feature_strengths : direction_strengths, sizeof feature_strengths);
    return FATHOM_OK;
}

static int rate(struct fathom_steer_rating *out, struct fathom_answers *answers, const struct evaluation *evaluation,
                fathom_steer_rater *rater, const struct method *method, float strength) {
    struct steer_setting setting = evaluation->setting;
    fathom_steer *plan = NULL;
    bool owned = false;
    int status = FATHOM_OK;
    setting.strength = strength;
    if (method->subject != NULL) {
        status = steer_subject_plan(&plan, &owned, method->subject, &setting);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_rater_rate(out, answers, rater, plan, method->instruction);
    }
    if (owned) {
        fathom_steer_close(plan);
    }
    return status;
}

/* The strength that is best on the development questions, rated once on the others. */
static int evaluate(struct evaluation *evaluation, struct method *method) {
    float strengths[STEER_MOST_STRENGTHS] = {0};
    size_t n = 1;
    int status = FATHOM_OK;
    if (!method->fixed) {
        status = strengths_for(strengths, &n, evaluation, method->subject->is_feature);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        struct fathom_steer_rating rating = {0};
        status = rate(&rating, NULL, evaluation, evaluation->development, method, strengths[i]);
        if (status == FATHOM_OK && (i == 0 || rating.harmonic > method->development.harmonic)) {
            method->development = rating;
            method->strength = strengths[i];
        }
        if (status == FATHOM_OK && cli_interrupted()) {
            status = fathom__fail(FATHOM_ERROR_STOPPED, "interrupted");
        }
    }
    return status == FATHOM_OK
               ? rate(&method->rating, &method->answers, evaluation, evaluation->test, method, method->strength)
               : status;
}

static void add_method(struct evaluation *evaluation, const char *name, const struct steer_subject *subject,
                       const char *instruction, bool fixed) {
    evaluation->methods[evaluation->n_methods++] =
        (struct method){.name = name, .subject = subject, .instruction = instruction, .fixed = fixed};
}

/* Baselines: a difference of means of the concept's texts at the subject's layers, and a random direction there. */
static int add_directions(struct evaluation *evaluation) {
    fathom_model *model = evaluation->subject.view.model;
    struct fathom_layer_range range = evaluation->setting.range;
    if (range.first < 0) {
        struct fathom_hook hook = {FATHOM_HOOK_RESID_POST, (int32_t)fathom_model_describe(model)->n_layers / 3};
        if (evaluation->subject.view.dictionary != NULL) {
            int found = fathom_hook_parse(&hook, model,
                                          fathom_dictionary_describe(evaluation->subject.view.dictionary)->hook_out);
            if (found != FATHOM_OK) {
                return found;
            }
        }
        range = (struct fathom_layer_range){hook.layer, hook.layer};
    }
    int status = fathom_direction_contrast(&evaluation->means.direction, model, &evaluation->file.texts,
                                           FATHOM_HOOK_RESID_POST, range.first, range.last);
    if (status == FATHOM_OK) {
        status = fathom_direction_random(&evaluation->random.direction, &evaluation->means.direction,
                                         evaluation->asking.sampling.seed);
    }
    evaluation->means.view.model = model;
    evaluation->random.view.model = model;
    evaluation->means.made_of = "the difference of means of the concept's texts";
    evaluation->random.made_of = "a random direction";
    return status;
}

static json_t *rating_json(const struct fathom_steer_rating *rating) {
    return json_pack("{s:I, s:f, s:f, s:f, s:f}", "answers", (json_int_t)rating->n_answers, "concept", rating->concept,
                     "instruction", rating->instruction, "fluency", rating->fluency, "harmonic_mean", rating->harmonic);
}

static json_t *method_json(const struct method *method) {
    json_t *texts = json_array();
    for (size_t i = 0; i < method->answers.n; i++) {
        json_array_append_new(texts, json_string(method->answers.texts[i]));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "method", method->name, "strength",
                     method->fixed ? json_null() : json_real((double)method->strength), "development",
                     rating_json(&method->development), "held_out", rating_json(&method->rating), "answers", texts);
}

static int show(const struct evaluation *evaluation) {
    if (cli_json(evaluation->arguments)) {
        json_t *list = json_array();
        for (size_t i = 0; i < evaluation->n_methods; i++) {
            json_array_append_new(list, method_json(&evaluation->methods[i]));
        }
        return cli_print_json(
            json_pack("{s:o, s:o}", "subject", steer_subject_json(&evaluation->subject), "methods", list));
    }
    cli_print_bold(stdout, "Rated");
    printf(" on %zu answers to held-out questions, 0 to 2 each, by rules; strengths chosen on the others\n",
           evaluation->methods[0].rating.n_answers);
    puts("                     strength  concept  instruction  fluency  harmonic mean");
    for (size_t i = 0; i < evaluation->n_methods; i++) {
        const struct method *method = &evaluation->methods[i];
        printf("%-20s ", method->name);
        if (method->fixed) {
            fputs("       -", stdout);
        } else {
            printf("%8.3g", (double)method->strength);
        }
        printf("  %7.2f  %11.2f  %7.2f  %13.2f\n", method->rating.concept, method->rating.instruction,
               method->rating.fluency, method->rating.harmonic);
    }
    return cli_output_status();
}

static int open_raters(struct evaluation *evaluation) {
    struct fathom_steer_asking test = evaluation->asking;
    evaluation->asking.questions = evaluation->file.questions;
    evaluation->asking.n_questions = evaluation->file.n_questions;
    test.questions = evaluation->file.held_out;
    test.n_questions = evaluation->file.n_held_out;
    test.sampling.seed += OTHER_SEEDS;
    const fathom_model *model = evaluation->subject.view.model;
    int status = fathom_concept_open(&evaluation->concept, model, evaluation->file.words, evaluation->file.n_words);
    if (status == FATHOM_OK) {
        status = fathom_steer_rater_open(&evaluation->development, model, &evaluation->asking, evaluation->concept);
    }
    return status == FATHOM_OK ? fathom_steer_rater_open(&evaluation->test, model, &test, evaluation->concept) : status;
}

static int evaluate_all(struct evaluation *evaluation) {
    const struct steer_subject *subject = &evaluation->subject;
    const char *given = cli_text(evaluation->arguments, "instruction", NULL);
    int status = given != NULL ? fathom__copy_string(&evaluation->instruction, given)
                               : fathom__format(&evaluation->instruction, "Speak of %s in your answer. ",
                                                evaluation->file.words[0]);
    if (status == FATHOM_OK) {
        status = open_raters(evaluation);
    }
    if (status == FATHOM_OK) {
        status = add_directions(evaluation);
    }
    if (status == FATHOM_OK && subject->is_feature) {
        status = steer_subject_control(&evaluation->control, subject, evaluation->asking.sampling.seed);
        evaluation->controlled = status == FATHOM_OK;
    }
    add_method(evaluation, "plain", NULL, NULL, true);
    add_method(evaluation, "prompt only", NULL, evaluation->instruction, true);
    add_method(evaluation, subject->plan != NULL ? "the plan" : "the feature", subject, NULL,
               subject->plan != NULL || subject->mode == FATHOM_STEER_ABLATE);
    if (evaluation->controlled) {
        add_method(evaluation, "a feature as active", &evaluation->control, NULL, evaluation->methods[2].fixed);
    }
    add_method(evaluation, "difference of means", &evaluation->means, NULL, false);
    add_method(evaluation, "random direction", &evaluation->random, NULL, false);
    for (size_t i = 0; i < evaluation->n_methods && status == FATHOM_OK; i++) {
        status = evaluate(evaluation, &evaluation->methods[i]);
    }
    return status;
}

static int read_options(struct evaluation *evaluation, int *exit) {
    const struct cli_arguments *arguments = evaluation->arguments;
    const char *path = cli_text(arguments, "concept-file", "");
    const char *layers = cli_text(arguments, "layers", NULL);
    int64_t n_seeds = 0;
    evaluation->setting.range = (struct fathom_layer_range){-1, -1};
    if (!cli_has(arguments, "concept-file")) {
        *exit = cli_usage(arguments, "--concept-file FILE.json is missing");
        return FATHOM_ERROR_ARGUMENT;
    }
    if (cli_has(arguments, "rows") && cli_has(arguments, "plan")) {
        *exit = cli_usage(arguments, "--plan and --rows exclude each other");
        return FATHOM_ERROR_ARGUMENT;
    }
    if (cli_has(arguments, "feature") == cli_has(arguments, "plan")) {
        *exit = cli_usage(arguments, "either --feature or --plan says what is rated");
        return FATHOM_ERROR_ARGUMENT;
    }
    if (cli_has(arguments, "chat") && cli_has(arguments, "raw")) {
        *exit = cli_usage(arguments, "--chat and --raw exclude each other");
        return FATHOM_ERROR_ARGUMENT;
    }
    if (!cli_integer(&n_seeds, arguments, "seeds", 1, MOST_SEEDS, 1) ||
        !cli_sampling(&evaluation->asking.sampling, &evaluation->asking.max_new, arguments)) {
        *exit = CLI_USAGE;
        return FATHOM_ERROR_ARGUMENT;
    }
    evaluation->asking.n_seeds = (uint32_t)n_seeds;
    evaluation->setting.rows = steer_rows(arguments);
    evaluation->asking.max_new = cli_has(arguments, "max-tokens") ? evaluation->asking.max_new : DEFAULT_TOKENS;
    int status = concept_file_open(&evaluation->file, path);
    if (status == FATHOM_OK && layers != NULL) {
        status = steer_range_parse(&evaluation->setting.range, layers, "layers");
    }
    if (status == FATHOM_OK &&
        (evaluation->file.n_questions == 0 || evaluation->file.n_held_out == 0 || evaluation->file.texts.n == 0)) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"questions\", \"held_out\" and \"texts\" are needed", path);
    }
    *exit = status == FATHOM_OK ? CLI_OK : cli_fail(arguments, status);
    return status;
}

static void close_evaluation(struct evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->n_methods; i++) {
        fathom_answers_free(&evaluation->methods[i].answers);
    }
    if (evaluation->controlled) {
        steer_control_close(&evaluation->control);
    }
    steer_control_close(&evaluation->means);
    steer_control_close(&evaluation->random);
    fathom_steer_rater_close(evaluation->development);
    fathom_steer_rater_close(evaluation->test);
    fathom_concept_close(evaluation->concept);
    fathom_free(evaluation->instruction);
}

static int run(struct cli_arguments *arguments) {
    struct evaluation evaluation = {.arguments = arguments};
    int exit = preset_apply(arguments);
    if (exit != CLI_OK) {
        return exit;
    }
    int status = read_options(&evaluation, &exit);
    if (status == FATHOM_OK &&
        steer_subject_open(&evaluation.subject, &exit, arguments, evaluation.setting.range, &evaluation.file)) {
        evaluation.asking.style = steer_style(arguments, evaluation.subject.view.model);
        status = evaluate_all(&evaluation);
        exit = status == FATHOM_OK ? show(&evaluation) : cli_fail(arguments, status);
        close_evaluation(&evaluation);
        steer_subject_close(&evaluation.subject);
    }
    concept_file_close(&evaluation.file);
    return exit;
}

const struct cli_command cli_command_steer_eval = {
    .name = "steer eval",
    .summary = "rate how well a feature or a plan steers, beside what else would",
    .operands = "",
    .description =
        "Rates answers by AxBench's three points, each of 0 to 2: whether they speak of the concept, whether they "
        "still "
        "answer the question, and whether they are fluent; and their harmonic mean. A rule gives each point, by the "
        "concept's words and by the model's own likelihoods without steering, so that nothing leaves the machine: "
        "compare methods by them, not models.\n\n"
        "Beside the feature or plan stand plain answers, an instruction in the prompt, the difference of means of the "
        "concept's texts, a random direction as long, and a feature as active. Each one's strength is chosen on the "
        "concept file's \"questions\"; then it is rated once on \"held_out\".",
    .examples = "fathom steer eval --preset golden-gate --seeds 5\n"
                "fathom steer eval --concept-file share/demo/golden_gate.json --feature 304 --layers 6-14 --seeds 2\n"
                "fathom steer eval --concept-file share/demo/golden_gate.json --plan '\"golden gate\" =1.2'",
    .options = options,
    .run = run,
};
