/* The nearest row of every row of a matrix, found by bf16 products and then measured in f32; and what of that random
 * directions have. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/thread.h>
#include <dictionary/evaluate_internal.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>
#include <math.h>
#include <stdatomic.h>

#define TWIN_COSINE 0.9F
#define CONTROL_SEED 1

/* Rows of length 1 (or 0), padded. */
struct directions {
    float *rows; /* [n, stride] */
    size_t n, stride;
};

struct nearest {
    uint32_t row;
    float cosine;
};

struct search {
    const struct directions *directions;
    fathom__dense *product;
    struct nearest *out;
    size_t n_wanted; /* of the first rows only */
    atomic_size_t next;
    atomic_int status;
};

static int pack(fathom__dense *product, const struct directions *directions) {
    const float *rows[FATHOM__TILE_FEATURES];
    int status = 0;
    for (size_t first = 0; first < directions->n && !status; first += FATHOM__TILE_FEATURES) {
        size_t n = 0;
        for (; n < FATHOM__TILE_FEATURES && first + n < directions->n; n++)
            rows[n] = directions->rows + (first + n) * directions->stride;
        status = fathom__dense_pack(product, 0, first / FATHOM__TILE_FEATURES, rows, n);
    }
    return status;
}

/* What a tile's features are to n rows from `first` on. */
static void keep_nearest(struct nearest *out, const struct search *search, const float *products, size_t tile,
                         size_t first, size_t n) {
    const size_t begin = tile * FATHOM__TILE_FEATURES, rest = search->directions->n - begin,
                 width = rest < FATHOM__TILE_FEATURES ? rest : FATHOM__TILE_FEATURES;
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < width; i++) {
            const float value = products[r * FATHOM__TILE_FEATURES + i];
            if (value > out[r].cosine && begin + i != first + r)
                out[r] = (struct nearest){(uint32_t)(begin + i), value};
        }
}

/* Nearest rows of those from `first` on; x and products are the worker's own. */
static int search_block(struct search *search, uint32_t worker, size_t first, uint16_t *x, float *products) {
    const struct directions *directions = search->directions;
    const size_t left = search->n_wanted - first, n = left < FATHOM__TILE_ROWS ? left : FATHOM__TILE_ROWS;
    struct nearest *out = search->out + first;
    int status = 0;
    for (size_t r = 0; r < n; r++) {
        fathom__row_to_bf16(x + r * directions->stride, directions->rows + (first + r) * directions->stride,
                            directions->stride);
        out[r] = (struct nearest){(uint32_t)(first + r), -HUGE_VALF};
    }
    const size_t tiles = fathom__dense_tiles(search->product), span = fathom__dense_span(search->product);
    for (size_t tile = 0; tile < tiles && !status; tile += span) {
        const size_t n_tiles = tiles - tile < span ? tiles - tile : span;
        status = fathom__dense_run(products, search->product, worker, tile, n_tiles, x, n);
        for (size_t t = 0; t < n_tiles && !status; t++)
            keep_nearest(out, search, products + t * fathom__dense_room(search->product), tile + t, first, n);
    }
    for (size_t r = 0; r < n && !status; r++)
        out[r].cosine = out[r].row == first + r
                            ? 0
                            : fathom__dot(directions->rows + (first + r) * directions->stride,
                                          directions->rows + out[r].row * directions->stride, directions->stride);
    return status;
}

static void search_blocks(uint32_t worker, uint32_t n_workers, void *payload) {
    struct search *search = payload;
    uint16_t *x = NULL;
    float *products = NULL;
    (void)n_workers;
    int status = fathom__alloc(&x, FATHOM__TILE_ROWS * search->directions->stride, sizeof *x);
    if (!status)
        status = fathom__alloc_aligned(
            &products, fathom__dense_span(search->product) * fathom__dense_room(search->product), sizeof *products);
    while (!status && !atomic_load(&search->status)) {
        const size_t first = atomic_fetch_add(&search->next, 1) * FATHOM__TILE_ROWS;
        if (first >= search->n_wanted) break;
        status = search_block(search, worker, first, x, products);
    }
    if (status) atomic_store(&search->status, status);
    fathom_free(x);
    fathom_free(products);
}

/* out: [n_wanted]; a row without others has itself, with cosine 0. */
static int find_nearest(struct nearest *out, const struct directions *directions, size_t n_wanted, uint32_t n_threads) {
    struct search search = {.directions = directions, .out = out, .n_wanted = n_wanted};
    fathom__team *team = NULL;
    int status = fathom__team_open(&team, n_threads);
    if (!status)
        status = fathom__dense_open(&search.product, FATHOM__PRODUCT_BEST, directions->stride, directions->n,
                                    fathom__team_size(team));
    if (!status) status = pack(search.product, directions);
    if (!status) {
        fathom__team_run(team, search_blocks, &search);
        if (atomic_load(&search.status))
            status = fathom__fail(atomic_load(&search.status), "evaluate: products of features failed");
    }
    fathom__dense_close(search.product);
    fathom__team_close(team);
    return status;
}

/* Makes a row one of length 1 and gives the length that it had. */
static float normalise(float *row, size_t n) {
    const float length = sqrtf(fathom__dot(row, row, n));
    for (size_t j = 0; j < n && length > 0; j++)
        row[j] /= length;
    return length;
}

static int open_directions(struct directions *out, size_t n, size_t width) {
    *out = (struct directions){.n = n, .stride = fathom__padded(width)};
    return fathom__alloc(&out->rows, n * out->stride, sizeof *out->rows);
}

static int random_cosine(double *out, size_t n, size_t width, uint32_t n_threads) {
    const size_t sample = n < FATHOM__TILE_ROWS ? n : FATHOM__TILE_ROWS;
    struct directions directions;
    struct nearest nearest[FATHOM__TILE_ROWS];
    struct fathom__random random;
    int status = open_directions(&directions, n, width);
    fathom__random_seed(&random, CONTROL_SEED);
    for (size_t i = 0; i < n && !status; i++) {
        float *row = directions.rows + i * directions.stride;
        for (size_t j = 0; j < width; j++)
            row[j] = (float)fathom__random_normal(&random);
        normalise(row, directions.stride);
    }
    if (!status) status = find_nearest(nearest, &directions, sample, n_threads);
    *out = 0;
    for (size_t i = 0; i < sample && !status; i++)
        *out += nearest[i].cosine / (double)sample;
    fathom_free(directions.rows);
    return status;
}

int fathom__evaluate_cosines(struct fathom_evaluation *out, struct fathom_feature_quality *features,
                             const fathom_dictionary *dictionary, uint32_t n_threads) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const uint32_t n = info->n_features;
    struct directions decoder = {0}, encoder = {0};
    struct nearest *nearest = NULL;
    int status = open_directions(&decoder, n, info->d_out);
    if (!status) status = open_directions(&encoder, n, info->d_in);
    if (!status) status = fathom__alloc(&nearest, n, sizeof *nearest);
    for (uint32_t f = 0; f < n && !status; f++) {
        float *in = encoder.rows + f * encoder.stride, *back = decoder.rows + f * decoder.stride;
        status = fathom_dictionary_direction(back, dictionary, f);
        if (!status) status = fathom_dictionary_encoder_row(in, &features[f].encoder_bias, dictionary, f);
        if (status) break;
        normalise(back, decoder.stride);
        features[f].encoder_norm = normalise(in, encoder.stride);
        features[f].encoder_decoder_cosine = info->d_in == info->d_out ? fathom__dot(in, back, encoder.stride) : 0;
    }
    if (!status) status = find_nearest(nearest, &decoder, n, n_threads);
    for (uint32_t f = 0; f < n && !status; f++) {
        features[f].neighbour = nearest[f].row;
        features[f].max_decoder_cosine = nearest[f].cosine;
        out->mean_decoder_cosine += nearest[f].cosine / (double)n;
        out->twin_fraction += (nearest[f].cosine > TWIN_COSINE) / (double)n;
    }
    if (!status) status = find_nearest(nearest, &encoder, n, n_threads);
    for (uint32_t f = 0; f < n && !status; f++) {
        features[f].max_encoder_cosine = nearest[f].cosine;
        out->mean_encoder_cosine += nearest[f].cosine / (double)n;
    }
    if (!status) status = random_cosine(&out->random_decoder_cosine, n, info->d_out, n_threads);
    fathom_free(decoder.rows);
    fathom_free(encoder.rows);
    fathom_free(nearest);
    return status;
}
