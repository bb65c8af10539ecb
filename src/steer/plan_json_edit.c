/* One edit of a document. */
#include "base/error.h"
#include "base/memory.h"
#include "steer/plan_json.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const fathom__how_words[] = {"clamp",  "add",    "ablate", "project_out", "cap",
                                         "affine", "rotate", "patch",  NULL};
const char *const fathom__part_words[] = {"all", "prompt", "answer", "thinking", "reply", NULL};
static const char *const align_words[] = {"start", "end", NULL};

enum { WHERE_SIZE = 256, MOST_RAMP = 1 << 20 };

/* An edit, with what it points to. */
struct made {
    struct fathom_steer_edit edit;
    struct fathom_direction direction;
    struct fathom_steer_condition conditions[FATHOM_STEER_MOST_CONDITIONS];
    struct fathom_direction condition_directions[FATHOM_STEER_MOST_CONDITIONS];
    int32_t *source;
    int32_t after_token;
    bool layer; /* "layer": both of its additions */
};

static void free_made(struct made *made) {
    fathom_direction_free(&made->direction);
    for (size_t c = 0; c < FATHOM_STEER_MOST_CONDITIONS; c++) {
        fathom_direction_free(&made->condition_directions[c]);
    }
    fathom_free(made->source);
}

static int read_conditions(struct made *made, struct fathom__reading *reading) {
    json_t *list = json_object_get(reading->object, "while");
    size_t n = json_is_array(list) ? json_array_size(list) : list != NULL;
    if (n > FATHOM_STEER_MOST_CONDITIONS) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"while\": at most %d conditions are expected, not %zu",
                            reading->where, FATHOM_STEER_MOST_CONDITIONS, n);
    }
    const char *path = NULL;
    int status = fathom__json_get_string(&path, reading->object, "dictionary", false, reading->where);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        char where[WHERE_SIZE + 32];
        snprintf(where, sizeof where, "%s, condition %zu", reading->where, i + 1);
        status = fathom__plan_read_condition(&made->conditions[i], &made->condition_directions[i], reading->names,
                                             json_is_array(list) ? json_array_get(list, i) : list, where, path);
    }
    made->edit.conditions = made->conditions;
    made->edit.n_conditions = n;
    return status;
}

static int read_where(struct made *made, struct fathom__reading *reading) {
    json_t *object = reading->object;
    struct fathom_steer_edit *edit = &made->edit;
    int64_t token = 0;
    int64_t ramp = 0;
    int part = 0;
    int status = fathom__plan_get_range(&edit->positioned, &edit->first_position, &edit->last_position, object,
                                        "positions", reading->where);
    if (status == FATHOM_OK) {
        status = fathom__plan_get_word(&part, object, "part", fathom__part_words, reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom__json_get_bool(&edit->whole, object, "whole", false, reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom__json_get_string(&edit->after_text, object, "after", false, reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom__json_get_integer(&token, object, "after_token", 0, INT32_MAX, false, reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom__json_get_integer(&ramp, object, "ramp", -MOST_RAMP, MOST_RAMP, false, reading->where);
    }
    edit->rows = (enum fathom_steer_rows)part;
    edit->ramp = (int32_t)ramp;
    made->after_token = (int32_t)token;
    edit->after_token = json_object_get(object, "after_token") != NULL ? &made->after_token : NULL;
    return status == FATHOM_OK ? read_conditions(made, reading) : status;
}

static int read_patch(struct made *made, struct fathom__reading *reading) {
    static const char *const known[] = {"text", "align", NULL};
    json_t *patch = json_object_get(reading->object, "patch");
    const char *text = NULL;
    int align = 0;
    if (patch == NULL) {
        return FATHOM_OK;
    }
    int status = fathom__plan_check_keys(patch, known, reading->where);
    if (status == FATHOM_OK) {
        status = fathom__json_get_string(&text, patch, "text", true, reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom__plan_get_word(&align, patch, "align", align_words, reading->where);
    }
    if (status == FATHOM_OK) {
        status = fathom_tokenize(&made->source, &made->edit.n_source, reading->names->plan->model, text, strlen(text),
                                 true, false);
    }
    made->edit.source = made->source;
    made->edit.from_end = align == 1;
    return status;
}

/* How, and by how much in the level's own units. */
static int read_amount(struct made *made, const struct fathom__reading *reading) {
    json_t *object = reading->object;
    struct fathom_steer_edit *edit = &made->edit;
    int how = -1;
    int status = fathom__plan_get_word(&how, object, "how", fathom__how_words, reading->where);
    if (status == FATHOM_OK && how < 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the key \"how\" (such as \"clamp\" or \"add\") is missing",
                            reading->where);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    edit->how = (enum fathom_steer_how)how;
    if (edit->how == FATHOM_STEER_HOW_CAP) {
        edit->value = -INFINITY;
        edit->offset = INFINITY;
        if (json_object_get(object, "low") == NULL && json_object_get(object, "high") == NULL) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a cap needs \"low\" or \"high\"", reading->where);
        }
        status = fathom__plan_get_float(&edit->value, object, "low", false, reading->where);
        if (status == FATHOM_OK) {
            status = fathom__plan_get_float(&edit->offset, object, "high", false, reading->where);
        }
        edit->value *= reading->unit;
        edit->offset *= reading->unit;
        return status;
    }
    bool needs = edit->how == FATHOM_STEER_HOW_CLAMP || edit->how == FATHOM_STEER_HOW_ADD ||
                 edit->how == FATHOM_STEER_HOW_AFFINE || edit->how == FATHOM_STEER_HOW_ROTATE;
    edit->value = 1;
    status = fathom__plan_get_float(&edit->value, object, "value", needs, reading->where);
    if (edit->how == FATHOM_STEER_HOW_CLAMP || edit->how == FATHOM_STEER_HOW_ADD) {
        edit->value *= reading->unit;
    }
    if (status == FATHOM_OK) {
        status = fathom__plan_get_float(&edit->offset, object, "offset", false, reading->where);
    }
    edit->offset *= reading->unit;
    return status;
}

static int read_rows(struct made *made, struct fathom__reading *reading) {
    const char *name = NULL;
    char whole[FATHOM_HOOK_NAME_SIZE];
    struct fathom_hook hook;
    struct fathom_steer_edit *edit = &made->edit;
    edit->what = FATHOM_STEER_ROW;
    int status = fathom__json_get_string(&name, reading->object, "rows", true, reading->where);
    if (status != FATHOM_OK) {
        return status;
    }
    /* A kind without its layer, such as mlp_out, is asked for at the first of the layers. */
    if (edit->placed) {
        snprintf(whole, sizeof whole, "%.32s.%d", name, edit->first_layer);
        name = whole;
    }
    status = fathom_hook_parse(&hook, reading->names->plan->model, name);
    if (status != FATHOM_OK) {
        return fathom__wrap(status, "%s", reading->where);
    }
    edit->kind = hook.kind;
    if (!edit->placed) {
        edit->placed = true;
        edit->first_layer = edit->last_layer = hook.layer;
    }
    return FATHOM_OK;
}

static int read_what(struct made *made, struct fathom__reading *reading) {
    static const char *const whats[] = {"feature", "direction", "vector", "probe", "error", "rows", "layer", NULL};
    struct fathom_steer_edit *edit = &made->edit;
    const char *path = NULL;
    int what = fathom__plan_what_key(reading->object, whats, reading->where);
    int status = FATHOM_OK;
    if (what < 0) {
        return FATHOM_ERROR_FORMAT;
    }
    status = fathom__plan_get_range(&edit->placed, &edit->first_layer, &edit->last_layer, reading->object, "layers",
                                    reading->where);
    if (status != FATHOM_OK) {
        return status;
    }
    if (what >= 1 && what <= 3) {
        status = fathom__json_get_string(&path, reading->object, whats[what], true, reading->where);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    switch (what) {
    case 0:
        edit->what = FATHOM_STEER_FEATURE;
        status = fathom__plan_take_feature(reading);
        break;
    case 1:
        edit->what = FATHOM_STEER_DIRECTION;
        edit->direction = &made->direction;
        return fathom__name_direction(&made->direction, reading->names, path, edit->placed ? edit->first_layer : -1,
                                      edit->last_layer);
    case 2:
        edit->what = FATHOM_STEER_VECTOR;
        edit->direction = &made->direction;
        return fathom_direction_open_control_vector(&made->direction, reading->names->plan->model, path);
    case 3: edit->what = FATHOM_STEER_PROBE; return fathom__name_probe(&edit->probe, reading->names, path);
    case 4:
        edit->what = FATHOM_STEER_ERROR;
        status = fathom__json_get_string(&path, reading->object, "dictionary", false, reading->where);
        if (status == FATHOM_OK) {
            status = fathom__name_dictionary(&reading->dictionary, reading->names, path);
        }
        break;
    case 5: return read_rows(made, reading);
    default:
        made->layer = true;
        edit->what = FATHOM_STEER_ROW;
        return edit->placed ? FATHOM_OK
                            : fathom__fail(FATHOM_ERROR_FORMAT, "%s: a layer needs \"layers\"", reading->where);
    }
    edit->dictionary = status == FATHOM_OK ? reading->dictionary->dictionary : NULL;
    edit->feature = reading->feature;
    return status;
}

/* A direction's or vector's other kind of hook point, such as attn_out. */
static int read_hook(struct made *made, const struct fathom__reading *reading) {
    const char *name = NULL;
    char whole[FATHOM_HOOK_NAME_SIZE];
    struct fathom_hook hook;
    int status = fathom__json_get_string(&name, reading->object, "hook", false, reading->where);
    if (status != FATHOM_OK || name == NULL) {
        return status;
    }
    if (made->edit.direction == NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"hook\" is for directions and vectors", reading->where);
    }
    snprintf(whole, sizeof whole, "%.32s.%d", name, made->edit.direction->first_layer);
    status = fathom_hook_parse(&hook, reading->names->plan->model, whole);
    made->edit.elsewhere = true;
    made->edit.kind = hook.kind;
    return status == FATHOM_OK ? status : fathom__wrap(status, "%s", reading->where);
}

static int add_edits(struct made *made, struct fathom__reading *reading) {
    static const enum fathom_hook_kind additions[] = {FATHOM_HOOK_ATTN_OUT, FATHOM_HOOK_MLP_OUT};
    int status = FATHOM_OK;
    for (size_t i = 0; i < (made->layer ? 2 : 1) && status == FATHOM_OK; i++) {
        if (made->layer) {
            made->edit.kind = additions[i];
        }
        status = fathom_steer_add(reading->names->plan, &made->edit);
    }
    return status == FATHOM_OK ? status : fathom__wrap(status, "%s", reading->where);
}

int fathom__plan_read_edit(struct fathom__plan_names *names, json_t *object, const char *name, size_t number) {
    static const char *const known[] = {
        "feature",    "direction", "vector",      "probe", "error", "rows",  "layer",  "layers", "hook",
        "dictionary", "unit",      "how",         "value", "low",   "high",  "offset", "whole",  "part",
        "positions",  "after",     "after_token", "while", "ramp",  "patch", NULL};
    char where[WHERE_SIZE];
    struct fathom__reading reading = {.names = names, .object = object, .where = where, .unit = 1};
    struct made made = {.edit = {.what = FATHOM_STEER_FEATURE}};
    snprintf(where, sizeof where, "%.128s: edit %zu", name, number);
    int status = fathom__plan_check_keys(object, known, reading.where);
    if (status == FATHOM_OK) {
        status = read_what(&made, &reading);
    }
    if (status == FATHOM_OK) {
        status = read_amount(&made, &reading);
    }
    if (status == FATHOM_OK) {
        status = read_hook(&made, &reading);
    }
    if (status == FATHOM_OK) {
        status = read_where(&made, &reading);
    }
    if (status == FATHOM_OK) {
        status = read_patch(&made, &reading);
    }
    if (status == FATHOM_OK) {
        status = add_edits(&made, &reading);
    }
    free_made(&made);
    return status;
}
