#include "detect/window.h"
#include "base/error.h"
#include "base/memory.h"
#include <fathom/detect.h>
#include <math.h>

enum { WINDOW_LIMIT = 1 << 20 };

int fathom__window_start(struct fathom__window *out, uint32_t size) {
    *out = (struct fathom__window){.size = size > 0 ? size : 1, .highest = NAN};
    if (out->size == 1 || out->size == FATHOM_WINDOW_DOCUMENT) {
        return FATHOM_OK;
    }
    if (out->size > WINDOW_LIMIT) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "a window of %u tokens is longer than %d", out->size, WINDOW_LIMIT);
    }
    return fathom__alloc(&out->last, out->size, sizeof *out->last);
}

void fathom__window_free(struct fathom__window *window) {
    fathom_free(window->last);
    window->last = NULL;
}

void fathom__window_clear(struct fathom__window *window) {
    window->n = 0;
    window->sum = 0;
    window->highest = NAN;
}

/* The ring's sum is added up anew each time: a running difference would let rounding errors of large levels stay. */
static double ring_mean(const struct fathom__window *window) {
    uint64_t filled = window->n < window->size ? window->n : window->size;
    double sum = 0;
    for (uint64_t i = 0; i < filled; i++) {
        sum += window->last[i];
    }
    return sum / (double)filled;
}

double fathom__window_add(struct fathom__window *window, double level) {
    double mean = NAN;
    if (isnan(level)) {
        return NAN;
    }
    if (window->last != NULL) {
        window->last[window->n % window->size] = level;
    }
    window->n++;
    window->sum += level;
    if (window->last != NULL) {
        mean = ring_mean(window);
    } else {
        mean = window->size == 1 ? level : window->sum / (double)window->n;
    }
    if (fathom__window_full(window)) {
        window->highest = window->highest >= mean ? window->highest : mean;
    }
    return mean;
}

bool fathom__window_full(const struct fathom__window *window) {
    return window->size == FATHOM_WINDOW_DOCUMENT ? window->n > 0 : window->n >= window->size;
}

double fathom__window_document(const struct fathom__window *window) {
    if (window->size == FATHOM_WINDOW_DOCUMENT || !fathom__window_full(window)) {
        return window->n > 0 ? window->sum / (double)window->n : NAN;
    }
    return window->highest;
}
