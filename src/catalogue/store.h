/* The SQLite file: opening it with every check, and SQLite's errors as ours. */
#ifndef FATHOM_CATALOGUE_STORE_H
#define FATHOM_CATALOGUE_STORE_H

#include <fathom/dictionary.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define FATHOM__STORE_APPLICATION 0x4661746d /* "Fatm", in SQLite's header */
#define FATHOM__STORE_VERSION 1
#define FATHOM__DICTIONARY_HASH_SIZE 33

/* What a file is for: its mark in SQLite's header, and the statements that bring it from each version to the next. */
struct fathom__store_kind {
    const char *name; /* with an "a" before it */
    int32_t application;
    int version;
    const char *const *migrations; /* [version]; a released one is never edited */
};
extern const struct fathom__store_kind fathom__catalogue_kind;

struct fathom__store {
    sqlite3 *database;
    char *path;
    const struct fathom__store_kind *kind;
    int version; /* of the file; 0: it is still empty */
    bool begun;  /* the file was not there before: it is removed when it is closed empty */
};

enum fathom__store_mode {
    FATHOM__STORE_READ,
    FATHOM__STORE_WRITE,  /* an existing catalogue */
    FATHOM__STORE_CREATE, /* made when missing or empty */
    FATHOM__STORE_BEGIN   /* the same, but made by fathom__store_begin: it is nothing before there is something in it */
};

/* Errors: IO, FORMAT, UNSUPPORTED (a newer version), LIMIT (locked), MEMORY. */
int fathom__store_open_kind(struct fathom__store *out, const char *path, enum fathom__store_mode mode,
                            const struct fathom__store_kind *kind);
/* The same for a catalogue. */
int fathom__store_open(struct fathom__store *out, const char *path, enum fathom__store_mode mode);
void fathom__store_close(struct fathom__store *store); /* rolls back what was not committed */
/* Begins a transaction, in which an empty file becomes one of its kind. */
int fathom__store_begin(const struct fathom__store *store);
int fathom__store_commit(struct fathom__store *store);

/* How long opened files wait for another process's lock; 5 seconds unless it is set, before the first is opened. */
void fathom__store_patience(int milliseconds);

/* The status and message of a failed call: `code` is SQLite's. */
int fathom__store_fail(const struct fathom__store *store, int code, const char *doing);
int fathom__store_run(const struct fathom__store *store, const char *sql);
int fathom__store_prepare(sqlite3_stmt **out, const struct fathom__store *store, const char *sql);
/* One step: *row tells whether there is a row to read. */
int fathom__store_step(bool *row, const struct fathom__store *store, sqlite3_stmt *statement);
/* A step that gives no row, then reset for the next bindings. */
int fathom__store_do(const struct fathom__store *store, sqlite3_stmt *statement);
/* A text of a row as one line, new; NULL where it is null. */
int fathom__store_line(const char **out, sqlite3_stmt *statement, int column);
/* A damaged value in a row: FORMAT, naming the file. */
int fathom__store_damaged(const struct fathom__store *store, const char *what);

/* What tells one dictionary from another: the XXH3-128 of its file. */
int fathom__dictionary_hash(char out[FATHOM__DICTIONARY_HASH_SIZE], const fathom_dictionary *dictionary);
/* The row of a dictionary. Errors: NOT_FOUND (lists those that are there), MISMATCH (the file is of another model). */
int fathom__store_dictionary(int64_t *id, const struct fathom__store *store, const fathom_dictionary *dictionary);

#endif
