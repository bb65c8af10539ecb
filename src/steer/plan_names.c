/* Dictionaries, features, probes and directions that the text of a plan names. */
#include "base/error.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "steer/plan_text.h"
#include <string.h>

void fathom__plan_names_free(struct fathom__plan_names *names) {
    for (size_t i = 0; i < names->n; i++) {
        if (names->dictionaries[i].owns_catalogue) {
            fathom_catalogue_close(names->dictionaries[i].catalogue);
        }
        fathom_free(names->dictionaries[i].measures);
    }
    fathom_free(names->dictionaries);
}

/* Opens a dictionary that the plan then owns. */
static int open_dictionary(const fathom_dictionary **out, fathom_steer *plan, const char *path) {
    char *found = NULL;
    fathom_dictionary *dictionary = NULL;
    int status = fathom_locate_dictionary(&found, plan->model, path);
    if (status == FATHOM_OK) {
        status =
            fathom__grow(&plan->dictionaries, &plan->dictionary_capacity, plan->n_dictionaries + 1, sizeof(void *));
    }
    if (status == FATHOM_OK) {
        status = fathom_dictionary_open(&dictionary, found);
    }
    if (status == FATHOM_OK) {
        plan->dictionaries[plan->n_dictionaries++] = dictionary;
        *out = dictionary;
    }
    fathom_free(found);
    return status;
}

int fathom__name_dictionary(struct fathom__named_dictionary **out, struct fathom__plan_names *names, const char *path) {
    struct fathom__named_dictionary named = {.path = path};
    for (size_t i = 0; i < names->n; i++) {
        const char *other = names->dictionaries[i].path;
        if (path == NULL ? other == NULL : other != NULL && strcmp(path, other) == 0) {
            *out = &names->dictionaries[i];
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&names->dictionaries, &names->capacity, names->n + 1, sizeof *names->dictionaries);
    if (status == FATHOM_OK && path == NULL && names->context->dictionary != NULL) {
        named.dictionary = names->context->dictionary;
        named.catalogue = names->context->catalogue;
        named.looked = named.catalogue != NULL;
    } else if (status == FATHOM_OK) {
        status = open_dictionary(&named.dictionary, names->plan, path);
    }
    if (status == FATHOM_OK) {
        *out = &names->dictionaries[names->n++];
        **out = named;
    }
    return status;
}

/* Its catalogue, where there is one. */
static int look_for_catalogue(struct fathom__named_dictionary *named) {
    char *path = NULL;
    if (named->looked) {
        return FATHOM_OK;
    }
    named->looked = true;
    int status = fathom_locate_catalogue(&path, named->dictionary, NULL);
    if (status == FATHOM_ERROR_NOT_FOUND) {
        return FATHOM_OK;
    }
    if (status == FATHOM_OK) {
        status = fathom_catalogue_open(&named->catalogue, path, named->dictionary);
        named->owns_catalogue = status == FATHOM_OK;
    }
    fathom_free(path);
    return status;
}

int fathom__name_feature(uint32_t *out, struct fathom__plan_names *names, struct fathom__named_dictionary *dictionary,
                         const char *words) {
    (void)names;
    struct fathom_hit hit;
    size_t n = 0;
    int status = look_for_catalogue(dictionary);
    if (status == FATHOM_OK && dictionary->catalogue == NULL) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND,
                            "\"%s\": %s has no catalogue, so that its features are told by number only", words,
                            fathom_dictionary_describe(dictionary->dictionary)->path);
    }
    if (status == FATHOM_OK) {
        status = fathom_catalogue_search_words(&hit, &n, 1, dictionary->catalogue, words);
    }
    if (status == FATHOM_OK && n == 0) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "\"%s\": no feature has these words in its label or its tokens",
                            words);
    }
    *out = n > 0 ? hit.feature : 0;
    return status;
}

int fathom__name_maximum(float *out, struct fathom__plan_names *names, struct fathom__named_dictionary *dictionary,
                         uint32_t feature) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary->dictionary);
    if (feature >= info->n_features) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path, info->n_features - 1,
                            feature);
    }
    int status = look_for_catalogue(dictionary);
    if (status == FATHOM_OK && dictionary->catalogue == NULL && dictionary->measures == NULL) {
        status = fathom_feature_measure_all(&dictionary->measures, dictionary->dictionary, names->plan->model, NULL);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    *out = dictionary->catalogue != NULL ? fathom_catalogue_feature(dictionary->catalogue, feature)->max_activation
                                         : dictionary->measures[feature].maximum;
    if (!(*out > 0)) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "feature %u never fired on %s: there is no maximum to steer by",
                            feature,
                            dictionary->catalogue != NULL ? "the catalogue's corpus"
                                                          : "a few sentences (there is no "
                                                            "catalogue)");
    }
    return FATHOM_OK;
}

int fathom__name_probe(const fathom_probe **out, struct fathom__plan_names *names, const char *path) {
    fathom_steer *plan = names->plan;
    fathom_probe *probe = NULL;
    for (size_t i = 0; i < plan->n_probes; i++) {
        if (strcmp(fathom_probe_describe(plan->probes[i])->path, path) == 0) {
            *out = plan->probes[i];
            return FATHOM_OK;
        }
    }
    int status = fathom__grow(&plan->probes, &plan->probe_capacity, plan->n_probes + 1, sizeof(void *));
    if (status == FATHOM_OK) {
        status = fathom_probe_open(&probe, path);
    }
    if (status == FATHOM_OK) {
        plan->probes[plan->n_probes++] = probe;
        *out = probe;
    }
    return status;
}

/* The hook points that a direction's file was written for. */
static int own_range(struct fathom_hook *first, struct fathom_hook *last, const fathom_model *model, const char *path) {
    fathom__safetensors *file = NULL;
    int status = fathom__safetensors_open(&file, path);
    if (status != FATHOM_OK) {
        return status;
    }
    const char *names[2] = {fathom__safetensors_metadata(file, "first_hook"),
                            fathom__safetensors_metadata(file, "last_hook")};
    if (names[0] == NULL || names[1] == NULL) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: does not say its layers: name them", path);
    }
    if (status == FATHOM_OK) {
        status = fathom_hook_parse(first, model, names[0]);
    }
    if (status == FATHOM_OK) {
        status = fathom_hook_parse(last, model, names[1]);
    }
    if (status == FATHOM_OK && first->kind != last->kind) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"first_hook\" and \"last_hook\" are of two kinds", path);
    }
    fathom__safetensors_close(file);
    return status;
}

int fathom__name_direction(struct fathom_direction *out, const struct fathom__plan_names *names, const char *path,
                           int32_t first, int32_t last) {
    const fathom_model *model = names->plan->model;
    struct fathom_hook from = {FATHOM_HOOK_RESID_POST, first};
    struct fathom_hook to = {FATHOM_HOOK_RESID_POST, last};
    int status = own_range(&from, &to, model, path);
    if (status == FATHOM_ERROR_FORMAT && first >= 0) {
        from = (struct fathom_hook){FATHOM_HOOK_RESID_POST, first};
        to = (struct fathom_hook){FATHOM_HOOK_RESID_POST, last};
        status = FATHOM_OK;
    }
    return status == FATHOM_OK ? fathom_direction_open(out, model, path, from.kind, from.layer, to.layer, NULL)
                               : status;
}
