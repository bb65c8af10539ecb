/* The tables, and how a file comes from one version to the next. */
#ifndef FATHOM_CATALOGUE_SCHEMA_H
#define FATHOM_CATALOGUE_SCHEMA_H

#include "catalogue/store.h"

/* Brings a file of an older version (0: an empty file) to its kind's present version; the caller's transaction decides. */
int fathom__schema_migrate(const struct fathom__store *store, int version);

#endif
