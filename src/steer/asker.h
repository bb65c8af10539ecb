/* Asking the same questions under one plan after another, and measuring the answers. */
#ifndef FATHOM_STEER_ASKER_H
#define FATHOM_STEER_ASKER_H

#include <fathom/steer.h>

typedef struct fathom__asker fathom__asker;

/* asking, concept (NULL allowed) and what they point to are borrowed until it is closed. */
int fathom__asker_open(fathom__asker **out, const fathom_model *model, const struct fathom_steer_asking *asking,
                       const fathom_concept *concept);
void fathom__asker_close(fathom__asker *asker);

/* Answers of one asking: questions × seeds, a question's seeds together. */
size_t fathom__asker_count(const fathom__asker *asker);

/* Puts a text before every question that is asked from now on (NULL: none). Answers are measured as answers to the
 * questions alone all the same. */
int fathom__asker_instruct(fathom__asker *asker, const char *instruction);

/* What is measured of one answer. */
struct fathom__measured {
    size_t n_tokens, n_words, n_mentions;
    /* of an answer without a token: 1, and 0 for all others */
    double repetition;
    double distinct_1, distinct_2;
    double log_probability, relevance; /* a token */
    double concept;                    /* mean log mass of the concept over the answer's positions */
};

/* Called after every few answers; stops when it does not return 0. */
typedef int (*fathom__between_fn)(size_t n_answers, void *payload);

/* Answers under a plan (NULL: plainly) and measures: out is [count] of the caller's, *answers (NULL allowed) the texts
 * in the same order. Seeds begin at the asking's own + seed_offset. `between` may be NULL. */
int fathom__asker_measure(struct fathom__measured *out, struct fathom_answers *answers, fathom__asker *asker,
                          const fathom_steer *plan, uint64_t seed_offset, fathom__between_fn between, void *payload);

/* The score of n answers together. `plain` as in fathom_steer_ask; without a concept its figures are not numbers. */
void fathom__measured_score(struct fathom_steer_score *out, const struct fathom__measured *answers, size_t n,
                            bool concept, const struct fathom_steer_score *plain);

/* Both: as fathom_steer_ask. */
int fathom__asker_ask(struct fathom_steer_score *out, struct fathom_answers *answers, fathom__asker *asker,
                      const fathom_steer *plan, const struct fathom_steer_score *plain, uint64_t seed_offset,
                      fathom__between_fn between, void *payload);

/* Tells an asking's own progress callback how many answers there are: a fathom__between_fn. */
struct fathom__asking_progress {
    const struct fathom_steer_asking *asking;
    uint64_t done, total; /* answers */
    double started;       /* fathom__seconds */
};
int fathom__asking_report(size_t n_answers, void *payload);

/* Prompts kept in a session's KV cache, one a sequence, for asking after each how likely an answer is. */
struct fathom__prompt {
    int32_t *tokens;
    size_t n;
};
/* Feeds prompts as sequences 0 … n - 1 of the session, all but their last tokens. */
int fathom__prompts_keep(fathom_session *session, const struct fathom__prompt *prompts, size_t n);
/* out [n_which]: sums of the natural-log probabilities of `answer` after some of the n prompts that the session keeps.
 * The session has n_which sequences beyond theirs, room for that many answers, and a batch of one answer or more. */
int fathom__prompts_probabilities(double *out, fathom_session *session, const struct fathom__prompt *prompts, size_t n,
                                  const size_t *which, size_t n_which, const int32_t *answer, size_t n_answer);

#endif
