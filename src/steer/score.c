/* What answers are worth together. */
#include "steer/asker.h"
#include "steer/fluency.h"
#include <math.h>

/* A token may lose this many nats before the likelihood's share of fluency falls to 1 / e. */
static const double likelihood_scale = 2.0;

/* Sums over answers on the way to a score. */
struct sums {
    size_t n_words, n_mentions, n_mentioning;
    size_t n_said; /* answers with a token in them */
    double repetition, distinct_1, distinct_2, log_probability, relevance, concept;
};

static void add(struct sums *sums, const struct fathom__measured *answer) {
    sums->n_words += answer->n_words;
    sums->n_mentions += answer->n_mentions;
    sums->n_mentioning += answer->n_mentions > 0;
    sums->n_said += answer->n_tokens > 0;
    sums->repetition += answer->repetition;
    sums->distinct_1 += answer->distinct_1;
    sums->distinct_2 += answer->distinct_2;
    sums->log_probability += answer->log_probability;
    sums->relevance += answer->relevance;
    sums->concept += answer->concept;
}

void fathom__measured_score(struct fathom_steer_score *out, const struct fathom__measured *answers, size_t n,
                            bool concept, const struct fathom_steer_score *plain) {
    struct sums sums = {0};
    struct fathom_steer_score score = {.n_answers = n};
    for (size_t i = 0; i < n; i++) {
        add(&sums, &answers[i]);
    }
    double said = (double)sums.n_said;
    score.mention_rate = concept ? (double)sums.n_mentioning / (double)n : NAN;
    score.mentions_per_100_words =
        concept && sums.n_words > 0 ? 100.0 * (double)sums.n_mentions / (double)sums.n_words : NAN;
    score.concept_log_probability = concept && said > 0 ? sums.concept / said : NAN;
    score.repetition = sums.repetition / (double)n;
    score.distinct_1 = said > 0 ? sums.distinct_1 / said : 0;
    score.distinct_2 = said > 0 ? sums.distinct_2 / said : 0;
    score.log_probability = said > 0 ? sums.log_probability / said : -INFINITY;
    score.relevance = said > 0 ? sums.relevance / said : 0;

    double lost = plain != NULL ? score.log_probability - plain->log_probability : 0;
    double usual = plain != NULL ? plain->relevance : score.relevance;
    score.concept_part = score.mention_rate;
    score.fluency_part = (1 - score.repetition) * exp(fmin(0, lost) / likelihood_scale);
    score.relevance_part = usual > 0 ? fmax(0, fmin(1, score.relevance / usual)) : 0;
    const double parts[] = {score.concept_part, score.fluency_part, score.relevance_part};
    score.objective = fathom__harmonic_mean(parts, sizeof parts / sizeof parts[0]);
    *out = score;
}
