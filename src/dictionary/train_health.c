/* Early warnings of a run: what usually comes before a dictionary that is worth nothing. */
#include <base/error.h>
#include <dictionary/train_internal.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

#define FALLS 3            /* evaluations in a row */
#define FALL_LEAST 1e-4    /* of FVE, at each */
#define L0_KEEPS 0.98      /* FVE may fall with L0 */
#define DEAD_LIMIT 0.5     /* of the features */
#define DENSE_LIMIT 0.5    /* of L0, by features that are active in more than a tenth of the rows */
#define COLLAPSE_LIMIT 0.1 /* of k */

enum kind { WORSE, FALLING, DEAD, DENSE, COLLAPSED };

/* Says it where it holds and did not before; the first of an evaluation is kept. */
static void warn(struct fathom__learner *learner, enum kind kind, bool holds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void warn(struct fathom__learner *learner, enum kind kind, bool holds, const char *format, ...) {
    const unsigned bit = 1U << kind;
    const bool told = learner->warned & bit;
    va_list arguments;
    learner->warned = holds ? learner->warned | bit : learner->warned & ~bit;
    if (!holds || told || learner->warning[0]) return;
    va_start(arguments, format);
    vsnprintf(learner->warning, sizeof learner->warning, format, arguments);
    va_end(arguments);
}

int fathom__health_of_step(struct fathom__learner *learner) {
    const struct fathom_trainer_metrics *m = &learner->last;
    if (isfinite(m->loss) && isfinite(m->gradient_norm)) return 0;
    return fathom__fail(FATHOM_ERROR_NUMERIC,
                        "step %" PRIu64 ": the loss is no longer finite: the training has diverged; a lower learning "
                        "rate (%g was asked for) or a gradient limit would help",
                        m->step, fathom_trainer_describe(learner->trainer)->learning_rate);
}

void fathom__health_of_evaluation(struct fathom__learner *learner, const struct fathom_trainer_evaluation *before) {
    const struct fathom_trainer_evaluation *now = &learner->evaluation;
    const struct fathom_trainer_options *options = fathom_trainer_describe(learner->trainer);
    const bool fell = learner->evaluated && now->fve < before->fve - FALL_LEAST && now->l0 >= L0_KEEPS * before->l0;
    learner->falls = fell ? learner->falls + 1 : 0;
    learner->warning[0] = '\0';
    warn(learner, WORSE, learner->last.step > options->warmup_steps && now->fve < 0,
         "held-out FVE is %.3f: the reconstruction is worse than the mean", now->fve);
    warn(learner, FALLING, learner->falls >= FALLS, "held-out FVE has fallen %u evaluations in a row, to %.4f",
         learner->falls, now->fve);
    warn(learner, DEAD, now->dead_fraction > DEAD_LIMIT, "%.0f %% of the features are dead", 100 * now->dead_fraction);
    warn(learner, DENSE, now->dense_share > DENSE_LIMIT,
         "%.0f %% of what is active are dense features, active in more than a tenth of the rows (%" PRIu32 " features)",
         100 * now->dense_share, now->n_dense);
    warn(learner, COLLAPSED, now->l0 < COLLAPSE_LIMIT * options->k,
         "L0 is %.2f where k is %" PRIu32 ": the activations have collapsed", now->l0, options->k);
}
