/* From a path to a native file: which format it is, its reader, and the record of what was changed. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <dictionary/formats/import.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct fathom__format *const formats[] = {
    &fathom__format_saelens,
    &fathom__format_gemma_scope,
    &fathom__format_gemma_scope_2,
    &fathom__format_sparsify,
    &fathom__format_dictionary_learning,
    &fathom__format_openmoss,
    &fathom__format_llama_scope,
    &fathom__format_openai,
    &fathom__format_circuit_tracer,
};
enum { FORMATS = sizeof formats / sizeof *formats };
#define FORMAT_NAMES                                                                                                   \
    "saelens, gemma-scope, gemma-scope-2, sparsify, dictionary-learning, openmoss, llama-scope, openai or "            \
    "circuit-tracer"

const struct fathom_format_info *fathom_format_at(size_t index) {
    return index < FORMATS ? &formats[index]->info : NULL;
}

static int find_format(const struct fathom__format **out, const char *name) {
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i]->info.name, name) != 0) continue;
        *out = formats[i];
        return 0;
    }
    return fathom__fail(FATHOM_ERROR_ARGUMENT, "format \"%s\"; " FORMAT_NAMES " is expected", name);
}

int fathom__import_text(const char **out, struct fathom__import *in, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    int status = fathom__grow(&in->texts, &in->text_capacity, in->n_texts + 1, sizeof *in->texts);
    if (status) return status;
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    status = fathom__alloc(&text, (size_t)length + 1, 1);
    if (status) return status;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    in->texts[in->n_texts++] = text;
    *out = text;
    return 0;
}

int fathom__import_change(struct fathom__import *in, const char *format, ...) {
    enum { CHANGE_LENGTH = 512 };
    char text[CHANGE_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return json_array_append_new(in->changes, fathom__json_string(text, strlen(text)))
               ? fathom__fail_memory(sizeof text)
               : 0;
}

bool fathom__import_has(const struct fathom__import *in, const char *name) {
    char *path = NULL;
    const bool has = !fathom__path_join(&path, in->folder, name) && fathom__file_exists(path);
    fathom_free(path);
    return has;
}

int fathom__import_config(struct fathom__import *in, const char *name, bool required) {
    int status = fathom__path_join(&in->config_path, in->folder, name);
    if (status || (!required && !fathom__file_exists(in->config_path))) return status;
    status = fathom__json_load(&in->config, in->config_path);
    if (!status && !json_is_object(in->config))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: an object is expected", in->config_path);
    return status;
}

int fathom__import_open(struct fathom__import *in, const char *name) {
    char *path = NULL;
    int status = fathom__path_join(&path, in->folder, name ? name : in->file);
    if (!status) status = fathom__source_open(&in->source, path);
    fathom_free(path);
    return status;
}

/* The folder, and the file in it where one was named. */
static int split_path(struct fathom__import *in, const char *path) {
    struct stat about;
    size_t end = strlen(path);
    if (stat(path, &about)) return fathom__fail_errno(path, "open");
    while (end > 1 && path[end - 1] == '/')
        end--;
    if (S_ISDIR(about.st_mode)) return fathom__copy_bytes(&in->folder, path, end);
    const char *slash = strrchr(path, '/');
    int status = fathom__copy_string(&in->file, slash ? slash + 1 : path);
    if (status) return status;
    return slash ? fathom__copy_bytes(&in->folder, path, slash == path ? 1 : (size_t)(slash - path))
                 : fathom__copy_string(&in->folder, ".");
}

static int detect(const struct fathom__format **out, const struct fathom__import *in, const char *path) {
    for (size_t i = 0; i < FORMATS; i++) {
        if (!formats[i]->detect(in)) continue;
        *out = formats[i];
        return 0;
    }
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: holds no dictionary that is known; " FORMAT_NAMES " is read", path);
}

/* The folder's own name, with the file's where one was named. */
static int name_import(struct fathom__import *in) {
    const char *slash = strrchr(in->folder, '/'), *folder = slash ? slash + 1 : in->folder;
    return in->file ? fathom__import_text(&in->info.name, in, "%s/%s", folder, in->file)
                    : fathom__import_text(&in->info.name, in, "%s", folder);
}

static int write_native(struct fathom__import *in, const char *path) {
    char *training = NULL;
    json_t *record = json_pack("{s:{s:s, s:o, s:O}}", "import", "from", in->from, "config",
                               in->config ? json_incref(in->config) : json_null(), "changes", in->changes);
    int status = record ? fathom__json_text(&training, record, false) : fathom__fail_memory(0);
    json_decref(record);
    if (status) return status;
    in->info.training = training;
    in->info.group_sizes = in->group_sizes;
    in->info.layers = in->layers;
    in->info.max_norm = INFINITY;
    const struct fathom_dictionary_parts parts = {
        .info = in->info,
        .encoder = in->encoder,
        .encoder_bias = in->encoder_bias,
        .decoder = in->decoder,
        .decoder_bias = in->decoder_bias,
        .threshold = in->threshold,
        .gate_bias = in->gate_bias,
        .magnitude_scale = in->magnitude_scale,
        .skip = in->skip,
    };
    status = fathom_dictionary_write(path, &parts, in->options->dtype ? in->options->dtype : "f32");
    fathom_free(training);
    return status ? fathom__wrap(status, "%s", in->folder) : 0;
}

static void close_import(struct fathom__import *in) {
    fathom__source_close(&in->source);
    json_decref(in->config);
    json_decref(in->changes);
    for (size_t i = 0; i < in->n_texts; i++)
        fathom_free(in->texts[i]);
    float *const arrays[] = {in->encoder,   in->encoder_bias, in->decoder,         in->decoder_bias,
                             in->threshold, in->gate_bias,    in->magnitude_scale, in->skip};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        fathom_free(arrays[i]);
    fathom_free(in->group_sizes);
    fathom_free(in->layers);
    fathom_free(in->texts);
    fathom_free(in->config_path);
    fathom_free(in->folder);
    fathom_free(in->file);
}

int fathom_dictionary_import(const char *native_path, const char *path, const struct fathom_import_options *options) {
    static const struct fathom_import_options nothing = {0};
    struct fathom__import in = {.options = options ? options : &nothing};
    const struct fathom__format *format = NULL;
    in.info = (struct fathom_dictionary_info){.model_name = "", .model_identity = "", .input_scale = 1};
    in.changes = json_array();
    int status = in.changes ? 0 : fathom__fail_memory(0);
    if (!status && in.options->format) status = find_format(&format, in.options->format);
    if (!status) status = split_path(&in, path);
    if (!status && !format) status = detect(&format, &in, path);
    if (!status) status = name_import(&in);
    if (!status) {
        in.from = format->info.name;
        status = format->read(&in);
    }
    if (!status && in.options->model) in.info.model_name = in.options->model;
    if (!status) status = write_native(&in, native_path);
    close_import(&in);
    return status;
}

int fathom_dictionary_export(const char *folder, const fathom_dictionary *dictionary, const char *format_name) {
    const struct fathom__format *format = NULL;
    int status = find_format(&format, format_name);
    if (!status && !format->write)
        status = fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "format \"%s\" is read only; saelens, gemma-scope, gemma-scope-2, sparsify, dictionary-learning, openmoss, "
            "openai and circuit-tracer are written",
            format_name);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    if (!status && info->n_layers && !format->writes_layers)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                              "%s: %s has no cross-layer transcoders; circuit-tracer, gemma-scope-2 and openmoss have",
                              info->path, format_name);
    if (status) return status;
    status = format->write(folder, dictionary);
    if (status) rmdir(folder); /* where it was made for this and nothing is in it */
    return status;
}
