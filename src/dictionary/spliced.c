#include <base/error.h>
#include <base/memory.h>
#include <dictionary/spliced.h>
#include <fathom/model.h>
#include <math.h>

#define PART_BYTES ((size_t)64 << 20) /* most bytes of logits that one decode asks for */

int fathom__spliced_open(struct fathom__spliced *out, fathom_session *session, size_t context) {
    *out = (struct fathom__spliced){.session = session,
                                    .n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab,
                                    .splice = FATHOM__NO_SPLICE};
    out->part = PART_BYTES / (out->n_vocab * sizeof(float));
    if (out->part < 1) out->part = 1;
    if (out->part > context) out->part = context;
    int status = fathom__alloc(&out->rows, out->part, sizeof *out->rows);
    if (!status) status = fathom__alloc(&out->probabilities, context * out->n_vocab, sizeof *out->probabilities);
    if (!status) status = fathom__alloc(&out->negative_entropies, context, sizeof *out->negative_entropies);
    if (!status) status = fathom__alloc(&out->own, context, sizeof *out->own);
    if (status) fathom__spliced_close(out);
    return status;
}

void fathom__spliced_close(struct fathom__spliced *spliced) {
    fathom_free(spliced->rows);
    fathom_free(spliced->probabilities);
    fathom_free(spliced->negative_entropies);
    fathom_free(spliced->own);
    *spliced = (struct fathom__spliced){.splice = FATHOM__NO_SPLICE};
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
static void keep_own(struct fathom__spliced *spliced, size_t i, const float *logits, double all, int32_t next) {
    float *probabilities = spliced->probabilities + i * spliced->n_vocab;
    double entropy = 0;
    for (size_t v = 0; v < spliced->n_vocab; v++) {
        const double log_probability = logits[v] - all;
        probabilities[v] = (float)exp(log_probability);
        entropy += probabilities[v] * log_probability;
    }
    spliced->negative_entropies[i] = entropy;
    spliced->own[i] = logits[next] - all;
    spliced->plain -= spliced->own[i];
}

static void compare_with_own(struct fathom__spliced *spliced, size_t i, const float *logits, double all, int32_t next) {
    const float *probabilities = spliced->probabilities + i * spliced->n_vocab;
    struct fathom__spliced_sum *sum = &spliced->sums[spliced->splice];
    double crossed = 0;
    for (size_t v = 0; v < spliced->n_vocab; v++)
        crossed += (double)probabilities[v] * (logits[v] - all);
    const double change = spliced->own[i] - (logits[next] - all), divergence = spliced->negative_entropies[i] - crossed;
    sum->change += change;
    sum->change_squares += change * change;
    sum->divergence += divergence;
    sum->divergence_squares += divergence * divergence;
}

int fathom__spliced_run(struct fathom__spliced *spliced, int splice, const int32_t *tokens, size_t n) {
    int status = 0;
    spliced->splice = splice;
    fathom_session_forget(spliced->session, -1, 0);
    for (size_t at = 0; at < n && !status; at += spliced->part) {
        const size_t here = n - at < spliced->part ? n - at : spliced->part;
        for (size_t i = 0; i < here; i++)
            spliced->rows[i] = (struct fathom_row){tokens[at + i], (int32_t)(at + i), 0, true};
        status = fathom_session_decode(spliced->session, spliced->rows, here);
        for (size_t i = 0; i < here && at + i + 1 < n && !status; i++) {
            const float *logits = fathom_session_logits(spliced->session, i);
            const double all = log_sum_exp(logits, spliced->n_vocab);
            if (splice == FATHOM__NO_SPLICE)
                keep_own(spliced, at + i, logits, all, tokens[at + i + 1]);
            else
                compare_with_own(spliced, at + i, logits, all, tokens[at + i + 1]);
        }
    }
    spliced->splice = FATHOM__NO_SPLICE;
    return status;
}

void fathom__spliced_end(struct fathom__spliced *spliced, size_t n) {
    spliced->tokens += n - 1; /* the first is not predicted */
}

static double standard_error(double sum, double squares, double n) {
    return sqrt(fmax(squares / n - sum / n * (sum / n), 0) / n);
}

struct fathom__spliced_losses fathom__spliced_losses(const struct fathom__spliced *spliced, int splice) {
    const struct fathom__spliced_sum *sum = &spliced->sums[splice];
    const double n = (double)spliced->tokens;
    return (struct fathom__spliced_losses){sum->change / n, standard_error(sum->change, sum->change_squares, n),
                                           sum->divergence / n,
                                           standard_error(sum->divergence, sum->divergence_squares, n)};
}
