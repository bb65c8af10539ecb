/* BatchTopK: the k·n strongest features of a whole batch, exactly.
 *
 * All pairs above a floor are gathered. The floor is a guess, a little below what the last batch needed; when fewer
 * than k·n pairs come, it is lowered and the batch is gathered again, so that the guess decides the cost and never the
 * result. The k·n-th value is then found by counting the upper and the lower halves of the values' bits, which order
 * positive floats as the floats themselves.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

#define FLOOR_GUESS 0.9F  /* of the last batch's least kept value */
#define FLOOR_RETRY 0.7F  /* each time too few pairs were found */
#define FLOOR_LOWEST 0.1F /* of the first guess; below that everything positive is taken */

struct gathering {
    fathom_trainer *trainer;
    float floor;
    uint32_t upper; /* second count: the upper half that is looked into */
    bool second;
};

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void tag_rows(struct fathom__worker *own, uint32_t row, size_t before) {
    for (size_t i = before; i < own->n_harvest; i++)
        own->harvest_row[i] = row;
}

static int gather_block(struct fathom__worker *own, const struct gathering *gathering, uint32_t worker, size_t block,
                        size_t n) {
    fathom_trainer *trainer = gathering->trainer;
    const size_t n_features = trainer->options.n_features;
    for (size_t tile = 0; tile * FATHOM__TILE_FEATURES < n_features; tile++) {
        const size_t first = tile * FATHOM__TILE_FEATURES,
                     room = own->n_harvest + n * FATHOM__TILE_FEATURES + FATHOM__OFFER_SLACK;
        const double begin = fathom__seconds();
        int status =
            fathom__dense_run(own->tile, trainer->product, worker, tile, trainer->x_bf16 + block * trainer->stride, n);
        if (!status) status = fathom__grow(&own->harvest, &own->harvest_capacity, room, sizeof *own->harvest);
        if (!status)
            status =
                fathom__grow(&own->harvest_feature, &own->harvest_feature_capacity, room, sizeof *own->harvest_feature);
        if (!status)
            status = fathom__grow(&own->harvest_row, &own->harvest_row_capacity, room, sizeof *own->harvest_row);
        if (status) return status;
        const double middle = fathom__seconds();
        for (size_t r = 0; r < n; r++) {
            const size_t before = own->n_harvest;
            fathom__offer_above(own->harvest, own->harvest_feature, &own->n_harvest, gathering->floor,
                                own->tile + r * FATHOM__TILE_FEATURES, trainer->encoder_bias.value + first,
                                (uint32_t)first, fathom__tile_width(n_features, tile));
            tag_rows(own, (uint32_t)(block + r), before);
        }
        own->seconds[FATHOM_TRAINER_ENCODE] += middle - begin;
        own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - middle;
    }
    return 0;
}

static void gather(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct gathering *gathering = payload;
    struct fathom__worker *own = &gathering->trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, gathering->trainer->n, FATHOM__LANES, worker, n_workers);
    own->n_harvest = 0;
    int status = 0;
    for (size_t block = first; block < last && !status; block += FATHOM__TILE_ROWS)
        status = gather_block(own, gathering, worker, block,
                              last - block < FATHOM__TILE_ROWS ? last - block : FATHOM__TILE_ROWS);
    if (status) fathom__worker_fail(own, status);
}

static void count_bits(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const struct gathering *gathering = payload;
    struct fathom__worker *own = &gathering->trainer->workers[worker];
    memset(own->histogram, 0, FATHOM__RADIX * sizeof *own->histogram);
    for (size_t i = 0; i < own->n_harvest; i++) {
        const uint32_t bits = bits_of(own->harvest[i]);
        if (!gathering->second)
            own->histogram[bits >> 16]++;
        else if (bits >> 16 == gathering->upper)
            own->histogram[bits & (FATHOM__RADIX - 1)]++;
    }
}

/* The bin in which the wanted-th largest lies; *above gets how many lie in higher bins. */
static uint32_t find_bin(size_t *above, const fathom_trainer *trainer, size_t wanted) {
    *above = 0;
    for (uint32_t bin = FATHOM__RADIX; bin-- > 0;) {
        size_t here = 0;
        for (uint32_t w = 0; w < trainer->n_workers; w++)
            here += trainer->workers[w].histogram[bin];
        if (*above + here >= wanted) return bin;
        *above += here;
    }
    return 0;
}

/* Keeps values above the cut and, in the order in which they were gathered, as many equal to it as there is room
 * for. */
static void keep(fathom_trainer *trainer, struct fathom__active *active, uint32_t cut, size_t equal) {
    memset(active->count, 0, trainer->n * sizeof *active->count);
    const size_t allowed = equal;
    for (int placing = 0; placing < 2; placing++) {
        equal = allowed;
        for (uint32_t w = 0; w < trainer->n_workers; w++) {
            const struct fathom__worker *own = &trainer->workers[w];
            for (size_t i = 0; i < own->n_harvest; i++) {
                const uint32_t bits = bits_of(own->harvest[i]), row = own->harvest_row[i];
                if (bits < cut || (bits == cut && equal == 0)) continue;
                if (bits == cut) equal--;
                if (placing) {
                    const uint32_t to = active->start[row] + active->count[row];
                    active->feature[to] = own->harvest_feature[i];
                    active->value[to] = own->harvest[i];
                }
                active->count[row]++;
            }
        }
        if (placing) break;
        uint32_t total = 0;
        for (size_t r = 0; r < trainer->n; r++) {
            active->start[r] = total;
            total += active->count[r];
            active->count[r] = 0;
        }
    }
}

static size_t gathered(const fathom_trainer *trainer) {
    size_t total = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        total += trainer->workers[w].n_harvest;
    return total;
}

/* Without a last batch: the mean of the rows' own k-th largest values. */
static int guess_floor(float *out, fathom_trainer *trainer, struct fathom__active *active) {
    const struct fathom_trainer_options *options = &trainer->options;
    int status = fathom__trainer_topk(active, trainer, trainer->product, trainer->encoder_bias.value,
                                      options->n_features, options->k);
    if (status) return status;
    double sum = 0;
    for (size_t r = 0; r < trainer->n; r++) {
        float least = 0;
        for (uint32_t i = 0; i < active->count[r]; i++)
            if (i == 0 || active->value[active->start[r] + i] < least) least = active->value[active->start[r] + i];
        sum += active->count[r] == options->k ? least : 0;
    }
    *out = (float)(sum / (double)trainer->n);
    return 0;
}

int fathom__trainer_batchtopk(struct fathom__active *active, float *least, fathom_trainer *trainer) {
    struct gathering gathering = {.trainer = trainer};
    size_t wanted = (size_t)trainer->options.k * trainer->n;
    int status = 0;
    float guess = trainer->floor;
    if (guess < 0) status = guess_floor(&guess, trainer, active);
    if (status) return status;
    guess *= FLOOR_GUESS;
    for (gathering.floor = guess;;) {
        status = fathom__trainer_run(trainer, gather, &gathering);
        if (status) return status;
        if (gathered(trainer) >= wanted || gathering.floor == 0) break;
        gathering.floor = gathering.floor * FLOOR_RETRY < guess * FLOOR_LOWEST ? 0 : gathering.floor * FLOOR_RETRY;
    }
    if (wanted > gathered(trainer)) wanted = gathered(trainer);
    const double begin = fathom__seconds();
    size_t higher = 0, above = 0;
    uint32_t cut = 0;
    if (wanted) {
        fathom__team_run(trainer->team, count_bits, &gathering);
        gathering.upper = find_bin(&higher, trainer, wanted);
        gathering.second = true;
        fathom__team_run(trainer->team, count_bits, &gathering);
        cut = gathering.upper << 16 | find_bin(&above, trainer, wanted - higher);
    }
    keep(trainer, active, cut, wanted - higher - above);
    memcpy(least, &cut, sizeof cut);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    return 0;
}
