/* Traps in the files of cross-layer transcoders (tests/reference/formats.py wrote those that are well). */
#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include <fathom/formats.h>

#define TRACER "tests/reference/formats/circuit-tracer/clt-jumprelu/"
#define GEMMA "tests/reference/formats/gemma-scope-2/clt/"
enum { LAYERS = 3, WIDTH = 16 };

static void copy(const char *folder, const char *from, const char *file, const char *as) {
    char *bytes = NULL, source[256], name[256];
    size_t length;
    check_ok(fathom__make_folders(scratch(folder)));
    snprintf(source, sizeof source, "%s%s", from, file);
    check_ok(fathom__file_read(&bytes, &length, source, 1 << 24));
    snprintf(name, sizeof name, "%s/%s", folder, as);
    scratch_file(name, bytes, length);
    fathom_free(bytes);
}

/* circuit-tracer's files of so many layers. */
static void copy_layers(const char *folder, int n_encoders, int n_decoders) {
    char name[64];
    for (int l = 0; l < LAYERS; l++) {
        snprintf(name, sizeof name, "W_enc_%d.safetensors", l);
        if (l < n_encoders) copy(folder, TRACER, name, name);
        snprintf(name, sizeof name, "W_dec_%d.safetensors", l);
        if (l < n_decoders) copy(folder, TRACER, name, name);
    }
}

#define REFUSED(path, options, status, message)                                                                        \
    check_status(fathom_dictionary_import(scratch("refused.gguf"), path, options), status, message)

static void layers_that_are_not_there(void **state) {
    (void)state;
    copy_layers("gap", 1, LAYERS);
    copy("gap", TRACER, "config.yaml", "config.yaml");
    copy("gap", TRACER, "W_enc_2.safetensors", "W_enc_2.safetensors");
    REFUSED(scratch("gap"), NULL, FATHOM_ERROR_FORMAT, "there is a W_enc_2.safetensors, but none of layer 1");
    copy_layers("short", 2, LAYERS);
    copy("short", TRACER, "config.yaml", "config.yaml");
    REFUSED(scratch("short"), NULL, FATHOM_ERROR_FORMAT, "W_dec_0 writes 3 layers, and there are W_enc files of 2");
    copy_layers("undecoded", LAYERS, 2);
    copy("undecoded", TRACER, "config.yaml", "config.yaml");
    REFUSED(scratch("undecoded"), NULL, FATHOM_ERROR_IO, "W_dec_2.safetensors");
    copy("alone", GEMMA, "params_layer_0.safetensors", "params_layer_0.safetensors");
    REFUSED(scratch("alone"), NULL, FATHOM_ERROR_IO, "params_layer_1.safetensors");
}

/* A decoder's layers count from its source: those of another source are of another shape. */
static void decoders_of_another_layer(void **state) {
    (void)state;
    const float zeros[40 * LAYERS * WIDTH] = {0};
    const struct fathom__tensor tensor = {"W_dec_1", FATHOM__F32, 3, {40, LAYERS, WIDTH}, zeros, sizeof zeros};
    copy_layers("target", LAYERS, LAYERS);
    copy("target", TRACER, "config.yaml", "config.yaml");
    check_ok(fathom__safetensors_write(scratch("target/W_dec_1.safetensors"), &tensor, 1, NULL));
    REFUSED(scratch("target"), NULL, FATHOM_ERROR_FORMAT, "W_dec_1");
}

static void what_is_said_of_them(void **state) {
    (void)state;
    struct fathom_import_options options = {.hook = "blocks.0.mlp.hook_in+blocks.1.mlp.hook_in"};
    copy_layers("silent", LAYERS, LAYERS);
    REFUSED(scratch("silent"), NULL, FATHOM_ERROR_ARGUMENT, "does not say which hook points it writes");
    REFUSED(TRACER, &options, FATHOM_ERROR_ARGUMENT, "3 layers; as many hooks");
    scratch_text("silent/config.yaml", "model_kind: transcoder_set\n");
    REFUSED(scratch("silent"), NULL, FATHOM_ERROR_FORMAT, "cross_layer_transcoder is expected");
    scratch_text("silent/config.yaml", "activation: topk\nfeature_input_hook: a\nfeature_output_hook: b\n");
    REFUSED(scratch("silent"), NULL, FATHOM_ERROR_UNSUPPORTED, "activation is topk");
    /* Each layer would be under a norm of its own. */
    scratch_text(
        "silent/config.yaml",
        "model_name: gemma-2-2b\nfeature_input_hook: ln2.hook_normalized\nfeature_output_hook: hook_mlp_out\n");
    REFUSED(scratch("silent"), NULL, FATHOM_ERROR_UNSUPPORTED, "under a norm of each layer by itself");
    assert_false(fathom__file_exists(scratch("refused.gguf")));
}

/* Without a ReLU, activations below 0 would pass a threshold below 0. */
static void thresholds_below_zero(void **state) {
    (void)state;
    static float encoder[40 * WIDTH], bias[40], out[WIDTH], threshold[40];
    threshold[7] = -0.5F;
    const struct fathom__tensor tensors[] = {{"W_enc_1", FATHOM__F32, 2, {40, WIDTH}, encoder, sizeof encoder},
                                             {"b_enc_1", FATHOM__F32, 1, {40}, bias, sizeof bias},
                                             {"b_dec_1", FATHOM__F32, 1, {WIDTH}, out, sizeof out},
                                             {"threshold_1", FATHOM__F32, 1, {40}, threshold, sizeof threshold}};
    copy_layers("negative", LAYERS, LAYERS);
    copy("negative", TRACER, "config.yaml", "config.yaml");
    check_ok(fathom__safetensors_write(scratch("negative/W_enc_1.safetensors"), tensors, 4, NULL));
    REFUSED(scratch("negative"), NULL, FATHOM_ERROR_UNSUPPORTED, "threshold of feature 47 is -0.5");
    check_ok(fathom__safetensors_write(scratch("negative/W_enc_1.safetensors"), tensors, 3, NULL));
    REFUSED(scratch("negative"), NULL, FATHOM_ERROR_FORMAT, "threshold_1 is missing");
}

/* Gemma Scope's decoders have all layers: what stands at earlier ones is not computed with. */
static void earlier_layers(void **state) {
    (void)state;
    fathom_dictionary *dictionary = NULL;
    float row[LAYERS * WIDTH];
    copy("earlier", GEMMA, "params_layer_0.safetensors", "params_layer_0.safetensors");
    copy("earlier", GEMMA, "params_layer_0.safetensors", "params_layer_1.safetensors");
    copy("earlier", GEMMA, "params_layer_2.safetensors", "params_layer_2.safetensors");
    check_ok(fathom_dictionary_import(scratch("earlier.gguf"), scratch("earlier"), NULL));
    check_ok(fathom_dictionary_open(&dictionary, scratch("earlier.gguf")));
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_layers, LAYERS);
    assert_non_null(strstr(info->training, "what layer 1 wrote to earlier layers was left out"));
    check_ok(fathom_dictionary_direction(row, dictionary, 40 + 3));
    for (int j = 0; j < LAYERS * WIDTH; j++)
        assert_true((row[j] != 0) == (j >= WIDTH));
    fathom_dictionary_close(dictionary);
}

#define MOSS "tests/reference/formats/openmoss/"
#define MOSS_CONFIG                                                                                                    \
    "{\"sae_type\": \"clt\", \"d_model\": 16, \"norm_activation\": \"%s\", \"act_fn\": \"%s\", \"hook_points_in\": "   \
    "[\"blocks.0.hook_resid_mid\", \"blocks.1.hook_resid_mid\"%s], \"hook_points_out\": "                              \
    "[\"blocks.0.hook_mlp_out\", \"blocks.1.hook_mlp_out\", \"blocks.2.hook_mlp_out\"]}"

static void refuse_moss(const char *normalisation, const char *activation, const char *third, int status,
                        const char *message) {
    char text[1024];
    snprintf(text, sizeof text, MOSS_CONFIG, normalisation, activation, third);
    scratch_text("moss/config.json", text);
    REFUSED(scratch("moss"), NULL, status, message);
}

static void openmoss_layers(void **state) {
    (void)state;
    static const char third[] = ", \"blocks.2.hook_resid_mid\"";
    REFUSED(MOSS "clt-batchtopk", NULL, FATHOM_ERROR_UNSUPPORTED, "act_fn \"batchtopk\"");
    copy("moss", MOSS "clt-relu/", "sae_weights.safetensors", "sae_weights.safetensors");
    /* k of every layer by itself is not k of all layers together. */
    refuse_moss("inference", "topk", third, FATHOM_ERROR_UNSUPPORTED, "relu, jumprelu or layertopk is expected");
    refuse_moss("token-wise", "relu", third, FATHOM_ERROR_UNSUPPORTED, "norm_activation \"token-wise\"");
    refuse_moss("inference", "relu", "", FATHOM_ERROR_FORMAT, "as many names in both");
    refuse_moss("inference", "layertopk", third, FATHOM_ERROR_FORMAT, "top_k");
    refuse_moss("inference", "jumprelu", third, FATHOM_ERROR_FORMAT, "log_jumprelu_threshold is missing");
    scratch_text("moss/config.json", "{\"sae_type\": \"clt\", \"d_model\": 16}");
    REFUSED(scratch("moss"), NULL, FATHOM_ERROR_FORMAT, "hook_points_in");
    scratch_text("moss/config.json", "{\"sae_type\": \"lorsa\", \"d_model\": 16}");
    REFUSED(scratch("moss"), NULL, FATHOM_ERROR_UNSUPPORTED, "sae_type \"lorsa\"");
    assert_false(fathom__file_exists(scratch("refused.gguf")));
}

/* Average norms are per hook point: without the one of a layer its scale is asked for, not taken for 1. */
static void norms_of_layers(void **state) {
    (void)state;
    fathom__safetensors *weights = NULL;
    fathom_dictionary *dictionary = NULL;
    check_ok(fathom_dictionary_import(scratch("scaled.gguf"), MOSS "clt-jumprelu", NULL));
    check_ok(fathom_dictionary_open(&dictionary, scratch("scaled.gguf")));
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    for (int l = 0; l < LAYERS; l++) { /* √16 / (2, 3, 4) and √16 / (5, 6, 7) */
        assert_float_equal(info->layers[l].input_scale, 4.0F / (2 + l), 1e-6F);
        assert_float_equal(info->layers[l].output_scale, 4.0F / (5 + l), 1e-6F);
    }
    fathom_dictionary_close(dictionary);
    enum { MOST = 32 };
    struct fathom__tensor tensors[MOST];
    size_t n = 0;
    check_ok(fathom__safetensors_open(&weights, MOSS "clt-jumprelu/sae_weights.safetensors"));
    for (size_t i = 0; i < fathom__safetensors_count(weights) && n < MOST; i++) {
        const struct fathom__tensor *tensor = fathom__safetensors_at(weights, i);
        if (!strstr(tensor->name, "blocks.1.hook_mlp_out")) tensors[n++] = *tensor;
    }
    copy("normless", MOSS "clt-jumprelu/", "config.json", "config.json");
    check_ok(fathom__safetensors_write(scratch("normless/sae_weights.safetensors"), tensors, n, NULL));
    fathom__safetensors_close(weights);
    REFUSED(scratch("normless"), NULL, FATHOM_ERROR_ARGUMENT,
            "dataset_average_activation_norm.blocks.1.hook_mlp_out is missing");
}

static void what_others_cannot_hold(void **state) {
    (void)state;
    fathom_dictionary *dictionary = NULL;
    const struct fathom_import_options later = {.hook =
                                                    "blocks.1.mlp.hook_in+blocks.2.mlp.hook_in+blocks.3.mlp.hook_in"};
    check_ok(fathom_dictionary_import(scratch("native.gguf"), TRACER, &later));
    check_ok(fathom_dictionary_open(&dictionary, scratch("native.gguf")));
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "circuit-tracer"), FATHOM_ERROR_UNSUPPORTED,
                 "has blocks.1.mlp.hook_in as its layer 0");
    check_status(fathom_dictionary_export(scratch("no"), dictionary, "saelens"), FATHOM_ERROR_UNSUPPORTED,
                 "saelens has no cross-layer transcoders");
    fathom_dictionary_close(dictionary);
    assert_false(fathom__file_exists(scratch("no")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_that_are_not_there),
        cmocka_unit_test(decoders_of_another_layer),
        cmocka_unit_test(what_is_said_of_them),
        cmocka_unit_test(thresholds_below_zero),
        cmocka_unit_test(earlier_layers),
        cmocka_unit_test(openmoss_layers),
        cmocka_unit_test(norms_of_layers),
        cmocka_unit_test(what_others_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
