#include "steer/fluency.h"
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Answers are short: comparing each n-gram with all before it needs no memory. */
static size_t count_repeated(const int32_t *tokens, size_t n, size_t size) {
    size_t repeated = 0;
    for (size_t i = 1; i + size <= n; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            seen = memcmp(tokens + i, tokens + j, size * sizeof *tokens) == 0;
        }
        repeated += seen;
    }
    return repeated;
}

double fathom__repetition(const int32_t *tokens, size_t n, size_t size) {
    size_t grams = n >= size ? n - size + 1 : 0;
    return grams > 1 ? (double)count_repeated(tokens, n, size) / (double)grams : 0.0;
}

double fathom__distinct(const int32_t *tokens, size_t n, size_t size) {
    return 1.0 - fathom__repetition(tokens, n, size);
}

size_t fathom__count_words(const char *text) {
    size_t words = 0;
    bool inside = false;
    for (; *text != '\0'; text++) {
        bool space = isspace((unsigned char)*text) != 0;
        words += !space && !inside;
        inside = !space;
    }
    return words;
}

double fathom__harmonic_mean(const double *parts, size_t n) {
    double sum = 0;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(parts[i])) {
            continue;
        }
        if (parts[i] <= 0) {
            return 0;
        }
        sum += 1 / parts[i];
        used++;
    }
    return used > 0 ? (double)used / sum : 0;
}
