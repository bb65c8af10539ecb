/* Effects beside their controls. */
#ifndef FATHOM_EXPLAIN_CLAIMS_H
#define FATHOM_EXPLAIN_CLAIMS_H

#include <base/random.h>
#include <fathom/explain.h>

/* Sets a measure out of the answer's log probability with the cause taken away (`without`), with nothing taken away
 * (`plain`), and the effects of its controls. */
void fathom__claim_set(struct fathom_effect_measure *out, double without, double plain, const double *controls,
                       size_t n_controls);

/* Draws up to `most` of the n candidates (indices into effects, in `candidates`, shuffled in place) and gathers their
 * effects. Returns how many. */
size_t fathom__claim_draw(double *out, size_t most, const double *effects, uint32_t *candidates, size_t n,
                          struct fathom__random *random);

#endif
