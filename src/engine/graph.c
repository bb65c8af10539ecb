#include "engine/graph.h"
#include "base/memory.h"
#include <fathom/model.h>
#include <string.h>

/* The name of the leaf that picks the rows whose logits are wanted. */
#define SELECTION "out_ids"

void fathom__graph_leaf_name(char out[GGML_MAX_NAME], const struct ggml_tensor *tensor) {
    const char *first = strchr(tensor->name, '#');
    const char *last = first ? strrchr(tensor->name, '#') : NULL;
    if (first && last > first) {
        size_t length = (size_t)(last - first) - 1;
        memcpy(out, first + 1, length);
        out[length] = '\0';
    } else {
        memcpy(out, tensor->name, GGML_MAX_NAME);
        out[GGML_MAX_NAME - 1] = '\0';
    }
}

/* The node that computed a tensor. What another backend computed reaches a node as a copy, a leaf named after it. */
static int32_t index_of(const struct fathom__graph *graph, const struct ggml_tensor *tensor) {
    for (size_t i = graph->n; i-- > 0;)
        if (graph->tensors[i] == tensor) return (int32_t)i;
    char original[GGML_MAX_NAME];
    fathom__graph_leaf_name(original, tensor);
    if (strcmp(original, tensor->name) == 0) return -1;
    for (size_t i = graph->n; i-- > 0;) {
        const struct fathom__graph_node *node = &graph->nodes[i];
        if (node->type == tensor->type && memcmp(node->shape, tensor->ne, sizeof node->shape) == 0 &&
            strcmp(node->name, original) == 0)
            return (int32_t)i;
    }
    return -1;
}

int fathom__graph_add(struct fathom__graph *graph, const struct ggml_tensor *tensor) {
    int status = fathom__grow(&graph->nodes, &graph->nodes_capacity, graph->n + 1, sizeof *graph->nodes);
    if (!status) status = fathom__grow(&graph->tensors, &graph->tensors_capacity, graph->n + 1, sizeof *graph->tensors);
    if (status) return status;

    struct fathom__graph_node node = {.op = tensor->op, .type = tensor->type};
    memcpy(node.name, tensor->name, sizeof node.name);
    memcpy(node.shape, tensor->ne, sizeof node.shape);
    for (size_t i = graph->n; i-- > 0;) {
        if (strcmp(graph->nodes[i].name, node.name) == 0) {
            node.occurrence = graph->nodes[i].occurrence + 1;
            break;
        }
    }
    for (size_t slot = 0; slot < FATHOM__GRAPH_SOURCES; slot++) {
        const struct ggml_tensor *source = tensor->src[slot];
        node.sources[slot] = source ? index_of(graph, source) : -1;
        if (node.sources[slot] >= 0) {
            node.selected = node.selected || graph->nodes[node.sources[slot]].selected;
        } else if (source) {
            fathom__graph_leaf_name(node.leaves[slot], source);
        }
    }
    if (node.op == GGML_OP_GET_ROWS && strcmp(node.leaves[1], SELECTION) == 0) node.selected = true;
    graph->nodes[graph->n] = node;
    graph->tensors[graph->n] = tensor;
    graph->n++;
    return FATHOM_OK;
}

void fathom__graph_free(struct fathom__graph *graph) {
    fathom_free(graph->nodes);
    fathom_free(graph->tensors);
    *graph = (struct fathom__graph){0};
}

int32_t fathom__graph_first_named(const struct fathom__graph *graph, const char *name) {
    for (size_t i = 0; i < graph->n; i++)
        if (strcmp(graph->nodes[i].name, name) == 0) return (int32_t)i;
    return -1;
}

int32_t fathom__graph_last_named(const struct fathom__graph *graph, const char *name, enum ggml_op op) {
    for (size_t i = graph->n; i-- > 0;)
        if ((op == GGML_OP_COUNT || graph->nodes[i].op == op) && strcmp(graph->nodes[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

int32_t fathom__graph_with_leaf(const struct fathom__graph *graph, enum ggml_op op, size_t slot, const char *leaf) {
    for (size_t i = 0; i < graph->n; i++)
        if (graph->nodes[i].op == op && strcmp(graph->nodes[i].leaves[slot], leaf) == 0) return (int32_t)i;
    return -1;
}

int32_t fathom__graph_source(const struct fathom__graph *graph, int32_t node, size_t slot) {
    return node < 0 ? -1 : graph->nodes[node].sources[slot];
}

uint32_t fathom__graph_name_hash(const char *name) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}
