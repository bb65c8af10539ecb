/* Folders of SAELens: cfg.json and sae_weights.safetensors. */
#ifndef FATHOM_DICTIONARY_FORMATS_SAELENS_H
#define FATHOM_DICTIONARY_FORMATS_SAELENS_H

#include <fathom/dictionary.h>

#define FATHOM__SAELENS_CONFIG "cfg.json"
#define FATHOM__SAELENS_WEIGHTS "sae_weights.safetensors"
#define FATHOM__SAELENS_SCALER "activation_scaler.json"
/* The version whose own code read and wrote the files that the tests compare with. */
#define FATHOM__SAELENS_VERSION "6.54.12"

int fathom__saelens_write(const char *folder, const fathom_dictionary *dictionary);

#endif
