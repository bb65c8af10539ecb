/* What reading and writing Gemma Scope 2 share. */
#ifndef FATHOM_DICTIONARY_FORMATS_GEMMA_SCOPE_2_H
#define FATHOM_DICTIONARY_FORMATS_GEMMA_SCOPE_2_H

#include <fathom/dictionary.h>
#include <stddef.h>

#define FATHOM__GEMMA_SCOPE_2_PARAMS "params.safetensors"
#define FATHOM__GEMMA_SCOPE_2_SKIP "affine_skip_connection"

/* params_layer_N.safetensors; returns name. */
#define FATHOM__GEMMA_SCOPE_2_NAME 48
const char *fathom__gemma_scope_2_layer(char name[FATHOM__GEMMA_SCOPE_2_NAME], size_t layer);

int fathom__gemma_scope_2_write(const char *folder, const fathom_dictionary *dictionary);

#endif
