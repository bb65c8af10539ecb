/* The ledger of training runs: what was run, on what, how it went and what came of it, in one SQLite file of the user's.
 *
 * A run is written down when it begins, with a point of its curve at every held-out evaluation, and closed with its
 * result; one that was killed stays "running". A run that goes on from a checkpoint goes on in its entry.
 *
 * The ledger is a record, and never in the way: nothing that is written down is read back by training. Several processes
 * may write at the same time. A ledger belongs to one thread at a time.
 */
#ifndef FATHOM_LEDGER_H
#define FATHOM_LEDGER_H

#include <fathom/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_ledger fathom_ledger;

/* $XDG_DATA_HOME/fathom/runs.sqlite, new (fathom_free); the folder is made. */
FATHOM_API int fathom_ledger_path(char **out);

/* Opens the ledger at `path`; with `write` one is made where there is none. Errors: IO (missing, still empty, cannot be
 * written), FORMAT (not a ledger, damaged), UNSUPPORTED (a newer version), LIMIT (locked by another process), MEMORY. */
FATHOM_API int fathom_ledger_open(fathom_ledger **out, const char *path, bool write);
FATHOM_API void fathom_ledger_close(fathom_ledger *ledger);

struct fathom_ledger_dictionary {
    const char *path, *hook;
    const char *hook_out; /* NULL: an SAE */
    const char *architecture;
    uint32_t n_features, k;
    uint64_t seed;
    /* the result, with `finished`; on held-out rows */
    bool finished;
    double fve, l0, dead_fraction, threshold;
    uint64_t steps, tokens;
};

struct fathom_ledger_point {
    size_t dictionary; /* its number in the run */
    uint64_t step, tokens;
    double loss; /* of the step's own batch */
    double fve, l0, dead_fraction;
    double seconds;
};

#define FATHOM_LEDGER_STATES "running|done|stopped|failed"

struct fathom_ledger_run {
    int64_t number;
    const char *command; /* as it could be given to a shell */
    const char *state;   /* one of FATHOM_LEDGER_STATES */
    const char *message; /* of a run that stopped or failed, else "" */
    const char *started; /* UTC, such as "2026-11-22 19:06:22" */
    const char *model_name, *model_identity;
    const char *corpus_hash;
    const char *version; /* of this library */
    const char *notes;   /* JSON object of what else was found, such as the stability of seeds */
    uint64_t seed, tokens, steps;
    double seconds;
    const struct fathom_ledger_dictionary *dictionaries;
    size_t n_dictionaries;
    const struct fathom_ledger_point *points; /* by dictionary, then step; none in a list */
    size_t n_points;
};

/* Writes a run down: command, model, corpus, seed, tokens, steps and dictionaries of *run are used. With `resumed`
 * the last run of the same model, corpus, seed and first dictionary that did not come to its end is gone on
 * with, if there is one, and its points after that step are taken out. *number: the run's. */
FATHOM_API int fathom_ledger_begin(int64_t *number, fathom_ledger *ledger, const struct fathom_ledger_run *run,
                                   bool resumed, uint64_t resumed_step);
/* Errors: NOT_FOUND (somebody took the run out). */
FATHOM_API int fathom_ledger_add(fathom_ledger *ledger, int64_t number, const struct fathom_ledger_point *point);
/* Closes a run: state, message and seconds of *run, and its dictionaries' results where they are finished. Errors: as
 * above. */
FATHOM_API int fathom_ledger_end(fathom_ledger *ledger, int64_t number, const struct fathom_ledger_run *run);
/* Sets one member of the run's notes to a JSON value. Errors: FORMAT (no JSON; notes that are no object), NOT_FOUND. */
FATHOM_API int fathom_ledger_note(fathom_ledger *ledger, int64_t number, const char *key, const char *json);

/* Runs in memory, which outlive the ledger. */
typedef struct fathom_ledger_runs fathom_ledger_runs;
/* All runs, the first one first. */
FATHOM_API int fathom_ledger_list(fathom_ledger_runs **out, fathom_ledger *ledger);
/* One run with its points. Errors: NOT_FOUND (says which there are). */
FATHOM_API int fathom_ledger_read(fathom_ledger_runs **out, fathom_ledger *ledger, int64_t number);
FATHOM_API const struct fathom_ledger_run *fathom_ledger_runs_get(size_t *n, const fathom_ledger_runs *runs);
FATHOM_API void fathom_ledger_runs_free(fathom_ledger_runs *runs);

/* Takes a run out. Errors: NOT_FOUND. */
FATHOM_API int fathom_ledger_remove(fathom_ledger *ledger, int64_t number);

#ifdef __cplusplus
}
#endif
#endif
