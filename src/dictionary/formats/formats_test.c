/* Dictionaries that other trainers' own code wrote (tests/reference/formats.py): what Fathom reads off them is what
 * that code computed, feature by feature; and the traps of their formats. */
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/safetensors.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/relative_error.h"
#include <fathom/formats.h>
#include <math.h>

#define CASES "tests/reference/formats/"
#define TOLERANCE 1e-5 /* norm-wise; the others compute in f32 too */

struct numbers {
    fathom__safetensors *file;
    float *input, *features, *output;
    size_t n;
};

static float *load(struct numbers *numbers, const char *name) {
    const struct fathom__tensor *tensor = fathom__safetensors_find(numbers->file, name);
    float *out = NULL;
    assert_non_null(tensor);
    check_ok(fathom__tensor_f32(&out, tensor, "numbers", tensor->shape, tensor->n_dimensions));
    numbers->n = tensor->shape[0];
    return out;
}

static void open_numbers(struct numbers *out, const char *folder) {
    char path[512];
    snprintf(path, sizeof path, CASES "%s/numbers.safetensors", folder);
    check_ok(fathom__safetensors_open(&out->file, path));
    out->input = load(out, "input");
    out->features = load(out, "features");
    out->output = load(out, "output");
}

static void close_numbers(struct numbers *numbers) {
    fathom_free(numbers->input);
    fathom_free(numbers->features);
    fathom_free(numbers->output);
    fathom__safetensors_close(numbers->file);
}

/* Fails unless every feature of every row agrees, and the reconstructions. */
static void compare(const fathom_dictionary *dictionary, const struct numbers *numbers) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const size_t n = numbers->n, F = info->n_features;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    float *dense = NULL, *output = NULL;
    double largest = 0;
    check_ok(fathom__alloc(&dense, n * F, sizeof *dense));
    check_ok(fathom__alloc(&output, n * info->d_out, sizeof *output));
    check_ok(fathom_dictionary_encode(&sparse, dictionary, numbers->input, NULL, n, FATHOM_ENCODE_TRAIN));
    assert_true(sparse.offsets[n] > n); /* more than one feature a row */
    for (size_t r = 0; r < n; r++)
        for (size_t i = sparse.offsets[r]; i < sparse.offsets[r + 1]; i++)
            dense[r * F + sparse.features[i]] = sparse.values[i];
    for (size_t i = 0; i < n * F; i++)
        largest = fmax(largest, fabs(numbers->features[i]));
    for (size_t i = 0; i < n * F; i++)
        assert_true(fabs((double)dense[i] - numbers->features[i]) < TOLERANCE * largest);
    check_ok(fathom_dictionary_reconstruct(output, dictionary, &sparse, numbers->input));
    assert_true(relative_error(output, numbers->output, n * info->d_out) < TOLERANCE);
    fathom_sparse_free(&sparse);
    fathom_free(dense);
    fathom_free(output);
}

static const char *info_text(const fathom_dictionary *dictionary) {
    return fathom_dictionary_describe(dictionary)->training;
}

struct format_case {
    const char *folder, *file, *format, *architecture, *hook_in, *hook_out;
};

#define RESID(layer) "blocks." layer ".hook_resid_post"
#define MLP(layer) "blocks." layer ".mlp.hook_in", "blocks." layer ".hook_mlp_out"

#define ALL_LAYERS(hook) "blocks.0." hook "+blocks.1." hook "+blocks.2." hook

static const struct format_case cases[] = {
    {"dictionary-learning/plain", "", "dictionary-learning", "standard", RESID("3"), RESID("3")},
    {"dictionary-learning/new", "ae.pt", "dictionary-learning", "standard", RESID("3"), RESID("3")},
    {"dictionary-learning/gated", "", "dictionary-learning", "gated", RESID("3"), RESID("3")},
    {"dictionary-learning/jumprelu", "", "dictionary-learning", "jumprelu", RESID("3"), RESID("3")},
    {"dictionary-learning/topk", "", "dictionary-learning", "topk", RESID("3"), RESID("3")},
    {"dictionary-learning/batchtopk", "", "dictionary-learning", "batchtopk", RESID("3"), RESID("3")},
    {"dictionary-learning/matryoshka", "", "dictionary-learning", "batchtopk", RESID("3"), RESID("3")},
    {"sparsify/sae/layers.3", "", "sparsify", "topk", RESID("3"), RESID("3")},
    {"sparsify/groupmax/layers.3", "", "sparsify", "groupmax", RESID("3"), RESID("3")},
    {"sparsify/transcoder/layers.3.mlp", "", "sparsify", "topk", MLP("3")},
    {"circuit-tracer/relu-skip", "layer_2.safetensors", "circuit-tracer", "standard", MLP("2")},
    {"circuit-tracer/jumprelu", "layer_2.safetensors", "circuit-tracer", "jumprelu", "blocks.2.hook_resid_mid",
     "blocks.2.hook_mlp_out"},
    {"gemma-scope/gemma-scope-2b-pt-res/layer_5/width_16k/average_l0_7", "", "gemma-scope", "jumprelu", RESID("5"),
     RESID("5")},
    {"gemma-scope/gemma-scope-2b-pt-transcoders/layer_5/width_16k/average_l0_7", "params.npz", "gemma-scope",
     "jumprelu", "blocks.5.hook_resid_mid", "blocks.5.hook_mlp_out"},
    {"gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine", "", "gemma-scope-2", "jumprelu", MLP("12")},
    {"gemma-scope-2/attn_out/layer_12_width_16k_l0_small", "", "gemma-scope-2", "jumprelu", "blocks.12.attn.hook_z",
     "blocks.12.attn.hook_z"},
    {"circuit-tracer/clt", "", "circuit-tracer", "standard", ALL_LAYERS("hook_resid_mid"), ALL_LAYERS("hook_mlp_out")},
    {"circuit-tracer/clt-jumprelu", "W_enc_0.safetensors", "circuit-tracer", "jumprelu", ALL_LAYERS("mlp.hook_in"),
     ALL_LAYERS("hook_mlp_out")},
    {"gemma-scope-2/clt", "", "gemma-scope-2", "jumprelu", ALL_LAYERS("mlp.hook_in"), ALL_LAYERS("hook_mlp_out")},
    {"llama-scope/Llama3_1-8B-Base-L4R-8x", "", "llama-scope", "jumprelu", RESID("4"), RESID("4")},
    {"openmoss/jumprelu", "", "openmoss", "jumprelu", RESID("4"), RESID("4")},
    {"openmoss/topk", "", "openmoss", "topk", RESID("4"), RESID("4")},
    {"openmoss/transcoder", "", "openmoss", "standard", MLP("4")},
    {"openmoss/clt-jumprelu", "", "openmoss", "jumprelu", ALL_LAYERS("hook_resid_mid"), ALL_LAYERS("hook_mlp_out")},
    {"openmoss/clt-topk", "", "openmoss", "topk", ALL_LAYERS("hook_resid_mid"), ALL_LAYERS("hook_mlp_out")},
    {"openmoss/clt-relu", "", "openmoss", "standard", ALL_LAYERS("hook_resid_mid"), ALL_LAYERS("hook_mlp_out")},
    {"openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders", "8.pt", "openai", "topk", RESID("8"), RESID("8")},
    {"openai/gpt2-small/mlp_post_act/autoencoders", "0.pt", "openai", "standard", "blocks.0.mlp.hook_post",
     "blocks.0.mlp.hook_post"},
};

static fathom_dictionary *import(const char *path, const struct fathom_import_options *options) {
    fathom_dictionary *dictionary = NULL;
    check_ok(fathom_dictionary_import(scratch("native.gguf"), path, options));
    check_ok(fathom_dictionary_open(&dictionary, scratch("native.gguf")));
    return dictionary;
}

static void peers_dictionaries_agree(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct format_case *one = &cases[c];
        struct numbers numbers = {0};
        char path[512], from[64];
        snprintf(path, sizeof path, CASES "%s/%s", one->folder, one->file);
        fathom_dictionary *dictionary = import(path, NULL);
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
        print_message("%s\n", path);
        snprintf(from, sizeof from, "\"from\":\"%s\"", one->format);
        char *compact = NULL;
        check_ok(fathom__copy_string(&compact, info->training));
        size_t kept = 0;
        for (size_t i = 0; compact[i]; i++)
            if (compact[i] != ' ') compact[kept++] = compact[i];
        compact[kept] = 0;
        assert_non_null(strstr(compact, from));
        fathom_free(compact);
        assert_string_equal(info->architecture, one->architecture);
        assert_string_equal(info->hook_in, one->hook_in);
        assert_string_equal(info->hook_out, one->hook_out);
        open_numbers(&numbers, one->folder);
        compare(dictionary, &numbers);
        close_numbers(&numbers);
        fathom_dictionary_close(dictionary);
    }
}

static void groups_are_kept(void **state) {
    (void)state;
    static const uint32_t sizes[] = {5, 10, 25};
    fathom_dictionary *dictionary = import(CASES "dictionary-learning/matryoshka", NULL);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_groups, 3);
    assert_memory_equal(info->group_sizes, sizes, sizeof sizes);
    assert_int_equal(info->k, 4);
    fathom_dictionary_close(dictionary);
}

/* Out in every format that holds it, and in again: the same numbers as before. */
static void exports_come_back(void **state) {
    (void)state;
    static const struct {
        const char *folder, *file, *format, *exported, *hook_in, *hook_out;
    } trips[] = {
        {"dictionary-learning/gated", "", "saelens", "", NULL, NULL},
        {"dictionary-learning/jumprelu", "", "saelens", "", NULL, NULL},
        {"circuit-tracer/relu-skip", "layer_2.safetensors", "saelens", "", NULL, NULL},
        {"openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders", "8.pt", "saelens", "", NULL, NULL},
        {"dictionary-learning/topk", "", "sparsify", "", RESID("3"), NULL},
        {"sparsify/transcoder/layers.3.mlp", "", "sparsify", "", MLP("3")},
        {"dictionary-learning/plain", "", "gemma-scope", "params.npz", RESID("3"), NULL},
        {"openmoss/jumprelu", "", "gemma-scope", "params.npz", RESID("4"), NULL},
        {"circuit-tracer/relu-skip", "layer_2.safetensors", "circuit-tracer", "layer_2.safetensors", NULL, NULL},
        {"circuit-tracer/jumprelu", "layer_2.safetensors", "circuit-tracer", "layer_2.safetensors", NULL, NULL},
        {"openmoss/transcoder", "", "circuit-tracer", "layer_4.safetensors", NULL, NULL},
        {"circuit-tracer/clt", "", "circuit-tracer", "", NULL, NULL},
        {"circuit-tracer/clt-jumprelu", "", "circuit-tracer", "", NULL, NULL},
        {"gemma-scope-2/clt", "", "circuit-tracer", "", NULL, NULL},
        {"gemma-scope-2/clt", "", "gemma-scope-2", "", NULL, NULL},
        {"gemma-scope-2/clt", "", "openmoss", "", NULL, NULL},
        {"gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine", "", "gemma-scope-2", "", NULL, NULL},
        {"gemma-scope-2/attn_out/layer_12_width_16k_l0_small", "", "gemma-scope-2", "", NULL, NULL},
        {"dictionary-learning/plain", "", "gemma-scope-2", "", NULL, NULL},
        {"dictionary-learning/plain", "", "openmoss", "", NULL, NULL},
        {"dictionary-learning/batchtopk", "", "openmoss", "", NULL, NULL},
        {"openmoss/jumprelu", "", "openmoss", "", NULL, NULL},
        {"openmoss/topk", "", "openmoss", "", NULL, NULL},
        {"openmoss/transcoder", "", "openmoss", "", NULL, NULL},
        {"openmoss/clt-jumprelu", "", "openmoss", "", NULL, NULL},
        {"openmoss/clt-topk", "", "openmoss", "", NULL, NULL},
        {"openmoss/clt-relu", "", "openmoss", "", NULL, NULL},
        {"openmoss/clt-jumprelu", "", "circuit-tracer", "", NULL, NULL},
        {"dictionary-learning/plain", "", "dictionary-learning", "", NULL, NULL},
        {"dictionary-learning/new", "", "dictionary-learning", "", NULL, NULL},
        {"dictionary-learning/gated", "", "dictionary-learning", "", NULL, NULL},
        {"dictionary-learning/jumprelu", "", "dictionary-learning", "ae.pt", NULL, NULL},
        {"dictionary-learning/topk", "", "dictionary-learning", "", NULL, NULL},
        {"dictionary-learning/batchtopk", "", "dictionary-learning", "", NULL, NULL},
        {"dictionary-learning/matryoshka", "", "dictionary-learning", "", NULL, NULL},
        {"llama-scope/Llama3_1-8B-Base-L4R-8x", "", "dictionary-learning", "", NULL, NULL},
        {"openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders", "8.pt", "openai", "resid_post_mlp/autoencoders/8.pt",
         NULL, NULL},
        {"openai/gpt2-small/mlp_post_act/autoencoders", "0.pt", "openai", "mlp_post_act/autoencoders/0.pt", NULL, NULL},
        {"dictionary-learning/plain", "", "openai", "resid_post_mlp/autoencoders/3.pt", NULL, NULL},
    };
    for (size_t t = 0; t < sizeof trips / sizeof *trips; t++) {
        struct numbers numbers = {0};
        char path[512], exported[1024];
        snprintf(path, sizeof path, CASES "%s/%s", trips[t].folder, trips[t].file);
        fathom_dictionary *dictionary = import(path, NULL);
        snprintf(exported, sizeof exported, "%s-%zu", scratch("exported"), t);
        check_ok(fathom_dictionary_export(exported, dictionary, trips[t].format));
        fathom_dictionary_close(dictionary);
        strcat(exported, "/");
        strcat(exported, trips[t].exported);
        const struct fathom_import_options options = {.format = trips[t].format,
                                                      .hook = trips[t].hook_in,
                                                      .hook_out = trips[t].hook_out,
                                                      .centred = FATHOM_CENTRED_NO};
        dictionary = import(exported, &options);
        print_message("%s to %s\n", path, trips[t].format);
        open_numbers(&numbers, trips[t].folder);
        compare(dictionary, &numbers);
        close_numbers(&numbers);
        fathom_dictionary_close(dictionary);
    }
}

/* Inputs and outputs of different scales, with b_dec subtracted or not: formats that always subtract it, or never, hold
 * the same dictionary. */
static void scales_that_differ(void **state) {
    (void)state;
    enum { WIDTH = 32, FEATURES = 48, ROWS = 20 };
    static const char *const names[] = {"saelens", "sparsify", "dictionary-learning"};
    static float encoder[FEATURES * WIDTH], decoder[FEATURES * WIDTH], bias[FEATURES], b_dec[WIDTH], rows[ROWS * WIDTH],
        before[ROWS * WIDTH], after[ROWS * WIDTH];
    struct {
        float *values;
        size_t n;
    } arrays[] = {{encoder, FEATURES * WIDTH},
                  {decoder, FEATURES * WIDTH},
                  {bias, FEATURES},
                  {b_dec, WIDTH},
                  {rows, ROWS * WIDTH}};
    struct fathom__random random;
    fathom__random_seed(&random, 1);
    for (size_t a = 0; a < sizeof arrays / sizeof *arrays; a++)
        for (size_t i = 0; i < arrays[a].n; i++)
            arrays[a].values[i] = (float)fathom__random_normal(&random);
    for (size_t t = 0; t < 2 * sizeof names / sizeof *names; t++) {
        struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
        const struct fathom_dictionary_parts parts = {.info = {.architecture = "topk",
                                                               .hook_in = RESID("3"),
                                                               .hook_out = RESID("3"),
                                                               .d_in = WIDTH,
                                                               .d_out = WIDTH,
                                                               .n_features = FEATURES,
                                                               .k = 6,
                                                               .subtract_decoder_bias = t % 2,
                                                               .input_scale = 0.5F,
                                                               .output_scale = 2,
                                                               .max_norm = INFINITY},
                                                      .encoder = encoder,
                                                      .encoder_bias = bias,
                                                      .decoder = decoder,
                                                      .decoder_bias = b_dec};
        const struct fathom_import_options options = {.hook = RESID("3"), .centred = FATHOM_CENTRED_NO};
        fathom_dictionary *dictionary = NULL;
        char folder[32];
        check_ok(fathom_dictionary_write(scratch("native.gguf"), &parts, "f32"));
        check_ok(fathom_dictionary_open(&dictionary, scratch("native.gguf")));
        check_ok(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN));
        check_ok(fathom_dictionary_reconstruct(before, dictionary, &sparse, rows));
        snprintf(folder, sizeof folder, "scales-%zu", t);
        check_ok(fathom_dictionary_export(scratch(folder), dictionary, names[t / 2]));
        fathom_dictionary_close(dictionary);
        check_ok(fathom_dictionary_import(scratch("native.gguf"), scratch(folder), &options));
        check_ok(fathom_dictionary_open(&dictionary, scratch("native.gguf")));
        check_ok(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN));
        check_ok(fathom_dictionary_reconstruct(after, dictionary, &sparse, rows));
        for (int i = 0; i < ROWS * WIDTH; i++)
            assert_float_equal(before[i], after[i], 1e-4);
        fathom_dictionary_close(dictionary);
        fathom_sparse_free(&sparse);
    }
}

static void what_a_format_cannot_hold_is_refused(void **state) {
    (void)state;
    fathom_dictionary *dictionary = import(CASES "sparsify/groupmax/layers.3", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "saelens"), FATHOM_ERROR_UNSUPPORTED, "groupmax");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "gemma-scope"), FATHOM_ERROR_UNSUPPORTED,
                 "gemma-scope has no groupmax");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "llama-scope"), FATHOM_ERROR_UNSUPPORTED,
                 "read only");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "openai"), FATHOM_ERROR_UNSUPPORTED,
                 "openai has no groupmax");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "dictionary-learning"), FATHOM_ERROR_UNSUPPORTED,
                 "dictionary-learning has no groupmax");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "npz"), FATHOM_ERROR_ARGUMENT, "format \"npz\"");
    fathom_dictionary_close(dictionary);
    dictionary = import(CASES "dictionary-learning/plain", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "circuit-tracer"), FATHOM_ERROR_UNSUPPORTED,
                 "transcoders within one layer");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "sparsify"), FATHOM_ERROR_UNSUPPORTED,
                 "sparsify has no standard");
    fathom_dictionary_close(dictionary);
    dictionary = import(CASES "dictionary-learning/topk", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "openai"), FATHOM_ERROR_UNSUPPORTED,
                 "openai has no topk of rows under the input norm none");
    fathom_dictionary_close(dictionary);
    const struct fathom_import_options at_z = {.hook = "blocks.3.attn.hook_z"};
    dictionary = import(CASES "dictionary-learning/plain", &at_z);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "openai"), FATHOM_ERROR_UNSUPPORTED,
                 "openai has no place for blocks.3.attn.hook_z");
    fathom_dictionary_close(dictionary);
    dictionary = import(CASES "openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders/8.pt", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "sparsify"), FATHOM_ERROR_UNSUPPORTED,
                 "no input norm layer_norm");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "openmoss"), FATHOM_ERROR_UNSUPPORTED,
                 "no input norm layer_norm");
    fathom_dictionary_close(dictionary);
    dictionary = import(CASES "openai/gpt2-small/mlp_post_act/autoencoders/0.pt", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "gemma-scope-2"), FATHOM_ERROR_UNSUPPORTED,
                 "no module for blocks.0.mlp.hook_post");
    fathom_dictionary_close(dictionary);
    dictionary = import(CASES "circuit-tracer/relu-skip/layer_2.safetensors", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "openmoss"), FATHOM_ERROR_UNSUPPORTED,
                 "openmoss has no skip");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "dictionary-learning"), FATHOM_ERROR_UNSUPPORTED,
                 "no transcoders");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "openai"), FATHOM_ERROR_UNSUPPORTED,
                 "no transcoders");
    fathom_dictionary_close(dictionary);
    dictionary = import(CASES "circuit-tracer/clt", NULL);
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "gemma-scope-2"), FATHOM_ERROR_UNSUPPORTED,
                 "gemma-scope-2 has blocks.0.mlp.hook_in");
    fathom_dictionary_close(dictionary);
    assert_false(fathom__file_exists(scratch("no")));
}

/* Copies a case's file into a folder of its own, to be changed there. */
static const char *copy(const char *folder, const char *file, const char *from) {
    char *bytes = NULL;
    size_t length;
    char name[256];
    check_ok(fathom__make_folders(scratch(folder)));
    check_ok(fathom__file_read(&bytes, &length, from, 1 << 24));
    snprintf(name, sizeof name, "%s/%s", folder, file);
    const char *path = scratch_file(name, bytes, length);
    fathom_free(bytes);
    return path;
}

#define REFUSED(path, options, status, message)                                                                        \
    check_status(fathom_dictionary_import(scratch("refused.gguf"), path, options), status, message)

/* The wrong hook: what a file does not say is asked for, what it says in other words is translated. */
static void hooks(void **state) {
    (void)state;
    const char *npz = copy("nowhere", "params.npz",
                           CASES "gemma-scope/gemma-scope-2b-pt-res/layer_5/width_16k/average_l0_7/params.npz");
    REFUSED(npz, NULL, FATHOM_ERROR_ARGUMENT, "name it by hook");
    const struct fathom_import_options stated = {.hook = RESID("7"), .model = "gemma-2-2b"};
    fathom_dictionary *dictionary = import(npz, &stated);
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_in, RESID("7"));
    assert_string_equal(fathom_dictionary_describe(dictionary)->model_name, "gemma-2-2b");
    fathom_dictionary_close(dictionary);

    /* The transcoders' input is the norm's output before its gain, which is no hook point: resid_mid under rms is. */
    dictionary = import(CASES "gemma-scope/gemma-scope-2b-pt-transcoders/layer_5/width_16k/average_l0_7", NULL);
    assert_string_equal(fathom_dictionary_describe(dictionary)->input_norm, "rms");
    assert_false(fathom_dictionary_describe(dictionary)->undo_input_norm);
    assert_non_null(strstr(info_text(dictionary), "without the norm's gain"));
    fathom_dictionary_close(dictionary);

    /* SAELens calls the gained input of Gemma 3's transcoders hook_mlp_in; transformers' name is believed. */
    const char *config = "{\"architecture\": \"jumprelu_transcoder\", \"d_in\": 16, \"d_out\": 16, \"d_sae\": 40, "
                         "\"metadata\": {\"sae_lens_version\": \"6.49.0\", \"model_name\": \"google/gemma-3-270m\", "
                         "\"hook_name\": \"blocks.12.hook_mlp_in\", \"hook_name_out\": \"blocks.12.hook_mlp_out\"%s}}";
    const char *module = ", \"hf_hook_name\": \"model.layers.12.pre_feedforward_layernorm.output\", "
                         "\"hf_hook_name_out\": \"model.layers.12.post_feedforward_layernorm.output\"";
    char text[1024];
    fathom__safetensors *weights = NULL;
    check_ok(fathom__safetensors_open(&weights, CASES "gemma-scope-2/attn_out/layer_12_width_16k_l0_small/"
                                                      "params.safetensors"));
    static const char *const renamed[][2] = {
        {"w_enc", "W_enc"}, {"w_dec", "W_dec"}, {"b_enc", "b_enc"}, {"b_dec", "b_dec"}, {"threshold", "threshold"}};
    struct fathom__tensor tensors[5];
    for (size_t i = 0; i < 5; i++) {
        tensors[i] = *fathom__safetensors_find(weights, renamed[i][0]);
        tensors[i].name = renamed[i][1];
    }
    check_ok(fathom__make_folders(scratch("mislabelled")));
    check_ok(fathom__safetensors_write(scratch("mislabelled/sae_weights.safetensors"), tensors, 5, NULL));
    fathom__safetensors_close(weights);
    snprintf(text, sizeof text, config, module);
    scratch_text("mislabelled/cfg.json", text);
    dictionary = import(scratch("mislabelled"), NULL);
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_in, "blocks.12.mlp.hook_in");
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_out, "blocks.12.hook_mlp_out");
    fathom_dictionary_close(dictionary);
    snprintf(text, sizeof text, config, "");
    scratch_text("mislabelled/cfg.json", text);
    dictionary = import(scratch("mislabelled"), NULL); /* and TransformerLens's own name is what enters the norm */
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_in, "blocks.12.hook_resid_mid");
    fathom_dictionary_close(dictionary);

    /* What attention's output projection takes is z, though it has been called attn_out. */
    snprintf(text, sizeof text, config, ", \"hf_hook_name\": \"model.layers.12.self_attn.o_proj.input\"");
    scratch_text("mislabelled/cfg.json", text);
    dictionary = import(scratch("mislabelled"), NULL);
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_in, "blocks.12.attn.hook_z");
    fathom_dictionary_close(dictionary);

    /* Before or after the gain: RMS norms have one answer, LayerNorms have two, unknown models none. */
    config = "{\"architecture\": \"jumprelu_transcoder\", \"d_in\": 16, \"d_out\": 16, \"d_sae\": 40, \"metadata\": "
             "{\"sae_lens_version\": \"6.49.0\", \"model_name\": \"%s\", \"hook_name\": "
             "\"blocks.3.ln2.hook_normalized\", \"hook_name_out\": \"blocks.3.hook_mlp_out\"}}";
    snprintf(text, sizeof text, config, "tiny");
    scratch_text("mislabelled/cfg.json", text);
    REFUSED(scratch("mislabelled"), NULL, FATHOM_ERROR_ARGUMENT, "name the model");
    snprintf(text, sizeof text, config, "gpt2-small");
    scratch_text("mislabelled/cfg.json", text);
    REFUSED(scratch("mislabelled"), NULL, FATHOM_ERROR_UNSUPPORTED, "the norm's gain");
    snprintf(text, sizeof text, config, "meta-llama/Llama-3.2-1B");
    scratch_text("mislabelled/cfg.json", text);
    dictionary = import(scratch("mislabelled"), NULL);
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_in, "blocks.3.hook_resid_mid");
    assert_string_equal(fathom_dictionary_describe(dictionary)->input_norm, "rms");
    fathom_dictionary_close(dictionary);

    /* Gemma Scope's embedding SAEs were trained before Gemma scales its embeddings by √16. */
    copy("gemma-scope-2b-pt-res/embedding", "params.npz",
         CASES "gemma-scope/gemma-scope-2b-pt-res/layer_5/width_16k/average_l0_7/params.npz");
    dictionary = import(scratch("gemma-scope-2b-pt-res/embedding"), NULL);
    assert_string_equal(fathom_dictionary_describe(dictionary)->hook_in, "hook_embed");
    assert_true(fathom_dictionary_describe(dictionary)->input_scale == 0.25F);
    assert_string_equal(fathom_dictionary_describe(dictionary)->model_name, "gemma-2-2b");
    fathom_dictionary_close(dictionary);

    /* What a module gives is normed before it is added in Gemma 2 and 3. */
    copy("post/layers.3.mlp", "cfg.json", CASES "sparsify/transcoder/layers.3.mlp/cfg.json");
    copy("post/layers.3.mlp", "sae.safetensors", CASES "sparsify/transcoder/layers.3.mlp/sae.safetensors");
    scratch_text("post/config.json", "{\"model\": \"google/gemma-2-2b\"}");
    REFUSED(scratch("post/layers.3.mlp"), NULL, FATHOM_ERROR_UNSUPPORTED, "lies before a norm");
}

/* The dropped threshold: BatchTopK without it would let every positive activation through. */
static void thresholds(void **state) {
    (void)state;
    static const char topk[] = CASES "dictionary-learning/topk/ae.pt";
    const char *config = "{\"trainer\": {\"dict_class\": \"%s\", \"layer\": 1, \"lm_name\": \"tiny\"}}";
    char text[256];
    const char *path = copy("unset", "ae.pt", topk); /* whose threshold is -1 */
    REFUSED(path, NULL, FATHOM_ERROR_FORMAT, "config.json with trainer.dict_class");
    snprintf(text, sizeof text, config, "BatchTopKSAE");
    scratch_text("unset/config.json", text);
    REFUSED(path, NULL, FATHOM_ERROR_FORMAT, "threshold is -1");
    snprintf(text, sizeof text, config, "CrossCoder");
    scratch_text("unset/config.json", text);
    REFUSED(path, NULL, FATHOM_ERROR_UNSUPPORTED, "CrossCoder");
    REFUSED(CASES "openmoss/batchtopk", NULL, FATHOM_ERROR_UNSUPPORTED, "batchtopk");
}

/* The transposed skip: both layouts give the same function, which only the right side of x shows. */
static void skips(void **state) {
    (void)state;
    fathom_dictionary *dictionary = import(CASES "gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine", NULL);
    struct numbers numbers = {0};
    open_numbers(&numbers, "gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine");
    assert_true(fathom_dictionary_describe(dictionary)->has_skip);
    assert_non_null(strstr(info_text(dictionary), "transposed"));
    compare(dictionary, &numbers);
    close_numbers(&numbers);
    fathom_dictionary_close(dictionary);
}

static void what_is_no_dictionary_file_is_refused(void **state) {
    (void)state;
    REFUSED(CASES "circuit-tracer/jumprelu", NULL, FATHOM_ERROR_ARGUMENT, "layer_N.safetensors");
    REFUSED(CASES, NULL, FATHOM_ERROR_FORMAT, "holds no dictionary that is known");
    REFUSED(scratch("absent"), NULL, FATHOM_ERROR_IO, "absent");
    const struct fathom_import_options wrong = {.format = "saelens"}, unknown = {.format = "gguf"};
    REFUSED(CASES "sparsify/sae/layers.3", &wrong, FATHOM_ERROR_FORMAT, "d_sae");
    REFUSED(CASES "sparsify/sae/layers.3", &unknown, FATHOM_ERROR_ARGUMENT, "format \"gguf\"");
    /* A pickle that would call something. */
    copy("hostile", "ae.pt", "fuzz/inputs/torch/short_storage");
    REFUSED(scratch("hostile/ae.pt"), &(struct fathom_import_options){.format = "dictionary-learning"},
            FATHOM_ERROR_FORMAT, "storage");
    assert_false(fathom__file_exists(scratch("refused.gguf")));
}

static void formats_are_listed(void **state) {
    (void)state;
    size_t n = 0, exports = 0;
    assert_string_equal(fathom_format_at(0)->name, "saelens");
    for (; fathom_format_at(n); n++)
        exports += fathom_format_at(n)->exports;
    assert_int_equal(n, 9);
    assert_int_equal(exports, 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_dictionaries_agree),
        cmocka_unit_test(groups_are_kept),
        cmocka_unit_test(exports_come_back),
        cmocka_unit_test(scales_that_differ),
        cmocka_unit_test(what_a_format_cannot_hold_is_refused),
        cmocka_unit_test(hooks),
        cmocka_unit_test(thresholds),
        cmocka_unit_test(skips),
        cmocka_unit_test(what_is_no_dictionary_file_is_refused),
        cmocka_unit_test(formats_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
