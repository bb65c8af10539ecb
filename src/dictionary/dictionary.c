/* The native file: opening with every key, type, shape and number checked, and small questions. */
#include <base/error.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <dictionary/dictionary_internal.h>
#include <math.h>

static const char *const kind_names[FATHOM__KINDS] = {"topk", "batchtopk", "jumprelu", "standard", "gated", "groupmax"};

#define LARGEST_WIDTH (1 << 24)
#define LARGEST_FEATURES (1 << 28)
#define LARGEST_GROUPS (1 << 16)

enum fathom__dictionary_kind fathom__dictionary_kind(const char *architecture) {
    int kind = 0;
    while (kind < FATHOM__KINDS && strcmp(architecture, kind_names[kind]) != 0)
        kind++;
    return (enum fathom__dictionary_kind)kind;
}

static const char *storage_name(enum ggml_type type) {
    switch (type) {
    case GGML_TYPE_F32: return "f32";
    case GGML_TYPE_F16: return "f16";
    case GGML_TYPE_BF16: return "bf16";
    case GGML_TYPE_Q8_0: return "q8_0";
    default: return NULL;
    }
}

/* The bits of a float whose exponent is all ones are infinite or not a number. */
static bool finite_words(const void *data, size_t n, size_t step, size_t size, uint32_t exponent) {
    const unsigned char *bytes = data;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        uint32_t word = 0;
        memcpy(&word, bytes + i * step, size);
        finite &= (word & exponent) != exponent;
    }
    return finite;
}

static bool finite_tensor(const struct fathom__gguf_tensor *tensor) {
    enum { Q8_0_BLOCK = 34 }; /* a half-precision scale and 32 numbers */
    switch (tensor->type) {
    case GGML_TYPE_F32: return finite_words(tensor->data, tensor->bytes / 4, 4, 4, 0x7F800000);
    case GGML_TYPE_F16: return finite_words(tensor->data, tensor->bytes / 2, 2, 2, 0x7C00);
    case GGML_TYPE_BF16: return finite_words(tensor->data, tensor->bytes / 2, 2, 2, 0x7F80);
    case GGML_TYPE_Q8_0: return finite_words(tensor->data, tensor->bytes / Q8_0_BLOCK, Q8_0_BLOCK, 2, 0x7C00);
    default: return false;
    }
}

static int find_tensor(const struct fathom__gguf_tensor **out, const fathom__gguf *file, const char *name,
                       int64_t width, int64_t rows, bool vector) {
    const char *path = fathom__gguf_path(file);
    const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_find(file, name);
    if (!tensor) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the tensor %s is missing", path, name);
    if (tensor->shape[0] != width || tensor->shape[1] != rows || tensor->shape[2] != 1 || tensor->shape[3] != 1)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s has the shape [%lld, %lld]; [%lld, %lld] is expected", path,
                            name, (long long)tensor->shape[1], (long long)tensor->shape[0], (long long)rows,
                            (long long)width);
    if (vector && tensor->type != GGML_TYPE_F32)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s has the type %s; f32 is expected", path, name,
                            ggml_type_name(tensor->type));
    if (!storage_name(tensor->type))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s has the type %s; f32, f16, bf16 or q8_0 is expected", path,
                            name, ggml_type_name(tensor->type));
    if (!finite_tensor(tensor))
        return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: %s holds a number that is not finite", path, name);
    *out = tensor;
    return 0;
}

static int read_string(const char **out, const fathom__gguf *file, const char *key, bool required) {
    size_t at = 0;
    int status = fathom__gguf_string(out, file, key, required);
    if (status || fathom__utf8_valid(&at, *out ? *out : "", *out ? strlen(*out) : 0)) return status;
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: byte %zu is not UTF-8", fathom__gguf_path(file), key, at);
}

static int read_keys(fathom_dictionary *dictionary) {
    const fathom__gguf *file = dictionary->file;
    struct fathom_dictionary_info *info = &dictionary->info;
    int64_t version = 0, d_in = 0, d_out = 0, n_features = 0, k = 0, skip = 0;
    double scale = 1, output_scale = 0, max_norm = INFINITY;
    const char *architecture = NULL;
    int status = fathom__gguf_string(&architecture, file, "general.architecture", true);
    if (status) return status;
    if (strcmp(architecture, FATHOM__DICTIONARY_ARCHITECTURE) != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: general.architecture is \"%s\"; a dictionary has \"%s\"",
                            info->path, architecture, FATHOM__DICTIONARY_ARCHITECTURE);
    const struct {
        const char **to;
        const char *key;
        bool required;
    } strings[] = {
        {&info->architecture, FATHOM__DICTIONARY_KEY "architecture", true},
        {&info->hook_in, FATHOM__DICTIONARY_KEY "hook_in", true},
        {&info->hook_out, FATHOM__DICTIONARY_KEY "hook_out", true},
        {&info->name, "general.name", false},
        {&info->model_identity, FATHOM__DICTIONARY_KEY "model_identity", false},
        {&info->model_name, FATHOM__DICTIONARY_KEY "model_name", false},
        {&info->training, FATHOM__DICTIONARY_KEY "training", false},
        {&info->input_norm, FATHOM__DICTIONARY_KEY "input_norm", false},
    };
    const struct {
        int64_t *to;
        const char *key;
        int64_t least, most;
        bool required;
    } integers[] = {
        {&version, FATHOM__DICTIONARY_KEY "version", 1, FATHOM__DICTIONARY_VERSION, true},
        {&d_in, FATHOM__DICTIONARY_KEY "d_in", 1, LARGEST_WIDTH, true},
        {&d_out, FATHOM__DICTIONARY_KEY "d_out", 1, LARGEST_WIDTH, true},
        {&n_features, FATHOM__DICTIONARY_KEY "n_features", 1, LARGEST_FEATURES, true},
        {&k, FATHOM__DICTIONARY_KEY "k", 0, LARGEST_FEATURES, true},
        {&skip, FATHOM__DICTIONARY_KEY "skip_positions", 0, INT32_MAX, false},
    };
    for (size_t i = 0; i < sizeof integers / sizeof *integers && !status; i++)
        status = fathom__gguf_integer(integers[i].to, file, integers[i].key, integers[i].least, integers[i].most,
                                      integers[i].required);
    for (size_t i = 0; i < sizeof strings / sizeof *strings && !status; i++)
        status = read_string(strings[i].to, file, strings[i].key, strings[i].required);
    if (!status)
        status =
            fathom__gguf_bool(&info->subtract_decoder_bias, file, FATHOM__DICTIONARY_KEY "subtract_decoder_bias", true);
    if (!status) status = fathom__gguf_number(&scale, file, FATHOM__DICTIONARY_KEY "input_scale", true);
    if (!status) status = fathom__gguf_number(&output_scale, file, FATHOM__DICTIONARY_KEY "output_scale", false);
    if (!status) status = fathom__gguf_number(&max_norm, file, FATHOM__DICTIONARY_KEY "max_norm", false);
    if (!status)
        status = fathom__gguf_bool(&info->undo_input_norm, file, FATHOM__DICTIONARY_KEY "undo_input_norm", false);
    if (status) return status;
    dictionary->kind = fathom__dictionary_kind(info->architecture);
    if (dictionary->kind == FATHOM__KINDS)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: architecture \"%s\"; " FATHOM__KIND_NAMES " is expected",
                            info->path, info->architecture);
    dictionary->norm = fathom__input_norm(info->input_norm);
    if (dictionary->norm == FATHOM__NORMS)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: " FATHOM__DICTIONARY_KEY "input_norm is \"%s\"; " FATHOM__NORM_NAMES " is expected",
                            info->path, info->input_norm);
    if (!(scale > 0) || !isfinite(scale))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: " FATHOM__DICTIONARY_KEY "input_scale is %g; a number above 0 is expected", info->path,
                            scale);
    if (output_scale == 0) output_scale = scale;
    if (!(output_scale > 0) || !isfinite(output_scale))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: " FATHOM__DICTIONARY_KEY "output_scale is %g; a number above 0 is expected",
                            info->path, output_scale);
    if (!(max_norm > 0))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: " FATHOM__DICTIONARY_KEY "max_norm is %g; a number above 0 is expected", info->path,
                            max_norm);
    const bool ranks = dictionary->kind == FATHOM__KIND_TOPK || dictionary->kind == FATHOM__KIND_GROUPMAX;
    if (ranks && (k < 1 || k > n_features))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: " FATHOM__DICTIONARY_KEY "k is %lld; 1 to %lld is expected",
                            info->path, (long long)k, (long long)n_features);
    if (dictionary->kind == FATHOM__KIND_GROUPMAX && n_features % k != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: " FATHOM__DICTIONARY_KEY "k is %lld; a divisor of the %lld features is expected",
                            info->path, (long long)k, (long long)n_features);
    info->d_in = (uint32_t)d_in;
    info->d_out = (uint32_t)d_out;
    info->n_features = (uint32_t)n_features;
    info->k = (uint32_t)k;
    info->skip_positions = (uint32_t)skip;
    info->input_scale = (float)scale;
    info->output_scale = (float)output_scale;
    info->max_norm = (float)max_norm;
    if (info->subtract_decoder_bias && d_in != d_out)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: b_dec of width %lld cannot be subtracted from rows of width %lld",
                            info->path, (long long)d_out, (long long)d_in);
    return 0;
}

static int read_groups(fathom_dictionary *dictionary) {
    static const char key[] = FATHOM__DICTIONARY_KEY "groups";
    struct fathom_dictionary_info *info = &dictionary->info;
    struct fathom__gguf_array array = {0};
    uint64_t sum = 0;
    int status = fathom__gguf_array(&array, dictionary->file, key, false);
    if (status || array.n == 0) return status;
    if (array.n > LARGEST_GROUPS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s has %zu groups; at most %d are expected", info->path, key,
                            array.n, LARGEST_GROUPS);
    status = fathom__alloc(&dictionary->group_sizes, array.n, sizeof *dictionary->group_sizes);
    for (size_t i = 0; i < array.n && !status; i++) {
        int64_t size = 0;
        if (!fathom__gguf_array_integer(&size, &array, i) || size < 1 || size > info->n_features)
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: group %zu is no number from 1 to %u", info->path, key,
                                  i, info->n_features);
        dictionary->group_sizes[i] = (uint32_t)size;
        sum += (uint64_t)size;
    }
    if (!status && sum != info->n_features)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: the sizes' sum is %llu; %u features are expected",
                              info->path, key, (unsigned long long)sum, info->n_features);
    info->group_sizes = dictionary->group_sizes;
    info->n_groups = (uint32_t)array.n;
    return status;
}

/* A transform, [d] or lower triangular [d, d]. */
static int read_transform(struct fathom__map *out, const fathom__gguf *file, const char *name, uint32_t d) {
    const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_find(file, name);
    if (!tensor) return 0;
    const bool diagonal = tensor->shape[1] == 1 && d > 1;
    int status = find_tensor(&tensor, file, name, d, diagonal ? 1 : d, true);
    return status ? status : fathom__map_open(out, tensor->data, d, diagonal);
}

static int read_transforms(fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const fathom__gguf *file = dictionary->file;
    int status = read_transform(&dictionary->input_transform, file, "input.transform", info->d_in);
    if (!status) status = read_transform(&dictionary->output_transform, file, "output.transform", info->d_out);
    if (status || !dictionary->input_transform.weights == !dictionary->output_transform.weights) return status;
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the tensor %s is missing; both transforms are expected, or none",
                        info->path, dictionary->input_transform.weights ? "output.transform" : "input.transform");
}

/* The gate of "gated", and the skip. */
static int read_more_tensors(fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const fathom__gguf *file = dictionary->file;
    const struct fathom__gguf_tensor *gate = NULL, *scale = NULL, *skip = NULL;
    int status = 0;
    if (dictionary->kind == FATHOM__KIND_GATED) {
        status = find_tensor(&gate, file, "gate.bias", info->n_features, 1, true);
        if (!status) status = find_tensor(&scale, file, "magnitude.scale", info->n_features, 1, true);
    }
    if (!status && fathom__gguf_tensor_find(file, "skip.weight"))
        status = find_tensor(&skip, file, "skip.weight", info->d_in, info->d_out, true);
    if (status) return status;
    dictionary->gate_bias = gate ? gate->data : NULL;
    dictionary->magnitude_scale = scale ? scale->data : NULL;
    dictionary->skip = skip ? skip->data : NULL;
    for (uint32_t f = 0; scale && f < info->n_features; f++)
        if (dictionary->magnitude_scale[f] < 0)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: magnitude.scale of feature %u is %g; 0 or more is expected",
                                info->path, f, (double)dictionary->magnitude_scale[f]);
    return 0;
}

static int read_tensors(fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const fathom__gguf *file = dictionary->file;
    const struct fathom__gguf_tensor *encoder_bias = NULL, *decoder_bias = NULL, *threshold = NULL;
    int status = find_tensor(&dictionary->encoder, file, "encoder.weight", (int64_t)fathom__encoder_width(info),
                             info->n_features, false);
    if (!status) status = fathom__alloc(&dictionary->decoders, dictionary->n_layers, sizeof *dictionary->decoders);
    for (uint32_t l = 0; l < dictionary->n_layers && !status; l++) {
        char name[FATHOM__DECODER_NAME];
        fathom__dictionary_decoder_name(name, info, l);
        status = find_tensor(&dictionary->decoders[l], file, name, (int64_t)fathom__decoder_width(info, l),
                             (int64_t)dictionary->layer_features, false);
    }
    if (!status) status = find_tensor(&encoder_bias, file, "encoder.bias", info->n_features, 1, true);
    if (!status) status = find_tensor(&decoder_bias, file, "decoder.bias", info->d_out, 1, true);
    if (!status && fathom__gguf_tensor_find(file, "threshold"))
        status = find_tensor(&threshold, file, "threshold", info->n_features, 1, true);
    if (status) return status;
    if (!threshold && (dictionary->kind == FATHOM__KIND_BATCHTOPK || dictionary->kind == FATHOM__KIND_JUMPRELU))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the tensor threshold is missing; %s needs it", info->path,
                            info->architecture);
    dictionary->encoder_bias = encoder_bias->data;
    dictionary->decoder_bias = decoder_bias->data;
    if (threshold) {
        dictionary->threshold = threshold->data;
        for (uint32_t f = 0; f < info->n_features; f++)
            if (dictionary->threshold[f] < 0)
                return fathom__fail(FATHOM_ERROR_FORMAT, "%s: threshold of feature %u is %g; 0 or more is expected",
                                    info->path, f, (double)dictionary->threshold[f]);
    }
    dictionary->info.dtype = storage_name(dictionary->encoder->type);
    status = read_more_tensors(dictionary);
    dictionary->info.has_threshold =
        threshold || dictionary->kind == FATHOM__KIND_STANDARD || dictionary->kind == FATHOM__KIND_GATED;
    dictionary->info.has_skip = dictionary->skip;
    dictionary->info.needs_rows =
        dictionary->skip || (dictionary->info.undo_input_norm && dictionary->norm != FATHOM__NORM_NONE);
    return status;
}

int fathom_dictionary_open(fathom_dictionary **out, const char *path) {
    fathom_dictionary *dictionary = NULL;
    int status = fathom__alloc(&dictionary, 1, sizeof *dictionary);
    if (status) return status;
    pthread_mutex_init(&dictionary->lock, NULL);
    pthread_cond_init(&dictionary->freed, NULL);
    dictionary->info.name = dictionary->info.model_identity = dictionary->info.model_name = "";
    dictionary->info.training = "{}";
    dictionary->info.input_norm = dictionary->info.whitening = "none";
    status = fathom__gguf_open(&dictionary->file, path);
    if (!status) dictionary->info.path = fathom__gguf_path(dictionary->file);
    if (!status) status = read_keys(dictionary);
    if (!status) status = read_groups(dictionary);
    if (!status) status = fathom__dictionary_read_sources(dictionary);
    if (!status) status = fathom__dictionary_read_layers(dictionary);
    dictionary->n_layers = dictionary->info.n_layers ? dictionary->info.n_layers : 1;
    dictionary->layer_features = dictionary->info.n_features / dictionary->n_layers;
    if (!status) status = read_tensors(dictionary);
    if (!status) status = read_transforms(dictionary);
    if (!status && dictionary->input_transform.weights)
        dictionary->info.whitening = dictionary->input_transform.diagonal ? "standardised" : "whitened";
    dictionary->stride = fathom__padded(dictionary->info.d_in);
    dictionary->read = dictionary->stride / dictionary->n_layers;
    if (!status)
        status = fathom__alloc_aligned(&dictionary->subtracted, dictionary->stride, sizeof *dictionary->subtracted);
    const size_t padded_out = fathom__padded(dictionary->info.d_out);
    if (!status)
        status = fathom__alloc_aligned(&dictionary->model_bias, 2 * padded_out, sizeof *dictionary->model_bias);
    if (status) {
        fathom_dictionary_close(dictionary);
        return status;
    }
    memset(dictionary->subtracted, 0, dictionary->stride * sizeof *dictionary->subtracted);
    memcpy(dictionary->model_bias, dictionary->decoder_bias, dictionary->info.d_out * sizeof *dictionary->model_bias);
    if (dictionary->info.subtract_decoder_bias)
        memcpy(dictionary->subtracted, dictionary->decoder_bias,
               dictionary->info.d_in * sizeof *dictionary->subtracted);
    fathom__dictionary_unmap(dictionary->model_bias, dictionary->model_bias + padded_out, dictionary);
    *out = dictionary;
    return 0;
}

void fathom_dictionary_close(fathom_dictionary *dictionary) {
    if (!dictionary) return;
    fathom__whole_close(dictionary->whole, dictionary->n_layers);
    fathom_free(dictionary->whole_decoder);
    fathom_free(dictionary->subtracted);
    fathom_free(dictionary->model_bias);
    fathom__map_close(&dictionary->input_transform);
    fathom__map_close(&dictionary->output_transform);
    fathom_free(dictionary->group_sizes);
    fathom_free(dictionary->sources);
    json_decref(dictionary->sources_text);
    fathom_free(dictionary->layers);
    json_decref(dictionary->layers_text);
    fathom_free(dictionary->decoders);
    fathom__gguf_close(dictionary->file);
    pthread_cond_destroy(&dictionary->freed);
    pthread_mutex_destroy(&dictionary->lock);
    fathom_free(dictionary);
}

const struct fathom_dictionary_info *fathom_dictionary_describe(const fathom_dictionary *dictionary) {
    return &dictionary->info;
}

int fathom_dictionary_match(struct fathom_hook *hook, const fathom_dictionary *dictionary, const fathom_model *model) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const struct fathom_model_info *m = fathom_model_describe(model);
    struct fathom_hook found;
    if (info->n_sources)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: a crosscoder, which reads %s at once; fathom crosscoder tells what it holds",
                            info->path, info->hook_in);
    if (info->n_layers)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: a cross-layer transcoder, which reads %u layers at once and belongs to none",
                            info->path, info->n_layers);
    if (info->model_identity[0] && strcmp(info->model_identity, m->identity) != 0 &&
        strcmp(info->model_identity, m->source_identity) != 0)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: was trained on %s (%s), not on %s (%s)", info->path,
                            info->model_name[0] ? info->model_name : "another model", info->model_identity, m->name,
                            m->source_identity);
    int status = fathom_hook_parse(&found, model, info->hook_in);
    if (status) return fathom__wrap(status, "%s", info->path);
    uint32_t heads = 1, width = 0;
    fathom_hook_exists(&heads, &width, model, found);
    if ((uint64_t)heads * width != info->d_in)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: reads rows of %u numbers; %s of %s has %llu", info->path,
                            info->d_in, info->hook_in, m->name, (unsigned long long)heads * width);
    if (hook) *hook = found;
    return 0;
}

bool fathom_dictionary_covers(const fathom_dictionary *dictionary, const float *row, int32_t position) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    if (position >= 0 && (uint32_t)position < info->skip_positions) return false;
    if (isinf(info->max_norm)) return true;
    double squares = 0;
    for (uint32_t j = 0; j < info->d_in; j++)
        squares += (double)row[j] * row[j];
    /* What is not finite is no outlier: whoever encodes it is told. */
    return !isfinite(squares) || squares <= (double)info->max_norm * info->max_norm;
}

static int check_feature(const fathom_dictionary *dictionary, uint32_t feature) {
    if (feature < dictionary->info.n_features) return 0;
    return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: there is no feature %u; they are numbered 0 to %u",
                        dictionary->info.path, feature, dictionary->info.n_features - 1);
}

int fathom__dictionary_stored_encoder(float *out, const fathom_dictionary *dictionary, uint32_t feature) {
    int status = check_feature(dictionary, feature);
    if (status) return status;
    if (dictionary->n_layers > 1) memset(out, 0, dictionary->info.d_in * sizeof *out);
    return fathom__gguf_rows_f32(out + feature / dictionary->layer_features * dictionary->read, dictionary->encoder,
                                 feature, 1);
}

int fathom__dictionary_stored_decoder(float *out, const fathom_dictionary *dictionary, uint32_t feature) {
    int status = check_feature(dictionary, feature);
    if (status) return status;
    const size_t layer = feature / dictionary->layer_features,
                 before = dictionary->info.d_out - fathom__decoder_width(&dictionary->info, layer);
    memset(out, 0, before * sizeof *out);
    return fathom__gguf_rows_f32(out + before, dictionary->decoders[layer],
                                 (int64_t)(feature - layer * dictionary->layer_features), 1);
}

/* A stored row through a map, which needs its padding. */
static int map_row(float *out, const struct fathom__map *map, void (*apply)(float *, const struct fathom__map *)) {
    float *row = NULL;
    if (!map->weights) return 0;
    int status = fathom__alloc_aligned(&row, map->stride, sizeof *row);
    if (status) return status;
    memset(row, 0, map->stride * sizeof *row);
    memcpy(row, out, map->d * sizeof *row);
    apply(row, map);
    memcpy(out, row, map->d * sizeof *row);
    fathom_free(row);
    return 0;
}

void fathom__dictionary_unmap(float *y, float *scratch, const fathom_dictionary *dictionary) {
    const struct fathom__map *map = &dictionary->output_transform;
    if (!map->weights) return;
    memset(scratch, 0, map->stride * sizeof *scratch);
    memcpy(scratch, y, map->d * sizeof *scratch);
    fathom__map_apply(scratch, map);
    memcpy(y, scratch, map->d * sizeof *scratch);
}

int fathom_dictionary_direction(float *out, const fathom_dictionary *dictionary, uint32_t feature) {
    int status = fathom__dictionary_stored_decoder(out, dictionary, feature);
    return status ? status : map_row(out, &dictionary->output_transform, fathom__map_apply);
}

int fathom_dictionary_trained_direction(float *out, const fathom_dictionary *dictionary, uint32_t feature) {
    return fathom__dictionary_stored_decoder(out, dictionary, feature);
}

int fathom_dictionary_encoder_row(float *out, float *bias, const fathom_dictionary *dictionary, uint32_t feature) {
    int status = fathom__dictionary_stored_encoder(out, dictionary, feature);
    if (!status) status = map_row(out, &dictionary->input_transform, fathom__map_apply_transposed);
    if (!status) *bias = dictionary->gate_bias ? dictionary->gate_bias[feature] : dictionary->encoder_bias[feature];
    return status;
}

float fathom_dictionary_threshold(const fathom_dictionary *dictionary, uint32_t feature) {
    return dictionary->threshold && feature < dictionary->info.n_features ? dictionary->threshold[feature] : 0;
}

void fathom_dictionary_decoder_bias(float *out, const fathom_dictionary *dictionary) {
    memcpy(out, dictionary->model_bias, dictionary->info.d_out * sizeof *out);
}
