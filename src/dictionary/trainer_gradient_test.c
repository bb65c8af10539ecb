/* Every architecture's gradients against finite differences of its loss in double precision; where the loss has steps,
 * against the straight-through estimator's own formula.
 *
 * Rows, encoder rows and b_dec are numbers that bf16 holds, so that the trainer's pre-activations are exact and
 * tolerances can be tight.
 */
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

enum { D = 20, D_OUT = 13, FEATURES = 48, K = 6, ROWS = 40 }; /* D_OUT: of transcoders */
/* Of cross-layer transcoders, whose WIDE inputs are more than D; the others' numbers from D on are 0. */
enum { LAYERS = 2, LAYER = 16, WIDE = LAYERS * LAYER, LAYER_FEATURES = FEATURES / LAYERS };

/* What is checked, with the sparsity loss's coefficient. */
struct subject {
    enum fathom_trainer_architecture architecture;
    bool free_norms;
    double sparsity;
    bool quadratic;
    bool transcoder; /* with a skip */
    bool crosscoder;
    bool cross_layer;
};

#define BANDWIDTH 0.75
#define TANH_SCALE 1.5
#define INACTIVE 0.4
static const uint32_t group_sizes[] = {5, 11, 32}, sources[] = {7, 13};
enum { GROUPS = 3, SOURCES = 2, GATE = 0, SCALE = 1 };

/* Parameters in double. */
struct model {
    double encoder[FEATURES][WIDE], encoder_bias[FEATURES], decoder[FEATURES][WIDE], decoder_bias[WIDE];
    double scalar[FATHOM__SCALARS][FEATURES], skip[D_OUT][D];
};

/* What is held fixed while parameters move: the rows, which pairs are active, and a copy of the model. */
struct scene {
    struct subject subject;
    struct model model, frozen;
    double x[ROWS][WIDE], y[ROWS][WIDE], spread; /* of a SAE y is x */
    bool active[ROWS][FEATURES];
};

static int n_inputs(const struct scene *scene) {
    return scene->subject.cross_layer ? WIDE : D;
}

static int n_outputs(const struct scene *scene) {
    return scene->subject.transcoder ? D_OUT : scene->subject.cross_layer ? WIDE : D;
}

static double product(const struct scene *scene, const struct model *model, size_t r, int f) {
    double sum = 0;
    const bool subtracts = !scene->subject.transcoder && !scene->subject.cross_layer;
    for (int j = 0; j < WIDE; j++)
        sum += model->encoder[f][j] * (scene->x[r][j] - (subtracts ? model->decoder_bias[j] : 0));
    return sum;
}

/* |d|: of a crosscoder the sum of its parts' lengths. */
static double length(const struct scene *scene, int f) {
    double squares = 0, sum = 0;
    for (int j = 0; j < WIDE; j++) {
        if (scene->subject.crosscoder && j == (int)sources[0]) {
            sum += sqrt(squares);
            squares = 0;
        }
        squares += scene->model.decoder[f][j] * scene->model.decoder[f][j];
    }
    return sum + sqrt(squares);
}

static bool is_jumprelu(const struct scene *scene) {
    return scene->subject.architecture == FATHOM_TRAIN_JUMPRELU ||
           scene->subject.architecture == FATHOM_TRAIN_JUMPRELU_TANH;
}

static double before_threshold(const struct scene *scene, const struct model *model, size_t r, int f) {
    return product(scene, model, r, f) + model->encoder_bias[f];
}

/* Activations of a row; of a gated one the gate's too. */
static void encode(double *values, double *gates, const struct scene *scene, size_t r) {
    const struct model *model = &scene->model;
    for (int f = 0; f < FEATURES; f++) {
        values[f] = gates[f] = 0;
        if (!scene->active[r][f]) continue;
        values[f] = before_threshold(scene, model, r, f);
        if (scene->subject.architecture != FATHOM_TRAIN_GATED) continue;
        gates[f] = product(scene, model, r, f) + model->scalar[GATE][f];
        values[f] = fmax(0, exp(model->scalar[SCALE][f]) * product(scene, model, r, f) + model->encoder_bias[f]);
    }
}

/* y^ - y, by the first features of a decoder. */
static void find_error(double *error, const struct scene *scene, const struct model *by, const double *values, size_t r,
                       int n_features) {
    for (int j = 0; j < WIDE; j++)
        error[j] = 0;
    for (int j = 0; j < n_outputs(scene); j++) {
        error[j] = by->decoder_bias[j] - scene->y[r][j];
        for (int i = 0; i < D && scene->subject.transcoder; i++)
            error[j] += by->skip[j][i] * scene->x[r][i];
        for (int f = 0; f < n_features; f++)
            error[j] += values[f] * by->decoder[f][j];
    }
}

static double squares(const double *v) {
    double sum = 0;
    for (int j = 0; j < WIDE; j++)
        sum += v[j] * v[j];
    return sum;
}

/* Of a row: what is smooth in the parameters, given which pairs are active. */
static double row_loss(const struct scene *scene, const double *norms, size_t r) {
    const struct model *model = &scene->model;
    const double lambda = scene->subject.sparsity;
    double values[FEATURES], gates[FEATURES], error[WIDE], loss = 0;
    encode(values, gates, scene, r);
    if (scene->subject.architecture == FATHOM_TRAIN_MATRYOSHKA) {
        for (int g = 0, n = 0; g < GROUPS; g++) {
            n += (int)group_sizes[g];
            find_error(error, scene, model, values, r, n);
            loss += squares(error) / GROUPS;
        }
        return loss;
    }
    find_error(error, scene, model, values, r, FEATURES);
    loss += squares(error);
    if (scene->subject.architecture == FATHOM_TRAIN_GATED) {
        find_error(error, scene, &scene->frozen, gates, r, FEATURES);
        /* The gate's decoder is held fixed, b_dec as well; where rows are encoded it moves. */
        loss += squares(error);
    }
    for (int f = 0; f < FEATURES; f++) {
        const double norm = norms[f];
        if (scene->subject.architecture == FATHOM_TRAIN_STANDARD) loss += lambda * values[f] * norm;
        if (scene->subject.architecture == FATHOM_TRAIN_GATED) loss += lambda * gates[f] * norm;
        if (scene->subject.architecture != FATHOM_TRAIN_JUMPRELU_TANH) continue;
        loss += lambda * tanh(TANH_SCALE * values[f] * norm);
        if (!scene->active[r][f])
            loss += INACTIVE * (exp(model->scalar[0][f]) - before_threshold(scene, model, r, f)) * norm;
    }
    return loss;
}

/* The L0 loss: flat in everything. */
static double step_loss(const struct scene *scene) {
    double l0 = 0;
    if (scene->subject.architecture != FATHOM_TRAIN_JUMPRELU) return 0;
    for (size_t r = 0; r < ROWS; r++)
        for (int f = 0; f < FEATURES; f++)
            l0 += scene->active[r][f];
    if (!scene->subject.quadratic) return scene->subject.sparsity * l0;
    return scene->subject.sparsity * n_inputs(scene) * pow(l0 / ROWS / K - 1, 2) * ROWS;
}

/* The estimator's gradient by a threshold's logarithm, times the spread. */
static double estimated(const struct scene *scene, int f) {
    const struct model *model = &scene->model;
    const double threshold = exp(model->scalar[0][f]), norm = length(scene, f);
    double gradient = 0, l0 = 0;
    for (size_t r = 0; r < ROWS; r++)
        for (int i = 0; i < FEATURES; i++)
            l0 += scene->active[r][i] / (double)ROWS;
    for (size_t r = 0; r < ROWS; r++) {
        double values[FEATURES], gates[FEATURES], error[WIDE], by_value = 0, by_step = 0;
        if (fabs(before_threshold(scene, model, r, f) - threshold) >= BANDWIDTH / 2) continue;
        encode(values, gates, scene, r);
        find_error(error, scene, model, values, r, FEATURES);
        for (int j = 0; j < WIDE; j++)
            by_value += 2 * error[j] * model->decoder[f][j];
        if (scene->subject.architecture == FATHOM_TRAIN_JUMPRELU_TANH)
            by_value += scene->subject.sparsity * TANH_SCALE * norm / pow(cosh(TANH_SCALE * values[f] * norm), 2);
        else
            by_step = scene->subject.quadratic ? scene->subject.sparsity * n_inputs(scene) * 2 * (l0 / K - 1) / K
                                               : scene->subject.sparsity;
        gradient -= threshold / BANDWIDTH * (threshold * by_value + by_step);
    }
    return gradient;
}

static double find_loss(const struct scene *scene) {
    double loss = 0;
    double norms[FEATURES];
    for (int f = 0; f < FEATURES; f++)
        norms[f] = length(scene, f);
    for (size_t r = 0; r < ROWS; r++)
        loss += row_loss(scene, norms, r);
    return (loss + step_loss(scene)) / scene->spread;
}

static double slope(struct scene *scene, double *parameter) {
    const double step = 1e-5, kept = *parameter;
    *parameter = kept + step;
    const double above = find_loss(scene);
    *parameter = kept - step;
    const double below = find_loss(scene);
    *parameter = kept;
    return (above - below) / (2 * step);
}

/* Cosine and length of what the trainer found against what is expected. */
static void check_direction(const double *found, const double *expected, size_t n, const char *architecture,
                            const char *name) {
    double dot = 0, a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
        dot += found[i] * expected[i];
        a += found[i] * found[i];
        b += expected[i] * expected[i];
    }
    /* Errors are rounded to bf16, of which gradients by the decoder and the skip are made; Matryoshka's several times. */
    const bool rounded = strcmp(name, "decoder") == 0 || strcmp(name, "skip") == 0,
               often = rounded && strcmp(architecture, "matryoshka") == 0;
    if (!(b > 0) || dot / sqrt(a * b) < 1 - (often ? 5e-6 : 1e-6) || fabs(sqrt(a / b) - 1) > (rounded ? 1e-3 : 1e-4))
        fail_msg("%s, %s: cosine %.8f, lengths %.8g and %.8g", architecture, name, dot / sqrt(a * b), sqrt(a), sqrt(b));
}

/* A multiple of 1/8 of at most three bits before the point. */
static double coarse(struct fathom__random *random) {
    return rint(8 * fmax(-2, fmin(2, fathom__random_normal(random)))) / 8;
}

static float round_bf16(float value) {
    uint32_t bits = (uint32_t)fathom__bf16(value) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A number of the trainer's encoder or decoder; NULL where a cross-layer transcoder has none. */
static float *entry(float *values, const fathom_trainer *trainer, bool decoder, int feature, int j) {
    const int first = trainer->n_layers > 1 ? feature / LAYER_FEATURES * LAYER : 0;
    const struct fathom__span span = fathom__decoder_span(trainer, (size_t)feature);
    if (j < first || (!decoder && (size_t)j >= (size_t)first + trainer->read)) return NULL;
    return values + (decoder ? span.at : (size_t)feature * trainer->read) + (j - first);
}

/* Parameters at random, everything different from everything. */
static void scatter(fathom_trainer *trainer, struct fathom__random *random) {
    const size_t stride = trainer->stride;
    for (int f = 0; f < FEATURES; f++) {
        const struct fathom__span span = fathom__decoder_span(trainer, (size_t)f);
        float *decoder = trainer->decoder.value + span.at;
        const float norm = trainer->options.free_norms ? 0.5F + (float)fathom__random_unit(random) : 1,
                    before = sqrtf(fathom__dot(decoder, decoder, span.n));
        for (int j = 0; j < (int)trainer->options.d_in; j++) {
            float *encoder = entry(trainer->encoder.value, trainer, false, f, j);
            if (encoder) *encoder = round_bf16(*encoder + 0.1F * (float)fathom__random_normal(random));
        }
        for (size_t j = 0; j < span.n; j++)
            decoder[j] *= norm / before;
        if (trainer->norm)
            trainer->norm[f] = trainer->options.n_sources ? fathom__sources_length(trainer, decoder)
                                                          : sqrtf(fathom__dot(decoder, decoder, span.n));
        trainer->encoder_bias.value[f] = 0.3F * (float)fathom__random_normal(random);
        for (uint32_t s = 0; s < trainer->architecture->n_scalars; s++)
            trainer->scalar[s].value[f] = 0.3F * (float)fathom__random_normal(random) - 0.1F;
    }
    const int n_outputs = (int)(trainer->options.d_out ? trainer->options.d_out : trainer->options.d_in);
    for (int j = 0; j < n_outputs; j++)
        trainer->decoder_bias.value[j] = (float)coarse(random) / 2;
    for (int j = 0; j < D_OUT && trainer->options.skip; j++)
        for (int i = 0; i < D; i++)
            trainer->skip.value[j * stride + i] = 0.1F * (float)fathom__random_normal(random);
    trainer->prepared = true;
}

static void read_model(struct model *model, const fathom_trainer *trainer) {
    for (int f = 0; f < FEATURES; f++) {
        for (int j = 0; j < WIDE; j++) {
            const float *encoder = entry(trainer->encoder.value, trainer, false, f, j),
                        *decoder = entry(trainer->decoder.value, trainer, true, f, j);
            model->encoder[f][j] = encoder ? *encoder : 0;
            model->decoder[f][j] = decoder ? *decoder : 0;
        }
        model->encoder_bias[f] = trainer->encoder_bias.value[f];
        for (uint32_t s = 0; s < trainer->architecture->n_scalars; s++)
            model->scalar[s][f] = trainer->scalar[s].value[f];
    }
    for (int j = 0; j < WIDE; j++)
        model->decoder_bias[j] = trainer->decoder_bias.value[j];
    for (int j = 0; j < D_OUT && trainer->skip.value; j++)
        for (int i = 0; i < D; i++)
            model->skip[j][i] = trainer->skip.value[j * trainer->stride + i];
}

static double find_spread(const struct scene *scene) {
    double mean[WIDE] = {0}, sum = 0;
    for (size_t r = 0; r < ROWS; r++)
        for (int j = 0; j < WIDE; j++)
            mean[j] += scene->y[r][j] / ROWS;
    for (size_t r = 0; r < ROWS; r++)
        for (int j = 0; j < WIDE; j++)
            sum += (scene->y[r][j] - mean[j]) * (scene->y[r][j] - mean[j]);
    return sum;
}

/* After one step from zero moments, Adam's first moment is a tenth of the gradient. */
#define FIRST_STEP 0.1

static void check_matrix(struct scene *scene, const fathom_trainer *trainer, bool decoder, const char *name) {
    static double expected[FEATURES * WIDE], found[FEATURES * WIDE];
    const int n = decoder ? n_outputs(scene) : n_inputs(scene);
    memset(expected, 0, sizeof expected);
    memset(found, 0, sizeof found);
    for (int f = 0; f < FEATURES; f++) {
        double along = 0;
        for (int j = 0; j < n; j++) {
            double *parameter = decoder ? &scene->model.decoder[f][j] : &scene->model.encoder[f][j];
            const float *first = entry((decoder ? trainer->decoder : trainer->encoder).first, trainer, decoder, f, j);
            if (!first) continue;
            expected[f * WIDE + j] = slope(scene, parameter);
            along += expected[f * WIDE + j] * scene->model.decoder[f][j];
            found[f * WIDE + j] = *first / FIRST_STEP;
        }
        for (int j = 0; j < n && decoder && !trainer->options.free_norms; j++) /* a row of length 1 can only turn */
            expected[f * WIDE + j] -= along * scene->model.decoder[f][j];
    }
    check_direction(found, expected, FEATURES * WIDE, name, decoder ? "decoder" : "encoder");
}

static void check_gradients(const struct subject *subject) {
    static struct scene scene;
    static float rows[ROWS * 2 * WIDE];
    static double expected[FEATURES * WIDE], found[FEATURES * WIDE];
    const bool tanh = subject->architecture == FATHOM_TRAIN_JUMPRELU_TANH,
               jumprelu = tanh || subject->architecture == FATHOM_TRAIN_JUMPRELU;
    const struct fathom_trainer_options options = {.architecture = subject->architecture,
                                                   .d_in = subject->cross_layer ? WIDE : D,
                                                   .d_out = subject->cross_layer  ? WIDE
                                                            : subject->transcoder ? D_OUT
                                                                                  : 0,
                                                   .n_layers = subject->cross_layer ? LAYERS : 0,
                                                   .skip = subject->transcoder,
                                                   .sources = {sources[0], sources[1]},
                                                   .n_sources = subject->crosscoder ? SOURCES : 0,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = ROWS,
                                                   .n_threads = 2,
                                                   .seed = 4,
                                                   .auxiliary_coefficient = -1,
                                                   .no_input_scale = true,
                                                   .free_norms = subject->free_norms,
                                                   .sparsity = subject->sparsity,
                                                   .quadratic_l0 = subject->quadratic,
                                                   .bandwidth = jumprelu ? BANDWIDTH : 0,
                                                   .tanh_scale = tanh ? TANH_SCALE : 0,
                                                   .inactive_coefficient = tanh ? INACTIVE : 0,
                                                   .sparsity_warmup = 1,
                                                   .groups = {group_sizes[0], group_sizes[1], group_sizes[2]},
                                                   .n_groups = GROUPS};
    const char *name = fathom_trainer_architecture_name(subject->architecture);
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    struct fathom__random random;
    fathom__random_seed(&random, 8);
    memset(&scene, 0, sizeof scene);
    scene.subject = *subject;
    for (int r = 0, at = 0; r < ROWS; r++) {
        for (int j = 0; j < n_inputs(&scene); j++) {
            scene.x[r][j] = scene.y[r][j] = coarse(&random);
            rows[at++] = (float)scene.x[r][j];
        }
        for (int j = 0; j < D && subject->transcoder; j++) {
            scene.y[r][j] = j < D_OUT ? scene.x[r][(j + 3) % D] + coarse(&random) : 0;
            if (j < D_OUT) rows[at++] = (float)scene.y[r][j];
        }
        for (int j = 0; j < WIDE && subject->cross_layer; j++) {
            scene.y[r][j] = scene.x[r][(j + 3) % WIDE] + coarse(&random);
            rows[at++] = (float)scene.y[r][j];
        }
    }
    scene.spread = find_spread(&scene);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    scatter(trainer, &random);
    read_model(&scene.model, trainer);
    scene.frozen = scene.model;
    assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, ROWS), 0);
    for (size_t r = 0; r < ROWS; r++)
        for (uint32_t i = 0; i < trainer->main.count[r]; i++)
            scene.active[r][trainer->main.feature[trainer->main.start[r] + i]] = true;
    const double loss = find_loss(&scene);
    const double told = metrics.loss + metrics.gate_loss + metrics.sparsity_loss;
    if (fabs(told / loss - 1) > 1e-5) fail_msg("%s: loss %.8f, %.8f expected", name, told, loss);

    check_matrix(&scene, trainer, false, name);
    check_matrix(&scene, trainer, true, name);
    for (int f = 0; f < FEATURES; f++) {
        expected[f] = slope(&scene, &scene.model.encoder_bias[f]);
        found[f] = trainer->encoder_bias.first[f] / FIRST_STEP;
    }
    check_direction(found, expected, FEATURES, name, "encoder bias");
    for (uint32_t s = 0; s < trainer->architecture->n_scalars; s++) {
        for (int f = 0; f < FEATURES; f++) {
            expected[f] = slope(&scene, &scene.model.scalar[s][f]);
            if (is_jumprelu(&scene)) expected[f] += estimated(&scene, f) / scene.spread;
            found[f] = trainer->scalar[s].first[f] / FIRST_STEP;
        }
        check_direction(found, expected, FEATURES, name, s ? "second scalar" : "first scalar");
    }
    const int n_bias = subject->cross_layer ? WIDE : D;
    for (int j = 0; j < n_bias; j++) {
        expected[j] = slope(&scene, &scene.model.decoder_bias[j]);
        found[j] = trainer->decoder_bias.first[j] / FIRST_STEP;
    }
    check_direction(found, expected, (size_t)n_bias, name, "decoder bias");
    for (int i = 0; i < D_OUT * D && subject->transcoder; i++) {
        expected[i] = slope(&scene, &scene.model.skip[i / D][i % D]);
        found[i] = trainer->skip.first[(size_t)(i / D) * trainer->stride + i % D] / FIRST_STEP;
    }
    if (subject->transcoder) check_direction(found, expected, D_OUT * D, name, "skip");
    fathom_trainer_close(trainer);
}

static void test_exact(void **state) {
    (void)state;
    const struct subject subjects[] = {{.architecture = FATHOM_TRAIN_TOPK},
                                       {.architecture = FATHOM_TRAIN_BATCHTOPK},
                                       {.architecture = FATHOM_TRAIN_MATRYOSHKA}};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        check_gradients(&subjects[i]);
}

static void check_penalised(enum fathom_trainer_architecture architecture) {
    for (int free_norms = 0; free_norms < 2; free_norms++) {
        const struct subject subject = {.architecture = architecture, .free_norms = free_norms, .sparsity = 0.7};
        check_gradients(&subject);
    }
}

static void test_standard(void **state) {
    (void)state;
    check_penalised(FATHOM_TRAIN_STANDARD);
}
static void test_gated(void **state) {
    (void)state;
    check_penalised(FATHOM_TRAIN_GATED);
}
static void test_jumprelu(void **state) {
    (void)state;
    const struct subject quadratic = {.architecture = FATHOM_TRAIN_JUMPRELU, .sparsity = 0.01, .quadratic = true};
    check_penalised(FATHOM_TRAIN_JUMPRELU);
    check_gradients(&quadratic);
}
static void test_jumprelu_tanh(void **state) {
    (void)state;
    check_penalised(FATHOM_TRAIN_JUMPRELU_TANH);
}

/* Any of them as a transcoder. */
static void test_transcoder(void **state) {
    (void)state;
    for (int i = 0; i < FATHOM_TRAIN_ARCHITECTURES; i++) {
        struct subject subject = {.architecture = (enum fathom_trainer_architecture)i, .transcoder = true};
        if (!fathom__architecture(subject.architecture)->exact) subject.sparsity = 0.7;
        check_gradients(&subject);
    }
}

/* Any of them over two sources. */
static void test_crosscoder(void **state) {
    (void)state;
    for (int i = 0; i < FATHOM_TRAIN_ARCHITECTURES; i++) {
        struct subject subject = {.architecture = (enum fathom_trainer_architecture)i, .crosscoder = true};
        if (!fathom__architecture(subject.architecture)->exact) subject.sparsity = 0.7;
        check_gradients(&subject);
        subject.free_norms = subject.sparsity > 0;
        if (subject.free_norms) check_gradients(&subject);
    }
}

/* Any of them without groups across layers. */
static void test_cross_layer(void **state) {
    (void)state;
    for (int i = 0; i < FATHOM_TRAIN_ARCHITECTURES; i++) {
        struct subject subject = {.architecture = (enum fathom_trainer_architecture)i, .cross_layer = true};
        if (subject.architecture == FATHOM_TRAIN_MATRYOSHKA) continue;
        if (!fathom__architecture(subject.architecture)->exact) subject.sparsity = 0.7;
        check_gradients(&subject);
        subject.free_norms = subject.sparsity > 0;
        if (subject.free_norms) check_gradients(&subject);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),      cmocka_unit_test(test_standard),      cmocka_unit_test(test_gated),
        cmocka_unit_test(test_jumprelu),   cmocka_unit_test(test_jumprelu_tanh), cmocka_unit_test(test_transcoder),
        cmocka_unit_test(test_crosscoder), cmocka_unit_test(test_cross_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
