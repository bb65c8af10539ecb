/* The sources of a crosscoder in the native file. */
#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <fathom/trainer.h>
#include <math.h>

#define KEY FATHOM__DICTIONARY_KEY "sources"

static int read_source(struct fathom_dictionary_source *out, const json_t *json, uint32_t d_in, const char *where) {
    int64_t width = 0;
    double scale = 0;
    int status = fathom__json_get_string(&out->hook, json, "hook", true, where);
    if (!status) status = fathom__json_get_string(&out->model_identity, json, "model_identity", true, where);
    if (!status) status = fathom__json_get_string(&out->model_name, json, "model_name", true, where);
    if (!status) status = fathom__json_get_integer(&width, json, "width", 1, d_in, true, where);
    if (!status) status = fathom__json_get_number(&scale, json, "scale", true, where);
    if (!status && (!(scale > 0) || !isfinite((float)scale)))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: scale is %g; a number above 0 is expected", where, scale);
    out->width = (uint32_t)width;
    out->scale = (float)scale;
    return status;
}

int fathom__dictionary_read_sources(fathom_dictionary *dictionary) {
    struct fathom_dictionary_info *info = &dictionary->info;
    const char *text = NULL;
    char *where = NULL;
    uint64_t sum = 0;
    int status = fathom__gguf_string(&text, dictionary->file, KEY, false);
    if (status || !text) return status;
    status = fathom__format(&where, "%s: " KEY, info->path);
    if (!status) status = fathom__json_parse(&dictionary->sources_text, text, strlen(text), where);
    const size_t n = status ? 0 : json_array_size(dictionary->sources_text);
    if (!status && (n < 2 || n > FATHOM_TRAIN_SOURCES))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: an array of 2 to %d is expected", where, FATHOM_TRAIN_SOURCES);
    if (!status) status = fathom__alloc(&dictionary->sources, n, sizeof *dictionary->sources);
    for (size_t s = 0; s < n && !status; s++) {
        status = read_source(&dictionary->sources[s], json_array_get(dictionary->sources_text, s), info->d_in, where);
        sum += dictionary->sources[s].width;
    }
    if (!status && (sum != info->d_in || sum != info->d_out))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: widths of %llu together; d_in and d_out are %u and %u", where,
                              (unsigned long long)sum, info->d_in, info->d_out);
    info->sources = dictionary->sources;
    info->n_sources = status ? 0 : (uint32_t)n;
    fathom_free(where);
    return status;
}

static int check_sources(const struct fathom_dictionary_info *info) {
    uint64_t sum = 0;
    for (uint32_t s = 0; s < info->n_sources; s++) {
        const struct fathom_dictionary_source *source = &info->sources[s];
        if (!source->hook || !source->model_identity || !source->model_name || !(source->scale > 0))
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "dictionary: source %u needs a hook, a model and a scale above 0", s);
        sum += source->width;
    }
    if (info->n_sources < 2 || sum != info->d_in || sum != info->d_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "dictionary: %u sources of width %llu together; two or more, of d_in (%u) together, are "
                            "expected",
                            info->n_sources, (unsigned long long)sum, info->d_in);
    return 0;
}

int fathom__dictionary_put_sources(fathom__gguf_writer *writer, const struct fathom_dictionary_info *info) {
    char *text = NULL;
    if (info->n_sources == 0) return 0;
    int status = check_sources(info);
    if (status) return status;
    json_t *array = json_array();
    for (uint32_t s = 0; s < info->n_sources; s++) {
        const struct fathom_dictionary_source *source = &info->sources[s];
        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:i, s:f}", "hook", source->hook, "model_identity",
                                               source->model_identity, "model_name", source->model_name, "width",
                                               (int)source->width, "scale", (double)source->scale));
    }
    status = fathom__json_text(&text, array, false);
    json_decref(array);
    if (!status) status = fathom__gguf_put_string(writer, KEY, text);
    fathom_free(text);
    return status;
}
