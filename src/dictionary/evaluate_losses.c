/* What the model makes of rows replaced by their reconstructions: next-token loss and divergence. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/evaluate_internal.h>
#include <dictionary/spliced.h>
#include <string.h>

#define DEFAULT_LOSS_TOKENS 8192
_Static_assert((int)FATHOM_RECONSTRUCTIONS <= (int)FATHOM__SPLICES, "a splice for every reconstruction");

struct losses {
    struct fathom__evaluating *e;
    struct fathom__spliced spliced;
    /* rows of a block that are replaced */
    float *batch, *replaced;
    int32_t *batch_tokens;
    size_t *batch_rows;
};

static int splice_block(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    struct losses *losses = payload;
    struct fathom__evaluating *e = losses->e;
    const int splice = losses->spliced.splice;
    size_t n = 0;
    if (splice == FATHOM__NO_SPLICE) return 0;
    for (size_t r = 0; r < block->n_rows; r++) {
        const float *row = rows + r * block->width;
        if (splice != FATHOM_RECONSTRUCT_ZERO && !fathom_dictionary_covers(e->dictionary, row, block->positions[r]))
            continue;
        memcpy(losses->batch + n * e->d, row, e->d * sizeof *row);
        losses->batch_tokens[n] = block->tokens[r];
        losses->batch_rows[n++] = r;
    }
    if (n == 0) return 0;
    int status = fathom__reconstruct(losses->replaced, &e->reconstructor, (enum fathom_reconstruction)splice,
                                     losses->batch, losses->batch_tokens, n);
    for (size_t i = 0; i < n && !status; i++)
        memcpy(rows + losses->batch_rows[i] * block->width, losses->replaced + i * e->d, e->d * sizeof *rows);
    *changed = true;
    return status;
}

static int add_sequence(struct losses *losses, const int32_t *tokens, size_t n) {
    int status = fathom__spliced_run(&losses->spliced, FATHOM__NO_SPLICE, tokens, n);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++)
        if (which != FATHOM_RECONSTRUCT_CONTROL || losses->e->options->control)
            status = fathom__spliced_run(&losses->spliced, which, tokens, n);
    if (!status) fathom__spliced_end(&losses->spliced, n);
    return status;
}

static void finish(struct fathom_evaluation *out, const struct losses *losses) {
    const struct fathom__spliced_losses mean = fathom__spliced_losses(&losses->spliced, FATHOM_RECONSTRUCT_MEAN),
                                        zero = fathom__spliced_losses(&losses->spliced, FATHOM_RECONSTRUCT_ZERO);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        struct fathom_reconstruction_quality *q = &out->quality[which];
        const struct fathom__spliced_losses own = fathom__spliced_losses(&losses->spliced, which);
        if (!q->measured) continue;
        q->delta_loss = own.delta_loss;
        q->delta_standard_error = own.delta_standard_error;
        q->divergence = own.divergence;
        q->divergence_standard_error = own.divergence_standard_error;
        q->recovered_mean = 1 - own.delta_loss / mean.delta_loss;
        q->recovered_zero = 1 - own.delta_loss / zero.delta_loss;
        q->divergence_recovered = 1 - own.divergence / zero.divergence;
    }
    out->loss = losses->spliced.plain / (double)losses->spliced.tokens;
    out->loss_tokens = losses->spliced.tokens;
}

int fathom__evaluate_losses(struct fathom_evaluation *out, struct fathom__evaluating *e) {
    const uint64_t wanted = e->options->loss_tokens ? e->options->loss_tokens : DEFAULT_LOSS_TOKENS;
    struct losses losses = {.e = e};
    int status = fathom__spliced_open(&losses.spliced, e->session, e->context);
    const size_t part = losses.spliced.part;
    if (!status) status = fathom__alloc(&losses.batch, part * e->d, sizeof *losses.batch);
    if (!status) status = fathom__alloc(&losses.replaced, part * e->d, sizeof *losses.replaced);
    if (!status) status = fathom__alloc(&losses.batch_tokens, part, sizeof *losses.batch_tokens);
    if (!status) status = fathom__alloc(&losses.batch_rows, part, sizeof *losses.batch_rows);
    if (!status) status = fathom_session_edit(NULL, e->session, e->hook, splice_block, &losses);
    while (!status && losses.spliced.tokens < wanted) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom__evaluate_sequence(&tokens, &n, e);
        if (status || n == 0) break;
        status = add_sequence(&losses, tokens, n);
        if (!status)
            status = fathom__stage_tell(&e->stage, e->options, "losses", "tokens", losses.spliced.tokens, wanted);
    }
    fathom_session_unhook_all(e->session);
    if (!status && losses.spliced.tokens == 0)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "evaluate: the corpus has no text left for the losses after %zu rows",
                              e->collected.n);
    if (!status) finish(out, &losses);
    fathom__spliced_close(&losses.spliced);
    fathom_free(losses.batch);
    fathom_free(losses.replaced);
    fathom_free(losses.batch_tokens);
    fathom_free(losses.batch_rows);
    return status;
}
