/* Absorption: words are read, then measured; and the two criteria that a word is judged by. */
#include "base/error.h"
#include "detect/absorption_internal.h"
#include <math.h>
#include <string.h>

static const double least_share = 0.4;    /* of the projection, to be carried by others */
static const double least_cosine = 0.025; /* of a feature that carries it alone */

double fathom__absorbed_fraction(const struct fathom__projection *projection) {
    double others = 0;
    for (int i = 0; i < FATHOM__ABSORBERS; i++)
        others += projection->others[i];
    if (projection->mains >= projection->whole || others < least_share * projection->whole) return 0;
    if (projection->mains <= 0) return 1;
    const double absorbed = fmin(others, projection->whole - projection->mains);
    return absorbed / (absorbed + projection->mains);
}

bool fathom__absorbed_fully(const struct fathom__projection *projection) {
    return projection->silent && projection->cosine >= least_cosine && projection->whole > 0 &&
           projection->best >= least_share * projection->whole;
}

int fathom_absorption(struct fathom_absorption_report *out, const fathom_model *model,
                      const fathom_dictionary *dictionary, const struct fathom_absorption_options *options) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom__words words = {0};
    if (info->needs_rows || strcmp(info->hook_in, info->hook_out) != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: absorption is measured on dictionaries that reconstruct their own input, the same for "
                            "all rows",
                            info->path);
    int status = fathom__words_read(&words, model, dictionary, options);
    if (!status) status = fathom__absorption_measure(out, &words, dictionary, options);
    fathom__words_free(&words);
    return status;
}
