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

int trainer_arguments_read(struct fathom_trainer_options *out, const struct cli_arguments *arguments) {
    int64_t batch, warmup, k_aux, dead_after, seed, sparsity_warmup;
    double lr, aux, clip, sparsity, start, bandwidth, ema;
    const bool read =
        cli_integer(&batch, arguments, "batch", 1, 1 << 20, 4096) &&
        cli_integer(&warmup, arguments, "warmup", 1, INT32_MAX, 0) &&
        cli_integer(&k_aux, arguments, "k-aux", 1, INT32_MAX, 0) &&
        cli_integer(&dead_after, arguments, "dead-after", 1, INT64_MAX, 0) &&
        cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) &&
        cli_integer(&sparsity_warmup, arguments, "sparsity-warmup", 1, INT64_MAX, 0) &&
        cli_number(&lr, arguments, "lr", 1e-12, 10, 0) && cli_number(&aux, arguments, "aux", -1, 1000, 0) &&
        cli_number(&clip, arguments, "clip", 0, 1e9, 0) && cli_number(&sparsity, arguments, "sparsity", 0, 1e9, 0) &&
        cli_number(&start, arguments, "start-l0", 0, 1e9, 0) &&
        cli_number(&bandwidth, arguments, "bandwidth", 0, 1e9, 0) && cli_number(&ema, arguments, "ema", 0, 1, 0);
    if (!read) return CLI_USAGE;
    *out = (struct fathom_trainer_options){
        .batch = (uint32_t)batch,
        .seed = (uint64_t)seed,
        .learning_rate = lr,
        .warmup_steps = (uint32_t)warmup,
        .k_aux = (uint32_t)k_aux,
        .auxiliary_coefficient = aux,
        .dead_after = (uint64_t)dead_after,
        .gradient_clip = clip,
        .freeze_decoder = cli_has(arguments, "freeze-decoder"),
        .skip = cli_has(arguments, "skip"),
        .free_norms = cli_has(arguments, "free-norms"),
        .ema = ema,
        .sparsity = sparsity,
        .sparsity_warmup = (uint64_t)sparsity_warmup,
        .start_l0 = start,
        .bandwidth = bandwidth,
        .quadratic_l0 = cli_has(arguments, "quadratic-l0"),
    };
    int status = fathom_trainer_architecture_find(&out->architecture, cli_text(arguments, "arch", "topk"));
    if (!status) status = fathom_trainer_schedule_find(&out->schedule, cli_text(arguments, "schedule", "last-fifth"));
    if (status) return cli_fail(arguments, status);
    const char *groups = cli_text(arguments, "groups", NULL);
    if (groups && !read_groups(out, groups))
        return cli_usage(arguments, "--groups %s: up to %d whole numbers above 0, with commas between, are expected",
                         groups, FATHOM_TRAIN_GROUPS);
    return CLI_OK;
}
