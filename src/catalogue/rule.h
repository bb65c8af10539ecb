/* Labels as rules: what a label says, in a form that can be run on text.
 *
 * A rule is one to three conditions, all of which must hold at a row. A condition looks for something (tokens, words, a
 * class, the shape or the ending of a word) in a place (at the row, just before it, just after it, or near
 * it).
 */
#ifndef FATHOM_CATALOGUE_RULE_H
#define FATHOM_CATALOGUE_RULE_H

#include "base/buffer.h"
#include "catalogue/stream.h"

#include <jansson.h>

#define FATHOM__RULE_IDS 8 /* most tokens or words of a condition */
#define FATHOM__RULE_CONDITIONS 3
#define FATHOM__NEAR_BEFORE 16 /* rows that "near" looks at, besides the row itself */
#define FATHOM__NEAR_AFTER 8
#define FATHOM__AFFIX_SIZE 8

enum fathom__place { FATHOM__HERE, FATHOM__BEFORE, FATHOM__AFTER, FATHOM__NEAR, FATHOM__PLACES };

enum fathom__kind {
    FATHOM__TOKENS, /* ids are tokens */
    FATHOM__WORDS,  /* ids are words of the stream */
    FATHOM__CLASS,  /* an entry of class `class_id` */
    FATHOM__FLAG,   /* the row has this enum fathom__row_flag */
    FATHOM__SUFFIX, /* the word ends in `affix` and is longer */
    FATHOM__PREFIX, /* the word begins with `affix` and is longer */
};

/* What members of a list share, which it is called by; the list decides all the same. */
enum fathom__list_name {
    FATHOM__NAME_NONE,
    FATHOM__NAME_CLASS, /* the class `class_id` */
    FATHOM__NAME_FLAG,  /* the enum fathom__row_flag `flag` */
    FATHOM__NAME_NAMES, /* they are names, */
    FATHOM__NAME_PARTS, /* or parts of names, */
    FATHOM__NAME_SIGNS, /* or signs of one kind: fathom__signs[flag] */
};

struct fathom__sign_kind {
    const char *name, *signs; /* "opening brackets", "([{" */
};
extern const struct fathom__sign_kind fathom__signs[];
extern const size_t fathom__sign_kinds;

struct fathom__condition {
    enum fathom__place place;
    enum fathom__kind kind;
    uint32_t n_ids, ids[FATHOM__RULE_IDS];
    uint32_t class_id;
    uint8_t flag; /* or a kind of signs */
    char affix[FATHOM__AFFIX_SIZE];
    enum fathom__list_name name; /* of TOKENS and WORDS; the first n_named ids share it */
    uint32_t n_named;
};

struct fathom__rule {
    unsigned n;
    struct fathom__condition conditions[FATHOM__RULE_CONDITIONS];
};

/* Whether the rule predicts its feature to be active at a row. "Before" and "after" mean the word (or token, for
 * conditions on tokens and shapes) next to the row's own word, at most two wordless rows away. Nothing outside the
 * row's sequence counts. */
bool fathom__rule_at(const struct fathom__rule *rule, const struct fathom__stream *stream, uint32_t row);
/* The same for one condition. */
bool fathom__condition_at(const struct fathom__condition *condition, const struct fathom__stream *stream, uint32_t row);
/* The same for every row of a sequence at once: fires[i] for row first + i. `scratch` has room for as many. */
void fathom__rule_mark(uint8_t *fires, uint8_t *scratch, const struct fathom__rule *rule,
                       const struct fathom__stream *stream, uint32_t first, uint32_t end);

/* Row of the word (or token) before or after the row's own; false when there is none. */
bool fathom__row_before(uint32_t *out, const struct fathom__stream *stream, uint32_t row, uint32_t first, bool words);
bool fathom__row_after(uint32_t *out, const struct fathom__stream *stream, uint32_t row, uint32_t end, bool words);

/* The label that people read, such as "athletes" or "‘Francisco’ after ‘San’". */
int fathom__rule_text(struct fathom__buffer *out, const struct fathom__rule *rule, const struct fathom__stream *stream);
/* The rule as JSON, with words and classes by name. */
int fathom__rule_json(json_t **out, const struct fathom__rule *rule, const struct fathom__stream *stream);
/* What a label that says it is made of. */
enum fathom_label_kind fathom__rule_kind(const struct fathom__rule *rule);

#endif
