/* Published recipes as options. */
#include <base/error.h>
#include <dictionary/trainer_internal.h>

static const struct preset {
    const char *name;
    struct fathom_trainer_options options; /* what the recipe decides; the rest is the caller's */
} presets[] = {
    /* Conerly et al., April 2024. Biases start where L0 is 2 k, not at 0. */
    {"april-2024",
     {.architecture = FATHOM_TRAIN_STANDARD,
      .learning_rate = 5e-5,
      .schedule = FATHOM_SCHEDULE_LAST_FIFTH,
      .warmup_steps = 1,
      .sparsity = 5,
      .gradient_clip = 1,
      .auxiliary_coefficient = -1,
      .free_norms = true}},
    /* Lieberum et al. 2024; the bandwidth is their 0.001 in units where E|x|² = d_in, at width 900. The coefficient is
     * controlled for k, and Adam's first moment is kept. */
    {"gemma-scope",
     {.architecture = FATHOM_TRAIN_JUMPRELU,
      .learning_rate = 7e-5,
      .schedule = FATHOM_SCHEDULE_CONSTANT,
      .warmup_steps = 1000,
      .sparsity_warmup = 10000,
      .bandwidth = 0.03,
      .auxiliary_coefficient = -1}},
    /* Anthropic, January 2025. The coefficient is controlled for k; theirs rises over the whole run. */
    {"january-2025",
     {.architecture = FATHOM_TRAIN_JUMPRELU_TANH,
      .learning_rate = 2e-4,
      .schedule = FATHOM_SCHEDULE_LAST_FIFTH,
      .bandwidth = 2,
      .tanh_scale = 4,
      .inactive_coefficient = 3e-6,
      .auxiliary_coefficient = -1,
      .free_norms = true}},
};

int fathom_trainer_preset(struct fathom_trainer_options *options, const char *name) {
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(presets[i].name, name) != 0) continue;
        const struct fathom_trainer_options *from = &presets[i].options;
        options->architecture = from->architecture;
        options->learning_rate = from->learning_rate;
        options->schedule = from->schedule;
        options->warmup_steps = from->warmup_steps;
        options->gradient_clip = from->gradient_clip;
        options->auxiliary_coefficient = from->auxiliary_coefficient;
        options->free_norms = from->free_norms;
        options->sparsity = from->sparsity;
        options->sparsity_warmup = from->sparsity_warmup;
        options->bandwidth = from->bandwidth;
        options->tanh_scale = from->tanh_scale;
        options->inactive_coefficient = from->inactive_coefficient;
        return 0;
    }
    return fathom__fail(FATHOM_ERROR_ARGUMENT,
                        "preset \"%s\"; one of april-2024, gemma-scope, january-2025 is expected", name);
}
