/* Where features lie to each other, in two dimensions. */
#ifndef FATHOM_SERVER_MAP_H
#define FATHOM_SERVER_MAP_H

#include <fathom/dictionary.h>

/* The two principal components of the features' decoder directions, each direction of length 1 in the space that the
 * dictionary was trained in (fathom_dictionary_trained_direction), their mean taken away: subspace iteration from a fixed
 * seed, so that a dictionary's map is always the same one; the first coordinate is the one that varies more, and each
 * axis points where its largest value lies. */
struct fathom__map {
    float *x, *y; /* [n] */
    size_t n;
    double explained[2]; /* share of the directions' variance that lies along each axis */
    double even;         /* what an axis would have if all were alike: 1 / dimensions */
};

/* Errors: MEMORY. Free with fathom__map_free. */
int fathom__map_make(struct fathom__map *out, const fathom_dictionary *dictionary);
void fathom__map_free(struct fathom__map *map);

#endif
