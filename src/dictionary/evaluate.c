/* Evaluation: rows collected, controls fitted on one half, all measured on the other, then the losses. */
#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>
#include <dictionary/reconstruct.h>
#include <fathom/session.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TOKENS 65536
#define DEFAULT_LOSS_TOKENS 8192
#define DEFAULT_CONTEXT 256
#define DENSE_PART 0.1
#define PROGRESS_SECONDS 0.25

struct evaluating {
    const struct fathom_evaluate_options *options;
    const fathom_dictionary *dictionary;
    const fathom_model *model;
    struct fathom_hook hook;
    size_t d;
    uint32_t context;
    fathom_session *session;
    fathom_corpus *corpus;
    /* tokens of the document now cut into sequences */
    int32_t *document;
    size_t n_document, at;
    /* rows collected */
    float *rows;
    int32_t *tokens;
    size_t n, wanted, left_out;
    /* the splice now in force */
    struct fathom__reconstructor reconstructor;
    int splice; /* an enum fathom_reconstruction, or -1 */
    float *batch, *replaced;
    int32_t *batch_tokens;
    size_t *batch_rows;
    double told;
};

static int tell(struct evaluating *e, const char *stage, uint64_t done, uint64_t total) {
    const double now = fathom__seconds();
    if (!e->options->progress || now - e->told < PROGRESS_SECONDS) return 0;
    e->told = now;
    const struct fathom_progress progress = {
        .stage = stage, .done = done, .total = total, .unit = "tokens", .seconds_left = -1};
    return fathom__callback_status(e->options->progress(&progress, e->options->payload));
}

/* The next sequence of at most `context` tokens; *n 0 at the corpus' end. */
static int next_sequence(const int32_t **out, size_t *n, struct evaluating *e) {
    while (e->at + 1 >= e->n_document) { /* a single token predicts nothing */
        struct fathom_document document;
        bool more = false;
        int status = fathom_corpus_next(&document, &more, e->corpus);
        *n = 0;
        if (status || !more) return status;
        fathom_free(e->document);
        e->document = NULL;
        e->n_document = e->at = 0;
        status = fathom_tokenize(&e->document, &e->n_document, e->model, document.text, document.length, true, false);
        if (status) return status;
    }
    *out = e->document + e->at;
    *n = e->n_document - e->at < e->context ? e->n_document - e->at : e->context;
    e->at += *n;
    return 0;
}

static int collect_block(const struct fathom_block *block, void *payload) {
    struct evaluating *e = payload;
    for (size_t r = 0; r < block->n_rows && e->n < e->wanted; r++) {
        const float *row = block->rows + r * block->width;
        if (!fathom_dictionary_covers(e->dictionary, row, block->positions[r])) {
            e->left_out++;
            continue;
        }
        memcpy(e->rows + e->n * e->d, row, e->d * sizeof *row);
        e->tokens[e->n++] = block->tokens[r];
    }
    return 0;
}

static int collect(struct evaluating *e) {
    int id;
    int status = fathom_session_tap(&id, e->session, e->hook, collect_block, e);
    while (!status && e->n < e->wanted) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = next_sequence(&tokens, &n, e);
        if (status || n == 0) break;
        fathom_session_forget(e->session, -1, 0);
        struct fathom_row rows[DEFAULT_CONTEXT];
        for (size_t at = 0; at < n && !status; at += DEFAULT_CONTEXT) {
            const size_t here = n - at < DEFAULT_CONTEXT ? n - at : DEFAULT_CONTEXT;
            for (size_t i = 0; i < here; i++)
                rows[i] = (struct fathom_row){tokens[at + i], (int32_t)(at + i), 0, false};
            status = fathom_session_decode(e->session, rows, here);
        }
        if (!status) status = tell(e, "collect", e->n, e->wanted);
    }
    fathom_session_unhook_all(e->session);
    return status;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quality of rows against their reconstructions, about the mean of the measured rows. */
static int measure_rows(struct fathom_reconstruction_quality *out, const float *rows, const float *guesses, size_t n,
                        size_t d) {
    double *mean = NULL, *spread = NULL, *errors = NULL, cosines = 0, all_errors = 0, all_spread = 0;
    int status = fathom__alloc(&mean, d, sizeof *mean);
    if (!status) status = fathom__alloc(&spread, d, sizeof *spread);
    if (!status) status = fathom__alloc(&errors, d, sizeof *errors);
    if (status) goto done;
    for (size_t r = 0; r < n; r++)
        for (size_t j = 0; j < d; j++)
            mean[j] += rows[r * d + j] / (double)n;
    for (size_t r = 0; r < n; r++) {
        double product = 0, x_squares = 0, y_squares = 0;
        for (size_t j = 0; j < d; j++) {
            const double x = rows[r * d + j] - mean[j], y = guesses[r * d + j] - mean[j];
            spread[j] += x * x;
            errors[j] += (x - y) * (x - y);
            product += x * y;
            x_squares += x * x;
            y_squares += y * y;
        }
        if (x_squares > 0 && y_squares > 0) cosines += product / sqrt(x_squares * y_squares);
    }
    for (size_t j = 0; j < d; j++) {
        all_errors += errors[j];
        all_spread += spread[j];
        errors[j] = spread[j] > 0 ? 1 - errors[j] / spread[j] : 0;
    }
    qsort(errors, d, sizeof *errors, by_value);
    out->fve = all_spread > 0 ? 1 - all_errors / all_spread : 0;
    out->median_fve = errors[d / 2];
    out->cosine = cosines / (double)n;
done:
    fathom_free(mean);
    fathom_free(spread);
    fathom_free(errors);
    return status;
}

static int count_features(struct fathom_evaluation *out, const struct fathom_sparse *sparse, uint32_t n_features) {
    uint32_t *fired = NULL, silent = 0, dense = 0;
    int status = fathom__alloc(&fired, n_features, sizeof *fired);
    if (status) return status;
    for (size_t i = 0; i < sparse->offsets[sparse->n_rows]; i++)
        fired[sparse->features[i]]++;
    for (uint32_t f = 0; f < n_features; f++) {
        silent += fired[f] == 0;
        dense += fired[f] > DENSE_PART * (double)sparse->n_rows;
    }
    out->silent_fraction = (double)silent / n_features;
    out->dense_fraction = (double)dense / n_features;
    fathom_free(fired);
    return 0;
}

static double mean_active(const struct fathom_sparse *sparse) {
    return (double)sparse->offsets[sparse->n_rows] / (double)sparse->n_rows;
}

static int measure(struct fathom_evaluation *out, struct evaluating *e) {
    const size_t fit = e->n / 2, n = e->n - fit;
    const float *rows = e->rows + fit * e->d;
    float *guesses = NULL;
    int status =
        fathom__reconstructor_open(&e->reconstructor, e->dictionary, e->rows, e->tokens, fit, e->options->n_threads);
    if (!status) status = fathom__alloc(&guesses, n * e->d, sizeof *guesses);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++) {
        status = fathom__reconstruct(guesses, &e->reconstructor, (enum fathom_reconstruction)which, rows,
                                     e->tokens + fit, n);
        if (!status) status = measure_rows(&out->quality[which], rows, guesses, n, e->d);
        if (status) break;
        const struct fathom_sparse *sparse = &e->reconstructor.sparse;
        if (which == FATHOM_RECONSTRUCT_DICTIONARY) {
            out->l0 = mean_active(sparse);
            status = count_features(out, sparse, fathom_dictionary_describe(e->dictionary)->n_features);
        }
        if (which == FATHOM_RECONSTRUCT_TRAINED) out->l0_trained = mean_active(sparse);
        if (!status) status = tell(e, "measure", (uint64_t)which, FATHOM_RECONSTRUCTIONS);
    }
    out->rows = n;
    out->rows_left_out = e->left_out;
    fathom_free(guesses);
    return status;
}

static int splice_block(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    struct evaluating *e = payload;
    size_t n = 0;
    if (e->splice < 0) return 0;
    for (size_t r = 0; r < block->n_rows; r++) {
        const float *row = rows + r * block->width;
        if (!fathom_dictionary_covers(e->dictionary, row, block->positions[r])) continue;
        memcpy(e->batch + n * e->d, row, e->d * sizeof *row);
        e->batch_tokens[n] = block->tokens[r];
        e->batch_rows[n++] = r;
    }
    if (n == 0) return 0;
    int status = fathom__reconstruct(e->replaced, &e->reconstructor, (enum fathom_reconstruction)e->splice, e->batch,
                                     e->batch_tokens, n);
    for (size_t i = 0; i < n && !status; i++)
        memcpy(rows + e->batch_rows[i] * block->width, e->replaced + i * e->d, e->d * sizeof *rows);
    *changed = true;
    return status;
}

struct losses {
    double plain, change[FATHOM_RECONSTRUCTIONS], squares[FATHOM_RECONSTRUCTIONS];
    uint64_t tokens;
};

static int add_sequence(struct losses *losses, struct evaluating *e, double *plain, double *changed,
                        const int32_t *tokens, size_t n) {
    e->splice = -1;
    int status = fathom_log_probabilities(plain, e->session, tokens, n);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++) {
        e->splice = which;
        status = fathom_log_probabilities(changed, e->session, tokens, n);
        for (size_t i = 0; i + 1 < n && !status; i++) {
            const double change = plain[i] - changed[i];
            losses->change[which] += change;
            losses->squares[which] += change * change;
        }
    }
    for (size_t i = 0; i + 1 < n && !status; i++)
        losses->plain -= plain[i];
    if (!status) losses->tokens += n - 1;
    return status;
}

static int measure_losses(struct fathom_evaluation *out, struct evaluating *e) {
    const uint64_t wanted = e->options->loss_tokens ? e->options->loss_tokens : DEFAULT_LOSS_TOKENS;
    struct losses losses = {0};
    double *plain = NULL, *changed = NULL;
    int status = fathom__alloc(&plain, e->context, sizeof *plain);
    if (!status) status = fathom__alloc(&changed, e->context, sizeof *changed);
    if (!status) status = fathom_session_edit(NULL, e->session, e->hook, splice_block, e);
    while (!status && losses.tokens < wanted) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = next_sequence(&tokens, &n, e);
        if (status || n == 0) break;
        status = add_sequence(&losses, e, plain, changed, tokens, n);
        if (!status) status = tell(e, "losses", losses.tokens, wanted);
    }
    fathom_session_unhook_all(e->session);
    if (!status && losses.tokens == 0)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "evaluate: the corpus has no text left for the losses after %zu rows",
                              e->n);
    const double n = (double)losses.tokens;
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++) {
        const double mean = losses.change[which] / n;
        out->quality[which].delta_loss = mean;
        out->quality[which].delta_standard_error = sqrt(fmax(losses.squares[which] / n - mean * mean, 0) / n);
    }
    if (!status) out->loss = losses.plain / n;
    out->loss_tokens = losses.tokens;
    fathom_free(plain);
    fathom_free(changed);
    return status;
}

static int open_evaluating(struct evaluating *e) {
    const struct fathom_evaluate_options *o = e->options;
    const struct fathom_session_options session = {
        .n_context = e->context, .n_batch = e->context, .n_threads = o->n_threads};
    int status = fathom_dictionary_match(&e->hook, e->dictionary, e->model);
    if (!status) status = fathom_session_open(&e->session, e->model, &session);
    if (!status) status = fathom_corpus_open(&e->corpus, o->sources, o->n_sources, o->seed);
    if (!status) status = fathom__alloc(&e->rows, e->wanted * e->d, sizeof *e->rows);
    if (!status) status = fathom__alloc(&e->tokens, e->wanted, sizeof *e->tokens);
    if (!status) status = fathom__alloc(&e->batch, e->context * e->d, sizeof *e->batch);
    if (!status) status = fathom__alloc(&e->replaced, e->context * e->d, sizeof *e->replaced);
    if (!status) status = fathom__alloc(&e->batch_tokens, e->context, sizeof *e->batch_tokens);
    if (!status) status = fathom__alloc(&e->batch_rows, e->context, sizeof *e->batch_rows);
    return status;
}

static void close_evaluating(struct evaluating *e) {
    fathom__reconstructor_close(&e->reconstructor);
    fathom_session_close(e->session);
    fathom_corpus_close(e->corpus);
    fathom_free(e->document);
    fathom_free(e->rows);
    fathom_free(e->tokens);
    fathom_free(e->batch);
    fathom_free(e->replaced);
    fathom_free(e->batch_tokens);
    fathom_free(e->batch_rows);
}

int fathom_evaluate(struct fathom_evaluation *out, const fathom_dictionary *dictionary, const fathom_model *model,
                    const struct fathom_evaluate_options *options) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct evaluating e = {.options = options, .dictionary = dictionary, .model = model, .d = info->d_in, .splice = -1};
    struct fathom_evaluation evaluation = {0};
    enum { FEWEST_ROWS = 512 };
    e.context = options->context ? options->context : DEFAULT_CONTEXT;
    e.wanted = options->tokens ? options->tokens : DEFAULT_TOKENS;
    if (info->d_in != info->d_out || strcmp(info->hook_in, info->hook_out) != 0)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "%s: reads %s and writes %s; only dictionaries that reconstruct their own input are evaluated", info->path,
            info->hook_in, info->hook_out);
    int status = open_evaluating(&e);
    if (!status) status = collect(&e);
    if (!status && e.n < FEWEST_ROWS)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT, "evaluate: the corpus gave %zu rows; %d are needed", e.n, FEWEST_ROWS);
    if (!status) status = measure(&evaluation, &e);
    if (!status) status = measure_losses(&evaluation, &e);
    if (!status) *out = evaluation;
    close_evaluating(&e);
    return status;
}
