/* Where each hook point of a model lies in the engine's graph, and how its rows lie in the node's tensor. */
#ifndef FATHOM_ENGINE_POINTS_H
#define FATHOM_ENGINE_POINTS_H

#include "engine/graph.h"
#include "engine/model_internal.h"
#include <fathom/hook.h>

/* How a row is found in a tensor. */
enum fathom__layout {
    FATHOM__LAYOUT_ROWS,     /* [width, rows], possibly the first columns of a wider node */
    FATHOM__LAYOUT_HEADS,    /* [width per head, heads, rows] */
    FATHOM__LAYOUT_ATTENTION /* [keys, rows, heads] */
};

struct fathom__point {
    bool found;
    char name[GGML_MAX_NAME]; /* of the node whose values these are */
    uint32_t occurrence;
    uint32_t ordinal; /* of the node in the graph: how far a run goes that needs it */
    enum ggml_op op;
    char weight[GGML_MAX_NAME]; /* the leaf that the node multiplies or adds, "" for none: checked in every run */
    enum fathom__layout layout;
    uint32_t heads, width;       /* width per head; 0: the number of keys */
    bool selected;               /* the engine computes it for rows whose logits are wanted only */
    bool neighbours;             /* a head's channels i and i + width / 2 lie side by side: put apart in rows */
    char softmax[GGML_MAX_NAME]; /* attn_scores: the node that scales and masks what the point's node holds */
};

struct fathom__points {
    uint32_t n_layers;
    struct fathom__point *points; /* [FATHOM_HOOK_COUNT, max(n_layers, 1)] */
};

/* Finds every point of the model in a recorded graph. */
int fathom__points_find(struct fathom__points *out, const struct fathom__graph *graph, const fathom_model *model);
void fathom__points_free(struct fathom__points *points);
const struct fathom__point *fathom__points_at(const struct fathom__points *points, struct fathom_hook hook);

/* Why a model has not a point, as the end of a sentence; NULL when it has it (on architectures that are not known by
 * name: may have). */
const char *fathom__hook_missing(const fathom_model *model, struct fathom_hook hook);

#endif
