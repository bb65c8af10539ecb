/* What it costs a model when one source's rows are replaced by their reconstruction. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/crosscoder_internal.h>
#include <math.h>
#include <string.h>

int fathom__crosscoding_splice(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct fathom__crosscoding_tap *tap = payload;
    const struct fathom__crosscoding *c = tap->crosscoding;
    if (c->splice != (int)tap->source) return 0;
    for (size_t r = 0; r < block->n_rows; r++) {
        const uint32_t row = c->row_of[block->positions[r]];
        if (row == UINT32_MAX) continue;
        memcpy(rows + r * block->width, c->guesses + row * c->width + tap->offset, block->width * sizeof *rows);
        *changed = true;
    }
    return 0;
}

/* Sums over tokens, of one source and reconstruction. */
struct losses {
    double plain, change[FATHOM_RECONSTRUCTIONS], squares[FATHOM_RECONSTRUCTIONS];
};

/* One sequence, with one reconstruction, at every source. plain: [2, context], of each model. */
static int add_sequence(struct losses *losses, struct fathom__crosscoding *c, int which, const double *plain,
                        double *changed, const int32_t *tokens, size_t n) {
    int status = fathom__crosscoding_reconstruct(c->guesses, c, (enum fathom_reconstruction)which, c->rows, c->tokens,
                                                 c->n_rows);
    for (uint32_t s = 0; s < c->info->n_sources && !status; s++) {
        const int m = c->taps[s].model;
        c->splice = (int)s;
        status = fathom_log_probabilities(changed, c->sessions[m], tokens, n);
        for (size_t i = 0; i + 1 < n && !status; i++) {
            const double change = plain[(size_t)m * c->context + i] - changed[i];
            losses[s].change[which] += change;
            losses[s].squares[which] += change * change;
        }
    }
    c->splice = -1;
    return status;
}

static void finish(struct fathom_crosscoder_source *out, const struct losses *losses, double n) {
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const double mean = losses->change[which] / n;
        out->quality[which].delta_loss = mean;
        out->quality[which].delta_standard_error = sqrt(fmax(losses->squares[which] / n - mean * mean, 0) / n);
    }
    const double by_mean = out->quality[FATHOM_RECONSTRUCT_MEAN].delta_loss,
                 by_zero = out->quality[FATHOM_RECONSTRUCT_ZERO].delta_loss;
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        out->quality[which].recovered_mean = 1 - out->quality[which].delta_loss / by_mean;
        out->quality[which].recovered_zero = 1 - out->quality[which].delta_loss / by_zero;
    }
    out->loss = losses->plain / n;
}

int fathom__crosscoding_losses(struct fathom_crosscoder_evaluation *out, struct fathom__crosscoding *c) {
    struct losses *losses = NULL;
    double *plain = NULL, *changed = NULL;
    int status = fathom__alloc(&losses, out->n_sources, sizeof *losses);
    if (!status) status = fathom__alloc(&plain, (size_t)2 * c->context, sizeof *plain);
    if (!status) status = fathom__alloc(&changed, c->context, sizeof *changed);
    while (!status && out->loss_tokens < c->loss_tokens) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom__crosscoding_sequence(&tokens, &n, c);
        if (status || n == 0) break;
        status = fathom__crosscoding_take(c, tokens, n);
        for (int m = 0; m < 2 && !status; m++)
            if (c->sessions[m])
                status = fathom_log_probabilities(plain + (size_t)m * c->context, c->sessions[m], tokens, n);
        for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++)
            if (which != FATHOM_RECONSTRUCT_CONTROL) status = add_sequence(losses, c, which, plain, changed, tokens, n);
        for (uint32_t s = 0; s < out->n_sources && !status; s++)
            for (size_t i = 0; i + 1 < n; i++)
                losses[s].plain -= plain[(size_t)c->taps[s].model * c->context + i];
        if (!status) out->loss_tokens += n - 1;
        if (!status)
            status = fathom__stage_tell(&c->stage, c->options, "losses", "tokens", out->loss_tokens, c->loss_tokens);
    }
    if (!status && out->loss_tokens == 0)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "crosscoder: the corpus has no text left for the losses");
    for (uint32_t s = 0; s < out->n_sources && !status; s++)
        finish(&out->sources[s], &losses[s], (double)out->loss_tokens);
    fathom_free(losses);
    fathom_free(plain);
    fathom_free(changed);
    return status;
}
