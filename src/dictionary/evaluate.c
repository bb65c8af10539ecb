/* Evaluation: rows collected, controls fitted on one half, all measured on the other, then features and losses. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/evaluate_internal.h>
#include <math.h>
#include <string.h>

#define DEFAULT_TOKENS 65536
#define DEFAULT_CONTEXT 256
#define FEWEST_ROWS 512

int fathom__evaluate_sequence(const int32_t **out, size_t *n, struct fathom__evaluating *e) {
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
    e->sequence++;
    return 0;
}

static int collect_block(const struct fathom_block *block, void *payload) {
    struct fathom__evaluating *e = payload;
    struct fathom__collected *c = &e->collected;
    for (size_t r = 0; r < block->n_rows && c->n < c->wanted; r++) {
        const float *row = block->rows + r * block->width;
        if (!fathom_dictionary_covers(e->dictionary, row, block->positions[r])) {
            c->left_out++;
            continue;
        }
        memcpy(c->rows + c->n * e->d, row, e->d * sizeof *row);
        c->sequences[c->n] = e->sequence;
        c->tokens[c->n++] = block->tokens[r];
    }
    return 0;
}

static int collect(struct fathom__evaluating *e) {
    struct fathom__collected *c = &e->collected;
    int status = fathom_session_tap(NULL, e->session, e->hook, collect_block, e);
    while (!status && c->n < c->wanted) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom__evaluate_sequence(&tokens, &n, e);
        if (status || n == 0) break;
        fathom_session_forget(e->session, -1, 0);
        status = fathom_session_feed(e->session, tokens, n, 0, 0, false);
        if (!status) status = fathom__stage_tell(&e->stage, e->options, "collect", "tokens", c->n, c->wanted);
    }
    fathom_session_unhook_all(e->session);
    if (!status && c->n < FEWEST_ROWS)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT, "evaluate: the corpus gave %zu rows; %d are needed", c->n, FEWEST_ROWS);
    return status;
}

static double mean_active(const struct fathom_sparse *sparse) {
    return (double)sparse->offsets[sparse->n_rows] / (double)sparse->n_rows;
}

/* Fits the controls and measures every reconstruction of the other half of the rows; `out` gets figures of features too
 * where `whole`. */
static int measure(struct fathom_reconstruction_quality *qualities, struct fathom_evaluation *out,
                   struct fathom__evaluating *e, bool whole) {
    const struct fathom__collected *c = &e->collected;
    const size_t fit = c->n / 2, n = c->n - fit;
    const float *rows = c->rows + fit * e->d;
    const struct fathom_sparse *sparse = &e->reconstructor.sparse;
    float *guesses = NULL;
    int status = fathom__reconstructor_open(&e->reconstructor, e->dictionary, e->options->control, c->rows, c->tokens,
                                            fit, e->options->n_threads);
    if (!status) status = fathom__alloc(&guesses, n * e->d, sizeof *guesses);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++) {
        if (which == FATHOM_RECONSTRUCT_CONTROL && !e->options->control) continue;
        status = fathom__reconstruct(guesses, &e->reconstructor, (enum fathom_reconstruction)which, rows,
                                     c->tokens + fit, n);
        if (!status) status = fathom__evaluate_quality(&qualities[which], rows, guesses, n, e->d);
        if (!status)
            status = fathom__stage_tell(&e->stage, e->options, "measure", "reconstructions", (uint64_t)which + 1,
                                        FATHOM_RECONSTRUCTIONS);
        if (status || !whole) continue;
        if (which == FATHOM_RECONSTRUCT_DICTIONARY)
            status = fathom__evaluate_densities(out, e->options->features, sparse, c->sequences + fit,
                                                fathom_dictionary_describe(e->dictionary)->n_features);
        if (which == FATHOM_RECONSTRUCT_TRAINED) out->l0_trained = mean_active(sparse);
        if (which == FATHOM_RECONSTRUCT_CONTROL) out->l0_control = mean_active(sparse);
    }
    fathom_free(guesses);
    return status;
}

static double mean_norm(const float *rows, size_t n, size_t d) {
    double sum = 0;
    for (size_t r = 0; r < n; r++) {
        double squares = 0;
        for (size_t j = 0; j < d; j++)
            squares += (double)rows[r * d + j] * rows[r * d + j];
        sum += sqrt(squares);
    }
    return sum / (double)n;
}

static int measure_cosines(struct fathom_evaluation *out, struct fathom__evaluating *e) {
    struct fathom_feature_quality *features = e->options->features, *own = NULL;
    int status = 0;
    if (!features) {
        status = fathom__alloc(&own, fathom_dictionary_describe(e->dictionary)->n_features, sizeof *own);
        features = own;
    }
    if (!status) status = fathom__evaluate_cosines(out, features, e->dictionary, e->options->n_threads);
    fathom_free(own);
    return status;
}

static int open_evaluating(struct fathom__evaluating *e) {
    const struct fathom_evaluate_options *o = e->options;
    struct fathom__collected *c = &e->collected;
    const struct fathom_session_options session = {
        .n_context = e->context, .n_batch = e->context, .n_threads = o->n_threads, .flash_attention = true};
    int status = fathom_session_open(&e->session, e->model, &session);
    if (!status) status = fathom_corpus_open(&e->corpus, o->sources, o->n_sources, o->seed);
    if (!status) status = fathom__alloc(&c->rows, c->wanted * e->d, sizeof *c->rows);
    if (!status) status = fathom__alloc(&c->tokens, c->wanted, sizeof *c->tokens);
    if (!status) status = fathom__alloc(&c->sequences, c->wanted, sizeof *c->sequences);
    return status;
}

static void close_evaluating(struct fathom__evaluating *e) {
    fathom__reconstructor_close(&e->reconstructor);
    fathom_session_close(e->session);
    fathom_corpus_close(e->corpus);
    fathom_free(e->document);
    fathom_free(e->collected.rows);
    fathom_free(e->collected.tokens);
    fathom_free(e->collected.sequences);
}

/* The same rows' figures on a model that learned nothing. */
static int measure_shuffled(struct fathom_evaluation *out, const struct fathom__evaluating *whole) {
    struct fathom__evaluating e = {.options = whole->options,
                                   .dictionary = whole->dictionary,
                                   .model = whole->options->shuffled,
                                   .hook = whole->hook,
                                   .d = whole->d,
                                   .context = whole->context,
                                   .collected = {.wanted = whole->collected.wanted}};
    const struct fathom_model_info *its = fathom_model_describe(e.model), *own = fathom_model_describe(whole->model);
    if (its->d_model != own->d_model || its->n_layers != own->n_layers || its->n_vocab != own->n_vocab)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: has %u layers of width %u, expected %s's %u of %u", its->path,
                            its->n_layers, its->d_model, own->name, own->n_layers, own->d_model);
    int status = open_evaluating(&e);
    if (!status) status = collect(&e);
    if (!status) status = measure(out->shuffled, out, &e, false);
    close_evaluating(&e);
    return status;
}

static int check_dictionaries(struct fathom_hook *hook, const fathom_dictionary *dictionary,
                              const fathom_dictionary *control, const fathom_model *model) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    if (info->d_in != info->d_out || strcmp(info->hook_in, info->hook_out) != 0)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "%s: reads %s and writes %s; only dictionaries that reconstruct their own input are evaluated", info->path,
            info->hook_in, info->hook_out);
    int status = fathom_dictionary_match(hook, dictionary, model);
    if (status || !control) return status;
    const struct fathom_dictionary_info *other = fathom_dictionary_describe(control);
    if (strcmp(info->hook_in, other->hook_in) != 0 || strcmp(info->hook_out, other->hook_out) != 0 ||
        info->d_in != other->d_in || info->d_out != other->d_out)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: a control reads %s and writes %s, expected %s for both",
                            other->path, other->hook_in, other->hook_out, info->hook_in);
    return fathom_dictionary_match(NULL, control, model);
}

int fathom_evaluate(struct fathom_evaluation *out, const fathom_dictionary *dictionary, const fathom_model *model,
                    const struct fathom_evaluate_options *options) {
    struct fathom__evaluating e = {.options = options,
                                   .dictionary = dictionary,
                                   .model = model,
                                   .d = fathom_dictionary_describe(dictionary)->d_in,
                                   .context = options->context ? options->context : DEFAULT_CONTEXT,
                                   .collected = {.wanted = options->tokens ? options->tokens : DEFAULT_TOKENS}};
    struct fathom_evaluation evaluation = {0};
    int status = check_dictionaries(&e.hook, dictionary, options->control, model);
    if (!status) status = open_evaluating(&e);
    if (!status) status = collect(&e);
    if (!status) status = measure(evaluation.quality, &evaluation, &e, true);
    if (!status) {
        const size_t fit = e.collected.n / 2;
        evaluation.rows = e.collected.n - fit;
        evaluation.rows_left_out = e.collected.left_out;
        evaluation.k = (uint32_t)e.reconstructor.k;
        evaluation.mean_norm = mean_norm(e.collected.rows + fit * e.d, evaluation.rows, e.d);
        status = measure_cosines(&evaluation, &e);
    }
    if (!status) status = fathom__evaluate_losses(&evaluation, &e);
    if (!status && options->shuffled) status = measure_shuffled(&evaluation, &e);
    if (!status) *out = evaluation;
    close_evaluating(&e);
    return status;
}
