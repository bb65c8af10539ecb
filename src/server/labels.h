/* The catalogue while it is served: who may read it now, and labels that people set meanwhile. */
#ifndef FATHOM_SERVER_LABELS_H
#define FATHOM_SERVER_LABELS_H

#include <fathom/catalogue.h>

typedef struct fathom__labels fathom__labels;

/* catalogue NULL: there are no features to tell of. `named` as in the server's options. All borrowed. */
int fathom__labels_open(fathom__labels **out, fathom_catalogue *catalogue, const fathom_dictionary *dictionary,
                        bool named);
void fathom__labels_close(fathom__labels *labels);

/* A feature as it is labelled now; NULL for a number that there is not, or without a catalogue. Valid as long as `labels`,
 * though not the latest for ever. Any number of threads. */
const struct fathom_feature *fathom__labels_feature(const fathom__labels *labels, uint32_t feature);

/* An opened catalogue belongs to one thread at a time: waits for it, and gives it back. *out is NULL without one. Errors:
 * LIMIT, where others have it for longer than a locked file is waited for. */
int fathom__labels_take(fathom_catalogue **out, fathom__labels *labels);
void fathom__labels_give(fathom__labels *labels);

/* Sets or with NULL removes a person's label, in the file and for every later fathom__labels_feature. Errors: those of
 * fathom_catalogue_label and fathom__labels_take. */
int fathom__labels_set(fathom__labels *labels, uint32_t feature, const char *text);

#endif
