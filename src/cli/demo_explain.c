/* Why a prompt goes on as it does, and the page that says so. */
#include "demo.h"
#include <base/file.h>
#include <base/memory.h>
#include <explain/explanation_json.h>
#include <fathom/explain.h>
#include <math.h>
#include <string.h>

static void print_claim(const struct demo *demo, const struct fathom_effect_measure *measure) {
    fprintf(demo->out, "%+6.2f nats, to %.2g %%; control %+.2f ± %.2f: %s\n", measure->effect,
            100 * measure->probability, measure->control, measure->control_deviation,
            measure->holds ? "holds" : "does not stand out");
}

/* Layers are shown where what they say changes. */
static void print_layers(const struct demo *demo, const fathom_explanation *e) {
    int32_t said = -1;
    fputs("What each layer would have said (shown where it changes):\n", demo->out);
    for (size_t l = 0; l < e->n_layers; l++) {
        const struct fathom_explained_layer *layer = &e->layers[l];
        if (layer->reading.top[0].token == said && l + 1 < e->n_layers) continue;
        said = layer->reading.top[0].token;
        fprintf(demo->out, "  after layer %2d \"", layer->layer);
        demo_print_token(demo, said);
        fprintf(demo->out, "\" %.0f %%, the answer %.2g %% (rank %u)\n", 100 * layer->reading.top[0].probability,
                100 * layer->reading.target_probability, layer->reading.target_rank + 1);
    }
}

static void print_claims(const struct demo *demo, const fathom_explanation *e) {
    fprintf(demo->out, "\nFeatures, each of the %zu active ones set to zero in turn (the strongest):\n",
            e->n_features_measured);
    for (size_t i = 0; i < e->n_features && i < 6; i++) {
        fputs("  ", demo->out);
        demo_print_feature(demo, e->features[i].feature);
        fputs(" on \"", demo->out);
        demo_print_token(demo, e->prompt[e->features[i].position]);
        fputs("\"\n      ", demo->out);
        print_claim(demo, &e->features[i].ablated);
    }
    fputs("\nTokens, each erased in turn:\n", demo->out);
    for (size_t i = 0; i < e->n_tokens; i++) {
        fputs("  \"", demo->out);
        demo_print_token(demo, e->tokens[i].token);
        fputs("\"  ", demo->out);
        print_claim(demo, &e->tokens[i].erased);
    }
}

int demo_explain(struct demo *demo) {
    int32_t *tokens[3] = {NULL, NULL, NULL};
    size_t n[3] = {0, 0, 0};
    fathom_explanation *explanation = NULL;
    struct fathom_patching patching = {0};
    struct fathom_explain_options options = {.seed = demo->seed, .progress = cli_progress};
    char *report = NULL;
    demo_heading(demo, "4. Explain", "each claim checked by taking the cause away");
    const char *const texts[3] = {demo->settings.explain.prompt, demo->settings.explain.answer,
                                  demo->settings.explain.corrupt};
    int code = FATHOM_OK;
    for (int i = 0; code == FATHOM_OK && i < 3; i++)
        code = fathom_tokenize(&tokens[i], &n[i], demo->model, texts[i], strlen(texts[i]), i != 1, false);
    if (code == FATHOM_OK)
        code = fathom_explain(&explanation, demo->model, demo->dictionary, tokens[0], n[0], tokens[1], n[1], &options);
    bool patched = code == FATHOM_OK && n[0] == n[2];
    if (patched)
        code = fathom_patch(&patching, demo->model, tokens[0], tokens[2], n[0], tokens[1], n[1], 0, cli_progress, NULL);
    if (code == FATHOM_OK) {
        fprintf(demo->out, "“%s” → “", texts[0]);
        cli_print_bold(demo->out, texts[1]);
        fprintf(demo->out, "”, p = %.3g %%\n\n", 100 * exp(explanation->log_probability));
        print_layers(demo, explanation);
        print_claims(demo, explanation);
        code = fathom__path_join(&report, demo->folder, "explanation.html");
    }
    if (code == FATHOM_OK)
        code = fathom_report_write(report, explanation, demo->model, demo->dictionary, demo->catalogue,
                                   patched ? &patching : NULL, "fathom demo");
    if (code == FATHOM_OK) {
        fprintf(demo->out, "\nReport: %s\n", report);
        json_t *result =
            fathom__explanation_json(explanation, demo->model, demo->catalogue, patched ? &patching : NULL);
        json_object_set_new(result, "report", json_string(report));
        json_object_set_new(demo->results, "explanation", result);
    }
    fathom_free(report);
    fathom_free(patching.recovered);
    fathom_explanation_free(explanation);
    for (int i = 0; i < 3; i++)
        fathom_free(tokens[i]);
    return code;
}
