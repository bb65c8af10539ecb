/* What resampling dead features (Bricken et al. 2023) does beside the auxiliary loss, on data whose true features are
 * known and more than the features that are alive at first. The figures in trainer.h are those that this prints. */
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <dictionary/trainer_truth.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 32, TRUE_FEATURES = 64, TRUE_ACTIVE = 3, LEARNED = 96, BATCH = 512, STEPS = 900, SEEDS = 3 };
enum { DEAD_STEPS = 20, EVERY = 100, LAST = 600 }; /* when features count as dead; resampling's schedule */
#define ENCODER_PART 0.2F                          /* of the living ones' mean length */

enum cure { NONE, AUXILIARY, RESAMPLING, CURES };
static const char *const names[CURES] = {"nothing", "auxiliary loss", "resampling"};

static void make_rows(float *rows, const float *directions, struct fathom__random *random) {
    for (size_t r = 0; r < BATCH; r++)
        for (int a = 0; a <= TRUE_ACTIVE; a++) {
            const float *direction = directions + fathom__random_below(random, TRUE_FEATURES) * WIDTH;
            const float amount = a ? 1 + (float)fathom__random_unit(random) : 0;
            for (int j = 0; j < WIDTH; j++)
                rows[r * WIDTH + j] = (a ? rows[r * WIDTH + j] : 0) + amount * direction[j];
        }
}

static bool is_dead(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->rows - trainer->last_active[feature] >= (uint64_t)DEAD_STEPS * BATCH;
}

/* A row of the last batch, with a probability that goes by its squared loss. */
static size_t draw_row(const double *loss, double total, struct fathom__random *random) {
    double left = fathom__random_unit(random) * total;
    size_t r = 0;
    while (r + 1 < BATCH && left >= loss[r])
        left -= loss[r++];
    return r;
}

static float mean_length(const fathom_trainer *trainer) {
    double sum = 0;
    int n = 0;
    for (uint32_t f = 0; f < LEARNED; f++) {
        const float *row = trainer->encoder.value + f * trainer->stride;
        if (is_dead(trainer, f)) continue;
        sum += sqrtf(fathom__dot(row, row, trainer->stride));
        n++;
    }
    return n ? (float)(sum / n) : 1;
}

static void point_at(fathom_trainer *trainer, uint32_t feature, const float *x, float encoder_length) {
    const size_t stride = trainer->stride, at = feature * stride;
    const float length = sqrtf(fathom__dot(x, x, stride));
    struct fathom__parameter *const rows[] = {&trainer->encoder, &trainer->decoder};
    for (size_t j = 0; j < stride; j++) {
        trainer->decoder.value[at + j] = x[j] / length;
        trainer->encoder.value[at + j] = x[j] / length * encoder_length;
    }
    for (int i = 0; i < 2; i++) {
        memset(rows[i]->first + at, 0, stride * sizeof(float));
        memset(rows[i]->second + at, 0, stride * sizeof(float));
    }
    trainer->encoder_bias.value[feature] = 0;
    trainer->encoder_bias.first[feature] = trainer->encoder_bias.second[feature] = 0;
    trainer->last_active[feature] = trainer->rows;
}

static void resample(fathom_trainer *trainer, struct fathom__random *random) {
    double loss[BATCH], total = 0;
    float x[WIDTH];
    const float length = ENCODER_PART * mean_length(trainer);
    assert_int_equal(trainer->stride, WIDTH);
    for (size_t r = 0; r < BATCH; r++) {
        double squares = 0;
        for (size_t j = 0; j < WIDTH; j++) {
            const double e = fathom__from_bf16(trainer->error[r * WIDTH + j]);
            squares += e * e;
        }
        loss[r] = squares * squares;
        total += loss[r];
    }
    for (uint32_t f = 0; f < LEARNED; f++) {
        if (!is_dead(trainer, f)) continue;
        fathom__row_from_bf16(x, fathom__layer_inputs(trainer, 0, draw_row(loss, total, random)), WIDTH);
        point_at(trainer, f, x, length);
    }
}

struct outcome {
    double recovered, fve, l0, dead;
};

static void train(struct outcome *sum, enum fathom_trainer_architecture architecture, enum cure cure, uint64_t seed) {
    static float directions[TRUE_FEATURES * WIDTH], rows[BATCH * WIDTH];
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = WIDTH,
                                                   .n_features = LEARNED,
                                                   .k = TRUE_ACTIVE,
                                                   .batch = BATCH,
                                                   .n_threads = 1,
                                                   .seed = seed,
                                                   .learning_rate = 3e-3,
                                                   .total_steps = STEPS,
                                                   .dead_after = (uint64_t)DEAD_STEPS * BATCH,
                                                   .auxiliary_coefficient = cure == AUXILIARY ? 0 : -1};
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_evaluation evaluation;
    fathom__random_seed(&random, seed + 5);
    fathom__truth_directions(directions, TRUE_FEATURES, WIDTH, 77);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    make_rows(rows, directions, &random);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, BATCH), 0);
    for (int f = 0; f < LEARNED / 2; f++) /* these cannot fire */
        trainer->encoder_bias.value[f] = architecture == FATHOM_TRAIN_TOPK ? -3 : -5;
    for (int step = 1; step <= STEPS; step++) {
        make_rows(rows, directions, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
        if (cure == RESAMPLING && step % EVERY == 0 && step <= LAST) resample(trainer, &random);
    }
    make_rows(rows, directions, &random);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    sum->recovered +=
        fathom__truth_recovered(directions, TRUE_FEATURES, WIDTH, trainer->decoder.value, LEARNED, trainer->stride) /
        SEEDS;
    sum->fve += evaluation.fve / SEEDS;
    sum->l0 += evaluation.l0 / SEEDS;
    sum->dead += evaluation.dead_fraction / SEEDS;
    fathom_trainer_close(trainer);
}

static void compare(struct outcome outcomes[CURES], enum fathom_trainer_architecture architecture) {
    for (int cure = 0; cure < CURES; cure++) {
        outcomes[cure] = (struct outcome){0};
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            train(&outcomes[cure], architecture, (enum cure)cure, seed);
        print_message("%s, %s: recovered %.2f, FVE %.3f, L0 %.2f, dead %.2f\n",
                      fathom_trainer_architecture_name(architecture), names[cure], outcomes[cure].recovered,
                      outcomes[cure].fve, outcomes[cure].l0, outcomes[cure].dead);
    }
}

static void test_beside_resampling(void **state) {
    (void)state;
    const enum fathom_trainer_architecture architectures[] = {FATHOM_TRAIN_TOPK, FATHOM_TRAIN_STANDARD};
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        struct outcome outcomes[CURES];
        compare(outcomes, architectures[i]);
        assert_true(outcomes[AUXILIARY].recovered > outcomes[NONE].recovered + 0.1);
        assert_true(outcomes[AUXILIARY].fve > outcomes[RESAMPLING].fve - 0.02);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beside_resampling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
