#include "server/map_file.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include <string.h>

/* Another number whenever maps are made in another way: what was made before is then not found. */
enum { VERSION = 1, DIGITS = 33, MOST_BYTES = 1 << 30 };

static const char magic[8] = "fth-map";

/* Of this machine, for this machine: numbers are as they lie in memory. Then x and y, and the hash of all before. */
struct head {
    char magic[8];
    uint64_t n, n_nearest;
    double kept, kept_by_components, kept_by_chance;
};

int fathom__map_path(char **out, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const uint32_t version = VERSION;
    fathom__hash *hash = NULL;
    float *direction = NULL;
    char name[sizeof "maps/" + DIGITS], digits[DIGITS];
    int status = fathom__alloc(&direction, info->d_out, sizeof *direction);
    if (!status) status = fathom__hash_open(&hash);
    if (!status) fathom__hash_add(hash, &version, sizeof version);
    for (uint32_t i = 0; i < info->n_features && !status; i++) {
        status = fathom_dictionary_trained_direction(direction, dictionary, i);
        if (!status) fathom__hash_add(hash, direction, info->d_out * sizeof *direction);
    }
    if (!status) {
        fathom__hash_text(digits, hash);
        snprintf(name, sizeof name, "maps/%s", digits);
        status = fathom__cache_path(out, name);
    }
    if (hash) fathom__hash_close(hash);
    fathom_free(direction);
    return status;
}

static int hash_parts(char out[DIGITS], const struct head *head, const float *x, const float *y) {
    fathom__hash *hash = NULL;
    const int status = fathom__hash_open(&hash);
    if (status) return status;
    fathom__hash_add(hash, head, sizeof *head);
    fathom__hash_add(hash, x, head->n * sizeof *x);
    fathom__hash_add(hash, y, head->n * sizeof *y);
    fathom__hash_text(out, hash);
    fathom__hash_close(hash);
    return FATHOM_OK;
}

int fathom__map_write(const char *path, const struct fathom__map *map) {
    struct head head = {.n = map->n,
                        .n_nearest = map->n_nearest,
                        .kept = map->kept,
                        .kept_by_components = map->kept_by_components,
                        .kept_by_chance = map->kept_by_chance};
    struct fathom__writer writer = {0};
    char digits[DIGITS];
    memcpy(head.magic, magic, sizeof magic);
    int status = hash_parts(digits, &head, map->x, map->y);
    if (status) return status;
    status = fathom__writer_open(&writer, path);
    if (status) return status;
    status = fathom__writer_write(&writer, &head, sizeof head);
    if (!status) status = fathom__writer_write(&writer, map->x, map->n * sizeof *map->x);
    if (!status) status = fathom__writer_write(&writer, map->y, map->n * sizeof *map->y);
    if (!status) status = fathom__writer_write(&writer, digits, sizeof digits);
    if (!status) status = fathom__writer_commit(&writer);
    fathom__writer_discard(&writer);
    return status;
}

int fathom__map_read(struct fathom__map *out, const char *path, size_t n) {
    const size_t size = n * sizeof(float);
    struct head head;
    char *bytes = NULL, digits[DIGITS];
    size_t length = 0;
    *out = (struct fathom__map){.n = n};
    int status = fathom__file_read(&bytes, &length, path, MOST_BYTES);
    if (!status && length != sizeof head + 2 * size + sizeof digits)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %zu bytes are no map of %zu features", path, length, n);
    if (!status) status = fathom__alloc(&out->x, n, sizeof *out->x);
    if (!status) status = fathom__alloc(&out->y, n, sizeof *out->y);
    if (!status) {
        memcpy(&head, bytes, sizeof head);
        memcpy(out->x, bytes + sizeof head, size);
        memcpy(out->y, bytes + sizeof head + size, size);
        status = memcmp(head.magic, magic, sizeof magic) == 0 && head.n == n
                     ? hash_parts(digits, &head, out->x, out->y)
                     : fathom__fail(FATHOM_ERROR_FORMAT, "%s: no map of %zu features", path, n);
    }
    if (!status && memcmp(bytes + sizeof head + 2 * size, digits, sizeof digits) != 0)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: the map is damaged", path);
    fathom_free(bytes);
    if (status) {
        fathom__map_free(out);
        return status;
    }
    out->n_nearest = head.n_nearest;
    out->kept = head.kept;
    out->kept_by_components = head.kept_by_components;
    out->kept_by_chance = head.kept_by_chance;
    return FATHOM_OK;
}

int fathom__map_get(struct fathom__map *out, const fathom_dictionary *dictionary, uint32_t n_threads,
                    bool (*stop)(void *payload), void *payload) {
    char *path = NULL;
    /* A user without a home has no cache. */
    const bool kept = fathom__map_path(&path, dictionary) == FATHOM_OK;
    int status = FATHOM_OK;
    if (!kept || fathom__map_read(out, path, fathom_dictionary_describe(dictionary)->n_features)) {
        status = fathom__map_make(out, dictionary, n_threads, stop, payload);
        if (!status && kept) (void)fathom__map_write(path, out);
    }
    fathom_free(path);
    return status;
}
