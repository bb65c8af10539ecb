/* Writing runs down. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <catalogue/ledger.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LEDGER_APPLICATION 0x46614c67 /* "FaLg", in SQLite's header */

static const char *const migrations[] = {
    "CREATE TABLE runs ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL"
    "  DEFAULT '', started TEXT NOT NULL, model_name TEXT NOT NULL, model_identity TEXT NOT NULL, corpus_hash TEXT NOT"
    "  NULL, version TEXT NOT NULL, notes TEXT NOT NULL DEFAULT '{}', seed INTEGER NOT NULL, tokens INTEGER NOT NULL,"
    "  steps INTEGER NOT NULL, seconds REAL NOT NULL DEFAULT 0);"
    "CREATE TABLE dictionaries ("
    "  run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE, number INTEGER NOT NULL, path TEXT NOT NULL,"
    "  hook TEXT NOT NULL, hook_out TEXT, architecture TEXT NOT NULL, n_features INTEGER NOT NULL, k INTEGER NOT NULL,"
    "  seed INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0, fve REAL, l0 REAL, dead_fraction REAL,"
    "  threshold REAL, steps INTEGER, tokens INTEGER, PRIMARY KEY (run, number)) WITHOUT ROWID;"
    "CREATE TABLE points ("
    "  run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE, dictionary INTEGER NOT NULL, step INTEGER NOT"
    "  NULL, tokens INTEGER NOT NULL, loss REAL, fve REAL, l0 REAL, dead_fraction REAL, seconds REAL,"
    "  PRIMARY KEY (run, dictionary, step)) WITHOUT ROWID;",
};
static const struct fathom__store_kind ledger_kind = {"ledger of runs", LEDGER_APPLICATION,
                                                      sizeof migrations / sizeof *migrations, migrations};

int fathom_ledger_path(char **out) {
    return fathom__data_path(out, "runs.sqlite");
}

int fathom_ledger_open(fathom_ledger **out, const char *path, bool write) {
    fathom_ledger *ledger = NULL;
    if (!write && fathom__file_exists(path) && !fathom__file_filled(path))
        return fathom__fail(FATHOM_ERROR_IO, "%s: an empty file; no run was written down yet", path);
    int status = fathom__alloc(&ledger, 1, sizeof *ledger);
    if (status) return status;
    status =
        fathom__store_open_kind(&ledger->store, path, write ? FATHOM__STORE_CREATE : FATHOM__STORE_READ, &ledger_kind);
    if (status)
        fathom_free(ledger);
    else
        *out = ledger;
    return status;
}

void fathom_ledger_close(fathom_ledger *ledger) {
    if (!ledger) return;
    fathom__store_close(&ledger->store);
    fathom_free(ledger);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
    sqlite3_bind_text(statement, index, text ? text : "", -1, SQLITE_STATIC);
}

/* What is not a number has no place in a curve: it becomes NULL. */
static void bind_number(sqlite3_stmt *statement, int index, double value) {
    if (isfinite(value))
        sqlite3_bind_double(statement, index, value);
    else
        sqlite3_bind_null(statement, index);
}

/* The last run that this one goes on with; 0: none. */
static int find_resumed(int64_t *number, const fathom_ledger *ledger, const struct fathom_ledger_run *run) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int status = fathom__store_prepare(
        &statement, &ledger->store,
        "SELECT runs.number FROM runs JOIN dictionaries ON dictionaries.run = runs.number AND dictionaries.number = 0 "
        "WHERE model_identity = ?1 AND corpus_hash = ?2 AND runs.seed = ?3 AND path = ?4 AND runs.tokens = ?5 AND "
        "state != 'done' ORDER BY runs.number DESC LIMIT 1");
    if (status) return status;
    bind_text(statement, 1, run->model_identity);
    bind_text(statement, 2, run->corpus_hash);
    sqlite3_bind_int64(statement, 3, (int64_t)run->seed);
    bind_text(statement, 4, run->n_dictionaries ? run->dictionaries[0].path : "");
    sqlite3_bind_int64(statement, 5, (int64_t)run->tokens);
    status = fathom__store_step(&row, &ledger->store, statement);
    if (!status) *number = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

static int go_on(const fathom_ledger *ledger, int64_t number, uint64_t step) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(&statement, &ledger->store, "DELETE FROM points WHERE run = ?1 AND step > ?2");
    if (!status) {
        sqlite3_bind_int64(statement, 1, number);
        sqlite3_bind_int64(statement, 2, (int64_t)step);
        status = fathom__store_do(&ledger->store, statement);
    }
    sqlite3_finalize(statement);
    statement = NULL;
    if (!status)
        status = fathom__store_prepare(&statement, &ledger->store,
                                       "UPDATE runs SET state = 'running', message = '' WHERE number = ?1");
    if (!status) {
        sqlite3_bind_int64(statement, 1, number);
        status = fathom__store_do(&ledger->store, statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static int insert_dictionaries(const fathom_ledger *ledger, int64_t number, const struct fathom_ledger_run *run) {
    sqlite3_stmt *statement = NULL;
    int status =
        fathom__store_prepare(&statement, &ledger->store,
                              "INSERT INTO dictionaries (run, number, path, hook, hook_out, architecture, n_features, "
                              "k, seed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    for (size_t i = 0; i < run->n_dictionaries && !status; i++) {
        const struct fathom_ledger_dictionary *d = &run->dictionaries[i];
        sqlite3_bind_int64(statement, 1, number);
        sqlite3_bind_int64(statement, 2, (int64_t)i);
        bind_text(statement, 3, d->path);
        bind_text(statement, 4, d->hook);
        sqlite3_bind_text(statement, 5, d->hook_out, -1, SQLITE_STATIC);
        bind_text(statement, 6, d->architecture);
        sqlite3_bind_int64(statement, 7, d->n_features);
        sqlite3_bind_int64(statement, 8, d->k);
        sqlite3_bind_int64(statement, 9, (int64_t)d->seed);
        status = fathom__store_do(&ledger->store, statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static int insert_run(int64_t *number, const fathom_ledger *ledger, const struct fathom_ledger_run *run) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(
        &statement, &ledger->store,
        "INSERT INTO runs (command, state, started, model_name, model_identity, corpus_hash, version, seed, tokens, "
        "steps) VALUES (?1, 'running', datetime('now'), ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    if (status) return status;
    bind_text(statement, 1, run->command);
    bind_text(statement, 2, run->model_name);
    bind_text(statement, 3, run->model_identity);
    bind_text(statement, 4, run->corpus_hash);
    bind_text(statement, 5, fathom_version());
    sqlite3_bind_int64(statement, 6, (int64_t)run->seed);
    sqlite3_bind_int64(statement, 7, (int64_t)run->tokens);
    sqlite3_bind_int64(statement, 8, (int64_t)run->steps);
    status = fathom__store_do(&ledger->store, statement);
    sqlite3_finalize(statement);
    if (status) return status;
    *number = sqlite3_last_insert_rowid(ledger->store.database);
    return insert_dictionaries(ledger, *number, run);
}

static int finish_transaction(const fathom_ledger *ledger, int status) {
    if (!status) status = fathom__store_run(&ledger->store, "COMMIT");
    if (status) sqlite3_exec(ledger->store.database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

int fathom_ledger_begin(int64_t *number, fathom_ledger *ledger, const struct fathom_ledger_run *run, bool resumed,
                        uint64_t resumed_step) {
    int64_t found = 0;
    int status = fathom__store_run(&ledger->store, "BEGIN IMMEDIATE");
    if (status) return status;
    if (resumed) status = find_resumed(&found, ledger, run);
    if (!status) status = found ? go_on(ledger, found, resumed_step) : insert_run(&found, ledger, run);
    status = finish_transaction(ledger, status);
    if (!status) *number = found;
    return status;
}

int fathom_ledger_add(fathom_ledger *ledger, int64_t number, const struct fathom_ledger_point *point) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(&statement, &ledger->store,
                                       "INSERT OR REPLACE INTO points VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, number);
    sqlite3_bind_int64(statement, 2, (int64_t)point->dictionary);
    sqlite3_bind_int64(statement, 3, (int64_t)point->step);
    sqlite3_bind_int64(statement, 4, (int64_t)point->tokens);
    bind_number(statement, 5, point->loss);
    bind_number(statement, 6, point->fve);
    bind_number(statement, 7, point->l0);
    bind_number(statement, 8, point->dead_fraction);
    bind_number(statement, 9, point->seconds);
    status = fathom__store_do(&ledger->store, statement);
    const bool taken_out = status && sqlite3_extended_errcode(ledger->store.database) == SQLITE_CONSTRAINT_FOREIGNKEY;
    sqlite3_finalize(statement);
    return taken_out ? fathom__ledger_missing(ledger, number) : status;
}

static int write_results(const fathom_ledger *ledger, int64_t number, const struct fathom_ledger_run *run) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(
        &statement, &ledger->store,
        "UPDATE dictionaries SET finished = 1, fve = ?3, l0 = ?4, dead_fraction = ?5, threshold = "
        "?6, steps = ?7, tokens = ?8 WHERE run = ?1 AND number = ?2");
    for (size_t i = 0; i < run->n_dictionaries && !status; i++) {
        const struct fathom_ledger_dictionary *d = &run->dictionaries[i];
        if (!d->finished) continue;
        sqlite3_bind_int64(statement, 1, number);
        sqlite3_bind_int64(statement, 2, (int64_t)i);
        bind_number(statement, 3, d->fve);
        bind_number(statement, 4, d->l0);
        bind_number(statement, 5, d->dead_fraction);
        bind_number(statement, 6, d->threshold);
        sqlite3_bind_int64(statement, 7, (int64_t)d->steps);
        sqlite3_bind_int64(statement, 8, (int64_t)d->tokens);
        status = fathom__store_do(&ledger->store, statement);
    }
    sqlite3_finalize(statement);
    return status;
}

int fathom_ledger_end(fathom_ledger *ledger, int64_t number, const struct fathom_ledger_run *run) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_run(&ledger->store, "BEGIN IMMEDIATE");
    if (status) return status;
    status = fathom__store_prepare(&statement, &ledger->store,
                                   "UPDATE runs SET state = ?2, message = ?3, seconds = ?4 WHERE number = ?1");
    if (!status) {
        sqlite3_bind_int64(statement, 1, number);
        bind_text(statement, 2, run->state);
        bind_text(statement, 3, run->message);
        sqlite3_bind_double(statement, 4, isfinite(run->seconds) ? run->seconds : 0);
        status = fathom__store_do(&ledger->store, statement);
    }
    sqlite3_finalize(statement);
    if (!status && sqlite3_changes(ledger->store.database) == 0) status = fathom__ledger_missing(ledger, number);
    if (!status) status = write_results(ledger, number, run);
    return finish_transaction(ledger, status);
}

static int read_notes(json_t **out, const fathom_ledger *ledger, int64_t number) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int status = fathom__store_prepare(&statement, &ledger->store, "SELECT notes FROM runs WHERE number = ?1");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, number);
    status = fathom__store_step(&row, &ledger->store, statement);
    if (!status && row)
        status = fathom__json_parse(out, (const char *)sqlite3_column_text(statement, 0),
                                    (size_t)sqlite3_column_bytes(statement, 0), ledger->store.path);
    sqlite3_finalize(statement);
    return !status && !row ? fathom__ledger_missing(ledger, number) : status;
}

int fathom_ledger_note(fathom_ledger *ledger, int64_t number, const char *key, const char *json) {
    json_t *value = NULL, *notes = NULL;
    char *text = NULL;
    sqlite3_stmt *statement = NULL;
    int status = fathom__json_parse(&value, json, strlen(json), key);
    if (!status) status = fathom__store_run(&ledger->store, "BEGIN IMMEDIATE");
    if (status) {
        json_decref(value);
        return status;
    }
    status = read_notes(&notes, ledger, number);
    if (!status && json_object_set(notes, key, value))
        status = fathom__store_damaged(&ledger->store, "a run's notes are no object");
    if (!status) status = fathom__json_text(&text, notes, false);
    if (!status)
        status = fathom__store_prepare(&statement, &ledger->store, "UPDATE runs SET notes = ?2 WHERE number = ?1");
    if (!status) {
        sqlite3_bind_int64(statement, 1, number);
        bind_text(statement, 2, text);
        status = fathom__store_do(&ledger->store, statement);
    }
    sqlite3_finalize(statement);
    json_decref(value);
    json_decref(notes);
    fathom_free(text);
    return finish_transaction(ledger, status);
}

int fathom_ledger_remove(fathom_ledger *ledger, int64_t number) {
    sqlite3_stmt *statement = NULL;
    int status = fathom__store_prepare(&statement, &ledger->store, "DELETE FROM runs WHERE number = ?1");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, number);
    status = fathom__store_do(&ledger->store, statement);
    sqlite3_finalize(statement);
    if (!status && sqlite3_changes(ledger->store.database) == 0) status = fathom__ledger_missing(ledger, number);
    return status;
}
