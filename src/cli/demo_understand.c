/* Which features light up on each token, and what is known of them. */
#include "demo.h"
#include <base/memory.h>
#include <math.h>
#include <string.h>

enum { SHOWN_PER_TOKEN = 3, SHOWN_FEATURES = 5, SHOWN_EXAMPLES = 2, SHOWN_TOKENS = 6, EXAMPLE_TOKENS = 6 };

struct reading {
    int32_t *tokens;
    size_t n;
    float *rows;
    int32_t *positions;
    size_t width;
    struct fathom_sparse features;
};

static int keep_rows(const struct fathom_block *block, void *payload) {
    struct reading *reading = payload;
    memcpy(reading->rows, block->rows, block->n_rows * block->width * sizeof *block->rows);
    memcpy(reading->positions, block->positions, block->n_rows * sizeof *block->positions);
    return 0;
}

static int read_text(struct reading *reading, const struct demo *demo, const char *text) {
    struct fathom_hook hook;
    fathom_session *session = NULL;
    int code = fathom_tokenize(&reading->tokens, &reading->n, demo->model, text, strlen(text), true, false);
    if (code == FATHOM_OK && reading->n == 0) code = demo_error(FATHOM_ERROR_ARGUMENT, "the text is empty");
    if (code == FATHOM_OK) code = fathom_dictionary_match(&hook, demo->dictionary, demo->model);
    if (code != FATHOM_OK) return code;
    struct fathom_session_options options = {.n_context = (uint32_t)reading->n, .n_batch = (uint32_t)reading->n};
    reading->width = fathom_dictionary_describe(demo->dictionary)->d_in;
    code = fathom__alloc(&reading->rows, reading->n, reading->width * sizeof *reading->rows);
    if (code == FATHOM_OK) code = fathom__alloc(&reading->positions, reading->n, sizeof *reading->positions);
    if (code == FATHOM_OK) code = fathom_session_open(&session, demo->model, &options);
    if (code == FATHOM_OK) code = fathom_session_tap(NULL, session, hook, keep_rows, reading);
    if (code == FATHOM_OK) code = fathom_session_feed(session, reading->tokens, reading->n, 0, 0, false);
    if (code == FATHOM_OK)
        code = fathom_dictionary_encode(&reading->features, demo->dictionary, reading->rows, reading->positions,
                                        reading->n, FATHOM_ENCODE_RUN);
    fathom_session_close(session);
    return code;
}

static void reading_free(struct reading *reading) {
    fathom_free(reading->tokens);
    fathom_free(reading->rows);
    fathom_free(reading->positions);
    fathom_sparse_free(&reading->features);
}

/* The strongest entries of a row, by activation over the feature's maximum. */
static size_t strongest(size_t out[SHOWN_PER_TOKEN], const struct demo *demo, const struct fathom_sparse *sparse,
                        size_t row) {
    double levels[SHOWN_PER_TOKEN] = {0};
    size_t n = 0;
    for (size_t e = sparse->offsets[row]; e < sparse->offsets[row + 1]; e++) {
        const struct fathom_feature *known = fathom_catalogue_feature(demo->catalogue, sparse->features[e]);
        if (known == NULL || !(known->max_activation > 0)) continue;
        double level = (double)(sparse->values[e] / known->max_activation);
        size_t at = n < SHOWN_PER_TOKEN ? n++ : SHOWN_PER_TOKEN;
        for (; at > 0 && levels[at - 1] < level; at--)
            if (at < SHOWN_PER_TOKEN) {
                levels[at] = levels[at - 1];
                out[at] = out[at - 1];
            }
        if (at < SHOWN_PER_TOKEN) {
            levels[at] = level;
            out[at] = e;
        }
    }
    return n;
}

static void print_evidence(const struct demo *demo, const struct fathom_feature_details *details) {
    fprintf(demo->out, "    fires on %.3g %% of tokens; raises", 100 * details->feature.density);
    for (size_t i = 0; i < details->n_raised && i < SHOWN_TOKENS; i++) {
        fputs(" \"", demo->out);
        demo_print_token(demo, details->raised[i].token);
        fputc('"', demo->out);
    }
    fputs("; lowers", demo->out);
    for (size_t i = 0; i < details->n_lowered && i < SHOWN_TOKENS / 2; i++) {
        fputs(" \"", demo->out);
        demo_print_token(demo, details->lowered[i].token);
        fputc('"', demo->out);
    }
    fputc('\n', demo->out);
    size_t shown = 0;
    for (size_t i = 0; i < details->n_examples && shown < SHOWN_EXAMPLES; i++) {
        const struct fathom_example *example = &details->examples[i];
        if (example->band != 0 || example->n == 0) continue;
        size_t first = example->peak > EXAMPLE_TOKENS ? example->peak - EXAMPLE_TOKENS : 0;
        size_t last = example->peak + EXAMPLE_TOKENS < example->n ? example->peak + EXAMPLE_TOKENS : example->n;
        fputs("    … ", demo->out);
        for (size_t t = first; t < last; t++) {
            const char *bytes = NULL;
            size_t length = 0;
            if (fathom_token_bytes(&bytes, &length, demo->model, example->tokens[t]) == FATHOM_OK) {
                if (length == 1 && bytes[0] == '\n') bytes = " ";
                cli_print_level(demo->out, bytes, length,
                                (double)(example->activations[t] / details->feature.max_activation));
            }
        }
        fprintf(demo->out, " …  (%.1f)\n", (double)example->value);
        shown++;
    }
}

static json_t *evidence_json(const struct demo *demo, const struct fathom_feature_details *details) {
    json_t *value = demo_feature_json(demo, details->feature.number);
    json_t *raised = json_array(), *lowered = json_array(), *examples = json_array();
    for (size_t i = 0; i < details->n_raised; i++)
        json_array_append_new(raised, demo_token_json(demo, details->raised[i].token));
    for (size_t i = 0; i < details->n_lowered; i++)
        json_array_append_new(lowered, demo_token_json(demo, details->lowered[i].token));
    for (size_t i = 0; i < details->n_examples && json_array_size(examples) < SHOWN_FEATURES; i++) {
        char *text = NULL;
        const struct fathom_example *example = &details->examples[i];
        if (example->band == 0 && example->n > 0 &&
            fathom_detokenize(&text, demo->model, example->tokens, example->n) == FATHOM_OK)
            json_array_append_new(examples,
                                  json_pack("{s:s, s:f}", "text", text, "activation", (double)example->value));
        fathom_free(text);
    }
    json_object_set_new(value, "raises", raised);
    json_object_set_new(value, "lowers", lowered);
    json_object_set_new(value, "examples", examples);
    if (details->n_labels > 0) {
        const struct fathom_label *label = &details->labels[0];
        json_object_set_new(value, "label_f1", isfinite(label->f1) ? json_real((double)label->f1) : json_null());
        json_object_set_new(value, "label_shuffled",
                            isfinite(label->shuffled) ? json_real((double)label->shuffled) : json_null());
        json_object_set_new(value, "label_single_token",
                            isfinite(label->single_token) ? json_real((double)label->single_token) : json_null());
    }
    return value;
}

/* Every token with its strongest features. */
static json_t *tokens_json(const struct demo *demo, const struct reading *reading, bool print) {
    json_t *tokens = json_array();
    for (size_t r = 0; r < reading->n; r++) {
        size_t entries[SHOWN_PER_TOKEN];
        size_t n = strongest(entries, demo, &reading->features, r);
        json_t *list = json_array();
        if (print) {
            fputs("  ", demo->out);
            demo_print_token(demo, reading->tokens[r]);
            fputc('\n', demo->out);
        }
        for (size_t i = 0; i < n; i++) {
            uint32_t feature = reading->features.features[entries[i]];
            float value = reading->features.values[entries[i]];
            json_t *entry = demo_feature_json(demo, feature);
            json_object_set_new(entry, "activation", json_real((double)value));
            json_array_append_new(list, entry);
            if (print) {
                fprintf(demo->out, "      %6.2f  ", (double)value);
                demo_print_feature(demo, feature);
                fputc('\n', demo->out);
            }
        }
        json_array_append_new(
            tokens, json_pack("{s:o, s:o}", "token", demo_token_json(demo, reading->tokens[r]), "features", list));
    }
    return tokens;
}

/* What the text is about: search by example text, as the catalogue defines it. */
static int top_features(struct fathom_hit *hits, size_t *n, const struct demo *demo, const struct reading *reading) {
    return fathom_catalogue_search_text(hits, n, SHOWN_FEATURES, demo->catalogue, &reading->features);
}

static int show_text(struct demo *demo, json_t *results, const char *text) {
    struct reading reading = {.features = FATHOM_SPARSE_INIT};
    struct fathom_hit hits[SHOWN_FEATURES];
    size_t n = 0;
    int code = read_text(&reading, demo, text);
    if (code == FATHOM_OK) code = top_features(hits, &n, demo, &reading);
    if (code == FATHOM_OK) {
        json_t *top = json_array();
        cli_print_bold(demo->out, text);
        fputc('\n', demo->out);
        json_t *tokens = tokens_json(demo, &reading, true);
        fputs("  what this text is about, by features that are rare elsewhere:\n", demo->out);
        for (size_t i = 0; i < n && code == FATHOM_OK; i++) {
            struct fathom_feature_details *details = NULL;
            code = fathom_catalogue_details(&details, demo->catalogue, hits[i].feature);
            if (code != FATHOM_OK) break;
            fputs("  ", demo->out);
            demo_print_feature(demo, hits[i].feature);
            fputc('\n', demo->out);
            print_evidence(demo, details);
            json_array_append_new(top, evidence_json(demo, details));
            fathom_feature_details_free(details);
        }
        fputc('\n', demo->out);
        json_array_append_new(results, json_pack("{s:s, s:o, s:o}", "text", text, "tokens", tokens, "about", top));
    }
    reading_free(&reading);
    return code;
}

int demo_understand(struct demo *demo) {
    const struct demo_texts *texts = &demo->settings.understand;
    json_t *results = json_array();
    int code = FATHOM_OK;
    demo_heading(demo, "1. Understand", "which features light up on each token");
    for (size_t i = 0; code == FATHOM_OK && i < texts->n; i++)
        code = show_text(demo, results, texts->texts[i]);
    if (code == FATHOM_OK && demo->text != NULL) code = show_text(demo, results, demo->text);
    json_object_set_new(demo->results, "understanding", results);
    return code;
}
