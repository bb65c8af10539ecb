/* Chat templates: the model's own, a given one, and what is wrong with either. */
#include "engine/chat_render.h"
#include "tests/support/chat_models.h"

static const struct fathom_chat_message question = {"user", "  Why?\n"};

static void check_rendering(const fathom_model *model, const struct fathom_chat_message *messages, size_t n,
                            bool prompt, const char *given, const char *expected) {
    char *text = NULL;
    check_ok(fathom_chat_render(&text, model, messages, n, prompt, given));
    assert_string_equal(text, expected);
    fathom_free(text);
}

static void renders_the_models_own_template(void **state) {
    (void)state;
    const struct fathom_chat_message talk[] = {{"system", "Rhyme."}, {"user", "Hi"}, {"assistant", "Hello"}};
    check_rendering(
        llama, &question, 1, true, NULL,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n  Why?\n<|im_end|>\n<|im_start|>assistant\n");
    check_rendering(llama, talk, 3, false, NULL,
                    "<|im_start|>system\nRhyme.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>"
                    "assistant\nHello<|im_end|>\n");
    check_rendering(llama, NULL, 0, false, NULL, "");
}

static void blocks_leave_no_lines(void **state) {
    (void)state;
    check_rendering(gemma, &question, 1, true, NULL,
                    "<bos><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n");
}

static void a_given_template_comes_first(void **state) {
    (void)state;
    check_rendering(llama, &question, 1, true,
                    "{{ messages | length }}{{ eos_token }}{{ add_generation_prompt }}{{ tools is none }}",
                    "1<|im_end|>TrueTrue");
}

/* Members of any kind and in their order, as the template's own tojson writes them. */
static void tools_and_calls_are_the_templates(void **state) {
    (void)state;
    static const char given[] =
        "{% for tool in tools %}{{ tool.function | tojson }};{% endfor %}{% for call in messages[0].tool_calls %}"
        "{{ call.name }}{{ call.arguments | tojson }}{% endfor %}{{ messages[0].content is none }}";
    static const char calls[] = "[{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"name\": \"f\", "
                                "\"arguments\": {\"z\": [1, 0.5, \"\u00e9\"], \"a\": {\"b\": true, \"c\": null}}}]}]";
    static const char functions[] = "[{\"function\": {\"name\": \"f\"}}, {\"function\": {\"name\": \"g\"}}]";
    json_t *messages = json_loads(calls, 0, NULL), *tools = json_loads(functions, 0, NULL);
    char *text = NULL;
    check_ok(fathom__chat_render(&text, llama, messages, tools, true, given));
    assert_string_equal(text, "{\"name\": \"f\"};{\"name\": \"g\"};f{\"z\": [1, 0.5, \"\u00e9\"], \"a\": {\"b\": true, "
                              "\"c\": null}}True");
    fathom_free(text);
    check_ok(fathom__chat_render(&text, llama, messages, NULL, true, "{{ tools is none }}"));
    assert_string_equal(text, "True");
    fathom_free(text);
    json_decref(messages);
    json_decref(tools);
}

static void templates_raise_their_own_errors(void **state) {
    (void)state;
    const struct fathom_chat_message tool = {"tool", "x"};
    char *text = NULL;
    check_status(fathom_chat_render(&text, gemma, &tool, 1, true, NULL), FATHOM_ERROR_FORMAT,
                 "gemma3.gguf: chat template: line 3: roles are user and assistant");
    check_status(fathom_chat_render(&text, llama, &tool, 1, true, "a\n\n{{ nothing_such(1) }}"), FATHOM_ERROR_FORMAT,
                 "the given template: chat template: line 3: ");
    assert_null(text);
}

static void broken_templates_are_refused(void **state) {
    (void)state;
    const char *const broken[] = {"{% if x %}", "{{ 1 + }}", "{{ 'open }}",    "{% endfor %}",
                                  "{{",         "{# open",   "{% nonsense %}", "{{ x | nonsense }}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        char *text = NULL;
        check_status(fathom_chat_render(&text, llama, &question, 1, true, broken[i]), FATHOM_ERROR_FORMAT,
                     "the given template: chat template: ");
        assert_null(text);
    }
    char *text = NULL;
    check_status(fathom_chat_render(&text, llama, &question, 1, true, "a\n\n{% set x=y=1 %}"), FATHOM_ERROR_FORMAT,
                 "line 3: Expected %}");
}

/* Recursion as deep as a template is long. */
static void deep_nesting_is_survived(void **state) {
    (void)state;
    enum { DEPTH = 20000 };
    static char deep[2 * DEPTH + 16];
    char *text = NULL;
    memset(deep, '(', DEPTH);
    deep[0] = deep[1] = '{';
    deep[DEPTH] = '1';
    memset(deep + DEPTH + 1, ')', DEPTH - 2);
    strcpy(deep + 2 * DEPTH - 1, "}}");
    check_ok(fathom_chat_render(&text, llama, &question, 1, true, deep));
    assert_string_equal(text, "1");
    fathom_free(text);
}

/* Programs that never end, take all memory or call themselves. */
static void endless_templates_are_stopped(void **state) {
    (void)state;
    static const char *const endless[][2] = {
        {"{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% "
         "endfor "
         "%}",
         "the given template: the chat template is not rendered within 3 seconds"},
        {"{% for a in range(1000000000000) %}{% endfor %}", "the given template"},
        {"{% set n = namespace(s='xxxxxxxx') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
         "the given template"},
        {"{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "the given template"},
    };
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        char *text = NULL;
        check_status(fathom_chat_render(&text, llama, &question, 1, true, endless[i][0]), FATHOM_ERROR_LIMIT,
                     endless[i][1]);
        assert_null(text);
    }
    check_rendering(llama, &question, 1, true, "still {{ 'here' }}", "still here");
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    const struct fathom_chat_message bad = {"user", "a\xC0"}, none = {"user", NULL};
    char *text = NULL, *large = malloc(200001);
    memset(large, 'x', 200000);
    large[200000] = '\0';
    check_status(fathom_chat_render(&text, llama, &bad, 1, true, NULL), FATHOM_ERROR_FORMAT,
                 "chat message 0: byte 1 of its content");
    check_status(fathom_chat_render(&text, llama, &none, 1, true, NULL), FATHOM_ERROR_ARGUMENT, "chat message 0");
    check_status(fathom_chat_render(&text, llama, &question, 1, true, large), FATHOM_ERROR_LIMIT,
                 "a chat template of 200000 bytes");
    free(large);
    assert_null(text);
}

static void a_model_without_a_template_says_so(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    fathom_model *model = NULL;
    char *text = NULL;
    const char *path = scratch("plain.gguf");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    fathom__gguf_remove(tiny.writer, "tokenizer.chat_template");
    check_ok(fathom_test_tiny_commit(&tiny, path));
    fathom_test_tiny_free(&tiny);
    check_ok(fathom_model_open(&model, path, NULL));
    check_status(fathom_chat_render(&text, model, &question, 1, true, NULL), FATHOM_ERROR_NOT_FOUND,
                 "plain.gguf: the model has no chat template");
    check_rendering(model, &question, 1, true, "{{ messages[0].content }}", "  Why?\n");
    fathom_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_the_models_own_template),   cmocka_unit_test(blocks_leave_no_lines),
        cmocka_unit_test(a_given_template_comes_first),      cmocka_unit_test(templates_raise_their_own_errors),
        cmocka_unit_test(broken_templates_are_refused),      cmocka_unit_test(deep_nesting_is_survived),
        cmocka_unit_test(endless_templates_are_stopped),     cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(tools_and_calls_are_the_templates), cmocka_unit_test(a_model_without_a_template_says_so),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
