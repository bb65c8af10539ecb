/* Everything that an index has found out, ready to be written. All borrowed. */
#ifndef FATHOM_CATALOGUE_CONTENT_H
#define FATHOM_CATALOGUE_CONTENT_H

#include "catalogue/catalogue_internal.h"
#include "catalogue/label.h"

struct fathom__content {
    const struct fathom_model_info *model; /* n_vocab, architecture and so on; its source_identity is the model's row */
    const struct fathom_dictionary_info *dictionary;
    const char *hash;              /* fathom__dictionary_hash */
    const char *corpus, *settings; /* one line; JSON */
    bool no_text;
    uint32_t n_top; /* strongest examples written; more are kept, because some repeat others' text */
    uint32_t n_band;
    const struct fathom__stream *stream;       /* and with it the evidence and the vocabulary */
    const struct fathom_effect *effects;       /* [n_features, 2 (raised, lowered), FATHOM__EFFECTS] */
    const struct fathom_neighbour *neighbours; /* [n_features, FATHOM__NEIGHBOURS] */
    const struct fathom__feature_label *labels;
    size_t n_labels;
    const char *made; /* date and time, ISO 8601 */
};

/* Writes it in one transaction: what the catalogue had on this dictionary goes, labels that people gave stay. */
int fathom__content_write(struct fathom__store *store, const struct fathom__content *content);

/* Writes the examples and passages (content_examples.c); inside the transaction. */
int fathom__content_write_examples(const struct fathom__store *store, const struct fathom__content *content,
                                   int64_t dictionary);

/* Brings the full-text row of a feature up to date with its labels. Inside a transaction. */
int fathom__words_set(const struct fathom__store *store, int64_t dictionary, uint32_t feature);

#endif
