/* NumPy's archives of arrays. */
#include <base/error.h>
#include <base/memory.h>
#include <base/npz.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom__npz *file = NULL;
    int status = fathom__npz_open(&file, scratch_file("input.npz", bytes, length));
    FUZZ_CHECK(status);
    for (size_t i = 0; !status && i < fathom__npz_count(file); i++) {
        const struct fathom__tensor *tensor = fathom__npz_at(file, i);
        float *values = NULL;
        if (tensor->bytes <= 1 << 20)
            FUZZ_CHECK(fathom__tensor_f32(&values, tensor, "input.npz", tensor->shape, tensor->n_dimensions));
        fathom_free(values);
    }
    fathom__npz_close(file);
    return 0;
}
