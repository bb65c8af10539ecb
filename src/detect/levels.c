#include "detect/levels.h"
#include "base/memory.h"
#include "detect/read.h"
#include <math.h>
#include <string.h>

void fathom__group_free(struct fathom__watch_group *group) {
    fathom_free(group->watches);
    fathom_free(group->features);
    fathom_free(group->values);
    fathom_sparse_free(&group->sparse);
}

static void probe_levels(struct fathom__watch_group *group, const float *rows, const int32_t *positions,
                         size_t n_rows) {
    float max_norm = fathom_probe_describe(group->probe)->max_norm;
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * group->width;
        bool left_out = positions[r] == 0 || !(fathom__norm(row, group->width) <= max_norm);
        float level = left_out ? NAN : (float)fathom_probe_row_score(group->probe, row);
        for (size_t i = 0; i < group->n; i++) {
            group->values[r * group->n + i] = level;
        }
    }
}

/* A dictionary without thresholds decides which features are active by comparing all of them. */
static int whole_levels(struct fathom__watch_group *group, const float *rows, const int32_t *positions, size_t n_rows) {
    struct fathom_sparse *sparse = &group->sparse;
    int status = fathom_dictionary_encode(sparse, group->dictionary, rows, positions, n_rows, FATHOM_ENCODE_TRAIN);
    if (status != FATHOM_OK) {
        return status;
    }
    memset(group->values, 0, n_rows * group->n * sizeof *group->values);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t e = sparse->offsets[r]; e < sparse->offsets[r + 1]; e++) {
            for (size_t i = 0; i < group->n; i++) {
                if (sparse->features[e] == group->features[i]) {
                    group->values[r * group->n + i] = sparse->values[e];
                }
            }
        }
    }
    return FATHOM_OK;
}

int fathom__group_levels(struct fathom__watch_group *group, const float *rows, const int32_t *positions,
                         size_t n_rows) {
    int status = fathom__grow(&group->values, &group->value_capacity, n_rows * group->n, sizeof *group->values);
    if (status != FATHOM_OK) {
        return status;
    }
    if (group->probe != NULL) {
        probe_levels(group, rows, positions, n_rows);
        return FATHOM_OK;
    }
    if (!fathom_dictionary_describe(group->dictionary)->has_threshold) {
        return whole_levels(group, rows, positions, n_rows);
    }
    return fathom_dictionary_read(group->values, group->dictionary, group->features, group->n, rows, positions, n_rows);
}
