/* LoRA adapters: checked against the model's tensors before the engine loads them. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/guard.h"
#include "engine/model_parts.h"
#include <math.h>
#include <string.h>

#define NAME_SIZE 128
#define SUFFIX_A ".lora_a"
#define SUFFIX_B ".lora_b"

static int check_keys(const fathom__gguf *file, const fathom_model *model) {
    const char *path = fathom__gguf_path(file), *type = NULL, *kind = NULL, *architecture = NULL;
    double alpha = 0;
    int status = fathom__gguf_string(&type, file, "general.type", true);
    if (status == FATHOM_OK) status = fathom__gguf_string(&architecture, file, "general.architecture", true);
    if (status == FATHOM_OK && strcmp(type, "adapter") != 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key general.type is \"%.32s\", expected \"adapter\"", path, type);
    }
    if (status == FATHOM_OK) status = fathom__gguf_string(&kind, file, "adapter.type", true);
    if (status == FATHOM_OK) status = fathom__gguf_number(&alpha, file, "adapter.lora.alpha", true);
    if (status != FATHOM_OK) return status;
    if (strcmp(kind, "lora") != 0) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: key adapter.type is \"%.32s\", expected \"lora\"", path,
                            kind);
    }
    if (fathom__gguf_key_type(file, "adapter.lora.alpha") != GGUF_TYPE_FLOAT32 || !isfinite(alpha)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key adapter.lora.alpha: expected a finite f32", path);
    }
    if (strcmp(architecture, model->info.architecture) != 0) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: an adapter of a %.32s model, but %s is a %s model", path,
                            architecture, model->path, model->info.architecture);
    }
    return FATHOM_OK;
}

static bool ends_with(const char *text, const char *ending) {
    const size_t length = strlen(text), n = strlen(ending);
    return length > n && strcmp(text + length - n, ending) == 0;
}

/* Checks one pair, given its A: A is [d_in, rank] and B [rank, d_out]. The embedding's pair is the other way round,
 * because a row of it is looked up. */
static int check_pair(const fathom__gguf *file, const fathom_model *model, const struct fathom__gguf_tensor *a) {
    const char *path = fathom__gguf_path(file);
    char name[NAME_SIZE], partner[NAME_SIZE];
    const size_t length = strlen(a->name) - strlen(SUFFIX_A);
    if (length + strlen(SUFFIX_B) >= sizeof name)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the tensor name %s is too long", path, a->name);
    memcpy(name, a->name, length);
    name[length] = '\0';
    memcpy(partner, name, length);
    memcpy(partner + length, SUFFIX_B, sizeof SUFFIX_B);
    const struct fathom__gguf_tensor *b = fathom__gguf_tensor_find(file, partner);
    const struct fathom__gguf_tensor *base = fathom__model_files_find(&model->files, name);
    if (b == NULL)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is missing, expected beside %s", path, partner,
                            a->name);
    if (base == NULL) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: an adapter of tensor %s, which %s has not", path, name,
                            model->path);
    }
    const bool embedding = strcmp(name, "token_embd.weight") == 0;
    const bool fits =
        embedding ? base->shape[0] == b->shape[1] && base->shape[1] == a->shape[1] && a->shape[0] == b->shape[0]
                  : base->shape[0] == a->shape[0] && base->shape[1] == b->shape[1] && a->shape[1] == b->shape[0];
    if (!fits || a->shape[2] * a->shape[3] * b->shape[2] * b->shape[3] != 1) {
        return fathom__fail(FATHOM_ERROR_MISMATCH,
                            "%s: the adapter of %s is %lld × %lld and %lld × %lld, but the tensor of %s is %lld × %lld",
                            path, name, (long long)a->shape[0], (long long)a->shape[1], (long long)b->shape[0],
                            (long long)b->shape[1], model->path, (long long)base->shape[0], (long long)base->shape[1]);
    }
    const struct fathom__gguf_tensor *const both[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->type != GGML_TYPE_F32 && both[i]->type != GGML_TYPE_F16 && both[i]->type != GGML_TYPE_BF16 &&
            both[i]->type != GGML_TYPE_Q8_0) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is of type %s, expected f32, f16, bf16 or q8_0",
                                path, both[i]->name, ggml_type_name(both[i]->type));
        }
    }
    return FATHOM_OK;
}

static int check_tensors(const fathom__gguf *file, const fathom_model *model) {
    size_t n_a = 0, n_b = 0;
    for (size_t i = 0; i < fathom__gguf_tensor_count(file); i++) {
        const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(file, i);
        if (ends_with(tensor->name, SUFFIX_B)) {
            n_b++;
        } else if (ends_with(tensor->name, SUFFIX_A)) {
            n_a++;
            const int status = check_pair(file, model, tensor);
            if (status != FATHOM_OK) return status;
        } else {
            /* The engine skips changed norms in silence: the model would not be the one that was trained. */
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: tensor %s is no part of a LoRA pair",
                                fathom__gguf_path(file), tensor->name);
        }
    }
    if (n_a == 0 || n_a != n_b) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %zu tensors end in %s and %zu in %s, expected pairs",
                            fathom__gguf_path(file), n_a, SUFFIX_A, n_b, SUFFIX_B);
    }
    return FATHOM_OK;
}

static int load_adapter(fathom_model *model, const struct fathom_adapter *adapter) {
    struct fathom__model_files files = {0};
    const size_t index = model->n_adapters;
    if (!isfinite(adapter->scale))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: an adapter's scale must be finite", adapter->path);
    int status = fathom__model_files_open(&files, adapter->path);
    if (status != FATHOM_OK) return status;
    if (files.n > 1)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: split adapters are not handled", adapter->path);
    if (status == FATHOM_OK) status = check_keys(files.files[0], model);
    if (status == FATHOM_OK) status = check_tensors(files.files[0], model);
    if (status == FATHOM_OK) status = fathom__model_files_identity(model->adapter_identities[index], &files);
    fathom__model_files_close(&files);
    if (status == FATHOM_OK) status = fathom__guard_adapter_load(&model->adapters[index], model->engine, adapter->path);
    if (status != FATHOM_OK) return status == FATHOM_ERROR_ENGINE ? FATHOM_ERROR_FORMAT : status;
    model->adapter_scales[index] = adapter->scale;
    model->n_adapters++;
    return FATHOM_OK;
}

int fathom__model_load_adapters(fathom_model *model, const struct fathom_adapter *adapters, size_t n) {
    int status = fathom__alloc(&model->adapters, n, sizeof *model->adapters);
    if (status == FATHOM_OK) status = fathom__alloc(&model->adapter_scales, n, sizeof *model->adapter_scales);
    if (status == FATHOM_OK) status = fathom__alloc(&model->adapter_identities, n, sizeof *model->adapter_identities);
    for (size_t i = 0; status == FATHOM_OK && i < n; i++)
        status = load_adapter(model, &adapters[i]);
    return status;
}
