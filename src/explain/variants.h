/* The same prompt and answer many times in one batch, each time with something else taken away. */
#ifndef FATHOM_EXPLAIN_VARIANTS_H
#define FATHOM_EXPLAIN_VARIANTS_H

#include <fathom/model.h>
#include <fathom/progress.h>
#include <fathom/session.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is measured: the prompt, then the answer whose probability counts. */
struct fathom__question {
    const int32_t *tokens; /* prompt and answer */
    size_t n_prompt, n_answer;
};

/* Tokens that are run: the answer's last token is only predicted. */
size_t fathom__question_length(const struct fathom__question *question);

/* Changes row `r` of a block for a variant; returns whether it did. */
typedef bool (*fathom__variant_fn)(float *row, const struct fathom_block *block, size_t r, size_t variant,
                                   void *payload);

struct fathom__variants {
    struct fathom__question question;
    const struct fathom_hook *hooks; /* where rows are changed */
    size_t n_hooks;
    fathom__variant_fn change;
    void *payload;
    size_t n_variants;
    bool alone; /* one variant a run: for hooks whose columns are cache cells */
    const char *stage;
    fathom_progress_fn progress;
    void *progress_payload;
};

/* Most rows of one run. */
#define FATHOM__VARIANT_ROWS 512

/* Opens a session that fits the question's variants. */
int fathom__variants_session(fathom_session **out, const fathom_model *model, const struct fathom__question *question,
                             uint32_t n_threads);

/* log_probabilities[v]: log p(answer | prompt) under variant v, natural logarithm. The session's own taps and edits
 * stay in force. */
int fathom__variants_measure(double *log_probabilities, fathom_session *session,
                             const struct fathom__variants *variants);

/* log p(answer) out of the logits of one sequence whose first row of the last decode is `first_row`; *first_rank and
 * *first_probability are of the answer's first token; both may be NULL. */
int fathom__continuation_probability(double *log_probability, double *first_probability, uint32_t *first_rank,
                                     const fathom_session *session, const struct fathom__question *question,
                                     size_t first_row);

#endif
