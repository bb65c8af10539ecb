#include <base/error.h>
#include <base/file.h>
#include <base/gguf_file.h>
#include <base/memory.h>
#include <base/scratch.h>

#include <gguf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const float matrix[6] = {1, 2, 3, 4, 5, 6};
static const uint16_t halves[4] = {0x3c00, 0x4000, 0xc000, 0x0000};
static const int64_t matrix_shape[2] = {3, 2}, half_shape[1] = {4};

static void write_one(const char *path) {
    static const char *const words[] = {"alpha", "", "\xc3\xa9"};
    static const int32_t numbers[] = {-1, 0, 70000};
    fathom__gguf_writer *writer = NULL;
    assert_int_equal(fathom__gguf_writer_open(&writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(writer, "general.architecture", "first"), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_integer(writer, "count", 4000000000u), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_number(writer, "scale", 0.125f), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_bool(writer, "flag", true), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_strings(writer, "words", words, 3), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_array(writer, "numbers", GGUF_TYPE_INT32, numbers, 3), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(writer, "removed", "x"), FATHOM_OK);
    fathom__gguf_remove(writer, "removed");
    fathom__gguf_remove(writer, "never there");
    assert_int_equal(fathom__gguf_put_string(writer, "general.architecture", "replaced"), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_tensor(writer, "m", GGML_TYPE_F32, matrix_shape, 2, matrix), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_tensor(writer, "h", GGML_TYPE_F16, half_shape, 1, halves), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_commit(writer, path), FATHOM_OK);
    fathom__gguf_writer_close(writer);
}

static void test_own_reader(void **state) {
    (void)state;
    fathom__gguf *file = NULL;
    const char *path = scratch("own.gguf"), *text = NULL;
    int64_t count = 0;
    double scale = 0;
    bool flag = false;
    float values[4];
    write_one(path);
    assert_int_equal(fathom__gguf_open(&file, path), FATHOM_OK);
    assert_int_equal(fathom__gguf_key_count(file), 6);
    assert_int_equal(fathom__gguf_string(&text, file, "general.architecture", true), FATHOM_OK);
    assert_string_equal(text, "replaced");
    assert_int_equal(fathom__gguf_integer(&count, file, "count", 0, INT64_MAX, true), FATHOM_OK);
    assert_true(count == 4000000000);
    assert_int_equal(fathom__gguf_number(&scale, file, "scale", true), FATHOM_OK);
    assert_true(scale == 0.125);
    assert_int_equal(fathom__gguf_bool(&flag, file, "flag", true), FATHOM_OK);
    assert_true(flag);
    struct fathom__gguf_array numbers = {0};
    assert_int_equal(fathom__gguf_array(&numbers, file, "numbers", true), FATHOM_OK);
    assert_int_equal(numbers.n, 3);
    assert_true(fathom__gguf_array_integer(&count, &numbers, 0));
    assert_int_equal(count, -1);
    assert_true(fathom__gguf_array_integer(&count, &numbers, 2));
    assert_int_equal(count, 70000);
    assert_memory_equal(fathom__gguf_tensor_find(file, "m")->data, matrix, sizeof matrix);
    assert_int_equal(fathom__gguf_rows_f32(values, fathom__gguf_tensor_find(file, "h"), 0, 1), FATHOM_OK);
    assert_true(values[0] == 1 && values[1] == 2 && values[2] == -2 && values[3] == 0);
    fathom__gguf_close(file);
}

/* ggml's reader is the judge of whether the file is GGUF. */
static void test_engines_reader(void **state) {
    (void)state;
    const char *path = scratch("engine.gguf");
    struct ggml_context *tensors = NULL;
    write_one(path);
    struct gguf_context *file = gguf_init_from_file(path, (struct gguf_init_params){.ctx = &tensors});
    assert_non_null(file);
    assert_int_equal(gguf_get_n_kv(file), 6);
    assert_string_equal(gguf_get_val_str(file, gguf_find_key(file, "general.architecture")), "replaced");
    assert_true(gguf_get_val_u32(file, gguf_find_key(file, "count")) == 4000000000u);
    assert_true(gguf_get_val_f32(file, gguf_find_key(file, "scale")) == 0.125f);
    assert_true(gguf_get_val_bool(file, gguf_find_key(file, "flag")));
    assert_int_equal(gguf_get_arr_n(file, gguf_find_key(file, "words")), 3);
    assert_string_equal(gguf_get_arr_str(file, gguf_find_key(file, "words"), 0), "alpha");
    assert_string_equal(gguf_get_arr_str(file, gguf_find_key(file, "words"), 2), "\xc3\xa9");
    assert_int_equal(((const int32_t *)gguf_get_arr_data(file, gguf_find_key(file, "numbers")))[2], 70000);
    struct ggml_tensor *m = ggml_get_tensor(tensors, "m"), *h = ggml_get_tensor(tensors, "h");
    assert_int_equal(m->ne[0], 3);
    assert_int_equal(m->ne[1], 2);
    assert_memory_equal(m->data, matrix, sizeof matrix);
    assert_int_equal(h->type, GGML_TYPE_F16);
    assert_memory_equal(h->data, halves, sizeof halves);
    ggml_free(tensors);
    gguf_free(file);
}

static void test_copying_all_keys(void **state) {
    (void)state;
    fathom__gguf *file = NULL, *copy = NULL;
    fathom__gguf_writer *writer = NULL;
    const char *text = NULL;
    size_t length = 0;
    write_one(scratch("from.gguf"));
    assert_int_equal(fathom__gguf_open(&file, scratch("from.gguf")), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_open(&writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_all(writer, file), FATHOM_OK);
    fathom__gguf_close(file);
    assert_int_equal(fathom__gguf_put_integer(writer, "general.alignment", 64), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_tensor(writer, "h", GGML_TYPE_F16, half_shape, 1, halves), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_tensor(writer, "m", GGML_TYPE_F32, matrix_shape, 2, matrix), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_commit(writer, scratch("to.gguf")), FATHOM_OK);
    fathom__gguf_writer_close(writer);
    assert_int_equal(fathom__gguf_open(&copy, scratch("to.gguf")), FATHOM_OK);
    assert_int_equal(fathom__gguf_key_count(copy), 7);
    assert_int_equal(fathom__gguf_string(&text, copy, "general.architecture", true), FATHOM_OK);
    assert_string_equal(text, "replaced");
    assert_int_equal(fathom__gguf_array_length(&length, copy, "words", true), FATHOM_OK);
    assert_int_equal(length, 3);
    const struct fathom__gguf_tensor *m = fathom__gguf_tensor_find(copy, "m");
    assert_int_equal((uintptr_t)m->data % 64, 0);
    assert_memory_equal(m->data, matrix, sizeof matrix);
    fathom__gguf_close(copy);
}

static void test_bad_arguments(void **state) {
    (void)state;
    static const int64_t odd[] = {33}, negative[] = {-1}, huge[] = {INT64_MAX, INT64_MAX};
    fathom__gguf_writer *writer = NULL;
    assert_int_equal(fathom__gguf_writer_open(&writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_bool(writer, "", true), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_integer(writer, "general.alignment", 3), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_string(writer, "general.alignment", "x"), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "", GGML_TYPE_F32, matrix_shape, 2, matrix),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_F32, matrix_shape, 5, matrix),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_F32, matrix_shape, 0, matrix),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_Q8_0, odd, 1, matrix), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_F32, negative, 1, matrix), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_F32, huge, 2, matrix), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_F32, matrix_shape, 2, matrix), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_tensor(writer, "t", GGML_TYPE_F32, matrix_shape, 2, matrix),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_writer_commit(writer, scratch("no/folder.gguf")), FATHOM_ERROR_IO);
    assert_false(fathom__file_exists(scratch("no")));
    fathom__gguf_writer_close(writer);
    fathom__gguf_writer_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_reader),
        cmocka_unit_test(test_engines_reader),
        cmocka_unit_test(test_copying_all_keys),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
