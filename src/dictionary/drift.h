/* What the two files of the drift share. */
#ifndef FATHOM_DICTIONARY_DRIFT_H
#define FATHOM_DICTIONARY_DRIFT_H

#include <fathom/drift.h>

const fathom_dictionary *fathom__drift_dictionary(const fathom_drift *drift); /* A */

#endif
