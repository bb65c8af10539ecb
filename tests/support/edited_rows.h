/* A tiny model, a text, and the rows at one hook point with and without a plan: what edits do can be told by hand. */
#ifndef FATHOM_TESTS_EDITED_ROWS_H
#define FATHOM_TESTS_EDITED_ROWS_H

#include "base/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/plan.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS_N = 12, ROWS_LAYER = 2 };
#define ROWS_SCALE 0.5f
#define ROWS_HOOK "blocks.2.hook_resid_post"

struct edited_rows {
    fathom_model *model;
    fathom_session *session;
    fathom_dictionary *dictionary; /* at ROWS_HOOK; skips position 0, no norm limit */
    int32_t tokens[ROWS_N];
    float plain[ROWS_N * TOY_WIDTH];
    float rows[ROWS_N * TOY_WIDTH]; /* as the last decode left them */
    /* One direction at ROWS_LAYER: toy feature 7, with a median that takes no row for an outlier. */
    float vector[TOY_WIDTH], length, median;
    struct fathom_direction direction;
};

static inline int edited_rows_keep(const struct fathom_block *block, void *payload) {
    assert_int_equal(block->n_rows, ROWS_N);
    memcpy(payload, block->rows, sizeof(float) * ROWS_N * TOY_WIDTH);
    return 0;
}

/* Decodes the text with whatever edits are in force and keeps the rows of a layer. */
static inline void edited_rows_decode(float *out, struct edited_rows *fixture, enum fathom_hook_kind kind,
                                      int32_t layer, int32_t sequence) {
    struct fathom_row rows[ROWS_N];
    int id = 0;
    for (int32_t i = 0; i < ROWS_N; i++)
        rows[i] = (struct fathom_row){fixture->tokens[i], i, sequence, true};
    fathom_session_forget(fixture->session, -1, 0);
    assert_int_equal(
        fathom_session_tap(&id, fixture->session, (struct fathom_hook){kind, layer}, edited_rows_keep, out), FATHOM_OK);
    assert_int_equal(fathom_session_decode(fixture->session, rows, ROWS_N), FATHOM_OK);
    fathom_session_unhook(fixture->session, id);
}

static inline int edited_rows_setup(void **state) {
    static struct edited_rows fixture;
    static const int32_t tokens[ROWS_N] = {40, 41, 42, 100, 101, 7, 8, 9, 60, 61, 62, 63};
    const char *path = scratch("model.gguf");
    struct fathom_session_options options = {.n_context = 64, .n_batch = 64, .n_sequences = 2, .n_threads = 1};
    struct toy_options toy = {.hook = ROWS_HOOK, .scale = ROWS_SCALE, .skip_positions = 1, .max_norm = INFINITY};
    memcpy(fixture.tokens, tokens, sizeof tokens);
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, path, NULL), FATHOM_OK);
    assert_int_equal(fathom_session_open(&fixture.session, fixture.model, &options), FATHOM_OK);
    path = scratch("toy.gguf");
    assert_int_equal(toy_dictionary_write(path, fixture.model, &toy), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&fixture.dictionary, path), FATHOM_OK);
    for (uint32_t j = 0; j < TOY_WIDTH; j++)
        fixture.vector[j] = toy_entry(7, j);
    fixture.length = 3;
    fixture.median = 100;
    fixture.direction = (struct fathom_direction){.kind = FATHOM_HOOK_RESID_POST,
                                                  .first_layer = ROWS_LAYER,
                                                  .last_layer = ROWS_LAYER,
                                                  .width = TOY_WIDTH,
                                                  .vectors = fixture.vector,
                                                  .lengths = &fixture.length,
                                                  .median_norms = &fixture.median};
    edited_rows_decode(fixture.plain, &fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    *state = &fixture;
    return 0;
}

static inline int edited_rows_teardown(void **state) {
    struct edited_rows *fixture = *state;
    fathom_dictionary_close(fixture->dictionary);
    fathom_session_close(fixture->session);
    fathom_model_close(fixture->model);
    return 0;
}

/* Puts edits in force, decodes into fixture->rows as sequence 0, takes them away. n_prompt < 0: not told. */
static inline void edited_rows_run(struct edited_rows *fixture, const struct fathom_steer_edit *edits, size_t n,
                                   int32_t n_prompt) {
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    for (size_t i = 0; i < n; i++) {
        if (fathom_steer_add(plan, &edits[i]) != FATHOM_OK) fail_msg("edit %zu: %s", i, fathom_error_message());
    }
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    if (n_prompt >= 0) assert_int_equal(fathom_steering_prompt(steering, 0, n_prompt), FATHOM_OK);
    edited_rows_decode(fixture->rows, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

/* Row r must be the plain row with `times` · q_feature added. */
static inline void assert_row_moved(const struct edited_rows *fixture, size_t r, uint32_t feature, double times) {
    for (uint32_t j = 0; j < TOY_WIDTH; j++) {
        double expected = fixture->plain[r * TOY_WIDTH + j] + times * toy_entry(feature, j);
        assert_true(fabs(fixture->rows[r * TOY_WIDTH + j] - expected) < 2e-5 * (1 + fabs(expected)));
    }
}

static inline bool row_untouched(const struct edited_rows *fixture, size_t r) {
    return memcmp(fixture->rows + r * TOY_WIDTH, fixture->plain + r * TOY_WIDTH, sizeof(float) * TOY_WIDTH) == 0;
}

/* Which rows were edited, as bits. */
static inline uint32_t edited_bits(const struct edited_rows *fixture) {
    uint32_t bits = 0;
    for (uint32_t r = 0; r < ROWS_N; r++)
        bits |= row_untouched(fixture, r) ? 0 : 1u << r;
    return bits;
}

#endif
