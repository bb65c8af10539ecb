#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/pool.h"
#include "detect/probe_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_DIRECTIONS = 1000, RESAMPLES = 2000 };
static const double confidence = 0.95;
static const double high_share = 0.95;

/* What the figures are computed from: admitted test texts only. */
struct test {
    const fathom_probe *probe;
    struct fathom_texts texts;
    size_t *places; /* of each text among those given */
    float *rows;    /* standardised, [n, d_in] */
    double *scores;
    double *column; /* scratch: scores of one control */
};

static double dot(const float *weights, const float *row, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)weights[i] * row[i];
    }
    return sum;
}

static double either_way(double auroc) {
    return auroc > 0.5 ? auroc : 1 - auroc;
}

static int load_rows(struct test *test, const fathom_model *model) {
    const fathom_probe *probe = test->probe;
    struct fathom_hook hook;
    bool *read = NULL;
    size_t d = probe->info.d_in;
    int status = fathom_probe_match(&hook, probe, model);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&read, test->texts.n, sizeof *read);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&test->rows, test->texts.n * d, sizeof *test->rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__pool_texts(&test->rows, read, model, &test->texts, &hook, 1, &probe->info.max_norm,
                                    probe->info.pool);
    }
    for (size_t t = 0; t < test->texts.n && status == FATHOM_OK; t++) {
        if (!read[t]) {
            status = fathom__fail(FATHOM_ERROR_ARGUMENT, "test text %zu has no row after its first token",
                                  test->places[t] + 1);
        }
    }
    if (status == FATHOM_OK) {
        fathom__probe_standardise(probe, test->rows, test->texts.n);
        for (size_t t = 0; t < test->texts.n; t++) {
            test->scores[t] = dot(probe->weights, test->rows + t * d, d) + probe->bias;
        }
    }
    fathom_free(read);
    return status;
}

static int control_auroc(double *out, struct test *test, const float *weights) {
    size_t d = test->probe->info.d_in;
    for (size_t t = 0; t < test->texts.n; t++) {
        test->column[t] = dot(weights, test->rows + t * d, d);
    }
    return fathom_auroc(out, test->column, test->texts.labels, test->texts.n);
}

static int own_figures(struct fathom_probe_report *report, struct test *test, uint64_t seed) {
    const struct fathom_counts *counts = &report->counts;
    size_t n = test->texts.n;
    int status = fathom_auroc(&report->auroc, test->scores, test->texts.labels, n);
    if (status == FATHOM_OK) {
        status = fathom_auroc_interval(&report->auroc_low, &report->auroc_high, test->scores, test->texts.labels, n,
                                       confidence, RESAMPLES, seed);
    }
    fathom_count_alerts(&report->counts, test->scores, test->texts.labels, n, test->probe->info.threshold);
    report->accuracy = (double)(counts->true_positive + counts->true_negative) / (double)n;
    report->balanced_accuracy = fathom_balanced_accuracy(counts);
    return status;
}

static int shuffled_figures(struct fathom_probe_report *report, struct test *test) {
    const struct fathom_probe_info *info = &test->probe->info;
    double sum = 0;
    int status = FATHOM_OK;
    report->n_shuffled = info->n_shuffled;
    report->shuffled_highest = 0;
    for (size_t s = 0; s < info->n_shuffled && status == FATHOM_OK; s++) {
        double auroc = 0;
        status = control_auroc(&auroc, test, test->probe->shuffled + s * info->d_in);
        sum += auroc;
        report->shuffled_highest = fmax(report->shuffled_highest, auroc);
    }
    report->shuffled_mean = sum / (double)info->n_shuffled;
    return status;
}

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int random_figures(struct fathom_probe_report *report, struct test *test, size_t n_random, uint64_t seed) {
    size_t d = test->probe->info.d_in;
    float *direction = NULL;
    double *areas = NULL;
    double sum = 0;
    size_t reaching = 0;
    struct fathom__random random;
    int status = fathom__alloc(&direction, d, sizeof *direction);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&areas, n_random, sizeof *areas);
    }
    fathom__random_seed(&random, seed);
    for (size_t r = 0; r < n_random && status == FATHOM_OK; r++) {
        for (size_t i = 0; i < d; i++) {
            direction[i] = (float)fathom__random_normal(&random);
        }
        status = control_auroc(&areas[r], test, direction);
        areas[r] = either_way(areas[r]);
        sum += areas[r];
        reaching += areas[r] >= report->auroc;
    }
    if (status == FATHOM_OK) {
        qsort(areas, n_random, sizeof *areas, by_number);
        report->n_random = n_random;
        report->random_mean = sum / (double)n_random;
        report->random_p95 = areas[(size_t)ceil(high_share * (double)(n_random - 1))];
        report->random_highest = areas[n_random - 1];
        report->random_reaching = (double)reaching / (double)n_random;
    }
    fathom_free(areas);
    fathom_free(direction);
    return status;
}

/* Scores by which tokens occur, and by how many. */
static int text_figures(struct fathom_probe_report *report, struct test *test, const fathom_model *model) {
    double *lengths = NULL;
    double auroc = 0;
    int status = fathom__alloc(&lengths, test->texts.n, sizeof *lengths);
    for (size_t t = 0; t < test->texts.n && status == FATHOM_OK; t++) {
        int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom_tokenize(&tokens, &n, model, test->texts.texts[t], strlen(test->texts.texts[t]), false, false);
        if (status == FATHOM_OK) {
            test->column[t] = fathom__probe_bag_score(test->probe, tokens, n);
            lengths[t] = (double)n;
        }
        fathom_free(tokens);
    }
    if (status == FATHOM_OK) {
        status = fathom_auroc(&report->bag_of_words, test->column, test->texts.labels, test->texts.n);
    }
    if (status == FATHOM_OK) {
        status = fathom_auroc(&auroc, lengths, test->texts.labels, test->texts.n);
        report->length = either_way(auroc);
    }
    fathom_free(lengths);
    return status;
}

static int decoy_figures(struct fathom_probe_report *report, const fathom_probe *probe, const fathom_model *model,
                         const struct fathom_texts *decoys) {
    double *scores = NULL;
    size_t alerts = 0;
    report->decoy_alerts = NAN;
    report->n_decoys = decoys != NULL ? decoys->n : 0;
    if (report->n_decoys == 0) {
        return FATHOM_OK;
    }
    int status = fathom__alloc(&scores, decoys->n, sizeof *scores);
    if (status == FATHOM_OK) {
        status = fathom_probe_score(scores, probe, model, decoys);
    }
    for (size_t t = 0; t < decoys->n && status == FATHOM_OK; t++) {
        alerts += scores[t] >= probe->info.threshold;
    }
    report->decoy_alerts = (double)alerts / (double)decoys->n;
    fathom_free(scores);
    return status;
}

static int admit(struct test *test, size_t *n_dropped, const struct fathom_texts *texts) {
    bool *keep = NULL;
    size_t kept = 0;
    int status = fathom__alloc(&keep, texts->n, sizeof *keep);
    if (status == FATHOM_OK) {
        status = fathom__probe_admit(keep, n_dropped, test->probe, texts);
    }
    if (status == FATHOM_OK) {
        status = fathom__texts_select(&test->texts, texts, keep);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&test->places, texts->n, sizeof *test->places);
    }
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        if (keep[t]) {
            test->places[kept++] = t;
        }
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&test->scores, test->texts.n, sizeof *test->scores);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&test->column, test->texts.n, sizeof *test->column);
    }
    fathom_free(keep);
    return status;
}

/* New scores in the order of the texts given, not a number for those left out. */
static int give_scores(double **out, const struct test *test, size_t n_given) {
    int status = fathom__alloc(out, n_given, sizeof **out);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t t = 0; t < n_given; t++) {
        (*out)[t] = NAN;
    }
    for (size_t t = 0; t < test->texts.n; t++) {
        (*out)[test->places[t]] = test->scores[t];
    }
    return FATHOM_OK;
}

int fathom_probe_evaluate(struct fathom_probe_report *out, double **scores, const fathom_probe *probe,
                          const fathom_model *model, const struct fathom_texts *texts,
                          const struct fathom_probe_evaluation *options) {
    const struct fathom_probe_evaluation defaults = FATHOM_PROBE_EVALUATION_INIT;
    struct test test = {.probe = probe};
    struct fathom_probe_report report = {0};
    options = options != NULL ? options : &defaults;
    int status = admit(&test, &report.n_duplicates, texts);
    report.n_positive = fathom_texts_count(&test.texts, FATHOM_LABEL_POSITIVE);
    report.n_negative = fathom_texts_count(&test.texts, FATHOM_LABEL_NEGATIVE);
    if (status == FATHOM_OK &&
        (report.n_positive == 0 || report.n_negative == 0 || report.n_positive + report.n_negative != test.texts.n)) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT,
                              "an evaluation needs texts of both classes, all labelled; of %zu, %zu are positive and "
                              "%zu negative (left out, "
                              "because the probe was trained on them: %zu)",
                              test.texts.n, report.n_positive, report.n_negative, report.n_duplicates);
    }
    if (status == FATHOM_OK) {
        status = load_rows(&test, model);
    }
    if (status == FATHOM_OK) {
        status = own_figures(&report, &test, options->seed);
    }
    if (status == FATHOM_OK) {
        status = shuffled_figures(&report, &test);
    }
    if (status == FATHOM_OK) {
        status =
            random_figures(&report, &test, options->n_random ? options->n_random : RANDOM_DIRECTIONS, options->seed);
    }
    if (status == FATHOM_OK) {
        status = text_figures(&report, &test, model);
    }
    if (status == FATHOM_OK) {
        status = decoy_figures(&report, probe, model, options->decoys);
    }
    if (status == FATHOM_OK && scores != NULL) {
        status = give_scores(scores, &test, texts->n);
    }
    if (status == FATHOM_OK) {
        *out = report;
    }
    fathom_free(test.column);
    fathom_free(test.scores);
    fathom_free(test.rows);
    fathom_free(test.places);
    fathom_texts_free(&test.texts);
    return status;
}
