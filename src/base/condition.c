#include <base/condition.h>
#include <base/error.h>
#include <base/thread.h>

#include <math.h>
#include <time.h>

static struct timespec time_of(double seconds) {
    const double whole = floor(seconds);
    return (struct timespec){.tv_sec = (time_t)whole, .tv_nsec = (long)((seconds - whole) * 1e9)};
}

/* macOS has no other clock for conditions than the one that people set, but waits for a length of time. */
#ifdef __APPLE__
static bool choose_clock(pthread_condattr_t *attributes) {
    (void)attributes;
    return true;
}

static int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, double until) {
    const double left = until - fathom__seconds();
    const struct timespec length = time_of(left > 0 ? left : 0);
    return pthread_cond_timedwait_relative_np(condition, lock, &length);
}
#else
static bool choose_clock(pthread_condattr_t *attributes) {
    return pthread_condattr_setclock(attributes, CLOCK_MONOTONIC) == 0;
}

static int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, double until) {
    const struct timespec at = time_of(until);
    return pthread_cond_timedwait(condition, lock, &at);
}
#endif

int fathom__condition_open(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return fathom__fail_memory(sizeof attributes);
    const bool good = choose_clock(&attributes) && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return good ? FATHOM_OK : fathom__fail(FATHOM_ERROR_MEMORY, "a condition variable cannot be made");
}

bool fathom__condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, double until) {
    return wait_until(condition, lock, until) == 0;
}
