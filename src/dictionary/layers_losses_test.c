/* What a transcoder costs the model that it is put into: compared with whole rows encoded anew at every layer, and what
 * cannot be put in. */
#include <base/memory.h>
#include <base/random.h>
#include <base/scratch.h>
#include <dictionary/layers_internal.h>
#include <math.h>
#include <stdio.h>
#include <tests/support/check.h>
#include <tests/support/random_corpus.h>
#include <tests/support/tiny_model.h>

enum { WIDTH = 64, LAYERS = 2, OF_LAYER = 24, FEATURES = LAYERS * OF_LAYER, CONTEXT = 32, LOSS_TOKENS = 200 };
#define THRESHOLD 0.3F

static int make_inputs(void **state) {
    (void)state;
    if (fathom_test_tiny_model(scratch("model.gguf"), "llama", 1)) return -1;
    return random_letters(scratch("corpus.jsonl"), 60, 150);
}

static void fill(float *values, size_t n, float deviation, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        values[i] = deviation * (float)fathom__random_normal(&random);
}

struct kind {
    const char *architecture, *hook_in, *hook_out;
    uint32_t n_layers; /* 0: a transcoder */
    bool threshold, skip;
};

static void write_dictionary(const char *path, const struct kind *kind) {
    static float encoder[FEATURES * WIDTH], decoder[FEATURES * LAYERS * WIDTH], bias[FEATURES], b_dec[LAYERS * WIDTH],
        threshold[FEATURES], skip[WIDTH * WIDTH];
    static const struct fathom_dictionary_layer layers[LAYERS] = {
        {"blocks.0.mlp.hook_in", "blocks.0.hook_mlp_out", 1, 1},
        {"blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out", 1, 1}};
    const uint32_t n = kind->n_layers ? kind->n_layers : 1;
    fill(encoder, FEATURES * WIDTH, 0.2F, 1);
    fill(decoder, FEATURES * LAYERS * WIDTH, 0.3F, 2);
    fill(bias, FEATURES, 0.1F, 3);
    fill(b_dec, LAYERS * WIDTH, 0.2F, 4);
    fill(skip, WIDTH * WIDTH, 0.1F, 5);
    for (int f = 0; f < FEATURES; f++)
        threshold[f] = THRESHOLD;
    const struct fathom_dictionary_parts parts = {.info = {.name = "written",
                                                           .architecture = kind->architecture,
                                                           .hook_in = kind->hook_in,
                                                           .hook_out = kind->hook_out,
                                                           .model_identity = "",
                                                           .model_name = "",
                                                           .d_in = n * WIDTH,
                                                           .d_out = n * WIDTH,
                                                           .n_features = FEATURES,
                                                           .k = 8,
                                                           .input_scale = 0.7F,
                                                           .output_scale = 1.3F,
                                                           .skip_positions = 1,
                                                           .max_norm = INFINITY,
                                                           .layers = layers,
                                                           .n_layers = kind->n_layers},
                                                  .encoder = encoder,
                                                  .encoder_bias = bias,
                                                  .decoder = decoder,
                                                  .decoder_bias = b_dec,
                                                  .threshold = kind->threshold ? threshold : NULL,
                                                  .skip = kind->skip ? skip : NULL};
    check_ok(fathom_dictionary_write(path, &parts, "f32"));
}

static const struct kind across = {"jumprelu", "a+b", "c+d", LAYERS, true, false},
                         within = {"jumprelu", "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out", 0, true, true};

/* The same by the public functions: whole rows, later layers' parts 0, encoded anew for every layer that is written. */
struct plain {
    const fathom_dictionary *dictionary;
    size_t n_layers;
    bool zero;
    float rows[CONTEXT * LAYERS * WIDTH], guesses[CONTEXT * LAYERS * WIDTH];
};

struct plain_point {
    struct plain *plain;
    size_t layer;
};

static int plain_read(const struct fathom_block *block, void *payload) {
    const struct plain_point *point = payload;
    struct plain *p = point->plain;
    const size_t d = p->n_layers * WIDTH;
    if (point->layer == 0) memset(p->rows, 0, sizeof p->rows);
    for (size_t r = 0; r < block->n_rows; r++)
        memcpy(p->rows + r * d + point->layer * WIDTH, block->rows + r * WIDTH, WIDTH * sizeof(float));
    return 0;
}

static int plain_write(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct plain_point *point = payload;
    struct plain *p = point->plain;
    const size_t d = p->n_layers * WIDTH;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    check_ok(
        fathom_dictionary_encode(&sparse, p->dictionary, p->rows, block->positions, block->n_rows, FATHOM_ENCODE_RUN));
    check_ok(fathom_dictionary_reconstruct(p->guesses, p->dictionary, &sparse, p->rows));
    for (size_t r = 0; r < block->n_rows; r++) {
        if (block->positions[r] == 0) continue;
        for (size_t j = 0; j < WIDTH; j++)
            rows[r * WIDTH + j] = p->zero ? 0 : p->guesses[r * d + point->layer * WIDTH + j];
    }
    *changed = true;
    fathom_sparse_free(&sparse);
    return 0;
}

static void open_sequences(struct fathom__evaluating *e, const fathom_model *model,
                           const struct fathom_corpus_source *source) {
    *e = (struct fathom__evaluating){.model = model, .context = CONTEXT};
    check_ok(fathom_corpus_open(&e->corpus, source, 1, 1));
}

/* Mean change of the loss over the first LOSS_TOKENS tokens or more. */
static double plain_change(double *loss, struct plain *p, const struct fathom__layering *c,
                           const struct fathom_corpus_source *source) {
    static double own[CONTEXT], changed[CONTEXT];
    const struct fathom_session_options options = {
        .n_context = CONTEXT, .n_batch = CONTEXT, .n_threads = 1, .flash_attention = true};
    struct plain_point points[LAYERS];
    struct fathom__evaluating e;
    fathom_session *plain = NULL, *spliced = NULL;
    double change = 0;
    size_t tokens = 0;
    *loss = 0;
    check_ok(fathom_session_open(&plain, c->model, &options));
    check_ok(fathom_session_open(&spliced, c->model, &options));
    for (size_t l = 0; l < c->n_layers; l++) {
        struct fathom_hook in, out;
        points[l] = (struct plain_point){p, l};
        check_ok(fathom_hook_parse(&in, c->model, c->layers[l].hook_in));
        check_ok(fathom_hook_parse(&out, c->model, c->layers[l].hook_out));
        check_ok(fathom_session_tap(NULL, spliced, in, plain_read, &points[l]));
        check_ok(fathom_session_edit(NULL, spliced, out, plain_write, &points[l]));
    }
    open_sequences(&e, c->model, source);
    while (tokens < LOSS_TOKENS) {
        const int32_t *sequence = NULL;
        size_t n = 0;
        check_ok(fathom__evaluate_sequence(&sequence, &n, &e));
        assert_true(n > 1);
        check_ok(fathom_log_probabilities(own, plain, sequence, n));
        check_ok(fathom_log_probabilities(changed, spliced, sequence, n));
        for (size_t i = 0; i + 1 < n; i++) {
            change += own[i] - changed[i];
            *loss -= own[i];
        }
        tokens += n - 1;
    }
    *loss /= (double)tokens;
    fathom_session_close(plain);
    fathom_session_close(spliced);
    fathom_corpus_close(e.corpus);
    fathom_free(e.document);
    return change / (double)tokens;
}

static void check_losses(const struct kind *kind) {
    static struct plain plain;
    static float mean[LAYERS * WIDTH];
    const struct fathom_corpus_source source = {.path = scratch("corpus.jsonl")};
    const struct fathom_evaluate_options options = {.loss_tokens = LOSS_TOKENS, .context = CONTEXT, .n_threads = 1};
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    struct fathom_layers_evaluation out = {0};
    double loss;
    write_dictionary(scratch("written.gguf"), kind);
    check_ok(fathom_dictionary_open(&dictionary, scratch("written.gguf")));
    check_ok(fathom_model_open(&model, scratch("model.gguf"), NULL));
    struct fathom__layering c = {.options = &options,
                                 .dictionary = dictionary,
                                 .info = fathom_dictionary_describe(dictionary),
                                 .model = model,
                                 .own = {kind->hook_in, kind->hook_out, 1, 1},
                                 .n_layers = dictionary->n_layers,
                                 .layer_features = dictionary->layer_features,
                                 .width_in = WIDTH,
                                 .width_out = WIDTH,
                                 .mean = mean};
    c.layers = kind->n_layers ? c.info->layers : &c.own;
    fill(mean, LAYERS * WIDTH, 0.2F, 6);
    check_ok(fathom_corpus_open(&c.corpus, &source, 1, 1));
    check_ok(fathom__layering_losses(&out, &c));
    fathom_corpus_close(c.corpus);
    assert_null(out.not_spliced);
    assert_true(out.loss_tokens >= LOSS_TOKENS);

    plain = (struct plain){.dictionary = dictionary, .n_layers = c.n_layers};
    const double whole = plain_change(&loss, &plain, &c, &source);
    plain.zero = true;
    const double zero = plain_change(&loss, &plain, &c, &source);
    const struct fathom_layers_loss *losses = out.losses;
    assert_float_equal(out.loss, loss, 1e-5);
    assert_float_equal(losses[FATHOM_LAYERS_WHOLE].delta_loss, whole, 1e-5);
    assert_float_equal(losses[FATHOM_LAYERS_ZERO].delta_loss, zero, 1e-5);
    assert_true(fabs(whole) > 1e-3 && fabs(zero) > 1e-3 && fabs(whole - zero) > 1e-3);
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
        assert_true(losses[which].divergence > 1e-4 && losses[which].divergence_standard_error > 0);
    /* No token is known, so that each has the mean of all; what the mean recovers of itself is nothing. */
    assert_true(losses[FATHOM_LAYERS_TOKEN_MEAN].delta_loss == losses[FATHOM_LAYERS_MEAN].delta_loss);
    assert_true(losses[FATHOM_LAYERS_MEAN].recovered_mean == 0 && losses[FATHOM_LAYERS_ZERO].recovered_zero == 0);
    const double own = losses[FATHOM_LAYERS_OWN].delta_loss;
    if (kind->n_layers)
        assert_true(fabs(own - whole) > 1e-4);
    else
        assert_true(own == losses[FATHOM_LAYERS_WHOLE].delta_loss);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
}

static void test_across_layers(void **state) {
    (void)state;
    check_losses(&across);
}

static void test_within_a_layer(void **state) {
    (void)state;
    check_losses(&within);
}

/* Through the public function; *out is freed by the caller. */
static int evaluate(struct fathom_layers_evaluation **out, const struct kind *kind, uint64_t tokens) {
    const struct fathom_corpus_source source = {.path = scratch("corpus.jsonl")};
    const struct fathom_evaluate_options options = {.sources = &source,
                                                    .n_sources = 1,
                                                    .seed = 1,
                                                    .tokens = tokens,
                                                    .loss_tokens = LOSS_TOKENS,
                                                    .context = CONTEXT,
                                                    .n_threads = 1};
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    write_dictionary(scratch("written.gguf"), kind);
    check_ok(fathom_dictionary_open(&dictionary, scratch("written.gguf")));
    check_ok(fathom_model_open(&model, scratch("model.gguf"), NULL));
    const int status = fathom_layers_evaluate(out, dictionary, model, &options);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return status;
}

static void test_transcoder(void **state) {
    (void)state;
    struct fathom_layers_evaluation *e = NULL;
    check_ok(evaluate(&e, &within, 1200));
    const struct fathom_layer_evaluation *layer = &e->layers[0];
    assert_int_equal(e->n_layers, 1);
    assert_int_equal(e->rows, 600);
    assert_true(e->rows_left_out > 0 && e->loss > 0 && e->loss_tokens >= LOSS_TOKENS);
    assert_true(e->l0 > 1 && e->l0 == layer->l0 && e->silent_fraction == layer->silent_fraction);
    assert_true(layer->quality[FATHOM_LAYERS_OWN].fve == layer->quality[FATHOM_LAYERS_WHOLE].fve);
    assert_true(layer->quality[FATHOM_LAYERS_WHOLE].fve < 0); /* random weights */
    assert_float_equal(layer->quality[FATHOM_LAYERS_MEAN].fve, 0, 0.05);
    assert_true(layer->quality[FATHOM_LAYERS_TOKEN_MEAN].fve > layer->quality[FATHOM_LAYERS_MEAN].fve);
    assert_true(e->losses[FATHOM_LAYERS_TOKEN_MEAN].divergence < e->losses[FATHOM_LAYERS_MEAN].divergence);
    fathom_layers_evaluation_free(e);
}

static void test_what_cannot_be_put_in(void **state) {
    (void)state;
    const struct kind competing = {"topk", "a+b", "c+d", LAYERS, false, false},
                      backwards = {"jumprelu", "blocks.2.hook_mlp_out", "blocks.1.hook_mlp_out", 0, true, false},
                      itself = {"jumprelu", "blocks.1.hook_mlp_out", "blocks.1.hook_mlp_out", 0, true, false};
    struct fathom_layers_evaluation *e = NULL;
    check_ok(evaluate(&e, &competing, 1200));
    assert_non_null(strstr(e->not_spliced, "compete for k places"));
    assert_true(e->loss_tokens == 0 && e->rows == 600);
    fathom_layers_evaluation_free(e);
    check_ok(evaluate(&e, &backwards, 1200));
    assert_non_null(strstr(e->not_spliced, "written before"));
    fathom_layers_evaluation_free(e);
    e = NULL;
    check_status(evaluate(&e, &itself, 1200), FATHOM_ERROR_ARGUMENT, "no transcoder");
    check_status(evaluate(&e, &within, 100000), FATHOM_ERROR_LIMIT, "no text left for the losses");
    assert_null(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_across_layers),
        cmocka_unit_test(test_within_a_layer),
        cmocka_unit_test(test_transcoder),
        cmocka_unit_test(test_what_cannot_be_put_in),
    };
    return cmocka_run_group_tests(tests, make_inputs, NULL);
}
