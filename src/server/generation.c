/* Reading requests for generated text. */
#include "server/generation.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/sampler.h"
#include "server/handlers.h"
#include "server/schema_grammar.h"
#include <math.h>
#include <string.h>
#include <time.h>

/* A seed that is drawn is a number that every JSON reader holds exactly. */
enum { MOST_ANSWERS = 16, MOST_TOP_K = 1 << 20, SEED_BITS = 53 };
#define HOTTEST 100.0
#define MOST_PENALTY 100.0

/* Members that would change the answer and that are not done here, with what they may say all the same. */
static int refuse_members(const json_t *request, bool chat) {
    /* Only a conversation can have the first two. */
    static const char *const members[] = {"tools", "tool_choice", "functions",  "logit_bias",        "suffix",
                                          "audio", "prediction",  "modalities", "web_search_options"};
    for (size_t i = chat ? 2 : 0; i < sizeof members / sizeof members[0]; i++) {
        const json_t *value = json_object_get(request, members[i]);
        if (!value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
            (json_is_object(value) && json_object_size(value) == 0))
            continue;
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "request: \"%s\" is not supported by this server", members[i]);
    }
    const json_t *best_of = json_object_get(request, "best_of");
    bool echo = false;
    int status = fathom__json_get_bool(&echo, request, "echo", false, "request");
    if (!status && echo) status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "request: \"echo\" is not supported");
    if (!status && best_of && !json_is_null(best_of) && json_integer_value(best_of) != 1)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "request: \"best_of\" is not supported by this server");
    return status;
}

/* {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"schema": …}}. */
static int read_format(struct fathom__generation *out, const json_t *request) {
    const json_t *format = json_object_get(request, "response_format"), *schema = NULL;
    const char *type = "text";
    int status = FATHOM_OK;
    if (format && !json_is_null(format))
        status = fathom__json_get_string(&type, format, "type", true, "response_format");
    if (status || strcmp(type, "text") == 0) return status;
    if (strcmp(type, "json_schema") == 0) {
        schema = json_object_get(json_object_get(format, "json_schema"), "schema");
        if (!schema) return fathom__fail(FATHOM_ERROR_FORMAT, "response_format: json_schema: \"schema\" is missing");
    } else if (strcmp(type, "json_object") != 0) {
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "response_format: \"%.100s\" is not supported by this server, only \"text\", \"json_object\" and "
            "\"json_schema\"",
            type);
    }
    status = fathom__schema_grammar(&out->grammar, schema);
    if (!status) status = fathom__grammar_check(out->server->options.model, out->grammar);
    out->job.grammar = out->grammar;
    return status;
}

static int read_tools(struct fathom__generation *out, const json_t *request) {
    const int status = out->chat ? fathom__tools_read(&out->tools, out->server, request) : FATHOM_OK;
    if (status || !out->tools.grammar) return status;
    if (out->grammar)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "request: \"tools\" beside a \"response_format\" is not supported by this server");
    out->job.grammar = out->tools.grammar;
    return fathom__grammar_check(out->server->options.model, out->tools.grammar);
}

/* null stands for a missing member, as OpenAI's clients send it. */
static bool given(const json_t *request, const char *key) {
    const json_t *value = json_object_get(request, key);
    return value && !json_is_null(value);
}

static int read_number(float *out, const json_t *request, const char *key, double least, double most) {
    double value = 0;
    if (!given(request, key)) return FATHOM_OK;
    const int status = fathom__json_get_number(&value, request, key, true, "request");
    if (status) return status;
    if (!(value >= least && value <= most))
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"%s\" is %g, where %g to %g is expected", key, value, least,
                            most);
    *out = (float)value;
    return FATHOM_OK;
}

static int read_integer(int64_t *out, const json_t *request, const char *key, int64_t least, int64_t most) {
    return given(request, key) ? fathom__json_get_integer(out, request, key, least, most, true, "request") : FATHOM_OK;
}

static int read_sampling(struct fathom__generation *out, const json_t *request) {
    struct fathom_sampling *sampling = &out->job.sampling;
    *sampling = (struct fathom_sampling){.temperature = 1.0f};
    int64_t seed = (int64_t)(fathom__server_seed(out->server) >> (64 - SEED_BITS)), top_k = 0;
    int status = read_number(&sampling->temperature, request, "temperature", 0, HOTTEST);
    if (!status) status = read_number(&sampling->top_p, request, "top_p", 0, 1);
    if (!status) status = read_number(&sampling->min_p, request, "min_p", 0, 1);
    if (!status) status = read_number(&sampling->repeat_penalty, request, "repeat_penalty", 0, MOST_PENALTY);
    if (!status) status = read_number(&sampling->frequency_penalty, request, "frequency_penalty", -2, 2);
    if (!status) status = read_number(&sampling->presence_penalty, request, "presence_penalty", -2, 2);
    if (!status) status = read_integer(&top_k, request, "top_k", 0, MOST_TOP_K);
    if (!status) status = read_integer(&seed, request, "seed", INT64_MIN, INT64_MAX);
    sampling->top_k = (int32_t)top_k;
    sampling->seed = (uint64_t)seed;
    return status;
}

static int add_stop(struct fathom__generation *out, const json_t *value) {
    const char *text = json_string_value(value);
    if (!text || !*text || out->job.n_stops == FATHOM__MOST_STOPS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"stop\": a text, or at most %d of them, none empty",
                            FATHOM__MOST_STOPS);
    out->stops[out->job.n_stops++] = text;
    return FATHOM_OK;
}

static int read_stops(struct fathom__generation *out, const json_t *request) {
    const json_t *stop = json_object_get(request, "stop");
    int status = FATHOM_OK;
    if (!stop || json_is_null(stop)) return status;
    if (!json_is_array(stop)) return add_stop(out, stop);
    for (size_t i = 0; i < json_array_size(stop) && !status; i++)
        status = add_stop(out, json_array_get(stop, i));
    return status;
}

static int read_log_probabilities(struct fathom__generation *out, const json_t *request) {
    int64_t n_top = 0;
    int status = FATHOM_OK;
    if (out->chat) {
        if (given(request, "logprobs"))
            status = fathom__json_get_bool(&out->job.log_probabilities, request, "logprobs", true, "request");
        if (!status) status = read_integer(&n_top, request, "top_logprobs", 0, FATHOM__MOST_TOP);
        if (!status && n_top > 0 && !out->job.log_probabilities)
            status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"top_logprobs\" needs \"logprobs\": true");
    } else {
        out->job.log_probabilities = given(request, "logprobs");
        status = read_integer(&n_top, request, "logprobs", 0, FATHOM__MOST_TOP);
    }
    out->job.n_top = (uint32_t)n_top;
    return status;
}

static int read_stream(struct fathom__generation *out, const json_t *request) {
    const json_t *options = json_object_get(request, "stream_options");
    int status =
        given(request, "stream") ? fathom__json_get_bool(&out->streams, request, "stream", true, "request") : FATHOM_OK;
    if (!status && options && !json_is_null(options))
        status = fathom__json_get_bool(&out->tells_usage, options, "include_usage", false, "stream_options");
    return status;
}

/* 0: as the prompt leaves room for. */
static int read_length(struct fathom__generation *out, const json_t *request) {
    const char *key = given(request, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    int64_t most = 0;
    const int status = read_integer(&most, request, key, 1, INT32_MAX);
    out->job.max_new = (uint32_t)most;
    return status;
}

static int read_request(struct fathom__generation *out, struct fathom__exchange *exchange, bool chat) {
    fathom_server *server = exchange->server;
    const json_t *request = exchange->request;
    int64_t n = 1;
    *out = (struct fathom__generation){
        .exchange = exchange, .server = server, .chat = chat, .created = (long long)time(NULL)};
    snprintf(out->id, sizeof out->id, "%s-%016llx%08llx", chat ? "chatcmpl" : "cmpl", (unsigned long long)server->since,
             (unsigned long long)atomic_fetch_add(&server->next_reply, 1));
    out->job.client = fathom__connection_number(exchange->patience);
    out->job.deadline = exchange->begun + server->options.request_seconds;
    int status = fathom__check_model(server, request);
    if (!status) status = refuse_members(request, chat);
    if (!status) status = read_format(out, request);
    if (!status) status = read_tools(out, request);
    if (!status) status = read_sampling(out, request);
    if (!status) status = read_stops(out, request);
    if (!status) status = read_log_probabilities(out, request);
    if (!status) status = read_stream(out, request);
    if (!status) status = read_length(out, request);
    if (!status) status = read_integer(&n, request, "n", 1, MOST_ANSWERS);
    out->n = (uint32_t)n;
    if (!status) status = fathom__inside_read(&out->inside, exchange);
    return status;
}

int fathom__generation_open(struct fathom__generation **out, struct fathom__exchange *exchange, bool chat) {
    struct fathom__generation *generation = NULL;
    int status = fathom__alloc(&generation, 1, sizeof *generation);
    if (status) return status;
    status = read_request(generation, exchange, chat);
    if (status)
        fathom__generation_close(generation);
    else
        *out = generation;
    return status;
}

int fathom__generation_add_prompt(struct fathom__generation *generation, int32_t *tokens, size_t n) {
    size_t capacity = generation->n_prompts;
    size_t lengths_capacity = capacity;
    int status = fathom__grow(&generation->prompts, &capacity, generation->n_prompts + 1, sizeof *generation->prompts);
    if (!status)
        status = fathom__grow(&generation->prompt_lengths, &lengths_capacity, generation->n_prompts + 1,
                              sizeof *generation->prompt_lengths);
    if (status) {
        fathom_free(tokens);
        return status;
    }
    generation->prompts[generation->n_prompts] = tokens;
    generation->prompt_lengths[generation->n_prompts++] = n;
    return FATHOM_OK;
}

/* An answer whose length nobody gives gets what its prompt leaves. */
static uint32_t default_length(const struct fathom__generation *generation, size_t n_prompt) {
    const size_t longest = fathom__batcher_longest(generation->server->batcher);
    return longest > n_prompt ? (uint32_t)(longest - n_prompt) : 1;
}

/* Templates hold ids to letters and digits, some to just so many. */
static void open_choice(const struct fathom__generation *generation, struct fathom__choice *choice) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    choice->text = (struct fathom__buffer)FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    choice->arguments = choice->text;
    if (!generation->tools.format) return;
    fathom__call_reader_open(&choice->reader, generation->tools.format);
    uint64_t number = fathom__server_seed(generation->server);
    for (size_t i = 0; i + 1 < sizeof choice->call_id; i++, number /= sizeof digits - 1)
        choice->call_id[i] = digits[number % (sizeof digits - 1)];
}

static int submit(struct fathom__generation *generation, size_t index) {
    const size_t prompt = index / generation->n;
    struct fathom__job_request job = generation->job;
    job.tokens = generation->prompts[prompt];
    job.n = generation->prompt_lengths[prompt];
    job.stops = generation->stops;
    const bool plain = generation->compares && index % generation->n == 0;
    if (!generation->compares) job.sampling.seed += index % generation->n;
    if (job.max_new == 0) job.max_new = default_length(generation, job.n);
    fathom__inside_ask(&job, &generation->inside, generation->server);
    if (plain) job.plan = NULL;
    open_choice(generation, &generation->choices[index]);
    return fathom__job_submit(&generation->choices[index].job, generation->server->batcher, &job);
}

/* A choice that was submitted has taken its place; one that was refused takes the others with it. */
static int start(struct fathom__generation *generation) {
    const size_t n = generation->n_prompts * generation->n;
    if (n > FATHOM__MOST_CHOICES)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%zu prompts times %u answers are more than %d",
                            generation->n_prompts, generation->n, FATHOM__MOST_CHOICES);
    int status = fathom__alloc(&generation->choices, n, sizeof *generation->choices);
    for (size_t i = 0; i < n && !status; i++) {
        status = submit(generation, i);
        generation->n_choices = i + 1;
    }
    return status;
}

static void release(void *payload) {
    fathom__generation_close(payload);
}

int fathom__generation_reply(struct fathom__generation *generation) {
    struct fathom__exchange *exchange = generation->exchange;
    int status = start(generation);
    if (!status && generation->streams)
        return fathom__reply_stream(exchange, "text/event-stream", fathom__generation_events, generation, release);
    if (status == FATHOM_ERROR_LIMIT)
        status = fathom__refuse_full(exchange);
    else if (!status)
        status = fathom__generation_whole(generation);
    fathom__generation_close(generation);
    return status;
}

void fathom__generation_close(struct fathom__generation *generation) {
    if (!generation) return;
    for (size_t i = 0; i < generation->n_choices; i++) {
        struct fathom__choice *choice = &generation->choices[i];
        fathom__job_close(choice->job);
        fathom__job_part_free(&choice->part);
        fathom__buffer_free(&choice->text);
        fathom__buffer_free(&choice->arguments);
        fathom__call_reader_close(&choice->reader);
        json_decref(choice->tokens);
        json_decref(choice->logprobs);
    }
    fathom_free(generation->choices);
    for (size_t i = 0; i < generation->n_prompts; i++)
        fathom_free(generation->prompts[i]);
    fathom_free(generation->prompts);
    fathom_free(generation->prompt_lengths);
    fathom__inside_free(&generation->inside);
    fathom_free(generation->grammar);
    fathom__tools_free(&generation->tools);
    fathom_free(generation);
}
