#include <dictionary/row_sums.h>
#include <dictionary/vector.h>

static inline const uint16_t *row_of(const struct fathom__some_rows *rows, size_t i) {
    return rows->matrix + rows->number[i] * rows->stride;
}

/* Columns from `begin` on by widening. */
static void add_columns(float *out, const uint16_t *weight, const struct fathom__some_rows *rows, size_t begin) {
    const size_t n = rows->stride - begin;
    size_t i = 0;
    out += begin;
    for (; i + 4 <= rows->n; i += 4) {
        const float weights[4] = {fathom__from_bf16(weight[i]), fathom__from_bf16(weight[i + 1]),
                                  fathom__from_bf16(weight[i + 2]), fathom__from_bf16(weight[i + 3])};
        const uint16_t *const four[4] = {row_of(rows, i) + begin, row_of(rows, i + 1) + begin,
                                         row_of(rows, i + 2) + begin, row_of(rows, i + 3) + begin};
        fathom__add_scaled4_bf16(out, weights, four, n);
    }
    for (; i < rows->n; i++)
        fathom__add_scaled_bf16(out, fathom__from_bf16(weight[i]), row_of(rows, i) + begin, n);
}

#ifdef __AVX512BF16__
#include <immintrin.h>

/* Bf16 numbers of a register; registers of columns that are summed at a time, so that the sums stay in registers; rows
 * that are multiplied at a time, each with its own sum. */
enum { WIDE = 2 * FATHOM__LANES, MOST = 12, HALF = 6, AT_ONCE = 4 };

static inline __m512i load(const uint16_t *in) {
    return _mm512_loadu_si512(in);
}

/* Adds to 2 · n_wide vectors of sums. Two rows are interleaved, and the instruction adds both their products; the sums
 * are of the columns in the order in which interleaving leaves them, and are put right at the end. */
static inline __attribute__((always_inline)) void
add_wide(float *out, const uint16_t *weight, const struct fathom__some_rows *rows, size_t begin, size_t n_wide) {
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
                  second = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    __m512 low[MOST], high[MOST];
    for (size_t v = 0; v < n_wide; v++)
        low[v] = high[v] = _mm512_setzero_ps();
    for (size_t i = 0; i < rows->n; i += 2) {
        const size_t other = i + 1 < rows->n ? i + 1 : i;
        const uint32_t both = weight[i] | (other > i ? (uint32_t)weight[other] << 16 : 0);
        const __m512bh weights = (__m512bh)_mm512_set1_epi32((int)both);
        const uint16_t *a = row_of(rows, i) + begin, *b = row_of(rows, other) + begin;
        for (size_t v = 0; v < n_wide; v++) {
            const __m512i x = load(a + v * WIDE), y = load(b + v * WIDE);
            low[v] = _mm512_dpbf16_ps(low[v], (__m512bh)_mm512_unpacklo_epi16(x, y), weights);
            high[v] = _mm512_dpbf16_ps(high[v], (__m512bh)_mm512_unpackhi_epi16(x, y), weights);
        }
    }
    for (size_t v = 0; v < n_wide; v++) {
        float *to = out + begin + v * WIDE;
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_permutex2var_ps(low[v], first, high[v])));
        to += FATHOM__LANES;
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_permutex2var_ps(low[v], second, high[v])));
    }
}

void fathom__add_rows(float *out, const uint16_t *weight, const struct fathom__some_rows *rows) {
    size_t j = 0;
    for (; j + MOST * WIDE <= rows->stride; j += MOST * WIDE)
        add_wide(out, weight, rows, j, MOST);
    for (; j + HALF * WIDE <= rows->stride; j += HALF * WIDE)
        add_wide(out, weight, rows, j, HALF);
    for (; j + 2 * WIDE <= rows->stride; j += 2 * WIDE)
        add_wide(out, weight, rows, j, 2);
    for (; j + WIDE <= rows->stride; j += WIDE)
        add_wide(out, weight, rows, j, 1);
    if (j < rows->stride) add_columns(out, weight, rows, j);
}

static inline __m512 tail_product(const uint16_t *x, const uint16_t *row) {
    return _mm512_mul_ps((__m512)fathom__widen(x), (__m512)fathom__widen(row));
}

void fathom__dot_rows(float *out, const uint16_t *x, const struct fathom__some_rows *rows) {
    const size_t stride = rows->stride, whole = stride / WIDE * WIDE;
    for (size_t i = 0; i < rows->n; i += AT_ONCE) {
        __m512 sum[AT_ONCE];
        const uint16_t *row[AT_ONCE];
        for (size_t a = 0; a < AT_ONCE; a++) {
            row[a] = row_of(rows, i + a < rows->n ? i + a : i);
            sum[a] = whole < stride ? tail_product(x + whole, row[a] + whole) : _mm512_setzero_ps();
        }
        for (size_t j = 0; j < whole; j += WIDE) {
            const __m512bh some = (__m512bh)load(x + j);
            for (size_t a = 0; a < AT_ONCE; a++)
                sum[a] = _mm512_dpbf16_ps(sum[a], some, (__m512bh)load(row[a] + j));
        }
        for (size_t a = 0; a < AT_ONCE && i + a < rows->n; a++)
            out[i + a] = _mm512_reduce_add_ps(sum[a]);
    }
}

#else

void fathom__add_rows(float *out, const uint16_t *weight, const struct fathom__some_rows *rows) {
    add_columns(out, weight, rows, 0);
}

void fathom__dot_rows(float *out, const uint16_t *x, const struct fathom__some_rows *rows) {
    for (size_t i = 0; i < rows->n; i++) {
        const uint16_t *row = row_of(rows, i);
        fathom__lanes sum = {0};
        for (size_t j = 0; j < rows->stride; j += FATHOM__LANES)
            sum += fathom__widen(x + j) * fathom__widen(row + j);
        out[i] = fathom__lanes_sum(&sum);
    }
}

#endif
