/* Writes what the tests of the command need into a folder: tiny models, an adapter and dictionaries. */
#include "base/error.h"
#include "base/memory.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/dictionary.h>
#include <fathom/model.h>
#include <stdio.h>

#define HOOK "blocks.1.hook_resid_post"

static int make_dictionary(const char *folder, const char *name, const char *model_name, bool threshold) {
    const struct toy_options options = {.hook = HOOK, .scale = 1.0f, .max_norm = INFINITY, .no_threshold = !threshold};
    char *path = NULL, *model_path = NULL;
    fathom_model *model = NULL;
    int status = fathom__format(&path, "%s/%s", folder, name);
    if (!status) status = fathom__format(&model_path, "%s/%s", folder, model_name);
    if (!status) status = fathom_model_open(&model, model_path, NULL);
    if (!status) status = toy_dictionary_write(path, model, &options);
    fathom_model_close(model);
    fathom_free(model_path);
    fathom_free(path);
    return status;
}

static int make_models(const char *folder) {
    static const struct {
        const char *name, *architecture;
        uint64_t seed;
        bool adapter;
    } files[] = {{"llama.gguf", "llama", 1, false},
                 {"other.gguf", "llama", 2, false},
                 {"gemma3.gguf", "gemma3", 1, false},
                 {"adapter.gguf", "llama", 3, true}};
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < sizeof files / sizeof files[0]; i++) {
        char *path = NULL;
        status = fathom__format(&path, "%s/%s", folder, files[i].name);
        if (!status)
            status = files[i].adapter ? fathom_test_tiny_adapter(path, files[i].architecture, files[i].seed)
                                      : fathom_test_tiny_model(path, files[i].architecture, files[i].seed);
        fathom_free(path);
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: make_files FOLDER\n", stderr);
        return 2;
    }
    int status = make_models(argv[1]);
    if (!status) status = make_dictionary(argv[1], "toy.gguf", "llama.gguf", true);
    if (!status) status = make_dictionary(argv[1], "toy-topk.gguf", "llama.gguf", false);
    if (!status) status = make_dictionary(argv[1], "toy-other.gguf", "other.gguf", true);
    if (status) fprintf(stderr, "make_files: %s\n", fathom_error_message());
    return status ? 1 : 0;
}
