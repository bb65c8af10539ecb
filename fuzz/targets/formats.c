/* Other trainers' dictionaries: the first byte says the format, what follows up to the first zero byte is the
 * configuration, and the rest the weights. */
#include <base/error.h>
#include <base/file.h>
#include <fathom/formats.h>
#include <fuzz/target.h>

static const struct {
    const char *format, *config, *weights;
    bool by_file; /* the weights' file is named, not its folder */
} layouts[] = {
    {"gemma-scope", "none", "params.npz", false},
    {"gemma-scope-2", "config.json", "params.safetensors", false},
    {"sparsify", "cfg.json", "sae.safetensors", false},
    {"dictionary-learning", "config.json", "ae.pt", false},
    {"openmoss", "config.json", "sae_weights.safetensors", false},
    {"llama-scope", "hyperparams.json", "checkpoints/final.safetensors", false},
    {"openai", "none", "0.pt", true},
    {"circuit-tracer", "config.yaml", "layer_0.safetensors", true},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const uint8_t *end = length > 1 ? memchr(bytes + 1, 0, length - 1) : NULL;
    if (!end || bytes[0] >= LAYOUTS) return 0;
    const struct fathom_import_options options = {
        .format = layouts[bytes[0]].format, .hook = "blocks.0.hook_resid_post", .hook_out = "blocks.0.hook_resid_post"};
    char config[64], weights[64];
    snprintf(config, sizeof config, "%s/%s", options.format, layouts[bytes[0]].config);
    snprintf(weights, sizeof weights, "%s/%s", options.format, layouts[bytes[0]].weights);
    if (fathom__make_folders(scratch(options.format))) return 0;
    if (strchr(layouts[bytes[0]].weights, '/') && fathom__make_folders(scratch("llama-scope/checkpoints"))) return 0;
    scratch_file(config, bytes + 1, (size_t)(end - bytes) - 1);
    scratch_file(weights, end + 1, length - (size_t)(end + 1 - bytes));
    const char *path = scratch(layouts[bytes[0]].by_file ? weights : options.format);
    FUZZ_CHECK(fathom_dictionary_import(scratch("native.gguf"), path, &options));
    return 0;
}
