/* Words, signs, numbers and texts of a plan's expression, one after another. What stands before them is skipped: blanks,
 * tabs and line breaks. */
#ifndef FATHOM_STEER_PLAN_WORDS_H
#define FATHOM_STEER_PLAN_WORDS_H

#include "base/json.h"
#include <stdbool.h>

struct fathom__cursor {
    const char *at;   /* in zero-terminated text */
    const char *name; /* of the text, in messages */
};

/* FORMAT: says where the cursor stands and what was expected there. */
int fathom__expected(const struct fathom__cursor *cursor, const char *what);
void fathom__skip(struct fathom__cursor *cursor);

/* Whether it stands here; then the cursor is behind it, and what follows skipped, too. */
bool fathom__take_sign(struct fathom__cursor *cursor, char sign);
bool fathom__take_word(struct fathom__cursor *cursor, const char *word);
bool fathom__take_dots(struct fathom__cursor *cursor);
/* A finite number: digits with a fraction and an exponent. */
bool fathom__take_number(double *out, struct fathom__cursor *cursor);

/* New JSON values (json_decref). FORMAT where there is none. */
int fathom__read_number(json_t **out, struct fathom__cursor *cursor);
int fathom__read_integer(json_t **out, struct fathom__cursor *cursor);
/* What stands between quotes. */
int fathom__read_quoted(json_t **out, struct fathom__cursor *cursor);
/* A file's or hook point's name, quoted or not. */
int fathom__read_name(json_t **out, struct fathom__cursor *cursor);

#endif
