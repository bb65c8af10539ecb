/* Two tiny models with a chat template each: a llama with ChatML and a default system message, and a Gemma. */
#ifndef FATHOM_TESTS_CHAT_MODELS_H
#define FATHOM_TESTS_CHAT_MODELS_H

#include "tests/support/open_model.h"
#include <stdlib.h>

static fathom_model *llama, *gemma;

static inline int open_models(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    llama = open_tiny_model("llama.gguf", "llama", 1);
    gemma = open_tiny_model("gemma3.gguf", "gemma3", 1);
    return 0;
}

static inline int close_models(void **state) {
    (void)state;
    fathom_model_close(llama);
    fathom_model_close(gemma);
    return 0;
}

#endif
