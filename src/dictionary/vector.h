/* Vectors of 16 floats in the compilers' portable vector type, and the few loops over rows that everything here is made
 * of.
 *
 * Rows are padded with zeros to a multiple of FATHOM__LANES floats, so that no loop has a tail. Sums have a fixed
 * order: the same input gives the same bits.
 */
#ifndef FATHOM_DICTIONARY_VECTOR_H
#define FATHOM_DICTIONARY_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FATHOM__LANES 16
#define FATHOM__CACHE_LINE 64 /* bytes */

typedef float fathom__lanes __attribute__((vector_size(4 * FATHOM__LANES), aligned(4), may_alias));

static inline size_t fathom__padded(size_t n) {
    return (n + FATHOM__LANES - 1) / FATHOM__LANES * FATHOM__LANES;
}

static inline float fathom__lanes_sum(const fathom__lanes *v) {
    float part[FATHOM__LANES];
    memcpy(part, v, sizeof part);
    for (int width = FATHOM__LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            part[i] += part[i + width];
    return part[0];
}

/* Σ a·b over n floats, n a multiple of FATHOM__LANES. */
static inline float fathom__dot(const float *a, const float *b, size_t n) {
    fathom__lanes even = {0}, odd = {0};
    size_t j = 0;
    for (; j + 2 * FATHOM__LANES <= n; j += 2 * FATHOM__LANES) {
        even += *(const fathom__lanes *)(a + j) * *(const fathom__lanes *)(b + j);
        odd += *(const fathom__lanes *)(a + j + FATHOM__LANES) * *(const fathom__lanes *)(b + j + FATHOM__LANES);
    }
    if (j < n) even += *(const fathom__lanes *)(a + j) * *(const fathom__lanes *)(b + j);
    even += odd;
    return fathom__lanes_sum(&even);
}

/* y += a·x */
static inline void fathom__add_scaled(float *y, float a, const float *x, size_t n) {
    for (size_t j = 0; j < n; j += FATHOM__LANES)
        *(fathom__lanes *)(y + j) += a * *(const fathom__lanes *)(x + j);
}

/* y += Σ a[i]·x[i] over four rows: y is read and written once for four rows. */
static inline void fathom__add_scaled4(float *y, const float a[4], const float *const x[4], size_t n) {
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    float a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
    for (size_t j = 0; j < n; j += FATHOM__LANES)
        *(fathom__lanes *)(y + j) += a0 * *(const fathom__lanes *)(x0 + j) + a1 * *(const fathom__lanes *)(x1 + j) +
                                     (a2 * *(const fathom__lanes *)(x2 + j) + a3 * *(const fathom__lanes *)(x3 + j));
}

/* out[i] = Σ a·x[i] for four rows. */
static inline void fathom__dot4(float out[4], const float *a, const float *const x[4], size_t n) {
    fathom__lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (size_t j = 0; j < n; j += FATHOM__LANES) {
        const fathom__lanes v = *(const fathom__lanes *)(a + j);
        s0 += v * *(const fathom__lanes *)(x[0] + j);
        s1 += v * *(const fathom__lanes *)(x[1] + j);
        s2 += v * *(const fathom__lanes *)(x[2] + j);
        s3 += v * *(const fathom__lanes *)(x[3] + j);
    }
    out[0] = fathom__lanes_sum(&s0);
    out[1] = fathom__lanes_sum(&s1);
    out[2] = fathom__lanes_sum(&s2);
    out[3] = fathom__lanes_sum(&s3);
}

/* Asks for a row of so many bytes before it is needed: rows lie in the last-level cache or beyond. */
static inline void fathom__prefetch_row(const void *row, size_t bytes) {
    for (size_t at = 0; at < bytes; at += FATHOM__CACHE_LINE)
        __builtin_prefetch((const char *)row + at);
}

/* Round to nearest, ties to even. NaN is not handled: callers have checked for finite values. */
static inline uint16_t fathom__bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* 16 bf16 numbers as floats. */
typedef uint16_t fathom__half_lanes __attribute__((vector_size(2 * FATHOM__LANES), aligned(2), may_alias));
typedef uint32_t fathom__word_lanes __attribute__((vector_size(4 * FATHOM__LANES), may_alias));

static inline fathom__lanes fathom__widen(const uint16_t *in) {
    return (fathom__lanes)(__builtin_convertvector(*(const fathom__half_lanes *)in, fathom__word_lanes) << 16);
}

static inline float fathom__from_bf16(uint16_t value) {
    const uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

/* y += a·x */
static inline void fathom__add_scaled_bf16(float *y, float a, const uint16_t *x, size_t n) {
    for (size_t j = 0; j < n; j += FATHOM__LANES)
        *(fathom__lanes *)(y + j) += a * fathom__widen(x + j);
}

/* y += Σ a[i]·x[i] over four rows. */
static inline void fathom__add_scaled4_bf16(float *y, const float a[4], const uint16_t *const x[4], size_t n) {
    const uint16_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    float a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
    for (size_t j = 0; j < n; j += FATHOM__LANES)
        *(fathom__lanes *)(y + j) += a0 * fathom__widen(x0 + j) + a1 * fathom__widen(x1 + j) +
                                     (a2 * fathom__widen(x2 + j) + a3 * fathom__widen(x3 + j));
}

static inline void fathom__row_from_bf16(float *restrict out, const uint16_t *restrict in, size_t n) {
    for (size_t j = 0; j < n; j += FATHOM__LANES)
        *(fathom__lanes *)(out + j) = fathom__widen(in + j);
}

static inline void fathom__row_to_bf16(uint16_t *restrict out, const float *restrict in, size_t n) {
    const uint32_t *bits = (const uint32_t *)(const void *)in;
    for (size_t j = 0; j < n; j++) {
        uint32_t word;
        memcpy(&word, &bits[j], sizeof word);
        out[j] = (uint16_t)((word + 0x7FFF + (word >> 16 & 1)) >> 16);
    }
}

#endif
