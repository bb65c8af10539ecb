/* BatchTopK: the k·n strongest features of a whole batch, exactly.
 *
 * All pairs above a floor are gathered. The floor is a guess, a little below what the last batch needed; when fewer
 * than k·n pairs come, it is lowered and the batch is gathered again, so that the guess decides the cost and never the
 * result. The k·n-th value is then found by counting the upper and the lower halves of the values' bits, which order
 * positive floats as the floats themselves.
 */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

enum { RADIX = 65536 }; /* values of half a float's bits */
_Static_assert(RADIX == FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, "a histogram has the place of a tile");

#define FLOOR_GUESS 0.9F  /* of the last batch's least kept value */
#define FLOOR_RETRY 0.7F  /* each time too few pairs were found */
#define FLOOR_LOWEST 0.1F /* of the first guess; below that everything positive is taken */

struct counting {
    fathom_trainer *trainer;
    uint32_t upper; /* second count: the upper half that is looked into */
    bool second;
};

/* Where the product leaves its tiles, which is not needed between two runs. */
static uint32_t *histogram_of(const struct fathom__worker *own) {
    return (uint32_t *)(void *)own->tile;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void count_bits(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const struct counting *counting = payload;
    const struct fathom__worker *own = &counting->trainer->workers[worker];
    const float *values = fathom__gathered(&counting->trainer->main).value + own->part;
    uint32_t *histogram = histogram_of(own);
    memset(histogram, 0, RADIX * sizeof *histogram);
    for (size_t i = 0; i < own->n_gathered; i++) {
        const uint32_t bits = bits_of(values[i]);
        if (!counting->second)
            histogram[bits >> 16]++;
        else if (bits >> 16 == counting->upper)
            histogram[bits & (RADIX - 1)]++;
    }
}

/* The bin in which the wanted-th largest lies; *above gets how many lie in higher bins. */
static uint32_t find_bin(size_t *above, const fathom_trainer *trainer, size_t wanted) {
    *above = 0;
    for (uint32_t bin = RADIX; bin-- > 0;) {
        size_t here = 0;
        for (uint32_t w = 0; w < trainer->n_workers; w++)
            here += histogram_of(&trainer->workers[w])[bin];
        if (*above + here >= wanted) return bin;
        *above += here;
    }
    return 0;
}

/* Without a last batch: the mean of the rows' own k-th largest values. */
static int guess_floor(float *out, fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const struct fathom__active *active = &trainer->main;
    int status = fathom__trainer_topk(&trainer->main, trainer);
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

int fathom__trainer_batchtopk(float *least, fathom_trainer *trainer) {
    struct counting counting = {.trainer = trainer};
    int status = 0;
    size_t wanted = (size_t)trainer->options.k * trainer->n;
    float guess = trainer->floor;
    if (guess < 0) status = guess_floor(&guess, trainer);
    if (status) return status;
    guess *= FLOOR_GUESS;
    for (float floor = guess;;) {
        status = fathom__trainer_gather(trainer, trainer->encoder_bias.value, floor);
        if (status) return status;
        if (fathom__n_gathered(trainer) >= wanted || floor == 0) break;
        floor = floor * FLOOR_RETRY < guess * FLOOR_LOWEST ? 0 : floor * FLOOR_RETRY;
    }
    if (wanted > fathom__n_gathered(trainer)) wanted = fathom__n_gathered(trainer);
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
    memcpy(least, &cut, sizeof cut);
    status = fathom__trainer_keep(trainer, *least, wanted - higher - above, wanted);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    return status;
}

static int choose(float *least, fathom_trainer *trainer) {
    return fathom__trainer_batchtopk(least, trainer);
}

const struct fathom__architecture fathom__batchtopk = {
    .name = "batchtopk", .kind = "batchtopk", .exact = true, .batchwise = true, .choose = choose};
