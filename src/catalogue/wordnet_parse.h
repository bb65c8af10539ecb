/* The line reader of wordnet.c: fields separated by single spaces, every one checked. */
#ifndef FATHOM_CATALOGUE_WORDNET_PARSE_H
#define FATHOM_CATALOGUE_WORDNET_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fathom__wordnet_lines {
    const char *path;
    const char *next, *end; /* of the file */
    uint64_t number;        /* of the present line, from 1 */
    const char *cursor, *line_end;
};

/* The next line that is not part of the licence (those begin with a space); false at the end. */
bool fathom__wordnet_line(struct fathom__wordnet_lines *lines);
/* The next field of the line. Errors: FORMAT, naming `what`. */
int fathom__wordnet_field(const char **field, size_t *length, struct fathom__wordnet_lines *lines, const char *what);
/* The next field as a number in base 10 or 16, at most `most`. */
int fathom__wordnet_number(uint32_t *out, struct fathom__wordnet_lines *lines, unsigned base, uint32_t most,
                           const char *what);

#endif
