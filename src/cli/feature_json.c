/* Features as JSON. */
#include "feature_view.h"
#include <base/json.h>
#include <math.h>

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *feature_token_json(const struct feature_view *view, int32_t token) {
    const char *bytes = "";
    size_t length = 0;
    (void)fathom_token_bytes(&bytes, &length, view->model, token);
    json_t *value = json_object();
    json_object_set_new(value, "id", json_integer(token));
    json_object_set_new(value, "text", fathom__json_string(bytes, length));
    return value;
}

static json_t *short_json(const struct fathom_feature *feature) {
    json_t *value = json_object();
    json_object_set_new(value, "feature", json_integer(feature->number));
    json_object_set_new(value, "label", feature->label ? json_string(feature->label) : json_null());
    json_object_set_new(value, "label_origin",
                        feature->label_origin ? json_string(feature->label_origin) : json_null());
    json_object_set_new(value, "label_score", number((double)feature->label_score));
    json_object_set_new(value, "max_activation", number((double)feature->max_activation));
    json_object_set_new(value, "mean_active", number((double)feature->mean_active));
    json_object_set_new(value, "density", number(feature->density));
    json_object_set_new(value, "count", json_integer((json_int_t)feature->count));
    return value;
}

json_t *feature_json(const struct feature_view *view, uint32_t feature) {
    const struct fathom_feature *known = view->catalogue ? fathom_catalogue_feature(view->catalogue, feature) : NULL;
    return known ? short_json(known) : json_pack("{s:i}", "feature", (int)feature);
}

static json_t *effects_json(const struct feature_view *view, const struct fathom_effect *effects, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *item = feature_token_json(view, effects[i].token);
        json_object_set_new(item, "effect", number((double)effects[i].value));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *example_json(const struct feature_view *view, const struct fathom_example *example) {
    json_t *item = json_object(), *tokens = json_array(), *activations = json_array();
    char *text = NULL;
    json_object_set_new(item, "band", json_integer(example->band));
    json_object_set_new(item, "value", number((double)example->value));
    json_object_set_new(item, "document", json_integer((json_int_t)example->document));
    json_object_set_new(item, "position", json_integer(example->position));
    if (example->n && fathom_detokenize(&text, view->model, example->tokens, example->n) == FATHOM_OK)
        json_object_set_new(item, "text", json_string(text));
    json_object_set_new(item, "peak", json_integer((json_int_t)example->peak));
    for (size_t i = 0; i < example->n; i++) {
        json_array_append_new(tokens, feature_token_json(view, example->tokens[i]));
        json_array_append_new(activations, number((double)example->activations[i]));
    }
    json_object_set_new(item, "tokens", tokens);
    json_object_set_new(item, "activations", activations);
    fathom_free(text);
    return item;
}

static json_t *label_json(const struct fathom_label *label) {
    json_t *item = json_object();
    json_object_set_new(item, "text", json_string(label->text));
    json_object_set_new(item, "origin", json_string(label->origin));
    json_t *rule = label->rule ? json_loads(label->rule, 0, NULL) : NULL;
    json_object_set_new(item, "rule", rule ? rule : json_null());
    json_object_set_new(item, "score", number((double)label->score));
    json_object_set_new(item, "f1", number((double)label->f1));
    json_object_set_new(item, "precision", number((double)label->precision));
    json_object_set_new(item, "recall", number((double)label->recall));
    json_object_set_new(item, "prevalence", number((double)label->prevalence));
    json_object_set_new(item, "single_token", number((double)label->single_token));
    json_object_set_new(item, "shuffled", number((double)label->shuffled));
    json_object_set_new(item, "active_rows", json_integer(label->n_active));
    json_object_set_new(item, "inactive_rows", json_integer(label->n_inactive));
    return item;
}

json_t *feature_details_json(const struct feature_view *view, const struct fathom_feature_details *details,
                             size_t n_examples) {
    json_t *value = short_json(&details->feature);
    json_t *labels = json_array(), *neighbours = json_array(), *examples = json_array(), *histogram = json_array();
    for (size_t i = 0; i < details->n_labels; i++)
        json_array_append_new(labels, label_json(&details->labels[i]));
    for (size_t i = 0; i < details->n_neighbours; i++) {
        json_t *item = feature_json(view, details->neighbours[i].feature);
        json_object_set_new(item, "cosine", number((double)details->neighbours[i].cosine));
        json_array_append_new(neighbours, item);
    }
    for (size_t i = 0; i < details->n_examples && i < n_examples; i++)
        json_array_append_new(examples, example_json(view, &details->examples[i]));
    for (int i = 0; i < FATHOM_HISTOGRAM_BINS; i++)
        json_array_append_new(histogram, json_integer((json_int_t)details->histogram[i]));
    json_object_set_new(value, "labels", labels);
    json_object_set_new(value, "raised", effects_json(view, details->raised, details->n_raised));
    json_object_set_new(value, "lowered", effects_json(view, details->lowered, details->n_lowered));
    json_object_set_new(value, "neighbours", neighbours);
    json_object_set_new(value, "histogram", histogram);
    json_object_set_new(value, "histogram_top", number((double)details->histogram_top));
    json_object_set_new(value, "examples", examples);
    return value;
}

json_t *feature_view_json(const struct feature_view *view) {
    const struct fathom_dictionary_info *dictionary = fathom_dictionary_describe(view->dictionary);
    json_t *value = json_object();
    json_object_set_new(value, "model", json_string(fathom_model_describe(view->model)->name));
    json_object_set_new(value, "dictionary", json_string(dictionary->name));
    json_object_set_new(value, "dictionary_path", json_string(dictionary->path));
    json_object_set_new(value, "hook", json_string(dictionary->hook_in));
    json_object_set_new(value, "catalogue",
                        view->catalogue ? json_string(fathom_catalogue_describe(view->catalogue)->path) : json_null());
    return value;
}
