/* What the doctor's checks share. */
#ifndef FATHOM_ENGINE_DOCTOR_PARTS_H
#define FATHOM_ENGINE_DOCTOR_PARTS_H

#include "engine/session_internal.h"
#include <fathom/doctor.h>

enum { FATHOM__DOCTOR_TOKENS = 12, FATHOM__DOCTOR_TEXTS = 2 };

/* The rows of one point in the last run. */
struct fathom__seen {
    struct fathom_hook hook;
    float *values;
    size_t n_rows, heads, width;
};

struct fathom__doctor {
    const fathom_model *model;
    fathom_session *plain, *exact; /* with flash attention, and for comparisons */
    int32_t texts[FATHOM__DOCTOR_TEXTS][FATHOM__DOCTOR_TOKENS];
    struct fathom_doctor_report *report;
    size_t checks_capacity;
    const struct fathom_doctor_options *options;
};

/* Adds a check's result; it passed when `measured` is finite and on the right side of `expected`. */
int fathom__doctor_check(struct fathom__doctor *doctor, const char *name, double measured, bool at_least,
                         double expected, const char *detail, ...) __attribute__((format(printf, 6, 7)));
int fathom__doctor_progress(struct fathom__doctor *doctor, const char *doing);

/* Taps a point in every run from now on: each replaces what was seen before. */
int fathom__doctor_watch(struct fathom__seen *seen, fathom_session *session, struct fathom_hook hook);
void fathom__doctor_unsee(struct fathom__seen *seen, size_t n);

/* Runs one text (or both in turns, as sequences 0 and 1, for text -1) in the emptied session, as one decode. */
int fathom__doctor_run(struct fathom__doctor *doctor, fathom_session *session, int text, bool want_logits);

/* |a - b| / scale of two rows, where scale is the larger norm; 0 when both are 0. */
double fathom__doctor_difference(const float *a, const float *b, size_t n);

/* The worse of two measures of which none may be too large, or too small: what is not a number is the worst, and stays
 * so, where fmax and fmin would pass over it. */
double fathom__doctor_larger(double a, double b);
double fathom__doctor_smaller(double a, double b);
/* sqrt(difference / norm) of two sums of squares; 0 when there is no difference. */
double fathom__doctor_ratio(double difference, double norm);

int fathom__doctor_reads(struct fathom__doctor *doctor);     /* taps carry what the model computes with */
int fathom__doctor_attention(struct fathom__doctor *doctor); /* scores, pattern, values and z belong together */
int fathom__doctor_edits(struct fathom__doctor *doctor);     /* edits change what follows, and only that */
int fathom__doctor_rows(
    struct fathom__doctor *doctor); /* rows are whose they claim to be; stopping early changes none */

#endif
