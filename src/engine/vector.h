/* Sixteen floats at a time, by the compiler's vector types: one source for every instruction set. */
#ifndef FATHOM_ENGINE_VECTOR_H
#define FATHOM_ENGINE_VECTOR_H

#include <stdint.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#define FATHOM__LANES 16

typedef float fathom__v __attribute__((vector_size(64)));
typedef int32_t fathom__vi __attribute__((vector_size(64)));
typedef uint32_t fathom__vu __attribute__((vector_size(64)));
typedef uint16_t fathom__vh __attribute__((vector_size(32)));

static inline fathom__v fathom__v_load(const float *from) {
    fathom__v v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void fathom__v_store(float *to, fathom__v v) {
    memcpy(to, &v, sizeof v);
}

static inline fathom__v fathom__v_all(float x) {
    return (fathom__v){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

static inline fathom__v fathom__v_select(fathom__vi mask, fathom__v yes, fathom__v no) {
    return (fathom__v)((mask & (fathom__vi)yes) | (~mask & (fathom__vi)no));
}

static inline fathom__v fathom__v_max(fathom__v a, fathom__v b) {
    return fathom__v_select(a > b, a, b);
}

/* x1 x0 x3 x2 … */
static inline fathom__v fathom__v_swap_pairs(fathom__v x) {
#ifdef __clang__
    return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#else
    return __builtin_shuffle(x, (fathom__vi){1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14});
#endif
}

static inline float fathom__v_sum(fathom__v v) {
    float lanes[FATHOM__LANES];
    memcpy(lanes, &v, sizeof lanes);
    for (int width = FATHOM__LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

static inline float fathom__v_greatest(fathom__v v) {
    float lanes[FATHOM__LANES];
    memcpy(lanes, &v, sizeof lanes);
    for (int i = 1; i < FATHOM__LANES; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}

/* e^x to about 2 units in the last place; 0 below -87 (also for -inf), capped at e^88. x = n ln 2 + r with |r| <= ln 2
 * / 2, and a polynomial for e^r (Cephes' coefficients). */
static inline fathom__v fathom__v_exp(fathom__v x) {
    const fathom__v least = fathom__v_all(-87.0f), most = fathom__v_all(88.0f);
    const fathom__vi vanishes = x < least;
    x = fathom__v_select(x > most, most, x);
    x = fathom__v_select(vanishes, least, x);
    const fathom__v round =
        fathom__v_all(12582912.0f); /* 1.5 · 2^23: adding it leaves the nearest integer in the low bits */
    const fathom__v shifted = x * 1.44269504f + round;
    const fathom__v n = shifted - round;
    const fathom__v r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    fathom__v p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const fathom__vi power = (((fathom__vi)shifted - (fathom__vi)round) + 127) << 23;
    const fathom__v result = p * (fathom__v)power;
    return (fathom__v)((fathom__vi)result & ~vanishes);
}

/* tanh x = 1 - 2 / (e^2x + 1) */
static inline fathom__v fathom__v_tanh(fathom__v x) {
    return 1.0f - 2.0f / (fathom__v_exp(x + x) + 1.0f);
}

/* Rounded to nearest, ties to even. NaN stays NaN. */
static inline void fathom__v_store_bf16(uint16_t *to, fathom__v v) {
#ifdef __AVX512BF16__
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
    memcpy(to, &rounded, sizeof rounded);
#else
    const fathom__vu bits = (fathom__vu)v;
    const fathom__vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const fathom__vu quiet = (bits >> 16) | 0x40u;
    const fathom__vu is_nan = (fathom__vu)(v != v);
    const fathom__vh half = __builtin_convertvector((is_nan & quiet) | (~is_nan & rounded), fathom__vh);
    memcpy(to, &half, sizeof half);
#endif
}

#endif
