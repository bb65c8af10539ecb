#include "steer/plan.h"
#include "base/error.h"
#include "base/memory.h"
#include "detect/pool.h"
#include "detect/read.h"
#include <math.h>
#include <string.h>

int fathom_steer_open(fathom_steer **out, const fathom_model *model) {
    int status = fathom__alloc(out, 1, sizeof **out);
    if (status == FATHOM_OK) {
        (*out)->model = model;
    }
    return status;
}

void fathom_steer_close(fathom_steer *plan) {
    if (plan == NULL) {
        return;
    }
    for (size_t i = 0; i < plan->n; i++) {
        fathom_free(plan->edits[i].vector);
    }
    fathom_free(plan->edits);
    fathom_free(plan);
}

size_t fathom_steer_count(const fathom_steer *plan) {
    return plan->n;
}

int fathom__layer_range(int32_t *first, int32_t *last, const fathom_model *model) {
    int32_t n_layers = (int32_t)fathom_model_describe(model)->n_layers;
    int32_t a = *first < 0 ? *first + n_layers : *first;
    int32_t b = *last < 0 ? *last + n_layers : *last;
    if (a < 0 || b >= n_layers || a > b) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "layers %d to %d: the model has layers 0 to %d, the first one first",
                            *first, *last, n_layers - 1);
    }
    *first = a;
    *last = b;
    return FATHOM_OK;
}

bool fathom__hook_has_layers(enum fathom_hook_kind kind) {
    return kind != FATHOM_HOOK_EMBED && kind != FATHOM_HOOK_FINAL_NORM && kind != FATHOM_HOOK_LOGITS;
}

/* Adds an edit whose vector was allocated by the caller; on an error the vector is freed. */
static int add_edit(fathom_steer *plan, struct fathom__edit edit) {
    int status = fathom__grow(&plan->edits, &plan->capacity, plan->n + 1, sizeof *plan->edits);
    if (status != FATHOM_OK) {
        fathom_free(edit.vector);
        return status;
    }
    plan->edits[plan->n++] = edit;
    return FATHOM_OK;
}

/* Takes back edits added since `n`, so that a plan never holds half of what was asked. */
static void cut_back(fathom_steer *plan, size_t n) {
    while (plan->n > n) {
        fathom_free(plan->edits[--plan->n].vector);
    }
}

static int check_width(const fathom_model *model, struct fathom_hook hook, size_t width) {
    char name[FATHOM_HOOK_NAME_SIZE];
    size_t found = fathom__hook_width(model, hook);
    fathom_hook_name(name, hook);
    if (found == 0) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: this model has no rows of a fixed width there", name);
    }
    if (found != width) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: rows there are %zu wide, not %zu", name, found, width);
    }
    return FATHOM_OK;
}

/* Where a feature is written, and over which layers. */
static int feature_layers(struct fathom_hook *hook, int32_t *first, int32_t *last, const fathom_model *model,
                          const struct fathom_steer_feature *edit) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
    int status = fathom_dictionary_match(hook, edit->dictionary, model);
    if (status == FATHOM_OK && strcmp(info->hook_in, info->hook_out) != 0) {
        if (edit->mode != FATHOM_STEER_ADD) {
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: reads at %s and writes at %s: its features can be added, not clamped", info->path,
                                info->hook_in, info->hook_out);
        }
        status = fathom_hook_parse(hook, model, info->hook_out);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    *first = *last = hook->layer;
    if (!edit->spread) {
        return FATHOM_OK;
    }
    if (!fathom__hook_has_layers(hook->kind)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: has no layers to spread over", info->hook_out);
    }
    *first = edit->first_layer;
    *last = edit->last_layer;
    return fathom__layer_range(first, last, model);
}

static int check_feature(const struct fathom_steer_feature *edit) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
    if (edit->feature >= info->n_features) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path, info->n_features - 1,
                            edit->feature);
    }
    if (edit->mode != FATHOM_STEER_ABLATE && !isfinite(edit->value)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: the value %g is not finite", edit->feature,
                            (double)edit->value);
    }
    if ((unsigned)edit->mode > FATHOM_STEER_ABLATE || (unsigned)edit->rows > FATHOM_STEER_ANSWER) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: no such mode or part of the text", edit->feature);
    }
    return FATHOM_OK;
}

int fathom_steer_add_feature(fathom_steer *plan, const struct fathom_steer_feature *edit) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
    struct fathom_hook hook;
    int32_t first = 0;
    int32_t last = 0;
    size_t before = plan->n;
    int status = check_feature(edit);
    if (status == FATHOM_OK) {
        status = feature_layers(&hook, &first, &last, plan->model, edit);
    }
    for (int32_t layer = first; status == FATHOM_OK && layer <= last; layer++) {
        struct fathom__edit one = {.hook = {hook.kind, layer},
                                   .dictionary = edit->dictionary,
                                   .feature = edit->feature,
                                   .mode = edit->mode,
                                   .rows = edit->rows,
                                   .value = edit->mode == FATHOM_STEER_ABLATE ? 0 : edit->value,
                                   .width = info->d_out};
        one.share = edit->mode == FATHOM_STEER_ABLATE ? 1.0f : 1.0f / (float)(last - first + 1);
        status = check_width(plan->model, one.hook, one.width);
        if (status == FATHOM_OK) {
            status = fathom__alloc_aligned(&one.vector, one.width, sizeof *one.vector);
        }
        if (status == FATHOM_OK) {
            status = fathom_dictionary_direction(one.vector, edit->dictionary, edit->feature);
            if (status != FATHOM_OK) {
                fathom_free(one.vector);
            }
        }
        if (status == FATHOM_OK) {
            for (size_t i = 0; i < one.width; i++) {
                one.vector[i] /= info->output_scale;
            }
            status = add_edit(plan, one);
        }
    }
    if (status != FATHOM_OK) {
        cut_back(plan, before);
    }
    return status;
}

int fathom_steer_add_direction(fathom_steer *plan, const struct fathom_direction *direction, float strength,
                               enum fathom_steer_rows rows) {
    size_t before = plan->n;
    int32_t first = direction->first_layer;
    int32_t last = direction->last_layer;
    int status = fathom__layer_range(&first, &last, plan->model);
    if (status == FATHOM_OK && (!isfinite(strength) || (unsigned)rows > FATHOM_STEER_ANSWER)) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "a direction's strength must be finite; got %g", (double)strength);
    }
    for (int32_t layer = first; status == FATHOM_OK && layer <= last; layer++) {
        size_t place = (size_t)(layer - first);
        float norm = direction->median_norms[place];
        struct fathom__edit one = {.hook = {direction->kind, layer},
                                   .rows = rows,
                                   .mode = FATHOM_STEER_ADD,
                                   .value = strength,
                                   .share = 1.0f / (float)(last - first + 1),
                                   .width = direction->width,
                                   .max_norm = FATHOM__OUTLIER_RATIO * norm};
        status = check_width(plan->model, one.hook, one.width);
        if (status == FATHOM_OK) {
            status = fathom__alloc_aligned(&one.vector, one.width, sizeof *one.vector);
        }
        if (status == FATHOM_OK) {
            for (size_t i = 0; i < one.width; i++) {
                one.vector[i] = norm * direction->vectors[place * one.width + i];
            }
            status = add_edit(plan, one);
        }
    }
    if (status != FATHOM_OK) {
        cut_back(plan, before);
    }
    return status;
}
