/* A copy of an engine graph's structure, taken node by node as the engine walks it: what hook points are found in. */
#ifndef FATHOM_ENGINE_GRAPH_H
#define FATHOM_ENGINE_GRAPH_H

#include <ggml.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FATHOM__GRAPH_SOURCES = 2 };

struct fathom__graph_node {
    char name[GGML_MAX_NAME];
    uint32_t occurrence; /* nodes of the same name before this one */
    enum ggml_op op;
    enum ggml_type type;
    int64_t shape[GGML_MAX_DIMS];
    int32_t sources[FATHOM__GRAPH_SOURCES];            /* indices of nodes; negative: a leaf or none */
    char leaves[FATHOM__GRAPH_SOURCES][GGML_MAX_NAME]; /* names of sources that are leaves, such as weights; else "" */
    bool selected;                                     /* computed for the rows whose logits are wanted only */
};

struct fathom__graph {
    struct fathom__graph_node *nodes;
    const struct ggml_tensor **tensors; /* only while the graph is being recorded */
    size_t n, nodes_capacity, tensors_capacity;
};

int fathom__graph_add(struct fathom__graph *graph, const struct ggml_tensor *tensor);
void fathom__graph_free(struct fathom__graph *graph);

/* Indices of nodes, negative when there is none. */
int32_t fathom__graph_first_named(const struct fathom__graph *graph, const char *name);
int32_t fathom__graph_last_named(const struct fathom__graph *graph, const char *name,
                                 enum ggml_op op); /* GGML_OP_COUNT: any */
/* The first node of `op` whose source `slot` is the leaf `leaf`. */
int32_t fathom__graph_with_leaf(const struct fathom__graph *graph, enum ggml_op op, size_t slot, const char *leaf);
/* Source `slot` of a node; negative indices give negative results. */
int32_t fathom__graph_source(const struct fathom__graph *graph, int32_t node, size_t slot);

/* A tensor's name without the decoration that the engine gives to a copy on another backend. */
void fathom__graph_leaf_name(char out[GGML_MAX_NAME], const struct ggml_tensor *tensor);

uint32_t fathom__graph_name_hash(const char *name);

#endif
