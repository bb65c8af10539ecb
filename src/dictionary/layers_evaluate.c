/* Evaluation of transcoders, cross-layer ones among them: rows of all hook points collected, controls fitted on one half,
 * all measured on the other; layers_losses.c does the rest. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/layers_internal.h>
#include <fathom/harvest.h>
#include <stdlib.h>

#define DEFAULT_TOKENS 16384
enum { FEWEST_ROWS = 512 };

const char *fathom_layers_guess_name(enum fathom_layers_guess guess) {
    static const char *const names[FATHOM_LAYERS_GUESSES] = {"whole", "own_layer", "token_mean", "mean", "zero"};
    return (unsigned)guess < FATHOM_LAYERS_GUESSES ? names[guess] : "";
}

static int take_block(const struct fathom_harvest_block *block, void *payload) {
    struct fathom__layering *c = payload;
    const size_t L = c->n_layers, in = c->width_in, out = c->width_out;
    for (size_t r = 0; r < block->n_rows && c->n < c->wanted; r++) {
        float *x = c->inputs + c->n * L * in, *y = c->targets + c->n * L * out;
        for (size_t l = 0; l < L; l++) {
            memcpy(x + l * in, block->rows[l] + r * in, in * sizeof *x);
            memcpy(y + l * out, block->rows[L + l] + r * out, out * sizeof *y);
        }
        c->tokens[c->n] = block->tokens[r];
        if (fathom_dictionary_covers(c->dictionary, x, block->positions[r]))
            c->n++;
        else
            c->left_out++;
    }
    return 0;
}

static int check_place(const struct fathom__layering *c, const char *name, size_t expected) {
    struct fathom_hook hook;
    uint32_t heads = 1, width = 0;
    int status = fathom_hook_parse(&hook, c->model, name);
    if (status) return fathom__wrap(status, "%s", c->info->path);
    fathom_hook_exists(&heads, &width, c->model, hook);
    if ((uint64_t)heads * width == expected) return 0;
    return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: rows of width %zu; %s of %s has %llu", c->info->path, expected,
                        name, fathom_model_describe(c->model)->name, (unsigned long long)heads * width);
}

static int find_layers(struct fathom__layering *c) {
    const struct fathom_dictionary_info *info = c->info;
    const struct fathom_model_info *m = fathom_model_describe(c->model);
    const bool elsewhere = strcmp(info->hook_in, info->hook_out) != 0;
    int status = 0;
    if (info->n_sources || (info->n_layers == 0 && !elsewhere))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: no transcoder: it reads and writes %s", info->path,
                            info->hook_in);
    if (info->model_identity[0] && strcmp(info->model_identity, m->identity) != 0 &&
        strcmp(info->model_identity, m->source_identity) != 0)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: was trained on %s (%s), not on %s (%s)", info->path,
                            info->model_name[0] ? info->model_name : "another model", info->model_identity, m->name,
                            m->source_identity);
    c->own = (struct fathom_dictionary_layer){info->hook_in, info->hook_out, info->input_scale, info->output_scale};
    c->layers = info->n_layers ? info->layers : &c->own;
    c->n_layers = c->dictionary->n_layers;
    c->layer_features = c->dictionary->layer_features;
    c->width_in = info->d_in / c->n_layers;
    c->width_out = info->d_out / c->n_layers;
    for (size_t l = 0; l < c->n_layers && !status; l++) {
        status = check_place(c, c->layers[l].hook_in, c->width_in);
        if (!status) status = check_place(c, c->layers[l].hook_out, c->width_out);
    }
    return status;
}

static int collect(struct fathom__layering *c) {
    const struct fathom_evaluate_options *options = c->options;
    const size_t L = c->n_layers;
    const char **hooks = NULL;
    int status = fathom__alloc(&hooks, 2 * L, sizeof *hooks);
    for (size_t l = 0; l < L && !status; l++) {
        hooks[l] = c->layers[l].hook_in;
        hooks[L + l] = c->layers[l].hook_out;
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
    if (!status) status = fathom_corpus_open(&c->corpus, options->sources, options->n_sources, options->seed);
    if (!status)
        status = fathom_harvest(NULL, fathom_model_describe(c->model)->path, c->corpus, &harvest, take_block, c);
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

/* The mean of some rows, in their order; sum: [d], scratch. */
static void find_mean(float *mean, double *sum, const struct fathom__layering *c, const struct numbered *rows,
                      size_t n) {
    const size_t d = c->info->d_out;
    memset(sum, 0, d * sizeof *sum);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            sum[j] += c->targets[rows[i].row * d + j];
    for (size_t j = 0; j < d; j++)
        mean[j] = (float)(sum[j] / (double)n);
}

/* Mean rows of the first `fit` rows and of each of their tokens. */
static int fit_means(struct fathom__layering *c, size_t fit) {
    const size_t d = c->info->d_out;
    struct numbered *order = NULL;
    double *sum = NULL;
    size_t distinct = 0;
    int status = fathom__alloc(&order, fit, sizeof *order);
    if (!status) status = fathom__alloc(&sum, d, sizeof *sum);
    if (!status) status = fathom__alloc(&c->mean, d, sizeof *c->mean);
    for (size_t r = 0; r < fit && !status; r++)
        order[r] = (struct numbered){c->tokens[r], (uint32_t)r};
    if (!status) {
        qsort(order, fit, sizeof *order, by_token);
        find_mean(c->mean, sum, c, order, fit);
    }
    for (size_t i = 0; i < fit && !status; i++)
        distinct += i == 0 || order[i].token != order[i - 1].token;
    if (!status) status = fathom__alloc(&c->known, distinct, sizeof *c->known);
    if (!status) status = fathom__alloc(&c->known_rows, distinct * d, sizeof *c->known_rows);
    for (size_t i = 0; i < fit && !status;) {
        size_t end = i;
        while (end < fit && order[end].token == order[i].token)
            end++;
        find_mean(c->known_rows + c->n_known * d, sum, c, order + i, end - i);
        c->known[c->n_known++] = order[i].token;
        i = end;
    }
    fathom_free(order);
    fathom_free(sum);
    return status;
}

const float *fathom__layering_token_row(const struct fathom__layering *c, int32_t token) {
    size_t low = 0, high = c->n_known;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->known[middle] == token) return c->known_rows + middle * c->info->d_out;
        if (c->known[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return c->mean;
}

/* What each layer's own features write to it, of rows whose features are `all`. */
static int guess_by_own(float *out, const struct fathom__layering *c, const struct fathom_sparse *all,
                        const float *inputs) {
    const size_t d = c->info->d_out, width = c->width_out;
    float *guess = NULL;
    struct fathom_sparse some = {.n_rows = all->n_rows};
    int status = fathom__alloc(&guess, all->n_rows * d, sizeof *guess);
    if (!status) status = fathom__alloc(&some.offsets, all->n_rows + 1, sizeof *some.offsets);
    if (!status) status = fathom__alloc(&some.features, all->offsets[all->n_rows] + 1, sizeof *some.features);
    if (!status) status = fathom__alloc(&some.values, all->offsets[all->n_rows] + 1, sizeof *some.values);
    for (size_t l = 0; l < c->n_layers && !status; l++) {
        size_t n = 0;
        for (size_t r = 0; r < all->n_rows; r++) {
            for (size_t i = all->offsets[r]; i < all->offsets[r + 1]; i++) {
                if (all->features[i] / c->layer_features != l) continue;
                some.features[n] = all->features[i];
                some.values[n++] = all->values[i];
            }
            some.offsets[r + 1] = n;
        }
        status = fathom_dictionary_reconstruct(guess, c->dictionary, &some, inputs);
        for (size_t r = 0; r < all->n_rows && !status; r++)
            memcpy(out + r * d + l * width, guess + r * d + l * width, width * sizeof *out);
    }
    fathom_free(guess);
    fathom_sparse_free(&some);
    return status;
}

/* Rows f32 [n, d_out] that stand for those from `fit` on. */
static int make_guesses(float *out, enum fathom_layers_guess which, const struct fathom__layering *c,
                        const struct fathom_sparse *sparse, size_t fit) {
    const size_t d = c->info->d_out, n = c->n - fit;
    const float *inputs = c->inputs + fit * c->info->d_in;
    if (which == FATHOM_LAYERS_WHOLE) return fathom_dictionary_reconstruct(out, c->dictionary, sparse, inputs);
    if (which == FATHOM_LAYERS_OWN) return guess_by_own(out, c, sparse, inputs);
    if (which == FATHOM_LAYERS_ZERO) memset(out, 0, n * d * sizeof *out);
    for (size_t r = 0; r < n && which != FATHOM_LAYERS_ZERO; r++)
        memcpy(out + r * d, which == FATHOM_LAYERS_MEAN ? c->mean : fathom__layering_token_row(c, c->tokens[fit + r]),
               d * sizeof *out);
    return 0;
}

/* Qualities of one guess at all layers, and over all of them. */
static int measure_guess(struct fathom_layers_evaluation *out, enum fathom_layers_guess which,
                         const struct fathom__layering *c, const float *targets, const float *guesses, size_t n) {
    const size_t d = c->info->d_out, width = c->width_out;
    float *part = NULL, *guess = NULL; /* [n, width] */
    double errors = 0, spread = 0;
    int status = fathom__alloc(&part, n * width, sizeof *part);
    if (!status) status = fathom__alloc(&guess, n * width, sizeof *guess);
    for (size_t l = 0; l < c->n_layers && !status; l++) {
        struct fathom_reconstruction_quality *quality = &out->layers[l].quality[which];
        const double scale = (double)c->layers[l].output_scale * c->layers[l].output_scale;
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

static int count_features(struct fathom_layers_evaluation *out, const struct fathom__layering *c,
                          const struct fathom_sparse *sparse) {
    const size_t F = c->layer_features;
    bool *heard = NULL;
    const int status = fathom__alloc(&heard, c->info->n_features, sizeof *heard);
    if (status) return status;
    for (size_t i = 0; i < sparse->offsets[sparse->n_rows]; i++) {
        heard[sparse->features[i]] = true;
        out->layers[sparse->features[i] / F].l0 += 1 / (double)sparse->n_rows;
    }
    for (size_t f = 0; f < c->info->n_features; f++)
        if (!heard[f]) out->layers[f / F].silent_fraction += 1 / (double)F;
    for (size_t l = 0; l < c->n_layers; l++) {
        out->l0 += out->layers[l].l0;
        out->silent_fraction += out->layers[l].silent_fraction / (double)c->n_layers;
    }
    fathom_free(heard);
    return 0;
}

static int measure(struct fathom_layers_evaluation *out, struct fathom__layering *c) {
    const size_t fit = c->n / 2, n = c->n - fit, d = c->info->d_out;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    float *guesses = NULL;
    int status = fit_means(c, fit);
    if (!status) status = fathom__alloc(&guesses, n * d, sizeof *guesses);
    if (!status)
        status = fathom_dictionary_encode(&sparse, c->dictionary, c->inputs + fit * c->info->d_in, NULL, n,
                                          FATHOM_ENCODE_RUN);
    if (!status) status = count_features(out, c, &sparse);
    for (int which = 0; which < FATHOM_LAYERS_GUESSES && !status; which++) {
        status = make_guesses(guesses, (enum fathom_layers_guess)which, c, &sparse, fit);
        if (!status) status = measure_guess(out, (enum fathom_layers_guess)which, c, c->targets + fit * d, guesses, n);
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

/* Rows are many: the losses do without them. */
static void free_rows(struct fathom__layering *c) {
    fathom_free(c->inputs);
    fathom_free(c->targets);
    fathom_free(c->tokens);
    c->inputs = c->targets = NULL;
    c->tokens = NULL;
}

int fathom_layers_evaluate(struct fathom_layers_evaluation **out, const fathom_dictionary *dictionary,
                           const fathom_model *model, const struct fathom_evaluate_options *options) {
    struct fathom__layering c = {.options = options,
                                 .dictionary = dictionary,
                                 .info = fathom_dictionary_describe(dictionary),
                                 .model = model,
                                 .wanted = options->tokens ? options->tokens : DEFAULT_TOKENS};
    struct fathom_layers_evaluation *evaluation = NULL;
    int status = find_layers(&c);
    if (!status) status = fathom__alloc(&evaluation, 1, sizeof *evaluation);
    if (!status) status = fathom__alloc(&evaluation->layers, c.n_layers, sizeof *evaluation->layers);
    if (!status) evaluation->n_layers = (uint32_t)c.n_layers;
    if (!status) status = collect(&c);
    if (!status) status = measure(evaluation, &c);
    free_rows(&c);
    if (!status) status = fathom__layering_losses(evaluation, &c);
    fathom_corpus_close(c.corpus);
    fathom_free(c.mean);
    fathom_free(c.known);
    fathom_free(c.known_rows);
    if (status)
        fathom_layers_evaluation_free(evaluation);
    else
        *out = evaluation;
    return status;
}
