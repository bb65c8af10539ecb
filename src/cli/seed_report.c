#include "seed_report.h"
#include "stability_file.h"
#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <fathom/stability.h>

static json_t *figures_json(const struct fathom_stability_figures *figures) {
    return json_pack("{s:f, s:f, s:f, s:f}", "mean", figures->mean, "median", figures->median, "above_0.7",
                     figures->similar, "above_0.9", figures->same);
}

/* The file has every feature; what is printed and written down about the run has the figures alone. */
static int write_file(const struct train_request *request, size_t first, size_t self,
                      const struct fathom_stability *stability, const json_t *summary) {
    char *name = NULL;
    int status = stability_file_path(&name, request->dictionaries[first + self].path);
    if (status) return status;
    json_t *json = json_deep_copy(summary), *best = json_array(), *others = json_array();
    for (uint32_t f = 0; f < stability->n_features; f++)
        json_array_append_new(best, json_real((double)stability->best[f]));
    for (size_t i = 0; i < request->n_seeds; i++)
        if (i != self) json_array_append_new(others, json_string(request->dictionaries[first + i].path));
    json_object_set_new(json, "others", others);
    json_object_set_new(json, "best_cosine", best);
    status = fathom__json_write(name, json);
    json_decref(json);
    fathom_free(name);
    return status;
}

static int report_group(json_t *array, const struct train_request *request, size_t first) {
    fathom_dictionary *dictionaries[TRAIN_DICTIONARIES] = {NULL};
    struct fathom_stability found[TRAIN_DICTIONARIES] = {{0}};
    const size_t n = request->n_seeds;
    int status = 0;
    for (size_t i = 0; i < n && !status; i++)
        status = fathom_dictionary_open(&dictionaries[i], request->dictionaries[first + i].path);
    if (!status)
        status =
            fathom_stability_measure(found, (const fathom_dictionary *const *)dictionaries, n, request->run.n_threads);
    for (size_t i = 0; i < n && !status; i++) {
        const struct fathom_train_dictionary *d = &request->dictionaries[first + i];
        json_t *json = json_pack("{s:s, s:I, s:I, s:o, s:o}", "path", d->path, "seed", (json_int_t)d->options.seed,
                                 "features", (json_int_t)found[i].n_features, "best_cosine_in_every_other_seed",
                                 figures_json(&found[i].features), "random_directions", figures_json(&found[i].random));
        status = write_file(request, first, i, &found[i], json);
        json_array_append_new(array, json);
    }
    for (size_t i = 0; i < n; i++) {
        fathom_free(found[i].best);
        fathom_dictionary_close(dictionaries[i]);
    }
    return status;
}

int seed_report(json_t **out, const struct train_request *request) {
    json_t *array = json_array();
    int status = 0;
    for (size_t first = 0; first < request->n_dictionaries && !status; first += request->n_seeds)
        status = report_group(array, request, first);
    if (status)
        json_decref(array);
    else
        *out = array;
    return status;
}

static void print_figures(const char *name, const json_t *figures) {
    printf("    %-18s mean %.3f, median %.3f; above 0.7: %5.1f %%, above 0.9: %5.1f %%\n", name,
           json_number_value(json_object_get(figures, "mean")), json_number_value(json_object_get(figures, "median")),
           100 * json_number_value(json_object_get(figures, "above_0.7")),
           100 * json_number_value(json_object_get(figures, "above_0.9")));
}

void seed_report_print(const json_t *report) {
    size_t i;
    const json_t *one;
    printf("which features come back from every other seed (best decoder cosine):\n");
    json_array_foreach (report, i, one) {
        printf("  %s\n", json_string_value(json_object_get(one, "path")));
        print_figures("features", json_object_get(one, "best_cosine_in_every_other_seed"));
        print_figures("random directions", json_object_get(one, "random_directions"));
    }
}
