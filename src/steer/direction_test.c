#include "base/safetensors.h"
#include "detect/read.h"
#include "steer/direction.h"
#include "tests/support/open_model.h"
#include <math.h>

enum { WIDTH = 64, LAYERS = 3 };

static void add(struct fathom_texts *texts, const char *text, enum fathom_text_label label) {
    assert_int_equal(fathom_texts_append(texts, text, strlen(text), label), FATHOM_OK);
}

struct means {
    const struct fathom_texts *texts;
    double sums[2][WIDTH];
};

/* Adds each text's mean row past position 0 to its class. */
static int add_text(const struct fathom__piece *piece, void *payload) {
    struct means *means = payload;
    for (size_t r = 1; r < piece->n_tokens; r++) {
        for (size_t i = 0; i < WIDTH; i++) {
            means->sums[means->texts->labels[piece->text]][i] +=
                piece->rows[0][r * WIDTH + i] / (double)(piece->n_tokens - 1);
        }
    }
    return 0;
}

static void a_contrast_is_the_difference_of_means(void **state) {
    const fathom_model *model = *state;
    const struct fathom_hook hook = {FATHOM_HOOK_RESID_POST, 2};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_direction direction;
    add(&texts, "the golden gate bridge", FATHOM_LABEL_POSITIVE);
    add(&texts, "a bridge in the sea and the river", FATHOM_LABEL_POSITIVE);
    add(&texts, "the king of music", FATHOM_LABEL_NEGATIVE);
    struct means means = {.texts = &texts};
    assert_int_equal(fathom_direction_contrast(&direction, model, &texts, FATHOM_HOOK_RESID_POST, 1, -1), FATHOM_OK);
    assert_int_equal(direction.first_layer, 1);
    assert_int_equal(direction.last_layer, 3);
    assert_int_equal(direction.width, WIDTH);
    assert_int_equal(fathom__read_texts(model, &texts, &hook, 1, add_text, &means), FATHOM_OK);
    double length = 0;
    for (size_t i = 0; i < WIDTH; i++) {
        means.sums[1][i] = means.sums[1][i] / 2 - means.sums[0][i];
        length += means.sums[1][i] * means.sums[1][i];
    }
    length = sqrt(length);
    assert_true(fabs(direction.lengths[1] - length) < 1e-3 * length);
    for (size_t i = 0; i < WIDTH; i++) {
        assert_true(fabs(direction.vectors[WIDTH + i] - means.sums[1][i] / length) < 1e-3);
    }
    for (size_t l = 0; l < LAYERS; l++) {
        assert_true(fabs(fathom__norm(direction.vectors + l * WIDTH, WIDTH) - 1) < 1e-5);
        assert_true(direction.median_norms[l] > 0);
    }
    fathom_direction_free(&direction);

    texts.labels[2] = FATHOM_LABEL_POSITIVE;
    assert_int_equal(fathom_direction_contrast(&direction, model, &texts, FATHOM_HOOK_RESID_POST, 1, 1),
                     FATHOM_ERROR_ARGUMENT);
    texts.labels[2] = FATHOM_LABEL_NEGATIVE;
    assert_int_equal(fathom_direction_contrast(&direction, model, &texts, FATHOM_HOOK_RESID_POST, 2, 4),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_direction_contrast(&direction, model, &texts, FATHOM_HOOK_EMBED, 0, 0),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_direction_contrast(&direction, model, &texts, FATHOM_HOOK_PATTERN, 0, 0),
                     FATHOM_ERROR_UNSUPPORTED);
    fathom_texts_free(&texts);
}

static void equal_means_have_no_direction(void **state) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_direction direction;
    add(&texts, "the sea", FATHOM_LABEL_POSITIVE);
    add(&texts, "the sea", FATHOM_LABEL_NEGATIVE);
    int status = fathom_direction_contrast(&direction, *state, &texts, FATHOM_HOOK_RESID_POST, 1, 1);
    assert_int_equal(status, FATHOM_ERROR_NUMERIC);
    fathom_texts_free(&texts);
}

static const char *write_tensor(const char *name, const float *values, const size_t *shape, size_t n_dimensions) {
    struct fathom__tensor tensor = {
        .name = name, .dtype = FATHOM__F32, .n_dimensions = n_dimensions, .data = values, .bytes = sizeof(float)};
    const char *path = scratch("direction.safetensors");
    for (size_t i = 0; i < n_dimensions; i++) {
        tensor.shape[i] = shape[i];
        tensor.bytes *= shape[i];
    }
    assert_int_equal(fathom__safetensors_write(path, &tensor, 1, NULL), FATHOM_OK);
    return path;
}

static void files_hold_one_vector_or_one_a_layer(void **state) {
    const fathom_model *model = *state;
    struct fathom_direction direction, again;
    float values[LAYERS * WIDTH] = {0};
    const size_t one[] = {WIDTH}, all[] = {LAYERS, WIDTH};
    values[3] = -4;
    values[WIDTH + 5] = 2;
    values[2 * WIDTH] = 1;
    assert_int_equal(fathom_direction_open(&direction, model, write_tensor("anything", values, one, 1),
                                           FATHOM_HOOK_RESID_POST, 0, 2, NULL),
                     FATHOM_OK);
    for (size_t l = 0; l < LAYERS; l++) {
        assert_true(direction.vectors[l * WIDTH + 3] == -1 && direction.lengths[l] == 4 &&
                    direction.median_norms[l] > 0);
    }
    fathom_direction_free(&direction);
    assert_int_equal(fathom_direction_open(&direction, model, write_tensor("direction", values, all, 2),
                                           FATHOM_HOOK_RESID_POST, 0, 2, NULL),
                     FATHOM_OK);
    assert_true(direction.vectors[3] == -1 && direction.vectors[WIDTH + 5] == 1 && direction.vectors[2 * WIDTH] == 1);
    const char *path = scratch("again.safetensors");
    assert_int_equal(fathom_direction_write(&direction, model, path), FATHOM_OK);
    assert_int_equal(fathom_direction_open(&again, model, path, FATHOM_HOOK_RESID_POST, 0, 2, NULL), FATHOM_OK);
    assert_memory_equal(again.vectors, direction.vectors, LAYERS * WIDTH * sizeof(float));
    assert_memory_equal(again.median_norms, direction.median_norms, LAYERS * sizeof(float));
    fathom_direction_free(&direction);
    fathom_direction_free(&again);
}

static void wrong_files_are_refused(void **state) {
    const fathom_model *model = *state;
    struct fathom_direction direction;
    float values[LAYERS * WIDTH] = {0};
    const size_t narrow[] = {WIDTH - 1}, two[] = {2, WIDTH}, cube[] = {1, 1, WIDTH}, one[] = {WIDTH};
    values[0] = 1;
    const struct {
        const size_t *shape;
        size_t n_dimensions;
        int status;
    } cases[] = {{narrow, 1, FATHOM_ERROR_MISMATCH}, {two, 2, FATHOM_ERROR_MISMATCH}, {cube, 3, FATHOM_ERROR_FORMAT}};
    for (size_t i = 0; i < 3; i++) {
        const char *path = write_tensor("v", values, cases[i].shape, cases[i].n_dimensions);
        assert_int_equal(fathom_direction_open(&direction, model, path, FATHOM_HOOK_RESID_POST, 0, 2, NULL),
                         cases[i].status);
        assert_non_null(strstr(fathom_error_message(), "direction.safetensors"));
    }
    values[0] = 0;
    assert_int_equal(
        fathom_direction_open(&direction, model, write_tensor("v", values, one, 1), FATHOM_HOOK_RESID_POST, 1, 1, NULL),
        FATHOM_ERROR_NUMERIC);
    values[9] = NAN;
    assert_int_equal(
        fathom_direction_open(&direction, model, write_tensor("v", values, one, 1), FATHOM_HOOK_RESID_POST, 1, 1, NULL),
        FATHOM_ERROR_NUMERIC);
    assert_int_equal(fathom_direction_open(&direction, model, scratch("missing"), FATHOM_HOOK_RESID_POST, 1, 1, NULL),
                     FATHOM_ERROR_IO);
    assert_int_equal(fathom_direction_open(&direction, model, scratch_text("text.safetensors", "not one"),
                                           FATHOM_HOOK_RESID_POST, 1, 1, NULL),
                     FATHOM_ERROR_FORMAT);
}

static void the_control_is_random_but_as_long(void **state) {
    (void)state;
    float vectors[2 * WIDTH] = {1}, lengths[2] = {3, 4}, norms[2] = {7, 8};
    const struct fathom_direction like = {.kind = FATHOM_HOOK_RESID_POST,
                                          .first_layer = 1,
                                          .last_layer = 2,
                                          .width = WIDTH,
                                          .vectors = vectors,
                                          .lengths = lengths,
                                          .median_norms = norms};
    struct fathom_direction a, b, c;
    assert_int_equal(fathom_direction_random(&a, &like, 1), FATHOM_OK);
    assert_int_equal(fathom_direction_random(&b, &like, 1), FATHOM_OK);
    assert_int_equal(fathom_direction_random(&c, &like, 2), FATHOM_OK);
    assert_memory_equal(a.vectors, b.vectors, sizeof vectors);
    assert_memory_not_equal(a.vectors, c.vectors, sizeof vectors);
    assert_memory_equal(a.vectors, a.vectors + WIDTH, WIDTH * sizeof(float));
    assert_true(a.median_norms[0] == 7 && a.median_norms[1] == 8 && a.first_layer == 1 && a.last_layer == 2);
    assert_true(fabs(fathom__norm(a.vectors, WIDTH) - 1) < 1e-5);
    fathom_direction_free(&a);
    fathom_direction_free(&b);
    fathom_direction_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_contrast_is_the_difference_of_means), cmocka_unit_test(equal_means_have_no_direction),
        cmocka_unit_test(files_hold_one_vector_or_one_a_layer),  cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(the_control_is_random_but_as_long),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
