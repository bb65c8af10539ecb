/* Condition variables whose timed waits go by the clock of fathom__seconds. */
#ifndef FATHOM_SERVER_CONDITION_H
#define FATHOM_SERVER_CONDITION_H

#include <pthread.h>

int fathom__monotonic_condition(pthread_cond_t *condition);

#endif
