/* Whether attention's taps belong together: scores from queries and keys, the pattern from scores, z from pattern and
 * values. */
#include "base/memory.h"
#include "engine/doctor_parts.h"
#include <math.h>

/* Attention may be computed with less than f32 on some backends; parts that do not belong together differ by about
 * 1. */
#define ATTENTION_BOUND 1e-2

enum { QUERY, KEY, SCORES, PATTERN, VALUE, Z, PARTS };

static const float *head(const struct fathom__seen *seen, size_t row, size_t index) {
    return seen->values + row * seen->width + index * (seen->width / seen->heads);
}

/* Scores before the soft cap are one constant times query · key: the constant is fitted, what remains is the
 * difference. */
static double scores_difference(const struct fathom__seen *parts, double cap) {
    double product = 0.0, square = 0.0, difference = 0.0, norm = 0.0;
    size_t n = parts[SCORES].n_rows, d = parts[QUERY].width / parts[QUERY].heads,
           group = parts[QUERY].heads / parts[KEY].heads;
    for (int fit = 1; fit >= 0; fit--) {
        double scale = square > 0.0 ? product / square : 0.0;
        for (size_t row = 0; row < n; row++) {
            for (size_t h = 0; h < parts[SCORES].heads; h++) {
                for (size_t key = 0; key <= row; key++) {
                    const float *q = head(&parts[QUERY], row, h), *k = head(&parts[KEY], key, h / group);
                    double score = head(&parts[SCORES], row, h)[key], dot = 0.0;
                    if (isinf(score)) continue; /* outside a sliding window */
                    if (cap > 0.0) score = cap * atanh(score / cap);
                    for (size_t i = 0; i < d; i++)
                        dot += (double)q[i] * k[i];
                    if (fit) {
                        product += score * dot;
                        square += dot * dot;
                    } else {
                        difference += (score - scale * dot) * (score - scale * dot);
                        norm += score * score;
                    }
                }
            }
        }
    }
    return fathom__doctor_ratio(difference, norm);
}

static double pattern_difference(const struct fathom__seen *parts) {
    double worst = 0.0;
    size_t n = parts[PATTERN].n_rows;
    for (size_t row = 0; row < n; row++) {
        for (size_t h = 0; h < parts[PATTERN].heads; h++) {
            const float *scores = head(&parts[SCORES], row, h), *pattern = head(&parts[PATTERN], row, h);
            double highest = -INFINITY, sum = 0.0;
            for (size_t key = 0; key < n; key++)
                highest = scores[key] > highest ? scores[key] : highest;
            for (size_t key = 0; key < n; key++)
                sum += exp(scores[key] - highest);
            for (size_t key = 0; key < n; key++)
                worst = fathom__doctor_larger(worst, fabs(exp(scores[key] - highest) / sum - pattern[key]));
        }
    }
    return worst;
}

static double z_difference(const struct fathom__seen *parts) {
    double difference = 0.0, norm = 0.0;
    size_t n = parts[Z].n_rows, d = parts[Z].width / parts[Z].heads, group = parts[Z].heads / parts[VALUE].heads;
    for (size_t row = 0; row < n; row++) {
        for (size_t h = 0; h < parts[Z].heads; h++) {
            const float *pattern = head(&parts[PATTERN], row, h), *z = head(&parts[Z], row, h);
            for (size_t i = 0; i < d; i++) {
                double sum = 0.0;
                for (size_t key = 0; key < n; key++)
                    sum += (double)pattern[key] * head(&parts[VALUE], key, h / group)[i];
                difference += (sum - z[i]) * (sum - z[i]);
                norm += (double)z[i] * z[i];
            }
        }
    }
    return fathom__doctor_ratio(difference, norm);
}

int fathom__doctor_attention(struct fathom__doctor *doctor) {
    const struct fathom__model_shape *shape = &doctor->model->shape;
    if (shape->architecture == FATHOM__ARCH_OTHER) return FATHOM_OK;
    bool rotated = shape->architecture != FATHOM__ARCH_GPT2;
    const enum fathom_hook_kind kinds[PARTS] = {[QUERY] = rotated ? FATHOM_HOOK_ROT_Q : FATHOM_HOOK_Q,
                                                [KEY] = rotated ? FATHOM_HOOK_ROT_K : FATHOM_HOOK_K,
                                                [SCORES] = FATHOM_HOOK_ATTN_SCORES,
                                                [PATTERN] = FATHOM_HOOK_PATTERN,
                                                [VALUE] = FATHOM_HOOK_V,
                                                [Z] = FATHOM_HOOK_Z};
    double scores = 0.0, pattern = 0.0, z = 0.0;
    size_t n = (size_t)shape->n_layers * PARTS;
    struct fathom__seen *seen = NULL;
    int status = fathom__alloc(&seen, n, sizeof *seen);
    for (size_t i = 0; !status && i < n; i++)
        status =
            fathom__doctor_watch(&seen[i], doctor->exact, (struct fathom_hook){kinds[i % PARTS], (int32_t)(i / PARTS)});
    if (!status) status = fathom__doctor_run(doctor, doctor->exact, 0, false);
    for (size_t i = 0; !status && i < n; i += PARTS) {
        scores = fathom__doctor_larger(scores, scores_difference(seen + i, (double)shape->attention_softcap));
        pattern = fathom__doctor_larger(pattern, pattern_difference(seen + i));
        z = fathom__doctor_larger(z, z_difference(seen + i));
    }
    fathom_session_unhook_all(doctor->exact);
    fathom__doctor_unsee(seen, n);
    fathom_free(seen);
    if (!status)
        status = fathom__doctor_check(doctor, "attn_scores are queries times keys", scores, false, ATTENTION_BOUND,
                                      "%s and %s of all layers, one scale a layer fitted; relative difference",
                                      rotated ? "rot_q" : "q", rotated ? "rot_k" : "k");
    if (!status)
        status = fathom__doctor_check(doctor, "pattern is the softmax of attn_scores", pattern, false, ATTENTION_BOUND,
                                      "all layers, heads and keys; largest difference");
    if (!status)
        status = fathom__doctor_check(doctor, "z is pattern times values", z, false, ATTENTION_BOUND,
                                      "all layers and heads; relative difference");
    return status;
}
