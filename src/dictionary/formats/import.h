/* What importers share: what is known of a dictionary so far, where its tensors come from, hook points by other
 * names. */
#ifndef FATHOM_DICTIONARY_FORMATS_IMPORT_H
#define FATHOM_DICTIONARY_FORMATS_IMPORT_H

#include <base/json.h>
#include <base/npz.h>
#include <base/safetensors.h>
#include <base/torch_file.h>
#include <fathom/formats.h>
#include <fathom/hook.h>
#include <stdarg.h>

/* A file of tensors: safetensors, .npz or .pt by its ending. */
struct fathom__source {
    char *path;
    fathom__safetensors *safetensors;
    fathom__npz *npz;
    fathom__torch *torch;
};
int fathom__source_open(struct fathom__source *out, const char *path);
void fathom__source_close(struct fathom__source *source);
const struct fathom__tensor *fathom__source_find(const struct fathom__source *source, const char *name);
/* The tensor of this name or a FORMAT error that names it. */
int fathom__source_need(const struct fathom__tensor **out, const struct fathom__source *source, const char *name);
/* New f32 [n], and [rows, columns]; `transposed` says that the file holds [columns, rows]. */
int fathom__source_vector(float **out, const struct fathom__source *source, const char *name, size_t n);
int fathom__source_matrix(float **out, const struct fathom__source *source, const char *name, size_t rows,
                          size_t columns, bool transposed);

struct fathom__import {
    const struct fathom_import_options *options;
    const char *from;  /* the format's name */
    char *folder;      /* without slashes at its end */
    char *file;        /* the one that was named; NULL: a folder was */
    char *config_path; /* of `config`, for messages */
    struct fathom__source source;
    json_t *config;  /* object; NULL: none */
    json_t *changes; /* array of texts */
    char **texts;    /* that info points to */
    size_t n_texts, text_capacity;
    /* What is found; `info`'s names are borrowed from texts, config or options. d_in, d_out and n_features come
     * first. */
    struct fathom_dictionary_info info;
    float *encoder, *encoder_bias, *decoder, *decoder_bias, *threshold, *gate_bias, *magnitude_scale, *skip;
    uint32_t *group_sizes;
    struct fathom_dictionary_layer *layers; /* [info.n_layers] */
};

/* Notes what was changed. */
int fathom__import_change(struct fathom__import *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A text that lives as long as the import. */
int fathom__import_text(const char **out, struct fathom__import *in, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether the folder has a file of this name. */
bool fathom__import_has(const struct fathom__import *in, const char *name);
/* Reads a JSON object of the folder into in->config; without `required` a file that is not there is none. */
int fathom__import_config(struct fathom__import *in, const char *name, bool required);
/* Opens the folder's file of this name, or the file that was named where name is NULL, as in->source. */
int fathom__import_open(struct fathom__import *in, const char *name);

/* n zeros; d_out for a decoder bias that a format leaves out. */
int fathom__import_zeros(float **out, size_t n);
/* Thresholds below 0 are 0 where a ReLU follows; noted. */
int fathom__import_floor_thresholds(struct fathom__import *in);
/* One threshold for all features. */
int fathom__import_fill_threshold(struct fathom__import *in, double value);
/* The lengths of the decoder's rows move into the encoder and its biases: what activations are then is a · |W_dec|. */
int fathom__import_fold_norms(struct fathom__import *in);

/* Where no ReLU follows, thresholds below 0 are UNSUPPORTED. */
int fathom__import_jump_only(const struct fathom__import *in);

/* Cross-layer transcoders (import_layers.c). Sizes, and new arrays for all but thresholds; UNSUPPORTED, MEMORY. */
int fathom__import_layers_open(struct fathom__import *in, size_t n_layers, size_t layer_features, size_t width);
/* A tensor of this shape into arrays that are there. */
int fathom__import_layer_tensor(float *out, const struct fathom__source *source, const char *name, const size_t *shape,
                                size_t n_dimensions);
/* As fathom__import_hooks for one layer; layers come by ascending number. The options have lists with + between. */
int fathom__import_layer_hooks(struct fathom__import *in, uint32_t layer, const char *hook_in, const char *hook_out);

/* What a model's name says of it (import_hooks.c). */
enum fathom__norm_family { FATHOM__FAMILY_UNKNOWN, FATHOM__FAMILY_LAYER_NORM, FATHOM__FAMILY_RMS };
enum fathom__norm_family fathom__model_norm(const char *model_name);
/* Whether its blocks norm what attention and MLP give before adding it (Gemma 2 and 3). */
bool fathom__model_post_norms(const char *model_name);

/* What follows "model.layers.N" in transformers' name of "blocks.N." and this hook, in models whose blocks norm what
 * attention and MLP give; NULL: there is no such module. */
const char *fathom__hook_module(const char *hook);

/* Sets info.hook_in and info.hook_out by the options, else by these names, NULL where the files say nothing (an SAE's
 * hook_out is its hook_in). Names are TransformerLens's, or those of transformers' modules ("model.layers.3.output");
 * what Fathom calls otherwise is translated, with the norm that lies between: ln2.hook_normalized is resid_mid under
 * "rms". ARGUMENT (nothing says the hook), UNSUPPORTED. */
int fathom__import_hooks(struct fathom__import *in, const char *hook_in, const char *hook_out);

/* The formats. `detect` says whether the path looks like one, and reads nothing but names where it can. */
struct fathom__format {
    struct fathom_format_info info;
    bool (*detect)(const struct fathom__import *in);
    int (*read)(struct fathom__import *in);
    int (*write)(const char *folder, const fathom_dictionary *dictionary); /* NULL: not written */
    bool writes_layers;                                                    /* cross-layer transcoders too */
};
extern const struct fathom__format fathom__format_saelens, fathom__format_gemma_scope, fathom__format_gemma_scope_2,
    fathom__format_sparsify, fathom__format_dictionary_learning, fathom__format_openmoss, fathom__format_llama_scope,
    fathom__format_openai, fathom__format_circuit_tracer;

#endif
