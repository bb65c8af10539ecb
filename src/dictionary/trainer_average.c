/* The running mean of the parameters: a' = p + β (a - p) after every step.
 *
 * A feature that is not updated stays where it is, and its mean comes nearer to it step by step; β^n makes up for that
 * when it is next updated or the means are looked at. Until the learning rate's warm-up is over the mean is the
 * parameters themselves, so that the random start leaves no trace.
 */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

enum { MOST = 5 };

/* Those that features have parts of. */
static size_t list(struct fathom__parameter **out, fathom_trainer *trainer) {
    size_t n = 0;
    struct fathom__parameter *const all[MOST] = {&trainer->encoder, &trainer->decoder, &trainer->encoder_bias,
                                                 &trainer->scalar[0], &trainer->scalar[1]};
    for (size_t i = 0; i < MOST; i++)
        if (all[i]->value) out[n++] = all[i];
    return n;
}

/* How many numbers a parameter has. */
static size_t count(const struct fathom__parameter *parameter, const fathom_trainer *trainer) {
    const size_t F = trainer->options.n_features;
    if (parameter == &trainer->encoder) return F * trainer->read;
    return parameter == &trainer->decoder ? fathom__decoder_count(trainer) : F + FATHOM__TILE_FEATURES;
}

/* A feature's part: n numbers at `at`. */
static struct fathom__span part(const struct fathom__parameter *parameter, const fathom_trainer *trainer,
                                uint32_t feature) {
    if (parameter == &trainer->decoder) return fathom__decoder_span(trainer, feature);
    if (parameter == &trainer->encoder) return (struct fathom__span){feature * trainer->read, 0, trainer->read};
    return (struct fathom__span){feature, 0, 1};
}

static int open_mean(struct fathom__parameter *parameter, size_t n) {
    int status = fathom__alloc_aligned(&parameter->average, n, sizeof(float));
    if (!status) memcpy(parameter->average, parameter->value, n * sizeof(float));
    return status;
}

int fathom__average_open(fathom_trainer *trainer) {
    const size_t F = trainer->options.n_features;
    struct fathom__parameter *parameters[MOST];
    if (!(trainer->options.ema > 0)) return 0;
    const size_t n = list(parameters, trainer);
    int status = fathom__alloc(&trainer->averaged, F, sizeof *trainer->averaged);
    for (size_t i = 0; i < n && !status; i++)
        status = open_mean(parameters[i], count(parameters[i], trainer));
    if (!status) status = open_mean(&trainer->decoder_bias, trainer->stride);
    if (!status && trainer->skip.value) status = open_mean(&trainer->skip, trainer->options.d_out * trainer->stride);
    return status;
}

void fathom__average_restart(fathom_trainer *trainer) {
    struct fathom__parameter *parameters[MOST];
    if (!trainer->averaged) return;
    const size_t n = list(parameters, trainer);
    for (size_t i = 0; i < n; i++)
        memcpy(parameters[i]->average, parameters[i]->value, count(parameters[i], trainer) * sizeof(float));
    memcpy(trainer->decoder_bias.average, trainer->decoder_bias.value, trainer->stride * sizeof(float));
}

static void approach(const struct fathom__parameter *parameter, size_t at, size_t n, float keep) {
    const float *restrict value = parameter->value + at;
    float *restrict average = parameter->average + at;
    for (size_t j = 0; j < n; j++)
        average[j] = value[j] + keep * (average[j] - value[j]);
}

/* What is left of the distance after so many steps from this one. */
static float keep_for(const fathom_trainer *trainer, uint64_t from, uint64_t steps) {
    return from == 0 || from < trainer->options.warmup_steps ? 0 : (float)pow(trainer->options.ema, (double)steps);
}

/* Of one feature, over steps in which it stayed where it is. */
static void approach_feature(fathom_trainer *trainer, uint32_t feature, uint64_t from, uint64_t steps) {
    struct fathom__parameter *parameters[MOST];
    if (steps == 0) return;
    const size_t n = list(parameters, trainer);
    const float keep = keep_for(trainer, from, steps);
    for (size_t i = 0; i < n; i++) {
        const struct fathom__span span = part(parameters[i], trainer, feature);
        approach(parameters[i], span.at, span.n, keep);
    }
}

void fathom__average_before(fathom_trainer *trainer, uint32_t feature) {
    if (!trainer->averaged) return;
    const uint32_t from = trainer->averaged[feature];
    approach_feature(trainer, feature, from, trainer->step - from);
}

void fathom__average_after(fathom_trainer *trainer, uint32_t feature) {
    if (!trainer->averaged) return;
    approach_feature(trainer, feature, trainer->step, 1);
    trainer->averaged[feature] = (uint32_t)trainer->step + 1;
}

void fathom__average_shared(fathom_trainer *trainer) {
    if (!trainer->averaged) return;
    approach(&trainer->decoder_bias, 0, trainer->stride, keep_for(trainer, trainer->step, 1));
    if (trainer->skip.value)
        approach(&trainer->skip, 0, trainer->options.d_out * trainer->stride, keep_for(trainer, trainer->step, 1));
}

static void exchange(struct fathom__parameter *parameter) {
    float *value = parameter->value;
    if (!parameter->average) return;
    parameter->value = parameter->average;
    parameter->average = value;
}

/* Its own inverse. */
static void exchange_all(fathom_trainer *trainer) {
    struct fathom__parameter *parameters[MOST];
    const size_t n = list(parameters, trainer);
    for (size_t i = 0; i < n; i++)
        exchange(parameters[i]);
    exchange(&trainer->decoder_bias);
    exchange(&trainer->skip);
    trainer->packed = false;
}

void fathom__average_use(fathom_trainer *trainer) {
    if (!trainer->averaged || trainer->step == 0) return;
    for (uint32_t f = 0; f < trainer->options.n_features; f++) {
        fathom__average_before(trainer, f);
        trainer->averaged[f] = (uint32_t)trainer->step;
    }
    exchange_all(trainer);
}

void fathom__average_leave(fathom_trainer *trainer) {
    if (trainer->averaged && trainer->step > 0) exchange_all(trainer);
}

void fathom__average_close(fathom_trainer *trainer) {
    struct fathom__parameter *parameters[MOST];
    const size_t n = list(parameters, trainer);
    for (size_t i = 0; i < n; i++)
        fathom_free(parameters[i]->average);
    fathom_free(trainer->decoder_bias.average);
    fathom_free(trainer->skip.average);
    fathom_free(trainer->averaged);
}
