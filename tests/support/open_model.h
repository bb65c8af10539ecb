/* A tiny model that is open: as what a test program's set-up leaves to its tests (*state), or as a value. */
#ifndef FATHOM_TESTS_OPEN_MODEL_H
#define FATHOM_TESTS_OPEN_MODEL_H

#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <fathom/model.h>

/* Written to scratch(name). */
static inline fathom_model *open_tiny_model(const char *name, const char *architecture, uint64_t seed) {
    const char *path = scratch(name);
    fathom_model *model = NULL;
    check_ok(fathom_test_tiny_model(path, architecture, seed));
    check_ok(fathom_model_open(&model, path, NULL));
    return model;
}

/* Set-up and teardown of programs whose tests share one llama. */
static inline int open_model(void **state) {
    enum { SEED = 5 };
    *state = open_tiny_model("model.gguf", "llama", SEED);
    return 0;
}

static inline int close_model(void **state) {
    fathom_model_close(*state);
    return 0;
}

#endif
