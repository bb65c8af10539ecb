/* safetensors files: every tensor of those that open. */
#include <base/error.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom__safetensors *file = NULL;
    int status = fathom__safetensors_open(&file, scratch_file("input.safetensors", bytes, length));
    FUZZ_CHECK(status);
    if (status) return 0;
    for (size_t i = 0; i < fathom__safetensors_count(file); i++) {
        const struct fathom__tensor *tensor = fathom__safetensors_at(file, i);
        float *values = NULL;
        FUZZ_CHECK(fathom__safetensors_f32(&values, file, tensor->name, tensor->shape, tensor->n_dimensions));
        fathom_free(values);
    }
    (void)fathom__safetensors_metadata(file, "format");
    fathom__safetensors_close(file);
    return 0;
}
