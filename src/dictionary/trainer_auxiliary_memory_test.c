/* Dead features updated after all others, in memory that was lent: they learn what they learn with memory of their own. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 96, D_OUT = 80, FEATURES = 700, DEAD = 300, BATCH = 600, STEPS = 3 };
#define NEVER 1e9 /* a norm that no gradient has */

static float *random_rows(size_t n, size_t d) {
    struct fathom__random random;
    float *rows = NULL;
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom__alloc(&rows, n * d, sizeof *rows), 0);
    for (size_t i = 0; i < n * d; i++)
        rows[i] = (float)fathom__random_normal(&random);
    return rows;
}

/* After a few steps, the last with fewer rows than a batch has. behind: whether the packed encoder lies in memory that can be lent. */
static fathom_trainer *train(double *loss, struct fathom_trainer_options options, double clip, bool behind) {
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    const size_t width = (size_t)options.d_in + options.d_out;
    float *rows = random_rows((size_t)STEPS * BATCH, width);
    options.gradient_clip = clip;
    *loss = 0;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom__trainer_force_dead(trainer, DEAD);
    assert_true(trainer->errors_lent == behind);
    for (size_t i = 0; i < STEPS; i++) {
        assert_int_equal(
            fathom_trainer_step(&metrics, trainer, rows + i * BATCH * width, i + 1 < STEPS ? BATCH : BATCH - 93), 0);
        assert_true(metrics.auxiliary_loss > 0);
        *loss += metrics.auxiliary_loss + metrics.loss;
    }
    assert_true(trainer->dead_last == (clip == 0));
    assert_true((trainer->lent_pairs != NULL) == (clip == 0));
    fathom_free(rows);
    return trainer;
}

static void check_near(const float *found, const float *expected, size_t n, const char *name, const char *what) {
    double difference = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (found[i] - expected[i]) * (found[i] - expected[i]);
        squares += expected[i] * expected[i];
    }
    if (!(squares > 0) || !(difference <= 1e-6 * squares))
        fail_msg("%s, %s: %.3g apart of %.3g", name, what, sqrt(difference), sqrt(squares));
}

static void check(const struct fathom_trainer_options *options, bool behind) {
    const char *name = fathom_trainer_architecture_name(options->architecture);
    double found_loss, expected_loss;
    fathom__dense_prefer(behind ? FATHOM__PRODUCT_HOST : FATHOM__PRODUCT_DEVICE);
    fathom_trainer *found = train(&found_loss, *options, 0, behind),
                   *expected = train(&expected_loss, *options, NEVER, behind);
    fathom__dense_prefer(FATHOM__PRODUCT_BEST);
    const size_t n = (size_t)FEATURES * found->stride;
    if (fabs(found_loss / expected_loss - 1) > 1e-4) fail_msg("%s: loss %.8f, %.8f", name, found_loss, expected_loss);
    const size_t dead = (size_t)DEAD * found->stride;
    check_near(found->encoder.first, expected->encoder.first, dead, name, "dead encoder rows");
    check_near(found->decoder.first, expected->decoder.first, dead, name, "dead decoder rows");
    check_near(found->encoder.first + dead, expected->encoder.first + dead, n - dead, name, "encoder rows");
    check_near(found->decoder.first + dead, expected->decoder.first + dead, n - dead, name, "decoder rows");
    check_near(found->encoder_bias.first, expected->encoder_bias.first, FEATURES, name, "encoder bias");
    check_near(found->decoder_bias.first, expected->decoder_bias.first, found->stride, name, "decoder bias");
    if (options->skip) check_near(found->skip.first, expected->skip.first, D_OUT * found->stride, name, "skip");
    fathom_trainer_close(found);
    fathom_trainer_close(expected);
}

static struct fathom_trainer_options options_of(enum fathom_trainer_architecture architecture) {
    struct fathom_trainer_options options = {.architecture = architecture,
                                             .d_in = WIDTH,
                                             .n_features = FEATURES,
                                             .k = 8,
                                             .batch = BATCH,
                                             .n_threads = 2,
                                             .seed = 1};
    if (architecture == FATHOM_TRAIN_MATRYOSHKA) {
        options.n_groups = 2;
        options.groups[0] = 200;
        options.groups[1] = FEATURES - 200;
    }
    return options;
}

static void test_same(void **state) {
    (void)state;
    for (int a = 0; a < FATHOM_TRAIN_ARCHITECTURES; a++) {
        struct fathom_trainer_options options = options_of((enum fathom_trainer_architecture)a);
        check(&options, true);
        check(&options, false);
        options.d_out = D_OUT;
        options.skip = true;
        check(&options, true);
    }
}

/* Pairs that get more room move, and what was lent of their place with them. */
static void test_moved(void **state) {
    (void)state;
    const struct fathom_trainer_options options = options_of(FATHOM_TRAIN_TOPK);
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    float *rows = random_rows(BATCH, WIDTH);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom__trainer_force_dead(trainer, DEAD);
    assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, BATCH), 0);
    assert_ptr_equal(trainer->lent_pairs, trainer->main.feature);
    assert_int_equal(fathom__active_reserve(&trainer->main, 4 * trainer->main.capacity), 0);
    assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, BATCH), 0);
    assert_ptr_equal(trainer->lent_pairs, trainer->main.feature);
    assert_true(metrics.auxiliary_loss > 0 && metrics.fve > 0);
    fathom_trainer_close(trainer);
    fathom_free(rows);
}

/* Where inputs take a product each, nothing is lent. */
static void test_kept(void **state) {
    (void)state;
    struct fathom_trainer_options options = options_of(FATHOM_TRAIN_TOPK);
    fathom_trainer *trainer = NULL;
    float *rows = random_rows(BATCH, WIDTH);
    options.inputs = FATHOM_INPUTS_WHITENED;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom__trainer_force_dead(trainer, DEAD);
    assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    assert_true(trainer->dead_capacity >= DEAD);
    assert_false(trainer->dead_last);
    assert_null(trainer->lent_pairs);
    fathom_trainer_close(trainer);
    fathom_free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same), cmocka_unit_test(test_moved),
                                       cmocka_unit_test(test_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
