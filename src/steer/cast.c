#include "steer/cast.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/pool.h"
#include "steer/direction.h"
#include "steer/own_texts.h"
#include "steer/plan.h"
#include <math.h>
#include <string.h>

enum { FEWEST_CHOOSING = 2 }; /* of each class */

void fathom_cast_free(struct fathom_cast *cast) {
    fathom_direction_free(&cast->direction);
    fathom_free(cast->points);
    *cast = (struct fathom_cast)FATHOM_CAST_INIT;
}

struct fathom_steer_condition fathom_cast_condition(const struct fathom_cast *cast, enum fathom_steer_measure measure) {
    const struct fathom_cast_point *best = &cast->points[cast->best];
    return (struct fathom_steer_condition){.direction = &cast->direction,
                                           .layer = best->layer,
                                           .measure = measure,
                                           .level = best->level,
                                           .below = best->below,
                                           .over = FATHOM_STEER_OVER_PROMPT};
}

/* What a search works on. */
struct searching {
    const fathom_model *model;
    const struct fathom_cast_search *search;
    struct fathom__cast_prompts learn, choose, test;
    size_t n_layers, width;
    float **rows;                        /* [layers] of [learn, width] */
    bool *read;                          /* [learn, layers] */
    struct fathom_direction *directions; /* [1 + shuffles]; the first is the labels' own */
    int8_t **labels[2];                  /* of choose and test, [1 + shuffles] */
    float *levels[2];                    /* [1 + shuffles, layers, prompts] */
    size_t n_runs;
};

static int add_prompt(struct fathom__cast_prompts *prompts, const struct searching *s, const struct fathom_texts *texts,
                      size_t t) {
    int status = fathom__cast_prompts_add(prompts, s->model, &s->search->style, texts->texts[t], texts->labels[t]);
    return status == FATHOM_OK ? status : fathom__wrap(status, "prompt %zu", t + 1);
}

static int check_labels(const struct fathom_texts *texts) {
    for (size_t t = 0; t < texts->n; t++) {
        if (texts->labels[t] != FATHOM_LABEL_POSITIVE && texts->labels[t] != FATHOM_LABEL_NEGATIVE) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "prompt %zu has no label", t + 1);
        }
    }
    return FATHOM_OK;
}

static int split(struct searching *s) {
    const struct fathom_texts *texts = s->search->texts;
    const struct fathom_texts *test = s->search->test;
    size_t counts[2] = {fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE),
                        fathom_texts_count(texts, FATHOM_LABEL_POSITIVE)};
    const size_t needed = s->search->n_train + FEWEST_CHOOSING;
    size_t seen[2] = {0, 0};
    int status = check_labels(texts);
    if (status == FATHOM_OK && test != NULL) {
        status = check_labels(test);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    if (s->search->n_train < 1 || counts[0] < needed || counts[1] < needed) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%zu positive and %zu negative prompts are too few for directions from %zu of each and %d "
                            "more to choose by",
                            counts[1], counts[0], s->search->n_train, FEWEST_CHOOSING);
    }
    if (test != NULL && (fathom_texts_count(test, FATHOM_LABEL_POSITIVE) == 0 ||
                         fathom_texts_count(test, FATHOM_LABEL_NEGATIVE) == 0)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a test needs prompts of both classes");
    }
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        bool learns = seen[texts->labels[t]]++ < s->search->n_train;
        status = add_prompt(learns ? &s->learn : &s->choose, s, texts, t);
    }
    for (size_t t = 0; test != NULL && t < test->n && status == FATHOM_OK; t++) {
        status = add_prompt(&s->test, s, test, t);
    }
    return status;
}

/* Rows of the learning prompts. Norms are those that a plan goes by when it reads the direction from a file. */
static int read_rows(struct searching *s) {
    struct fathom_direction *direction = &s->directions[0];
    struct fathom_texts own = FATHOM_TEXTS_INIT;
    struct fathom_hook *hooks = NULL;
    float *max_norms = NULL;
    int status = fathom__direction_hooks(&hooks, direction);
    if (status == FATHOM_OK) {
        status = fathom__own_texts(&own);
    }
    if (status == FATHOM_OK) {
        status = fathom__median_norms(direction->median_norms, s->model, &own, hooks, s->n_layers);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&max_norms, s->n_layers, sizeof *max_norms);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&s->rows, s->n_layers, sizeof *s->rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&s->read, s->n_layers * s->learn.tokens.n, sizeof *s->read);
    }
    for (size_t l = 0; l < s->n_layers && status == FATHOM_OK; l++) {
        max_norms[l] = FATHOM__OUTLIER_RATIO * direction->median_norms[l];
        status = fathom__alloc(&s->rows[l], s->learn.tokens.n * s->width, sizeof *s->rows[l]);
    }
    if (status == FATHOM_OK) {
        status = fathom__pool_tokens(s->rows, s->read, s->model, &s->learn.tokens, hooks, s->n_layers, max_norms,
                                     FATHOM_POOL_MEAN);
    }
    fathom_texts_free(&own);
    fathom_free(max_norms);
    fathom_free(hooks);
    return status;
}

/* A set's labels, in another order but in the first run. */
static int deal(int8_t **out, const struct fathom__cast_prompts *prompts, size_t run, struct fathom__random *random) {
    const size_t n = prompts->tokens.n;
    int status = fathom__alloc(out, n, sizeof **out);
    if (status != FATHOM_OK || n == 0) {
        return status;
    }
    memcpy(*out, prompts->labels, n * sizeof **out);
    for (size_t i = n - 1; i > 0 && run > 0; i--) {
        size_t other = (size_t)fathom__random_below(random, i + 1);
        int8_t label = (*out)[i];
        (*out)[i] = (*out)[other];
        (*out)[other] = label;
    }
    return status;
}

/* Directions of the labels and of every shuffle. */
static int learn(struct searching *s) {
    struct fathom__random random;
    int status = FATHOM_OK;
    fathom__random_seed(&random, s->search->seed);
    for (size_t run = 0; run < s->n_runs && status == FATHOM_OK; run++) {
        struct fathom_direction *direction = &s->directions[run];
        int8_t *labels = NULL;
        if (run > 0) {
            status = fathom__direction_start(direction, s->model, s->search->kind, s->search->first_layer,
                                             s->search->last_layer);
        }
        if (status == FATHOM_OK) {
            memcpy(direction->median_norms, s->directions[0].median_norms, s->n_layers * sizeof(float));
            status = deal(&labels, &s->learn, run, &random);
        }
        if (status == FATHOM_OK) {
            status = fathom__direction_fit(direction, s->search->method, s->rows, s->read, labels, s->learn.tokens.n);
        }
        if (status == FATHOM_OK) {
            status = deal(&s->labels[0][run], &s->choose, run, &random);
        }
        if (status == FATHOM_OK) {
            status = deal(&s->labels[1][run], &s->test, run, &random);
        }
        fathom_free(labels);
    }
    return status;
}

static int measure(struct searching *s) {
    const struct fathom__cast_prompts *const sets[2] = {&s->choose, &s->test};
    int status = FATHOM_OK;
    for (int set = 0; set < 2 && status == FATHOM_OK; set++) {
        status = fathom__alloc(&s->levels[set], s->n_runs * s->n_layers * sets[set]->tokens.n, sizeof(float));
        if (status == FATHOM_OK && sets[set]->tokens.n > 0) {
            status = fathom__cast_levels(s->levels[set], s->model, sets[set], s->directions, s->n_runs, s->search);
        }
    }
    return status;
}

/* Whether a is the better condition. */
static bool better(const struct fathom_cast_point *a, const struct fathom_cast_point *b) {
    return a->f1 > b->f1 || (a->f1 == b->f1 && a->margin > b->margin) || (isnan(b->f1) && !isnan(a->f1));
}

/* The points of one run [layers], the best of them, and that one on the test prompts. */
static int choose(struct fathom_cast_point *points, size_t *best, struct fathom_cast_point *test,
                  const struct searching *s, size_t run) {
    const size_t n = s->choose.tokens.n;
    int status = FATHOM_OK;
    *best = 0;
    for (size_t l = 0; l < s->n_layers && status == FATHOM_OK; l++) {
        points[l] = (struct fathom_cast_point){.layer = s->directions[0].first_layer + (int32_t)l};
        status = fathom__cast_choose(&points[l], s->levels[0] + (run * s->n_layers + l) * n, s->labels[0][run], n);
        *best = better(&points[l], &points[*best]) ? l : *best;
    }
    if (status == FATHOM_OK && isnan(points[*best].f1)) {
        status = fathom__fail(FATHOM_ERROR_NUMERIC, "at no layer do the prompts' levels differ");
    }
    *test = points[*best];
    test->f1 = test->auroc = NAN;
    if (status == FATHOM_OK && s->test.tokens.n > 0) {
        status = fathom__cast_judge(test, s->levels[1] + (run * s->n_layers + *best) * s->test.tokens.n,
                                    s->labels[1][run], s->test.tokens.n);
    }
    return status;
}

static void add_chance(struct fathom_cast_chance *chance, double f1, uint32_t n) {
    chance->mean = (isnan(chance->mean) ? 0 : chance->mean) + f1 / n;
    chance->highest = isnan(chance->highest) || f1 > chance->highest ? f1 : chance->highest;
}

static int conclude(struct fathom_cast *out, const struct searching *s) {
    struct fathom_cast_point *points = NULL;
    int status = fathom__alloc(&out->points, s->n_layers, sizeof *out->points);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&points, s->n_layers, sizeof *points);
    }
    if (status == FATHOM_OK) {
        out->n_points = s->n_layers;
        out->always = fathom__cast_always(s->choose.labels, s->choose.tokens.n);
        out->test_always = s->test.tokens.n > 0 ? fathom__cast_always(s->test.labels, s->test.tokens.n) : NAN;
        out->chance = out->test_chance = (struct fathom_cast_chance){NAN, NAN};
        status = choose(out->points, &out->best, &out->test, s, 0);
    }
    for (size_t run = 1; run < s->n_runs && status == FATHOM_OK; run++) {
        struct fathom_cast_point test;
        size_t best = 0;
        status = choose(points, &best, &test, s, run);
        if (status == FATHOM_OK) {
            add_chance(&out->chance, points[best].f1, s->search->n_shuffles);
        }
        if (status == FATHOM_OK && s->test.tokens.n > 0) {
            add_chance(&out->test_chance, test.f1, s->search->n_shuffles);
        }
    }
    fathom_free(points);
    return status;
}

static void close_search(struct searching *s) {
    fathom__cast_prompts_free(&s->learn);
    fathom__cast_prompts_free(&s->choose);
    fathom__cast_prompts_free(&s->test);
    for (size_t l = 0; l < s->n_layers && s->rows != NULL; l++) {
        fathom_free(s->rows[l]);
    }
    fathom_free(s->rows);
    fathom_free(s->read);
    for (size_t run = 0; run < s->n_runs && s->directions != NULL; run++) {
        fathom_direction_free(&s->directions[run]);
    }
    fathom_free(s->directions);
    for (int set = 0; set < 2; set++) {
        for (size_t run = 0; run < s->n_runs && s->labels[set] != NULL; run++) {
            fathom_free(s->labels[set][run]);
        }
        fathom_free(s->labels[set]);
        fathom_free(s->levels[set]);
    }
}

int fathom_cast_find(struct fathom_cast *out, const fathom_model *model, const struct fathom_cast_search *search) {
    struct searching s = {.model = model, .search = search, .n_runs = (size_t)search->n_shuffles + 1};
    struct fathom_cast cast = FATHOM_CAST_INIT;
    int status = fathom__alloc(&s.directions, s.n_runs, sizeof *s.directions);
    for (int set = 0; set < 2 && status == FATHOM_OK; set++) {
        status = fathom__alloc(&s.labels[set], s.n_runs, sizeof *s.labels[set]);
    }
    if (status == FATHOM_OK) {
        status =
            fathom__direction_start(&s.directions[0], model, search->kind, search->first_layer, search->last_layer);
    }
    if (status == FATHOM_OK) {
        s.n_layers = fathom__direction_layers(&s.directions[0]);
        s.width = s.directions[0].width;
        status = split(&s);
    }
    if (status == FATHOM_OK) {
        status = read_rows(&s);
    }
    if (status == FATHOM_OK) {
        status = learn(&s);
    }
    if (status == FATHOM_OK) {
        status = measure(&s);
    }
    if (status == FATHOM_OK) {
        status = conclude(&cast, &s);
    }
    if (status == FATHOM_OK) {
        cast.direction = s.directions[0];
        s.directions[0] = (struct fathom_direction)FATHOM_DIRECTION_INIT;
    }
    close_search(&s);
    if (status != FATHOM_OK) {
        fathom_cast_free(&cast);
        return status;
    }
    *out = cast;
    return FATHOM_OK;
}
