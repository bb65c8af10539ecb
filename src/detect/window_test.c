#include "detect/window.h"
#include <fathom/detect.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const double levels[] = {1, 5, NAN, 0, 3, 1};
enum { N = sizeof levels / sizeof levels[0] };

static double run(struct fathom__window *window, uint32_t size) {
    assert_int_equal(fathom__window_start(window, size), FATHOM_OK);
    for (size_t i = 0; i < N; i++) {
        fathom__window_add(window, levels[i]);
    }
    double out = fathom__window_document(window);
    fathom__window_clear(window);
    assert_true(isnan(fathom__window_document(window)));
    fathom__window_add(window, 2);
    assert_true(fathom__window_document(window) == 2);
    fathom__window_free(window);
    return out;
}

static void document_levels(void **state) {
    (void)state;
    struct fathom__window window;
    assert_true(run(&window, 0) == 5);
    assert_true(run(&window, 1) == 5);
    assert_true(run(&window, 2) == 3); /* (1 + 5) / 2 */
    assert_true(run(&window, 3) ==
                8.0 / 3.0); /* 5, 0, 3: what is not a number is passed over, and two levels are no window */
    assert_true(run(&window, 100) == 2); /* all of them where no window was filled */
    assert_true(run(&window, FATHOM_WINDOW_DOCUMENT) == 2);
}

static void running_means(void **state) {
    (void)state;
    struct fathom__window window;
    const double expected[] = {1, 3, NAN, 2.5, 1.5, 2};
    assert_int_equal(fathom__window_start(&window, 2), FATHOM_OK);
    for (size_t i = 0; i < N; i++) {
        double mean = fathom__window_add(&window, levels[i]);
        assert_true(mean == expected[i] || (isnan(mean) && isnan(expected[i])));
    }
    fathom__window_free(&window);
    assert_int_equal(fathom__window_start(&window, 1u << 21), FATHOM_ERROR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(document_levels), cmocka_unit_test(running_means)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
