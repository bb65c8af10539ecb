#include "base/error.h"
#include "base/memory.h"
#include "detect/read.h"
#include "steer/steering.h"
#include <math.h>
#include <string.h>

static bool concerns(const fathom_steering *steering, int32_t sequence) {
    return steering->only < 0 || steering->only == sequence;
}

/* Takes note of the rows' tokens. */
static int follow(fathom_steering *steering, const struct fathom_block *block) {
    for (size_t r = 0; r < block->n_rows; r++) {
        struct fathom__state *state = NULL;
        if (!concerns(steering, block->sequences[r])) {
            continue;
        }
        int status = fathom__state_at(&state, steering, block->sequences[r]);
        if (status == FATHOM_OK && steering->trails) {
            status = fathom__trail_row(&state->trail, steering->plan->model, steering->triggers, block->positions[r],
                                       block->tokens[r]);
        }
        if (status != FATHOM_OK) {
            return status;
        }
    }
    return FATHOM_OK;
}

static bool covered(const struct fathom__condition *condition, const float *row, int32_t position) {
    return condition->dictionary == NULL || fathom_dictionary_covers(condition->dictionary, row, position);
}

static int read_conditions(struct fathom__steer_point *point, const struct fathom_block *block) {
    fathom_steering *steering = point->steering;
    int status = FATHOM_OK;
    for (size_t i = 0; i < point->n_readers; i++) {
        const struct fathom__reader *reader = &point->readers[i];
        const struct fathom__condition *condition = &steering->plan->conditions[reader->condition];
        struct fathom__watch_group *group = reader->group != SIZE_MAX ? &point->groups[reader->group] : NULL;
        if (group != NULL) {
            status = fathom__group_levels(group, block->rows, block->positions, block->n_rows);
        }
        for (size_t r = 0; r < block->n_rows && status == FATHOM_OK; r++) {
            const float *row = block->rows + r * block->width;
            int32_t position = block->positions[r];
            if (!concerns(steering, block->sequences[r])) {
                continue;
            }
            float level = group == NULL                       ? fathom__condition_level(condition, row, position)
                          : covered(condition, row, position) ? group->values[r * group->n + reader->column]
                                                              : NAN;
            status = fathom__track_level(&steering->states[block->sequences[r]].tracks[reader->condition], condition,
                                         position, level);
        }
    }
    return status;
}

/* How much of each edit acts on each row; the rows *first … *last - 1 have all that are acted on. */
static int find_amounts(size_t *first, size_t *last, struct fathom__steer_point *point,
                        const struct fathom_block *block) {
    const fathom_steering *steering = point->steering;
    int status =
        fathom__grow(&point->amounts, &point->amount_capacity, block->n_rows * point->n, sizeof *point->amounts);
    *first = block->n_rows;
    *last = 0;
    for (size_t r = 0; r < block->n_rows && status == FATHOM_OK; r++) {
        for (size_t e = 0; e < point->n; e++) {
            float amount = 0;
            if (concerns(steering, block->sequences[r])) {
                amount = fathom__where(steering, &point->placed[e], &steering->states[block->sequences[r]],
                                       block->positions[r]);
            }
            point->amounts[r * point->n + e] = amount;
            if (amount > 0) {
                *first = r < *first ? r : *first;
                *last = r + 1;
            }
        }
    }
    return status;
}

static int read_errors(struct fathom__errors *errors, const struct fathom_block *block, size_t first, size_t n) {
    const float *rows = block->rows + first * block->width;
    int status = fathom__grow(&errors->rows, &errors->capacity, n * block->width, sizeof *errors->rows);
    if (status == FATHOM_OK) {
        status = fathom_dictionary_encode(&errors->sparse, errors->dictionary, rows, block->positions + first, n,
                                          FATHOM_ENCODE_RUN);
    }
    if (status == FATHOM_OK) {
        status = fathom_dictionary_reconstruct(errors->rows, errors->dictionary, &errors->sparse, rows);
    }
    for (size_t i = 0; i < n * block->width && status == FATHOM_OK; i++) {
        errors->rows[i] = rows[i] - errors->rows[i];
    }
    return status;
}

/* Levels of features and errors of dictionaries, before any edit. */
static int read_rows(struct fathom__steer_point *point, const struct fathom_block *block, size_t first, size_t n) {
    int status = FATHOM_OK;
    for (size_t g = 0; g < point->n_groups && status == FATHOM_OK; g++) {
        if (point->groups[g].probe == NULL) {
            status = fathom__group_levels(&point->groups[g], block->rows + first * block->width,
                                          block->positions + first, n);
        }
    }
    for (size_t e = 0; e < point->n_errors && status == FATHOM_OK; e++) {
        status = read_errors(&point->errors[e], block, first, n);
    }
    return status;
}

/* Which row of the other text a patch takes. */
static bool find_target(size_t *out, const struct fathom__edit *edit, int32_t position, int32_t n_prompt) {
    int64_t target = position;
    if (edit->from_end) {
        if (n_prompt == INT32_MAX) {
            return false;
        }
        target += (int64_t)edit->n_targets - n_prompt;
    }
    *out = (size_t)target;
    return target >= 0 && target < (int64_t)edit->n_targets && edit->known[target];
}

/* Whether the edit may touch the row at all; what is known of it goes to *facts. */
static bool admit(struct fathom__row_facts *facts, const struct fathom__placed *placed,
                  const struct fathom__steer_point *point, const float *row, int32_t position, int32_t n_prompt,
                  size_t number) {
    const struct fathom__edit *edit = placed->edit;
    facts->worth = 1;
    if (edit->how == FATHOM_STEER_HOW_PATCH && !find_target(&facts->target, edit, position, n_prompt)) {
        return false;
    }
    if (edit->what == FATHOM_STEER_FEATURE || edit->what == FATHOM_STEER_ERROR) {
        if (!fathom_dictionary_covers(edit->dictionary, row, position)) {
            return false;
        }
    } else {
        double length = isinf(edit->max_norm) ? 0 : fathom__norm(row, edit->width);
        return (position > 0 || edit->sinks) && length <= (double)edit->max_norm;
    }
    if (placed->column != SIZE_MAX) {
        const struct fathom__watch_group *group = &point->groups[placed->group];
        facts->level = group->values[number * group->n + placed->column];
    }
    if (placed->error != SIZE_MAX) {
        facts->error = point->errors[placed->error].rows + number * edit->width;
    }
    /* Where a norm is undone, a unit of activation is worth more in longer rows. */
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(edit->dictionary);
    if (info->undo_input_norm) {
        facts->worth = fathom_dictionary_gain(edit->dictionary, row) * info->output_scale;
    }
    return true;
}

/* All that is known of a row is known of it as it came. */
static bool edit_row(float *row, struct fathom__steer_point *point, const struct fathom_block *block, size_t r,
                     size_t number) {
    int32_t n_prompt = point->steering->states[block->sequences[r]].n_prompt;
    bool changed = false;
    for (size_t e = 0; e < point->n; e++) {
        struct fathom__row_facts facts = {.amount = point->amounts[r * point->n + e]};
        if (facts.amount > 0 && !admit(&facts, &point->placed[e], point, row, block->positions[r], n_prompt, number)) {
            facts.amount = 0;
        }
        point->facts[e] = facts;
    }
    for (size_t e = 0; e < point->n; e++) {
        if (fathom__edit_apply(row, point->placed[e].edit, &point->facts[e])) {
            changed = true;
        }
    }
    return changed;
}

static int on_block(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    struct fathom__steer_point *point = payload;
    fathom_steering *steering = point->steering;
    size_t first = 0;
    size_t last = 0;
    int status = follow(steering, block);
    if (status == FATHOM_OK) {
        status = read_conditions(point, block);
    }
    if (status == FATHOM_OK && point->n > 0) {
        status = find_amounts(&first, &last, point, block);
    }
    if (status == FATHOM_OK && first < last) {
        status = read_rows(point, block, first, last - first);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t r = 0; r < block->n_rows && point->n > 0; r++) {
        bool inside = r >= first && r < last;
        if (inside && edit_row(rows + r * block->width, point, block, r, r - first)) {
            *changed = true;
            steering->edited++;
        } else {
            steering->left++;
        }
    }
    return FATHOM_OK;
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
    *steering = (struct fathom_steering){.session = session, .plan = plan, .only = -1};
    status = fathom__steer_points_build(steering);
    for (size_t p = 0; p < steering->n_points && status == FATHOM_OK; p++) {
        struct fathom__steer_point *point = &steering->points[p];
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
    struct fathom__state *state = NULL;
    if (sequence < 0 || n_prompt < 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "sequence %d, prompt of %d tokens: neither may be negative",
                            sequence, n_prompt);
    }
    int status = fathom__state_at(&state, steering, sequence);
    if (status == FATHOM_OK) {
        state->n_prompt = n_prompt;
    }
    return status;
}

void fathom_steering_only(fathom_steering *steering, int32_t sequence) {
    steering->only = sequence;
}

int fathom_steering_history(fathom_steering *steering, int32_t sequence, const int32_t *tokens, size_t n) {
    struct fathom__state *state = NULL;
    if (sequence < 0 || n > INT32_MAX) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "sequence %d, %zu tokens: no such history", sequence, n);
    }
    int status = fathom__state_at(&state, steering, sequence);
    for (size_t i = 0; i < n && status == FATHOM_OK && steering->trails; i++) {
        status = fathom__trail_row(&state->trail, steering->plan->model, steering->triggers, (int32_t)i, tokens[i]);
    }
    return status;
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
    fathom__steer_points_free(steering);
    for (size_t s = 0; s < steering->n_states; s++) {
        fathom__state_free(&steering->states[s], steering->plan->n_conditions);
    }
    fathom_free(steering->states);
    fathom_free(steering->triggers);
    fathom_free(steering);
}
