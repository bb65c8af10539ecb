#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/read.h"
#include "steer/own_texts.h"
#include <fathom/steer.h>
#include <math.h>
#include <stdlib.h>

enum { NEAREST_CONTROLS = 16 };

struct measuring {
    const fathom_dictionary *dictionary;
    struct fathom_feature_measure *measures;
    uint64_t *counts;
    uint64_t covered;
    struct fathom_sparse sparse;
};

static int measure_piece(const struct fathom__piece *piece, void *payload) {
    struct measuring *measuring = payload;
    struct fathom_sparse *sparse = &measuring->sparse;
    if (piece->n_tokens == 0) {
        return FATHOM_OK;
    }
    int status = fathom_dictionary_encode(sparse, measuring->dictionary, piece->rows[0], piece->positions,
                                          piece->n_tokens, FATHOM_ENCODE_RUN);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t r = 0; r < piece->n_tokens; r++) {
        measuring->covered +=
            fathom_dictionary_covers(measuring->dictionary, piece->rows[0] + r * piece->widths[0], piece->positions[r]);
    }
    for (size_t i = 0; i < sparse->offsets[sparse->n_rows]; i++) {
        struct fathom_feature_measure *measure = &measuring->measures[sparse->features[i]];
        measure->maximum = fmaxf(measure->maximum, sparse->values[i]);
        measuring->counts[sparse->features[i]]++;
    }
    return FATHOM_OK;
}

static int measure_decoder(struct fathom_feature_measure *measures, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    float *direction = NULL;
    int status = fathom__alloc(&direction, info->d_out, sizeof *direction);
    for (uint32_t f = 0; f < info->n_features && status == FATHOM_OK; f++) {
        status = fathom_dictionary_direction(direction, dictionary, f);
        measures[f].decoder_norm = status == FATHOM_OK ? (float)fathom__norm(direction, info->d_out) : 0;
    }
    fathom_free(direction);
    return status;
}

int fathom_feature_measure_all(struct fathom_feature_measure **out, const fathom_dictionary *dictionary,
                               const fathom_model *model, const struct fathom_texts *texts) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct measuring measuring = {.dictionary = dictionary};
    struct fathom_texts own = FATHOM_TEXTS_INIT;
    struct fathom_hook hook;
    int status = fathom_dictionary_match(&hook, dictionary, model);
    if (status == FATHOM_OK && texts == NULL) {
        status = fathom__own_texts(&own);
        texts = &own;
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&measuring.measures, info->n_features, sizeof *measuring.measures);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&measuring.counts, info->n_features, sizeof *measuring.counts);
    }
    if (status == FATHOM_OK) {
        status = measure_decoder(measuring.measures, dictionary);
    }
    if (status == FATHOM_OK) {
        status = fathom__read_texts(model, texts, &hook, 1, measure_piece, &measuring);
    }
    for (uint32_t f = 0; f < info->n_features && status == FATHOM_OK; f++) {
        measuring.measures[f].density =
            measuring.covered > 0 ? (float)((double)measuring.counts[f] / (double)measuring.covered) : 0;
    }
    fathom_sparse_free(&measuring.sparse);
    fathom_free(measuring.counts);
    fathom_texts_free(&own);
    if (status != FATHOM_OK) {
        fathom_free(measuring.measures);
        return status;
    }
    *out = measuring.measures;
    return FATHOM_OK;
}

int fathom_feature_measure_catalogue(struct fathom_feature_measure **out, const fathom_dictionary *dictionary,
                                     const fathom_catalogue *catalogue) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_feature_measure *measures = NULL;
    int status = fathom__alloc(&measures, info->n_features, sizeof *measures);
    if (status == FATHOM_OK) {
        status = measure_decoder(measures, dictionary);
    }
    for (uint32_t f = 0; f < info->n_features && status == FATHOM_OK; f++) {
        const struct fathom_feature *known = fathom_catalogue_feature(catalogue, f);
        if (known == NULL) {
            status = fathom__fail(FATHOM_ERROR_MISMATCH, "%s: has no feature %u: it was made for another dictionary",
                                  fathom_catalogue_describe(catalogue)->path, f);
            break;
        }
        measures[f].maximum = known->max_activation;
        measures[f].density = (float)known->density;
    }
    if (status != FATHOM_OK) {
        fathom_free(measures);
        return status;
    }
    *out = measures;
    return FATHOM_OK;
}

struct rival {
    uint32_t feature;
    double distance;
};

static int by_distance(const void *a, const void *b) {
    const struct rival *x = a;
    const struct rival *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

static double log_ratio(float a, float b) {
    return fabs(log((double)a / (double)b));
}

static bool contains(const uint32_t *features, size_t n, uint32_t feature) {
    for (size_t i = 0; i < n; i++) {
        if (features[i] == feature) {
            return true;
        }
    }
    return false;
}

int fathom_feature_control(uint32_t *out, const struct fathom_feature_measure *measures, size_t n_features,
                           uint32_t feature, const uint32_t *avoid, size_t n_avoid, uint64_t seed) {
    struct rival *rivals = NULL;
    struct fathom__random random;
    size_t n = 0;
    if (feature >= n_features || !(measures[feature].maximum > 0)) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND,
                            "feature %u: out of range or never active in the texts that were measured", feature);
    }
    int status = fathom__alloc(&rivals, n_features, sizeof *rivals);
    if (status != FATHOM_OK) {
        return status;
    }
    const struct fathom_feature_measure *like = &measures[feature];
    for (uint32_t f = 0; f < n_features; f++) {
        const struct fathom_feature_measure *measure = &measures[f];
        if (f != feature && measure->maximum > 0 && measure->decoder_norm > 0 && !contains(avoid, n_avoid, f)) {
            rivals[n++] = (struct rival){f, log_ratio(measure->density, like->density) +
                                                log_ratio(measure->maximum, like->maximum) +
                                                log_ratio(measure->decoder_norm, like->decoder_norm)};
        }
    }
    if (n == 0) {
        status =
            fathom__fail(FATHOM_ERROR_NOT_FOUND, "feature %u: no other feature was active to compare it with", feature);
    } else {
        qsort(rivals, n, sizeof *rivals, by_distance);
        fathom__random_seed(&random, seed);
        *out = rivals[fathom__random_below(&random, n < NEAREST_CONTROLS ? n : NEAREST_CONTROLS)].feature;
    }
    fathom_free(rivals);
    return status;
}
