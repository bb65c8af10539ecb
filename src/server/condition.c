#include "server/condition.h"
#include "base/error.h"
#include <stdbool.h>
#include <time.h>

int fathom__monotonic_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return fathom__fail_memory(sizeof attributes);
    const bool good =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return good ? FATHOM_OK : fathom__fail(FATHOM_ERROR_MEMORY, "a condition variable cannot be made");
}
