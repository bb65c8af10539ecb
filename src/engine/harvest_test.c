/* Harvest on tiny random models: which rows come, in which order, and that they are what a plain session sees. */
#include "base/memory.h"
#include "base/scratch.h"
#include "engine/harvest_parts.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_DOCUMENTS = 40, MOST_ROWS = 1 << 14, WIDTH = 64, CONTEXT = 32 };

static char cache[2 * SCRATCH_PATH], corpus_path[2 * SCRATCH_PATH];
static const char *const architectures[] = {"llama", "gemma3"};
static char paths[2][2 * SCRATCH_PATH];

#define OK(call) assert_status(call, FATHOM_OK, #call)
static void assert_status(int status, int expected, const char *call) {
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", call, fathom_error_name(status), fathom_error_message(),
                 fathom_error_name(expected));
}

static void assert_message(const char *part) {
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

/* Documents of 1 to 195 bytes: the tiny vocabularies have about a token a byte. */
static int make_files(void **state) {
    (void)state;
    snprintf(cache, sizeof cache, "%s", scratch("cache"));
    setenv("XDG_CACHE_HOME", cache, 1);
    snprintf(corpus_path, sizeof corpus_path, "%s", scratch("corpus.jsonl"));
    FILE *file = fopen(corpus_path, "w");
    if (!file) return -1;
    for (int i = 0; i < N_DOCUMENTS; i++) {
        fputs("{\"text\": \"", file);
        for (int j = 0; j < 1 + i * 37 % 195; j++)
            fputc("etaoin shrdlu"[(i + j * j) % 13], file);
        fputs("\"}\n", file);
    }
    fclose(file);
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s.gguf", scratch_root(), architectures[i]);
        if (fathom_test_tiny_model(paths[i], architectures[i], 3)) return -1;
    }
    return 0;
}

/* All that a harvest delivered. */
struct gathered {
    size_t n_rows, n_blocks, n_hooks;
    float *values; /* [n_rows, WIDTH] of the first hook */
    int32_t tokens[MOST_ROWS], positions[MOST_ROWS];
    uint64_t documents[MOST_ROWS];
    uint64_t first_row;
    size_t stop_after; /* blocks; 0: never */
    int stop_with;
};

static int gather(const struct fathom_harvest_block *block, void *payload) {
    struct gathered *g = payload;
    if (g->n_blocks == 0) g->first_row = block->first_row;
    assert_int_equal(block->first_row, g->first_row + g->n_rows);
    assert_int_equal(block->widths[0], WIDTH);
    assert_in_range(block->n_rows, 1, MOST_ROWS - g->n_rows);
    memcpy(g->values + g->n_rows * WIDTH, block->rows[0], block->n_rows * WIDTH * sizeof(float));
    memcpy(g->tokens + g->n_rows, block->tokens, block->n_rows * sizeof(int32_t));
    memcpy(g->positions + g->n_rows, block->positions, block->n_rows * sizeof(int32_t));
    memcpy(g->documents + g->n_rows, block->documents, block->n_rows * sizeof(uint64_t));
    g->n_rows += block->n_rows;
    g->n_blocks++;
    g->n_hooks = block->n_hooks;
    return g->stop_after > 0 && g->n_blocks == g->stop_after ? g->stop_with : 0;
}

static struct gathered *new_gathered(void) {
    struct gathered *g = NULL;
    OK(fathom__alloc(&g, 1, sizeof *g));
    OK(fathom__alloc(&g->values, MOST_ROWS * WIDTH, sizeof(float)));
    return g;
}

static void drop_gathered(struct gathered *g) {
    fathom_free(g->values);
    fathom_free(g);
}

static int try_harvest(uint64_t *rows, struct gathered *g, const char *model,
                       const struct fathom_harvest_options *options) {
    fathom_corpus *corpus = NULL;
    const struct fathom_corpus_source source = {.path = corpus_path};
    OK(fathom_corpus_open(&corpus, &source, 1, 1));
    const int status = fathom_harvest(rows, model, corpus, options, gather, g);
    fathom_corpus_close(corpus);
    return status;
}

static const char *const hook_1[] = {"resid_post.1"};

static struct fathom_harvest_options plain_options(void) {
    return (struct fathom_harvest_options){.hooks = hook_1, .n_hooks = 1, .context = CONTEXT, .n_threads = 2};
}

static struct gathered *harvest(const char *model, struct fathom_harvest_options options) {
    struct gathered *g = new_gathered();
    uint64_t rows = 0;
    OK(try_harvest(&rows, g, model, &options));
    assert_int_equal(rows, g->n_rows);
    return g;
}

static void assert_same_stream(const struct gathered *a, const struct gathered *b, size_t offset) {
    assert_int_equal(a->n_rows, b->n_rows + offset);
    assert_int_equal(b->first_row, offset);
    assert_memory_equal(a->tokens + offset, b->tokens, b->n_rows * sizeof(int32_t));
    assert_memory_equal(a->positions + offset, b->positions, b->n_rows * sizeof(int32_t));
    assert_memory_equal(a->documents + offset, b->documents, b->n_rows * sizeof(uint64_t));
    assert_memory_equal(a->values + offset * WIDTH, b->values, b->n_rows * WIDTH * sizeof(float));
}

struct expected {
    const float *rows; /* what the session must see */
    size_t n;
    double tolerance, worst;
};

static int compare(const struct fathom_block *block, void *payload) {
    struct expected *e = payload;
    assert_int_equal(block->n_rows, e->n);
    for (size_t r = 0; r < e->n; r++) {
        double difference = 0, size = 0;
        for (size_t i = 0; i < WIDTH; i++) {
            const double a = block->rows[r * WIDTH + i], b = e->rows[r * WIDTH + i];
            difference += (a - b) * (a - b);
            size += a * a;
        }
        assert_true(size > 0);
        const double relative = sqrt(difference / size);
        if (!(relative <= e->tolerance)) fail_msg("row %zu of %zu is off by %g", r, e->n, relative);
        if (relative > e->worst) e->worst = relative;
    }
    return 0;
}

/* Runs every harvested sequence alone in a plain session. */
static double compare_with_session(const struct gathered *g, const char *model_path, double tolerance) {
    fathom_model *model = NULL;
    fathom_session *session = NULL;
    struct fathom_hook hook;
    struct expected expected = {.tolerance = tolerance};
    const struct fathom_session_options options = {.n_context = 256, .n_batch = 64, .n_threads = 1};
    OK(fathom_model_open(&model, model_path, NULL));
    OK(fathom_session_open(&session, model, &options));
    OK(fathom_hook_parse(&hook, model, hook_1[0]));
    OK(fathom_session_tap(NULL, session, hook, compare, &expected));
    for (size_t first = 0; first < g->n_rows; first += expected.n) {
        for (expected.n = 1; first + expected.n < g->n_rows && g->positions[first + expected.n] != 0;)
            expected.n++;
        expected.rows = g->values + first * WIDTH;
        fathom_session_forget(session, -1, 0);
        OK(fathom_session_feed(session, g->tokens + first, expected.n, 0, 0, false));
    }
    fathom_session_close(session);
    fathom_model_close(model);
    return expected.worst;
}

static void rows_are_those_of_a_session(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fathom_harvest_options options = plain_options();
        struct gathered *g = harvest(paths[i], options);
        assert_in_range(g->n_blocks, 3, 100);
        compare_with_session(g, paths[i], 3e-2); /* bf16 products, in sums over 64 to 128 */
        drop_gathered(g);
        options.original = true;
        g = harvest(paths[i], options);
        compare_with_session(g, paths[i], 1e-2); /* sums in f16 in both, in other batches */
        drop_gathered(g);
    }
}

static void sequences_follow_documents(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct gathered *g = harvest(paths[i], plain_options());
        fathom_model *model = NULL;
        size_t at = 0;
        OK(fathom_model_open(&model, paths[i], NULL));
        const struct fathom_model_info *info = fathom_model_describe(model);
        assert_int_equal(info->adds_bos, i == 1);
        for (int d = 0; d < N_DOCUMENTS; d++) {
            char text[256];
            int32_t *tokens = NULL;
            size_t n = 0, length = (size_t)(1 + d * 37 % 195);
            for (size_t j = 0; j < length; j++)
                text[j] = "etaoin shrdlu"[((size_t)d + j * j) % 13];
            OK(fathom_tokenize(&tokens, &n, model, text, length, false, false));
            int32_t position = 0;
            for (size_t k = 0; k < n; at++) {
                assert_true(at < g->n_rows);
                if (position == CONTEXT) position = 0;
                assert_int_equal(g->documents[at], d);
                assert_int_equal(g->positions[at], position);
                if (info->adds_bos && position == 0)
                    assert_int_equal(g->tokens[at], info->bos);
                else
                    assert_int_equal(g->tokens[at], tokens[k++]);
                position++;
            }
            fathom_free(tokens);
        }
        assert_int_equal(at, g->n_rows);
        fathom_model_close(model);
        drop_gathered(g);
    }
}

static void the_number_of_threads_changes_nothing(void **state) {
    (void)state;
    for (int original = 0; original < 2; original++) {
        struct fathom_harvest_options options = plain_options();
        options.original = original;
        options.n_threads = 1;
        struct gathered *one = harvest(paths[0], options);
        for (uint32_t n = 2; n <= 3; n++) {
            options.n_threads = n;
            struct gathered *several = harvest(paths[0], options);
            assert_same_stream(one, several, 0);
            drop_gathered(several);
        }
        drop_gathered(one);
    }
}

static void skipping_continues_the_same_stream(void **state) {
    (void)state;
    struct fathom_harvest_options options = plain_options();
    struct gathered *whole = harvest(paths[0], options);
    const size_t skips[] = {1, 511, 700, whole->n_rows - 1};
    for (size_t i = 0; i < sizeof skips / sizeof *skips; i++) {
        options.skip_tokens = skips[i];
        struct gathered *rest = harvest(paths[0], options);
        assert_same_stream(whole, rest, skips[i]);
        drop_gathered(rest);
    }
    options.skip_tokens = whole->n_rows;
    struct gathered *nothing = harvest(paths[0], options);
    assert_int_equal(nothing->n_rows, 0);
    drop_gathered(nothing);
    drop_gathered(whole);
}

static void max_tokens_ends_the_stream(void **state) {
    (void)state;
    struct fathom_harvest_options options = plain_options();
    struct gathered *whole = harvest(paths[0], options);
    options.max_tokens = 777;
    struct gathered *part = harvest(paths[0], options);
    assert_int_equal(part->n_rows, 777);
    assert_memory_equal(whole->values, part->values, 777 * WIDTH * sizeof(float));
    drop_gathered(part);
    options.skip_tokens = 700;
    part = harvest(paths[0], options);
    assert_int_equal(part->n_rows, 77);
    assert_int_equal(part->first_row, 700);
    assert_memory_equal(whole->values + (size_t)700 * WIDTH, part->values, 77 * WIDTH * sizeof(float));
    drop_gathered(part);
    drop_gathered(whole);
}

static void several_hooks_come_together(void **state) {
    static const char *const hooks[] = {"blocks.1.hook_resid_post", "mlp_post.0", "resid_post.-1"};
    (void)state;
    struct fathom_harvest_options options = plain_options();
    options.hooks = hooks;
    options.n_hooks = 3;
    struct gathered *three = harvest(paths[0], options);
    assert_int_equal(three->n_hooks, 3);
    compare_with_session(three, paths[0], 3e-2);
    drop_gathered(three);
}

static void callbacks_stop(void **state) {
    (void)state;
    struct fathom_harvest_options options = plain_options();
    struct gathered *g = new_gathered();
    uint64_t rows = 1;
    g->stop_after = 2;
    g->stop_with = 1;
    assert_status(try_harvest(&rows, g, paths[0], &options), FATHOM_ERROR_STOPPED, "stop");
    assert_int_equal(g->n_blocks, 2);
    assert_in_range(rows, 1, g->n_rows - 1); /* the refused block does not count */
    drop_gathered(g);
    g = new_gathered();
    g->stop_after = 1;
    g->stop_with = FATHOM_ERROR_IO;
    assert_status(try_harvest(&rows, g, paths[0], &options), FATHOM_ERROR_IO, "stop with a status");
    assert_int_equal(rows, 0);
    drop_gathered(g);
}

static void infinite_activations_are_named(void **state) {
    const char *path = scratch("infinite.gguf");
    struct fathom_test_tiny tiny = {.without = "blk.1.ffn_norm.weight"};
    const int64_t shape[] = {WIDTH};
    (void)state;
    OK(fathom_test_tiny_fill(&tiny, "llama", 3));
    OK(fathom_test_tiny_tensor(NULL, &tiny, "blk.1.ffn_norm.weight", shape, 1, 1e25f, 0.0f, 9));
    OK(fathom_test_tiny_commit(&tiny, path));
    fathom_test_tiny_free(&tiny);
    for (int original = 0; original < 2; original++) {
        struct fathom_harvest_options options = plain_options();
        options.original = original;
        struct gathered *g = new_gathered();
        assert_status(try_harvest(NULL, g, path, &options), FATHOM_ERROR_NUMERIC, "infinite weights");
        assert_message("blocks.1.hook_resid_post");
        assert_message("document 0 ");
        assert_int_equal(g->n_rows, 0);
        drop_gathered(g);
    }
}

static void bad_arguments_are_refused(void **state) {
    static const char *const wrong[] = {"resid_post.99"}, *const unknown[] = {"resid_pots.1"},
                             *const wide[] = {"pattern.1"}, *const logits[] = {"logits"};
    const struct {
        const char *const *hooks;
        size_t n_hooks;
        uint32_t context;
        uint64_t skip, most;
        int status;
        const char *message;
    } cases[] = {
        {wrong, 1, 0, 0, 0, FATHOM_ERROR_ARGUMENT, "99"},
        {unknown, 1, 0, 0, 0, FATHOM_ERROR_NOT_FOUND, "resid_pots"},
        {wide, 1, 0, 0, 0, FATHOM_ERROR_UNSUPPORTED, "pattern.1"},
        {logits, 1, 0, 0, 0, FATHOM_ERROR_UNSUPPORTED, "logits"},
        {hook_1, 0, 0, 0, 0, FATHOM_ERROR_ARGUMENT, "hooks"},
        {hook_1, 1, 1, 0, 0, FATHOM_ERROR_ARGUMENT, "context"},
        {hook_1, 1, 0, 11, 10, FATHOM_ERROR_ARGUMENT, "skip_tokens"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fathom_harvest_options options = {.hooks = cases[i].hooks,
                                                       .n_hooks = cases[i].n_hooks,
                                                       .context = cases[i].context,
                                                       .skip_tokens = cases[i].skip,
                                                       .max_tokens = cases[i].most,
                                                       .n_threads = 1};
        struct gathered *g = new_gathered();
        uint64_t rows = 7;
        assert_status(try_harvest(&rows, g, paths[0], &options), cases[i].status, cases[i].message);
        assert_message(cases[i].message);
        assert_int_equal(g->n_rows, 0);
        drop_gathered(g);
    }
    const struct fathom_harvest_options options = plain_options();
    struct gathered *g = new_gathered();
    assert_status(try_harvest(NULL, g, "/nowhere/model.gguf", &options), FATHOM_ERROR_IO, "no model");
    drop_gathered(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_a_session),
        cmocka_unit_test(sequences_follow_documents),
        cmocka_unit_test(the_number_of_threads_changes_nothing),
        cmocka_unit_test(skipping_continues_the_same_stream),
        cmocka_unit_test(max_tokens_ends_the_stream),
        cmocka_unit_test(several_hooks_come_together),
        cmocka_unit_test(callbacks_stop),
        cmocka_unit_test(infinite_activations_are_named),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, make_files, NULL);
}
