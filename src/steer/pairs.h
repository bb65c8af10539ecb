/* Questions with given answers, laid out as rows for the fewest decodes: what prompts begin with in common is run once,
 * then each question's rest, then every answer. */
#ifndef FATHOM_STEER_PAIRS_H
#define FATHOM_STEER_PAIRS_H

#include "steer/asker.h"
#include <fathom/steer.h>

enum fathom__pair_kind { FATHOM__PAIR_WANTED = 0, FATHOM__PAIR_PLAIN, FATHOM__PAIR_KINDS };

struct fathom__pair {
    size_t prompt;
    int32_t *answer; /* tokens, owned */
    size_t n;
    enum fathom__pair_kind kind;
};

struct fathom__pairs {
    const char **questions;         /* [n_prompts]: distinct, borrowed */
    struct fathom__prompt *prompts; /* tokens owned */
    size_t n_prompts, question_capacity, prompt_capacity;
    struct fathom__pair *pairs;
    size_t n, capacity;
};

void fathom__pairs_free(struct fathom__pairs *pairs);

/* Finds or adds a question's prompt. */
int fathom__pairs_prompt(size_t *out, struct fathom__pairs *pairs, const fathom_model *model,
                         const struct fathom_prompt_style *style, const char *question);
/* Adds an answer of at least one token; the tokens are taken over, also on an error. */
int fathom__pairs_add(struct fathom__pairs *pairs, size_t prompt, int32_t *answer, size_t n,
                      enum fathom__pair_kind kind);
/* Tokenises and adds question and answer. */
int fathom__pairs_add_text(struct fathom__pairs *pairs, const fathom_model *model,
                           const struct fathom_prompt_style *style, const struct fathom_steer_pair *pair,
                           enum fathom__pair_kind kind);

/* Sequence 0 holds the common beginning, 1 … n_prompts the questions, then one an answer. */
struct fathom__pair_rows {
    struct fathom_row *shared, *questions, *answers; /* owned */
    size_t n_shared, n_questions, n_answers;
    /* Of each answer's row: the token that its logits are asked for, and its pair. */
    int32_t *expected;
    size_t *owners;
};

static inline int32_t fathom__pair_sequence(const struct fathom__pairs *pairs, size_t pair) {
    return (int32_t)(1 + pairs->n_prompts + pair);
}
int fathom__pair_rows_open(struct fathom__pair_rows *out, const struct fathom__pairs *pairs);
void fathom__pair_rows_free(struct fathom__pair_rows *rows);

/* A session that holds them, one setting after another; threads are the caller's choice. */
struct fathom_session_options fathom__pair_rows_session(const struct fathom__pairs *pairs,
                                                        const struct fathom__pair_rows *rows, size_t n_vocab);

/* Given the logits [n_vocab] that say how likely `expected` is there, the next token of a pair's answer. A
 * fathom_status. */
typedef int (*fathom__pair_row_fn)(const float *logits, size_t n_vocab, size_t pair, int32_t expected, void *payload);
/* Runs everything anew in the session, under whatever edits are in force, and delivers each answer's rows in order. */
int fathom__pair_rows_run(fathom_session *session, const struct fathom__pairs *pairs,
                          const struct fathom__pair_rows *rows, fathom__pair_row_fn fn, void *payload);

#endif
