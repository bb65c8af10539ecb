#include <base/error.h>
#include <base/thread.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum { ITEMS = 1001, LOOPS = 400 };

struct sum {
    const uint32_t *items;
    uint64_t parts[16];
    uint32_t calls[16];
    uint32_t workers;
};

static void add(uint32_t worker, uint32_t n_workers, void *payload) {
    struct sum *sum = payload;
    size_t first, last;
    fathom__team_share(&first, &last, ITEMS, 8, worker, n_workers);
    sum->parts[worker] = 0;
    for (size_t i = first; i < last; i++)
        sum->parts[worker] += sum->items[i];
    sum->calls[worker]++;
    if (worker == 0) sum->workers = n_workers;
}

static void test_every_worker_runs_once_a_loop(void **state) {
    (void)state;
    static uint32_t items[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = i;
    for (uint32_t threads = 1; threads <= 5; threads++) {
        fathom__team *team = NULL;
        struct sum sum = {.items = items};
        assert_int_equal(fathom__team_open(&team, threads), FATHOM_OK);
        assert_int_equal(fathom__team_size(team), threads);
        for (int loop = 0; loop < LOOPS; loop++) {
            fathom__team_run(team, add, &sum);
            uint64_t total = 0;
            for (uint32_t i = 0; i < threads; i++)
                total += sum.parts[i];
            if (total != ITEMS * (ITEMS - 1) / 2)
                fail_msg("loop %d of %u threads summed to %llu", loop, threads, (unsigned long long)total);
        }
        assert_int_equal(sum.workers, threads);
        for (uint32_t i = 0; i < threads; i++)
            assert_int_equal(sum.calls[i], LOOPS);
        fathom__team_close(team);
    }
}

/* Workers that went to sleep between loops must wake up again, and a caller that sleeps must be woken. */
static void wait_a_little(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    struct timespec pause = {0, worker ? 3000000 : 0};
    nanosleep(&pause, NULL);
    ((uint32_t *)payload)[worker]++;
}

static void test_sleeping_threads_wake(void **state) {
    (void)state;
    fathom__team *team = NULL;
    uint32_t counts[3] = {0};
    assert_int_equal(fathom__team_open(&team, 3), FATHOM_OK);
    for (int i = 0; i < 20; i++) {
        struct timespec pause = {0, 3000000};
        nanosleep(&pause, NULL);
        fathom__team_run(team, wait_a_little, counts);
    }
    fathom__team_close(team);
    for (int i = 0; i < 3; i++)
        assert_int_equal(counts[i], 20);
}

static void test_closing_an_unused_team(void **state) {
    (void)state;
    fathom__team *team = NULL;
    assert_int_equal(fathom__team_open(&team, 0), FATHOM_OK);
    assert_int_equal(fathom__team_size(team), fathom__cores());
    fathom__team_close(team);
    fathom__team_close(NULL);
    assert_true(fathom__cores() >= 1);
}

static void test_shares_cover_everything_once(void **state) {
    (void)state;
    for (size_t n = 0; n < 200; n += 7)
        for (size_t grain = 0; grain < 20; grain += 3)
            for (uint32_t workers = 1; workers < 9; workers++) {
                size_t next = 0;
                for (uint32_t worker = 0; worker < workers; worker++) {
                    size_t first, last;
                    fathom__team_share(&first, &last, n, grain, worker, workers);
                    assert_int_equal(first, next);
                    assert_true(last >= first);
                    if (last < n && grain) assert_int_equal(last % grain, 0);
                    next = last;
                }
                assert_int_equal(next, n);
            }
}

static void test_clock_goes_forward(void **state) {
    (void)state;
    double before = fathom__seconds();
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
    assert_true(fathom__seconds() - before >= 0.002);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_worker_runs_once_a_loop),
        cmocka_unit_test(test_sleeping_threads_wake),
        cmocka_unit_test(test_closing_an_unused_team),
        cmocka_unit_test(test_shares_cover_everything_once),
        cmocka_unit_test(test_clock_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
