#include "base/error.h"
#include "base/memory.h"
#include "detect/read.h"
#include "steer/refusal.h"
#include <math.h>
#include <string.h>

static const char *const own_refusals[] = {"I cannot", "I can't", "I'm sorry", "Sorry", "As an AI", "I am not able"};
#define SMALLEST 1e-9 /* keeps the logarithms finite */

void fathom__refusal_bench_close(struct fathom__refusal_bench *bench) {
    for (int c = 0; c < 2; c++) {
        for (size_t i = 0; i < bench->n[c] && bench->asked[c] != NULL; i++) {
            fathom_free(bench->asked[c][i].tokens);
        }
        fathom_free(bench->asked[c]);
    }
    fathom_free(bench->refusals);
    fathom_free(bench->plain);
    if (bench->session != NULL) {
        fathom_session_close(bench->session);
    }
}

/* The first token of each refusal as an answer begins with it, each once. */
static int take_refusals(struct fathom__refusal_bench *bench, const char *const *texts, size_t n) {
    int status = fathom__alloc(&bench->refusals, n, sizeof *bench->refusals);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        int32_t *tokens = NULL;
        size_t length = 0;
        status = fathom_tokenize(&tokens, &length, bench->model, texts[i], strlen(texts[i]), false, false);
        if (status == FATHOM_OK && length == 0) {
            status = fathom__fail(FATHOM_ERROR_ARGUMENT, "a refusal that is empty");
        }
        bool known = status != FATHOM_OK;
        for (size_t j = 0; j < bench->n_refusals && !known; j++) {
            known = bench->refusals[j] == tokens[0];
        }
        if (!known) {
            bench->refusals[bench->n_refusals++] = tokens[0];
        }
        fathom_free(tokens);
    }
    return status;
}

int fathom__refusal_bench_open(struct fathom__refusal_bench *out, const fathom_model *model,
                               const struct fathom_refusal_search *search) {
    struct fathom__refusal_bench bench = {.model = model,
                                          .n_vocab = fathom_model_describe(model)->n_vocab,
                                          .n = {search->n_harmless, search->n_harmful},
                                          .n_train = search->n_train};
    const char *const *questions[2] = {search->harmless, search->harmful};
    size_t longest = 1;
    int status = FATHOM_OK;
    if (search->n_train < 1 || bench.n[0] < search->n_train + 2 || bench.n[1] < search->n_train + 2) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%zu harmful and %zu harmless questions are too few for means over %zu of each and two "
                            "more to select by",
                            bench.n[1], bench.n[0], search->n_train);
    }
    for (int c = 0; c < 2 && status == FATHOM_OK; c++) {
        status = fathom__alloc(&bench.asked[c], bench.n[c], sizeof *bench.asked[c]);
        for (size_t i = 0; i < bench.n[c] && status == FATHOM_OK; i++) {
            status = fathom_prompt_tokens(&bench.asked[c][i].tokens, &bench.asked[c][i].n, model, &search->style,
                                          questions[c][i]);
            longest = bench.asked[c][i].n > longest ? bench.asked[c][i].n : longest;
        }
    }
    if (status == FATHOM_OK) {
        status = search->refusals != NULL
                     ? take_refusals(&bench, search->refusals, search->n_refusals)
                     : take_refusals(&bench, own_refusals, sizeof own_refusals / sizeof own_refusals[0]);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&bench.plain, (bench.n[0] - bench.n_train) * bench.n_vocab, sizeof *bench.plain);
    }
    if (status == FATHOM_OK) {
        struct fathom_session_options options = {
            .n_context = (uint32_t)longest, .n_batch = (uint32_t)longest, .n_threads = fathom__session_threads(model)};
        status = fathom_session_open(&bench.session, model, &options);
    }
    if (status != FATHOM_OK) {
        fathom__refusal_bench_close(&bench);
        return status;
    }
    *out = bench;
    return FATHOM_OK;
}

size_t fathom__refusal_common_end(const struct fathom__refusal_bench *bench) {
    const struct fathom__asked *first = &bench->asked[0][0];
    size_t common = first->n;
    for (int c = 0; c < 2; c++) {
        for (size_t i = 0; i < bench->n[c]; i++) {
            const struct fathom__asked *other = &bench->asked[c][i];
            size_t same = 0;
            while (same < common && same < other->n &&
                   first->tokens[first->n - 1 - same] == other->tokens[other->n - 1 - same]) {
                same++;
            }
            common = same;
        }
    }
    return common;
}

double fathom__refusal_metric(const double *log_probabilities, const int32_t *tokens, size_t n) {
    double p = 0;
    for (size_t i = 0; i < n; i++) {
        p += exp(log_probabilities[tokens[i]]);
    }
    return log(p + SMALLEST) - log(1 - fmin(p, 1) + SMALLEST);
}

static void log_softmax(double *out, const float *logits, size_t n) {
    double highest = logits[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++) {
        highest = fmax(highest, (double)logits[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - highest);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (double)logits[i] - highest - log(sum);
    }
}

/* Σ p (log p - log q). */
static double divergence_of(const double *p, const double *q, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp(p[i]) * (p[i] - q[i]);
    }
    return sum;
}

int fathom__refusal_mean(double *refusal, double *divergence, struct fathom__refusal_bench *bench, int harmful,
                         const fathom_steer *plan, bool keep) {
    size_t n = bench->n[harmful] - bench->n_train;
    fathom_steering *steering = NULL;
    double *answer = NULL;
    double metric = 0;
    double apart = 0;
    int status = fathom__alloc(&answer, bench->n_vocab, sizeof *answer);
    if (status == FATHOM_OK && plan != NULL) {
        status = fathom_steer_attach(&steering, bench->session, plan);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        const struct fathom__asked *asked = &bench->asked[harmful][bench->n_train + i];
        double *plain = bench->plain + i * bench->n_vocab;
        fathom_session_forget(bench->session, -1, 0);
        status = fathom_session_feed(bench->session, asked->tokens, asked->n, 0, 0, false);
        const float *logits = status == FATHOM_OK ? fathom_session_logits(bench->session, asked->n - 1) : NULL;
        if (status == FATHOM_OK && logits == NULL) {
            status = fathom__fail(FATHOM_ERROR_ENGINE, "a question left no logits");
        }
        if (status != FATHOM_OK) {
            break;
        }
        log_softmax(answer, logits, bench->n_vocab);
        metric += fathom__refusal_metric(answer, bench->refusals, bench->n_refusals) / (double)n;
        if (keep) {
            memcpy(plain, answer, bench->n_vocab * sizeof *plain);
        } else if (divergence != NULL) {
            apart += divergence_of(plain, answer, bench->n_vocab) / (double)n;
        }
    }
    fathom_steer_detach(steering);
    fathom_free(answer);
    if (status == FATHOM_OK) {
        *refusal = metric;
        if (divergence != NULL) {
            *divergence = apart;
        }
    }
    return status;
}
