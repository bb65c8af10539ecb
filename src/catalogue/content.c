#include "catalogue/content.h"

#include "base/error.h"
#include "base/memory.h"
#include "catalogue/pack.h"

#include <math.h>
#include <string.h>

enum { MOST_BLOB = 1 << 20 };

static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
    if (text)
        sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(statement, index);
}

static void bind_number(sqlite3_stmt *statement, int index, float value) {
    if (isfinite(value))
        sqlite3_bind_double(statement, index, (double)value);
    else
        sqlite3_bind_null(statement, index);
}

static int write_model(int64_t *id, const struct fathom__store *store, const struct fathom__content *content) {
    sqlite3_stmt *insert = NULL, *find = NULL;
    const struct fathom_model_info *model = content->model;
    bool row = false;
    int status;
    if ((status = fathom__store_prepare(
             &insert, store,
             "INSERT INTO models (identity, name, architecture, n_layers, d_model, n_vocab) VALUES (?, ?, ?, ?, ?, ?)"
             " ON CONFLICT (identity) DO UPDATE SET name = excluded.name")) ||
        (status = fathom__store_prepare(&find, store, "SELECT id FROM models WHERE identity = ?1")))
        goto done;
    bind_text(insert, 1, model->source_identity);
    bind_text(insert, 2, model->name);
    bind_text(insert, 3, model->architecture);
    sqlite3_bind_int64(insert, 4, model->n_layers);
    sqlite3_bind_int64(insert, 5, model->d_model);
    sqlite3_bind_int64(insert, 6, model->n_vocab);
    if ((status = fathom__store_do(store, insert))) goto done;
    bind_text(find, 1, model->source_identity);
    if (!(status = fathom__store_step(&row, store, find))) *id = sqlite3_column_int64(find, 0);
done:
    sqlite3_finalize(insert);
    sqlite3_finalize(find);
    return status;
}

/* Runs a statement with the dictionary's row as its only parameter. */
static int run_for(const struct fathom__store *store, const char *sql, int64_t dictionary) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(&statement, store, sql);
    if (status) return status;
    sqlite3_bind_int64(statement, 1, dictionary);
    status = fathom__store_do(store, statement);
    sqlite3_finalize(statement);
    return status;
}

/* Takes away what was there, people's labels excepted. */
static int clear(const struct fathom__store *store, int64_t dictionary) {
    static const char *const statements[] = {
        "DELETE FROM features WHERE dictionary = ?1",
        "DELETE FROM examples WHERE dictionary = ?1",
        "DELETE FROM passages WHERE dictionary = ?1",
        "DELETE FROM labels WHERE dictionary = ?1 AND origin = 'offline'",
        "DELETE FROM words WHERE rowid >= ?1 << 32 AND rowid < (?1 + 1) << 32",
    };
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < sizeof statements / sizeof *statements; i++)
        status = run_for(store, statements[i], dictionary);
    return status;
}

static int write_dictionary(int64_t *id, const struct fathom__store *store, const struct fathom__content *content,
                            int64_t model) {
    static const char sql[] = "INSERT INTO dictionaries (model, hash, name, hook, architecture, n_features, corpus, "
                              "settings, n_tokens, n_documents, has_text, made)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET model = "
                              "excluded.model, name = excluded.name,"
                              " corpus = excluded.corpus, settings = excluded.settings, n_tokens = excluded.n_tokens, "
                              "n_documents = excluded.n_documents,"
                              " has_text = excluded.has_text, made = excluded.made";
    const struct fathom_dictionary_info *info = content->dictionary;
    const struct fathom__evidence *evidence = content->stream->evidence;
    sqlite3_stmt *insert = NULL, *find = NULL;
    bool row = false;
    int status;
    if ((status = fathom__store_prepare(&insert, store, sql)) ||
        (status = fathom__store_prepare(&find, store, "SELECT id FROM dictionaries WHERE hash = ?1")))
        goto done;
    sqlite3_bind_int64(insert, 1, model);
    bind_text(insert, 2, content->hash);
    bind_text(insert, 3, info->name);
    bind_text(insert, 4, info->hook_in);
    bind_text(insert, 5, info->architecture);
    sqlite3_bind_int64(insert, 6, info->n_features);
    bind_text(insert, 7, content->corpus);
    bind_text(insert, 8, content->settings);
    sqlite3_bind_int64(insert, 9, (int64_t)evidence->n_covered);
    sqlite3_bind_int64(insert, 10, (int64_t)evidence->n_documents);
    sqlite3_bind_int(insert, 11, !content->no_text);
    bind_text(insert, 12, content->made);
    if ((status = fathom__store_do(store, insert))) goto done;
    bind_text(find, 1, content->hash);
    if (!(status = fathom__store_step(&row, store, find))) *id = sqlite3_column_int64(find, 0);
done:
    sqlite3_finalize(insert);
    sqlite3_finalize(find);
    return status;
}

static int pack_effects(struct fathom__buffer *out, const struct fathom_effect *effects) {
    int status = FATHOM_OK;
    for (int side = 0; !status && side < 2; side++) {
        uint64_t n = 0;
        while (n < FATHOM__EFFECTS && effects[side * FATHOM__EFFECTS + (int)n].token >= 0)
            n++;
        status = fathom__pack_integer(out, n);
        for (uint64_t i = 0; !status && i < n; i++) {
            const struct fathom_effect *effect = &effects[side * FATHOM__EFFECTS + (int)i];
            if (!(status = fathom__pack_integer(out, (uint64_t)effect->token)))
                status = fathom__pack_float(out, effect->value);
        }
    }
    return status;
}

static int pack_neighbours(struct fathom__buffer *out, const struct fathom_neighbour *neighbours, uint32_t n_features) {
    const uint64_t n = n_features > FATHOM__NEIGHBOURS ? FATHOM__NEIGHBOURS : n_features - 1;
    int status = fathom__pack_integer(out, n);
    for (uint64_t i = 0; !status && i < n; i++)
        if (!(status = fathom__pack_integer(out, neighbours[i].feature)))
            status = fathom__pack_float(out, neighbours[i].cosine);
    return status;
}

static int write_features(const struct fathom__store *store, const struct fathom__content *content,
                          int64_t dictionary) {
    const struct fathom__evidence *evidence = content->stream->evidence;
    struct fathom__buffer histogram = FATHOM__BUFFER_INIT(MOST_BLOB), effects = FATHOM__BUFFER_INIT(MOST_BLOB),
                          neighbours = FATHOM__BUFFER_INIT(MOST_BLOB);
    sqlite3_stmt *insert = NULL;
    int status = fathom__store_prepare(&insert, store, "INSERT INTO features VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (uint32_t f = 0; !status && f < evidence->n_features; f++) {
        const struct fathom__statistics *feature = &evidence->features[f];
        fathom__buffer_clear(&histogram);
        fathom__buffer_clear(&effects);
        fathom__buffer_clear(&neighbours);
        for (int bin = 0; !status && bin < FATHOM_HISTOGRAM_BINS; bin++)
            status = fathom__pack_integer(&histogram, feature->histogram[bin]);
        if (status || (status = pack_effects(&effects, content->effects + (size_t)f * 2 * FATHOM__EFFECTS)) ||
            (status = pack_neighbours(&neighbours, content->neighbours + (size_t)f * FATHOM__NEIGHBOURS,
                                      evidence->n_features)))
            break;
        sqlite3_bind_int64(insert, 1, dictionary);
        sqlite3_bind_int64(insert, 2, f);
        sqlite3_bind_int64(insert, 3, (int64_t)feature->count);
        sqlite3_bind_double(insert, 4, evidence->n_covered ? (double)feature->count / (double)evidence->n_covered : 0);
        sqlite3_bind_double(insert, 5, feature->count ? feature->sum / (double)feature->count : 0);
        sqlite3_bind_double(insert, 6, (double)feature->maximum);
        sqlite3_bind_double(insert, 7, (double)feature->histogram_top);
        sqlite3_bind_blob(insert, 8, histogram.bytes, (int)histogram.length, SQLITE_STATIC);
        sqlite3_bind_blob(insert, 9, effects.bytes, (int)effects.length, SQLITE_STATIC);
        sqlite3_bind_blob(insert, 10, neighbours.bytes, (int)neighbours.length, SQLITE_STATIC);
        status = fathom__store_do(store, insert);
    }
    sqlite3_finalize(insert);
    fathom__buffer_free(&histogram);
    fathom__buffer_free(&effects);
    fathom__buffer_free(&neighbours);
    return status;
}

static int write_labels(const struct fathom__store *store, const struct fathom__content *content, int64_t dictionary) {
    sqlite3_stmt *insert = NULL;
    int status = fathom__store_prepare(
        &insert, store,
        "INSERT OR REPLACE INTO labels (dictionary, feature, origin, text, rule, score, f1, precision, recall, "
        "prevalence,"
        " single_token, shuffled, n_active, n_inactive) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (size_t i = 0; !status && i < content->n_labels; i++) {
        const struct fathom_label *label = &content->labels[i].label;
        sqlite3_bind_int64(insert, 1, dictionary);
        sqlite3_bind_int64(insert, 2, content->labels[i].feature);
        bind_text(insert, 3, label->origin);
        bind_text(insert, 4, label->text);
        bind_text(insert, 5, label->rule);
        const float numbers[] = {label->score,      label->f1,           label->precision, label->recall,
                                 label->prevalence, label->single_token, label->shuffled};
        for (int j = 0; j < 7; j++)
            bind_number(insert, 6 + j, numbers[j]);
        sqlite3_bind_int64(insert, 13, label->n_active);
        sqlite3_bind_int64(insert, 14, label->n_inactive);
        status = fathom__store_do(store, insert);
    }
    sqlite3_finalize(insert);
    return status;
}

/* The different words (or tokens, where there is no word) at the peaks of the strongest examples. */
static int top_words(struct fathom__buffer *out, const struct fathom__content *content, uint32_t feature) {
    const struct fathom__stream *stream = content->stream;
    const struct fathom__evidence *evidence = stream->evidence;
    uint32_t seen[FATHOM__TOP_MOST];
    size_t n = 0;
    int status = FATHOM_OK;
    fathom__buffer_clear(out);
    for (uint32_t i = 0; !status && !content->no_text && i < evidence->features[feature].n_top; i++) {
        const uint32_t word = stream->words[evidence->top[(size_t)feature * evidence->n_top + i].row];
        bool known = !word;
        for (size_t j = 0; j < n; j++)
            known |= seen[j] == word;
        if (known) continue;
        seen[n++] = word;
        status = fathom__buffer_format(out, "%s ", fathom__stream_word(stream, word));
    }
    return status;
}

static const char insert_words[] =
    "INSERT INTO words (rowid, label, tokens) VALUES (?1, (SELECT coalesce(group_concat(text, ' '), '') FROM labels"
    " WHERE dictionary = ?2 AND feature = ?3), ?4)";

int fathom__words_set(const struct fathom__store *store, int64_t dictionary, uint32_t feature) {
    sqlite3_stmt *update = NULL;
    int status =
        fathom__store_prepare(&update, store,
                              "UPDATE words SET label = (SELECT coalesce(group_concat(text, ' '), '') FROM labels"
                              " WHERE dictionary = ?2 AND feature = ?3) WHERE rowid = ?1");
    if (status) return status;
    sqlite3_bind_int64(update, 1, fathom__words_row(dictionary, feature));
    sqlite3_bind_int64(update, 2, dictionary);
    sqlite3_bind_int64(update, 3, feature);
    status = fathom__store_do(store, update);
    sqlite3_finalize(update);
    return status;
}

static int write_words(const struct fathom__store *store, const struct fathom__content *content, int64_t dictionary) {
    struct fathom__buffer words = FATHOM__BUFFER_INIT(MOST_BLOB);
    sqlite3_stmt *insert = NULL;
    int status = fathom__store_prepare(&insert, store, insert_words);
    for (uint32_t f = 0; !status && f < content->stream->evidence->n_features; f++) {
        if ((status = top_words(&words, content, f))) break;
        sqlite3_bind_int64(insert, 1, fathom__words_row(dictionary, f));
        sqlite3_bind_int64(insert, 2, dictionary);
        sqlite3_bind_int64(insert, 3, f);
        sqlite3_bind_text(insert, 4, words.bytes ? words.bytes : "", -1, SQLITE_TRANSIENT);
        status = fathom__store_do(store, insert);
    }
    sqlite3_finalize(insert);
    fathom__buffer_free(&words);
    return status;
}

int fathom__content_write(struct fathom__store *store, const struct fathom__content *content) {
    int64_t model, dictionary;
    int status;
    if ((status = fathom__store_begin(store)) || (status = write_model(&model, store, content)) ||
        (status = write_dictionary(&dictionary, store, content, model)) || (status = clear(store, dictionary)) ||
        (status = write_features(store, content, dictionary)) ||
        (status = fathom__content_write_examples(store, content, dictionary)) ||
        (status = write_labels(store, content, dictionary)) || (status = write_words(store, content, dictionary)) ||
        (status = fathom__store_commit(store))) {
        sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL); /* the first error is the one to report */
        return status;
    }
    return FATHOM_OK;
}
