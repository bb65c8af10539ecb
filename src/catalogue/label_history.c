#include "catalogue/label_history.h"

#include "base/error.h"
#include "base/memory.h"
#include "catalogue/catalogue_internal.h"

#include <string.h>

enum { MOST_CHANGES = 100 };

static int step(const struct fathom__store *store, const char *sql, int64_t dictionary, uint32_t feature,
                const char *origin, const char *text) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(&statement, store, sql);
    if (status) return status;
    sqlite3_bind_int64(statement, 1, dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    sqlite3_bind_text(statement, 3, origin, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, text, -1, SQLITE_STATIC); /* NULL binds NULL */
    status = fathom__store_do(store, statement);
    sqlite3_finalize(statement);
    return status;
}

int fathom__label_history_add(const struct fathom__store *store, int64_t dictionary, uint32_t feature, const char *text,
                              const char *origin) {
    const int status = fathom__store_run(
        store,
        "CREATE TABLE IF NOT EXISTS label_changes (id INTEGER PRIMARY KEY, dictionary INTEGER NOT NULL REFERENCES "
        "dictionaries(id) ON DELETE CASCADE, feature INTEGER NOT NULL, origin TEXT NOT NULL, text TEXT, at TEXT "
        "NOT NULL);"
        "CREATE INDEX IF NOT EXISTS label_changes_feature ON label_changes(dictionary, feature)");
    return status ? status
                  : step(store,
                         "INSERT INTO label_changes (dictionary, feature, origin, text, at) VALUES (?1, ?2, ?3, ?4, "
                         "strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                         dictionary, feature, origin, text);
}

static int has_table(bool *out, const struct fathom__store *store) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(&statement, store,
                                       "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'label_changes'");
    if (!status) status = fathom__store_step(out, store, statement);
    sqlite3_finalize(statement);
    return status;
}

static int read_changes(struct fathom_label_change **out, size_t *n, const fathom_catalogue *catalogue,
                        uint32_t feature) {
    sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    bool row = false;
    int status = has_table(&row, &catalogue->store);
    if (status || !row) return status;
    status = fathom__store_prepare(&statement, &catalogue->store,
                                   "SELECT text, origin, at FROM label_changes WHERE dictionary = ?1 AND feature = ?2 "
                                   "ORDER BY id DESC LIMIT ?3");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    sqlite3_bind_int(statement, 3, MOST_CHANGES);
    while (!status && !(status = fathom__store_step(&row, &catalogue->store, statement)) && row) {
        if ((status = fathom__grow(out, &capacity, *n + 1, sizeof **out))) break;
        struct fathom_label_change *change = &(*out)[(*n)++];
        *change = (struct fathom_label_change){0};
        if (!(status = fathom__store_line(&change->text, statement, 0)) &&
            !(status = fathom__store_line(&change->origin, statement, 1)))
            status = fathom__store_line(&change->at, statement, 2);
    }
    sqlite3_finalize(statement);
    return status;
}

int fathom_catalogue_label_changes(struct fathom_label_change **out, size_t *n, fathom_catalogue *catalogue,
                                   uint32_t feature) {
    *out = NULL;
    *n = 0;
    if (feature >= catalogue->info.n_features)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "no feature %u: dictionary \"%s\" has features 0 to %u", feature,
                            catalogue->info.dictionary_name, catalogue->info.n_features - 1);
    const int status = read_changes(out, n, catalogue, feature);
    if (status) {
        fathom_label_changes_free(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return status;
}

static void free_const(const void *pointer) {
    fathom_free((void *)(uintptr_t)pointer);
}

void fathom_label_changes_free(struct fathom_label_change *changes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free_const(changes[i].text);
        free_const(changes[i].origin);
        free_const(changes[i].at);
    }
    fathom_free(changes);
}
