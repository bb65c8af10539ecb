/* Chats and completions over a socket: whole, as streams, steered, watched, held to a schema, and refused. */
#include "server/server_fixture.h"
#include <pthread.h>

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
    /* All of them leave the prompt alone, and so have it from the first. */
    const long long n_prompt = number_at(list, "usage.prompt_tokens");
    assert_int_equal(number_at(document, "usage.prompt_tokens_details.cached_tokens"), n_prompt - 1);
    assert_int_equal(number_at(expression, "usage.prompt_tokens_details.cached_tokens"), n_prompt - 1);
    assert_int_equal(number_at(plain, "usage.prompt_tokens_details.cached_tokens"), n_prompt - 1);
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
        400, "points to itself");
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
    refuses("POST", "/v1/completions", "{\"prompt\": \"x\", \"best_of\": 2}", 400, "best_of");
    refuses("GET", "/nothing", NULL, 404, "/nothing");
    refuses("GET", "/v1/../../etc/passwd", NULL, 404, "there is no");
    refuses("POST", "/healthz", "{}", 405, "POST");
    refuses("DELETE", "/v1/models", NULL, 405, "DELETE");
    char deep[2 * 100 + 64] = "{\"messages\": ";
    memset(deep + strlen(deep), '[', 100);
    refuses("POST", "/v1/chat/completions", deep, 400, "deep");
    json_decref(ask_at(port, "POST", "/v1/chat/completions", "Content-Type: text/plain\r\n", CHAT(""), 415));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats_are_answered),
        cmocka_unit_test(streams_say_what_whole_replies_say),
        cmocka_unit_test(answers_are_steered),
        cmocka_unit_test(plans_are_read_in_three_forms),
        cmocka_unit_test(plain_and_steered_answers_stand_side_by_side),
        cmocka_unit_test(texts_go_on),
        cmocka_unit_test(answers_are_held_to_a_schema),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(answers_do_not_mix),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
