/* Cross-layer transcoders: the same as a transcoder of all layers' rows whose other blocks are 0, what they find on data
 * whose true features are known, checkpoints, and what is refused. */
#include <base/error.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <dictionary/trainer_internal.h>
#include <dictionary/trainer_truth.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { LAYERS = 3, D = 32, WIDE = LAYERS * D, ROW = 2 * WIDE };
enum { TRUE_OF_LAYER = 20, ACTIVE = 2, LEARNED_OF_LAYER = 32, LEARNED = LAYERS * LEARNED_OF_LAYER };
enum { BATCH = 512, STEPS = 1500, FEWER_STEPS = 1000 };
#define LARGER 10.0F /* times the layer before are a layer's rows */

/* Of each layer: what its features read, [TRUE_OF_LAYER, D], and what they write to all layers, [TRUE_OF_LAYER, WIDE],
 * 0 before their own. */
struct truth {
    float read[LAYERS][TRUE_OF_LAYER * D], written[LAYERS][TRUE_OF_LAYER * WIDE];
};

static void make_truth(struct truth *truth) {
    for (int l = 0; l < LAYERS; l++) {
        fathom__truth_directions(truth->read[l], TRUE_OF_LAYER, D, (uint64_t)(77 + l));
        fathom__truth_directions(truth->written[l], TRUE_OF_LAYER, WIDE, (uint64_t)(177 + l));
        for (int i = 0; i < TRUE_OF_LAYER * WIDE; i++)
            if (i % WIDE < l * D) truth->written[l][i] = 0;
    }
}

static void true_rows(float *rows, const struct truth *truth, struct fathom__random *random) {
    memset(rows, 0, (size_t)BATCH * ROW * sizeof *rows);
    for (int r = 0; r < BATCH; r++) {
        float *x = rows + (size_t)r * ROW, *y = x + WIDE, scale = 1;
        for (int i = 0; i < LAYERS * ACTIVE; i++) {
            const int l = i / ACTIVE;
            const size_t f = fathom__random_below(random, TRUE_OF_LAYER);
            const float strength = 1 + (float)fathom__random_unit(random);
            for (int j = 0; j < D; j++)
                x[l * D + j] += strength * truth->read[l][f * D + (size_t)j];
            for (int j = l * D; j < WIDE; j++)
                y[j] += strength * truth->written[l][f * WIDE + (size_t)j];
        }
        for (int j = 0; j < WIDE; j++, scale *= j % D == 0 ? LARGER : 1) {
            x[j] *= scale;
            y[j] *= scale;
        }
    }
}

static struct fathom_trainer_options make_options(enum fathom_trainer_architecture architecture) {
    return (struct fathom_trainer_options){.architecture = architecture,
                                           .d_in = WIDE,
                                           .d_out = WIDE,
                                           .n_layers = LAYERS,
                                           .n_features = LEARNED,
                                           .k = LAYERS * ACTIVE,
                                           .batch = BATCH,
                                           .n_threads = 2,
                                           .seed = 1,
                                           .learning_rate = 3e-3,
                                           .total_steps = STEPS,
                                           .dead_after = 20 * BATCH};
}

/* The part of all true features that a decoder row of their layer points along, over all layers that both write. */
static double recovered(const struct truth *truth, const fathom_trainer *trainer) {
    double sum = 0;
    for (size_t l = 0; l < LAYERS; l++) {
        const struct fathom__span span = fathom__decoder_span(trainer, l * LEARNED_OF_LAYER);
        static float directions[TRUE_OF_LAYER * WIDE];
        for (size_t f = 0; f < TRUE_OF_LAYER; f++)
            memcpy(directions + f * span.n, truth->written[l] + f * WIDE + span.begin, span.n * sizeof *directions);
        sum += fathom__truth_recovered(directions, TRUE_OF_LAYER, span.n, trainer->decoder.value + span.at,
                                       LEARNED_OF_LAYER, span.n);
    }
    return sum / LAYERS;
}

static void check_recovery(enum fathom_trainer_architecture architecture, int steps, double least, double fve) {
    static struct truth truth;
    static float rows[BATCH * ROW];
    struct fathom_trainer_options options = make_options(architecture);
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_evaluation evaluation;
    options.total_steps = (uint64_t)steps;
    make_truth(&truth);
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    const double before = recovered(&truth, trainer);
    for (int step = 0; step < steps; step++) {
        true_rows(rows, &truth, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    }
    for (int l = 1; l < LAYERS; l++)
        assert_true(fabs(trainer->source_scale[l - 1] / trainer->source_scale[l] / LARGER - 1) < 0.1);
    const double after = recovered(&truth, trainer);
    true_rows(rows, &truth, &random);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    print_message("%s across layers recovered %.2f of the true features (random directions: %.2f); held-out FVE %.3f, "
                  "L0 %.2f, dead %.3f\n",
                  fathom_trainer_architecture_name(architecture), after, before, evaluation.fve, evaluation.l0,
                  evaluation.dead_fraction);
    assert_true(before < 0.05);
    assert_true(after > least);
    assert_true(evaluation.fve > fve);
    fathom_trainer_close(trainer);
}

static void test_recovery(void **state) {
    (void)state;
    check_recovery(FATHOM_TRAIN_TOPK, STEPS, 0.95, 0.95);
    check_recovery(FATHOM_TRAIN_BATCHTOPK, STEPS, 0.95, 0.95);
    check_recovery(FATHOM_TRAIN_JUMPRELU, STEPS, 0.85, 0.95);
    check_recovery(FATHOM_TRAIN_JUMPRELU_TANH, STEPS, 0.8, 0.9);
    check_recovery(FATHOM_TRAIN_STANDARD, FEWER_STEPS, 0.9, 0.85);
    check_recovery(FATHOM_TRAIN_GATED, FEWER_STEPS, 0.9, 0.95);
}

/* Puts a cross-layer transcoder's parameters into a transcoder of all layers' rows. */
static void spread_out(fathom_trainer *whole, const fathom_trainer *layered) {
    memset(whole->encoder.value, 0, (size_t)LEARNED * WIDE * sizeof *whole->encoder.value);
    memset(whole->decoder.value, 0, (size_t)LEARNED * WIDE * sizeof *whole->decoder.value);
    for (size_t f = 0; f < LEARNED; f++) {
        const struct fathom__span span = fathom__decoder_span(layered, f);
        memcpy(whole->encoder.value + f * WIDE + span.begin, layered->encoder.value + f * D, D * sizeof(float));
        memcpy(whole->decoder.value + f * WIDE + span.begin, layered->decoder.value + span.at, span.n * sizeof(float));
    }
}

static double difference(const float *a, const float *b, size_t n) {
    double distance = 0, length = 0;
    for (size_t j = 0; j < n; j++) {
        distance += (double)(a[j] - b[j]) * (a[j] - b[j]);
        length += (double)a[j] * a[j];
    }
    return length > 0 ? sqrt(distance / length) : sqrt(distance);
}

/* One step of both: the same loss, with the auxiliary one, and the same gradients where there are any. */
static void test_blocks(void **state) {
    (void)state;
    static struct truth truth;
    static float rows[BATCH * ROW];
    enum { DEAD = LEARNED_OF_LAYER + 5 };
    struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK);
    fathom_trainer *layered = NULL, *whole = NULL;
    struct fathom_trainer_metrics a, b;
    struct fathom__random random;
    options.no_input_scale = true;
    options.k_aux = 4;
    make_truth(&truth);
    fathom__random_seed(&random, 5);
    true_rows(rows, &truth, &random);
    assert_int_equal(fathom_trainer_open(&layered, &options), 0);
    options.n_layers = 0;
    assert_int_equal(fathom_trainer_open(&whole, &options), 0);
    assert_int_equal(fathom_trainer_prepare(layered, rows, BATCH), 0);
    assert_int_equal(fathom_trainer_prepare(whole, rows, BATCH), 0);
    spread_out(whole, layered);
    fathom__trainer_force_dead(layered, DEAD);
    fathom__trainer_force_dead(whole, DEAD);
    assert_int_equal(fathom_trainer_step(&a, layered, rows, BATCH), 0);
    assert_int_equal(fathom_trainer_step(&b, whole, rows, BATCH), 0);
    assert_true(a.dead_fraction == (double)DEAD / LEARNED && a.auxiliary_loss > 0);
    assert_true(fabs(a.loss / b.loss - 1) < 1e-5 && fabs(a.auxiliary_loss / b.auxiliary_loss - 1) < 1e-4);
    assert_true(a.l0 == b.l0);
    for (size_t f = 0; f < LEARNED; f++) {
        const struct fathom__span span = fathom__decoder_span(layered, f);
        const size_t begin = f * WIDE + span.begin;
        /* The transcoder's dead features have values, slopes and decoder rows rounded to bf16. */
        const double near = f < DEAD ? 1.5e-2 : 2e-3;
        assert_int_equal(span.n, WIDE - f / LEARNED_OF_LAYER * D);
        assert_true(difference(whole->encoder.first + begin, layered->encoder.first + f * D, D) < near);
        assert_true(difference(whole->decoder.first + begin, layered->decoder.first + span.at, span.n) < near);
    }
    assert_true(difference(whole->decoder_bias.first, layered->decoder_bias.first, WIDE) < 1e-4);
    fathom_trainer_close(layered);
    fathom_trainer_close(whole);
}

/* What is held: no block that is always 0. */
static void test_memory(void **state) {
    (void)state;
    struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK);
    double bytes[FATHOM_TRAINER_MEMORIES];
    fathom_trainer *trainer = NULL;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    fathom_trainer_memory(bytes, trainer);
    const double encoder = LEARNED * D, decoder = LEARNED_OF_LAYER * D * (3 + 2 + 1),
                 biases = LEARNED + FATHOM__TILE_FEATURES + WIDE;
    assert_true(bytes[FATHOM_TRAINER_MEMORY_PARAMETERS] == 3 * sizeof(float) * (encoder + decoder + biases));
    fathom_trainer_close(trainer);
}

/* The written parts are of the rows as they were given: the same reconstruction. */
static void test_parts(void **state) {
    (void)state;
    static struct truth truth;
    static float rows[BATCH * ROW];
    struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK);
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_evaluation evaluation;
    struct fathom_dictionary_parts parts;
    void *storage = NULL;
    double errors = 0, squares = 0, sums[WIDE] = {0};
    make_truth(&truth);
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    for (int step = 0; step < 20; step++) {
        true_rows(rows, &truth, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    }
    assert_int_equal(fathom_trainer_parts(&parts, &storage, trainer), 0);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    assert_int_equal(parts.info.n_layers, LAYERS);
    assert_true(parts.info.input_scale == 1 && parts.info.output_scale == 1 && !parts.info.subtract_decoder_bias);
    for (size_t r = 0; r < BATCH; r++) {
        const float *x = rows + r * ROW, *y = x + WIDE;
        float guess[WIDE];
        memcpy(guess, parts.decoder_bias, sizeof guess);
        for (uint32_t i = trainer->main.start[r]; i < trainer->main.start[r] + trainer->main.count[r]; i++) {
            const uint32_t f = trainer->main.feature[i];
            const struct fathom__span span = fathom__decoder_span(trainer, f);
            double value = parts.encoder_bias[f];
            for (size_t j = 0; j < D; j++)
                value += (double)parts.encoder[f * D + j] * x[span.begin + j];
            assert_true(fabs(value - trainer->main.value[i]) < 0.02 * (1 + fabs(value))); /* the product is bf16 */
            for (size_t j = 0; j < span.n; j++)
                guess[span.begin + j] += trainer->main.value[i] * parts.decoder[span.at + j];
        }
        for (int j = 0; j < WIDE; j++) {
            const double scale = trainer->output_scale * trainer->source_scale[LAYERS + j / D], row = y[j] * scale,
                         error = guess[j] * scale - row;
            errors += error * error;
            squares += row * row;
            sums[j] += row;
        }
    }
    for (int j = 0; j < WIDE; j++)
        squares -= sums[j] * sums[j] / BATCH;
    assert_true(fabs(1 - errors / squares - evaluation.fve) < 1e-3);
    fathom_free(storage);
    fathom_trainer_close(trainer);
}

static void steps(fathom_trainer *trainer, int first, int last) {
    static struct truth truth;
    static float rows[BATCH * ROW];
    make_truth(&truth);
    for (int step = first; step < last; step++) {
        struct fathom__random random;
        fathom__random_seed(&random, (uint64_t)step);
        true_rows(rows, &truth, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    }
}

static void test_checkpoint(void **state) {
    (void)state;
    struct fathom_trainer_options options = make_options(FATHOM_TRAIN_JUMPRELU_TANH);
    char path[2 * SCRATCH_PATH];
    fathom_trainer *whole = NULL, *part = NULL, *resumed = NULL;
    options.ema = 0.9;
    options.free_norms = true;
    options.dead_after = 2 * BATCH;
    snprintf(path, sizeof path, "%s", scratch("layers"));
    assert_int_equal(fathom_trainer_open(&whole, &options), 0);
    steps(whole, 0, 20);
    assert_int_equal(fathom_trainer_open(&part, &options), 0);
    steps(part, 0, 9);
    assert_int_equal(fathom_trainer_save(part, path, NULL), 0);
    fathom_trainer_close(part);
    assert_int_equal(fathom_trainer_resume(&resumed, NULL, path, 0), 0);
    assert_int_equal(fathom_trainer_describe(resumed)->n_layers, LAYERS);
    steps(resumed, 9, 20);
    const size_t decoder = fathom__decoder_count(whole) * sizeof(float), encoder = LEARNED * D * sizeof(float);
    assert_memory_equal(whole->encoder.value, resumed->encoder.value, encoder);
    assert_memory_equal(whole->encoder.average, resumed->encoder.average, encoder);
    assert_memory_equal(whole->decoder.value, resumed->decoder.value, decoder);
    assert_memory_equal(whole->decoder.second, resumed->decoder.second, decoder);
    assert_memory_equal(whole->decoder.average, resumed->decoder.average, decoder);
    assert_memory_equal(whole->source_scale, resumed->source_scale, 2 * LAYERS * sizeof(float));
    assert_memory_equal(whole->norm, resumed->norm, LEARNED * sizeof(float));
    fathom_trainer_close(whole);
    fathom_trainer_close(resumed);
}

static void check_refused(const struct fathom_trainer_options *options, const char *part) {
    fathom_trainer *trainer = NULL;
    assert_int_equal(fathom_trainer_open(&trainer, options), FATHOM_ERROR_ARGUMENT);
    if (!strstr(fathom_error_message(), part)) fail_msg("%s", fathom_error_message());
    assert_null(trainer);
}

static void test_bad_options(void **state) {
    (void)state;
    const struct fathom_trainer_options good = make_options(FATHOM_TRAIN_TOPK);
    struct fathom_trainer_options options = good;
    options.n_layers = 1;
    check_refused(&options, "1 layers; 2 to 256 are expected");
    options = good;
    options.d_out = 2 * WIDE;
    check_refused(&options, "of inputs of width 96 and targets of width 192");
    options = good;
    options.d_in = options.d_out = LAYERS * 20;
    check_refused(&options, "of each layer a multiple of 16");
    options = good;
    options.n_features++;
    check_refused(&options, "97 features of 3 layers");
    options = good;
    options.skip = true;
    check_refused(&options, "has no skip");
    options = good;
    options.inputs = FATHOM_INPUTS_WHITENED;
    check_refused(&options, "inputs are scaled, layer by layer");
    options = make_options(FATHOM_TRAIN_MATRYOSHKA);
    check_refused(&options, "no cross-layer transcoder has them");
}

static void test_bad_rows(void **state) {
    (void)state;
    static float rows[BATCH * ROW];
    const struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK);
    fathom_trainer *trainer = NULL;
    for (int i = 0; i < BATCH * ROW; i++)
        rows[i] = (float)(i % 7);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, BATCH), 0);
    rows[3 * ROW + WIDE + D + 1] = NAN;
    assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), FATHOM_ERROR_NUMERIC);
    assert_non_null(strstr(fathom_error_message(), "row 3 of the batch is not finite"));
    assert_int_equal(trainer->step, 0);
    fathom_trainer_close(trainer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery), cmocka_unit_test(test_blocks),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
