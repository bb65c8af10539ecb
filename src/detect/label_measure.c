/* What a person's label of a feature is worth: how well the feature tells labelled texts apart. */
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include <fathom/detect.h>
#include <math.h>

enum { SHUFFLES = 100 };

/* In how many texts of either class a token stands. */
struct occurrence {
    uint32_t texts[2];
    size_t last; /* number of the last text counted, plus 1 */
};

struct measuring {
    const struct fathom_texts *texts;
    double *levels; /* [texts] */
    struct occurrence *occurrences;
    uint32_t vocabulary;
};

static int keep(const struct fathom_reading *reading, void *payload) {
    struct measuring *measuring = payload;
    const int8_t label = measuring->texts->labels[reading->text];
    const double level = reading->document[0];
    measuring->levels[reading->text] = isfinite(level) ? level : 0; /* nothing to read: not active */
    for (size_t i = 0; i < reading->n_tokens; i++) {
        const int32_t token = reading->tokens[i];
        if (token < 0 || (uint32_t)token >= measuring->vocabulary) continue;
        struct occurrence *occurrence = &measuring->occurrences[token];
        if (occurrence->last == reading->text + 1) continue;
        occurrence->last = reading->text + 1;
        occurrence->texts[label]++;
    }
    return 0;
}

static double best_single_token(const struct measuring *measuring, size_t n_positive, size_t n_negative) {
    double best = 0;
    for (uint32_t token = 0; token < measuring->vocabulary; token++) {
        const struct occurrence *occurrence = &measuring->occurrences[token];
        const double recall = (double)occurrence->texts[1] / (double)n_positive;
        const double specificity = 1 - (double)occurrence->texts[0] / (double)n_negative;
        if ((recall + specificity) / 2 > best) best = (recall + specificity) / 2;
    }
    return best;
}

static int shuffled_accuracy(double *out, const struct measuring *measuring, double above, uint64_t seed) {
    const size_t n = measuring->texts->n;
    struct fathom__random random;
    int8_t *labels = NULL;
    double sum = 0;
    const int status = fathom__alloc(&labels, n, sizeof *labels);
    if (status != FATHOM_OK) return status;
    for (size_t i = 0; i < n; i++)
        labels[i] = measuring->texts->labels[i];
    fathom__random_seed(&random, seed);
    for (int s = 0; s < SHUFFLES; s++) {
        struct fathom_counts counts;
        for (size_t i = n; i > 1; i--) {
            const size_t j = (size_t)fathom__random_below(&random, i);
            const int8_t label = labels[i - 1];
            labels[i - 1] = labels[j];
            labels[j] = label;
        }
        fathom_count_alerts(&counts, measuring->levels, labels, n, above);
        sum += fathom_balanced_accuracy(&counts);
    }
    fathom_free(labels);
    *out = sum / SHUFFLES;
    return FATHOM_OK;
}

static void fill(struct fathom_label *out, const struct fathom_counts *counts) {
    const double positive = (double)(counts->true_positive + counts->false_negative);
    const double alerts = (double)(counts->true_positive + counts->false_positive);
    const double negative = (double)(counts->true_negative + counts->false_positive);
    out->score = (float)fathom_balanced_accuracy(counts);
    out->precision = (float)(alerts > 0 ? (double)counts->true_positive / alerts : 0);
    out->recall = (float)((double)counts->true_positive / positive);
    out->f1 = (float)(2 * (double)counts->true_positive / (positive + alerts));
    out->prevalence = (float)(positive / (positive + negative));
    out->n_active = (uint32_t)positive;
    out->n_inactive = (uint32_t)negative;
}

static int read_levels(struct measuring *measuring, const fathom_model *model, const struct fathom_watch *watch) {
    fathom_monitor *monitor = NULL;
    int status = fathom_monitor_open(&monitor, model);
    if (status == FATHOM_OK) status = fathom_monitor_add(monitor, watch);
    if (status == FATHOM_OK) status = fathom_monitor_run(monitor, measuring->texts, keep, measuring);
    fathom_monitor_close(monitor);
    return status;
}

int fathom_label_measure(struct fathom_label *out, const fathom_model *model, const fathom_dictionary *dictionary,
                         uint32_t feature, const struct fathom_texts *texts, double above, uint64_t seed) {
    const size_t n_positive = fathom_texts_count(texts, FATHOM_LABEL_POSITIVE);
    const size_t n_negative = fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE);
    const struct fathom_watch watch = {.dictionary = dictionary, .feature = feature, .above = above};
    struct measuring measuring = {.texts = texts, .vocabulary = fathom_model_describe(model)->n_vocab};
    struct fathom_counts counts;
    double shuffled = 0;
    *out = (struct fathom_label){0};
    if (n_positive == 0 || n_negative == 0 || n_positive + n_negative != texts->n)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "texts of both kinds are needed, each with its label: %zu true, %zu false, of %zu",
                            n_positive, n_negative, texts->n);
    if (!(above > 0))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a level above 0 was expected: at 0 every text would be told");
    int status = fathom__alloc(&measuring.levels, texts->n, sizeof *measuring.levels);
    if (status == FATHOM_OK)
        status = fathom__alloc(&measuring.occurrences, measuring.vocabulary, sizeof *measuring.occurrences);
    if (status == FATHOM_OK) status = read_levels(&measuring, model, &watch);
    if (status == FATHOM_OK) status = shuffled_accuracy(&shuffled, &measuring, above, seed);
    if (status == FATHOM_OK) {
        fathom_count_alerts(&counts, measuring.levels, texts->labels, texts->n, above);
        fill(out, &counts);
        out->shuffled = (float)shuffled;
        out->single_token = (float)best_single_token(&measuring, n_positive, n_negative);
    }
    fathom_free(measuring.occurrences);
    fathom_free(measuring.levels);
    return status;
}
