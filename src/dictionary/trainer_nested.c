/* Matryoshka's groups updated one after another, from the first to the last, with the errors of one at a time.
 *
 * With e(g) the error of the prefix that ends with group g, the features of group g need E(g) = e(g) + e(g + 1) + … of
 * every row. Both are held, of the first group to begin with. When its features are updated,
 *
 *   E(g + 1) = E(g) - e(g)        e(g + 1) = e(g) + what the features of group g + 1 say
 *
 * whose decoder rows are still those of the decoding; and at last E is the whole dictionary's error. What a row's pairs
 * were is found among the sorted ones, where every pair of a worker's rows is met in the order of the rows again.
 *
 * Dead features come after all others, when the errors of their groups are gone: sums of theirs are formed meanwhile,
 * where their candidates will be. There are few, since dead features seldom have a row.
 */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

/* Errors of all groups are held where they come to less than this part of weights and moments: making them one from
 * another takes as long as half a decoding. */
#define HELD 0.1

static bool in_turn(const struct fathom_trainer_options *options) {
    const double numbers = 2 * 3 * (double)options->n_features,
                 others = (double)options->batch * (options->n_groups - 1);
    return fathom__may_be_last(options) && others * sizeof(uint16_t) > HELD * numbers * sizeof(float);
}

uint32_t fathom__nested_errors(const struct fathom_trainer_options *options) {
    if (options->n_groups <= 1) return 1;
    return in_turn(options) ? 2 : options->n_groups;
}

int fathom__nested_open(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t n = options->batch * trainer->stride, size = sizeof *trainer->error;
    size_t bytes;
    unsigned char *storage = fathom__dense_storage(&bytes, trainer->products[0]);
    if (!in_turn(options)) return fathom__alloc_aligned(&trainer->group_error, (options->n_groups - 1) * n, size);
    if (trainer->errors_lent && bytes >= 2 * n * size) {
        trainer->prefix_error = (uint16_t *)(void *)(storage + n * size);
        return 0;
    }
    /* What a transcoder skips needs the inputs. */
    trainer->inputs_lost = !options->skip;
    trainer->prefix_owned = options->skip;
    if (options->skip) return fathom__alloc_aligned(&trainer->prefix_error, n, size);
    trainer->prefix_error = trainer->x_bf16;
    return 0;
}

void fathom__nested_close(fathom_trainer *trainer) {
    if (trainer->prefix_owned) fathom_free(trainer->prefix_error);
    fathom_free(trainer->group_error);
    fathom_free(trainer->dead_sums);
}

/* Whole rows in a candidates' array of so many 4-byte numbers. */
static size_t rows_in(const fathom_trainer *trainer, size_t room) {
    return room * sizeof(float) / (trainer->stride * sizeof *trainer->dead_sums);
}

static uint16_t *dead_sum(const fathom_trainer *trainer, size_t row) {
    const size_t stride = trainer->stride;
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        const struct fathom__worker *worker = &trainer->workers[w];
        const size_t values = rows_in(trainer, worker->values_room), features = rows_in(trainer, worker->features_room);
        if (row < values) return (uint16_t *)(void *)worker->values + row * stride;
        row -= values;
        if (row < features) return (uint16_t *)(void *)worker->features + row * stride;
        row -= features;
    }
    return trainer->dead_sums + row * stride;
}

static bool has_pairs(const fathom_trainer *trainer, size_t slot) {
    const uint32_t *bucket = trainer->main.bucket + trainer->dead[slot];
    return bucket[1] > bucket[0];
}

int fathom__nested_begin_dead(fathom_trainer *trainer) {
    size_t room = 0, needed = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        room += rows_in(trainer, trainer->workers[w].values_room) + rows_in(trainer, trainer->workers[w].features_room);
    for (size_t slot = 0; slot < trainer->n_dead; slot++)
        if (has_pairs(trainer, slot)) trainer->dead_sum[slot] = (uint32_t)needed++;
    needed = needed > room ? needed - room : 0;
    if (needed <= trainer->dead_sums_room) return 0;
    fathom_free(trainer->dead_sums);
    trainer->dead_sums = NULL;
    trainer->dead_sums_room = 0;
    int status = fathom__alloc_aligned(&trainer->dead_sums, needed * trainer->stride, sizeof *trainer->dead_sums);
    if (!status) trainer->dead_sums_room = needed;
    return status;
}

const uint16_t *fathom__nested_dead_sum(const fathom_trainer *trainer, size_t slot) {
    return has_pairs(trainer, slot) ? dead_sum(trainer, trainer->dead_sum[slot]) : NULL;
}

struct turn {
    fathom_trainer *trainer;
    uint32_t group, first, last; /* features */
};

static void sum_dead(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct turn *turn = payload;
    fathom_trainer *trainer = turn->trainer;
    const struct fathom__active *active = &trainer->main;
    const size_t stride = trainer->stride;
    float *sum = trainer->workers[worker].gradients;
    for (size_t slot = worker; slot < trainer->n_dead; slot += n_workers) {
        const uint32_t f = trainer->dead[slot];
        if (f < turn->first || f >= turn->last || !has_pairs(trainer, slot)) continue;
        memset(sum, 0, stride * sizeof *sum);
        for (uint32_t i = active->bucket[f]; i < active->bucket[f + 1]; i++)
            fathom__add_scaled_bf16(sum, active->sorted_value[i], trainer->error + active->sorted_row[i] * stride,
                                    stride);
        fathom__row_to_bf16(dead_sum(trainer, trainer->dead_sum[slot]), sum, stride);
    }
}

/* error += what a row's features [first, last) say. Sorting left each worker's places behind its last pairs. */
static void add_group(float *error, const struct turn *turn, uint32_t *next, size_t row) {
    const fathom_trainer *trainer = turn->trainer;
    const struct fathom__active *active = &trainer->main;
    const uint32_t *feature = active->feature + active->start[row];
    const size_t stride = trainer->stride;
    float value[4];
    const float *rows[4];
    size_t n = 0;
    for (uint32_t i = active->count[row]; i-- > 0 && feature[i] >= turn->first;) {
        if (feature[i] >= turn->last) continue;
        value[n] = active->sorted_value[--next[feature[i]]];
        rows[n++] = trainer->decoder.value + feature[i] * stride;
        if (n == 4) fathom__add_scaled4(error, value, rows, stride);
        n %= 4;
    }
    for (size_t i = 0; i < n; i++)
        fathom__add_scaled(error, value[i], rows[i], stride);
}

static void move_on(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct turn *turn = payload;
    fathom_trainer *trainer = turn->trainer;
    const size_t stride = trainer->stride;
    const bool ends = turn->group + 1 == trainer->options.n_groups;
    uint32_t *next = trainer->main.histogram + worker * trainer->main.n_features;
    float *prefix = trainer->workers[worker].error_row, *sum = prefix + stride;
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, 1, worker, n_workers); /* as pairs were sorted */
    for (size_t r = last; r-- > first;) {
        uint16_t *error = trainer->error + r * stride, *present = trainer->prefix_error + r * stride;
        fathom__row_from_bf16(prefix, present, stride);
        fathom__row_from_bf16(sum, error, stride);
        fathom__add_scaled(sum, -1, prefix, stride);
        add_group(prefix, turn, next, r);
        fathom__row_to_bf16(error, ends ? prefix : sum, stride);
        if (!ends) fathom__row_to_bf16(present, prefix, stride);
    }
}

void fathom__nested_next(fathom_trainer *trainer, uint32_t group, bool dead) {
    const struct fathom_trainer_options *options = &trainer->options;
    struct turn turn = {.trainer = trainer};
    for (uint32_t g = 0; g <= group; g++) {
        turn.first = turn.last;
        turn.last += options->groups[g];
    }
    const double begin = fathom__seconds();
    if (dead) fathom__team_run(trainer->team, sum_dead, &turn);
    if (group + 1 < options->n_groups) {
        turn.group = group + 1;
        turn.first = turn.last;
        turn.last += options->groups[group + 1];
        fathom__team_run(trainer->team, move_on, &turn);
    }
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].seconds[FATHOM_TRAINER_GRADIENTS] += fathom__seconds() - begin;
}
