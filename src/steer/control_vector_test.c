/* Control vectors: through files, and against what the engine itself makes of the same numbers. */
#include "base/memory.h"
#include "base/random.h"
#include "engine/session_internal.h"
#include "tests/support/edited_rows.h"

enum { FIRST = 1, LAYERS = 3 };

/* Vectors of different lengths at layers 1, 2 and 3. */
struct vectors {
    float units[LAYERS * TOY_WIDTH], lengths[LAYERS], medians[LAYERS];
    float whole[LAYERS * TOY_WIDTH]; /* lengths × units */
    struct fathom_direction direction;
};

static void make_vectors(struct vectors *out) {
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (size_t l = 0; l < LAYERS; l++) {
        double squares = 0;
        out->medians[l] = 2 + (float)l;
        for (size_t i = 0; i < TOY_WIDTH; i++) {
            float value = (float)fathom__random_normal(&random);
            out->whole[l * TOY_WIDTH + i] = value;
            squares += (double)value * (double)value;
        }
        out->lengths[l] = (float)sqrt(squares);
        for (size_t i = 0; i < TOY_WIDTH; i++) {
            out->units[l * TOY_WIDTH + i] = out->whole[l * TOY_WIDTH + i] / out->lengths[l];
        }
    }
    out->direction = (struct fathom_direction){.kind = FATHOM_HOOK_RESID_POST,
                                               .first_layer = FIRST,
                                               .last_layer = FIRST + LAYERS - 1,
                                               .width = TOY_WIDTH,
                                               .vectors = out->units,
                                               .lengths = out->lengths,
                                               .median_norms = out->medians};
}

static void files_keep_what_was_written(void **state) {
    struct edited_rows *fixture = *state;
    struct vectors vectors;
    struct fathom_direction back = FATHOM_DIRECTION_INIT;
    const char *path = scratch("vector.gguf");
    make_vectors(&vectors);
    for (int scaled = 0; scaled < 2; scaled++) {
        const float strength = 0.5f * (float)scaled;
        assert_int_equal(fathom_direction_write_control_vector(&vectors.direction, fixture->model, path, strength),
                         FATHOM_OK);
        assert_int_equal(fathom_direction_open_control_vector(&back, fixture->model, path), FATHOM_OK);
        assert_int_equal(back.first_layer, FIRST);
        assert_int_equal(back.last_layer, FIRST + LAYERS - 1);
        for (size_t l = 0; l < LAYERS; l++) {
            float length = scaled ? 0.5f * vectors.medians[l] : vectors.lengths[l];
            assert_true(fabsf(back.lengths[l] - length) < 1e-5f * length);
            for (size_t i = 0; i < TOY_WIDTH; i++) {
                assert_true(fabsf(back.vectors[l * TOY_WIDTH + i] - vectors.units[l * TOY_WIDTH + i]) < 1e-6f);
            }
        }
        fathom_direction_free(&back);
    }
}

static void decode(struct edited_rows *fixture, float *logits) {
    size_t n_vocab = fathom_model_describe(fixture->model)->n_vocab;
    fathom_session_forget(fixture->session, -1, 0);
    assert_int_equal(fathom_session_feed(fixture->session, fixture->tokens, ROWS_N, 0, 0, true), FATHOM_OK);
    for (size_t r = 0; r < ROWS_N; r++) {
        memcpy(logits + r * n_vocab, fathom_session_logits(fixture->session, r), n_vocab * sizeof *logits);
    }
}

static double largest_difference(const float *a, const float *b, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    }
    return largest;
}

static void logits_are_those_of_the_engines_own(void **state) {
    struct edited_rows *fixture = *state;
    struct vectors vectors;
    struct fathom_direction read = FATHOM_DIRECTION_INIT;
    size_t n = fathom_model_describe(fixture->model)->n_vocab * ROWS_N;
    struct llama_context *context = fixture->session->context;
    const char *path = scratch("vector.gguf");
    float *logits[3] = {NULL, NULL, NULL};
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    make_vectors(&vectors);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fathom__alloc(&logits[i], n, sizeof *logits[i]), FATHOM_OK);
    }
    decode(fixture, logits[0]);
    assert_int_equal(llama_set_adapter_cvec(context, vectors.whole, (size_t)LAYERS * TOY_WIDTH, TOY_WIDTH, FIRST,
                                            FIRST + LAYERS - 1),
                     0);
    decode(fixture, logits[1]);
    assert_int_equal(llama_set_adapter_cvec(context, NULL, 0, 0, 0, 0), 0);
    assert_int_equal(fathom_direction_write_control_vector(&vectors.direction, fixture->model, path, 0), FATHOM_OK);
    assert_int_equal(fathom_direction_open_control_vector(&read, fixture->model, path), FATHOM_OK);
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    struct fathom_steer_edit edit = {
        .what = FATHOM_STEER_VECTOR, .direction = &read, .how = FATHOM_STEER_HOW_ADD, .value = 1};
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_count(plan), LAYERS);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    decode(fixture, logits[2]);
    double moved = largest_difference(logits[0], logits[1], n);
    assert_true(moved > 0.05);
    assert_true(largest_difference(logits[1], logits[2], n) < 1e-4 * moved);
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
    fathom_direction_free(&read);
    for (size_t i = 0; i < 3; i++) {
        fathom_free(logits[i]);
    }
}

/* Writes a file by hand: architecture, hint, a tensor's name and width. */
static const char *write_file(const char *architecture, const char *hint, const char *name, int64_t width,
                              float value) {
    static float data[2 * TOY_WIDTH];
    fathom__gguf_writer *writer = NULL;
    const char *path = scratch("wrong.gguf");
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        data[i] = value;
    }
    assert_int_equal(fathom__gguf_writer_open(&writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(writer, "general.architecture", architecture), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(writer, "controlvector.model_hint", hint), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_tensor(writer, name, GGML_TYPE_F32, &width, 1, data), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_commit(writer, path), FATHOM_OK);
    fathom__gguf_writer_close(writer);
    return path;
}

static void wrong_files_are_refused(void **state) {
    struct edited_rows *fixture = *state;
    static const struct {
        const char *architecture, *hint, *name, *message;
        int64_t width;
        float value;
        int status;
    } cases[] = {
        {"llama", "llama", "direction.1", "expected \"controlvector\"", TOY_WIDTH, 1, FATHOM_ERROR_FORMAT},
        {"controlvector", "gemma3", "direction.1", "of a gemma3 model", TOY_WIDTH, 1, FATHOM_ERROR_MISMATCH},
        {"controlvector", "llama", "direction.0", "expected direction.1", TOY_WIDTH, 1, FATHOM_ERROR_FORMAT},
        {"controlvector", "llama", "other", "expected direction.1", TOY_WIDTH, 1, FATHOM_ERROR_FORMAT},
        {"controlvector", "llama", "direction.4", "layers 0 to 3", TOY_WIDTH, 1, FATHOM_ERROR_MISMATCH},
        {"controlvector", "llama", "direction.2", "has 32 values", TOY_WIDTH / 2, 1, FATHOM_ERROR_MISMATCH},
        {"controlvector", "llama", "direction.2", "not finite", TOY_WIDTH, INFINITY, FATHOM_ERROR_NUMERIC},
    };
    struct fathom_direction direction = FATHOM_DIRECTION_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path =
            write_file(cases[i].architecture, cases[i].hint, cases[i].name, cases[i].width, cases[i].value);
        assert_int_equal(fathom_direction_open_control_vector(&direction, fixture->model, path), cases[i].status);
        if (strstr(fathom_error_message(), cases[i].message) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", fathom_error_message(), cases[i].message);
        }
    }
    struct vectors vectors;
    make_vectors(&vectors);
    vectors.direction.first_layer = 0;
    vectors.direction.last_layer = LAYERS - 1;
    assert_int_equal(fathom_direction_write_control_vector(&vectors.direction, fixture->model, scratch("none.gguf"), 0),
                     FATHOM_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_keep_what_was_written),
        cmocka_unit_test(logits_are_those_of_the_engines_own),
        cmocka_unit_test(wrong_files_are_refused),
    };
    return cmocka_run_group_tests(tests, edited_rows_setup, edited_rows_teardown);
}
