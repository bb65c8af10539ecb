#include "base/error.h"
#include "base/memory.h"
#include "detect/pool.h"
#include "detect/probe_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void fathom_probe_close(fathom_probe *probe) {
    if (probe == NULL) {
        return;
    }
    void *parts[] = {probe->path,           probe->hook,
                     probe->model_identity, probe->model_name,
                     probe->mean,           probe->deviation,
                     probe->weights,        probe->shuffled,
                     probe->bag_tokens,     probe->bag_weights,
                     probe->wholes,         probe->pair_offsets,
                     probe->pairs,          probe};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fathom_free(parts[i]);
    }
}

const struct fathom_probe_info *fathom_probe_describe(const fathom_probe *probe) {
    return &probe->info;
}

void fathom__probe_describe_strings(fathom_probe *probe) {
    probe->info.path = probe->path ? probe->path : "";
    probe->info.hook = probe->hook;
    probe->info.model_identity = probe->model_identity;
    probe->info.model_name = probe->model_name;
}

int fathom_probe_match(struct fathom_hook *hook, const fathom_probe *probe, const fathom_model *model) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    const char *name = *probe->info.path != '\0' ? probe->info.path : "the probe";
    struct fathom_hook point;
    if (strcmp(probe->model_identity, info->identity) != 0 &&
        strcmp(probe->model_identity, info->source_identity) != 0) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: made on %s (%s), not on %s (%s)", name, probe->model_name,
                            probe->model_identity, info->name, info->source_identity);
    }
    int status = fathom_hook_parse(&point, model, probe->hook);
    if (status != FATHOM_OK) {
        return fathom__wrap(status, "%s", name);
    }
    if (fathom__hook_width(model, point) != probe->info.d_in) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: has %u weights, but rows at %s are %zu wide", name,
                            probe->info.d_in, probe->hook, fathom__hook_width(model, point));
    }
    if (hook != NULL) {
        *hook = point;
    }
    return FATHOM_OK;
}

double fathom_probe_row_score(const fathom_probe *probe, const float *row) {
    double sum = probe->bias;
    for (uint32_t i = 0; i < probe->info.d_in; i++) {
        sum += (double)probe->weights[i] * (row[i] - probe->mean[i]) / probe->deviation[i];
    }
    return sum;
}

void fathom__probe_standardise(const fathom_probe *probe, float *rows, size_t n_rows) {
    size_t width = probe->info.d_in;
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < width; i++) {
            rows[r * width + i] = (rows[r * width + i] - probe->mean[i]) / probe->deviation[i];
        }
    }
}

int fathom_probe_score(double *out, const fathom_probe *probe, const fathom_model *model,
                       const struct fathom_texts *texts) {
    struct fathom_hook hook;
    float *rows = NULL;
    bool *read = NULL;
    int status = fathom_probe_match(&hook, probe, model);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows, texts->n * probe->info.d_in, sizeof *rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&read, texts->n, sizeof *read);
    }
    if (status == FATHOM_OK) {
        status = fathom__pool_texts(&rows, read, model, texts, &hook, 1, &probe->info.max_norm, probe->info.pool);
    }
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        out[t] = read[t] ? fathom_probe_row_score(probe, rows + t * probe->info.d_in) : NAN;
    }
    fathom_free(read);
    fathom_free(rows);
    return status;
}

static int by_token(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

double fathom__probe_bag_score(const fathom_probe *probe, const int32_t *tokens, size_t n) {
    double sum = probe->bag_bias;
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            seen = tokens[j] == tokens[i];
        }
        const int32_t *found = NULL;
        if (!seen) {
            found = bsearch(&tokens[i], probe->bag_tokens, probe->n_bag, sizeof *tokens, by_token);
        }
        if (found != NULL) {
            sum += probe->bag_weights[found - probe->bag_tokens];
        }
    }
    return sum;
}

int fathom__texts_select(struct fathom_texts *out, const struct fathom_texts *texts, const bool *keep) {
    int status = FATHOM_OK;
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        if (keep == NULL || keep[t]) {
            status = fathom_texts_append(out, texts->texts[t], strlen(texts->texts[t]),
                                         (enum fathom_text_label)texts->labels[t]);
        }
    }
    return status;
}
