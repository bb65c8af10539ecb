/* Every kind of edit against the formulas of plan.h, on a tiny model: rows are tapped where they were edited. */
#include "detect/probe_internal.h"
#include "detect/read.h"
#include "tests/support/edited_rows.h"

#define MEDIAN 100.0

static double along(const float *row) {
    return toy_projection(row, 7, 1);
}

static void levels_of_directions(void **state) {
    struct edited_rows *fixture = *state;
    const float part = 0.25f;
    const struct {
        enum fathom_steer_how how;
        float value, offset;
    } cases[] = {
        {FATHOM_STEER_HOW_CLAMP, 0.03f, 0},      {FATHOM_STEER_HOW_ADD, -0.02f, 0},
        {FATHOM_STEER_HOW_ABLATE, 0, 0},         {FATHOM_STEER_HOW_PROJECT_OUT, part, 0},
        {FATHOM_STEER_HOW_CAP, -0.001f, 0.001f}, {FATHOM_STEER_HOW_AFFINE, -2, 0.01f},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct fathom_steer_edit edit = {.what = FATHOM_STEER_DIRECTION,
                                         .direction = &fixture->direction,
                                         .how = cases[c].how,
                                         .value = cases[c].value,
                                         .offset = cases[c].offset};
        edited_rows_run(fixture, &edit, 1, -1);
        assert_true(row_untouched(fixture, 0));
        for (size_t r = 1; r < ROWS_N; r++) {
            double level = along(fixture->plain + r * TOY_WIDTH) / MEDIAN;
            const double wanted[] = {cases[c].value,
                                     level + cases[c].value,
                                     0,
                                     (1 - part) * level,
                                     fmin(fmax(level, cases[c].value), cases[c].offset),
                                     cases[c].value * level + cases[c].offset};
            assert_row_moved(fixture, r, 7, (wanted[c] - level) * MEDIAN);
        }
    }
}

static void control_vectors_act_on_every_row(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_edit edit = {
        .what = FATHOM_STEER_VECTOR, .direction = &fixture->direction, .how = FATHOM_STEER_HOW_ADD, .value = 2};
    edited_rows_run(fixture, &edit, 1, -1);
    for (size_t r = 0; r < ROWS_N; r++) {
        assert_row_moved(fixture, r, 7, 2 * (double)fixture->length);
    }
}

static void rotations_keep_the_length(void **state) {
    struct edited_rows *fixture = *state;
    const float degrees[] = {20, -30, 180};
    for (size_t d = 0; d < 3; d++) {
        struct fathom_steer_edit edit = {.what = FATHOM_STEER_DIRECTION,
                                         .direction = &fixture->direction,
                                         .how = FATHOM_STEER_HOW_ROTATE,
                                         .value = degrees[d]};
        edited_rows_run(fixture, &edit, 1, -1);
        assert_true(row_untouched(fixture, 0));
        for (size_t r = 1; r < ROWS_N; r++) {
            const float *before = fixture->plain + r * TOY_WIDTH;
            const float *after = fixture->rows + r * TOY_WIDTH;
            double length = fathom__norm(before, TOY_WIDTH);
            double angle = acos(along(before) / length);
            double wanted = fmax(0, angle - (double)degrees[d] * acos(-1) / 180);
            assert_true(fabs(fathom__norm(after, TOY_WIDTH) - length) < 1e-4 * length);
            assert_true(fabs(acos(fmin(1, along(after) / length)) - wanted) < 2e-3);
            /* What is at right angles to the plane stays as it was, but for its length. */
            double inner = toy_projection(before, 3, 1) * toy_projection(after, 4, 1);
            double outer = toy_projection(before, 4, 1) * toy_projection(after, 3, 1);
            assert_true(fabs(inner - outer) < 1e-3 * length);
        }
    }
}

static void a_probe_is_brought_to_a_score(void **state) {
    struct edited_rows *fixture = *state;
    float mean[TOY_WIDTH], deviation[TOY_WIDTH], weights[TOY_WIDTH];
    char hook[] = ROWS_HOOK;
    char identity[FATHOM_IDENTITY_SIZE];
    char name[] = "tiny";
    memcpy(identity, fathom_model_describe(fixture->model)->source_identity, sizeof identity);
    for (uint32_t j = 0; j < TOY_WIDTH; j++) {
        mean[j] = 0.01f * (float)j;
        deviation[j] = 1 + 0.5f * (float)(j % 3);
        weights[j] = toy_entry(2, j) * deviation[j] * 0.5f;
    }
    fathom_probe probe = {.info = {.hook = hook, .d_in = TOY_WIDTH, .max_norm = INFINITY, .path = ""},
                          .hook = hook,
                          .model_identity = identity,
                          .model_name = name,
                          .mean = mean,
                          .deviation = deviation,
                          .weights = weights,
                          .bias = 0.75f};
    struct fathom_steer_edit edit = {
        .what = FATHOM_STEER_PROBE, .probe = &probe, .how = FATHOM_STEER_HOW_CLAMP, .value = 3};
    edited_rows_run(fixture, &edit, 1, -1);
    assert_true(row_untouched(fixture, 0));
    for (size_t r = 1; r < ROWS_N; r++) {
        double score = fathom_probe_row_score(&probe, fixture->plain + r * TOY_WIDTH);
        assert_true(fabs(fathom_probe_row_score(&probe, fixture->rows + r * TOY_WIDTH) - 3) < 1e-4);
        assert_row_moved(fixture, r, 2, (3 - score) / 0.5); /* the shortest way there */
    }
}

static void errors_are_what_the_dictionary_leaves(void **state) {
    struct edited_rows *fixture = *state;
    const float factors[] = {0, 3};
    for (int c = 0; c < 2; c++) {
        struct fathom_steer_edit edit = {.what = FATHOM_STEER_ERROR,
                                         .dictionary = fixture->dictionary,
                                         .how = c == 0 ? FATHOM_STEER_HOW_ABLATE : FATHOM_STEER_HOW_AFFINE,
                                         .value = factors[c]};
        edited_rows_run(fixture, &edit, 1, -1);
        assert_true(row_untouched(fixture, 0));
        for (size_t r = 1; r < ROWS_N; r++) {
            const float *plain = fixture->plain + r * TOY_WIDTH;
            for (uint32_t j = 0; j < TOY_WIDTH; j++) {
                double rebuilt = 0;
                for (uint32_t i = 0; i < TOY_FEATURES; i++) {
                    rebuilt += toy_level(plain, i, (double)ROWS_SCALE) / (double)ROWS_SCALE * toy_entry(i, j);
                }
                double wanted = rebuilt + (double)factors[c] * (plain[j] - rebuilt);
                assert_true(fabs(fixture->rows[r * TOY_WIDTH + j] - wanted) < 1e-4 * (1 + fabs(wanted)));
            }
        }
    }
}

static void whole_rows_are_scaled_and_taken_away(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_edit edit = {.what = FATHOM_STEER_ROW,
                                     .how = FATHOM_STEER_HOW_AFFINE,
                                     .value = 0.5f,
                                     .placed = true,
                                     .kind = FATHOM_HOOK_RESID_POST,
                                     .first_layer = -2,
                                     .last_layer = -2};
    edited_rows_run(fixture, &edit, 1, -1);
    for (size_t i = 0; i < ROWS_N * TOY_WIDTH; i++) {
        assert_true(fixture->rows[i] == 0.5f * fixture->plain[i]);
    }
    edit.how = FATHOM_STEER_HOW_ABLATE;
    edited_rows_run(fixture, &edit, 1, -1);
    for (size_t i = 0; i < ROWS_N * TOY_WIDTH; i++) {
        assert_true(fixture->rows[i] == 0);
    }
}

/* The other text's rows: those of the same tokens in another order. */
static void other_rows(float *out, int32_t *tokens, struct edited_rows *fixture) {
    int32_t own[ROWS_N];
    memcpy(own, fixture->tokens, sizeof own);
    for (size_t i = 0; i < ROWS_N; i++) {
        fixture->tokens[i] = tokens[i] = own[ROWS_N - 1 - i];
    }
    edited_rows_decode(out, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    memcpy(fixture->tokens, own, sizeof own);
}

static void patches_take_from_the_other_text(void **state) {
    struct edited_rows *fixture = *state;
    float other[ROWS_N * TOY_WIDTH];
    int32_t tokens[ROWS_N];
    enum { SHORT = 8, PROMPT = 10 };
    other_rows(other, tokens, fixture);
    struct fathom_steer_edit edit = {.what = FATHOM_STEER_ROW,
                                     .how = FATHOM_STEER_HOW_PATCH,
                                     .placed = true,
                                     .kind = FATHOM_HOOK_RESID_POST,
                                     .first_layer = ROWS_LAYER,
                                     .last_layer = ROWS_LAYER,
                                     .source = tokens,
                                     .n_source = SHORT};
    edited_rows_run(fixture, &edit, 1, PROMPT);
    for (size_t r = 0; r < ROWS_N; r++) {
        const float *wanted = r < SHORT ? other : fixture->plain;
        for (size_t j = 0; j < TOY_WIDTH; j++) {
            assert_true(fabsf(fixture->rows[r * TOY_WIDTH + j] - wanted[r * TOY_WIDTH + j]) < 1e-3f);
        }
    }
    edit.from_end = true; /* its 8 rows stand at the prompt's last 8: 2 … 9 */
    edited_rows_run(fixture, &edit, 1, PROMPT);
    assert_int_equal(edited_bits(fixture), 0x3fc);
    for (size_t j = 0; j < TOY_WIDTH; j++) {
        assert_true(fabsf(fixture->rows[2 * TOY_WIDTH + j] - other[j]) < 1e-3f);
    }
    struct fathom_steer_edit feature = {.what = FATHOM_STEER_FEATURE,
                                        .dictionary = fixture->dictionary,
                                        .feature = 4,
                                        .how = FATHOM_STEER_HOW_PATCH,
                                        .source = tokens,
                                        .n_source = ROWS_N};
    edited_rows_run(fixture, &feature, 1, -1);
    for (size_t r = 1; r < ROWS_N; r++) {
        double level = toy_level(fixture->plain + r * TOY_WIDTH, 4, (double)ROWS_SCALE);
        double target = toy_level(other + r * TOY_WIDTH, 4, (double)ROWS_SCALE);
        for (uint32_t j = 0; j < TOY_WIDTH; j++) {
            double wanted = fixture->plain[r * TOY_WIDTH + j] + (target - level) / (double)ROWS_SCALE * toy_entry(4, j);
            assert_true(fabs(fixture->rows[r * TOY_WIDTH + j] - wanted) < 1e-3);
        }
    }
    struct fathom_steer_edit direction = {.what = FATHOM_STEER_DIRECTION,
                                          .direction = &fixture->direction,
                                          .how = FATHOM_STEER_HOW_PATCH,
                                          .source = tokens,
                                          .n_source = ROWS_N};
    edited_rows_run(fixture, &direction, 1, -1);
    for (size_t r = 1; r < ROWS_N; r++) {
        assert_true(fabs(along(fixture->rows + r * TOY_WIDTH) - along(other + r * TOY_WIDTH)) < 1e-3);
    }
}

static void edits_of_one_point_are_made_in_order(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_edit add = {
        .what = FATHOM_STEER_DIRECTION, .direction = &fixture->direction, .how = FATHOM_STEER_HOW_ADD, .value = 0.05f};
    struct fathom_steer_edit out = add;
    out.how = FATHOM_STEER_HOW_PROJECT_OUT;
    out.value = 1;
    const struct fathom_steer_edit added_last[] = {out, add};
    const struct fathom_steer_edit added_first[] = {add, out};
    edited_rows_run(fixture, added_last, 2, -1);
    for (size_t r = 1; r < ROWS_N; r++) {
        assert_true(fabs(along(fixture->rows + r * TOY_WIDTH) - 0.05 * MEDIAN) < 1e-4);
    }
    edited_rows_run(fixture, added_first, 2, -1);
    for (size_t r = 1; r < ROWS_N; r++) {
        assert_true(fabs(along(fixture->rows + r * TOY_WIDTH)) < 1e-4);
    }
}

static void edits_of_nothing_change_no_bit(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_edit base = {.what = FATHOM_STEER_DIRECTION, .direction = &fixture->direction};
    struct fathom_steer_edit feature = {.what = FATHOM_STEER_FEATURE, .dictionary = fixture->dictionary, .feature = 3};
    struct fathom_steer_edit edits[8];
    for (size_t i = 0; i < 8; i++) {
        edits[i] = i < 5 ? base : feature;
    }
    edits[0].how = FATHOM_STEER_HOW_ADD;
    edits[1].how = FATHOM_STEER_HOW_ROTATE;
    edits[2].how = FATHOM_STEER_HOW_PROJECT_OUT;
    edits[3].how = FATHOM_STEER_HOW_AFFINE;
    edits[3].value = 1;
    edits[4].how = FATHOM_STEER_HOW_CAP;
    edits[4].value = -INFINITY;
    edits[4].offset = INFINITY;
    edits[5].how = FATHOM_STEER_HOW_ADD;
    edits[6].how = FATHOM_STEER_HOW_AFFINE;
    edits[6].value = 1;
    edits[7] = (struct fathom_steer_edit){.what = FATHOM_STEER_ROW,
                                          .how = FATHOM_STEER_HOW_AFFINE,
                                          .value = 1,
                                          .placed = true,
                                          .kind = FATHOM_HOOK_MLP_OUT,
                                          .first_layer = 0,
                                          .last_layer = -1};
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    uint64_t edited = 9;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(fathom_steer_add(plan, &edits[i]), FATHOM_OK);
    }
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    edited_rows_decode(fixture->rows, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    fathom_steering_rows(&edited, NULL, steering);
    assert_int_equal(edited, 0);
    assert_memory_equal(fixture->rows, fixture->plain, sizeof fixture->plain);
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void several_layers_share_or_take_the_whole(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_edit edit = {.what = FATHOM_STEER_FEATURE,
                                     .dictionary = fixture->dictionary,
                                     .feature = 6,
                                     .how = FATHOM_STEER_HOW_ADD,
                                     .value = 1,
                                     .placed = true,
                                     .first_layer = ROWS_LAYER,
                                     .last_layer = ROWS_LAYER + 1};
    edited_rows_run(fixture, &edit, 1, -1);
    assert_row_moved(fixture, 5, 6, 0.5 / (double)ROWS_SCALE);
    edit.whole = true;
    edited_rows_run(fixture, &edit, 1, -1);
    assert_row_moved(fixture, 5, 6, 1 / (double)ROWS_SCALE);
}

static void wrong_edits_are_refused(void **state) {
    struct edited_rows *fixture = *state;
    const struct fathom_steer_edit feature = {
        .what = FATHOM_STEER_FEATURE, .dictionary = fixture->dictionary, .how = FATHOM_STEER_HOW_ADD, .value = 1};
    struct fathom_steer_edit wrong[12];
    const char *const messages[12] = {
        "names none",
        "error cannot be added",
        "row cannot be clamped",
        "nothing can be added",
        "whole rows need",
        "another text",
        "lower bound",
        "-180 to 180",
        "positions 5 to 4",
        "is empty",
        "offset must be finite",
        "the direction has layers 2 to 2",
    };
    for (size_t i = 0; i < 12; i++) {
        wrong[i] = feature;
    }
    wrong[0].dictionary = NULL;
    wrong[1].what = FATHOM_STEER_ERROR;
    wrong[2].what = FATHOM_STEER_ROW;
    wrong[2].how = FATHOM_STEER_HOW_CLAMP;
    wrong[3].what = FATHOM_STEER_ERROR;
    wrong[3].how = FATHOM_STEER_HOW_AFFINE;
    wrong[3].offset = 1;
    wrong[4].what = FATHOM_STEER_ROW;
    wrong[4].how = FATHOM_STEER_HOW_ABLATE;
    wrong[5].how = FATHOM_STEER_HOW_PATCH;
    wrong[6].how = FATHOM_STEER_HOW_CAP;
    wrong[6].value = 2;
    wrong[6].offset = 1;
    wrong[7].how = FATHOM_STEER_HOW_ROTATE;
    wrong[7].value = 200;
    wrong[8].positioned = true;
    wrong[8].first_position = 5;
    wrong[8].last_position = 4;
    wrong[9].after_text = "";
    wrong[10].how = FATHOM_STEER_HOW_AFFINE;
    wrong[10].offset = NAN;
    wrong[11].what = FATHOM_STEER_DIRECTION;
    wrong[11].direction = &fixture->direction;
    wrong[11].placed = true;
    wrong[11].first_layer = 1;
    wrong[11].last_layer = 2;
    fathom_steer *plan = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(fathom_steer_add(plan, &wrong[i]), FATHOM_ERROR_ARGUMENT);
        if (strstr(fathom_error_message(), messages[i]) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", fathom_error_message(), messages[i]);
        }
        assert_int_equal(fathom_steer_count(plan), 0);
    }
    fathom_steer_close(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_of_directions),
        cmocka_unit_test(control_vectors_act_on_every_row),
        cmocka_unit_test(rotations_keep_the_length),
        cmocka_unit_test(a_probe_is_brought_to_a_score),
        cmocka_unit_test(errors_are_what_the_dictionary_leaves),
        cmocka_unit_test(whole_rows_are_scaled_and_taken_away),
        cmocka_unit_test(patches_take_from_the_other_text),
        cmocka_unit_test(edits_of_one_point_are_made_in_order),
        cmocka_unit_test(edits_of_nothing_change_no_bit),
        cmocka_unit_test(several_layers_share_or_take_the_whole),
        cmocka_unit_test(wrong_edits_are_refused),
    };
    return cmocka_run_group_tests(tests, edited_rows_setup, edited_rows_teardown);
}
