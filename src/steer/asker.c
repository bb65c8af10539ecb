#include "steer/asker.h"
#include "base/error.h"
#include "base/memory.h"
#include "detect/read.h"
#include "steer/answer.h"
#include "steer/fluency.h"
#include <math.h>
#include <string.h>

/* Answers that are written side by side: a decode of a few rows takes little longer than one of a single row. */
enum { DEFAULT_NEW = 48, MOST_TOKENS = 4096, REPETITION_SIZE = 4, SIDE_BY_SIDE = 8 };

/* A token may lose this many nats before the likelihood's share of fluency falls to 1 / e. */
static const double likelihood_scale = 2.0;

/* What the answer to a single question is compared with. */
static const char *const own_questions[] = {"What is the capital of France?", "How do I boil an egg?",
                                            "Who wrote Hamlet?", "Why is the sky blue?"};
enum { OWN_QUESTIONS = sizeof own_questions / sizeof own_questions[0] };

struct fathom__asker {
    const fathom_model *model;
    const struct fathom_steer_asking *asking;
    const fathom_concept *concept;
    struct fathom__prompt *prompts; /* [n_prompts]: the questions, then those that are only compared with */
    size_t n_prompts;
    uint32_t n_seeds, max_new;
    fathom_session *steered, *plain;
};

void fathom__asker_close(fathom__asker *asker) {
    if (asker == NULL) {
        return;
    }
    if (asker->steered != NULL) {
        fathom_session_close(asker->steered);
    }
    if (asker->plain != NULL) {
        fathom_session_close(asker->plain);
    }
    for (size_t q = 0; q < asker->n_prompts && asker->prompts != NULL; q++) {
        fathom_free(asker->prompts[q].tokens);
    }
    fathom_free(asker->prompts);
    fathom_free(asker);
}

static int open_sessions(fathom__asker *asker) {
    struct fathom_session_options options = FATHOM_SESSION_OPTIONS_INIT;
    size_t longest = 0;
    for (size_t q = 0; q < asker->n_prompts; q++) {
        longest = asker->prompts[q].n > longest ? asker->prompts[q].n : longest;
    }
    if (longest + asker->max_new > MOST_TOKENS) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "a prompt of %zu tokens with an answer of %u is longer than %d",
                            longest, asker->max_new, MOST_TOKENS);
    }
    size_t n_answers = asker->asking->n_questions * asker->n_seeds;
    size_t together = n_answers < SIDE_BY_SIDE ? n_answers : SIDE_BY_SIDE;
    uint32_t length = (uint32_t)longest + asker->max_new;
    options.n_threads = fathom__session_threads(asker->model);
    options.n_batch = length;
    options.n_sequences = (uint32_t)together;
    options.n_context = length * (uint32_t)together;
    int status = fathom_session_open(&asker->steered, asker->model, &options);
    options.n_sequences = (uint32_t)asker->n_prompts + 1;
    options.n_context = (uint32_t)longest * (uint32_t)asker->n_prompts + length;
    options.flash_attention = true; /* answers are only read there, and score the same whatever else is kept */
    if (status == FATHOM_OK) {
        status = fathom_session_open(&asker->plain, asker->model, &options);
    }
    return status == FATHOM_OK ? fathom__prompts_keep(asker->plain, asker->prompts, asker->n_prompts) : status;
}

int fathom__asker_open(fathom__asker **out, const fathom_model *model, const struct fathom_steer_asking *asking,
                       const fathom_concept *concept) {
    fathom__asker *asker = NULL;
    const char *const *others = asking->others;
    size_t n_others = asking->n_others;
    if (asking->n_questions == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "at least one question is needed");
    }
    if (asking->n_questions + n_others < 2) {
        others = own_questions;
        n_others = OWN_QUESTIONS;
    }
    int status = fathom__alloc(&asker, 1, sizeof *asker);
    if (status != FATHOM_OK) {
        return status;
    }
    asker->model = model;
    asker->asking = asking;
    asker->concept = concept;
    asker->n_seeds = asking->n_seeds ? asking->n_seeds : 1;
    asker->max_new = asking->max_new ? asking->max_new : DEFAULT_NEW;
    asker->n_prompts = asking->n_questions + n_others;
    status = fathom__alloc(&asker->prompts, asker->n_prompts, sizeof *asker->prompts);
    for (size_t q = 0; q < asker->n_prompts && status == FATHOM_OK; q++) {
        const char *question = q < asking->n_questions ? asking->questions[q] : others[q - asking->n_questions];
        status = fathom_prompt_tokens(&asker->prompts[q].tokens, &asker->prompts[q].n, model, &asking->style, question);
    }
    if (status == FATHOM_OK) {
        status = open_sessions(asker);
    }
    if (status != FATHOM_OK) {
        fathom__asker_close(asker);
        return status;
    }
    *out = asker;
    return FATHOM_OK;
}

/* Sums over answers on the way to a score. */
struct sums {
    size_t n, n_words, n_mentions, n_mentioning;
    size_t n_measured; /* answers with a token in them */
    double repetition, distinct_1, distinct_2, log_probability, relevance, concept;
};

/* Likelihood and relevance of an answer in the plain model. */
static int measure_plain(struct sums *sums, fathom__asker *asker, size_t question,
                         const struct fathom__answer *answer) {
    double own = 0;
    double others = 0;
    for (size_t q = 0; q < asker->n_prompts; q++) {
        double sum = 0;
        int status = fathom__prompts_probability(&sum, asker->plain, asker->prompts, asker->n_prompts, q,
                                                 answer->tokens, answer->n);
        if (status != FATHOM_OK) {
            return status;
        }
        *(q == question ? &own : &others) += sum / (double)answer->n;
    }
    sums->log_probability += own;
    sums->relevance += own - others / (double)(asker->n_prompts - 1);
    return FATHOM_OK;
}

static int measure(struct sums *sums, fathom__asker *asker, size_t question, const struct fathom__answer *answer) {
    sums->n++;
    sums->n_words += fathom__count_words(answer->text);
    if (asker->concept != NULL) {
        size_t mentions = fathom_concept_mentions(asker->concept, answer->text);
        sums->n_mentions += mentions;
        sums->n_mentioning += mentions > 0;
    }
    if (answer->n == 0) {
        sums->repetition += 1; /* an empty answer says nothing new */
        return FATHOM_OK;
    }
    sums->n_measured++;
    sums->repetition += fathom__repetition(answer->tokens, answer->n, REPETITION_SIZE);
    sums->distinct_1 += fathom__distinct(answer->tokens, answer->n, 1);
    sums->distinct_2 += fathom__distinct(answer->tokens, answer->n, 2);
    sums->concept += answer->concept;
    return measure_plain(sums, asker, question, answer);
}

static void make_score(struct fathom_steer_score *out, const struct sums *sums, bool concept,
                       const struct fathom_steer_score *plain) {
    double n = (double)sums->n;
    double measured = (double)sums->n_measured;
    struct fathom_steer_score score = {.n_answers = sums->n};
    score.mention_rate = concept ? (double)sums->n_mentioning / n : NAN;
    score.mentions_per_100_words =
        concept && sums->n_words > 0 ? 100.0 * (double)sums->n_mentions / (double)sums->n_words : NAN;
    score.concept_log_probability = concept && measured > 0 ? sums->concept / measured : NAN;
    score.repetition = sums->repetition / n;
    score.distinct_1 = measured > 0 ? sums->distinct_1 / measured : 0;
    score.distinct_2 = measured > 0 ? sums->distinct_2 / measured : 0;
    score.log_probability = measured > 0 ? sums->log_probability / measured : -INFINITY;
    score.relevance = measured > 0 ? sums->relevance / measured : 0;

    double lost = plain != NULL ? score.log_probability - plain->log_probability : 0;
    double usual = plain != NULL ? plain->relevance : score.relevance;
    score.concept_part = score.mention_rate;
    score.fluency_part = (1 - score.repetition) * exp(fmin(0, lost) / likelihood_scale);
    score.relevance_part = usual > 0 ? fmax(0, fmin(1, score.relevance / usual)) : 0;
    const double parts[] = {score.concept_part, score.fluency_part, score.relevance_part};
    score.objective = fathom__harmonic_mean(parts, sizeof parts / sizeof parts[0]);
    *out = score;
}

static int keep_answer(struct fathom_answers *answers, struct fathom__answer *answer) {
    size_t capacity = answers->n;
    int status = fathom__grow(&answers->texts, &capacity, answers->n + 1, sizeof *answers->texts);
    if (status == FATHOM_OK) {
        answers->texts[answers->n++] = answer->text;
        answer->text = NULL;
    }
    return status;
}

/* Answers [first, first + n) of all, a question's seeds together. */
static int ask_some(struct sums *sums, struct fathom_answers *answers, fathom__asker *asker, fathom_steering *steering,
                    size_t first, size_t n, uint64_t seed_offset) {
    struct fathom__request requests[SIDE_BY_SIDE];
    struct fathom__answer given[SIDE_BY_SIDE];
    for (size_t i = 0; i < n; i++) {
        const struct fathom__prompt *prompt = &asker->prompts[(first + i) / asker->n_seeds];
        uint64_t seed = asker->asking->sampling.seed + seed_offset + (first + i) % asker->n_seeds;
        requests[i] = (struct fathom__request){prompt->tokens, prompt->n, seed};
    }
    int status = fathom__answers_generate(given, asker->steered, steering, requests, n, asker->max_new,
                                          &asker->asking->sampling, asker->asking->style.stop, asker->concept);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        if (status == FATHOM_OK) {
            status = measure(sums, asker, (first + i) / asker->n_seeds, &given[i]);
        }
        if (status == FATHOM_OK && answers != NULL) {
            status = keep_answer(answers, &given[i]);
        }
        fathom__answer_free(&given[i]);
    }
    return status;
}

int fathom__asker_ask(struct fathom_steer_score *out, struct fathom_answers *answers, fathom__asker *asker,
                      const fathom_steer *plan, const struct fathom_steer_score *plain, uint64_t seed_offset,
                      int (*between)(size_t n_answers, void *payload), void *payload) {
    struct sums sums = {0};
    fathom_steering *steering = NULL;
    struct fathom_answers kept = FATHOM_ANSWERS_INIT;
    int status = plan != NULL ? fathom_steer_attach(&steering, asker->steered, plan) : FATHOM_OK;
    size_t n_answers = asker->asking->n_questions * asker->n_seeds;
    for (size_t first = 0; first < n_answers && status == FATHOM_OK; first += SIDE_BY_SIDE) {
        size_t n = n_answers - first < SIDE_BY_SIDE ? n_answers - first : SIDE_BY_SIDE;
        status = ask_some(&sums, answers != NULL ? &kept : NULL, asker, steering, first, n, seed_offset);
        if (status == FATHOM_OK && between != NULL) {
            int returned = between(n, payload);
            status = returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
        }
    }
    fathom_steer_detach(steering);
    if (status != FATHOM_OK) {
        fathom_answers_free(&kept);
        return status;
    }
    make_score(out, &sums, asker->concept != NULL, plain);
    if (answers != NULL) {
        *answers = kept;
    }
    return FATHOM_OK;
}

int fathom_steer_ask(struct fathom_steer_score *out, struct fathom_answers *answers, const fathom_model *model,
                     const fathom_steer *plan, const struct fathom_steer_asking *asking, const fathom_concept *concept,
                     const struct fathom_steer_score *plain) {
    fathom__asker *asker = NULL;
    int status = fathom__asker_open(&asker, model, asking, concept);
    if (status == FATHOM_OK) {
        status = fathom__asker_ask(out, answers, asker, plan, plain, 0, NULL, NULL);
    }
    fathom__asker_close(asker);
    return status;
}
