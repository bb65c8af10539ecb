#include "demo_settings.h"
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <fathom/hook.h>
#include <string.h>

/* One of the document's objects, with what messages call it. */
struct stage {
    const json_t *object;
    char *where;
    const char *folder;
    const fathom_model *model;
    uint32_t n_features;
};

static int enter(struct stage *stage, const char *path, const json_t *document, const char *name) {
    fathom_free(stage->where);
    stage->where = NULL;
    stage->object = json_object_get(document, name);
    if (!json_is_object(stage->object))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the key \"%s\" (an object) is missing", path, name);
    return fathom__format(&stage->where, "%s: %s", path, name);
}

static int text(const char **out, const struct stage *stage, const char *key) {
    return fathom__json_get_string(out, stage->object, key, true, stage->where);
}

static int optional_text(const char **out, const struct stage *stage, const char *key) {
    return fathom__json_get_string(out, stage->object, key, false, stage->where);
}

static int file(char **out, const struct stage *stage, const char *key) {
    const char *name = NULL;
    int status = text(&name, stage, key);
    return status ? status : fathom__path_join(out, stage->folder, name);
}

static int feature(uint32_t *out, const struct stage *stage) {
    int64_t number = 0;
    int status =
        fathom__json_get_integer(&number, stage->object, "feature", 0, stage->n_features - 1, true, stage->where);
    *out = (uint32_t)number;
    return status;
}

static int texts(struct demo_texts *out, const struct stage *stage, const char *key) {
    const json_t *list = json_object_get(stage->object, key);
    out->n = json_array_size(list);
    if (out->n == 0 || out->n > DEMO_MOST_TEXTS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\": an array of 1 to %d texts was expected", stage->where,
                            key, DEMO_MOST_TEXTS);
    for (size_t i = 0; i < out->n; i++) {
        out->texts[i] = json_string_value(json_array_get(list, i));
        if (out->texts[i] == NULL)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\" holds something that is no text", stage->where, key);
    }
    return FATHOM_OK;
}

/* "layers": [first, last], which may count from the end. */
static int layers(int32_t *first, int32_t *last, const struct stage *stage) {
    const json_t *list = json_object_get(stage->object, "layers");
    const int64_t n_layers = fathom_model_describe(stage->model)->n_layers;
    int32_t *const ends[] = {first, last};
    bool good = json_array_size(list) == 2;
    for (size_t i = 0; good && i < 2; i++) {
        const json_t *value = json_array_get(list, i);
        const int64_t layer = json_integer_value(value);
        good = json_is_integer(value) && layer >= -n_layers && layer < n_layers;
        *ends[i] = (int32_t)layer;
    }
    return good ? FATHOM_OK
                : fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"layers\": [first, last] within %lld layers was expected",
                               stage->where, (long long)n_layers);
}

static int read_watch(struct demo_settings *out, const struct stage *stage) {
    int status = feature(&out->watch.feature, stage);
    if (!status) status = fathom__json_get_number(&out->watch.above, stage->object, "above", true, stage->where);
    return status ? status : file(&out->watch.path, stage, "file");
}

static int read_probe(struct demo_settings *out, const struct stage *stage) {
    const char *pool = "mean";
    struct fathom_hook hook;
    int status = text(&out->probe.about, stage, "about");
    if (!status) status = text(&out->probe.hook, stage, "hook");
    if (!status && fathom_hook_parse(&hook, stage->model, out->probe.hook))
        return fathom__wrap(FATHOM_ERROR_FORMAT, "%s: \"hook\"", stage->where);
    if (!status) status = optional_text(&pool, stage, "pool");
    if (!status && strcmp(pool, "mean") != 0 && strcmp(pool, "last") != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"pool\" is \"%s\", \"mean\" or \"last\" was expected",
                            stage->where, pool);
    out->probe.pool = strcmp(pool, "last") == 0 ? FATHOM_POOL_LAST : FATHOM_POOL_MEAN;
    if (!status) status = file(&out->probe.train_path, stage, "train");
    return status ? status : file(&out->probe.test_path, stage, "test");
}

static int read_held(struct demo_settings *out, const struct stage *stage) {
    const json_t *list = json_object_get(stage->object, "features");
    struct stage one = *stage;
    int status = FATHOM_OK;
    out->steer.n_held = json_array_size(list);
    if (out->steer.n_held == 0 || out->steer.n_held > DEMO_MOST_FEATURES)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"features\": an array of 1 to %d features was expected",
                            stage->where, DEMO_MOST_FEATURES);
    for (size_t i = 0; !status && i < out->steer.n_held; i++) {
        one.object = json_array_get(list, i);
        status = fathom__format(&one.where, "%s.features[%zu]", stage->where, i);
        if (!status) status = feature(&out->steer.held[i].feature, &one);
        if (!status)
            status = fathom__json_get_number(&out->steer.held[i].strength, one.object, "strength", true, one.where);
        fathom_free(one.where);
    }
    return status;
}

/* Where the features are held: layers and rows, both optional. */
static int read_place(struct fathom_steer_feature *out, const struct stage *stage) {
    const char *rows = NULL;
    int status = FATHOM_OK;
    out->spread = json_object_get(stage->object, "layers") != NULL;
    if (out->spread) status = layers(&out->first_layer, &out->last_layer, stage);
    if (!status) status = optional_text(&rows, stage, "rows");
    if (status || rows == NULL) return status;
    if (strcmp(rows, "answer") != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"rows\" is \"%s\", \"answer\" or nothing was expected",
                            stage->where, rows);
    out->rows = FATHOM_STEER_ANSWER;
    return FATHOM_OK;
}

static int read_vector(struct demo_settings *out, const struct stage *stage) {
    struct stage vector = *stage;
    vector.object = json_object_get(stage->object, "vector");
    if (vector.object == NULL) return FATHOM_OK;
    int status = fathom__format(&vector.where, "%s.vector", stage->where);
    if (!status)
        status = fathom__json_get_number(&out->steer.vector.strength, vector.object, "strength", true, vector.where);
    if (!status) status = layers(&out->steer.vector.first_layer, &out->steer.vector.last_layer, &vector);
    if (!status) status = file(&out->steer.vector.path, &vector, "texts");
    fathom_free(vector.where);
    return status;
}

static int read_steer(struct demo_settings *out, const struct stage *stage) {
    struct fathom_prompt_style *style = &out->steer.style;
    int status = read_held(out, stage);
    if (!status) status = read_place(&out->steer.place, stage);
    if (!status) status = fathom__json_get_bool(&style->chat, stage->object, "chat", true, stage->where);
    if (!status) status = optional_text(&style->prefix, stage, "prefix");
    if (!status) status = optional_text(&style->suffix, stage, "suffix");
    if (!status) status = optional_text(&style->stop, stage, "stop");
    if (!status) status = texts(&out->steer.questions, stage, "questions");
    if (!status) status = texts(&out->steer.concept, stage, "concept");
    return status ? status : read_vector(out, stage);
}

static int read_understand(struct demo_settings *out, const struct stage *stage) {
    return texts(&out->understand, stage, "texts");
}

static int read_explain(struct demo_settings *out, const struct stage *stage) {
    int status = text(&out->explain.prompt, stage, "prompt");
    if (!status) status = text(&out->explain.answer, stage, "answer");
    return status ? status : text(&out->explain.corrupt, stage, "corrupt");
}

int demo_settings_read(struct demo_settings *out, const char *folder, const fathom_model *model,
                       const fathom_dictionary *dictionary) {
    static const struct {
        const char *name;
        int (*read)(struct demo_settings *, const struct stage *);
    } stages[] = {{"understand", read_understand},
                  {"watch", read_watch},
                  {"probe", read_probe},
                  {"steer", read_steer},
                  {"explain", read_explain}};
    struct stage stage = {
        .folder = folder, .model = model, .n_features = fathom_dictionary_describe(dictionary)->n_features};
    char *path = NULL;
    int status = fathom__path_join(&path, folder, "demo.json");
    *out = (struct demo_settings)DEMO_SETTINGS_INIT;
    if (!status) status = fathom__json_load(&out->document, path);
    for (size_t i = 0; !status && i < sizeof stages / sizeof stages[0]; i++) {
        status = enter(&stage, path, out->document, stages[i].name);
        if (!status) status = stages[i].read(out, &stage);
    }
    fathom_free(stage.where);
    fathom_free(path);
    return status;
}

void demo_settings_free(struct demo_settings *settings) {
    fathom_free(settings->watch.path);
    fathom_free(settings->probe.train_path);
    fathom_free(settings->probe.test_path);
    fathom_free(settings->steer.vector.path);
    json_decref(settings->document);
    *settings = (struct demo_settings)DEMO_SETTINGS_INIT;
}
