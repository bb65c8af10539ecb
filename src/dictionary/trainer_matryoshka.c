/* Matryoshka BatchTopK: features come in groups, and every prefix of groups must reconstruct by itself; the loss is the
 * mean of the prefixes' (Bussmann et al. 2025).
 *
 * A feature of group g is in the prefixes g, g + 1, …, so its gradient is made of the sum of their errors. Those sums
 * are what is kept: one array of rows a group, the last of which is the whole dictionary's error.
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

static float *group_rows(const fathom_trainer *trainer, uint32_t group) {
    return group + 1 == trainer->options.n_groups
               ? trainer->error
               : trainer->group_error + (size_t)group * trainer->options.batch * trainer->stride;
}

const float *fathom__trainer_errors(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->architecture->nested ? group_rows(trainer, fathom__trainer_group(trainer, feature))
                                         : trainer->error;
}

/* Features of a row are in ascending order, so that groups follow one another. */
static void decode_row(fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    const struct fathom__active *active = &trainer->main;
    const size_t stride = trainer->stride;
    const uint32_t n_groups = trainer->options.n_groups, last = active->start[row] + active->count[row];
    uint32_t i = active->start[row], end = 0;
    const float *before = NULL;
    for (uint32_t g = 0; g < n_groups; g++) {
        float *error = group_rows(trainer, g) + row * stride;
        end += trainer->options.groups[g];
        for (size_t j = 0; j < stride; j++)
            error[j] = before ? before[j] : -trainer->target[row * stride + j];
        for (; i < last && active->feature[i] < end; i++)
            fathom__add_scaled(error, active->value[i], trainer->decoder.value + active->feature[i] * stride, stride);
        const double squares = fathom__dot(error, error, stride);
        own->sum_prefixes += squares;
        if (g + 1 == n_groups) own->sum_errors += squares;
        before = error;
    }
    for (size_t j = 0; j < stride; j++)
        own->column[j] += before[j];
    for (uint32_t g = n_groups - 1; g-- > 0;)
        fathom__add_scaled(group_rows(trainer, g) + row * stride, 1, group_rows(trainer, g + 1) + row * stride, stride);
    const float *first = group_rows(trainer, 0) + row * stride;
    for (size_t j = 0; j < stride; j++)
        own->prefix_column[j] += first[j];
    for (i = active->start[row]; i < last; i++)
        active->slope[i] = fathom__dot(fathom__trainer_errors(trainer, active->feature[i]) + row * stride,
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
    fathom__team_run(trainer->team, clear_sums, trainer);
    fathom__trainer_rows(trainer, decode_row);
}

static int choose(float *least, fathom_trainer *trainer) {
    return fathom__trainer_batchtopk(&trainer->main, least, trainer);
}

const struct fathom__architecture fathom__matryoshka = {.name = "matryoshka",
                                                        .kind = "batchtopk",
                                                        .exact = true,
                                                        .batchwise = true,
                                                        .nested = true,
                                                        .choose = choose,
                                                        .decode = decode};
