/* Labels by people. */
#include "base/error.h"
#include "base/utf8.h"
#include "catalogue/content.h"

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

int fathom_catalogue_label(const char *path, const fathom_dictionary *dictionary, uint32_t feature, const char *text,
                           const char *origin) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom__store store = {0};
    int64_t row;
    int status;
    if ((text && (status = check_text("a label", text, MOST_LABEL_BYTES))) ||
        (status = check_text("a label's origin", origin, MOST_ORIGIN_BYTES)))
        return status;
    if (feature >= info->n_features)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "no feature %u: dictionary \"%s\" has features 0 to %u", feature,
                            info->name, info->n_features - 1);
    if ((status = fathom__store_open(&store, path, FATHOM__STORE_WRITE))) return status;
    if (!(status = fathom__store_dictionary(&row, &store, dictionary)) &&
        !(status = fathom__store_run(&store, "BEGIN IMMEDIATE")) &&
        !(status = change(&store, row, feature, text, origin)) && !(status = fathom__words_set(&store, row, feature)))
        status = fathom__store_run(&store, "COMMIT");
    fathom__store_close(&store);
    return status;
}
