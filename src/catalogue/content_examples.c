/* Examples and the passages they are windows of: overlapping windows share one passage, so that no token is stored
 * twice. */
#include "base/memory.h"
#include "catalogue/content.h"
#include "catalogue/pack.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_BLOB = 1 << 20, SAME_AROUND = 5 };

struct window {
    uint32_t first, end; /* rows */
};

struct passages {
    struct window *windows; /* merged, ascending */
    int64_t *ids;
    size_t n, capacity;
};

static struct window window_of(const struct fathom__evidence *evidence, uint32_t row) {
    const struct fathom__sequence *sequence = fathom__evidence_sequence(evidence, row);
    const uint32_t end = fathom__evidence_sequence_end(evidence, sequence);
    return (struct window){row - sequence->first_row > FATHOM_EXAMPLE_BEFORE ? row - FATHOM_EXAMPLE_BEFORE
                                                                             : sequence->first_row,
                           end - row > FATHOM_EXAMPLE_AFTER ? row + FATHOM_EXAMPLE_AFTER + 1 : end};
}

static int by_key(const void *left, const void *right) {
    const struct fathom__peak *const *a = left, *const *b = right;
    if ((*a)->key != (*b)->key) return (*a)->key > (*b)->key ? -1 : 1;
    return (*a)->row < (*b)->row ? -1 : (*a)->row > (*b)->row;
}

/* The examples of a feature in the order of storage: the strongest, then n_band of each band as they were drawn; none
 * reads like one before it. */
struct picks {
    const struct fathom__peak *peaks[FATHOM__TOP_MOST + FATHOM__SPREAD];
    int bands[FATHOM__TOP_MOST + FATHOM__SPREAD];
    size_t n;
};

static int band_of(float value, float maximum) {
    const int band = (int)ceilf(value / maximum * FATHOM_BANDS);
    return band < 1 ? 1 : band > FATHOM_BANDS ? FATHOM_BANDS : band;
}

/* Whether two examples read the same around their peaks, as templates and copied passages do. */
static bool reads_the_same(const struct fathom__evidence *evidence, uint32_t left, uint32_t right) {
    const struct window a = window_of(evidence, left), b = window_of(evidence, right);
    for (int step = -SAME_AROUND; step <= SAME_AROUND; step++) {
        const int64_t i = (int64_t)left + step, j = (int64_t)right + step;
        const bool in_a = i >= a.first && i < a.end, in_b = j >= b.first && j < b.end;
        if (in_a != in_b || (in_a && evidence->tokens[i] != evidence->tokens[j])) return false;
    }
    return true;
}

static bool already_there(const struct picks *picks, const struct fathom__evidence *evidence, uint32_t row) {
    for (size_t i = 0; i < picks->n; i++)
        if (picks->peaks[i]->row == row || reads_the_same(evidence, picks->peaks[i]->row, row)) return true;
    return false;
}

static void add_pick(struct picks *picks, const struct fathom__peak *peak, int band) {
    picks->bands[picks->n] = band;
    picks->peaks[picks->n++] = peak;
}

static void pick_examples(struct picks *out, const struct fathom__content *content, uint32_t feature) {
    const struct fathom__evidence *evidence = content->stream->evidence;
    const struct fathom__statistics *statistics = &evidence->features[feature];
    const struct fathom__peak *top = evidence->top + (size_t)feature * evidence->n_top;
    const struct fathom__peak *spread = evidence->spread + (size_t)feature * FATHOM__SPREAD,
                              *drawn[FATHOM__SPREAD] = {0};
    out->n = 0;
    for (uint32_t i = 0; i < statistics->n_top && out->n < content->n_top; i++)
        if (!already_there(out, evidence, top[i].row)) add_pick(out, &top[i], 0);
    for (uint32_t i = 0; i < statistics->n_spread; i++)
        drawn[i] = &spread[i];
    qsort(drawn, statistics->n_spread, sizeof *drawn, by_key);
    for (int band = 1; band <= FATHOM_BANDS; band++) {
        uint32_t taken = 0;
        for (uint32_t i = 0; i < statistics->n_spread && taken < content->n_band; i++) {
            if (band_of(drawn[i]->value, statistics->maximum) != band || already_there(out, evidence, drawn[i]->row))
                continue;
            add_pick(out, drawn[i], band);
            taken++;
        }
    }
}

static int by_first(const void *left, const void *right) {
    const struct window *a = left, *b = right;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static int merge_windows(struct passages *out, const struct fathom__content *content) {
    const struct fathom__evidence *evidence = content->stream->evidence;
    struct picks picks;
    for (uint32_t f = 0; f < evidence->n_features; f++) {
        pick_examples(&picks, content, f);
        const int status = fathom__grow(&out->windows, &out->capacity, out->n + picks.n, sizeof *out->windows);
        if (status) return status;
        for (size_t i = 0; i < picks.n; i++)
            out->windows[out->n++] = window_of(evidence, picks.peaks[i]->row);
    }
    if (out->n) qsort(out->windows, out->n, sizeof *out->windows, by_first);
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++) {
        /* Windows lie within a sequence; one that begins where another sequence does is not joined to what ends
         * there. */
        const bool joins = n && out->windows[i].first <= out->windows[n - 1].end &&
                           fathom__evidence_sequence(evidence, out->windows[i].first) ==
                               fathom__evidence_sequence(evidence, out->windows[n - 1].first);
        if (!joins)
            out->windows[n++] = out->windows[i];
        else if (out->windows[i].end > out->windows[n - 1].end)
            out->windows[n - 1].end = out->windows[i].end;
    }
    out->n = n;
    return fathom__alloc(&out->ids, n, sizeof *out->ids);
}

static int write_passages(struct passages *passages, const struct fathom__store *store,
                          const struct fathom__content *content, int64_t dictionary) {
    const struct fathom__evidence *evidence = content->stream->evidence;
    struct fathom__buffer blob = FATHOM__BUFFER_INIT(MOST_BLOB);
    sqlite3_stmt *insert = NULL;
    int status = fathom__store_prepare(
        &insert, store, "INSERT INTO passages (dictionary, document, position, tokens) VALUES (?, ?, ?, ?)");
    for (size_t i = 0; !status && i < passages->n; i++) {
        const struct window *window = &passages->windows[i];
        const struct fathom__sequence *sequence = fathom__evidence_sequence(evidence, window->first);
        fathom__buffer_clear(&blob);
        for (uint32_t row = window->first; !status && row < window->end; row++)
            status = fathom__pack_integer(&blob, (uint64_t)evidence->tokens[row]);
        if (status) break;
        sqlite3_bind_int64(insert, 1, dictionary);
        sqlite3_bind_int64(insert, 2, sequence->document);
        sqlite3_bind_int64(insert, 3, window->first - sequence->first_row);
        sqlite3_bind_blob(insert, 4, blob.bytes, (int)blob.length, SQLITE_STATIC);
        status = fathom__store_do(store, insert);
        passages->ids[i] = sqlite3_last_insert_rowid(store->database);
    }
    sqlite3_finalize(insert);
    fathom__buffer_free(&blob);
    return status;
}

static size_t passage_of(const struct passages *passages, uint32_t row) {
    size_t low = 0, high = passages->n;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (passages->windows[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int pack_activations(struct fathom__buffer *out, const struct fathom__peak *peak, const struct window *window) {
    int status = fathom__pack_float(out, peak->scale);
    for (uint32_t i = 0; !status && i < window->end - window->first; i++) {
        const uint8_t level = peak->levels[window->first + i + FATHOM_EXAMPLE_BEFORE - peak->row];
        if (level && !(status = fathom__pack_byte(out, (uint8_t)i))) status = fathom__pack_byte(out, level);
    }
    return status;
}

static int write_examples(const struct fathom__store *store, const struct fathom__content *content, int64_t dictionary,
                          const struct passages *passages) {
    const struct fathom__evidence *evidence = content->stream->evidence;
    struct fathom__buffer blob = FATHOM__BUFFER_INIT(MOST_BLOB);
    struct picks picks;
    sqlite3_stmt *insert = NULL;
    int status =
        fathom__store_prepare(&insert, store, "INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (uint32_t f = 0; !status && f < evidence->n_features; f++) {
        pick_examples(&picks, content, f);
        for (size_t i = 0, rank = 0; !status && i < picks.n; i++) {
            const struct fathom__peak *peak = picks.peaks[i];
            const struct window window = window_of(evidence, peak->row);
            rank = i && picks.bands[i] == picks.bands[i - 1] ? rank + 1 : 0;
            fathom__buffer_clear(&blob);
            if ((status = pack_activations(&blob, peak, &window))) break;
            sqlite3_bind_int64(insert, 1, dictionary);
            sqlite3_bind_int64(insert, 2, f);
            sqlite3_bind_int(insert, 3, picks.bands[i]);
            sqlite3_bind_int64(insert, 4, (int64_t)rank);
            sqlite3_bind_double(insert, 5, (double)peak->value);
            sqlite3_bind_int64(insert, 6, peak->document);
            sqlite3_bind_int64(insert, 7, peak->row - fathom__evidence_sequence(evidence, peak->row)->first_row);
            if (!content->no_text) {
                const size_t passage = passage_of(passages, window.first);
                sqlite3_bind_int64(insert, 8, passages->ids[passage]);
                sqlite3_bind_int64(insert, 9, window.first - passages->windows[passage].first);
                sqlite3_bind_int64(insert, 10, window.end - window.first);
                sqlite3_bind_int64(insert, 11, peak->row - window.first);
                sqlite3_bind_blob(insert, 12, blob.bytes, (int)blob.length, SQLITE_STATIC);
            }
            status = fathom__store_do(store, insert);
        }
    }
    sqlite3_finalize(insert);
    fathom__buffer_free(&blob);
    return status;
}

int fathom__content_write_examples(const struct fathom__store *store, const struct fathom__content *content,
                                   int64_t dictionary) {
    struct passages passages = {0};
    int status = FATHOM_OK;
    if (!content->no_text && !(status = merge_windows(&passages, content)))
        status = write_passages(&passages, store, content, dictionary);
    if (!status) status = write_examples(store, content, dictionary, &passages);
    fathom_free(passages.windows);
    fathom_free(passages.ids);
    return status;
}
