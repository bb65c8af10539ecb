/* Gated: with u = W_enc (x - b_dec), a feature is active where u + b_gate > 0, and then f = relu(e^r u + b_enc)
 * (Rajamanoharan et al. 2024).
 *
 * The gate gets no gradient through that, so it has losses of its own: λ Σ relu(u + b_gate) |d|, and the error of what
 * relu(u + b_gate) reconstructs with a decoder held fixed. A pair's slope, by u, is the sum of both ways.
 *
 * Until pairs are sorted, the gate's values lie where the sorted ones will be, and its slopes where the sum of both ways
 * will.
 */
#include <dictionary/trainer_internal.h>

enum { GATE, SCALE }; /* the scalars: b_gate and r */

/* f of a gate's value. */
static float magnitude(const fathom_trainer *trainer, uint32_t f, float gate) {
    const float product = gate - trainer->scalar[GATE].value[f],
                value = expf(trainer->scalar[SCALE].value[f]) * product + trainer->encoder_bias.value[f];
    return value > 0 ? value : 0;
}

static void open_gate(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    (void)own;
    const struct fathom__active *active = &trainer->main;
    for (uint32_t i = active->start[row]; i < active->start[row] + active->count[row]; i++) {
        trainer->gate.value[i] = active->value[i];
        active->value[i] = magnitude(trainer, active->feature[i], active->value[i]);
    }
}

static int choose(float *least, fathom_trainer *trainer) {
    (void)least;
    int status = fathom__trainer_above(trainer, trainer->scalar[GATE].value, 0);
    if (status) return status;
    trainer->gate = trainer->main;
    trainer->gate.value = trainer->main.sorted_value;
    fathom__trainer_rows(trainer, open_gate);
    return 0;
}

static double decode_gate(fathom_trainer *trainer) {
    const struct fathom__decoding what = {.active = &trainer->gate, .from = FATHOM__FROM_TARGET, .slopes = true};
    double errors = 0;
    fathom__trainer_decode_pairs(trainer, &what);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        errors += trainer->workers[w].sum_errors;
    return errors;
}

/* The slopes take the values' place, since the gate's are where they would be. */
static void decode(fathom_trainer *trainer) {
    float *slope = trainer->main.slope;
    trainer->main.slope = trainer->main.value;
    fathom__trainer_decode(trainer, true);
    trainer->main.slope = slope;
}

static void find_slopes(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    const struct fathom__active *active = &trainer->main, *gate = &trainer->gate;
    const float half = trainer->half_sparsity;
    float *bias = fathom__sums(trainer, own, FATHOM__SUM_BIAS), *pull = fathom__sums(trainer, own, FATHOM__SUM_PULL),
          *scale = fathom__sums(trainer, own, FATHOM__SUM_SCALAR + SCALE);
    for (uint32_t i = active->start[row]; i < active->start[row] + active->count[row]; i++) {
        const uint32_t f = active->feature[i];
        const float norm = fathom__decoder_norm(trainer, f), factor = expf(trainer->scalar[SCALE].value[f]),
                    value = magnitude(trainer, f, gate->value[i]), slope = value > 0 ? active->value[i] : 0;
        bias[f] += slope;
        scale[f] += slope * factor * (gate->value[i] - trainer->scalar[GATE].value[f]);
        pull[f] += half * gate->value[i];
        active->slope[i] = slope * factor + gate->slope[i] + half * norm;
        active->value[i] = value;
        own->sum_penalty += gate->value[i] * norm;
    }
}

static void find_feature(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                         float factor) {
    (void)own;
    const uint32_t f = gradient->feature;
    gradient->bias = factor * fathom__sum_of(trainer, FATHOM__SUM_BIAS, f);
    /* The slopes by u less those that come by way of the magnitude. */
    gradient->scalar[GATE] = gradient->input - expf(trainer->scalar[SCALE].value[f]) * gradient->bias;
    gradient->scalar[SCALE] = factor * fathom__sum_of(trainer, FATHOM__SUM_SCALAR + SCALE, f);
}

static void start_at(fathom_trainer *trainer, uint32_t feature, float level) {
    trainer->scalar[GATE].value[feature] = trainer->encoder_bias.value[feature] = -level;
}

static float dead_bias(const fathom_trainer *trainer, uint32_t feature) {
    const float bias = trainer->scalar[GATE].value[feature];
    return bias > 0 ? bias : 0;
}

static void revive(fathom_trainer *trainer, uint32_t feature) {
    fathom__raise_bias(&trainer->scalar[GATE].value[feature]);
    fathom__raise_bias(&trainer->encoder_bias.value[feature]);
}

const struct fathom__architecture fathom__gated = {
    .name = "gated",
    .kind = "gated",
    .n_scalars = 2,
    .sums = 1U << FATHOM__SUM_BIAS | 1U << (FATHOM__SUM_SCALAR + SCALE) | 1U << FATHOM__SUM_PULL,
    .sparsity = 5,
    .choose = choose,
    .second = decode_gate,
    .decode = decode,
    .slopes = find_slopes,
    .feature = find_feature,
    .start_at = start_at,
    .dead_bias = dead_bias,
    .revive = revive,
};
