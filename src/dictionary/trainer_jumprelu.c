/* JumpReLU: f = pre where pre > θ, and λ L0 as sparsity loss (Rajamanoharan et al. 2024, Lieberum et al. 2024).
 *
 * The loss is flat in θ almost everywhere. Its gradient is taken from a straight-through estimator with a rectangular
 * kernel of width ε; over the pairs of a row with |pre - θ| < ε/2, whether they are active or not:
 *
 *   ∂f/∂θ  := -θ/ε        ∂L0/∂θ := -1/ε
 *
 * Other parameters get the gradient of the reconstruction with the active pairs held fixed. θ = exp(t), and t is
 * trained. The quadratic loss λ (L0/k - 1)² has the gradient of the plain one, with a coefficient that depends on the
 * batch's L0.
 */
#include <dictionary/trainer_internal.h>

#define LEAST_START 1e-3F

static void add_threshold(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    (void)own;
    const struct fathom__active *active = &trainer->main;
    for (uint32_t i = active->start[row]; i < active->start[row] + active->count[row]; i++)
        active->value[i] += trainer->level[active->feature[i]];
}

int fathom__jumprelu_choose(float *least, fathom_trainer *trainer) {
    (void)least;
    for (uint32_t f = 0; f < trainer->options.n_features; f++) {
        trainer->level[f] = fathom__jumprelu_threshold(trainer, f);
        trainer->shifted_bias[f] = trainer->encoder_bias.value[f] - trainer->level[f];
    }
    int status = fathom__trainer_above(trainer, trainer->shifted_bias, (float)(-trainer->options.bandwidth / 2));
    if (!status) fathom__trainer_rows(trainer, add_threshold);
    return status;
}

static void find_slopes(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    const struct fathom__active *active = &trainer->main, *near = &trainer->near;
    const float half = trainer->half_sparsity, width = (float)trainer->options.bandwidth;
    float *sum = fathom__sums(trainer, own, FATHOM__SUM_SCALAR);
    for (uint32_t i = active->start[row]; i < active->start[row] + active->count[row]; i++) {
        const float threshold = trainer->level[active->feature[i]];
        if (active->value[i] - threshold < width / 2)
            sum[active->feature[i]] -= threshold / width * (threshold * active->slope[i] + half);
    }
    for (uint32_t i = near->start[row]; i < near->start[row] + near->count[row]; i++) {
        const float threshold = trainer->level[near->feature[i]];
        sum[near->feature[i]] -= threshold / width * (threshold * near->slope[i] + half);
    }
    own->sum_penalty += active->count[row];
}

static void find_feature(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                         float factor) {
    (void)own;
    gradient->scalar[0] = factor * fathom__sum_of(trainer, FATHOM__SUM_SCALAR, gradient->feature);
}

static void start_at(fathom_trainer *trainer, uint32_t feature, float level) {
    trainer->scalar[0].value[feature] = logf(level > LEAST_START ? level : LEAST_START);
}

static void shift(fathom_trainer *trainer, uint32_t feature, float part) {
    trainer->scalar[0].value[feature] += part;
    if (trainer->scalar[0].average) trainer->scalar[0].average[feature] += part;
}

void fathom__jumprelu_revive(fathom_trainer *trainer, uint32_t feature) {
    fathom__raise_bias(&trainer->encoder_bias.value[feature]);
    trainer->scalar[0].value[feature] += logf(FATHOM__REVIVAL);
}

const struct fathom__architecture fathom__jumprelu = {
    .name = "jumprelu",
    .kind = "jumprelu",
    .n_scalars = 1,
    .scalar_start = {-3.5F}, /* θ = 0.03: 0.001 in units where E|x|² = 1, at width 900 */
    .sums = 1U << FATHOM__SUM_SCALAR,
    .sparsity = 1,
    .bandwidth = 0.05,
    .choose = fathom__jumprelu_choose,
    .slopes = find_slopes,
    .feature = find_feature,
    .start_at = start_at,
    .shift = shift,
    .dead_bias = fathom__lifted_bias,
    .revive = fathom__jumprelu_revive,
};
