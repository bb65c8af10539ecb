/* How often features are active: densities, their histogram, and what falls to frequent features. */
#include <base/memory.h>
#include <dictionary/evaluate_internal.h>
#include <math.h>

#define DENSE_PART 0.1
#define FREQUENT_PART 0.01
#define SPARSEST_EXPONENT (-5) /* of ten, where bin 1 begins */
#define BINS_A_DECADE 2

static int bin_of(double density) {
    if (density <= 0) return 0;
    const int bin = 1 + (int)floor((log10(density) - SPARSEST_EXPONENT) * BINS_A_DECADE);
    return bin < 1 ? 1 : bin >= FATHOM_DENSITY_BINS ? FATHOM_DENSITY_BINS - 1 : bin;
}

int fathom__evaluate_densities(struct fathom_evaluation *out, struct fathom_feature_quality *features,
                               const struct fathom_sparse *sparse, const uint32_t *sequences, uint32_t n_features) {
    uint32_t *fired = NULL, *in_sequences = NULL, *latest = NULL, frequent = 0, dense = 0;
    double all = 0, by_frequent = 0, by_dense = 0, sum = 0;
    const double n = (double)sparse->n_rows;
    int status = fathom__alloc(&fired, n_features, sizeof *fired);
    if (!status) status = fathom__alloc(&in_sequences, n_features, sizeof *in_sequences);
    if (!status) status = fathom__alloc(&latest, n_features, sizeof *latest); /* number of a sequence, plus one */
    if (status) goto done;
    for (size_t r = 0; r < sparse->n_rows; r++)
        for (size_t i = sparse->offsets[r]; i < sparse->offsets[r + 1]; i++) {
            const uint32_t f = sparse->features[i];
            fired[f]++;
            in_sequences[f] += latest[f] != sequences[r] + 1;
            latest[f] = sequences[r] + 1;
            sum += sparse->values[i];
        }
    for (uint32_t f = 0; f < n_features; f++) {
        const double density = fired[f] / n;
        out->density[bin_of(density)]++;
        all += fired[f];
        if (density > FREQUENT_PART) frequent++, by_frequent += fired[f];
        if (density > DENSE_PART) dense++, by_dense += fired[f];
        if (!features) continue;
        features[f].density = density;
        features[f].rows_a_sequence = fired[f] ? (double)fired[f] / in_sequences[f] : 0;
    }
    out->l0 = all / n;
    out->l1 = sum / n;
    out->silent_fraction = (double)out->density[0] / n_features;
    out->frequent_fraction = (double)frequent / n_features;
    out->dense_fraction = (double)dense / n_features;
    out->frequent_share = all > 0 ? by_frequent / all : 0;
    out->dense_share = all > 0 ? by_dense / all : 0;
done:
    fathom_free(fired);
    fathom_free(in_sequences);
    fathom_free(latest);
    return status;
}
