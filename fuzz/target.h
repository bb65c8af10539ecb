/* What every fuzz target has: libFuzzer's entry point, or fuzz/driver.c's. */
#ifndef FATHOM_FUZZ_TARGET_H
#define FATHOM_FUZZ_TARGET_H

#include <base/scratch.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* A reader that fails must say why: an error without a message is a defect like any other. */
#define FUZZ_CHECK(status)                                                                                             \
    do {                                                                                                               \
        if ((status) && !fathom_error_message()[0]) abort();                                                           \
    } while (0)

#endif
