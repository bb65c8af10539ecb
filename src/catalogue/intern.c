#include "catalogue/intern.h"

#include "base/error.h"
#include "base/memory.h"

#include <fathom/model.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

static uint64_t hash_bytes(const char *bytes, size_t length) { /* FNV-1a, folded so that the low bits depend on all */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

static size_t slot_of(const struct fathom__intern *table, const char *bytes, size_t length) {
    size_t slot = hash_bytes(bytes, length) & (table->n_slots - 1);
    for (;; slot = (slot + 1) & (table->n_slots - 1)) {
        if (!table->slots[slot]) return slot;
        size_t n;
        const char *text = fathom__intern_text(&n, table, table->slots[slot] - 1);
        if (n == length && memcmp(text, bytes, length) == 0) return slot;
    }
}

static int grow_slots(struct fathom__intern *table) {
    const size_t n = table->n_slots ? table->n_slots * 2 : FIRST_SLOTS;
    uint32_t *slots;
    const int status = fathom__alloc(&slots, n, sizeof *slots);
    if (status) return status;
    fathom_free(table->slots);
    table->slots = slots;
    table->n_slots = n;
    for (uint32_t id = 0; id < table->count; id++) {
        size_t length;
        const char *text = fathom__intern_text(&length, table, id);
        table->slots[slot_of(table, text, length)] = id + 1;
    }
    return FATHOM_OK;
}

int fathom__intern_add(uint32_t *id, struct fathom__intern *table, const char *bytes, size_t length) {
    int status = FATHOM_OK;
    if ((table->count + 1) * 2 > table->n_slots && (status = grow_slots(table))) return status;
    const size_t slot = slot_of(table, bytes, length);
    if (table->slots[slot]) {
        *id = table->slots[slot] - 1;
        return FATHOM_OK;
    }
    if (table->n_bytes + length + 1 > UINT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "more than 4 GiB of different words");
    if ((status = fathom__grow(&table->bytes, &table->bytes_capacity, table->n_bytes + length + 1, 1)) ||
        (status = fathom__grow(&table->starts, &table->starts_capacity, table->count + 2, sizeof *table->starts)))
        return status;
    table->starts[table->count] = (uint32_t)table->n_bytes;
    if (length) memcpy(table->bytes + table->n_bytes, bytes, length);
    table->bytes[table->n_bytes + length] = 0;
    table->n_bytes += length + 1;
    table->starts[table->count + 1] = (uint32_t)table->n_bytes;
    *id = (uint32_t)table->count++;
    table->slots[slot] = *id + 1;
    return FATHOM_OK;
}

bool fathom__intern_find(uint32_t *id, const struct fathom__intern *table, const char *bytes, size_t length) {
    if (!table->n_slots) return false;
    const size_t slot = slot_of(table, bytes, length);
    if (!table->slots[slot]) return false;
    *id = table->slots[slot] - 1;
    return true;
}

const char *fathom__intern_text(size_t *length, const struct fathom__intern *table, uint32_t id) {
    if (length) *length = table->starts[id + 1] - table->starts[id] - 1;
    return table->bytes + table->starts[id];
}

void fathom__intern_free(struct fathom__intern *table) {
    fathom_free(table->bytes);
    fathom_free(table->starts);
    fathom_free(table->slots);
    *table = (struct fathom__intern)FATHOM__INTERN_INIT;
}
