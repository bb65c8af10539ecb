#include "server/feature_json.h"
#include "base/json.h"
#include <math.h>
#include <string.h>

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *token_text(const fathom_server *server, int32_t token) {
    const char *bytes = "";
    size_t length = 0;
    (void)fathom_token_bytes(&bytes, &length, server->options.model, token);
    return fathom__json_string(bytes, length);
}

json_t *fathom__feature_token_json(const fathom_server *server, int32_t token) {
    return json_pack("{s:i, s:o}", "id", (int)token, "token", token_text(server, token));
}

json_t *fathom__feature_short_json(const fathom_server *server, uint32_t feature) {
    const struct fathom_feature *known = fathom__labels_feature(server->labels, feature);
    if (!known) return json_pack("{s:I}", "feature", (json_int_t)feature);
    return json_pack("{s:I, s:s?, s:s?, s:o, s:o, s:o, s:I}", "feature", (json_int_t)feature, "label", known->label,
                     "label_origin", known->label_origin, "label_score", number((double)known->label_score),
                     "max_activation", number((double)known->max_activation), "density", number(known->density),
                     "count", (json_int_t)known->count);
}

json_t *fathom__label_changes_json(const struct fathom_label_change *changes, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s?, s:s, s:s}", "description", changes[i].text, "typeName",
                                              changes[i].origin, "at", changes[i].at));
    return list;
}

static void put_effects(json_t *out, const fathom_server *server, const char *tokens_key, const char *values_key,
                        const struct fathom_effect *effects, size_t n) {
    json_t *tokens = json_array(), *values = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(tokens, token_text(server, effects[i].token));
        json_array_append_new(values, number((double)effects[i].value));
    }
    json_object_set_new(out, tokens_key, tokens);
    json_object_set_new(out, values_key, values);
}

static void put_neighbours(json_t *out, const struct fathom_feature_details *details) {
    json_t *features = json_array(), *cosines = json_array();
    for (size_t i = 0; i < details->n_neighbours; i++) {
        json_array_append_new(features, json_integer((json_int_t)details->neighbours[i].feature));
        json_array_append_new(cosines, number((double)details->neighbours[i].cosine));
    }
    json_object_set_new(out, "topkCosSimIndices", features);
    json_object_set_new(out, "topkCosSimValues", cosines);
}

static void put_histogram(json_t *out, const struct fathom_feature_details *details) {
    json_t *heights = json_array(), *values = json_array();
    for (int i = 0; i < FATHOM_HISTOGRAM_BINS; i++) {
        json_array_append_new(heights, json_integer((json_int_t)details->histogram[i]));
        json_array_append_new(
            values, number((double)details->histogram_top * ((double)i + 0.5) / (double)FATHOM_HISTOGRAM_BINS));
    }
    json_object_set_new(out, "freq_hist_data_bar_heights", heights);
    json_object_set_new(out, "freq_hist_data_bar_values", values);
}

/* binMin and binMax tell the quarter of (0, maximum] that an example was drawn from; the strongest have -1. */
static json_t *example_json(const fathom_server *server, const struct fathom_feature_details *details,
                            const struct fathom_example *example) {
    const double quarter = (double)details->feature.max_activation / FATHOM_BANDS;
    json_t *tokens = json_array(), *values = json_array();
    for (size_t i = 0; i < example->n; i++) {
        json_array_append_new(tokens, token_text(server, example->tokens[i]));
        json_array_append_new(values, number((double)example->activations[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:i, s:o, s:o}", "tokens", tokens, "values", values, "maxValue",
                     number((double)example->value), "maxValueTokenIndex", (json_int_t)example->peak, "document",
                     (json_int_t)example->document, "position", (int)example->position, "binMin",
                     number(example->band ? quarter * (example->band - 1) : -1.0), "binMax",
                     number(example->band ? quarter * example->band : -1.0));
}

static json_t *label_json(const struct fathom_label *label) {
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "description", label->text, "typeName",
                     label->origin, "score", number((double)label->score), "f1", number((double)label->f1), "precision",
                     number((double)label->precision), "recall", number((double)label->recall), "prevalence",
                     number((double)label->prevalence), "singleToken", number((double)label->single_token), "shuffled",
                     number((double)label->shuffled), "activeTokens", (json_int_t)label->n_active, "inactiveTokens",
                     (json_int_t)label->n_inactive);
}

json_t *fathom__feature_details_json(const fathom_server *server, const struct fathom_feature_details *details,
                                     size_t n_examples) {
    const struct fathom_model_info *model = fathom_model_describe(server->options.model);
    const struct fathom_dictionary_info *dictionary = fathom_dictionary_describe(server->options.dictionary);
    const struct fathom_feature *feature = &details->feature;
    char index[16];
    snprintf(index, sizeof index, "%u", feature->number);
    json_t *activations = json_array(), *explanations = json_array();
    for (size_t i = 0; i < details->n_examples && i < n_examples; i++)
        json_array_append_new(activations, example_json(server, details, &details->examples[i]));
    for (size_t i = 0; i < details->n_labels; i++)
        json_array_append_new(explanations, label_json(&details->labels[i]));
    json_t *out = json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "modelId",
                            fathom__json_string(model->name, strlen(model->name)), "layer",
                            fathom__json_string(dictionary->name, strlen(dictionary->name)), "index", index, "hookName",
                            dictionary->hook_in, "maxActApprox", number((double)feature->max_activation), "meanActive",
                            number((double)feature->mean_active), "frac_nonzero", number(feature->density),
                            "activations", activations, "explanations", explanations);
    put_effects(out, server, "pos_str", "pos_values", details->raised, details->n_raised);
    put_effects(out, server, "neg_str", "neg_values", details->lowered, details->n_lowered);
    put_neighbours(out, details);
    put_histogram(out, details);
    return out;
}
