/* Whole encoding: the dense product in bf16 finds candidates, and an f32 product decides.
 *
 * Rounding both factors to bf16 (relative error at most 2^-9 each) moves a product by no more than ROUNDING · |x| ·
 * |w|. Every feature that could be active within that bound is computed again in f32, so that the outcome is that of
 * f32 arithmetic.
 */
#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/select.h>
#include <math.h>

#define ROUNDING (1.05F / 256) /* 2 · 2^-9, with room for the second order and for sums in f32 */

void fathom__whole_close(struct fathom__whole *whole, size_t n_layers) {
    if (!whole) return;
    for (size_t l = 0; whole->products && l < n_layers; l++)
        fathom__dense_close(whole->products[l]);
    fathom_free(whole->products);
    fathom_free(whole->encoder);
    fathom_free(whole->tile_norm);
    fathom_free(whole->shifted_bias);
    fathom_free(whole->bias);
    fathom_free(whole->busy);
    fathom_free(whole);
}

/* Features of a tile, counted over the layers' tiles. */
static size_t tile_first(const fathom_dictionary *dictionary, const struct fathom__whole *whole, size_t tile) {
    return tile / whole->n_tiles * dictionary->layer_features + tile % whole->n_tiles * FATHOM__TILE_FEATURES;
}

static size_t tile_width(const fathom_dictionary *dictionary, const struct fathom__whole *whole, size_t tile) {
    const size_t left = dictionary->layer_features - tile % whole->n_tiles * FATHOM__TILE_FEATURES;
    return left < FATHOM__TILE_FEATURES ? left : FATHOM__TILE_FEATURES;
}

static int pack_tile(struct fathom__whole *whole, const fathom_dictionary *dictionary, size_t tile) {
    const float *rows[FATHOM__TILE_FEATURES];
    const size_t d = fathom__encoder_width(&dictionary->info), read = dictionary->read,
                 first = tile_first(dictionary, whole, tile), width = tile_width(dictionary, whole, tile);
    float longest = 0;
    for (size_t n = 0; n < width; n++) {
        const size_t f = first + n;
        float *row = whole->encoder + f * read;
        int status = fathom__gguf_rows_f32(row, dictionary->encoder, (int64_t)f, 1);
        if (status) return status;
        for (size_t j = d; j < read; j++)
            row[j] = 0;
        const float squares = fathom__dot(row, row, read);
        if (squares > longest) longest = squares;
        whole->bias[f] = dictionary->encoder_bias[f];
        whole->shifted_bias[f] =
            dictionary->gate_bias ? dictionary->gate_bias[f]
                                  : dictionary->encoder_bias[f] - fathom_dictionary_threshold(dictionary, (uint32_t)f);
        rows[n] = row;
    }
    whole->tile_norm[tile] = sqrtf(longest);
    return fathom__dense_pack(whole->products[tile / whole->n_tiles], 0, tile % whole->n_tiles, rows, width);
}

static int make_whole(struct fathom__whole **out, const fathom_dictionary *dictionary) {
    const size_t F = dictionary->info.n_features, padded = F + FATHOM__TILE_FEATURES, n_layers = dictionary->n_layers;
    struct fathom__whole *whole = NULL;
    int status = fathom__alloc(&whole, 1, sizeof *whole);
    if (status) return status;
    whole->n_lanes = fathom__cores();
    status = fathom__alloc(&whole->busy, whole->n_lanes, sizeof *whole->busy);
    if (!status) status = fathom__alloc_aligned(&whole->encoder, F * dictionary->read, sizeof *whole->encoder);
    if (!status) status = fathom__alloc(&whole->bias, padded, sizeof *whole->bias);
    if (!status) status = fathom__alloc(&whole->shifted_bias, padded, sizeof *whole->shifted_bias);
    if (!status) status = fathom__alloc(&whole->products, n_layers, sizeof *whole->products);
    for (size_t l = 0; l < n_layers && !status; l++)
        status = fathom__dense_open(&whole->products[l], FATHOM__PRODUCT_BEST, dictionary->read,
                                    dictionary->layer_features, whole->n_lanes);
    if (!status) whole->n_tiles = fathom__dense_tiles(whole->products[0]);
    if (!status) status = fathom__alloc(&whole->tile_norm, n_layers * whole->n_tiles, sizeof *whole->tile_norm);
    for (size_t tile = 0; !status && tile < n_layers * whole->n_tiles; tile++)
        status = pack_tile(whole, dictionary, tile);
    if (status)
        fathom__whole_close(whole, n_layers);
    else
        *out = whole;
    return status;
}

/* The public functions take const dictionaries: what is made late is under a lock and changes no answer. */
static fathom_dictionary *mutable(const fathom_dictionary *dictionary) {
    return (fathom_dictionary *)(uintptr_t)dictionary;
}

int fathom__dictionary_whole(struct fathom__whole **out, fathom_dictionary *dictionary) {
    int status = 0;
    pthread_mutex_lock(&dictionary->lock);
    if (!dictionary->whole) status = make_whole(&dictionary->whole, dictionary);
    *out = dictionary->whole;
    pthread_mutex_unlock(&dictionary->lock);
    return status;
}

static uint32_t take_lane(fathom_dictionary *dictionary) {
    struct fathom__whole *whole = dictionary->whole;
    pthread_mutex_lock(&dictionary->lock);
    for (;;) {
        for (uint32_t lane = 0; lane < whole->n_lanes; lane++) {
            if (whole->busy[lane]) continue;
            whole->busy[lane] = true;
            pthread_mutex_unlock(&dictionary->lock);
            return lane;
        }
        pthread_cond_wait(&dictionary->freed, &dictionary->lock);
    }
}

static void give_lane(fathom_dictionary *dictionary, uint32_t lane) {
    pthread_mutex_lock(&dictionary->lock);
    dictionary->whole->busy[lane] = false;
    pthread_cond_signal(&dictionary->freed);
    pthread_mutex_unlock(&dictionary->lock);
}

/* What one call works with. */
struct encoding {
    const fathom_dictionary *dictionary;
    struct fathom__whole *whole;
    uint32_t lane;
    bool by_rank;             /* TopK or GroupMax without their threshold */
    bool all_covered;         /* the caller knows which rows are */
    float *x;                 /* [FATHOM__TILE_ROWS, stride] */
    uint16_t *x_bf16;         /* [n_layers, FATHOM__TILE_ROWS, read] */
    size_t first_tile, tiles; /* tiles of all layers are counted; those of one may be all that is wanted */
    float *products;          /* [tiles of all layers, FATHOM__TILE_ROWS, FATHOM__TILE_FEATURES] */
    float *norm;              /* [n_layers, FATHOM__TILE_ROWS] */
    bool *covered;
    struct fathom__candidates found, exact; /* of one row: by the product, and decided */
};

static int open_encoding(struct encoding *encoding) {
    encoding->tiles = encoding->dictionary->n_layers * encoding->whole->n_tiles;
    const size_t stride = encoding->dictionary->stride, width = encoding->tiles * FATHOM__TILE_FEATURES,
                 room = width + fathom__candidate_room(encoding->dictionary->info.k);
    int status = fathom__alloc_aligned(&encoding->x, FATHOM__TILE_ROWS * stride, sizeof *encoding->x);
    if (!status)
        status = fathom__alloc_aligned(&encoding->x_bf16, FATHOM__TILE_ROWS * stride, sizeof *encoding->x_bf16);
    if (!status)
        status = fathom__alloc_aligned(&encoding->products, FATHOM__TILE_ROWS * width, sizeof *encoding->products);
    if (!status)
        status =
            fathom__alloc(&encoding->norm, encoding->dictionary->n_layers * FATHOM__TILE_ROWS, sizeof *encoding->norm);
    if (!status) status = fathom__alloc(&encoding->covered, FATHOM__TILE_ROWS, sizeof *encoding->covered);
    if (!status) status = fathom__alloc(&encoding->found.values, room, sizeof *encoding->found.values);
    if (!status) status = fathom__alloc(&encoding->found.features, room, sizeof *encoding->found.features);
    if (!status) status = fathom__alloc(&encoding->exact.values, room, sizeof *encoding->exact.values);
    if (!status) status = fathom__alloc(&encoding->exact.features, room, sizeof *encoding->exact.features);
    if (!status) memset(encoding->x_bf16, 0, FATHOM__TILE_ROWS * stride * sizeof *encoding->x_bf16);
    return status;
}

static void close_encoding(struct encoding *encoding) {
    fathom_free(encoding->x);
    fathom_free(encoding->x_bf16);
    fathom_free(encoding->products);
    fathom_free(encoding->norm);
    fathom_free(encoding->covered);
    fathom_free(encoding->found.values);
    fathom_free(encoding->found.features);
    fathom_free(encoding->exact.values);
    fathom_free(encoding->exact.features);
}

static int load_rows(struct encoding *encoding, const float *rows, const int32_t *positions, size_t first, size_t n) {
    const fathom_dictionary *dictionary = encoding->dictionary;
    const size_t d = dictionary->info.d_in, stride = dictionary->stride, read = dictionary->read;
    for (size_t r = 0; r < n; r++) {
        const float *row = rows + (first + r) * d;
        float *x = encoding->x + r * stride;
        encoding->covered[r] = encoding->all_covered ||
                               fathom_dictionary_covers(dictionary, row, positions ? positions[first + r] : INT32_MAX);
        if (encoding->covered[r])
            fathom__dictionary_input(x, dictionary, row);
        else
            memset(x, 0, stride * sizeof *x);
        for (size_t l = 0; l < dictionary->n_layers; l++) {
            const float *part = x + l * read, squares = fathom__dot(part, part, read);
            if (!isfinite(squares))
                return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: row %zu to encode is not finite", dictionary->info.path,
                                    first + r);
            encoding->norm[l * FATHOM__TILE_ROWS + r] = sqrtf(squares);
            fathom__row_to_bf16(encoding->x_bf16 + (l * FATHOM__TILE_ROWS + r) * read, part, read);
        }
    }
    return 0;
}

static float exact_product(const struct encoding *encoding, size_t r, uint32_t feature) {
    const fathom_dictionary *dictionary = encoding->dictionary;
    const size_t read = dictionary->read;
    return fathom__dot(encoding->x + r * dictionary->stride + feature / dictionary->layer_features * read,
                       encoding->whole->encoder + feature * read, read);
}

static const float *tile_row(const struct encoding *encoding, size_t tile, size_t r) {
    return encoding->products + (tile * FATHOM__TILE_ROWS + r) * FATHOM__TILE_FEATURES;
}

/* How far the rounded product of a row with a tile's features may be from the exact one. */
static float margin(const struct encoding *encoding, size_t r, size_t tile) {
    const struct fathom__whole *whole = encoding->whole;
    return ROUNDING * encoding->norm[tile / whole->n_tiles * FATHOM__TILE_ROWS + r] * whole->tile_norm[tile];
}

/* All features whose product lies above `floor` less the rounding's bound are computed again; those that are active
 * stay, in `exact`. */
static void gather(struct encoding *encoding, size_t r, const float *bias, float floor) {
    const struct fathom__whole *whole = encoding->whole;
    struct fathom__candidates *found = &encoding->found, *exact = &encoding->exact;
    found->n = exact->n = 0;
    exact->floor = 0;
    for (size_t tile = encoding->first_tile; tile < encoding->tiles; tile++) {
        const uint32_t first = (uint32_t)tile_first(encoding->dictionary, whole, tile);
        fathom__offer_above(found->values, found->features, &found->n, floor - margin(encoding, r, tile),
                            tile_row(encoding, tile, r), bias + first, first,
                            tile_width(encoding->dictionary, whole, tile));
    }
    for (size_t i = 0; i < found->n; i++) {
        const uint32_t feature = found->features[i];
        const float product = exact_product(encoding, r, feature),
                    value = encoding->by_rank ? product + whole->bias[feature]
                                              : fathom__dictionary_value(encoding->dictionary, feature, product);
        if (!(value > 0)) continue;
        exact->values[exact->n] = value;
        exact->features[exact->n++] = feature;
    }
}

/* The k largest: the k-th largest product bounds the k-th largest value from below, up to the rounding of both. */
static void gather_topk(struct encoding *encoding, size_t r) {
    const struct fathom__whole *whole = encoding->whole;
    const uint32_t k = encoding->dictionary->info.k;
    struct fathom__candidates *found = &encoding->found;
    float largest = 0; /* of all margins */
    found->n = 0;
    found->floor = 0;
    for (size_t tile = encoding->first_tile; tile < encoding->tiles; tile++) {
        const uint32_t first = (uint32_t)tile_first(encoding->dictionary, whole, tile);
        fathom__offer(found, k, tile_row(encoding, tile, r), whole->bias + first, first,
                      tile_width(encoding->dictionary, whole, tile));
        if (margin(encoding, r, tile) > largest) largest = margin(encoding, r, tile);
    }
    fathom__settle(found, k);
    const float floor = found->n < k ? 0 : found->floor - largest;
    gather(encoding, r, whole->bias, floor);
    fathom__settle(&encoding->exact, k);
}

/* The largest of each group of neighbours; of equal ones the first. */
static void gather_groups(struct encoding *encoding, size_t r) {
    const uint32_t width = encoding->dictionary->info.n_features / encoding->dictionary->info.k;
    struct fathom__candidates *exact = &encoding->exact;
    size_t kept = 0;
    gather(encoding, r, encoding->whole->bias, 0);
    for (size_t i = 0; i < exact->n; i++) {
        const bool same = kept > 0 && exact->features[kept - 1] / width == exact->features[i] / width;
        if (same && exact->values[i] <= exact->values[kept - 1]) continue;
        kept += !same;
        exact->values[kept - 1] = exact->values[i];
        exact->features[kept - 1] = exact->features[i];
    }
    exact->n = kept;
}

static int append(struct fathom_sparse *out, const struct fathom__candidates *active) {
    const size_t n = active->n, at = out->offsets[out->n_rows];
    size_t capacity = out->capacity;
    int status = fathom__grow(&out->features, &capacity, at + n, sizeof *out->features);
    if (!status && capacity != out->capacity) {
        size_t values = out->capacity;
        status = fathom__grow(&out->values, &values, capacity, sizeof *out->values);
    }
    if (status) return status;
    out->capacity = capacity;
    if (n) memcpy(out->features + at, active->features, n * sizeof *out->features);
    if (n) memcpy(out->values + at, active->values, n * sizeof *out->values);
    out->offsets[++out->n_rows] = at + n;
    return 0;
}

static int encode_block(struct fathom_sparse *out, struct encoding *encoding, const float *rows,
                        const int32_t *positions, size_t first, size_t n) {
    int status = load_rows(encoding, rows, positions, first, n);
    const struct fathom__whole *whole = encoding->whole;
    for (size_t tile = encoding->first_tile; !status && tile < encoding->tiles; tile += whole->n_tiles) {
        const size_t layer = tile / whole->n_tiles;
        status = fathom__dense_run(encoding->products + tile * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES,
                                   whole->products[layer], encoding->lane, 0, whole->n_tiles,
                                   encoding->x_bf16 + layer * FATHOM__TILE_ROWS * encoding->dictionary->read, n);
    }
    for (size_t r = 0; r < n && !status; r++) {
        encoding->exact.n = 0;
        if (encoding->covered[r] && !encoding->by_rank)
            gather(encoding, r, encoding->whole->shifted_bias, 0);
        else if (encoding->covered[r] && encoding->dictionary->kind == FATHOM__KIND_TOPK)
            gather_topk(encoding, r);
        else if (encoding->covered[r])
            gather_groups(encoding, r);
        status = append(out, &encoding->exact);
    }
    return status;
}

/* Rows by those features of an encoding that are wanted: all, or those of one layer. */
static int encode_rows(struct fathom_sparse *out, struct encoding *encoding, const float *rows,
                       const int32_t *positions, size_t n_rows, uint32_t layer) {
    fathom_dictionary *dictionary = mutable(encoding->dictionary);
    int status = fathom__dictionary_whole(&encoding->whole, dictionary);
    if (status) return status;
    out->n_rows = 0;
    status = fathom__grow(&out->offsets, &out->row_capacity, n_rows + 1, sizeof *out->offsets);
    if (!status) out->offsets[0] = 0;
    if (!status) status = open_encoding(encoding);
    if (!status && layer != FATHOM__ALL_LAYERS) {
        encoding->first_tile = layer * encoding->whole->n_tiles;
        encoding->tiles = encoding->first_tile + encoding->whole->n_tiles;
    }
    if (!status) {
        encoding->lane = take_lane(dictionary);
        for (size_t first = 0; first < n_rows && !status; first += FATHOM__TILE_ROWS)
            status = encode_block(out, encoding, rows, positions, first,
                                  n_rows - first < FATHOM__TILE_ROWS ? n_rows - first : FATHOM__TILE_ROWS);
        give_lane(dictionary, encoding->lane);
    }
    close_encoding(encoding);
    return status;
}

static bool ranks(const fathom_dictionary *dictionary) {
    return dictionary->kind == FATHOM__KIND_TOPK || dictionary->kind == FATHOM__KIND_GROUPMAX;
}

int fathom_dictionary_encode(struct fathom_sparse *out, const fathom_dictionary *dictionary, const float *rows,
                             const int32_t *positions, size_t n_rows, enum fathom_encode_mode mode) {
    struct encoding encoding = {.dictionary = dictionary,
                                .by_rank = ranks(dictionary) &&
                                           (mode == FATHOM_ENCODE_TRAIN || !dictionary->info.has_threshold)};
    return encode_rows(out, &encoding, rows, positions, n_rows, FATHOM__ALL_LAYERS);
}

bool fathom__dictionary_reads_layers(const fathom_dictionary *dictionary) {
    return dictionary->n_layers == 1 || dictionary->info.has_threshold;
}

int fathom__dictionary_encode_layer(struct fathom_sparse *out, const fathom_dictionary *dictionary, const float *rows,
                                    size_t n_rows, uint32_t layer) {
    struct encoding encoding = {
        .dictionary = dictionary, .by_rank = ranks(dictionary) && !dictionary->info.has_threshold, .all_covered = true};
    return encode_rows(out, &encoding, rows, NULL, n_rows, layer);
}

void fathom_sparse_free(struct fathom_sparse *sparse) {
    fathom_free(sparse->offsets);
    fathom_free(sparse->features);
    fathom_free(sparse->values);
    *sparse = (struct fathom_sparse)FATHOM_SPARSE_INIT;
}
