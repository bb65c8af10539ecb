/* What OpenMOSS's kinds of files share. */
#ifndef FATHOM_DICTIONARY_FORMATS_OPENMOSS_H
#define FATHOM_DICTIONARY_FORMATS_OPENMOSS_H

#include <dictionary/formats/import.h>
#include <fathom/dictionary.h>

#define FATHOM__OPENMOSS_CONFIG "config.json"
#define FATHOM__OPENMOSS_WEIGHTS "sae_weights.safetensors"
#define FATHOM__OPENMOSS_THRESHOLD "activation_function.log_jumprelu_threshold"
#define FATHOM__OPENMOSS_NORM "dataset_average_activation_norm."

/* An import by its configuration. */
struct fathom__openmoss {
    struct fathom__import *in;
    const char *kind, *hook_in, *hook_out, *activation, *normalisation;
    bool decoder_bias;
    bool by_norm; /* an activation times the length of its decoder row is what passes the gate */
};

/* √width / the average norm at a hook point, which the weights' file holds. FORMAT, ARGUMENT. */
int fathom__openmoss_scale(float *out, const struct fathom__import *in, const char *hook, size_t width);
/* A cross-layer transcoder, whose configuration has been read (openmoss_layers.c). */
int fathom__openmoss_read_layers(struct fathom__openmoss *moss);

int fathom__openmoss_write(const char *folder, const fathom_dictionary *dictionary);

#endif
