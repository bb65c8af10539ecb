/* Which features carried the answer: each feature that is active on the prompt is set to zero on all prompt rows, once.
 */
#include "parts.h"
#include <base/error.h>
#include <base/memory.h>
#include <math.h>
#include <stdlib.h>

/* One feature's activity on the prompt. */
struct active {
    uint32_t feature;
    int32_t strongest; /* position */
    float value, sum;
    float *values;    /* [n_prompt], 0 where inactive */
    float *direction; /* [width] */
    double size;      /* Euclidean size of what is taken away, over all rows */
    double effect;
};

struct work {
    const struct fathom__baseline *baseline;
    struct active *actives;
    size_t n, capacity;
    size_t n_prompt;
    const fathom_dictionary *dictionary;
    float *values, *directions; /* what actives point into */
};

static bool take_feature_away(float *row, const struct fathom_block *block, size_t r, size_t variant, void *payload) {
    const struct work *work = payload;
    const struct active *active = &work->actives[variant];
    size_t position = (size_t)block->positions[r];
    if (position >= work->n_prompt || !(active->values[position] > 0)) return false;
    float step = active->values[position] * fathom_dictionary_gain(work->dictionary, row);
    for (size_t i = 0; i < block->width; i++)
        row[i] -= step * active->direction[i];
    return true;
}

static bool take_error_away(float *row, const struct fathom_block *block, size_t r, size_t variant, void *payload) {
    const struct work *work = payload;
    const struct fathom__baseline *baseline = work->baseline;
    size_t position = (size_t)block->positions[r];
    (void)variant;
    if (position >= work->n_prompt || !baseline->covered[position]) return false;
    for (size_t i = 0; i < block->width; i++)
        row[i] = baseline->reconstruction[position * block->width + i];
    return true;
}

static int by_feature(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int by_effect(const void *a, const void *b) {
    double x = fabs(((const struct active *)a)->effect), y = fabs(((const struct active *)b)->effect);
    return (x < y) - (x > y);
}

/* Lists the distinct features of the prompt's rows with their activity. */
static int gather(struct work *work, const fathom_dictionary *dictionary) {
    const struct fathom_sparse *sparse = &work->baseline->features;
    size_t width = work->baseline->width;
    size_t n_entries = sparse->offsets[work->n_prompt];
    uint32_t *features = NULL;
    int status = fathom__alloc(&features, n_entries, sizeof *features);
    if (status != FATHOM_OK) return status;
    for (size_t e = 0; e < n_entries; e++)
        features[e] = sparse->features[e];
    qsort(features, n_entries, sizeof *features, by_feature);
    for (size_t e = 0; e < n_entries; e++)
        if (work->n == 0 || features[work->n - 1] != features[e]) features[work->n++] = features[e];
    status = fathom__alloc(&work->actives, work->n, sizeof *work->actives);
    if (status == FATHOM_OK) status = fathom__alloc(&work->values, work->n * work->n_prompt, sizeof(float));
    if (status == FATHOM_OK) status = fathom__alloc(&work->directions, work->n * width, sizeof(float));
    for (size_t a = 0; status == FATHOM_OK && a < work->n; a++) {
        struct active *active = &work->actives[a];
        active->feature = features[a];
        active->values = work->values + a * work->n_prompt;
        active->direction = work->directions + a * width;
        status = fathom_dictionary_direction(active->direction, dictionary, features[a]);
    }
    for (size_t row = 0; status == FATHOM_OK && row < work->n_prompt; row++)
        for (size_t e = sparse->offsets[row]; e < sparse->offsets[row + 1]; e++) {
            const uint32_t *at = bsearch(&sparse->features[e], features, work->n, sizeof *features, by_feature);
            work->actives[at - features].values[row] = sparse->values[e];
        }
    fathom_free(features);
    return status;
}

static void measure_sizes(struct work *work) {
    for (size_t a = 0; a < work->n; a++) {
        struct active *active = &work->actives[a];
        double norm = 0, squares = 0;
        for (size_t i = 0; i < work->baseline->width; i++)
            norm += (double)active->direction[i] * (double)active->direction[i];
        for (size_t p = 0; p < work->n_prompt; p++) {
            float value = active->values[p];
            squares += (double)value * (double)value;
            active->sum += value;
            if (value > active->value) {
                active->value = value;
                active->strongest = (int32_t)p;
            }
        }
        active->size = sqrt(norm * squares) / (double)fathom_dictionary_describe(work->dictionary)->output_scale;
    }
}

/* The features nearest in size to `index`, twice as many as controls are wanted. */
static size_t peers(uint32_t *out, const struct work *work, size_t index, size_t most) {
    size_t n = 0;
    for (size_t a = 0; a < work->n; a++) {
        if (a == index) continue;
        double gap = fabs(log(work->actives[a].size / work->actives[index].size));
        size_t at = n < most ? n++ : most;
        /* Insertion by gap; the farthest falls off the end. */
        while (at > 0 && fabs(log(work->actives[out[at - 1]].size / work->actives[index].size)) > gap) {
            if (at < most) out[at] = out[at - 1];
            at--;
        }
        if (at < most) out[at] = (uint32_t)a;
    }
    return n;
}

static int fill(fathom_explanation *explanation, const struct work *work, const struct fathom__parts *parts) {
    size_t n = work->n < parts->n_features ? work->n : parts->n_features;
    size_t n_peers = 2 * parts->n_controls;
    uint32_t *candidates = NULL;
    double *effects = NULL, *controls = NULL;
    int status = fathom__alloc(&explanation->features, n, sizeof *explanation->features);
    if (status == FATHOM_OK) status = fathom__alloc(&candidates, n_peers, sizeof *candidates);
    if (status == FATHOM_OK) status = fathom__alloc(&effects, work->n, sizeof *effects);
    if (status == FATHOM_OK) status = fathom__alloc(&controls, parts->n_controls, sizeof *controls);
    for (size_t a = 0; status == FATHOM_OK && a < work->n; a++)
        effects[a] = work->actives[a].effect;
    for (size_t f = 0; status == FATHOM_OK && f < n; f++) {
        const struct active *active = &work->actives[f];
        size_t n_candidates = peers(candidates, work, f, n_peers);
        size_t n_controls =
            fathom__claim_draw(controls, parts->n_controls, effects, candidates, n_candidates, parts->random);
        explanation->features[f] = (struct fathom_explained_feature){
            .feature = active->feature,
            .position = active->strongest,
            .activation = active->value,
            .activation_sum = active->sum,
        };
        fathom__claim_set(&explanation->features[f].ablated, parts->baseline->log_probability + active->effect,
                          parts->baseline->log_probability, controls, n_controls);
    }
    if (status == FATHOM_OK) {
        explanation->n_features = n;
        explanation->n_features_measured = work->n;
    }
    fathom_free(candidates);
    fathom_free(effects);
    fathom_free(controls);
    return status;
}

/* Fraction of variance explained over the covered prompt rows, about their own mean. */
static double explained_variance(const struct fathom__baseline *baseline, size_t n_prompt) {
    double error = 0, variance = 0;
    size_t n = 0;
    for (size_t i = 0; i < baseline->width; i++) {
        double mean = 0;
        n = 0;
        for (size_t p = 0; p < n_prompt; p++)
            if (baseline->covered[p]) {
                mean += (double)baseline->rows[p * baseline->width + i];
                n++;
            }
        mean /= n > 0 ? (double)n : 1;
        for (size_t p = 0; p < n_prompt; p++)
            if (baseline->covered[p]) {
                double x = (double)baseline->rows[p * baseline->width + i];
                double e = x - (double)baseline->reconstruction[p * baseline->width + i];
                error += e * e;
                variance += (x - mean) * (x - mean);
            }
    }
    return variance > 0 ? 1 - error / variance : 0;
}

int fathom__explain_features(fathom_explanation *explanation, const struct fathom__parts *parts,
                             const fathom_dictionary *dictionary) {
    const struct fathom__baseline *baseline = parts->baseline;
    struct work work = {
        .baseline = baseline,
        .n_prompt = parts->question.n_prompt,
        .dictionary = dictionary,
    };
    struct fathom__variants variants = {
        .question = parts->question,
        .hooks = &baseline->hook,
        .n_hooks = 1,
        .change = take_feature_away,
        .payload = &work,
        .stage = "taking features away",
        .progress = parts->progress,
        .progress_payload = parts->progress_payload,
    };
    double *log_probabilities = NULL;
    double without_error = 0;
    int status = gather(&work, dictionary);
    if (status == FATHOM_OK) {
        measure_sizes(&work);
        variants.n_variants = work.n;
        status = fathom__alloc(&log_probabilities, work.n, sizeof *log_probabilities);
    }
    if (status == FATHOM_OK) status = fathom__variants_measure(log_probabilities, parts->session, &variants);
    for (size_t a = 0; status == FATHOM_OK && a < work.n; a++)
        work.actives[a].effect = log_probabilities[a] - baseline->log_probability;
    if (status == FATHOM_OK) {
        qsort(work.actives, work.n, sizeof *work.actives, by_effect);
        status = fill(explanation, &work, parts);
    }
    if (status == FATHOM_OK) {
        variants.change = take_error_away;
        variants.n_variants = 1;
        variants.stage = "taking the error term away";
        status = fathom__variants_measure(&without_error, parts->session, &variants);
    }
    if (status == FATHOM_OK) {
        explanation->error_effect = without_error - baseline->log_probability;
        explanation->reconstruction_fve = explained_variance(baseline, work.n_prompt);
    }
    fathom_free(log_probabilities);
    fathom_free(work.actives);
    fathom_free(work.values);
    fathom_free(work.directions);
    return status;
}
