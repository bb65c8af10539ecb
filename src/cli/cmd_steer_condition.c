#include "generation.h"
#include "labelled.h"
#include "steer_subject.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/cast.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TRAIN = 100000, DEFAULT_SHUFFLES = 5, MOST_SHUFFLES = 1000, LEVEL_TEXT = 32 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTIONS_LABELLED,
    {"train", 0, CLI_INTEGER, "N", "the first N of each class make the directions, the rest chooses (half of a class)",
     false, false},
    {"test", 0, CLI_FILE, "FILE", "labelled prompts on which the condition is judged once", true, false},
    {"layers", 0, CLI_TEXT, "A[-B]", "search these layers (all)", false, false},
    {"method", 0, CLI_CHOICE, "means|component|logistic",
     "the difference of means, the first principal component of pairs' differences (the paper's), or a logistic "
     "regression's slope (means)",
     false, false},
    {"measure", 0, CLI_CHOICE, "cast|cosine|level", "what of a row is compared with the level (cast)", false, false},
    {"shuffles", 0, CLI_INTEGER, "N", "searches with shuffled labels beside it (5)", false, false},
    {"save-direction", 0, CLI_OUTPUT, "OUT.safetensors", "write the directions, for plans", false, false},
    CLI_OPTIONS_FRAME,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct condition {
    const struct cli_arguments *arguments;
    fathom_model *model;
    struct fathom_texts texts; /* those to search with, then those to test */
    size_t n_searched;
    struct fathom_cast_search search;
    struct fathom_cast cast;
};

static const char *const measures[] = {"level", "cosine", "cast"};

static int method_of(const char *name) {
    return strcmp(name, "component") == 0  ? FATHOM_DIRECTION_COMPONENT
           : strcmp(name, "logistic") == 0 ? FATHOM_DIRECTION_LOGISTIC
                                           : FATHOM_DIRECTION_MEANS;
}

static int measure_of(const char *name) {
    int measure = FATHOM_STEER_LEVEL;
    while (strcmp(measures[measure], name) != 0) {
        measure++;
    }
    return measure;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Test prompts that repeat one another or one to search with are left out. */
static int load(struct condition *condition) {
    size_t removed = 0;
    int status = labelled_load(&condition->texts, condition->arguments);
    if (status == FATHOM_OK) {
        status = fathom_texts_unique(&removed, &condition->texts);
    }
    condition->n_searched = condition->texts.n;
    if (status == FATHOM_OK) {
        status = labelled_append_all(&condition->texts, condition->arguments, "test");
    }
    if (status == FATHOM_OK) {
        status = fathom_texts_unique(&removed, &condition->texts);
    }
    return status;
}

/* The shortest text that is read as this level again. */
static void write_level(char text[LEVEL_TEXT], float level) {
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, LEVEL_TEXT, "%.*g", digits, (double)level);
        if (strtof(text, NULL) == level) {
            return;
        }
    }
}

static json_t *point_json(const struct fathom_cast_point *point) {
    return json_pack("{s:i, s:s, s:f, s:o, s:o, s:f, s:o}", "layer", point->layer, "side",
                     point->below ? "below" : "above", "level", (double)point->level, "f1", number_json(point->f1),
                     "auroc", number_json(point->auroc), "margin", point->margin, "counts",
                     counts_json(&point->counts));
}

static json_t *chance_json(double always, const struct fathom_cast_chance *chance) {
    return json_pack("{s:o, s:o, s:o}", "always_on_f1", number_json(always), "shuffled_f1", number_json(chance->mean),
                     "shuffled_f1_highest", number_json(chance->highest));
}

/* The condition as plans have it. */
static json_t *plan_json(const struct condition *condition, const char *file) {
    const struct fathom_cast_point *best = &condition->cast.points[condition->cast.best];
    return json_pack("{s:s, s:s, s:i, s:f, s:s}", "direction", file, "measure", measures[condition->search.measure],
                     "layer", best->layer, best->below ? "below" : "above", (double)best->level, "over", "prompt");
}

static int show_json(const struct condition *condition, const char *file) {
    const struct fathom_cast *cast = &condition->cast;
    json_t *layers = json_array();
    for (size_t l = 0; l < cast->n_points; l++) {
        json_array_append_new(layers, point_json(&cast->points[l]));
    }
    json_t *value = json_pack("{s:o, s:o, s:o, s:o}", "condition", plan_json(condition, file), "best",
                              point_json(&cast->points[cast->best]), "controls",
                              chance_json(cast->always, &cast->chance), "layers", layers);
    if (!isnan(cast->test.f1)) {
        json_object_set_new(value, "test", point_json(&cast->test));
        json_object_set_new(value, "test_controls", chance_json(cast->test_always, &cast->test_chance));
    }
    return cli_print_json(value);
}

static void print_judged(const char *what, const struct fathom_cast_point *point, double always,
                         const struct fathom_cast_chance *chance) {
    printf("%-12s F1 %.3f, AUROC %.3f; always on %.3f", what, point->f1, point->auroc, always);
    if (!isnan(chance->mean)) {
        printf("; shuffled labels %.3f, at most %.3f", chance->mean, chance->highest);
    }
    fputs("\n             ", stdout);
    counts_print(&point->counts);
}

static int show(const struct condition *condition) {
    const struct fathom_cast *cast = &condition->cast;
    const char *output = cli_text(condition->arguments, "save-direction", NULL);
    const char *file = output != NULL ? output : "FILE";
    const struct fathom_cast_point *best = &cast->points[cast->best];
    char level[LEVEL_TEXT];
    if (cli_json(condition->arguments)) {
        return show_json(condition, file);
    }
    puts("layer  side       level     F1  AUROC  gap / deviation");
    for (size_t l = 0; l < cast->n_points; l++) {
        const struct fathom_cast_point *point = &cast->points[l];
        write_level(level, point->level);
        printf("%5d  %s  %9s  %.3f  %.3f  %.2f%s\n", point->layer, point->below ? "below" : "above", level, point->f1,
               point->auroc, point->margin, point == best ? "  best" : "");
    }
    putchar('\n');
    print_judged("chosen on", best, cast->always, &cast->chance);
    if (!isnan(cast->test.f1)) {
        print_judged("tested on", &cast->test, cast->test_always, &cast->test_chance);
    }
    write_level(level, best->level);
    printf("\nin plans: while %s%s %s@%d %c %s over prompt\n",
           condition->search.measure == FATHOM_STEER_LEVEL ? "" : measures[condition->search.measure],
           condition->search.measure == FATHOM_STEER_LEVEL ? "direction" : "", file, best->layer,
           best->below ? '<' : '>', level);
    return cli_output_status();
}

static int work(struct condition *condition) {
    const char *output = cli_text(condition->arguments, "save-direction", NULL);
    const struct fathom_texts searched = {
        .n = condition->n_searched, .texts = condition->texts.texts, .labels = condition->texts.labels};
    const struct fathom_texts test = {.n = condition->texts.n - searched.n,
                                      .texts = condition->texts.texts + searched.n,
                                      .labels = condition->texts.labels + searched.n};
    condition->search.texts = &searched;
    condition->search.test = cli_has(condition->arguments, "test") ? &test : NULL;
    if (condition->search.n_train == 0) {
        condition->search.n_train = smaller(fathom_texts_count(&searched, FATHOM_LABEL_POSITIVE),
                                            fathom_texts_count(&searched, FATHOM_LABEL_NEGATIVE)) /
                                    2;
    }
    int status = fathom_cast_find(&condition->cast, condition->model, &condition->search);
    if (status == FATHOM_OK && output != NULL) {
        status = fathom_direction_write(&condition->cast.direction, condition->model, output);
    }
    return status == FATHOM_OK ? show(condition) : cli_fail(condition->arguments, status);
}

static int run(struct cli_arguments *arguments) {
    struct condition condition = {.arguments = arguments};
    const char *layers = cli_text(arguments, "layers", NULL);
    struct fathom_layer_range range = {0, -1};
    int64_t n_train = 0;
    int64_t n_shuffles = 0;
    int64_t seed = 0;
    if (cli_has(arguments, "chat") && cli_has(arguments, "raw")) {
        return cli_usage(arguments, "--chat and --raw exclude each other");
    }
    if (!cli_integer(&n_train, arguments, "train", 1, MOST_TRAIN, 0) ||
        !cli_integer(&n_shuffles, arguments, "shuffles", 0, MOST_SHUFFLES, DEFAULT_SHUFFLES) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1)) {
        return CLI_USAGE;
    }
    int exit = CLI_OK;
    int status = layers != NULL ? steer_range_parse(&range, layers, "layers") : FATHOM_OK;
    if (status == FATHOM_OK) {
        status = load(&condition);
    }
    if (status != FATHOM_OK) {
        exit = cli_fail(arguments, status);
    } else {
        condition.model = cli_open_model(&exit, arguments);
    }
    if (condition.model != NULL) {
        condition.search = (struct fathom_cast_search){
            .n_train = (size_t)n_train,
            .style = steer_style(arguments, condition.model),
            .method = (enum fathom_direction_method)method_of(cli_text(arguments, "method", "means")),
            .measure = (enum fathom_steer_measure)measure_of(cli_text(arguments, "measure", "cast")),
            .kind = FATHOM_HOOK_RESID_POST,
            .first_layer = range.first,
            .last_layer = range.last,
            .n_shuffles = (uint32_t)n_shuffles,
            .seed = (uint64_t)seed,
            .progress = cli_progress};
        exit = work(&condition);
    }
    fathom_cast_free(&condition.cast);
    fathom_texts_free(&condition.texts);
    fathom_model_close(condition.model);
    return exit;
}

const struct cli_command cli_command_steer_condition = {
    .name = "steer condition",
    .summary = "find the condition that tells prompts of a kind from others",
    .operands = "",
    .description =
        "Learns a direction at every layer from some of the labelled prompts, and chooses on the others the layer, the "
        "level and its side that let prompts of the kind pass and the rest not, by F1 (CAST, Lee et al. 2024). A "
        "prompt's level is the mean over its rows, as in a plan's condition 'over prompt'.\n\n"
        "Beside it stand a condition that is always on and the same search with shuffled labels. --test judges the "
        "condition once on prompts that it was not chosen on.",
    .examples = "fathom steer condition --labelled share/demo/watch_development.jsonl --test share/demo/watch.jsonl "
                "--save-direction kind.safetensors",
    .options = options,
    .run = run,
};
