/* Taps and edits on tiny random models: what is seen, what an edit changes, and which rows are whose. */
#include "base/memory.h"
#include "base/scratch.h"
#include "engine/session_internal.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_TOKENS = 7, MOST_BLOCKS = 8 };

static const int32_t text[N_TOKENS] = {5, 17, 40, 41, 23, 9, 100};
static const int32_t other_text[N_TOKENS] = {60, 61, 7, 7, 8, 90, 33};

static const char *const architectures[] = {"llama", "gemma3"};
static fathom_model *models[2];

static int make_models(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[2 * SCRATCH_PATH];
        snprintf(path, sizeof path, "%s/%s.gguf", scratch_root(), architectures[i]);
        if (fathom_test_tiny_model(path, architectures[i], 1)) return -1;
        if (fathom_model_open(&models[i], path, NULL)) {
            print_error("%s\n", fathom_error_message());
            return -1;
        }
    }
    return 0;
}

static int drop_models(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        fathom_model_close(models[i]);
    return 0;
}

#define OK(call) assert_status(call, FATHOM_OK, #call)
static void assert_status(int status, int expected, const char *call) {
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", call, fathom_error_name(status), fathom_error_message(),
                 fathom_error_name(expected));
}
static void assert_message(const char *part) {
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

static fathom_session *open_session(const fathom_model *model, bool exact, uint32_t n_sequences) {
    fathom_session *session = NULL;
    struct fathom_session_options options = {
        .n_context = 256, .n_batch = 64, .n_sequences = n_sequences, .n_threads = 1, .exact = exact};
    OK(fathom_session_open(&session, model, &options));
    return session;
}

static struct fathom_hook hook_of(const fathom_model *model, const char *name) {
    struct fathom_hook hook = {FATHOM_HOOK_EMBED, -1};
    OK(fathom_hook_parse(&hook, model, name));
    return hook;
}

/* What a tap saw: copies of its blocks. */
struct seen {
    size_t n_blocks, n_rows, heads, width;
    float *rows;
    int32_t tokens[64], positions[64], sequences[64];
    int order, *counter; /* when it was called, among others that share the counter */
};

static int keep(const struct fathom_block *block, void *payload) {
    struct seen *seen = payload;
    fathom_free(seen->rows);
    if (fathom__alloc(&seen->rows, block->n_rows * block->width, sizeof(float))) return FATHOM_ERROR_MEMORY;
    memcpy(seen->rows, block->rows, block->n_rows * block->width * sizeof(float));
    seen->n_blocks++;
    seen->n_rows = block->n_rows;
    seen->heads = block->heads;
    seen->width = block->width;
    memcpy(seen->tokens, block->tokens, block->n_rows * sizeof(int32_t));
    memcpy(seen->positions, block->positions, block->n_rows * sizeof(int32_t));
    memcpy(seen->sequences, block->sequences, block->n_rows * sizeof(int32_t));
    if (seen->counter) seen->order = ++*seen->counter;
    return 0;
}

static void decode(fathom_session *session, const int32_t *tokens, size_t n, int32_t sequence, int32_t start,
                   bool want_logits) {
    struct fathom_row rows[64];
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct fathom_row){tokens[i], start + (int32_t)i, sequence, want_logits};
    OK(fathom_session_decode(session, rows, n));
}

static float *logits_copy(const fathom_session *session, size_t row) {
    const float *logits = fathom_session_logits(session, row);
    assert_non_null(logits);
    size_t n = fathom_model_describe(fathom_session_model(session))->n_vocab;
    float *copy = NULL;
    OK(fathom__alloc(&copy, n, sizeof(float)));
    memcpy(copy, logits, n * sizeof(float));
    return copy;
}

static double largest_difference(const float *a, const float *b, size_t n) {
    double largest = 0.0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)a[i] - b[i]));
    return largest;
}

/* Every point of every layer, with the shape that the model's description promises. */
static void test_every_hook_has_its_shape(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        const struct fathom_model_info *info = fathom_model_describe(models[m]);
        fathom_session *session = open_session(models[m], true, 1);
        static struct seen seen[FATHOM_HOOK_COUNT * 8];
        memset(seen, 0, sizeof seen);
        size_t n = 0, expected_heads[FATHOM_HOOK_COUNT * 8], expected_width[FATHOM_HOOK_COUNT * 8];
        for (int kind = 0; kind < FATHOM_HOOK_COUNT; kind++) {
            for (int32_t layer = -1; layer < (int32_t)info->n_layers; layer++) {
                uint32_t heads = 0, width = 0;
                struct fathom_hook hook = {(enum fathom_hook_kind)kind, layer};
                if (!fathom_hook_exists(&heads, &width, models[m], hook)) continue;
                expected_heads[n] = heads;
                expected_width[n] = (size_t)heads * (width ? width : N_TOKENS);
                OK(fathom_session_tap(NULL, session, hook, keep, &seen[n]));
                n++;
            }
        }
        assert_int_equal(n, 17 * info->n_layers + 3);
        decode(session, text, N_TOKENS, 0, 0, true);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(seen[i].n_blocks, 1);
            assert_int_equal(seen[i].n_rows, N_TOKENS);
            assert_int_equal(seen[i].heads, expected_heads[i]);
            assert_int_equal(seen[i].width, expected_width[i]);
            assert_memory_equal(seen[i].tokens, text, sizeof text);
            for (int32_t r = 0; r < N_TOKENS; r++) {
                assert_int_equal(seen[i].positions[r], r);
                assert_int_equal(seen[i].sequences[r], 0);
            }
            fathom_free(seen[i].rows);
        }
        fathom_session_close(session);
    }
}

/* A pattern's rows are distributions over the keys up to the row's own position, and scores are their logarithms up to
 * a constant. */
static void test_pattern_follows_scores(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        fathom_session *session = open_session(models[m], true, 1);
        struct seen pattern = {0}, scores = {0};
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "pattern.1"), keep, &pattern));
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "attn_scores.1"), keep, &scores));
        decode(session, text, 3, 0, 0, true);
        decode(session, text + 3, N_TOKENS - 3, 0, 3, true);
        assert_int_equal(pattern.n_rows, N_TOKENS - 3);
        assert_int_equal(pattern.width, pattern.heads * N_TOKENS);
        for (size_t row = 0; row < pattern.n_rows; row++) {
            for (size_t head = 0; head < pattern.heads; head++) {
                const float *p = pattern.rows + row * pattern.width + head * N_TOKENS,
                            *s = scores.rows + row * pattern.width + head * N_TOKENS;
                double sum = 0.0, normaliser = 0.0;
                for (size_t key = 0; key < N_TOKENS; key++) {
                    if (key > row + 3) assert_true(p[key] == 0.0f && s[key] == -INFINITY);
                    sum += p[key];
                    normaliser += exp(s[key]);
                }
                assert_true(fabs(sum - 1.0) < 1e-5);
                for (size_t key = 0; key <= row + 3; key++)
                    assert_true(fabs(exp(s[key]) / normaliser - p[key]) < 1e-5);
            }
        }
        fathom_free(pattern.rows);
        fathom_free(scores.rows);
        fathom_session_close(session);
    }
}

struct change {
    int32_t sequence; /* -1: all */
    float add;
    float factor;
    bool silent; /* writes without saying so */
    int order, *counter;
};

static int change_rows(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    struct change *change = payload;
    for (size_t r = 0; r < block->n_rows; r++) {
        if (change->sequence >= 0 && block->sequences[r] != change->sequence) continue;
        for (size_t i = 0; i < block->width; i++)
            rows[r * block->width + i] = rows[r * block->width + i] * change->factor + change->add;
    }
    *changed = !change->silent;
    if (change->counter) change->order = ++*change->counter;
    return 0;
}

/* Edits run in the order they were added, on top of each other, and taps see the result, also under the point's other
 * name. */
static void test_order_of_edits(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        fathom_session *session = open_session(models[m], false, 1);
        int counter = 0;
        struct seen plain = {0}, after = {.counter = &counter}, same = {.counter = &counter};
        int id = 0;
        OK(fathom_session_tap(&id, session, hook_of(models[m], "resid_post.1"), keep, &plain));
        decode(session, text, N_TOKENS, 0, 0, true);
        fathom_session_unhook(session, id);
        fathom_session_forget(session, -1, 0);

        struct change first = {.sequence = -1, .add = 1.0f, .factor = 1.0f, .counter = &counter};
        struct change second = {.sequence = -1, .factor = 2.0f, .counter = &counter};
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "resid_pre.2"), keep, &same));
        OK(fathom_session_edit(NULL, session, hook_of(models[m], "resid_post.1"), change_rows, &first));
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "blocks.1.hook_resid_post"), keep, &after));
        OK(fathom_session_edit(NULL, session, hook_of(models[m], "resid_pre.-2"), change_rows, &second));
        decode(session, text, N_TOKENS, 0, 0, true);
        assert_int_equal(first.order, 1);
        assert_int_equal(second.order, 2);
        assert_int_equal(same.order, 3);
        assert_int_equal(after.order, 4);
        assert_int_equal(plain.n_blocks, 1);
        for (size_t i = 0; i < plain.n_rows * plain.width; i++)
            assert_true(after.rows[i] == (plain.rows[i] + 1.0f) * 2.0f);
        assert_memory_equal(same.rows, after.rows, plain.n_rows * plain.width * sizeof(float));
        fathom_free(plain.rows);
        fathom_free(after.rows);
        fathom_free(same.rows);
        fathom_session_close(session);
    }
}

/* An edit reaches what comes after it and nothing else; one that does not say that it changed something changes
 * nothing. */
static void test_reach_of_edits(void **state) {
    (void)state;
    static const char *const points[] = {"embed",      "attn_in.1",  "q.1",         "k.1",      "v.1",
                                         "z.1",        "attn_out.1", "resid_mid.1", "mlp_in.1", "mlp_pre.1",
                                         "mlp_post.1", "mlp_out.1",  "rot_q.1",     "rot_k.1",  "attn_scores.1",
                                         "pattern.1",  "final_norm"};
    for (int m = 0; m < 2; m++) {
        fathom_session *session = open_session(models[m], true, 1);
        size_t n_vocab = fathom_model_describe(models[m])->n_vocab;
        struct seen before = {0};
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "resid_post.0"), keep, &before));
        decode(session, text, N_TOKENS, 0, 0, true);
        float *plain = logits_copy(session, N_TOKENS - 1), *plain_before = before.rows;
        before.rows = NULL;
        for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
            struct change change = {.sequence = -1, .add = 0.0f, .factor = 1.0f};
            int id = 0;
            OK(fathom_session_edit(&id, session, hook_of(models[m], points[p]), change_rows, &change));
            fathom_session_forget(session, -1, 0);
            decode(session, text, N_TOKENS, 0, 0, true);
            /* The same values written back. */
            assert_memory_equal(plain, fathom_session_logits(session, N_TOKENS - 1), n_vocab * sizeof(float));

            change.add = 0.25f;
            change.factor = 1.5f;
            change.silent = true;
            fathom_session_forget(session, -1, 0);
            decode(session, text, N_TOKENS, 0, 0, true);
            assert_memory_equal(plain, fathom_session_logits(session, N_TOKENS - 1), n_vocab * sizeof(float));

            change.silent = false;
            fathom_session_forget(session, -1, 0);
            decode(session, text, N_TOKENS, 0, 0, true);
            if (largest_difference(plain, fathom_session_logits(session, N_TOKENS - 1), n_vocab) < 1e-4)
                fail_msg("%s: no effect", points[p]);
            if (strcmp(points[p], "embed") != 0)
                assert_memory_equal(before.rows, plain_before, before.n_rows * before.width * sizeof(float));
            fathom_session_unhook(session, id);
        }
        fathom_free(before.rows);
        fathom_free(plain_before);
        fathom_free(plain);
        fathom_session_close(session);
    }
}

/* An edit of the logits is what is then read. */
static void test_edited_logits(void **state) {
    (void)state;
    fathom_session *session = open_session(models[0], false, 1);
    size_t n_vocab = fathom_model_describe(models[0])->n_vocab;
    decode(session, text, N_TOKENS, 0, 0, true);
    float *plain = logits_copy(session, 2);
    fathom_session_forget(session, -1, 0);
    struct change change = {.sequence = -1, .add = 3.0f, .factor = 0.5f};
    struct seen resid = {0}, logits = {0};
    OK(fathom_session_edit(NULL, session, hook_of(models[0], "logits"), change_rows, &change));
    OK(fathom_session_tap(NULL, session, hook_of(models[0], "logits"), keep, &logits));
    OK(fathom_session_tap(NULL, session, hook_of(models[0], "resid_post.-1"), keep, &resid));
    struct fathom_row rows[N_TOKENS];
    for (int32_t i = 0; i < N_TOKENS; i++)
        rows[i] = (struct fathom_row){text[i], i, 0, i == 2 || i == 5};
    OK(fathom_session_decode(session, rows, N_TOKENS));
    /* The last layer has all rows, the logits only those that were asked for. */
    assert_int_equal(resid.n_rows, N_TOKENS);
    assert_int_equal(logits.n_rows, 2);
    assert_int_equal(logits.positions[0], 2);
    assert_int_equal(logits.positions[1], 5);
    assert_null(fathom_session_logits(session, 0));
    assert_null(fathom_session_logits(session, N_TOKENS));
    const float *edited = fathom_session_logits(session, 2);
    assert_memory_equal(edited, logits.rows, n_vocab * sizeof(float));
    for (size_t i = 0; i < n_vocab; i++)
        assert_true(fabs(edited[i] - (plain[i] * 0.5f + 3.0f)) < 1e-4);
    fathom_free(resid.rows);
    fathom_free(logits.rows);
    fathom_free(plain);
    fathom_session_close(session);
}

/* Two texts in one batch, in turns: each one's rows and logits are what it has alone, and an edit of one leaves the
 * other as it was. */
static void test_sequences_share_a_batch(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        size_t n_vocab = fathom_model_describe(models[m])->n_vocab;
        const int32_t *texts[2] = {text, other_text};
        float *alone[2], *together[2];
        fathom_session *single = open_session(models[m], false, 1);
        for (int s = 0; s < 2; s++) {
            fathom_session_forget(single, -1, 0);
            decode(single, texts[s], N_TOKENS, 0, 0, true);
            alone[s] = logits_copy(single, N_TOKENS - 1);
        }
        fathom_session_close(single);

        fathom_session *session = open_session(models[m], false, 3);
        struct seen seen = {0};
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "resid_post.3"), keep, &seen));
        struct fathom_row rows[2 * N_TOKENS];
        for (int32_t i = 0; i < 2 * N_TOKENS; i++)
            rows[i] = (struct fathom_row){texts[i % 2][i / 2], i / 2, i % 2 ? 2 : 0, i / 2 == N_TOKENS - 1};
        OK(fathom_session_decode(session, rows, 2 * N_TOKENS));
        for (int32_t i = 0; i < 2 * N_TOKENS; i++) {
            assert_int_equal(seen.tokens[i], texts[i % 2][i / 2]);
            assert_int_equal(seen.positions[i], i / 2);
            assert_int_equal(seen.sequences[i], i % 2 ? 2 : 0);
        }
        for (int s = 0; s < 2; s++) {
            together[s] = logits_copy(session, 2 * N_TOKENS - 2 + (size_t)s);
            assert_true(largest_difference(alone[s], together[s], n_vocab) < 1e-3);
        }
        assert_true(largest_difference(alone[0], alone[1], n_vocab) > 0.05);

        struct change change = {.sequence = 2, .add = 1.0f, .factor = 1.0f};
        OK(fathom_session_edit(NULL, session, hook_of(models[m], "resid_post.0"), change_rows, &change));
        fathom_session_forget(session, -1, 0);
        OK(fathom_session_decode(session, rows, 2 * N_TOKENS));
        assert_memory_equal(together[0], fathom_session_logits(session, 2 * N_TOKENS - 2), n_vocab * sizeof(float));
        assert_true(largest_difference(together[1], fathom_session_logits(session, 2 * N_TOKENS - 1), n_vocab) > 0.01);
        for (int s = 0; s < 2; s++) {
            fathom_free(alone[s]);
            fathom_free(together[s]);
        }
        fathom_free(seen.rows);
        fathom_session_close(session);
    }
}

/* Going on after a forget or in a fork gives what the whole text gives. */
static void test_forget_and_fork(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        size_t n_vocab = fathom_model_describe(models[m])->n_vocab;
        fathom_session *session = open_session(models[m], false, 2);
        decode(session, text, N_TOKENS, 0, 0, true);
        float *whole = logits_copy(session, N_TOKENS - 1);
        fathom_session_forget(session, 0, 4);
        decode(session, text + 4, N_TOKENS - 4, 0, 4, true);
        assert_true(largest_difference(whole, fathom_session_logits(session, N_TOKENS - 5), n_vocab) < 1e-3);
        fathom_session_forget(session, 0, 4);
        OK(fathom_session_fork(session, 0, 1));
        decode(session, other_text, 2, 0, 4, true);
        decode(session, text + 4, N_TOKENS - 4, 1, 4, true);
        assert_true(largest_difference(whole, fathom_session_logits(session, N_TOKENS - 5), n_vocab) < 1e-3);
        assert_int_equal(fathom_session_fork(session, 0, 1), FATHOM_ERROR_ARGUMENT);
        assert_message("forget them first");
        assert_int_equal(fathom_session_fork(session, 0, 2), FATHOM_ERROR_ARGUMENT);
        fathom_free(whole);
        fathom_session_close(session);
    }
}

/* Without wanted logits a run ends after its last tap: the rows are the same, later layers are not computed, and the
 * text cannot go on as if they were. */
static void test_stopping_early(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        fathom_session *session = open_session(models[m], false, 1);
        struct seen seen = {0}, late = {0};
        int late_id = 0;
        OK(fathom_session_tap(NULL, session, hook_of(models[m], "resid_post.1"), keep, &seen));
        OK(fathom_session_tap(&late_id, session, hook_of(models[m], "resid_post.2"), keep, &late));
        decode(session, text, N_TOKENS, 0, 0, true);
        float *whole = seen.rows;
        seen.rows = NULL;
        assert_int_equal(late.n_blocks, 1);
        fathom_session_unhook(session, late_id);
        fathom_session_forget(session, -1, 0);
        decode(session, text, 4, 0, 0, false);
        assert_true(session->stopped);
        assert_null(fathom_session_logits(session, 3));
        assert_memory_equal(whole, seen.rows, 4 * seen.width * sizeof(float));
        /* As far as that, the keys and values are there. */
        decode(session, text + 4, N_TOKENS - 4, 0, 4, false);
        assert_true(largest_difference(whole + 4 * seen.width, seen.rows, (N_TOKENS - 4) * seen.width) < 1e-3);
        struct fathom_row row = {.token = 3, .position = N_TOKENS, .sequence = 0, .want_logits = true};
        assert_int_equal(fathom_session_decode(session, &row, 1), FATHOM_ERROR_ARGUMENT);
        assert_message("forget it first");
        row.position = 0;
        OK(fathom_session_decode(session, &row, 1));
        /* Edits alone do not end a run: what they do to later layers is wanted. */
        fathom_session_unhook_all(session);
        fathom_session_forget(session, -1, 0);
        struct change change = {.sequence = -1, .add = 1.0f, .factor = 1.0f};
        OK(fathom_session_edit(NULL, session, hook_of(models[m], "resid_post.0"), change_rows, &change));
        decode(session, text, 4, 0, 0, false);
        assert_false(session->stopped);
        fathom_free(whole);
        fathom_free(seen.rows);
        fathom_free(late.rows);
        fathom_session_close(session);
    }
}

static int refuse(const struct fathom_block *block, void *payload) {
    (void)block;
    return *(const int *)payload;
}

static void test_callbacks_can_stop(void **state) {
    (void)state;
    fathom_session *session = open_session(models[0], false, 2);
    struct fathom_row other = {.token = 3, .position = 0, .sequence = 1, .want_logits = true};
    OK(fathom_session_decode(session, &other, 1));
    int answer = 17;
    OK(fathom_session_tap(NULL, session, hook_of(models[0], "resid_post.1"), refuse, &answer));
    struct fathom_row row = {.token = 3, .position = 0, .sequence = 0, .want_logits = true};
    assert_int_equal(fathom_session_decode(session, &row, 1), FATHOM_ERROR_STOPPED);
    assert_null(fathom_session_logits(session, 0));
    answer = FATHOM_ERROR_MISMATCH;
    assert_int_equal(fathom_session_decode(session, &row, 1), FATHOM_ERROR_MISMATCH);
    answer = 0;
    OK(fathom_session_decode(session, &row, 1));
    /* The other sequence was not in those batches and goes on. */
    other.position = 1;
    OK(fathom_session_decode(session, &other, 1));
    fathom_session_close(session);
}

static int add_within(const struct fathom_block *block, void *payload) {
    fathom_session *session = payload;
    return fathom_session_tap(NULL, session, block->hook, refuse, NULL);
}

static void test_errors(void **state) {
    (void)state;
    fathom_session *session = open_session(models[0], false, 2);
    assert_int_equal(fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_Q, 99}, keep, NULL),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_COUNT, 0}, keep, NULL),
                     FATHOM_ERROR_ARGUMENT);
    fathom_session_unhook(session, 1234);

    struct fathom_row rows[300];
    for (int32_t i = 0; i < 300; i++)
        rows[i] = (struct fathom_row){.token = 3, .position = i, .sequence = 0, .want_logits = false};
    assert_int_equal(fathom_session_decode(session, rows, 0), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_session_decode(session, rows, 65), FATHOM_ERROR_LIMIT);
    assert_message("65 rows");
    for (int32_t i = 0; i < 256; i += 64)
        OK(fathom_session_decode(session, rows + i, 64));
    assert_int_equal(fathom_session_decode(session, rows + 256, 10), FATHOM_ERROR_LIMIT);
    assert_message("10 too many");
    /* The sequence was forgotten: it starts anew. */
    assert_int_equal(fathom_session_decode(session, rows + 1, 1), FATHOM_ERROR_ARGUMENT);
    assert_message("position 0 was expected");
    OK(fathom_session_decode(session, rows, 2));
    assert_int_equal(fathom_session_decode(session, rows + 3, 1), FATHOM_ERROR_ARGUMENT);
    assert_message("position 2 was expected");

    struct fathom_row bad = rows[0];
    bad.sequence = 2;
    assert_int_equal(fathom_session_decode(session, &bad, 1), FATHOM_ERROR_ARGUMENT);
    assert_message("sequence 2");
    bad = rows[0];
    bad.token = (int32_t)fathom_model_describe(models[0])->n_vocab;
    assert_int_equal(fathom_session_decode(session, &bad, 1), FATHOM_ERROR_ARGUMENT);
    assert_message("token");
    assert_int_equal(fathom_session_feed(session, text, 0, 0, 0, false), FATHOM_ERROR_ARGUMENT);
    int32_t *long_text = NULL;
    OK(fathom__alloc(&long_text, 300, sizeof *long_text));
    assert_int_equal(fathom_session_feed(session, long_text, 300, 0, 0, false), FATHOM_ERROR_LIMIT);
    assert_message("300 tokens");
    fathom_free(long_text);

    OK(fathom_session_tap(NULL, session, hook_of(models[0], "resid_post.1"), add_within, session));
    assert_int_equal(fathom_session_decode(session, rows, 1), FATHOM_ERROR_ARGUMENT);
    assert_message("under way");
    fathom_session_close(session);

    struct fathom_session_options options = {.n_sequences = 1000};
    assert_int_equal(fathom_session_open(&session, models[0], &options), FATHOM_ERROR_LIMIT);
    options = (struct fathom_session_options){.kv_type = (enum fathom_kv_type)9};
    assert_int_equal(fathom_session_open(&session, models[0], &options), FATHOM_ERROR_ARGUMENT);
}

/* Key columns are positions only while one sequence is alone in the session. */
static void test_pattern_needs_one_sequence(void **state) {
    (void)state;
    fathom_session *session = open_session(models[0], true, 2);
    struct seen seen = {0};
    OK(fathom_session_tap(NULL, session, hook_of(models[0], "pattern.1"), keep, &seen));
    decode(session, text, N_TOKENS, 1, 0, true);
    struct fathom_row rows[2] = {{3, N_TOKENS, 1, true}, {3, 0, 0, true}};
    assert_int_equal(fathom_session_decode(session, rows, 2), FATHOM_ERROR_UNSUPPORTED);
    assert_message("one sequence");
    /* Both were forgotten: the session is empty and good again. */
    decode(session, text, N_TOKENS, 0, 0, true);
    fathom_session_forget(session, 0, 3);
    decode(session, text + 3, 2, 0, 3, true);
    assert_int_equal(seen.width, seen.heads * 5);
    fathom_free(seen.rows);
    fathom_session_close(session);
}

/* Forked sequences share cells, which count once. */
static void test_forks_fill_the_context(void **state) {
    (void)state;
    fathom_session *session = open_session(models[0], false, 3);
    struct fathom_row rows[64];
    for (int32_t start = 0; start < 192; start += 64) {
        for (int32_t i = 0; i < 64; i++)
            rows[i] = (struct fathom_row){.token = 3, .position = start + i, .sequence = 0};
        OK(fathom_session_decode(session, rows, 64));
    }
    OK(fathom_session_fork(session, 0, 1));
    OK(fathom_session_fork(session, 0, 2));
    for (int32_t i = 0; i < 64; i++)
        rows[i] = (struct fathom_row){.token = 4, .position = 192 + i, .sequence = 1, .want_logits = i == 63};
    OK(fathom_session_decode(session, rows, 64));
    rows[0] = (struct fathom_row){.token = 5, .position = 192, .sequence = 2, .want_logits = true};
    assert_int_equal(fathom_session_decode(session, rows, 1), FATHOM_ERROR_LIMIT);
    assert_message("256 are in it and 1 more do not fit (1 too many)");
    fathom_session_close(session);
}

struct run {
    fathom_session *session;
    struct seen seen;
    float *logits;
    int status;
};

static void *run_many_times(void *payload) {
    struct run *run = payload;
    for (int i = 0; i < 20 && !run->status; i++) {
        fathom_session_forget(run->session, -1, 0);
        run->status = fathom_session_feed(run->session, text, N_TOKENS, 0, 0, true);
    }
    return NULL;
}

/* Sessions of one model on several threads do not see each other. */
static void test_sessions_run_side_by_side(void **state) {
    (void)state;
    enum { N_RUNS = 3 };
    struct run runs[N_RUNS];
    pthread_t threads[N_RUNS];
    size_t n_vocab = fathom_model_describe(models[1])->n_vocab;
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < N_RUNS; i++) {
        runs[i].session = open_session(models[1], true, 1);
        OK(fathom_session_tap(NULL, runs[i].session, hook_of(models[1], "pattern.2"), keep, &runs[i].seen));
    }
    struct change change = {.sequence = -1, .add = 0.5f, .factor = 1.0f};
    OK(fathom_session_edit(NULL, runs[2].session, hook_of(models[1], "resid_post.0"), change_rows, &change));
    for (int i = 0; i < N_RUNS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many_times, &runs[i]), 0);
    for (int i = 0; i < N_RUNS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(runs[i].status, FATHOM_OK);
        assert_int_equal(runs[i].seen.n_blocks, 20);
        runs[i].logits = logits_copy(runs[i].session, N_TOKENS - 1);
    }
    assert_memory_equal(runs[0].logits, runs[1].logits, n_vocab * sizeof(float));
    assert_memory_equal(runs[0].seen.rows, runs[1].seen.rows, runs[0].seen.n_rows * runs[0].seen.width * sizeof(float));
    assert_true(largest_difference(runs[0].logits, runs[2].logits, n_vocab) > 1e-3);
    for (int i = 0; i < N_RUNS; i++) {
        fathom_free(runs[i].seen.rows);
        fathom_free(runs[i].logits);
        fathom_session_close(runs[i].session);
    }
}

static int spoil(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    (void)payload;
    rows[block->width / 2] = NAN;
    *changed = true;
    return 0;
}

/* What is not a number is told, and leaves nothing behind. */
static void test_numeric_error(void **state) {
    (void)state;
    fathom_session *session = open_session(models[0], true, 2);
    size_t n_vocab = fathom_model_describe(models[0])->n_vocab;
    decode(session, text, N_TOKENS, 0, 0, true);
    float *plain = logits_copy(session, N_TOKENS - 1);
    fathom_session_forget(session, -1, 0);
    int id = 0;
    OK(fathom_session_edit(&id, session, hook_of(models[0], "resid_post.0"), spoil, NULL));
    struct fathom_row row = {.token = 3, .position = 0, .sequence = 1, .want_logits = true};
    assert_int_equal(fathom_session_decode(session, &row, 1), FATHOM_ERROR_NUMERIC);
    assert_message("not finite");
    fathom_session_unhook(session, id);
    decode(session, text, N_TOKENS, 0, 0, true);
    assert_memory_equal(plain, fathom_session_logits(session, N_TOKENS - 1), n_vocab * sizeof(float));
    fathom_free(plain);
    fathom_session_close(session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_hook_has_its_shape),
        cmocka_unit_test(test_pattern_follows_scores),
        cmocka_unit_test(test_order_of_edits),
        cmocka_unit_test(test_reach_of_edits),
        cmocka_unit_test(test_edited_logits),
        cmocka_unit_test(test_sequences_share_a_batch),
        cmocka_unit_test(test_forget_and_fork),
        cmocka_unit_test(test_stopping_early),
        cmocka_unit_test(test_callbacks_can_stop),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_pattern_needs_one_sequence),
        cmocka_unit_test(test_numeric_error),
        cmocka_unit_test(test_forks_fill_the_context),
        cmocka_unit_test(test_sessions_run_side_by_side),
    };
    return cmocka_run_group_tests(tests, make_models, drop_models);
}
