/* Answers rated one by one on the scale of AxBench, by rules or by a judge. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "steer/asker.h"

/* Parts of 0 … 1 are 0 points in the lowest third, 1 in the middle one, 2 above. */
static const double one_point = 1.0 / 3;
static const double two_points = 2.0 / 3;
/* More mentions in a hundred words than this are a stammer. */
static const double most_mentions = 20;

struct fathom_steer_rater {
    struct fathom_steer_asking asking;
    fathom__asker *asker;
    size_t n;                    /* answers of a rating */
    fathom_steer_judge_fn judge; /* NULL: the rules */
    void *judge_payload;
    /* The plain answers, and their questions' scores. */
    struct fathom__measured *measured; /* [n] */
    struct fathom_answers texts;
    struct fathom_steer_score *plain; /* [questions] */
    struct fathom_steer_score all;    /* of all of them */
};

void fathom_steer_rater_close(fathom_steer_rater *rater) {
    if (rater == NULL) {
        return;
    }
    fathom__asker_close(rater->asker);
    fathom_answers_free(&rater->texts);
    fathom_free(rater->measured);
    fathom_free(rater->plain);
    fathom_free(rater);
}

/* Answers and measures, telling the asking's own callback how far it is. */
static int measure(struct fathom__measured *out, struct fathom_answers *answers, fathom_steer_rater *rater,
                   const fathom_steer *plan) {
    struct fathom__asking_progress report = {.asking = &rater->asking, .total = rater->n, .started = fathom__seconds()};
    return fathom__asker_measure(out, answers, rater->asker, plan, 0, fathom__asking_report, &report);
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
    rater->asking = *asking;
    status = fathom__asker_open(&rater->asker, model, &rater->asking, concept);
    if (status == FATHOM_OK) {
        rater->n = fathom__asker_count(rater->asker);
        status = fathom__alloc(&rater->measured, rater->n, sizeof *rater->measured);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rater->plain, asking->n_questions, sizeof *rater->plain);
    }
    if (status == FATHOM_OK) {
        status = measure(rater->measured, &rater->texts, rater, NULL);
    }
    if (status != FATHOM_OK) {
        fathom_steer_rater_close(rater);
        return status;
    }
    size_t n_seeds = rater->n / asking->n_questions;
    for (size_t q = 0; q < asking->n_questions; q++) {
        fathom__measured_score(&rater->plain[q], rater->measured + q * n_seeds, n_seeds, true, NULL);
    }
    fathom__measured_score(&rater->all, rater->measured, rater->n, true, NULL);
    *out = rater;
    return FATHOM_OK;
}

void fathom_steer_rater_judge(fathom_steer_rater *rater, fathom_steer_judge_fn judge, void *payload) {
    rater->judge = judge;
    rater->judge_payload = payload;
}

static double points_of(double part) {
    return part < one_point ? 0 : part < two_points ? 1 : 2;
}

void fathom_steer_points(double out[3], const struct fathom_steer_score *score) {
    out[0] = !(score->mention_rate > 0) ? 0 : score->mentions_per_100_words > most_mentions ? 1 : 2;
    out[1] = points_of(score->relevance_part);
    out[2] = points_of(score->fluency_part);
}

double fathom_steer_harmonic(const double parts[3]) {
    return parts[0] > 0 && parts[1] > 0 && parts[2] > 0 ? 3 / (1 / parts[0] + 1 / parts[1] + 1 / parts[2]) : 0;
}

static int copy_answers(struct fathom_answers *out, const struct fathom_answers *answers) {
    struct fathom_answers copy = FATHOM_ANSWERS_INIT;
    int status = fathom__alloc(&copy.texts, answers->n, sizeof *copy.texts);
    for (size_t a = 0; a < answers->n && status == FATHOM_OK; a++) {
        status = fathom__copy_string(&copy.texts[copy.n++], answers->texts[a]);
    }
    if (status != FATHOM_OK) {
        fathom_answers_free(&copy);
        return status;
    }
    *out = copy;
    return FATHOM_OK;
}

/* Answers of a rating, their measures and their texts; the plain ones are there already. */
static int take_answers(struct fathom__measured *measured, struct fathom_answers *texts, fathom_steer_rater *rater,
                        const fathom_steer *plan, const char *instruction) {
    if (plan == NULL && instruction == NULL) {
        for (size_t a = 0; a < rater->n; a++) {
            measured[a] = rater->measured[a];
        }
        return copy_answers(texts, &rater->texts);
    }
    int status = fathom__asker_instruct(rater->asker, instruction);
    return status == FATHOM_OK ? measure(measured, texts, rater, plan) : status;
}

/* Means over answers. */
static void add_points(struct fathom_steer_rating *rating, const double points[3], double n) {
    rating->concept += points[0] / n;
    rating->instruction += points[1] / n;
    rating->fluency += points[2] / n;
    rating->harmonic += fathom_steer_harmonic(points) / n;
}

int fathom_steer_rater_rate(struct fathom_steer_rating *out, struct fathom_answers *answers, double (*points)[3],
                            fathom_steer_rater *rater, const fathom_steer *plan, const char *instruction) {
    struct fathom_steer_rating rating = {.n_answers = rater->n};
    struct fathom__measured *measured = NULL;
    struct fathom_answers texts = FATHOM_ANSWERS_INIT;
    size_t n_seeds = rater->n / rater->asking.n_questions;
    int status = fathom__alloc(&measured, rater->n, sizeof *measured);
    if (status == FATHOM_OK) {
        status = take_answers(measured, &texts, rater, plan, instruction);
    }
    for (size_t a = 0; a < rater->n && status == FATHOM_OK; a++) {
        size_t q = a / n_seeds;
        struct fathom_steer_score score;
        double own[3];
        fathom__measured_score(&score, &measured[a], 1, true, &rater->plain[q]);
        fathom_steer_points(own, &score);
        if (rater->judge != NULL) {
            int returned = rater->judge(own, rater->asking.questions[q], texts.texts[a], rater->judge_payload);
            status = returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
        }
        if (status == FATHOM_OK) {
            add_points(&rating, own, (double)rater->n);
        }
        for (int p = 0; p < 3 && points != NULL; p++) {
            points[a][p] = own[p];
        }
    }
    if (status == FATHOM_OK) {
        fathom__measured_score(&rating.score, measured, rater->n, true, &rater->all);
    }
    fathom_free(measured);
    if (status != FATHOM_OK || answers == NULL) {
        fathom_answers_free(&texts);
    }
    if (status == FATHOM_OK) {
        *out = rating;
        if (answers != NULL) {
            *answers = texts;
        }
    }
    return status;
}
