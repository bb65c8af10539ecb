/* Every backend against sums in double, tiles that are not full included. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>
#include <fathom/model.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 576, FEATURES = 2 * FATHOM__TILE_FEATURES - 100, TILES = 2, WORKERS = 3, ROUNDS = 20 };

static float *features;
static uint16_t *x;
static float *expected; /* [TILES, FATHOM__TILE_ROWS, FATHOM__TILE_FEATURES] */

static float from_bf16(uint16_t value) {
    const uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static int make_numbers(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 1);
    int status = fathom__alloc_aligned(&features, FEATURES * WIDTH, sizeof *features);
    if (!status) status = fathom__alloc_aligned(&x, FATHOM__TILE_ROWS * WIDTH, sizeof *x);
    if (!status)
        status = fathom__alloc(&expected, (size_t)TILES * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, sizeof *expected);
    if (status) return status;
    for (size_t i = 0; i < FEATURES * WIDTH; i++)
        features[i] = (float)fathom__random_normal(&random);
    for (size_t i = 0; i < FATHOM__TILE_ROWS * WIDTH; i++)
        x[i] = fathom__bf16((float)fathom__random_normal(&random));
    for (size_t f = 0; f < FEATURES; f++)
        for (size_t r = 0; r < FATHOM__TILE_ROWS; r++) {
            double sum = 0;
            for (size_t j = 0; j < WIDTH; j++)
                sum += (double)from_bf16(x[r * WIDTH + j]) * from_bf16(fathom__bf16(features[f * WIDTH + j]));
            const size_t tile = f / FATHOM__TILE_FEATURES;
            expected[(tile * FATHOM__TILE_ROWS + r) * FATHOM__TILE_FEATURES + f % FATHOM__TILE_FEATURES] = (float)sum;
        }
    return 0;
}

static int free_numbers(void **state) {
    (void)state;
    fathom_free(features);
    fathom_free(x);
    fathom_free(expected);
    return 0;
}

struct job {
    fathom__dense *product;
    uint32_t worker;
    double worst;
};

static void *multiply(void *payload) {
    struct job *job = payload;
    float *out = NULL;
    job->worst = INFINITY;
    if (fathom__alloc_aligned(&out, (size_t)TILES * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, sizeof *out))
        return NULL;
    double worst = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t tile = 0, n_tiles; tile < TILES; tile += n_tiles) {
            n_tiles = round % 2 ? 1 : TILES;
            if (fathom__dense_run(out, job->product, job->worker, tile, n_tiles, x, FATHOM__TILE_ROWS)) return NULL;
            for (size_t i = 0; i < n_tiles * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES; i++) {
                const double error =
                    fabs((double)out[i] - expected[tile * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES + i]);
                if (!(error <= worst)) worst = error;
            }
        }
    job->worst = worst;
    fathom_free(out);
    return NULL;
}

static void pack(fathom__dense *product) {
    for (size_t tile = 0; tile < TILES; tile++) {
        const float *rows[FATHOM__TILE_FEATURES];
        size_t n = 0;
        for (size_t f = tile * FATHOM__TILE_FEATURES; n < FATHOM__TILE_FEATURES && f < FEATURES; f++)
            rows[n++] = features + f * WIDTH;
        assert_int_equal(fathom__dense_pack(product, (uint32_t)tile % WORKERS, tile, rows, n), 0);
    }
}

/* Workers on threads other than the one that made the product, at the same time. */
static void check_backend(enum fathom__dense_backend backend) {
    fathom__dense *product = NULL;
    struct job jobs[WORKERS];
    pthread_t threads[WORKERS];
    int status = fathom__dense_open(&product, backend, WIDTH, FEATURES, WORKERS);
    if (status == FATHOM_ERROR_UNSUPPORTED) skip();
    assert_int_equal(status, 0);
    assert_int_equal(fathom__dense_tiles(product), TILES);
    pack(product);
    for (uint32_t w = 0; w < WORKERS; w++) {
        jobs[w] = (struct job){product, w, 0};
        assert_int_equal(pthread_create(&threads[w], NULL, multiply, &jobs[w]), 0);
    }
    for (uint32_t w = 0; w < WORKERS; w++)
        pthread_join(threads[w], NULL);
    for (uint32_t w = 0; w < WORKERS; w++)
        assert_true(jobs[w].worst < 1e-3); /* sums of 576 products of size 1 in f32 */
    fathom__dense_close(product);
}

/* Tiles of n_rows rows, alone and together; nothing behind them is written. */
static void check_short(float *out, fathom__dense *product, const uint16_t *rows, size_t n_rows) {
    const float untouched = -7;
    for (size_t n_tiles = 1; n_tiles <= TILES; n_tiles++)
        for (size_t tile = 0; tile + n_tiles <= TILES; tile++) {
            const size_t end = n_tiles * n_rows * FATHOM__TILE_FEATURES;
            assert_int_equal(fathom__dense_room(product), n_rows * FATHOM__TILE_FEATURES);
            out[end] = untouched;
            assert_int_equal(fathom__dense_run(out, product, 1, tile, n_tiles, rows, n_rows), 0);
            for (size_t i = 0; i < end; i++) {
                const size_t t = tile + i / fathom__dense_room(product), rest = i % fathom__dense_room(product);
                assert_true(fabs((double)out[i] - expected[t * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES + rest]) <
                            1e-3);
            }
            assert_true(out[end] == untouched);
        }
}

/* A product beside another, of shorter runs, in the caller's memory if that is enough. */
static void check_beside(enum fathom__dense_backend backend) {
    enum { ROWS = FATHOM__TILE_ROWS / 2 };
    fathom__dense *product = NULL;
    int status = fathom__dense_open(&product, backend, WIDTH, FEATURES, WORKERS);
    if (status == FATHOM_ERROR_UNSUPPORTED) skip();
    assert_int_equal(status, 0);
    const size_t bytes = fathom__dense_tile_bytes(product, FEATURES);
    size_t held = 0;
    assert_true(bytes >= FEATURES * WIDTH * sizeof *x);
    for (int enough = 0; enough < 2; enough++) {
        fathom__dense *beside = NULL;
        void *storage = NULL;
        float *out = NULL;
        uint16_t *rows = NULL;
        size_t packed;
        assert_int_equal(fathom__alloc_aligned(&storage, bytes, 1), 0);
        assert_int_equal(fathom__alloc_aligned(&rows, ROWS * WIDTH, sizeof *rows), 0);
        assert_int_equal(fathom__alloc_aligned(&out, (TILES * ROWS + 1) * FATHOM__TILE_FEATURES, sizeof *out), 0);
        memcpy(rows, x, ROWS * WIDTH * sizeof *rows);
        const struct fathom__dense_shape shape = {FEATURES, ROWS, storage, enough ? bytes : bytes - 1};
        assert_int_equal(fathom__dense_open_beside(&beside, product, &shape), 0);
        assert_true((fathom__dense_storage(&packed, beside) == storage) == enough);
        assert_int_equal(packed, bytes);
        if (enough) assert_int_equal(fathom__dense_bytes(beside), held - bytes);
        held = fathom__dense_bytes(beside);
        pack(beside);
        check_short(out, beside, rows, ROWS);
        fathom__dense_close(beside);
        fathom_free(storage);
        fathom_free(rows);
        fathom_free(out);
    }
    fathom__dense_close(product);
}

static void test_dnnl(void **state) {
    (void)state;
    check_backend(FATHOM__PRODUCT_DNNL);
    check_beside(FATHOM__PRODUCT_DNNL);
}

static void test_ggml(void **state) {
    (void)state;
    check_backend(FATHOM__PRODUCT_GGML);
    check_beside(FATHOM__PRODUCT_GGML);
}

/* Few rows of a whole block, several tiles at once, and rows beyond f16's range. */
static void check_rows(enum fathom__dense_backend backend) {
    static const size_t counts[] = {1, 5, FATHOM__TILE_ROWS - 1};
    const float large = 0x1p40F;
    fathom__dense *product = NULL;
    float *out = NULL;
    uint16_t *rows = NULL;
    assert_int_equal(fathom__dense_open(&product, backend, WIDTH, FEATURES, WORKERS), 0);
    assert_int_equal(
        fathom__alloc_aligned(&out, (size_t)TILES * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, sizeof *out), 0);
    assert_int_equal(fathom__alloc_aligned(&rows, FATHOM__TILE_ROWS * WIDTH, sizeof *rows), 0);
    for (size_t i = 0; i < FATHOM__TILE_ROWS * WIDTH; i++)
        rows[i] = fathom__bf16(from_bf16(x[i]) * large);
    pack(product);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        assert_int_equal(fathom__dense_run(out, product, 0, 0, TILES, rows, counts[c]), 0);
        for (size_t t = 0; t < TILES; t++)
            for (size_t i = 0; i < counts[c] * FATHOM__TILE_FEATURES; i++) {
                const size_t at = t * fathom__dense_room(product) + i;
                assert_true(fabs((double)out[at] / large - expected[at]) < 1e-3);
            }
    }
    fathom_free(out);
    fathom_free(rows);
    fathom__dense_close(product);
}

static void test_device(void **state) {
    (void)state;
    check_backend(FATHOM__PRODUCT_DEVICE);
    check_rows(FATHOM__PRODUCT_DEVICE);
}

static void test_host_rows(void **state) {
    (void)state;
    check_rows(FATHOM__PRODUCT_HOST);
    check_rows(FATHOM__PRODUCT_GGML);
}

/* Its features are not in the host's memory: nothing can be lent, and nothing is borrowed. */
static void test_device_beside(void **state) {
    (void)state;
    enum { ROWS = FATHOM__TILE_ROWS / 2 };
    fathom__dense *product = NULL, *beside = NULL;
    float *out = NULL;
    size_t bytes = 1;
    assert_int_equal(fathom__dense_open(&product, FATHOM__PRODUCT_DEVICE, WIDTH, FEATURES, WORKERS), 0);
    assert_null(fathom__dense_storage(&bytes, product));
    assert_int_equal(bytes, 0);
    assert_int_equal(fathom__dense_tile_bytes(product, FEATURES), 0);
    assert_int_equal(fathom__dense_span(product), TILES);
    const struct fathom__dense_shape shape = {FEATURES, ROWS, NULL, 0};
    assert_int_equal(fathom__dense_open_beside(&beside, product, &shape), 0);
    assert_int_equal(fathom__alloc_aligned(&out, (TILES * ROWS + 1) * FATHOM__TILE_FEATURES, sizeof *out), 0);
    pack(beside);
    check_short(out, beside, x, ROWS);
    fathom_free(out);
    fathom__dense_close(beside);
    fathom__dense_close(product);
}

/* Where nothing is preferred a GPU comes first, and without one the processor does what BEST means. */
static void test_preference(void **state) {
    (void)state;
    fathom__dense *best = NULL, *host = NULL, *preferred = NULL;
    assert_int_equal(fathom__dense_open(&host, FATHOM__PRODUCT_HOST, WIDTH, FEATURES, 1), 0);
    assert_int_equal(fathom__dense_open(&best, FATHOM__PRODUCT_BEST, WIDTH, FEATURES, 1), 0);
    if (!fathom_gpu_present()) assert_string_equal(fathom__dense_name(best), fathom__dense_name(host));
    fathom__dense_prefer(FATHOM__PRODUCT_GGML);
    assert_int_equal(fathom__dense_open(&preferred, FATHOM__PRODUCT_BEST, WIDTH, FEATURES, 1), 0);
    assert_string_equal(fathom__dense_name(preferred), "ggml");
    fathom__dense_prefer(FATHOM__PRODUCT_BEST);
    fathom__dense_close(best);
    fathom__dense_close(host);
    fathom__dense_close(preferred);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dnnl),          cmocka_unit_test(test_ggml),
                                       cmocka_unit_test(test_device),        cmocka_unit_test(test_host_rows),
                                       cmocka_unit_test(test_device_beside), cmocka_unit_test(test_preference)};
    return cmocka_run_group_tests(tests, make_numbers, free_numbers);
}
