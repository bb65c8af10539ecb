/* Evaluation of a cross-layer transcoder: rows of all its hook points collected, token means fitted on one half, all
 * measured on the other. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/evaluate_internal.h>
#include <fathom/harvest.h>
#include <fathom/layers.h>
#include <stdlib.h>

#define DEFAULT_TOKENS 16384
enum { FEWEST_ROWS = 512 };

const char *fathom_layers_guess_name(enum fathom_layers_guess guess) {
    static const char *const names[FATHOM_LAYERS_GUESSES] = {"whole", "own_layer", "token_mean"};
    return (unsigned)guess < FATHOM_LAYERS_GUESSES ? names[guess] : "";
}

/* Rows of all layers, one after another. */
struct collecting {
    const fathom_dictionary *dictionary;
    const struct fathom_dictionary_info *info;
    float *inputs, *targets; /* [wanted, d_in], [wanted, d_out] */
    int32_t *tokens;
    size_t n, wanted, left_out;
};

static int take_block(const struct fathom_harvest_block *block, void *payload) {
    struct collecting *c = payload;
    const size_t L = c->info->n_layers, width = c->info->d_in / L;
    for (size_t r = 0; r < block->n_rows && c->n < c->wanted; r++) {
        float *x = c->inputs + c->n * c->info->d_in, *y = c->targets + c->n * c->info->d_out;
        for (size_t l = 0; l < L; l++) {
            memcpy(x + l * width, block->rows[l] + r * width, width * sizeof *x);
            memcpy(y + l * width, block->rows[L + l] + r * width, width * sizeof *y);
        }
        c->tokens[c->n] = block->tokens[r];
        if (fathom_dictionary_covers(c->dictionary, x, block->positions[r]))
            c->n++;
        else
            c->left_out++;
    }
    return 0;
}

static int check_model(const struct fathom_dictionary_info *info, const fathom_model *model) {
    const struct fathom_model_info *m = fathom_model_describe(model);
    if (info->n_layers == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: no cross-layer transcoder: it reads %s", info->path,
                            info->hook_in);
    if (info->model_identity[0] && strcmp(info->model_identity, m->identity) != 0 &&
        strcmp(info->model_identity, m->source_identity) != 0)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: was trained on %s (%s), not on %s (%s)", info->path,
                            info->model_name[0] ? info->model_name : "another model", info->model_identity, m->name,
                            m->source_identity);
    for (uint32_t i = 0; i < 2 * info->n_layers; i++) {
        const struct fathom_dictionary_layer *layer = &info->layers[i / 2];
        const char *name = i % 2 ? layer->hook_out : layer->hook_in;
        struct fathom_hook hook;
        uint32_t heads = 1, width = 0;
        int status = fathom_hook_parse(&hook, model, name);
        if (status) return fathom__wrap(status, "%s", info->path);
        fathom_hook_exists(&heads, &width, model, hook);
        if ((uint64_t)heads * width != info->d_in / info->n_layers)
            return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: layers of width %u; %s of %s has %llu", info->path,
                                info->d_in / info->n_layers, name, m->name, (unsigned long long)heads * width);
    }
    return 0;
}

static int collect(struct collecting *c, const fathom_model *model, const struct fathom_evaluate_options *options) {
    const size_t L = c->info->n_layers;
    const char **hooks = NULL;
    fathom_corpus *corpus = NULL;
    int status = fathom__alloc(&hooks, 2 * L, sizeof *hooks);
    for (size_t l = 0; l < L && !status; l++) {
        hooks[l] = c->info->layers[l].hook_in;
        hooks[L + l] = c->info->layers[l].hook_out;
    }
    const struct fathom_harvest_options harvest = {.hooks = hooks,
                                                   .n_hooks = 2 * L,
                                                   .context = options->context,
                                                   .n_threads = options->n_threads,
                                                   .max_tokens = c->wanted + c->wanted / 8, /* some are left out */
                                                   .progress = options->progress,
                                                   .payload = options->payload};
    if (!status) status = fathom__alloc(&c->inputs, c->wanted * c->info->d_in, sizeof *c->inputs);
    if (!status) status = fathom__alloc(&c->targets, c->wanted * c->info->d_out, sizeof *c->targets);
    if (!status) status = fathom__alloc(&c->tokens, c->wanted, sizeof *c->tokens);
    if (!status) status = fathom_corpus_open(&corpus, options->sources, options->n_sources, options->seed);
    if (!status) status = fathom_harvest(NULL, fathom_model_describe(model)->path, corpus, &harvest, take_block, c);
    fathom_corpus_close(corpus);
    fathom_free(hooks);
    if (!status && c->n < FEWEST_ROWS)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "eval: the corpus gave %zu rows; %d are needed", c->n, FEWEST_ROWS);
    return status;
}

struct numbered {
    int32_t token;
    uint32_t row;
};

static int by_token(const void *a, const void *b) {
    const struct numbered *x = a, *y = b;
    if (x->token != y->token) return x->token < y->token ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void add_row(double *sum, const float *row, size_t d) {
    for (size_t j = 0; j < d; j++)
        sum[j] += row[j];
}

/* Rows [fit, n) get the mean of the rows before fit that have their token, or of all of those. */
static int guess_by_token(float *out, const struct collecting *c, size_t fit) {
    const size_t d = c->info->d_out;
    struct numbered *order = NULL;
    double *mean = NULL, *sum = NULL;
    int status = fathom__alloc(&order, c->n, sizeof *order);
    if (!status) status = fathom__alloc(&mean, d, sizeof *mean);
    if (!status) status = fathom__alloc(&sum, d, sizeof *sum);
    for (size_t r = 0; r < c->n && !status; r++)
        order[r] = (struct numbered){c->tokens[r], (uint32_t)r};
    for (size_t r = 0; r < fit && !status; r++)
        add_row(mean, c->targets + r * d, d);
    if (!status) qsort(order, c->n, sizeof *order, by_token);
    for (size_t i = 0; i < c->n && !status;) {
        const int32_t token = order[i].token;
        size_t seen = 0;
        memset(sum, 0, d * sizeof *sum);
        for (; i < c->n && order[i].token == token && order[i].row < fit; i++, seen++)
            add_row(sum, c->targets + order[i].row * d, d);
        for (; i < c->n && order[i].token == token; i++)
            for (size_t j = 0; j < d; j++)
                out[(order[i].row - fit) * d + j] = (float)(seen ? sum[j] / (double)seen : mean[j] / (double)fit);
    }
    fathom_free(order);
    fathom_free(mean);
    fathom_free(sum);
    return status;
}

/* What each layer's own features write to it. */
static int guess_by_own(float *out, const fathom_dictionary *dictionary, const struct fathom_sparse *all) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const size_t d = info->d_out, width = d / info->n_layers, F = info->n_features / info->n_layers;
    float *guess = NULL;
    struct fathom_sparse some = {.n_rows = all->n_rows};
    int status = fathom__alloc(&guess, all->n_rows * d, sizeof *guess);
    if (!status) status = fathom__alloc(&some.offsets, all->n_rows + 1, sizeof *some.offsets);
    if (!status) status = fathom__alloc(&some.features, all->offsets[all->n_rows] + 1, sizeof *some.features);
    if (!status) status = fathom__alloc(&some.values, all->offsets[all->n_rows] + 1, sizeof *some.values);
    for (size_t l = 0; l < info->n_layers && !status; l++) {
        size_t n = 0;
        for (size_t r = 0; r < all->n_rows; r++) {
            for (size_t i = all->offsets[r]; i < all->offsets[r + 1]; i++) {
                if (all->features[i] / F != l) continue;
                some.features[n] = all->features[i];
                some.values[n++] = all->values[i];
            }
            some.offsets[r + 1] = n;
        }
        status = fathom_dictionary_decode(guess, dictionary, &some);
        for (size_t r = 0; r < all->n_rows && !status; r++)
            memcpy(out + r * d + l * width, guess + r * d + l * width, width * sizeof *out);
    }
    fathom_free(guess);
    fathom_sparse_free(&some);
    return status;
}

/* Qualities of one guess at all layers, and over all of them. part, guess: [n, width]. */
static int measure_guess(struct fathom_layers_evaluation *out, enum fathom_layers_guess which,
                         const struct fathom_dictionary_info *info, const float *targets, const float *guesses,
                         size_t n) {
    const size_t d = info->d_out, width = d / info->n_layers;
    float *part = NULL, *guess = NULL;
    double errors = 0, spread = 0;
    int status = fathom__alloc(&part, n * width, sizeof *part);
    if (!status) status = fathom__alloc(&guess, n * width, sizeof *guess);
    for (uint32_t l = 0; l < info->n_layers && !status; l++) {
        struct fathom_reconstruction_quality *quality = &out->layers[l].quality[which];
        const double scale = (double)info->layers[l].output_scale * info->layers[l].output_scale;
        for (size_t r = 0; r < n; r++) {
            memcpy(part + r * width, targets + r * d + l * width, width * sizeof *part);
            memcpy(guess + r * width, guesses + r * d + l * width, width * sizeof *guess);
        }
        status = fathom__evaluate_quality(quality, part, guess, n, width);
        errors += scale * quality->squared_error;
        if (quality->fve < 1) spread += scale * quality->squared_error / (1 - quality->fve);
    }
    out->fve[which] = spread > 0 ? 1 - errors / spread : 0;
    fathom_free(part);
    fathom_free(guess);
    return status;
}

static int count_features(struct fathom_layers_evaluation *out, const struct fathom_dictionary_info *info,
                          const struct fathom_sparse *sparse) {
    const size_t F = info->n_features / info->n_layers;
    bool *heard = NULL;
    const int status = fathom__alloc(&heard, info->n_features, sizeof *heard);
    if (status) return status;
    for (size_t i = 0; i < sparse->offsets[sparse->n_rows]; i++) {
        heard[sparse->features[i]] = true;
        out->layers[sparse->features[i] / F].l0 += 1 / (double)sparse->n_rows;
    }
    for (size_t f = 0; f < info->n_features; f++)
        if (!heard[f]) out->layers[f / F].silent_fraction += 1 / (double)F;
    for (uint32_t l = 0; l < info->n_layers; l++) {
        out->l0 += out->layers[l].l0;
        out->silent_fraction += out->layers[l].silent_fraction / info->n_layers;
    }
    fathom_free(heard);
    return 0;
}

static int measure(struct fathom_layers_evaluation *out, const struct collecting *c) {
    const size_t fit = c->n / 2, n = c->n - fit, d = c->info->d_out;
    const float *inputs = c->inputs + fit * c->info->d_in, *targets = c->targets + fit * d;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    float *guesses = NULL;
    int status = fathom__alloc(&guesses, n * d, sizeof *guesses);
    if (!status) status = fathom_dictionary_encode(&sparse, c->dictionary, inputs, NULL, n, FATHOM_ENCODE_RUN);
    if (!status) status = count_features(out, c->info, &sparse);
    for (int which = 0; which < FATHOM_LAYERS_GUESSES && !status; which++) {
        status = which == FATHOM_LAYERS_WHOLE ? fathom_dictionary_decode(guesses, c->dictionary, &sparse)
                 : which == FATHOM_LAYERS_OWN ? guess_by_own(guesses, c->dictionary, &sparse)
                                              : guess_by_token(guesses, c, fit);
        if (!status) status = measure_guess(out, (enum fathom_layers_guess)which, c->info, targets, guesses, n);
    }
    out->rows = n;
    out->rows_left_out = c->left_out;
    fathom_free(guesses);
    fathom_sparse_free(&sparse);
    return status;
}

void fathom_layers_evaluation_free(struct fathom_layers_evaluation *evaluation) {
    if (!evaluation) return;
    fathom_free(evaluation->layers);
    fathom_free(evaluation);
}

int fathom_layers_evaluate(struct fathom_layers_evaluation **out, const fathom_dictionary *dictionary,
                           const fathom_model *model, const struct fathom_evaluate_options *options) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct collecting c = {
        .dictionary = dictionary, .info = info, .wanted = options->tokens ? options->tokens : DEFAULT_TOKENS};
    struct fathom_layers_evaluation *evaluation = NULL;
    int status = check_model(info, model);
    if (!status) status = fathom__alloc(&evaluation, 1, sizeof *evaluation);
    if (!status) status = fathom__alloc(&evaluation->layers, info->n_layers, sizeof *evaluation->layers);
    if (!status) evaluation->n_layers = info->n_layers;
    if (!status) status = collect(&c, model, options);
    if (!status) status = measure(evaluation, &c);
    fathom_free(c.inputs);
    fathom_free(c.targets);
    fathom_free(c.tokens);
    if (status)
        fathom_layers_evaluation_free(evaluation);
    else
        *out = evaluation;
    return status;
}
