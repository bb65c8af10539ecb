#include "base/error.h"
#include "base/memory.h"
#include "detect/read.h"
#include "steer/plan.h"
#include <math.h>
#include <string.h>

/* Whether rows at `a` are there when those at `b` are changed. Within a layer only what holds for every architecture,
 * with attention and MLP one after another or side by side. */
static bool not_after(struct fathom_hook a, struct fathom_hook b) {
    if (a.kind == b.kind && a.layer == b.layer) {
        return true;
    }
    if (a.kind == FATHOM_HOOK_EMBED || b.kind == FATHOM_HOOK_LOGITS) {
        return true;
    }
    if (b.kind == FATHOM_HOOK_FINAL_NORM) {
        return a.kind != FATHOM_HOOK_LOGITS;
    }
    if (!fathom__hook_has_layers(a.kind) || !fathom__hook_has_layers(b.kind) || a.layer != b.layer) {
        return fathom__hook_has_layers(a.kind) && fathom__hook_has_layers(b.kind) && a.layer < b.layer;
    }
    return a.kind == FATHOM_HOOK_RESID_PRE || b.kind == FATHOM_HOOK_RESID_POST;
}

static int resolve(struct fathom__condition *out, const fathom_model *model,
                   const struct fathom_steer_condition *condition) {
    const struct fathom_direction *direction = condition->direction;
    int32_t layer = condition->layer;
    int status = FATHOM_OK;
    if (condition->dictionary != NULL) {
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(condition->dictionary);
        out->width = info->d_in;
        if (condition->feature >= info->n_features) {
            return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path,
                                info->n_features - 1, condition->feature);
        }
        return fathom_dictionary_match(&out->hook, condition->dictionary, model);
    }
    if (condition->probe != NULL) {
        out->width = fathom_probe_describe(condition->probe)->d_in;
        return fathom_probe_match(&out->hook, condition->probe, model);
    }
    status = fathom__layer_range(&layer, &(int32_t){layer}, model);
    if (status == FATHOM_OK && (layer < direction->first_layer || layer > direction->last_layer)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a condition on layer %d: the direction has layers %d to %d", layer,
                            direction->first_layer, direction->last_layer);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    size_t place = (size_t)(layer - direction->first_layer);
    out->hook = (struct fathom_hook){direction->kind, layer};
    out->width = direction->width;
    out->median = direction->median_norms[place];
    out->max_norm = FATHOM__OUTLIER_RATIO * out->median;
    status = fathom__alloc_aligned(&out->vector, out->width, sizeof *out->vector);
    if (status == FATHOM_OK) {
        memcpy(out->vector, direction->vectors + place * out->width, out->width * sizeof *out->vector);
    }
    return status;
}

int fathom__condition_add(fathom_steer *plan, const struct fathom_steer_condition *condition, struct fathom_hook edit) {
    struct fathom__condition one = {.dictionary = condition->dictionary,
                                    .feature = condition->feature,
                                    .probe = condition->probe,
                                    .measure = condition->measure,
                                    .level = condition->level,
                                    .below = condition->below,
                                    .over = condition->over,
                                    .window = condition->window > 0 ? condition->window : 1};
    int kinds = (condition->dictionary != NULL) + (condition->probe != NULL) + (condition->direction != NULL);
    if (kinds != 1 || !isfinite(condition->level) || (unsigned)condition->measure > FATHOM_STEER_CAST ||
        (unsigned)condition->over > FATHOM_STEER_OVER_PROMPT ||
        (condition->direction == NULL && condition->measure != FATHOM_STEER_LEVEL)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a condition is one feature, probe or direction with a finite "
                                                   "level; cosines are those of directions");
    }
    int status = resolve(&one, plan->model, condition);
    if (status == FATHOM_OK && !not_after(one.hook, edit)) {
        char read[FATHOM_HOOK_NAME_SIZE];
        char act[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(read, one.hook);
        fathom_hook_name(act, edit);
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "a condition that is read at %s comes too late for an edit at %s",
                              read, act);
    }
    if (status == FATHOM_OK) {
        status = fathom__steer_width(plan->model, one.hook, one.width);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&plan->conditions, &plan->condition_capacity, plan->n_conditions + 1,
                              sizeof *plan->conditions);
    }
    if (status != FATHOM_OK) {
        fathom_free(one.vector);
        return status;
    }
    plan->conditions[plan->n_conditions++] = one;
    return FATHOM_OK;
}
