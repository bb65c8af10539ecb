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

/* A layer of a cross-layer transcoder in the same way. */
struct fathom__layer_weights {
    float *encoder; /* [F, d] */
    float *decoder; /* [F, n_layers - layer, d] */
    float *bias;    /* [d], of the decoder */
};
int fathom__layer_weights_read(struct fathom__layer_weights *out, const fathom_dictionary *dictionary, size_t layer);
void fathom__layer_weights_free(struct fathom__layer_weights *weights);

/* UNSUPPORTED, naming the format, unless the dictionary is of one of the kinds whose bits (1 << kind) are set, and no
 * crosscoder. */
int fathom__export_check_kind(const fathom_dictionary *dictionary, const char *format, unsigned kinds);
/* The same, and UNSUPPORTED where it has an input norm. */
int fathom__export_check(const fathom_dictionary *dictionary, const char *format, unsigned kinds);
/* transformers' module of a hook point, new, as Gemma has them. UNSUPPORTED: there is none. */
int fathom__export_module(char **out, const fathom_dictionary *dictionary, const char *format, const char *hook);
/* Whether it writes elsewhere than it reads. */
bool fathom__export_transcoder(const fathom_dictionary *dictionary);

/* An f32 tensor of one dimension where columns is 0, else of two. */
struct fathom__tensor fathom__export_tensor(const char *name, const float *values, size_t rows, size_t columns);

/* Ends an export whose config was written last, with this status, which is returned: weights are nothing without it, and
 * what they were written to is removed where it failed (NULL: nothing is). */
int fathom__export_end(int status, const char *weights);

#endif
