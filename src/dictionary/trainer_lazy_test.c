/* The lazy optimiser beside dense Adam, on data most of whose features are rare: the same rows, the same start. */
#include <base/error.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 32, TRUTH = 64, ACTIVE = 3, LEARNED = 96, BATCH = 48, STEPS = 6000, HELD_OUT = 4096 };

static float directions[TRUTH * WIDTH];

static void make_directions(void) {
    struct fathom__random random;
    fathom__random_seed(&random, 21);
    for (size_t f = 0; f < TRUTH; f++) {
        double squares = 0;
        for (size_t j = 0; j < WIDTH; j++) {
            directions[f * WIDTH + j] = (float)fathom__random_normal(&random);
            squares += directions[f * WIDTH + j] * directions[f * WIDTH + j];
        }
        for (size_t j = 0; j < WIDTH; j++)
            directions[f * WIDTH + j] /= (float)sqrt(squares);
    }
}

/* Each row holds a few features, the f-th with a frequency that falls towards the last. */
static void make_rows(float *rows, size_t n, struct fathom__random *random) {
    memset(rows, 0, n * WIDTH * sizeof *rows);
    for (size_t r = 0; r < n; r++)
        for (int i = 0; i < ACTIVE; i++) {
            const double u = fathom__random_unit(random);
            const size_t f = (size_t)(TRUTH * u * u);
            const float strength = 1 + (float)fathom__random_unit(random);
            for (size_t j = 0; j < WIDTH; j++)
                rows[r * WIDTH + j] += strength * directions[f * WIDTH + j];
        }
}

struct result {
    double fve, l0, dead, recovered, updated; /* updated: the part of the features that a step has a gradient for */
};

static double recovered(const fathom_trainer *trainer) {
    int found = 0;
    for (size_t t = 0; t < TRUTH; t++) {
        double best = 0;
        for (size_t f = 0; f < LEARNED; f++) {
            double cosine = 0;
            for (size_t j = 0; j < WIDTH; j++)
                cosine += directions[t * WIDTH + j] * trainer->decoder.value[f * trainer->stride + j];
            if (cosine > best) best = cosine;
        }
        found += best > 0.9;
    }
    return (double)found / TRUTH;
}

static struct result train(enum fathom_trainer_architecture architecture, uint64_t seed, bool dense) {
    static float rows[HELD_OUT * WIDTH];
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = WIDTH,
                                                   .n_features = LEARNED,
                                                   .k = ACTIVE,
                                                   .batch = BATCH,
                                                   .n_threads = 1,
                                                   .seed = seed,
                                                   .learning_rate = 1e-3,
                                                   .total_steps = STEPS,
                                                   .dead_after = 100 * BATCH};
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_evaluation evaluation;
    struct fathom__random random;
    double updated = 0;
    fathom__random_seed(&random, 100 + seed);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    if (dense) fathom__trainer_update_all(trainer);
    for (int step = 0; step < STEPS; step++) {
        make_rows(rows, BATCH, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
        for (size_t f = 0; f < LEARNED; f++)
            updated += trainer->touched[f] == trainer->step;
    }
    make_rows(rows, HELD_OUT, &random);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, HELD_OUT), 0);
    const struct result result = {evaluation.fve, evaluation.l0, evaluation.dead_fraction, recovered(trainer),
                                  updated / STEPS / LEARNED};
    fathom_trainer_close(trainer);
    return result;
}

static void compare(enum fathom_trainer_architecture architecture) {
    enum { SEEDS = 3 };
    struct result mean[2]; /* lazy, dense */
    memset(mean, 0, sizeof mean);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (int dense = 0; dense < 2; dense++) {
            const struct result result = train(architecture, seed, dense);
            mean[dense].fve += result.fve / SEEDS;
            mean[dense].l0 += result.l0 / SEEDS;
            mean[dense].dead += result.dead / SEEDS;
            mean[dense].recovered += result.recovered / SEEDS;
            mean[dense].updated += result.updated / SEEDS;
        }
    for (int dense = 0; dense < 2; dense++)
        print_message("%s, %s: FVE %.4f, L0 %.2f, dead %.3f, recovered %.3f; %.2f of the features updated in a step\n",
                      fathom_trainer_architecture_name(architecture), dense ? "dense" : "lazy", mean[dense].fve,
                      mean[dense].l0, mean[dense].dead, mean[dense].recovered, mean[dense].updated);
    assert_true(mean[0].updated < 0.8); /* else there would be nothing to compare */
    assert_true(mean[1].updated == 1);
    assert_true(fabs(mean[0].fve - mean[1].fve) < 0.01);
    assert_true(fabs(mean[0].l0 - mean[1].l0) < 0.05);
    assert_true(fabs(mean[0].dead - mean[1].dead) < 0.05);
    assert_true(fabs(mean[0].recovered - mean[1].recovered) < 0.05);
}

static void test_lazy(void **state) {
    (void)state;
    make_directions();
    compare(FATHOM_TRAIN_TOPK);
    compare(FATHOM_TRAIN_BATCHTOPK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lazy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
