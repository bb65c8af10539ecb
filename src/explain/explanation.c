#include "parts.h"
#include <base/error.h>
#include <base/memory.h>
#include <string.h>

enum { DEFAULT_FEATURES = 12, DEFAULT_CONTROLS = 8 };

static int check_tokens(const fathom_model *model, const int32_t *tokens, size_t n, const char *what) {
    uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    if (n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "the %s is empty: at least one token is needed", what);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= n_vocab)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "token %d of the %s: the vocabulary has %u", tokens[i], what,
                                n_vocab);
    return FATHOM_OK;
}

static int copy_question(fathom_explanation *explanation, int32_t **tokens, const int32_t *prompt, size_t n_prompt,
                         const int32_t *answer, size_t n_answer) {
    int status = fathom__alloc(tokens, n_prompt + n_answer, sizeof **tokens);
    if (status == FATHOM_OK) status = fathom__alloc(&explanation->prompt, n_prompt, sizeof *prompt);
    if (status == FATHOM_OK) status = fathom__alloc(&explanation->answer, n_answer, sizeof *answer);
    if (status != FATHOM_OK) return status;
    memcpy(*tokens, prompt, n_prompt * sizeof *prompt);
    memcpy(*tokens + n_prompt, answer, n_answer * sizeof *answer);
    memcpy(explanation->prompt, prompt, n_prompt * sizeof *prompt);
    memcpy(explanation->answer, answer, n_answer * sizeof *answer);
    explanation->n_prompt = n_prompt;
    explanation->n_answer = n_answer;
    return FATHOM_OK;
}

/* What each layer would have said at the last prompt token, and how directly its two parts speak for the answer. */
static int read_layers(fathom_explanation *explanation, const struct fathom__baseline *baseline,
                       const fathom_lens *lens, uint32_t n_threads) {
    struct fathom_lens_reading *readings = NULL;
    int32_t *targets = NULL;
    size_t n = baseline->n_layers, d = baseline->d_model;
    int status = fathom__alloc(&explanation->layers, n, sizeof *explanation->layers);
    if (status == FATHOM_OK) status = fathom__alloc(&readings, n, sizeof *readings);
    if (status == FATHOM_OK) status = fathom__alloc(&targets, n, sizeof *targets);
    for (size_t l = 0; status == FATHOM_OK && l < n; l++)
        targets[l] = explanation->answer[0];
    if (status == FATHOM_OK) status = fathom_lens_read(readings, lens, baseline->residual, n, targets, n_threads);
    if (status == FATHOM_OK) {
        double denominator = fathom_lens_denominator(lens, baseline->residual + (n - 1) * d);
        for (size_t l = 0; l < n; l++)
            explanation->layers[l] = (struct fathom_explained_layer){
                .layer = (int32_t)l,
                .reading = readings[l],
                .attention = fathom_lens_contribution(lens, baseline->attention + l * d, denominator, targets[l]),
                .mlp = fathom_lens_contribution(lens, baseline->mlp + l * d, denominator, targets[l]),
            };
        explanation->n_layers = n;
    }
    fathom_free(readings);
    fathom_free(targets);
    return status;
}

int fathom_explain(fathom_explanation **out, const fathom_model *model, const fathom_dictionary *dictionary,
                   const int32_t *prompt, size_t n_prompt, const int32_t *answer, size_t n_answer,
                   const struct fathom_explain_options *options) {
    static const struct fathom_explain_options defaults = FATHOM_EXPLAIN_OPTIONS_INIT;
    const struct fathom_explain_options *with = options != NULL ? options : &defaults;
    fathom_explanation *explanation = NULL;
    fathom_session *session = NULL;
    fathom_lens *lens = NULL;
    struct fathom__baseline baseline = {0};
    struct fathom__random random;
    int32_t *tokens = NULL;
    int status = check_tokens(model, prompt, n_prompt, "prompt");
    if (status == FATHOM_OK) status = check_tokens(model, answer, n_answer, "answer");
    if (status == FATHOM_OK) status = fathom__alloc(&explanation, 1, sizeof *explanation);
    if (status == FATHOM_OK) status = copy_question(explanation, &tokens, prompt, n_prompt, answer, n_answer);
    if (status != FATHOM_OK) goto done;
    explanation->seed = with->seed;
    fathom__random_seed(&random, with->seed);
    struct fathom__question question = {tokens, n_prompt, n_answer};
    struct fathom__parts parts = {
        .question = question,
        .baseline = &baseline,
        .random = &random,
        .n_features = with->n_features > 0 ? with->n_features : DEFAULT_FEATURES,
        .n_controls = with->n_controls > 0 ? with->n_controls : DEFAULT_CONTROLS,
        .progress = with->progress,
        .progress_payload = with->payload,
    };
    status = fathom__variants_session(&session, model, &question, with->n_threads);
    if (status == FATHOM_OK) status = fathom__baseline_run(&baseline, session, dictionary, &question);
    if (status == FATHOM_OK) status = fathom_lens_open(&lens, model);
    if (status == FATHOM_OK) status = read_layers(explanation, &baseline, lens, with->n_threads);
    parts.session = session;
    if (status == FATHOM_OK) status = fathom__explain_tokens(explanation, &parts);
    if (status == FATHOM_OK && dictionary != NULL) status = fathom__explain_features(explanation, &parts, dictionary);
    if (status != FATHOM_OK) goto done;
    explanation->log_probability = baseline.log_probability;
    explanation->first_probability = baseline.first_probability;
    explanation->first_rank = baseline.first_rank;
    *out = explanation;
    explanation = NULL;
done:
    fathom_lens_close(lens);
    fathom_session_close(session);
    fathom__baseline_free(&baseline);
    fathom_free(tokens);
    fathom_explanation_free(explanation);
    return status;
}

void fathom_explanation_free(fathom_explanation *explanation) {
    if (explanation == NULL) return;
    fathom_free(explanation->prompt);
    fathom_free(explanation->answer);
    fathom_free(explanation->layers);
    fathom_free(explanation->tokens);
    fathom_free(explanation->features);
    fathom_free(explanation);
}
