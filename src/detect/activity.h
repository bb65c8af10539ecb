/* How active every feature of a dictionary is in every text. */
#ifndef FATHOM_DETECT_ACTIVITY_H
#define FATHOM_DETECT_ACTIVITY_H

#include <fathom/detect.h>

/* One feature in one text; texts where it never fires have no entry. */
struct fathom__active {
    uint32_t feature, text;
    float mean; /* over the text's covered rows */
    float maximum;
};

/* All entries by ascending feature, then text; *out is new (fathom_free). */
int fathom__activity_read(struct fathom__active **out, size_t *n, const fathom_model *model,
                          const fathom_dictionary *dictionary, const struct fathom_texts *texts);

/* The largest activation of one feature in each text: its entries [n] spread over scores [texts], 0 elsewhere. */
void fathom__activity_spread(double *scores, size_t n_texts, const struct fathom__active *entries, size_t n);

/* How many entries from `first` on are of the same feature. */
size_t fathom__activity_run(const struct fathom__active *entries, size_t n, size_t first);

/* What a judge makes of one feature's entries [n]; scores has room for a number a text. A fathom_status. */
typedef int (*fathom__activity_judge)(void *out, const struct fathom__active *entries, size_t n,
                                      const struct fathom_texts *texts, double *scores);
/* Judges every feature that has entries: *out is a new array (fathom_free) of *n elements of `size` bytes, by ascending
 * feature. */
int fathom__activity_judge_all(void **out, size_t *n, size_t size, const struct fathom__active *entries,
                               size_t n_entries, const struct fathom_texts *texts, fathom__activity_judge judge);

#endif
