/* Documents out of one file: plain text or JSONL, as include/fathom/corpus.h tells them apart. */
#ifndef FATHOM_CORPUS_READER_H
#define FATHOM_CORPUS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fathom__reader fathom__reader;

/* field NULL: "text", and JSONL only by the file's name or first line. Errors: as fathom__input_open. */
int fathom__reader_open(fathom__reader **out, const char *path, const char *field);
void fathom__reader_close(fathom__reader *reader);
/* Documents are chats from now on: the field holds an array of messages, and the text is that array as JSON. Before the
 * first document; the field must have been named. */
void fathom__reader_take_chats(fathom__reader *reader);
/* The next document that is not empty, borrowed until the next call; *more is false at the end. Errors: FORMAT, LIMIT,
 * IO, MEMORY. */
int fathom__reader_next(const char **text, size_t *length, bool *more, fathom__reader *reader);
/* Bytes of the file that were used so far: for compressed files in steps. */
uint64_t fathom__reader_used(const fathom__reader *reader);

#endif
