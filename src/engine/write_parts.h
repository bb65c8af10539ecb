/* The inside of the corpus writer: prompts, sampling, the documents' filter, and the file. */
#ifndef FATHOM_ENGINE_WRITE_PARTS_H
#define FATHOM_ENGINE_WRITE_PARTS_H

#include "base/random.h"
#include <fathom/write.h>

/* Prompts (write_prompt.c) ------------------------------------------------------------------------------------ */

struct fathom__write_prompt {
    int32_t *tokens;
    size_t n;
    char *opening; /* what of the prompt belongs to the document, "" for chat */
};
/* The prompt of document `number`; its topic is number modulo the topics, its frame changes from pass to pass. */
int fathom__write_prompt(struct fathom__write_prompt *out, const fathom_model *model,
                         const struct fathom_write_options *options, uint64_t number);
void fathom__write_prompt_free(struct fathom__write_prompt *prompt);

/* Sampling (write_sample.c) ----------------------------------------------------------------------------------- */

struct fathom__candidate {
    float weight;
    int32_t token;
};
/* A token from softmax(logits / temperature), among the likeliest that together hold top_p. `candidates` has room for n. */
int32_t fathom__write_sample(const float *logits, int32_t n, float temperature, float top_p,
                             struct fathom__random *random, struct fathom__candidate *candidates);

/* The filter (write_filter.c) --------------------------------------------------------------------------------- */

/* The share of runs of four tokens that occurred earlier among the same tokens; 0 for fewer than five. */
double fathom__write_repetition(const int32_t *tokens, size_t n);

enum fathom__write_verdict { FATHOM__WRITE_KEPT, FATHOM__WRITE_REPETITIVE, FATHOM__WRITE_SHORT, FATHOM__WRITE_BROKEN };
/* Judges a document and trims it in place: white space at both ends, and what follows the last whole sentence where the
 * document was cut. */
enum fathom__write_verdict fathom__write_judge(char *text, const int32_t *tokens, size_t n, bool cut,
                                               double most_repetition);

/* The file (write_file.c) ------------------------------------------------------------------------------------- */

typedef struct fathom__write_file fathom__write_file;

/* Opens path + ".part", continuing one that is there. *next is the number of the first document to write. */
int fathom__write_file_open(fathom__write_file **out, uint64_t *next, struct fathom_write_counts *counts,
                            const char *path, const fathom_model *model, uint64_t seed);
/* Appends a document as one line; *duplicate, and nothing written, when the same text is there already. */
int fathom__write_file_add(bool *duplicate, fathom__write_file *file, const char *text, const char *topic,
                           uint64_t seed);
int fathom__write_file_finish(fathom__write_file *file); /* syncs and renames */
void fathom__write_file_close(fathom__write_file *file);

#endif
