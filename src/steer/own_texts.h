/* A few sentences of Fathom's own, of many kinds: what norms and features are measured on when nobody gives texts. */
#ifndef FATHOM_STEER_OWN_TEXTS_H
#define FATHOM_STEER_OWN_TEXTS_H

#include <fathom/detect.h>

int fathom__own_texts(struct fathom_texts *out);

#endif
