#include "catalogue/store.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "catalogue/schema.h"

#include <errno.h>
#include <fathom/model.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTED_DICTIONARIES = 8, MOST_VALUE_BYTES = 64 << 20 };

static int busy_milliseconds = 5000;

void fathom__store_patience(int milliseconds) {
    busy_milliseconds = milliseconds;
}

/* A quota or a limit on the file's size is an I/O error to SQLite: a write that the system refused with a reason, or
 * made in part only, without one. */
static bool is_full(const struct fathom__store *store, int code) {
    if ((code & 0xff) == SQLITE_FULL) return true;
    if (sqlite3_extended_errcode(store->database) != SQLITE_IOERR_WRITE) return false;
    const int reason = sqlite3_system_errno(store->database);
    return reason == 0 || reason == EDQUOT || reason == EFBIG;
}

int fathom__store_fail(const struct fathom__store *store, int code, const char *doing) {
    if (is_full(store, code))
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: cannot %s: the disk is full", store->path, doing);
    switch (code & 0xff) {
    case SQLITE_NOTADB:
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a SQLite file; a %s was expected", store->path,
                            store->kind->name);
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* a table or column is missing: someone else's hand */
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the %s is damaged: cannot %s: %s", store->path, store->kind->name,
                            doing, sqlite3_errmsg(store->database));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: locked by another process; cannot %s", store->path, doing);
    case SQLITE_READONLY:
        return fathom__fail(FATHOM_ERROR_IO, "%s: cannot %s: the file or its folder is read-only", store->path, doing);
    case SQLITE_NOMEM: return fathom__fail(FATHOM_ERROR_MEMORY, "%s: cannot %s: out of memory", store->path, doing);
    case SQLITE_TOOBIG:
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: cannot %s: a value is larger than SQLite takes", store->path,
                            doing);
    default:
        return fathom__fail(FATHOM_ERROR_IO, "%s: cannot %s: %s", store->path, doing, sqlite3_errmsg(store->database));
    }
}

int fathom__store_damaged(const struct fathom__store *store, const char *what) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the %s is damaged: %s", store->path, store->kind->name, what);
}

int fathom__store_run(const struct fathom__store *store, const char *sql) {
    const int code = sqlite3_exec(store->database, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? FATHOM_OK : fathom__store_fail(store, code, "run a statement");
}

int fathom__store_prepare(sqlite3_stmt **out, const struct fathom__store *store, const char *sql) {
    const int code = sqlite3_prepare_v2(store->database, sql, -1, out, NULL);
    return code == SQLITE_OK ? FATHOM_OK : fathom__store_fail(store, code, "read its tables");
}

int fathom__store_step(bool *row, const struct fathom__store *store, sqlite3_stmt *statement) {
    const int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fathom__store_fail(store, code, sqlite3_stmt_readonly(statement) ? "read" : "write");
    *row = code == SQLITE_ROW;
    return FATHOM_OK;
}

int fathom__store_do(const struct fathom__store *store, sqlite3_stmt *statement) {
    bool row;
    const int status = fathom__store_step(&row, store, statement);
    sqlite3_reset(statement);
    return status;
}

int fathom__store_line(const char **out, sqlite3_stmt *statement, int column) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    char *copy = NULL;
    const int status = text ? fathom__utf8_line(&copy, text, strlen(text)) : FATHOM_OK;
    *out = copy;
    return status;
}

static int read_number(int64_t *out, const struct fathom__store *store, const char *sql) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int status = fathom__store_prepare(&statement, store, sql);
    if (!status) status = fathom__store_step(&row, store, statement);
    if (!status) *out = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

/* Whether the file is of its kind, and of which version (0: an empty file). */
static int check_kind(int *version, const struct fathom__store *store, bool create) {
    int64_t application, user_version, pages, tables = 0;
    int status;
    if ((status = read_number(&application, store, "PRAGMA application_id")) ||
        (status = read_number(&user_version, store, "PRAGMA user_version")) ||
        (status = read_number(&pages, store, "PRAGMA page_count")) ||
        (pages && (status = read_number(&tables, store, "SELECT count(*) FROM sqlite_master"))))
        return status;
    if (create && !application && !user_version && !tables) {
        *version = 0;
        return FATHOM_OK;
    }
    const struct fathom__store_kind *kind = store->kind;
    if (application != kind->application)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a SQLite file, but not a %s", store->path, kind->name);
    if (user_version > kind->version)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: a %s of version %lld; this program reads up to version %d",
                            store->path, kind->name, (long long)user_version, kind->version);
    if (user_version < 1)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a %s of version %lld, which never was", store->path, kind->name,
                            (long long)user_version);
    *version = (int)user_version;
    return FATHOM_OK;
}

int fathom__store_begin(const struct fathom__store *store) {
    const int status = fathom__store_run(store, "BEGIN IMMEDIATE");
    return status || store->version == store->kind->version ? status : fathom__schema_migrate(store, store->version);
}

int fathom__store_commit(struct fathom__store *store) {
    const int status = fathom__store_run(store, "COMMIT");
    if (!status) store->version = store->kind->version;
    return status;
}

/* Whether a file can be written at all, before the long work that would end in it. */
static int try_writing(const struct fathom__store *store) {
    return fathom__store_run(store, "BEGIN IMMEDIATE; ROLLBACK");
}

/* A file that was begun and got no further is an empty one. */
static void remove_empty(const char *path) {
    struct stat about;
    if (stat(path, &about) == 0 && S_ISREG(about.st_mode) && about.st_size == 0) unlink(path);
}

int fathom__store_open(struct fathom__store *out, const char *path, enum fathom__store_mode mode) {
    return fathom__store_open_kind(out, path, mode, &fathom__catalogue_kind);
}

int fathom__store_open_kind(struct fathom__store *out, const char *path, enum fathom__store_mode mode,
                            const struct fathom__store_kind *kind) {
    const bool create = mode == FATHOM__STORE_CREATE || mode == FATHOM__STORE_BEGIN;
    struct fathom__store store = {.kind = kind, .begun = create && !fathom__file_exists(path)};
    int status = fathom__copy_string(&store.path, path);
    if (status) return status;
    if (!create && !fathom__file_exists(path)) {
        status = fathom__fail(FATHOM_ERROR_IO, "%s: no such file; a %s was expected", path, kind->name);
        goto done;
    }
    const int flags = mode == FATHOM__STORE_READ    ? SQLITE_OPEN_READONLY
                      : mode == FATHOM__STORE_WRITE ? SQLITE_OPEN_READWRITE
                                                    : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    const int code = sqlite3_open_v2(path, &store.database, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        status = store.database ? fathom__store_fail(&store, code, "open") : fathom__fail_memory(0);
        goto done;
    }
    sqlite3_busy_timeout(store.database, busy_milliseconds);
    sqlite3_limit(store.database, SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES);
    /* The file may come from strangers: nothing in its schema may call functions or write, and sizes in its pages are
     * checked. */
    sqlite3_db_config(store.database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store.database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store.database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(store.database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    if ((status = fathom__store_run(&store, "PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON"))) goto done;
    if ((status = check_kind(&store.version, &store, create))) goto done;
    if (mode == FATHOM__STORE_BEGIN && !store.version)
        status = try_writing(&store);
    else if (store.version < kind->version && !(status = fathom__store_begin(&store)))
        status = fathom__store_commit(&store);
done:
    if (status)
        fathom__store_close(&store);
    else
        *out = store;
    return status;
}

void fathom__store_close(struct fathom__store *store) {
    sqlite3_close_v2(store->database);
    if (store->begun && store->path && !store->version) remove_empty(store->path);
    fathom_free(store->path);
    *store = (struct fathom__store){0};
}

int fathom__dictionary_hash(char out[FATHOM__DICTIONARY_HASH_SIZE], const fathom_dictionary *dictionary) {
    const char *path = fathom_dictionary_describe(dictionary)->path;
    struct fathom__mapping file = {0};
    fathom__hash *hash = NULL;
    int status = fathom__file_map(&file, path);
    if (!status) status = fathom__hash_open(&hash);
    if (!status) {
        fathom__hash_add(hash, file.bytes, file.length);
        fathom__hash_text(out, hash);
    }
    fathom__hash_close(hash);
    fathom__file_unmap(&file);
    return status;
}

static int list_others(const struct fathom__store *store, const struct fathom_dictionary_info *wanted) {
    struct fathom__buffer names = FATHOM__BUFFER_INIT(4096);
    sqlite3_stmt *statement = NULL;
    bool row = true;
    bool same_model = false, any = false;
    int status =
        fathom__store_prepare(&statement, store,
                              "SELECT dictionaries.name, hook, models.name, models.identity = ?1 FROM dictionaries "
                              "JOIN models ON models.id = model ORDER BY dictionaries.id");
    if (!status) sqlite3_bind_text(statement, 1, wanted->model_identity, -1, SQLITE_STATIC);
    for (int i = 0; !status && row && i < LISTED_DICTIONARIES; i++) {
        if ((status = fathom__store_step(&row, store, statement)) || !row) break;
        const char *name = (const char *)sqlite3_column_text(statement, 0),
                   *hook = (const char *)sqlite3_column_text(statement, 1);
        const char *model = (const char *)sqlite3_column_text(statement, 2);
        any = true;
        same_model |= sqlite3_column_int(statement, 3) != 0;
        status = fathom__buffer_format(&names, "%s%s at %s of %s", i ? "; " : "", name ? name : "?", hook ? hook : "?",
                                       model ? model : "?");
    }
    if (status) goto done;
    if (!any)
        status =
            fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: an empty catalogue; build it by `fathom index`", store->path);
    else if (*wanted->model_identity && !same_model)
        status = fathom__fail(FATHOM_ERROR_MISMATCH,
                              "%s: a catalogue of another model than dictionary \"%s\" was trained on (%s): it has %s",
                              store->path, wanted->name, wanted->model_name, names.bytes);
    else
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND,
                              "%s: has nothing on dictionary \"%s\" (%s) as that file is now; it has %s", store->path,
                              wanted->name, wanted->path, names.bytes);
done:
    sqlite3_finalize(statement);
    fathom__buffer_free(&names);
    return status;
}

int fathom__store_dictionary(int64_t *id, const struct fathom__store *store, const fathom_dictionary *dictionary) {
    char hash[FATHOM__DICTIONARY_HASH_SIZE];
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int status = fathom__dictionary_hash(hash, dictionary);
    if (!status) status = fathom__store_prepare(&statement, store, "SELECT id FROM dictionaries WHERE hash = ?1");
    if (status) return status;
    sqlite3_bind_text(statement, 1, hash, -1, SQLITE_STATIC);
    status = fathom__store_step(&row, store, statement);
    if (!status && row) *id = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    if (!status && !row) status = list_others(store, fathom_dictionary_describe(dictionary));
    return status;
}
