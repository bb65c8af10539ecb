/* What is checked of a model before the engine sees it: keys, vocabulary, tensors. The input is the head of a GGUF
 * file; zeros stand in for the tensors' data, so that saved inputs stay small. */
#include <base/error.h>
#include <base/memory.h>
#include <engine/model_parts.h>
#include <fuzz/target.h>

enum { DATA_SIZE = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char *whole = NULL;
    struct fathom__model_files files = {0};
    struct fathom__model_shape shape;
    bool odd = false;
    if (fathom__alloc(&whole, length + DATA_SIZE, 1)) return 0;
    if (length) memcpy(whole, bytes, length);
    const char *path = scratch_file("input.gguf", whole, length + DATA_SIZE);
    fathom_free(whole);
    int status = fathom__model_files_open(&files, path);
    FUZZ_CHECK(status);
    if (status) return 0;
    status = fathom__model_read_shape(&shape, &files);
    FUZZ_CHECK(status);
    if (!status) FUZZ_CHECK(fathom__model_check_vocabulary(&odd, &files));
    if (!status) FUZZ_CHECK(fathom__model_check_tensors(&files, &shape));
    fathom__model_files_close(&files);
    return 0;
}
