/* One question answered plainly, with a feature turned up, with an equally active feature turned up just as far, and by
 * a contrast vector. */
#include "demo.h"
#include <base/memory.h>
#include <math.h>
#include <string.h>

enum { MOST_QUESTIONS = 32, MOST_FEATURES = 4, DEFAULT_TOKENS = 48 };

struct steering {
    struct demo *demo;
    const char *questions[MOST_QUESTIONS];
    struct fathom_steer_asking asking;
    fathom_concept *concept;
    struct fathom_steer_score plain;
    json_t *results;
};

static int read_strings(const char **out, size_t *n, size_t most, const json_t *list) {
    *n = json_array_size(list);
    if (*n == 0 || *n > most)
        return demo_error(FATHOM_ERROR_FORMAT, "demo.json: 1 to %zu texts are expected, not %zu", most, *n);
    for (size_t i = 0; i < *n; i++) {
        out[i] = json_string_value(json_array_get(list, i));
        if (out[i] == NULL) return demo_error(FATHOM_ERROR_FORMAT, "demo.json: a list of texts holds something else");
    }
    return FATHOM_OK;
}

static const char *optional_text(const struct demo *demo, const char *key) {
    return json_string_value(json_object_get(json_object_get(demo->settings, "steer"), key));
}

static int prepare(struct steering *steering) {
    struct demo *demo = steering->demo;
    const char *words[MOST_QUESTIONS];
    size_t n_words = 0;
    json_t *questions = NULL, *concept = NULL, *chat = NULL;
    int code = demo_setting(&questions, demo, "steer", "questions", JSON_ARRAY);
    if (code == FATHOM_OK) code = demo_setting(&concept, demo, "steer", "concept", JSON_ARRAY);
    if (code == FATHOM_OK) code = demo_setting(&chat, demo, "steer", "chat", JSON_TRUE);
    if (code == FATHOM_OK)
        code = read_strings(steering->questions, &steering->asking.n_questions, MOST_QUESTIONS, questions);
    if (code == FATHOM_OK) code = read_strings(words, &n_words, MOST_QUESTIONS, concept);
    if (code == FATHOM_OK) code = fathom_concept_open(&steering->concept, demo->model, words, n_words);
    steering->asking.questions = steering->questions;
    steering->asking.style = (struct fathom_prompt_style){
        .chat = json_is_true(chat),
        .prefix = optional_text(demo, "prefix"),
        .suffix = optional_text(demo, "suffix"),
        .stop = optional_text(demo, "stop"),
    };
    steering->asking.n_seeds = 1;
    steering->asking.max_new = DEFAULT_TOKENS;
    steering->asking.sampling.seed = demo->seed;
    return code;
}

static json_t *score_json(const struct fathom_steer_score *score) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "mention_rate", score->mention_rate, "repetition", score->repetition,
                     "log_probability", score->log_probability, "relevance", score->relevance, "objective",
                     isfinite(score->objective) ? score->objective : 0.0);
}

/* Answers all questions under a plan, prints the answer to the first and what it cost over all of them. */
static int answer(struct steering *steering, const char *key, const fathom_steer *plan) {
    struct fathom_steer_score score;
    struct fathom_answers answers = FATHOM_ANSWERS_INIT;
    int code = fathom_steer_ask(&score, &answers, steering->demo->model, plan, &steering->asking, steering->concept,
                                plan != NULL ? &steering->plain : NULL);
    if (code != FATHOM_OK) return code;
    if (plan == NULL) steering->plain = score;
    printf("  %s\n", answers.texts[0]);
    cli_print_dim(stdout, "  over all questions: ");
    printf("mentions the concept in %.0f %% of answers, repeats %.0f %% of 4-grams, %.2f nats a token without "
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

/* Where the features are held: their layers and rows, both optional. */
static int read_place(struct fathom_steer_feature *out, const struct demo *demo) {
    const json_t *steer = json_object_get(demo->settings, "steer"), *layers = json_object_get(steer, "layers"),
                 *rows = json_object_get(steer, "rows");
    if (json_array_size(layers) == 2) {
        out->spread = true;
        out->first_layer = (int32_t)json_integer_value(json_array_get(layers, 0));
        out->last_layer = (int32_t)json_integer_value(json_array_get(layers, 1));
    }
    if (rows == NULL) return FATHOM_OK;
    if (!json_is_string(rows) || strcmp(json_string_value(rows), "answer") != 0)
        return demo_error(FATHOM_ERROR_FORMAT, "%s/demo.json: steer.rows: \"answer\" is expected, or nothing",
                          demo->share);
    out->rows = FATHOM_STEER_ANSWER;
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

/* One feature of the settings: its number, and how far it is held up in multiples of its maximum. */
struct held {
    uint32_t feature;
    double strength;
};

static int read_held(struct held *out, size_t *n, const struct demo *demo) {
    json_t *list = NULL;
    int code = demo_setting(&list, demo, "steer", "features", JSON_ARRAY);
    *n = json_array_size(list);
    if (code == FATHOM_OK && (*n == 0 || *n > MOST_FEATURES))
        return demo_error(FATHOM_ERROR_FORMAT, "%s/demo.json: steer.features: 1 to %d are expected, not %zu",
                          demo->share, MOST_FEATURES, *n);
    for (size_t i = 0; code == FATHOM_OK && i < *n; i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *feature = json_object_get(one, "feature"), *strength = json_object_get(one, "strength");
        if (!json_is_integer(feature) || !json_is_number(strength))
            return demo_error(FATHOM_ERROR_FORMAT,
                              "%s/demo.json: steer.features[%zu]: feature and strength are expected", demo->share, i);
        out[i] = (struct held){(uint32_t)json_integer_value(feature), json_number_value(strength)};
    }
    return code;
}

static int answer_with_features(struct steering *steering, const char *key, const char *title, const struct held *held,
                                size_t n) {
    struct demo *demo = steering->demo;
    struct fathom_steer_feature place = {0};
    fathom_steer *plan = NULL;
    json_t *features = json_array();
    char name[64];
    int code = read_place(&place, demo);
    if (code == FATHOM_OK) code = fathom_steer_open(&plan, demo->model);
    cli_print_bold(stdout, title);
    putchar('\n');
    for (size_t i = 0; code == FATHOM_OK && i < n; i++) {
        json_t *feature = demo_feature_json(demo, held[i].feature);
        json_object_set_new(feature, "strength", json_real(held[i].strength));
        json_array_append_new(features, feature);
        fputs("  ", stdout);
        demo_print_feature(demo, held[i].feature);
        printf(" at %.2f times its maximum%s\n", held[i].strength,
               place.rows == FATHOM_STEER_ANSWER ? ", while it answers" : "");
        code = add_feature(plan, demo, held[i].feature, held[i].strength, &place);
    }
    if (code == FATHOM_OK) code = answer(steering, key, plan);
    snprintf(name, sizeof name, "%s_features", key);
    json_object_set_new(steering->results, name, features);
    fathom_steer_close(plan);
    return code;
}

static int answer_with_vector(struct steering *steering) {
    struct demo *demo = steering->demo;
    json_t *vector = json_object_get(json_object_get(demo->settings, "steer"), "vector");
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_direction direction = FATHOM_DIRECTION_INIT;
    fathom_steer *plan = NULL;
    char *path = NULL;
    if (vector == NULL) return FATHOM_OK;
    const char *file = json_string_value(json_object_get(vector, "texts"));
    const json_t *layers = json_object_get(vector, "layers");
    if (file == NULL || json_array_size(layers) != 2 || !json_is_number(json_object_get(vector, "strength")))
        return demo_error(FATHOM_ERROR_FORMAT,
                          "%s/demo.json: steer.vector: texts, layers [first, last] and strength are expected",
                          demo->share);
    int32_t first = (int32_t)json_integer_value(json_array_get(layers, 0)),
            last = (int32_t)json_integer_value(json_array_get(layers, 1));
    int code = demo_file(&path, demo, file);
    if (code == FATHOM_OK) code = fathom_texts_load(&texts, path, FATHOM_LABEL_NONE);
    if (code == FATHOM_OK)
        code = fathom_direction_contrast(&direction, demo->model, &texts, FATHOM_HOOK_RESID_POST, first, last);
    if (code == FATHOM_OK) code = fathom_steer_open(&plan, demo->model);
    if (code == FATHOM_OK)
        code = fathom_steer_add_direction(
            plan, &direction, (float)json_number_value(json_object_get(vector, "strength")), FATHOM_STEER_ALL);
    if (code == FATHOM_OK) {
        cli_print_bold(stdout, "Steered by a contrast vector (a difference of means, not a learned feature)\n");
        code = answer(steering, "vector", plan);
    }
    fathom_steer_close(plan);
    fathom_direction_free(&direction);
    fathom_texts_free(&texts);
    fathom_free(path);
    return code;
}

int demo_steer(struct demo *demo) {
    struct steering steering = {.demo = demo, .results = json_object()};
    struct held held[MOST_FEATURES], control[MOST_FEATURES];
    uint32_t avoid[2 * MOST_FEATURES];
    size_t n = 0;
    demo_heading("3. Steer", "the same question, with what was learned held up");
    int code = read_held(held, &n, demo);
    if (code == FATHOM_OK) code = prepare(&steering);
    if (code == FATHOM_OK) {
        printf("“%s”\n\n", steering.questions[0]);
        json_object_set_new(steering.results, "question", json_string(steering.questions[0]));
        cli_print_bold(stdout, "Plain\n");
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
