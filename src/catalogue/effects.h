/* What features do to the output, and which features are alike: from the decoder alone, without text. */
#ifndef FATHOM_CATALOGUE_EFFECTS_H
#define FATHOM_CATALOGUE_EFFECTS_H

#include "catalogue/content.h"

struct fathom__decoder_facts {
    struct fathom_effect
        *effects; /* [n_features, 2 (raised, lowered), FATHOM__EFFECTS]; token -1 where there is none */
    struct fathom_neighbour
        *neighbours; /* [n_features, FATHOM__NEIGHBOURS]; places that a tiny dictionary leaves over repeat the first */
};

/* Effects are all absent for a dictionary that does not write to the residual stream: its directions do not live in
 * W_U's space. */
int fathom__decoder_facts_make(struct fathom__decoder_facts *out, const fathom_dictionary *dictionary,
                               const fathom_model *model, uint32_t n_threads, fathom_progress_fn progress,
                               void *payload);
/* The k output tokens that each of some features raises most, the most first: out is [n, k], token -1 where there is none.
 * Errors: UNSUPPORTED (a dictionary that does not write to the residual stream), MEMORY. */
int fathom__raised_tokens(struct fathom_effect *out, const fathom_dictionary *dictionary, const fathom_model *model,
                          const uint32_t *features, size_t n, size_t k);

void fathom__decoder_facts_free(struct fathom__decoder_facts *facts);

#endif
