/* JumpReLU with the sparsity loss λ Σ tanh(c f |d|) and the pre-activation loss μ Σ relu(θ - pre) |d| (Anthropic,
 * January 2025).
 *
 * The estimator is that of trainer_jumprelu.c for ∂f/∂θ; the sparsity loss goes through f, so that all parameters get
 * its gradient. The pre-activation loss pulls up every feature in every row where it is not active. That is nearly all
 * pairs, and yet its gradient needs only the active ones: what it is summed over is all rows less those.
 */
#include <dictionary/trainer_internal.h>

#define START 0.1F /* θ */

/* μ/2 of a feature, since the gradients' factor has a 2 in it. */
static float half_pull(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->options.inactive_coefficient > 0
               ? (float)(trainer->options.inactive_coefficient / 2) * fathom__decoder_norm(trainer, feature)
               : 0;
}

static void find_slopes(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    const struct fathom__active *active = &trainer->main, *near = &trainer->near;
    const float half = trainer->half_sparsity, width = (float)trainer->options.bandwidth,
                scale = (float)trainer->options.tanh_scale;
    float *sum = fathom__sums(trainer, own, FATHOM__SUM_SCALAR), *pull = fathom__sums(trainer, own, FATHOM__SUM_PULL);
    for (uint32_t i = active->start[row]; i < active->start[row] + active->count[row]; i++) {
        const uint32_t f = active->feature[i];
        const float threshold = trainer->level[f], norm = fathom__decoder_norm(trainer, f), value = active->value[i],
                    penalty = tanhf(scale * value * norm), steepness = half * scale * (1 - penalty * penalty);
        active->slope[i] += steepness * norm;
        if (value - threshold < width / 2) sum[f] -= threshold / width * threshold * active->slope[i];
        pull[f] += steepness * value;
        active->slope[i] += half_pull(trainer, f); /* the pre-activation loss is not of active pairs */
        own->sum_penalty += penalty;
    }
    for (uint32_t i = near->start[row]; i < near->start[row] + near->count[row]; i++) {
        const uint32_t f = near->feature[i];
        const float threshold = trainer->level[f];
        sum[f] -= threshold / width * threshold * (near->slope[i] + half * scale * fathom__decoder_norm(trainer, f));
    }
}

static void find_feature(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                         float factor) {
    const uint32_t f = gradient->feature, first = trainer->main.bucket[f], last = trainer->main.bucket[f + 1];
    const size_t read = trainer->read;
    const double *inputs = trainer->inputs_column + fathom__layer(trainer, f) * read;
    gradient->scalar[0] = factor * fathom__sum_of(trainer, FATHOM__SUM_SCALAR, f);
    const float half = half_pull(trainer, f), norm = fathom__decoder_norm(trainer, f), n = (float)trainer->n,
                threshold = fathom__jumprelu_threshold(trainer, f);
    if (!(half > 0)) return;
    double products = (double)n * trainer->encoder_bias.value[f];
    for (size_t j = 0; j < read; j++) {
        gradient->encoder[j] -= factor * half * (float)inputs[j];
        products += trainer->encoder.value[f * read + j] * inputs[j];
    }
    const double inactive = (double)trainer->n - (last - first),
                 lacking = inactive * threshold - products + fathom__trainer_sum_values(trainer, gradient);
    gradient->input -= factor * half * n;
    gradient->bias = gradient->input;
    gradient->scalar[0] += factor * half * threshold * (float)inactive;
    if (trainer->norm)
        fathom__sources_pull(gradient->decoder, trainer, f, factor * half / (norm * norm) * (float)lacking);
    own->sum_inactive += lacking * norm;
}

static void start_at(fathom_trainer *trainer, uint32_t feature, float level) {
    trainer->encoder_bias.value[feature] = START - level;
}

const struct fathom__architecture fathom__jumprelu_tanh = {
    .name = "jumprelu-tanh",
    .kind = "jumprelu",
    .n_scalars = 1,
    .scalar_start = {-2.3025851F}, /* log START */
    .sums = 1U << FATHOM__SUM_SCALAR | 1U << FATHOM__SUM_PULL,
    .sparsity = 1,
    .bandwidth = 2,
    .tanh_scale = 4,
    .inactive_coefficient = 3e-6,
    .choose = fathom__jumprelu_choose,
    .slopes = find_slopes,
    .feature = find_feature,
    .start_at = start_at,
    .dead_bias = fathom__lifted_bias,
    .revive = fathom__jumprelu_revive,
};
