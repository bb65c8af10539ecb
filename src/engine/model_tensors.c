/* Every tensor that a known architecture asks for, with its type and shape, checked before the engine asks. */
#include "base/error.h"
#include "engine/model_parts.h"
#include <stdio.h>
#include <string.h>

#define NAME_SIZE 96

/* Sizes that shapes are made of. */
enum size {
    NONE,
    D_MODEL,
    D_MLP,
    TWO_D_MLP,
    WIDTH_Q,
    WIDTH_K,
    WIDTH_V,
    WIDTH_QKV,
    N_VOCAB,
    CONTEXT,
    D_HEAD,
    HALF_ROTATED
};

#define BIT(architecture_) (1u << FATHOM__ARCH_##architecture_)
#define PLAIN (BIT(GPT2) | BIT(GPTNEOX)) /* layer norms with biases, a fused projection, no gate */
#define GEMMAS (BIT(GEMMA2) | BIT(GEMMA3))
#define GATED (BIT(LLAMA) | BIT(QWEN2) | BIT(QWEN3) | GEMMAS)
#define SPLIT_QKV (GATED | BIT(PHI3)) /* q, k and v apart; one fused matrix is taken as well */
#define EVERY (PLAIN | GATED | BIT(PHI3))

enum { REQUIRED, OPTIONAL, UNLESS_FUSED };

struct rule {
    const char *name; /* in a layer after "blk.N." */
    unsigned architectures;
    unsigned char need;
    unsigned char columns, rows; /* rows NONE: a vector */
};

static const struct rule model_rules[] = {
    {"token_embd.weight", EVERY, REQUIRED, D_MODEL, N_VOCAB},
    {"position_embd.weight", BIT(GPT2), REQUIRED, D_MODEL, CONTEXT},
    {"output_norm.weight", EVERY, REQUIRED, D_MODEL, NONE},
    {"output_norm.bias", PLAIN, REQUIRED, D_MODEL, NONE},
    {"output.weight", BIT(GPTNEOX), REQUIRED, D_MODEL, N_VOCAB},
    {"output.weight", EVERY & ~(BIT(GPTNEOX) | BIT(GEMMA2)), OPTIONAL, D_MODEL, N_VOCAB},
    {"output.bias", BIT(QWEN2), OPTIONAL, N_VOCAB, NONE},
    {"rope_freqs.weight", BIT(LLAMA), OPTIONAL, HALF_ROTATED, NONE},
    {"rope_factors_long.weight", BIT(LLAMA) | BIT(PHI3), OPTIONAL, HALF_ROTATED, NONE},
    {"rope_factors_short.weight", BIT(LLAMA) | BIT(PHI3), OPTIONAL, HALF_ROTATED, NONE},
};

static const struct rule layer_rules[] = {
    {"attn_norm.weight", EVERY, REQUIRED, D_MODEL, NONE},
    {"attn_norm.bias", PLAIN, REQUIRED, D_MODEL, NONE},
    {"attn_qkv.weight", PLAIN, REQUIRED, D_MODEL, WIDTH_QKV},
    {"attn_qkv.bias", PLAIN, REQUIRED, WIDTH_QKV, NONE},
    {"attn_qkv.weight", SPLIT_QKV, OPTIONAL, D_MODEL, WIDTH_QKV},
    {"attn_qkv.bias", SPLIT_QKV, OPTIONAL, WIDTH_QKV, NONE},
    {"attn_q.weight", SPLIT_QKV, UNLESS_FUSED, D_MODEL, WIDTH_Q},
    {"attn_k.weight", SPLIT_QKV, UNLESS_FUSED, D_MODEL, WIDTH_K},
    {"attn_v.weight", SPLIT_QKV, UNLESS_FUSED, D_MODEL, WIDTH_V},
    {"attn_q.bias", SPLIT_QKV, OPTIONAL, WIDTH_Q, NONE},
    {"attn_k.bias", SPLIT_QKV, OPTIONAL, WIDTH_K, NONE},
    {"attn_v.bias", SPLIT_QKV, OPTIONAL, WIDTH_V, NONE},
    {"attn_q_norm.weight", BIT(QWEN3) | BIT(GEMMA3), REQUIRED, D_HEAD, NONE},
    {"attn_k_norm.weight", BIT(QWEN3) | BIT(GEMMA3), REQUIRED, D_HEAD, NONE},
    {"attn_output.weight", EVERY, REQUIRED, WIDTH_Q, D_MODEL},
    {"attn_output.bias", PLAIN, REQUIRED, D_MODEL, NONE},
    {"attn_output.bias", BIT(LLAMA), OPTIONAL, D_MODEL, NONE},
    {"post_attention_norm.weight", GEMMAS, REQUIRED, D_MODEL, NONE},
    {"ffn_norm.weight", EVERY, REQUIRED, D_MODEL, NONE},
    {"ffn_norm.bias", PLAIN, REQUIRED, D_MODEL, NONE},
    {"ffn_gate.weight", GATED, REQUIRED, D_MODEL, D_MLP},
    {"ffn_up.weight", GATED | PLAIN, REQUIRED, D_MODEL, D_MLP},
    {"ffn_up.weight", BIT(PHI3), REQUIRED, D_MODEL, TWO_D_MLP},
    {"ffn_down.weight", EVERY, REQUIRED, D_MLP, D_MODEL},
    {"ffn_up.bias", PLAIN, REQUIRED, D_MLP, NONE},
    {"ffn_down.bias", PLAIN, REQUIRED, D_MODEL, NONE},
    {"ffn_gate.bias", BIT(LLAMA), OPTIONAL, D_MLP, NONE},
    {"ffn_up.bias", BIT(LLAMA), OPTIONAL, D_MLP, NONE},
    {"ffn_down.bias", BIT(LLAMA), OPTIONAL, D_MODEL, NONE},
    {"post_ffw_norm.weight", GEMMAS, REQUIRED, D_MODEL, NONE},
};

static int64_t size_of(const struct fathom__model_shape *shape, unsigned size) {
    const int64_t q = (int64_t)shape->n_heads * shape->d_head_k;
    const int64_t k = (int64_t)shape->n_heads_kv * shape->d_head_k, v = (int64_t)shape->n_heads_kv * shape->d_head_v;
    switch ((enum size)size) {
    case NONE: return 1;
    case D_MODEL: return shape->d_model;
    case D_MLP: return shape->d_mlp;
    case TWO_D_MLP: return 2 * (int64_t)shape->d_mlp;
    case WIDTH_Q: return q;
    case WIDTH_K: return k;
    case WIDTH_V: return v;
    case WIDTH_QKV: return q + k + v;
    case N_VOCAB: return shape->n_vocab;
    case CONTEXT: return shape->context_trained;
    case D_HEAD: return shape->d_head_k;
    case HALF_ROTATED: return shape->n_rotated / 2;
    }
    return 0;
}

/* Types that the engine can look up rows of and multiply by. Q8_1 and Q8_K exist for products only. */
static bool is_matrix_type(enum ggml_type type) {
    if (type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16) return true;
    return ggml_is_quantized(type) && type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K &&
           ggml_get_type_traits(type)->to_float != NULL;
}

static int check_tensor(const struct fathom__gguf_tensor *tensor, const struct rule *rule,
                        const struct fathom__model_shape *shape, const char *path) {
    const int64_t columns = size_of(shape, rule->columns), rows = size_of(shape, rule->rows);
    if (tensor->shape[0] != columns || tensor->shape[1] != rows || tensor->shape[2] != 1 || tensor->shape[3] != 1) {
        return fathom__fail(
            FATHOM_ERROR_FORMAT, "%s: tensor %s has the shape %lld × %lld × %lld × %lld, expected %lld × %lld", path,
            tensor->name, (long long)tensor->shape[0], (long long)tensor->shape[1], (long long)tensor->shape[2],
            (long long)tensor->shape[3], (long long)columns, (long long)rows);
    }
    if (rule->rows != NONE && !is_matrix_type(tensor->type)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is of type %s, expected a floating or quantised type",
                            path, tensor->name, ggml_type_name(tensor->type));
    }
    if (rule->rows == NONE && tensor->type != GGML_TYPE_F32) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is of type %s, expected f32", path, tensor->name,
                            ggml_type_name(tensor->type));
    }
    /* Vectors are small, so that they are looked at on every opening; the rest once a file (model_identity.c). */
    if (rule->rows == NONE && !fathom__model_tensor_finite(tensor)) {
        return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: tensor %s holds NaN or infinite weights, expected finite ones",
                            path, tensor->name);
    }
    return FATHOM_OK;
}

/* What one pass over the rules needs and counts. */
struct check {
    const struct fathom__model_files *files;
    const struct fathom__model_shape *shape;
    size_t n_known;
};

static int check_rules(struct check *check, const struct rule *rules, size_t n, int layer) {
    const unsigned bit = 1u << check->shape->architecture;
    const char *path = check->files->paths[0];
    char name[NAME_SIZE];
    bool fused = false;
    for (size_t i = 0; i < n; i++) {
        if ((rules[i].architectures & bit) == 0) continue;
        if (layer < 0) {
            snprintf(name, sizeof name, "%s", rules[i].name);
        } else {
            snprintf(name, sizeof name, "blk.%d.%s", layer, rules[i].name);
        }
        const struct fathom__gguf_tensor *tensor = fathom__model_files_find(check->files, name);
        if (tensor == NULL) {
            if (rules[i].need == OPTIONAL || (rules[i].need == UNLESS_FUSED && fused)) continue;
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is missing, expected one of %lld × %lld", path,
                                name, (long long)size_of(check->shape, rules[i].columns),
                                (long long)size_of(check->shape, rules[i].rows));
        }
        const int status = check_tensor(tensor, &rules[i], check->shape, path);
        if (status != FATHOM_OK) return status;
        if (strcmp(rules[i].name, "attn_qkv.weight") == 0) fused = true;
        check->n_known++;
    }
    return FATHOM_OK;
}

/* Whether a rule knows a name; layer numbers were counted already, so that any "blk.N." will do. */
static bool is_known(const char *name, unsigned bit) {
    const struct rule *rules = model_rules;
    size_t n = sizeof model_rules / sizeof model_rules[0];
    if (strncmp(name, "blk.", strlen("blk.")) == 0) {
        const char *dot = strchr(name + strlen("blk."), '.');
        if (dot == NULL) return false;
        name = dot + 1;
        rules = layer_rules;
        n = sizeof layer_rules / sizeof layer_rules[0];
    }
    for (size_t i = 0; i < n; i++) {
        if ((rules[i].architectures & bit) != 0 && strcmp(rules[i].name, name) == 0) return true;
    }
    return false;
}

/* The engine loads no file with tensors left over. */
static int check_nothing_else(const struct check *check) {
    size_t n = 0;
    for (size_t f = 0; f < check->files->n; f++) {
        n += fathom__gguf_tensor_count(check->files->files[f]);
        for (size_t i = 0; i < fathom__gguf_tensor_count(check->files->files[f]); i++) {
            const char *name = fathom__gguf_tensor_at(check->files->files[f], i)->name;
            if (is_known(name, 1u << check->shape->architecture)) continue;
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is none that a %s model has",
                                check->files->paths[f], name, check->shape->architecture_name);
        }
    }
    if (n == check->n_known) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %zu tensors, expected the %zu that %u layers have",
                        check->files->paths[0], n, check->n_known, check->shape->n_layers);
}

int fathom__model_check_tensors(const struct fathom__model_files *files, const struct fathom__model_shape *shape) {
    struct check check = {files, shape, 0};
    int status = check_rules(&check, model_rules, sizeof model_rules / sizeof model_rules[0], -1);
    for (uint32_t layer = 0; status == FATHOM_OK && layer < shape->n_layers; layer++) {
        status = check_rules(&check, layer_rules, sizeof layer_rules / sizeof layer_rules[0], (int)layer);
    }
    return status == FATHOM_OK ? check_nothing_else(&check) : status;
}
