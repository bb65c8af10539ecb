/* Features by words, by text and by output token. */
#include "catalogue/catalogue_internal.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "catalogue/pack.h"

#include <math.h>
#include <string.h>

enum { MOST_QUERY_BYTES = 1 << 16 };

/* Keeps the best hits in order; of equal ones the first come stays in front. */
static void keep(struct fathom_hit *hits, size_t *n, size_t capacity, struct fathom_hit hit) {
    if (!capacity || (*n == capacity && hits[*n - 1].score >= hit.score)) return;
    size_t at = *n < capacity ? (*n)++ : *n - 1;
    for (; at > 0 && hits[at - 1].score < hit.score; at--)
        hits[at] = hits[at - 1];
    hits[at] = hit;
}

static bool is_word_byte(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* "golden gate" becomes "golden"* "gate"*: in quotation marks no word is an operator. */
static int write_query(struct fathom__buffer *out, const char *words) {
    int status = FATHOM_OK;
    for (const char *c = words; !status && *c;) {
        size_t length = 0;
        while (is_word_byte((unsigned char)c[length]))
            length++;
        if (length && !(status = fathom__buffer_text(out, "\"")) && !(status = fathom__buffer_append(out, c, length)))
            status = fathom__buffer_text(out, "\"* ");
        c += length ? length : 1;
    }
    return status;
}

/* A word of a label counts for more than one of an example; a small rank is a good one. Features of one label stand
 * together, the one that it tells best in front. */
static const char search_words[] =
    "WITH hits(feature, label, rank) AS MATERIALIZED ("
    "  SELECT rowid, label, bm25(words, 4.0, 1.0) FROM words WHERE words MATCH ?1 AND rowid >= ?2 AND rowid < ?3)"
    " SELECT feature, -rank FROM hits ORDER BY"
    " min(rank) OVER (PARTITION BY CASE label WHEN '' THEN feature ELSE label END), label,"
    " (SELECT max(coalesce(score, 1)) FROM labels WHERE dictionary = ?5 AND labels.feature = (hits.feature & "
    "4294967295))"
    " DESC, feature LIMIT ?4";

int fathom_catalogue_search_words(struct fathom_hit *hits, size_t *n, size_t capacity, fathom_catalogue *catalogue,
                                  const char *words) {
    struct fathom__buffer query = FATHOM__BUFFER_INIT(MOST_QUERY_BYTES);
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    int status = write_query(&query, words);
    if (!status && !query.length) status = fathom__fail(FATHOM_ERROR_ARGUMENT, "a search needs at least one word");
    if (!status) status = fathom__store_prepare(&statement, &catalogue->store, search_words);
    if (status) goto done;
    sqlite3_bind_text(statement, 1, query.bytes, (int)query.length, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, fathom__words_row(catalogue->dictionary, 0));
    sqlite3_bind_int64(statement, 3, fathom__words_row(catalogue->dictionary + 1, 0));
    sqlite3_bind_int64(statement, 4, capacity < INT32_MAX ? (int64_t)capacity : INT32_MAX);
    sqlite3_bind_int64(statement, 5, catalogue->dictionary);
    while (!(status = fathom__store_step(&row, &catalogue->store, statement)) && row && count < capacity) {
        const uint32_t feature = (uint32_t)(sqlite3_column_int64(statement, 0) & UINT32_MAX);
        if (feature < catalogue->info.n_features)
            hits[count++] = (struct fathom_hit){feature, sqlite3_column_double(statement, 1)};
    }
    if (!status) *n = count;
done:
    sqlite3_finalize(statement);
    fathom__buffer_free(&query);
    return status;
}

int fathom_catalogue_search_text(struct fathom_hit *hits, size_t *n, size_t capacity, const fathom_catalogue *catalogue,
                                 const struct fathom_sparse *features) {
    double *scores;
    size_t count = 0;
    const int status = fathom__alloc(&scores, catalogue->info.n_features, sizeof *scores);
    if (status) return status;
    for (size_t i = 0; features->n_rows && i < features->offsets[features->n_rows]; i++) {
        if (features->features[i] >= catalogue->info.n_features) continue;
        const struct fathom_feature *feature = &catalogue->features[features->features[i]];
        if (feature->count)
            scores[feature->number] +=
                (double)(features->values[i] / feature->max_activation) * log(1 / feature->density);
    }
    for (uint32_t f = 0; f < catalogue->info.n_features; f++)
        if (scores[f] > 0) keep(hits, &count, capacity, (struct fathom_hit){f, scores[f]});
    *n = count;
    fathom_free(scores);
    return FATHOM_OK;
}

/* How strongly a token stands among the stored effects of one side; 0 when it does not. */
static int effect_on(double *out, const fathom_catalogue *catalogue, sqlite3_stmt *statement, int32_t token,
                     bool lowered) {
    struct fathom__unpack in;
    *out = 0;
    fathom__unpack_begin(&in, sqlite3_column_blob(statement, 1), (size_t)sqlite3_column_bytes(statement, 1));
    for (int side = 0; side < 2; side++) {
        const uint64_t n = fathom__unpack_integer(&in, FATHOM__EFFECTS);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t other = fathom__unpack_integer(&in, INT32_MAX);
            const float value = fathom__unpack_float(&in);
            if ((int32_t)other == token && side == lowered) *out = lowered ? -(double)value : (double)value;
        }
    }
    return fathom__unpack_done(&in) ? FATHOM_OK : fathom__store_damaged(&catalogue->store, "a feature's effects");
}

int fathom_catalogue_search_token(struct fathom_hit *hits, size_t *n, size_t capacity, fathom_catalogue *catalogue,
                                  int32_t token, bool lowered) {
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    int status = fathom__store_prepare(&statement, &catalogue->store,
                                       "SELECT number, effects FROM features WHERE dictionary = ?1 ORDER BY number");
    if (!status) sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    while (!status && !(status = fathom__store_step(&row, &catalogue->store, statement)) && row) {
        double value;
        const int64_t number = sqlite3_column_int64(statement, 0);
        if ((status = effect_on(&value, catalogue, statement, token, lowered))) break;
        if (value > 0 && number >= 0 && number < catalogue->info.n_features)
            keep(hits, &count, capacity, (struct fathom_hit){(uint32_t)number, value});
    }
    if (!status) *n = count;
    sqlite3_finalize(statement);
    return status;
}
