/* What people's labels were before. A table that catalogues get with their first label: files without it are read as
 * they are, also where they cannot be written. */
#ifndef FATHOM_CATALOGUE_LABEL_HISTORY_H
#define FATHOM_CATALOGUE_LABEL_HISTORY_H

#include "catalogue/store.h"

#include <fathom/labels.h>

/* Writes a change down, inside the transaction that makes it; text NULL: the label was removed. */
int fathom__label_history_add(const struct fathom__store *store, int64_t dictionary, uint32_t feature, const char *text,
                              const char *origin);

#endif
