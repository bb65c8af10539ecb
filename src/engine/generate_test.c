/* Sampling, generation and the probabilities of given texts, on a tiny random model. */
#include "base/memory.h"
#include "base/scratch.h"
#include "tests/support/tiny_model.h"
#include <fathom/session.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_PROMPT = 6, N_NEW = 20, N_DRAWS = 400 };

static const int32_t prompt[N_PROMPT] = {5, 17, 40, 41, 23, 9};
static fathom_model *model;
static fathom_session *session;

static int make_session(void **state) {
    (void)state;
    const char *path = scratch("llama.gguf");
    struct fathom_session_options options = {.n_context = 256, .n_batch = 16, .n_threads = 1};
    if (fathom_test_tiny_model(path, "llama", 3) || fathom_model_open(&model, path, NULL)) return -1;
    return fathom_session_open(&session, model, &options);
}

static int drop_session(void **state) {
    (void)state;
    fathom_session_close(session);
    fathom_model_close(model);
    return 0;
}

struct drawn {
    int32_t tokens[N_NEW];
    double log_probabilities[N_NEW];
    size_t n, stop_after; /* 0: never */
    char text[N_NEW * 16];
    size_t n_bytes;
};

static int keep(const struct fathom_generated *token, void *payload) {
    struct drawn *drawn = payload;
    assert_int_equal(token->index, drawn->n);
    drawn->tokens[drawn->n] = token->token;
    drawn->log_probabilities[drawn->n++] = token->log_probability;
    if (!token->end) {
        memcpy(drawn->text + drawn->n_bytes, token->bytes, token->n_bytes);
        drawn->n_bytes += token->n_bytes;
    }
    return drawn->n == drawn->stop_after;
}

static struct drawn generate(const struct fathom_sampling *sampling, uint32_t max_new) {
    struct drawn drawn = {.n = 0};
    assert_int_equal(fathom_generate(NULL, session, prompt, N_PROMPT, max_new, sampling, keep, &drawn), FATHOM_OK);
    return drawn;
}

static size_t n_same(const struct drawn *a, const struct drawn *b) {
    size_t n = 0;
    while (n < a->n && n < b->n && a->tokens[n] == b->tokens[n])
        n++;
    return n;
}

/* Each greedy token is the likeliest one, and its log-probability is what scoring the whole text gives. */
static void test_greedy(void **state) {
    (void)state;
    struct drawn drawn = generate(NULL, N_NEW);
    assert_true(drawn.n >= 2);
    int32_t tokens[N_PROMPT + N_NEW];
    double scored[N_PROMPT + N_NEW];
    memcpy(tokens, prompt, sizeof prompt);
    memcpy(tokens + N_PROMPT, drawn.tokens, drawn.n * sizeof(int32_t));
    assert_int_equal(fathom_log_probabilities(scored, session, tokens, N_PROMPT + drawn.n), FATHOM_OK);
    for (size_t i = 0; i < drawn.n; i++)
        assert_true(fabs(scored[N_PROMPT + i - 1] - drawn.log_probabilities[i]) < 1e-3);

    fathom_session_forget(session, -1, 0);
    assert_int_equal(fathom_session_feed(session, tokens, N_PROMPT + 1, 0, 0, false), FATHOM_OK);
    const float *logits = fathom_session_logits(session, N_PROMPT);
    uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    double sum = 0.0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        assert_true(logits[i] <= logits[drawn.tokens[1]]);
        sum += exp((double)logits[i] - logits[drawn.tokens[1]]);
    }
    assert_true(fabs(drawn.log_probabilities[1] + log(sum)) < 1e-4);
}

static void test_seeds(void **state) {
    (void)state;
    struct fathom_sampling sampling = {.seed = 11, .temperature = 1.0f};
    struct drawn first = generate(&sampling, N_NEW), again = generate(&sampling, N_NEW);
    assert_int_equal(first.n, again.n);
    assert_int_equal(n_same(&first, &again), first.n);
    sampling.seed = 12;
    struct drawn other = generate(&sampling, N_NEW);
    assert_true(n_same(&first, &other) < first.n);
    /* The high half of a seed counts, and no seed means "any": all ones in the low half alone would. */
    sampling.seed = 11ull | 1ull << 40;
    other = generate(&sampling, N_NEW);
    assert_true(n_same(&first, &other) < first.n);
    sampling.seed = 0xffffffffull;
    first = generate(&sampling, N_NEW);
    again = generate(&sampling, N_NEW);
    assert_int_equal(n_same(&first, &again), first.n);
}

/* Draws of the first token, by how often each was drawn. */
static void count_draws(unsigned *counts, struct fathom_sampling sampling) {
    memset(counts, 0, fathom_model_describe(model)->n_vocab * sizeof *counts);
    for (uint64_t seed = 1; seed <= N_DRAWS; seed++) {
        sampling.seed = seed;
        counts[generate(&sampling, 1).tokens[0]]++;
    }
}

/* The distribution that is drawn from is the model's, and every restriction of it holds. */
static void test_distributions(void **state) {
    (void)state;
    uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    unsigned *counts = NULL;
    double *p = NULL;
    assert_int_equal(fathom__alloc(&counts, n_vocab, sizeof *counts), FATHOM_OK);
    assert_int_equal(fathom__alloc(&p, n_vocab, sizeof *p), FATHOM_OK);
    fathom_session_forget(session, -1, 0);
    assert_int_equal(fathom_session_feed(session, prompt, N_PROMPT, 0, 0, false), FATHOM_OK);
    const float *logits = fathom_session_logits(session, N_PROMPT - 1);
    double sum = 0.0, highest = 0.0;
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += p[i] = exp(logits[i]);
    for (uint32_t i = 0; i < n_vocab; i++) {
        p[i] /= sum;
        highest = fmax(highest, p[i]);
    }

    count_draws(counts, (struct fathom_sampling){.temperature = 1.0f});
    for (uint32_t i = 0; i < n_vocab; i++) /* five standard deviations, and one draw */
        assert_true(fabs(counts[i] - N_DRAWS * p[i]) <= 1.0 + 5.0 * sqrt(N_DRAWS * p[i]));

    count_draws(counts, (struct fathom_sampling){.temperature = 5.0f, .top_k = 3});
    unsigned drawn = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        unsigned better = 0;
        for (uint32_t j = 0; j < n_vocab; j++)
            better += p[j] > p[i];
        assert_true(counts[i] == 0 || better < 3);
        drawn += counts[i] > 0;
    }
    assert_int_equal(drawn, 3);

    count_draws(counts, (struct fathom_sampling){.temperature = 5.0f, .min_p = 0.5f});
    for (uint32_t i = 0; i < n_vocab; i++)
        assert_true(counts[i] == 0 || p[i] >= 0.5 * highest);

    count_draws(counts, (struct fathom_sampling){.temperature = 1.0f, .top_p = 0.2f});
    for (uint32_t i = 0; i < n_vocab; i++) {
        double better = 0.0;
        for (uint32_t j = 0; j < n_vocab; j++)
            better += p[j] > p[i] ? p[j] : 0.0;
        assert_true(counts[i] == 0 || better < 0.2);
    }
    fathom_free(counts);
    fathom_free(p);
}

/* With a penalty that outweighs every logit, no token comes twice, the prompt's included. */
static void test_penalties(void **state) {
    (void)state;
    struct fathom_sampling sampling = {.presence_penalty = 1000.0f};
    struct drawn drawn = generate(&sampling, N_NEW);
    for (size_t i = 0; i < drawn.n; i++) {
        for (size_t j = 0; j < N_PROMPT; j++)
            assert_int_not_equal(drawn.tokens[i], prompt[j]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(drawn.tokens[i], drawn.tokens[j]);
    }
    assert_true(drawn.n >= 2);
}

static void test_text_and_stopping(void **state) {
    (void)state;
    struct fathom_sampling sampling = {.seed = 5, .temperature = 1.0f};
    struct drawn drawn = {.stop_after = 3};
    char *text = NULL, *same = NULL;
    assert_int_equal(fathom_generate(&text, session, prompt, N_PROMPT, N_NEW, &sampling, keep, &drawn), FATHOM_OK);
    assert_int_equal(drawn.n, 3);
    assert_int_equal(fathom_detokenize(&same, model, drawn.tokens, 3), FATHOM_OK);
    assert_string_equal(text, same);
    fathom_free(text);
    fathom_free(same);
    assert_int_equal(generate(&sampling, 0).n, 0);
}

/* Makes the model's end token the likeliest after the row at position *payload. */
static int end_after(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    int32_t end = 0;
    while (!fathom_token_is_end(model, end))
        end++;
    for (size_t r = 0; r < block->n_rows; r++) {
        if (block->positions[r] != *(const int32_t *)payload) continue;
        rows[r * block->width + (size_t)end] = 1000.0f;
        *changed = true;
    }
    return 0;
}

/* The end token is handed over, marked, and is no part of the text; nothing comes after it. */
static void test_end_token(void **state) {
    (void)state;
    int32_t position = N_PROMPT + 2;
    int id = 0;
    struct drawn plain = generate(NULL, 4), drawn = {.n = 0};
    char *text = NULL, *same = NULL;
    assert_int_equal(
        fathom_session_edit(&id, session, (struct fathom_hook){FATHOM_HOOK_LOGITS, -1}, end_after, &position),
        FATHOM_OK);
    assert_int_equal(fathom_generate(&text, session, prompt, N_PROMPT, N_NEW, NULL, keep, &drawn), FATHOM_OK);
    fathom_session_unhook(session, id);
    assert_int_equal(plain.n, 4);
    assert_int_equal(drawn.n, 4);
    assert_int_equal(n_same(&plain, &drawn), 3);
    assert_true(fathom_token_is_end(model, drawn.tokens[3]));
    assert_int_equal(fathom_detokenize(&same, model, drawn.tokens, 3), FATHOM_OK);
    assert_string_equal(text, same);
    fathom_free(text);
    fathom_free(same);
}

static int shift(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    (void)payload;
    for (size_t i = 0; i < block->n_rows * block->width; i++)
        rows[i] += 1.0f;
    *changed = true;
    return 0;
}

static void test_edits_are_in_force(void **state) {
    (void)state;
    struct drawn plain = generate(NULL, N_NEW);
    int id = 0;
    assert_int_equal(fathom_session_edit(&id, session, (struct fathom_hook){FATHOM_HOOK_MLP_IN, 2}, shift, NULL),
                     FATHOM_OK);
    struct drawn edited = generate(NULL, N_NEW);
    fathom_session_unhook(session, id);
    struct drawn again = generate(NULL, N_NEW);
    assert_true(fabs(plain.log_probabilities[0] - edited.log_probabilities[0]) > 1e-3);
    assert_int_equal(n_same(&plain, &again), plain.n);
    assert_memory_equal(plain.log_probabilities, again.log_probabilities, plain.n * sizeof(double));
}

static void test_errors(void **state) {
    (void)state;
    struct fathom_sampling sampling = {.temperature = NAN};
    assert_int_equal(fathom_generate(NULL, session, prompt, N_PROMPT, 1, &sampling, NULL, NULL), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "temperature"));
    sampling = (struct fathom_sampling){.min_p = 1.5f};
    assert_int_equal(fathom_generate(NULL, session, prompt, N_PROMPT, 1, &sampling, NULL, NULL), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_generate(NULL, session, prompt, 0, 1, NULL, NULL, NULL), FATHOM_ERROR_ARGUMENT);
    int32_t *many = NULL;
    assert_int_equal(fathom__alloc(&many, 257, sizeof *many), FATHOM_OK);
    for (int i = 0; i < 257; i++)
        many[i] = 3;
    assert_int_equal(fathom_generate(NULL, session, many, 257, 1, NULL, NULL, NULL), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "257 tokens"));
    /* The context fills up while generating: tokens end only where the model ends them, so that no text is cut
     * silently. */
    assert_int_equal(fathom_generate(NULL, session, many, 256, 2, NULL, NULL, NULL), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "1 too many"));
    double out[1];
    assert_int_equal(fathom_log_probabilities(out, session, many, 0), FATHOM_ERROR_ARGUMENT);
    many[1] = -4;
    assert_int_equal(fathom_log_probabilities(out, session, many, 2), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "token -4"));
    /* Also where the token is the first of a later batch: what comes before is scored by it. */
    const size_t batch = fathom_session_batch(session);
    many[1] = 3;
    many[batch] = 1 << 30;
    double scored[257];
    assert_true(batch < 256);
    assert_int_equal(fathom_log_probabilities(scored, session, many, batch + 1), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "token 1073741824"));
    fathom_free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_text_and_stopping),
        cmocka_unit_test(test_end_token),
        cmocka_unit_test(test_edits_are_in_force),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_session, drop_session);
}
