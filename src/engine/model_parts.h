/* The steps of opening a model, one file each. */
#ifndef FATHOM_ENGINE_MODEL_PARTS_H
#define FATHOM_ENGINE_MODEL_PARTS_H

#include "engine/model_internal.h"

/* A path as it is, or where the default model of this name lies (model_fetch.c). New. Errors: NOT_FOUND. */
int fathom__model_resolve(char **out, const char *path_or_name);

/* Reads the architecture and its hyper-parameters (model_shape.c). For the architectures of hook.h every key is
 * checked; on others only what the description needs is read, and what is missing is 0. Errors: FORMAT. */
int fathom__model_read_shape(struct fathom__model_shape *out, const struct fathom__model_files *files);

/* Checks the tokenizer's keys (model_vocabulary.c). *odd tells that it is of a kind that was not checked enough: to be
 * tried in a child process. Errors: FORMAT, NUMERIC. */
int fathom__model_check_vocabulary(bool *odd, const struct fathom__model_files *files);

/* Checks names, types and shapes of all tensors that the architecture asks for, and that small tensors are finite
 * (model_tensors.c). Errors: FORMAT, NUMERIC. */
int fathom__model_check_tensors(const struct fathom__model_files *files, const struct fathom__model_shape *shape);

/* Loads the model and runs one token in a child process (model_trial.c). Errors: FORMAT (with how the child ended). */
int fathom__model_trial(const struct fathom__model_files *files);

/* Loads and checks the adapters (model_adapters.c). Errors: FORMAT, MISMATCH, IO. */
int fathom__model_load_adapters(fathom_model *model, const struct fathom_adapter *adapters, size_t n);

/* Fills in token_text, token_offsets and token_flags (model_tokens.c). */
int fathom__model_read_tokens(fathom_model *model);

/* Fills in info.identity and info.source_identity, adapters included (model_identity.c). Errors: NUMERIC (weights that
 * are not finite), FORMAT, IO. */
int fathom__model_identify(fathom_model *model);

/* Identity of files alone, from the cache when they did not change since; weights that are not finite give NUMERIC. */
int fathom__model_files_identity(char out[FATHOM_IDENTITY_SIZE], const struct fathom__model_files *files);

/* Whether no weight is NaN or infinite (model_finite.c); types whose scales cannot be told count as finite. */
bool fathom__model_tensor_finite(const struct fathom__gguf_tensor *tensor);

/* Keys that derived files carry. */
#define FATHOM__KEY_SOURCE_IDENTITY "fathom.source.identity"
#define FATHOM__KEY_DERIVED_RECIPE "fathom.derived.recipe"

#endif
