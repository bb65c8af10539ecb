/* Texts with labels: JSONL where the first byte is odd, else one text a line. */
#include <base/error.h>
#include <fathom/detect.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    size_t removed = 0;
    if (length == 0) return 0;
    const char *path = scratch_file(bytes[0] & 1 ? "input.jsonl" : "input.txt", bytes + 1, length - 1);
    int status = fathom_texts_load(&texts, path, FATHOM_LABEL_NONE);
    FUZZ_CHECK(status);
    if (!status) FUZZ_CHECK(fathom_texts_unique(&removed, &texts));
    fathom_texts_free(&texts);
    return 0;
}
