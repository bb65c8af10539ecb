/* What circuit-tracer's two kinds of files share. */
#ifndef FATHOM_DICTIONARY_FORMATS_CIRCUIT_TRACER_H
#define FATHOM_DICTIONARY_FORMATS_CIRCUIT_TRACER_H

#include <dictionary/formats/import.h>
#include <fathom/trainer.h>

#define FATHOM__CIRCUIT_TRACER_CONFIG "config.yaml"
/* A text of the configuration, which has been read; NULL: it says nothing. */
const char *fathom__circuit_tracer_configured(const struct fathom__import *in, const char *key);

/* circuit_tracer_layers.c: cross-layer transcoders. */
int fathom__circuit_tracer_read_layers(struct fathom__import *in);
int fathom__circuit_tracer_write_layers(const char *folder, const fathom_dictionary *dictionary);

#endif
