/* The features that a document names, and its conditions. */
#include "base/error.h"
#include "steer/plan_json.h"
#include <string.h>

const char *const fathom__over_words[] = {"row", "ever", "prompt", NULL};
const char *const fathom__measure_words[] = {"level", "cosine", "cast", NULL};
static const char *const unit_words[] = {"maximum", "activation", NULL};

int fathom__plan_take_feature(struct fathom__reading *reading) {
    const json_t *named = json_object_get(reading->object, "feature");
    const char *path = reading->path;
    int unit = 0;
    int status = fathom__json_get_string(&path, reading->object, "dictionary", false, reading->where);
    if (status == FATHOM_OK) {
        status = fathom__plan_get_word(&unit, reading->object, "unit", unit_words, reading->where);
    }
    if (status == FATHOM_OK && !json_is_string(named) &&
        !(json_is_integer(named) && json_integer_value(named) >= 0 && json_integer_value(named) <= UINT32_MAX)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"feature\": a number or words of its label are expected",
                            reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom__name_dictionary(&reading->dictionary, reading->names, path);
    }
    if (status == FATHOM_OK && json_is_string(named)) {
        status = fathom__name_feature(&reading->feature, reading->names, reading->dictionary, json_string_value(named));
    } else {
        reading->feature = (uint32_t)json_integer_value(named);
    }
    if (status == FATHOM_OK && unit == 0) {
        status = fathom__name_maximum(&reading->unit, reading->names, reading->dictionary, reading->feature);
    }
    return status;
}

int fathom__plan_read_condition(struct fathom_steer_condition *out, struct fathom_direction *direction,
                                struct fathom__plan_names *names, json_t *object, const char *where, const char *path) {
    static const char *const known[] = {"feature", "probe", "direction", "dictionary", "unit",   "layer",
                                        "measure", "above", "below",     "over",       "window", NULL};
    static const char *const whats[] = {"feature", "probe", "direction", NULL};
    struct fathom__reading reading = {.names = names, .object = object, .where = where, .path = path, .unit = 1};
    int64_t layer = -1;
    int64_t window = 1;
    int over = 0;
    int measure = 0;
    int status = fathom__plan_check_keys(object, known, where);
    int what = status == FATHOM_OK ? fathom__plan_what_key(object, whats, where) : -1;
    if (what < 0) {
        return FATHOM_ERROR_FORMAT;
    }
    *out = (struct fathom_steer_condition){.below = json_object_get(object, "below") != NULL};
    if (out->below == (json_object_get(object, "above") != NULL)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: either \"above\" or \"below\" is expected", where);
    }
    status = fathom__plan_get_float(&out->level, object, out->below ? "below" : "above", true, where);
    if (status == FATHOM_OK) {
        status = fathom__json_get_integer(&layer, object, "layer", 0, INT16_MAX, what == 2, where);
    }
    if (status == FATHOM_OK) {
        status = fathom__json_get_integer(&window, object, "window", 1, INT32_MAX, false, where);
    }
    if (status == FATHOM_OK) {
        status = fathom__plan_get_word(&over, object, "over", fathom__over_words, where);
    }
    if (status == FATHOM_OK) {
        status = fathom__plan_get_word(&measure, object, "measure", fathom__measure_words, where);
    }
    if (status == FATHOM_OK && what == 0) {
        status = fathom__plan_take_feature(&reading);
        out->dictionary = status == FATHOM_OK ? reading.dictionary->dictionary : NULL;
        out->feature = reading.feature;
        out->level *= reading.unit;
    } else if (status == FATHOM_OK) {
        const char *file = NULL;
        status = fathom__json_get_string(&file, object, whats[what], true, where);
        if (status == FATHOM_OK && what == 1) {
            status = fathom__name_probe(&out->probe, names, file);
        } else if (status == FATHOM_OK) {
            status = fathom__name_direction(direction, names, file, (int32_t)layer, (int32_t)layer);
            out->direction = direction;
        }
    }
    out->layer = (int32_t)layer;
    out->window = (uint32_t)window;
    out->over = (enum fathom_steer_over)over;
    out->measure = (enum fathom_steer_measure)measure;
    return status;
}
