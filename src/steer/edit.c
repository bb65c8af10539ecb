/* An edit as it was asked for, checked and made into one entry a layer. */
#include "base/error.h"
#include "base/memory.h"
#include "detect/pool.h"
#include "detect/probe_internal.h"
#include "detect/read.h"
#include "steer/plan.h"
#include <math.h>
#include <string.h>

#define MOST_DEGREES 180.0f

static const char *const what_names[] = {"feature", "direction", "control vector", "probe", "error", "row"};
static const char *const how_names[] = {"clamped", "added",  "ablated", "projected out",
                                        "capped",  "scaled", "rotated", "patched"};

static int check_number(const struct fathom_steer_edit *edit) {
    const char *what = what_names[edit->what];
    bool plain = edit->how == FATHOM_STEER_HOW_ABLATE || edit->how == FATHOM_STEER_HOW_PATCH;
    if (edit->how == FATHOM_STEER_HOW_CAP) {
        if (!(edit->value <= edit->offset)) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "a cap from %g to %g: the lower bound comes first",
                                (double)edit->value, (double)edit->offset);
        }
        return FATHOM_OK;
    }
    if (!plain && !isfinite(edit->value)) {
        return edit->what == FATHOM_STEER_FEATURE
                   ? fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: the value %g is not finite", edit->feature,
                                  (double)edit->value)
                   : fathom__fail(FATHOM_ERROR_ARGUMENT, "a %s's strength must be finite; got %g", what,
                                  (double)edit->value);
    }
    if (edit->how == FATHOM_STEER_HOW_AFFINE && !isfinite(edit->offset)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a %s's offset must be finite; got %g", what, (double)edit->offset);
    }
    if (edit->how == FATHOM_STEER_HOW_ROTATE && fabsf(edit->value) > MOST_DEGREES) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a rotation is one of -180 to 180 degrees, not %g",
                            (double)edit->value);
    }
    return FATHOM_OK;
}

static int check_where(const struct fathom_steer_edit *edit) {
    if ((unsigned)edit->rows > FATHOM_STEER_REPLY) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "no such part of the text");
    }
    bool same_end = (edit->first_position < 0) == (edit->last_position < 0);
    if (edit->positioned && same_end && edit->first_position > edit->last_position) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "positions %d to %d: the first one comes first",
                            edit->first_position, edit->last_position);
    }
    if (edit->after_text != NULL && edit->after_text[0] == '\0') {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "the text to come after is empty");
    }
    if (edit->n_conditions > FATHOM_STEER_MOST_CONDITIONS) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "an edit has at most %d conditions, not %zu",
                            FATHOM_STEER_MOST_CONDITIONS, edit->n_conditions);
    }
    return FATHOM_OK;
}

static int check(const struct fathom_steer_edit *edit) {
    if ((unsigned)edit->what > FATHOM_STEER_ROW || (unsigned)edit->how > FATHOM_STEER_HOW_PATCH) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "no such kind of edit");
    }
    bool feature = edit->what == FATHOM_STEER_FEATURE;
    bool direction = edit->what == FATHOM_STEER_DIRECTION || edit->what == FATHOM_STEER_VECTOR;
    bool levelled = edit->what < FATHOM_STEER_ERROR;
    if (((feature || edit->what == FATHOM_STEER_ERROR) && edit->dictionary == NULL) ||
        (direction && edit->direction == NULL) || (edit->what == FATHOM_STEER_PROBE && edit->probe == NULL)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "an edit of a %s names none", what_names[edit->what]);
    }
    if (feature && edit->feature >= fathom_dictionary_describe(edit->dictionary)->n_features) {
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path, info->n_features - 1,
                            edit->feature);
    }
    bool scaled = edit->how == FATHOM_STEER_HOW_ABLATE || edit->how == FATHOM_STEER_HOW_AFFINE;
    bool patched = edit->how == FATHOM_STEER_HOW_PATCH;
    if (!levelled && !scaled && !(patched && edit->what == FATHOM_STEER_ROW)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a %s cannot be %s", what_names[edit->what], how_names[edit->how]);
    }
    if (!levelled && edit->how == FATHOM_STEER_HOW_AFFINE && edit->offset != 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a %s can be multiplied, but nothing can be added to it",
                            what_names[edit->what]);
    }
    if (patched && (edit->source == NULL || edit->n_source == 0)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a patch needs another text to take from");
    }
    int status = check_number(edit);
    return status == FATHOM_OK ? check_where(edit) : status;
}

/* Whether the edit needs what the encoder says of the row that it changes. */
static bool reads_activation(const struct fathom_steer_edit *edit) {
    return edit->how != FATHOM_STEER_HOW_ADD && edit->how != FATHOM_STEER_HOW_PROJECT_OUT &&
           edit->how != FATHOM_STEER_HOW_ROTATE;
}

/* The point of a dictionary's edit at its own layer. */
static int dictionary_hook(struct fathom_hook *hook, const fathom_model *model, const struct fathom_steer_edit *edit) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
    int status = fathom_dictionary_match(hook, edit->dictionary, model);
    if (status == FATHOM_OK && strcmp(info->hook_in, info->hook_out) != 0) {
        if (edit->what == FATHOM_STEER_ERROR || reads_activation(edit)) {
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: reads at %s and writes at %s: its features can be added, not clamped", info->path,
                                info->hook_in, info->hook_out);
        }
        status = fathom_hook_parse(hook, model, info->hook_out);
    }
    if (status == FATHOM_OK && edit->what == FATHOM_STEER_ERROR && edit->placed) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: its error is there at %s only", info->path, info->hook_in);
    }
    return status;
}

/* Kind of hook point and layers of an edit; -1 … -1 where the point has none. */
static int resolve(struct fathom_hook *hook, int32_t *first, int32_t *last, const fathom_model *model,
                   const struct fathom_steer_edit *edit) {
    int status = FATHOM_OK;
    char name[FATHOM_HOOK_NAME_SIZE];
    if (edit->what == FATHOM_STEER_FEATURE || edit->what == FATHOM_STEER_ERROR) {
        status = dictionary_hook(hook, model, edit);
    } else if (edit->what == FATHOM_STEER_PROBE) {
        status = fathom_probe_match(hook, edit->probe, model);
    } else if (edit->what == FATHOM_STEER_ROW) {
        *hook = (struct fathom_hook){edit->kind, -1};
        if (!edit->placed) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "whole rows need a hook point");
        }
    } else {
        *hook = (struct fathom_hook){edit->elsewhere ? edit->kind : edit->direction->kind, -1};
    }
    if (status != FATHOM_OK) {
        return status;
    }
    *first = *last = hook->layer;
    if (!fathom__hook_has_layers(hook->kind)) {
        fathom_hook_name(name, *hook);
        return edit->placed && edit->what != FATHOM_STEER_ROW
                   ? fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: has no layers to spread over", name)
                   : FATHOM_OK;
    }
    bool direction = edit->what == FATHOM_STEER_DIRECTION || edit->what == FATHOM_STEER_VECTOR;
    if (edit->placed || direction) {
        *first = edit->placed ? edit->first_layer : edit->direction->first_layer;
        *last = edit->placed ? edit->last_layer : edit->direction->last_layer;
        status = fathom__layer_range(first, last, model);
    }
    if (status == FATHOM_OK && direction &&
        (*first < edit->direction->first_layer || *last > edit->direction->last_layer)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "layers %d to %d: the direction has layers %d to %d", *first, *last,
                            edit->direction->first_layer, edit->direction->last_layer);
    }
    return status;
}

/* w of the table in plan.h, and what the level needs besides. */
static int fill_vector(struct fathom__edit *one, const struct fathom_steer_edit *edit) {
    const struct fathom_direction *direction = edit->direction;
    double squares = 0;
    if (edit->what == FATHOM_STEER_FEATURE) {
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
        int status = fathom_dictionary_direction(one->vector, edit->dictionary, edit->feature);
        if (status != FATHOM_OK) {
            return status;
        }
        for (size_t i = 0; i < one->width; i++) {
            one->vector[i] /= info->output_scale;
        }
    } else if (edit->what == FATHOM_STEER_PROBE) {
        const fathom_probe *probe = edit->probe;
        double gradient = 0;
        one->bias = probe->bias;
        for (size_t i = 0; i < one->width; i++) {
            one->vector[i] = probe->weights[i] / probe->deviation[i];
            gradient += (double)one->vector[i] * (double)one->vector[i];
            one->bias -= one->vector[i] * probe->mean[i];
        }
        for (size_t i = 0; i < one->width && gradient > 0; i++) {
            one->vector[i] = (float)(one->vector[i] / gradient);
        }
        one->max_norm = probe->info.max_norm;
    } else {
        size_t place = (size_t)(one->hook.layer - direction->first_layer);
        bool control = edit->what == FATHOM_STEER_VECTOR;
        float unit = control ? direction->lengths[place] : direction->median_norms[place];
        for (size_t i = 0; i < one->width; i++) {
            one->vector[i] = unit * direction->vectors[place * one->width + i];
        }
        one->sinks = control;
        one->max_norm = control ? INFINITY : FATHOM__OUTLIER_RATIO * unit;
    }
    for (size_t i = 0; i < one->width; i++) {
        squares += (double)one->vector[i] * (double)one->vector[i];
    }
    one->inverse = squares > 0 ? (float)(1 / squares) : 0;
    return FATHOM_OK;
}

static size_t edit_width(const struct fathom_steer_edit *edit, const fathom_model *model, struct fathom_hook hook) {
    switch (edit->what) {
    case FATHOM_STEER_FEATURE: return fathom_dictionary_describe(edit->dictionary)->d_out;
    case FATHOM_STEER_ERROR: return fathom_dictionary_describe(edit->dictionary)->d_in;
    case FATHOM_STEER_PROBE: return edit->probe->info.d_in;
    case FATHOM_STEER_ROW: return fathom__hook_width(model, hook);
    default: return edit->direction->width;
    }
}

static float share_of(const struct fathom_steer_edit *edit, size_t n_layers) {
    bool shared = edit->how == FATHOM_STEER_HOW_CLAMP || edit->how == FATHOM_STEER_HOW_ADD ||
                  edit->how == FATHOM_STEER_HOW_ROTATE;
    bool whole = edit->whole || edit->what == FATHOM_STEER_VECTOR || !shared;
    return whole ? 1.0f : 1.0f / (float)n_layers;
}

/* Makes the entry of one layer, without conditions and targets. The caller frees *out on an error. */
static int make(struct fathom__edit *out, const fathom_model *model, const struct fathom_steer_edit *edit,
                struct fathom_hook hook, size_t n_layers) {
    *out = (struct fathom__edit){.hook = hook,
                                 .what = edit->what,
                                 .how = edit->how,
                                 .dictionary = edit->dictionary,
                                 .feature = edit->feature,
                                 .value = edit->value,
                                 .offset = edit->offset,
                                 .share = share_of(edit, n_layers),
                                 .width = edit_width(edit, model, hook),
                                 .sinks = edit->what == FATHOM_STEER_ROW,
                                 .max_norm = INFINITY,
                                 .rows = edit->rows,
                                 .positioned = edit->positioned,
                                 .first_position = edit->first_position,
                                 .last_position = edit->last_position,
                                 .after_token = edit->after_token != NULL,
                                 .token = edit->after_token != NULL ? *edit->after_token : 0,
                                 .ramp = edit->ramp,
                                 .from_end = edit->from_end};
    int status = fathom__steer_width(model, hook, out->width);
    if (status == FATHOM_OK && edit->what < FATHOM_STEER_ERROR) {
        status = fathom__alloc_aligned(&out->vector, out->width, sizeof *out->vector);
        if (status == FATHOM_OK) {
            status = fill_vector(out, edit);
        }
    }
    if (status == FATHOM_OK && edit->after_text != NULL) {
        status = fathom__copy_string(&out->after_text, edit->after_text);
    }
    return status;
}

int fathom_steer_add(fathom_steer *plan, const struct fathom_steer_edit *edit) {
    size_t before = plan->n;
    size_t conditions = plan->n_conditions;
    struct fathom_hook hook = {FATHOM_HOOK_EMBED, -1};
    int32_t first = -1;
    int32_t last = -1;
    int status = check(edit);
    if (status == FATHOM_OK) {
        status = resolve(&hook, &first, &last, plan->model, edit);
    }
    hook.layer = first;
    for (size_t c = 0; c < edit->n_conditions && status == FATHOM_OK; c++) {
        status = fathom__condition_add(plan, &edit->conditions[c], hook);
    }
    for (int32_t layer = first; status == FATHOM_OK && layer <= last; layer++) {
        struct fathom__edit one;
        if (edit->what == FATHOM_STEER_VECTOR && edit->direction->lengths[layer - edit->direction->first_layer] == 0) {
            continue; /* a control vector may leave out layers */
        }
        hook.layer = layer;
        status = make(&one, plan->model, edit, hook, (size_t)(last - first) + 1);
        for (size_t c = 0; c < edit->n_conditions; c++) {
            one.conditions[one.n_conditions++] = conditions + c;
        }
        if (status == FATHOM_OK) {
            status = fathom__plan_append(plan, one);
        } else {
            fathom__edit_free(&one);
        }
    }
    if (status == FATHOM_OK && edit->how == FATHOM_STEER_HOW_PATCH) {
        status = fathom__patch_read(plan, before, edit->source, edit->n_source);
    }
    if (status != FATHOM_OK) {
        fathom__plan_cut(plan, before, conditions);
    }
    return status;
}
