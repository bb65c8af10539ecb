#include "engine/holdings.h"
#include "base/error.h"
#include "base/memory.h"

int fathom__holdings_open(struct fathom__holdings *out, uint32_t n_cells, uint32_t n_sequences) {
    *out = (struct fathom__holdings){.n_cells = n_cells, .n_sequences = n_sequences};
    int status = fathom__alloc(&out->holders, n_cells, sizeof *out->holders);
    if (!status) status = fathom__alloc(&out->unused, n_cells, sizeof *out->unused);
    if (!status) status = fathom__alloc(&out->sequences, n_sequences, sizeof *out->sequences);
    if (status) {
        fathom__holdings_close(out);
        return status;
    }
    for (uint32_t i = 0; i < n_cells; i++)
        out->unused[i] = n_cells - 1 - i;
    return FATHOM_OK;
}

void fathom__holdings_close(struct fathom__holdings *holdings) {
    for (uint32_t i = 0; holdings->sequences && i < holdings->n_sequences; i++)
        fathom_free(holdings->sequences[i].cells);
    fathom_free(holdings->sequences);
    fathom_free(holdings->holders);
    fathom_free(holdings->unused);
    *holdings = (struct fathom__holdings){0};
}

int fathom__holdings_add(struct fathom__holdings *holdings, int32_t sequence) {
    struct fathom__holdings_sequence *to = &holdings->sequences[sequence];
    if (holdings->n_used == holdings->n_cells)
        return fathom__fail(FATHOM_ERROR_LIMIT, "the context holds %u tokens and is full", holdings->n_cells);
    const int status = fathom__grow(&to->cells, &to->capacity, to->n + 1, sizeof *to->cells);
    if (status) return status;
    const uint32_t cell = holdings->unused[holdings->n_cells - 1 - holdings->n_used++];
    holdings->holders[cell] = 1;
    to->cells[to->n++] = cell;
    return FATHOM_OK;
}

int fathom__holdings_share(struct fathom__holdings *holdings, int32_t from, int32_t to, size_t n) {
    const struct fathom__holdings_sequence *source = &holdings->sequences[from];
    struct fathom__holdings_sequence *copy = &holdings->sequences[to];
    const int status = fathom__grow(&copy->cells, &copy->capacity, n, sizeof *copy->cells);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        copy->cells[i] = source->cells[i];
        holdings->holders[source->cells[i]]++;
    }
    copy->n = n;
    return FATHOM_OK;
}

void fathom__holdings_cut(struct fathom__holdings *holdings, int32_t sequence, size_t from) {
    struct fathom__holdings_sequence *cut = &holdings->sequences[sequence];
    while (cut->n > from) {
        const uint32_t cell = cut->cells[--cut->n];
        if (--holdings->holders[cell] == 0) holdings->unused[holdings->n_cells - holdings->n_used--] = cell;
    }
}
