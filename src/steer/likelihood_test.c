/* Probabilities of logits against their definition in double precision. */
#include "base/random.h"
#include "steer/likelihood.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 50021, FEW = 17 };

static void totals_are_logarithms_of_sums(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 15, 16, 17, 4096, 4112, MOST};
    static float logits[MOST];
    struct fathom__random random;
    fathom__random_seed(&random, 7);
    for (size_t i = 0; i < MOST; i++) {
        logits[i] = 30 + 8 * (float)fathom__random_normal(&random);
    }
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        double sum = 0;
        double all = 0;
        for (size_t i = 0; i < sizes[s]; i++) {
            sum += exp((double)logits[i] - 60);
        }
        assert_true(fabs(fathom__log_total(logits, sizes[s]) - (log(sum) + 60)) < 1e-5);
        for (size_t i = 0; i < sizes[s] && sizes[s] <= FEW; i++) {
            all += exp(fathom__log_probability(logits, sizes[s], (int32_t)i));
        }
        assert_true(sizes[s] > FEW || fabs(all - 1) < 1e-5);
    }
}

static void divergences_follow_their_definition(void **state) {
    (void)state;
    static float log_p[MOST];
    static float logits[MOST];
    struct fathom__random random;
    double expected = 0;
    fathom__random_seed(&random, 8);
    for (size_t i = 0; i < MOST; i++) {
        log_p[i] = 3 * (float)fathom__random_normal(&random);
        logits[i] = log_p[i] + 0.5f * (float)fathom__random_normal(&random);
    }
    const double own = fathom__log_total(log_p, MOST);
    const double total = fathom__log_total(logits, MOST);
    for (size_t i = 0; i < MOST; i++) {
        log_p[i] = (float)((double)log_p[i] - own);
        expected += exp((double)log_p[i]) * ((double)log_p[i] - ((double)logits[i] - total));
    }
    assert_true(expected > 0.05);
    assert_true(fabs(fathom__divergence(log_p, logits, total, MOST) - expected) < 1e-4);
    assert_true(fabs(fathom__divergence(log_p, log_p, 0, MOST)) < 1e-9);
}

static void extremes_stay_finite(void **state) {
    (void)state;
    const float logits[3] = {-INFINITY, 1e30f, 0};
    assert_true(fabs(fathom__log_total(logits, 3) - 1e30) < 1e24);
    assert_true(fathom__log_probability(logits, 3, 1) == 0 && isinf(fathom__log_probability(logits, 3, 0)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_logarithms_of_sums),
        cmocka_unit_test(divergences_follow_their_definition),
        cmocka_unit_test(extremes_stay_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
