/* Folders of SAELens: cfg.json up to the first zero byte of the input, sae_weights.safetensors after it. */
#include <base/error.h>
#include <base/file.h>
#include <fathom/formats.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const uint8_t *end = length ? memchr(bytes, 0, length) : NULL;
    if (!end) return 0;
    const char *folder = scratch("saelens");
    if (fathom__make_folders(folder)) return 0;
    scratch_file("saelens/cfg.json", bytes, (size_t)(end - bytes));
    scratch_file("saelens/sae_weights.safetensors", end + 1, length - (size_t)(end + 1 - bytes));
    FUZZ_CHECK(fathom_dictionary_import(scratch("native.gguf"), folder, NULL));
    return 0;
}
