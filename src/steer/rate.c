/* Answers rated one by one on the scale of AxBench, by rules. */
#include "base/error.h"
#include "base/memory.h"
#include <fathom/steer.h>
#include <math.h>

/* Parts of 0 … 1 are 0 points in the lowest third, 1 in the middle one, 2 above. */
static const double one_point = 1.0 / 3;
static const double two_points = 2.0 / 3;
/* More mentions in a hundred words than this are a stammer. */
static const double most_mentions = 20;

struct fathom_steer_rater {
    const fathom_model *model;
    struct fathom_steer_asking asking;
    const fathom_concept *concept;
    const char **others;              /* than the one that is asked */
    struct fathom_steer_score *plain; /* [questions] */
};

/* Question `which` alone, the others for comparison. */
static struct fathom_steer_asking ask_one(fathom_steer_rater *rater, size_t which, uint32_t n_seeds, uint64_t seed) {
    struct fathom_steer_asking one = rater->asking;
    size_t n = 0;
    for (size_t q = 0; q < rater->asking.n_questions; q++) {
        if (q != which) {
            rater->others[n++] = rater->asking.questions[q];
        }
    }
    for (size_t q = 0; q < rater->asking.n_others; q++) {
        rater->others[n++] = rater->asking.others[q];
    }
    one.questions = &rater->asking.questions[which];
    one.n_questions = 1;
    one.others = rater->others;
    one.n_others = n;
    one.n_seeds = n_seeds;
    one.sampling.seed += seed;
    return one;
}

void fathom_steer_rater_close(fathom_steer_rater *rater) {
    if (rater == NULL) {
        return;
    }
    fathom_free(rater->others);
    fathom_free(rater->plain);
    fathom_free(rater);
}

int fathom_steer_rater_open(fathom_steer_rater **out, const fathom_model *model,
                            const struct fathom_steer_asking *asking, const fathom_concept *concept) {
    fathom_steer_rater *rater = NULL;
    if (asking->n_questions == 0 || concept == NULL) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "ratings need a question and a concept");
    }
    int status = fathom__alloc(&rater, 1, sizeof *rater);
    if (status != FATHOM_OK) {
        return status;
    }
    *rater = (struct fathom_steer_rater){.model = model, .asking = *asking, .concept = concept};
    rater->asking.n_seeds = asking->n_seeds > 0 ? asking->n_seeds : 1;
    status = fathom__alloc(&rater->others, asking->n_questions + asking->n_others, sizeof *rater->others);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rater->plain, asking->n_questions, sizeof *rater->plain);
    }
    for (size_t q = 0; q < asking->n_questions && status == FATHOM_OK; q++) {
        struct fathom_steer_asking one = ask_one(rater, q, rater->asking.n_seeds, 0);
        status = fathom_steer_ask(&rater->plain[q], NULL, model, NULL, &one, concept, NULL);
    }
    if (status != FATHOM_OK) {
        fathom_steer_rater_close(rater);
        return status;
    }
    *out = rater;
    return FATHOM_OK;
}

static double points(double part) {
    return part < one_point ? 0 : part < two_points ? 1 : 2;
}

void fathom_steer_points(double out[3], const struct fathom_steer_score *score) {
    out[0] = !(score->mention_rate > 0) ? 0 : score->mentions_per_100_words > most_mentions ? 1 : 2;
    out[1] = points(score->relevance_part);
    out[2] = points(score->fluency_part);
}

double fathom_steer_harmonic(const double parts[3]) {
    return parts[0] > 0 && parts[1] > 0 && parts[2] > 0 ? 3 / (1 / parts[0] + 1 / parts[1] + 1 / parts[2]) : 0;
}

/* Takes over the one answer that was asked for. */
static void keep_answer(struct fathom_answers *all, struct fathom_answers *one) {
    if (all->texts != NULL && one->n > 0) {
        all->texts[all->n++] = one->texts[0];
        one->n = 0; /* its text has moved */
    }
    fathom_answers_free(one);
}

int fathom_steer_rater_rate(struct fathom_steer_rating *out, struct fathom_answers *answers, fathom_steer_rater *rater,
                            const fathom_steer *plan, const char *instruction) {
    size_t n = rater->asking.n_questions * rater->asking.n_seeds;
    struct fathom_answers kept = FATHOM_ANSWERS_INIT;
    struct fathom_steer_rating rating = {.n_answers = n};
    int status = answers != NULL ? fathom__alloc(&kept.texts, n, sizeof *kept.texts) : FATHOM_OK;
    for (size_t a = 0; a < n && status == FATHOM_OK; a++) {
        size_t q = a / rater->asking.n_seeds;
        struct fathom_steer_asking one = ask_one(rater, q, 1, a % rater->asking.n_seeds);
        struct fathom_steer_score score;
        struct fathom_answers text = FATHOM_ANSWERS_INIT;
        char *question = NULL;
        const char *asked = NULL; /* the one question, where it is not the rater's own */
        double parts[3];
        if (instruction != NULL) {
            status = fathom__format(&question, "%s%s", instruction, rater->asking.questions[q]);
            asked = question;
            one.questions = &asked;
        }
        if (status == FATHOM_OK) {
            status = fathom_steer_ask(&score, answers != NULL ? &text : NULL, rater->model, plan, &one, rater->concept,
                                      &rater->plain[q]);
        }
        if (status == FATHOM_OK) {
            fathom_steer_points(parts, &score);
            rating.concept += parts[0] / (double)n;
            rating.instruction += parts[1] / (double)n;
            rating.fluency += parts[2] / (double)n;
            rating.harmonic += fathom_steer_harmonic(parts) / (double)n;
        }
        keep_answer(&kept, &text);
        fathom_free(question);
    }
    if (status != FATHOM_OK) {
        fathom_answers_free(&kept);
        return status;
    }
    *out = rating;
    if (answers != NULL) {
        *answers = kept;
    }
    return FATHOM_OK;
}
