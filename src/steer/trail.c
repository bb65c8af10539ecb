#include "steer/trail.h"
#include "base/memory.h"
#include <string.h>

enum { TEXT_LIMIT = 1 << 28, UNKNOWN_TOKEN = -1 };
static const char opening[] = "<think>";
static const char closing[] = "</think>";

int fathom__trail_open(struct fathom__trail *out, size_t n_triggers) {
    *out = (struct fathom__trail){.text = FATHOM__BUFFER_INIT(TEXT_LIMIT), .n_triggers = n_triggers};
    int status = fathom__alloc(&out->since, n_triggers, sizeof *out->since);
    for (size_t i = 0; i < n_triggers && status == FATHOM_OK; i++) {
        out->since[i] = FATHOM__NEVER;
    }
    return status;
}

void fathom__trail_free(struct fathom__trail *trail) {
    fathom_free(trail->tokens);
    fathom_free(trail->ends);
    fathom_free(trail->sections);
    fathom__buffer_free(&trail->text);
    fathom_free(trail->since);
}

static void cut(struct fathom__trail *trail, size_t n) {
    trail->n = n;
    trail->text.length = n > 0 ? trail->ends[n - 1] : 0;
    if (trail->text.bytes != NULL) {
        trail->text.bytes[trail->text.length] = '\0';
    }
    for (size_t i = 0; i < trail->n_triggers; i++) {
        if (trail->since[i] != FATHOM__NEVER && (size_t)trail->since[i] >= n) {
            trail->since[i] = FATHOM__NEVER;
        }
    }
}

/* Whether the text's last n_new bytes complete `wanted`. */
static bool completes(const struct fathom__trail *trail, size_t n_new, const char *wanted) {
    size_t length = strlen(wanted);
    size_t from = trail->text.length - n_new;
    from = from >= length ? from - length + 1 : 0;
    return n_new > 0 && memmem(trail->text.bytes + from, trail->text.length - from, wanted, length) != NULL;
}

static int append(struct fathom__trail *trail, const fathom_model *model, const struct fathom__trigger *triggers,
                  int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    size_t place = trail->n;
    int status = fathom__grow(&trail->tokens, &trail->token_capacity, place + 1, sizeof *trail->tokens);
    if (status == FATHOM_OK) {
        status = fathom__grow(&trail->ends, &trail->end_capacity, place + 1, sizeof *trail->ends);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&trail->sections, &trail->section_capacity, place + 1, sizeof *trail->sections);
    }
    if (status == FATHOM_OK && token != UNKNOWN_TOKEN) {
        status = fathom_token_bytes(&bytes, &length, model, token);
    }
    if (status == FATHOM_OK && length > 0) {
        status = fathom__buffer_append(&trail->text, bytes, length);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    int32_t position = (int32_t)place;
    int32_t section = place > 0 ? trail->sections[place - 1] : -1;
    bool thinks = section >= 0;
    if (!thinks && completes(trail, length, opening)) {
        section = position;
    } else if (thinks && completes(trail, length, closing)) {
        section = -1 - position;
    }
    trail->tokens[place] = token;
    trail->ends[place] = trail->text.length;
    trail->sections[place] = section;
    trail->n++;
    for (size_t i = 0; i < trail->n_triggers; i++) {
        const struct fathom__trigger *trigger = &triggers[i];
        bool here = trigger->text != NULL ? completes(trail, length, trigger->text) : token == trigger->token;
        if (trail->since[i] == FATHOM__NEVER && here) {
            trail->since[i] = position;
        }
    }
    return FATHOM_OK;
}

int fathom__trail_row(struct fathom__trail *trail, const fathom_model *model, const struct fathom__trigger *triggers,
                      int32_t position, int32_t token) {
    int status = FATHOM_OK;
    if ((size_t)position < trail->n) {
        if (trail->tokens[position] == token) {
            return FATHOM_OK;
        }
        cut(trail, (size_t)position);
    } else if ((size_t)position > trail->n) {
        cut(trail, 0);
    }
    while (status == FATHOM_OK && trail->n < (size_t)position) {
        status = append(trail, model, triggers, UNKNOWN_TOKEN);
    }
    return status == FATHOM_OK ? append(trail, model, triggers, token) : status;
}

bool fathom__trail_thinking(int32_t *began, const struct fathom__trail *trail, int32_t position) {
    int32_t section = trail->sections[position];
    *began = section >= 0 ? section : -1 - section;
    return section >= 0;
}
