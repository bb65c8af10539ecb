/* Many sequences in one session, as a server has them: they come and go at any time, each is read and changed by
 * itself, and each gets what it would get alone. */
#include "base/memory.h"
#include "base/random.h"
#include "base/scratch.h"
#include "engine/session_internal.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SLOTS = 8, TEXTS = 10, LONGEST = 14, WIDTH = 64, MOST_ROWS = 64, MOST_VOCABULARY = 1024 };

static const char *const architectures[] = {"llama", "gemma3"};
static fathom_model *models[2];

#define OK(call) assert_status(call, FATHOM_OK, #call)
static void assert_status(int status, int expected, const char *call) {
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", call, fathom_error_name(status), fathom_error_message(),
                 fathom_error_name(expected));
}
static void assert_message(const char *part) {
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

static int make_models(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[2 * SCRATCH_PATH];
        snprintf(path, sizeof path, "%s/%s.gguf", scratch_root(), architectures[i]);
        int status = fathom_test_tiny_model(path, architectures[i], 1);
        if (!status) status = fathom_model_open(&models[i], path, NULL);
        if (status) print_error("%s\n", fathom_error_message());
        if (status) return status;
    }
    return 0;
}

static int drop_models(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        fathom_model_close(models[i]);
    return 0;
}

/* A text: when it may come, how many of its tokens come at once, and what is added to its rows (0: it is not edited). */
static const struct {
    int step, length, prompt;
    float strength;
} texts[TEXTS] = {
    {0, 9, 3, 0.0f},  {0, 4, 4, 1.0f}, {1, 12, 5, -0.5f}, {2, 7, 1, 0.0f}, {2, 5, 2, 2.0f},
    {3, 14, 6, 0.0f}, {4, 6, 3, 0.7f}, {4, 8, 2, 0.0f},   {5, 9, 4, 1.5f}, {6, 7, 3, 0.0f},
};

static int32_t token_of(int text, int position) {
    return 5 + (text * 13 + position * position * 7) % 90;
}

/* What happens in a session: which text each slot has, and what was seen of each. */
struct run {
    int slot_text[SLOTS], slot_fed[SLOTS];
    float factor; /* of all strengths */
    float direction[WIDTH];
    float rows[TEXTS][LONGEST][WIDTH];
    float logits[TEXTS][MOST_VOCABULARY]; /* after the last token */
};

static int add_own(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct run *run = payload;
    for (size_t r = 0; r < block->n_rows; r++) {
        const float strength = run->factor * texts[run->slot_text[block->sequences[r]]].strength;
        for (size_t i = 0; strength != 0.0f && i < block->width; i++)
            rows[r * block->width + i] += strength * run->direction[i];
        *changed = *changed || strength != 0.0f;
    }
    return 0;
}

static int keep_rows(const struct fathom_block *block, void *payload) {
    struct run *run = payload;
    if (block->width != WIDTH) return FATHOM_ERROR_ENGINE;
    for (size_t r = 0; r < block->n_rows; r++) {
        const int text = run->slot_text[block->sequences[r]];
        if (block->tokens[r] != token_of(text, block->positions[r])) return FATHOM_ERROR_MISMATCH;
        memcpy(run->rows[text][block->positions[r]], block->rows + r * WIDTH, sizeof run->rows[0][0]);
    }
    return 0;
}

static fathom_session *open_session(struct run *run, const fathom_model *model,
                                    const struct fathom_session_options *options) {
    fathom_session *session = NULL;
    struct fathom_hook edited, tapped;
    struct fathom__random random;
    fathom__random_seed(&random, 5);
    for (int i = 0; i < WIDTH; i++)
        run->direction[i] = (float)fathom__random_normal(&random);
    OK(fathom_session_open(&session, model, options));
    OK(fathom_hook_parse(&edited, model, "resid_post.0"));
    OK(fathom_hook_parse(&tapped, model, "resid_post.2"));
    OK(fathom_session_edit(NULL, session, edited, add_own, run));
    OK(fathom_session_tap(NULL, session, tapped, keep_rows, run));
    return session;
}

/* The last of the rows wants logits: a decode that wants none would end after the tap. */
static void put_rows(struct fathom_row *rows, size_t *n, struct run *run, int slot, int count) {
    const int text = run->slot_text[slot];
    for (int i = 0; i < count; i++) {
        const int position = run->slot_fed[slot]++;
        rows[(*n)++] = (struct fathom_row){token_of(text, position), position, slot, i + 1 == count};
    }
}

static void take_logits(struct run *run, const fathom_session *session, const struct fathom_row *rows, size_t n) {
    const size_t n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab;
    assert_in_range(n_vocab, 1, MOST_VOCABULARY);
    for (size_t r = 0; r < n; r++) {
        const float *logits = fathom_session_logits(session, r);
        assert_int_equal(logits != NULL, rows[r].want_logits);
        if (logits) memcpy(run->logits[run->slot_text[rows[r].sequence]], logits, n_vocab * sizeof *logits);
    }
}

/* As many decodes as caches of their own make of a step: rows of one sequence, or one row each of sequences in a row. */
static void decode(struct run *run, fathom_session *session, const struct fathom_row *rows, size_t n, bool own_caches) {
    for (size_t first = 0, end = 0; first < n; first = end) {
        for (end = first + 1; own_caches && end < n && rows[end].sequence == rows[first].sequence;)
            end++;
        while (own_caches && end < n && rows[end].sequence == rows[first].sequence + (int32_t)(end - first) &&
               (end + 1 == n || rows[end + 1].sequence != rows[end].sequence))
            end++;
        if (!own_caches) end = n;
        OK(fathom_session_decode(session, rows + first, end - first));
        take_logits(run, session, rows + first, end - first);
    }
}

/* Texts come into free slots when it is their time, and leave after their last token; a slot's rows begin the batch in
 * turn. At some step all slots are taken, so that a text must wait. */
static void run_together(struct run *run, const fathom_model *model, const struct fathom_session_options *options) {
    fathom_session *session = open_session(run, model, options);
    int next = 0, running = 0, most = 0;
    for (int s = 0; s < SLOTS; s++)
        run->slot_text[s] = -1;
    for (int step = 0; next < TEXTS || running > 0; step++) {
        struct fathom_row rows[MOST_ROWS];
        size_t n = 0;
        for (int i = 0; i < SLOTS; i++) {
            const int slot = (i + step) % SLOTS;
            if (run->slot_text[slot] < 0 && next < TEXTS && texts[next].step <= step) {
                run->slot_text[slot] = next;
                run->slot_fed[slot] = 0;
                running++;
                put_rows(rows, &n, run, slot, texts[next++].prompt);
            } else if (run->slot_text[slot] >= 0) {
                put_rows(rows, &n, run, slot, 1);
            }
        }
        decode(run, session, rows, n, options->own_caches);
        most = running > most ? running : most;
        for (int slot = 0; slot < SLOTS; slot++) {
            if (run->slot_text[slot] < 0 || run->slot_fed[slot] < texts[run->slot_text[slot]].length) continue;
            fathom_session_forget(session, slot, 0);
            run->slot_text[slot] = -1;
            running--;
        }
    }
    assert_in_range(most, SLOTS - 2, SLOTS);
    fathom_session_close(session);
}

static void run_alone(struct run *run, const fathom_model *model, struct fathom_session_options options) {
    options.n_sequences = 1;
    fathom_session *session = open_session(run, model, &options);
    for (int text = 0; text < TEXTS; text++) {
        struct fathom_row rows[LONGEST];
        size_t n = 0;
        run->slot_text[0] = text;
        run->slot_fed[0] = 0;
        put_rows(rows, &n, run, 0, texts[text].length);
        OK(fathom_session_decode(session, rows, n));
        take_logits(run, session, rows, n);
        fathom_session_forget(session, 0, 0);
    }
    fathom_session_close(session);
}

static double difference(const float *a, const float *b, size_t n) {
    double sum = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)a[i] * a[i];
    }
    return sqrt(sum / norm);
}

/* Rows and logits are those of each text alone with its own edit, within the rounding of batches of another size; and
 * what the neighbours are edited by changes no bit. */
static void texts_come_and_go(void **state) {
    (void)state;
    static const struct {
        struct fathom_session_options options;
        double most;
    } kinds[] = {
        {{.n_context = 256, .n_batch = MOST_ROWS, .n_sequences = SLOTS, .n_threads = 1}, 2e-3},
        {{.n_context = 256, .n_batch = MOST_ROWS, .n_sequences = SLOTS, .n_threads = 1, .flash_attention = true}, 2e-3},
        {{.n_context = 256, .n_batch = MOST_ROWS, .n_sequences = SLOTS, .n_threads = 1, .exact = true},
         5e-4}, /* a GELU is a table of f16 */
        {{.n_context = 256, .n_batch = MOST_ROWS, .n_sequences = SLOTS, .n_threads = 1, .own_caches = true}, 2e-3},
        {{.n_context = 256,
          .n_batch = MOST_ROWS,
          .n_sequences = SLOTS,
          .n_threads = 1,
          .flash_attention = true,
          .own_caches = true},
         2e-3},
    };
    static struct run together, alone, others;
    for (int m = 0; m < 2; m++) {
        const size_t n_vocab = fathom_model_describe(models[m])->n_vocab;
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            together.factor = alone.factor = 1.0f;
            others.factor = -2.0f;
            run_together(&together, models[m], &kinds[k].options);
            run_together(&others, models[m], &kinds[k].options);
            run_alone(&alone, models[m], kinds[k].options);
            for (int text = 0; text < TEXTS; text++) {
                const size_t n = (size_t)texts[text].length * WIDTH;
                const double rows = difference(alone.rows[text][0], together.rows[text][0], n),
                             logits = difference(alone.logits[text], together.logits[text], n_vocab);
                if (!(rows < kinds[k].most && logits < kinds[k].most))
                    fail_msg("%s, kind %zu, text %d: rows are off by %g, logits by %g", architectures[m], k, text, rows,
                             logits);
                if (texts[text].strength == 0.0f) {
                    assert_memory_equal(together.rows[text], others.rows[text], n * sizeof(float));
                    assert_memory_equal(together.logits[text], others.logits[text], n_vocab * sizeof(float));
                } else {
                    assert_true(difference(together.logits[text], others.logits[text], n_vocab) > 0.05);
                }
            }
        }
    }
}

static float *logits_after(fathom_session *session, int text, int32_t sequence, int from, int to) {
    struct fathom_row rows[LONGEST];
    const size_t n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab;
    for (int i = from; i < to; i++)
        rows[i - from] = (struct fathom_row){token_of(text, i), i, sequence, i + 1 == to};
    OK(fathom_session_decode(session, rows, (size_t)(to - from)));
    float *copy = NULL;
    OK(fathom__alloc(&copy, n_vocab, sizeof *copy));
    memcpy(copy, fathom_session_logits(session, (size_t)(to - from) - 1), n_vocab * sizeof *copy);
    return copy;
}

struct scoped {
    int32_t sequence;
    float strength;
    size_t calls, rows;
};

static int add_everywhere(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct scoped *scoped = payload;
    for (size_t i = 0; i < block->n_rows * block->width; i++)
        rows[i] += scoped->strength;
    *changed = true;
    return 0;
}

static int count_rows(const struct fathom_block *block, void *payload) {
    struct scoped *scoped = payload;
    scoped->calls++;
    scoped->rows += block->n_rows;
    for (size_t r = 0; r < block->n_rows; r++)
        if (block->sequences[r] != scoped->sequence ||
            block->tokens[r] != token_of(scoped->sequence, block->positions[r]))
            return FATHOM_ERROR_MISMATCH;
    return 0;
}

/* Hooks of one sequence see its rows and no others, and what it is changed by changes no bit of its neighbours. */
static void hooks_have_a_scope(void **state) {
    (void)state;
    enum { SEQUENCES = 3 };
    static const struct fathom_row rows[] = {{0, 0, 0, false}, {0, 0, 1, false}, {0, 1, 0, false},
                                             {0, 0, 2, true},  {0, 2, 0, true},  {0, 1, 1, true}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    const size_t n_vocab = fathom_model_describe(models[0])->n_vocab;
    float *logits[2][ROWS];
    for (int edited = 0; edited < 2; edited++) {
        const struct fathom_session_options options = {
            .n_context = 64, .n_batch = MOST_ROWS, .n_sequences = SEQUENCES, .n_threads = 1};
        struct scoped first = {.sequence = 0, .strength = edited ? 1.0f : 0.0f}, second = {.sequence = 1};
        struct fathom_row batch[ROWS];
        fathom_session *session = NULL;
        struct fathom_hook hook;
        OK(fathom_session_open(&session, models[0], &options));
        OK(fathom_hook_parse(&hook, models[0], "resid_post.1"));
        OK(fathom_session_scope(session, 0));
        OK(fathom_session_edit(NULL, session, hook, add_everywhere, &first));
        OK(fathom_session_tap(NULL, session, hook, count_rows, &first));
        OK(fathom_session_scope(session, 1));
        OK(fathom_session_tap(NULL, session, hook, count_rows, &second));
        assert_int_equal(fathom_session_scope(session, SEQUENCES), FATHOM_ERROR_ARGUMENT);
        assert_int_equal(fathom_session_scope(session, -2), FATHOM_ERROR_ARGUMENT);
        assert_message("sequence -2");
        for (int r = 0; r < ROWS; r++) {
            batch[r] = rows[r];
            batch[r].token = token_of(rows[r].sequence, rows[r].position);
        }
        OK(fathom_session_decode(session, batch, ROWS));
        assert_int_equal(first.calls, 3);
        assert_int_equal(first.rows, 3);
        assert_int_equal(second.calls, 2);
        assert_int_equal(second.rows, 2);
        for (int r = 0; r < ROWS; r++) {
            logits[edited][r] = NULL;
            if (!rows[r].want_logits) continue;
            OK(fathom__alloc(&logits[edited][r], n_vocab, sizeof(float)));
            memcpy(logits[edited][r], fathom_session_logits(session, (size_t)r), n_vocab * sizeof(float));
        }
        /* A decode without its sequence does not call a hook. */
        const struct fathom_row other = {token_of(2, 1), 1, 2, true};
        OK(fathom_session_decode(session, &other, 1));
        assert_int_equal(first.calls, 3);
        fathom_session_close(session);
    }
    assert_memory_equal(logits[0][3], logits[1][3], n_vocab * sizeof(float));
    assert_memory_equal(logits[0][5], logits[1][5], n_vocab * sizeof(float));
    assert_true(difference(logits[0][4], logits[1][4], n_vocab) > 0.05);
    for (int i = 0; i < 2 * ROWS; i++)
        fathom_free(logits[i / ROWS][i % ROWS]);
}

/* Texts that begin alike share what they begin with; each then goes on by itself, and outlives the others. */
static void prefixes_are_shared(void **state) {
    (void)state;
    enum { CONTEXT = 256, SHARED = 6, WHOLE = 12 };
    for (int m = 0; m < 2; m++) {
        const size_t n_vocab = fathom_model_describe(models[m])->n_vocab;
        const struct fathom_session_options options = {
            .n_context = CONTEXT, .n_batch = MOST_ROWS, .n_sequences = 3, .n_threads = 1};
        fathom_session *session = NULL;
        OK(fathom_session_open(&session, models[m], &options));
        assert_int_equal(fathom_session_room(session), CONTEXT);
        float *whole = logits_after(session, 2, 0, 0, WHOLE);
        assert_int_equal(fathom_session_room(session), CONTEXT - WHOLE);
        OK(fathom_session_fork_prefix(session, 0, 1, SHARED));
        assert_int_equal(fathom_session_room(session), CONTEXT - WHOLE);
        OK(fathom_session_fork_prefix(session, 1, 2, 100)); /* all that it has */
        fathom_free(logits_after(session, 5, 2, SHARED, WHOLE));
        assert_int_equal(fathom_session_room(session), CONTEXT - 2 * WHOLE + SHARED);
        fathom_session_forget(session, 0, 0);
        assert_int_equal(fathom_session_room(session), CONTEXT - WHOLE);
        float *again = logits_after(session, 2, 1, SHARED, WHOLE);
        assert_true(difference(whole, again, n_vocab) < 2e-3);
        /* Whoever holds a shared position last gives it back. */
        fathom_session_forget(session, 2, SHARED - 2);
        assert_int_equal(fathom_session_room(session), CONTEXT - WHOLE);
        fathom_session_forget(session, 1, 0);
        assert_int_equal(fathom_session_room(session), CONTEXT - SHARED + 2);
        fathom_session_forget(session, -1, 0);
        assert_int_equal(fathom_session_room(session), CONTEXT);

        OK(fathom_session_fork_prefix(session, 0, 1, 3)); /* of nothing */
        assert_int_equal(fathom_session_room(session), CONTEXT);
        assert_int_equal(fathom_session_fork_prefix(session, 0, 1, -1), FATHOM_ERROR_ARGUMENT);
        assert_message("prefix of -1");
        fathom_free(whole);
        fathom_free(again);
        fathom_session_close(session);
    }
}

/* With a cache for each sequence a fork is a copy, and decodes are what the engine computes in one graph. */
static void caches_are_their_own(void **state) {
    (void)state;
    enum { CACHE = 256, SEQUENCES = 4, SHARED = 6, WHOLE = 12 };
    const struct fathom_session_options options = {
        .n_context = SEQUENCES * 100, .n_batch = CACHE, .n_sequences = SEQUENCES, .n_threads = 1, .own_caches = true};
    for (int m = 0; m < 2; m++) {
        const size_t n_vocab = fathom_model_describe(models[m])->n_vocab;
        fathom_session *session = NULL;
        OK(fathom_session_open(&session, models[m], &options));
        assert_int_equal(fathom_session_longest(session), CACHE);
        assert_int_equal(fathom_session_context(session), SEQUENCES * CACHE);
        float *whole = logits_after(session, 2, 0, 0, WHOLE);
        OK(fathom_session_fork_prefix(session, 0, 3, SHARED));
        assert_int_equal(fathom_session_room(session), SEQUENCES * CACHE - WHOLE - SHARED);
        fathom_session_forget(session, 0, 0);
        fathom_free(logits_after(session, 5, 0, 0, WHOLE));
        float *again = logits_after(session, 2, 3, SHARED, WHOLE);
        assert_true(difference(whole, again, n_vocab) < 2e-3);
        fathom_session_forget(session, -1, 0);

        struct fathom_row rows[CACHE];
        for (int i = 0; i < 6; i++)
            rows[i] = (struct fathom_row){token_of(1, i % 3), i % 3, 1 + i / 3, i % 3 == 2};
        OK(fathom_session_decode(session, rows, 6)); /* three each of 1 and 2 */
        assert_memory_equal(fathom_session_logits(session, 2), fathom_session_logits(session, 5),
                            n_vocab * sizeof(float));
        const int32_t refused[][3] = {{0, 2, 3}, {1, 0, 0}, {0, 1, 1}, {0, 1, 0}};
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
            fathom_session_forget(session, -1, 0);
            int32_t lengths[SEQUENCES] = {0};
            for (int r = 0; r < 3; r++)
                rows[r] = (struct fathom_row){token_of(1, r), lengths[refused[i][r]]++, refused[i][r], true};
            assert_int_equal(fathom_session_decode(session, rows, 3), FATHOM_ERROR_ARGUMENT);
            assert_message("caches of their own");
        }
        for (int i = 0; i < CACHE; i++)
            rows[i] = (struct fathom_row){token_of(1, i % LONGEST), i, 2, i + 1 == CACHE};
        OK(fathom_session_decode(session, rows, CACHE));
        const struct fathom_row more = {token_of(1, 0), CACHE, 2, true};
        assert_int_equal(fathom_session_decode(session, &more, 1), FATHOM_ERROR_LIMIT);
        assert_message("holds 256 tokens");
        fathom_free(whole);
        fathom_free(again);
        fathom_session_close(session);
    }
}

/* Sequences that come, fork and go in any order leave the count of free positions, and the engine's own, right. */
static void rooms_are_counted(void **state) {
    (void)state;
    enum { CONTEXT = 256, SEQUENCES = 6, STEPS = 400, MOST = 9 };
    const struct fathom_session_options options = {
        .n_context = CONTEXT, .n_batch = MOST_ROWS, .n_sequences = SEQUENCES, .n_threads = 1};
    struct fathom__random random;
    fathom_session *session = NULL;
    int32_t lengths[SEQUENCES] = {0};
    unsigned full = 0;
    fathom__random_seed(&random, 12);
    OK(fathom_session_open(&session, models[0], &options));
    for (int step = 0; step < STEPS; step++) {
        const int32_t sequence = (int32_t)fathom__random_below(&random, SEQUENCES),
                      other = (sequence + 1 + (int32_t)fathom__random_below(&random, SEQUENCES - 1)) % SEQUENCES;
        const uint32_t room = fathom_session_room(session);
        const size_t n = 1 + fathom__random_below(&random, MOST);
        struct fathom_row rows[MOST];
        switch (fathom__random_below(&random, 8)) {
        case 0:
            lengths[sequence] = (int32_t)fathom__random_below(&random, (uint64_t)lengths[sequence] + 1);
            fathom_session_forget(session, sequence, lengths[sequence]);
            break;
        case 1:
            if (lengths[sequence] > 0) break;
            lengths[sequence] = (int32_t)fathom__random_below(&random, (uint64_t)lengths[other] + 1);
            OK(fathom_session_fork_prefix(session, other, sequence, lengths[sequence]));
            assert_int_equal(fathom_session_room(session), room);
            break;
        default:
            for (size_t i = 0; i < n; i++)
                rows[i] = (struct fathom_row){token_of(step % TEXTS, (int)i), lengths[sequence] + (int32_t)i, sequence,
                                              i + 1 == n};
            if (n > room) {
                assert_int_equal(fathom_session_decode(session, rows, n), FATHOM_ERROR_LIMIT);
                lengths[sequence] = 0; /* an error forgets it */
                full++;
            } else {
                /* What is said to have room has room in the engine too. */
                OK(fathom_session_decode(session, rows, n));
                lengths[sequence] += (int32_t)n;
                assert_int_equal(fathom_session_room(session), room - n);
            }
        }
    }
    assert_in_range(full, 3, STEPS / 4);
    fathom_session_forget(session, -1, 0);
    assert_int_equal(fathom_session_room(session), CONTEXT);
    fathom_session_close(session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_and_go),   cmocka_unit_test(hooks_have_a_scope),
        cmocka_unit_test(prefixes_are_shared), cmocka_unit_test(caches_are_their_own),
        cmocka_unit_test(rooms_are_counted),
    };
    return cmocka_run_group_tests(tests, make_models, drop_models);
}
