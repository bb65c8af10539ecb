/* Greedy choices are those of the engine's own chain. */
#include "base/random.h"
#include "engine/sampler.h"
#include "tests/support/check.h"
#include <math.h>

enum { MOST_VOCABULARY = 300, ROUNDS = 2000 };

static void the_likeliest_token_is_the_chains(void **state) {
    (void)state;
    const struct fathom_sampling plain = FATHOM_SAMPLING_INIT,
                                 through_chain = {.presence_penalty = 1e-30f}; /* of tokens that never came */
    struct fathom__random random;
    unsigned ties = 0;
    fathom__random_seed(&random, 3);
    for (int round = 0; round < ROUNDS; round++) {
        const size_t n = 1 + fathom__random_below(&random, MOST_VOCABULARY);
        float logits[MOST_VOCABULARY];
        fathom__sampler *fast = NULL, *slow = NULL;
        int32_t fast_token = -1, slow_token = -1;
        /* Few values, so that the largest often comes more than once. */
        for (size_t i = 0; i < n; i++)
            logits[i] = round % 2 ? (float)fathom__random_normal(&random) : -(float)fathom__random_below(&random, 50);
        check_ok(fathom__sampler_open(&fast, &plain, n));
        check_ok(fathom__sampler_open(&slow, &through_chain, n));
        check_ok(fathom__sampler_next(&fast_token, fast, logits));
        check_ok(fathom__sampler_next(&slow_token, slow, logits));
        assert_int_equal(fast_token, slow_token);
        for (size_t i = (size_t)fast_token + 1; i < n; i++)
            if (logits[i] == logits[fast_token]) {
                ties++;
                break;
            }
        fathom__sampler_close(fast);
        fathom__sampler_close(slow);
    }
    assert_in_range(ties, ROUNDS / 10, ROUNDS);
}

static void values_without_sense_are_refused(void **state) {
    (void)state;
    const struct fathom_sampling bad[] = {
        {.temperature = NAN}, {.top_p = -1.0f}, {.min_p = 2.0f}, {.penalty_window = -1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fathom__sampler *sampler = NULL;
        check_status(fathom__sampler_open(&sampler, &bad[i], 8), FATHOM_ERROR_ARGUMENT, "sampling:");
        assert_null(sampler);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_likeliest_token_is_the_chains),
        cmocka_unit_test(values_without_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
