#include "generation.h"
#include "preset.h"
#include "steer_command.h"
#include "steer_plan.h"
#include <base/error.h>
#include <base/memory.h>
#include <string.h>

enum { DEFAULT_TOKENS = 64, MOST_SEEDS = 1000, MOST_CANDIDATES = 1000, MOST_REFINE = 10 };
static const double most_strength = 1e6;
static const double most_tolerance = 100;

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"prompt", 'p', CLI_TEXT, "TEXT", "a question to answer plainly and steered (the concept file's questions)", true,
     false},
    {"feature", 0, CLI_TEXT, "N[=W]…",
     "turn this feature, or several together, each by W (1) times the strength; with --choose: choose among these",
     true, false},
    {"contrast", 0, CLI_FILE, "POS NEG", "turn what tells two files of texts apart (--method)", true, false},
    {"method", 0, CLI_CHOICE, "means|component|logistic",
     "with --contrast: the difference of means, the first principal component of pairs' differences, or a logistic "
     "regression's slope (means)",
     false, false},
    {"pool", 0, CLI_CHOICE, "mean|last", "with --contrast: a text by the mean of its rows or by its last one (mean)",
     false, false},
    {"direction", 0, CLI_FILE, "FILE.safetensors", "turn this direction: a tensor [width] or [layers, width]", false,
     false},
    CLI_OPTION_PLAN,
    CLI_OPTION_PRESET,
    {"concept-file", 0, CLI_FILE, "FILE.json",
     "\"words\", and optionally \"texts\" (the contrast, where nothing else is named), \"questions\", \"held_out\" and "
     "\"answers\" (for --choose)",
     false, false},
    {"concept", 0, CLI_TEXT, "WORDS",
     "words and phrases of the concept, with commas between them; /…/ is a regular expression", false, false},
    {"strength", 's', CLI_NUMBER, "S", "multiples of the feature's maximum, or of the median row norm", false, false},
    {"mode", 0, CLI_CHOICE, "clamp|add|ablate", "what is done with a feature (clamp)", false, false},
    {"layers", 0, CLI_TEXT, "A[-B]", "spread over these layers, each taking its part (the dictionary's own layer)",
     false, false},
    {"rows", 0, CLI_CHOICE, "all|prompt|answer", "which part of the text is edited (all)", false, false},
    {"choose", 0, CLI_INTEGER, "N",
     "choose up to N features that together bring the concept file's \"answers\" nearest, and turn those", false,
     false},
    {"candidates", 0, CLI_INTEGER, "N", "with --choose: features to choose among, found on \"texts\" (32)", false,
     false},
    {"tolerance", 0, CLI_NUMBER, "NATS", "with --choose: what a token of a plain answer may lose for nothing (1.2)",
     false, false},
    {"search", 0, CLI_FLAG, NULL,
     "search layers and strength for the most of the concept that fluency allows; needs a concept", false, false},
    {"ranges", 0, CLI_TEXT, "A-B,…",
     "with --search: layers to spread over, \"own\" for the dictionary's (several around the middle); with --choose "
     "(own)",
     false, false},
    {"strengths", 0, CLI_TEXT, "S,…", "with --search: strengths to try", false, false},
    {"refine", 0, CLI_INTEGER, "N", "with --search: halvings of the strength step around the best (1)", false, false},
    {"seeds", 0, CLI_INTEGER, "N", "answers to each question (1)", false, false},
    {"random-control", 0, CLI_FLAG, NULL,
     "answer as well with an equally active feature, or a random direction, turned as far; of a plan with one for each",
     false, false},
    {"save-direction", 0, CLI_OUTPUT, "OUT",
     "write the direction of --contrast; a name that ends in .gguf makes a control vector for llama.cpp of it, as long "
     "as the classes are apart",
     false, false},
    CLI_OPTIONS_FRAME,
    {"stop", 0, CLI_TEXT, "TEXT", "end an answer before this text", false, false},
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* Options --------------------------------------------------------------------------------------------------- */

static int read_concept(struct steering *steering) {
    const char *path = cli_text(steering->arguments, "concept-file", NULL);
    const char *words = cli_text(steering->arguments, "concept", NULL);
    if (path != NULL) {
        return concept_file_open(&steering->file, path);
    }
    return words != NULL ? concept_words(&steering->file, words) : FATHOM_OK;
}

static int read_questions(struct steering *steering) {
    size_t n = 0;
    const char *const *given = cli_all(&n, steering->arguments, "prompt");
    int status = fathom__alloc(&steering->prompts, n, sizeof *steering->prompts);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        steering->prompts[steering->n_prompts++] = given[i];
    }
    steering->asking.questions = n > 0 ? steering->prompts : steering->file.questions;
    steering->asking.n_questions = n > 0 ? n : steering->file.n_questions;
    if (status == FATHOM_OK && steering->asking.n_questions == 0) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "no question: --prompt, or the concept file's \"questions\"");
    }
    return status;
}

static int read_setting(struct steering *steering) {
    const struct cli_arguments *arguments = steering->arguments;
    const char *layers = cli_text(arguments, "layers", NULL);
    steering->setting.range = (struct fathom_layer_range){-1, -1};
    steering->setting.rows = steer_rows(arguments);
    steering->setting.strength =
        cli_has(arguments, "choose") && !cli_has(arguments, "strength") ? 1 : (float)steering->strength;
    return layers != NULL ? steer_range_parse(&steering->setting.range, layers, "layers") : FATHOM_OK;
}

/* A plan says everything itself. */
static int check_plan_usage(const struct cli_arguments *arguments) {
    static const char *const excluded[] = {"feature", "contrast", "direction", "strength", "mode",
                                           "layers",  "rows",     "choose",    "search",   "save-direction"};
    for (size_t i = 0; i < sizeof excluded / sizeof excluded[0]; i++) {
        if (cli_has(arguments, excluded[i])) {
            return cli_usage(arguments, "--plan and --%s exclude each other", excluded[i]);
        }
    }
    return cli_has(arguments, "chat") && cli_has(arguments, "raw")
               ? cli_usage(arguments, "--chat and --raw exclude each other")
               : CLI_OK;
}

static int check_usage(const struct cli_arguments *arguments) {
    if (cli_has(arguments, "plan")) {
        return check_plan_usage(arguments);
    }
    bool feature = cli_has(arguments, "feature");
    bool direction = cli_has(arguments, "contrast") || cli_has(arguments, "direction");
    bool file = cli_has(arguments, "concept-file");
    bool ablate = strcmp(cli_text(arguments, "mode", "clamp"), "ablate") == 0;
    if (cli_has(arguments, "choose")) {
        if (direction || ablate || cli_has(arguments, "search") || !file) {
            return cli_usage(arguments,
                             "--choose takes a --concept-file, and neither --contrast, --direction, --search "
                             "nor --mode ablate");
        }
        return cli_has(arguments, "chat") && cli_has(arguments, "raw")
                   ? cli_usage(arguments, "--chat and --raw exclude each other")
                   : CLI_OK;
    }
    if (feature + cli_has(arguments, "contrast") + cli_has(arguments, "direction") > 1 ||
        (!feature && !direction && !file)) {
        return cli_usage(
            arguments,
            "exactly one of --feature, --contrast, --direction and --plan (or a concept file with texts) says what is "
            "turned");
    }
    if (cli_has(arguments, "search") ? ablate || !(file || cli_has(arguments, "concept"))
                                     : !ablate && !cli_has(arguments, "strength")) {
        return cli_usage(
            arguments,
            "--strength S is needed, or --search with --concept or --concept-file; an ablation needs neither");
    }
    if (cli_has(arguments, "chat") && cli_has(arguments, "raw")) {
        return cli_usage(arguments, "--chat and --raw exclude each other");
    }
    return CLI_OK;
}

/* Answers --------------------------------------------------------------------------------------------------- */

static int speak(struct spoken *out, const struct steering *steering, const struct steer_subject *subject,
                 const struct fathom_steer_score *plain) {
    fathom_steer *plan = NULL;
    bool owned = true;
    int status = subject != NULL ? steer_subject_plan(&plan, &owned, subject, &steering->setting) : FATHOM_OK;
    if (status == FATHOM_OK) {
        status = fathom_steer_ask(&out->score, &out->answers, steering->subject.view.model, plan, &steering->asking,
                                  steering->concept, plain);
    }
    if (owned) {
        fathom_steer_close(plan);
    }
    return status;
}

static int answer(struct steering *steering) {
    struct spoken plain = {0};
    struct spoken steered = {0};
    struct spoken random = {0};
    struct steer_subject control = {0};
    bool controlled = cli_has(steering->arguments, "random-control");
    int status = speak(&plain, steering, NULL, NULL);
    if (status == FATHOM_OK) {
        status = speak(&steered, steering, &steering->subject, &plain.score);
    }
    if (status == FATHOM_OK && controlled) {
        status = steer_subject_control(&control, &steering->subject, steering->seed);
        controlled = status == FATHOM_OK;
    }
    if (status == FATHOM_OK && controlled) {
        status = speak(&random, steering, &control, &plain.score);
    }
    int exit = status == FATHOM_OK
                   ? steer_command_show(steering, &plain, &steered, &random, controlled ? &control : NULL)
                   : cli_fail(steering->arguments, status);
    if (controlled) {
        steer_control_close(&control);
    }
    fathom_answers_free(&plain.answers);
    fathom_answers_free(&steered.answers);
    fathom_answers_free(&random.answers);
    return exit;
}

static int prepare(struct steering *steering) {
    int status = read_concept(steering);
    if (status == FATHOM_OK) {
        status = read_questions(steering);
    }
    if (status == FATHOM_OK) {
        status = read_setting(steering);
    }
    if (status == FATHOM_OK && steering->setting.range.first < 0 && !cli_has(steering->arguments, "feature") &&
        !cli_has(steering->arguments, "plan") && !cli_has(steering->arguments, "search") &&
        !cli_has(steering->arguments, "choose")) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "--layers: a direction needs its layers");
    }
    return status;
}

static int run(struct cli_arguments *arguments) {
    struct steering steering = {.arguments = arguments};
    int64_t n_seeds = 0;
    int exit = preset_apply(arguments);
    if (exit == CLI_OK) {
        exit = check_usage(arguments);
    }
    if (exit != CLI_OK) {
        return exit;
    }
    if (!cli_integer(&n_seeds, arguments, "seeds", 1, MOST_SEEDS, 1) ||
        !cli_integer(&steering.most_chosen, arguments, "choose", 1, FATHOM_STEER_MOST_FEATURES, 1) ||
        !cli_integer(&steering.n_candidates, arguments, "candidates", 1, MOST_CANDIDATES, 0) ||
        !cli_integer(&steering.n_refine, arguments, "refine", 0, MOST_REFINE, 1) ||
        !cli_number(&steering.strength, arguments, "strength", -most_strength, most_strength, 0) ||
        !cli_number(&steering.tolerance, arguments, "tolerance", 0, most_tolerance, 0) ||
        !cli_sampling(&steering.asking.sampling, &steering.asking.max_new, arguments)) {
        return CLI_USAGE;
    }
    steering.asking.n_seeds = (uint32_t)n_seeds;
    steering.asking.progress = cli_progress;
    steering.asking.max_new = cli_has(arguments, "max-tokens") ? steering.asking.max_new : DEFAULT_TOKENS;
    steering.seed = steering.asking.sampling.seed;
    int status = prepare(&steering);
    if (status != FATHOM_OK) {
        exit = cli_fail(arguments, status);
    } else if (steer_subject_open(&steering.subject, &exit, arguments, steering.setting.range, &steering.file)) {
        steering.asking.style = steer_style(arguments, steering.subject.view.model);
        if (steering.file.n_words > 0) {
            status = fathom_concept_open(&steering.concept, steering.subject.view.model, steering.file.words,
                                         steering.file.n_words);
        }
        if (status == FATHOM_OK && cli_has(arguments, "search")) {
            status = steer_command_search(&steering);
        }
        if (status == FATHOM_OK && cli_has(arguments, "choose")) {
            status = steer_command_choose(&steering);
        }
        exit = status == FATHOM_OK ? answer(&steering) : cli_fail(arguments, status);
        fathom_concept_close(steering.concept);
        steer_subject_close(&steering.subject);
    }
    fathom_steer_found_free(&steering.found);
    fathom_steer_chosen_free(&steering.chosen);
    fathom_free(steering.prompts);
    concept_file_close(&steering.file);
    return exit;
}

const struct cli_command cli_command_steer = {
    .name = "steer",
    .summary = "answer with a feature or a direction turned up or down",
    .operands = "",
    .description = "Answers plainly and steered, side by side, and says what the steering cost: the likelihood of the "
                   "answer in the model without steering, how much it "
                   "repeats, and how far it still belongs to its question.\n\n"
                   "A feature of the dictionary is clamped to, or raised by, a multiple of the largest activation it "
                   "ever had, or taken away. --contrast and --direction turn a "
                   "vector instead, in multiples of the median norm of the rows at each layer. Over several layers "
                   "each takes its part of the strength. Rows that the "
                   "dictionary does not cover, the first position above all, are left alone.\n\n"
                   "--plan turns any number of things at once, each where and while it says: a JSON file, or an "
                   "expression such as '\"golden gate\" +1 while answering; \"sea\" ablate'.\n\n"
                   "--search tries ranges of layers and strengths, refines the best, and tests it once on questions "
                   "that the choice did not see.\n\n"
                   "--choose finds features that say together what none says alone: it adds one after another, at the "
                   "levels that make the concept file's \"answers\" likeliest while the model's plain answers to the "
                   "same questions stay nearly as likely as they were.\n\n"
                   "--preset golden-gate holds the features that make a default model speak of the Golden Gate Bridge, "
                   "in the frame that it was measured with, beside an equally active control.",
    .examples =
        "fathom steer --preset golden-gate --prompt \"What should I paint my bedroom?\"\n"
        "fathom steer --feature 304 --strength 5 --prompt \"What should I paint my bedroom?\" --random-control\n"
        "fathom steer --concept-file share/demo/golden_gate.json --strength 0.8 --layers 6-14 --prompt \"What should I "
        "paint my bedroom?\"\n"
        "fathom steer --plan '\"golden gate\" +1 while answering ramp 8' --prompt \"What should I paint my bedroom?\"\n"
        "fathom steer --concept-file share/demo/golden_gate.json --search --seeds 2\n"
        "fathom steer --concept-file share/demo/golden_gate.json --choose 4 --random-control",
    .options = options,
    .run = run,
};
