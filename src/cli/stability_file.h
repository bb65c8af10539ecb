/* DICT.stability.json, which train --seeds writes beside each dictionary: how far its features come back from the other
 * seeds (stability.h). */
#ifndef FATHOM_CLI_STABILITY_FILE_H
#define FATHOM_CLI_STABILITY_FILE_H

#include "cli.h"
#include <fathom/dictionary.h>

/* The file's path, new (fathom_free): the dictionary's with .stability.json in place of its ending. */
int stability_file_path(char **out, const char *dictionary_path);
/* What it says of one feature, new: best_cosine, beside all features' median, random directions' mean and the number of
 * other seeds. *out is NULL where there is no file. FORMAT (another number of features, something missing). */
int stability_file_read(json_t **out, const fathom_dictionary *dictionary, uint32_t feature);
void stability_file_print(const json_t *stability);

#endif
