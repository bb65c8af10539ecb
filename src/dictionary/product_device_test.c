/* Everything that takes a dense product, by a device's: what is trained and read is what the processor's gives. The
 * device is one whose memory nobody else can touch, a GPU where there is one, or ggml's own for the processor. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/scratch.h>
#include <dictionary/trainer_internal.h>
#include <fathom/model.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <tests/support/far_device.h>
// clang-format off
#include <cmocka.h>
// clang-format on

/* More tiles than a run takes, the last one not full; batches that are no whole blocks. */
enum { WIDTH = 96, FEATURES = 17 * FATHOM__TILE_FEATURES + 100, DEAD = 900, BATCH = 600, STEPS = 3, LAYERS = 3 };

#define SAME_LOSS 1e-4
#define SAME_JUMP                                                                                                      \
    1e-3 /* a product rounded otherwise may lie on the threshold's other side: oneDNN and ggml are 3e-4 apart */

static bool is_far; /* the device whose memory nobody else can touch */

static float *random_rows(size_t n, size_t d) {
    struct fathom__random random;
    float *rows = NULL;
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom__alloc(&rows, n * d, sizeof *rows), 0);
    for (size_t i = 0; i < n * d; i++)
        rows[i] = (float)fathom__random_normal(&random);
    return rows;
}

static fathom_trainer *train(double *loss, const struct fathom_trainer_options *options,
                             enum fathom__dense_backend backend) {
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    const size_t width = ((size_t)options->d_in + options->d_out) * (options->n_layers ? options->n_layers : 1);
    float *rows = random_rows((size_t)STEPS * BATCH, width);
    *loss = 0;
    fathom__dense_prefer(backend);
    assert_int_equal(fathom_trainer_open(&trainer, options), 0);
    fathom__dense_prefer(FATHOM__PRODUCT_BEST);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, (size_t)STEPS * BATCH), 0);
    fathom__trainer_force_dead(trainer, DEAD);
    for (size_t i = 0; i < STEPS; i++) {
        assert_int_equal(
            fathom_trainer_step(&metrics, trainer, rows + i * BATCH * width, i + 1 < STEPS ? BATCH : BATCH - 93), 0);
        assert_true(metrics.auxiliary_loss > 0);
        *loss += metrics.auxiliary_loss + metrics.loss;
    }
    fathom_free(rows);
    return trainer;
}

static void check_near(const struct fathom__parameter *found, const struct fathom__parameter *expected, size_t n,
                       const char *name) {
    double difference = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (found->value[i] - expected->value[i]) * (found->value[i] - expected->value[i]);
        squares += expected->value[i] * expected->value[i];
    }
    if (!(squares > 0) || !(difference <= 1e-5 * squares))
        fail_msg("%s: %.3g apart of %.3g", name, sqrt(difference), sqrt(squares));
}

static void check_training(const struct fathom_trainer_options *options) {
    const char *name = fathom_trainer_architecture_name(options->architecture);
    const uint64_t before = fathom_test_far_device_computed();
    double found_loss, expected_loss;
    fathom_trainer *found = train(&found_loss, options, FATHOM__PRODUCT_DEVICE),
                   *expected = train(&expected_loss, options, FATHOM__PRODUCT_HOST);
    assert_int_equal(fathom__dense_span(expected->products[0]), 1);
    assert_true(fathom__dense_span(found->products[0]) > 1);
    assert_true(!is_far || fathom_test_far_device_computed() > before);
    if (fabs(found_loss / expected_loss - 1) > (options->architecture == FATHOM_TRAIN_JUMPRELU ? SAME_JUMP : SAME_LOSS))
        fail_msg("%s: loss %.8f, %.8f", name, found_loss, expected_loss);
    check_near(&found->encoder, &expected->encoder, (size_t)options->n_features * found->read, name);
    check_near(&found->decoder, &expected->decoder, fathom__decoder_count(found), name);
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
        options.groups[0] = 300;
        options.groups[1] = FEATURES - 300;
    }
    return options;
}

static void test_training(void **state) {
    (void)state;
    const enum fathom_trainer_architecture architectures[] = {FATHOM_TRAIN_TOPK,       FATHOM_TRAIN_BATCHTOPK,
                                                              FATHOM_TRAIN_MATRYOSHKA, FATHOM_TRAIN_STANDARD,
                                                              FATHOM_TRAIN_GATED,      FATHOM_TRAIN_JUMPRELU};
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        const struct fathom_trainer_options options = options_of(architectures[i]);
        check_training(&options);
    }
}

static void test_layers(void **state) {
    (void)state;
    struct fathom_trainer_options options = options_of(FATHOM_TRAIN_TOPK);
    options.d_out = options.d_in;
    options.n_layers = LAYERS;
    options.n_features = LAYERS * 1000;
    check_training(&options);
}

/* Values are computed again in f32, whichever product found them. */
static void check_encoding(const struct fathom_trainer_options *options) {
    const char *path = scratch("dictionary.gguf");
    double loss;
    fathom_trainer *trainer = train(&loss, options, FATHOM__PRODUCT_HOST);
    struct fathom_dictionary_parts parts;
    struct fathom_sparse found = FATHOM_SPARSE_INIT, expected = FATHOM_SPARSE_INIT, *both[] = {&found, &expected};
    const enum fathom__dense_backend backends[] = {FATHOM__PRODUCT_DEVICE, FATHOM__PRODUCT_HOST};
    void *storage = NULL;
    float *rows = random_rows(BATCH, WIDTH);
    assert_int_equal(fathom_trainer_parts(&parts, &storage, trainer), 0);
    parts.info.name = "test";
    parts.info.hook_in = parts.info.hook_out = "blocks.1.hook_resid_post";
    parts.info.model_identity = "00112233445566778899aabbccddeeff";
    parts.info.model_name = "tiny";
    parts.info.training = "{}";
    assert_int_equal(fathom_dictionary_write(path, &parts, "f32"), 0);
    for (size_t i = 0; i < 2; i++) {
        fathom_dictionary *dictionary = NULL;
        assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
        fathom__dense_prefer(backends[i]);
        assert_int_equal(fathom_dictionary_encode(both[i], dictionary, rows, NULL, BATCH, FATHOM_ENCODE_RUN), 0);
        fathom__dense_prefer(FATHOM__PRODUCT_BEST);
        fathom_dictionary_close(dictionary);
    }
    const size_t n = expected.offsets[BATCH];
    assert_true(n > BATCH);
    assert_memory_equal(found.offsets, expected.offsets, (BATCH + 1) * sizeof *found.offsets);
    assert_memory_equal(found.features, expected.features, n * sizeof *found.features);
    assert_memory_equal(found.values, expected.values, n * sizeof *found.values);
    fathom_sparse_free(&found);
    fathom_sparse_free(&expected);
    fathom_free(storage);
    fathom_free(rows);
    fathom_trainer_close(trainer);
}

static void test_encoding(void **state) {
    (void)state;
    const struct fathom_trainer_options topk = options_of(FATHOM_TRAIN_TOPK),
                                        standard = options_of(FATHOM_TRAIN_STANDARD);
    check_encoding(&topk);
    check_encoding(&standard);
}

static int find_device(void **state) {
    (void)state;
    is_far = !fathom_gpu_present() && fathom_test_far_device();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_training), cmocka_unit_test(test_layers),
                                       cmocka_unit_test(test_encoding)};
    return cmocka_run_group_tests(tests, find_device, NULL);
}
