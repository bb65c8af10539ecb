/* Classes of WordNet that a feature's words belong to more often than chance allows.
 *
 * Two hypergeometric tests must both hold, for either alone is fooled: over rows (a frequent word repeated would pass
 * for its class) and over different entries (frequent words are met more easily than rare ones). The larger p-value
 * counts, corrected by Holm's step-down procedure for all the classes that were tried. Of those that hold, the ones
 * that set the feature apart most (fathom__information) are proposed: the most specific class that still covers most.
 */
#include "base/memory.h"
#include "catalogue/label_internal.h"
#include "catalogue/statistics.h"

#include <math.h>
#include <stdlib.h>

enum {
    LEAST_ENTRIES = 3, /* different entries of a class in the evidence */
    BEST_CLASSES = 3,
    MOST_TRIED = 4096,
};
static const double ALPHA = 0.01;      /* family-wise */
static const double MOST_OF_ONE = 0.7; /* share of a class's rows that one entry may have */
static const double MOST_COMMON = 0.4; /* background share of entries above which a class says nothing ("entity") */

struct member {
    uint32_t synset, row, entry;
};

struct tried {
    uint32_t synset;
    double log_p, information;
};

static int by_synset(const void *left, const void *right) {
    const struct member *a = left, *b = right;
    if (a->synset != b->synset) return a->synset < b->synset ? -1 : 1;
    if (a->entry != b->entry) return a->entry < b->entry ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static int by_row(const void *left, const void *right) {
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static int most_certain(const void *left, const void *right) {
    const struct tried *a = left, *b = right;
    if (a->log_p != b->log_p) return a->log_p < b->log_p ? -1 : 1;
    return a->synset < b->synset ? -1 : a->synset > b->synset;
}

/* One class: its members in the evidence are members[0 … n), sorted by entry. False when it is not to be tried. */
static bool try_class(struct tried *out, const struct fathom__label_context *context, const struct member *members,
                      size_t n, size_t n_rows, size_t rows_seen, size_t entries_seen, enum fathom__place place) {
    const struct fathom__stream *stream = context->stream;
    uint32_t rows[FATHOM__EVIDENCE_ROWS * (FATHOM__NEAR_BEFORE + 1 + FATHOM__NEAR_AFTER)];
    const uint32_t synset = members[0].synset;
    size_t entries = 0, most = 0, run = 0, different = 0;
    for (size_t i = 0; i < n; i++) {
        run = i && members[i].entry == members[i - 1].entry ? run + 1 : 1;
        entries += run == 1;
        if (run > most) most = run;
        rows[i] = members[i].row;
    }
    if (entries < LEAST_ENTRIES || (double)most > MOST_OF_ONE * (double)n ||
        (double)context->class_rows[synset] > MOST_COMMON * (double)stream->n_entry_rows)
        return false;
    qsort(rows, n, sizeof *rows, by_row);
    for (size_t i = 0; i < n; i++)
        different += !i || rows[i] != rows[i - 1];
    const double share = fathom__label_share(stream, context->class_rows[synset], place);
    uint64_t marked = context->class_rows[synset];
    if (place == FATHOM__NEAR) { /* windows that hold a member, of as many windows as there are rows */
        const double some = fathom__label_share(stream, stream->n_entry_rows, place);
        marked = (uint64_t)(share / some * (double)stream->n_entry_rows);
    }
    const double by_rows = fathom__log_hypergeometric_tail(different, rows_seen, marked, stream->n_entry_rows);
    const double by_entries =
        fathom__log_hypergeometric_tail(entries, entries_seen, context->class_entries[synset], context->n_entries);
    *out = (struct tried){synset, by_rows > by_entries ? by_rows : by_entries,
                          fathom__information((double)different / (double)n_rows, share)};
    return true;
}

static int list_members(struct member **out, size_t *n, const struct fathom__label_scratch *scratch,
                        const struct fathom__stream *stream) {
    size_t total = 0, at = 0;
    const uint32_t *classes;
    for (size_t i = 0; i < scratch->n_seen; i++)
        total += fathom__entry_classes(&classes, stream, scratch->seen[i].id);
    const int status = fathom__alloc(out, total, sizeof **out);
    for (size_t i = 0; !status && i < scratch->n_seen; i++) {
        const struct fathom__seen *seen = &scratch->seen[i];
        const size_t n_classes = fathom__entry_classes(&classes, stream, seen->id);
        for (size_t j = 0; j < n_classes; j++)
            (*out)[at++] = (struct member){classes[j], seen->row, seen->id};
    }
    if (!status && total) qsort(*out, total, sizeof **out, by_synset);
    *n = total;
    return status;
}

/* Of those that Holm's procedure lets pass, the most telling ones, in order. */
static size_t best_classes(struct tried best[BEST_CLASSES], struct tried *tried, size_t n_tried) {
    size_t n_best = 0;
    qsort(tried, n_tried, sizeof *tried, most_certain);
    for (size_t i = 0; i < n_tried && tried[i].log_p <= log(ALPHA / (double)(n_tried - i)); i++) {
        size_t at = n_best < BEST_CLASSES ? n_best++ : BEST_CLASSES;
        for (; at > 0 && best[at - 1].information < tried[i].information; at--)
            if (at < BEST_CLASSES) best[at] = best[at - 1];
        if (at < BEST_CLASSES) best[at] = tried[i];
    }
    return n_best;
}

int fathom__label_propose_classes(struct fathom__label_scratch *scratch, const struct fathom__label_context *context,
                                  const uint32_t *rows, size_t n_rows, enum fathom__place place) {
    const struct fathom__stream *stream = context->stream;
    struct member *members = NULL;
    struct tried *tried = NULL, best[BEST_CLASSES];
    size_t n_members = 0, n_tried = 0, rows_seen = 0, entries_seen = 0;
    uint32_t seen_rows[FATHOM__EVIDENCE_ROWS] = {0};
    int status;
    if (!stream->wordnet || !stream->n_entry_rows || place == FATHOM__AFTER) return FATHOM_OK;
    if ((status = fathom__label_look(scratch, stream, rows, n_rows, place, FATHOM__SEE_ENTRIES)) ||
        (status = list_members(&members, &n_members, scratch, stream)) ||
        (status = fathom__alloc(&tried, MOST_TRIED, sizeof *tried)))
        goto done;
    for (size_t i = 0; i < scratch->n_seen; i++) {
        rows_seen += !seen_rows[scratch->seen[i].row];
        seen_rows[scratch->seen[i].row] = 1;
        entries_seen += !i || scratch->seen[i].id != scratch->seen[i - 1].id;
    }
    for (size_t i = 0, end; i < n_members && n_tried < MOST_TRIED; i = end) {
        for (end = i + 1; end < n_members && members[end].synset == members[i].synset;)
            end++;
        n_tried += try_class(&tried[n_tried], context, members + i, end - i, n_rows, rows_seen, entries_seen, place);
    }
    const size_t n_best = best_classes(best, tried, n_tried);
    for (size_t i = 0; i < n_best && scratch->candidates.n < FATHOM__CANDIDATES; i++)
        scratch->candidates.rules[scratch->candidates.n++] = (struct fathom__rule){
            .n = 1, .conditions = {{.place = place, .kind = FATHOM__CLASS, .synset = best[i].synset}}};
done:
    fathom_free(members);
    fathom_free(tried);
    return status;
}
