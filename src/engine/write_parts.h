/* The inside of the corpus writer: prompts, sampling, the documents' filter, and the file. */
#ifndef FATHOM_ENGINE_WRITE_PARTS_H
#define FATHOM_ENGINE_WRITE_PARTS_H

#include "base/random.h"
#include <fathom/write.h>

/* Prompts (write_prompt.c) ------------------------------------------------------------------------------------ */

/* Most tokens of a prompt. */
#define FATHOM__WRITE_PROMPT_TOKENS 192u

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
/* A token from softmax(logits / temperature), among the likeliest that together hold top_p. `candidates` has room for
 * n. */
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

/* Workers (write_worker.c) ------------------------------------------------------------------------------------ */

struct fathom__write_document {
    uint64_t number;
    struct fathom__write_prompt prompt;
    int32_t *tokens; /* written so far, room for options.document_tokens */
    size_t n_tokens;
    struct fathom__random random;
    bool cut, looping;
    struct fathom__write_document *next; /* in the team's queue */
};

typedef struct fathom__write_team fathom__write_team;

/* The documents to write: first those with the numbers `missing` (borrowed), then all from `next` on. */
struct fathom__write_work {
    const uint64_t *missing;
    size_t n_missing;
    uint64_t next;
};
/* Starts n_threads workers that each write their share of the work: its i-th document is written by worker i modulo
 * n_threads. The model and the options must outlive the team. */
int fathom__write_team_open(fathom__write_team **out, const fathom_model *model,
                            const struct fathom_write_options *options, bool accelerate,
                            struct fathom__write_work work);
void fathom__write_team_close(fathom__write_team *team);
/* Waits up to `seconds` for a document to be finished, whichever is; *document is NULL when none is. The caller takes
 * it over (fathom__write_document_free). *written gets all tokens that were sampled so far. */
int fathom__write_team_take(struct fathom__write_document **document, uint64_t *written, fathom__write_team *team,
                            double seconds);
void fathom__write_document_free(struct fathom__write_document *document);

/* The file (write_file.c) ------------------------------------------------------------------------------------- */

typedef struct fathom__write_file fathom__write_file;

/* Opens path + ".part", continuing one that is there. */
int fathom__write_file_open(fathom__write_file **out, const char *path, const fathom_model *model, uint64_t seed);
/* The numbers of documents that are missing before the last one there (new), and the number after that one. */
int fathom__write_file_missing(uint64_t **missing, size_t *n, uint64_t *next, const fathom__write_file *file);
/* Appends a document as one line, or that it was dropped; its seed is the file's and its number. */
int fathom__write_file_add(fathom__write_file *file, uint64_t number, enum fathom__write_verdict verdict,
                           const char *text, const char *topic, uint64_t tokens);
/* Counts documents in their order, up to the first that is not there, or until they have `tokens` tokens: *complete. */
int fathom__write_file_count(bool *complete, fathom__write_file *file, uint64_t tokens);
/* Of the documents counted so far; with_ahead: and those kept that are not in turn yet. */
struct fathom_write_counts fathom__write_file_counts(const fathom__write_file *file, bool with_ahead);
/* Makes the corpus of the counted documents, and removes the part file. */
int fathom__write_file_finish(fathom__write_file *file);
void fathom__write_file_close(fathom__write_file *file);

#endif
