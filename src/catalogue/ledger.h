/* The ledger's inside: its tables and what both of its files use. */
#ifndef FATHOM_CATALOGUE_LEDGER_H
#define FATHOM_CATALOGUE_LEDGER_H

#include <catalogue/store.h>
#include <fathom/ledger.h>

struct fathom_ledger {
    struct fathom__store store;
};

/* NOT_FOUND, naming the runs that there are. */
int fathom__ledger_missing(const fathom_ledger *ledger, int64_t number);

#endif
