#include "roc.h"
#include <base/memory.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_POINTS = 400 };

struct scored {
    double score;
    int8_t label;
};

static int highest_first(const void *a, const void *b) {
    const struct scored *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static json_t *point(double wrong, double right) {
    return json_pack("[f, f]", wrong, right);
}

json_t *roc_json(const double *scores, const int8_t *labels, size_t n) {
    struct scored *texts = NULL;
    size_t n_texts = 0, n_right = 0, right = 0, wrong = 0, last = 0;
    if (fathom__alloc(&texts, n, sizeof *texts)) return NULL;
    for (size_t i = 0; i < n; i++)
        if (!isnan(scores[i]) && (labels[i] == 0 || labels[i] == 1)) {
            texts[n_texts++] = (struct scored){scores[i], labels[i]};
            n_right += labels[i] == 1;
        }
    const size_t n_wrong = n_texts - n_right, step = n_texts / MOST_POINTS + 1;
    json_t *curve = n_right > 0 && n_wrong > 0 ? json_array() : NULL;
    if (curve) {
        qsort(texts, n_texts, sizeof *texts, highest_first);
        json_array_append_new(curve, point(0, 0));
    }
    for (size_t i = 0; i < n_texts && curve; i++) {
        right += texts[i].label == 1;
        wrong += texts[i].label == 0;
        const bool ends = i + 1 == n_texts;
        if (!ends && (texts[i + 1].score == texts[i].score || i - last < step - 1)) continue;
        json_array_append_new(curve, point((double)wrong / (double)n_wrong, (double)right / (double)n_right));
        last = i + 1;
    }
    fathom_free(texts);
    return curve;
}
