#include "steer/plan.h"
#include "base/error.h"
#include "base/memory.h"
#include "detect/pool.h"
#include <string.h>

int fathom_steer_open(fathom_steer **out, const fathom_model *model) {
    int status = fathom__alloc(out, 1, sizeof **out);
    if (status == FATHOM_OK) {
        (*out)->model = model;
    }
    return status;
}

void fathom__edit_free(struct fathom__edit *edit) {
    fathom_free(edit->vector);
    fathom_free(edit->after_text);
    fathom_free(edit->targets);
    fathom_free(edit->known);
}

void fathom__plan_cut(fathom_steer *plan, size_t n_edits, size_t n_conditions) {
    while (plan->n > n_edits) {
        fathom__edit_free(&plan->edits[--plan->n]);
    }
    while (plan->n_conditions > n_conditions) {
        fathom_free(plan->conditions[--plan->n_conditions].vector);
    }
}

void fathom_steer_close(fathom_steer *plan) {
    if (plan == NULL) {
        return;
    }
    fathom__plan_cut(plan, 0, 0);
    for (size_t i = 0; i < plan->n_dictionaries; i++) {
        fathom_dictionary_close(plan->dictionaries[i]);
    }
    for (size_t i = 0; i < plan->n_probes; i++) {
        fathom_probe_close(plan->probes[i]);
    }
    fathom_free(plan->dictionaries);
    fathom_free(plan->probes);
    fathom_free(plan->conditions);
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

int fathom__steer_width(const fathom_model *model, struct fathom_hook hook, size_t width) {
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

int fathom__plan_append(fathom_steer *plan, struct fathom__edit edit) {
    int status = fathom__grow(&plan->edits, &plan->capacity, plan->n + 1, sizeof *plan->edits);
    if (status != FATHOM_OK) {
        fathom__edit_free(&edit);
        return status;
    }
    plan->edits[plan->n++] = edit;
    return FATHOM_OK;
}

int fathom_steer_add_feature(fathom_steer *plan, const struct fathom_steer_feature *edit) {
    static const enum fathom_steer_how hows[] = {FATHOM_STEER_HOW_CLAMP, FATHOM_STEER_HOW_ADD, FATHOM_STEER_HOW_ABLATE};
    if ((unsigned)edit->mode > FATHOM_STEER_ABLATE) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: no such mode", edit->feature);
    }
    struct fathom_steer_edit general = {.what = FATHOM_STEER_FEATURE,
                                        .dictionary = edit->dictionary,
                                        .feature = edit->feature,
                                        .how = hows[edit->mode],
                                        .value = edit->mode == FATHOM_STEER_ABLATE ? 0 : edit->value,
                                        .placed = edit->spread,
                                        .first_layer = edit->first_layer,
                                        .last_layer = edit->last_layer,
                                        .rows = edit->rows};
    return fathom_steer_add(plan, &general);
}

int fathom_steer_add_direction(fathom_steer *plan, const struct fathom_direction *direction, float strength,
                               enum fathom_steer_rows rows) {
    struct fathom_steer_edit general = {.what = FATHOM_STEER_DIRECTION,
                                        .direction = direction,
                                        .how = FATHOM_STEER_HOW_ADD,
                                        .value = strength,
                                        .rows = rows};
    return fathom_steer_add(plan, &general);
}
