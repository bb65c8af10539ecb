/* torch.save's archives. */
#include <base/error.h>
#include <base/memory.h>
#include <base/torch_file.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom__torch *file = NULL;
    int status = fathom__torch_open(&file, scratch_file("input.pt", bytes, length));
    FUZZ_CHECK(status);
    for (size_t i = 0; !status && i < fathom__torch_count(file); i++) {
        const struct fathom__tensor *tensor = fathom__torch_at(file, i);
        float *values = NULL;
        FUZZ_CHECK(fathom__tensor_f32(&values, tensor, "input.pt", tensor->shape, tensor->n_dimensions));
        fathom_free(values);
    }
    fathom__torch_close(file);
    return 0;
}
