/* Dictionaries of other trainers: into the native file, and out of it.
 *
 *   format               what it is                                                                    written too
 *   saelens              folder: cfg.json, sae_weights.safetensors (versions 5 and 6)                  yes
 *   gemma-scope          params.npz, or a folder with it (Gemma Scope 1)                               yes
 *   gemma-scope-2        folder: params.safetensors, config.json where it is there; or, of a cross-     yes
 *                        layer transcoder, params_layer_N.safetensors of all layers
 *   sparsify             folder: cfg.json, sae.safetensors                                             yes
 *   dictionary-learning  ae.pt, with config.json beside it, or a folder with both                      yes
 *   openmoss             folder: config.json, sae_weights.safetensors, also of a cross-layer            yes
 *                        transcoder (sae_type "clt")
 *   llama-scope          folder: hyperparams.json, checkpoints/final.safetensors (OpenMOSS's older)    no
 *   openai               a .pt file of OpenAI's sparse_autoencoder                                     yes
 *   circuit-tracer       layer_N.safetensors of a set of transcoders, with config.yaml beside it; or   yes
 *                        a folder of a cross-layer transcoder: W_enc_N and W_dec_N.safetensors
 *
 * Importing keeps what a dictionary computes: whatever has to be folded, transposed or renamed for that is named in the
 * file's training record, under "import". What the native file cannot compute is refused by name. docs/formats.md says
 * what each was compared with.
 */
#ifndef FATHOM_FORMATS_H
#define FATHOM_FORMATS_H

#include <fathom/dictionary.h>
#include <fathom/error.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_format_info {
    const char *name, *summary;
    bool exports;
};
/* The lines of the table above, from 0 on; NULL: no more. Static storage. */
FATHOM_API const struct fathom_format_info *fathom_format_at(size_t index);

/* Whether the activations that a dictionary was trained on had their mean over the dimensions taken away, as
 * TransformerLens's processed models with LayerNorm do (center_writing_weights). */
enum fathom_centred { FATHOM_CENTRED_UNKNOWN, FATHOM_CENTRED_NO, FATHOM_CENTRED_YES };

struct fathom_import_options {
    const char *format; /* NULL: found by what the path holds */
    /* where it reads, by a full hook name, of a cross-layer transcoder by those of all layers with + between; NULL: as the
     * files say */
    const char *hook;
    const char *hook_out; /* where it writes; NULL: as the files say, or the hook it reads */
    const char *model;    /* the model's name; NULL: as the files say */
    const char *dtype;    /* of the matrices: "f32" (NULL), "bf16", "f16", "q8_0" */
    enum fathom_centred centred;
    double input_scale; /* what activations were multiplied with before training, where the files do not say; 0: as they
                           say */
};

/* `path` is a folder or one of the files in it. Errors: IO, FORMAT, UNSUPPORTED (an architecture, normalisation or hook
 * point that is not handled, by name), ARGUMENT (the files do not say something; the message names the option that
 * does), NUMERIC. options may be NULL. */
FATHOM_API int fathom_dictionary_import(const char *native_path, const char *path,
                                        const struct fathom_import_options *options);

/* Writes a folder (for gemma-scope: with params.npz; for circuit-tracer: layer_N.safetensors, N out of the hook, or all
 * files of a cross-layer transcoder whose layers are those of a model from 0 on, and config.yaml; gemma-scope-2 has
 * hook points of Gemma's blocks only; openai: PLACE/autoencoders/N.pt, as its publisher's paths end). UNSUPPORTED: what the
 * format cannot hold, by name. */
FATHOM_API int fathom_dictionary_export(const char *folder, const fathom_dictionary *dictionary, const char *format);

#ifdef __cplusplus
}
#endif
#endif
