/* Doctor: proof, on this model and this machine, that taps read what the model computes with and that edits take
 * effect.
 *
 * Silent no-ops are the commonest defect of work inside models. Every check runs the model, and states what it measured
 * beside what was expected; none rests on a file's word.
 */
#ifndef FATHOM_DOCTOR_H
#define FATHOM_DOCTOR_H

#include <fathom/hook.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_doctor_options {
    uint32_t n_threads;          /* 0: all cores */
    fathom_progress_fn progress; /* may be NULL */
    void *payload;
};
#define FATHOM_DOCTOR_OPTIONS_INIT                                                                                     \
    { 0 }

struct fathom_doctor_check {
    const char *name; /* such as "mlp_in is the norm of resid_mid" */
    bool passed;
    double measured; /* what `expected` bounds: the worst over all layers and rows */
    double expected;
    bool at_least; /* measured must be at least, else at most, expected */
    char *detail;  /* what was compared, and where the worst was */
};

struct fathom_doctor_hook {
    char name[FATHOM_HOOK_NAME_SIZE];
    struct fathom_hook hook;
    uint32_t heads, width_per_head; /* as fathom_hook_exists says, and as the run showed them */
};

struct fathom_doctor_report {
    struct fathom_doctor_check *checks;
    size_t n_checks, n_failed;
    struct fathom_doctor_hook *hooks; /* every point that came up in a run */
    size_t n_hooks;
};

/* Runs all checks; a failed check is no error. *out is freed by fathom_doctor_free. Errors: those of sessions;
 * STOPPED. */
FATHOM_API int fathom_doctor_run(struct fathom_doctor_report **out, const fathom_model *model,
                                 const struct fathom_doctor_options *options);
FATHOM_API void fathom_doctor_free(struct fathom_doctor_report *report);

#ifdef __cplusplus
}
#endif
#endif
