/* Tools over a socket: a model whose template takes them, with random weights, calls what it is held to. */
#include "server/server_fixture.h"

#define TEMPLATE                                                                                                       \
    "{% if tools %}{{ '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"                        \
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content }}"                        \
    "{% for call in message.tool_calls or [] %}{{ '<call>{\"name\": \"' + call.function.name + '\", \"arguments\": "   \
    "' }}{{ call.function.arguments | tojson }}{{ '}</call>' }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"           \
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
#define WEATHER                                                                                                        \
    "{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"Tells it.\", \"parameters\": "  \
    "{\"type\": \"object\", \"properties\": {\"city\": {\"enum\": [\"Oslo\", \"Rome\"]}, \"days\": {\"type\": "        \
    "\"integer\"}}, \"required\": [\"city\"]}}}"
#define CLOCK "{\"type\": \"function\", \"function\": {\"name\": \"clock\"}}"
#define QUESTION "{\"role\": \"user\", \"content\": \"Hello\"}"
#define BODY(members) "{\"messages\": [" QUESTION "], \"max_tokens\": 120" members "}"

static int open_with_tools(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    int status = fathom_test_tiny_fill(&tiny, "llama", 1);
    if (!status) fathom__gguf_remove(tiny.writer, "tokenizer.chat_template");
    if (!status) status = fathom__gguf_put_string(tiny.writer, "tokenizer.chat_template", TEMPLATE);
    if (!status) status = fathom_test_tiny_commit(&tiny, scratch("tools.gguf"));
    fathom_test_tiny_free(&tiny);
    if (!status) status = fathom_model_open(&model, scratch("tools.gguf"), NULL);
    const struct fathom_server_options options = {.model = model,
                                                  .n_parallel = 2,
                                                  .n_context = 1024,
                                                  .n_batch = 64,
                                                  .n_threads = 1,
                                                  .data = scratch("data"),
                                                  .log = count_line};
    if (!status) status = fathom_server_open(&server, &options);
    if (status) print_error("%s\n", fathom_error_message());
    if (!status) port = fathom_server_port(server);
    return status;
}

/* The call's arguments fit its tool; gives the name. */
static const char *check_call(const json_t *call) {
    const char *name = text_at(call, "function.name");
    json_t *arguments = json_loads(text_at(call, "function.arguments"), JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(text_at(call, "type"), "function");
    assert_int_equal(strlen(text_at(call, "id")), 9);
    if (!json_is_object(arguments)) fail_msg("no object: %s", text_at(call, "function.arguments"));
    if (strcmp(name, "clock") == 0) {
        assert_int_equal(json_object_size(arguments), 0);
    } else {
        assert_string_equal(name, "weather");
        const char *city = text_at(arguments, "city");
        const json_t *days = json_object_get(arguments, "days");
        assert_true(strcmp(city, "Oslo") == 0 || strcmp(city, "Rome") == 0);
        assert_true(!days || json_is_integer(days));
        assert_int_equal(json_object_size(arguments), days ? 2 : 1);
    }
    json_decref(arguments);
    return name;
}

static void required_calls_fit_their_tools(void **state) {
    (void)state;
    char body[2000];
    int n_clock = 0;
    for (int seed = 0; seed < 6; seed++) {
        snprintf(body, sizeof body,
                 BODY(", \"seed\": %d, \"tools\": [" WEATHER ", " CLOCK "], \"tool_choice\": \"required\""), seed);
        json_t *reply = ask("POST", "/v1/chat/completions", body, 200);
        assert_string_equal(text_at(reply, "choices.0.finish_reason"), "tool_calls");
        assert_true(json_is_null(at(reply, "choices.0.message.content")));
        assert_int_equal(json_array_size(at(reply, "choices.0.message.tool_calls")), 1);
        n_clock += strcmp(check_call(at(reply, "choices.0.message.tool_calls.0")), "clock") == 0;
        json_decref(reply);
    }
    assert_in_range(n_clock, 1, 5);
    json_t *named = ask("POST", "/v1/chat/completions",
                        BODY(", \"tools\": [" WEATHER ", " CLOCK "], \"tool_choice\": {\"type\": \"function\", "
                             "\"function\": {\"name\": \"weather\"}}, \"n\": 3"),
                        200);
    for (size_t i = 0; i < 3; i++) {
        const json_t *calls = at(json_array_get(at(named, "choices"), i), "message.tool_calls");
        assert_string_equal(check_call(json_array_get(calls, 0)), "weather");
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(text_at(json_array_get(calls, 0), "id"),
                                    text_at(json_array_get(at(named, "choices"), k), "message.tool_calls.0.id"));
    }
    json_decref(named);
}

/* The deltas of a stream put together. */
static void streams_bring_calls_in_pieces(void **state) {
    (void)state;
    static const char members[] = ", \"temperature\": 0, \"tools\": [" WEATHER "], \"tool_choice\": \"required\"";
    char body[2000], arguments[400] = "", id[32] = "", finish[32] = "";
    struct http_reply reply;
    size_t n_names = 0, n_pieces = 0;
    snprintf(body, sizeof body, BODY("%s"), members);
    json_t *whole = ask("POST", "/v1/chat/completions", body, 200);
    snprintf(body, sizeof body, BODY("%s, \"stream\": true"), members);
    http_ask(&reply, port, "POST", "/v1/chat/completions", NULL, body);
    assert_int_equal(reply.status, 200);
    for (char *rest = NULL, *line = strtok_r(reply.body, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strcmp(line, "data: [DONE]") == 0) break;
        json_t *chunk = json_loads(line + 6, JSON_REJECT_DUPLICATES, NULL);
        const json_t *choice = at(chunk, "choices.0"), *delta = at(choice, "delta"),
                     *call = json_array_get(json_object_get(delta, "tool_calls"), 0);
        const char *content = json_string_value(json_object_get(delta, "content"));
        assert_true(!content || !*content);
        if (json_is_string(at(choice, "finish_reason")))
            snprintf(finish, sizeof finish, "%s", text_at(choice, "finish_reason"));
        if (call) {
            assert_int_equal(number_at(call, "index"), 0);
            strncat(arguments, text_at(call, "function.arguments"), sizeof arguments - strlen(arguments) - 1);
            n_pieces++;
        }
        if (json_object_get(call, "id")) {
            assert_string_equal(text_at(call, "function.name"), "weather");
            snprintf(id, sizeof id, "%s", text_at(call, "id"));
            n_names++;
        }
        json_decref(chunk);
    }
    http_reply_free(&reply);
    assert_int_equal(n_names, 1);
    assert_true(n_pieces > 1);
    assert_int_equal(strlen(id), 9);
    assert_string_equal(finish, "tool_calls");
    assert_string_equal(arguments, text_at(whole, "choices.0.message.tool_calls.0.function.arguments"));
    json_decref(whole);
}

/* Left to itself a model of random weights calls nothing: its answer is the one without a grammar. An earlier call and its result are
 * part of the prompt. */
static void answers_may_do_without(void **state) {
    (void)state;
    json_t *tools = ask("POST", "/v1/chat/completions", BODY(", \"temperature\": 0, \"tools\": [" CLOCK "]"), 200);
    json_t *none = ask("POST", "/v1/chat/completions",
                       BODY(", \"temperature\": 0, \"tools\": [" CLOCK "], \"tool_choice\": \"none\""), 200);
    json_t *plain = ask("POST", "/v1/chat/completions", BODY(", \"temperature\": 0"), 200);
    assert_null(json_object_get(at(tools, "choices.0.message"), "tool_calls"));
    assert_true(json_string_length(at(tools, "choices.0.message.content")) > 0);
    assert_string_equal(text_at(none, "choices.0.message.content"), text_at(plain, "choices.0.message.content"));
    assert_int_equal(number_at(none, "usage.prompt_tokens"), number_at(plain, "usage.prompt_tokens"));
    assert_true(number_at(tools, "usage.prompt_tokens") > number_at(plain, "usage.prompt_tokens"));
    json_t *after =
        ask("POST", "/v1/chat/completions",
            "{\"messages\": [" QUESTION
            ", {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"abcdefghi\", \"type\": "
            "\"function\", \"function\": {\"name\": \"clock\", \"arguments\": \"{}\"}}]}, {\"role\": \"tool\", "
            "\"tool_call_id\": \"abcdefghi\", \"content\": \"ten\"}], \"max_tokens\": 2}",
            200);
    assert_true(number_at(after, "usage.prompt_tokens") > number_at(plain, "usage.prompt_tokens") + 10);
    json_decref(after);
    json_decref(tools);
    json_decref(none);
    json_decref(plain);
}

/* An answer that is too long for its call says so. */
static void calls_that_are_cut_short(void **state) {
    (void)state;
    json_t *reply = ask("POST", "/v1/chat/completions",
                        "{\"messages\": [" QUESTION "], \"max_tokens\": 8, \"tools\": [" WEATHER
                        "], \"tool_choice\": \"required\"}",
                        200);
    assert_string_equal(text_at(reply, "choices.0.finish_reason"), "length");
    json_decref(reply);
}

static void what_is_wrong_is_told(void **state) {
    (void)state;
    static const struct {
        const char *members, *part;
    } cases[] = {
        {", \"tools\": 5", "\"tools\": a list"},
        {", \"tools\": [{\"type\": \"retrieval\"}]", "tools[0]: {\"type\": \"function\""},
        {", \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"a b\"}}]", "tools[0]: \"name\""},
        {", \"tools\": [" CLOCK ", " CLOCK "]", "tools[1]: \"clock\" is tools[0] already"},
        {", \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": "
         "\"object\", "
         "\"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": 1}}}}}]",
         "tools[0]: schema: \"minimum\" is not supported"},
        {", \"tool_choice\": \"required\"", "there are no \"tools\""},
        {", \"tools\": [" CLOCK "], \"tool_choice\": \"never\"", "\"tool_choice\": \"none\""},
        {", \"tools\": [" CLOCK "], \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"f\"}}",
         "there is no tool \"f\""},
        {", \"tools\": [" CLOCK "], \"parallel_tool_calls\": 3", "parallel_tool_calls"},
        {", \"tools\": [" CLOCK "], \"response_format\": {\"type\": \"json_object\"}", "beside a \"response_format\""},
    };
    char body[1000];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(body, sizeof body, "{\"messages\": [" QUESTION "], \"max_tokens\": 2%s}", cases[i].members);
        refuses("POST", "/v1/chat/completions", body, 400, cases[i].part);
    }
    refuses("POST", "/v1/completions", "{\"prompt\": \"a\", \"tools\": [" CLOCK "]}", 400, "\"tools\"");
    refuses(
        "POST", "/v1/chat/completions",
        "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"a\", \"function\": {\"name\": \"f\", "
        "\"arguments\": \"[]\"}}]}]}",
        400, "messages[0].tool_calls[0]: \"arguments\": a JSON object");
    refuses("POST", "/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": null}]}", 400,
            "messages[0]: \"content\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required_calls_fit_their_tools), cmocka_unit_test(streams_bring_calls_in_pieces),
        cmocka_unit_test(answers_may_do_without),         cmocka_unit_test(calls_that_are_cut_short),
        cmocka_unit_test(what_is_wrong_is_told),
    };
    return cmocka_run_group_tests(tests, open_with_tools, close_all);
}
