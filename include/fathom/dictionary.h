/* Sparse dictionaries: reading features off activations, and writing them back.
 *
 *   x' = s_in · n(x)                                n: the input norm, the identity unless the info says otherwise
 *   pre = W_enc (x' - b_dec) + b_enc                b_dec subtracted where `subtract_decoder_bias`
 *   f  = the k largest of pre (TopK), the largest of each of k groups of neighbours (GroupMax), pre where pre >
 *        threshold (BatchTopK, JumpReLU), pre where it is > 0 (standard); never below 0
 *   x^ = m((W_dec f + b_dec) / s_out) + S x         m: undoes the norm where `undo_input_norm`, else the identity
 *
 * Gated has two of pre from one product, p = W_enc (x' - b_dec): f = relu(p · magnitude_scale + b_enc) where
 * p + gate_bias > 0, else 0. S is the skip of a transcoder: it takes x and gives x^ in the model's own units, with no
 * scale and no norm between (a skip trained on x' is stored times s_in / s_out).
 *
 *   input norm      n(x)                                     m(y)
 *   none            x                                        y
 *   centre          x - mean(x)                              y + mean(x)
 *   layer_norm      (x - mean(x)) / (deviation(x) + 1e-5)    y · deviation(x) + mean(x)      deviation over d_in - 1
 *   constant_norm   x · √d_in / |x|                          y · |x| / √d_in
 *   rms             x / √(mean(x²) + 1e-6)                   y · √(mean(x²) + 1e-6)
 *   standardise     (x - mean(x)) / √(variance(x) + 1e-5)    y · √(variance(x) + 1e-5) + mean(x)
 *
 * A dictionary that was trained on standardised or whitened rows keeps its matrices in the space of those rows, where
 * they quantise well, and two linear transforms beside them; the functions below fold them in, so that the formulas above
 * hold for what they return. Its W_dec rows have no common length then.
 *
 * Sources: Gao et al. 2024 (TopK), Bussmann et al. 2024 (BatchTopK), Rajamanoharan et al. 2024 (JumpReLU).
 * A dictionary is immutable once opened and may be used from several threads at once. Its file is one GGUF,
 * mapped, not read: a feature that nobody asks for costs nothing.
 */
#ifndef FATHOM_DICTIONARY_H
#define FATHOM_DICTIONARY_H

#include <fathom/error.h>
#include <fathom/hook.h>
#include <fathom/model.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_dictionary fathom_dictionary;

/* One of the sources whose rows a crosscoder reads and reconstructs together, one after another in its rows. */
struct fathom_dictionary_source {
    const char *hook; /* full hook name; of a second model with b: before it */
    const char *model_identity, *model_name;
    uint32_t width;
    /* what its rows were scaled by in training; d times it is the source's part of a decoder row in units that can be
     * compared with the other sources' (the matrices of a crosscoder are in the models' own units) */
    float scale;
};

/* A layer of a cross-layer transcoder, whose width is d_in / n_layers. */
struct fathom_dictionary_layer {
    const char *hook_in, *hook_out; /* full hook names: what its features read; what they and earlier layers' write */
    /* what its rows were scaled by in training: output_scale times a decoder row's part in a layer is that part in units
     * that can be compared with the other layers' (the matrices are in the model's own units) */
    float input_scale, output_scale;
};

struct fathom_dictionary_info {
    const char *path;
    const char *name;
    const char *architecture;   /* "topk", "batchtopk", "jumprelu", "standard", "gated", "groupmax" */
    const char *hook_in;        /* full hook name */
    const char *hook_out;       /* the same for an SAE */
    const char *model_identity; /* source identity of the model it was trained on, "" when unknown (imports) */
    const char *model_name;
    const char *training; /* JSON record of the training run, or "{}" */
    const char *dtype;    /* of the stored matrices: "f32", "bf16", "f16", "q8_0" */
    uint32_t d_in, d_out, n_features, k;
    bool has_threshold;
    bool subtract_decoder_bias;
    float input_scale;       /* s_in */
    uint32_t skip_positions; /* rows at positions < this were left out of training and are never encoded */
    float max_norm;          /* rows with a larger Euclidean norm (unscaled) likewise; +inf: none */
    float output_scale;      /* s_out; of parts, 0 stands for s_in */
    const char *input_norm;  /* a name of the table above; of parts, NULL stands for "none" */
    const char *whitening;   /* "none", "standardised" (by dimension) or "whitened"; ignored of parts */
    bool undo_input_norm;    /* whether the reconstruction gets back what the norm took away */
    bool has_skip;
    bool needs_rows; /* whether the reconstruction depends on the rows, by a skip or by a norm that is undone */
    /* Nested prefixes (Matryoshka): how many features each adds; their sum is n_features. They change nothing here. */
    const uint32_t *group_sizes;
    uint32_t n_groups; /* 0: none */
    /* Of a crosscoder, whose d_in and d_out are the sum of their widths; hook_in and hook_out have all their names then,
     * with + between them, and b: before those of a second model. */
    const struct fathom_dictionary_source *sources;
    uint32_t n_sources; /* 0: none */
    /* Of a cross-layer transcoder, whose d_in and d_out are the sums of its layers' widths; hook_in and hook_out have all
     * their names then, with + between them. Layer l has the features [l, l + 1) · n_features / n_layers. A row to encode
     * holds the inputs of all layers at one token, a reconstruction what is written to all of them. */
    const struct fathom_dictionary_layer *layers;
    uint32_t n_layers; /* 0: none */
};

/* Opens a native dictionary. Errors: IO, FORMAT (file, key, what was expected), UNSUPPORTED. */
FATHOM_API int fathom_dictionary_open(fathom_dictionary **out, const char *path);
FATHOM_API void fathom_dictionary_close(fathom_dictionary *dictionary);
FATHOM_API const struct fathom_dictionary_info *fathom_dictionary_describe(const fathom_dictionary *dictionary);

/* Whether the dictionary belongs to this model (or to one derived from it): OK, or MISMATCH with both names and
 * identities. An import without an identity matches when d_in fits the hook. *hook gets hook_in resolved on the
 * model; NULL allowed. Crosscoders and cross-layer transcoders read several points at once and belong to no one hook:
 * UNSUPPORTED. */
FATHOM_API int fathom_dictionary_match(struct fathom_hook *hook, const fathom_dictionary *dictionary,
                                       const fathom_model *model);

/* Whether a row is one that the dictionary was trained on: position and norm as above. Other rows have no features and
 * are never edited. A row that is not finite counts as covered, so that it is not left out in silence: encoding it is
 * NUMERIC. */
FATHOM_API bool fathom_dictionary_covers(const fathom_dictionary *dictionary, const float *row, int32_t position);

/* Sparse features of rows, in compressed rows: features of row r are [offsets[r], offsets[r + 1]), in ascending feature
 * number. */
struct fathom_sparse {
    size_t n_rows;
    size_t *offsets; /* [n_rows + 1] */
    uint32_t *features;
    float *values;   /* > 0 */
    size_t capacity; /* of features and values */
    size_t row_capacity;
};
#define FATHOM_SPARSE_INIT                                                                                             \
    { 0 }
FATHOM_API void fathom_sparse_free(struct fathom_sparse *sparse);

enum fathom_encode_mode {
    FATHOM_ENCODE_RUN,  /* by threshold where the dictionary has one (how it is read at run time), else as trained */
    FATHOM_ENCODE_TRAIN /* as trained: TopK's k per row. BatchTopK has no batch here and uses its threshold */
};

/* Encodes n_rows rows of width d_in by the whole encoder. positions may be NULL (all rows are then past
 * skip_positions). Rows not covered have no features. `out` is reused: initialise it with FATHOM_SPARSE_INIT, free
 * it with fathom_sparse_free. Errors: MEMORY, NUMERIC (names the row). */
FATHOM_API int fathom_dictionary_encode(struct fathom_sparse *out, const fathom_dictionary *dictionary,
                                        const float *rows, const int32_t *positions, size_t n_rows,
                                        enum fathom_encode_mode mode);

/* Encodes a few features only: out is f32 [n_rows, n_features], 0 where a feature is not active or a row not covered.
 * Costs d_in products a feature and row. Needs a threshold: a per-token TopK dictionary without one gives
 * UNSUPPORTED (use the whole encoder). */
FATHOM_API int fathom_dictionary_read(float *out, const fathom_dictionary *dictionary, const uint32_t *features,
                                      size_t n_features, const float *rows, const int32_t *positions, size_t n_rows);

/* Reconstructs: out is f32 [n_rows, d_out] in the model's own units. A dictionary with `needs_rows` gives UNSUPPORTED.
 */
FATHOM_API int fathom_dictionary_decode(float *out, const fathom_dictionary *dictionary,
                                        const struct fathom_sparse *sparse);
/* The same for every dictionary: rows are those that were encoded, f32 [n_rows, d_in]. */
FATHOM_API int fathom_dictionary_reconstruct(float *out, const fathom_dictionary *dictionary,
                                             const struct fathom_sparse *sparse, const float *rows);

/* The decoder direction of a feature as f32 [d_out] in the dictionary's scaled space: adding a·direction /
 * output_scale to a row (times what the norm divided that row by, where it is undone: fathom_dictionary_gain) raises
 * the feature's contribution by a. Not normalised. Errors: NOT_FOUND (feature number). */
FATHOM_API int fathom_dictionary_direction(float *out, const fathom_dictionary *dictionary, uint32_t feature);
/* The same in the space that the dictionary was trained in, f32 [d_out]: where rows were standardised or whitened, every
 * dimension counts alike there, and directions are to be compared there; else it is fathom_dictionary_direction. */
FATHOM_API int fathom_dictionary_trained_direction(float *out, const fathom_dictionary *dictionary, uint32_t feature);
/* What a unit of activation along a direction is worth at this row in the model's units: 1 / output_scale, times
 * what the norm divided the row by where it is undone. */
FATHOM_API float fathom_dictionary_gain(const fathom_dictionary *dictionary, const float *row);
/* Its encoder row f32 [d_in] and bias (b_enc; of a gated one the gate's bias, which decides whether it is active). */
FATHOM_API int fathom_dictionary_encoder_row(float *out, float *bias, const fathom_dictionary *dictionary,
                                             uint32_t feature);
/* Its threshold (0 where the dictionary has none). */
FATHOM_API float fathom_dictionary_threshold(const fathom_dictionary *dictionary, uint32_t feature);
/* b_dec as f32 [d_out]; copied into out. */
FATHOM_API void fathom_dictionary_decoder_bias(float *out, const fathom_dictionary *dictionary);

/* What a dictionary is made of, for writing one: f32 arrays, row-major. */
struct fathom_dictionary_parts {
    struct fathom_dictionary_info info; /* path, dtype, has_threshold, has_skip and needs_rows are ignored */
    const float *encoder; /* [n_features, d_in]; of a cross-layer transcoder [n_features, d_in / n_layers] */
    const float *encoder_bias;
    /* [n_features, d_out]; of a cross-layer transcoder the layers' rows one after another, those of layer l
     * [n_features / n_layers, n_layers - l, d_out / n_layers]: what each feature writes to its layer, to the next, … */
    const float *decoder;
    const float *decoder_bias;
    const float *threshold; /* [n_features] or NULL */
    /* of "gated", [n_features] each, and NULL otherwise; the scale is exp(r_mag) */
    const float *gate_bias, *magnitude_scale;
    const float *skip; /* S, [d_out, d_in], or NULL */
    /* P and Q⁻¹, or NULL: encoder and decoder stand for W_enc P and Q⁻¹ W_dec, decoder_bias for Q⁻¹ b_dec. Of an SAE P
     * and Q are one map. [d_in] and [d_out] where they are diagonal, else lower triangular [d_in, d_in] and [d_out,
     * d_out]. */
    const float *input_transform, *output_transform;
    bool diagonal_transforms;
};

/* Writes a native dictionary (temporary file, then renamed). dtype: "f32", "bf16", "f16", "q8_0" for the two matrices;
 * biases, thresholds and the skip stay f32. */
FATHOM_API int fathom_dictionary_write(const char *path, const struct fathom_dictionary_parts *parts,
                                       const char *dtype);
/* Writes a dictionary once more with matrices of another type. Errors as above. */
FATHOM_API int fathom_dictionary_quantise(const char *path, const fathom_dictionary *dictionary, const char *dtype);

#ifdef __cplusplus
}
#endif
#endif
