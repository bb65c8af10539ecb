#include "tests/support/tiny_model.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "tests/support/tiny_vocabulary.h"
#include <fathom/model.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    N_LAYERS = 4,
    D_MODEL = 64,
    D_MLP = 128,
    N_HEADS = 4,
    CONTEXT = 512,
    WINDOW = 8,
    RANK = 2,
    NAME_SIZE = 64,
    KEY_SIZE = 96
};

struct sizes {
    bool gemma;
    int64_t heads_kv, d_head;
};

static struct sizes sizes_of(const char *architecture) {
    const bool gemma = strcmp(architecture, "gemma3") == 0;
    return (struct sizes){gemma, gemma ? 1 : 2, gemma ? 32 : D_MODEL / N_HEADS};
}

int fathom_test_tiny_tensor(float **data, struct fathom_test_tiny *tiny, const char *name, const int64_t *shape,
                            size_t n_dimensions, float mean, float deviation, uint64_t seed) {
    struct fathom__random random;
    float *values = NULL;
    size_t n = 1;
    for (size_t i = 0; i < n_dimensions; i++)
        n *= (size_t)shape[i];
    int status = fathom__grow(&tiny->storage, &tiny->capacity, tiny->n_storage + 1, sizeof *tiny->storage);
    if (status == FATHOM_OK) status = fathom__alloc_aligned(&values, n, sizeof *values);
    if (status != FATHOM_OK) return status;
    tiny->storage[tiny->n_storage++] = values;
    /* A stream of its own for each tensor, so that leaving one out changes no other. */
    for (const char *c = name; *c != '\0'; c++)
        seed = seed * 31 + (unsigned char)*c;
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        values[i] = mean + deviation * (float)fathom__random_normal(&random);
    if (data != NULL) *data = values;
    return fathom__gguf_put_tensor(tiny->writer, name, GGML_TYPE_F32, shape, n_dimensions, values);
}

static int matrix(struct fathom_test_tiny *tiny, const char *name, int64_t columns, int64_t rows, uint64_t seed) {
    if (tiny->without != NULL && strcmp(name, tiny->without) == 0) return FATHOM_OK;
    return fathom_test_tiny_tensor(NULL, tiny, name, (int64_t[]){columns, rows}, 2, 0, 1 / sqrtf((float)columns), seed);
}

static int norm(struct fathom_test_tiny *tiny, const char *name, int64_t width, uint64_t seed) {
    if (tiny->without != NULL && strcmp(name, tiny->without) == 0) return FATHOM_OK;
    return fathom_test_tiny_tensor(NULL, tiny, name, (int64_t[]){width}, 1, 1, 0.1f, seed);
}

static int fill_layer(struct fathom_test_tiny *tiny, const struct sizes *sizes, int layer, uint64_t seed) {
    const int64_t q = N_HEADS * sizes->d_head, kv = sizes->heads_kv * sizes->d_head;
    const struct {
        const char *name;
        int64_t columns, rows; /* rows 0: a norm */
        bool gemma_only;
    } tensors[] = {
        {"attn_norm", D_MODEL, 0, false},        {"attn_q", D_MODEL, q, false},
        {"attn_k", D_MODEL, kv, false},          {"attn_v", D_MODEL, kv, false},
        {"attn_output", q, D_MODEL, false},      {"attn_q_norm", sizes->d_head, 0, true},
        {"attn_k_norm", sizes->d_head, 0, true}, {"post_attention_norm", D_MODEL, 0, true},
        {"ffn_norm", D_MODEL, 0, false},         {"ffn_gate", D_MODEL, D_MLP, false},
        {"ffn_up", D_MODEL, D_MLP, false},       {"ffn_down", D_MLP, D_MODEL, false},
        {"post_ffw_norm", D_MODEL, 0, true},
    };
    int status = FATHOM_OK;
    for (size_t i = 0; status == FATHOM_OK && i < sizeof tensors / sizeof tensors[0]; i++) {
        char name[NAME_SIZE];
        if (tensors[i].gemma_only && !sizes->gemma) continue;
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, tensors[i].name);
        status = tensors[i].rows == 0 ? norm(tiny, name, tensors[i].columns, seed)
                                      : matrix(tiny, name, tensors[i].columns, tensors[i].rows, seed);
    }
    return status;
}

static int put_keys(struct fathom_test_tiny *tiny, const char *architecture, const struct sizes *sizes) {
    const struct {
        const char *name;
        uint32_t value;
    } integers[] = {
        {"context_length", CONTEXT},
        {"embedding_length", D_MODEL},
        {"block_count", N_LAYERS},
        {"feed_forward_length", D_MLP},
        {"attention.head_count", N_HEADS},
        {"attention.head_count_kv", (uint32_t)sizes->heads_kv},
        {"attention.key_length", (uint32_t)sizes->d_head},
        {"attention.value_length", (uint32_t)sizes->d_head},
        {"attention.sliding_window", WINDOW},
    };
    static const bool windowed[N_LAYERS] = {true, true, false, true};
    const size_t n = sizeof integers / sizeof integers[0] - (sizes->gemma ? 0 : 1);
    char key[KEY_SIZE];
    int status = fathom__gguf_put_string(tiny->writer, "general.architecture", architecture);
    if (status == FATHOM_OK)
        status = fathom__gguf_put_string(tiny->writer, "general.name", sizes->gemma ? "Tiny Gemma" : "Tiny Llama");
    for (size_t i = 0; status == FATHOM_OK && i < n; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, integers[i].name);
        status = fathom__gguf_put_integer(tiny->writer, key, integers[i].value);
    }
    if (status == FATHOM_OK) {
        snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
        status = fathom__gguf_put_number(tiny->writer, key, 1e-6f);
    }
    if (status == FATHOM_OK) {
        snprintf(key, sizeof key, "%s.rope.freq_base", architecture);
        status = fathom__gguf_put_number(tiny->writer, key, 10000);
    }
    if (status == FATHOM_OK && sizes->gemma) {
        snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", architecture);
        status = fathom__gguf_put_array(tiny->writer, key, GGUF_TYPE_BOOL, windowed, N_LAYERS);
    }
    return status;
}

int fathom_test_tiny_fill(struct fathom_test_tiny *tiny, const char *architecture, uint64_t seed) {
    const struct sizes sizes = sizes_of(architecture);
    int status = fathom__gguf_writer_open(&tiny->writer);
    if (status == FATHOM_OK) status = put_keys(tiny, architecture, &sizes);
    if (status == FATHOM_OK)
        status = sizes.gemma ? fathom_test_put_spm(&tiny->n_vocab, tiny->writer)
                             : fathom_test_put_bpe(&tiny->n_vocab, tiny->writer);
    if (status == FATHOM_OK) status = matrix(tiny, "token_embd.weight", D_MODEL, tiny->n_vocab, seed);
    if (status == FATHOM_OK) status = norm(tiny, "output_norm.weight", D_MODEL, seed);
    if (status == FATHOM_OK && !sizes.gemma) status = matrix(tiny, "output.weight", D_MODEL, tiny->n_vocab, seed);
    for (int layer = 0; status == FATHOM_OK && layer < N_LAYERS; layer++)
        status = fill_layer(tiny, &sizes, layer, seed);
    return status;
}

int fathom_test_tiny_commit(struct fathom_test_tiny *tiny, const char *path) {
    return fathom__gguf_writer_commit(tiny->writer, path);
}

void fathom_test_tiny_free(struct fathom_test_tiny *tiny) {
    fathom__gguf_writer_close(tiny->writer);
    for (size_t i = 0; i < tiny->n_storage; i++)
        fathom_free(tiny->storage[i]);
    fathom_free(tiny->storage);
    *tiny = (struct fathom_test_tiny){0};
}

int fathom_test_tiny_model(const char *path, const char *architecture, uint64_t seed) {
    struct fathom_test_tiny tiny = {0};
    int status = fathom_test_tiny_fill(&tiny, architecture, seed);
    if (status == FATHOM_OK) status = fathom_test_tiny_commit(&tiny, path);
    fathom_test_tiny_free(&tiny);
    return status;
}

int fathom_test_tiny_adapter(const char *path, const char *architecture, uint64_t seed) {
    const struct sizes sizes = sizes_of(architecture);
    struct fathom_test_tiny tiny = {0};
    int status = fathom__gguf_writer_open(&tiny.writer);
    if (status == FATHOM_OK) status = fathom__gguf_put_string(tiny.writer, "general.type", "adapter");
    if (status == FATHOM_OK) status = fathom__gguf_put_string(tiny.writer, "general.architecture", architecture);
    if (status == FATHOM_OK) status = fathom__gguf_put_string(tiny.writer, "adapter.type", "lora");
    if (status == FATHOM_OK) status = fathom__gguf_put_number(tiny.writer, "adapter.lora.alpha", RANK);
    if (status == FATHOM_OK) {
        status = fathom_test_tiny_tensor(NULL, &tiny, "blk.1.attn_q.weight.lora_a", (int64_t[]){D_MODEL, RANK}, 2, 0,
                                         0.5f, seed);
    }
    if (status == FATHOM_OK) {
        status = fathom_test_tiny_tensor(NULL, &tiny, "blk.1.attn_q.weight.lora_b",
                                         (int64_t[]){RANK, N_HEADS * sizes.d_head}, 2, 0, 0.5f, seed);
    }
    if (status == FATHOM_OK) status = fathom_test_tiny_commit(&tiny, path);
    fathom_test_tiny_free(&tiny);
    return status;
}
