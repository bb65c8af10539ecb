/* A schema's grammar while it is written. Functions that write a rule tell its name. */
#ifndef FATHOM_SERVER_SCHEMA_WRITER_H
#define FATHOM_SERVER_SCHEMA_WRITER_H

#include "base/buffer.h"
#include <jansson.h>

enum { FATHOM__RULE_NAME = 16, FATHOM__MOST_GRAMMAR = 1 << 20 };

struct fathom__schema_writer {
    struct fathom__buffer text;
    const json_t *root;
    json_t *named; /* rules of what "$ref" points to, by its text */
    unsigned n_rules;
};

/* Begins with the rules that every grammar may need. To be closed also after an error. */
int fathom__schema_open(struct fathom__schema_writer *out);
void fathom__schema_close(struct fathom__schema_writer *writer);
/* Writes a schema by itself, into which its own references point. */
int fathom__schema_whole(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema);

/* A new rule's name. LIMIT where there are too many. */
int fathom__schema_name(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer);
/* "name ::= body"; the body is freed whatever the status was, which is returned where it is none. */
int fathom__schema_rule(struct fathom__schema_writer *writer, const char *name, struct fathom__buffer *body,
                        int status);
/* UNSUPPORTED where a schema has other members than `known`, which ends with NULL, and those that say nothing of the value or
 * were looked at already. */
int fathom__schema_members(const json_t *schema, const char *const *known);

/* What each kind of value becomes. */
int fathom__schema_string(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema);
int fathom__schema_array(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                         unsigned depth);
int fathom__schema_object(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                          unsigned depth);
/* One of a list of values. */
int fathom__schema_choice(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *values);
/* Any schema, `depth` deep in the whole. */
int fathom__schema_any(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                       unsigned depth);

#endif
