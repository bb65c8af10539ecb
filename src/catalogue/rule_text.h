/* Shared by rule_text.c and rule_list.c, which writes lists of tokens and words. */
#ifndef FATHOM_CATALOGUE_RULE_TEXT_H
#define FATHOM_CATALOGUE_RULE_TEXT_H

#include "catalogue/rule.h"

/* A word with a capital if it is mostly written with one. */
int fathom__rule_word_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t word);
/* The members of a list: "‘a’, ‘b’ and ‘c’"; of one that has a name those that share it in parentheses, then the
 * others: " (‘a’, ‘b’) and ‘c’". */
int fathom__rule_list_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                           const struct fathom__stream *stream);

#endif
