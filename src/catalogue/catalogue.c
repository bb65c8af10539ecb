#include "catalogue/catalogue_internal.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

#define MOST_TEXT_BYTES ((size_t)256 << 20)

/* Strings are collected in one buffer and remembered by where they begin, because the buffer moves while it grows. */
enum { TEXT_MODEL_NAME, TEXT_MODEL_IDENTITY, TEXT_DICTIONARY_NAME, TEXT_HOOK, TEXT_CORPUS, TEXTS };

static int add_text(size_t *place, struct fathom__buffer *texts, sqlite3_stmt *statement, int column) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    char *line = NULL;
    int status = fathom__utf8_line(&line, text ? text : "", text ? strlen(text) : 0);
    *place = texts->length;
    if (!status) status = fathom__buffer_append(texts, line, strlen(line) + 1);
    fathom_free(line);
    return status;
}

static int read_dictionary(size_t places[TEXTS], fathom_catalogue *catalogue, struct fathom__buffer *texts,
                           const fathom_dictionary *dictionary) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int status = fathom__store_prepare(
        &statement, &catalogue->store,
        "SELECT models.name, models.identity, dictionaries.name, hook, corpus, n_tokens, n_documents, n_features,"
        " has_text FROM dictionaries JOIN models ON models.id = model WHERE dictionaries.id = ?1");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    if ((status = fathom__store_step(&row, &catalogue->store, statement))) goto done;
    if (!row) {
        status = fathom__store_damaged(&catalogue->store, "a dictionary without a model");
        goto done;
    }
    for (int i = 0; !status && i < TEXTS; i++)
        status = add_text(&places[i], texts, statement, i);
    catalogue->info.n_tokens = (uint64_t)sqlite3_column_int64(statement, 5);
    catalogue->info.n_documents = (uint64_t)sqlite3_column_int64(statement, 6);
    catalogue->info.has_text = sqlite3_column_int(statement, 8) != 0;
    catalogue->info.n_features = fathom_dictionary_describe(dictionary)->n_features;
    if (!status && sqlite3_column_int64(statement, 7) != (int64_t)catalogue->info.n_features)
        status =
            fathom__store_damaged(&catalogue->store, "the dictionary's number of features differs from its file's");
done:
    sqlite3_finalize(statement);
    return status;
}

/* Figures are divided by and taken the logarithm of. */
static bool is_sound(const struct fathom_feature *feature, int64_t count) {
    if (count < 0 || !isfinite(feature->mean_active) || !isfinite(feature->max_activation)) return false;
    if (!(feature->density >= 0 && feature->density <= 1)) return false;
    return count == 0 || (feature->density > 0 && feature->max_activation > 0);
}

static int read_features(fathom_catalogue *catalogue) {
    const uint32_t n = catalogue->info.n_features;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status =
        fathom__store_prepare(&statement, &catalogue->store,
                              "SELECT number, count, density, mean, maximum FROM features WHERE dictionary = ?1");
    if (!status) sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    while (!status && !(status = fathom__store_step(&row, &catalogue->store, statement)) && row) {
        const int64_t number = sqlite3_column_int64(statement, 0);
        if (number < 0 || number >= n) {
            status = fathom__store_damaged(&catalogue->store, "a feature number out of range");
            break;
        }
        struct fathom_feature *feature = &catalogue->features[number];
        feature->count = (uint64_t)sqlite3_column_int64(statement, 1);
        feature->density = sqlite3_column_double(statement, 2);
        feature->mean_active = (float)sqlite3_column_double(statement, 3);
        feature->max_activation = (float)sqlite3_column_double(statement, 4);
        if (!is_sound(feature, sqlite3_column_int64(statement, 1))) {
            status = fathom__store_damaged(&catalogue->store, "a feature's count, density or activations");
            break;
        }
        catalogue->info.n_alive += feature->count > 0;
    }
    sqlite3_finalize(statement);
    return status;
}

/* The first label of each feature: a person's before the offline one, then by score. places: where each label and its
 * origin begin, 0 for none. */
static int read_labels(size_t *places, fathom_catalogue *catalogue, struct fathom__buffer *texts) {
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status = fathom__store_prepare(&statement, &catalogue->store,
                                       "SELECT feature, text, origin, score FROM labels WHERE dictionary = ?1"
                                       " ORDER BY feature, origin = 'offline', score DESC");
    if (!status) sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    while (!status && !(status = fathom__store_step(&row, &catalogue->store, statement)) && row) {
        const int64_t number = sqlite3_column_int64(statement, 0);
        if (number < 0 || number >= catalogue->info.n_features) {
            status = fathom__store_damaged(&catalogue->store, "a label of a feature that is not there");
            break;
        }
        if (places[2 * number]) continue;
        if (!(status = add_text(&places[2 * number], texts, statement, 1)))
            status = add_text(&places[2 * number + 1], texts, statement, 2);
        const float score = (float)sqlite3_column_double(statement, 3);
        if (sqlite3_column_type(statement, 3) != SQLITE_NULL && isfinite(score))
            catalogue->features[number].label_score = score;
        catalogue->info.n_labelled++;
    }
    sqlite3_finalize(statement);
    return status;
}

int fathom_catalogue_open(fathom_catalogue **out, const char *path, const fathom_dictionary *dictionary) {
    fathom_catalogue *catalogue;
    struct fathom__buffer texts = FATHOM__BUFFER_INIT(MOST_TEXT_BYTES);
    size_t *places = NULL, own[TEXTS];
    int status = fathom__alloc(&catalogue, 1, sizeof *catalogue);
    if (status) return status;
    if ((status = fathom__store_open(&catalogue->store, path, FATHOM__STORE_READ)) ||
        (status = fathom__store_dictionary(&catalogue->dictionary, &catalogue->store, dictionary)) ||
        (status = read_dictionary(own, catalogue, &texts, dictionary)) ||
        (status = fathom__alloc(&catalogue->features, catalogue->info.n_features, sizeof *catalogue->features)) ||
        (status = fathom__alloc(&places, 2 * (size_t)catalogue->info.n_features, sizeof *places)))
        goto done;
    for (uint32_t i = 0; i < catalogue->info.n_features; i++) {
        catalogue->features[i].number = i;
        catalogue->features[i].label_score = NAN;
    }
    if ((status = read_features(catalogue)) || (status = read_labels(places, catalogue, &texts)) ||
        (status = fathom__buffer_take(&catalogue->texts, &texts)))
        goto done;
    for (uint32_t i = 0; i < catalogue->info.n_features; i++)
        if (places[2 * i]) {
            catalogue->features[i].label = catalogue->texts + places[2 * i];
            catalogue->features[i].label_origin = catalogue->texts + places[2 * i + 1];
        }
    catalogue->info.path = catalogue->store.path;
    catalogue->info.model_name = catalogue->texts + own[TEXT_MODEL_NAME];
    catalogue->info.model_identity = catalogue->texts + own[TEXT_MODEL_IDENTITY];
    catalogue->info.dictionary_name = catalogue->texts + own[TEXT_DICTIONARY_NAME];
    catalogue->info.hook = catalogue->texts + own[TEXT_HOOK];
    catalogue->info.corpus = catalogue->texts + own[TEXT_CORPUS];
done:
    fathom_free(places);
    fathom__buffer_free(&texts);
    if (status)
        fathom_catalogue_close(catalogue);
    else
        *out = catalogue;
    return status;
}

void fathom_catalogue_close(fathom_catalogue *catalogue) {
    if (!catalogue) return;
    fathom__store_close(&catalogue->store);
    fathom_free(catalogue->features);
    fathom_free(catalogue->texts);
    fathom_free(catalogue);
}

const struct fathom_catalogue_info *fathom_catalogue_describe(const fathom_catalogue *catalogue) {
    return &catalogue->info;
}

const struct fathom_feature *fathom_catalogue_feature(const fathom_catalogue *catalogue, uint32_t feature) {
    return feature < catalogue->info.n_features ? &catalogue->features[feature] : NULL;
}
