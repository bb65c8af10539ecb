/* What the parts of an explanation share. */
#ifndef FATHOM_EXPLAIN_PARTS_H
#define FATHOM_EXPLAIN_PARTS_H

#include "baseline.h"
#include "claims.h"

struct fathom__parts {
    fathom_session *session;
    struct fathom__question question;
    const struct fathom__baseline *baseline;
    struct fathom__random *random;
    size_t n_features, n_controls;
    fathom_progress_fn progress;
    void *progress_payload;
};

int fathom__explain_features(fathom_explanation *explanation, const struct fathom__parts *parts,
                             const fathom_dictionary *dictionary);
int fathom__explain_tokens(fathom_explanation *explanation, const struct fathom__parts *parts);

#endif
