/* Labels by people. */
#include "base/error.h"
#include "base/utf8.h"
#include "catalogue/content.h"
#include "catalogue/label_history.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { MOST_LABEL_BYTES = 200, MOST_ORIGIN_BYTES = 40 };

static int check_text(const char *what, const char *text, size_t most) {
    const size_t length = strlen(text);
    if (!length || length > most)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s should have 1 to %zu bytes, not %zu", what, most, length);
    if (!fathom__utf8_valid(NULL, text, length))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s is not valid UTF-8", what);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ')
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s should be one line without control characters", what);
    return FATHOM_OK;
}

static int change(const struct fathom__store *store, int64_t dictionary, uint32_t feature, const char *text,
                  const char *origin) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(
        &statement, store,
        text ? "INSERT OR REPLACE INTO labels (dictionary, feature, origin, text) VALUES (?1, ?2, ?3, ?4)"
             : "DELETE FROM labels WHERE dictionary = ?1 AND feature = ?2 AND origin = ?3");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    sqlite3_bind_text(statement, 3, origin, -1, SQLITE_STATIC);
    if (text) sqlite3_bind_text(statement, 4, text, -1, SQLITE_STATIC);
    status = fathom__store_do(store, statement);
    sqlite3_finalize(statement);
    return status;
}

/* Opens the catalogue and finds the dictionary's row in it, for a feature that the dictionary has. */
static int open_for(struct fathom__store *store, int64_t *row, const char *path, const fathom_dictionary *dictionary,
                    uint32_t feature, const char *origin) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    int status = check_text("a label's origin", origin, MOST_ORIGIN_BYTES);
    if (status) return status;
    if (feature >= info->n_features)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "no feature %u: dictionary \"%s\" has features 0 to %u", feature,
                            info->name, info->n_features - 1);
    status = fathom__store_open(store, path, FATHOM__STORE_WRITE);
    return status ? status : fathom__store_dictionary(row, store, dictionary);
}

int fathom_catalogue_label(const char *path, const fathom_dictionary *dictionary, uint32_t feature, const char *text,
                           const char *origin) {
    struct fathom__store store = {0};
    int64_t row;
    int status;
    if (text && (status = check_text("a label", text, MOST_LABEL_BYTES))) return status;
    if (!(status = open_for(&store, &row, path, dictionary, feature, origin)) &&
        !(status = fathom__store_run(&store, "BEGIN IMMEDIATE")) &&
        !(status = change(&store, row, feature, text, origin)) &&
        !(status = fathom__label_history_add(&store, row, feature, text, origin)) &&
        !(status = fathom__words_set(&store, row, feature)))
        status = fathom__store_run(&store, "COMMIT");
    fathom__store_close(&store);
    return status;
}

static int check_rule(const char *rule) {
    json_t *value = json_loads(rule, JSON_REJECT_DUPLICATES, NULL);
    const bool object = json_is_object(value);
    json_decref(value);
    return object ? FATHOM_OK : fathom__fail(FATHOM_ERROR_ARGUMENT, "a label's rule should be a JSON object");
}

static int write_figures(const struct fathom__store *store, int64_t dictionary, uint32_t feature, const char *origin,
                         const struct fathom_label *measured) {
    const float numbers[] = {measured->score,      measured->f1,           measured->precision, measured->recall,
                             measured->prevalence, measured->single_token, measured->shuffled};
    enum { FIRST_NUMBER = 5, NUMBERS = sizeof numbers / sizeof *numbers };
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(
        &statement, store,
        "UPDATE labels SET rule = ?4, score = ?5, f1 = ?6, precision = ?7, recall = ?8, prevalence = ?9, single_token "
        "= "
        "?10, shuffled = ?11, n_active = ?12, n_inactive = ?13 WHERE dictionary = ?1 AND feature = ?2 AND origin = ?3");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    sqlite3_bind_text(statement, 3, origin, -1, SQLITE_STATIC);
    if (measured->rule) sqlite3_bind_text(statement, 4, measured->rule, -1, SQLITE_STATIC);
    for (int i = 0; i < NUMBERS; i++)
        if (isfinite(numbers[i])) sqlite3_bind_double(statement, FIRST_NUMBER + i, (double)numbers[i]);
    sqlite3_bind_int64(statement, FIRST_NUMBER + NUMBERS, measured->n_active);
    sqlite3_bind_int64(statement, FIRST_NUMBER + NUMBERS + 1, measured->n_inactive);
    status = fathom__store_do(store, statement);
    sqlite3_finalize(statement);
    if (!status && sqlite3_changes(store->database) == 0)
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "feature %u has no label of \"%s\"", feature, origin);
    return status;
}

int fathom_catalogue_label_measured(const char *path, const fathom_dictionary *dictionary, uint32_t feature,
                                    const char *origin, const struct fathom_label *measured) {
    struct fathom__store store = {0};
    int64_t row;
    int status = measured->rule ? check_rule(measured->rule) : FATHOM_OK;
    if (!status && !(status = open_for(&store, &row, path, dictionary, feature, origin)))
        status = write_figures(&store, row, feature, origin, measured);
    fathom__store_close(&store);
    return status;
}
