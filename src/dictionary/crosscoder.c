/* Evaluation of a crosscoder: rows of all sources collected, controls fitted on one half, all measured on the other,
 * then the losses of each source's model. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/crosscoder_internal.h>
#include <dictionary/train_internal.h>
#include <string.h>

#define DEFAULT_TOKENS 16384
#define DEFAULT_LOSS_TOKENS 2048
#define DEFAULT_CONTEXT 256
enum { FEWEST_ROWS = 512 };

void fathom__crosscoding_scale(float *rows, const struct fathom_dictionary_info *info, size_t n, bool back) {
    for (size_t r = 0; r < n; r++)
        for (uint32_t s = 0; s < info->n_sources; s++) {
            const float scale = back ? 1 / info->sources[s].scale : info->sources[s].scale;
            for (uint32_t j = 0; j < info->sources[s].width; j++)
                *rows++ *= scale;
        }
}

int fathom__crosscoding_reconstruct(float *out, struct fathom__crosscoding *c, enum fathom_reconstruction which,
                                    const float *rows, const int32_t *tokens, size_t n) {
    const struct fathom_dictionary_info *info = c->info;
    const bool own = which == FATHOM_RECONSTRUCT_DICTIONARY || which == FATHOM_RECONSTRUCT_TRAINED;
    float *scaled = NULL;
    if (n == 0) return 0;
    if (own) return fathom__reconstruct(out, &c->reconstructor, which, rows, tokens, n);
    int status = fathom__alloc(&scaled, n * info->d_in, sizeof *scaled);
    if (status) return status;
    memcpy(scaled, rows, n * info->d_in * sizeof *scaled);
    fathom__crosscoding_scale(scaled, info, n, false);
    status = fathom__reconstruct(out, &c->reconstructor, which, scaled, tokens, n);
    if (!status) fathom__crosscoding_scale(out, info, n, true);
    fathom_free(scaled);
    return status;
}

/* The hook points of the sources, and the model of each, checked against what the file says. */
static int find_sources(struct fathom__crosscoding *c) {
    const struct fathom_dictionary_info *info = c->info;
    for (uint32_t s = 0; s < info->n_sources; s++) {
        const struct fathom_dictionary_source *source = &info->sources[s];
        const bool second = fathom__of_model_b(source->hook);
        const char *hook = second ? source->hook + strlen(MODEL_B) : source->hook;
        const fathom_model *model = c->models[second];
        uint32_t heads = 1, width = 0;
        if (!model)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: reads %s of a second model (%s), and none was given",
                                info->path, source->hook, source->model_name);
        const struct fathom_model_info *m = fathom_model_describe(model);
        if (strcmp(source->model_identity, m->identity) != 0 && strcmp(source->model_identity, m->source_identity) != 0)
            return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: source %u was trained on %s (%s), not on %s (%s)",
                                info->path, s, source->model_name, source->model_identity, m->name, m->source_identity);
        int status = fathom_hook_parse(&c->taps[s].hook, model, hook);
        if (status) return fathom__wrap(status, "%s", info->path);
        fathom_hook_exists(&heads, &width, model, c->taps[s].hook);
        if ((uint64_t)heads * width != source->width)
            return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: source %u has rows of %u numbers; %s of %s has %llu",
                                info->path, s, source->width, hook, m->name, (unsigned long long)heads * width);
        c->taps[s] = (struct fathom__crosscoding_tap){c, c->taps[s].hook, s, second, c->width};
        c->width += source->width;
    }
    return 0;
}

static int take_rows(const struct fathom_block *block, void *payload) {
    const struct fathom__crosscoding_tap *tap = payload;
    struct fathom__crosscoding *c = tap->crosscoding;
    if (!c->taking) return 0;
    for (size_t r = 0; r < block->n_rows; r++)
        memcpy(c->sequence + (size_t)block->positions[r] * c->width + tap->offset, block->rows + r * block->width,
               block->width * sizeof(float));
    return 0;
}

int fathom__crosscoding_sequence(const int32_t **out, size_t *n, struct fathom__crosscoding *c) {
    while (c->at + 1 >= c->n_document) { /* a single token predicts nothing */
        struct fathom_document document;
        bool more = false;
        int32_t *other = NULL;
        size_t n_other = 0;
        int status = fathom_corpus_next(&document, &more, c->corpus);
        *n = 0;
        if (status || !more) return status;
        fathom_free(c->document);
        c->document = NULL;
        c->n_document = c->at = 0;
        status =
            fathom_tokenize(&c->document, &c->n_document, c->models[0], document.text, document.length, true, false);
        if (!status && c->models[1])
            status = fathom_tokenize(&other, &n_other, c->models[1], document.text, document.length, true, false);
        if (!status && c->models[1] &&
            (n_other != c->n_document || memcmp(other, c->document, n_other * sizeof *other) != 0))
            status = fathom__fail(FATHOM_ERROR_MISMATCH,
                                  "the models cut document %llu into different tokens: their rows cannot be paired",
                                  (unsigned long long)document.number);
        fathom_free(other);
        if (status) return status;
    }
    *out = c->document + c->at;
    *n = c->n_document - c->at < c->context ? c->n_document - c->at : c->context;
    c->at += *n;
    return 0;
}

int fathom__crosscoding_take(struct fathom__crosscoding *c, const int32_t *tokens, size_t n) {
    int status = 0;
    c->taking = true;
    for (int m = 0; m < 2 && !status; m++) {
        if (!c->sessions[m]) continue;
        fathom_session_forget(c->sessions[m], -1, 0);
        status = fathom_session_feed(c->sessions[m], tokens, n, 0, 0, false);
    }
    c->taking = false;
    c->n_rows = 0;
    for (size_t i = 0; i < n && !status; i++) {
        const float *row = c->sequence + i * c->width;
        c->row_of[i] = UINT32_MAX;
        if (!fathom_dictionary_covers(c->dictionary, row, (int32_t)i)) continue;
        c->row_of[i] = (uint32_t)c->n_rows;
        memcpy(c->rows + c->n_rows * c->width, row, c->width * sizeof *row);
        c->tokens[c->n_rows++] = tokens[i];
    }
    return status;
}

static int open_sessions(struct fathom__crosscoding *c) {
    const struct fathom_evaluate_options *o = c->options;
    const struct fathom_session_options session = {
        .n_context = c->context, .n_batch = c->context, .n_threads = o->n_threads, .flash_attention = true};
    int status = fathom_corpus_open(&c->corpus, o->sources, o->n_sources, o->seed);
    for (uint32_t s = 0; s < c->info->n_sources && !status; s++) {
        const int m = c->taps[s].model;
        if (!c->sessions[m]) status = fathom_session_open(&c->sessions[m], c->models[m], &session);
        if (!status)
            status =
                fathom_session_edit(NULL, c->sessions[m], c->taps[s].hook, fathom__crosscoding_splice, &c->taps[s]);
        if (!status) status = fathom_session_tap(NULL, c->sessions[m], c->taps[s].hook, take_rows, &c->taps[s]);
    }
    if (!status) status = fathom__alloc(&c->sequence, c->context * c->width, sizeof *c->sequence);
    if (!status) status = fathom__alloc(&c->rows, c->context * c->width, sizeof *c->rows);
    if (!status) status = fathom__alloc(&c->guesses, c->context * c->width, sizeof *c->guesses);
    if (!status) status = fathom__alloc(&c->tokens, c->context, sizeof *c->tokens);
    if (!status) status = fathom__alloc(&c->row_of, c->context, sizeof *c->row_of);
    return status;
}

static void close_crosscoding(struct fathom__crosscoding *c) {
    fathom__reconstructor_close(&c->reconstructor);
    fathom_session_close(c->sessions[0]);
    fathom_session_close(c->sessions[1]);
    fathom_corpus_close(c->corpus);
    fathom_free(c->document);
    fathom_free(c->sequence);
    fathom_free(c->rows);
    fathom_free(c->guesses);
    fathom_free(c->tokens);
    fathom_free(c->row_of);
}

/* Rows of all sources, f32 [*n, d]. */
static int collect(float *rows, int32_t *tokens, size_t *n, size_t wanted, struct fathom_crosscoder_evaluation *out,
                   struct fathom__crosscoding *c) {
    int status = 0;
    while (!status && *n < wanted) {
        const int32_t *sequence = NULL;
        size_t length = 0;
        status = fathom__crosscoding_sequence(&sequence, &length, c);
        if (status || length == 0) break;
        status = fathom__crosscoding_take(c, sequence, length);
        const size_t taken = wanted - *n < c->n_rows ? wanted - *n : c->n_rows;
        memcpy(rows + *n * c->width, c->rows, taken * c->width * sizeof *rows);
        memcpy(tokens + *n, c->tokens, taken * sizeof *tokens);
        out->rows_left_out += length - c->n_rows;
        *n += taken;
        if (!status) status = fathom__stage_tell(&c->stage, c->options, "collect", "tokens", *n, wanted);
    }
    if (!status && *n < FEWEST_ROWS)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT, "crosscoder: the corpus gave %zu rows; %d are needed", *n, FEWEST_ROWS);
    return status;
}

static void take_part(float *out, const float *rows, size_t n, size_t d, size_t offset, size_t width) {
    for (size_t r = 0; r < n; r++)
        memcpy(out + r * width, rows + r * d + offset, width * sizeof *out);
}

static int measure(struct fathom_crosscoder_evaluation *out, struct fathom__crosscoding *c, float *rows,
                   const int32_t *tokens, size_t n_all) {
    const size_t fit = n_all / 2, n = n_all - fit, d = c->width;
    float *guesses = NULL, *part = NULL, *guess = NULL;
    /* the rows to fit are used scaled and nowhere else */
    fathom__crosscoding_scale(rows, c->info, fit, false);
    int status =
        fathom__reconstructor_open(&c->reconstructor, c->dictionary, NULL, rows, tokens, fit, c->options->n_threads);
    rows += fit * d;
    if (!status) status = fathom__alloc(&guesses, n * d, sizeof *guesses);
    if (!status) status = fathom__alloc(&part, n * d, sizeof *part);
    if (!status) status = fathom__alloc(&guess, n * d, sizeof *guess);
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS && !status; which++) {
        if (which == FATHOM_RECONSTRUCT_CONTROL) continue;
        status = fathom__crosscoding_reconstruct(guesses, c, (enum fathom_reconstruction)which, rows, tokens + fit, n);
        if (!status && which == FATHOM_RECONSTRUCT_DICTIONARY)
            out->l0 = (double)c->reconstructor.sparse.offsets[n] / (double)n;
        for (uint32_t s = 0; s < c->info->n_sources && !status; s++) {
            const size_t width = c->info->sources[s].width;
            take_part(part, rows, n, d, c->taps[s].offset, width);
            take_part(guess, guesses, n, d, c->taps[s].offset, width);
            status = fathom__evaluate_quality(&out->sources[s].quality[which], part, guess, n, width);
        }
        if (!status)
            status = fathom__stage_tell(&c->stage, c->options, "measure", "reconstructions", (uint64_t)which + 1,
                                        FATHOM_RECONSTRUCTIONS);
    }
    if (!status) status = fathom_crosscoder_features(out->features, out->shares, c->dictionary, rows, n);
    uint32_t silent = 0;
    for (uint32_t f = 0; f < out->n_features; f++)
        silent += out->features[f].rows == 0;
    out->silent_fraction = (double)silent / out->n_features;
    out->rows = n;
    fathom_free(guesses);
    fathom_free(part);
    fathom_free(guess);
    return status;
}

static int open_evaluation(struct fathom_crosscoder_evaluation **out, const struct fathom_dictionary_info *info) {
    struct fathom_crosscoder_evaluation *evaluation = NULL;
    int status = fathom__alloc(&evaluation, 1, sizeof *evaluation);
    if (status) return status;
    evaluation->n_sources = info->n_sources;
    evaluation->n_features = info->n_features;
    status = fathom__alloc(&evaluation->sources, info->n_sources, sizeof *evaluation->sources);
    if (!status) status = fathom__alloc(&evaluation->features, info->n_features, sizeof *evaluation->features);
    if (!status)
        status =
            fathom__alloc(&evaluation->shares, (size_t)info->n_features * info->n_sources, sizeof *evaluation->shares);
    *out = evaluation;
    return status;
}

void fathom_crosscoder_evaluation_free(struct fathom_crosscoder_evaluation *evaluation) {
    if (!evaluation) return;
    fathom_free(evaluation->sources);
    fathom_free(evaluation->features);
    fathom_free(evaluation->shares);
    fathom_free(evaluation);
}

int fathom_crosscoder_evaluate(struct fathom_crosscoder_evaluation **out, const fathom_dictionary *dictionary,
                               const fathom_model *model, const fathom_model *model_b,
                               const struct fathom_evaluate_options *options) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom__crosscoding c = {
        .options = options, .dictionary = dictionary, .info = info, .models = {model, model_b}, .splice = -1};
    struct fathom_crosscoder_evaluation *evaluation = NULL;
    const size_t wanted = options->tokens ? options->tokens : DEFAULT_TOKENS;
    float *rows = NULL;
    int32_t *tokens = NULL;
    size_t n = 0;
    if (info->n_sources == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: no crosscoder: it reads %s", info->path, info->hook_in);
    c.context = options->context ? options->context : DEFAULT_CONTEXT;
    c.loss_tokens = options->loss_tokens ? options->loss_tokens : DEFAULT_LOSS_TOKENS;
    int status = find_sources(&c);
    if (!status) status = open_sessions(&c);
    if (!status) status = open_evaluation(&evaluation, info);
    if (!status) status = fathom__alloc(&rows, wanted * c.width, sizeof *rows);
    if (!status) status = fathom__alloc(&tokens, wanted, sizeof *tokens);
    if (!status) status = collect(rows, tokens, &n, wanted, evaluation, &c);
    if (!status) status = measure(evaluation, &c, rows, tokens, n);
    if (!status) status = fathom__crosscoding_losses(evaluation, &c);
    fathom_free(rows);
    fathom_free(tokens);
    close_crosscoding(&c);
    if (status)
        fathom_crosscoder_evaluation_free(evaluation);
    else
        *out = evaluation;
    return status;
}
