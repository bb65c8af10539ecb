/* Which cells of the KV cache are whose. The engine keeps this to itself; here it is kept once more, so that what no
 * longer fits is known before a decode, also where forked sequences share cells. */
#ifndef FATHOM_ENGINE_HOLDINGS_H
#define FATHOM_ENGINE_HOLDINGS_H

#include <stddef.h>
#include <stdint.h>

struct fathom__holdings {
    uint32_t n_cells, n_used, n_sequences;
    uint32_t *holders; /* [n_cells]: sequences that hold a cell */
    uint32_t *unused;  /* [n_cells - n_used]: a stack */
    struct fathom__holdings_sequence {
        uint32_t *cells; /* by position */
        size_t n, capacity;
    } * sequences;
};

int fathom__holdings_open(struct fathom__holdings *out, uint32_t n_cells, uint32_t n_sequences);
void fathom__holdings_close(struct fathom__holdings *holdings);
/* Gives a sequence its next cell; LIMIT when all are held. */
int fathom__holdings_add(struct fathom__holdings *holdings, int32_t sequence);
/* The first n cells of `from` become those of `to`, which holds none. */
int fathom__holdings_share(struct fathom__holdings *holdings, int32_t from, int32_t to, size_t n);
/* Takes a sequence's cells of positions >= from away. */
void fathom__holdings_cut(struct fathom__holdings *holdings, int32_t sequence, size_t from);

#endif
