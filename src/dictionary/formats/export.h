/* What exporters share. */
#ifndef FATHOM_DICTIONARY_FORMATS_EXPORT_H
#define FATHOM_DICTIONARY_FORMATS_EXPORT_H

#include <base/tensor.h>
#include <dictionary/dictionary_internal.h>
#include <fathom/dictionary.h>

/* Weights as f32 with the scales folded in: encoder · s_in, decoder / s_out, b_dec / s_out. */
struct fathom__weights {
    float *encoder; /* [n_features, d_in], or turned: [d_in, n_features] */
    float *decoder; /* [n_features, d_out] */
    float *encoder_bias, *decoder_bias;
};
/* `subtracts` says whether the format subtracts b_dec before encoding: where that differs from the dictionary, the
 * encoder's bias makes up for it (not of gated dictionaries: UNSUPPORTED). */
int fathom__weights_read(struct fathom__weights *out, const fathom_dictionary *dictionary, bool turned, bool subtracts);
void fathom__weights_free(struct fathom__weights *weights);

/* UNSUPPORTED, naming the format, unless the dictionary has no input norm and is of one of the kinds whose bits (1
 * << kind) are set. */
int fathom__export_check(const fathom_dictionary *dictionary, const char *format, unsigned kinds);
/* Whether it writes elsewhere than it reads. */
bool fathom__export_transcoder(const fathom_dictionary *dictionary);

/* An f32 tensor of one dimension where columns is 0, else of two. */
struct fathom__tensor fathom__export_tensor(const char *name, const float *values, size_t rows, size_t columns);

#endif
