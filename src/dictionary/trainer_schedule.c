/* What changes from step to step: the learning rate and the sparsity loss's coefficient. */
#include <dictionary/trainer_internal.h>
#include <math.h>

#define DECAY_FROM 0.8 /* of total_steps */
/* Control of the coefficient by log(L0 / k), held within the limit: what it has come to moves by GAIN times that and the
 * learning rate in a step, since thresholds and biases move by no more than the rate; what is in force in a step differs
 * from it by AT_ONCE times that, which keeps L0 from swinging. */
#define GAIN 5
#define AT_ONCE 1
#define ERROR_LIMIT 1.5
/* JumpReLU's thresholds move by the learning rate in a step at most: by a quarter in a run of 200 steps at 1.2e-3, while
 * the encoder's growth moves L0 by more than that in a few. So control moves all of them together, by SHIFT times the error,
 * and the coefficient follows what error is left, which is there as long as the loss drives the thresholds to one side. */
#define SHIFT 0.05
#define SHIFT_GAIN 0.3
#define SHIFT_LIMIT 0.1

double fathom__trainer_rate(const struct fathom_trainer_options *options, uint64_t step) {
    const double total = (double)options->total_steps, warmup = options->warmup_steps, pi = acos(-1.0);
    double rate = options->learning_rate, from = DECAY_FROM * total;
    if (step < options->warmup_steps) rate *= (double)(step + 1) / warmup;
    if (!options->total_steps || options->schedule == FATHOM_SCHEDULE_CONSTANT) return rate;
    if (options->schedule != FATHOM_SCHEDULE_LAST_FIFTH) from = warmup;
    if ((double)step < from) return rate;
    const double left = (total - (double)step) / (total - from);
    if (options->schedule == FATHOM_SCHEDULE_COSINE) return left > 0 ? rate * (1 - cos(pi * left)) / 2 : 0;
    return rate * (left > 0 ? left : 0);
}

static bool controlled(const fathom_trainer *trainer) {
    return !trainer->architecture->exact && !(trainer->options.sparsity > 0) && !trainer->options.quadratic_l0;
}

static double control_error(const fathom_trainer *trainer, double l0) {
    const double error = l0 > 0 ? log(l0 / trainer->options.k) : -ERROR_LIMIT;
    return fmax(-ERROR_LIMIT, fmin(ERROR_LIMIT, error));
}

double fathom__trainer_sparsity(const fathom_trainer *trainer, double l0) {
    const double k = trainer->options.k, warmup = (double)trainer->options.sparsity_warmup,
                 step = (double)trainer->step, risen = trainer->sparsity * (step < warmup ? (step + 1) / warmup : 1);
    if (trainer->options.quadratic_l0) return risen * 2 * (l0 / k - 1) / k;
    return controlled(trainer) ? risen * exp(AT_ONCE * control_error(trainer, l0)) : risen;
}

double fathom__trainer_shift(const fathom_trainer *trainer, double l0) {
    return controlled(trainer) && trainer->architecture->shift ? SHIFT * control_error(trainer, l0) : 0;
}

void fathom__trainer_control(fathom_trainer *trainer, double l0) {
    if (!controlled(trainer)) return;
    const double error = control_error(trainer, l0);
    double change = GAIN * fathom__trainer_rate(&trainer->options, trainer->step) * error;
    if (trainer->architecture->shift) {
        const float part = (float)fathom__trainer_shift(trainer, l0);
        for (uint32_t f = 0; f < trainer->options.n_features; f++)
            trainer->architecture->shift(trainer, f, part);
        change = SHIFT_GAIN * fmax(-SHIFT_LIMIT, fmin(SHIFT_LIMIT, error));
    }
    if (trainer->step >= trainer->options.sparsity_warmup) /* a float, as checkpoints keep it */
        trainer->sparsity = (float)(trainer->sparsity * exp(change));
}
