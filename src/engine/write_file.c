/* The corpus on disk. The part file has a line for every document in the order in which they were finished, and for a
 * dropped one what it was dropped for, so that an interrupted run loses nothing and writes nothing twice. The corpus is
 * made of it at the end, in the documents' own order: which of them are in it does not depend on who finished first. */
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "engine/write_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A corpus holds no more; a seed further away than this belongs to another. */
#define MOST_DOCUMENTS (1u << 22)

struct entry {
    uint64_t hash;
    long offset; /* of its line in the part file */
    size_t length;
    uint64_t tokens;
    enum fathom__write_verdict verdict;
    bool judged, taken; /* taken: into the corpus */
};

struct fathom__write_file {
    FILE *stream;
    char *path, *part;
    long end;
    uint64_t seed;
    struct entry *entries; /* by number */
    size_t n_entries, capacity;
    size_t in_turn; /* all before it are judged and counted */
    struct fathom_write_counts counts;
    uint64_t ahead, ahead_tokens; /* kept, but not in turn yet */
    uint64_t *seen;               /* hash table of the counted texts' hashes, 0 for empty */
    size_t n_seen, seen_capacity;
};

static const char *const verdict_names[] = {
    [FATHOM__WRITE_REPETITIVE] = "repetitive", [FATHOM__WRITE_SHORT] = "short", [FATHOM__WRITE_BROKEN] = "broken"};

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
static int remember_text(bool *added, fathom__write_file *file, uint64_t hash) {
    if (2 * (file->n_seen + 1) > file->seen_capacity) {
        const size_t capacity = file->seen_capacity ? 2 * file->seen_capacity : 1024;
        uint64_t *table = NULL;
        const int status = fathom__alloc(&table, capacity, sizeof *table);
        if (status) return status;
        for (size_t i = 0; i < file->seen_capacity; i++)
            if (file->seen[i]) put_hash(table, capacity, file->seen[i]);
        fathom_free(file->seen);
        file->seen = table;
        file->seen_capacity = capacity;
    }
    *added = put_hash(file->seen, file->seen_capacity, hash);
    file->n_seen += *added;
    return FATHOM_OK;
}

static bool is_judged(const fathom__write_file *file, uint64_t number) {
    return number < file->n_entries && file->entries[number].judged;
}

static int put_entry(fathom__write_file *file, uint64_t number, struct entry entry) {
    if (number >= MOST_DOCUMENTS)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: a corpus holds at most %u documents", file->path, MOST_DOCUMENTS);
    const int status = fathom__grow(&file->entries, &file->capacity, number + 1, sizeof *file->entries);
    if (status) return status;
    for (; file->n_entries <= number; file->n_entries++)
        file->entries[file->n_entries] = (struct entry){0};
    entry.judged = true;
    file->entries[number] = entry;
    if (entry.verdict == FATHOM__WRITE_KEPT) {
        file->ahead++;
        file->ahead_tokens += entry.tokens;
    }
    return FATHOM_OK;
}

static int read_verdict(enum fathom__write_verdict *out, const json_t *line, const char *where) {
    const char *name = NULL;
    *out = FATHOM__WRITE_KEPT;
    const int status = fathom__json_get_string(&name, line, "dropped", false, where);
    if (status || !name) return status;
    for (size_t i = 0; i < sizeof verdict_names / sizeof verdict_names[0]; i++) {
        if (!verdict_names[i] || strcmp(name, verdict_names[i]) != 0) continue;
        *out = (enum fathom__write_verdict)i;
        return FATHOM_OK;
    }
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: dropped \"%.40s\", where repetitive, short or broken is expected",
                        where, name);
}

static int read_line(fathom__write_file *file, const fathom_model *model, const char *line, size_t length,
                     const char *where) {
    json_t *object = NULL;
    const char *text = NULL;
    int64_t seed = 0;
    int32_t *tokens = NULL;
    size_t n = 0;
    struct entry entry = {.offset = file->end, .length = length};
    int status = fathom__json_parse(&object, line, length, where);
    if (!status) status = read_verdict(&entry.verdict, object, where);
    const bool kept = entry.verdict == FATHOM__WRITE_KEPT;
    if (!status) status = fathom__json_get_string(&text, object, "text", kept, where);
    if (!status) status = fathom__json_get_integer(&seed, object, "seed", 0, INT64_MAX, true, where);
    const uint64_t number = (uint64_t)seed - file->seed;
    if (!status && ((uint64_t)seed < file->seed || number >= MOST_DOCUMENTS || is_judged(file, number)))
        status = fathom__fail(FATHOM_ERROR_MISMATCH,
                              "%s: its seed %lld does not continue a corpus that began with seed %llu", where,
                              (long long)seed, (unsigned long long)file->seed);
    if (!status && kept) status = fathom_tokenize(&tokens, &n, model, text, strlen(text), false, false);
    if (!status && kept) {
        entry.hash = text_hash(text);
        entry.tokens = n;
        file->counts.continued++;
    }
    if (!status) status = put_entry(file, number, entry);
    fathom_free(tokens);
    json_decref(object);
    return status ? fathom__wrap(status, "%s", file->part) : FATHOM_OK;
}

/* Reads the lines of an interrupted run; a last line without its end was not finished and is cut off. */
static int read_part(fathom__write_file *file, const fathom_model *model) {
    char *line = NULL, where[64];
    size_t capacity = 0, n_lines = 0;
    int status = FATHOM_OK;
    for (ssize_t length; !status && (length = getline(&line, &capacity, file->stream)) > 0;) {
        if (line[length - 1] != '\n') break;
        snprintf(where, sizeof where, "line %zu", ++n_lines);
        status = read_line(file, model, line, (size_t)length, where);
        file->end = ftell(file->stream);
    }
    free(line);
    if (status) return status;
    /* What could not be read is no end: cutting there would lose documents. */
    if (ferror(file->stream)) return fathom__fail_errno(file->part, "read");
    if (fflush(file->stream) != 0 || ftruncate(fileno(file->stream), file->end) != 0 ||
        fseek(file->stream, file->end, SEEK_SET) != 0)
        return fathom__fail_errno(file->part, "continue");
    return FATHOM_OK;
}

int fathom__write_file_open(fathom__write_file **out, const char *path, const fathom_model *model, uint64_t seed) {
    fathom__write_file *file = NULL;
    int status = fathom__alloc(&file, 1, sizeof *file);
    if (status) return status;
    file->seed = seed;
    status = fathom__copy_string(&file->path, path);
    if (!status) status = fathom__format(&file->part, "%s.part", path);
    if (!status) {
        file->stream = fopen(file->part, "r+");
        const bool continues = file->stream != NULL;
        if (!continues && errno == ENOENT) file->stream = fopen(file->part, "w+");
        if (!file->stream)
            status = fathom__fail_errno(file->part, "write");
        else if (continues)
            status = read_part(file, model);
    }
    if (status) {
        fathom__write_file_close(file);
        return status;
    }
    *out = file;
    return FATHOM_OK;
}

int fathom__write_file_missing(uint64_t **missing, size_t *n, uint64_t *next, const fathom__write_file *file) {
    size_t capacity = 0;
    *missing = NULL;
    *n = 0;
    *next = file->n_entries;
    for (uint64_t number = 0; number < file->n_entries; number++) {
        if (file->entries[number].judged) continue;
        const int status = fathom__grow(missing, &capacity, *n + 1, sizeof **missing);
        if (status) return status;
        (*missing)[(*n)++] = number;
    }
    return FATHOM_OK;
}

int fathom__write_file_add(fathom__write_file *file, uint64_t number, enum fathom__write_verdict verdict,
                           const char *text, const char *topic, uint64_t tokens) {
    const bool kept = verdict == FATHOM__WRITE_KEPT;
    const json_int_t seed = (json_int_t)(file->seed + number);
    json_t *object = kept ? json_pack("{s:s, s:s, s:I}", "text", text, "topic", topic, "seed", seed)
                          : json_pack("{s:s, s:I}", "dropped", verdict_names[verdict], "seed", seed);
    if (!object) return fathom__fail(FATHOM_ERROR_FORMAT, "topic \"%s\": UTF-8 is expected", topic);
    char *line = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!line) return fathom__fail(FATHOM_ERROR_MEMORY, "%s: a line of it", file->part);
    struct entry entry = {.offset = file->end,
                          .length = strlen(line) + 1,
                          .verdict = verdict,
                          .hash = kept ? text_hash(text) : 0,
                          .tokens = kept ? tokens : 0};
    int status = FATHOM_OK;
    errno = 0;
    if (fputs(line, file->stream) == EOF || fputc('\n', file->stream) == EOF || fflush(file->stream) != 0)
        status = fathom__fail_errno(file->part, "write");
    free(line);
    if (!status) status = put_entry(file, number, entry);
    if (!status) file->end += (long)entry.length;
    return status;
}

/* Counts a document that is in turn. */
static int count_entry(fathom__write_file *file, struct entry *entry) {
    struct fathom_write_counts *counts = &file->counts;
    counts->repetitive += entry->verdict == FATHOM__WRITE_REPETITIVE;
    counts->short_ones += entry->verdict == FATHOM__WRITE_SHORT;
    counts->broken += entry->verdict == FATHOM__WRITE_BROKEN;
    if (entry->verdict != FATHOM__WRITE_KEPT) return FATHOM_OK;
    const int status = remember_text(&entry->taken, file, entry->hash);
    if (status) return status;
    file->ahead--;
    file->ahead_tokens -= entry->tokens;
    counts->duplicates += !entry->taken;
    if (entry->taken) {
        counts->documents++;
        counts->tokens += entry->tokens;
    }
    return FATHOM_OK;
}

int fathom__write_file_count(bool *complete, fathom__write_file *file, uint64_t tokens) {
    int status = FATHOM_OK;
    while (!status && file->counts.tokens < tokens && is_judged(file, file->in_turn)) {
        status = count_entry(file, &file->entries[file->in_turn]);
        if (!status) file->in_turn++;
    }
    *complete = file->counts.tokens >= tokens;
    return status;
}

struct fathom_write_counts fathom__write_file_counts(const fathom__write_file *file, bool with_ahead) {
    struct fathom_write_counts counts = file->counts;
    if (with_ahead) {
        counts.documents += file->ahead;
        counts.tokens += file->ahead_tokens;
    }
    return counts;
}

static int copy_line(struct fathom__writer *writer, char **line, size_t *capacity, const fathom__write_file *file,
                     const struct entry *entry) {
    const int status = fathom__grow(line, capacity, entry->length, 1);
    if (status) return status;
    if (fseek(file->stream, entry->offset, SEEK_SET) != 0 ||
        fread(*line, 1, entry->length, file->stream) != entry->length)
        return fathom__fail_errno(file->part, "read");
    return fathom__writer_write(writer, *line, entry->length);
}

int fathom__write_file_finish(fathom__write_file *file) {
    struct fathom__writer writer;
    char *line = NULL;
    size_t capacity = 0;
    int status = fathom__writer_open(&writer, file->path);
    if (status) return status;
    for (size_t i = 0; i < file->in_turn && !status; i++)
        if (file->entries[i].taken) status = copy_line(&writer, &line, &capacity, file, &file->entries[i]);
    if (!status) status = fathom__writer_commit(&writer);
    fathom__writer_discard(&writer);
    fathom_free(line);
    if (!status && unlink(file->part) != 0) status = fathom__fail_errno(file->part, "remove");
    return status;
}

void fathom__write_file_close(fathom__write_file *file) {
    if (!file) return;
    if (file->stream) fclose(file->stream);
    fathom_free(file->entries);
    fathom_free(file->seen);
    fathom_free(file->part);
    fathom_free(file->path);
    fathom_free(file);
}
