/* Opening, describing and closing a model. */
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/guard.h"
#include "engine/log.h"
#include "engine/model_internal.h"
#include "engine/model_parts.h"
#include <ctype.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* How the engine tells the caller's progress function that loading goes on, and what the function said. */
struct loading {
    fathom_progress_fn fn;
    void *payload;
    uint64_t bytes;
    int returned;
};

static bool report_loading(float done, void *payload) {
    struct loading *loading = payload;
    const struct fathom_progress progress = {
        .stage = "load",
        .done = (uint64_t)((double)done * (double)loading->bytes),
        .total = loading->bytes,
        .unit = "bytes",
        .seconds_left = -1,
    };
    loading->returned = loading->fn(&progress, loading->payload);
    return loading->returned == 0;
}

static int load(fathom_model *model, const struct fathom_model_options *options) {
    struct llama_model_params params = llama_model_default_params();
    struct loading loading = {options->progress, options->payload, model->info.file_bytes, 0};
    ggml_backend_dev_t none[] = {NULL};
    const char **paths = NULL;
    params.n_gpu_layers = options->gpu_layers;
    /* A GPU that holds no layers would still be given the products of large batches. */
    if (!model->on_gpu) params.devices = none;
    params.load_mode = options->no_mmap ? LLAMA_LOAD_MODE_NONE : LLAMA_LOAD_MODE_AUTO;
    if (options->progress != NULL) {
        params.progress_callback = report_loading;
        params.progress_callback_user_data = &loading;
    }
    int status = fathom__alloc(&paths, model->files.n, sizeof *paths);
    if (status != FATHOM_OK) return status;
    for (size_t i = 0; i < model->files.n; i++)
        paths[i] = model->files.paths[i];
    status = fathom__guard_model_load(&model->engine, paths, model->files.n, params);
    fathom_free(paths);
    if (status != FATHOM_OK && loading.returned != 0) {
        status = fathom__callback_status(loading.returned);
        return status == FATHOM_ERROR_STOPPED ? fathom__fail(status, "%s: loading was stopped", model->path) : status;
    }
    /* The engine read a file that passed our checks: what it still objects to is the file's form. */
    if (status == FATHOM_ERROR_ENGINE) status = FATHOM_ERROR_FORMAT;
    return status;
}

/* Without folder and ".gguf", and without the part's number of a split file. */
static int name_of_file(char **out, const char *path) {
    static const char ending[] = ".gguf", part[] = "-00001-of-00000";
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t length = strlen(name);
    if (length > sizeof ending - 1 && strcmp(name + length - (sizeof ending - 1), ending) == 0)
        length -= sizeof ending - 1;
    if (length > sizeof part - 1 && strncmp(name + length - (sizeof part - 1), part, strlen("-00001-of-")) == 0)
        length -= sizeof part - 1;
    return fathom__copy_bytes(out, name, length);
}

/* The type that most weight bytes have, the parameters and the bytes of all files. */
static int measure_files(fathom_model *model) {
    uint64_t bytes[GGML_TYPE_COUNT] = {0};
    size_t most = 0;
    for (size_t f = 0; f < model->files.n; f++) {
        struct stat file;
        if (stat(model->files.paths[f], &file) != 0) return fathom__fail_errno(model->files.paths[f], "read");
        model->info.file_bytes += (uint64_t)file.st_size;
        for (size_t i = 0; i < fathom__gguf_tensor_count(model->files.files[f]); i++) {
            const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(model->files.files[f], i);
            bytes[tensor->type] += tensor->bytes;
            model->info.n_parameters +=
                (uint64_t)(tensor->shape[0] * tensor->shape[1] * tensor->shape[2] * tensor->shape[3]);
        }
    }
    for (size_t i = 0; i < GGML_TYPE_COUNT; i++) {
        if (bytes[i] > bytes[most]) most = i;
    }
    const int status = fathom__copy_string(&model->quantisation, ggml_type_name((enum ggml_type)most));
    if (status != FATHOM_OK) return status;
    for (char *c = model->quantisation; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return FATHOM_OK;
}

/* The engine knows a turn's end by its text and takes any that it comes across; "<|endoftext|>" is among its texts and
 * often stands beside the real one. Where no key names the token, the first of these that the vocabulary has is
 * taken. */
static int32_t end_of_turn(const fathom_model *model) {
    static const char *const texts[] = {"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>"};
    const int32_t found = llama_vocab_eot(model->vocab);
    if (fathom__gguf_has(model->files.files[0], "tokenizer.ggml.eot_token_id")) return found;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        llama_token tokens[2];
        const int32_t length = (int32_t)strlen(texts[i]);
        int32_t n = 0;
        if (fathom__guard_tokenize(&n, model->vocab, texts[i], length, tokens, 2, false, true) == FATHOM_OK && n == 1 &&
            llama_vocab_is_eog(model->vocab, tokens[0])) {
            return tokens[0];
        }
    }
    return found;
}

static int describe(fathom_model *model) {
    struct fathom_model_info *info = &model->info;
    const struct fathom__model_shape *shape = &model->shape;
    const fathom__gguf *first = model->files.files[0];
    const char *name = NULL;
    int status = fathom__gguf_string(&name, first, "general.name", false);
    if (status == FATHOM_OK)
        status = fathom__gguf_string(&info->chat_template, first, "tokenizer.chat_template", false);
    if (status == FATHOM_OK) {
        status = name != NULL && name[0] != '\0' ? fathom__utf8_line(&model->name, name, strlen(name))
                                                 : name_of_file(&model->name, model->path);
    }
    if (status == FATHOM_OK) status = fathom__format(&model->engine_name, "llama.cpp %s", llama_version());
    if (status != FATHOM_OK) return status;
    info->path = model->path;
    info->name = model->name;
    info->architecture = shape->architecture_name;
    info->quantisation = model->quantisation;
    info->engine = model->engine_name;
    info->n_layers = shape->n_layers;
    info->d_model = shape->d_model;
    info->d_mlp = shape->d_mlp;
    info->n_heads = shape->n_heads;
    info->n_heads_kv = shape->n_heads_kv;
    info->d_head = shape->d_head_k;
    info->context_trained = shape->context_trained;
    info->n_vocab = (uint32_t)llama_vocab_n_tokens(model->vocab);
    info->bos = llama_vocab_bos(model->vocab);
    info->eos = llama_vocab_eos(model->vocab);
    info->eot = end_of_turn(model);
    info->adds_bos = llama_vocab_get_add_bos(model->vocab);
    return FATHOM_OK;
}

/* Everything that can be found out about the files before the engine, which aborts on what it does not expect, sees
 * them. */
static int check(const fathom_model *model, const struct fathom_model_options *options) {
    const struct fathom__model_shape *shape = &model->shape;
    bool try_first = shape->architecture == FATHOM__ARCH_OTHER;
    if (!try_first) {
        int status = fathom__model_check_vocabulary(&try_first, &model->files);
        if (status == FATHOM_OK) status = fathom__model_check_tensors(&model->files, shape);
        if (status != FATHOM_OK) return status;
    }
    return try_first && !options->trust_architecture ? fathom__model_trial(&model->files) : FATHOM_OK;
}

/* What the engine's own defaults made of the vocabulary: tokenising would abort. */
static int check_loaded_vocabulary(const fathom_model *model) {
    if (llama_vocab_type(model->vocab) == LLAMA_VOCAB_TYPE_NONE) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the model has no vocabulary", model->path);
    }
    if (llama_vocab_get_add_bos(model->vocab) && llama_vocab_bos(model->vocab) == LLAMA_TOKEN_NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: the tokenizer adds a bos token, but key tokenizer.ggml.bos_token_id is missing",
                            model->path);
    }
    if (llama_vocab_get_add_eos(model->vocab) && llama_vocab_eos(model->vocab) == LLAMA_TOKEN_NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: the tokenizer adds an eos token, but key tokenizer.ggml.eos_token_id is missing",
                            model->path);
    }
    return FATHOM_OK;
}

static atomic_bool gpu_forbidden;

void fathom_gpu_allow(bool allow) {
    atomic_store(&gpu_forbidden, !allow);
}

bool fathom_gpu_present(void) {
    fathom__engine_start(); /* what the engine says of the devices that it finds is not printed */
    return !atomic_load(&gpu_forbidden) && llama_supports_gpu_offload();
}

/* Without a GPU the engine would keep all layers on the processor and say nothing. */
static int check_gpu(fathom_model *model, int gpu_layers) {
    if (gpu_layers < -1)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: gpu_layers %d, where a number, 0 or -1 for all is expected",
                            model->path, gpu_layers);
    if (gpu_layers != 0 && !fathom_gpu_present())
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: gpu_layers %d, but the engine finds no GPU, was built for none or must not use it "
                            "(docs/gpu.md); 0 is expected here",
                            model->path, gpu_layers);
    model->on_gpu = gpu_layers != 0;
    return FATHOM_OK;
}

static int open_path(fathom_model *model, const struct fathom_model_options *options) {
    int status = check_gpu(model, options->gpu_layers);
    if (status == FATHOM_OK) status = fathom__model_files_open(&model->files, model->path);
    if (status == FATHOM_OK) status = fathom__model_read_shape(&model->shape, &model->files);
    if (status == FATHOM_OK) status = check(model, options);
    if (status == FATHOM_OK) status = measure_files(model);
    if (status == FATHOM_OK) status = load(model, options);
    if (status != FATHOM_OK) return status;
    model->vocab = llama_model_get_vocab(model->engine);
    status = check_loaded_vocabulary(model);
    if (status == FATHOM_OK) status = describe(model);
    if (status == FATHOM_OK) status = fathom__model_load_adapters(model, options->adapters, options->n_adapters);
    if (status == FATHOM_OK) status = fathom__model_read_tokens(model);
    if (status == FATHOM_OK) status = fathom__model_identify(model);
    return status;
}

int fathom_model_open(fathom_model **out, const char *path, const struct fathom_model_options *options) {
    static const struct fathom_model_options defaults = FATHOM_MODEL_OPTIONS_INIT;
    fathom_model *model = NULL;
    int status = fathom__alloc(&model, 1, sizeof *model);
    if (status != FATHOM_OK) return status;
    fathom__engine_start();
    status = fathom__model_resolve(&model->path, path);
    if (status == FATHOM_OK) status = open_path(model, options == NULL ? &defaults : options);
    if (status != FATHOM_OK) {
        fathom_model_close(model);
        return status;
    }
    *out = model;
    return FATHOM_OK;
}

void fathom_model_close(fathom_model *model) {
    if (model == NULL) return;
    for (size_t i = 0; i < model->n_adapters; i++)
        llama_adapter_lora_free(model->adapters[i]);
    if (model->engine != NULL) llama_model_free(model->engine);
    fathom__model_files_close(&model->files);
    fathom_free(model->adapters);
    fathom_free(model->adapter_scales);
    fathom_free(model->adapter_identities);
    fathom_free(model->token_text);
    fathom_free(model->token_offsets);
    fathom_free(model->token_flags);
    fathom_free(model->path);
    fathom_free(model->name);
    fathom_free(model->quantisation);
    fathom_free(model->engine_name);
    fathom_free(model);
}

const struct fathom_model_info *fathom_model_describe(const fathom_model *model) {
    return &model->info;
}
