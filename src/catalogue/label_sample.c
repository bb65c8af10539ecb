/* Rows that a label is scored on: active ones, weak as well as strong, and near misses. */
#include "catalogue/label_internal.h"

enum {
    DRAWN_PART = FATHOM__SAMPLE / 2,     /* active rows drawn by strength; the rest evenly */
    SAME_PART = FATHOM__SAMPLE / 2,      /* inactive rows with the words of active ones */
    NEIGHBOUR_PART = FATHOM__SAMPLE / 4, /* inactive rows where a nearest feature is active; the rest are any rows */
    TRIES = 8,
};

static bool add_row(uint32_t *rows, size_t *n, size_t most, uint32_t row) {
    if (*n >= most) return false;
    for (size_t i = 0; i < *n; i++)
        if (rows[i] == row) return false;
    rows[(*n)++] = row;
    return true;
}

static enum fathom__role role_of(const struct fathom__evidence *evidence, uint32_t row) {
    return fathom__document_role(fathom__evidence_sequence(evidence, row)->document);
}

static void take_active(struct fathom__sample *out, const struct fathom__evidence *evidence, uint32_t feature,
                        enum fathom__role role, struct fathom__random *random) {
    const struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, feature, role);
    const uint32_t n_drawn = evidence->features[feature].n_drawn[role];
    if (n_drawn <= DRAWN_PART) {
        for (uint32_t i = 0; i < n_drawn; i++)
            add_row(out->active, &out->n_active, DRAWN_PART, drawn[i].row);
    } else {
        for (int i = 0; i < DRAWN_PART * TRIES && out->n_active < DRAWN_PART; i++)
            add_row(out->active, &out->n_active, DRAWN_PART, drawn[fathom__random_below(random, n_drawn)].row);
    }
    const size_t first = evidence->active_starts[feature], n = evidence->active_starts[feature + 1] - first;
    for (int i = 0; n && i < FATHOM__SAMPLE * TRIES && out->n_active < FATHOM__SAMPLE; i++) {
        const uint32_t row = evidence->active_rows[first + fathom__random_below(random, n)];
        if (role_of(evidence, row) == role) add_row(out->active, &out->n_active, FATHOM__SAMPLE, row);
    }
}

static void add_inactive(struct fathom__sample *out, const struct fathom__evidence *evidence, uint32_t feature,
                         uint32_t row, size_t most) {
    if (evidence->covered[row] && !fathom__evidence_active(evidence, feature, row))
        add_row(out->inactive, &out->n_inactive, most, row);
}

static void take_same_words(struct fathom__sample *out, const struct fathom__label_context *context, uint32_t feature,
                            enum fathom__role role, struct fathom__random *random) {
    const struct fathom__held_index *held = &context->held[role];
    for (int i = 0; out->n_active && i < SAME_PART * TRIES && out->n_inactive < SAME_PART; i++) {
        const uint32_t surface =
            fathom__surface(context->stream, out->active[fathom__random_below(random, out->n_active)]);
        const size_t first = held->surface_starts[surface], n = held->surface_starts[surface + 1] - first;
        if (n)
            add_inactive(out, context->stream->evidence, feature,
                         held->surface_rows[first + fathom__random_below(random, n)], SAME_PART);
    }
}

static void take_neighbours(struct fathom__sample *out, const struct fathom__label_context *context, uint32_t feature,
                            enum fathom__role role, struct fathom__random *random) {
    const struct fathom__evidence *evidence = context->stream->evidence;
    const struct fathom_neighbour *neighbours = context->options->neighbours;
    const size_t most = out->n_inactive + NEIGHBOUR_PART;
    if (!neighbours) return;
    for (int i = 0; i < NEIGHBOUR_PART * TRIES && out->n_inactive < most; i++) {
        const uint32_t other =
            neighbours[(size_t)feature * FATHOM__NEIGHBOURS + fathom__random_below(random, FATHOM__NEIGHBOURS)].feature;
        const size_t first = evidence->active_starts[other], n = evidence->active_starts[other + 1] - first;
        if (!n) continue;
        const uint32_t row = evidence->active_rows[first + fathom__random_below(random, n)];
        if (role_of(evidence, row) == role) add_inactive(out, evidence, feature, row, most);
    }
}

void fathom__label_sample(struct fathom__sample *out, const struct fathom__label_context *context, uint32_t feature,
                          enum fathom__role role, struct fathom__random *random) {
    const struct fathom__held_index *held = &context->held[role];
    out->n_active = out->n_inactive = 0;
    take_active(out, context->stream->evidence, feature, role, random);
    take_same_words(out, context, feature, role, random);
    take_neighbours(out, context, feature, role, random);
    for (int i = 0; held->n_rows && i < FATHOM__SAMPLE * TRIES && out->n_inactive < FATHOM__SAMPLE; i++)
        add_inactive(out, context->stream->evidence, feature, held->rows[fathom__random_below(random, held->n_rows)],
                     FATHOM__SAMPLE);
}
