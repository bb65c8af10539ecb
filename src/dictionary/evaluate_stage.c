/* Progress of evaluations. */
#include <base/error.h>
#include <base/thread.h>
#include <dictionary/evaluate_internal.h>
#include <string.h>

#define PROGRESS_SECONDS 0.25

int fathom__stage_tell(struct fathom__stage *stage, const struct fathom_evaluate_options *options, const char *name,
                       const char *unit, uint64_t done, uint64_t total) {
    const double now = fathom__seconds();
    if (!stage->name || strcmp(stage->name, name) != 0) {
        /* What was done before the first call is of unknown duration; a later stage began where the one before ended. */
        stage->first = stage->name ? 0 : done;
        stage->started = stage->name ? stage->last : now;
        stage->name = name;
    }
    stage->last = now;
    if (!options->progress || now - stage->told < PROGRESS_SECONDS) return FATHOM_OK;
    stage->told = now;
    total = done > total ? done : total; /* the last sequence is taken whole */
    const double seconds = now - stage->started,
                 rate = seconds > 0 && done > stage->first ? (double)(done - stage->first) / seconds : 0;
    const struct fathom_progress progress = {.stage = name,
                                             .done = done,
                                             .total = total,
                                             .unit = unit,
                                             .units_per_second = rate,
                                             .seconds_left = rate > 0 ? (double)(total - done) / rate : -1};
    return fathom__callback_status(options->progress(&progress, options->payload));
}
