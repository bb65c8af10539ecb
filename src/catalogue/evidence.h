/* What one pass over a corpus leaves behind of every feature: statistics, examples, rows drawn for labels, and the
 * tokens themselves.
 *
 * Documents have roles: labels are proposed on most, chosen among candidates on one in five and tested on another one
 * in five, so that the figures shown come from text that no choice has seen. Rows are drawn with chances proportional
 * to the square of their activation (Efraimidis and Spirakis 2006), so that strong ones are there and weak ones are not
 * left out. Text repeats itself, and what is kept should not: of rows with the same tokens around them only a few are
 * kept.
 * Everything follows from the stream and the seed alone: a pass that was interrupted and resumed gives the same bytes.
 */
#ifndef FATHOM_CATALOGUE_EVIDENCE_H
#define FATHOM_CATALOGUE_EVIDENCE_H

#include "base/random.h"

#include <fathom/catalogue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATHOM__WINDOW (FATHOM_EXAMPLE_BEFORE + 1 + FATHOM_EXAMPLE_AFTER)
#define FATHOM__SPREAD 48                    /* examples drawn from the whole range of a feature */
#define FATHOM__TOP_MOST 64                  /* most strongest examples kept */
#define FATHOM__HELD_PAIRS ((size_t)1 << 25) /* most (row, feature) pairs kept of held-out text */

enum fathom__role { FATHOM__PROPOSE, FATHOM__CHOOSE, FATHOM__TEST, FATHOM__ROLES };
enum { FATHOM__ROLE_CYCLE = 5 }; /* of five documents three propose, one chooses, one tests */

struct fathom__peak {
    float value; /* 0: the place is free */
    float scale; /* activation that level 255 stands for */
    float key;   /* of the draw */
    uint32_t row, document;
    uint32_t context;
    uint8_t levels[FATHOM__WINDOW]; /* the peak at FATHOM_EXAMPLE_BEFORE */
};

struct fathom__drawn {
    uint32_t row;
    float value, key;
    uint32_t context; /* stands for the tokens around the row */
};

struct fathom__statistics {
    uint64_t count;
    double sum;
    float maximum;
    float histogram_top;
    uint32_t histogram[FATHOM_HISTOGRAM_BINS];
    uint32_t n_top, n_spread, n_drawn[FATHOM__ROLES];
    float spread_least, drawn_least[FATHOM__ROLES]; /* the smallest key kept, once all places are taken */
};

struct fathom__sequence {
    uint32_t first_row, document;
};

struct fathom__evidence {
    uint32_t n_features, n_top;
    struct fathom__random random;
    struct fathom__statistics *features;
    struct fathom__peak *top, *spread; /* [n_features, n_top] and [n_features, FATHOM__SPREAD] */
    struct fathom__drawn *drawn;       /* [n_features, all roles' capacities] */

    /* The stream. */
    size_t n_rows, n_sequences;
    uint64_t n_covered, n_documents;
    uint64_t next_document;           /* above all numbers so far */
    bool quoted_done;                 /* the part that examples are taken from has ended, */
    uint64_t n_quoted_rows;           /* after so many rows */
    uint64_t first_unquoted_document; /* and with documents below this number */
    int32_t *tokens;
    uint8_t *covered;
    struct fathom__sequence *sequences;
    size_t tokens_capacity, covered_capacity, sequences_capacity;

    /* Which features are active on held-out rows: row held_rows[i] has features held_features[held_starts[i] …
     * held_starts[i + 1]). */
    size_t n_held, n_pairs;
    bool held_full;
    uint32_t *held_rows, *held_features;
    size_t *held_starts;
    size_t held_rows_capacity, held_features_capacity, held_starts_capacity;

    /* The same by feature, made by fathom__evidence_seal: rows of feature f, ascending, are
     * active_rows[active_starts[f] … active_starts[f + 1]). */
    size_t *active_starts;
    uint32_t *active_rows;

    struct fathom__evidence_scratch *scratch;
};

int fathom__evidence_open(struct fathom__evidence **out, uint32_t n_features, uint32_t n_top, uint64_t seed);
void fathom__evidence_close(struct fathom__evidence *evidence);

/* Adds one whole sequence: its tokens, whether each row is covered, and its features as rows [first_row, first_row + n)
 * of `sparse`. Examples are taken from it unless quoted_done is set. */
int fathom__evidence_add(struct fathom__evidence *evidence, const int32_t *tokens, const bool *covered, size_t n,
                         uint64_t document, const struct fathom_sparse *sparse, size_t first_row);

/* Ends the part that examples are taken from: what is added from here on counts, but is not quoted. */
void fathom__evidence_end_quoted(struct fathom__evidence *evidence);

/* Ends the pass: sorts examples, strongest first, and turns the held-out rows by feature. */
int fathom__evidence_seal(struct fathom__evidence *evidence);

/* A number that stands for the two tokens before place `at` of a sequence, the one there and the one after. */
uint32_t fathom__token_context(const int32_t *tokens, size_t n, size_t at);
enum fathom__role fathom__document_role(uint64_t document);
size_t fathom__drawn_capacity(enum fathom__role role);
/* Rows drawn of a feature under a role; their number is features[feature].n_drawn[role]. */
struct fathom__drawn *fathom__evidence_drawn(const struct fathom__evidence *evidence, uint32_t feature,
                                             enum fathom__role role);
/* The sequence that a row is in. */
const struct fathom__sequence *fathom__evidence_sequence(const struct fathom__evidence *evidence, uint32_t row);
/* One past a sequence's last row. */
uint32_t fathom__evidence_sequence_end(const struct fathom__evidence *evidence,
                                       const struct fathom__sequence *sequence);
/* Whether a feature is active at a held-out row (after seal). */
bool fathom__evidence_active(const struct fathom__evidence *evidence, uint32_t feature, uint32_t row);

/* Saves the pass so far, and reads it back when it is there and belongs to the same run: `key` names the run. *found is
 * false when there is no such file or it is another run's. Errors: IO, MEMORY; FORMAT when the file is damaged. */
int fathom__evidence_save(const struct fathom__evidence *evidence, const char *path, const char *key);
int fathom__evidence_load(bool *found, struct fathom__evidence *evidence, const char *path, const char *key);

#endif
