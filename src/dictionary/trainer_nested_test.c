/* Matryoshka's groups one after another: the errors that each is updated by are those that are held for all of them where
 * a gradient's norm must be known first. */
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { FEATURES = 700, FEW = 200, D_OUT = 80, STEPS = 3 };
#define NEVER 1e9 /* a norm that no gradient has */
/* Of squares: 1 % of the length. Errors are rounded to bf16 once more for each group, and what a few rows of them come to is
 * mostly what they do not have in common. */
#define APART 1e-4

struct setting {
    uint32_t width, batch, n_dead, k_aux, n_threads;
    bool skip;
    enum fathom__dense_backend product;
};

static fathom_trainer *train(double *loss, const struct setting *setting, double clip) {
    const struct fathom_trainer_options options = {.architecture = FATHOM_TRAIN_MATRYOSHKA,
                                                   .d_in = setting->width,
                                                   .d_out = setting->skip ? D_OUT : 0,
                                                   .skip = setting->skip,
                                                   .n_features = FEATURES,
                                                   .groups = {20, 60, 180, FEATURES - 260},
                                                   .n_groups = 4,
                                                   .k = 8,
                                                   .k_aux = setting->k_aux,
                                                   .batch = setting->batch,
                                                   .n_threads = setting->n_threads,
                                                   .gradient_clip = clip,
                                                   .seed = 1};
    const size_t width = (size_t)options.d_in + options.d_out;
    struct fathom__random random;
    struct fathom_trainer_metrics metrics;
    fathom_trainer *trainer = NULL;
    float *rows = NULL;
    fathom__random_seed(&random, 6);
    *loss = 0;
    assert_int_equal(fathom__alloc(&rows, options.batch * width, sizeof *rows), 0);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom__trainer_force_dead(trainer, setting->n_dead);
    for (uint32_t step = 0; step < STEPS; step++) {
        const size_t n = options.batch - 7 * step;
        for (size_t i = 0; i < n * width; i++)
            rows[i] = (float)fathom__random_normal(&random);
        assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, n), 0);
        *loss += metrics.loss + metrics.auxiliary_loss;
    }
    fathom_free(rows);
    return trainer;
}

static void check_near(const float *found, const float *expected, size_t n, const char *what) {
    double difference = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (found[i] - expected[i]) * (found[i] - expected[i]);
        squares += expected[i] * expected[i];
    }
    if (!(squares > 0) || !(difference <= APART * squares))
        fail_msg("%s: %.3g apart of %.3g", what, sqrt(difference), sqrt(squares));
}

/* Of each group's features by itself, since the last ones' are the smallest. */
static void check_groups(const fathom_trainer *found, const fathom_trainer *expected) {
    size_t first = 0;
    for (uint32_t g = 0; g < found->options.n_groups; g++) {
        const size_t at = first * found->stride, n = found->options.groups[g] * found->stride;
        check_near(found->encoder.first + at, expected->encoder.first + at, n, "encoder rows");
        check_near(found->decoder.first + at, expected->decoder.first + at, n, "decoder rows");
        first += found->options.groups[g];
    }
    check_near(found->decoder_bias.first, expected->decoder_bias.first, found->stride, "decoder bias");
}

/* At the end of a step without dead features `error` is the whole dictionary's. */
static void check_errors(const fathom_trainer *found, const fathom_trainer *expected) {
    const size_t n = found->n * found->stride;
    float *one = NULL, *other = NULL;
    assert_int_equal(fathom__alloc_aligned(&one, n, sizeof *one), 0);
    assert_int_equal(fathom__alloc_aligned(&other, n, sizeof *other), 0);
    fathom__row_from_bf16(one, found->error, n);
    fathom__row_from_bf16(other, expected->error, n);
    check_near(one, other, n, "errors");
    fathom_free(one);
    fathom_free(other);
}

static fathom_trainer *check(const struct setting *setting) {
    double found_loss, expected_loss;
    fathom__dense_prefer(setting->product);
    fathom_trainer *found = train(&found_loss, setting, 0), *expected = train(&expected_loss, setting, NEVER);
    fathom__dense_prefer(FATHOM__PRODUCT_BEST);
    assert_non_null(found->prefix_error);
    assert_null(found->group_error);
    assert_null(expected->prefix_error);
    assert_non_null(expected->group_error);
    if (fabs(found_loss / expected_loss - 1) > 1e-4) fail_msg("loss %.8f, %.8f", found_loss, expected_loss);
    check_groups(found, expected);
    if (!setting->n_dead) check_errors(found, expected);
    fathom_trainer_close(expected);
    return found;
}

/* Where the first prefix's errors lie: behind the sums, in the inputs' place, or in memory of their own. */
static void test_places(void **state) {
    (void)state;
    for (uint32_t n_dead = 0; n_dead <= FEW; n_dead += FEW)
        for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
            const struct setting behind = {96, 300, n_dead, 0, n_threads, false, FATHOM__PRODUCT_HOST},
                                 inputs = {96, 600, n_dead, 0, n_threads, false, FATHOM__PRODUCT_HOST},
                                 far = {96, 300, n_dead, 0, n_threads, false, FATHOM__PRODUCT_DEVICE},
                                 own = {96, 600, n_dead, 0, n_threads, true, FATHOM__PRODUCT_HOST};
            fathom_trainer *trainer = check(&behind);
            assert_true(trainer->errors_lent && !trainer->inputs_lost && !trainer->prefix_owned);
            fathom_trainer_close(trainer);
            trainer = check(&far);
            assert_true(!trainer->errors_lent && trainer->inputs_lost);
            fathom_trainer_close(trainer);
            trainer = check(&inputs);
            assert_true(trainer->inputs_lost && trainer->prefix_error == trainer->x_bf16);
            fathom_trainer_close(trainer);
            trainer = check(&own);
            assert_true(trainer->prefix_owned && !trainer->inputs_lost);
            fathom_trainer_close(trainer);
        }
}

/* More dead features with a row than their candidates' memory has room for. */
static void test_many_dead(void **state) {
    (void)state;
    const struct setting setting = {512, 600, FEATURES - FEW, 4, 1, false, FATHOM__PRODUCT_HOST};
    fathom_trainer *trainer = check(&setting);
    assert_true(trainer->dead_sums_room > 0);
    fathom_trainer_close(trainer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_many_dead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
