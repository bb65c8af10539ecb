/* Whole encoding by several threads: each encodes a part of the rows, and the parts are put together in order. */
#ifndef FATHOM_CATALOGUE_ENCODE_H
#define FATHOM_CATALOGUE_ENCODE_H

#include <fathom/dictionary.h>

typedef struct fathom__encoder fathom__encoder;

/* n_threads 0: all cores. */
int fathom__encoder_open(fathom__encoder **out, const fathom_dictionary *dictionary, uint32_t n_threads);
void fathom__encoder_close(fathom__encoder *encoder);
/* What fathom_dictionary_encode with FATHOM_ENCODE_RUN gives. */
int fathom__encoder_run(struct fathom_sparse *out, fathom__encoder *encoder, const float *rows,
                        const int32_t *positions, size_t n_rows);

#endif
