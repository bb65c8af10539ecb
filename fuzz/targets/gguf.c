/* GGUF files: every key and tensor of those that open. */
#include <base/error.h>
#include <base/gguf_file.h>
#include <base/memory.h>
#include <fuzz/target.h>

enum { ROW_LIMIT = 1 << 16 };

static void read_key(const fathom__gguf *file, const char *key) {
    const char *text;
    int64_t integer;
    double number;
    bool truth;
    struct fathom__gguf_array array = {0};
    FUZZ_CHECK(fathom__gguf_string(&text, file, key, true));
    FUZZ_CHECK(fathom__gguf_integer(&integer, file, key, INT64_MIN, INT64_MAX, true));
    FUZZ_CHECK(fathom__gguf_number(&number, file, key, true));
    FUZZ_CHECK(fathom__gguf_bool(&truth, file, key, true));
    int status = fathom__gguf_array(&array, file, key, true);
    FUZZ_CHECK(status);
    size_t cursor = 0, length = 0, total = 0;
    for (size_t i = 0; !status && i < array.n; i++) {
        if (array.type == GGUF_TYPE_STRING) {
            const char *word = fathom__gguf_array_string(&length, &array, &cursor);
            for (size_t j = 0; j < length; j++)
                total += (unsigned char)word[j];
        } else {
            total += fathom__gguf_array_integer(&integer, &array, i);
        }
    }
    if (total == SIZE_MAX) abort();
}

static void read_tensor(const struct fathom__gguf_tensor *tensor) {
    float *row = NULL;
    if (tensor->shape[0] > ROW_LIMIT || fathom__alloc(&row, (size_t)tensor->shape[0], sizeof *row)) return;
    FUZZ_CHECK(fathom__gguf_rows_f32(row, tensor, tensor->shape[1] - 1, 1));
    fathom_free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom__gguf *file = NULL;
    int status = fathom__gguf_open(&file, scratch_file("input.gguf", bytes, length));
    FUZZ_CHECK(status);
    if (status) return 0;
    for (size_t i = 0; i < fathom__gguf_key_count(file); i++)
        read_key(file, fathom__gguf_key_at(file, i));
    for (size_t i = 0; i < fathom__gguf_tensor_count(file); i++)
        read_tensor(fathom__gguf_tensor_at(file, i));
    fathom__gguf_close(file);
    return 0;
}
