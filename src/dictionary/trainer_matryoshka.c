/* Matryoshka BatchTopK: features come in groups, and every prefix of groups must reconstruct by itself; the loss is the
 * mean of the prefixes' (Bussmann et al. 2025).
 *
 * A feature of group g is in the prefixes g, g + 1, …, so its gradient is made of the sum of their errors. Those sums
 * are what is kept: one array of rows a group, the last of which is the whole dictionary's error; or one for all groups in
 * turn (trainer_nested.c), and the first prefix's own errors, by which the others can be made of it.
 */
#include <dictionary/trainer_internal.h>

uint32_t fathom__trainer_group(const fathom_trainer *trainer, uint32_t feature) {
    const struct fathom_trainer_options *options = &trainer->options;
    uint32_t group = 0;
    for (uint32_t end = options->groups[0]; feature >= end && group + 1 < options->n_groups;
         end += options->groups[group])
        group++;
    return group;
}

static uint16_t *group_rows(const fathom_trainer *trainer, uint32_t group) {
    return trainer->prefix_error || group + 1 == trainer->options.n_groups
               ? trainer->error
               : trainer->group_error + (size_t)group * trainer->options.batch * trainer->stride;
}

const uint16_t *fathom__trainer_errors(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->architecture->nested ? group_rows(trainer, fathom__trainer_group(trainer, feature))
                                         : trainer->error;
}

/* Features of a row are in ascending order, so that groups follow one another. */
static void decode_row(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    const struct fathom__active *active = &trainer->main;
    const size_t stride = trainer->stride;
    const uint32_t n_groups = trainer->options.n_groups, last = active->start[row] + active->count[row];
    float *errors = own->error_row; /* of each group */
    uint32_t i = active->start[row], end = 0;
    fathom__trainer_target(errors, own->input_row, trainer, row);
    for (size_t j = 0; j < stride; j++)
        errors[j] = -errors[j];
    for (uint32_t g = 0; g < n_groups; g++) {
        float *error = errors + g * stride;
        end += trainer->options.groups[g];
        if (g > 0) memcpy(error, error - stride, stride * sizeof *error);
        for (; i < last && active->feature[i] < end; i++)
            fathom__add_scaled(error, active->value[i], trainer->decoder.value + active->feature[i] * stride, stride);
        const double squares = fathom__dot(error, error, stride);
        own->sum_prefixes += squares;
        if (g + 1 == n_groups) own->sum_errors += squares;
    }
    for (size_t j = 0; j < stride; j++)
        own->column[j] += errors[(n_groups - 1) * stride + j];
    if (trainer->prefix_error) fathom__row_to_bf16(trainer->prefix_error + row * stride, errors, stride);
    for (uint32_t g = n_groups - 1; g-- > 0;)
        fathom__add_scaled(errors + g * stride, 1, errors + (g + 1) * stride, stride);
    for (size_t j = 0; j < stride; j++)
        own->prefix_column[j] += errors[j];
    for (uint32_t g = 0; g < (trainer->prefix_error ? 1 : n_groups); g++)
        fathom__row_to_bf16(group_rows(trainer, g) + row * stride, errors + g * stride, stride);
    for (i = active->start[row]; i < last; i++)
        active->slope[i] = fathom__dot(errors + fathom__trainer_group(trainer, active->feature[i]) * stride,
                                       trainer->decoder.value + active->feature[i] * stride, stride);
}

static void clear_sums(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const fathom_trainer *trainer = payload;
    struct fathom__worker *own = &trainer->workers[worker];
    own->sum_errors = own->sum_prefixes = 0;
    memset(own->column, 0, trainer->stride * sizeof *own->column);
    memset(own->prefix_column, 0, trainer->stride * sizeof *own->prefix_column);
}

static void decode(fathom_trainer *trainer) {
    trainer->packed = trainer->packed && !trainer->errors_lent;
    fathom__team_run(trainer->team, clear_sums, trainer);
    fathom__trainer_rows(trainer, decode_row);
}

static int choose(float *least, fathom_trainer *trainer) {
    return fathom__trainer_batchtopk(least, trainer);
}

const struct fathom__architecture fathom__matryoshka = {.name = "matryoshka",
                                                        .kind = "batchtopk",
                                                        .exact = true,
                                                        .batchwise = true,
                                                        .nested = true,
                                                        .choose = choose,
                                                        .decode = decode};
