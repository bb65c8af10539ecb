/* Corpora: documents out of files, one after another.
 *
 * A corpus is a list of sources with weights. A source is a file, a folder (its files and those of its folders, in the
 * byte order of their names; names that begin with a dot are left out) or "-" (standard input). Files may be compressed
 * by gzip or zstd, which is known by their first bytes. A file is JSONL when the source names a field, when its name
 * (without ".gz" or ".zst") ends in ".jsonl" or ".ndjson", or when its first line that is not blank is a JSON object;
 * else it is plain text.
 *
 *   JSONL        one document a line, the value of one key. Lines end at "\n" only: U+2028 and the like occur inside
 *                strings. Blank lines are skipped.
 *   plain text   documents are divided by two or more blank lines one after another, or by a line that holds only a
 *                form feed; blank lines at a document's beginning and end are not part of it.
 *
 * Documents without text are skipped. A reader belongs to one thread at a time.
 */
#ifndef FATHOM_CORPUS_H
#define FATHOM_CORPUS_H

#include <fathom/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_corpus fathom_corpus;

struct fathom_corpus_source {
    const char *path;
    const char *field; /* JSONL: the text's key; NULL: "text" */
    /* Share of the bytes delivered while every source still has text; 0: 1. Exhausted sources drop out, or start again
     * with `repeat`. */
    double weight;
    bool repeat;
    /* JSONL: the field (NULL: "messages") holds a chat, an array of objects with "role" and "content" that are text */
    bool chat;
};

struct fathom_document {
    const char *text; /* UTF-8, borrowed until the next call; may hold zeros */
    size_t length;
    uint64_t number; /* counts delivered documents from 0 */
    uint32_t source; /* index into the sources */
    bool chat;       /* the text is a chat's array of messages, as JSON */
};

/* Parses "PATH", "PATH:FIELD", "PATH=WEIGHT", "PATH:FIELD=WEIGHT[*]" (a * repeats the source) as the command line
 * writes it; a name that exists as a file is taken whole. *out's strings are new in *storage (fathom_free).
 * Errors: ARGUMENT (no path, a weight that is not over 0). */
FATHOM_API int fathom_corpus_source_parse(struct fathom_corpus_source *out, char **storage, const char *text);

/* `seed` decides which of the sources comes first where they are even. Errors: IO (missing, an empty folder), ARGUMENT,
 * MEMORY. */
FATHOM_API int fathom_corpus_open(fathom_corpus **out, const struct fathom_corpus_source *sources, size_t n_sources,
                                  uint64_t seed);
FATHOM_API void fathom_corpus_close(fathom_corpus *corpus);

/* The next document; *more is false at the end (and *document untouched). Errors: FORMAT names file and line: invalid
 * UTF-8, bad JSON, a missing or mistyped field, or names the file: damaged or truncated compressed data; LIMIT: a
 * document or a line over 64 MiB; UNSUPPORTED: Parquet; IO; MEMORY. */
FATHOM_API int fathom_corpus_next(struct fathom_document *document, bool *more, fathom_corpus *corpus);

/* Bytes of text delivered so far, and an estimate of all there are (0: unknown). */
FATHOM_API void fathom_corpus_position(uint64_t *done, uint64_t *total, const fathom_corpus *corpus);

/* XXH3-128 (32 hex digits) over the files' contents in order, fields, weights and seed: what a resumed run must agree
 * on. Reads every file once (not standard input and pipes). */
FATHOM_API int fathom_corpus_hash(char out[33], const struct fathom_corpus_source *sources, size_t n_sources,
                                  uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
