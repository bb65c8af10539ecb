/* Where an edit acts: parts of the text, positions, what has come before, and conditions. */
#include "base/memory.h"
#include "detect/read.h"
#include "engine/vector.h"
#include "steer/steering.h"
#include <math.h>
#include <string.h>

int fathom__state_at(struct fathom__state **out, fathom_steering *steering, int32_t sequence) {
    size_t place = (size_t)sequence;
    int status = fathom__grow(&steering->states, &steering->state_capacity, place + 1, sizeof *steering->states);
    while (status == FATHOM_OK && steering->n_states <= place) {
        struct fathom__state *state = &steering->states[steering->n_states];
        *state = (struct fathom__state){.n_prompt = INT32_MAX};
        status = fathom__trail_open(&state->trail, steering->n_triggers);
        if (status == FATHOM_OK) {
            status = fathom__alloc(&state->tracks, steering->plan->n_conditions, sizeof *state->tracks);
        }
        for (size_t c = 0; c < steering->plan->n_conditions && status == FATHOM_OK; c++) {
            state->tracks[c].since = FATHOM__NEVER;
        }
        if (status == FATHOM_OK) {
            steering->n_states++;
        } else {
            fathom__trail_free(&state->trail);
        }
    }
    if (status == FATHOM_OK) {
        *out = &steering->states[place];
    }
    return status;
}

void fathom__state_free(struct fathom__state *state, size_t n_conditions) {
    fathom__trail_free(&state->trail);
    for (size_t c = 0; c < n_conditions; c++) {
        fathom_free(state->tracks[c].levels);
    }
    fathom_free(state->tracks);
}

/* Mean of the last `window` levels that were read, up to a position; NaN where that position was not read. */
static float window_mean(const struct fathom__track *track, size_t position, uint32_t window) {
    double sum = 0;
    uint32_t n = 0;
    if (position >= track->n || isnan(track->levels[position])) {
        return NAN;
    }
    for (size_t p = position + 1; p > 0 && n < window; p--) {
        float level = track->levels[p - 1];
        if (!isnan(level)) {
            sum += level;
            n++;
        }
    }
    return (float)(sum / n);
}

static bool is_on(const struct fathom__condition *condition, float level) {
    return condition->below ? level < condition->level : level >= condition->level;
}

int fathom__track_level(struct fathom__track *track, const struct fathom__condition *condition, int32_t position,
                        float level) {
    size_t place = (size_t)position;
    int status = fathom__grow(&track->levels, &track->capacity, place + 1, sizeof *track->levels);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t p = track->n; p < place; p++) {
        track->levels[p] = NAN;
    }
    track->levels[place] = level;
    track->n = place + 1;
    if (track->since >= position) {
        bool on = is_on(condition, window_mean(track, place, condition->window));
        track->since = on ? position : FATHOM__NEVER;
    }
    return FATHOM_OK;
}

static bool prompt_on(const struct fathom__track *track, const struct fathom__condition *condition, int32_t n_prompt) {
    double sum = 0;
    size_t n = 0;
    for (size_t p = 0; p < track->n && p < (size_t)n_prompt; p++) {
        if (!isnan(track->levels[p])) {
            sum += track->levels[p];
            n++;
        }
    }
    return n > 0 && is_on(condition, (float)(sum / (double)n));
}

static bool condition_on(const struct fathom__condition *condition, const struct fathom__track *track, int32_t position,
                         int32_t n_prompt) {
    switch (condition->over) {
    case FATHOM_STEER_OVER_PROMPT: return position >= n_prompt && prompt_on(track, condition, n_prompt);
    case FATHOM_STEER_OVER_EVER: return track->since <= position;
    default: return is_on(condition, window_mean(track, (size_t)position, condition->window));
    }
}

/* Whether the row is in the edit's part of the text, and where that began. */
static bool in_part(int32_t *began, const struct fathom__edit *edit, const struct fathom__state *state,
                    int32_t position) {
    bool answers = position >= state->n_prompt;
    *began = 0;
    switch (edit->rows) {
    case FATHOM_STEER_ALL: return true;
    case FATHOM_STEER_PROMPT: return !answers;
    case FATHOM_STEER_ANSWER: *began = state->n_prompt; return answers;
    default: break;
    }
    if (!answers) {
        return false;
    }
    bool thinks = fathom__trail_thinking(began, &state->trail, position);
    *began = *began > state->n_prompt ? *began : state->n_prompt;
    return thinks == (edit->rows == FATHOM_STEER_THINKING);
}

static bool at_position(const struct fathom__edit *edit, int32_t n_prompt, int32_t position) {
    int64_t first = edit->first_position;
    int64_t last = edit->last_position;
    if (!edit->positioned) {
        return true;
    }
    if ((first < 0 || last < 0) && n_prompt == INT32_MAX) {
        return false;
    }
    first += first < 0 ? n_prompt : 0;
    last += last < 0 ? n_prompt : 0;
    return position >= first && position <= last;
}

static float ramped(int32_t ramp, int32_t began, int32_t position) {
    float rows = (float)(position - began) + 1;
    if (ramp > 0) {
        return fminf(1, rows / (float)ramp);
    }
    return ramp < 0 ? fmaxf(0, 1 - (rows - 1) / -(float)ramp) : 1;
}

float fathom__where(const fathom_steering *steering, const struct fathom__placed *placed,
                    const struct fathom__state *state, int32_t position) {
    const struct fathom__edit *edit = placed->edit;
    int32_t began = 0;
    if (!in_part(&began, edit, state, position) || !at_position(edit, state->n_prompt, position)) {
        return 0;
    }
    const size_t triggers[] = {placed->text, placed->token};
    for (size_t t = 0; t < 2; t++) {
        if (triggers[t] != SIZE_MAX) {
            int32_t since = state->trail.since[triggers[t]];
            if (since > position) {
                return 0;
            }
            began = since > began ? since : began;
        }
    }
    for (size_t c = 0; c < edit->n_conditions; c++) {
        const struct fathom__condition *condition = &steering->plan->conditions[edit->conditions[c]];
        const struct fathom__track *track = &state->tracks[edit->conditions[c]];
        if (!condition_on(condition, track, position, state->n_prompt)) {
            return 0;
        }
        if (condition->over == FATHOM_STEER_OVER_EVER && track->since > began) {
            began = track->since;
        }
    }
    return ramped(edit->ramp, began, position);
}

/* cos(x, tanh(v along)). The end of a row that fills no vector is read as if it went on with zeros. */
static float cast_measure(const float *vector, const float *row, size_t width, double along, double length) {
    const fathom__v scale = fathom__v_all((float)along);
    double wide = 0;
    double squares = 0;
    for (size_t i = 0; i < width; i += FATHOM__LANES) {
        float entries[2][FATHOM__LANES] = {{0}};
        const size_t n = width - i < FATHOM__LANES ? width - i : FATHOM__LANES;
        memcpy(entries[0], vector + i, n * sizeof *vector);
        memcpy(entries[1], row + i, n * sizeof *row);
        const fathom__v entry = fathom__v_tanh(fathom__v_load(entries[0]) * scale);
        wide += (double)fathom__v_sum(entry * fathom__v_load(entries[1]));
        squares += (double)fathom__v_sum(entry * entry);
    }
    return squares > 0 ? (float)(wide / (sqrt(squares) * length)) : 0;
}

float fathom__condition_level(const struct fathom__condition *condition, const float *row, int32_t position) {
    double along = 0;
    double length = fathom__norm(row, condition->width);
    if (position == 0 || !(length <= (double)condition->max_norm) || length <= 0) {
        return NAN;
    }
    for (size_t i = 0; i < condition->width; i++) {
        along += (double)condition->vector[i] * (double)row[i];
    }
    if (condition->measure == FATHOM_STEER_LEVEL) {
        return (float)(along / (double)condition->median);
    }
    if (condition->measure == FATHOM_STEER_COSINE) {
        return (float)(along / length);
    }
    return cast_measure(condition->vector, row, condition->width, along, length);
}
