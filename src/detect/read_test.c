#include "base/memory.h"
#include "base/scratch.h"
#include "detect/pool.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 64, LONG_WORDS = 700 };

static int open_model(void **state) {
    const char *path = scratch("model.gguf");
    fathom_model *model = NULL;
    assert_int_equal(fathom_test_tiny_model(path, "gemma3", 3), FATHOM_OK);
    assert_int_equal(fathom_model_open(&model, path, NULL), FATHOM_OK);
    *state = model;
    return 0;
}

static int close_model(void **state) {
    fathom_model_close(*state);
    return 0;
}

static void add(struct fathom_texts *texts, const char *text) {
    assert_int_equal(fathom_texts_append(texts, text, strlen(text), FATHOM_LABEL_NONE), FATHOM_OK);
}

/* More texts than a batch has sequences, of many lengths, one longer than a window. */
static void fill(struct fathom_texts *texts) {
    static char long_text[LONG_WORDS * 16 + 1];
    for (size_t i = 0; i < LONG_WORDS; i++) {
        strcat(long_text, i % 2 ? " zyxwvutsrq" : " the sea");
    }
    for (int i = 0; i < 20; i++) {
        add(texts, i % 3 ? "golden gate" : "the red ship on the river in the war");
    }
    add(texts, long_text);
    add(texts, "king");
}

struct counting {
    const fathom_model *model;
    const struct fathom_texts *texts;
    size_t text, tokens, pieces;
    double *sums; /* [texts, 2]: of the rows at both points */
};

static int count_piece(const struct fathom__piece *piece, void *payload) {
    struct counting *counting = payload;
    assert_int_equal(piece->text, counting->text);
    assert_int_equal(piece->first, counting->tokens);
    for (size_t r = 0; r < piece->n_tokens; r++) {
        assert_int_equal(piece->positions[r], r);
        for (size_t i = 0; i < WIDTH; i++) {
            counting->sums[piece->text * 2] += piece->rows[0][r * WIDTH + i];
            counting->sums[piece->text * 2 + 1] += piece->rows[1][r * WIDTH + i];
        }
    }
    assert_int_equal(piece->widths[0], WIDTH);
    counting->pieces++;
    counting->tokens += piece->n_tokens;
    if (piece->last) {
        int32_t *tokens = NULL;
        size_t n = 0;
        const char *text = counting->texts->texts[piece->text];
        assert_int_equal(fathom_tokenize(&tokens, &n, counting->model, text, strlen(text), true, false), FATHOM_OK);
        assert_int_equal(counting->tokens, n);
        fathom_free(tokens);
        counting->text++;
        counting->tokens = 0;
    }
    return 0;
}

static void every_text_is_delivered_in_order(void **state) {
    const fathom_model *model = *state;
    const struct fathom_hook hooks[] = {{FATHOM_HOOK_RESID_POST, 1}, {FATHOM_HOOK_RESID_POST, 3}};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    double sums[64] = {0};
    fill(&texts);
    struct counting counting = {.model = model, .texts = &texts, .sums = sums};
    assert_int_equal(fathom__read_texts(model, &texts, hooks, 2, count_piece, &counting), FATHOM_OK);
    assert_int_equal(counting.text, texts.n);
    assert_true(counting.pieces > texts.n); /* the long text came in windows */
    /* The same text gives the same rows wherever it stands in a batch, and the two points differ. */
    assert_true(fabs(sums[0] - sums[2 * 18]) < 0.05 * (1 + fabs(sums[0])));
    assert_true(fabs(sums[2] - sums[2 * 19]) < 0.05 * (1 + fabs(sums[2])));
    assert_true(fabs(sums[0] - sums[1]) > 1e-3);
    fathom_texts_free(&texts);
}

static int refuse(const struct fathom__piece *piece, void *payload) {
    (void)piece;
    return *(int *)payload;
}

static void what_the_callback_returns_comes_back(void **state) {
    const struct fathom_hook hook = {FATHOM_HOOK_RESID_POST, 1};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    int own = FATHOM_ERROR_NUMERIC, other = 5;
    add(&texts, "the sea");
    assert_int_equal(fathom__read_texts(*state, &texts, &hook, 1, refuse, &own), FATHOM_ERROR_NUMERIC);
    assert_int_equal(fathom__read_texts(*state, &texts, &hook, 1, refuse, &other), FATHOM_ERROR_STOPPED);
    fathom_texts_free(&texts);
}

static void pooling_leaves_first_rows_out(void **state) {
    const fathom_model *model = *state;
    const struct fathom_hook hook = {FATHOM_HOOK_RESID_POST, 2};
    const float no_limit = INFINITY, nothing = 0;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    float mean[2 * WIDTH], last[2 * WIDTH], none[2 * WIDTH];
    float *means = mean, *lasts = last, *nones = none;
    bool read[2];
    float median = 0;
    add(&texts, "x"); /* bos and one token: both pools are that token's row */
    add(&texts, "gate of the sea");
    assert_int_equal(fathom__pool_texts(&means, read, model, &texts, &hook, 1, &no_limit, FATHOM_POOL_MEAN), FATHOM_OK);
    assert_true(read[0] && read[1]);
    assert_int_equal(fathom__pool_texts(&lasts, read, model, &texts, &hook, 1, &no_limit, FATHOM_POOL_LAST), FATHOM_OK);
    assert_memory_equal(mean, last, WIDTH * sizeof(float));
    assert_memory_not_equal(mean + WIDTH, last + WIDTH, WIDTH * sizeof(float));
    assert_int_equal(fathom__pool_texts(&nones, read, model, &texts, &hook, 1, &nothing, FATHOM_POOL_MEAN), FATHOM_OK);
    assert_true(!read[0] && !read[1]);
    assert_true(none[5] == 0);
    assert_int_equal(fathom__median_norms(&median, model, &texts, &hook, 1), FATHOM_OK);
    assert_true(median > 0);
    fathom_texts_free(&texts);
}

static void medians(void **state) {
    (void)state;
    float odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2};
    assert_true(fathom__median(odd, 3) == 5);
    assert_true(fathom__median(even, 4) == 2.5f);
    assert_true(fathom__median(NULL, 0) == 0);
    const float row[] = {3, 4};
    assert_true(fathom__norm(row, 2) == 5);
}

static void points_without_rows_are_refused(void **state) {
    const struct fathom_hook hook = {FATHOM_HOOK_PATTERN, 1};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    int zero = 0;
    add(&texts, "the sea");
    assert_int_equal(fathom__read_texts(*state, &texts, &hook, 1, refuse, &zero), FATHOM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(fathom_error_message(), "blocks.1.attn.hook_pattern"));
    fathom_texts_free(&texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_is_delivered_in_order), cmocka_unit_test(what_the_callback_returns_comes_back),
        cmocka_unit_test(pooling_leaves_first_rows_out),    cmocka_unit_test(medians),
        cmocka_unit_test(points_without_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
