/* What a sequence has been so far: its tokens, and what an edit can wait for in them.
 *
 * Rows reach every hook point of a decode, and positions come again when a sequence is cut back or started anew. So
 * everything here follows from the tokens up to a position alone: telling of a row twice changes nothing, and telling
 * of another token at a known position forgets what came after. */
#ifndef FATHOM_STEER_TRAIL_H
#define FATHOM_STEER_TRAIL_H

#include "base/buffer.h"
#include <fathom/model.h>

#define FATHOM__NEVER INT32_MAX

struct fathom__trigger {
    const char *text; /* borrowed; or NULL: the token */
    int32_t token;
};

struct fathom__trail {
    int32_t *tokens;
    size_t *ends;      /* bytes of text after each token */
    int32_t *sections; /* at each token: first position s of the thinking it is in, or -1 - s outside of any */
    size_t n, token_capacity, end_capacity, section_capacity;
    struct fathom__buffer text;
    int32_t *since; /* [triggers]: first position that has it; FATHOM__NEVER */
    size_t n_triggers;
};

int fathom__trail_open(struct fathom__trail *out, size_t n_triggers);
void fathom__trail_free(struct fathom__trail *trail);

/* A row. A position beyond the ones known leaves the rest unknown: it starts over there with nothing behind it. */
int fathom__trail_row(struct fathom__trail *trail, const fathom_model *model, const struct fathom__trigger *triggers,
                      int32_t position, int32_t token);

/* Whether a position that was told of is in thinking, and where that or what is outside began. */
bool fathom__trail_thinking(int32_t *began, const struct fathom__trail *trail, int32_t position);

#endif
