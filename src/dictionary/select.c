#include <dictionary/select.h>
#include <stdlib.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum { LANES = 16, SMALL = 12 };

static void swap(uint64_t *a, uint64_t *b) {
    uint64_t kept = *a;
    *a = *b;
    *b = kept;
}

static void sort_descending(uint64_t *keys, size_t n) {
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t j = i;
        for (; j > 0 && keys[j - 1] < key; j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

static uint64_t median3(uint64_t a, uint64_t b, uint64_t c) {
    if (a > b) swap(&a, &b);
    if (b > c) b = c;
    return a > b ? a : b;
}

void fathom__select_keys(uint64_t *keys, size_t n, size_t k) {
    size_t first = 0, last = n; /* the boundary k lies within [first, last) */
    while (last - first > SMALL && k > first && k < last) {
        const uint64_t pivot = median3(keys[first], keys[first + (last - first) / 2], keys[last - 1]);
        size_t i = first, j = last - 1;
        for (;;) {
            while (keys[i] > pivot)
                i++;
            while (keys[j] < pivot)
                j--;
            if (i >= j) break;
            swap(&keys[i++], &keys[j--]);
        }
        /* Keys before i are >= pivot, keys from i on are <= pivot; a pivot at i == j belongs to the left. */
        const size_t middle = i == j ? i + 1 : i;
        if (middle >= last || middle <= first) break;
        if (k <= middle)
            last = middle;
        else
            first = middle;
    }
    if (k > first && k < last) sort_descending(keys + first, last - first);
}

static int by_feature(const void *a, const void *b) {
    const uint32_t x = fathom__key_feature(*(const uint64_t *)a), y = fathom__key_feature(*(const uint64_t *)b);
    return (x > y) - (x < y);
}

void fathom__sort_by_feature(uint64_t *keys, size_t n) {
    qsort(keys, n, sizeof *keys, by_feature);
}

/* Which of 16 values lie above the floor, as bits. */
static inline uint32_t above(const float *values, const float *bias, float floor) {
#ifdef __AVX512F__
    const __m512 sums = _mm512_add_ps(_mm512_loadu_ps(values), _mm512_loadu_ps(bias));
    return _mm512_cmp_ps_mask(sums, _mm512_set1_ps(floor), _CMP_GT_OQ);
#else
    uint32_t bits = 0;
    for (unsigned i = 0; i < LANES; i++)
        bits |= (uint32_t)(values[i] + bias[i] > floor) << i;
    return bits;
#endif
}

void fathom__offer_above(uint64_t *keys, size_t *n, float floor, const float *values, const float *bias, uint32_t first,
                         size_t n_valid) {
    size_t count = *n, j = 0;
    for (; j + LANES <= n_valid; j += LANES)
        for (uint32_t bits = above(values + j, bias + j, floor); bits; bits &= bits - 1) {
            const size_t i = j + (size_t)__builtin_ctz(bits);
            keys[count++] = fathom__key(values[i] + bias[i], first + (uint32_t)i);
        }
    for (; j < n_valid; j++)
        if (values[j] + bias[j] > floor) keys[count++] = fathom__key(values[j] + bias[j], first + (uint32_t)j);
    *n = count;
}

/* Candidates are cut down when more than this many are held: seldom enough to cost little, soon enough for a high floor. */
static size_t patience(size_t k) {
    return 2 * k + 64;
}

size_t fathom__candidate_room(size_t k, size_t width) {
    return patience(k) + width;
}

void fathom__offer(struct fathom__candidates *candidates, size_t k, const float *values, const float *bias,
                   uint32_t first, size_t n_valid) {
    fathom__offer_above(candidates->keys, &candidates->n, candidates->floor, values, bias, first, n_valid);
    if (candidates->n > patience(k)) fathom__settle(candidates, k);
}

void fathom__settle(struct fathom__candidates *candidates, size_t k) {
    if (candidates->n < k) return;
    fathom__select_keys(candidates->keys, candidates->n, k);
    candidates->n = k;
    uint64_t least = k ? candidates->keys[0] : 0;
    for (size_t i = 1; i < k; i++)
        if (candidates->keys[i] < least) least = candidates->keys[i];
    candidates->floor = fathom__key_value(least);
}
