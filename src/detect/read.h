/* Texts through a model, several in one batch, as rows at hook points. */
#ifndef FATHOM_DETECT_READ_H
#define FATHOM_DETECT_READ_H

#include <fathom/detect.h>

/* Rows longer than this many times the median of their kind say more about the model's bookkeeping than about the
 * text. */
#define FATHOM__OUTLIER_RATIO 10.0f

/* Texts as tokens. */
struct fathom__tokens {
    int32_t **tokens; /* [n], owned */
    size_t *lengths;
    size_t n;
};
/* Every text by itself, as the model's texts begin; no special token is read out of it. */
int fathom__tokens_of_texts(struct fathom__tokens *out, const fathom_model *model, const struct fathom_texts *texts);
void fathom__tokens_free(struct fathom__tokens *tokens);

/* A text, or a window of one that is longer than a window holds. Everything is borrowed during the callback. */
struct fathom__piece {
    size_t text;     /* its number */
    size_t first;    /* index of the piece's first token in the text */
    size_t n_tokens; /* 0 for an empty text */
    bool last;       /* no further piece of this text follows */
    const int32_t *tokens;
    const int32_t *positions; /* from 0 in every piece */
    const float *const *rows; /* [hooks] of f32 [n_tokens, width] */
    const size_t *widths;     /* [hooks] */
};
typedef int (*fathom__piece_fn)(const struct fathom__piece *piece, void *payload);

/* Delivers every text in order. Errors: those of models and sessions, with the text's number; what fn returns. */
int fathom__read_tokens(const fathom_model *model, const struct fathom__tokens *texts, const struct fathom_hook *hooks,
                        size_t n_hooks, fathom__piece_fn fn, void *payload);
int fathom__read_texts(const fathom_model *model, const struct fathom_texts *texts, const struct fathom_hook *hooks,
                       size_t n_hooks, fathom__piece_fn fn, void *payload);

/* Threads for a session of this model: a tiny one is done before a second thread is awake. 0: all cores. */
uint32_t fathom__session_threads(const fathom_model *model);

double fathom__norm(const float *row, size_t width);

/* The median of n values, which are reordered; 0 when there are none. */
float fathom__median(float *values, size_t n);

#endif
