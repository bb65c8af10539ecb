#include <dictionary/select.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum { LANES = 16 };

/* Appends those of the first `n` of 16 sums that lie above the floor, and returns how many there are then. */
static inline size_t append(float *values_out, uint32_t *features_out, size_t count, float floor, const float *values,
                            const float *bias, uint32_t first, size_t n) {
#ifdef __AVX512F__
    const __mmask16 valid = (__mmask16)((1U << n) - 1);
    const __m512 sums = _mm512_add_ps(_mm512_maskz_loadu_ps(valid, values), _mm512_maskz_loadu_ps(valid, bias));
    const __mmask16 above = _mm512_mask_cmp_ps_mask(valid, sums, _mm512_set1_ps(floor), _CMP_GT_OQ);
    if (!above) return count;
    const __m512i numbers = _mm512_add_epi32(_mm512_set1_epi32((int)first),
                                             _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    _mm512_storeu_ps(values_out + count, _mm512_maskz_compress_ps(above, sums));
    _mm512_storeu_si512(features_out + count, _mm512_maskz_compress_epi32(above, numbers));
    return count + (size_t)__builtin_popcount(above);
#else
    for (size_t i = 0; i < n; i++) {
        const float sum = values[i] + bias[i];
        values_out[count] = sum;
        features_out[count] = first + (uint32_t)i;
        count += sum > floor;
    }
    return count;
#endif
}

#ifdef __AVX512F__
/* Whether any of 64 sums lies above the floor: mostly none does. */
static inline int any_above(float floor, const float *values, const float *bias) {
    const __m512 least = _mm512_set1_ps(floor);
    const __m512 a = _mm512_max_ps(_mm512_add_ps(_mm512_loadu_ps(values), _mm512_loadu_ps(bias)),
                                   _mm512_add_ps(_mm512_loadu_ps(values + LANES), _mm512_loadu_ps(bias + LANES)));
    const __m512 b =
        _mm512_max_ps(_mm512_add_ps(_mm512_loadu_ps(values + 2 * LANES), _mm512_loadu_ps(bias + 2 * LANES)),
                      _mm512_add_ps(_mm512_loadu_ps(values + 3 * LANES), _mm512_loadu_ps(bias + 3 * LANES)));
    return _mm512_cmp_ps_mask(_mm512_max_ps(a, b), least, _CMP_GT_OQ) != 0;
}
#endif

void fathom__offer_above(float *values_out, uint32_t *features_out, size_t *n_out, float floor, const float *values,
                         const float *bias, uint32_t first, size_t n) {
    size_t count = *n_out, j = 0;
#ifdef __AVX512F__
    for (; j + 4 * LANES <= n; j += 4 * LANES) {
        if (!any_above(floor, values + j, bias + j)) continue;
        for (size_t i = j; i < j + 4 * LANES; i += LANES)
            count = append(values_out, features_out, count, floor, values + i, bias + i, first + (uint32_t)i, LANES);
    }
#endif
    for (; j < n; j += LANES)
        count = append(values_out, features_out, count, floor, values + j, bias + j, first + (uint32_t)j,
                       n - j < LANES ? n - j : LANES);
    *n_out = count;
}

/* Candidates are cut down when more than this many are held: seldom enough to cost little, soon enough for a high
 * floor. */
static size_t patience(size_t k) {
    return k + (k > 64 ? k : 64);
}

/* So many sums are offered before candidates are counted: few, since there must be room for all of them. */
enum { STRIP = 4 * LANES };

size_t fathom__candidate_room(size_t k) {
    return patience(k) + STRIP + FATHOM__OFFER_SLACK;
}

void fathom__offer(struct fathom__candidates *candidates, size_t k, const float *values, const float *bias,
                   uint32_t first, size_t n) {
    for (size_t j = 0; j < n; j += STRIP) {
        fathom__offer_above(candidates->values, candidates->features, &candidates->n, candidates->floor, values + j,
                            bias + j, first + (uint32_t)j, n - j < STRIP ? n - j : STRIP);
        if (candidates->n > patience(k)) fathom__settle(candidates, k);
    }
}

/* Positive floats are ordered as their bits are, and integers are what compilers count fastest. */
typedef uint32_t __attribute__((may_alias)) word;

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float value_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t count_from(const word *bits, uint32_t n, uint32_t least) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += bits[i] >= least;
    return count;
}

/* A value that k or more candidates reach: exactly k, or the k-th largest itself where it occurs several times.
 * *reached gets how many reach it. */
static float find_cut(uint32_t *reached, const struct fathom__candidates *candidates, size_t k) {
    const word *bits = (const word *)candidates->values;
    const uint32_t n = (uint32_t)candidates->n;
    uint32_t low = bits_of(candidates->floor), high = 0, at_low = n;
    for (uint32_t i = 0; i < n; i++)
        high = bits[i] > high ? bits[i] : high;
    while (low < high && at_low != k) {
        const uint32_t middle = low + (high - low + 1) / 2, count = count_from(bits, n, middle);
        if (count >= k) {
            low = middle;
            at_low = count;
        } else {
            high = middle - 1;
        }
    }
    *reached = at_low;
    return value_of(low);
}

/* Brings positive candidates that reach the cut to the front, in their order, and returns their number. */
static size_t keep_from(struct fathom__candidates *candidates, float cut) {
    float *values = candidates->values;
    uint32_t *features = candidates->features;
    size_t kept = 0, i = 0;
#ifdef __AVX512F__
    const __m512 least = _mm512_set1_ps(cut), zero = _mm512_setzero_ps();
    for (; i + LANES <= candidates->n; i += LANES) {
        const __m512 value = _mm512_loadu_ps(values + i);
        const __m512i feature = _mm512_loadu_si512(features + i);
        const __mmask16 stays =
            _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(value, least, _CMP_GE_OQ), value, zero, _CMP_GT_OQ);
        _mm512_storeu_ps(values + kept, _mm512_maskz_compress_ps(stays, value));
        _mm512_storeu_si512(features + kept, _mm512_maskz_compress_epi32(stays, feature));
        kept += (size_t)__builtin_popcount(stays);
    }
#endif
    for (; i < candidates->n; i++) {
        const float value = values[i];
        values[kept] = value;
        features[kept] = features[i];
        kept += value >= cut && value > 0;
    }
    return kept;
}

void fathom__settle(struct fathom__candidates *candidates, size_t k) {
    if (candidates->n < k) return;
    uint32_t reached, least = UINT32_MAX;
    const float cut = find_cut(&reached, candidates, k);
    size_t surplus = reached - k; /* of those equal to the cut, the last ones go */
    for (size_t i = candidates->n; surplus > 0; i--)
        if (candidates->values[i - 1] == cut) {
            candidates->values[i - 1] = 0;
            surplus--;
        }
    const size_t kept = keep_from(candidates, cut);
    const word *bits = (const word *)candidates->values;
    for (size_t i = 0; i < kept; i++)
        least = bits[i] < least ? bits[i] : least;
    candidates->n = kept;
    candidates->floor = value_of(least);
}
