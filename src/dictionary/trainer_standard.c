/* Standard: f = relu(pre), and λ Σ f |d| as sparsity loss (Conerly et al., April 2024, where norms are free). */
#include <dictionary/trainer_internal.h>

static int choose(float *least, fathom_trainer *trainer) {
    (void)least;
    return fathom__trainer_above(trainer, trainer->encoder_bias.value, 0);
}

static void find_slopes(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    const struct fathom__active *active = &trainer->main;
    const float half = trainer->half_sparsity;
    float *pull = fathom__sums(trainer, own, FATHOM__SUM_PULL);
    for (uint32_t i = active->start[row]; i < active->start[row] + active->count[row]; i++) {
        const uint32_t f = active->feature[i];
        const float norm = fathom__decoder_norm(trainer, f);
        active->slope[i] += half * norm;
        pull[f] += half * active->value[i];
        own->sum_penalty += active->value[i] * norm;
    }
}

static void start_at(fathom_trainer *trainer, uint32_t feature, float level) {
    trainer->encoder_bias.value[feature] = -level;
}

float fathom__lifted_bias(const fathom_trainer *trainer, uint32_t feature) {
    const float bias = trainer->encoder_bias.value[feature];
    return bias > 0 ? bias : 0;
}

void fathom__raise_bias(float *bias) {
    if (*bias < 0) *bias *= FATHOM__REVIVAL;
}

static void revive(fathom_trainer *trainer, uint32_t feature) {
    fathom__raise_bias(&trainer->encoder_bias.value[feature]);
}

const struct fathom__architecture fathom__standard = {
    .name = "standard",
    .kind = "standard",
    .sparsity = 5, /* Conerly et al., April 2024 */
    .sums = 1U << FATHOM__SUM_PULL,
    .choose = choose,
    .slopes = find_slopes,
    .start_at = start_at,
    .dead_bias = fathom__lifted_bias,
    .revive = revive,
};
