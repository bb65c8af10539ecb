/* A corpus that the model writes itself, from a list of topics.
 *
 * Every topic is put into one of several frames (an instruction in the chat template where the model has one and it is
 * asked for; a title otherwise) and continued by sampling, many documents in one batch. Documents that loop, that are
 * too short or that were written before are dropped and counted.
 */
#ifndef FATHOM_WRITE_H
#define FATHOM_WRITE_H

#include <fathom/model.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fathom_write_frame {
    FATHOM_WRITE_AUTO, /* chat where the model has a template, else titles */
    FATHOM_WRITE_CHAT, /* the document is the answer */
    FATHOM_WRITE_TITLE /* the document is the title and its continuation */
};

struct fathom_write_options {
    const char *const *topics; /* UTF-8 phrases such as "Golden Gate Bridge" */
    size_t n_topics;
    uint64_t tokens;          /* stops when the kept documents have so many; at least 1 */
    uint32_t document_tokens; /* most tokens that a document is given; 0: 256 */
    uint32_t n_sequences;     /* documents in one batch; 0: 32 */
    uint32_t n_threads; /* 0: all cores; each writes its share of the documents, n_sequences / n_threads at once */
    enum fathom_write_frame frame;
    float temperature;     /* 0: 0.8 */
    float top_p;           /* 0: 0.95 */
    float most_repetition; /* share of four-token runs that came before in the same document; 0: 0.2 */
    uint64_t seed; /* document i is sampled with seed + i; the same options give the same corpus on the same machine */
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM_WRITE_OPTIONS_INIT                                                                                      \
    { 0 }

struct fathom_write_counts {
    uint64_t documents, tokens;                          /* kept */
    uint64_t repetitive, short_ones, duplicates, broken; /* dropped; broken: not UTF-8 */
    uint64_t continued;                                  /* documents that an interrupted run had left */
};

/* Writes JSONL lines {"text", "topic", "seed"}. Documents are written to path + ".part" as they are finished, with a line
 * {"dropped", "seed"} for each that is not kept; at the end those with the lowest numbers that have the wanted tokens
 * become the corpus, in their order. A run that was interrupted continues when it is started again with the same
 * seed. Errors: ARGUMENT, IO, MISMATCH (the part file is
 * of another seed), STOPPED (the part file stays), NOT_FOUND (chat frame without a template), LIMIT (no topic gives
 * documents that can be kept), those of sessions. */
FATHOM_API int fathom_corpus_write(struct fathom_write_counts *counts, const char *path, const fathom_model *model,
                                   const struct fathom_write_options *options);

#ifdef __cplusplus
}
#endif
#endif
