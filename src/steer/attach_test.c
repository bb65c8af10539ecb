/* Edits against what the formulas say, on a tiny model: rows are tapped at the same point before and after. */
#include "base/scratch.h"
#include "detect/read.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/steer.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 12, LAYER = 2 };
#define SCALE 0.5f
#define HOOK "blocks.2.hook_resid_post"

static const int32_t tokens[ROWS] = {40, 41, 42, 100, 101, 7, 8, 9, 60, 61, 62, 63};

struct fixture {
    fathom_model *model;
    fathom_session *session;
    fathom_dictionary *dictionary; /* skips position 0, no norm limit */
    float plain[ROWS * TOY_WIDTH];
    float rows[ROWS * TOY_WIDTH]; /* as the last decode left them */
};

static int keep(const struct fathom_block *block, void *payload) {
    assert_int_equal(block->n_rows, ROWS);
    memcpy(payload, block->rows, sizeof(float) * ROWS * TOY_WIDTH);
    return 0;
}

/* Decodes the text with whatever edits are in force and keeps the rows of one layer. */
static void decode(float *out, struct fixture *fixture, int32_t layer) {
    struct fathom_row rows[ROWS];
    int id = 0;
    for (int32_t i = 0; i < ROWS; i++) {
        rows[i] = (struct fathom_row){tokens[i], i, 0, true};
    }
    fathom_session_forget(fixture->session, -1, 0);
    assert_int_equal(
        fathom_session_tap(&id, fixture->session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, layer}, keep, out),
        FATHOM_OK);
    assert_int_equal(fathom_session_decode(fixture->session, rows, ROWS), FATHOM_OK);
    fathom_session_unhook(fixture->session, id);
}

static fathom_dictionary *open_toy(const struct fixture *fixture, const struct toy_options *options) {
    fathom_dictionary *dictionary = NULL;
    const char *path = scratch("toy.gguf");
    assert_int_equal(toy_dictionary_write(path, fixture->model, options), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&dictionary, path), FATHOM_OK);
    return dictionary;
}

static int setup(void **state) {
    static struct fixture fixture;
    const char *path = scratch("model.gguf");
    struct fathom_session_options options = {.n_context = 64, .n_batch = 64, .n_threads = 1};
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, path, NULL), FATHOM_OK);
    assert_int_equal(fathom_session_open(&fixture.session, fixture.model, &options), FATHOM_OK);
    fixture.dictionary = open_toy(
        &fixture, &(struct toy_options){.hook = HOOK, .scale = SCALE, .skip_positions = 1, .max_norm = INFINITY});
    decode(fixture.plain, &fixture, LAYER);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fathom_dictionary_close(fixture->dictionary);
    fathom_session_close(fixture->session);
    fathom_model_close(fixture->model);
    return 0;
}

/* Puts one feature edit in force, decodes, takes it away. */
static void run_feature(struct fixture *fixture, const struct fathom_steer_feature *edit, int32_t n_prompt) {
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add_feature(plan, edit), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    if (n_prompt > 0) {
        assert_int_equal(fathom_steering_prompt(steering, 0, n_prompt), FATHOM_OK);
    }
    decode(fixture->rows, fixture, LAYER);
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

/* Row r must be the plain row with `times` · q_feature added. */
static void assert_moved(const struct fixture *fixture, size_t r, uint32_t feature, double times) {
    for (uint32_t j = 0; j < TOY_WIDTH; j++) {
        double expected = fixture->plain[r * TOY_WIDTH + j] + times * toy_entry(feature, j);
        assert_true(fabs(fixture->rows[r * TOY_WIDTH + j] - expected) < 1e-5 * (1 + fabs(expected)));
    }
}

static void assert_untouched(const struct fixture *fixture, size_t r) {
    assert_memory_equal(fixture->rows + r * TOY_WIDTH, fixture->plain + r * TOY_WIDTH, sizeof(float) * TOY_WIDTH);
}

static void the_toy_features_differ_over_rows(void **state) {
    struct fixture *fixture = *state;
    size_t active = 0, resting = 0;
    for (size_t r = 1; r < ROWS; r++) {
        double level = toy_level(fixture->plain + r * TOY_WIDTH, 3, SCALE);
        active += level > 0;
        resting += level == 0;
    }
    assert_true(active >= 2 && resting >= 2); /* otherwise the tests below would not see both cases */
}

static void clamp_is_the_formula(void **state) {
    struct fixture *fixture = *state;
    const float c = 3.0f;
    run_feature(fixture,
                &(struct fathom_steer_feature){
                    .dictionary = fixture->dictionary, .feature = 3, .mode = FATHOM_STEER_CLAMP, .value = c},
                0);
    assert_untouched(fixture, 0);
    for (size_t r = 1; r < ROWS; r++) {
        const float *plain = fixture->plain + r * TOY_WIDTH;
        double level = toy_level(plain, 3, SCALE);
        assert_moved(fixture, r, 3, (c - level) / SCALE);
        /* The feature reads c where it was active; where its sum lay below the threshold, it is c above that sum. */
        double again = toy_projection(fixture->rows + r * TOY_WIDTH, 3, SCALE);
        assert_true(fabs(again - (level > 0 ? c : c + toy_projection(plain, 3, SCALE))) < 1e-4);
        /* The rest of the row, and so every other feature, is kept. */
        assert_true(fabs(toy_projection(fixture->rows + r * TOY_WIDTH, 5, SCALE) - toy_projection(plain, 5, SCALE)) <
                    1e-4);
    }
}

static void ablation_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    run_feature(fixture,
                &(struct fathom_steer_feature){
                    .dictionary = fixture->dictionary, .feature = 3, .mode = FATHOM_STEER_ABLATE, .value = NAN},
                0);
    for (size_t r = 0; r < ROWS; r++) {
        double level = r > 0 ? toy_level(fixture->plain + r * TOY_WIDTH, 3, SCALE) : 0;
        if (level == 0) {
            assert_untouched(fixture, r);
        } else {
            assert_true(fabs(toy_projection(fixture->rows + r * TOY_WIDTH, 3, SCALE)) < 1e-5);
        }
    }
}

static void adding_adds_to_every_covered_row(void **state) {
    struct fixture *fixture = *state;
    run_feature(fixture,
                &(struct fathom_steer_feature){
                    .dictionary = fixture->dictionary, .feature = 6, .mode = FATHOM_STEER_ADD, .value = -2},
                0);
    assert_untouched(fixture, 0);
    for (size_t r = 1; r < ROWS; r++) {
        assert_moved(fixture, r, 6, -2 / SCALE);
    }
}

/* A unit of activation is worth as much of the row as the norm divided the row by. */
static void norms_that_are_undone_make_edits_longer(void **state) {
    struct fixture *fixture = *state;
    fathom_dictionary *dictionary = open_toy(
        fixture,
        &(struct toy_options){.hook = HOOK, .scale = SCALE, .max_norm = INFINITY, .input_norm = "constant_norm"});
    run_feature(
        fixture,
        &(struct fathom_steer_feature){.dictionary = dictionary, .feature = 6, .mode = FATHOM_STEER_ADD, .value = -2},
        0);
    for (size_t r = 0; r < ROWS; r++) {
        double squares = 0;
        for (uint32_t j = 0; j < TOY_WIDTH; j++) {
            squares += (double)fixture->plain[r * TOY_WIDTH + j] * (double)fixture->plain[r * TOY_WIDTH + j];
        }
        assert_moved(fixture, r, 6, -2 / SCALE * sqrt(squares / TOY_WIDTH));
    }
    fathom_dictionary_close(dictionary);
}

static void adding_nothing_changes_no_bit(void **state) {
    struct fixture *fixture = *state;
    struct fathom_steer_feature edit = {.dictionary = fixture->dictionary, .feature = 6, .mode = FATHOM_STEER_ADD};
    float before[ROWS * TOY_WIDTH], after[ROWS * TOY_WIDTH];
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    uint64_t edited = 9;
    decode(before, fixture, 3);
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add_feature(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    decode(after, fixture, 3);
    fathom_steering_rows(&edited, NULL, steering);
    assert_int_equal(edited, 0);
    assert_memory_equal(before, after, sizeof before);
    decode(fixture->rows, fixture, LAYER);
    assert_memory_equal(fixture->rows, fixture->plain, sizeof fixture->plain);
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void rows_beyond_the_norm_are_left_alone(void **state) {
    struct fixture *fixture = *state;
    float norms[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        norms[r] = (float)fathom__norm(fixture->plain + r * TOY_WIDTH, TOY_WIDTH);
    }
    float sorted[ROWS];
    memcpy(sorted, norms, sizeof norms);
    float limit = fathom__median(sorted, ROWS);
    fathom_dictionary *dictionary =
        open_toy(fixture, &(struct toy_options){.hook = HOOK, .scale = SCALE, .max_norm = limit});
    run_feature(
        fixture,
        &(struct fathom_steer_feature){.dictionary = dictionary, .feature = 1, .mode = FATHOM_STEER_ADD, .value = 1},
        0);
    size_t edited = 0;
    for (size_t r = 0; r < ROWS; r++) {
        if (norms[r] > limit) {
            assert_untouched(fixture, r);
        } else {
            assert_moved(fixture, r, 1, 1 / SCALE);
            edited++;
        }
    }
    assert_int_equal(edited, ROWS / 2);
    fathom_dictionary_close(dictionary);
}

static void prompt_and_answer_are_told_apart(void **state) {
    struct fixture *fixture = *state;
    enum { PROMPT = 5 };
    for (int part = FATHOM_STEER_PROMPT; part <= FATHOM_STEER_ANSWER; part++) {
        struct fathom_steer_feature edit = {.dictionary = fixture->dictionary,
                                            .feature = 2,
                                            .mode = FATHOM_STEER_ADD,
                                            .value = 1,
                                            .rows = (enum fathom_steer_rows)part};
        run_feature(fixture, &edit, PROMPT);
        /* Attention at later layers carries the change on, but not at the edited point itself. */
        for (size_t r = 1; r < ROWS; r++) {
            if ((r < PROMPT) == (part == FATHOM_STEER_PROMPT)) {
                assert_moved(fixture, r, 2, 1 / SCALE);
            } else {
                assert_untouched(fixture, r);
            }
        }
    }
}

static void features_of_one_point_are_read_before_any_edit(void **state) {
    struct fixture *fixture = *state;
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    uint64_t edited = 0, left = 0;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    /* Twice the same feature: the second clamp must not see the first one's result. */
    for (int i = 0; i < 2; i++) {
        struct fathom_steer_feature edit = {
            .dictionary = fixture->dictionary, .feature = 4, .mode = FATHOM_STEER_CLAMP, .value = 1 + (float)i};
        assert_int_equal(fathom_steer_add_feature(plan, &edit), FATHOM_OK);
    }
    assert_int_equal(fathom_steer_count(plan), 2);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    decode(fixture->rows, fixture, LAYER);
    fathom_steering_rows(&edited, &left, steering);
    assert_int_equal(edited, ROWS - 1);
    assert_int_equal(left, 1);
    for (size_t r = 1; r < ROWS; r++) {
        double level = toy_level(fixture->plain + r * TOY_WIDTH, 4, SCALE);
        assert_moved(fixture, r, 4, (3 - 2 * level) / SCALE);
    }
    fathom_steer_detach(steering);
    decode(fixture->rows, fixture, LAYER);
    assert_memory_equal(fixture->rows, fixture->plain, sizeof fixture->plain); /* detached means gone */
    fathom_steer_close(plan);
}

static void a_spread_takes_a_part_at_each_layer(void **state) {
    struct fixture *fixture = *state;
    struct fathom_steer_feature edit = {.dictionary = fixture->dictionary,
                                        .feature = 2,
                                        .mode = FATHOM_STEER_ADD,
                                        .value = 1,
                                        .spread = true,
                                        .first_layer = 0,
                                        .last_layer = -1};
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    float first[ROWS * TOY_WIDTH], before[ROWS * TOY_WIDTH];
    decode(before, fixture, 0);
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add_feature(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_count(plan), 4);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    decode(first, fixture, 0);
    for (size_t i = TOY_WIDTH; i < ROWS * TOY_WIDTH; i++) {
        assert_true(fabs(first[i] - before[i] - 0.25 / SCALE * toy_entry(2, i % TOY_WIDTH)) < 1e-5);
    }
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void a_direction_is_a_share_of_the_median_norm(void **state) {
    struct fixture *fixture = *state;
    float vector[TOY_WIDTH], length = 1, norm = 4.0f;
    struct fathom_direction direction = {.kind = FATHOM_HOOK_RESID_POST,
                                         .first_layer = LAYER,
                                         .last_layer = LAYER,
                                         .width = TOY_WIDTH,
                                         .vectors = vector,
                                         .lengths = &length,
                                         .median_norms = &norm};
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    for (uint32_t j = 0; j < TOY_WIDTH; j++) {
        vector[j] = toy_entry(7, j);
    }
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add_direction(plan, &direction, 0.5f, FATHOM_STEER_ALL), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    decode(fixture->rows, fixture, LAYER);
    assert_untouched(fixture, 0);
    for (size_t r = 1; r < ROWS; r++) {
        if (fathom__norm(fixture->plain + r * TOY_WIDTH, TOY_WIDTH) <= FATHOM__OUTLIER_RATIO * norm) {
            assert_moved(fixture, r, 7, 0.5 * norm);
        } else {
            assert_untouched(fixture, r);
        }
    }
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void a_topk_dictionary_is_read_whole(void **state) {
    struct fixture *fixture = *state;
    fathom_dictionary *dictionary = open_toy(
        fixture, &(struct toy_options){
                     .hook = HOOK, .scale = SCALE, .skip_positions = 1, .max_norm = INFINITY, .no_threshold = true});
    run_feature(fixture,
                &(struct fathom_steer_feature){.dictionary = dictionary, .feature = 3, .mode = FATHOM_STEER_ABLATE}, 0);
    for (size_t r = 1; r < ROWS; r++) {
        double own = toy_projection(fixture->plain + r * TOY_WIDTH, 3, SCALE);
        size_t above = 0;
        for (uint32_t i = 0; i < TOY_FEATURES; i++) {
            above += toy_projection(fixture->plain + r * TOY_WIDTH, i, SCALE) > own;
        }
        if (above < 4 && own > 0) {
            assert_moved(fixture, r, 3, -own / SCALE);
        } else {
            assert_untouched(fixture, r);
        }
    }
    fathom_dictionary_close(dictionary);
}

static void wrong_edits_are_refused(void **state) {
    struct fixture *fixture = *state;
    fathom_dictionary *foreign = open_toy(
        fixture, &(struct toy_options){
                     .hook = HOOK, .scale = 1, .max_norm = INFINITY, .identity = "00000000000000000000000000000000"});
    fathom_dictionary *transcoder = open_toy(
        fixture,
        &(struct toy_options){.hook = HOOK, .hook_out = "blocks.2.hook_mlp_out", .scale = 1, .max_norm = INFINITY});
    const struct {
        struct fathom_steer_feature edit;
        int status;
        const char *message;
    } cases[] = {
        {{.dictionary = fixture->dictionary, .feature = TOY_FEATURES, .mode = FATHOM_STEER_ADD},
         FATHOM_ERROR_NOT_FOUND,
         "features 0 … 7, not 8"},
        {{.dictionary = foreign, .mode = FATHOM_STEER_ADD, .value = 1},
         FATHOM_ERROR_MISMATCH,
         "00000000000000000000000000000000"},
        {{.dictionary = transcoder, .mode = FATHOM_STEER_CLAMP, .value = 1},
         FATHOM_ERROR_UNSUPPORTED,
         "added, not clamped"},
        {{.dictionary = fixture->dictionary, .mode = FATHOM_STEER_ADD, .value = NAN},
         FATHOM_ERROR_ARGUMENT,
         "not finite"},
        {{.dictionary = fixture->dictionary, .mode = FATHOM_STEER_CLAMP, .value = INFINITY},
         FATHOM_ERROR_ARGUMENT,
         "not finite"},
        {{.dictionary = fixture->dictionary,
          .mode = FATHOM_STEER_ADD,
          .value = 1,
          .spread = true,
          .first_layer = 1,
          .last_layer = 4},
         FATHOM_ERROR_ARGUMENT,
         "layers 0 to 3"},
        {{.dictionary = fixture->dictionary,
          .mode = FATHOM_STEER_ADD,
          .value = 1,
          .spread = true,
          .first_layer = 3,
          .last_layer = 1},
         FATHOM_ERROR_ARGUMENT,
         "layers 3 to 1"},
    };
    fathom_steer *plan = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fathom_steer_add_feature(plan, &cases[i].edit), cases[i].status);
        if (strstr(fathom_error_message(), cases[i].message) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", fathom_error_message(), cases[i].message);
        }
        assert_int_equal(fathom_steer_count(plan), 0);
    }
    struct fathom_steer_feature written = {.dictionary = transcoder, .mode = FATHOM_STEER_ADD, .value = 1};
    assert_int_equal(fathom_steer_add_feature(plan, &written), FATHOM_OK);
    fathom_steer_close(plan);
    fathom_dictionary_close(foreign);
    fathom_dictionary_close(transcoder);
}

static void a_plan_belongs_to_its_model(void **state) {
    struct fixture *fixture = *state;
    fathom_model *other = NULL;
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    const char *path = scratch("other.gguf");
    assert_int_equal(fathom_test_tiny_model(path, "llama", 6), FATHOM_OK);
    assert_int_equal(fathom_model_open(&other, path, NULL), FATHOM_OK);
    assert_int_equal(fathom_steer_open(&plan, other), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_ERROR_MISMATCH);
    fathom_steer_close(plan);
    fathom_model_close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_toy_features_differ_over_rows),
        cmocka_unit_test(clamp_is_the_formula),
        cmocka_unit_test(ablation_leaves_nothing),
        cmocka_unit_test(adding_adds_to_every_covered_row),
        cmocka_unit_test(norms_that_are_undone_make_edits_longer),
        cmocka_unit_test(adding_nothing_changes_no_bit),
        cmocka_unit_test(rows_beyond_the_norm_are_left_alone),
        cmocka_unit_test(prompt_and_answer_are_told_apart),
        cmocka_unit_test(features_of_one_point_are_read_before_any_edit),
        cmocka_unit_test(a_spread_takes_a_part_at_each_layer),
        cmocka_unit_test(a_direction_is_a_share_of_the_median_norm),
        cmocka_unit_test(a_topk_dictionary_is_read_whole),
        cmocka_unit_test(wrong_edits_are_refused),
        cmocka_unit_test(a_plan_belongs_to_its_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
