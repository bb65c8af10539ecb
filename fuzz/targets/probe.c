/* Probes. */
#include <base/error.h>
#include <base/memory.h>
#include <fathom/detect.h>
#include <fuzz/target.h>

enum { WIDTH_LIMIT = 1 << 12 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom_probe *probe = NULL;
    float *row = NULL;
    int status = fathom_probe_open(&probe, scratch_file("input.gguf", bytes, length));
    FUZZ_CHECK(status);
    if (status) return 0;
    const uint32_t width = fathom_probe_describe(probe)->d_in;
    if (width <= WIDTH_LIMIT && !fathom__alloc(&row, width, sizeof *row)) (void)fathom_probe_row_score(probe, row);
    fathom_free(row);
    fathom_probe_close(probe);
    return 0;
}
