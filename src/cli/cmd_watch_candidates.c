#include "feature_view.h"
#include "labelled.h"
#include <base/memory.h>
#include <string.h>

enum { MOST = 1000 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"labelled", 0, CLI_FILE, "FILE", "development texts: JSONL with \"text\" and \"label\" (true or false)", true,
     true},
    {"test", 0, CLI_FILE, "FILE", "other texts, on which the features that are shown are judged once", true, false},
    {"top", 'n', CLI_INTEGER, "N", "features shown (10)", false, false},
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* What the test texts said of one feature. */
struct verdict {
    struct fathom_counts counts;
    double auroc;
};

struct judging {
    double *levels; /* [watches, texts] */
    size_t n_watches, n_texts;
};

static int keep_levels(const struct fathom_reading *reading, void *payload) {
    struct judging *judging = payload;
    for (size_t w = 0; w < judging->n_watches; w++) {
        double level = reading->document[w];
        judging->levels[w * judging->n_texts + reading->text] =
            level == level ? level : 0; /* nothing to read: not active */
    }
    return 0;
}

/* The candidates with their development levels on the test texts. */
static int test(struct verdict *out, const struct feature_view *view, const struct fathom_watch_candidate *candidates,
                size_t n, const struct fathom_texts *texts) {
    struct judging judging = {.n_watches = n, .n_texts = texts->n};
    fathom_monitor *monitor = NULL;
    int status = fathom_monitor_open(&monitor, view->model);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        struct fathom_watch watch = {
            .dictionary = view->dictionary, .feature = candidates[i].feature, .above = candidates[i].threshold.level};
        status = fathom_monitor_add(monitor, &watch);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&judging.levels, n * texts->n, sizeof *judging.levels);
    }
    if (status == FATHOM_OK) {
        status = fathom_monitor_run(monitor, texts, keep_levels, &judging);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        const double *levels = judging.levels + i * texts->n;
        fathom_count_alerts(&out[i].counts, levels, texts->labels, texts->n, candidates[i].threshold.level);
        status = fathom_auroc(&out[i].auroc, levels, texts->labels, texts->n);
    }
    fathom_free(judging.levels);
    fathom_monitor_close(monitor);
    return status;
}

static void print_rows(const struct feature_view *view, const struct fathom_watch_candidate *candidates,
                       const struct verdict *verdicts, size_t n, double by_chance) {
    printf("development: level, balanced accuracy and AUROC%s\n",
           verdicts != NULL ? "; test: the same level on other texts" : "");
    for (size_t i = 0; i < n; i++) {
        printf("%8.3f  %5.3f  %5.3f", candidates[i].threshold.level,
               fathom_balanced_accuracy(&candidates[i].threshold.counts), candidates[i].auroc);
        if (verdicts != NULL) {
            printf("   test %5.3f  %5.3f", fathom_balanced_accuracy(&verdicts[i].counts), verdicts[i].auroc);
        }
        fputs("   ", stdout);
        feature_print_head(view, candidates[i].feature);
        putchar('\n');
    }
    printf("the same search on shuffled labels finds a balanced accuracy of %.3f in the development texts\n",
           by_chance);
}

static json_t *rows_json(const struct feature_view *view, const struct fathom_watch_candidate *candidates,
                         const struct verdict *verdicts, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *item = feature_json(view, candidates[i].feature);
        json_object_set_new(item, "level", json_real(candidates[i].threshold.level));
        json_object_set_new(item, "development",
                            json_pack("{s:f, s:f, s:o}", "balanced_accuracy",
                                      fathom_balanced_accuracy(&candidates[i].threshold.counts), "auroc",
                                      candidates[i].auroc, "counts", counts_json(&candidates[i].threshold.counts)));
        if (verdicts != NULL) {
            json_object_set_new(item, "test",
                                json_pack("{s:o, s:f, s:o}", "balanced_accuracy",
                                          number_json(fathom_balanced_accuracy(&verdicts[i].counts)), "auroc",
                                          verdicts[i].auroc, "counts", counts_json(&verdicts[i].counts)));
        }
        json_array_append_new(list, item);
    }
    return list;
}

static int find(const struct cli_arguments *arguments, const struct feature_view *view, size_t most, uint64_t seed) {
    struct fathom_texts development = FATHOM_TEXTS_INIT;
    struct fathom_texts other = FATHOM_TEXTS_INIT;
    struct fathom_watch_candidate *candidates = NULL;
    struct verdict *verdicts = NULL;
    double by_chance = 0;
    size_t n = 0;
    int exit = CLI_OK;
    int status = labelled_append_all(&development, arguments, "labelled");
    if (status == FATHOM_OK) {
        status = labelled_append_all(&other, arguments, "test");
    }
    if (status == FATHOM_OK) {
        status = fathom_watch_candidates(&candidates, &n, &by_chance, view->model, view->dictionary, &development, most,
                                         seed);
    }
    if (status == FATHOM_OK && other.n > 0) {
        status = fathom__alloc(&verdicts, n, sizeof *verdicts);
    }
    if (status == FATHOM_OK && verdicts != NULL) {
        status = test(verdicts, view, candidates, n, &other);
    }
    if (status != FATHOM_OK) {
        exit = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        json_t *value = feature_view_json(view);
        json_object_set_new(value, "candidates", rows_json(view, candidates, verdicts, n));
        json_object_set_new(value, "by_chance", json_real(by_chance));
        exit = cli_print_json(value);
    } else {
        print_rows(view, candidates, verdicts, n, by_chance);
        exit = cli_output_status();
    }
    fathom_free(verdicts);
    fathom_free(candidates);
    fathom_texts_free(&other);
    fathom_texts_free(&development);
    return exit;
}

static int run(struct cli_arguments *arguments) {
    struct feature_view view;
    int64_t most = 0;
    int64_t seed = 0;
    int exit = CLI_USAGE;
    if (!cli_integer(&most, arguments, "top", 1, MOST, 10) || !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) ||
        !feature_view_open(&view, &exit, arguments, false)) {
        return exit;
    }
    exit = find(arguments, &view, (size_t)most, (uint64_t)seed);
    feature_view_close(&view);
    return exit;
}

const struct cli_command cli_command_watch_candidates = {
    .name = "watch candidates",
    .summary = "find the features that tell labelled texts apart",
    .operands = "",
    .description = "Judges every feature of the dictionary as a watch on development texts: the level of best balanced "
                   "accuracy, and the AUROC. Among many thousand features "
                   "the best is in part chosen by chance, so the same search is done on shuffled labels, and --test "
                   "judges the features that are shown on "
                   "other texts.",
    .examples = "fathom watch candidates --labelled share/demo/watch_development.jsonl --test share/demo/watch.jsonl",
    .options = options,
    .run = run,
};
