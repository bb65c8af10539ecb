#include "steer/footprint.h"
#include "base/hash.h"
#include <stdatomic.h>
#include <string.h>

/* Rows first … last of a text that an edit may act on; first > last: none. */
struct reach {
    int64_t first, last;
    bool by_length; /* which rows they are, or what is done there, depends on the prompt's length */
};

static bool waits_for_prompt(const fathom_steer *plan, const struct fathom__edit *edit) {
    for (size_t c = 0; c < edit->n_conditions; c++) {
        if (plan->conditions[edit->conditions[c]].over == FATHOM_STEER_OVER_PROMPT) {
            return true;
        }
    }
    return false;
}

static struct reach find_reach(const fathom_steer *plan, const struct fathom__edit *edit, int32_t n_prompt) {
    struct reach reach = {.first = 0, .last = INT32_MAX, .by_length = edit->from_end};
    if (edit->rows == FATHOM_STEER_PROMPT) {
        reach.last = (int64_t)n_prompt - 1;
    } else if (edit->rows != FATHOM_STEER_ALL || waits_for_prompt(plan, edit)) {
        reach.first = n_prompt;
    }
    if (edit->positioned) {
        int64_t first = edit->first_position + (edit->first_position < 0 ? n_prompt : 0);
        int64_t last = edit->last_position + (edit->last_position < 0 ? n_prompt : 0);
        reach.first = first > reach.first ? first : reach.first;
        reach.last = last < reach.last ? last : reach.last;
        reach.by_length = reach.by_length || edit->first_position < 0 || edit->last_position < 0;
    }
    return reach;
}

static bool looks_back(const struct fathom__condition *condition) {
    return condition->over != FATHOM_STEER_OVER_ROW || condition->window > 1;
}

#define ADD(hash, value) fathom__hash_add(hash, &(value), sizeof(value))

static void add_bytes(fathom__hash *hash, const void *bytes, size_t size) {
    size = bytes != NULL ? size : 0;
    ADD(hash, size);
    if (size > 0) {
        fathom__hash_add(hash, bytes, size);
    }
}

static void add_condition(fathom__hash *hash, const struct fathom__condition *condition) {
    ADD(hash, condition->hook.kind);
    ADD(hash, condition->hook.layer);
    ADD(hash, condition->dictionary);
    ADD(hash, condition->feature);
    ADD(hash, condition->probe);
    add_bytes(hash, condition->vector, condition->width * sizeof *condition->vector);
    ADD(hash, condition->median);
    ADD(hash, condition->max_norm);
    ADD(hash, condition->measure);
    ADD(hash, condition->level);
    ADD(hash, condition->below);
    ADD(hash, condition->over);
    ADD(hash, condition->window);
}

static void add_edit(fathom__hash *hash, const fathom_steer *plan, const struct fathom__edit *edit,
                     const struct reach *reach, int32_t n_prompt) {
    size_t target = edit->what == FATHOM_STEER_ROW ? edit->width * sizeof *edit->targets : sizeof *edit->targets;
    int32_t length = reach->by_length ? n_prompt : -1;
    ADD(hash, length);
    ADD(hash, edit->hook.kind);
    ADD(hash, edit->hook.layer);
    ADD(hash, edit->what);
    ADD(hash, edit->how);
    ADD(hash, edit->dictionary);
    ADD(hash, edit->feature);
    ADD(hash, edit->value);
    ADD(hash, edit->offset);
    ADD(hash, edit->share);
    add_bytes(hash, edit->vector, edit->width * sizeof *edit->vector);
    ADD(hash, edit->width);
    ADD(hash, edit->inverse);
    ADD(hash, edit->bias);
    ADD(hash, edit->sinks);
    ADD(hash, edit->max_norm);
    ADD(hash, edit->rows);
    ADD(hash, edit->positioned);
    ADD(hash, edit->first_position);
    ADD(hash, edit->last_position);
    add_bytes(hash, edit->after_text, edit->after_text != NULL ? strlen(edit->after_text) : 0);
    ADD(hash, edit->after_token);
    ADD(hash, edit->token);
    ADD(hash, edit->ramp);
    add_bytes(hash, edit->targets, edit->n_targets * target);
    add_bytes(hash, edit->known, edit->n_targets * sizeof *edit->known);
    ADD(hash, edit->from_end);
    ADD(hash, edit->n_conditions);
    for (size_t c = 0; c < edit->n_conditions; c++) {
        add_condition(hash, &plan->conditions[edit->conditions[c]]);
    }
}

static bool meets(const struct reach *reach, int64_t first, int64_t last) {
    return reach->first <= reach->last && reach->first <= last && reach->last >= first;
}

/* Names the edits that reach one of the rows first … last; first > last: all edits. */
static int name_edits(char name[FATHOM__FOOTPRINT_NAME], const fathom_steer *plan, int32_t n_prompt, int64_t first,
                      int64_t last) {
    static atomic_ullong n_unlike;
    fathom__hash *hash = NULL;
    bool any = false;
    int status = fathom__hash_open(&hash);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t e = 0; e < plan->n; e++) {
        struct reach reach = find_reach(plan, &plan->edits[e], n_prompt);
        if (first > last || meets(&reach, first, last)) {
            add_edit(hash, plan, &plan->edits[e], &reach, n_prompt);
            any = true;
        }
    }
    if (any && plan->n_dictionaries + plan->n_probes > 0) {
        unsigned long long number = atomic_fetch_add(&n_unlike, 1);
        ADD(hash, number);
    }
    if (any) {
        fathom__hash_text(name, hash);
    }
    fathom__hash_close(hash);
    return FATHOM_OK;
}

int fathom__footprint(struct fathom__footprint *out, const fathom_steer *plan, int32_t n_prompt) {
    *out = (struct fathom__footprint){.first = INT32_MAX};
    if (plan == NULL) {
        return FATHOM_OK;
    }
    for (size_t e = 0; e < plan->n; e++) {
        struct reach reach = find_reach(plan, &plan->edits[e], n_prompt);
        if (reach.first <= reach.last && reach.first < out->first) {
            out->first = (int32_t)reach.first;
        }
    }
    for (size_t c = 0; c < plan->n_conditions; c++) {
        out->looks_back = out->looks_back || looks_back(&plan->conditions[c]);
    }
    int status = name_edits(out->prompt, plan, n_prompt, 0, (int64_t)n_prompt - 1);
    if (status == FATHOM_OK) {
        status = name_edits(out->answer, plan, n_prompt, n_prompt, INT32_MAX);
    }
    return status == FATHOM_OK ? name_edits(out->whole, plan, n_prompt, 1, 0) : status;
}
