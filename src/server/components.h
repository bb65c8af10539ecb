/* Principal components of rows. */
#ifndef FATHOM_SERVER_COMPONENTS_H
#define FATHOM_SERVER_COMPONENTS_H

#include <stddef.h>

/* Where each of n rows lies along the two directions in which all of them vary most, their mean taken away: subspace iteration from a
 * fixed seed. The first direction is the one that varies more, and each axis points where its largest value lies. rows: [n, d]; x and
 * y: [n]. Errors: MEMORY. */
int fathom__components(float *x, float *y, const float *rows, size_t n, size_t d);

#endif
