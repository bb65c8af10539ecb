/* Rows that a label is scored on: active ones, weak as well as strong, and near misses. */
#include "catalogue/label_internal.h"

enum {
    BAND_PART = FATHOM__SAMPLE / FATHOM_BANDS, /* active rows of each quarter of the range */
    SAME_PART = FATHOM__SAMPLE * 3 / 8,        /* inactive rows with the words of active ones, */
    CONTEXT_PART = FATHOM__SAMPLE / 4,         /* after the words that active ones come after, */
    NEIGHBOUR_PART = FATHOM__SAMPLE / 8,       /* where a nearest feature is active; the rest are any rows */
    TRIES = 8,
    MOST_ALIKE = 2,    /* rows with the same tokens around them */
    LEAST_ACTIVE = 32, /* active rows below which such rows are taken all the same */
};

/* Rows as they are put together: few that read alike. */
struct gathering {
    const struct fathom__evidence *evidence;
    uint32_t *rows;
    size_t *n;
    uint32_t contexts[FATHOM__SAMPLE];
    size_t most_alike;
};

static bool add_row(struct gathering *out, size_t most, uint32_t row) {
    const struct fathom__sequence *sequence = fathom__evidence_sequence(out->evidence, row);
    const uint32_t first = sequence->first_row, end = fathom__evidence_sequence_end(out->evidence, sequence);
    const uint32_t context = fathom__token_context(out->evidence->tokens + first, end - first, row - first);
    size_t alike = 0;
    if (*out->n >= most) return false;
    for (size_t i = 0; i < *out->n; i++) {
        if (out->rows[i] == row) return false;
        alike += out->contexts[i] == context;
    }
    if (alike >= out->most_alike) return false;
    out->contexts[*out->n] = context;
    out->rows[(*out->n)++] = row;
    return true;
}

static enum fathom__role role_of(const struct fathom__evidence *evidence, uint32_t row) {
    return fathom__document_role(fathom__evidence_sequence(evidence, row)->document);
}

/* Evenly over the feature's range: as many of each upper quarter as of all its rows taken together, most of which lie
 * in the lowest one. */
static void take_active(struct gathering *out, uint32_t feature, enum fathom__role role, float least,
                        struct fathom__random *random) {
    const struct fathom__evidence *evidence = out->evidence;
    const struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, feature, role);
    const uint32_t n_drawn = evidence->features[feature].n_drawn[role];
    const float quarter = evidence->features[feature].maximum / FATHOM_BANDS;
    for (int band = FATHOM_BANDS - 1; band > 0; band--) {
        const size_t most = *out->n + BAND_PART;
        for (uint32_t i = 0; i < n_drawn; i++)
            if (drawn[i].value > least && drawn[i].value > quarter * (float)band &&
                drawn[i].value <= quarter * (float)(band + 1))
                add_row(out, most, drawn[i].row);
    }
    const size_t first = evidence->active_starts[feature], n = evidence->active_starts[feature + 1] - first;
    const size_t most = *out->n + BAND_PART > LEAST_ACTIVE ? *out->n + BAND_PART : LEAST_ACTIVE;
    for (int i = 0; n && least <= 0 && i < FATHOM__SAMPLE * TRIES && *out->n < most; i++) {
        const uint32_t row = evidence->active_rows[first + fathom__random_below(random, n)];
        if (role_of(evidence, row) == role) add_row(out, most, row);
    }
    /* Where the corpus has a feature in a few contexts only, those must do. */
    out->most_alike = FATHOM__SAMPLE;
    for (uint32_t i = 0; i < n_drawn && *out->n < LEAST_ACTIVE; i++)
        if (drawn[i].value > least) add_row(out, LEAST_ACTIVE, drawn[i].row);
}

static void add_inactive(struct gathering *out, uint32_t feature, uint32_t row, size_t most) {
    if (out->evidence->covered[row] && !fathom__evidence_active(out->evidence, feature, row)) add_row(out, most, row);
}

/* Rows with what an active row has at itself (back 0), or that come after what an active row comes after (back 1). */
static void take_alike(struct gathering *out, const struct fathom__sample *sample,
                       const struct fathom__label_context *context, uint32_t feature, enum fathom__role role,
                       struct fathom__random *random, uint32_t back, int part) {
    const struct fathom__stream *stream = context->stream;
    const struct fathom__evidence *evidence = stream->evidence;
    const struct fathom__held_index *held = &context->held[role];
    const size_t most = *out->n + (size_t)part;
    for (int i = 0; sample->n_active && i < part * TRIES && *out->n < most; i++) {
        const uint32_t active = sample->active[fathom__random_below(random, sample->n_active)];
        if (active < fathom__evidence_sequence(evidence, active)->first_row + back) continue;
        const uint32_t surface = fathom__surface(stream, active - back);
        const size_t first = held->surface_starts[surface], n = held->surface_starts[surface + 1] - first;
        if (!n) continue;
        const uint32_t alike = held->surface_rows[first + fathom__random_below(random, n)];
        if (alike + back < fathom__evidence_sequence_end(evidence, fathom__evidence_sequence(evidence, alike)))
            add_inactive(out, feature, alike + back, most);
    }
}

static void take_neighbours(struct gathering *out, const struct fathom__label_context *context, uint32_t feature,
                            enum fathom__role role, struct fathom__random *random) {
    const struct fathom__evidence *evidence = context->stream->evidence;
    const struct fathom_neighbour *neighbours = context->options->neighbours;
    const size_t most = *out->n + NEIGHBOUR_PART;
    if (!neighbours) return;
    for (int i = 0; i < NEIGHBOUR_PART * TRIES && *out->n < most; i++) {
        const uint32_t other =
            neighbours[(size_t)feature * FATHOM__NEIGHBOURS + fathom__random_below(random, FATHOM__NEIGHBOURS)].feature;
        const size_t first = evidence->active_starts[other], n = evidence->active_starts[other + 1] - first;
        if (!n) continue;
        const uint32_t row = evidence->active_rows[first + fathom__random_below(random, n)];
        if (role_of(evidence, row) == role) add_inactive(out, feature, row, most);
    }
}

void fathom__label_sample(struct fathom__sample *out, const struct fathom__label_context *context, uint32_t feature,
                          enum fathom__role role, float least, struct fathom__random *random) {
    const struct fathom__held_index *held = &context->held[role];
    struct gathering active = {
        .evidence = context->stream->evidence, .rows = out->active, .n = &out->n_active, .most_alike = MOST_ALIKE};
    struct gathering inactive = {
        .evidence = context->stream->evidence, .rows = out->inactive, .n = &out->n_inactive, .most_alike = MOST_ALIKE};
    out->n_active = out->n_inactive = 0;
    out->density =
        (double)context->stream->evidence->features[feature].count / ((double)context->stream->evidence->n_covered + 1);
    take_active(&active, feature, role, least, random);
    take_alike(&inactive, out, context, feature, role, random, 0, SAME_PART);
    take_alike(&inactive, out, context, feature, role, random, 1, CONTEXT_PART);
    take_neighbours(&inactive, context, feature, role, random);
    for (int i = 0; held->n_rows && i < FATHOM__SAMPLE * TRIES && out->n_inactive < FATHOM__SAMPLE; i++)
        add_inactive(&inactive, feature, held->rows[fathom__random_below(random, held->n_rows)], FATHOM__SAMPLE);
}
