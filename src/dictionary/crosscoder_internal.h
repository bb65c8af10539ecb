/* The evaluation of a crosscoder under way. */
#ifndef FATHOM_DICTIONARY_CROSSCODER_INTERNAL_H
#define FATHOM_DICTIONARY_CROSSCODER_INTERNAL_H

#include <dictionary/evaluate_internal.h>
#include <dictionary/reconstruct.h>
#include <fathom/crosscoder.h>
#include <fathom/session.h>

struct fathom__crosscoding_tap {
    struct fathom__crosscoding *crosscoding;
    struct fathom_hook hook;
    uint32_t source;
    int model;     /* 0 or 1 */
    size_t offset; /* of the source's numbers in a row */
};

struct fathom__crosscoding {
    const struct fathom_evaluate_options *options;
    const fathom_dictionary *dictionary;
    const struct fathom_dictionary_info *info;
    const fathom_model *models[2];
    fathom_session *sessions[2];
    struct fathom__crosscoding_tap taps[FATHOM_TRAIN_SOURCES];
    size_t width; /* of a row of all sources */
    uint32_t context;
    uint64_t loss_tokens;
    fathom_corpus *corpus;
    /* tokens of the document now cut into sequences */
    int32_t *document;
    size_t n_document, at;
    /* of the present sequence: rows by position; those that the dictionary covers, with their tokens; the number of each
     * position's among them, or UINT32_MAX; what takes their place */
    bool taking;
    float *sequence, *rows, *guesses;
    int32_t *tokens;
    uint32_t *row_of;
    size_t n_rows;
    int splice; /* the source whose rows are replaced, or -1 */
    struct fathom__reconstructor reconstructor;
    struct fathom__stage stage;
};

/* Scales the sources of rows [n, width] as in training, or back. */
void fathom__crosscoding_scale(float *rows, const struct fathom_dictionary_info *info, size_t n, bool back);
/* Rows and reconstructions f32 [n, width], in the models' own units. */
int fathom__crosscoding_reconstruct(float *out, struct fathom__crosscoding *c, enum fathom_reconstruction which,
                                    const float *rows, const int32_t *tokens, size_t n);
/* The next sequence of at most `context` tokens; *n 0 at the corpus' end. */
int fathom__crosscoding_sequence(const int32_t **out, size_t *n, struct fathom__crosscoding *c);
/* Runs it through the models and takes its rows. */
int fathom__crosscoding_take(struct fathom__crosscoding *c, const int32_t *tokens, size_t n);

/* crosscoder_losses.c: the edit at each source, and what it costs. */
int fathom__crosscoding_splice(const struct fathom_block *block, float *rows, bool *changed, void *payload);
int fathom__crosscoding_losses(struct fathom_crosscoder_evaluation *out, struct fathom__crosscoding *c);

#endif
