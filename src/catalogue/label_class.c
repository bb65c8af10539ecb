/* Classes of words that a feature's words belong to more often than chance allows.
 *
 * Two hypergeometric tests must both hold, for either alone is fooled: over rows (a frequent word repeated would pass
 * for its class) and over different words (frequent words are met more easily than rare ones). The larger p-value
 * counts, corrected by Holm's step-down procedure for all the classes that were tried. The forms of one word are one
 * word: they are tested over rows alone. Of those that hold, the ones that set the feature apart most
 * (fathom__information) are proposed: the most specific class that still covers most.
 */
#include "base/memory.h"
#include "catalogue/label_internal.h"
#include "catalogue/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BEST_CLASSES = 8, MOST_TRIED = 4096, LEAST_FORMS = 2, LEAST_IDEA = 2 };
static const double ALPHA = 0.01;      /* family-wise */
static const double MOST_OF_ONE = 0.7; /* share of a class's places that one word may have */

struct tried {
    uint32_t class_id;
    double log_p, information;
    uint64_t rows; /* stands for the rows it was seen at */
    uint32_t uses; /* of forms: places of their head in the background */
};

static int most_certain(const void *left, const void *right) {
    const struct tried *a = left, *b = right;
    if (a->log_p != b->log_p) return a->log_p < b->log_p ? -1 : 1;
    return a->class_id < b->class_id ? -1 : a->class_id > b->class_id;
}

static int by_base(const void *left, const void *right) {
    const struct fathom__entry_base *a = left, *b = right;
    if (a->base != b->base) return a->base < b->base ? -1 : 1;
    if (a->form != b->form) return a->form < b->form ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

/* What is seen by its place in scratch->seen: `entry` is the index of its first sighting. */
static int list_seen(struct fathom__entry_base **out, size_t *n, const struct fathom__label_scratch *scratch,
                     const struct fathom__stream *stream) {
    const int status = fathom__alloc(out, scratch->n_seen, sizeof **out);
    *n = 0;
    for (size_t i = 0; !status && i < scratch->n_seen; i++)
        if (!i || scratch->seen[i].id != scratch->seen[i - 1].id)
            (*out)[(*n)++] = (struct fathom__entry_base){stream->entry_table.bases[scratch->seen[i].id],
                                                         stream->entry_table.forms[scratch->seen[i].id], (uint32_t)i};
    if (*n) qsort(*out, *n, sizeof **out, by_base);
    return status;
}

/* Adds the sightings of one entry, which begin at scratch->seen[first], to its classes. */
static void count_entry(struct fathom__label_scratch *scratch, size_t *n_touched,
                        const struct fathom__label_context *context, const struct fathom__entry_base *entry) {
    const uint32_t *classes;
    const uint32_t first = entry->entry, base = entry->base;
    const uint32_t id = scratch->seen[first].id;
    const size_t n_classes = fathom__entry_classes(&classes, context->stream, id);
    uint64_t rows[FATHOM__EVIDENCE_ROWS / 64] = {0};
    uint32_t n = 0;
    for (size_t i = first; i < scratch->n_seen && scratch->seen[i].id == id; i++, n++)
        rows[scratch->seen[i].row / 64] |= UINT64_C(1) << (scratch->seen[i].row % 64);
    for (size_t i = 0; i < n_classes; i++) {
        const uint32_t index = context->class_index[classes[i]];
        if (index == FATHOM__NO_CLASS) continue;
        struct fathom__class_seen *seen = &scratch->classes[index];
        if (!seen->n) scratch->touched[(*n_touched)++] = index;
        const bool fresh = !seen->n || seen->last_base != base;
        for (size_t w = 0; w < sizeof rows / sizeof *rows; w++)
            seen->rows[w] |= rows[w];
        seen->n += n;
        seen->forms += fresh || seen->last_form != entry->form;
        seen->last_form = entry->form;
        seen->bases += fresh;
        seen->of_last = fresh ? n : seen->of_last + n;
        seen->last_base = base;
        if (seen->of_last > seen->most) seen->most = seen->of_last;
    }
}

/* FNV-1a over words of 64 bits. */
static uint64_t number_of(const uint64_t *words, size_t n) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ words[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint32_t fathom__label_uses(const struct fathom__stream *stream, uint32_t class_id) {
    const char *kind;
    size_t length;
    uint32_t offset, word;
    const char *name = fathom__lexicon_class_name(&length, &kind, &offset, stream->lexicon, class_id);
    return fathom__intern_find(&word, &stream->word_table, name, length) ? stream->word_counts[word] : 0;
}

static size_t count_bits(const uint64_t *words, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (uint64_t left = words[i]; left; left &= left - 1)
            count++;
    return count;
}

/* How many rows and different words of the evidence have an entry at all. */
struct totals {
    size_t n_rows, rows_seen, bases_seen;
};

/* False when the class is not to be tried. */
static bool try_class(struct tried *out, const struct fathom__label_context *context, uint32_t index,
                      const struct fathom__class_seen *seen, const struct totals *totals, enum fathom__place place) {
    const struct fathom__stream *stream = context->stream;
    const struct fathom__class_count *count = &context->classes[index];
    const enum fathom__class_kind kind = fathom__lexicon_class_kind(stream->lexicon, count->class_id);
    const bool forms = kind == FATHOM__CLASS_FORMS;
    /* Around a row only what text is about says something: a word has its forms to itself, and every text pronouns. */
    if (place == FATHOM__NEAR && kind != FATHOM__CLASS_NOUN && kind != FATHOM__CLASS_TOPIC &&
        kind != FATHOM__CLASS_IDEA)
        return false;
    const uint32_t least = kind == FATHOM__CLASS_IDEA ? LEAST_IDEA : FATHOM__LEAST_BASES;
    if (forms ? seen->forms < LEAST_FORMS : seen->bases < least || (double)seen->most > MOST_OF_ONE * (double)seen->n)
        return false;
    const size_t different = count_bits(seen->rows, sizeof seen->rows / sizeof *seen->rows);
    const double share = fathom__label_share(stream, count->rows, place);
    uint64_t marked = count->rows;
    if (place == FATHOM__NEAR) { /* windows that hold a member, of as many windows as there are rows */
        const double some = fathom__label_share(stream, stream->n_entry_rows, place);
        marked = (uint64_t)(share / some * (double)stream->n_entry_rows);
    }
    double log_p = fathom__log_hypergeometric_tail(different, totals->rows_seen, marked, stream->n_entry_rows);
    if (!forms)
        log_p = fmax(log_p,
                     fathom__log_hypergeometric_tail(seen->bases, totals->bases_seen, count->bases, context->n_bases));
    const uint32_t uses = forms ? fathom__label_uses(stream, count->class_id) : 0;
    if (forms && !uses) return false;
    *out =
        (struct tried){count->class_id, log_p, fathom__information((double)different / (double)totals->n_rows, share),
                       number_of(seen->rows, sizeof seen->rows / sizeof *seen->rows), uses};
    return true;
}

/* Puts one among the best; of those that hold at the same rows only the most telling one is kept, and of equals the
 * one whose head is written most: "forms of ‘win’", not "of ‘winner’". Returns their number. */
static size_t add_best(struct tried best[BEST_CLASSES], size_t n, struct tried class) {
    for (size_t i = 0; i < n; i++)
        if (best[i].rows == class.rows) {
            if (best[i].information > class.information ||
                (best[i].information == class.information && best[i].uses >= class.uses))
                return n;
            memmove(best + i, best + i + 1, (--n - i) * sizeof *best);
            break;
        }
    size_t at = n < BEST_CLASSES ? n++ : BEST_CLASSES;
    for (; at > 0 && best[at - 1].information < class.information; at--)
        if (at < BEST_CLASSES) best[at] = best[at - 1];
    if (at < BEST_CLASSES) best[at] = class;
    return n;
}

/* Of those that Holm's procedure lets pass, the most telling ones, in order. */
static size_t best_classes(struct tried best[BEST_CLASSES], struct tried *tried, size_t n_tried) {
    size_t n_best = 0;
    if (n_tried) qsort(tried, n_tried, sizeof *tried, most_certain);
    for (size_t i = 0; i < n_tried && tried[i].log_p <= log(ALPHA / (double)(n_tried - i)); i++)
        n_best = add_best(best, n_best, tried[i]);
    return n_best;
}

int fathom__label_propose_classes(struct fathom__label_scratch *scratch, const struct fathom__label_context *context,
                                  const uint32_t *rows, size_t n_rows, enum fathom__place place) {
    const struct fathom__stream *stream = context->stream;
    struct fathom__entry_base *listed = NULL;
    struct tried *tried = NULL, best[BEST_CLASSES];
    struct totals totals = {.n_rows = n_rows};
    size_t n_listed = 0, n_touched = 0, n_tried = 0;
    bool row_seen[FATHOM__EVIDENCE_ROWS] = {false};
    int status;
    if (!stream->lexicon || !stream->n_entry_rows) return FATHOM_OK;
    if ((status = fathom__label_look(scratch, stream, rows, n_rows, place, FATHOM__SEE_ENTRIES)) ||
        (status = list_seen(&listed, &n_listed, scratch, stream)) ||
        (status = fathom__alloc(&tried, MOST_TRIED, sizeof *tried)))
        goto done;
    for (size_t i = 0; i < scratch->n_seen; i++) {
        totals.rows_seen += !row_seen[scratch->seen[i].row];
        row_seen[scratch->seen[i].row] = true;
    }
    for (size_t i = 0; i < n_listed; i++) {
        totals.bases_seen += !i || listed[i].base != listed[i - 1].base;
        count_entry(scratch, &n_touched, context, &listed[i]);
    }
    for (size_t i = 0; i < n_touched; i++) {
        struct fathom__class_seen *seen = &scratch->classes[scratch->touched[i]];
        if (n_tried < MOST_TRIED)
            n_tried += try_class(&tried[n_tried], context, scratch->touched[i], seen, &totals, place);
        memset(seen, 0, sizeof *seen);
    }
    const size_t n_best = best_classes(best, tried, n_tried);
    for (size_t i = 0; i < n_best && scratch->candidates.n < FATHOM__CANDIDATES; i++)
        scratch->candidates.rules[scratch->candidates.n++] = (struct fathom__rule){
            .n = 1, .conditions = {{.place = place, .kind = FATHOM__CLASS, .class_id = best[i].class_id}}};
done:
    fathom_free(listed);
    fathom_free(tried);
    return status;
}
