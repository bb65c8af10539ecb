/* A transcoder's skip: W_skip x beside what the features say. */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

/* Rows of W_skip whose gradients are formed together, so that inputs are read once for all of them. */
#define TOGETHER 16

int fathom__skip_open(fathom_trainer *trainer) {
    const size_t n = trainer->options.d_out * trainer->stride;
    int status = fathom__parameter_open(&trainer->skip, n);
    if (!status) status = fathom__alloc_aligned(&trainer->skip_gradient, n, sizeof *trainer->skip_gradient);
    return status;
}

void fathom__skip_subtract(const fathom_trainer *trainer, float *target, const float *x) {
    const size_t d = trainer->options.d_out, stride = trainer->stride;
    const float *skip = trainer->skip.value;
    size_t j = 0;
    for (; j + 4 <= d; j += 4) {
        const float *const rows[4] = {skip + j * stride, skip + (j + 1) * stride, skip + (j + 2) * stride,
                                      skip + (j + 3) * stride};
        float products[4];
        fathom__dot4(products, x, rows, stride);
        for (int i = 0; i < 4; i++)
            target[j + (size_t)i] -= products[i];
    }
    for (; j < d; j++)
        target[j] -= fathom__dot(x, skip + j * stride, stride);
}

struct finding {
    fathom_trainer *trainer;
    float factor;
};

static void find_rows(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct finding *finding = payload;
    fathom_trainer *trainer = finding->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t stride = trainer->stride;
    const uint16_t *errors =
        fathom__trainer_errors(trainer, 0); /* the skip is in every prefix, as the first group is */
    size_t first, last;
    fathom__team_share(&first, &last, trainer->options.d_out, TOGETHER, worker, n_workers);
    own->norm = 0;
    for (size_t group = first; group < last; group += TOGETHER) {
        const size_t end = group + TOGETHER < last ? group + TOGETHER : last;
        float *gradient = trainer->skip_gradient + group * stride;
        memset(gradient, 0, (end - group) * stride * sizeof *gradient);
        for (size_t r = 0; r < trainer->n; r++)
            for (size_t j = group; j < end; j++)
                fathom__add_scaled_bf16(trainer->skip_gradient + j * stride,
                                        finding->factor * fathom__from_bf16(errors[r * stride + j]),
                                        trainer->x_bf16 + r * stride, stride);
        own->norm += (double)fathom__dot(gradient, gradient, (end - group) * stride);
    }
}

double fathom__skip_gradient(fathom_trainer *trainer, float factor) {
    struct finding finding = {trainer, factor};
    double norm = 0;
    fathom__team_run(trainer->team, find_rows, &finding);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        norm += trainer->workers[w].norm;
    return norm;
}
