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
 * with transforms and the sources of crosscoders, 4 with the layers of cross-layer transcoders. */
#define FATHOM__DICTIONARY_VERSION 4

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
    float *encoder;      /* f32 [n_features, read] */
    float *tile_norm;    /* [tiles]: length of the longest encoder row in a tile */
    float *shifted_bias; /* [padded]: bias less threshold (or the gate's bias), so that a feature is active above 0 */
    float *bias;         /* [padded] */
    fathom__dense **products; /* [n_layers] */
    size_t n_tiles;           /* of each */
    bool *busy;               /* [lanes]: a lane of the products belongs to one call at a time */
    uint32_t n_lanes;
};

struct fathom_dictionary {
    struct fathom_dictionary_info info;
    enum fathom__dictionary_kind kind;
    fathom__gguf *file;
    const struct fathom__gguf_tensor *encoder, **decoders; /* decoders: [n_layers] */
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
    struct fathom_dictionary_layer *layers;
    json_t *layers_text;
    size_t stride; /* d_in padded */
    /* Of a cross-layer transcoder; 1 of all others. Of an encoder row `read` numbers may be other than 0, those of its
     * layer. */
    size_t n_layers, layer_features, read;
    float *subtracted; /* [stride]: b_dec, or zeros where it is not subtracted */
    float *model_bias; /* [d_out]: P_out⁻¹ b_dec */
    /* under lock; made once and then never changed */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct fathom__whole *whole;
    float *whole_decoder; /* f32, the layers' rows one after another */
};

/* The input of the file's encoder for a row of the model: x [stride] = P_in s_in · n(row) - b_dec, zeros in the
 * padding. */
void fathom__dictionary_input(float *x, const fathom_dictionary *dictionary, const float *row);
/* Gives a reconstruction y [d_out] what the norm took away from the row, and what the skip adds. */
void fathom__dictionary_restore(float *y, const fathom_dictionary *dictionary, const float *row);
/* One row of a stored matrix as f32 [d_in] or [d_out], without transforms. Errors: NOT_FOUND (feature number). */
int fathom__dictionary_stored_encoder(float *out, const fathom_dictionary *dictionary, uint32_t feature);
int fathom__dictionary_stored_decoder(float *out, const fathom_dictionary *dictionary, uint32_t feature);
/* y [d_out] = P_out⁻¹ y; scratch: [d_out padded]. */
void fathom__dictionary_unmap(float *y, float *scratch, const fathom_dictionary *dictionary);
/* What a feature is worth whose product with the encoder's input is `product`; 0: not active. */
float fathom__dictionary_value(const fathom_dictionary *dictionary, uint32_t feature, float product);

/* dictionary_sources.c: the sources of a crosscoder, in one key as JSON. */
int fathom__dictionary_read_sources(fathom_dictionary *dictionary);
int fathom__dictionary_put_sources(fathom__gguf_writer *writer, const struct fathom_dictionary_info *info);

/* dictionary_layers.c: those of a cross-layer transcoder, in one key as JSON. */
int fathom__dictionary_read_layers(fathom_dictionary *dictionary);
int fathom__dictionary_check_layers(const struct fathom_dictionary_info *info);
int fathom__dictionary_put_layers(fathom__gguf_writer *writer, const struct fathom_dictionary_info *info);
/* The name of a layer's decoder in the file. */
#define FATHOM__DECODER_NAME 40
void fathom__dictionary_decoder_name(char name[FATHOM__DECODER_NAME], const struct fathom_dictionary_info *info,
                                     uint32_t layer);
/* Numbers in a decoder row of a layer, and in all decoder rows of the layers before it. */
static inline size_t fathom__decoder_width(const struct fathom_dictionary_info *info, size_t layer) {
    return info->n_layers ? info->d_out / info->n_layers * (info->n_layers - layer) : info->d_out;
}
static inline size_t fathom__decoders_before(const struct fathom_dictionary_info *info, size_t layer) {
    size_t n = 0;
    for (size_t l = 0; l < layer; l++)
        n += info->n_features / (info->n_layers ? info->n_layers : 1) * fathom__decoder_width(info, l);
    return n;
}
static inline size_t fathom__decoders_count(const struct fathom_dictionary_info *info) {
    return fathom__decoders_before(info, info->n_layers ? info->n_layers : 1);
}
/* Numbers in an encoder row. */
static inline size_t fathom__encoder_width(const struct fathom_dictionary_info *info) {
    return info->n_layers ? info->d_in / info->n_layers : info->d_in;
}

/* dictionary_encode.c: the features of one layer alone, as at run time; of rows f32 [n_rows, d_in], all of which the
 * dictionary covers, only that layer's part is looked at, and the others must be finite. Where layers cannot be read one by
 * one, because their features compete, fathom__dictionary_reads_layers is false. */
#define FATHOM__ALL_LAYERS UINT32_MAX
bool fathom__dictionary_reads_layers(const fathom_dictionary *dictionary);
int fathom__dictionary_encode_layer(struct fathom_sparse *out, const fathom_dictionary *dictionary, const float *rows,
                                    size_t n_rows, uint32_t layer);

/* Makes (once) what whole encoding needs. */
int fathom__dictionary_whole(struct fathom__whole **out, fathom_dictionary *dictionary);
void fathom__whole_close(struct fathom__whole *whole, size_t n_layers);

#endif
