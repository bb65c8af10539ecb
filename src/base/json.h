/* JSON by jansson, with errors that name the file and the key. Limits: 64 MiB, depth as jansson's own.
 * A document is an object or an array; a key that occurs twice is an error. Numbers are written with 15 significant
 * digits. */
#ifndef FATHOM_BASE_JSON_H
#define FATHOM_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

int fathom__json_load(json_t **out, const char *path);
int fathom__json_parse(json_t **out, const char *text, size_t length, const char *name); /* name stands in messages */
int fathom__json_write(const char *path, const json_t *value);                           /* indented, atomically */
int fathom__json_text(char **out, const json_t *value, bool indented);                   /* new */
/* A JSON string of bytes that may not be UTF-8: invalid ones become U+FFFD. */
json_t *fathom__json_string(const char *bytes, size_t length);

/* Typed members; `where` names the document in messages. With required false a missing key leaves *out untouched. */
int fathom__json_get_string(const char **out, const json_t *object, const char *key, bool required, const char *where);
int fathom__json_get_integer(int64_t *out, const json_t *object, const char *key, int64_t least, int64_t most,
                             bool required, const char *where);
int fathom__json_get_number(double *out, const json_t *object, const char *key, bool required, const char *where);
int fathom__json_get_bool(bool *out, const json_t *object, const char *key, bool required, const char *where);

#endif
