/* An opened catalogue. */
#ifndef FATHOM_CATALOGUE_INTERNAL_H
#define FATHOM_CATALOGUE_INTERNAL_H

#include "catalogue/store.h"

#include <fathom/catalogue.h>

struct fathom_catalogue {
    struct fathom__store store;
    int64_t dictionary; /* its row */
    struct fathom_catalogue_info info;
    struct fathom_feature *features; /* [n_features] */
    char *texts;                     /* everything that strings above point to, each zero-terminated */
};

/* Rows of the full-text table. */
static inline int64_t fathom__words_row(int64_t dictionary, uint32_t feature) {
    return dictionary << 32 | feature;
}

/* Effects a side that are stored. */
#define FATHOM__EFFECTS 10

#endif
