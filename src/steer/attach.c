#include "base/error.h"
#include "base/memory.h"
#include "detect/levels.h"
#include "detect/read.h"
#include "steer/plan.h"
#include <string.h>

/* An edit at a point, and where its feature's level stands among those read there. */
struct placed {
    const struct fathom__edit *edit;
    size_t group, column; /* SIZE_MAX: reads nothing */
    float coefficient;    /* of the present row */
};

/* All edits of one hook point. */
struct point {
    fathom_steering *steering;
    struct fathom_hook hook;
    struct placed *placed;
    size_t n, capacity;
    struct fathom__watch_group *groups; /* one a dictionary that is read */
    size_t n_groups, group_capacity;
    int id;
    bool added;
};

struct fathom_steering {
    fathom_session *session;
    struct point *points;
    size_t n_points, capacity;
    int32_t *prompts; /* [sequences told of]: tokens of the prompt */
    size_t n_prompts, prompt_capacity;
    uint64_t edited, left;
};

static bool in_part(const fathom_steering *steering, enum fathom_steer_rows rows, int32_t sequence, int32_t position) {
    int32_t n_prompt = (size_t)sequence < steering->n_prompts ? steering->prompts[sequence] : INT32_MAX;
    if (rows == FATHOM_STEER_ALL) {
        return true;
    }
    return (position < n_prompt) == (rows == FATHOM_STEER_PROMPT);
}

/* Times edit->vector is added to the row as it is now; 0 leaves it alone. */
static float coefficient(const struct point *point, const struct placed *placed, const float *row, size_t number,
                         int32_t position) {
    const struct fathom__edit *edit = placed->edit;
    float level = 0;
    if (edit->dictionary == NULL) {
        bool left_out = position == 0 || !(fathom__norm(row, edit->width) <= edit->max_norm);
        return left_out ? 0 : edit->value * edit->share;
    }
    if (!fathom_dictionary_covers(edit->dictionary, row, position)) {
        return 0;
    }
    if (placed->column != SIZE_MAX) {
        const struct fathom__watch_group *group = &point->groups[placed->group];
        level = group->values[number * group->n + placed->column];
    }
    /* Where a norm is undone, a unit of activation is worth more in longer rows. */
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
    const float worth =
        info->undo_input_norm ? fathom_dictionary_gain(edit->dictionary, row) * info->output_scale : 1.0f;
    return (edit->value - level) * edit->share * worth;
}

static bool edit_row(struct point *point, float *row, size_t width) {
    bool changed = false;
    for (size_t e = 0; e < point->n; e++) {
        float times = point->placed[e].coefficient;
        const float *vector = point->placed[e].edit->vector;
        if (times == 0) {
            continue;
        }
        for (size_t i = 0; i < width; i++) {
            row[i] += times * vector[i];
        }
        changed = true;
    }
    return changed;
}

static int on_block(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    struct point *point = payload;
    fathom_steering *steering = point->steering;
    for (size_t g = 0; g < point->n_groups; g++) {
        int status = fathom__group_levels(&point->groups[g], block->rows, block->positions, block->n_rows);
        if (status != FATHOM_OK) {
            return status;
        }
    }
    for (size_t r = 0; r < block->n_rows; r++) {
        float *row = rows + r * block->width;
        for (size_t e = 0; e < point->n; e++) {
            struct placed *placed = &point->placed[e];
            bool wanted = in_part(steering, placed->edit->rows, block->sequences[r], block->positions[r]);
            placed->coefficient = wanted ? coefficient(point, placed, row, r, block->positions[r]) : 0;
        }
        if (edit_row(point, row, block->width)) {
            *changed = true;
            steering->edited++;
        } else {
            steering->left++;
        }
    }
    return FATHOM_OK;
}

static int find_point(struct point **out, fathom_steering *steering, struct fathom_hook hook) {
    for (size_t p = 0; p < steering->n_points; p++) {
        if (steering->points[p].hook.kind == hook.kind && steering->points[p].hook.layer == hook.layer) {
            *out = &steering->points[p];
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&steering->points, &steering->capacity, steering->n_points + 1, sizeof *steering->points);
    if (status == FATHOM_OK) {
        *out = &steering->points[steering->n_points++];
        **out = (struct point){.steering = steering, .hook = hook};
    }
    return status;
}

static int find_group(size_t *out, struct point *point, const struct fathom__edit *edit) {
    for (size_t g = 0; g < point->n_groups; g++) {
        if (point->groups[g].dictionary == edit->dictionary) {
            *out = g;
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&point->groups, &point->group_capacity, point->n_groups + 1, sizeof *point->groups);
    if (status == FATHOM_OK) {
        *out = point->n_groups++;
        point->groups[*out] =
            (struct fathom__watch_group){.hook = edit->hook, .width = edit->width, .dictionary = edit->dictionary};
    }
    return status;
}

/* Has the edit's feature read before every edit at this point. */
static int read_feature(struct placed *placed, struct point *point) {
    const struct fathom__edit *edit = placed->edit;
    int status = find_group(&placed->group, point, edit);
    struct fathom__watch_group *group = status == FATHOM_OK ? &point->groups[placed->group] : NULL;
    for (size_t i = 0; status == FATHOM_OK && i < group->n; i++) {
        if (group->features[i] == edit->feature) {
            placed->column = i;
            return FATHOM_OK;
        }
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&group->features, &group->feature_capacity, group->n + 1, sizeof *group->features);
    }
    if (status == FATHOM_OK) {
        placed->column = group->n;
        group->features[group->n++] = edit->feature;
    }
    return status;
}

static int place(fathom_steering *steering, const struct fathom__edit *edit) {
    struct point *point = NULL;
    struct placed placed = {.edit = edit, .column = SIZE_MAX};
    int status = find_point(&point, steering, edit->hook);
    if (status == FATHOM_OK) {
        status = fathom__grow(&point->placed, &point->capacity, point->n + 1, sizeof *point->placed);
    }
    if (status == FATHOM_OK && edit->dictionary != NULL && edit->mode != FATHOM_STEER_ADD) {
        status = read_feature(&placed, point);
    }
    if (status == FATHOM_OK) {
        point->placed[point->n++] = placed;
    }
    return status;
}

int fathom_steer_attach(fathom_steering **out, fathom_session *session, const fathom_steer *plan) {
    fathom_steering *steering = NULL;
    int status = FATHOM_OK;
    if (fathom_session_model(session) != plan->model) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "the plan was made for another model than the session's");
    }
    status = fathom__alloc(&steering, 1, sizeof *steering);
    if (status != FATHOM_OK) {
        return status;
    }
    steering->session = session;
    for (size_t e = 0; e < plan->n && status == FATHOM_OK; e++) {
        status = place(steering, &plan->edits[e]);
    }
    for (size_t p = 0; p < steering->n_points && status == FATHOM_OK; p++) {
        struct point *point = &steering->points[p];
        status = fathom_session_edit(&point->id, session, point->hook, on_block, point);
        point->added = status == FATHOM_OK;
    }
    if (status != FATHOM_OK) {
        fathom_steer_detach(steering);
        return status;
    }
    *out = steering;
    return FATHOM_OK;
}

int fathom_steering_prompt(fathom_steering *steering, int32_t sequence, int32_t n_prompt) {
    if (sequence < 0 || n_prompt < 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "sequence %d, prompt of %d tokens: neither may be negative",
                            sequence, n_prompt);
    }
    int status =
        fathom__grow(&steering->prompts, &steering->prompt_capacity, (size_t)sequence + 1, sizeof *steering->prompts);
    if (status != FATHOM_OK) {
        return status;
    }
    while (steering->n_prompts <= (size_t)sequence) {
        steering->prompts[steering->n_prompts++] = INT32_MAX;
    }
    steering->prompts[sequence] = n_prompt;
    return FATHOM_OK;
}

void fathom_steering_rows(uint64_t *edited, uint64_t *left, const fathom_steering *steering) {
    if (edited != NULL) {
        *edited = steering->edited;
    }
    if (left != NULL) {
        *left = steering->left;
    }
}

void fathom_steer_detach(fathom_steering *steering) {
    if (steering == NULL) {
        return;
    }
    for (size_t p = 0; p < steering->n_points; p++) {
        struct point *point = &steering->points[p];
        if (point->added) {
            fathom_session_unhook(steering->session, point->id);
        }
        for (size_t g = 0; g < point->n_groups; g++) {
            fathom__group_free(&point->groups[g]);
        }
        fathom_free(point->groups);
        fathom_free(point->placed);
    }
    fathom_free(steering->points);
    fathom_free(steering->prompts);
    fathom_free(steering);
}
