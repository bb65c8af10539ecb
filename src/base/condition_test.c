/* Waiting for a signal, and no longer than until a time. */
#include "base/condition.h"
#include "base/thread.h"
#include "tests/support/check.h"

struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool come;
};

static void *come(void *payload) {
    struct meeting *meeting = payload;
    pthread_mutex_lock(&meeting->lock);
    meeting->come = true;
    pthread_cond_signal(&meeting->changed);
    pthread_mutex_unlock(&meeting->lock);
    return NULL;
}

static void a_signal_ends_the_wait(void **state) {
    (void)state;
    enum { MUCH_LATER = 100000 };
    struct meeting meeting = {.come = false};
    pthread_t other;
    bool in_time = true;
    pthread_mutex_init(&meeting.lock, NULL);
    check_ok(fathom__condition_open(&meeting.changed));
    const double until = fathom__seconds() + MUCH_LATER;
    pthread_mutex_lock(&meeting.lock);
    assert_int_equal(pthread_create(&other, NULL, come, &meeting), 0);
    while (!meeting.come && in_time)
        in_time = fathom__condition_wait(&meeting.changed, &meeting.lock, until);
    pthread_mutex_unlock(&meeting.lock);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(in_time && meeting.come);
    pthread_cond_destroy(&meeting.changed);
    pthread_mutex_destroy(&meeting.lock);
}

static void the_wait_ends_by_the_clock_of_seconds(void **state) {
    (void)state;
    struct meeting meeting = {.come = false};
    pthread_mutex_init(&meeting.lock, NULL);
    check_ok(fathom__condition_open(&meeting.changed));
    const double until = fathom__seconds() + 0.02;
    pthread_mutex_lock(&meeting.lock);
    assert_false(fathom__condition_wait(&meeting.changed, &meeting.lock, fathom__seconds() - 1));
    while (fathom__condition_wait(&meeting.changed, &meeting.lock, until)) { /* woken without a signal */
    }
    pthread_mutex_unlock(&meeting.lock);
    assert_true(fathom__seconds() >= until);
    pthread_cond_destroy(&meeting.changed);
    pthread_mutex_destroy(&meeting.lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_ends_the_wait),
        cmocka_unit_test(the_wait_ends_by_the_clock_of_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
