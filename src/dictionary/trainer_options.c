/* The trainer's options: what is refused, and what stands for 0. */
#include <base/error.h>
#include <dictionary/trainer_internal.h>
#include <math.h>

#define DEFAULT_BATCH 4096
#define DEFAULT_RATE 2e-4 /* at REFERENCE_FEATURES; falls with the square root of the width */
#define REFERENCE_FEATURES 16384.0
#define DEFAULT_WARMUP 1000
#define WARMUP_PART 20 /* of total_steps, at most */
#define DEFAULT_DEAD_AFTER 10000000
#define DEAD_PART 8 /* of all rows, at most */
#define DEFAULT_AUXILIARY (1.0 / 32)
#define START 2.0 /* in multiples of k */
#define LARGEST_WIDTH (1U << 20)
#define LARGEST_FEATURES (1U << 26)
#define LARGEST_BATCH (1U << 20)
#define LARGEST_THREADS 1024U

/* What is asked of a sparsity loss, where there is one. */
static int check_sparsity(const struct fathom_trainer_options *options,
                          const struct fathom__architecture *architecture) {
    const struct {
        double value;
        const char *name;
    } numbers[] = {{options->sparsity, "sparsity"},
                   {options->start_l0, "start_l0"},
                   {options->bandwidth, "bandwidth"},
                   {options->tanh_scale, "tanh_scale"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!(numbers[i].value >= 0) || !isfinite(numbers[i].value))
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: %s %g; a number of 0 or more is expected",
                                numbers[i].name, numbers[i].value);
        if (numbers[i].value > 0 && architecture->exact)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: %s %g; %s has no sparsity loss, its k decides",
                                numbers[i].name, numbers[i].value, architecture->name);
    }
    if (options->free_norms && architecture->exact)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: free_norms; only a sparsity loss that counts them makes norms matter, and %s has "
                            "none",
                            architecture->name);
    if (options->quadratic_l0 && options->architecture != FATHOM_TRAIN_JUMPRELU)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: quadratic_l0; only jumprelu has an L0 loss, not %s",
                            architecture->name);
    if (isnan(options->inactive_coefficient))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: inactive_coefficient is not a number");
    return 0;
}

static int check_groups(const struct fathom_trainer_options *options) {
    uint64_t sum = 0;
    if (options->n_groups == 0 || options->n_groups > FATHOM_TRAIN_GROUPS)
        return options->n_groups ? fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: %u groups; at most %d are expected",
                                                options->n_groups, FATHOM_TRAIN_GROUPS)
                                 : 0;
    for (uint32_t g = 0; g < options->n_groups; g++) {
        if (options->groups[g] == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: group %u has no feature", g);
        sum += options->groups[g];
    }
    if (sum != options->n_features)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: groups of %llu features; n_features (%u) are expected",
                            (unsigned long long)sum, options->n_features);
    return 0;
}

static int check_sources(const struct fathom_trainer_options *options) {
    uint64_t sum = 0;
    if (options->n_sources == 0) return 0;
    if (options->n_sources < 2 || options->n_sources > FATHOM_TRAIN_SOURCES)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: %u sources; 2 to %d are expected of a crosscoder",
                            options->n_sources, FATHOM_TRAIN_SOURCES);
    if (options->d_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: d_out %u; a crosscoder reconstructs the rows that it reads, and no others",
                            options->d_out);
    if (options->inputs != FATHOM_INPUTS_SCALED)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: a crosscoder's inputs are scaled, source by source");
    for (uint32_t s = 0; s < options->n_sources; s++) {
        if (options->sources[s] == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: source %u has no width", s);
        sum += options->sources[s];
    }
    if (sum != options->d_in)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: sources of width %llu together; d_in (%u) is expected",
                            (unsigned long long)sum, options->d_in);
    return 0;
}

int fathom__trainer_check_options(const struct fathom_trainer_options *options) {
    const struct fathom__architecture *architecture = fathom__architecture(options->architecture);
    if (!architecture)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: architecture %d; 0 to %d is expected",
                            (int)options->architecture, FATHOM_TRAIN_ARCHITECTURES - 1);
    if (options->d_in < 1 || options->d_in > LARGEST_WIDTH)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: d_in %u; 1 to %u is expected", options->d_in,
                            LARGEST_WIDTH);
    if (options->d_out > LARGEST_WIDTH)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: d_out %u; at most %u is expected", options->d_out,
                            LARGEST_WIDTH);
    if (options->skip && !options->d_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: skip; only a transcoder (d_out) has one");
    if (options->n_features < 1 || options->n_features > LARGEST_FEATURES)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: n_features %u; 1 to %u is expected", options->n_features,
                            LARGEST_FEATURES);
    if (options->k < 1 || options->k > options->n_features)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: k %u; 1 to n_features (%u) is expected", options->k,
                            options->n_features);
    if (options->batch > LARGEST_BATCH)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: batch %u; at most %u is expected", options->batch,
                            LARGEST_BATCH);
    if (options->n_threads > LARGEST_THREADS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: n_threads %u; at most %u is expected", options->n_threads,
                            LARGEST_THREADS);
    if (!(options->learning_rate >= 0) || !isfinite(options->learning_rate))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: learning_rate %g; a number of 0 or more is expected",
                            options->learning_rate);
    if (!(options->gradient_clip >= 0))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: gradient_clip %g; a number of 0 or more is expected",
                            options->gradient_clip);
    if (!(options->ema >= 0 && options->ema < 1))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: ema %g; 0 or more and less than 1 is expected",
                            options->ema);
    if (isnan(options->auxiliary_coefficient))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: auxiliary_coefficient is not a number");
    if ((unsigned)options->schedule >= FATHOM_SCHEDULES)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: schedule %d; 0 to %d is expected", (int)options->schedule,
                            FATHOM_SCHEDULES - 1);
    if ((unsigned)options->inputs >= FATHOM_INPUTS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: inputs %d; 0 to %d is expected", (int)options->inputs,
                            FATHOM_INPUTS - 1);
    int status = check_sparsity(options, architecture);
    if (!status) status = check_sources(options);
    if (!status) status = fathom__layers_check(options);
    if (!status && architecture->nested) status = check_groups(options);
    return status;
}

static void fill_penalty(struct fathom_trainer_options *options) {
    const struct fathom__architecture *architecture = fathom__architecture(options->architecture);
    if (architecture->exact) return;
    if (!options->sparsity_warmup) {
        const uint64_t part = options->total_steps / WARMUP_PART;
        options->sparsity_warmup = options->total_steps && part < DEFAULT_WARMUP ? part : DEFAULT_WARMUP;
    }
    if (options->start_l0 == 0) options->start_l0 = START * options->k;
    if (options->bandwidth == 0) options->bandwidth = architecture->bandwidth;
    if (options->tanh_scale == 0) options->tanh_scale = architecture->tanh_scale;
    if (options->inactive_coefficient == 0) options->inactive_coefficient = architecture->inactive_coefficient;
}

/* 1/32, 1/16, 1/8, 1/4 of the features, and the rest; the first of them may be empty where there are few. */
static void fill_groups(struct fathom_trainer_options *options) {
    enum { FIRST = 32 };
    uint32_t left = options->n_features;
    for (uint32_t part = FIRST; part >= 4; part /= 2) {
        if (options->n_features / part == 0) continue;
        options->groups[options->n_groups++] = options->n_features / part;
        left -= options->n_features / part;
    }
    options->groups[options->n_groups++] = left;
}

void fathom__trainer_fill_options(struct fathom_trainer_options *options) {
    const uint32_t layer_width = options->n_layers ? options->d_in / options->n_layers : options->d_in;
    if (!options->batch) options->batch = DEFAULT_BATCH;
    if (!options->n_threads) options->n_threads = fathom__cores();
    if (options->learning_rate == 0)
        options->learning_rate = /* a float: a checkpoint's digits hold it exactly */
            (float)(DEFAULT_RATE / sqrt(options->n_features / REFERENCE_FEATURES));
    if (!options->warmup_steps) {
        const uint64_t part = options->total_steps / WARMUP_PART;
        options->warmup_steps = options->total_steps && part < DEFAULT_WARMUP ? (uint32_t)part : DEFAULT_WARMUP;
    }
    fill_penalty(options);
    if (fathom__architecture(options->architecture)->nested && !options->n_groups) fill_groups(options);
    if (!options->k_aux)
        for (options->k_aux = 1; options->k_aux * 2 <= layer_width / 2; options->k_aux *= 2) {
        }
    if (options->k_aux > options->n_features) options->k_aux = options->n_features;
    if (options->auxiliary_coefficient == 0) options->auxiliary_coefficient = DEFAULT_AUXILIARY;
    if (!options->dead_after) {
        const uint64_t part = options->total_steps * options->batch / DEAD_PART;
        options->dead_after = part && part < DEFAULT_DEAD_AFTER ? part : DEFAULT_DEAD_AFTER;
    }
}
