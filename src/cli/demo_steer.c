/* One question answered plainly, with a feature turned up, with an equally active feature turned up just as far, and by
 * a contrast vector. */
#include "demo.h"
#include <base/memory.h>
#include <math.h>
#include <string.h>

enum { DEFAULT_TOKENS = 48 };

struct steering {
    struct demo *demo;
    struct fathom_steer_asking asking;
    fathom_concept *concept;
    struct fathom_steer_score plain;
    json_t *results;
};

static int prepare(struct steering *steering) {
    const struct demo *demo = steering->demo;
    const struct demo_texts *questions = &demo->settings.steer.questions, *concept = &demo->settings.steer.concept;
    steering->asking = (struct fathom_steer_asking){
        .questions = questions->texts,
        .n_questions = questions->n,
        .style = demo->settings.steer.style,
        .n_seeds = 1,
        .max_new = DEFAULT_TOKENS,
        .sampling.seed = demo->seed,
    };
    return fathom_concept_open(&steering->concept, demo->model, concept->texts, concept->n);
}

static json_t *score_json(const struct fathom_steer_score *score) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "mention_rate", score->mention_rate, "repetition", score->repetition,
                     "log_probability", score->log_probability, "relevance", score->relevance, "objective",
                     isfinite(score->objective) ? score->objective : 0.0);
}

/* Answers all questions under a plan, prints the answer to the first and what it cost over all of them. */
static int answer(struct steering *steering, const char *key, const fathom_steer *plan) {
    const struct demo *demo = steering->demo;
    struct fathom_steer_score score;
    struct fathom_answers answers = FATHOM_ANSWERS_INIT;
    int code = fathom_steer_ask(&score, &answers, demo->model, plan, &steering->asking, steering->concept,
                                plan != NULL ? &steering->plain : NULL);
    if (code != FATHOM_OK) return code;
    if (plan == NULL) steering->plain = score;
    fprintf(demo->out, "  %s\n", answers.texts[0]);
    cli_print_dim(demo->out, "  over all questions: ");
    fprintf(demo->out,
            "mentions the concept in %.0f %% of answers, repeats %.0f %% of 4-grams, %.2f nats a token without "
            "steering, relevance %+.2f\n\n",
            100 * score.mention_rate, 100 * score.repetition, score.log_probability, score.relevance);
    json_t *texts = json_array();
    for (size_t i = 0; i < answers.n; i++)
        json_array_append_new(texts, json_string(answers.texts[i]));
    json_object_set_new(steering->results, key, json_string(answers.texts[0]));
    char name[64];
    snprintf(name, sizeof name, "%s_all", key);
    json_object_set_new(steering->results, name, texts);
    snprintf(name, sizeof name, "%s_cost", key);
    json_object_set_new(steering->results, name, score_json(&score));
    fathom_answers_free(&answers);
    return FATHOM_OK;
}

static int add_feature(fathom_steer *plan, const struct demo *demo, uint32_t feature, double strength,
                       const struct fathom_steer_feature *place) {
    const struct fathom_feature *known = fathom_catalogue_feature(demo->catalogue, feature);
    if (known == NULL || !(known->max_activation > 0))
        return demo_error(FATHOM_ERROR_NOT_FOUND, "feature %u never fired on the text it was indexed on", feature);
    struct fathom_steer_feature edit = *place;
    edit.dictionary = demo->dictionary;
    edit.feature = feature;
    edit.mode = FATHOM_STEER_CLAMP;
    edit.value = (float)strength * known->max_activation;
    return fathom_steer_add_feature(plan, &edit);
}

/* An equally active feature, by the catalogue's own figures. */
static int control_feature(uint32_t *out, const struct demo *demo, uint32_t feature, const uint32_t *avoid,
                           size_t n_avoid) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(demo->dictionary);
    struct fathom_feature_measure *measures = NULL;
    float *direction = NULL;
    int code = fathom__alloc(&measures, info->n_features, sizeof *measures);
    if (code == FATHOM_OK) code = fathom__alloc(&direction, info->d_out, sizeof *direction);
    for (uint32_t i = 0; code == FATHOM_OK && i < info->n_features; i++) {
        const struct fathom_feature *known = fathom_catalogue_feature(demo->catalogue, i);
        double squares = 0;
        code = fathom_dictionary_direction(direction, demo->dictionary, i);
        for (uint32_t d = 0; d < info->d_out; d++)
            squares += (double)direction[d] * (double)direction[d];
        measures[i] =
            (struct fathom_feature_measure){known->max_activation, (float)known->density, (float)sqrt(squares)};
    }
    if (code == FATHOM_OK)
        code = fathom_feature_control(out, measures, info->n_features, feature, avoid, n_avoid, demo->seed);
    fathom_free(measures);
    fathom_free(direction);
    return code;
}

struct held {
    uint32_t feature;
    double strength;
};

static int answer_with_features(struct steering *steering, const char *key, const char *title, const struct held *held,
                                size_t n) {
    struct demo *demo = steering->demo;
    const struct fathom_steer_feature *place = &demo->settings.steer.place;
    fathom_steer *plan = NULL;
    json_t *features = json_array();
    char name[64];
    int code = fathom_steer_open(&plan, demo->model);
    cli_print_bold(demo->out, title);
    fputc('\n', demo->out);
    for (size_t i = 0; code == FATHOM_OK && i < n; i++) {
        json_t *feature = demo_feature_json(demo, held[i].feature);
        json_object_set_new(feature, "strength", json_real(held[i].strength));
        json_array_append_new(features, feature);
        fputs("  ", demo->out);
        demo_print_feature(demo, held[i].feature);
        fprintf(demo->out, " at %.2f times its maximum%s\n", held[i].strength,
                place->rows == FATHOM_STEER_ANSWER ? ", while it answers" : "");
        code = add_feature(plan, demo, held[i].feature, held[i].strength, place);
    }
    if (code == FATHOM_OK) code = answer(steering, key, plan);
    snprintf(name, sizeof name, "%s_features", key);
    json_object_set_new(steering->results, name, features);
    fathom_steer_close(plan);
    return code;
}

static int answer_with_vector(struct steering *steering) {
    struct demo *demo = steering->demo;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_direction direction = FATHOM_DIRECTION_INIT;
    fathom_steer *plan = NULL;
    if (demo->settings.steer.vector.path == NULL) return FATHOM_OK;
    int code = fathom_texts_load(&texts, demo->settings.steer.vector.path, FATHOM_LABEL_NONE);
    if (code == FATHOM_OK)
        code =
            fathom_direction_contrast(&direction, demo->model, &texts, FATHOM_HOOK_RESID_POST,
                                      demo->settings.steer.vector.first_layer, demo->settings.steer.vector.last_layer);
    if (code == FATHOM_OK) code = fathom_steer_open(&plan, demo->model);
    if (code == FATHOM_OK)
        code =
            fathom_steer_add_direction(plan, &direction, (float)demo->settings.steer.vector.strength, FATHOM_STEER_ALL);
    if (code == FATHOM_OK) {
        cli_print_bold(demo->out, "Steered by a contrast vector (a difference of means, not a learned feature)\n");
        code = answer(steering, "vector", plan);
    }
    fathom_steer_close(plan);
    fathom_direction_free(&direction);
    fathom_texts_free(&texts);
    return code;
}

int demo_steer(struct demo *demo) {
    struct steering steering = {.demo = demo, .results = json_object()};
    struct held held[DEMO_MOST_FEATURES], control[DEMO_MOST_FEATURES];
    uint32_t avoid[2 * DEMO_MOST_FEATURES];
    const size_t n = demo->settings.steer.n_held;
    demo_heading(demo, "3. Steer", "the same question, with what was learned held up");
    for (size_t i = 0; i < n; i++)
        held[i] = (struct held){demo->settings.steer.held[i].feature, demo->settings.steer.held[i].strength};
    int code = prepare(&steering);
    if (code == FATHOM_OK) {
        fprintf(demo->out, "“%s”\n\n", steering.asking.questions[0]);
        json_object_set_new(steering.results, "question", json_string(steering.asking.questions[0]));
        cli_print_bold(demo->out, "Plain\n");
        code = answer(&steering, "plain", NULL);
    }
    if (code == FATHOM_OK)
        code = answer_with_features(&steering, "steered",
                                    n == 1 ? "Steered by a learned feature" : "Steered by learned features", held, n);
    for (size_t i = 0; i < n; i++)
        avoid[i] = held[i].feature;
    for (size_t i = 0; code == FATHOM_OK && i < n; i++) {
        control[i].strength = held[i].strength;
        code = control_feature(&control[i].feature, demo, held[i].feature, avoid, n + i);
        avoid[n + i] = control[i].feature;
    }
    if (code == FATHOM_OK)
        code = answer_with_features(&steering, "random",
                                    n == 1 ? "Control: a feature as active, held up as far"
                                           : "Control: features as active, held up as far",
                                    control, n);
    if (code == FATHOM_OK) code = answer_with_vector(&steering);
    fathom_concept_close(steering.concept);
    json_object_set_new(demo->results, "steering", steering.results);
    return code;
}
