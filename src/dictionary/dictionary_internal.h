/* An opened dictionary. */
#ifndef FATHOM_DICTIONARY_DICTIONARY_INTERNAL_H
#define FATHOM_DICTIONARY_DICTIONARY_INTERNAL_H

#include <base/gguf_file.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>
#include <dictionary/whitening.h>
#include <fathom/dictionary.h>
#include <jansson.h>
#include <pthread.h>

#define FATHOM__DICTIONARY_ARCHITECTURE "fathom-dictionary"
#define FATHOM__DICTIONARY_KEY "fathom.dictionary."
/* A file has the lowest version that knows all that is in it: 2 came with norms, an output scale, a skip and groups, 3
 * with transforms and the sources of crosscoders. */
#define FATHOM__DICTIONARY_VERSION 3

enum fathom__dictionary_kind {
    FATHOM__KIND_TOPK,
    FATHOM__KIND_BATCHTOPK,
    FATHOM__KIND_JUMPRELU,
    FATHOM__KIND_STANDARD,
    FATHOM__KIND_GATED,
    FATHOM__KIND_GROUPMAX,
    FATHOM__KINDS
};
#define FATHOM__KIND_NAMES "topk, batchtopk, jumprelu, standard, gated or groupmax"
/* The kind of a name, or FATHOM__KINDS. */
enum fathom__dictionary_kind fathom__dictionary_kind(const char *architecture);

enum fathom__input_norm {
    FATHOM__NORM_NONE,
    FATHOM__NORM_CENTRE,
    FATHOM__NORM_LAYER,
    FATHOM__NORM_CONSTANT,
    FATHOM__NORM_RMS,
    FATHOM__NORM_STANDARDISE,
    FATHOM__NORMS
};
#define FATHOM__NORM_NAMES "none, centre, layer_norm, constant_norm, rms or standardise"
/* The norm of a name, or FATHOM__NORMS. */
enum fathom__input_norm fathom__input_norm(const char *name);

/* What encoding by the whole encoder needs; made when it is first asked for. */
struct fathom__whole {
    float *encoder;      /* f32 [n_features, stride] */
    float *tile_norm;    /* [tiles]: length of the longest encoder row in a tile */
    float *shifted_bias; /* [padded]: bias less threshold (or the gate's bias), so that a feature is active above 0 */
    float *bias;         /* [padded] */
    fathom__dense *product;
    bool *busy; /* [lanes]: a lane of the product belongs to one call at a time */
    uint32_t n_lanes;
};

struct fathom_dictionary {
    struct fathom_dictionary_info info;
    enum fathom__dictionary_kind kind;
    fathom__gguf *file;
    const struct fathom__gguf_tensor *encoder, *decoder;
    const float *encoder_bias, *decoder_bias;
    const float *threshold;                   /* NULL: none */
    const float *gate_bias, *magnitude_scale; /* NULL: not gated */
    const float *skip;                        /* [d_out, d_in]; NULL: none */
    enum fathom__input_norm norm;
    uint32_t *group_sizes;
    /* Weights NULL: none. The file's matrices and decoder_bias are in the space between these two maps. */
    struct fathom__map input_transform, output_transform;
    struct fathom_dictionary_source *sources;
    json_t *sources_text; /* what their names lie in */
    size_t stride;        /* d_in padded */
    float *subtracted;    /* [stride]: b_dec, or zeros where it is not subtracted */
    float *model_bias;    /* [d_out]: P_out⁻¹ b_dec */
    /* under lock; made once and then never changed */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct fathom__whole *whole;
    float *whole_decoder; /* f32 [n_features, d_out] */
};

/* The input of the file's encoder for a row of the model: x [stride] = P_in s_in · n(row) - b_dec, zeros in the
 * padding. */
void fathom__dictionary_input(float *x, const fathom_dictionary *dictionary, const float *row);
/* Gives a reconstruction y [d_out] what the norm took away from the row, and what the skip adds. */
void fathom__dictionary_restore(float *y, const fathom_dictionary *dictionary, const float *row);
/* One row of a stored matrix as f32, without transforms. Errors: NOT_FOUND (feature number). */
int fathom__dictionary_stored_row(float *out, const fathom_dictionary *dictionary,
                                  const struct fathom__gguf_tensor *tensor, uint32_t feature);
/* y [d_out] = P_out⁻¹ y; scratch: [d_out padded]. */
void fathom__dictionary_unmap(float *y, float *scratch, const fathom_dictionary *dictionary);
/* What a feature is worth whose product with the encoder's input is `product`; 0: not active. */
float fathom__dictionary_value(const fathom_dictionary *dictionary, uint32_t feature, float product);

/* dictionary_sources.c: the sources of a crosscoder, in one key as JSON. */
int fathom__dictionary_read_sources(fathom_dictionary *dictionary);
int fathom__dictionary_put_sources(fathom__gguf_writer *writer, const struct fathom_dictionary_info *info);

/* Makes (once) what whole encoding needs. */
int fathom__dictionary_whole(struct fathom__whole **out, fathom_dictionary *dictionary);
void fathom__whole_close(struct fathom__whole *whole);

#endif
