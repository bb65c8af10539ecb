/* Runs read back. */
#include <base/error.h>
#include <base/memory.h>
#include <catalogue/ledger.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

struct fathom_ledger_runs {
    struct fathom_ledger_run *runs; /* strings and arrays are owned */
    size_t n, capacity;
};

int fathom__ledger_missing(const fathom_ledger *ledger, int64_t number) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int status = fathom__store_prepare(&statement, &ledger->store, "SELECT max(number), count(*) FROM runs");
    if (!status) status = fathom__store_step(&row, &ledger->store, statement);
    if (!status) {
        const int64_t last = row ? sqlite3_column_int64(statement, 0) : 0,
                      n = row ? sqlite3_column_int64(statement, 1) : 0;
        status = n == 0 ? fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: there is no run %" PRId64 ", nor any other",
                                       ledger->store.path, number)
                        : fathom__fail(FATHOM_ERROR_NOT_FOUND,
                                       "%s: there is no run %" PRId64 "; %" PRId64 " are there, the last is %" PRId64,
                                       ledger->store.path, number, n, last);
    }
    sqlite3_finalize(statement);
    return status;
}

static int take_text(const char **out, sqlite3_stmt *statement, int column) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    char *copy = NULL;
    const int status = fathom__copy_string(&copy, text ? text : "");
    *out = copy;
    return status;
}

/* A number that was not finite is NULL in the file. */
static double take_number(sqlite3_stmt *statement, int column) {
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? NAN : sqlite3_column_double(statement, column);
}

static int read_dictionaries(struct fathom_ledger_run *run, const fathom_ledger *ledger) {
    struct fathom_ledger_dictionary *list = NULL;
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status = fathom__store_prepare(
        &statement, &ledger->store,
        "SELECT path, hook, hook_out, architecture, n_features, k, seed, finished, fve, l0, dead_fraction, threshold, "
        "steps, tokens FROM dictionaries WHERE run = ?1 ORDER BY number");
    if (!status) sqlite3_bind_int64(statement, 1, run->number);
    while (!status) {
        status = fathom__store_step(&row, &ledger->store, statement);
        if (status || !row) break;
        status = fathom__grow(&list, &capacity, run->n_dictionaries + 1, sizeof *list);
        run->dictionaries = list;
        if (status) break;
        struct fathom_ledger_dictionary *d = &list[run->n_dictionaries++];
        *d = (struct fathom_ledger_dictionary){.n_features = (uint32_t)sqlite3_column_int64(statement, 4),
                                               .k = (uint32_t)sqlite3_column_int64(statement, 5),
                                               .seed = (uint64_t)sqlite3_column_int64(statement, 6),
                                               .finished = sqlite3_column_int(statement, 7) != 0,
                                               .fve = take_number(statement, 8),
                                               .l0 = take_number(statement, 9),
                                               .dead_fraction = take_number(statement, 10),
                                               .threshold = take_number(statement, 11),
                                               .steps = (uint64_t)sqlite3_column_int64(statement, 12),
                                               .tokens = (uint64_t)sqlite3_column_int64(statement, 13)};
        status = take_text(&d->path, statement, 0);
        if (!status) status = take_text(&d->hook, statement, 1);
        if (!status && sqlite3_column_type(statement, 2) != SQLITE_NULL) status = take_text(&d->hook_out, statement, 2);
        if (!status) status = take_text(&d->architecture, statement, 3);
    }
    sqlite3_finalize(statement);
    return status;
}

static int read_points(struct fathom_ledger_run *run, const fathom_ledger *ledger) {
    struct fathom_ledger_point *list = NULL;
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status = fathom__store_prepare(&statement, &ledger->store,
                                       "SELECT dictionary, step, tokens, loss, fve, l0, dead_fraction, seconds FROM "
                                       "points WHERE run = ?1 ORDER BY dictionary, step");
    if (!status) sqlite3_bind_int64(statement, 1, run->number);
    while (!status) {
        status = fathom__store_step(&row, &ledger->store, statement);
        if (status || !row) break;
        status = fathom__grow(&list, &capacity, run->n_points + 1, sizeof *list);
        run->points = list;
        if (status) break;
        const int64_t dictionary = sqlite3_column_int64(statement, 0);
        if (dictionary < 0 || (uint64_t)dictionary >= run->n_dictionaries) {
            status = fathom__store_damaged(&ledger->store, "a point of a dictionary that there is not");
            break;
        }
        list[run->n_points++] = (struct fathom_ledger_point){(size_t)dictionary,
                                                             (uint64_t)sqlite3_column_int64(statement, 1),
                                                             (uint64_t)sqlite3_column_int64(statement, 2),
                                                             take_number(statement, 3),
                                                             take_number(statement, 4),
                                                             take_number(statement, 5),
                                                             take_number(statement, 6),
                                                             take_number(statement, 7)};
    }
    sqlite3_finalize(statement);
    return status;
}

#define COLUMNS                                                                                                        \
    "number, command, state, message, started, model_name, model_identity, corpus_hash, version, notes, seed, "        \
    "tokens, "                                                                                                         \
    "steps, seconds"

static int read_run(fathom_ledger_runs *runs, sqlite3_stmt *statement) {
    int status = fathom__grow(&runs->runs, &runs->capacity, runs->n + 1, sizeof *runs->runs);
    if (status) return status;
    struct fathom_ledger_run *run = &runs->runs[runs->n++];
    *run = (struct fathom_ledger_run){.number = sqlite3_column_int64(statement, 0),
                                      .seed = (uint64_t)sqlite3_column_int64(statement, 10),
                                      .tokens = (uint64_t)sqlite3_column_int64(statement, 11),
                                      .steps = (uint64_t)sqlite3_column_int64(statement, 12),
                                      .seconds = sqlite3_column_double(statement, 13)};
    const char **const texts[] = {&run->command,     &run->state,      &run->message,
                                  &run->started,     &run->model_name, &run->model_identity,
                                  &run->corpus_hash, &run->version,    &run->notes};
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !status; i++)
        status = take_text(texts[i], statement, 1 + (int)i);
    return status;
}

static int read_all(fathom_ledger_runs **out, const fathom_ledger *ledger, int64_t number) {
    fathom_ledger_runs *runs = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status = fathom__alloc(&runs, 1, sizeof *runs);
    if (status) return status;
    status = fathom__store_prepare(&statement, &ledger->store,
                                   number ? "SELECT " COLUMNS " FROM runs WHERE number = ?1"
                                          : "SELECT " COLUMNS " FROM runs ORDER BY number");
    if (!status && number) sqlite3_bind_int64(statement, 1, number);
    while (!status) {
        status = fathom__store_step(&row, &ledger->store, statement);
        if (status || !row) break;
        status = read_run(runs, statement);
        if (!status) status = read_dictionaries(&runs->runs[runs->n - 1], ledger);
        if (!status && number) status = read_points(&runs->runs[runs->n - 1], ledger);
    }
    sqlite3_finalize(statement);
    if (!status && number && runs->n == 0) status = fathom__ledger_missing(ledger, number);
    if (status)
        fathom_ledger_runs_free(runs);
    else
        *out = runs;
    return status;
}

int fathom_ledger_list(fathom_ledger_runs **out, fathom_ledger *ledger) {
    return read_all(out, ledger, 0);
}

int fathom_ledger_read(fathom_ledger_runs **out, fathom_ledger *ledger, int64_t number) {
    return number > 0 ? read_all(out, ledger, number) : fathom__ledger_missing(ledger, number);
}

const struct fathom_ledger_run *fathom_ledger_runs_get(size_t *n, const fathom_ledger_runs *runs) {
    *n = runs->n;
    return runs->runs;
}

static void free_text(const char *text) {
    fathom_free((void *)(uintptr_t)text);
}

static void free_run(const struct fathom_ledger_run *run) {
    for (size_t i = 0; i < run->n_dictionaries; i++) {
        free_text(run->dictionaries[i].path);
        free_text(run->dictionaries[i].hook);
        free_text(run->dictionaries[i].hook_out);
        free_text(run->dictionaries[i].architecture);
    }
    const char *const texts[] = {run->command,        run->state,       run->message, run->started, run->model_name,
                                 run->model_identity, run->corpus_hash, run->version, run->notes};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free_text(texts[i]);
    fathom_free((void *)(uintptr_t)run->dictionaries);
    fathom_free((void *)(uintptr_t)run->points);
}

void fathom_ledger_runs_free(fathom_ledger_runs *runs) {
    if (!runs) return;
    for (size_t i = 0; i < runs->n; i++)
        free_run(&runs->runs[i]);
    fathom_free(runs->runs);
    fathom_free(runs);
}
