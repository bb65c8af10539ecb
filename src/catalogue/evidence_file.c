/* The checkpoint of a pass: a header, every array, and a hash over all of it. It is read back by the same build on the
 * same machine. */
#include "catalogue/evidence.h"

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"

#include <fathom/model.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "fathom index 2\n"

enum { KEY_SIZE = 33, HASH_SIZE = 33, MOST_SECTIONS = 12 };

struct header {
    char magic[sizeof MAGIC];
    char key[KEY_SIZE];
    uint32_t n_features, n_top, statistics_size, peak_size;
    uint64_t n_rows, n_sequences, n_covered, n_documents, n_held, n_pairs, held_full;
    uint64_t next_document, quoted_done, n_quoted_rows, first_unquoted_document;
    struct fathom__random random;
};

struct section {
    void *place; /* where the array's pointer stands */
    size_t count, size;
    size_t *capacity; /* of a growing array: where its capacity stands */
};

static void *section_array(const struct section *section) {
    void *array;
    memcpy(&array, section->place, sizeof array);
    return array;
}

static size_t list_sections(struct section out[MOST_SECTIONS], struct fathom__evidence *e) {
    size_t n = 0;
    const size_t features = e->n_features;
    out[n++] = (struct section){&e->features, features, sizeof *e->features, NULL};
    out[n++] = (struct section){&e->top, features * e->n_top, sizeof *e->top, NULL};
    out[n++] = (struct section){&e->spread, features * FATHOM__SPREAD, sizeof *e->spread, NULL};
    size_t drawn = 0;
    for (enum fathom__role role = 0; role < FATHOM__ROLES; role++)
        drawn += fathom__drawn_capacity(role);
    out[n++] = (struct section){&e->drawn, features * drawn, sizeof *e->drawn, NULL};
    out[n++] = (struct section){&e->tokens, e->n_rows, sizeof *e->tokens, &e->tokens_capacity};
    out[n++] = (struct section){&e->covered, e->n_rows, sizeof *e->covered, &e->covered_capacity};
    out[n++] = (struct section){&e->sequences, e->n_sequences, sizeof *e->sequences, &e->sequences_capacity};
    out[n++] = (struct section){&e->held_rows, e->n_held, sizeof *e->held_rows, &e->held_rows_capacity};
    out[n++] = (struct section){&e->held_features, e->n_pairs, sizeof *e->held_features, &e->held_features_capacity};
    out[n++] = (struct section){&e->held_starts, e->n_held + 1, sizeof *e->held_starts, &e->held_starts_capacity};
    return n;
}

static void fill_header(struct header *header, const struct fathom__evidence *e, const char *key) {
    memset(header, 0, sizeof *header);
    memcpy(header->magic, MAGIC, sizeof MAGIC);
    snprintf(header->key, sizeof header->key, "%s", key);
    header->n_features = e->n_features;
    header->n_top = e->n_top;
    header->statistics_size = sizeof *e->features;
    header->peak_size = sizeof *e->top;
    header->n_rows = e->n_rows;
    header->n_sequences = e->n_sequences;
    header->n_covered = e->n_covered;
    header->n_documents = e->n_documents;
    header->n_held = e->n_held;
    header->n_pairs = e->n_pairs;
    header->held_full = e->held_full;
    header->next_document = e->next_document;
    header->quoted_done = e->quoted_done;
    header->n_quoted_rows = e->n_quoted_rows;
    header->first_unquoted_document = e->first_unquoted_document;
    header->random = e->random;
}

int fathom__evidence_save(const struct fathom__evidence *evidence, const char *path, const char *key) {
    struct fathom__evidence view = *evidence;
    struct section sections[MOST_SECTIONS];
    const size_t n = list_sections(sections, &view);
    struct fathom__writer writer = {0};
    fathom__hash *hash = NULL;
    char digest[HASH_SIZE];
    struct header header;
    fill_header(&header, evidence, key);
    int status = fathom__writer_open(&writer, path);
    if (!status) status = fathom__hash_open(&hash);
    if (status) goto done;
    fathom__hash_add(hash, &header, sizeof header);
    status = fathom__writer_write(&writer, &header, sizeof header);
    for (size_t i = 0; !status && i < n; i++) {
        fathom__hash_add(hash, section_array(&sections[i]), sections[i].count * sections[i].size);
        status = fathom__writer_write(&writer, section_array(&sections[i]), sections[i].count * sections[i].size);
    }
    if (status) goto done;
    fathom__hash_text(digest, hash);
    if (!(status = fathom__writer_write(&writer, digest, sizeof digest))) status = fathom__writer_commit(&writer);
done:
    fathom__hash_close(hash);
    fathom__writer_discard(&writer);
    return status;
}

/* Whether the file's length is what its header promises; sizes that do not fit are damage. */
static bool length_fits(const struct header *header, const struct section *sections, size_t n, size_t length) {
    size_t expected = sizeof *header + HASH_SIZE;
    if (header->n_rows > FATHOM_INDEX_TOKENS || header->n_sequences > header->n_rows ||
        header->n_held > header->n_rows || header->n_pairs > FATHOM__HELD_PAIRS)
        return false;
    for (size_t i = 0; i < n; i++)
        expected += sections[i].count * sections[i].size;
    return expected == length;
}

static int read_sections(struct fathom__evidence *evidence, const struct fathom__mapping *file, const char *path) {
    struct header header;
    memcpy(&header, file->bytes, sizeof header);
    evidence->n_rows = header.n_rows;
    evidence->n_sequences = header.n_sequences;
    evidence->n_covered = header.n_covered;
    evidence->n_documents = header.n_documents;
    evidence->n_held = header.n_held;
    evidence->n_pairs = header.n_pairs;
    evidence->held_full = header.held_full != 0;
    evidence->next_document = header.next_document;
    evidence->quoted_done = header.quoted_done != 0;
    evidence->n_quoted_rows = header.n_quoted_rows;
    evidence->first_unquoted_document = header.first_unquoted_document;
    evidence->random = header.random;
    struct section sections[MOST_SECTIONS];
    const size_t n = list_sections(sections, evidence);
    fathom__hash *hash = NULL;
    char digest[HASH_SIZE];
    int status = FATHOM_OK;
    if (!length_fits(&header, sections, n, file->length))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the checkpoint is cut off", path);
    if ((status = fathom__hash_open(&hash))) return status;
    fathom__hash_add(hash, file->bytes, file->length - HASH_SIZE);
    fathom__hash_text(digest, hash);
    fathom__hash_close(hash);
    if (memcmp(digest, file->bytes + file->length - HASH_SIZE, HASH_SIZE) != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the checkpoint is damaged: its hash differs", path);
    const unsigned char *from = file->bytes + sizeof header;
    for (size_t i = 0; i < n; i++) {
        if (sections[i].capacity &&
            (status = fathom__grow(sections[i].place, sections[i].capacity, sections[i].count, sections[i].size)))
            return status;
        if (sections[i].count) memcpy(section_array(&sections[i]), from, sections[i].count * sections[i].size);
        from += sections[i].count * sections[i].size;
    }
    return FATHOM_OK;
}

int fathom__evidence_load(bool *found, struct fathom__evidence *evidence, const char *path, const char *key) {
    struct fathom__mapping file = {0};
    struct header header, wanted;
    *found = false;
    if (!fathom__file_exists(path)) return FATHOM_OK;
    int status = fathom__file_map(&file, path);
    if (status) return status;
    fill_header(&wanted, evidence, key);
    if (file.length < sizeof header) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: the checkpoint is cut off", path);
        goto done;
    }
    memcpy(&header, file.bytes, sizeof header);
    if (memcmp(header.magic, wanted.magic, sizeof header.magic) != 0) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a checkpoint of an index", path);
        goto done;
    }
    const bool same = memcmp(header.key, wanted.key, sizeof header.key) == 0 &&
                      header.n_features == wanted.n_features && header.n_top == wanted.n_top &&
                      header.statistics_size == wanted.statistics_size && header.peak_size == wanted.peak_size;
    if (same && !(status = read_sections(evidence, &file, path))) *found = true;
done:
    fathom__file_unmap(&file);
    return status;
}
