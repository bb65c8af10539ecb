/* Corpora: documents out of files, one after another.
 *
 * A corpus is a list of sources with weights. A source is a file, a folder (its files in name order) or "-"
 * (standard input): plain text (one document a file; with a blank-line rule below), or JSONL (split on "\n" only: U+2028 and friends occur inside
 * strings), each also zstd- or gzip-compressed, known by content, not by name. A reader belongs to one thread at a time.
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
    double weight;     /* share of the bytes delivered while every source still has text; 0: 1. Exhausted sources drop out, or start again with `repeat`. */
    bool repeat;
};

struct fathom_document {
    const char *text;    /* UTF-8, borrowed until the next call */
    size_t length;
    uint64_t number;     /* counts delivered documents from 0 */
    uint32_t source;     /* index into the sources */
};

/* Parses "PATH", "PATH:FIELD", "PATH=WEIGHT", "PATH:FIELD=WEIGHT[*]" (a * repeats the source) as the command line writes it. *out's strings are new in *storage (fathom_free). */
FATHOM_API int fathom_corpus_source_parse(struct fathom_corpus_source *out, char **storage, const char *text);

/* Errors: IO, FORMAT, ARGUMENT, MEMORY. `seed` decides the interleaving of the sources. */
FATHOM_API int fathom_corpus_open(fathom_corpus **out, const struct fathom_corpus_source *sources, size_t n_sources, uint64_t seed);
FATHOM_API void fathom_corpus_close(fathom_corpus *corpus);

/* The next document; *more is false at the end (and *document untouched). Errors: FORMAT names file and line: invalid UTF-8, bad JSON, a missing or mistyped
 * field; LIMIT: a document over 64 MiB. */
FATHOM_API int fathom_corpus_next(struct fathom_document *document, bool *more, fathom_corpus *corpus);

/* Bytes of text delivered so far, and an estimate of all there are (0: unknown). */
FATHOM_API void fathom_corpus_position(uint64_t *done, uint64_t *total, const fathom_corpus *corpus);

/* XXH3-128 (32 hex digits) over paths' contents in order, fields, weights and seed: what a resumed run must agree on. Reads every file once (not standard input). */
FATHOM_API int fathom_corpus_hash(char out[33], const struct fathom_corpus_source *sources, size_t n_sources, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
