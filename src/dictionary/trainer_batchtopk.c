/* BatchTopK: the k·n strongest features of a whole batch, exactly.
 *
 * All pairs above a floor are gathered. The floor is a guess, a little below what the last batch needed; when fewer
 * than k·n pairs come, it is lowered and the batch is gathered again, so that the guess decides the cost and never the
 * result. The k·n-th value is then found by counting the upper and the lower halves of the values' bits, which order
 * positive floats as the floats themselves.
 */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

#define FLOOR_GUESS 0.9F  /* of the last batch's least kept value */
#define FLOOR_RETRY 0.7F  /* each time too few pairs were found */
#define FLOOR_LOWEST 0.1F /* of the first guess; below that everything positive is taken */

struct counting {
    fathom_trainer *trainer;
    uint32_t upper; /* second count: the upper half that is looked into */
    bool second;
};

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void count_bits(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const struct counting *counting = payload;
    struct fathom__worker *own = &counting->trainer->workers[worker];
    memset(own->histogram, 0, FATHOM__RADIX * sizeof *own->histogram);
    for (size_t i = 0; i < own->n_harvest; i++) {
        const uint32_t bits = bits_of(own->harvest[i]);
        if (!counting->second)
            own->histogram[bits >> 16]++;
        else if (bits >> 16 == counting->upper)
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
    int status = fathom__trainer_topk(active, trainer);
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
    struct counting counting = {.trainer = trainer};
    int status = 0;
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        if (!trainer->workers[w].histogram)
            status = fathom__alloc(&trainer->workers[w].histogram, FATHOM__RADIX, sizeof(uint32_t));
    if (status) return status;
    size_t wanted = (size_t)trainer->options.k * trainer->n;
    float guess = trainer->floor;
    if (guess < 0) status = guess_floor(&guess, trainer, active);
    if (status) return status;
    guess *= FLOOR_GUESS;
    for (float floor = guess;;) {
        status = fathom__trainer_gather(trainer, trainer->encoder_bias.value, floor);
        if (status) return status;
        if (gathered(trainer) >= wanted || floor == 0) break;
        floor = floor * FLOOR_RETRY < guess * FLOOR_LOWEST ? 0 : floor * FLOOR_RETRY;
    }
    if (wanted > gathered(trainer)) wanted = gathered(trainer);
    const double begin = fathom__seconds();
    size_t higher = 0, above = 0;
    uint32_t cut = 0;
    if (wanted) {
        fathom__team_run(trainer->team, count_bits, &counting);
        counting.upper = find_bin(&higher, trainer, wanted);
        counting.second = true;
        fathom__team_run(trainer->team, count_bits, &counting);
        cut = counting.upper << 16 | find_bin(&above, trainer, wanted - higher);
    }
    keep(trainer, active, cut, wanted - higher - above);
    memcpy(least, &cut, sizeof cut);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    return 0;
}

static int choose(float *least, fathom_trainer *trainer) {
    return fathom__trainer_batchtopk(&trainer->main, least, trainer);
}

const struct fathom__architecture fathom__batchtopk = {
    .name = "batchtopk", .kind = "batchtopk", .exact = true, .batchwise = true, .choose = choose};
