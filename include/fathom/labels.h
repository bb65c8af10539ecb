/* People's labels over time: where they are written, and what they were.
 *
 * A catalogue that came with Fathom is never written to: a person's first label copies it. Every change of a label is written
 * down beside it, in the same transaction; catalogues from before that have no history, and no error.
 */
#ifndef FATHOM_LABELS_H
#define FATHOM_LABELS_H

#include <fathom/catalogue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where changes to the catalogue at `path` go: to `path` itself, unless it is a shipped one. Then that is copied to the
 * user's own place first, and *out is the copy (unless a catalogue of other dictionaries lies there already). *out is
 * new (fathom_free). Errors: IO. */
FATHOM_API int fathom_catalogue_writable(char **out, const fathom_dictionary *dictionary, const char *path);

/* What a person did to a feature's label. */
struct fathom_label_change {
    const char *text; /* NULL: the label was removed */
    const char *origin;
    const char *at; /* UTC, such as "2026-11-22T19:06:22Z" */
};

/* The changes of a feature's labels by people, the latest first, at most 100. *out is new (fathom_label_changes_free), NULL
 * where there are none. One thread at a time, as the catalogue. Errors: NOT_FOUND (number), IO, LIMIT (locked), MEMORY. */
FATHOM_API int fathom_catalogue_label_changes(struct fathom_label_change **out, size_t *n, fathom_catalogue *catalogue,
                                              uint32_t feature);
FATHOM_API void fathom_label_changes_free(struct fathom_label_change *changes, size_t n);

#ifdef __cplusplus
}
#endif
#endif
