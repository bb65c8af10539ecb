/* The hyper-parameters of a model, checked before the engine reads them, because it aborts on some values. */
#include "base/error.h"
#include "base/gguf_file.h"
#include "engine/model_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 256
#define MOST_LAYERS 512 /* LLAMA_MAX_LAYERS */
#define MOST_WIDTH (1 << 20)
#define MOST_HEADS (1 << 16)
#define MOST_NAME 64

static const struct {
    const char *name;
    enum fathom__architecture architecture;
} known[] = {
    {"llama", FATHOM__ARCH_LLAMA},     {"qwen2", FATHOM__ARCH_QWEN2},   {"qwen3", FATHOM__ARCH_QWEN3},
    {"gemma2", FATHOM__ARCH_GEMMA2},   {"gemma3", FATHOM__ARCH_GEMMA3}, {"gpt2", FATHOM__ARCH_GPT2},
    {"gptneox", FATHOM__ARCH_GPTNEOX}, {"phi3", FATHOM__ARCH_PHI3},
};

/* Keys that turn a known architecture into something its hook table and its checks were not made for: with one of these
 * (not 0, not false) the file is treated like an unknown architecture. */
static const char *const variant_keys[] = {
    "expert_count",
    "expert_used_count",
    "expert_group_count",
    "expert_group_used_count",
    "expert_shared_feed_forward_length",
    "nextn_predict_layers",
    "pooling_type",
    "attention.shared_kv_layers",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "embedding_length_out",
    "dense_2_feat_out",
    "dense_3_feat_in",
    "attention.recurrent_layers",
    "attention.key_length_mla",
};

/* One file's keys under its architecture's prefix. The first error stays; later reads do nothing. */
struct reader {
    const fathom__gguf *file;
    const char *prefix;
    int status;
    char key[KEY_SIZE];
};

static const char *full_key(struct reader *reader, const char *name) {
    snprintf(reader->key, sizeof reader->key, "%s.%s", reader->prefix, name);
    return reader->key;
}

static void read_integer(uint32_t *out, struct reader *reader, const char *name, int64_t least, int64_t most,
                         bool required) {
    if (reader->status != FATHOM_OK) return;
    int64_t value = *out;
    reader->status = fathom__gguf_integer(&value, reader->file, full_key(reader, name), least, most, required);
    if (reader->status == FATHOM_OK) *out = (uint32_t)value;
}

static void read_number(float *out, struct reader *reader, const char *name, double least, bool required) {
    if (reader->status != FATHOM_OK) return;
    double value = *out;
    const char *key = full_key(reader, name);
    const bool present = fathom__gguf_has(reader->file, key);
    reader->status = fathom__gguf_number(&value, reader->file, key, required);
    if (reader->status != FATHOM_OK || !present) return;
    if (!isfinite(value) || value < least) {
        reader->status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is %g, expected a finite number of at least %g",
                                      fathom__gguf_path(reader->file), key, value, least);
        return;
    }
    *out = (float)value;
}

/* A number for all layers, or an array of one for each. *ragged tells that layers differ. */
static void read_per_layer(uint32_t *out, bool *ragged, struct reader *reader, const char *name, uint32_t n_layers,
                           int64_t most, bool required) {
    if (reader->status != FATHOM_OK) return;
    const char *key = full_key(reader, name);
    if (fathom__gguf_key_type(reader->file, key) != GGUF_TYPE_ARRAY) {
        read_integer(out, reader, name, 1, most, required);
        return;
    }
    struct fathom__gguf_array array = {0};
    reader->status = fathom__gguf_array(&array, reader->file, key, true);
    if (reader->status != FATHOM_OK) return;
    if (array.type != GGUF_TYPE_INT32 && array.type != GGUF_TYPE_UINT32) {
        reader->status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is an array of %s, expected i32 or u32",
                                      fathom__gguf_path(reader->file), key, gguf_type_name(array.type));
        return;
    }
    if (array.n != n_layers) {
        reader->status =
            fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s has %zu values, expected one for each of the %u layers",
                         fathom__gguf_path(reader->file), key, array.n, n_layers);
        return;
    }
    for (size_t i = 0; i < array.n; i++) {
        int64_t value = -1;
        fathom__gguf_array_integer(&value, &array, i);
        if (value < 0 || value > most) {
            reader->status =
                fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s: value %lld of layer %zu, expected 0 to %lld",
                             fathom__gguf_path(reader->file), key, (long long)value, i, (long long)most);
            return;
        }
        if (value == 0 || (i > 0 && value != *out)) *ragged = true;
        *out = (uint32_t)value;
    }
}

static bool is_variant(struct reader *reader) {
    for (size_t i = 0; i < sizeof variant_keys / sizeof variant_keys[0]; i++) {
        const char *key = full_key(reader, variant_keys[i]);
        if (!fathom__gguf_has(reader->file, key)) continue;
        int64_t value = 1;
        if (fathom__gguf_integer(&value, reader->file, key, 0, INT32_MAX, true) != FATHOM_OK || value != 0) return true;
    }
    bool causal = true;
    return fathom__gguf_bool(&causal, reader->file, full_key(reader, "attention.causal"), false) != FATHOM_OK ||
           !causal;
}

static void check_rope(struct fathom__model_shape *shape, struct reader *reader) {
    static const char *const types[] = {"none", "linear", "yarn", "longrope"};
    const char *type = "linear";
    float number = 1;
    read_integer(&shape->n_rotated, reader, "rope.dimension_count", 1, MOST_WIDTH, false);
    read_number(&number, reader, "rope.freq_base", 1, false);
    number = 1;
    read_number(&number, reader, "rope.freq_base_swa", 1, false);
    read_number(&number, reader, "rope.scaling.factor", 0, false);
    read_number(&number, reader, "rope.scale_linear", 0, false);
    read_number(&number, reader, "rope.scaling.attn_factor", 0, false);
    if (reader->status != FATHOM_OK) return;
    const char *key = full_key(reader, "rope.scaling.type");
    reader->status = fathom__gguf_string(&type, reader->file, key, false);
    for (size_t i = 0; reader->status == FATHOM_OK && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i]) == 0) return;
    }
    if (reader->status == FATHOM_OK) {
        reader->status =
            fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is \"%.32s\", expected none, linear, yarn or longrope",
                         fathom__gguf_path(reader->file), key, type);
    }
}

/* The sliding window of the Gemmas: which layers have it is a number (every n-th layer has none) or an array. */
static void check_window(struct fathom__model_shape *shape, struct reader *reader) {
    const bool always = shape->architecture == FATHOM__ARCH_GEMMA2;
    if (always) shape->sliding_window = 4096;
    read_integer(&shape->sliding_window, reader, "attention.sliding_window", always ? 1 : 0, INT32_MAX, false);
    if (reader->status != FATHOM_OK) return;
    const char *key = full_key(reader, "attention.sliding_window_pattern");
    if (fathom__gguf_key_type(reader->file, key) != GGUF_TYPE_ARRAY) {
        uint32_t pattern = 0;
        read_integer(&pattern, reader, "attention.sliding_window_pattern", 0, MOST_LAYERS, false);
        return;
    }
    struct fathom__gguf_array array = {0};
    reader->status = fathom__gguf_array(&array, reader->file, key, true);
    if (reader->status != FATHOM_OK) return;
    if ((array.type != GGUF_TYPE_BOOL && array.type != GGUF_TYPE_INT32 && array.type != GGUF_TYPE_UINT32) ||
        array.n != shape->n_layers) {
        reader->status = fathom__fail(
            FATHOM_ERROR_FORMAT, "%s: key %s has %zu values of type %s, expected a bool for each of the %u layers",
            fathom__gguf_path(reader->file), key, array.n, gguf_type_name(array.type), shape->n_layers);
    }
}

static bool has_layer_norm(enum fathom__architecture architecture) {
    return architecture == FATHOM__ARCH_GPT2 || architecture == FATHOM__ARCH_GPTNEOX;
}

/* Architectures whose attention is as wide as the residual stream: the engine builds their tensors by d_model alone. */
static bool attention_is_d_model(enum fathom__architecture architecture) {
    return has_layer_norm(architecture) || architecture == FATHOM__ARCH_QWEN2 || architecture == FATHOM__ARCH_PHI3;
}

/* Relations between the numbers that the engine asserts. */
static int check_relations(const struct fathom__model_shape *shape, const fathom__gguf *file) {
    const char *path = fathom__gguf_path(file), *arch = shape->architecture_name;
    if (shape->n_heads % shape->n_heads_kv != 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: key %s.attention.head_count_kv is %u, expected a divisor of the %u heads", path, arch,
                            shape->n_heads_kv, shape->n_heads);
    }
    if (shape->d_head_k != shape->d_head_v) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s.attention.value_length is %u, expected the key length %u",
                            path, arch, shape->d_head_v, shape->d_head_k);
    }
    if (attention_is_d_model(shape->architecture) && (uint64_t)shape->n_heads * shape->d_head_k != shape->d_model) {
        return fathom__fail(
            FATHOM_ERROR_FORMAT,
            "%s: key %s.attention.key_length is %u, expected %u heads to make an embedding_length of %u", path, arch,
            shape->d_head_k, shape->n_heads, shape->d_model);
    }
    const bool whole = shape->architecture == FATHOM__ARCH_LLAMA || shape->architecture == FATHOM__ARCH_QWEN2 ||
                       shape->architecture == FATHOM__ARCH_QWEN3;
    if (shape->n_rotated > shape->d_head_k || shape->n_rotated % 2 != 0 ||
        (whole && shape->n_rotated != shape->d_head_k)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s.rope.dimension_count is %u, expected %s %u", path, arch,
                            shape->n_rotated, whole ? "the head's width" : "an even number of at most",
                            shape->d_head_k);
    }
    return FATHOM_OK;
}

static int read_known(struct fathom__model_shape *shape, struct reader *reader) {
    bool ragged = false;
    const bool gpt2 = shape->architecture == FATHOM__ARCH_GPT2;
    read_integer(&shape->context_trained, reader, "context_length", 1, INT32_MAX, true);
    read_integer(&shape->d_model, reader, "embedding_length", 1, MOST_WIDTH, true);
    read_integer(&shape->n_layers, reader, "block_count", 1, MOST_LAYERS, true);
    read_per_layer(&shape->d_mlp, &ragged, reader, "feed_forward_length", shape->n_layers, MOST_WIDTH, true);
    read_per_layer(&shape->n_heads, &ragged, reader, "attention.head_count", shape->n_layers, MOST_HEADS, true);
    shape->n_heads_kv = shape->n_heads;
    read_per_layer(&shape->n_heads_kv, &ragged, reader, "attention.head_count_kv", shape->n_layers, MOST_HEADS, false);
    read_number(&shape->norm_epsilon, reader,
                has_layer_norm(shape->architecture) ? "attention.layer_norm_epsilon"
                                                    : "attention.layer_norm_rms_epsilon",
                0, true);
    if (reader->status != FATHOM_OK) return reader->status;
    if (ragged) {
        shape->architecture = FATHOM__ARCH_OTHER;
        return FATHOM_OK;
    }
    if (!fathom__gguf_has(reader->file, full_key(reader, "attention.key_length")) &&
        shape->d_model % shape->n_heads != 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: key %s.attention.head_count is %u, expected a divisor of embedding_length %u",
                            fathom__gguf_path(reader->file), reader->prefix, shape->n_heads, shape->d_model);
    }
    shape->d_head_k = shape->d_head_v = shape->d_model / shape->n_heads;
    read_integer(&shape->d_head_k, reader, "attention.key_length", 1, MOST_WIDTH, false);
    read_integer(&shape->d_head_v, reader, "attention.value_length", 1, MOST_WIDTH, false);
    shape->n_rotated = gpt2 ? 0 : shape->d_head_k;
    if (!gpt2) check_rope(shape, reader);
    uint32_t window_head = shape->d_head_k, window_value = shape->d_head_v, window_rotated = shape->n_rotated;
    read_integer(&window_head, reader, "attention.key_length_swa", 0, MOST_WIDTH, false);
    read_integer(&window_value, reader, "attention.value_length_swa", 0, MOST_WIDTH, false);
    read_integer(&window_rotated, reader, "rope.dimension_count_swa", 0, MOST_WIDTH, false);
    if (shape->architecture == FATHOM__ARCH_GEMMA2 || shape->architecture == FATHOM__ARCH_GEMMA3)
        check_window(shape, reader);
    if (shape->architecture == FATHOM__ARCH_GEMMA2) {
        shape->attention_softcap = 50; /* the engine's defaults for files without the keys */
        shape->logit_softcap = 30;
        read_number(&shape->attention_softcap, reader, "attn_logit_softcapping", 1e-3, false);
        read_number(&shape->logit_softcap, reader, "final_logit_softcapping", 0, false);
    }
    if (shape->architecture == FATHOM__ARCH_GEMMA3)
        read_number(&shape->logit_softcap, reader, "final_logit_softcapping", 0, false);
    if (shape->architecture == FATHOM__ARCH_GPTNEOX && reader->status == FATHOM_OK) {
        reader->status =
            fathom__gguf_bool(&shape->parallel_residual, reader->file, full_key(reader, "use_parallel_residual"), true);
    }
    if (reader->status != FATHOM_OK) return reader->status;
    if (window_head != shape->d_head_k || window_value != shape->d_head_v || window_rotated != shape->n_rotated) {
        shape->architecture = FATHOM__ARCH_OTHER;
        return FATHOM_OK;
    }
    return check_relations(shape, reader->file);
}

/* What an unknown architecture says about itself: only for the description, so nothing is required. */
static void read_other(struct fathom__model_shape *shape, struct reader *reader) {
    static const char *const epsilons[] = {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"};
    bool ragged = false;
    struct {
        uint32_t *out;
        const char *name;
    } wanted[] = {
        {&shape->n_layers, "block_count"},          {&shape->context_trained, "context_length"},
        {&shape->d_model, "embedding_length"},      {&shape->d_mlp, "feed_forward_length"},
        {&shape->n_heads, "attention.head_count"},  {&shape->n_heads_kv, "attention.head_count_kv"},
        {&shape->d_head_k, "attention.key_length"}, {&shape->d_head_v, "attention.value_length"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        reader->status = FATHOM_OK;
        read_per_layer(wanted[i].out, &ragged, reader, wanted[i].name, shape->n_layers, INT32_MAX, false);
    }
    for (size_t i = 0; i < 2; i++) {
        reader->status = FATHOM_OK;
        read_number(&shape->norm_epsilon, reader, epsilons[i], 0, false);
    }
    reader->status = FATHOM_OK;
    read_number(&shape->logit_softcap, reader, "final_logit_softcapping", 0, false);
    if (shape->n_heads_kv == 0) shape->n_heads_kv = shape->n_heads;
    if (shape->d_head_k == 0 && shape->n_heads > 0) shape->d_head_k = shape->d_model / shape->n_heads;
    if (shape->d_head_v == 0) shape->d_head_v = shape->d_head_k;
}

int fathom__model_read_shape(struct fathom__model_shape *out, const struct fathom__model_files *files) {
    struct fathom__model_shape shape = {0};
    struct reader reader = {.file = files->files[0], .status = FATHOM_OK};
    int status = fathom__gguf_string(&shape.architecture_name, reader.file, "general.architecture", true);
    if (status != FATHOM_OK) return status;
    const size_t length = strlen(shape.architecture_name);
    if (length == 0 || length > MOST_NAME) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key general.architecture has %zu characters, expected 1 to %d",
                            fathom__gguf_path(reader.file), length, MOST_NAME);
    }
    reader.prefix = shape.architecture_name;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(shape.architecture_name, known[i].name) == 0) shape.architecture = known[i].architecture;
    }
    if (shape.architecture != FATHOM__ARCH_OTHER && is_variant(&reader)) shape.architecture = FATHOM__ARCH_OTHER;
    if (shape.architecture != FATHOM__ARCH_OTHER) status = read_known(&shape, &reader);
    if (status == FATHOM_OK && shape.architecture == FATHOM__ARCH_OTHER) read_other(&shape, &reader);
    struct fathom__gguf_array tokens = {0};
    if (status == FATHOM_OK)
        status =
            fathom__gguf_array(&tokens, reader.file, "tokenizer.ggml.tokens", shape.architecture != FATHOM__ARCH_OTHER);
    if (status != FATHOM_OK) return status;
    if (tokens.n > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key tokenizer.ggml.tokens has %zu values, expected at most %d",
                            fathom__gguf_path(reader.file), tokens.n, INT32_MAX);
    shape.n_vocab = (uint32_t)tokens.n;
    *out = shape;
    return FATHOM_OK;
}
