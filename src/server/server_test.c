/* The server as its clients see it: over a socket, on a free port. */
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/http_client.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <ctype.h>
#include <fathom/server.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#define HOOK "blocks.1.hook_resid_post"
#define TOKEN "a token of enough letters"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define CHAT(members)                                                                                                  \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello there\"}], \"temperature\": 0, \"max_tokens\": "        \
    "8" members "}"

enum { BODY_BYTES = 20000 };

static fathom_model *model;
static fathom_dictionary *dictionary;
static fathom_catalogue *catalogue;
static fathom_server *server;
static uint16_t port;
static atomic_int logged, badly_logged;

static void count_line(const char *line, void *payload) {
    json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    (void)payload;
    atomic_fetch_add(&logged, 1);
    if (!json_is_integer(json_object_get(entry, "status")) || !json_is_string(json_object_get(entry, "path")))
        atomic_fetch_add(&badly_logged, 1);
    json_decref(entry);
}

static int make_catalogue(void) {
    const char *corpus = scratch_text("corpus.txt", "the cat sat on the mat\nthe dog ran to the river\na bird sang in "
                                                    "the tree\nthe river ran by the old mill\n");
    const struct fathom_corpus_source source = {.path = corpus, .weight = 1.0};
    const struct fathom_index_options options = {.n_threads = 1, .context = 32};
    int status = fathom_index(NULL, scratch("catalogue.sqlite"), dictionary, model, &source, 1, &options);
    return status ? status : fathom_catalogue_open(&catalogue, scratch("catalogue.sqlite"), dictionary);
}

static struct fathom_server_options options_of(void) {
    return (struct fathom_server_options){.model = model,
                                          .dictionary = dictionary,
                                          .catalogue = catalogue,
                                          .n_parallel = 2,
                                          .n_context = 256,
                                          .n_batch = 32,
                                          .n_threads = 1,
                                          .body_bytes = BODY_BYTES,
                                          .data = scratch("data"),
                                          .log = count_line};
}

static int open_all(void **state) {
    (void)state;
    const struct toy_options toy = {.hook = HOOK, .scale = 1.0f, .skip_positions = 1, .max_norm = INFINITY};
    int status = fathom_test_tiny_model(scratch("tiny.gguf"), "llama", 1);
    if (!status) status = fathom_model_open(&model, scratch("tiny.gguf"), NULL);
    if (!status) status = toy_dictionary_write(scratch("toy.gguf"), model, &toy);
    if (!status) status = fathom_dictionary_open(&dictionary, scratch("toy.gguf"));
    if (!status) status = make_catalogue();
    const struct fathom_server_options options = options_of();
    if (!status) status = fathom_server_open(&server, &options);
    if (status) print_error("%s\n", fathom_error_message());
    if (!status) port = fathom_server_port(server);
    return status;
}

static int close_all(void **state) {
    (void)state;
    fathom_server_close(server);
    fathom_catalogue_close(catalogue);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return 0;
}

/* Asks and checks the status; the reply's JSON, NULL where it is none. */
static json_t *ask_at(uint16_t at, const char *method, const char *path, const char *headers, const char *body,
                      int status) {
    struct http_reply reply;
    http_ask(&reply, at, method, path, headers, body);
    if (reply.status != status || !reply.whole)
        fail_msg("%s %s: %d, not %d: %s", method, path, reply.status, status, reply.body ? reply.body : "");
    json_t *value = json_loads(reply.body, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    http_reply_free(&reply);
    return value;
}

static json_t *ask(const char *method, const char *path, const char *body, int status) {
    return ask_at(port, method, path, NULL, body, status);
}

/* "a.0.b" in a JSON value. */
static json_t *at(const json_t *value, const char *path) {
    char step[64];
    json_t *found = NULL;
    for (const json_t *here = value; *path; here = found) {
        const size_t length = strcspn(path, ".");
        snprintf(step, sizeof step, "%.*s", (int)length, path);
        found = json_is_array(here) ? json_array_get(here, (size_t)atoi(step)) : json_object_get(here, step);
        if (!found) fail_msg("there is no \"%s\"", path);
        path += length + (path[length] == '.');
    }
    return found;
}

static const char *text_at(const json_t *value, const char *path) {
    return json_string_value(at(value, path));
}

static long long number_at(const json_t *value, const char *path) {
    return json_integer_value(at(value, path));
}

static void refuses(const char *method, const char *path, const char *body, int status, const char *part) {
    json_t *reply = ask(method, path, body, status);
    const char *message = text_at(reply, "error.message");
    if (!message || !strstr(message, part))
        fail_msg("%s %s: \"%s\" lacks \"%s\"", path, body, message ? message : "", part);
    assert_true(json_is_string(at(reply, "error.type")));
    json_decref(reply);
}

static void small_routes(void **state) {
    (void)state;
    json_t *reply = ask("GET", "/healthz", NULL, 200);
    assert_string_equal(text_at(reply, "status"), "ok");
    json_decref(reply);
    reply = ask("GET", "/v1/models", NULL, 200);
    assert_string_equal(text_at(reply, "data.0.id"), fathom_model_describe(model)->name);
    json_decref(reply);
    json_decref(ask("GET", "/v1/models/default", NULL, 200));
    refuses("GET", "/v1/models/other", NULL, 404, "\"other\"");
    reply = ask("POST", "/v1/tokenize", "{\"text\": \"Hello\"}", 200);
    const long long n = number_at(reply, "count");
    assert_true(n >= 1 && n == (long long)json_array_size(at(reply, "tokens")));
    json_t *tokens = json_array();
    for (long long i = 0; i < n; i++)
        json_array_append(tokens, json_object_get(json_array_get(at(reply, "tokens"), (size_t)i), "id"));
    json_t *request = json_pack("{s:o}", "tokens", tokens);
    char *text = json_dumps(request, 0);
    json_decref(reply);
    reply = ask("POST", "/v1/detokenize", text, 200);
    assert_string_equal(text_at(reply, "text"), "Hello");
    json_decref(reply);
    json_decref(request);
    free(text);
    reply = ask("GET", "/api/status", NULL, 200);
    assert_int_equal(number_at(reply, "limits.at_once"), 2);
    assert_string_equal(text_at(reply, "dictionary.name"), "toy");
    json_decref(reply);
    reply = ask("GET", "/api/hooks", NULL, 200);
    assert_string_equal(text_at(reply, "hooks.0.alias"), "embed");
    json_decref(reply);
}

static void chats_are_answered(void **state) {
    (void)state;
    json_t *first = ask("POST", "/v1/chat/completions", CHAT(", \"logprobs\": true, \"top_logprobs\": 2"), 200);
    json_t *again = ask("POST", "/v1/chat/completions", CHAT(""), 200);
    assert_string_equal(text_at(first, "choices.0.message.content"), text_at(again, "choices.0.message.content"));
    assert_string_equal(text_at(first, "choices.0.message.role"), "assistant");
    const long long n = number_at(first, "usage.completion_tokens");
    assert_in_range(n, 1, 8);
    assert_string_equal(text_at(first, "choices.0.finish_reason"), n == 8 ? "length" : "stop");
    json_t *logprobs = at(first, "choices.0.logprobs.content");
    assert_int_equal(json_array_size(logprobs), n);
    for (size_t i = 0; i < json_array_size(logprobs); i++) {
        /* Greedily drawn: the likeliest is the one that came. */
        const json_t *token = json_array_get(logprobs, i);
        assert_string_equal(text_at(token, "token"), text_at(token, "top_logprobs.0.token"));
        assert_true(fabs(json_real_value(at(token, "logprob")) - json_real_value(at(token, "top_logprobs.0.logprob"))) <
                    1e-4);
        assert_true(json_real_value(at(token, "top_logprobs.1.logprob")) <=
                    json_real_value(at(token, "top_logprobs.0.logprob")));
    }
    assert_true(json_is_null(at(again, "choices.0.logprobs")));
    assert_true(number_at(again, "usage.prompt_tokens_details.cached_tokens") > 0);
    json_decref(first);
    json_decref(again);
}

/* The pieces of a stream together. */
static void read_stream(char *text, size_t size, size_t *n_tokens, const char *body) {
    struct http_reply reply;
    char type[64];
    bool done = false;
    text[0] = '\0';
    *n_tokens = 0;
    http_ask(&reply, port, "POST", "/v1/chat/completions", NULL, body);
    assert_int_equal(reply.status, 200);
    assert_true(reply.whole && http_header(type, sizeof type, &reply, "Content-Type"));
    assert_string_equal(type, "text/event-stream");
    for (char *rest = NULL, *line = strtok_r(reply.body, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_false(done);
        assert_memory_equal(line, "data: ", 6);
        done = strcmp(line, "data: [DONE]") == 0;
        json_t *chunk = done ? NULL : json_loads(line + 6, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert_true(done || chunk);
        const char *piece = json_string_value(
            json_object_get(json_object_get(json_array_get(json_object_get(chunk, "choices"), 0), "delta"), "content"));
        if (piece) strncat(text, piece, size - strlen(text) - 1);
        const json_t *tokens = json_object_get(json_array_get(json_object_get(chunk, "choices"), 0), "tokens");
        for (size_t i = 0; i < json_array_size(tokens); i++, ++*n_tokens)
            assert_int_equal(json_array_size(at(json_array_get(tokens, i), "levels")), 2);
        json_decref(chunk);
    }
    assert_true(done);
    http_reply_free(&reply);
}

static void streams_say_what_whole_replies_say(void **state) {
    (void)state;
    char text[512];
    size_t n = 0;
    json_t *whole = ask("POST", "/v1/chat/completions", CHAT(", \"watch\": [2, {\"feature\": 5, \"above\": 1}]"), 200);
    assert_int_equal(json_array_size(at(whole, "watch")), 2);
    json_t *tokens = at(whole, "choices.0.tokens");
    assert_int_equal(json_array_size(tokens), number_at(whole, "usage.completion_tokens"));
    read_stream(text, sizeof text, &n, CHAT(", \"stream\": true, \"watch\": [2, 5]"));
    assert_string_equal(text, text_at(whole, "choices.0.message.content"));
    assert_int_equal(n, json_array_size(tokens));
    read_stream(text, sizeof text, &n, CHAT(", \"stream\": true, \"stream_options\": {\"include_usage\": true}"));
    assert_string_equal(text, text_at(whole, "choices.0.message.content"));
    json_decref(whole);
}

static void answers_are_steered(void **state) {
    (void)state;
    json_t *plain = ask("POST", "/v1/chat/completions", CHAT(", \"logprobs\": true, \"watch\": [2]"), 200);
    json_t *steered =
        ask("POST", "/v1/chat/completions",
            CHAT(", \"logprobs\": true, \"watch\": [2], \"steer\": [{\"feature\": 2, \"mode\": \"clamp\", "
                 "\"value\": 100}]"),
            200);
    json_t *strength =
        ask("POST", "/v1/chat/completions",
            CHAT(", \"steer\": [{\"feature\": 2, \"strength\": 2, \"rows\": \"answer\"}], \"features\": 3, "
                 "\"watch_prompt\": true"),
            200);
    /* A clamped feature has its level at every token, less what lies below its threshold. */
    const json_t *tokens = at(steered, "choices.0.tokens"), *plain_tokens = at(plain, "choices.0.tokens");
    for (size_t i = 0; i < json_array_size(tokens); i++)
        assert_true(fabs(json_real_value(at(json_array_get(tokens, i), "levels.0")) - 80.0) < 20.1);
    for (size_t i = 0; i < json_array_size(plain_tokens); i++)
        assert_true(json_real_value(at(json_array_get(plain_tokens, i), "levels.0")) < 60.0);
    assert_true(fabs(json_real_value(at(plain, "choices.0.logprobs.content.0.logprob")) -
                     json_real_value(at(steered, "choices.0.logprobs.content.0.logprob"))) > 1e-3);
    assert_int_equal(json_array_size(at(strength, "choices.0.prompt_tokens")),
                     number_at(strength, "usage.prompt_tokens"));
    assert_true(json_array_size(at(strength, "choices.0.tokens.0.features")) <= 3);
    json_decref(plain);
    json_decref(steered);
    json_decref(strength);
}

/* A list, a document and an expression that say the same do the same. */
static void plans_are_read_in_three_forms(void **state) {
    (void)state;
    json_t *list =
        ask("POST", "/v1/chat/completions",
            CHAT(", \"steer\": [{\"feature\": 2, \"mode\": \"add\", \"value\": 40, \"rows\": \"answer\"}]"), 200);
    json_t *document = ask("POST", "/v1/chat/completions",
                           CHAT(", \"steer\": {\"fathom_plan\": 1, \"edits\": [{\"feature\": 2, \"how\": \"add\", "
                                "\"value\": 40, \"unit\": \"activation\", \"part\": \"answer\"}]}"),
                           200);
    json_t *expression = ask("POST", "/v1/chat/completions", CHAT(", \"steer\": \"#2 +40 raw while answering\""), 200);
    json_t *plain = ask("POST", "/v1/chat/completions", CHAT(""), 200);
    assert_string_equal(text_at(list, "choices.0.message.content"), text_at(document, "choices.0.message.content"));
    assert_string_equal(text_at(list, "choices.0.message.content"), text_at(expression, "choices.0.message.content"));
    assert_string_not_equal(text_at(list, "choices.0.message.content"), text_at(plain, "choices.0.message.content"));
    assert_int_equal(number_at(document, "usage.prompt_tokens_details.cached_tokens"), 0);
    json_decref(list);
    json_decref(document);
    json_decref(expression);
    json_decref(plain);
}

static void plain_and_steered_answers_stand_side_by_side(void **state) {
    (void)state;
    static const char edits[] = ", \"steer\": [{\"feature\": 2, \"mode\": \"add\", \"value\": 40}], \"temperature\": 0";
    char body[512];
    snprintf(body, sizeof body, "{\"prompt\": \"The cat\", \"max_tokens\": 8%s}", edits);
    json_t *both = ask("POST", "/api/steer", body, 200), *steered = ask("POST", "/v1/completions", body, 200);
    json_t *plain =
        ask("POST", "/v1/completions", "{\"prompt\": \"The cat\", \"max_tokens\": 8, \"temperature\": 0}", 200);
    assert_string_equal(text_at(both, "choices.0.text"), text_at(plain, "choices.0.text"));
    assert_string_equal(text_at(both, "choices.1.text"), text_at(steered, "choices.0.text"));
    assert_string_not_equal(text_at(both, "choices.0.text"), text_at(both, "choices.1.text"));
    json_decref(both);
    json_decref(steered);
    json_decref(plain);
    refuses("POST", "/api/steer", "{\"prompt\": \"x\"}", 400, "steer");
    refuses("POST", "/api/steer", "{\"steer\": [{\"feature\": 2, \"value\": 1}]}", 400, "one of");
    refuses("POST", "/api/steer", "{\"prompt\": \"x\", \"n\": 2, \"steer\": [{\"feature\": 2, \"value\": 1}]}", 400,
            "once");
}

static void texts_go_on(void **state) {
    (void)state;
    json_t *one = ask("POST", "/v1/completions",
                      "{\"prompt\": \"The cat\", \"max_tokens\": 6, \"temperature\": 0, \"logprobs\": 1}", 200);
    json_t *many =
        ask("POST", "/v1/completions",
            "{\"prompt\": [\"The dog\", \"The cat\"], \"n\": 2, \"max_tokens\": 6, \"temperature\": 0}", 200);
    assert_int_equal(json_array_size(at(many, "choices")), 4);
    assert_string_equal(text_at(many, "choices.2.text"), text_at(one, "choices.0.text"));
    assert_string_equal(text_at(many, "choices.3.text"), text_at(one, "choices.0.text"));
    assert_int_equal(number_at(many, "choices.3.index"), 3);
    const size_t n = (size_t)number_at(one, "usage.completion_tokens");
    assert_int_equal(json_array_size(at(one, "choices.0.logprobs.tokens")), n);
    assert_int_equal(json_array_size(at(one, "choices.0.logprobs.text_offset")), n);
    assert_int_equal(number_at(one, "choices.0.logprobs.text_offset.0"), 0);
    json_decref(one);
    json_decref(many);
    /* A seed gives the same text again, whatever runs beside. */
    json_t *a = ask("POST", "/v1/completions", "{\"prompt\": \"The\", \"max_tokens\": 8, \"seed\": 7}", 200);
    json_t *b = ask("POST", "/v1/completions", "{\"prompt\": \"The\", \"max_tokens\": 8, \"seed\": 7}", 200);
    assert_string_equal(text_at(a, "choices.0.text"), text_at(b, "choices.0.text"));
    assert_int_equal(number_at(a, "seed"), 7);
    json_decref(a);
    json_decref(b);
}

static void rows_are_embedded(void **state) {
    (void)state;
    json_t *reply = ask("POST", "/v1/embeddings",
                        "{\"input\": [\"a cat\", [20, 21, 22]], \"hook\": \"resid_post.1\", \"pool\": \"last\"}", 200);
    assert_int_equal(json_array_size(at(reply, "data.0.embedding")), 64);
    assert_string_equal(text_at(reply, "hook"), HOOK);
    json_t *unit = ask("POST", "/v1/embeddings",
                       "{\"input\": [20, 21, 22], \"hook\": \"resid_post.1\", \"pool\": \"last\", \"normalise\": true, "
                       "\"dimensions\": 4}",
                       200);
    double sum = 0;
    assert_int_equal(json_array_size(at(unit, "data.0.embedding")), 4);
    for (size_t i = 0; i < 4; i++) {
        const double value = json_real_value(json_array_get(at(unit, "data.0.embedding"), i));
        sum += value * value;
    }
    assert_true(fabs(sum - 1.0) < 1e-5);
    json_t *coded = ask("POST", "/v1/embeddings",
                        "{\"input\": \"a cat\", \"encoding_format\": \"base64\", \"model\": \"default\"}", 200);
    assert_int_equal(strlen(text_at(coded, "data.0.embedding")), (64 * 4 + 2) / 3 * 4);
    json_decref(reply);
    json_decref(unit);
    json_decref(coded);
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"hook\": \"nowhere\"}", 404, "nowhere");
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"hook\": \"pattern.1\"}", 400, "fixed width");
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"pool\": \"most\"}", 400, "\"mean\"");
    refuses("POST", "/v1/embeddings", "{\"input\": []}", 400, "\"input\"");
    refuses("POST", "/v1/embeddings", "{\"input\": [99999999]}", 400, "token 0");
    refuses("POST", "/v1/embeddings", "{}", 400, "\"input\"");
}

static void features_are_told(void **state) {
    (void)state;
    json_t *reply = ask("GET", "/api/features?offset=2&limit=3", NULL, 200);
    assert_int_equal(number_at(reply, "total"), TOY_FEATURES);
    assert_int_equal(json_array_size(at(reply, "features")), 3);
    assert_int_equal(number_at(reply, "features.0.feature"), 2);
    json_decref(reply);
    reply = ask("GET", "/api/features/2?examples=1", NULL, 200);
    assert_string_equal(text_at(reply, "index"), "2");
    assert_string_equal(text_at(reply, "hookName"), HOOK);
    assert_true(json_array_size(at(reply, "activations")) <= 1);
    assert_int_equal(json_array_size(at(reply, "freq_hist_data_bar_heights")), FATHOM_HISTOGRAM_BINS);
    json_decref(reply);
    refuses("GET", "/api/features/8", NULL, 404, "8");
    refuses("GET", "/api/features/two", NULL, 404, "\"two\"");
    refuses("GET", "/api/features?limit=many", NULL, 400, "limit");
    refuses("GET", "/api/features?limit=201", NULL, 400, "200");
    reply = ask("POST", "/api/activations", "{\"text\": \"the cat sat\", \"features\": 2}", 200);
    assert_true(json_array_size(at(reply, "tokens")) >= 3);
    assert_int_equal(json_array_size(at(reply, "tokens.0.features")), 0); /* a position that is skipped */
    json_decref(reply);
    json_decref(ask("POST", "/api/search", "{\"text\": \"the cat sat\"}", 200));
    json_decref(ask("POST", "/api/search", "{\"token\": \"a\"}", 200));
    refuses("POST", "/api/search", "{\"words\": \"a\", \"text\": \"b\"}", 400, "one of");
    refuses("POST", "/api/search", "{\"token\": \"quite a lot of tokens\"}", 400, "tokens");
    reply = ask("PUT", "/api/features/3/label", "{\"label\": \"small words\"}", 200);
    assert_string_equal(text_at(reply, "label"), "small words");
    json_decref(reply);
    reply = ask("GET", "/api/features?offset=3&limit=1", NULL, 200); /* at once, and everywhere */
    assert_string_equal(text_at(reply, "features.0.label"), "small words");
    assert_string_equal(text_at(reply, "features.0.label_origin"), "user");
    json_decref(reply);
    reply = ask("POST", "/api/search", "{\"words\": \"small words\"}", 200);
    assert_int_equal(number_at(reply, "features.0.feature"), 3);
    assert_string_equal(text_at(reply, "features.0.label"), "small words");
    json_decref(reply);
    json_decref(ask("PUT", "/api/features/3/label", "{\"label\": \"little words\"}", 200));
    reply = ask("GET", "/api/features/3", NULL, 200);
    assert_string_equal(text_at(reply, "explanations.0.description"), "little words");
    assert_int_equal(json_array_size(at(reply, "labelChanges")), 2); /* the latest first */
    assert_string_equal(text_at(reply, "labelChanges.0.description"), "little words");
    assert_string_equal(text_at(reply, "labelChanges.1.description"), "small words");
    json_decref(reply);
    reply = ask("PUT", "/api/features/3/label", "{\"label\": null}", 200);
    const char *left = json_string_value(json_object_get(reply, "label_origin"));
    assert_true(!left || strcmp(left, "user") != 0);
    json_decref(reply);
    refuses("PUT", "/api/features/3/label", "{\"label\": 5}", 400, "label");
    refuses("PUT", "/api/features/99/label", "{\"label\": \"x\"}", 404, "99");
}

static void features_have_places(void **state) {
    (void)state;
    json_t *map = ask("GET", "/api/map", NULL, 200), *again = ask("GET", "/api/map", NULL, 200);
    assert_string_equal(text_at(map, "method"), "pca");
    assert_int_equal(number_at(map, "features"), TOY_FEATURES);
    assert_int_equal(json_array_size(at(map, "x")), TOY_FEATURES);
    assert_int_equal(json_array_size(at(map, "y")), TOY_FEATURES);
    /* Eight orthonormal directions lie alike in seven dimensions around their mean. */
    for (int axis = 0; axis < 2; axis++)
        assert_true(fabs(json_real_value(json_array_get(at(map, "explained"), (size_t)axis)) - 1.0 / 7) < 1e-6);
    assert_true(fabs(json_real_value(at(map, "even")) - 1.0 / TOY_WIDTH) < 1e-12);
    double sums[2] = {0}, squares[2] = {0};
    for (size_t i = 0; i < TOY_FEATURES; i++)
        for (int axis = 0; axis < 2; axis++) {
            const double value = json_real_value(json_array_get(at(map, axis ? "y" : "x"), i));
            sums[axis] += value;
            squares[axis] += value * value;
        }
    for (int axis = 0; axis < 2; axis++)
        assert_true(fabs(sums[axis]) < 1e-5 && fabs(squares[axis] - 1) < 1e-5);
    assert_true(json_equal(map, again));
    json_decref(map);
    json_decref(again);
}

static void answers_are_explained(void **state) {
    (void)state;
    json_t *reply = ask("POST", "/api/explain", "{\"prompt\": \"The cat sat\", \"answer_tokens\": 2}", 200);
    json_t *greedy =
        ask("POST", "/v1/completions", "{\"prompt\": \"The cat sat\", \"max_tokens\": 2, \"temperature\": 0}", 200);
    assert_string_equal(text_at(reply, "answer"), text_at(greedy, "choices.0.text"));
    assert_int_equal(number_at(reply, "first_token_rank"), 0);
    assert_int_equal(json_array_size(at(reply, "layers")), fathom_model_describe(model)->n_layers);
    assert_true(json_array_size(at(reply, "features")) > 0);
    assert_true(json_is_boolean(at(reply, "features.0.ablated.holds")));
    json_decref(greedy);
    json_decref(reply);
    reply = ask("POST", "/api/explain",
                "{\"prompt\": \"a c\", \"corrupt\": \"a b\", \"answer\": \"d\", \"features\": false}", 200);
    assert_null(json_object_get(reply, "features"));
    assert_int_equal(json_array_size(at(reply, "patching.recovered")), fathom_model_describe(model)->n_layers);
    json_decref(reply);
    refuses("POST", "/api/explain", "{}", 400, "prompt");
    refuses("POST", "/api/explain", "{\"prompt\": \"a\", \"answer\": \"\"}", 400, "answer");
    refuses("POST", "/api/explain", "{\"prompt\": \"a\", \"answer_tokens\": 0}", 400, "answer_tokens");
    refuses("POST", "/api/explain", "{\"prompt\": \"a\", \"corrupt\": \"a longer text\"}", 400, "as many");
}

static void jobs_are_refused_without_a_program(void **state) {
    (void)state;
    json_t *reply = ask("GET", "/api/jobs", NULL, 200);
    assert_int_equal(json_array_size(at(reply, "jobs")), 0);
    json_decref(reply);
    refuses("POST", "/api/jobs", "{\"command\": \"eval\"}", 400, "program");
    refuses("POST", "/api/jobs/1/resume", "{}", 400, "program");
    refuses("GET", "/api/jobs/1", NULL, 404, "1");
    refuses("DELETE", "/api/jobs/1", NULL, 404, "1");
    refuses("GET", "/api/jobs/x", NULL, 404, "job");
    refuses("GET", "/api/runs/x", NULL, 404, "run");
}

/* An answer in the schema: a colour, one to three numbers, and perhaps a short name. */
static void check_answer(const char *text) {
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!value) fail_msg("no JSON: %s", text);
    const char *colour = text_at(value, "colour");
    assert_true(strcmp(colour, "red") == 0 || strcmp(colour, "blue") == 0);
    const json_t *numbers = at(value, "numbers"), *name = json_object_get(value, "name");
    assert_in_range(json_array_size(numbers), 1, 3);
    for (size_t i = 0; i < json_array_size(numbers); i++)
        assert_true(json_is_integer(json_array_get(numbers, i)));
    assert_true(!name || (json_is_string(name) && json_string_length(name) <= 4 * 3));
    assert_int_equal(json_object_size(value), name ? 3 : 2);
    json_decref(value);
}

/* The model's weights are random: nothing but the grammar makes it write this. */
static void answers_are_held_to_a_schema(void **state) {
    (void)state;
    static const char schema[] =
        "{\"type\": \"object\", \"properties\": {\"colour\": {\"enum\": [\"red\", \"blue\"]}, \"numbers\": {\"type\": "
        "\"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 1, \"maxItems\": 3}, \"name\": {\"type\": "
        "\"string\", "
        "\"maxLength\": 3}}, \"required\": [\"colour\", \"numbers\"], \"additionalProperties\": false}";
    char body[1500];
    for (int seed = 0; seed < 8; seed++) {
        snprintf(
            body, sizeof body,
            "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}], \"max_tokens\": 200, \"temperature\": %d, "
            "\"seed\": %d, \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"x\", "
            "\"schema\": %s}}}",
            seed % 3, seed, schema);
        json_t *reply = ask("POST", "/v1/chat/completions", body, 200);
        assert_string_equal(text_at(reply, "choices.0.finish_reason"), "stop");
        check_answer(text_at(reply, "choices.0.message.content"));
        json_decref(reply);
    }
    json_t *reply =
        ask("POST", "/v1/chat/completions", CHAT(", \"response_format\": {\"type\": \"json_object\"}"), 200);
    assert_int_equal(text_at(reply, "choices.0.message.content")[0], '{');
    json_decref(reply);
    refuses("POST", "/v1/chat/completions", CHAT(", \"response_format\": {\"type\": \"json_schema\"}"), 400, "schema");
    refuses(
        "POST", "/v1/chat/completions",
        CHAT(", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"schema\": {\"type\": \"string\", "
             "\"pattern\": \"a\"}}}"),
        400, "pattern");
    refuses(
        "POST", "/v1/chat/completions",
        CHAT(", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"schema\": {\"$ref\": \"#\"}}}"),
        400, "grammar");
    refuses("POST", "/v1/chat/completions", CHAT(", \"response_format\": {\"type\": \"xml\"}"), 400, "xml");
}

static void bad_requests_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *body, *part;
    } chats[] = {
        {"{}", "messages"},
        {"{\"messages\": []}", "messages"},
        {"{\"messages\": \"hello\"}", "messages"},
        {"{\"messages\": [5]}", "messages[0]"},
        {"{\"messages\": [{\"role\": \"user\"}]}", "content"},
        {"{\"messages\": [{\"role\": 1, \"content\": \"x\"}]}", "role"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}", "parts of text"},
        {CHAT(", \"temperature\": 1"), "not valid JSON"}, /* a key that comes twice */
        {CHAT(", \"top_p\": \"high\""), "top_p"},
        {CHAT(", \"top_p\": 1.5"), "top_p"},
        {CHAT(", \"n\": 0"), "\"n\""},
        {CHAT(", \"n\": 1e3"), "\"n\""},
        {CHAT(", \"seed\": 1.5"), "seed"},
        {CHAT(", \"stop\": 5"), "stop"},
        {CHAT(", \"stop\": [\"\"]"), "stop"},
        {CHAT(", \"stream\": \"yes\""), "stream"},
        {CHAT(", \"top_logprobs\": 3"), "logprobs"},
        {CHAT(", \"logprobs\": true, \"top_logprobs\": 21"), "top_logprobs"},
        {CHAT(", \"tools\": [{\"type\": \"function\"}]"), "tools"},
        {CHAT(", \"response_format\": {\"type\": \"grammar\"}"), "grammar"},
        {CHAT(", \"logit_bias\": {\"5\": 1}"), "logit_bias"},
        {CHAT(", \"max_completion_tokens\": 100000"), "at most 256 fit"},
        {CHAT(", \"steer\": {}"), "steer"},
        {CHAT(", \"steer\": 5"), "steer"},
        {CHAT(", \"steer\": \"feature 2 plus some\""), "steer"},
        {CHAT(", \"steer\": {\"fathom_plan\": 1, \"edits\": [{\"probe\": \"/etc/passwd\", \"how\": \"add\", "
              "\"value\": 1}]}"),
         "\"probe\" cannot be used"},
        {CHAT(", \"steer\": {\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"how\": \"add\", \"value\": 1, "
              "\"while\": {\"feature\": 1, \"above\": 1, \"dictionary\": \"other.gguf\"}}]}"),
         "\"dictionary\" cannot be used"},
        {CHAT(", \"steer\": [{}]"), "steer[0]"},
        {CHAT(", \"steer\": [{\"feature\": 8, \"value\": 1}]"), "steer[0]"},
        {CHAT(", \"steer\": [{\"feature\": 1}]"), "strength"},
        {CHAT(", \"steer\": [{\"feature\": 1, \"value\": 1, \"mode\": \"double\"}]"), "\"clamp\""},
        {CHAT(", \"steer\": [{\"feature\": 1, \"value\": 1e300}]"), "too large"},
        {CHAT(", \"steer\": [{\"feature\": 1, \"value\": 1, \"layers\": [3, 1]}]"), "layers"},
        {CHAT(", \"watch\": [\"2\"]"), "watch[0]"},
        {CHAT(", \"watch\": [-1]"), "watch[0]"},
        {CHAT(", \"features\": 65"), "features"},
        {"[]", "object"},
        {"", "JSON"},
        {"{\"messages\": ", "JSON"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"\xff\"}]}", "JSON"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"\\u0000\"}]}", "JSON"},
    };
    for (size_t i = 0; i < sizeof chats / sizeof chats[0]; i++)
        refuses("POST", "/v1/chat/completions", chats[i].body, 400, chats[i].part);
    refuses("POST", "/v1/chat/completions", CHAT(", \"model\": \"other\""), 404, "\"other\"");
    refuses("POST", "/v1/completions", "{\"prompt\": 5}", 400, "prompt");
    refuses("POST", "/v1/completions", "{\"prompt\": \"x\", \"echo\": true}", 400, "echo");
    refuses("GET", "/nothing", NULL, 404, "/nothing");
    refuses("GET", "/v1/../../etc/passwd", NULL, 404, "there is no");
    refuses("POST", "/healthz", "{}", 405, "POST");
    refuses("DELETE", "/v1/models", NULL, 405, "DELETE");
    char deep[2 * 100 + 64] = "{\"messages\": ";
    memset(deep + strlen(deep), '[', 100);
    refuses("POST", "/v1/chat/completions", deep, 400, "deep");
    json_decref(ask_at(port, "POST", "/v1/chat/completions", "Content-Type: text/plain\r\n", CHAT(""), 415));
}

static void the_page_is_open_to_all_and_loads_only_itself(void **state) {
    (void)state;
    struct http_reply reply;
    char value[256];
    http_ask(&reply, port, "GET", "/", NULL, NULL);
    assert_int_equal(reply.status, 200);
    assert_true(reply.whole && strstr(reply.body, "<!doctype html>"));
    assert_true(http_header(value, sizeof value, &reply, "Content-Type"));
    assert_string_equal(value, "text/html; charset=utf-8");
    assert_true(http_header(value, sizeof value, &reply, "Content-Security-Policy"));
    assert_non_null(strstr(value, "default-src 'none'"));
    assert_true(http_header(value, sizeof value, &reply, "Cache-Control"));
    http_reply_free(&reply);
    refuses("GET", "/assets/none.js", NULL, 404, "none.js");
    refuses("POST", "/", "{}", 404, "there is no /");
}

static void strangers_stay_outside(void **state) {
    (void)state;
    static const char get[] = "GET /v1/models HTTP/1.1\r\n%s\r\n";
    static const char *const bad[] = {"Host: evil.example\r\n", "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n",
                                      "Host: 127.0.0.1\r\nOrigin: null\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        struct http_reply reply;
        const int client = http_connect(port);
        snprintf(text, sizeof text, get, bad[i]);
        assert_true(http_send(client, text, strlen(text)));
        http_receive(&reply, client);
        assert_int_equal(reply.status, 403);
        http_reply_free(&reply);
        http_close(client);
    }
    json_decref(ask_at(port, "GET", "/v1/models", "Origin: http://127.0.0.1\r\n", NULL, 200));
}

static void guarded_servers_ask_for_their_token(void **state) {
    (void)state;
    static const char *const origins[] = {"https://page.example"};
    struct fathom_server_options options = options_of();
    fathom_server *guarded = NULL;
    struct http_reply reply;
    char value[64];
    options.token = TOKEN;
    options.read_only = true;
    options.origins = origins;
    options.n_origins = 1;
    check_ok(fathom_server_open(&guarded, &options));
    const uint16_t at_port = fathom_server_port(guarded);
    json_decref(ask_at(at_port, "GET", "/healthz", NULL, NULL, 200));
    json_decref(ask_at(at_port, "GET", "/v1/models", NULL, NULL, 401));
    json_decref(ask_at(at_port, "GET", "/v1/models", "Authorization: Bearer " TOKEN "x\r\n", NULL, 401));
    json_decref(ask_at(at_port, "GET", "/v1/models", "Authorization: Basic " TOKEN "\r\n", NULL, 401));
    json_decref(ask_at(at_port, "GET", "/v1/models", BEARER, NULL, 200));
    json_decref(ask_at(at_port, "POST", "/v1/chat/completions", BEARER, CHAT(""), 200));
    json_decref(ask_at(at_port, "PUT", "/api/features/1/label", BEARER, "{\"label\": \"x\"}", 403));
    http_ask(&reply, at_port, "OPTIONS", "/v1/chat/completions", "Origin: https://page.example\r\n", NULL);
    assert_int_equal(reply.status, 204);
    assert_true(http_header(value, sizeof value, &reply, "Access-Control-Allow-Origin"));
    assert_string_equal(value, origins[0]);
    http_reply_free(&reply);
    fathom_server_close(guarded);
}

static void bad_options_are_refused(void **state) {
    (void)state;
    fathom_server *none = NULL;
    struct fathom_server_options options = options_of();
    options.host = "0.0.0.0";
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "needs a token");
    options.token = "short";
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "16");
    options = options_of();
    options.host = "a name";
    options.token = TOKEN;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "a name");
    options = options_of();
    options.dictionary = NULL;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "catalogue");
    options = options_of();
    options.n_parallel = 1000;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "at most 256");
    options = options_of();
    options.model = NULL;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "model");
    options = options_of();
    options.port = port; /* taken */
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_IO, "listen");
}

static bool say(int client, const char *text) {
    return http_send(client, text, strlen(text));
}

static void long_requests_are_cut_off(void **state) {
    (void)state;
    enum { PIECE = 4096, PIECES = 3 * BODY_BYTES / PIECE };
    static char piece[PIECE];
    struct http_reply reply;
    memset(piece, 'x', sizeof piece);
    /* Told beforehand: refused before it is sent. */
    int client = http_connect(port);
    static const char told[] = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                               "Content-Length: 1073741824\r\n\r\n";
    assert_true(http_send(client, told, strlen(told)));
    http_receive(&reply, client);
    assert_int_equal(reply.status, 413);
    http_reply_free(&reply);
    http_close(client);
    /* Not told: read no further than is kept. */
    client = http_connect(port);
    static const char untold[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    assert_true(http_send(client, untold, strlen(untold)));
    for (int i = 0; i < PIECES; i++) {
        assert_true(http_send(client, "1000\r\n", 6));
        assert_true(http_send(client, piece, sizeof piece));
        assert_true(http_send(client, "\r\n", 2));
    }
    assert_true(http_send(client, "0\r\n\r\n", 5));
    http_receive(&reply, client);
    assert_int_equal(reply.status, 413);
    http_reply_free(&reply);
    http_close(client);
    /* Headers without end. */
    client = http_connect(port);
    assert_true(say(client, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "));
    for (int i = 0; i < 64 && http_send(client, piece, sizeof piece); i++)
        continue;
    http_receive(&reply, client);
    assert_true(reply.status == 0 || reply.status == 431 || reply.status == 413);
    http_reply_free(&reply);
    http_close(client);
    /* No HTTP at all. */
    client = http_connect(port);
    assert_true(say(client, "\x16\x03\x01\xff\xfe nonsense\r\n\r\n"));
    http_receive(&reply, client);
    assert_true(reply.status == 0 || reply.status == 400);
    http_reply_free(&reply);
    http_close(client);
    json_decref(ask("GET", "/healthz", NULL, 200));
}

static void slow_clients_are_cut_off(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *hasty = NULL;
    struct http_reply reply;
    options.read_seconds = 0.2;
    check_ok(fathom_server_open(&hasty, &options));
    const int client = http_connect(fathom_server_port(hasty));
    assert_true(say(client, "POST /v1/completions HTTP/1.1\r\nHost: localho"));
    http_receive(&reply, client); /* returns because the server closes */
    assert_int_equal(reply.status, 0);
    http_reply_free(&reply);
    http_close(client);
    fathom_server_close(hasty);
}

static double metric(const char *name) {
    struct http_reply reply;
    char line[64];
    http_ask(&reply, port, "GET", "/metrics", NULL, NULL);
    assert_int_equal(reply.status, 200);
    snprintf(line, sizeof line, "\nfathom_%s ", name);
    const char *found = strstr(reply.body, line);
    assert_non_null(found);
    const double value = atof(found + strlen(line));
    http_reply_free(&reply);
    return value;
}

/* A client that goes in the middle of an answer leaves its place to others. */
static void vanished_clients_leave_their_place(void **state) {
    (void)state;
    static const char request[] = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                  "application/json\r\nContent-Length: %zu\r\n\r\n%s";
    static const char *const bodies[] = {
        "{\"prompt\": \"a\", \"max_tokens\": 200, \"stream\": true, \"top_k\": 40}",
        "{\"prompt\": \"b\", \"max_tokens\": 200}",
    };
    const double jobs = metric("jobs_total");
    for (int round = 0; round < 4; round++) {
        char text[512];
        const char *body = bodies[round % 2];
        const int client = http_connect(port);
        snprintf(text, sizeof text, request, strlen(body), body);
        assert_true(http_send(client, text, strlen(text)));
        if (round % 2 == 0) assert_true(http_receive_until(client, "data: "));
        http_close(client);
    }
    json_decref(ask("POST", "/v1/chat/completions", CHAT(""), 200));
    assert_true(metric("jobs_total") >= jobs + 3);
}

struct client {
    pthread_t thread;
    int number, failed;
    char text[256];
};

static void *talk(void *payload) {
    struct client *client = payload;
    struct http_reply reply;
    char body[256];
    snprintf(
        body, sizeof body,
        "{\"prompt\": \"text %d\", \"max_tokens\": 12, \"temperature\": 0, \"steer\": [{\"feature\": %d, \"mode\": "
        "\"add\", \"value\": %d}]}",
        client->number % 3, client->number % 3, client->number % 3);
    http_ask(&reply, port, "POST", "/v1/completions", NULL, body);
    json_t *value = reply.status == 200 ? json_loads(reply.body, JSON_ALLOW_NUL, NULL) : NULL;
    const char *text = json_string_value(json_object_get(json_array_get(json_object_get(value, "choices"), 0), "text"));
    client->failed = !text;
    snprintf(client->text, sizeof client->text, "%s", text ? text : "");
    json_decref(value);
    http_reply_free(&reply);
    return NULL;
}

static void answers_do_not_mix(void **state) {
    (void)state;
    enum { CLIENTS = 9 };
    static struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.number = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, talk, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_false(clients[i].failed);
        assert_string_equal(clients[i].text, clients[i % 3].text);
    }
}

static void full_queues_say_when_to_come_back(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *small = NULL;
    struct http_reply reply;
    char seconds[16];
    options.n_parallel = 1;
    options.n_queue = 1;
    check_ok(fathom_server_open(&small, &options));
    http_ask(&reply, fathom_server_port(small), "POST", "/v1/completions", NULL,
             "{\"prompt\": [\"a\", \"b\", \"c\", \"d\"], \"n\": 16, \"max_tokens\": 200}");
    assert_int_equal(reply.status, 429);
    assert_true(http_header(seconds, sizeof seconds, &reply, "Retry-After"));
    assert_in_range(atoi(seconds), 1, 60);
    http_reply_free(&reply);
    fathom_server_close(small);
}

static void stopping_breaks_off_what_runs(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *brief = NULL;
    check_ok(fathom_server_open(&brief, &options));
    const int client = http_connect(fathom_server_port(brief));
    static const char request[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 50\r\n\r\n{\"prompt\": \"a\", \"max_tokens\": 250, \"stream\": true}";
    assert_true(http_send(client, request, strlen(request)));
    assert_true(http_receive_until(client, "data: "));
    fathom_server_stop(brief, 0);
    fathom_server_stop(brief, 0);
    assert_int_equal(http_connect(fathom_server_port(brief)), -1);
    fathom_server_close(brief);
    http_close(client);
}

/* Every route that /openapi.json tells of is there, and every reply has what its schema requires. */
static void the_description_is_true(void **state) {
    (void)state;
    json_t *about = ask("GET", "/openapi.json", NULL, 200);
    assert_string_equal(text_at(about, "openapi"), "3.1.0");
    const char *path, *method;
    json_t *methods, *operation;
    size_t n = 0;
    json_object_foreach (json_object_get(about, "paths"), path, methods) {
        json_object_foreach (methods, method, operation) {
            const bool bodiless = strcmp(method, "get") == 0 || strcmp(method, "delete") == 0;
            char name_of[8] = "";
            for (size_t c = 0; method[c] && c + 1 < sizeof name_of; c++)
                name_of[c] = (char)toupper((unsigned char)method[c]);
            char asked[128], *brace = NULL;
            snprintf(asked, sizeof asked, "%s", path);
            if ((brace = strchr(asked, '{'))) snprintf(brace, 32, "%s", strstr(path, "{model}") ? "default" : "1");
            struct http_reply reply;
            http_ask(&reply, port, name_of, asked, NULL, bodiless ? NULL : "{}");
            char code[8];
            snprintf(code, sizeof code, "%d", reply.status);
            json_t *described = json_object_get(json_object_get(operation, "responses"), code);
            if (!brace || strchr(path, '}')[1] == '\0')
                if (!described) fail_msg("%s %s: %s is not described", method, asked, code);
            const json_t *schema =
                json_object_get(json_object_get(json_object_get(described, "content"), "application/json"), "schema");
            json_t *value = schema ? json_loads(reply.body, JSON_ALLOW_NUL, NULL) : NULL, *name;
            size_t i;
            json_array_foreach (json_object_get(schema, "required"), i, name)
                if (!json_object_get(value, json_string_value(name)))
                    fail_msg("%s %s: \"%s\" is missing", method, asked, json_string_value(name));
            json_decref(value);
            http_reply_free(&reply);
            n++;
        }
    }
    assert_in_range(n, 15, 100);
    json_decref(about);
}

static void every_request_is_logged(void **state) {
    (void)state;
    const int before = atomic_load(&logged);
    json_decref(ask("GET", "/healthz", NULL, 200));
    json_decref(ask("GET", "/no\xc3\xa9thing", NULL, 404));
    while (atomic_load(&logged) < before + 2) /* a reply's line comes when it has been sent */
        sched_yield();
    assert_int_equal(atomic_load(&badly_logged), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_routes),
        cmocka_unit_test(chats_are_answered),
        cmocka_unit_test(streams_say_what_whole_replies_say),
        cmocka_unit_test(answers_are_steered),
        cmocka_unit_test(plans_are_read_in_three_forms),
        cmocka_unit_test(plain_and_steered_answers_stand_side_by_side),
        cmocka_unit_test(texts_go_on),
        cmocka_unit_test(rows_are_embedded),
        cmocka_unit_test(features_are_told),
        cmocka_unit_test(features_have_places),
        cmocka_unit_test(answers_are_explained),
        cmocka_unit_test(jobs_are_refused_without_a_program),
        cmocka_unit_test(answers_are_held_to_a_schema),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(the_page_is_open_to_all_and_loads_only_itself),
        cmocka_unit_test(strangers_stay_outside),
        cmocka_unit_test(guarded_servers_ask_for_their_token),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(long_requests_are_cut_off),
        cmocka_unit_test(slow_clients_are_cut_off),
        cmocka_unit_test(vanished_clients_leave_their_place),
        cmocka_unit_test(answers_do_not_mix),
        cmocka_unit_test(full_queues_say_when_to_come_back),
        cmocka_unit_test(stopping_breaks_off_what_runs),
        cmocka_unit_test(the_description_is_true),
        cmocka_unit_test(every_request_is_logged),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
