/* Shared by the files that make labels: what is counted once for all features, and what one thread needs. */
#ifndef FATHOM_CATALOGUE_LABEL_INTERNAL_H
#define FATHOM_CATALOGUE_LABEL_INTERNAL_H

#include "catalogue/label.h"

enum {
    FATHOM__SAMPLE = 96,     /* most active rows, and most inactive ones, of a sample */
    FATHOM__CANDIDATES = 96, /* most rules tried for a feature */
    FATHOM__EVIDENCE_ROWS = 256,
    FATHOM__AFFIX_LENGTHS = 4, /* endings and beginnings of up to so many letters */
};

/* Rows of held-out text under one role, by what is written there. */
struct fathom__held_index {
    uint32_t *rows; /* ascending; covered rows only */
    size_t n_rows;
    size_t *surface_starts; /* [n_surfaces + 1] */
    uint32_t *surface_rows;
};

#define FATHOM__NO_CLASS UINT32_MAX
#define FATHOM__LEAST_BASES 3   /* different words of a class that is proposed */
#define FATHOM__MOST_COMMON 0.3 /* share of entries' rows above which a class says nothing */

struct fathom__entry_base {
    uint32_t base, form, entry;
};

/* What the background has of a class. */
struct fathom__class_count {
    uint32_t class_id;
    uint32_t bases; /* different words, forms of one word counted once */
    uint64_t rows;
};

/* What a feature's evidence has of a class. */
struct fathom__class_seen {
    uint64_t rows[FATHOM__EVIDENCE_ROWS / 64]; /* one bit a row */
    uint32_t n;                                /* places, several a row in a window; 0: not seen */
    uint32_t forms, bases;                     /* different words, and words when forms of one count once */
    uint32_t last_form;
    uint32_t last_base, of_last, most; /* places of the latest word, and of the most frequent one */
};

struct fathom__label_context {
    const struct fathom__stream *stream;
    const struct fathom__label_options *options;
    struct fathom__held_index held[FATHOM__ROLES]; /* PROPOSE's is empty */
    size_t n_surfaces;
    /* Classes that may be proposed, numbered from 0: class_index is FATHOM__NO_CLASS for all others. */
    uint32_t *class_index; /* [classes of the lexicon] */
    struct fathom__class_count *classes;
    uint32_t n_classes;
    struct fathom__sequence *test_sequences; /* held-out ones, with their end in place of the document */
    size_t n_test_sequences;
    uint32_t longest_sequence;
    uint32_t n_bases; /* different words on background rows, forms of one word counted once */
    /* Endings ([0]) and beginnings ([1]) of words: their text and background rows. */
    struct fathom__intern affixes[2];
    uint64_t *affix_rows[2];
    size_t affix_capacities[2];
};

/* The output tokens that a feature raises most, and the words and entries that they mostly belong to; 0 for none. */
struct fathom__outputs {
    uint32_t n, tokens[FATHOM__RULE_IDS], words[FATHOM__RULE_IDS], entries[FATHOM__RULE_IDS];
};

struct fathom__sample {
    uint32_t active[FATHOM__SAMPLE], inactive[FATHOM__SAMPLE];
    size_t n_active, n_inactive;
    double density;                        /* share of covered rows where the feature is active */
    const struct fathom__outputs *outputs; /* NULL: not known */
};

struct fathom__candidates {
    struct fathom__rule rules[FATHOM__CANDIDATES];
    size_t n;
};

/* One pair of something seen at a row. */
struct fathom__seen {
    uint32_t id;
    uint32_t row; /* index into the rows looked at */
    uint32_t document;
};

/* A thread's own memory. */
struct fathom__label_scratch {
    struct fathom__seen *seen;
    size_t n_seen, seen_capacity;
    struct fathom__random random;
    struct fathom__candidates candidates;
    struct fathom__outputs outputs;     /* of the feature that rules were last proposed for */
    struct fathom__class_seen *classes; /* [n_classes of the context], all zero between uses */
    uint32_t *touched;                  /* [n_classes] */
    uint8_t *fires, *marks;             /* [longest sequence] */
};

int fathom__label_context_open(struct fathom__label_context *out, const struct fathom__stream *stream,
                               const struct fathom__label_options *options);
void fathom__label_context_close(struct fathom__label_context *context);

/* Balanced accuracy of a rule on a sample: the mean of the shares of active and of inactive rows that it tells
 * right. */
double fathom__label_score(const struct fathom__rule *rule, const struct fathom__sample *sample,
                           const struct fathom__stream *stream);

/* What is written at a row, as a number: the word, or the token where there is no word. */
static inline uint32_t fathom__surface(const struct fathom__stream *stream, uint32_t row) {
    return stream->words[row] ? stream->words[row]
                              : (uint32_t)stream->word_table.count + (uint32_t)stream->evidence->tokens[row];
}

/* A sample of a feature's rows under a role; the same feature, role and seed give the same sample. Active rows are those
 * above `least`; below it, but active, they are neither. */
void fathom__label_sample(struct fathom__sample *out, const struct fathom__label_context *context, uint32_t feature,
                          enum fathom__role role, float least, struct fathom__random *random);

/* The rules that the evidence above `least` proposes. */
int fathom__label_propose(struct fathom__label_scratch *scratch, const struct fathom__label_context *context,
                          uint32_t feature, float least);
/* The best of the proposed rules, and of those made of two of them, on a sample of text that proposed none. False when
 * there is none. */
bool fathom__label_choose(struct fathom__rule *out, struct fathom__label_scratch *scratch,
                          const struct fathom__label_context *context, const struct fathom__sample *sample);
void fathom__label_add_candidate(struct fathom__candidates *candidates, const struct fathom__condition *condition);
/* Gives the rule's lists the name of what their members share (label_name.c). */
void fathom__label_name(struct fathom__rule *rule, const struct fathom__label_context *context);
/* The best single-token rule that was proposed; its n is 0 when there is none. */
void fathom__label_choose_token(struct fathom__rule *out, const struct fathom__label_scratch *scratch,
                                const struct fathom__label_context *context, const struct fathom__sample *sample);

/* The upper part of a feature's range, as a share of its maximum, and what a label for it ends in. */
#define FATHOM__LABEL_STRONG 0.5f
#define FATHOM__WHERE_STRONG " (where strong)"

/* Adds to labels that several features have the word where each is strongest, unless they quote it already: "buildings,
 * above all ‘tower’". labels: [n_features]; those without text are none. */
int fathom__labels_tell_apart(struct fathom_label *labels, uint32_t n_features, const struct fathom__stream *stream);

/* Classes, added to scratch->candidates. */
int fathom__label_propose_classes(struct fathom__label_scratch *scratch, const struct fathom__label_context *context,
                                  const uint32_t *rows, size_t n_rows, enum fathom__place place);

/* What a feature raises (label_outputs.c); none where the options name no effects. */
void fathom__label_outputs(struct fathom__outputs *out, const struct fathom__label_context *context, uint32_t feature);
/* Rules that scratch->outputs propose, added to scratch->candidates. */
void fathom__label_propose_outputs(struct fathom__label_scratch *scratch, const struct fathom__label_context *context);
/* Whether a rule speaks of what the feature raises: its class has two of the words raised, or half of its list is among
 * them. */
bool fathom__label_outputs_agree(const struct fathom__rule *rule, const struct fathom__outputs *outputs,
                                 const struct fathom__stream *stream);

/* How often the background has the word that a class is called by. */
uint32_t fathom__label_uses(const struct fathom__stream *stream, uint32_t class_id);

/* Lists `what is seen` in a place of each row: one entry of scratch->seen for each different id of a row, sorted by id
 * and row. */
enum fathom__sight { FATHOM__SEE_TOKENS, FATHOM__SEE_WORDS, FATHOM__SEE_ENTRIES };
int fathom__label_look(struct fathom__label_scratch *scratch, const struct fathom__stream *stream, const uint32_t *rows,
                       size_t n_rows, enum fathom__place place, enum fathom__sight sight);
/* The share of all rows that see something in this place when it stands on `count` background rows. */
double fathom__label_share(const struct fathom__stream *stream, uint64_t count, enum fathom__place place);

#endif
