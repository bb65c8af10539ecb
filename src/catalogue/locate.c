/* Which dictionary and catalogue belong to a model when nobody says. */
#include "catalogue/catalogue_internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <fathom/labels.h>
#include <stdlib.h>
#include <string.h>

#define DICTIONARY_FILE "dictionary.gguf"
#define CATALOGUE_FILE "catalogue.sqlite"

/* Folders that hold one folder a model, in the order in which they are searched: the environment's alone when it names
 * one. */
static size_t share_folders(const char *out[2]) {
    size_t n = 0;
    const char *named = getenv("FATHOM_SHARE");
    if (named && *named) {
        out[n++] = named;
        return n;
    }
#ifdef FATHOM_SHARE_DIR
    out[n++] = FATHOM_SHARE_DIR;
#endif
#ifdef FATHOM_INSTALLED_SHARE_DIR
    out[n++] = FATHOM_INSTALLED_SHARE_DIR;
#endif
    return n;
}

/* Calls `fits` with the path of `file` in every sub-folder that has it, in name order, until it says yes: then *out is
 * that path. */
typedef bool (*fits_fn)(const char *path, const void *payload);

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int search_folder(char **out, const char *folder, const char *file, fits_fn fits, const void *payload) {
    struct dirent **entries;
    char *path = NULL;
    const int n = scandir(folder, &entries, not_hidden, alphasort);
    int status = FATHOM_OK;
    for (int i = 0; i < n; i++) {
        if (!status && !path && !(status = fathom__format(&path, "%s/%s/%s", folder, entries[i]->d_name, file)) &&
            (!fathom__file_exists(path) || !fits(path, payload))) {
            fathom_free(path);
            path = NULL;
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    *out = path;
    return status;
}

static int search_shares(char **out, const char *file, fits_fn fits, const void *payload) {
    const char *folders[2];
    const size_t n = share_folders(folders);
    int status = FATHOM_OK;
    *out = NULL;
    for (size_t i = 0; !status && !*out && i < n; i++)
        status = search_folder(out, folders[i], file, fits, payload);
    return status;
}

/* A file of the user's own for a model; *out is NULL where there is none, or no home at all. Makes no folder. */
static int search_own(char **out, const char *identity, const char *file, fits_fn fits, const void *payload) {
    char *folder = NULL, *path = NULL;
    *out = NULL;
    if (fathom__data_path(&folder, NULL)) return FATHOM_OK;
    const int status = fathom__format(&path, "%s/%s/%s", folder, identity, file);
    fathom_free(folder);
    if (status) return status;
    if (fathom__file_exists(path) && fits(path, payload))
        *out = path;
    else
        fathom_free(path);
    return FATHOM_OK;
}

static bool dictionary_fits(const char *path, const void *payload) {
    const struct fathom_model_info *model = payload;
    fathom_dictionary *dictionary;
    if (fathom_dictionary_open(&dictionary, path)) return false;
    const char *identity = fathom_dictionary_describe(dictionary)->model_identity;
    const bool fits =
        *identity && (strcmp(identity, model->source_identity) == 0 || strcmp(identity, model->identity) == 0);
    fathom_dictionary_close(dictionary);
    return fits;
}

int fathom_locate_dictionary(char **out, const fathom_model *model, const char *given) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    char *path = NULL;
    if (given) return fathom__copy_string(out, given);
    int status = search_own(&path, info->source_identity, DICTIONARY_FILE, dictionary_fits, info);
    if (!status && !path) status = search_shares(&path, DICTIONARY_FILE, dictionary_fits, info);
    if (!status && !path)
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND,
                              "no dictionary for model \"%s\": name one by --dict, or train one by `fathom train`",
                              info->name);
    if (!status) *out = path;
    return status;
}

static bool catalogue_fits(const char *path, const void *payload) {
    struct fathom__store store;
    int64_t row;
    if (fathom__store_open(&store, path, FATHOM__STORE_READ)) return false;
    const bool fits = fathom__store_dictionary(&row, &store, payload) == FATHOM_OK;
    fathom__store_close(&store);
    return fits;
}

static int beside(char **out, const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    return slash ? fathom__format(out, "%.*s/%s", (int)(slash - path), path, name) : fathom__copy_string(out, name);
}

int fathom_catalogue_default_path(char **out, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    char *name = NULL;
    int status;
    if (!*info->model_identity)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND,
                            "%s: the dictionary does not say which model it is of: name a catalogue by --catalogue",
                            info->path);
    if ((status = fathom__format(&name, "%s/" CATALOGUE_FILE, info->model_identity))) return status;
    status = fathom__data_path(out, name);
    fathom_free(name);
    return status;
}

int fathom_locate_catalogue(char **out, const fathom_dictionary *dictionary, const char *given) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    char *path = NULL;
    int status = FATHOM_OK;
    if (given) return fathom__copy_string(out, given);
    if (*info->model_identity)
        status = search_own(&path, info->model_identity, CATALOGUE_FILE, catalogue_fits, dictionary);
    if (!status && !path && !(status = beside(&path, info->path, CATALOGUE_FILE)) &&
        !(fathom__file_exists(path) && catalogue_fits(path, dictionary))) {
        fathom_free(path);
        path = NULL;
    }
    if (!status && !path) status = search_shares(&path, CATALOGUE_FILE, catalogue_fits, dictionary);
    if (!status && !path)
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND,
                              "no catalogue has dictionary \"%s\" (%s): build one by `fathom index %s --corpus FILE`",
                              info->name, info->path, info->path);
    if (!status) *out = path;
    return status;
}

static int copy_file(const char *to, const char *from) {
    struct fathom__mapping file = {0};
    int status = fathom__file_map(&file, from);
    if (!status) status = fathom__file_write(to, file.bytes, file.length);
    fathom__file_unmap(&file);
    return status;
}

int fathom_catalogue_writable(char **out, const fathom_dictionary *dictionary, const char *path) {
    const char *shared[2];
    char *own = NULL;
    bool shipped = false;
    const size_t n = share_folders(shared);
    for (size_t i = 0; i < n; i++)
        shipped |= strncmp(path, shared[i], strlen(shared[i])) == 0 && path[strlen(shared[i])] == '/';
    if (!shipped || fathom_catalogue_default_path(&own, dictionary) || fathom__file_exists(own)) {
        fathom_free(own);
        return fathom__copy_string(out, path);
    }
    const int status = copy_file(own, path);
    if (status)
        fathom_free(own);
    else
        *out = own;
    return status;
}

int fathom_locate_writable_catalogue(char **out, const fathom_dictionary *dictionary, const char *given) {
    char *path = NULL;
    int status = fathom_locate_catalogue(&path, dictionary, given);
    if (status) return status;
    if (given) {
        *out = path;
        return FATHOM_OK;
    }
    status = fathom_catalogue_writable(out, dictionary, path);
    fathom_free(path);
    return status;
}
