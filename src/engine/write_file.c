/* The corpus on disk: whole lines only, in a part file that an interrupted run leaves to the next. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "engine/write_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A corpus holds no more; a seed further away than this belongs to another. */
#define MOST_DOCUMENTS (1u << 31)

struct fathom__write_file {
    FILE *stream;
    char *path, *part;
    uint64_t *seen; /* hash table of texts' hashes, 0 for empty */
    size_t n_seen, capacity;
};

static uint64_t text_hash(const char *text) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash ? hash : 1;
}

static bool put_hash(uint64_t *table, size_t capacity, uint64_t hash) {
    size_t at = hash & (capacity - 1);
    for (; table[at]; at = (at + 1) & (capacity - 1))
        if (table[at] == hash) return false;
    table[at] = hash;
    return true;
}

/* *added is false when the text was there. */
static int remember_text(bool *added, fathom__write_file *file, const char *text) {
    if (2 * (file->n_seen + 1) > file->capacity) {
        const size_t capacity = file->capacity ? 2 * file->capacity : 1024;
        uint64_t *table = NULL;
        const int status = fathom__alloc(&table, capacity, sizeof *table);
        if (status) return status;
        for (size_t i = 0; i < file->capacity; i++)
            if (file->seen[i]) put_hash(table, capacity, file->seen[i]);
        fathom_free(file->seen);
        file->seen = table;
        file->capacity = capacity;
    }
    *added = put_hash(file->seen, file->capacity, text_hash(text));
    file->n_seen += *added;
    return FATHOM_OK;
}

struct continuing {
    fathom__write_file *file;
    const fathom_model *model;
    struct fathom_write_counts *counts;
    uint64_t seed, *next;
    size_t line;
};

static int read_line(struct continuing *c, const char *line, size_t length) {
    char where[64];
    json_t *object = NULL;
    const char *text = NULL;
    int64_t seed = 0;
    int32_t *tokens = NULL;
    size_t n = 0;
    bool added = false;
    snprintf(where, sizeof where, "line %zu", ++c->line);
    int status = fathom__json_parse(&object, line, length, where);
    if (!status) status = fathom__json_get_string(&text, object, "text", true, where);
    if (!status) status = fathom__json_get_integer(&seed, object, "seed", 0, INT64_MAX, true, where);
    if (!status && ((uint64_t)seed < c->seed + *c->next || (uint64_t)seed - c->seed > MOST_DOCUMENTS)) {
        status = fathom__fail(FATHOM_ERROR_MISMATCH,
                              "%s: its seed %lld does not continue a corpus that began with seed %llu", where,
                              (long long)seed, (unsigned long long)c->seed);
    }
    if (!status) status = remember_text(&added, c->file, text);
    if (!status) status = fathom_tokenize(&tokens, &n, c->model, text, strlen(text), false, false);
    if (!status) {
        *c->next = (uint64_t)seed - c->seed + 1;
        c->counts->continued++;
        c->counts->documents++;
        c->counts->tokens += n;
    }
    fathom_free(tokens);
    json_decref(object);
    return status ? fathom__wrap(status, "%s", c->file->part) : FATHOM_OK;
}

/* Reads the lines of an interrupted run; a last line without its end was not finished and is cut off. */
static int read_part(struct continuing *c) {
    char *line = NULL;
    size_t capacity = 0;
    long whole = 0;
    int status = FATHOM_OK;
    for (ssize_t length; !status && (length = getline(&line, &capacity, c->file->stream)) > 0;) {
        if (line[length - 1] != '\n') break;
        status = read_line(c, line, (size_t)length);
        whole = ftell(c->file->stream);
    }
    free(line);
    if (status) return status;
    if (fflush(c->file->stream) != 0 || ftruncate(fileno(c->file->stream), whole) != 0 ||
        fseek(c->file->stream, whole, SEEK_SET) != 0)
        return fathom__fail_errno(c->file->part, "continue");
    return FATHOM_OK;
}

int fathom__write_file_open(fathom__write_file **out, uint64_t *next, struct fathom_write_counts *counts,
                            const char *path, const fathom_model *model, uint64_t seed) {
    fathom__write_file *file = NULL;
    struct continuing continuing = {.model = model, .counts = counts, .seed = seed, .next = next};
    int status = fathom__alloc(&file, 1, sizeof *file);
    if (status) return status;
    *next = 0;
    status = fathom__copy_string(&file->path, path);
    if (!status) status = fathom__format(&file->part, "%s.part", path);
    if (!status) {
        file->stream = fopen(file->part, "r+");
        const bool continues = file->stream != NULL;
        if (!continues && errno == ENOENT) file->stream = fopen(file->part, "w");
        continuing.file = file;
        if (!file->stream)
            status = fathom__fail_errno(file->part, "write");
        else if (continues)
            status = read_part(&continuing);
    }
    if (status) {
        fathom__write_file_close(file);
        return status;
    }
    *out = file;
    return FATHOM_OK;
}

int fathom__write_file_add(bool *duplicate, fathom__write_file *file, const char *text, const char *topic,
                           uint64_t seed) {
    bool added = false;
    int status = remember_text(&added, file, text);
    *duplicate = !added;
    if (status || !added) return status;
    json_t *line = json_pack("{s:s, s:s, s:I}", "text", text, "topic", topic, "seed", (json_int_t)seed);
    if (!line) return fathom__fail(FATHOM_ERROR_FORMAT, "topic \"%s\": UTF-8 is expected", topic);
    errno = 0;
    if (json_dumpf(line, file->stream, JSON_COMPACT) != 0 || fputc('\n', file->stream) == EOF ||
        fflush(file->stream) != 0)
        status = fathom__fail_errno(file->part, "write");
    json_decref(line);
    return status;
}

int fathom__write_file_finish(fathom__write_file *file) {
    const int closed = fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0 ? 0 : -1;
    if (closed != 0) return fathom__fail_errno(file->part, "write");
    if (rename(file->part, file->path) != 0) return fathom__fail_errno(file->path, "write");
    return FATHOM_OK;
}

void fathom__write_file_close(fathom__write_file *file) {
    if (!file) return;
    if (file->stream) fclose(file->stream);
    fathom_free(file->seen);
    fathom_free(file->part);
    fathom_free(file->path);
    fathom_free(file);
}
