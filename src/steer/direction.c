#include "steer/direction.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/pool.h"
#include "detect/read.h"
#include "steer/plan.h"
#include <math.h>
#include <string.h>

void fathom_direction_free(struct fathom_direction *direction) {
    fathom_free(direction->vectors);
    fathom_free(direction->lengths);
    fathom_free(direction->median_norms);
    *direction = (struct fathom_direction)FATHOM_DIRECTION_INIT;
}

static int allocate(struct fathom_direction *direction) {
    size_t n_layers = fathom__direction_layers(direction);
    int status = fathom__alloc(&direction->vectors, n_layers * direction->width, sizeof(float));
    if (status == FATHOM_OK) {
        status = fathom__alloc(&direction->lengths, n_layers, sizeof(float));
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&direction->median_norms, n_layers, sizeof(float));
    }
    return status;
}

int fathom__direction_start(struct fathom_direction *out, const fathom_model *model, enum fathom_hook_kind kind,
                            int32_t first_layer, int32_t last_layer) {
    struct fathom_direction direction = {.kind = kind};
    char name[FATHOM_HOOK_NAME_SIZE];
    *out = direction;
    if (!fathom__hook_has_layers(kind)) {
        fathom_hook_name(name, (struct fathom_hook){kind, -1});
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: a direction needs a hook point that every layer has", name);
    }
    int status = fathom__layer_range(&first_layer, &last_layer, model);
    if (status != FATHOM_OK) {
        return status;
    }
    direction.first_layer = first_layer;
    direction.last_layer = last_layer;
    for (int32_t layer = first_layer; layer <= last_layer; layer++) {
        struct fathom_hook hook = {kind, layer};
        size_t width = fathom__hook_width(model, hook);
        if (width == 0 || (layer > first_layer && width != direction.width)) {
            fathom_hook_name(name, hook);
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: this model has no rows of a fixed width there", name);
        }
        direction.width = width;
    }
    *out = direction;
    return allocate(out);
}

int fathom__direction_hooks(struct fathom_hook **out, const struct fathom_direction *direction) {
    size_t n_layers = fathom__direction_layers(direction);
    int status = fathom__alloc(out, n_layers, sizeof **out);
    for (size_t l = 0; l < n_layers && status == FATHOM_OK; l++) {
        (*out)[l] = (struct fathom_hook){direction->kind, direction->first_layer + (int32_t)l};
    }
    return status;
}

int fathom__direction_normalise(struct fathom_direction *direction, const char *what) {
    for (size_t l = 0; l < fathom__direction_layers(direction); l++) {
        float *vector = direction->vectors + l * direction->width;
        double length = fathom__norm(vector, direction->width);
        if (!isfinite(length) || length <= 0) {
            return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: the direction for layer %d has the length %g", what,
                                direction->first_layer + (int32_t)l, length);
        }
        direction->lengths[l] = (float)length;
        for (size_t i = 0; i < direction->width; i++) {
            vector[i] = (float)(vector[i] / length);
        }
    }
    return FATHOM_OK;
}

/* One layer: the vector, unit, and how far apart the classes' means are along it. */
static int fit_layer(float *vector, float *length, enum fathom_direction_method method,
                     const struct fathom__class_rows *rows) {
    float *means = NULL;
    int status = fathom__alloc(&means, rows->width, sizeof *means);
    if (status == FATHOM_OK) {
        status = fathom__fit_means(means, rows);
    }
    if (status == FATHOM_OK && method == FATHOM_DIRECTION_COMPONENT) {
        status = fathom__fit_component(vector, rows, means);
    } else if (status == FATHOM_OK && method == FATHOM_DIRECTION_LOGISTIC) {
        status = fathom__fit_logistic(vector, rows);
    } else if (status == FATHOM_OK) {
        memcpy(vector, means, rows->width * sizeof *vector);
    }
    double along = 0;
    double own = status == FATHOM_OK ? fathom__norm(vector, rows->width) : 0;
    for (size_t i = 0; i < rows->width && status == FATHOM_OK; i++) {
        along += (double)vector[i] * (double)means[i];
    }
    *length = own > 0 ? (float)(along / own) : 0;
    fathom_free(means);
    return status;
}

int fathom__direction_fit(struct fathom_direction *direction, enum fathom_direction_method method, float *const *rows,
                          const bool *read, const int8_t *labels, size_t n) {
    size_t n_layers = fathom__direction_layers(direction);
    float *lengths = NULL;
    int status = fathom__alloc(&lengths, n_layers, sizeof *lengths);
    for (size_t l = 0; l < n_layers && status == FATHOM_OK; l++) {
        const struct fathom__class_rows layer = {rows[l], read + l, labels, n, direction->width, n_layers};
        float *vector = direction->vectors + l * direction->width;
        status = fit_layer(vector, &lengths[l], method, &layer);
        /* A component has no sign of its own: towards the positive texts. */
        for (size_t i = 0; i < direction->width && lengths[l] < 0; i++) {
            vector[i] = -vector[i];
        }
        lengths[l] = lengths[l] < 0 ? -lengths[l] : lengths[l];
    }
    if (status == FATHOM_OK) {
        status = fathom__direction_normalise(direction, "contrast");
    }
    if (status == FATHOM_OK && method != FATHOM_DIRECTION_MEANS) {
        memcpy(direction->lengths, lengths, n_layers * sizeof *lengths);
    }
    fathom_free(lengths);
    return status;
}

int fathom_direction_learn(struct fathom_direction *out, const fathom_model *model, const struct fathom_texts *texts,
                           enum fathom_direction_method method, enum fathom_pool pool, enum fathom_hook_kind kind,
                           int32_t first_layer, int32_t last_layer) {
    struct fathom_direction direction = FATHOM_DIRECTION_INIT;
    struct fathom_hook *hooks = NULL;
    float **rows = NULL;
    float *max_norms = NULL;
    bool *read = NULL;
    size_t n_layers = 0;
    int status = fathom__direction_start(&direction, model, kind, first_layer, last_layer);
    if (status == FATHOM_OK) {
        n_layers = fathom__direction_layers(&direction);
        status = fathom__direction_hooks(&hooks, &direction);
    }
    if (status == FATHOM_OK) {
        status = fathom__median_norms(direction.median_norms, model, texts, hooks, n_layers);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&max_norms, n_layers, sizeof *max_norms);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows, n_layers, sizeof *rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&read, n_layers * texts->n, sizeof *read);
    }
    for (size_t l = 0; l < n_layers && status == FATHOM_OK; l++) {
        max_norms[l] = FATHOM__OUTLIER_RATIO * direction.median_norms[l];
        status = fathom__alloc(&rows[l], texts->n * direction.width, sizeof *rows[l]);
    }
    if (status == FATHOM_OK) {
        status = fathom__pool_texts(rows, read, model, texts, hooks, n_layers, max_norms, pool);
    }
    if (status == FATHOM_OK) {
        status = fathom__direction_fit(&direction, method, rows, read, texts->labels, texts->n);
    }
    for (size_t l = 0; l < n_layers && rows != NULL; l++) {
        fathom_free(rows[l]);
    }
    fathom_free(rows);
    fathom_free(read);
    fathom_free(max_norms);
    fathom_free(hooks);
    if (status != FATHOM_OK) {
        fathom_direction_free(&direction);
        return status;
    }
    *out = direction;
    return FATHOM_OK;
}

int fathom_direction_contrast(struct fathom_direction *out, const fathom_model *model, const struct fathom_texts *texts,
                              enum fathom_hook_kind kind, int32_t first_layer, int32_t last_layer) {
    return fathom_direction_learn(out, model, texts, FATHOM_DIRECTION_MEANS, FATHOM_POOL_MEAN, kind, first_layer,
                                  last_layer);
}

int fathom_direction_random(struct fathom_direction *out, const struct fathom_direction *like, uint64_t seed) {
    struct fathom_direction direction = *like;
    size_t n_layers = fathom__direction_layers(like);
    struct fathom__random random;
    direction.vectors = direction.lengths = direction.median_norms = NULL;
    int status = allocate(&direction);
    if (status == FATHOM_OK) {
        memcpy(direction.median_norms, like->median_norms, n_layers * sizeof(float));
        fathom__random_seed(&random, seed);
        for (size_t i = 0; i < direction.width; i++) {
            direction.vectors[i] = (float)fathom__random_normal(&random);
        }
        /* One direction for all layers, as a contrast's vectors are much alike from layer to layer: independent ones
         * would cancel. */
        for (size_t l = 1; l < n_layers; l++) {
            memcpy(direction.vectors + l * direction.width, direction.vectors, direction.width * sizeof(float));
        }
        status = fathom__direction_normalise(&direction, "random direction");
    }
    if (status != FATHOM_OK) {
        fathom_direction_free(&direction);
        return status;
    }
    *out = direction;
    return FATHOM_OK;
}
