#include "explain/explanation_json.h"
#include "base/json.h"
#include <math.h>
#include <string.h>

static json_t *text_json(const fathom_model *model, const int32_t *tokens, size_t n) {
    char *text = NULL;
    json_t *value =
        fathom_detokenize(&text, model, tokens, n) == FATHOM_OK ? fathom__json_string(text, strlen(text)) : json_null();
    fathom_free(text);
    return value;
}

static json_t *measure_json(const struct fathom_effect_measure *measure) {
    return json_pack("{s:f, s:f, s:f, s:f, s:i, s:b}", "effect", measure->effect, "probability", measure->probability,
                     "control", measure->control, "control_deviation", measure->control_deviation, "controls",
                     (int)measure->n_controls, "holds", (int)measure->holds);
}

static json_t *layers_json(const fathom_explanation *e, const fathom_model *model) {
    json_t *layers = json_array();
    for (size_t l = 0; l < e->n_layers; l++) {
        const struct fathom_explained_layer *layer = &e->layers[l];
        json_t *top = json_array();
        for (int i = 0; i < FATHOM_LENS_TOP; i++)
            json_array_append_new(top,
                                  json_pack("{s:o, s:f}", "token", text_json(model, &layer->reading.top[i].token, 1),
                                            "probability", layer->reading.top[i].probability));
        json_array_append_new(layers, json_pack("{s:i, s:o, s:f, s:i, s:f, s:f}", "layer", layer->layer, "says", top,
                                                "answer_probability", layer->reading.target_probability, "answer_rank",
                                                (int)layer->reading.target_rank, "attention", layer->attention, "mlp",
                                                layer->mlp));
    }
    return layers;
}

static json_t *tokens_json(const fathom_explanation *e, const fathom_model *model) {
    json_t *tokens = json_array();
    for (size_t i = 0; i < e->n_tokens; i++) {
        json_t *token = json_pack("{s:o, s:i, s:o}", "token", text_json(model, &e->tokens[i].token, 1), "position",
                                  e->tokens[i].position, "erased", measure_json(&e->tokens[i].erased));
        if (e->tokens[i].has_unseen) json_object_set_new(token, "hidden", measure_json(&e->tokens[i].unseen));
        json_array_append_new(tokens, token);
    }
    return tokens;
}

static json_t *features_json(const fathom_explanation *e, const fathom_model *model,
                             const fathom_catalogue *catalogue) {
    json_t *features = json_array();
    for (size_t i = 0; i < e->n_features; i++) {
        const struct fathom_explained_feature *f = &e->features[i];
        const struct fathom_feature *known = catalogue != NULL ? fathom_catalogue_feature(catalogue, f->feature) : NULL;
        json_t *feature = json_pack("{s:i, s:i, s:o, s:f, s:o}", "feature", (int)f->feature, "position", f->position,
                                    "token", text_json(model, &e->prompt[f->position], 1), "activation",
                                    (double)f->activation, "ablated", measure_json(&f->ablated));
        if (known != NULL && known->label != NULL) {
            json_object_set_new(feature, "label", json_string(known->label));
            if (isfinite(known->label_score))
                json_object_set_new(feature, "label_score", json_real((double)known->label_score));
        }
        json_array_append_new(features, feature);
    }
    return features;
}

static json_t *patching_json(const struct fathom_patching *patching) {
    json_t *rows = json_array();
    for (size_t l = 0; l < patching->n_layers; l++) {
        json_t *row = json_array();
        for (size_t p = 0; p < patching->n_positions; p++)
            json_array_append_new(row, json_real(patching->recovered[l * patching->n_positions + p]));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:f, s:f, s:o}", "clean_log_probability", patching->clean, "corrupt_log_probability",
                     patching->corrupt, "recovered", rows);
}

json_t *fathom__explanation_json(const fathom_explanation *e, const fathom_model *model,
                                 const fathom_catalogue *catalogue, const struct fathom_patching *patching) {
    json_t *value = json_pack(
        "{s:s, s:s, s:o, s:o, s:f, s:f, s:f, s:i, s:o, s:o, s:I}", "model", fathom_model_describe(model)->name,
        "model_identity", fathom_model_describe(model)->identity, "prompt", text_json(model, e->prompt, e->n_prompt),
        "answer", text_json(model, e->answer, e->n_answer), "log_probability", e->log_probability, "probability",
        exp(e->log_probability), "first_token_probability", e->first_probability, "first_token_rank",
        (int)e->first_rank, "layers", layers_json(e, model), "tokens", tokens_json(e, model), "seed",
        (json_int_t)e->seed);
    if (e->n_features_measured > 0) {
        json_object_set_new(value, "features", features_json(e, model, catalogue));
        json_object_set_new(value, "features_measured", json_integer((json_int_t)e->n_features_measured));
        json_object_set_new(value, "error_term_effect", json_real(e->error_effect));
        json_object_set_new(value, "reconstruction_fve", json_real(e->reconstruction_fve));
    }
    if (patching != NULL) json_object_set_new(value, "patching", patching_json(patching));
    return value;
}
