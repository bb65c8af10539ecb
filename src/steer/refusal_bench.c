#include "base/error.h"
#include "base/memory.h"
#include "detect/read.h"
#include "steer/likelihood.h"
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
        fathom__pairs_free(&bench->pairs[c]);
        fathom__pair_rows_free(&bench->rows[c]);
    }
    fathom_free(bench->refusals);
    fathom_free(bench->plain);
    fathom_session_close(bench->session);
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

/* The questions of a class as prompts; those past the training ones as pairs, too. */
static int take_questions(struct fathom__refusal_bench *bench, int class, const char *const *questions,
                          const struct fathom_prompt_style *style) {
    struct fathom__pairs *pairs = &bench->pairs[class];
    int status = fathom__alloc(&bench->asked[class], bench->n[class], sizeof *bench->asked[class]);
    for (size_t i = 0; i < bench->n[class] && status == FATHOM_OK; i++) {
        struct fathom__prompt *prompt = &bench->asked[class][i];
        size_t place = 0;
        int32_t *answer = NULL;
        status = fathom_prompt_tokens(&prompt->tokens, &prompt->n, bench->model, style, questions[i]);
        if (status == FATHOM_OK && i >= bench->n_train) {
            status = fathom__pairs_prompt(&place, pairs, bench->model, style, questions[i]);
            if (status == FATHOM_OK) {
                status = fathom__alloc(&answer, 1, sizeof *answer);
            }
            if (status == FATHOM_OK) {
                status = fathom__pairs_add(pairs, place, answer, 1, FATHOM__PAIR_PLAIN);
            }
        }
    }
    return status == FATHOM_OK ? fathom__pair_rows_open(&bench->rows[class], pairs) : status;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* One session for the questions of both classes, and for each of them alone. */
static int open_session(struct fathom__refusal_bench *bench) {
    struct fathom_session_options options = {.flash_attention = true,
                                             .n_threads = fathom__session_threads(bench->model)};
    for (int c = 0; c < 2; c++) {
        const struct fathom_session_options own =
            fathom__pair_rows_session(&bench->pairs[c], &bench->rows[c], bench->n_vocab);
        options.n_batch = larger(options.n_batch, own.n_batch);
        options.n_context = larger(options.n_context, own.n_context);
        options.n_sequences = larger(options.n_sequences, own.n_sequences);
        for (size_t i = 0; i < bench->n[c]; i++) {
            options.n_batch = larger(options.n_batch, (uint32_t)bench->asked[c][i].n);
        }
    }
    options.n_context = larger(options.n_context, options.n_batch);
    return fathom_session_open(&bench->session, bench->model, &options);
}

int fathom__refusal_bench_open(struct fathom__refusal_bench *out, const fathom_model *model,
                               const struct fathom_refusal_search *search) {
    struct fathom__refusal_bench bench = {.model = model,
                                          .n_vocab = fathom_model_describe(model)->n_vocab,
                                          .n = {search->n_harmless, search->n_harmful},
                                          .n_train = search->n_train};
    const char *const *questions[2] = {search->harmless, search->harmful};
    int status = FATHOM_OK;
    if (search->n_train < 1 || bench.n[0] < search->n_train + 2 || bench.n[1] < search->n_train + 2) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%zu harmful and %zu harmless questions are too few for means over %zu of each and two "
                            "more to select by",
                            bench.n[1], bench.n[0], search->n_train);
    }
    for (int c = 0; c < 2 && status == FATHOM_OK; c++) {
        status = take_questions(&bench, c, questions[c], &search->style);
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
        status = open_session(&bench);
    }
    if (status != FATHOM_OK) {
        fathom__refusal_bench_close(&bench);
        return status;
    }
    *out = bench;
    return FATHOM_OK;
}

size_t fathom__refusal_common_end(const struct fathom__refusal_bench *bench) {
    const struct fathom__prompt *first = &bench->asked[0][0];
    size_t common = first->n;
    for (int c = 0; c < 2; c++) {
        for (size_t i = 0; i < bench->n[c]; i++) {
            const struct fathom__prompt *other = &bench->asked[c][i];
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

double fathom__refusal_metric(const float *logits, double total, const int32_t *tokens, size_t n) {
    double p = 0;
    for (size_t i = 0; i < n; i++) {
        p += exp((double)logits[tokens[i]] - total);
    }
    return log(p + SMALLEST) - log(1 - fmin(p, 1) + SMALLEST);
}

/* Sums over the questions of one class. */
struct answering {
    struct fathom__refusal_bench *bench;
    bool keep, compare;
    double refusal, divergence;
};

static int take_answer(const float *logits, size_t n_vocab, size_t pair, int32_t expected, void *payload) {
    struct answering *answering = payload;
    const struct fathom__refusal_bench *bench = answering->bench;
    float *plain = bench->plain + pair * n_vocab;
    const double total = fathom__log_total(logits, n_vocab);
    (void)expected;
    answering->refusal += fathom__refusal_metric(logits, total, bench->refusals, bench->n_refusals);
    for (size_t i = 0; i < n_vocab && answering->keep; i++) {
        plain[i] = (float)((double)logits[i] - total);
    }
    if (answering->compare) {
        answering->divergence += fathom__divergence(plain, logits, total, n_vocab);
    }
    return FATHOM_OK;
}

int fathom__refusal_mean(double *refusal, double *divergence, struct fathom__refusal_bench *bench, int harmful,
                         const fathom_steer *plan, bool keep) {
    const double n = (double)bench->pairs[harmful].n;
    struct answering answering = {.bench = bench, .keep = keep, .compare = divergence != NULL && !keep};
    fathom_steering *steering = NULL;
    int status = plan != NULL ? fathom_steer_attach(&steering, bench->session, plan) : FATHOM_OK;
    if (status == FATHOM_OK) {
        status = fathom__pair_rows_run(bench->session, &bench->pairs[harmful], &bench->rows[harmful], take_answer,
                                       &answering);
    }
    fathom_steer_detach(steering);
    if (status == FATHOM_OK) {
        *refusal = answering.refusal / n;
        if (divergence != NULL) {
            *divergence = answering.divergence / n;
        }
    }
    return status;
}
