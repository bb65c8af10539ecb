#include "concept_file.h"
#include "generation.h"
#include "labelled.h"
#include "steer_subject.h"
#include <base/error.h>
#include <base/memory.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOKENS = 64, MOST_SETTINGS = 64, MOST_SEEDS = 1000, MOST_REFINE = 10 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"prompt", 'p', CLI_TEXT, "TEXT", "a question to answer plainly and steered (the concept file's questions)", true,
     false},
    {"feature", 0, CLI_INTEGER, "N", "turn this feature", false, false},
    {"contrast", 0, CLI_FILE, "POS NEG", "turn the difference of means of two files of texts", true, false},
    {"direction", 0, CLI_FILE, "FILE.safetensors", "turn this direction: a tensor [width] or [layers, width]", false,
     false},
    {"concept-file", 0, CLI_FILE, "FILE.json",
     "\"words\", and optionally \"texts\" (the contrast, where nothing else is named), \"questions\" and \"held_out\"",
     false, false},
    {"concept", 0, CLI_TEXT, "WORDS",
     "words and phrases of the concept, with commas between them; /…/ is a regular expression", false, false},
    {"strength", 's', CLI_NUMBER, "S", "multiples of the feature's maximum, or of the median row norm", false, false},
    {"mode", 0, CLI_CHOICE, "clamp|add|ablate", "what is done with a feature (clamp)", false, false},
    {"layers", 0, CLI_TEXT, "A[-B]", "spread over these layers, each taking its part (the dictionary's own layer)",
     false, false},
    {"rows", 0, CLI_CHOICE, "all|prompt|answer", "which part of the text is edited (all)", false, false},
    {"search", 0, CLI_FLAG, NULL,
     "search layers and strength for the most of the concept that fluency allows; needs a concept", false, false},
    {"ranges", 0, CLI_TEXT, "A-B,…",
     "with --search: layers to spread over, \"own\" for the dictionary's (several around the middle)", false, false},
    {"strengths", 0, CLI_TEXT, "S,…", "with --search: strengths to try", false, false},
    {"refine", 0, CLI_INTEGER, "N", "with --search: halvings of the strength step around the best (1)", false, false},
    {"seeds", 0, CLI_INTEGER, "N", "answers to each question (1)", false, false},
    {"random-control", 0, CLI_FLAG, NULL,
     "answer as well with an equally active feature, or a random direction, turned as far", false, false},
    {"save-direction", 0, CLI_FILE, "OUT.safetensors", "write the direction of --contrast", false, false},
    {"chat", 0, CLI_FLAG, NULL, "ask as the user's turn of a chat (where the model has a template)", false, false},
    {"raw", 0, CLI_FLAG, NULL, "take the prompt as it stands", false, false},
    {"prefix", 0, CLI_TEXT, "TEXT", "with --raw: put before every prompt", false, false},
    {"suffix", 0, CLI_TEXT, "TEXT", "with --raw: put after every prompt", false, false},
    {"stop", 0, CLI_TEXT, "TEXT", "end an answer before this text", false, false},
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct steering {
    const struct cli_arguments *arguments;
    struct concept_file file;
    fathom_concept *concept;
    struct steer_subject subject;
    struct steer_setting setting;
    struct fathom_steer_asking asking;
    uint64_t seed;
    const char **prompts; /* --prompt */
    size_t n_prompts;
    struct fathom_steer_found found;
    bool searched;
};

/* One kind of answer. */
struct spoken {
    struct fathom_answers answers;
    struct fathom_steer_score score;
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
    const char *rows = cli_text(arguments, "rows", "all");
    double strength = 0;
    steering->setting.range = (struct fathom_layer_range){-1, -1};
    steering->setting.rows = strcmp(rows, "prompt") == 0   ? FATHOM_STEER_PROMPT
                             : strcmp(rows, "answer") == 0 ? FATHOM_STEER_ANSWER
                                                           : FATHOM_STEER_ALL;
    if (!cli_number(&strength, arguments, "strength", -1e6, 1e6, 0)) {
        return FATHOM_ERROR_ARGUMENT;
    }
    steering->setting.strength = (float)strength;
    return layers != NULL ? steer_range_parse(&steering->setting.range, layers, "layers") : FATHOM_OK;
}

/* The style follows the model where nobody decides. */
static void choose_style(struct steering *steering) {
    const struct cli_arguments *arguments = steering->arguments;
    bool template = fathom_model_describe(steering->subject.view.model)->chat_template != NULL;
    steering->asking.style = (struct fathom_prompt_style){
        .chat = cli_has(arguments, "chat") || (template && !cli_has(arguments, "raw")),
        .prefix = cli_text(arguments, "prefix", NULL),
        .suffix = cli_text(arguments, "suffix", NULL),
        .stop = cli_text(arguments, "stop", NULL),
    };
}

static int check_usage(const struct cli_arguments *arguments) {
    bool feature = cli_has(arguments, "feature");
    bool direction = cli_has(arguments, "contrast") || cli_has(arguments, "direction");
    bool file = cli_has(arguments, "concept-file");
    bool ablate = strcmp(cli_text(arguments, "mode", "clamp"), "ablate") == 0;
    if (feature + cli_has(arguments, "contrast") + cli_has(arguments, "direction") > 1 ||
        (!feature && !direction && !file)) {
        return cli_usage(
            arguments,
            "exactly one of --feature, --contrast and --direction (or a concept file with texts) says what is turned");
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

/* Search ---------------------------------------------------------------------------------------------------- */

static int parse_strengths(float *out, size_t *n, const char *text) {
    for (const char *rest = text;; rest++) {
        char *end = NULL;
        double value = strtod(rest, &end);
        if (end == rest || !isfinite(value) || (*end != ',' && *end != '\0') || *n == MOST_SETTINGS) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "--strengths: at most %d numbers with commas between them are expected, not \"%s\"",
                                MOST_SETTINGS, text);
        }
        out[(*n)++] = (float)value;
        if (*end == '\0') {
            return FATHOM_OK;
        }
        rest = end;
    }
}

static int parse_ranges(struct fathom_layer_range *out, size_t *n, const char *text) {
    char part[32];
    for (const char *rest = text;;) {
        size_t length = strcspn(rest, ",");
        if (length == 0 || length >= sizeof part || *n == MOST_SETTINGS) {
            return fathom__fail(
                FATHOM_ERROR_ARGUMENT,
                "--ranges: at most %d ranges such as 6-14, with commas between them, are expected, not \"%s\"",
                MOST_SETTINGS, text);
        }
        memcpy(part, rest, length);
        part[length] = '\0';
        if (strcmp(part, "own") == 0) {
            out[*n] = (struct fathom_layer_range){-1, -1};
        } else {
            int status = steer_range_parse(&out[*n], part, "ranges");
            if (status != FATHOM_OK) {
                return status;
            }
        }
        ++*n;
        if (rest[length] == '\0') {
            return FATHOM_OK;
        }
        rest += length + 1;
    }
}

static int32_t within(int32_t layer, int32_t n_layers) {
    return layer < 0 ? 0 : layer >= n_layers ? n_layers - 1 : layer;
}

/* Ranges to try where none are named: around the dictionary's own layer, or for a direction around a third of the depth, where
 * steering by vectors works best. */
static size_t default_ranges(struct fathom_layer_range *out, const struct steering *steering) {
    int32_t n_layers = (int32_t)fathom_model_describe(steering->subject.view.model)->n_layers;
    int32_t centre = n_layers / 3;
    size_t n = 0;
    if (steering->subject.is_feature) {
        struct fathom_hook hook;
        const char *name = fathom_dictionary_describe(steering->subject.view.dictionary)->hook_out;
        centre = fathom_hook_parse(&hook, steering->subject.view.model, name) == FATHOM_OK && hook.layer >= 0
                     ? hook.layer
                     : centre;
        out[n++] = (struct fathom_layer_range){-1, -1};
    } else {
        out[n++] = (struct fathom_layer_range){centre, centre};
    }
    for (int32_t half = 2; half <= 4; half += 2) {
        out[n++] = (struct fathom_layer_range){within(centre - half, n_layers), within(centre + half, n_layers)};
    }
    return n;
}

static const char *default_strengths(const struct steering *steering) {
    return steering->subject.is_feature ? "1,2,4,6,8,12" : "0.2,0.4,0.6,0.8,1,1.3";
}

static int search(struct steering *steering) {
    const struct cli_arguments *arguments = steering->arguments;
    struct steer_subject *subject = &steering->subject;
    struct fathom_layer_range ranges[MOST_SETTINGS];
    float strengths[MOST_SETTINGS];
    float maximum = subject->is_feature ? subject->measures[subject->feature].maximum : 0;
    int64_t n_refine = 0;
    struct fathom_steer_search search = {.ranges = ranges,
                                         .strengths = strengths,
                                         .asking = steering->asking,
                                         .held_out = steering->file.held_out,
                                         .n_held_out = steering->file.n_held_out,
                                         .concept = steering->concept,
                                         .progress = cli_progress};
    if (!cli_integer(&n_refine, arguments, "refine", 0, MOST_REFINE, 1)) {
        return FATHOM_ERROR_ARGUMENT;
    }
    search.n_refine = (uint32_t)n_refine;
    if (subject->is_feature) {
        search.dictionary = subject->view.dictionary;
        search.features = &subject->feature;
        search.maxima = &maximum;
        search.n_features = 1;
        search.mode = subject->mode;
    } else {
        search.direction = &subject->direction;
    }
    int status =
        parse_strengths(strengths, &search.n_strengths, cli_text(arguments, "strengths", default_strengths(steering)));
    if (status == FATHOM_OK && cli_has(arguments, "ranges")) {
        status = parse_ranges(ranges, &search.n_ranges, cli_text(arguments, "ranges", ""));
    } else if (status == FATHOM_OK) {
        search.n_ranges = default_ranges(ranges, steering);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_search(&steering->found, subject->view.model, &search);
    }
    cli_progress_end();
    if (status == FATHOM_OK) {
        const struct fathom_steer_trial *best = &steering->found.trials[steering->found.best];
        steering->setting.range = (struct fathom_layer_range){best->first_layer, best->last_layer};
        steering->setting.strength = best->strength;
        steering->searched = true;
    }
    return status;
}

/* Output ---------------------------------------------------------------------------------------------------- */

static void print_range(struct fathom_layer_range range) {
    if (range.first < 0) {
        fputs("own  ", stdout);
    } else {
        printf("%2d-%-2d", range.first, range.last);
    }
}

static void print_score_row(const struct fathom_steer_score *score) {
    printf("%6.2f %8.1f %8.2f %7.2f %7.2f %8.2f %9.2f %8.2f\n", score->mention_rate, score->mentions_per_100_words,
           score->concept_log_probability, score->repetition, score->distinct_2, score->log_probability,
           score->relevance, score->objective);
}

static void print_search(const struct steering *steering) {
    const struct fathom_steer_found *found = &steering->found;
    cli_print_bold(stdout, "Settings tried");
    printf(" on %zu answers each; the objective is the harmonic mean of mentions, fluency and relevance against the "
           "plain answers\n",
           found->plain.n_answers);
    puts("layers  strength mentions per 100w concept  repeat dist-2  log p  relevance objective");
    printf("plain            ");
    print_score_row(&found->plain);
    for (size_t i = 0; i < found->n_trials; i++) {
        const struct fathom_steer_trial *trial = &found->trials[i];
        print_range((struct fathom_layer_range){trial->first_layer, trial->last_layer});
        printf("  %8.3g  ", (double)trial->strength);
        print_score_row(&trial->score);
    }
    if (found->has_held_out) {
        const struct fathom_steer_trial *best = &found->trials[found->best];
        printf("The best, strength %.3g over layers ", (double)best->strength);
        print_range((struct fathom_layer_range){best->first_layer, best->last_layer});
        puts(", once on questions and seeds that the choice did not see:");
        printf("plain            ");
        print_score_row(&found->held_out_plain);
        printf("steered          ");
        print_score_row(&found->held_out);
    }
    putchar('\n');
}

static void print_spoken(const struct steering *steering, const char *title, const struct spoken *spoken) {
    const struct fathom_steer_score *score = &spoken->score;
    size_t n_seeds = steering->asking.n_seeds;
    cli_print_bold(stdout, title);
    putchar('\n');
    for (size_t i = 0; i < spoken->answers.n; i++) {
        if (steering->asking.n_questions > 1) {
            printf("  %s\n", steering->asking.questions[i / n_seeds]);
        }
        fputs("    ", stdout);
        cli_print_level(stdout, spoken->answers.texts[i], strlen(spoken->answers.texts[i]), 0);
        putchar('\n');
    }
    printf("  %.2f nats a token without steering, relevance %+.2f, %.0f %% of 4-grams repeated, distinct-2 %.2f",
           score->log_probability, score->relevance, 100 * score->repetition, score->distinct_2);
    if (steering->concept != NULL) {
        printf(", the concept in %.0f %% of the answers", 100 * score->mention_rate);
    }
    fputs("\n\n", stdout);
}

static json_t *spoken_json(const struct spoken *spoken) {
    json_t *texts = json_array();
    for (size_t i = 0; i < spoken->answers.n; i++) {
        json_array_append_new(texts, json_string(spoken->answers.texts[i]));
    }
    return json_pack("{s:o, s:o}", "answers", texts, "score", steer_score_json(&spoken->score));
}

static json_t *range_json(int32_t first, int32_t last) {
    return first < 0 ? json_null() : json_pack("[i,i]", first, last);
}

static json_t *search_json(const struct fathom_steer_found *found) {
    json_t *trials = json_array();
    for (size_t i = 0; i < found->n_trials; i++) {
        const struct fathom_steer_trial *trial = &found->trials[i];
        json_array_append_new(trials,
                              json_pack("{s:o, s:f, s:o}", "layers", range_json(trial->first_layer, trial->last_layer),
                                        "strength", (double)trial->strength, "score", steer_score_json(&trial->score)));
    }
    json_t *value = json_pack("{s:o, s:o, s:I}", "plain", steer_score_json(&found->plain), "trials", trials, "best",
                              (json_int_t)found->best);
    if (found->has_held_out) {
        json_object_set_new(value, "held_out",
                            json_pack("{s:o, s:o}", "plain", steer_score_json(&found->held_out_plain), "steered",
                                      steer_score_json(&found->held_out)));
    }
    return value;
}

/* Answers --------------------------------------------------------------------------------------------------- */

static int speak(struct spoken *out, const struct steering *steering, const struct steer_subject *subject,
                 const struct fathom_steer_score *plain) {
    fathom_steer *plan = NULL;
    int status = subject != NULL ? steer_subject_plan(&plan, subject, &steering->setting) : FATHOM_OK;
    if (status == FATHOM_OK) {
        status = fathom_steer_ask(&out->score, &out->answers, steering->subject.view.model, plan, &steering->asking,
                                  steering->concept, plain);
    }
    fathom_steer_close(plan);
    return status;
}

static int show(const struct steering *steering, const struct spoken *plain, const struct spoken *steered,
                const struct spoken *random, const struct steer_subject *control) {
    if (!cli_json(steering->arguments)) {
        if (steering->searched) {
            print_search(steering);
        }
        cli_print_bold(stdout, "Turned: ");
        steer_subject_print(&steering->subject);
        fputs("\n        ", stdout);
        if (steering->subject.is_feature && steering->subject.mode == FATHOM_STEER_ABLATE) {
            fputs("taken away, layers ", stdout);
        } else {
            printf("strength %g, layers ", (double)steering->setting.strength);
        }
        print_range(steering->setting.range);
        fputs("\n\n", stdout);
        print_spoken(steering, "Plain", plain);
        print_spoken(steering, "Steered", steered);
        if (control != NULL) {
            cli_print_bold(stdout, "Control: ");
            steer_subject_print(control);
            putchar('\n');
            print_spoken(steering, "Turned as far", random);
        }
        return cli_output_status();
    }
    json_t *questions = json_array();
    for (size_t i = 0; i < steering->asking.n_questions; i++) {
        json_array_append_new(questions, json_string(steering->asking.questions[i]));
    }
    json_t *value =
        json_pack("{s:o, s:o, s:f, s:o, s:I, s:o, s:o}", "subject", steer_subject_json(&steering->subject), "layers",
                  range_json(steering->setting.range.first, steering->setting.range.last), "strength",
                  (double)steering->setting.strength, "questions", questions, "seeds",
                  (json_int_t)steering->asking.n_seeds, "plain", spoken_json(plain), "steered", spoken_json(steered));
    if (control != NULL) {
        json_object_set_new(value, "random_subject", steer_subject_json(control));
        json_object_set_new(value, "random", spoken_json(random));
    }
    if (steering->searched) {
        json_object_set_new(value, "search", search_json(&steering->found));
    }
    return cli_print_json(value);
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
    int exit = status == FATHOM_OK ? show(steering, &plain, &steered, &random, controlled ? &control : NULL)
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
        !cli_has(steering->arguments, "search")) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "--layers: a direction needs its layers");
    }
    return status;
}

static int run(struct cli_arguments *arguments) {
    struct steering steering = {.arguments = arguments};
    int64_t n_seeds = 0;
    int exit = check_usage(arguments);
    if (exit != CLI_OK) {
        return exit;
    }
    if (!cli_integer(&n_seeds, arguments, "seeds", 1, MOST_SEEDS, 1) ||
        !cli_sampling(&steering.asking.sampling, &steering.asking.max_new, arguments)) {
        return CLI_USAGE;
    }
    steering.asking.n_seeds = (uint32_t)n_seeds;
    steering.asking.max_new = cli_has(arguments, "max-tokens") ? steering.asking.max_new : DEFAULT_TOKENS;
    steering.seed = steering.asking.sampling.seed;
    int status = prepare(&steering);
    if (status != FATHOM_OK) {
        exit = cli_fail(arguments, status);
    } else if (steer_subject_open(&steering.subject, &exit, arguments, steering.setting.range, &steering.file)) {
        choose_style(&steering);
        if (steering.file.n_words > 0) {
            status = fathom_concept_open(&steering.concept, steering.subject.view.model, steering.file.words,
                                         steering.file.n_words);
        }
        if (status == FATHOM_OK && cli_has(arguments, "search")) {
            status = search(&steering);
        }
        exit = status == FATHOM_OK ? answer(&steering) : cli_fail(arguments, status);
        fathom_concept_close(steering.concept);
        steer_subject_close(&steering.subject);
    }
    fathom_steer_found_free(&steering.found);
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
                   "--search tries ranges of layers and strengths, refines the best, and tests it once on questions "
                   "that the choice did not see.",
    .examples =
        "fathom steer --feature 304 --strength 5 --prompt \"What should I paint my bedroom?\" --random-control\n"
        "fathom steer --concept-file share/demo/golden_gate.json --strength 0.8 --layers 6-14 --prompt \"What should I "
        "paint my bedroom?\"\n"
        "fathom steer --concept-file share/demo/golden_gate.json --search --seeds 2",
    .options = options,
    .run = run,
};
