#include "catalogue/evidence.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DRAWN_PROPOSE = 256,
    DRAWN_HELD = 96,
    DRAWN_ALL = DRAWN_PROPOSE + 2 * DRAWN_HELD,
    MOST_ALIKE = 3, /* examples, or rows drawn, of one context */
};

/* The sequence at hand by feature: a chain of entries for each feature that occurs in it. */
struct fathom__evidence_scratch {
    uint32_t *heads;     /* [n_features]: entry + 1, 0 for none */
    uint32_t *chains;    /* [entries]: the next entry + 1 */
    uint32_t *positions; /* [entries] */
    uint32_t *touched;
    uint32_t *chain_positions; /* of one feature, with their values */
    float *chain_values;
    uint32_t *contexts; /* of the sequence's rows */
    size_t contexts_capacity, chains_capacity, positions_capacity, touched_capacity, chain_positions_capacity,
        chain_values_capacity;
};

enum fathom__role fathom__document_role(uint64_t document) {
    switch (document % FATHOM__ROLE_CYCLE) {
    case FATHOM__ROLE_CYCLE - 1: return FATHOM__TEST;
    case FATHOM__ROLE_CYCLE - 2: return FATHOM__CHOOSE;
    default: return FATHOM__PROPOSE;
    }
}

size_t fathom__drawn_capacity(enum fathom__role role) {
    return role == FATHOM__PROPOSE ? DRAWN_PROPOSE : DRAWN_HELD;
}

struct fathom__drawn *fathom__evidence_drawn(const struct fathom__evidence *evidence, uint32_t feature,
                                             enum fathom__role role) {
    static const size_t starts[FATHOM__ROLES] = {0, DRAWN_PROPOSE, DRAWN_PROPOSE + DRAWN_HELD};
    return evidence->drawn + (size_t)feature * DRAWN_ALL + starts[role];
}

int fathom__evidence_open(struct fathom__evidence **out, uint32_t n_features, uint32_t n_top, uint64_t seed) {
    struct fathom__evidence *evidence;
    if (!n_features || !n_top || n_top > FATHOM__TOP_MOST)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "examples a feature should be between 1 and %d, not %u",
                            FATHOM__TOP_MOST, n_top);
    int status = fathom__alloc(&evidence, 1, sizeof *evidence);
    if (status) return status;
    evidence->n_features = n_features;
    evidence->n_top = n_top;
    fathom__random_seed(&evidence->random, seed);
    if ((status = fathom__alloc(&evidence->features, n_features, sizeof *evidence->features)) ||
        (status = fathom__alloc(&evidence->top, (size_t)n_features * n_top, sizeof *evidence->top)) ||
        (status = fathom__alloc(&evidence->spread, (size_t)n_features * FATHOM__SPREAD, sizeof *evidence->spread)) ||
        (status = fathom__alloc(&evidence->drawn, (size_t)n_features * DRAWN_ALL, sizeof *evidence->drawn)) ||
        (status = fathom__alloc(&evidence->scratch, 1, sizeof *evidence->scratch)) ||
        (status = fathom__alloc(&evidence->scratch->heads, n_features, sizeof *evidence->scratch->heads)) ||
        (status =
             fathom__grow(&evidence->held_starts, &evidence->held_starts_capacity, 1, sizeof *evidence->held_starts))) {
        fathom__evidence_close(evidence);
        return status;
    }
    evidence->held_starts[0] = 0;
    *out = evidence;
    return FATHOM_OK;
}

void fathom__evidence_close(struct fathom__evidence *evidence) {
    if (!evidence) return;
    if (evidence->scratch) {
        fathom_free(evidence->scratch->heads);
        fathom_free(evidence->scratch->chains);
        fathom_free(evidence->scratch->positions);
        fathom_free(evidence->scratch->touched);
        fathom_free(evidence->scratch->chain_positions);
        fathom_free(evidence->scratch->chain_values);
        fathom_free(evidence->scratch->contexts);
    }
    fathom_free(evidence->scratch);
    fathom_free(evidence->features);
    fathom_free(evidence->top);
    fathom_free(evidence->spread);
    fathom_free(evidence->drawn);
    fathom_free(evidence->tokens);
    fathom_free(evidence->covered);
    fathom_free(evidence->sequences);
    fathom_free(evidence->held_rows);
    fathom_free(evidence->held_features);
    fathom_free(evidence->held_starts);
    fathom_free(evidence->active_starts);
    fathom_free(evidence->active_rows);
    fathom_free(evidence);
}

static void count_value(struct fathom__statistics *feature, float value) {
    feature->count++;
    feature->sum += (double)value;
    if (value > feature->maximum) feature->maximum = value;
    if (feature->histogram_top == 0) feature->histogram_top = value;
    while (value > feature->histogram_top) { /* twice the range in the same bins */
        for (int i = 0; i < FATHOM_HISTOGRAM_BINS / 2; i++)
            feature->histogram[i] = feature->histogram[2 * i] + feature->histogram[2 * i + 1];
        memset(feature->histogram + FATHOM_HISTOGRAM_BINS / 2, 0, sizeof feature->histogram / 2);
        feature->histogram_top *= 2;
    }
    const int bin = (int)ceilf(value / feature->histogram_top * FATHOM_HISTOGRAM_BINS) - 1;
    feature->histogram[bin < 0 ? 0 : bin >= FATHOM_HISTOGRAM_BINS ? FATHOM_HISTOGRAM_BINS - 1 : bin]++;
}

uint32_t fathom__token_context(const int32_t *tokens, size_t n, size_t at) {
    enum { BEFORE = 2, AFTER = 1 };
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, by tokens */
    for (size_t i = at > BEFORE ? at - BEFORE : 0; i <= at + AFTER && i < n; i++)
        hash = (hash ^ (uint32_t)tokens[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(hash ^ (hash >> 32));
}

/* The key of a draw without replacement with chances proportional to weight: the largest keys stay. */
static float draw_key(struct fathom__random *random, float weight) {
    double unit = fathom__random_unit(random);
    if (unit < 0x1p-53) unit = 0x1p-53;
    return (float)(log(unit) / (double)weight);
}

/* least: the smallest key, once all places are taken. */
static void offer_drawn(struct fathom__drawn *drawn, uint32_t *n, float *least, size_t capacity,
                        struct fathom__drawn offer) {
    if (*n == capacity && offer.key <= *least) return;
    size_t lowest = 0, alike = 0, lowest_alike = 0;
    for (size_t i = 0; i < *n; i++) {
        if (drawn[i].key < drawn[lowest].key) lowest = i;
        if (drawn[i].context != offer.context) continue;
        if (!alike++ || drawn[i].key < drawn[lowest_alike].key) lowest_alike = i;
    }
    if (alike >= MOST_ALIKE) {
        if (offer.key <= drawn[lowest_alike].key) return;
        lowest = lowest_alike;
    } else if (*n < capacity) {
        lowest = (*n)++;
    }
    drawn[lowest] = offer;
    if (*n < capacity) return;
    *least = drawn[0].key;
    for (size_t i = 1; i < capacity; i++)
        if (drawn[i].key < *least) *least = drawn[i].key;
}

static float rank_of(const struct fathom__peak *peak, bool by_key) {
    return by_key ? peak->key : peak->value;
}

/* Where an example would go among n places, NULL when it is too weak: by value, or by key when `by_key` is set. A
 * context has a few places at most, and among the strongest a document has one. */
static struct fathom__peak *find_place(struct fathom__peak *peaks, uint32_t *n, size_t capacity,
                                       const struct fathom__peak *offer, bool by_key) {
    struct fathom__peak *least = NULL, *least_alike = NULL;
    const float rank = rank_of(offer, by_key);
    size_t alike = 0;
    for (uint32_t i = 0; i < *n; i++) {
        if (!by_key && peaks[i].document == offer->document)
            return rank > rank_of(&peaks[i], by_key) ? &peaks[i] : NULL;
        if (!least || rank_of(&peaks[i], by_key) < rank_of(least, by_key)) least = &peaks[i];
        if (peaks[i].context != offer->context) continue;
        if (!alike++ || rank_of(&peaks[i], by_key) < rank_of(least_alike, by_key)) least_alike = &peaks[i];
    }
    if (alike >= MOST_ALIKE) return rank > rank_of(least_alike, by_key) ? least_alike : NULL;
    if (*n < capacity) return &peaks[(*n)++];
    return rank > rank_of(least, by_key) ? least : NULL;
}

/* A feature's entries in the sequence at hand, by position. */
struct entries {
    const uint32_t *positions;
    const float *values;
    size_t n;
    uint32_t first_row, document;
    const uint32_t *contexts; /* of the sequence's rows */
};

static struct fathom__peak peak_at(const struct entries *entries, size_t at, float key) {
    return (struct fathom__peak){.value = entries->values[at],
                                 .key = key,
                                 .row = entries->first_row + entries->positions[at],
                                 .document = entries->document,
                                 .context = entries->contexts[entries->positions[at]]};
}

/* The activations around. */
static void fill_levels(struct fathom__peak *peak, const struct entries *entries, size_t at) {
    size_t first = at, last = at;
    const uint32_t centre = entries->positions[at];
    while (first > 0 && entries->positions[first - 1] + FATHOM_EXAMPLE_BEFORE >= centre)
        first--;
    while (last + 1 < entries->n && entries->positions[last + 1] <= centre + FATHOM_EXAMPLE_AFTER)
        last++;
    for (size_t i = first; i <= last; i++)
        peak->scale = fmaxf(peak->scale, entries->values[i]);
    for (size_t i = first; i <= last; i++) {
        const float level = roundf(entries->values[i] / peak->scale * 255);
        peak->levels[entries->positions[i] + FATHOM_EXAMPLE_BEFORE - centre] = (uint8_t)(level < 1 ? 1 : level);
    }
}

static void offer_spread(struct fathom__evidence *evidence, struct fathom__peak *spread,
                         struct fathom__statistics *statistics, const struct entries *entries, size_t at) {
    const struct fathom__peak offer = peak_at(entries, at, draw_key(&evidence->random, entries->values[at]));
    if (statistics->n_spread == FATHOM__SPREAD && offer.key <= statistics->spread_least) return;
    struct fathom__peak *place = find_place(spread, &statistics->n_spread, FATHOM__SPREAD, &offer, true);
    if (!place) return;
    *place = offer;
    fill_levels(place, entries, at);
    if (statistics->n_spread < FATHOM__SPREAD) return;
    statistics->spread_least = spread[0].key;
    for (size_t i = 1; i < FATHOM__SPREAD; i++)
        statistics->spread_least = fminf(statistics->spread_least, spread[i].key);
}

static void take_entries(struct fathom__evidence *evidence, uint32_t feature, const struct entries *entries,
                         enum fathom__role role) {
    struct fathom__statistics *statistics = &evidence->features[feature];
    struct fathom__peak *top = evidence->top + (size_t)feature * evidence->n_top;
    struct fathom__peak *spread = evidence->spread + (size_t)feature * FATHOM__SPREAD;
    struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, feature, role);
    size_t strongest = 0;
    for (size_t i = 0; i < entries->n; i++) {
        const float value = entries->values[i];
        count_value(statistics, value);
        if (value > entries->values[strongest]) strongest = i;
        if (!evidence->quoted_done) offer_spread(evidence, spread, statistics, entries, i);
        const struct fathom__drawn offer = {entries->first_row + entries->positions[i], value,
                                            draw_key(&evidence->random, value * value),
                                            entries->contexts[entries->positions[i]]};
        offer_drawn(drawn, &statistics->n_drawn[role], &statistics->drawn_least[role], fathom__drawn_capacity(role),
                    offer);
    }
    if (evidence->quoted_done) return;
    const struct fathom__peak offer = peak_at(entries, strongest, 0);
    struct fathom__peak *place = find_place(top, &statistics->n_top, evidence->n_top, &offer, false);
    if (!place) return;
    *place = offer;
    fill_levels(place, entries, strongest);
}

static int take_features(struct fathom__evidence *evidence, const int32_t *tokens, size_t n, uint32_t first_row,
                         uint32_t document, const struct fathom_sparse *sparse, size_t first_sparse) {
    struct fathom__evidence_scratch *scratch = evidence->scratch;
    const size_t begin = sparse->offsets[first_sparse], end = sparse->offsets[first_sparse + n];
    size_t n_touched = 0;
    int status;
    if ((status = fathom__grow(&scratch->chains, &scratch->chains_capacity, end - begin, sizeof *scratch->chains)) ||
        (status = fathom__grow(&scratch->touched, &scratch->touched_capacity, end - begin, sizeof *scratch->touched)) ||
        (status = fathom__grow(&scratch->positions, &scratch->positions_capacity, end - begin,
                               sizeof *scratch->positions)) ||
        (status = fathom__grow(&scratch->chain_positions, &scratch->chain_positions_capacity, n,
                               sizeof *scratch->chain_positions)) ||
        (status =
             fathom__grow(&scratch->chain_values, &scratch->chain_values_capacity, n, sizeof *scratch->chain_values)) ||
        (status = fathom__grow(&scratch->contexts, &scratch->contexts_capacity, n, sizeof *scratch->contexts)))
        return status;
    for (size_t i = 0; i < n; i++)
        scratch->contexts[i] = fathom__token_context(tokens, n, i);
    /* Backwards, so that every chain runs forwards. */
    for (size_t row = n; row-- > 0;)
        for (size_t i = sparse->offsets[first_sparse + row + 1]; i-- > sparse->offsets[first_sparse + row];) {
            const uint32_t feature = sparse->features[i], entry = (uint32_t)(i - begin);
            if (!scratch->heads[feature]) scratch->touched[n_touched++] = feature;
            scratch->chains[entry] = scratch->heads[feature];
            scratch->heads[feature] = entry + 1;
            scratch->positions[entry] = (uint32_t)row;
        }
    while (n_touched-- > 0) {
        const uint32_t feature = scratch->touched[n_touched];
        size_t m = 0;
        for (uint32_t entry = scratch->heads[feature]; entry; entry = scratch->chains[entry - 1]) {
            scratch->chain_positions[m] = scratch->positions[entry - 1];
            scratch->chain_values[m++] = sparse->values[begin + entry - 1];
        }
        scratch->heads[feature] = 0;
        const struct entries entries = {scratch->chain_positions, scratch->chain_values, m, first_row, document,
                                        scratch->contexts};
        take_entries(evidence, feature, &entries, fathom__document_role(document));
    }
    return FATHOM_OK;
}

static int hold_out(struct fathom__evidence *evidence, size_t n, uint32_t first_row, const struct fathom_sparse *sparse,
                    size_t first_sparse) {
    const size_t begin = sparse->offsets[first_sparse], end = sparse->offsets[first_sparse + n];
    int status;
    if (evidence->held_full || evidence->n_pairs + (end - begin) > FATHOM__HELD_PAIRS) {
        evidence->held_full = true;
        return FATHOM_OK;
    }
    if ((status = fathom__grow(&evidence->held_rows, &evidence->held_rows_capacity, evidence->n_held + n,
                               sizeof *evidence->held_rows)) ||
        (status = fathom__grow(&evidence->held_starts, &evidence->held_starts_capacity, evidence->n_held + n + 1,
                               sizeof *evidence->held_starts)) ||
        (status = fathom__grow(&evidence->held_features, &evidence->held_features_capacity,
                               evidence->n_pairs + (end - begin), sizeof *evidence->held_features)))
        return status;
    if (end > begin)
        memcpy(evidence->held_features + evidence->n_pairs, sparse->features + begin,
               (end - begin) * sizeof *sparse->features);
    for (size_t i = 0; i < n; i++) {
        evidence->held_rows[evidence->n_held + i] = first_row + (uint32_t)i;
        evidence->held_starts[evidence->n_held + i + 1] =
            evidence->n_pairs + (sparse->offsets[first_sparse + i + 1] - begin);
    }
    evidence->n_held += n;
    evidence->n_pairs += end - begin;
    return FATHOM_OK;
}

int fathom__evidence_add(struct fathom__evidence *evidence, const int32_t *tokens, const bool *covered, size_t n,
                         uint64_t document, const struct fathom_sparse *sparse, size_t first_row) {
    int status;
    if (!n) return FATHOM_OK;
    if (evidence->n_rows + n > FATHOM_INDEX_TOKENS || document > UINT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "an index takes at most %llu tokens and 2^32 documents",
                            (unsigned long long)FATHOM_INDEX_TOKENS);
    if ((status = fathom__grow(&evidence->tokens, &evidence->tokens_capacity, evidence->n_rows + n,
                               sizeof *evidence->tokens)) ||
        (status = fathom__grow(&evidence->covered, &evidence->covered_capacity, evidence->n_rows + n, 1)) ||
        (status = fathom__grow(&evidence->sequences, &evidence->sequences_capacity, evidence->n_sequences + 1,
                               sizeof *evidence->sequences)))
        return status;
    const uint32_t first = (uint32_t)evidence->n_rows;
    if ((status = take_features(evidence, tokens, n, first, (uint32_t)document, sparse, first_row))) return status;
    if (fathom__document_role(document) != FATHOM__PROPOSE &&
        (status = hold_out(evidence, n, first, sparse, first_row)))
        return status;
    memcpy(evidence->tokens + first, tokens, n * sizeof *tokens);
    for (size_t i = 0; i < n; i++) {
        evidence->covered[first + i] = covered[i];
        evidence->n_covered += covered[i];
    }
    if (!evidence->n_sequences || evidence->sequences[evidence->n_sequences - 1].document != document)
        evidence->n_documents++;
    evidence->sequences[evidence->n_sequences++] = (struct fathom__sequence){first, (uint32_t)document};
    evidence->n_rows += n;
    if (document >= evidence->next_document) evidence->next_document = document + 1;
    return FATHOM_OK;
}

void fathom__evidence_end_quoted(struct fathom__evidence *evidence) {
    evidence->quoted_done = true;
    evidence->n_quoted_rows = evidence->n_rows;
    evidence->first_unquoted_document = evidence->next_document;
}

static int stronger_first(const void *left, const void *right) {
    const struct fathom__peak *a = left, *b = right;
    if (a->value != b->value) return a->value > b->value ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

int fathom__evidence_seal(struct fathom__evidence *evidence) {
    for (uint32_t f = 0; f < evidence->n_features; f++) {
        const struct fathom__statistics *feature = &evidence->features[f];
        qsort(evidence->top + (size_t)f * evidence->n_top, feature->n_top, sizeof *evidence->top, stronger_first);
        qsort(evidence->spread + (size_t)f * FATHOM__SPREAD, feature->n_spread, sizeof *evidence->spread,
              stronger_first);
    }
    size_t *next;
    int status = fathom__alloc(&next, evidence->n_features, sizeof *next);
    if (status) return status;
    fathom_free(evidence->active_starts);
    fathom_free(evidence->active_rows);
    evidence->active_starts = NULL;
    evidence->active_rows = NULL;
    if ((status = fathom__alloc(&evidence->active_starts, (size_t)evidence->n_features + 1,
                                sizeof *evidence->active_starts)) ||
        (status = fathom__alloc(&evidence->active_rows, evidence->n_pairs, sizeof *evidence->active_rows)))
        goto done;
    for (size_t i = 0; i < evidence->n_pairs; i++)
        evidence->active_starts[evidence->held_features[i] + 1]++;
    for (uint32_t f = 0; f < evidence->n_features; f++) {
        evidence->active_starts[f + 1] += evidence->active_starts[f];
        next[f] = evidence->active_starts[f];
    }
    for (size_t i = 0; i < evidence->n_held; i++)
        for (size_t j = evidence->held_starts[i]; j < evidence->held_starts[i + 1]; j++)
            evidence->active_rows[next[evidence->held_features[j]]++] = evidence->held_rows[i];
done:
    fathom_free(next);
    return status;
}

const struct fathom__sequence *fathom__evidence_sequence(const struct fathom__evidence *evidence, uint32_t row) {
    size_t low = 0, high = evidence->n_sequences;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (evidence->sequences[middle].first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return &evidence->sequences[low];
}

uint32_t fathom__evidence_sequence_end(const struct fathom__evidence *evidence,
                                       const struct fathom__sequence *sequence) {
    const size_t index = (size_t)(sequence - evidence->sequences);
    return index + 1 < evidence->n_sequences ? sequence[1].first_row : (uint32_t)evidence->n_rows;
}

bool fathom__evidence_active(const struct fathom__evidence *evidence, uint32_t feature, uint32_t row) {
    size_t low = evidence->active_starts[feature], high = evidence->active_starts[feature + 1];
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (evidence->active_rows[middle] == row) return true;
        if (evidence->active_rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
