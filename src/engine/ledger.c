#include "engine/ledger.h"
#include "base/error.h"
#include "base/memory.h"

int fathom__ledger_open(struct fathom__ledger *out, uint32_t n_cells, uint32_t n_sequences) {
    *out = (struct fathom__ledger){.n_cells = n_cells, .n_sequences = n_sequences};
    int status = fathom__alloc(&out->holders, n_cells, sizeof *out->holders);
    if (!status) status = fathom__alloc(&out->unused, n_cells, sizeof *out->unused);
    if (!status) status = fathom__alloc(&out->sequences, n_sequences, sizeof *out->sequences);
    if (status) {
        fathom__ledger_close(out);
        return status;
    }
    for (uint32_t i = 0; i < n_cells; i++)
        out->unused[i] = n_cells - 1 - i;
    return FATHOM_OK;
}

void fathom__ledger_close(struct fathom__ledger *ledger) {
    for (uint32_t i = 0; ledger->sequences && i < ledger->n_sequences; i++)
        fathom_free(ledger->sequences[i].cells);
    fathom_free(ledger->sequences);
    fathom_free(ledger->holders);
    fathom_free(ledger->unused);
    *ledger = (struct fathom__ledger){0};
}

int fathom__ledger_add(struct fathom__ledger *ledger, int32_t sequence) {
    struct fathom__ledger_sequence *to = &ledger->sequences[sequence];
    if (ledger->n_used == ledger->n_cells)
        return fathom__fail(FATHOM_ERROR_LIMIT, "the context holds %u tokens and is full", ledger->n_cells);
    const int status = fathom__grow(&to->cells, &to->capacity, to->n + 1, sizeof *to->cells);
    if (status) return status;
    const uint32_t cell = ledger->unused[ledger->n_cells - 1 - ledger->n_used++];
    ledger->holders[cell] = 1;
    to->cells[to->n++] = cell;
    return FATHOM_OK;
}

int fathom__ledger_share(struct fathom__ledger *ledger, int32_t from, int32_t to, size_t n) {
    const struct fathom__ledger_sequence *source = &ledger->sequences[from];
    struct fathom__ledger_sequence *copy = &ledger->sequences[to];
    const int status = fathom__grow(&copy->cells, &copy->capacity, n, sizeof *copy->cells);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        copy->cells[i] = source->cells[i];
        ledger->holders[source->cells[i]]++;
    }
    copy->n = n;
    return FATHOM_OK;
}

void fathom__ledger_cut(struct fathom__ledger *ledger, int32_t sequence, size_t from) {
    struct fathom__ledger_sequence *cut = &ledger->sequences[sequence];
    while (cut->n > from) {
        const uint32_t cell = cut->cells[--cut->n];
        if (--ledger->holders[cell] == 0) ledger->unused[ledger->n_cells - ledger->n_used--] = cell;
    }
}
