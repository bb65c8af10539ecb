#include "stability_file.h"
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>

#define BEST "best_cosine"

int stability_file_path(char **out, const char *dictionary_path) {
    return fathom__format(out, "%.*s.stability.json", (int)fathom__stem_length(dictionary_path), dictionary_path);
}

static int read_file(json_t **out, const char *path, uint32_t n_features, uint32_t feature) {
    json_t *file = NULL;
    double median = 0, random = 0;
    int status = fathom__json_load(&file, path);
    const json_t *best = json_object_get(file, BEST), *cosine = json_array_get(best, feature);
    if (!status && (json_array_size(best) != n_features || !json_is_number(cosine)))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: " BEST ": %u numbers are expected", path, n_features);
    if (!status)
        status = fathom__json_get_number(&median, json_object_get(file, "best_cosine_in_every_other_seed"), "median",
                                         true, path);
    if (!status)
        status = fathom__json_get_number(&random, json_object_get(file, "random_directions"), "mean", true, path);
    if (!status) {
        *out = json_pack("{s:f, s:f, s:f, s:I}", BEST, json_number_value(cosine), "median", median, "random_directions",
                         random, "other_seeds", (json_int_t)json_array_size(json_object_get(file, "others")));
        if (!*out) status = fathom__fail_memory(0);
    }
    json_decref(file);
    return status;
}

int stability_file_read(json_t **out, const fathom_dictionary *dictionary, uint32_t feature) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    char *path = NULL;
    *out = NULL;
    int status = stability_file_path(&path, info->path);
    if (!status && fathom__file_exists(path)) status = read_file(out, path, info->n_features, feature);
    fathom_free(path);
    return status;
}

void stability_file_print(const json_t *stability) {
    printf(
        "  comes back from all of %d other seeds with a decoder cosine of %.2f or more (median of all features %.2f, "
        "random directions %.2f)\n",
        (int)json_integer_value(json_object_get(stability, "other_seeds")),
        json_number_value(json_object_get(stability, BEST)), json_number_value(json_object_get(stability, "median")),
        json_number_value(json_object_get(stability, "random_directions")));
}
