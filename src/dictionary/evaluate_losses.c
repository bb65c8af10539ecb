/* What the model makes of rows replaced by their reconstructions: next-token loss and divergence. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/evaluate_internal.h>
#include <math.h>
#include <string.h>

#define DEFAULT_LOSS_TOKENS 8192
#define PART_BYTES ((size_t)64 << 20) /* most bytes of logits that one decode asks for */

struct sum {
    double change, change_squares, divergence, divergence_squares;
};

struct losses {
    struct fathom__evaluating *e;
    size_t n_vocab, part; /* rows of a decode */
    int splice;           /* the enum fathom_reconstruction now in force, or -1 */
    /* rows of a block that are replaced */
    float *batch, *replaced;
    int32_t *batch_tokens;
    size_t *batch_rows;
    /* the model's own next-token distributions over a sequence: probabilities [context, n_vocab], their negative
     * entropies, and the log probabilities of the tokens that follow */
    float *probabilities;
    double *negative_entropies, *own;
    double plain;
    struct sum sums[FATHOM_RECONSTRUCTIONS];
    uint64_t tokens;
};

static int splice_block(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    struct losses *losses = payload;
    struct fathom__evaluating *e = losses->e;
    size_t n = 0;
    if (losses->splice < 0) return 0;
    for (size_t r = 0; r < block->n_rows; r++) {
        const float *row = rows + r * block->width;
        if (losses->splice != FATHOM_RECONSTRUCT_ZERO &&
            !fathom_dictionary_covers(e->dictionary, row, block->positions[r]))
            continue;
        memcpy(losses->batch + n * e->d, row, e->d * sizeof *row);
        losses->batch_tokens[n] = block->tokens[r];
        losses->batch_rows[n++] = r;
    }
    if (n == 0) return 0;
    int status = fathom__reconstruct(losses->replaced, &e->reconstructor, (enum fathom_reconstruction)losses->splice,
                                     losses->batch, losses->batch_tokens, n);
    for (size_t i = 0; i < n && !status; i++)
        memcpy(rows + losses->batch_rows[i] * block->width, losses->replaced + i * e->d, e->d * sizeof *rows);
    *changed = true;
    return status;
}

static double log_sum_exp(const float *logits, size_t n) {
    float highest = logits[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > highest) highest = logits[i];
    for (size_t i = 0; i < n; i++)
        sum += (double)expf(logits[i] - highest);
    return highest + log(sum);
}

/* The model's own distribution after token i of a sequence. */
static void keep_own(struct losses *losses, size_t i, const float *logits, double all, int32_t next) {
    float *probabilities = losses->probabilities + i * losses->n_vocab;
    double entropy = 0;
    for (size_t v = 0; v < losses->n_vocab; v++) {
        const double log_probability = logits[v] - all;
        probabilities[v] = (float)exp(log_probability);
        entropy += probabilities[v] * log_probability;
    }
    losses->negative_entropies[i] = entropy;
    losses->own[i] = logits[next] - all;
    losses->plain -= losses->own[i];
}

static void compare_with_own(struct losses *losses, size_t i, const float *logits, double all, int32_t next) {
    const float *probabilities = losses->probabilities + i * losses->n_vocab;
    struct sum *sum = &losses->sums[losses->splice];
    double crossed = 0;
    for (size_t v = 0; v < losses->n_vocab; v++)
        crossed += (double)probabilities[v] * (logits[v] - all);
    const double change = losses->own[i] - (logits[next] - all), divergence = losses->negative_entropies[i] - crossed;
    sum->change += change;
    sum->change_squares += change * change;
    sum->divergence += divergence;
    sum->divergence_squares += divergence * divergence;
}

/* One pass over a sequence, plain (which -1) or with reconstructions in place. */
static int run_sequence(struct losses *losses, int which, const int32_t *tokens, size_t n) {
    fathom_session *session = losses->e->session;
    struct fathom_row *rows = NULL;
    int status = fathom__alloc(&rows, losses->part, sizeof *rows);
    losses->splice = which;
    fathom_session_forget(session, -1, 0);
    for (size_t at = 0; at < n && !status; at += losses->part) {
        const size_t here = n - at < losses->part ? n - at : losses->part;
        for (size_t i = 0; i < here; i++)
            rows[i] = (struct fathom_row){tokens[at + i], (int32_t)(at + i), 0, true};
        status = fathom_session_decode(session, rows, here);
        for (size_t i = 0; i < here && at + i + 1 < n && !status; i++) {
            const float *logits = fathom_session_logits(session, i);
            const double all = log_sum_exp(logits, losses->n_vocab);
            if (which < 0)
                keep_own(losses, at + i, logits, all, tokens[at + i + 1]);
            else
                compare_with_own(losses, at + i, logits, all, tokens[at + i + 1]);
        }
    }
    fathom_free(rows);
    return status;
}

static int add_sequence(struct losses *losses, const int32_t *tokens, size_t n) {
    int status = run_sequence(losses, -1, tokens, n);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++)
        if (which != FATHOM_RECONSTRUCT_CONTROL || losses->e->options->control)
            status = run_sequence(losses, which, tokens, n);
    if (!status) losses->tokens += n - 1;
    return status;
}

static double standard_error(double sum, double squares, double n) {
    return sqrt(fmax(squares / n - sum / n * (sum / n), 0) / n);
}

static void finish(struct fathom_evaluation *out, const struct losses *losses) {
    const double n = (double)losses->tokens;
    const struct sum *sums = losses->sums, *mean = &sums[FATHOM_RECONSTRUCT_MEAN],
                     *zero = &sums[FATHOM_RECONSTRUCT_ZERO];
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        struct fathom_reconstruction_quality *q = &out->quality[which];
        const struct sum *sum = &sums[which];
        if (!q->measured) continue;
        q->delta_loss = sum->change / n;
        q->delta_standard_error = standard_error(sum->change, sum->change_squares, n);
        q->divergence = sum->divergence / n;
        q->divergence_standard_error = standard_error(sum->divergence, sum->divergence_squares, n);
        q->recovered_mean = 1 - sum->change / mean->change;
        q->recovered_zero = 1 - sum->change / zero->change;
        q->divergence_recovered = 1 - sum->divergence / zero->divergence;
    }
    out->loss = losses->plain / n;
    out->loss_tokens = losses->tokens;
}

int fathom__evaluate_losses(struct fathom_evaluation *out, struct fathom__evaluating *e) {
    const uint64_t wanted = e->options->loss_tokens ? e->options->loss_tokens : DEFAULT_LOSS_TOKENS;
    struct losses losses = {.e = e, .n_vocab = fathom_model_describe(e->model)->n_vocab, .splice = -1};
    losses.part = PART_BYTES / (losses.n_vocab * sizeof(float));
    if (losses.part < 1) losses.part = 1;
    if (losses.part > e->context) losses.part = e->context;
    int status = fathom__alloc(&losses.batch, losses.part * e->d, sizeof *losses.batch);
    if (!status) status = fathom__alloc(&losses.replaced, losses.part * e->d, sizeof *losses.replaced);
    if (!status) status = fathom__alloc(&losses.batch_tokens, losses.part, sizeof *losses.batch_tokens);
    if (!status) status = fathom__alloc(&losses.batch_rows, losses.part, sizeof *losses.batch_rows);
    if (!status)
        status = fathom__alloc(&losses.probabilities, e->context * losses.n_vocab, sizeof *losses.probabilities);
    if (!status) status = fathom__alloc(&losses.negative_entropies, e->context, sizeof *losses.negative_entropies);
    if (!status) status = fathom__alloc(&losses.own, e->context, sizeof *losses.own);
    if (!status) status = fathom_session_edit(NULL, e->session, e->hook, splice_block, &losses);
    while (!status && losses.tokens < wanted) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom__evaluate_sequence(&tokens, &n, e);
        if (status || n == 0) break;
        status = add_sequence(&losses, tokens, n);
        if (!status) status = fathom__evaluate_tell(e, "losses", losses.tokens, wanted);
    }
    fathom_session_unhook_all(e->session);
    if (!status && losses.tokens == 0)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "evaluate: the corpus has no text left for the losses after %zu rows",
                              e->collected.n);
    if (!status) finish(out, &losses);
    fathom_free(losses.batch);
    fathom_free(losses.replaced);
    fathom_free(losses.batch_tokens);
    fathom_free(losses.batch_rows);
    fathom_free(losses.probabilities);
    fathom_free(losses.negative_entropies);
    fathom_free(losses.own);
    return status;
}
