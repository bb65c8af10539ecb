/* dictionary_learning's classes, as ae.pt keeps them. */
#ifndef FATHOM_DICTIONARY_FORMATS_DICTIONARY_LEARNING_H
#define FATHOM_DICTIONARY_FORMATS_DICTIONARY_LEARNING_H

#include <fathom/dictionary.h>

#define FATHOM__DICTIONARY_LEARNING_WEIGHTS "ae.pt"

enum fathom__dictionary_learning_class {
    FATHOM__DICTIONARY_LEARNING_PLAIN,
    FATHOM__DICTIONARY_LEARNING_NEW,
    FATHOM__DICTIONARY_LEARNING_GATED,
    FATHOM__DICTIONARY_LEARNING_JUMPRELU,
    FATHOM__DICTIONARY_LEARNING_TOPK,
    FATHOM__DICTIONARY_LEARNING_BATCHTOPK,
    FATHOM__DICTIONARY_LEARNING_MATRYOSHKA,
    FATHOM__DICTIONARY_LEARNING_CLASSES
};

/* Names of a class's tensors, and whether they are kept as [d, F] and [F, d] instead of as a Linear's. */
struct fathom__dictionary_learning_layout {
    const char *class_name, *native, *encoder, *encoder_bias, *decoder, *decoder_bias;
    bool turned, subtracts;
};
extern const struct fathom__dictionary_learning_layout fathom__dictionary_learning[FATHOM__DICTIONARY_LEARNING_CLASSES];

int fathom__dictionary_learning_write(const char *folder, const fathom_dictionary *dictionary);

#endif
