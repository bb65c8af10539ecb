/* The control of a plan, entry by entry. */
#include "base/scratch.h"
#include "detect/read.h"
#include "steer/plan.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 64 };

static fathom_model *model;
static fathom_dictionary *dictionary;

static int set_up(void **state) {
    const struct toy_options options = {
        .hook = "blocks.2.hook_resid_post", .scale = 0.5f, .skip_positions = 1, .max_norm = INFINITY};
    (void)state;
    return fathom_test_tiny_model(scratch("model.gguf"), "llama", 5) ||
           fathom_model_open(&model, scratch("model.gguf"), NULL) ||
           toy_dictionary_write(scratch("toy.gguf"), model, &options) ||
           fathom_dictionary_open(&dictionary, scratch("toy.gguf"));
}

static int tear_down(void **state) {
    (void)state;
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return 0;
}

static void controls_turn_something_else_as_far(void **state) {
    (void)state;
    struct fathom_feature_measure *measures = NULL;
    fathom_steer *plan = NULL;
    fathom_steer *control = NULL;
    float vectors[2 * WIDTH];
    float ones[2] = {1, 1};
    float norms[2] = {3, 5};
    assert_int_equal(fathom_feature_measure_all(&measures, dictionary, model, NULL), FATHOM_OK);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        vectors[i] = i % 2 == 0 ? 0.125f : -0.125f;
    }
    struct fathom_direction direction = {.kind = FATHOM_HOOK_RESID_POST,
                                         .first_layer = 1,
                                         .last_layer = 2,
                                         .width = WIDTH,
                                         .vectors = vectors,
                                         .lengths = ones,
                                         .median_norms = norms};
    const struct fathom_steer_condition condition = {.direction = &direction, .layer = 1, .level = 0.5f};
    const struct fathom_steer_edit edits[] = {
        {.what = FATHOM_STEER_FEATURE,
         .dictionary = dictionary,
         .feature = 3,
         .how = FATHOM_STEER_HOW_CLAMP,
         .value = 2 * measures[3].maximum,
         .rows = FATHOM_STEER_ANSWER,
         .after_text = "sea",
         .conditions = &condition,
         .n_conditions = 1},
        {.what = FATHOM_STEER_FEATURE, .dictionary = dictionary, .feature = 3, .how = FATHOM_STEER_HOW_ABLATE},
        {.what = FATHOM_STEER_DIRECTION, .direction = &direction, .how = FATHOM_STEER_HOW_ADD, .value = 2},
        {.what = FATHOM_STEER_DIRECTION, .direction = &direction, .how = FATHOM_STEER_HOW_ADD, .value = -1},
    };
    assert_int_equal(fathom_steer_open(&plan, model), FATHOM_OK);
    for (size_t e = 0; e < sizeof edits / sizeof edits[0]; e++) {
        assert_int_equal(fathom_steer_add(plan, &edits[e]), FATHOM_OK);
    }
    assert_int_equal(fathom_steer_control(&control, plan, NULL, 9), FATHOM_OK);
    assert_int_equal(control->n, 6);
    const struct fathom__edit *first = &control->edits[0];
    assert_true(first->feature != 3 && first->feature == control->edits[1].feature);
    assert_true(fabsf(first->value - 2 * measures[first->feature].maximum) < 1e-4f * first->value);
    assert_true(first->rows == FATHOM_STEER_ANSWER && first->n_conditions == 1 && control->n_conditions == 1);
    assert_string_equal(first->after_text, "sea");
    assert_ptr_not_equal(first->after_text, plan->edits[0].after_text);
    assert_ptr_not_equal(control->conditions[0].vector, plan->conditions[0].vector);
    assert_memory_equal(control->conditions[0].vector, plan->conditions[0].vector, WIDTH * sizeof(float));
    for (size_t e = 2; e < 6; e++) { /* two layers of each direction */
        const struct fathom__edit *own = &plan->edits[e];
        const struct fathom__edit *other = &control->edits[e];
        const double length = fathom__norm(own->vector, WIDTH);
        double along = 0;
        for (size_t i = 0; i < WIDTH; i++) {
            along += (double)own->vector[i] * (double)other->vector[i] / (length * length);
        }
        assert_true(fabs(fathom__norm(other->vector, WIDTH) - length) < 1e-4 * length && fabs(along) < 0.6);
        assert_true(other->value == own->value && other->share == own->share);
        const struct fathom__edit *mate = &control->edits[e ^ 1];
        assert_true(fabs((double)other->vector[7] / length -
                         (double)mate->vector[7] / fathom__norm(mate->vector, WIDTH)) < 1e-5);
    }
    assert_true(control->edits[2].vector[7] != control->edits[4].vector[7]);
    fathom_steer_close(control);

    const struct fathom_steer_edit row = {.what = FATHOM_STEER_ROW,
                                          .kind = FATHOM_HOOK_MLP_OUT,
                                          .placed = true,
                                          .first_layer = 1,
                                          .last_layer = 1,
                                          .how = FATHOM_STEER_HOW_ABLATE};
    assert_int_equal(fathom_steer_add(plan, &row), FATHOM_OK);
    assert_int_equal(fathom_steer_control(&control, plan, NULL, 9), FATHOM_ERROR_UNSUPPORTED);
    fathom_steer_close(plan);
    fathom_free(measures);
}

/* A catalogue of a few words, none of them among the sentences that features are measured on where there is none. */
static void the_catalogue_that_is_given_decides(void **state) {
    static const char text[] = "{\"text\": \"the golden gate bridge and the king of the sea\"}\n"
                               "{\"text\": \"a stone in the river, music of the wind\"}\n";
    const struct fathom_corpus_source source = {.path = scratch_text("corpus.jsonl", text)};
    const struct fathom_index_options options = {.n_threads = 1, .no_labels = true};
    const char *path = scratch("chosen.sqlite");
    fathom_catalogue *catalogue = NULL;
    fathom_steer *plan = NULL, *control = NULL;
    (void)state;
    assert_int_equal(fathom_index(NULL, path, dictionary, model, &source, 1, &options), FATHOM_OK);
    assert_int_equal(fathom_catalogue_open(&catalogue, path, dictionary), FATHOM_OK);
    uint32_t feature = 0;
    while (!(fathom_catalogue_feature(catalogue, feature)->max_activation > 0)) {
        feature++;
    }
    const struct fathom_steer_edit edit = {.what = FATHOM_STEER_FEATURE,
                                           .dictionary = dictionary,
                                           .feature = feature,
                                           .how = FATHOM_STEER_HOW_CLAMP,
                                           .value = fathom_catalogue_feature(catalogue, feature)->max_activation};
    const struct fathom_steer_context context = {dictionary, catalogue}, other = {NULL, catalogue};
    assert_int_equal(fathom_steer_open(&plan, model), FATHOM_OK);
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_control(&control, plan, &context, 9), FATHOM_OK);
    const struct fathom__edit *one = &control->edits[0];
    const float maximum = fathom_catalogue_feature(catalogue, one->feature)->max_activation;
    assert_true(one->feature != feature && maximum > 0 && fabsf(one->value - maximum) < 1e-4f * maximum);
    fathom_steer_close(control);
    /* A catalogue of another dictionary than the plan's says nothing. */
    assert_int_equal(fathom_steer_control(&control, plan, &other, 9), FATHOM_OK);
    const float elsewhere = fathom_catalogue_feature(catalogue, control->edits[0].feature)->max_activation;
    assert_true(fabsf(control->edits[0].value - elsewhere) > 1e-4f * elsewhere);
    fathom_steer_close(control);
    fathom_steer_close(plan);
    fathom_catalogue_close(catalogue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(controls_turn_something_else_as_far),
        cmocka_unit_test(the_catalogue_that_is_given_decides),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
