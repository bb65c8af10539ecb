#include "trainer_arguments.h"
#include <stdlib.h>

/* Sizes of groups, "N,N…". */
static bool read_groups(struct fathom_trainer_options *out, const char *text) {
    while (text) {
        char *end;
        const long size = strtol(text, &end, 10);
        if (end == text || (*end && *end != ',') || size < 1 || size > INT32_MAX) return false;
        if (out->n_groups == FATHOM_TRAIN_GROUPS) return false;
        out->groups[out->n_groups++] = (uint32_t)size;
        text = *end ? end + 1 : NULL;
    }
    return true;
}

/* What is not given stays as it is. */
static bool read_numbers(struct fathom_trainer_options *out, const struct cli_arguments *arguments) {
    int64_t batch, warmup, k_aux, dead_after, seed, sparsity_warmup;
    const bool read =
        cli_integer(&batch, arguments, "batch", 1, 1 << 20, 4096) &&
        cli_integer(&warmup, arguments, "warmup", 1, INT32_MAX, out->warmup_steps) &&
        cli_integer(&k_aux, arguments, "k-aux", 1, INT32_MAX, 0) &&
        cli_integer(&dead_after, arguments, "dead-after", 1, INT64_MAX, 0) &&
        cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) &&
        cli_integer(&sparsity_warmup, arguments, "sparsity-warmup", 1, INT64_MAX, (int64_t)out->sparsity_warmup) &&
        cli_number(&out->learning_rate, arguments, "lr", 1e-12, 10, out->learning_rate) &&
        cli_number(&out->auxiliary_coefficient, arguments, "aux", -1, 1000, out->auxiliary_coefficient) &&
        cli_number(&out->gradient_clip, arguments, "clip", 0, 1e9, out->gradient_clip) &&
        cli_number(&out->sparsity, arguments, "sparsity", 0, 1e9, out->sparsity) &&
        cli_number(&out->start_l0, arguments, "start-l0", 0, 1e9, 0) &&
        cli_number(&out->bandwidth, arguments, "bandwidth", 0, 1e9, out->bandwidth) &&
        cli_number(&out->ema, arguments, "ema", 0, 1, 0);
    if (!read) return false;
    out->batch = (uint32_t)batch;
    out->warmup_steps = (uint32_t)warmup;
    out->k_aux = (uint32_t)k_aux;
    out->dead_after = (uint64_t)dead_after;
    out->seed = (uint64_t)seed;
    out->sparsity_warmup = (uint64_t)sparsity_warmup;
    out->freeze_decoder = cli_has(arguments, "freeze-decoder");
    out->skip = cli_has(arguments, "skip");
    out->quadratic_l0 = cli_has(arguments, "quadratic-l0");
    if (cli_has(arguments, "free-norms")) out->free_norms = true;
    return true;
}

int trainer_arguments_read(struct fathom_trainer_options *out, const struct cli_arguments *arguments) {
    const char *preset = cli_text(arguments, "preset", NULL), *schedule = cli_text(arguments, "schedule", NULL),
               *inputs = cli_text(arguments, "inputs", NULL), *groups = cli_text(arguments, "groups", NULL);
    *out = (struct fathom_trainer_options)FATHOM_TRAINER_OPTIONS_INIT;
    int status = preset ? fathom_trainer_preset(out, preset) : 0;
    if (!status && schedule) status = fathom_trainer_schedule_find(&out->schedule, schedule);
    if (!status && inputs) status = fathom_trainer_inputs_find(&out->inputs, inputs);
    if (status) return cli_fail(arguments, status);
    if (!read_numbers(out, arguments)) return CLI_USAGE;
    if (groups && !read_groups(out, groups))
        return cli_usage(arguments, "--groups %s: up to %d whole numbers above 0, with commas between, are expected",
                         groups, FATHOM_TRAIN_GROUPS);
    return CLI_OK;
}
