/* Pairs above a floor are those that the product itself gives, however many there are, and where they did not fit at
 * first. */
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 32, FEATURES = 300, BATCH = 700, FEW = 2 };
#define FLOOR (-0.5F)

static fathom_trainer *open_trainer(enum fathom_trainer_architecture architecture, uint32_t n_threads, size_t n) {
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = WIDTH,
                                                   .n_features = FEATURES,
                                                   .k = FEW,
                                                   .batch = BATCH,
                                                   .n_threads = n_threads,
                                                   .seed = 1};
    struct fathom__random random;
    float *rows = NULL;
    fathom_trainer *trainer = NULL;
    fathom__random_seed(&random, 7);
    assert_int_equal(fathom__alloc(&rows, n * WIDTH, sizeof *rows), 0);
    for (size_t i = 0; i < n * WIDTH; i++) /* later rows have fewer pairs in a band */
        rows[i] = (float)fathom__random_normal(&random) * (float)(i / WIDTH < n / 2 ? 1 : 4);
    memcpy(rows + (n - 1) * WIDTH, rows, WIDTH * sizeof *rows);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(fathom__trainer_load(trainer, rows, n), 0);
    assert_int_equal(fathom__trainer_pack(trainer), 0);
    fathom_free(rows);
    return trainer;
}

/* [n, FEATURES], by the product alone. */
static float *find_values(fathom_trainer *trainer) {
    float *values = NULL, *tile = trainer->workers[0].tile;
    assert_int_equal(fathom__alloc(&values, trainer->n * FEATURES, sizeof *values), 0);
    for (size_t r = 0; r < trainer->n; r++)
        for (size_t t = 0; t < fathom__tiles(trainer); t++) {
            const struct fathom__tile which = fathom__tile(trainer, t);
            assert_int_equal(
                fathom__dense_run(tile, which.product, 0, which.number, 1, fathom__layer_inputs(trainer, 0, r), 1), 0);
            memcpy(values + r * FEATURES + which.first, tile, which.width * sizeof *values);
        }
    return values;
}

/* A row's pairs are the features between two values, ascending. */
static size_t check_row(const struct fathom__active *active, const float *values, size_t row, float above,
                        float up_to) {
    uint32_t i = active->start[row];
    for (uint32_t f = 0; f < FEATURES; f++) {
        const float value = values[row * FEATURES + f];
        if (!(value > above && value <= up_to)) continue;
        assert_true(i < active->start[row] + active->count[row]);
        assert_int_equal(active->feature[i], f);
        if (active->value) assert_true(active->value[i] == value);
        i++;
    }
    assert_int_equal(i, active->start[row] + active->count[row]);
    return active->count[row];
}

static void check(enum fathom_trainer_architecture architecture, uint32_t n_threads, size_t n) {
    const bool banded = architecture == FATHOM_TRAIN_JUMPRELU;
    fathom_trainer *trainer = open_trainer(architecture, n_threads, n);
    float *values = find_values(trainer);
    for (int again = 0; again < 2; again++) {
        size_t pairs = 0, near = 0;
        assert_int_equal(fathom__trainer_above(trainer, trainer->encoder_bias.value, banded ? FLOOR : 0), 0);
        for (size_t r = 0; r < n; r++) {
            assert_int_equal(trainer->main.start[r], pairs);
            pairs += check_row(&trainer->main, values, r, 0, INFINITY);
            if (banded) near += check_row(&trainer->near, values, r, FLOOR, 0);
        }
        assert_true(pairs > 10 * FEW * n); /* more than there was room for at first */
        assert_true(!banded || near > 0);
        assert_true(trainer->main.capacity >= pairs &&
                    trainer->main.capacity < pairs + pairs / 4 + FATHOM__TILE_ROWS + FEW * BATCH);
    }
    fathom_free(values);
    fathom_trainer_close(trainer);
}

static void test_above(void **state) {
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        check(FATHOM_TRAIN_STANDARD, n_threads, BATCH);
        check(FATHOM_TRAIN_JUMPRELU, n_threads, BATCH);
        check(FATHOM_TRAIN_JUMPRELU, n_threads, 40);
    }
}

/* Of the first and the last row, which are the same. */
static void check_equal(fathom_trainer *trainer, const float *values, float least, size_t equal) {
    const size_t last = BATCH - 1;
    size_t larger = 0, kept = 0;
    for (size_t i = 0; i < (size_t)BATCH * FEATURES; i++)
        larger += values[i] > least;
    assert_int_equal(fathom__trainer_gather(trainer, trainer->encoder_bias.value, 0), 0);
    assert_int_equal(fathom__trainer_keep(trainer, least, equal, larger + equal), 0);
    for (size_t r = 0; r < BATCH; r++)
        kept += trainer->main.count[r];
    assert_int_equal(kept, larger + equal);
    assert_int_equal(trainer->main.count[0], trainer->main.count[last] + (equal == 1));
}

/* Of values that equal the least one as many are kept as are wanted, of the first rows. */
static void test_equal(void **state) {
    (void)state;
    fathom_trainer *trainer = open_trainer(FATHOM_TRAIN_BATCHTOPK, 2, BATCH);
    float *values = find_values(trainer);
    uint32_t f = 0;
    while (!(values[f] > 0))
        f++;
    for (size_t equal = 0; equal <= 2; equal++)
        check_equal(trainer, values, values[f], equal);
    fathom_free(values);
    fathom_trainer_close(trainer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_above), cmocka_unit_test(test_equal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
