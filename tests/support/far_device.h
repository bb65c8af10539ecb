/* A ggml device of the type GPU that stands in for one: it computes as ggml's CPU backend does, but in memory that nobody
 * else can touch. Whoever follows a pointer into it instead of asking for a copy ends with a segmentation fault.
 */
#ifndef FATHOM_TESTS_FAR_DEVICE_H
#define FATHOM_TESTS_FAR_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

/* Registers it with the engine, for the rest of the process; before any model is opened. False where the engine has not
 * the headers for it (a system's libllama). */
bool fathom_test_far_device(void);

/* Operations that it has computed so far. Any thread. */
uint64_t fathom_test_far_device_computed(void);

#endif
