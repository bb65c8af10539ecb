/* /api/explain: why a prompt goes on with an answer. Sessions of its own beside the batch, one explanation at a time. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "explain/explanation_json.h"
#include "server/handlers.h"
#include <string.h>

/* The work grows with the square of the prompt. */
enum { MOST_PROMPT = 512, MOST_ANSWER = 32, MOST_SHOWN = 200, MOST_CONTROLS = 32 };

struct question {
    int32_t *prompt, *answer, *corrupt;
    size_t n_prompt, n_answer, n_corrupt;
    bool features;
    struct fathom_explain_options options;
    struct fathom_patching patching;
    fathom_explanation *explanation;
};

/* The work stops when nobody waits for it. */
static int watch(const struct fathom_progress *progress, void *payload) {
    const struct fathom__exchange *exchange = payload;
    (void)progress;
    return fathom__exchange_gone(exchange) || atomic_load(&exchange->server->stopping) ||
           fathom__exchange_late(exchange);
}

static int tokenise(int32_t **out, size_t *n, const struct fathom__exchange *exchange, const char *key, size_t most) {
    const char *text = NULL;
    int status = fathom__json_get_string(&text, exchange->request, key, false, "request");
    if (status || !text) return status;
    const bool begins = strcmp(key, "answer") != 0;
    status = fathom_tokenize(out, n, exchange->server->options.model, text, strlen(text), begins, false);
    if (!status && (*n == 0 || *n > most))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"%s\" has %zu tokens, where 1 to %zu are expected", key,
                              *n, most);
    return status;
}

/* What greedy decoding says, with its end where it says nothing else. */
static int take_token(const struct fathom_generated *generated, void *payload) {
    struct question *question = payload;
    question->answer[question->n_answer++] = generated->token;
    return generated->end;
}

static int answer_greedily(struct question *out, const struct fathom__exchange *exchange, uint32_t n_tokens) {
    const struct fathom_sampling sampling = FATHOM_SAMPLING_INIT;
    const struct fathom_session_options options = {.n_context = MOST_PROMPT + MOST_ANSWER,
                                                   .n_threads = exchange->server->options.n_threads};
    fathom_session *session = NULL;
    int status = fathom__alloc(&out->answer, n_tokens, sizeof *out->answer);
    if (!status) status = fathom_session_open(&session, exchange->server->options.model, &options);
    if (!status)
        status = fathom_generate(NULL, session, out->prompt, out->n_prompt, n_tokens, &sampling, take_token, out);
    fathom_session_close(session);
    return status;
}

static int read_question(struct question *out, struct fathom__exchange *exchange) {
    const json_t *request = exchange->request;
    int64_t top = 12, controls = 8, seed = 1, n_tokens = 1;
    int status = json_object_get(request, "prompt")
                     ? tokenise(&out->prompt, &out->n_prompt, exchange, "prompt", MOST_PROMPT)
                     : fathom__fail(FATHOM_ERROR_FORMAT, "request: \"prompt\": a text is expected");
    if (!status) status = tokenise(&out->answer, &out->n_answer, exchange, "answer", MOST_ANSWER);
    if (!status) status = tokenise(&out->corrupt, &out->n_corrupt, exchange, "corrupt", MOST_PROMPT);
    if (!status)
        status = fathom__json_get_integer(&n_tokens, request, "answer_tokens", 1, MOST_ANSWER, false, "request");
    if (!status) status = fathom__json_get_integer(&top, request, "top", 1, MOST_SHOWN, false, "request");
    if (!status) status = fathom__json_get_integer(&controls, request, "controls", 1, MOST_CONTROLS, false, "request");
    if (!status) status = fathom__json_get_integer(&seed, request, "seed", 0, INT64_MAX, false, "request");
    out->features = true;
    if (!status) status = fathom__json_get_bool(&out->features, request, "features", false, "request");
    if (!status && out->corrupt && out->n_corrupt != out->n_prompt)
        status = fathom__fail(FATHOM_ERROR_FORMAT,
                              "request: \"corrupt\" has %zu tokens, but \"prompt\" %zu: patching needs as many",
                              out->n_corrupt, out->n_prompt);
    if (!status && !out->answer) status = answer_greedily(out, exchange, (uint32_t)n_tokens);
    out->options = (struct fathom_explain_options){.n_features = (size_t)top,
                                                   .n_controls = (size_t)controls,
                                                   .seed = (uint64_t)seed,
                                                   .n_threads = exchange->server->options.n_threads,
                                                   .progress = watch,
                                                   .payload = exchange};
    return status;
}

/* Labels as they are now. */
static void relabel(json_t *reply, const fathom_server *server) {
    json_t *feature;
    size_t i;
    json_array_foreach (json_object_get(reply, "features"), i, feature) {
        const struct fathom_feature *known =
            fathom__labels_feature(server->labels, (uint32_t)json_integer_value(json_object_get(feature, "feature")));
        if (known && known->label)
            json_object_set_new(feature, "label", fathom__json_string(known->label, strlen(known->label)));
        else
            json_object_del(feature, "label");
    }
}

static int explain(struct question *question, struct fathom__exchange *exchange) {
    const struct fathom_server_options *options = &exchange->server->options;
    int status = read_question(question, exchange);
    if (!status)
        status = fathom_explain(&question->explanation, options->model, question->features ? options->dictionary : NULL,
                                question->prompt, question->n_prompt, question->answer, question->n_answer,
                                &question->options);
    if (!status && question->corrupt)
        status =
            fathom_patch(&question->patching, options->model, question->prompt, question->corrupt, question->n_prompt,
                         question->answer, question->n_answer, options->n_threads, watch, exchange);
    if (status) return status;
    json_t *reply = fathom__explanation_json(question->explanation, options->model, options->catalogue,
                                             question->corrupt ? &question->patching : NULL);
    relabel(reply, exchange->server);
    return fathom__reply_json(exchange, MHD_HTTP_OK, reply);
}

int fathom__handle_explain(struct fathom__exchange *exchange) {
    fathom_server *server = exchange->server;
    struct question question = {0};
    if (atomic_flag_test_and_set(&server->explaining))
        return fathom__refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "busy", NULL,
                              "another explanation is being made; one is made at a time");
    int status = explain(&question, exchange);
    atomic_flag_clear(&server->explaining);
    fathom_free(question.prompt);
    fathom_free(question.answer);
    fathom_free(question.corrupt);
    fathom_free(question.patching.recovered);
    fathom_explanation_free(question.explanation);
    return status;
}
