/* Whose a crosscoder's features are: shares of the decoder, and latent scaling. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <fathom/crosscoder.h>
#include <fathom/trainer.h>
#include <math.h>

enum { BLOCK = 256 }; /* rows that are encoded at a time */

/* What is added up over the rows for one feature and one source: f <d_h, y_s> for both kinds of y_s. */
struct products {
    double error, reconstruction;
};

struct scaling {
    const fathom_dictionary *dictionary;
    const struct fathom_dictionary_info *info;
    size_t offsets[FATHOM_TRAIN_SOURCES + 1]; /* of the sources in a row */
    float *decoder;                           /* [n_features, d], every source's part times its scale */
    float *bias;                              /* [d], the same */
    struct products *sums;                    /* [n_features, n_sources] */
    double *squares;                          /* [n_features]: Σ f² */
    float *guesses;                           /* [BLOCK, d] */
    struct fathom_sparse sparse;
};

static double dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += (double)a[j] * b[j];
    return sum;
}

static void scale_row(float *row, const struct scaling *scaling) {
    for (uint32_t s = 0; s < scaling->info->n_sources; s++)
        for (size_t j = scaling->offsets[s]; j < scaling->offsets[s + 1]; j++)
            row[j] *= scaling->info->sources[s].scale;
}

static void close_scaling(struct scaling *scaling) {
    fathom_free(scaling->decoder);
    fathom_free(scaling->bias);
    fathom_free(scaling->sums);
    fathom_free(scaling->squares);
    fathom_free(scaling->guesses);
    fathom_sparse_free(&scaling->sparse);
}

static int open_scaling(struct scaling *scaling, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const size_t d = info->d_in, F = info->n_features;
    *scaling = (struct scaling){.dictionary = dictionary, .info = info};
    if (info->n_sources == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: no crosscoder: it reads one hook point", info->path);
    for (uint32_t s = 0; s < info->n_sources; s++)
        scaling->offsets[s + 1] = scaling->offsets[s] + info->sources[s].width;
    int status = fathom__alloc(&scaling->decoder, F * d, sizeof *scaling->decoder);
    if (!status) status = fathom__alloc(&scaling->bias, d, sizeof *scaling->bias);
    if (!status) status = fathom__alloc(&scaling->sums, F * info->n_sources, sizeof *scaling->sums);
    if (!status) status = fathom__alloc(&scaling->squares, F, sizeof *scaling->squares);
    if (!status) status = fathom__alloc(&scaling->guesses, BLOCK * d, sizeof *scaling->guesses);
    for (uint32_t f = 0; f < F && !status; f++) {
        status = fathom_dictionary_direction(scaling->decoder + f * d, dictionary, f);
        scale_row(scaling->decoder + f * d, scaling);
    }
    if (status) return status;
    fathom_dictionary_decoder_bias(scaling->bias, dictionary);
    scale_row(scaling->bias, scaling);
    return 0;
}

static const float *part(const struct scaling *scaling, uint32_t feature, uint32_t source) {
    return scaling->decoder + (size_t)feature * scaling->info->d_in + scaling->offsets[source];
}

static void find_shares(struct fathom_crosscoder_feature *out, float *shares, const struct scaling *scaling,
                        uint32_t f) {
    const uint32_t n = scaling->info->n_sources;
    double lengths[FATHOM_TRAIN_SOURCES] = {0}, sum = 0;
    uint32_t next = UINT32_MAX;
    *out = (struct fathom_crosscoder_feature){.cosine = NAN, .error_ratio = NAN, .reconstruction_ratio = NAN};
    for (uint32_t s = 0; s < n; s++) {
        const float *row = part(scaling, f, s);
        lengths[s] = sqrt(dot(row, row, scaling->info->sources[s].width));
        sum += lengths[s];
        if (lengths[s] > lengths[out->home]) out->home = s;
    }
    for (uint32_t s = 0; s < n; s++) {
        shares[s] = sum > 0 ? (float)(lengths[s] / sum) : 1 / (float)n;
        if (s != out->home && (next == UINT32_MAX || lengths[s] > lengths[next])) next = s;
    }
    out->share = shares[out->home];
    const uint32_t width = scaling->info->sources[out->home].width;
    if (scaling->info->sources[next].width == width && lengths[next] > 0)
        out->cosine = (float)(dot(part(scaling, f, out->home), part(scaling, f, next), width) /
                              (lengths[out->home] * lengths[next]));
}

/* Adds one active pair. rows and guesses are scaled. */
static void add_pair(struct scaling *scaling, struct fathom_crosscoder_feature *feature, uint32_t f, double value,
                     const float *row, const float *guess) {
    const struct fathom_dictionary_info *info = scaling->info;
    const uint32_t width = info->sources[feature->home].width;
    const float *direction = part(scaling, f, feature->home);
    feature->rows++;
    scaling->squares[f] += value * value;
    for (uint32_t s = 0; s < info->n_sources; s++) {
        struct products *sum = &scaling->sums[(size_t)f * info->n_sources + s];
        const size_t at = scaling->offsets[s];
        if (info->sources[s].width != width) continue;
        const double guessed = dot(direction, guess + at, width);
        sum->error +=
            value * (dot(direction, row + at, width) - guessed + value * dot(direction, part(scaling, f, s), width));
        sum->reconstruction += value * (guessed - dot(direction, scaling->bias + at, width));
    }
}

static int add_rows(struct scaling *scaling, struct fathom_crosscoder_feature *features, const float *rows, size_t n) {
    const size_t d = scaling->info->d_in;
    float *scaled = NULL;
    int status = fathom_dictionary_encode(&scaling->sparse, scaling->dictionary, rows, NULL, n, FATHOM_ENCODE_RUN);
    if (!status) status = fathom_dictionary_decode(scaling->guesses, scaling->dictionary, &scaling->sparse);
    if (!status) status = fathom__alloc(&scaled, d, sizeof *scaled);
    for (size_t r = 0; r < n && !status; r++) {
        memcpy(scaled, rows + r * d, d * sizeof *scaled);
        scale_row(scaled, scaling);
        scale_row(scaling->guesses + r * d, scaling);
        for (size_t i = scaling->sparse.offsets[r]; i < scaling->sparse.offsets[r + 1]; i++) {
            const uint32_t f = scaling->sparse.features[i];
            add_pair(scaling, &features[f], f, scaling->sparse.values[i], scaled, scaling->guesses + r * d);
        }
    }
    fathom_free(scaled);
    return status;
}

/* The largest of the other sources' factors beside the home's, the sums' denominators being the same. */
static void find_ratios(struct fathom_crosscoder_feature *feature, const struct scaling *scaling, uint32_t f) {
    const struct fathom_dictionary_info *info = scaling->info;
    const struct products *sums = scaling->sums + (size_t)f * info->n_sources, *home = &sums[feature->home];
    if (!(scaling->squares[f] > 0)) return;
    for (uint32_t s = 0; s < info->n_sources; s++) {
        if (s == feature->home || info->sources[s].width != info->sources[feature->home].width) continue;
        if (home->error > 0) feature->error_ratio = fmax(feature->error_ratio, sums[s].error / home->error);
        if (home->reconstruction > 0)
            feature->reconstruction_ratio =
                fmax(feature->reconstruction_ratio, sums[s].reconstruction / home->reconstruction);
    }
}

int fathom_crosscoder_shares(struct fathom_crosscoder_feature *features, float *shares,
                             const fathom_dictionary *dictionary) {
    return fathom_crosscoder_features(features, shares, dictionary, NULL, 0);
}

int fathom_crosscoder_features(struct fathom_crosscoder_feature *features, float *shares,
                               const fathom_dictionary *dictionary, const float *rows, size_t n) {
    struct scaling scaling;
    int status = open_scaling(&scaling, dictionary);
    const size_t d = scaling.info->d_in;
    for (uint32_t f = 0; f < scaling.info->n_features && !status; f++)
        find_shares(&features[f], shares + (size_t)f * scaling.info->n_sources, &scaling, f);
    for (size_t at = 0; at < n && !status; at += BLOCK)
        status = add_rows(&scaling, features, rows + at * d, n - at < BLOCK ? n - at : BLOCK);
    for (uint32_t f = 0; f < scaling.info->n_features && !status; f++)
        find_ratios(&features[f], &scaling, f);
    close_scaling(&scaling);
    return status;
}
