/* Hook points: the places in a model where rows can be read (tapped) and changed (edited).
 *
 * Names follow TransformerLens ("blocks.11.hook_resid_post"), each with a short alias ("resid_post.11");
 * a negative layer counts from the end ("resid_post.-1"). The table from name to engine tensor is per
 * architecture: llama, qwen2, qwen3, gemma2, gemma3, gpt2, gptneox, phi3. On any other architecture the
 * residual stream is offered where its name is unambiguous; everything else is refused by name, never guessed.
 *
 *   name                         alias          width               what the rows are
 *   hook_embed                   embed          d_model             token embedding as the first layer gets it (Gemma:
 *                                scaled)
 *   blocks.N.hook_resid_pre      resid_pre.N    d_model             residual stream before layer N
 *   blocks.N.hook_resid_mid      resid_mid.N    d_model             between attention and MLP (absent with parallel
 *                                residual)
 *   blocks.N.hook_resid_post     resid_post.N   d_model             after layer N
 *   blocks.N.attn.hook_in        attn_in.N      d_model             input of the q, k, v projections: after norm and
 *                                gain
 *   blocks.N.attn.hook_q, _k     q.N, k.N       heads × d_head      after bias and QK norm, before rotation
 *   blocks.N.attn.hook_rot_q, _k rot_q.N …      heads × d_head      after rotation (absent in gpt2)
 *   blocks.N.attn.hook_v           v.N           heads_kv × d_head
 *   blocks.N.attn.hook_attn_scores attn_scores.N heads × n_keys     scaled, soft-capped and masked (-inf)
 *   blocks.N.attn.hook_pattern   pattern.N      heads × n_keys      after softmax
 *   blocks.N.attn.hook_z         z.N            heads × d_head      weighted values, before the output projection
 *   blocks.N.hook_attn_out       attn_out.N     d_model             what attention adds to the residual stream (after a
 *                                post norm)
 *   blocks.N.mlp.hook_in         mlp_in.N       d_model             input of the MLP's projections: after norm and gain
 *   blocks.N.mlp.hook_pre        mlp_pre.N      d_mlp               before the activation function (the gate, where
 *                                gated)
 *   blocks.N.mlp.hook_post       mlp_post.N     d_mlp               input of the down projection
 *   blocks.N.hook_mlp_out        mlp_out.N      d_model             what the MLP adds to the residual stream (after a
 *                                post norm)
 *   ln_final.hook_out            final_norm     d_model             after the final norm and its gain: what W_U
 *                                multiplies
 *   logits                       logits         n_vocab             after soft-capping; only rows whose logits are
 *                                wanted
 *
 * In q, k, rot_q and rot_k the channels of a head that rotate together are i and i + d_head / 2, as in transformers,
 * also where GGUF keeps them side by side (llama). In scores a masked key is -inf, and stays masked whatever an edit
 * writes there.
 */
#ifndef FATHOM_HOOK_H
#define FATHOM_HOOK_H

#include <fathom/error.h>
#include <fathom/model.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fathom_hook_kind {
    FATHOM_HOOK_EMBED,
    FATHOM_HOOK_RESID_PRE,
    FATHOM_HOOK_RESID_MID,
    FATHOM_HOOK_RESID_POST,
    FATHOM_HOOK_ATTN_IN,
    FATHOM_HOOK_Q,
    FATHOM_HOOK_K,
    FATHOM_HOOK_V,
    FATHOM_HOOK_ROT_Q,
    FATHOM_HOOK_ROT_K,
    FATHOM_HOOK_ATTN_SCORES,
    FATHOM_HOOK_PATTERN,
    FATHOM_HOOK_Z,
    FATHOM_HOOK_ATTN_OUT,
    FATHOM_HOOK_MLP_IN,
    FATHOM_HOOK_MLP_PRE,
    FATHOM_HOOK_MLP_POST,
    FATHOM_HOOK_MLP_OUT,
    FATHOM_HOOK_FINAL_NORM,
    FATHOM_HOOK_LOGITS,
    FATHOM_HOOK_COUNT
};

struct fathom_hook {
    enum fathom_hook_kind kind;
    int32_t layer; /* 0 … n_layers - 1; -1 for embed, final_norm and logits */
};

#define FATHOM_HOOK_NAME_SIZE 64

/* Reads a name or an alias for this model; negative layers are resolved. Errors: NOT_FOUND (no such name; the
 * message lists the nearest ones), UNSUPPORTED (a point that this architecture has not, and why), ARGUMENT (layer
 * out of range). */
FATHOM_API int fathom_hook_parse(struct fathom_hook *out, const fathom_model *model, const char *name);

/* Writes the full name, such as "blocks.11.hook_resid_post". */
FATHOM_API void fathom_hook_name(char out[FATHOM_HOOK_NAME_SIZE], struct fathom_hook hook);
/* Writes the alias, such as "resid_post.11". */
FATHOM_API void fathom_hook_alias(char out[FATHOM_HOOK_NAME_SIZE], struct fathom_hook hook);

/* Whether this model has the point; *heads and *width_per_head tell its shape (1 and the width where there are no
 * heads; width_per_head 0 for scores and pattern, whose last dimension is the number of keys). Pointers may be NULL. */
FATHOM_API bool fathom_hook_exists(uint32_t *heads, uint32_t *width_per_head, const fathom_model *model,
                                   struct fathom_hook hook);

#ifdef __cplusplus
}
#endif
#endif
