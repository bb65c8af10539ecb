/* A plan's edits and conditions, gathered by hook point. */
#include "base/memory.h"
#include "steer/steering.h"
#include <stdlib.h>
#include <string.h>

static int find_point(struct fathom__steer_point **out, fathom_steering *steering, struct fathom_hook hook) {
    for (size_t p = 0; p < steering->n_points; p++) {
        if (steering->points[p].hook.kind == hook.kind && steering->points[p].hook.layer == hook.layer) {
            *out = &steering->points[p];
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&steering->points, &steering->capacity, steering->n_points + 1, sizeof *steering->points);
    if (status == FATHOM_OK) {
        *out = &steering->points[steering->n_points++];
        **out = (struct fathom__steer_point){.steering = steering, .hook = hook};
    }
    return status;
}

static int find_group(size_t *out, struct fathom__steer_point *point, const fathom_dictionary *dictionary,
                      const fathom_probe *probe, size_t width) {
    for (size_t g = 0; g < point->n_groups; g++) {
        if (point->groups[g].dictionary == dictionary && point->groups[g].probe == probe) {
            *out = g;
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&point->groups, &point->group_capacity, point->n_groups + 1, sizeof *point->groups);
    if (status == FATHOM_OK) {
        *out = point->n_groups++;
        point->groups[*out] =
            (struct fathom__watch_group){.hook = point->hook, .width = width, .dictionary = dictionary, .probe = probe};
    }
    return status;
}

/* Has a feature or probe read before every edit at this point. */
static int read_level(size_t *group_out, size_t *column, struct fathom__steer_point *point,
                      const fathom_dictionary *dictionary, const fathom_probe *probe, uint32_t feature, size_t width) {
    int status = find_group(group_out, point, dictionary, probe, width);
    struct fathom__watch_group *group = status == FATHOM_OK ? &point->groups[*group_out] : NULL;
    for (size_t i = 0; status == FATHOM_OK && i < group->n; i++) {
        if (probe != NULL || group->features[i] == feature) {
            *column = i;
            return FATHOM_OK;
        }
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&group->features, &group->feature_capacity, group->n + 1, sizeof *group->features);
    }
    if (status == FATHOM_OK) {
        *column = group->n;
        group->features[group->n++] = feature;
    }
    return status;
}

static int find_errors(size_t *out, struct fathom__steer_point *point, const fathom_dictionary *dictionary) {
    for (size_t e = 0; e < point->n_errors; e++) {
        if (point->errors[e].dictionary == dictionary) {
            *out = e;
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&point->errors, &point->error_capacity, point->n_errors + 1, sizeof *point->errors);
    if (status == FATHOM_OK) {
        *out = point->n_errors++;
        point->errors[*out] = (struct fathom__errors){.dictionary = dictionary};
    }
    return status;
}

static int add_trigger(size_t *out, fathom_steering *steering, const char *text, int32_t token) {
    int status = fathom__grow(&steering->triggers, &steering->trigger_capacity, steering->n_triggers + 1,
                              sizeof *steering->triggers);
    if (status == FATHOM_OK) {
        *out = steering->n_triggers++;
        steering->triggers[*out] = (struct fathom__trigger){text, token};
        steering->trails = true;
    }
    return status;
}

static int place(fathom_steering *steering, const struct fathom__edit *edit) {
    struct fathom__steer_point *point = NULL;
    struct fathom__placed placed = {edit, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    int status = find_point(&point, steering, edit->hook);
    if (status == FATHOM_OK) {
        status = fathom__grow(&point->placed, &point->capacity, point->n + 1, sizeof *point->placed);
    }
    if (status == FATHOM_OK && fathom__edit_reads(edit)) {
        status = read_level(&placed.group, &placed.column, point, edit->dictionary, NULL, edit->feature, edit->width);
    }
    if (status == FATHOM_OK && edit->what == FATHOM_STEER_ERROR) {
        status = find_errors(&placed.error, point, edit->dictionary);
    }
    if (status == FATHOM_OK && edit->after_text != NULL) {
        status = add_trigger(&placed.text, steering, edit->after_text, 0);
    }
    if (status == FATHOM_OK && edit->after_token) {
        status = add_trigger(&placed.token, steering, NULL, edit->token);
    }
    if (edit->rows >= FATHOM_STEER_THINKING) {
        steering->trails = true;
    }
    if (status == FATHOM_OK) {
        point->placed[point->n++] = placed;
    }
    return status;
}

static int place_condition(fathom_steering *steering, size_t number) {
    const struct fathom__condition *condition = &steering->plan->conditions[number];
    struct fathom__steer_point *point = NULL;
    struct fathom__reader reader = {number, SIZE_MAX, SIZE_MAX};
    int status = find_point(&point, steering, condition->hook);
    if (status == FATHOM_OK) {
        status = fathom__grow(&point->readers, &point->reader_capacity, point->n_readers + 1, sizeof *point->readers);
    }
    if (status == FATHOM_OK && condition->vector == NULL) {
        status = read_level(&reader.group, &reader.column, point, condition->dictionary, condition->probe,
                            condition->feature, condition->width);
    }
    if (status == FATHOM_OK) {
        point->readers[point->n_readers++] = reader;
    }
    return status;
}

/* One tensor may be two points, such as a layer's end and the next one's beginning: what is read there is read before it
 * is changed. */
static int by_layer(const void *a, const void *b) {
    const struct fathom__steer_point *x = a;
    const struct fathom__steer_point *y = b;
    if (x->hook.layer != y->hook.layer) {
        return x->hook.layer < y->hook.layer ? -1 : 1;
    }
    return (int)x->hook.kind - (int)y->hook.kind;
}

int fathom__steer_points_build(fathom_steering *steering) {
    const fathom_steer *plan = steering->plan;
    int status = FATHOM_OK;
    for (size_t c = 0; c < plan->n_conditions && status == FATHOM_OK; c++) {
        status = place_condition(steering, c);
    }
    for (size_t e = 0; e < plan->n && status == FATHOM_OK; e++) {
        status = place(steering, &plan->edits[e]);
    }
    if (status == FATHOM_OK && steering->n_points > 0) {
        qsort(steering->points, steering->n_points, sizeof *steering->points, by_layer);
    }
    for (size_t p = 0; p < steering->n_points && status == FATHOM_OK; p++) {
        struct fathom__steer_point *point = &steering->points[p];
        status = fathom__alloc(&point->facts, point->n, sizeof *point->facts);
    }
    return status;
}

void fathom__steer_points_free(fathom_steering *steering) {
    for (size_t p = 0; p < steering->n_points; p++) {
        struct fathom__steer_point *point = &steering->points[p];
        if (point->added) {
            fathom_session_unhook(steering->session, point->id);
        }
        for (size_t g = 0; g < point->n_groups; g++) {
            fathom__group_free(&point->groups[g]);
        }
        for (size_t e = 0; e < point->n_errors; e++) {
            fathom_sparse_free(&point->errors[e].sparse);
            fathom_free(point->errors[e].rows);
        }
        fathom_free(point->groups);
        fathom_free(point->errors);
        fathom_free(point->placed);
        fathom_free(point->readers);
        fathom_free(point->amounts);
        fathom_free(point->facts);
    }
    fathom_free(steering->points);
}
