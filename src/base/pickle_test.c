/* Pickles that are written here opcode by opcode: what is read of them, and what is refused by its name. */
#include "base/file.h"
#include "base/npz.h"
#include "base/pickle.h"
#include "base/scratch.h"
#include "base/torch_file.h"
#include "base/torch_write.h"
#include "tests/support/check.h"
#include <fathom/model.h>
#include <math.h>

#define TEXT(length, text) "X" length "\0\0\0" text
#define STORAGE(type) "(" TEXT("\7", "storage") "ctorch\n" type "\n" TEXT("\1", "0") TEXT("\3", "cpu") "K\6tQ"
#define TENSOR(offset, sizes, strides)                                                                                 \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("FloatStorage") "K" offset sizes strides "\x89"                     \
                                                                   "ccollections\nOrderedDict\n)RtR"
#define READ(out, pickle) fathom__pickle_read(out, (const unsigned char *)(pickle), sizeof(pickle) - 1, "test")

static void entries_come_out(void **state) {
    (void)state;
    static const char bytes[] = "\x80\2"
                                "ccollections\nOrderedDict\n)Rq\0("                                 /* */
        TEXT("\1", "w") TENSOR("\1", "K\2K\2\x86", "K\1K\2\x86")                                    /* */
        TEXT("\1", "n") "J\xfe\xff\xff\xff" TEXT("\1", "f") "G\x3f\xe0\0\0\0\0\0\0" TEXT("\1", "t") /* */
        TEXT("\4", "TopK") TEXT("\1", "d") "}(" TEXT("\1", "k") "\x88u" TEXT("\1", "x") "N"         /* */
        TEXT("\1", "l") "](K\1K\2e"
                        "u}" TEXT("\1", "m") "h\0sb.";
    fathom__pickle *pickle = NULL;
    check_ok(READ(&pickle, bytes));
    assert_int_equal(fathom__pickle_count(pickle), 5);
    const struct fathom__pickled_entry *entry = fathom__pickle_at(pickle, 0);
    assert_string_equal(entry->name, "w");
    assert_int_equal(entry->kind, FATHOM__PICKLED_TENSOR);
    assert_string_equal(entry->tensor.storage, "0");
    assert_true(entry->tensor.dtype == FATHOM__F32 && entry->tensor.offset == 1 && entry->tensor.n_dimensions == 2);
    assert_true(entry->tensor.shape[0] == 2 && entry->tensor.strides[0] == 1 && entry->tensor.strides[1] == 2);
    entry = fathom__pickle_at(pickle, 1);
    assert_true(entry->kind == FATHOM__PICKLED_INTEGER && entry->integer == -2);
    entry = fathom__pickle_at(pickle, 2);
    assert_true(entry->kind == FATHOM__PICKLED_NUMBER && entry->number == 0.5);
    entry = fathom__pickle_at(pickle, 3);
    assert_int_equal(entry->kind, FATHOM__PICKLED_TEXT);
    assert_string_equal(entry->text, "TopK");
    entry = fathom__pickle_at(pickle, 4);
    assert_string_equal(entry->name, "d.k");
    assert_true(entry->kind == FATHOM__PICKLED_INTEGER && entry->integer == 1);
    fathom__pickle_close(pickle);
}

#define REFUSED(pickle, status, message)                                                                               \
    do {                                                                                                               \
        fathom__pickle *refused_ = NULL;                                                                               \
        check_status(READ(&refused_, pickle), status, message);                                                        \
        assert_null(refused_);                                                                                         \
    } while (0)

static void globals_are_refused_by_name(void **state) {
    (void)state;
    REFUSED("\x80\2"
            "cos\nsystem\n" TEXT("\4", "true") "\x85R.",
            FATHOM_ERROR_UNSUPPORTED, "os.system");
    REFUSED("\x80\4\x8c\10builtins\x8c\4eval\x93\x8c\0011\x85R.", FATHOM_ERROR_UNSUPPORTED, "builtins.eval");
    REFUSED("\x80\2"
            "ctorch.storage\n_load_from_bytes\n.",
            FATHOM_ERROR_UNSUPPORTED, "torch.storage._load_from_bytes");
    REFUSED("\x80\2"
            "(ios\nsystem\n.",
            FATHOM_ERROR_UNSUPPORTED, "0x69");                  /* INST */
    REFUSED("\x80\2}}\x81.", FATHOM_ERROR_UNSUPPORTED, "0x81"); /* NEWOBJ */
    REFUSED("\x80\2"
            "ctorch\nFloatStorage\n)R.",
            FATHOM_ERROR_FORMAT, "a call of a storage type");
}

static void damage_is_found(void **state) {
    (void)state;
    REFUSED("", FATHOM_ERROR_FORMAT, "ends too early");
    REFUSED("\x80\2}", FATHOM_ERROR_FORMAT, "ends too early");
    REFUSED("\x80\1}.", FATHOM_ERROR_FORMAT, "protocol");
    REFUSED("\x80\2].", FATHOM_ERROR_FORMAT, "no dict");
    REFUSED("\x80\2.", FATHOM_ERROR_FORMAT, "stack is empty");
    REFUSED("\x80\2}h\7.", FATHOM_ERROR_FORMAT, "nothing is remembered");
    REFUSED("\x80\2}r\xff\xff\xff\xff.", FATHOM_ERROR_FORMAT, "memo slot");
    REFUSED("\x80\2}(K\1u.", FATHOM_ERROR_FORMAT, "a key without a value");
    REFUSED("\x80\2}X\xff\xff\xff\x7fxs.", FATHOM_ERROR_FORMAT, "ends too early");
    REFUSED("\x80\2}" TEXT("\1", "\xff") "K\1s.", FATHOM_ERROR_FORMAT, "UTF-8");
    /* seven of six elements; strides that leave the storage; strides of 0 that make much of little */
    REFUSED("\x80\2}" TEXT("\1", "w") TENSOR("\0", "K\7\x85", "K\1\x85") "s.", FATHOM_ERROR_FORMAT, "do not fit");
    REFUSED("\x80\2}" TEXT("\1", "w") TENSOR("\0", "K\2\x85", "K\6\x85") "s.", FATHOM_ERROR_FORMAT, "do not fit");
    REFUSED("\x80\2}" TEXT("\1", "w") TENSOR("\0", "K\7K\1\x86", "K\0K\0\x86") "s.", FATHOM_ERROR_FORMAT, "do not fit");
    /* a dict that holds itself has no end, but a depth */
    REFUSED("\x80\2}q\0" TEXT("\1", "a") "h\0s.", FATHOM_ERROR_FORMAT, "deeper");
}

/* The inputs of the fuzz targets are archives with one thing wrong. */
static void archives(void **state) {
    (void)state;
    fathom__torch *file = NULL;
    const char *text = NULL;
    int64_t k = 0;
    check_ok(fathom__torch_open(&file, "fuzz/inputs/torch/whole"));
    const struct fathom__tensor *decoder = fathom__torch_find(file, "decoder.weight");
    assert_non_null(decoder);
    assert_true(decoder->n_dimensions == 2 && decoder->shape[0] == 3 && decoder->shape[1] == 4);
    assert_null(fathom__torch_find(file, "activation"));
    check_ok(fathom__torch_text(&text, file, "activation", true));
    assert_string_equal(text, "TopK");
    check_ok(fathom__torch_integer(&k, file, "activation_state_dict.k", 1, 100, true));
    assert_int_equal(k, 7);
    check_ok(fathom__torch_integer(&k, file, "k", 0, 100, true)); /* a tensor of one element */
    assert_int_equal(k, 0);
    check_status(fathom__torch_integer(&k, file, "k", 1, 100, true), FATHOM_ERROR_FORMAT, "1 to 100");
    check_status(fathom__torch_integer(&k, file, "activation", 1, 100, true), FATHOM_ERROR_FORMAT, "an integer");
    check_status(fathom__torch_text(&text, file, "absent", true), FATHOM_ERROR_FORMAT, "absent is missing");
    fathom__torch_close(file);
    file = NULL;
    check_status(fathom__torch_open(&file, "fuzz/inputs/torch/no_storage"), FATHOM_ERROR_FORMAT,
                 "the storage archive/data/0 is missing");
    check_status(fathom__torch_open(&file, "fuzz/inputs/torch/short_storage"), FATHOM_ERROR_FORMAT,
                 "encoder.weight: its storage has 44 bytes");
    check_status(fathom__torch_open(&file, "fuzz/inputs/torch/big_endian"), FATHOM_ERROR_UNSUPPORTED, "byte order");
    check_status(fathom__torch_open(&file, "fuzz/inputs/npz/stored"), FATHOM_ERROR_FORMAT, "no data.pkl");
    check_status(fathom__torch_open(&file, "fuzz/inputs/pickle/plain"), FATHOM_ERROR_FORMAT, "not a zip archive");
    assert_null(file);
}

/* An archive whose directory promises more of its pickle than any state dict has. */
static void large_pickles_are_refused(void **state) {
    (void)state;
    enum { DIRECTORY_ENTRY = 46, METHOD = 10, SIZE = 24, DEFLATED = 8 };
    static const char name[] = "archive/data.pkl", entry[] = "PK\1\2";
    fathom__torch *file = NULL;
    char *bytes = NULL;
    size_t length = 0, found = 0;
    check_ok(fathom__file_read(&bytes, &length, "fuzz/inputs/torch/whole", 1 << 20));
    for (size_t at = 0; at + DIRECTORY_ENTRY + strlen(name) <= length; at++)
        if (memcmp(bytes + at, entry, strlen(entry)) == 0 &&
            memcmp(bytes + at + DIRECTORY_ENTRY, name, strlen(name)) == 0)
            found = at;
    assert_true(found > 0);
    bytes[found + METHOD] = DEFLATED;
    memcpy(bytes + found + SIZE, "\0\0\0\2", 4); /* 32 MiB */
    check_status(fathom__torch_open(&file, scratch_file("large.pt", bytes, length)), FATHOM_ERROR_LIMIT,
                 "its data.pkl has 33554432 bytes, at most 16777216 are read");
    assert_null(file);
    fathom_free(bytes);
}

static void arrays(void **state) {
    (void)state;
    fathom__npz *file = NULL;
    float *values = NULL;
    const size_t two_three[] = {2, 3};
    check_ok(fathom__npz_open(&file, "fuzz/inputs/npz/stored"));
    assert_int_equal(fathom__npz_count(file), 2);
    check_ok(fathom__tensor_f32(&values, fathom__npz_find(file, "W_enc"), "file", two_three, 2));
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == (float)i);
    fathom_free(values);
    fathom__npz_close(file);
    check_ok(fathom__npz_open(&file, "fuzz/inputs/npz/deflated")); /* columns first: 0 2 4 / 1 3 5 */
    check_ok(fathom__tensor_f32(&values, fathom__npz_find(file, "W_enc"), "file", two_three, 2));
    assert_true(values[0] == 0 && values[1] == 2 && values[2] == 4 && values[3] == 1 && values[5] == 5);
    fathom_free(values);
    fathom__npz_close(file);
    check_ok(fathom__npz_open(&file, "fuzz/inputs/npz/types"));
    assert_int_equal(fathom__npz_count(file), 6);
    assert_int_equal(fathom__npz_find(file, "f2")->dtype, FATHOM__F16);
    fathom__npz_close(file);
    file = NULL;
    check_status(fathom__npz_open(&file, "fuzz/inputs/npz/object"), FATHOM_ERROR_UNSUPPORTED, "W_enc: type '|O'");
    check_status(fathom__npz_open(&file, "fuzz/inputs/npz/large"), FATHOM_ERROR_FORMAT, "does not fit");
    assert_null(file);
}

static void arrays_are_written_as_they_are_read(void **state) {
    (void)state;
    static const float matrix[] = {1, 2, 3, 4, 5, 6}, vector[] = {7, -8};
    const struct fathom__tensor tensors[] = {{"W_enc", FATHOM__F32, 2, {3, 2}, matrix, sizeof matrix},
                                             {"threshold", FATHOM__F32, 1, {2}, vector, sizeof vector}};
    fathom__npz *file = NULL;
    check_ok(fathom__npz_write(scratch("out.npz"), tensors, 2));
    check_ok(fathom__npz_open(&file, scratch("out.npz")));
    assert_int_equal(fathom__npz_count(file), 2);
    const struct fathom__tensor *read = fathom__npz_find(file, "W_enc");
    assert_true(read->n_dimensions == 2 && read->shape[0] == 3 && read->shape[1] == 2);
    assert_memory_equal(read->data, matrix, sizeof matrix);
    assert_memory_equal(fathom__npz_find(file, "threshold")->data, vector, sizeof vector);
    fathom__npz_close(file);
    const struct fathom__tensor wrong = {"k", FATHOM__I32, 1, {2}, vector, sizeof vector};
    check_status(fathom__npz_write(scratch("wrong.npz"), &wrong, 1), FATHOM_ERROR_ARGUMENT, "f32 is expected");
}

static void state_dicts_are_written_as_they_are_read(void **state) {
    (void)state;
    static const float matrix[] = {1, 2, 3, 4, 5, 6}, threshold = -0.5F, large = 0x1p63F;
    static const int32_t k = 7;
    static const int64_t groups[] = {5, INT64_MAX};
    const struct fathom__torch_value inner[] = {
        {.name = "k", .kind = FATHOM__TORCH_INTEGER, .integer = INT64_C(1) << 40},
        {.name = "postact_fn", .kind = FATHOM__TORCH_TEXT, .text = "ReLU"},
    };
    const struct fathom__torch_value values[] = {
        {.name = "W_enc", .tensor = {NULL, FATHOM__F32, 2, {3, 2}, matrix, sizeof matrix}},
        {.name = "k", .tensor = {NULL, FATHOM__I32, 0, {0}, &k, sizeof k}},
        {.name = "threshold", .tensor = {NULL, FATHOM__F32, 0, {0}, &threshold, sizeof threshold}},
        {.name = "large", .tensor = {NULL, FATHOM__F32, 0, {0}, &large, sizeof large}},
        {.name = "group_sizes", .tensor = {NULL, FATHOM__I64, 1, {2}, groups, sizeof groups}},
        {.name = "count", .kind = FATHOM__TORCH_INTEGER, .integer = -3},
        {.name = "state", .kind = FATHOM__TORCH_DICT, .values = inner, .n_values = 2},
        {.name = "nothing", .kind = FATHOM__TORCH_DICT},
    };
    fathom__torch *file = NULL;
    const char *text = NULL;
    int64_t integer = 0;
    double number = 0;
    check_ok(fathom__torch_write(scratch("out.pt"), values, sizeof values / sizeof *values));
    check_ok(fathom__torch_open(&file, scratch("out.pt")));
    assert_int_equal(fathom__torch_count(file), 5);
    const struct fathom__tensor *read = fathom__torch_find(file, "W_enc");
    assert_true(read->n_dimensions == 2 && read->shape[0] == 3 && read->shape[1] == 2);
    assert_memory_equal(read->data, matrix, sizeof matrix);
    assert_memory_equal(fathom__torch_find(file, "group_sizes")->data, groups, sizeof groups);
    assert_int_equal(fathom__torch_find(file, "threshold")->n_dimensions, 0);
    check_ok(fathom__tensor_number(&number, fathom__torch_find(file, "threshold"), "out.pt"));
    assert_true(number == -0.5);
    check_ok(fathom__torch_integer(&integer, file, "k", 0, 10, true));
    assert_int_equal(integer, 7);
    check_ok(fathom__torch_integer(&integer, file, "count", -10, 10, true));
    assert_int_equal(integer, -3);
    check_ok(fathom__torch_integer(&integer, file, "state.k", 0, INT64_C(1) << 50, true));
    assert_int_equal(integer, INT64_C(1) << 40);
    check_status(fathom__torch_integer(&integer, file, "large", 0, INT64_MAX, true), FATHOM_ERROR_FORMAT,
                 "large is 9.22");
    check_ok(fathom__torch_text(&text, file, "state.postact_fn", true));
    assert_string_equal(text, "ReLU");
    fathom__torch_close(file);
    check_status(fathom__torch_write(scratch("nowhere/out.pt"), values, 1), FATHOM_ERROR_IO, "nowhere/out.pt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_dicts_are_written_as_they_are_read),
        cmocka_unit_test(entries_come_out),
        cmocka_unit_test(globals_are_refused_by_name),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(archives),
        cmocka_unit_test(large_pickles_are_refused),
        cmocka_unit_test(arrays),
        cmocka_unit_test(arrays_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
