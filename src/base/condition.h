/* Condition variables whose timed waits go by the clock of fathom__seconds, which nobody sets. */
#ifndef FATHOM_BASE_CONDITION_H
#define FATHOM_BASE_CONDITION_H

#include <pthread.h>
#include <stdbool.h>

/* Destroyed by pthread_cond_destroy. MEMORY. */
int fathom__condition_open(pthread_cond_t *condition);

/* Waits for a signal until fathom__seconds() is `until`; false when that time is over. As with all conditions, what is
 * waited for has to be looked at again. */
bool fathom__condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, double until);

#endif
