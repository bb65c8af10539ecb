#include "base/memory.h"
#include "detect/texts.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static const uint64_t fnv_offset = UINT64_C(0xcbf29ce484222325);
static const uint64_t fnv_prime = UINT64_C(0x100000001b3);

static uint64_t mix(uint64_t hash, unsigned char byte) {
    return (hash ^ byte) * fnv_prime;
}

static uint64_t mix_word(uint64_t hash, uint64_t word) {
    for (int shift = 0; shift < 64; shift += 8) {
        hash = mix(hash, (unsigned char)(word >> shift));
    }
    return hash;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Bytes over 0x7f belong to letters of other scripts far more often than to punctuation. */
static bool in_word(unsigned char byte) {
    return byte >= 0x80 || isalnum(byte);
}

/* Hash of the next word, moving *text behind it; false at the end. */
static bool next_word(uint64_t *hash, const char **text) {
    const unsigned char *c = (const unsigned char *)*text;
    while (*c != '\0' && !in_word(*c)) {
        c++;
    }
    if (*c == '\0') {
        *text = (const char *)c;
        return false;
    }
    *hash = fnv_offset;
    for (; in_word(*c); c++) {
        *hash = mix(*hash, (unsigned char)(*c < 0x80 ? tolower(*c) : *c));
    }
    *text = (const char *)c;
    return true;
}

static uint32_t pair_hash(uint64_t first, uint64_t second) {
    uint64_t hash = mix_word(mix_word(fnv_offset, first), second);
    return (uint32_t)(hash ^ (hash >> 32));
}

int fathom__text_pairs(uint32_t **pairs, size_t *n, uint64_t *whole, const char *text) {
    uint32_t *out = NULL;
    size_t count = 0;
    size_t kept = 0;
    uint64_t previous = 0; /* stands for the start and the end of the text */
    uint64_t word = 0;
    const char *rest = text;
    int status = fathom__alloc(&out, strlen(text) + 2, sizeof *out);
    if (status != FATHOM_OK) {
        return status;
    }
    *whole = fnv_offset;
    while (next_word(&word, &rest)) {
        out[count++] = pair_hash(previous, word);
        *whole = mix_word(*whole, word);
        previous = word;
    }
    if (count > 0) {
        out[count++] = pair_hash(previous, 0);
    } else {
        /* Without a word two texts are the same only byte by byte. */
        for (; *text != '\0'; text++) {
            *whole = mix(*whole, (unsigned char)*text);
        }
    }
    qsort(out, count, sizeof *out, by_value);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || out[i] != out[kept - 1]) {
            out[kept++] = out[i];
        }
    }
    *pairs = out;
    *n = kept;
    return FATHOM_OK;
}

double fathom__pairs_overlap(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b) {
    size_t shared = 0;
    size_t i = 0;
    size_t j = 0;
    while (i < n_a && j < n_b) {
        if (a[i] == b[j]) {
            shared++;
            i++;
            j++;
        } else if (a[i] < b[j]) {
            i++;
        } else {
            j++;
        }
    }
    return n_a + n_b > 0 ? (double)shared / (double)(n_a + n_b - shared) : 0.0;
}
