#include "generation.h"
#include "preset.h"
#include "steer_eval.h"
#include "steer_plan.h"
#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOKENS = 48, MOST_SEEDS = 1000 };
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
    {"judge", 0, CLI_TEXT, "URL",
     "have a model give the points instead of the rules: an OpenAI-compatible API, such as http://127.0.0.1:11434/v1; "
     "its "
     "key is read from the environment, FATHOM_JUDGE_KEY",
     false, false},
    {"judge-model", 0, CLI_TEXT, "NAME", "the judge's model, as its server calls it", false, false},
    CLI_OPTIONS_FRAME,
    {"stop", 0, CLI_TEXT, "TEXT", "end an answer before this text", false, false},
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static size_t n_answers(const struct steer_evaluation *evaluation, size_t n_questions) {
    return n_questions * evaluation->asking.n_seeds;
}

static const float feature_strengths[] = {0.4f, 0.8f, 1.2f, 1.6f, 2};
static const float direction_strengths[] = {0.1f, 0.2f, 0.4f, 0.8f, 1.2f};

static int strengths_for(float *out, size_t *n, const struct steer_evaluation *evaluation, bool feature) {
    const char *option = feature ? "strengths" : "direction-strengths";
    const char *text = cli_text(evaluation->arguments, option, NULL);
    *n = 0;
    if (text != NULL) {
        return steer_strengths_parse(out, n, text, option);
    }
    *n = sizeof feature_strengths / sizeof feature_strengths[0];
    memcpy(out, feature ? feature_strengths : direction_strengths, sizeof feature_strengths);
    return FATHOM_OK;
}

static int rate(struct fathom_steer_rating *out, struct fathom_answers *answers, double (*points)[3],
                const struct steer_evaluation *evaluation, fathom_steer_rater *rater, const struct steer_method *method,
                float strength) {
    struct steer_setting setting = evaluation->setting;
    fathom_steer *plan = NULL;
    bool owned = false;
    int status = FATHOM_OK;
    setting.strength = strength;
    if (method->subject != NULL) {
        status = steer_subject_plan(&plan, &owned, method->subject, &setting);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_rater_rate(out, answers, points, rater, plan, method->instruction);
    }
    if (owned) {
        fathom_steer_close(plan);
    }
    return status;
}

/* The strength that is best on the development questions, rated once on the others. */
static int evaluate(struct steer_evaluation *evaluation, struct steer_method *method) {
    float strengths[STEER_MOST_STRENGTHS] = {0};
    size_t n = 1;
    int status = FATHOM_OK;
    if (!method->fixed) {
        status = strengths_for(strengths, &n, evaluation, method->subject->is_feature);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        struct fathom_steer_rating rating = {0};
        status = rate(&rating, NULL, NULL, evaluation, evaluation->development, method, strengths[i]);
        if (status == FATHOM_OK && (i == 0 || rating.harmonic > method->development.harmonic)) {
            method->development = rating;
            method->strength = strengths[i];
        }
    }
    if (status == FATHOM_OK) {
        status =
            fathom__alloc(&method->points, n_answers(evaluation, evaluation->file.n_held_out), sizeof *method->points);
    }
    return status == FATHOM_OK ? rate(&method->rating, &method->answers, method->points, evaluation, evaluation->test,
                                      method, method->strength)
                               : status;
}

static void add_method(struct steer_evaluation *evaluation, const char *name, const struct steer_subject *subject,
                       const char *instruction, bool fixed) {
    evaluation->methods[evaluation->n_methods++] =
        (struct steer_method){.name = name, .subject = subject, .instruction = instruction, .fixed = fixed};
}

/* Baselines: a difference of means of the concept's texts at the subject's layers, and a random direction there. */
static int add_directions(struct steer_evaluation *evaluation) {
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

/* One line for the whole of it, out of what each round of answers says of itself. */
static int report(const struct fathom_progress *progress, void *payload) {
    struct steer_evaluation *evaluation = payload;
    struct fathom_progress whole = {.stage = "rate", .unit = "answers", .total = evaluation->total};
    whole.done = evaluation->done + progress->done;
    double seconds = fathom__seconds() - evaluation->started;
    whole.units_per_second = seconds > 0 ? (double)whole.done / seconds : 0;
    whole.seconds_left = whole.units_per_second > 0 ? (double)(whole.total - whole.done) / whole.units_per_second : -1;
    whole.note = evaluation->doing;
    if (progress->done == progress->total) {
        evaluation->done = whole.done;
    }
    return cli_progress(&whole, NULL);
}

/* Answers that will be written: the plain ones once, the others at each strength and for the rating. */
static int count_answers(struct steer_evaluation *evaluation) {
    const size_t development = n_answers(evaluation, evaluation->file.n_questions);
    const size_t test = n_answers(evaluation, evaluation->file.n_held_out);
    evaluation->total = development + test;
    for (size_t i = 1; i < evaluation->n_methods; i++) {
        const struct steer_method *method = &evaluation->methods[i];
        float strengths[STEER_MOST_STRENGTHS];
        size_t n = 1;
        int status = method->fixed ? FATHOM_OK : strengths_for(strengths, &n, evaluation, method->subject->is_feature);
        if (status != FATHOM_OK) {
            return status;
        }
        evaluation->total += n * development + test;
    }
    return FATHOM_OK;
}

/* The judge that --judge names, asked about the concept as the file calls it. */
static int open_judge(struct steer_evaluation *evaluation) {
    const char *concept = json_string_value(json_object_get(evaluation->file.root, "concept"));
    const struct fathom_judge_options wanted = {.url = cli_text(evaluation->arguments, "judge", NULL),
                                                .model = cli_text(evaluation->arguments, "judge-model", NULL),
                                                .key = getenv("FATHOM_JUDGE_KEY"),
                                                .concept = concept != NULL ? concept : evaluation->file.words[0]};
    if (wanted.url == NULL) {
        return FATHOM_OK;
    }
    int status = fathom_judge_open(&evaluation->judge, &wanted);
    if (status == FATHOM_OK) {
        fathom_steer_rater_judge(evaluation->development, fathom_judge_points, evaluation->judge);
        fathom_steer_rater_judge(evaluation->test, fathom_judge_points, evaluation->judge);
    }
    return status;
}

static int open_raters(struct steer_evaluation *evaluation) {
    evaluation->asking.progress = report;
    evaluation->asking.payload = evaluation;
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
    if (status == FATHOM_OK) {
        status = fathom_steer_rater_open(&evaluation->test, model, &test, evaluation->concept);
    }
    return status == FATHOM_OK ? open_judge(evaluation) : status;
}

static void list_methods(struct steer_evaluation *evaluation) {
    const struct steer_subject *subject = &evaluation->subject;
    add_method(evaluation, "plain", NULL, NULL, true);
    add_method(evaluation, "prompt only", NULL, evaluation->instruction, true);
    add_method(evaluation, subject->plan != NULL ? "the plan" : "the feature", subject, NULL,
               subject->plan != NULL || subject->mode == FATHOM_STEER_ABLATE);
    evaluation->subject_method = evaluation->n_methods - 1;
    if (evaluation->controlled) {
        add_method(evaluation, subject->plan != NULL ? "a plan as strong" : "a feature as active", &evaluation->control,
                   NULL, evaluation->methods[evaluation->subject_method].fixed);
    }
    add_method(evaluation, "difference of means", &evaluation->means, NULL, false);
    add_method(evaluation, "random direction", &evaluation->random, NULL, false);
}

static int evaluate_all(struct steer_evaluation *evaluation) {
    const struct steer_subject *subject = &evaluation->subject;
    const char *given = cli_text(evaluation->arguments, "instruction", NULL);
    int status = given != NULL ? fathom__copy_string(&evaluation->instruction, given)
                               : fathom__format(&evaluation->instruction, "Speak of %s in your answer. ",
                                                evaluation->file.words[0]);
    if (status == FATHOM_OK) {
        status = add_directions(evaluation);
    }
    if (status == FATHOM_OK) {
        status = steer_subject_control(&evaluation->control, subject, evaluation->asking.sampling.seed);
        evaluation->controlled = status == FATHOM_OK;
        status = status == FATHOM_ERROR_UNSUPPORTED ? FATHOM_OK : status; /* a plan that has none */
    }
    list_methods(evaluation);
    if (status == FATHOM_OK) {
        status = count_answers(evaluation);
    }
    evaluation->started = fathom__seconds();
    evaluation->doing = "plain";
    if (status == FATHOM_OK) {
        status = open_raters(evaluation);
    }
    for (size_t i = 0; i < evaluation->n_methods && status == FATHOM_OK; i++) {
        evaluation->doing = evaluation->methods[i].name;
        status = evaluate(evaluation, &evaluation->methods[i]);
    }
    cli_progress_end();
    return status;
}

static int read_options(struct steer_evaluation *evaluation, int *exit) {
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
    if (cli_has(arguments, "judge") != cli_has(arguments, "judge-model")) {
        *exit = cli_usage(arguments, "--judge URL and --judge-model NAME go together");
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

static void close_evaluation(struct steer_evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->n_methods; i++) {
        fathom_answers_free(&evaluation->methods[i].answers);
        fathom_free(evaluation->methods[i].points);
    }
    if (evaluation->controlled) {
        steer_control_close(&evaluation->control);
    }
    steer_control_close(&evaluation->means);
    steer_control_close(&evaluation->random);
    fathom_steer_rater_close(evaluation->development);
    fathom_steer_rater_close(evaluation->test);
    fathom_judge_close(evaluation->judge);
    fathom_concept_close(evaluation->concept);
    fathom_free(evaluation->instruction);
}

static int run(struct cli_arguments *arguments) {
    struct steer_evaluation evaluation = {.arguments = arguments};
    int exit = preset_apply(arguments);
    if (exit != CLI_OK) {
        return exit;
    }
    int status = read_options(&evaluation, &exit);
    if (status == FATHOM_OK &&
        steer_subject_open(&evaluation.subject, &exit, arguments, evaluation.setting.range, &evaluation.file)) {
        evaluation.asking.style = steer_style(arguments, evaluation.subject.view.model);
        status = evaluate_all(&evaluation);
        exit = status == FATHOM_OK ? steer_eval_show(&evaluation) : cli_fail(arguments, status);
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
        "compare methods by them, not models. With --judge a model gives them, which is sent every question and every "
        "answer; it is reached by the program curl.\n\n"
        "Beside the feature or plan stand plain answers, an instruction in the prompt, the difference of means of the "
        "concept's texts, a random direction as long, and a feature as active. Each one's strength is chosen on the "
        "concept file's \"questions\"; then it is rated once on \"held_out\". All are measured as answers to the "
        "question alone. Examples are shown of answers that failed, and of good ones; --json has all of them with "
        "their "
        "points.",
    .examples = "fathom steer eval --preset golden-gate --seeds 5\n"
                "fathom steer eval --concept-file share/demo/golden_gate.json --feature 304 --layers 6-14 --seeds 2\n"
                "fathom steer eval --concept-file share/demo/golden_gate.json --plan '\"golden gate\" =1.2'",
    .options = options,
    .run = run,
};
