/* What a trainer says of its memory: that it is what was allocated, and that it stays within its bound. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
// clang-format off
#include <cmocka.h>
// clang-format on

static float *random_rows(size_t n, size_t d) {
    struct fathom__random random;
    float *rows = NULL;
    fathom__random_seed(&random, 3);
    assert_int_equal(fathom__alloc(&rows, n * d, sizeof *rows), 0);
    for (size_t i = 0; i < n * d; i++)
        rows[i] = (float)fathom__random_normal(&random);
    return rows;
}

static double total(const fathom_trainer *trainer) {
    double bytes[FATHOM_TRAINER_MEMORIES], sum = 0;
    fathom_trainer_memory(bytes, trainer);
    for (int i = 0; i < FATHOM_TRAINER_MEMORIES; i++)
        sum += bytes[i];
    return sum;
}

/* Bytes that are allocated; 0 where the system does not tell. */
static double allocated(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    const struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
#else
    return 0;
#endif
}

static void check_told(enum fathom_trainer_architecture architecture) {
    enum { WIDTH = 96, FEATURES = 3000, BATCH = 700, STEPS = 2 };
    /* One thread: the system tells of the caller's allocations alone. */
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = WIDTH,
                                                   .n_features = FEATURES,
                                                   .k = 8,
                                                   .batch = BATCH,
                                                   .n_threads = 1,
                                                   .seed = 1,
                                                   .ema = architecture == FATHOM_TRAIN_TOPK ? 0.99 : 0};
    float *rows = random_rows(BATCH, WIDTH);
    fathom_trainer *trainer = NULL;
    const double before = allocated();
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom__trainer_force_dead(trainer, FEATURES / 3);
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    const double told = total(trainer), found = allocated() - before;
    if (told > 1.001 * found || told < 0.97 * found)
        fail_msg("%s: %.0f bytes told, %.0f allocated", fathom_trainer_architecture_name(architecture), told, found);
    fathom_trainer_close(trainer);
    fathom_free(rows);
}

static void test_told(void **state) {
    (void)state;
    const double before = allocated();
    float *probe = NULL;
    assert_int_equal(fathom__alloc(&probe, 1, sizeof *probe), 0);
    const bool tells = allocated() > before;
    fathom_free(probe);
    if (!tells) skip();
    for (int i = 0; i < FATHOM_TRAIN_ARCHITECTURES; i++)
        check_told((enum fathom_trainer_architecture)i);
}

/* Everything but the parameters, as a part of them. Few rows are enough, since room is made for a batch. */
static double surplus(enum fathom_trainer_architecture architecture, uint32_t n_features, double dead) {
    enum { WIDTH = 576, ROWS = 256, STEPS = 2 };
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = WIDTH,
                                                   .n_features = n_features,
                                                   .k = 32,
                                                   .batch = 4096,
                                                   .n_threads = 2,
                                                   .start_l0 = architecture < FATHOM_TRAIN_STANDARD ? 0 : 32,
                                                   .seed = 1};
    double bytes[FATHOM_TRAINER_MEMORIES];
    float *rows = random_rows(ROWS, WIDTH);
    fathom_trainer *trainer = NULL;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom__trainer_force_dead(trainer, (uint32_t)(dead * n_features));
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, ROWS), 0);
    fathom_trainer_memory(bytes, trainer);
    const double part = total(trainer) / bytes[FATHOM_TRAINER_MEMORY_PARAMETERS] - 1;
    print_message("%s, %u features, %.0f %% dead: %.4f\n", fathom_trainer_architecture_name(architecture), n_features,
                  100 * dead, part);
    for (int i = 0; i < FATHOM_TRAINER_MEMORIES; i++)
        print_message("  %-10s %12.0f\n", fathom_trainer_memory_name((enum fathom_trainer_memory)i), bytes[i]);
    fathom_trainer_close(trainer);
    fathom_free(rows);
    return part;
}

static void test_bound(void **state) {
    (void)state;
    const enum fathom_trainer_architecture architectures[] = {FATHOM_TRAIN_TOPK,     FATHOM_TRAIN_BATCHTOPK,
                                                              FATHOM_TRAIN_JUMPRELU, FATHOM_TRAIN_STANDARD,
                                                              FATHOM_TRAIN_GATED,    FATHOM_TRAIN_MATRYOSHKA};
    fathom__dense_prefer(FATHOM__PRODUCT_HOST); /* a GPU's product has its memory elsewhere */
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        assert_true(surplus(architectures[i], 4096, 0) <= 0.25);
        assert_true(surplus(architectures[i], 4096, 0.2) <= 0.25);
    }
    assert_true(surplus(FATHOM_TRAIN_TOPK, 16384, 0.2) <= 0.16);
    assert_true(surplus(FATHOM_TRAIN_MATRYOSHKA, 16384, 0.2) <= 0.25);
    fathom__dense_prefer(FATHOM__PRODUCT_BEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told), cmocka_unit_test(test_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
