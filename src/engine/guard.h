/* The engine's C++ boundary: what may throw is called here, and every exception becomes a status with a message. */
#ifndef FATHOM_ENGINE_GUARD_H
#define FATHOM_ENGINE_GUARD_H

#include <fathom/model.h>
#include <jansson.h>
#include <llama.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads a model of n parts. Errors: MEMORY, ENGINE (with what the engine said), STOPPED is the caller's to tell (its
 * progress callback refused). */
int fathom__guard_model_load(struct llama_model **out, const char **paths, size_t n, struct llama_model_params params);

/* llama_init_from_model. Errors: MEMORY, ENGINE. */
int fathom__guard_context_init(struct llama_context **out, struct llama_model *model,
                               struct llama_context_params params);

/* llama_decode: *result gets its value (0 done, 1 no KV slot, 2 aborted by callback, negative: failed). Errors: MEMORY,
 * ENGINE when it threw. */
int fathom__guard_decode(int32_t *result, struct llama_context *context, struct llama_batch batch);

/* llama_adapter_lora_init. Errors: MEMORY, ENGINE. */
int fathom__guard_adapter_load(struct llama_adapter_lora **out, struct llama_model *model, const char *path);

/* llama_tokenize with a buffer of `capacity` tokens: *n gets its value. Errors: MEMORY, ENGINE. */
int fathom__guard_tokenize(int32_t *n, const struct llama_vocab *vocab, const char *text, int32_t length,
                           llama_token *tokens, int32_t capacity, bool add_special, bool parse_special);

/* llama_sampler_init_grammar: a GBNF grammar whose first rule is "root". Errors: FORMAT (the grammar cannot be read), MEMORY,
 * ENGINE. */
int fathom__guard_grammar(struct llama_sampler **out, const struct llama_vocab *vocab, const char *grammar);
/* llama_sampler_apply and llama_sampler_accept. Errors: MEMORY, ENGINE. */
int fathom__guard_sampler_apply(struct llama_sampler *sampler, llama_token_data_array *candidates);
int fathom__guard_sampler_accept(struct llama_sampler *sampler, llama_token token);

/* Renders a Jinja chat template. bos and eos are the tokens' written forms, or NULL where there are none. `name` stands
 * in messages; tools NULL: none. New text in *out. */
int fathom__guard_render_chat(char **out, const char *name, const char *chat_template, const char *bos, const char *eos,
                              const json_t *messages, const json_t *tools, bool add_generation_prompt);

#ifdef __cplusplus
}
#endif
#endif
