/* Where the auxiliary loss has its memory from.
 *
 * Where the packed encoder was there is room behind the errors. Where no gradient's norm must be known before anything is
 * updated, dead features are updated after all others: of the others' pairs and of the inputs nothing is needed then, and
 * the errors may be overwritten. Inputs are made again from the caller's rows as they are wanted, some at a time.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

static size_t whole_lines(size_t bytes) {
    return (bytes + FATHOM__CACHE_LINE - 1) / FATHOM__CACHE_LINE * FATHOM__CACHE_LINE;
}

/* Inputs that take a product each are not made twice. */
bool fathom__may_be_last(const struct fathom_trainer_options *options) {
    return options->n_layers <= 1 && !(options->gradient_clip > 0) && options->inputs == FATHOM_INPUTS_SCALED;
}

void fathom__loans_open(fathom_trainer *trainer) {
    struct fathom__loan *loan = trainer->loans.loan;
    const size_t errors = whole_lines(trainer->options.batch * trainer->stride * sizeof *trainer->error);
    size_t bytes;
    unsigned char *storage = fathom__dense_storage(&bytes, trainer->products[0]);
    trainer->dead_last = fathom__may_be_last(&trainer->options);
    if (trainer->errors_lent && bytes > errors) loan[0] = (struct fathom__loan){storage + errors, bytes - errors};
    if (!trainer->dead_last) return;
    loan[1] = (struct fathom__loan){(unsigned char *)trainer->x_bf16,
                                    trainer->x_rows * trainer->stride * sizeof *trainer->x_bf16};
}

void fathom__loans_add_pairs(fathom_trainer *trainer) {
    if (!trainer->dead_last) return;
    trainer->loans.loan[2] = (struct fathom__loan){(unsigned char *)trainer->main.feature,
                                                   trainer->main.capacity * fathom__pair_bytes(&trainer->main)};
    trainer->lent_pairs = trainer->main.feature;
}

void fathom__loans_close(fathom_trainer *trainer) {
    for (size_t i = 0; i < trainer->loans.n_own; i++)
        fathom_free(trainer->loans.own[i]);
    fathom_free(trainer->loans.own);
    trainer->loans = (struct fathom__loans){.own = NULL};
    trainer->lent_pairs = NULL;
}

void *fathom__lend(fathom_trainer *trainer, size_t bytes) {
    bytes = whole_lines(bytes);
    for (size_t i = 0; i < sizeof trainer->loans.loan / sizeof *trainer->loans.loan; i++) {
        struct fathom__loan *loan = &trainer->loans.loan[i];
        unsigned char *at = loan->at;
        if (loan->left < bytes) continue;
        loan->at += bytes;
        loan->left -= bytes;
        return at;
    }
    return NULL;
}

int fathom__take(void *out, fathom_trainer *trainer, size_t count, size_t size) {
    struct fathom__loans *loans = &trainer->loans;
    void *pointer = count <= SIZE_MAX / 2 / size ? fathom__lend(trainer, count * size) : NULL;
    int status = 0;
    if (!pointer) {
        status = fathom__grow(&loans->own, &loans->own_capacity, loans->n_own + 1, sizeof *loans->own);
        if (!status) status = fathom__alloc_aligned(&pointer, count, size);
        if (status) return status;
        loans->own[loans->n_own++] = pointer;
        loans->own_bytes += (double)count * (double)size;
    }
    memcpy(out, &pointer, sizeof pointer);
    return 0;
}
