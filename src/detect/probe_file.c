#include "base/error.h"
#include "base/gguf_file.h"
#include "base/memory.h"
#include "detect/probe_internal.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_VERSION = 1, WIDEST = 1 << 20, MOST_SHUFFLED = 1000 };

#define KEY(name) "fathom.probe." name

static const char architecture[] = "fathom-probe";

static int put_tensors(fathom__gguf_writer *writer, const fathom_probe *probe) {
    const struct fathom_probe_info *info = &probe->info;
    const struct {
        const char *name;
        enum ggml_type type;
        size_t columns, rows;
        const void *data;
    } tensors[] = {
        {"mean", GGML_TYPE_F32, info->d_in, 1, probe->mean},
        {"deviation", GGML_TYPE_F32, info->d_in, 1, probe->deviation},
        {"weights", GGML_TYPE_F32, info->d_in, 1, probe->weights},
        {"shuffled", GGML_TYPE_F32, info->d_in, info->n_shuffled, probe->shuffled},
        {"bag.tokens", GGML_TYPE_I32, probe->n_bag, 1, probe->bag_tokens},
        {"bag.weights", GGML_TYPE_F32, probe->n_bag, 1, probe->bag_weights},
        {"texts.whole", GGML_TYPE_I64, probe->n_texts, 1, probe->wholes},
        {"texts.offsets", GGML_TYPE_I64, probe->n_texts + 1, 1, probe->pair_offsets},
        {"texts.pairs", GGML_TYPE_I32, (size_t)probe->pair_offsets[probe->n_texts], 1, probe->pairs},
    };
    int status = FATHOM_OK;
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0] && status == FATHOM_OK; i++) {
        int64_t shape[2] = {(int64_t)tensors[i].columns, (int64_t)tensors[i].rows};
        if (tensors[i].columns > 0) { /* GGUF has no empty tensors: one that is missing is empty */
            status = fathom__gguf_put_tensor(writer, tensors[i].name, tensors[i].type, shape,
                                             tensors[i].rows > 1 ? 2 : 1, tensors[i].data);
        }
    }
    return status;
}

static int put_keys(fathom__gguf_writer *writer, const fathom_probe *probe) {
    const struct fathom_probe_info *info = &probe->info;
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, info->seed);
    const struct {
        const char *key, *value;
    } strings[] = {
        {"general.architecture", architecture},
        {"general.name", info->hook},
        {KEY("hook"), info->hook},
        {KEY("model_identity"), info->model_identity},
        {KEY("model_name"), info->model_name},
        {KEY("pool"), info->pool == FATHOM_POOL_MEAN ? "mean" : "last"},
        {KEY("seed"), seed}, /* as text: the writer's integers have 32 bits */
    };
    const struct {
        const char *key;
        uint32_t value;
    } integers[] = {
        {KEY("version"), FILE_VERSION},
        {KEY("d_in"), info->d_in},
        {KEY("n_positive"), info->n_positive},
        {KEY("n_negative"), info->n_negative},
        {KEY("n_duplicates"), info->n_duplicates},
        {KEY("n_shuffled"), info->n_shuffled},
    };
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {KEY("bias"), probe->bias},
        {KEY("bag_bias"), probe->bag_bias},
        {KEY("max_norm"), info->max_norm},
        {KEY("threshold"), info->threshold},
        {KEY("regularisation"), info->regularisation},
        {KEY("cross_validated_auroc"), info->cross_validated_auroc},
    };
    int status = FATHOM_OK;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0] && status == FATHOM_OK; i++) {
        status = fathom__gguf_put_string(writer, strings[i].key, strings[i].value);
    }
    for (size_t i = 0; i < sizeof integers / sizeof integers[0] && status == FATHOM_OK; i++) {
        status = fathom__gguf_put_integer(writer, integers[i].key, integers[i].value);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == FATHOM_OK; i++) {
        status = fathom__gguf_put_number(writer, numbers[i].key, (float)numbers[i].value);
    }
    return status;
}

int fathom_probe_write(const fathom_probe *probe, const char *path) {
    fathom__gguf_writer *writer = NULL;
    int status = fathom__gguf_writer_open(&writer);
    if (status == FATHOM_OK) {
        status = put_keys(writer, probe);
    }
    if (status == FATHOM_OK) {
        status = put_tensors(writer, probe);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_writer_commit(writer, path);
    }
    fathom__gguf_writer_close(writer);
    return status;
}

/* New copy of a tensor that must have this type and shape. columns SIZE_MAX: any, and *found gets it; an absent tensor
 * is then empty. */
static int take(void *out, size_t *found, const fathom__gguf *file, const char *name, enum ggml_type type,
                size_t columns, size_t rows) {
    const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_find(file, name);
    const char *path = fathom__gguf_path(file);
    void *copy = NULL;
    if (tensor == NULL && columns == SIZE_MAX) {
        *found = 0;
        return fathom__alloc(out, 0, 1);
    }
    if (tensor == NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor \"%s\" is missing", path, name);
    }
    if (tensor->type != type || (columns != SIZE_MAX && tensor->shape[0] != (int64_t)columns) ||
        tensor->shape[1] != (int64_t)rows || tensor->shape[2] != 1 || tensor->shape[3] != 1) {
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: tensor \"%s\" has not the type and shape that the probe's keys ask for", path, name);
    }
    int status = fathom__alloc(&copy, tensor->bytes, 1);
    if (status != FATHOM_OK) {
        return status;
    }
    memcpy(copy, tensor->data, tensor->bytes);
    memcpy(out, &copy, sizeof copy);
    if (found != NULL) {
        *found = (size_t)tensor->shape[0];
    }
    return FATHOM_OK;
}

static int check_finite(const fathom__gguf *file, const char *name, const float *values, size_t n, bool positive) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i]) || (positive && values[i] <= 0)) {
            return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: tensor \"%s\", value %zu: must be finite%s, is %g",
                                fathom__gguf_path(file), name, i, positive ? " and positive" : "", (double)values[i]);
        }
    }
    return FATHOM_OK;
}

static int read_tensors(fathom_probe *probe, const fathom__gguf *file) {
    size_t d = probe->info.d_in;
    size_t n_offsets = 0;
    size_t n_pairs = 0;
    int status = take(&probe->mean, NULL, file, "mean", GGML_TYPE_F32, d, 1);
    if (status == FATHOM_OK) {
        status = take(&probe->deviation, NULL, file, "deviation", GGML_TYPE_F32, d, 1);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->weights, NULL, file, "weights", GGML_TYPE_F32, d, 1);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->shuffled, NULL, file, "shuffled", GGML_TYPE_F32, d, probe->info.n_shuffled);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->bag_tokens, &probe->n_bag, file, "bag.tokens", GGML_TYPE_I32, SIZE_MAX, 1);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->bag_weights, NULL, file, "bag.weights", GGML_TYPE_F32, probe->n_bag, 1);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->wholes, &probe->n_texts, file, "texts.whole", GGML_TYPE_I64, SIZE_MAX, 1);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->pair_offsets, &n_offsets, file, "texts.offsets", GGML_TYPE_I64, probe->n_texts + 1, 1);
    }
    if (status == FATHOM_OK) {
        status = take(&probe->pairs, &n_pairs, file, "texts.pairs", GGML_TYPE_I32, SIZE_MAX, 1);
    }
    for (size_t t = 0; t < probe->n_texts && status == FATHOM_OK; t++) {
        if (probe->pair_offsets[t] < 0 || probe->pair_offsets[t] > probe->pair_offsets[t + 1]) {
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor \"texts.offsets\" is not ascending",
                                  fathom__gguf_path(file));
        }
    }
    if (status == FATHOM_OK &&
        (probe->pair_offsets[0] != 0 || probe->pair_offsets[probe->n_texts] != (int64_t)n_pairs)) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor \"texts.offsets\" does not span \"texts.pairs\"",
                              fathom__gguf_path(file));
    }
    return status;
}

static int check_tensors(const fathom_probe *probe, const fathom__gguf *file) {
    size_t d = probe->info.d_in;
    int status = check_finite(file, "mean", probe->mean, d, false);
    if (status == FATHOM_OK) {
        status = check_finite(file, "deviation", probe->deviation, d, true);
    }
    if (status == FATHOM_OK) {
        status = check_finite(file, "weights", probe->weights, d, false);
    }
    if (status == FATHOM_OK) {
        status = check_finite(file, "shuffled", probe->shuffled, d * probe->info.n_shuffled, false);
    }
    if (status == FATHOM_OK) {
        status = check_finite(file, "bag.weights", probe->bag_weights, probe->n_bag, false);
    }
    for (size_t i = 1; i < probe->n_bag && status == FATHOM_OK; i++) {
        if (probe->bag_tokens[i] <= probe->bag_tokens[i - 1]) {
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor \"bag.tokens\" is not ascending",
                                  fathom__gguf_path(file));
        }
    }
    return status;
}

static int read_strings(fathom_probe *probe, const fathom__gguf *file) {
    const char *hook = NULL;
    const char *identity = NULL;
    const char *name = NULL;
    const char *pool = NULL;
    const char *seed = NULL;
    char *end = NULL;
    int status = fathom__gguf_string(&hook, file, KEY("hook"), true);
    if (status == FATHOM_OK) {
        status = fathom__gguf_string(&identity, file, KEY("model_identity"), true);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_string(&name, file, KEY("model_name"), true);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_string(&pool, file, KEY("pool"), true);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_string(&seed, file, KEY("seed"), true);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    if (strcmp(pool, "mean") != 0 && strcmp(pool, "last") != 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: must be \"mean\" or \"last\"", fathom__gguf_path(file),
                            KEY("pool"));
    }
    errno = 0;
    probe->info.seed = strtoull(seed, &end, 10);
    if (end == seed || *end != '\0' || errno != 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: must be a number", fathom__gguf_path(file), KEY("seed"));
    }
    probe->info.pool = strcmp(pool, "last") == 0 ? FATHOM_POOL_LAST : FATHOM_POOL_MEAN;
    status = fathom__copy_string(&probe->hook, hook);
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&probe->model_identity, identity);
    }
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&probe->model_name, name);
    }
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&probe->path, fathom__gguf_path(file));
    }
    fathom__probe_describe_strings(probe);
    return status;
}

static int read_numbers(fathom_probe *probe, const fathom__gguf *file) {
    struct fathom_probe_info *info = &probe->info;
    double bias = 0;
    double bag_bias = 0;
    double max_norm = 0;
    const struct {
        const char *key;
        int64_t least, most;
        uint32_t *out;
    } integers[] = {
        {KEY("d_in"), 1, WIDEST, &info->d_in},
        {KEY("n_positive"), 0, UINT32_MAX, &info->n_positive},
        {KEY("n_negative"), 0, UINT32_MAX, &info->n_negative},
        {KEY("n_duplicates"), 0, UINT32_MAX, &info->n_duplicates},
        {KEY("n_shuffled"), 1, MOST_SHUFFLED, &info->n_shuffled},
    };
    const struct {
        const char *key;
        double *out;
    } numbers[] = {
        {KEY("bias"), &bias},
        {KEY("bag_bias"), &bag_bias},
        {KEY("max_norm"), &max_norm},
        {KEY("threshold"), &info->threshold},
        {KEY("regularisation"), &info->regularisation},
        {KEY("cross_validated_auroc"), &info->cross_validated_auroc},
    };
    int status = FATHOM_OK;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0] && status == FATHOM_OK; i++) {
        int64_t value = 0;
        status = fathom__gguf_integer(&value, file, integers[i].key, integers[i].least, integers[i].most, true);
        *integers[i].out = (uint32_t)value;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == FATHOM_OK; i++) {
        status = fathom__gguf_number(numbers[i].out, file, numbers[i].key, true);
        if (status == FATHOM_OK && !isfinite(*numbers[i].out)) {
            status =
                fathom__fail(FATHOM_ERROR_NUMERIC, "%s: %s: must be finite", fathom__gguf_path(file), numbers[i].key);
        }
    }
    probe->bias = (float)bias;
    probe->bag_bias = (float)bag_bias;
    info->max_norm = (float)max_norm;
    return status;
}

static int check_kind(const fathom__gguf *file) {
    const char *kind = NULL;
    int64_t version = 0;
    int status = fathom__gguf_string(&kind, file, "general.architecture", true);
    if (status == FATHOM_OK && strcmp(kind, architecture) != 0) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: is a \"%s\" file, not a probe", fathom__gguf_path(file), kind);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_integer(&version, file, KEY("version"), 1, UINT32_MAX, true);
    }
    if (status == FATHOM_OK && version > FILE_VERSION) {
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: probe version %" PRId64 " is newer than %d",
                              fathom__gguf_path(file), version, FILE_VERSION);
    }
    return status;
}

int fathom_probe_open(fathom_probe **out, const char *path) {
    fathom__gguf *file = NULL;
    fathom_probe *probe = NULL;
    int status = fathom__gguf_open(&file, path);
    if (status == FATHOM_OK) {
        status = check_kind(file);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probe, 1, sizeof *probe);
    }
    if (status == FATHOM_OK) {
        status = read_strings(probe, file);
    }
    if (status == FATHOM_OK) {
        status = read_numbers(probe, file);
    }
    if (status == FATHOM_OK) {
        status = read_tensors(probe, file);
    }
    if (status == FATHOM_OK) {
        status = check_tensors(probe, file);
    }
    if (file != NULL) {
        fathom__gguf_close(file);
    }
    if (status != FATHOM_OK) {
        fathom_probe_close(probe);
        return status;
    }
    *out = probe;
    return FATHOM_OK;
}
