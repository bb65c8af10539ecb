/* What it costs a model when all that a transcoder writes stands in place of what the model computes there.
 *
 * Taps take what each layer's features read, edits put in what has been gathered by then: a cross-layer transcoder's row
 * of a layer is the sum of what the features of that layer and of those before write to it. Which rows are covered is
 * told by the model's own run.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/layers_internal.h>
#include <dictionary/spliced.h>

#define DEFAULT_LOSS_TOKENS 2048
#define DEFAULT_CONTEXT 256
_Static_assert((int)FATHOM_LAYERS_GUESSES <= (int)FATHOM__SPLICES, "a splice for every guess");

struct splicing {
    const struct fathom__layering *c;
    struct fathom__spliced spliced;
    struct point *points; /* [n_layers] */
    /* by position, of the model's own run */
    float *sequence; /* [context, d_in] */
    bool *covered;   /* [context] */
    /* covered rows of the decode under way */
    float *inputs;         /* [part, d_in] */
    float *sums, *written; /* [part, d_out]: of the layers read so far, and of the last one */
    float *bias;           /* [d_out], in the model's units */
    size_t n;
    size_t n_read; /* layers */
    bool unordered;
    struct fathom_sparse sparse;
};

struct point {
    struct splicing *splicing;
    size_t layer;
};

static void take_own_rows(struct splicing *s, const struct fathom_block *block, size_t layer) {
    const size_t width = s->c->width_in;
    for (size_t r = 0; r < block->n_rows; r++)
        memcpy(s->sequence + (size_t)block->positions[r] * s->c->info->d_in + layer * width, block->rows + r * width,
               width * sizeof *s->sequence);
}

/* What the features of a layer write, added to what those before write. */
static int add_layer(struct splicing *s, size_t layer) {
    const struct fathom__layering *c = s->c;
    const size_t d = c->info->d_out, width = c->width_out, begin = layer * width;
    const bool own = s->spliced.splice == FATHOM_LAYERS_OWN;
    int status = fathom__dictionary_encode_layer(&s->sparse, c->dictionary, s->inputs, s->n, (uint32_t)layer);
    if (!status) status = fathom_dictionary_reconstruct(s->written, c->dictionary, &s->sparse, s->inputs);
    for (size_t i = 0; i < s->n && !status; i++) {
        float *sum = s->sums + i * d;
        const float *written = s->written + i * d;
        if (c->n_layers == 1 || own)
            memcpy(sum + begin, written + begin, width * sizeof *sum);
        else
            for (size_t j = begin; j < d; j++)
                sum[j] += written[j] - s->bias[j];
    }
    return status;
}

static int read_layer(const struct fathom_block *block, void *payload) {
    const struct point *point = payload;
    struct splicing *s = point->splicing;
    const size_t d_in = s->c->info->d_in, d_out = s->c->info->d_out, width = s->c->width_in;
    const int splice = s->spliced.splice;
    if (point->layer == 0) s->n_read = 0;
    s->unordered |= point->layer != s->n_read++;
    if (splice == FATHOM__NO_SPLICE) take_own_rows(s, block, point->layer);
    if (splice != FATHOM_LAYERS_WHOLE && splice != FATHOM_LAYERS_OWN) return 0;
    s->n = 0;
    for (size_t r = 0; r < block->n_rows; r++) {
        if (!s->covered[block->positions[r]]) continue;
        memcpy(s->inputs + s->n * d_in + point->layer * width, block->rows + r * width, width * sizeof *s->inputs);
        if (point->layer == 0) memcpy(s->sums + s->n * d_out, s->bias, d_out * sizeof *s->sums);
        s->n++;
    }
    return add_layer(s, point->layer);
}

static int write_layer(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct point *point = payload;
    struct splicing *s = point->splicing;
    const struct fathom__layering *c = s->c;
    const size_t width = c->width_out, begin = point->layer * width;
    size_t n = 0;
    s->unordered |= point->layer >= s->n_read;
    if (s->spliced.splice == FATHOM__NO_SPLICE) return 0;
    for (size_t r = 0; r < block->n_rows; r++) {
        float *row = rows + r * width;
        if (!s->covered[block->positions[r]]) continue;
        switch (s->spliced.splice) {
        case FATHOM_LAYERS_TOKEN_MEAN:
            memcpy(row, fathom__layering_token_row(c, block->tokens[r]) + begin, width * sizeof *row);
            break;
        case FATHOM_LAYERS_MEAN: memcpy(row, c->mean + begin, width * sizeof *row); break;
        case FATHOM_LAYERS_ZERO: memset(row, 0, width * sizeof *row); break;
        default: memcpy(row, s->sums + n * c->info->d_out + begin, width * sizeof *row); break;
        }
        n++;
    }
    *changed = n > 0;
    return 0;
}

static int attach(struct splicing *s, fathom_session *session) {
    int status = fathom__alloc(&s->points, s->c->n_layers, sizeof *s->points);
    for (size_t l = 0; l < s->c->n_layers && !status; l++) {
        const struct fathom_dictionary_layer *layer = &s->c->layers[l];
        struct fathom_hook in, out;
        s->points[l] = (struct point){s, l};
        status = fathom_hook_parse(&in, s->c->model, layer->hook_in);
        if (!status) status = fathom_hook_parse(&out, s->c->model, layer->hook_out);
        if (!status) status = fathom_session_tap(NULL, session, in, read_layer, &s->points[l]);
        if (!status) status = fathom_session_edit(NULL, session, out, write_layer, &s->points[l]);
    }
    return status;
}

static int open_splicing(struct splicing *s, fathom_session *session, size_t context) {
    const struct fathom_dictionary_info *info = s->c->info;
    int status = fathom__spliced_open(&s->spliced, session, context);
    const size_t part = s->spliced.part;
    if (!status) status = fathom__alloc(&s->sequence, context * info->d_in, sizeof *s->sequence);
    if (!status) status = fathom__alloc(&s->covered, context, sizeof *s->covered);
    if (!status) status = fathom__alloc(&s->inputs, part * info->d_in, sizeof *s->inputs);
    if (!status) status = fathom__alloc(&s->sums, part * info->d_out, sizeof *s->sums);
    if (!status) status = fathom__alloc(&s->written, part * info->d_out, sizeof *s->written);
    if (!status) status = fathom__alloc(&s->bias, info->d_out, sizeof *s->bias);
    if (status) return status;
    fathom_dictionary_decoder_bias(s->bias, s->c->dictionary);
    for (size_t j = 0; j < info->d_out; j++)
        s->bias[j] /= info->output_scale;
    return attach(s, session);
}

static void close_splicing(struct splicing *s) {
    fathom__spliced_close(&s->spliced);
    fathom_free(s->points);
    fathom_free(s->sequence);
    fathom_free(s->covered);
    fathom_free(s->inputs);
    fathom_free(s->sums);
    fathom_free(s->written);
    fathom_free(s->bias);
    fathom_sparse_free(&s->sparse);
}

static int add_sequence(struct splicing *s, const int32_t *tokens, size_t n) {
    int status = fathom__spliced_run(&s->spliced, FATHOM__NO_SPLICE, tokens, n);
    if (status || s->unordered) return status;
    for (size_t i = 0; i < n; i++)
        s->covered[i] = fathom_dictionary_covers(s->c->dictionary, s->sequence + i * s->c->info->d_in, (int32_t)i);
    for (int which = 0; which < FATHOM_LAYERS_GUESSES && !status; which++)
        status = fathom__spliced_run(&s->spliced, which, tokens, n);
    if (!status) fathom__spliced_end(&s->spliced, n);
    return status;
}

static void finish(struct fathom_layers_evaluation *out, const struct fathom__spliced *spliced) {
    const struct fathom__spliced_losses mean = fathom__spliced_losses(spliced, FATHOM_LAYERS_MEAN),
                                        zero = fathom__spliced_losses(spliced, FATHOM_LAYERS_ZERO);
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++) {
        const struct fathom__spliced_losses own = fathom__spliced_losses(spliced, which);
        out->losses[which] = (struct fathom_layers_loss){own.delta_loss,
                                                         own.delta_standard_error,
                                                         own.divergence,
                                                         own.divergence_standard_error,
                                                         1 - own.delta_loss / mean.delta_loss,
                                                         1 - own.delta_loss / zero.delta_loss};
    }
    out->loss = spliced->plain / (double)spliced->tokens;
    out->loss_tokens = spliced->tokens;
}

int fathom__layering_losses(struct fathom_layers_evaluation *out, struct fathom__layering *c) {
    const struct fathom_evaluate_options *o = c->options;
    const uint64_t wanted = o->loss_tokens ? o->loss_tokens : DEFAULT_LOSS_TOKENS;
    struct fathom__evaluating e = {
        .options = o, .model = c->model, .context = o->context ? o->context : DEFAULT_CONTEXT, .corpus = c->corpus};
    const struct fathom_session_options session = {
        .n_context = e.context, .n_batch = e.context, .n_threads = o->n_threads, .flash_attention = true};
    struct splicing s = {.c = c};
    if (!fathom__dictionary_reads_layers(c->dictionary)) {
        out->not_spliced = "features of all layers compete for k places, and a running model comes to them one by one";
        return 0;
    }
    int status = fathom_session_open(&e.session, c->model, &session);
    if (!status) status = open_splicing(&s, e.session, e.context);
    while (!status && !s.unordered && s.spliced.tokens < wanted) {
        const int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom__evaluate_sequence(&tokens, &n, &e);
        if (status || n == 0) break;
        status = add_sequence(&s, tokens, n);
        if (!status) status = fathom__stage_tell(&e.stage, e.options, "losses", "tokens", s.spliced.tokens, wanted);
    }
    if (!status && s.unordered)
        out->not_spliced = "a layer is written before what its features read is there";
    else if (!status && s.spliced.tokens == 0)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT, "eval: the corpus has no text left for the losses after %zu rows", c->n);
    else if (!status)
        finish(out, &s.spliced);
    fathom_session_close(e.session);
    close_splicing(&s);
    fathom_free(e.document);
    return status;
}
