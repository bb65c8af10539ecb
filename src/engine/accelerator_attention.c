/* The accelerator's attention: blocks of queries against the range of keys that their mask leaves alive, both products
 * in bf16. Sequences that share one cache thus cost what they would cost alone. */
#include "engine/accelerator_parts.h"

#if FATHOM__ACCELERATOR

#include "base/error.h"
#include "engine/vector.h"
#include <ggml-cpu.h>
#include <math.h>
#include <string.h>

#define QUERY_BLOCK 64
/* Ranges of keys start and end at multiples of this, so that few shapes of product occur. */
#define KEY_BLOCK 64
#define LONGEST_HEAD 1024
#define F16_MINUS_INFINITY 0xfc00u

/* Keys [from, to). */
struct range {
    int64_t from, to;
};

struct attention {
    struct fathom__worker *worker;
    const struct ggml_tensor *q, *k, *v, *mask;
    struct ggml_tensor *out;
    int64_t d_key, d_value, n_queries, n_keys, n_heads, n_heads_kv, group;
    float scale, softcap;
    fathom__bf16 *keys, *values; /* [n_heads_kv, n_keys, d] of one stream */
    fathom__bf16 *queries;       /* [group, rows, d_key] of one block */
    float *scores;               /* [group, rows, range] */
    fathom__bf16 *weights;       /* the same after softmax, not yet divided by the sums */
    float *sums;                 /* [group, rows, d_value]: weighted values */
    float *mask_rows;            /* [rows, range] */
    struct range *ranges;
};

bool fathom__attention_supports(const struct ggml_tensor *node) {
    const struct ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2], *mask = node->src[3];
    float alibi;
    memcpy(&alibi, &node->op_params[1], sizeof alibi);
    return mask && !node->src[4] && alibi == 0.0f && q->type == GGML_TYPE_F32 && k->type == GGML_TYPE_F16 &&
           v->type == GGML_TYPE_F16 && mask->type == GGML_TYPE_F16 && q->nb[0] == sizeof(float) &&
           k->nb[0] == sizeof(ggml_fp16_t) && v->nb[0] == sizeof(ggml_fp16_t) && mask->nb[0] == sizeof(ggml_fp16_t) &&
           mask->ne[2] == 1 && q->ne[0] % FATHOM__LANES == 0 && v->ne[0] % FATHOM__LANES == 0 &&
           q->ne[0] <= LONGEST_HEAD && v->ne[0] <= LONGEST_HEAD && k->ne[1] % KEY_BLOCK == 0 &&
           q->ne[2] % k->ne[2] == 0 && k->ne[2] == v->ne[2] && q->ne[3] == k->ne[3] && ggml_is_contiguous(node);
}

/* One head's rows of keys or values, from the cache's f16. */
static void read_cache(fathom__bf16 *out, const struct ggml_tensor *cache, int64_t stream, int64_t first,
                       int64_t last) {
    float row[LONGEST_HEAD];
    const int64_t d = cache->ne[0], n = cache->ne[1];
    for (int64_t head = 0; head < cache->ne[2]; head++) {
        for (int64_t i = first; i < last; i++) {
            const char *from = (const char *)cache->data + (size_t)i * cache->nb[1] + (size_t)head * cache->nb[2] +
                               (size_t)stream * cache->nb[3];
            fathom__bf16 *to = out + (head * n + i) * d;
            ggml_cpu_fp16_to_fp32((const ggml_fp16_t *)(const void *)from, row, d);
            fathom__to_bf16(to, row, (size_t)d);
        }
    }
}

static const ggml_fp16_t *mask_row(const struct attention *a, int64_t stream, int64_t query) {
    const int64_t s = stream % a->mask->ne[3];
    return (const ggml_fp16_t *)(const void *)((const char *)a->mask->data + (size_t)query * a->mask->nb[1] +
                                               (size_t)s * a->mask->nb[3]);
}

/* The keys that any of the queries [first, last) sees. */
static struct range live_range(const struct attention *a, int64_t stream, int64_t first, int64_t last) {
    int64_t low = a->n_keys, high = 0;
    for (int64_t query = first; query < last; query++) {
        const ggml_fp16_t *row = mask_row(a, stream, query);
        int64_t i = 0;
        while (i < low && row[i] == F16_MINUS_INFINITY)
            i++;
        low = i < low ? i : low;
        i = a->n_keys;
        while (i > high && row[i - 1] == F16_MINUS_INFINITY)
            i--;
        high = i > high ? i : high;
    }
    return (struct range){low / KEY_BLOCK * KEY_BLOCK, (high + KEY_BLOCK - 1) / KEY_BLOCK * KEY_BLOCK};
}

/* Ranges of all blocks, kept from layer to layer: [streams, blocks]. */
static int find_ranges(struct attention *a) {
    const int64_t blocks = (a->n_queries + QUERY_BLOCK - 1) / QUERY_BLOCK, streams = a->q->ne[3];
    const int status =
        fathom__scratch_hold(&a->ranges, &a->worker->ranges, (size_t)(blocks * streams) * sizeof *a->ranges);
    if (status != FATHOM_OK || a->worker->ranged_mask == a->mask) return status;
    for (int64_t i = 0; i < blocks * streams; i++) {
        const int64_t first = i % blocks * QUERY_BLOCK, last = first + QUERY_BLOCK;
        a->ranges[i] = live_range(a, i / blocks, first, last < a->n_queries ? last : a->n_queries);
    }
    a->worker->ranged_mask = a->mask;
    return FATHOM_OK;
}

static void read_queries(struct attention *a, int64_t stream, int64_t head_kv, int64_t first, int64_t rows) {
    const float scale = a->softcap != 0.0f ? a->scale / a->softcap : a->scale;
    for (int64_t h = 0; h < a->group; h++) {
        for (int64_t r = 0; r < rows; r++) {
            const char *from = (const char *)a->q->data + (size_t)(first + r) * a->q->nb[1] +
                               (size_t)(head_kv * a->group + h) * a->q->nb[2] + (size_t)stream * a->q->nb[3];
            fathom__bf16 *to = a->queries + (h * rows + r) * a->d_key;
            for (int64_t j = 0; j < a->d_key; j += FATHOM__LANES)
                fathom__v_store_bf16(to + j, fathom__v_load((const float *)(const void *)from + j) * scale);
        }
    }
}

/* e^(score - greatest) into weights; returns what to divide by. A row without live keys has weights 0. */
static float soften_row(fathom__bf16 *weights, float *scores, const float *mask, int64_t n, float softcap) {
    fathom__v greatest = fathom__v_all(-INFINITY), sum = fathom__v_all(0.0f);
    for (int64_t j = 0; j < n; j += FATHOM__LANES) {
        fathom__v s = fathom__v_load(scores + j);
        if (softcap != 0.0f) s = softcap * fathom__v_tanh(s);
        s += fathom__v_load(mask + j);
        fathom__v_store(scores + j, s);
        greatest = fathom__v_max(s, greatest);
    }
    const float top = fathom__v_greatest(greatest);
    const float shift = top == -INFINITY ? 0.0f : top;
    for (int64_t j = 0; j < n; j += FATHOM__LANES) {
        const fathom__v e = fathom__v_exp(fathom__v_load(scores + j) - shift);
        sum += e;
        fathom__v_store_bf16(weights + j, e);
    }
    return fathom__v_sum(sum);
}

static void write_sums(const struct attention *a, float *divisors, int64_t stream, int64_t head_kv, int64_t first,
                       int64_t rows) {
    for (int64_t h = 0; h < a->group; h++) {
        for (int64_t r = 0; r < rows; r++) {
            const float *from = a->sums + (h * rows + r) * a->d_value;
            float *to = (float *)a->out->data +
                        ((stream * a->n_queries + first + r) * a->n_heads + head_kv * a->group + h) * a->d_value;
            const float divisor = divisors[h * rows + r], factor = divisor > 0.0f ? 1.0f / divisor : 0.0f;
            for (int64_t j = 0; j < a->d_value; j += FATHOM__LANES)
                fathom__v_store(to + j, fathom__v_load(from + j) * factor);
        }
    }
}

static int attend_head(struct attention *a, float *divisors, int64_t stream, int64_t head_kv, int64_t first,
                       int64_t rows, int64_t from, int64_t to) {
    const int64_t range = to - from, n = a->group * rows;
    const struct fathom__product_shape match = {.m = n, .n = range, .k = a->d_key, .right = FATHOM__RIGHT_ROWS};
    const struct fathom__product_shape gather = {.m = n, .n = a->d_value, .k = range, .right = FATHOM__RIGHT_COLUMNS};
    struct fathom__products *products = a->worker->products;
    read_queries(a, stream, head_kv, first, rows);
    int status = fathom__product_run(products, &match, a->queries, a->keys + (head_kv * a->n_keys + from) * a->d_key,
                                     a->scores, NULL);
    if (status != FATHOM_OK) return status;
    for (int64_t i = 0; i < n; i++)
        divisors[i] = soften_row(a->weights + i * range, a->scores + i * range, a->mask_rows + (i % rows) * range,
                                 range, a->softcap);
    status = fathom__product_run(products, &gather, a->weights, a->values + (head_kv * a->n_keys + from) * a->d_value,
                                 a->sums, NULL);
    if (status == FATHOM_OK) write_sums(a, divisors, stream, head_kv, first, rows);
    return status;
}

static int attend_block(struct attention *a, float *divisors, int64_t stream, int64_t first, int64_t rows,
                        struct range live) {
    const int64_t from = live.from, to = live.to;
    int status = FATHOM_OK;
    if (from >= to) {
        for (int64_t r = 0; r < rows; r++)
            memset((float *)a->out->data + (stream * a->n_queries + first + r) * a->n_heads * a->d_value, 0,
                   (size_t)(a->n_heads * a->d_value) * sizeof(float));
        return FATHOM_OK;
    }
    for (int64_t r = 0; r < rows; r++)
        ggml_cpu_fp16_to_fp32(mask_row(a, stream, first + r) + from, a->mask_rows + r * (to - from), to - from);
    for (int64_t head = 0; head < a->n_heads_kv && status == FATHOM_OK; head++)
        status = attend_head(a, divisors, stream, head, first, rows, from, to);
    return status;
}

static int hold_memory(struct attention *a, float **divisors) {
    struct fathom__worker *w = a->worker;
    const size_t rows = QUERY_BLOCK * (size_t)a->group, keys = (size_t)a->n_keys, heads = (size_t)a->n_heads_kv;
    int status = fathom__scratch_hold(&a->keys, &w->keys, heads * keys * (size_t)a->d_key * sizeof *a->keys);
    if (status == FATHOM_OK)
        status = fathom__scratch_hold(&a->values, &w->values, heads * keys * (size_t)a->d_value * sizeof *a->values);
    if (status == FATHOM_OK)
        status = fathom__scratch_hold(&a->queries, &w->queries, rows * (size_t)a->d_key * sizeof *a->queries);
    if (status == FATHOM_OK) status = fathom__scratch_hold(&a->scores, &w->scores, rows * keys * sizeof *a->scores);
    if (status == FATHOM_OK) status = fathom__scratch_hold(&a->weights, &w->weights, rows * keys * sizeof *a->weights);
    if (status == FATHOM_OK)
        status = fathom__scratch_hold(&a->sums, &w->sums, rows * (size_t)(a->d_value + 1) * sizeof *a->sums);
    if (status == FATHOM_OK)
        status = fathom__scratch_hold(&a->mask_rows, &w->mask, QUERY_BLOCK * keys * sizeof *a->mask_rows);
    if (status == FATHOM_OK) *divisors = a->sums + rows * (size_t)a->d_value;
    return status;
}

static struct range union_of(const struct range *ranges, int64_t n) {
    struct range all = ranges[0];
    for (int64_t i = 1; i < n; i++) {
        all.from = ranges[i].from < all.from ? ranges[i].from : all.from;
        all.to = ranges[i].to > all.to ? ranges[i].to : all.to;
    }
    return all;
}

int fathom__attention_compute(struct fathom__worker *worker, struct ggml_tensor *node) {
    struct attention a = {
        .worker = worker, .q = node->src[0], .k = node->src[1], .v = node->src[2], .mask = node->src[3], .out = node};
    float *divisors;
    a.d_key = a.k->ne[0];
    a.d_value = a.v->ne[0];
    a.n_queries = a.q->ne[1];
    a.n_keys = a.k->ne[1];
    a.n_heads = a.q->ne[2];
    a.n_heads_kv = a.k->ne[2];
    a.group = a.n_heads / a.n_heads_kv;
    memcpy(&a.scale, &node->op_params[0], sizeof a.scale);
    memcpy(&a.softcap, &node->op_params[2], sizeof a.softcap);
    int status = hold_memory(&a, &divisors);
    if (status == FATHOM_OK) status = find_ranges(&a);
    const struct range *live = a.ranges;
    for (int64_t stream = 0; stream < a.q->ne[3] && status == FATHOM_OK; stream++) {
        const struct range all = union_of(live, (a.n_queries + QUERY_BLOCK - 1) / QUERY_BLOCK);
        read_cache(a.keys, a.k, stream, all.from, all.to);
        read_cache(a.values, a.v, stream, all.from, all.to);
        for (int64_t first = 0; first < a.n_queries && status == FATHOM_OK; first += QUERY_BLOCK) {
            const int64_t left = a.n_queries - first;
            status = attend_block(&a, divisors, stream, first, left < QUERY_BLOCK ? left : QUERY_BLOCK, *live++);
        }
    }
    return status;
}

#endif
