#include <base/error.h>
#include <base/memory.h>
#include <dictionary/reconstruct.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <stdlib.h>

#define CONTROL_SEED 1

const char *fathom_reconstruction_name(enum fathom_reconstruction reconstruction) {
    static const char *const names[FATHOM_RECONSTRUCTIONS] = {"dictionary", "as_trained", "control", "untrained", "pca",
                                                              "neurons",    "token_mean", "mean",    "zero"};
    return reconstruction < FATHOM_RECONSTRUCTIONS ? names[reconstruction] : "";
}

static void find_mean(float *mean, const float *rows, size_t n, size_t d) {
    for (size_t j = 0; j < d; j++) {
        double sum = 0;
        for (size_t r = 0; r < n; r++)
            sum += rows[r * d + j];
        mean[j] = (float)(sum / (double)n);
    }
}

static int fit_components(struct fathom__reconstructor *out, const float *rows, size_t n) {
    const size_t d = out->d;
    double *covariance = NULL;
    float *centred = NULL;
    int status = fathom__alloc(&covariance, d * d, sizeof *covariance);
    if (!status) status = fathom__alloc(&centred, d, sizeof *centred);
    if (!status) status = fathom__alloc(&out->components, out->k * d, sizeof *out->components);
    for (size_t r = 0; r < n && !status; r++) {
        for (size_t j = 0; j < d; j++)
            centred[j] = rows[r * d + j] - out->mean[j];
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++)
                covariance[i * d + j] += (double)(centred[i] * centred[j]);
    }
    if (!status) status = fathom__principal_components(out->components, covariance, d, out->k, CONTROL_SEED);
    fathom_free(covariance);
    fathom_free(centred);
    return status;
}

struct placed {
    int32_t token;
    uint32_t row;
};

static int by_token(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    if (x->token != y->token) return x->token < y->token ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int fit_tokens(struct fathom__reconstructor *out, const float *rows, const int32_t *tokens, size_t n) {
    const size_t d = out->d;
    struct placed *order = NULL;
    int status = fathom__alloc(&order, n, sizeof *order);
    if (status) return status;
    for (size_t r = 0; r < n; r++)
        order[r] = (struct placed){tokens[r], (uint32_t)r};
    qsort(order, n, sizeof *order, by_token);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++)
        distinct += i == 0 || order[i].token != order[i - 1].token;
    status = fathom__alloc(&out->tokens, distinct, sizeof *out->tokens);
    if (!status) status = fathom__alloc(&out->token_rows, distinct * d, sizeof *out->token_rows);
    for (size_t i = 0; i < n && !status;) {
        size_t end = i;
        float *mean = out->token_rows + out->n_tokens * d;
        for (; end < n && order[end].token == order[i].token; end++)
            for (size_t j = 0; j < d; j++)
                mean[j] += rows[order[end].row * d + j];
        for (size_t j = 0; j < d; j++)
            mean[j] /= (float)(end - i);
        out->tokens[out->n_tokens++] = order[i].token;
        i = end;
    }
    fathom_free(order);
    return status;
}

/* The untrained dictionary's rows come in batches of its trainer. */
static int untrained_rows(float *out, struct fathom__reconstructor *reconstructor, const float *rows, size_t n) {
    fathom_trainer *trainer = reconstructor->untrained;
    const size_t d = reconstructor->d, batch = trainer->options.batch;
    float *parts = NULL; /* W_dec f */
    int status = fathom__alloc_aligned(&parts, batch * trainer->stride, sizeof *parts);
    const struct fathom__decoding what = {.active = &trainer->main, .from = FATHOM__FROM_ZERO, .exact = parts};
    if (!status) status = fathom__trainer_pack(trainer);
    for (size_t at = 0; at < n && !status; at += batch) {
        const size_t here = n - at < batch ? n - at : batch;
        status = fathom__trainer_load(trainer, rows + at * d, here);
        if (!status) status = fathom__trainer_topk(&trainer->main, trainer);
        if (status) break;
        fathom__trainer_decode_pairs(trainer, &what);
        for (size_t r = 0; r < here; r++)
            for (size_t j = 0; j < d; j++)
                out[(at + r) * d + j] = (float)((reconstructor->untrained_factor * parts[r * trainer->stride + j] +
                                                 trainer->decoder_bias.value[j]) /
                                                trainer->input_scale);
    }
    fathom_free(parts);
    return status;
}

static int fit_untrained(struct fathom__reconstructor *out, const float *rows, size_t n, uint32_t n_threads) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(out->dictionary);
    const struct fathom_trainer_options options = {.d_in = info->d_in,
                                                   .n_features = info->n_features,
                                                   .k = (uint32_t)out->k,
                                                   .batch = 1024,
                                                   .n_threads = n_threads,
                                                   .seed = CONTROL_SEED,
                                                   .auxiliary_coefficient = -1};
    float *guess = NULL;
    int status = fathom_trainer_open(&out->untrained, &options);
    if (!status) status = fathom_trainer_prepare(out->untrained, rows, n);
    if (!status) status = fathom__alloc(&guess, n * out->d, sizeof *guess);
    out->untrained_factor = 1;
    if (!status) status = untrained_rows(guess, out, rows, n);
    if (!status) {
        double product = 0, squares = 0;
        for (size_t r = 0; r < n; r++)
            for (size_t j = 0; j < out->d; j++) {
                const double centre = out->untrained->decoder_bias.value[j] / out->untrained->input_scale,
                             part = guess[r * out->d + j] - centre;
                product += part * (rows[r * out->d + j] - centre);
                squares += part * part;
            }
        if (squares > 0) out->untrained_factor = product / squares;
    }
    fathom_free(guess);
    return status;
}

/* Active components a row that are fair to a dictionary: its k, or, where it has none, its L0 on some of the rows. */
static int find_k(struct fathom__reconstructor *out, const float *rows, size_t n) {
    enum { SAMPLE = 4096 };
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(out->dictionary);
    const size_t sample = n < SAMPLE ? n : SAMPLE;
    out->k = info->k;
    if (out->k == 0) {
        int status = fathom_dictionary_encode(&out->sparse, out->dictionary, rows, NULL, sample, FATHOM_ENCODE_RUN);
        if (status) return status;
        out->k = (size_t)lround((double)out->sparse.offsets[sample] / (double)sample);
    }
    if (out->k < 1) out->k = 1;
    if (out->k > info->d_in) out->k = info->d_in;
    if (out->k > info->n_features) out->k = info->n_features;
    return 0;
}

int fathom__reconstructor_open(struct fathom__reconstructor *out, const fathom_dictionary *dictionary,
                               const fathom_dictionary *control, const float *rows, const int32_t *tokens, size_t n,
                               uint32_t n_threads) {
    *out = (struct fathom__reconstructor){
        .dictionary = dictionary, .control = control, .d = fathom_dictionary_describe(dictionary)->d_in};
    int status = find_k(out, rows, n);
    if (!status) status = fathom__alloc(&out->mean, out->d, sizeof *out->mean);
    if (!status) status = fathom__alloc(&out->distances, out->d, sizeof *out->distances);
    if (!status) find_mean(out->mean, rows, n, out->d);
    if (!status) status = fit_components(out, rows, n);
    if (!status) status = fit_tokens(out, rows, tokens, n);
    if (!status) status = fit_untrained(out, rows, n, n_threads);
    if (status) fathom__reconstructor_close(out);
    return status;
}

void fathom__reconstructor_close(struct fathom__reconstructor *reconstructor) {
    fathom_free(reconstructor->mean);
    fathom_free(reconstructor->distances);
    fathom_free(reconstructor->components);
    fathom_free(reconstructor->tokens);
    fathom_free(reconstructor->token_rows);
    fathom_trainer_close(reconstructor->untrained);
    fathom_sparse_free(&reconstructor->sparse);
    *reconstructor = (struct fathom__reconstructor){0};
}

static const float *token_row(const struct fathom__reconstructor *reconstructor, int32_t token) {
    size_t low = 0, high = reconstructor->n_tokens;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (reconstructor->tokens[middle] == token) return reconstructor->token_rows + middle * reconstructor->d;
        if (reconstructor->tokens[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return reconstructor->mean;
}

static void project(float *out, const struct fathom__reconstructor *reconstructor, const float *row) {
    const size_t d = reconstructor->d;
    memcpy(out, reconstructor->mean, d * sizeof *out);
    for (size_t i = 0; i < reconstructor->k; i++) {
        const float *component = reconstructor->components + i * d;
        double along = 0;
        for (size_t j = 0; j < d; j++)
            along += (double)component[j] * (row[j] - reconstructor->mean[j]);
        for (size_t j = 0; j < d; j++)
            out[j] += (float)along * component[j];
    }
}

static int by_distance(const void *a, const void *b) {
    const struct fathom__distance *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

static void keep_coordinates(float *out, const struct fathom__reconstructor *reconstructor, const float *row) {
    const size_t d = reconstructor->d;
    struct fathom__distance *distances = reconstructor->distances;
    for (size_t j = 0; j < d; j++)
        distances[j] = (struct fathom__distance){fabsf(row[j] - reconstructor->mean[j]), (uint32_t)j};
    qsort(distances, d, sizeof *distances, by_distance);
    memcpy(out, reconstructor->mean, d * sizeof *out);
    for (size_t i = 0; i < reconstructor->k; i++)
        out[distances[i].place] = row[distances[i].place];
}

static int read_and_write(float *out, struct fathom_sparse *sparse, const fathom_dictionary *dictionary,
                          const float *rows, size_t n, enum fathom_encode_mode mode) {
    int status = fathom_dictionary_encode(sparse, dictionary, rows, NULL, n, mode);
    return status ? status : fathom_dictionary_reconstruct(out, dictionary, sparse, rows);
}

int fathom__reconstruct(float *out, struct fathom__reconstructor *reconstructor, enum fathom_reconstruction which,
                        const float *rows, const int32_t *tokens, size_t n) {
    const size_t d = reconstructor->d;
    struct fathom_sparse *sparse = &reconstructor->sparse;
    switch (which) {
    case FATHOM_RECONSTRUCT_DICTIONARY:
        return read_and_write(out, sparse, reconstructor->dictionary, rows, n, FATHOM_ENCODE_RUN);
    case FATHOM_RECONSTRUCT_TRAINED:
        return read_and_write(out, sparse, reconstructor->dictionary, rows, n, FATHOM_ENCODE_TRAIN);
    case FATHOM_RECONSTRUCT_CONTROL:
        return read_and_write(out, sparse, reconstructor->control, rows, n, FATHOM_ENCODE_RUN);
    case FATHOM_RECONSTRUCT_UNTRAINED: return untrained_rows(out, reconstructor, rows, n);
    default: break;
    }
    for (size_t r = 0; r < n; r++) {
        float *guess = out + r * d;
        if (which == FATHOM_RECONSTRUCT_PCA)
            project(guess, reconstructor, rows + r * d);
        else if (which == FATHOM_RECONSTRUCT_NEURONS)
            keep_coordinates(guess, reconstructor, rows + r * d);
        else if (which == FATHOM_RECONSTRUCT_ZERO)
            memset(guess, 0, d * sizeof *guess);
        else
            memcpy(guess,
                   which == FATHOM_RECONSTRUCT_TOKEN_MEAN ? token_row(reconstructor, tokens[r]) : reconstructor->mean,
                   d * sizeof *guess);
    }
    return 0;
}
