/* Maps kept in the cache: making one takes as long as it takes to read all pairs of features. */
#ifndef FATHOM_SERVER_MAP_FILE_H
#define FATHOM_SERVER_MAP_FILE_H

#include "server/map.h"

/* The map of a dictionary: the one that lies in the cache under the dictionary's directions, or a new one, which is then put
 * there. A damaged file counts as none, and what cannot be written is made again next time. Arguments and errors: as
 * fathom__map_make. */
int fathom__map_get(struct fathom__map *out, const fathom_dictionary *dictionary, uint32_t n_threads,
                    bool (*stop)(void *payload), void *payload);

/* Where it lies. New. Errors: MEMORY, IO (there is no cache folder), those of fathom_dictionary_trained_direction. */
int fathom__map_path(char **out, const fathom_dictionary *dictionary);
/* Written whole or not at all. Errors: IO, MEMORY. */
int fathom__map_write(const char *path, const struct fathom__map *map);
/* Errors: IO, FORMAT (no map of n features, or damaged), MEMORY. */
int fathom__map_read(struct fathom__map *out, const char *path, size_t n);

#endif
