#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <fathom/cache.h>
#include <fathom/model.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_DEPTH = 32 };

struct fathom_cache {
    struct fathom_cache_entry *entries; /* names and paths are owned */
    size_t n, capacity;
};

const char *fathom_cache_kind_name(enum fathom_cache_kind kind) {
    static const char *const names[] = {"model",  "copy",   "dictionary", "catalogue",
                                        "record", "engine", "tools",      "leftover"};
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

static bool ends_with(const char *text, const char *ending) {
    const size_t length = strlen(text), n = strlen(ending);
    return length >= n && strcmp(text + length - n, ending) == 0;
}

static int not_dots(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Bytes of a file, or of all files below a folder; links are not followed. */
static uint64_t bytes_below(const char *path, int depth) {
    struct stat about;
    struct dirent **entries;
    uint64_t bytes = 0;
    if (lstat(path, &about) != 0) return 0;
    if (!S_ISDIR(about.st_mode)) return (uint64_t)about.st_size;
    const int n = depth < MOST_DEPTH ? scandir(path, &entries, not_dots, NULL) : -1;
    for (int i = 0; i < n; i++) {
        char *below = NULL;
        if (fathom__path_join(&below, path, entries[i]->d_name) == FATHOM_OK) bytes += bytes_below(below, depth + 1);
        fathom_free(below);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return bytes;
}

static int remove_below(const char *path, int depth) {
    struct stat about;
    struct dirent **entries;
    int status = FATHOM_OK;
    if (lstat(path, &about) != 0) return fathom__fail_errno(path, "remove");
    const int n = S_ISDIR(about.st_mode) && depth < MOST_DEPTH ? scandir(path, &entries, not_dots, NULL) : -1;
    for (int i = 0; i < n; i++) {
        char *below = NULL;
        if (status == FATHOM_OK) status = fathom__path_join(&below, path, entries[i]->d_name);
        if (status == FATHOM_OK) status = remove_below(below, depth + 1);
        fathom_free(below);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    if (status == FATHOM_OK && remove(path) != 0) status = fathom__fail_errno(path, "remove");
    return status;
}

static int add(fathom_cache *cache, enum fathom_cache_kind kind, const char *root, const char *name) {
    struct fathom_cache_entry entry = {.kind = kind};
    char *copy = NULL, *path = NULL;
    int status = fathom__grow(&cache->entries, &cache->capacity, cache->n + 1, sizeof *cache->entries);
    if (status == FATHOM_OK) status = fathom__copy_string(&copy, name);
    if (status == FATHOM_OK) status = fathom__path_join(&path, root, name);
    if (status != FATHOM_OK) {
        fathom_free(copy);
        return status;
    }
    entry.name = copy;
    entry.path = path;
    entry.bytes = bytes_below(path, 0);
    cache->entries[cache->n++] = entry;
    return FATHOM_OK;
}

/* Names that only unfinished work has: writers' temporary files, fetches and engine builds. */
static bool is_leftover(const char *name) {
    return ends_with(name, ".part") || strncmp(name, "fetch.", strlen("fetch.")) == 0 ||
           strncmp(name, "build.", strlen("build.")) == 0;
}

#define DATABASE ".sqlite"
/* Files that SQLite keeps beside a database belong to it: they are not listed, and go with it. */
static const char *const beside_database[] = {"-wal", "-shm", "-journal"};
enum { N_BESIDE = sizeof beside_database / sizeof beside_database[0] };

static bool is_beside_database(const char *name) {
    for (size_t i = 0; i < N_BESIDE; i++) {
        if (ends_with(name, beside_database[i])) return true;
    }
    return false;
}

/* Adds what lies in a folder below a root. */
static int add_folder(fathom_cache *cache, enum fathom_cache_kind kind, const char *root, const char *folder) {
    char *path = NULL;
    struct dirent **entries;
    int status = fathom__path_join(&path, root, folder);
    if (status != FATHOM_OK) return status;
    const int n = scandir(path, &entries, not_dots, alphasort);
    for (int i = 0; i < n; i++) {
        char *name = NULL;
        const char *leaf = entries[i]->d_name;
        if (status == FATHOM_OK && strcmp(leaf, "lock") != 0 && !is_beside_database(leaf)) {
            status = fathom__path_join(&name, folder, leaf);
            if (status == FATHOM_OK) status = add(cache, is_leftover(leaf) ? FATHOM_CACHE_LEFTOVER : kind, root, name);
        }
        fathom_free(name);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    fathom_free(path);
    return status;
}

/* What lies in one place of the data folder: a folder of a model or of a server, or a file of its own. */
static int add_place(fathom_cache *cache, const char *root, const char *name) {
    struct stat about;
    char *path = NULL;
    int status = fathom__path_join(&path, root, name);
    if (status != FATHOM_OK) return status;
    if (lstat(path, &about) == 0) {
        if (S_ISDIR(about.st_mode))
            status = add_folder(cache, FATHOM_CACHE_RECORD, root, name);
        else if (!is_beside_database(name))
            status = add(cache, is_leftover(name) ? FATHOM_CACHE_LEFTOVER : FATHOM_CACHE_RECORD, root, name);
    }
    fathom_free(path);
    return status;
}

/* The user's own artefacts: dictionaries and catalogues are told by their names, and lie in folders; the rest is what
 * runs and jobs recorded. */
static int add_data(fathom_cache *cache, const char *root) {
    struct dirent **places;
    int status = FATHOM_OK;
    const int n = scandir(root, &places, not_dots, alphasort);
    for (int i = 0; i < n; i++) {
        if (status == FATHOM_OK) status = add_place(cache, root, places[i]->d_name);
        free(places[i]);
    }
    if (n >= 0) free(places);
    for (size_t i = 0; i < cache->n; i++) {
        struct fathom_cache_entry *entry = &cache->entries[i];
        if (entry->kind != FATHOM_CACHE_RECORD || strchr(entry->name, '/') == NULL) continue;
        if (ends_with(entry->name, ".gguf")) entry->kind = FATHOM_CACHE_DICTIONARY;
        if (ends_with(entry->name, DATABASE)) entry->kind = FATHOM_CACHE_CATALOGUE;
    }
    return status;
}

static int by_kind_and_name(const void *left, const void *right) {
    const struct fathom_cache_entry *a = left, *b = right;
    return a->kind != b->kind ? (a->kind > b->kind) - (a->kind < b->kind) : strcmp(a->name, b->name);
}

int fathom_cache_open(fathom_cache **out) {
    static const struct {
        enum fathom_cache_kind kind;
        const char *folder;
    } folders[] = {{FATHOM_CACHE_MODEL, "models"},
                   {FATHOM_CACHE_COPY, "derived"},
                   {FATHOM_CACHE_COPY, "maps"},
                   {FATHOM_CACHE_ENGINE, "engine"}};
    fathom_cache *cache = NULL;
    static const struct {
        enum fathom_cache_kind kind;
        const char *name;
    } single[] = {{FATHOM_CACHE_TOOLS, "python"}, {FATHOM_CACHE_TOOLS, "peers"}, {FATHOM_CACHE_LEFTOVER, "identity"}};
    char *root = NULL, *data = NULL;
    int status = fathom__alloc(&cache, 1, sizeof *cache);
    if (status == FATHOM_OK) status = fathom__cache_path(&root, NULL);
    if (status == FATHOM_OK) status = fathom__data_path(&data, NULL);
    for (size_t i = 0; status == FATHOM_OK && i < sizeof folders / sizeof folders[0]; i++) {
        status = add_folder(cache, folders[i].kind, root, folders[i].folder);
    }
    if (status == FATHOM_OK) status = add_data(cache, data);
    for (size_t i = 0; status == FATHOM_OK && i < sizeof single / sizeof single[0]; i++) {
        char *path = NULL;
        status = fathom__path_join(&path, root, single[i].name);
        if (status == FATHOM_OK && fathom__file_exists(path)) status = add(cache, single[i].kind, root, single[i].name);
        fathom_free(path);
    }
    fathom_free(root);
    fathom_free(data);
    if (status != FATHOM_OK) {
        fathom_cache_close(cache);
        return status;
    }
    if (cache->n > 0) qsort(cache->entries, cache->n, sizeof *cache->entries, by_kind_and_name);
    *out = cache;
    return FATHOM_OK;
}

void fathom_cache_close(fathom_cache *cache) {
    if (cache == NULL) return;
    for (size_t i = 0; i < cache->n; i++) {
        fathom_free((void *)(uintptr_t)cache->entries[i].name);
        fathom_free((void *)(uintptr_t)cache->entries[i].path);
    }
    fathom_free(cache->entries);
    fathom_free(cache);
}

const struct fathom_cache_entry *fathom_cache_entries(size_t *n, const fathom_cache *cache) {
    *n = cache->n;
    return cache->entries;
}

static int remove_entry(const struct fathom_cache_entry *entry) {
    int status = remove_below(entry->path, 0);
    const size_t n_beside = ends_with(entry->path, DATABASE) ? N_BESIDE : 0;
    for (size_t i = 0; status == FATHOM_OK && i < n_beside; i++) {
        char *beside = NULL;
        status = fathom__format(&beside, "%s%s", entry->path, beside_database[i]);
        if (status == FATHOM_OK && fathom__file_exists(beside)) status = remove_below(beside, 0);
        fathom_free(beside);
    }
    return status;
}

int fathom_cache_remove(const fathom_cache *cache, const char *name) {
    for (size_t i = 0; i < cache->n; i++) {
        if (strcmp(cache->entries[i].name, name) == 0) return remove_entry(&cache->entries[i]);
    }
    return fathom__fail(FATHOM_ERROR_NOT_FOUND, "nothing called \"%s\" is kept: `fathom cache` lists the names", name);
}
