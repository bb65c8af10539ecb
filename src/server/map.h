/* Where features lie to each other, in two dimensions. */
#ifndef FATHOM_SERVER_MAP_H
#define FATHOM_SERVER_MAP_H

#include <fathom/dictionary.h>

/* Features whose decoder directions are alike lie near each other: an embedding (embedding.h) of each feature's nearest ones by cosine, in
 * the space that the dictionary was trained in (fathom_dictionary_trained_direction), begun from the directions' two principal
 * components. Everything is seeded.
 *
 * Two dimensions cannot show all of several hundred. How much they do show is measured on a sample of features: the share of a
 * feature's nearest ones that are also among as many nearest to it on the map, beside the same on a map of the principal
 * components alone, and what places without any order have. */
struct fathom__map {
    float *x, *y; /* [n] */
    size_t n;
    size_t n_nearest; /* neighbours that were asked of each feature */
    double kept, kept_by_components, kept_by_chance;
};

/* n_threads 0: all cores. `stop` (NULL allowed) is asked now and then. Errors: MEMORY, STOPPED, those of products. Free with
 * fathom__map_free. */
int fathom__map_make(struct fathom__map *out, const fathom_dictionary *dictionary, uint32_t n_threads,
                     bool (*stop)(void *payload), void *payload);
void fathom__map_free(struct fathom__map *map);

#endif
