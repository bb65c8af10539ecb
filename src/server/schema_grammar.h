/* JSON Schema as a grammar (GBNF) that lets nothing be written but JSON that fits. */
#ifndef FATHOM_SERVER_SCHEMA_GRAMMAR_H
#define FATHOM_SERVER_SCHEMA_GRAMMAR_H

#include <jansson.h>

/* What is understood: type (one or several), properties, required, additionalProperties, items, minItems, maxItems, minLength,
 * maxLength, enum, const, anyOf, $ref into the schema itself, true. Annotations (title, description, default, examples …) say
 * nothing. All else is refused, never ignored: what a grammar does not hold the answer to, the answer need not fit.
 *
 * Properties come in the order in which the schema has them, and no others where it has some; a blank may stand after "{", "[",
 * "," and ":"; strings are written without \u.
 *
 * schema NULL: any JSON object. *out is new (fathom_free). Errors: UNSUPPORTED (names what), FORMAT, LIMIT, MEMORY. */
int fathom__schema_grammar(char **out, const json_t *schema);

#endif
