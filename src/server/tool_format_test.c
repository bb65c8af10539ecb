/* How templates write calls: forms that are in use, each made short, and what is no form. */
#include "server/tool_format.h"
#include "tests/support/chat_models.h"

/* Begins with the tools, as all of them do. */
#define TOOLS "{% if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
#define TURN "<|im_start|>{{ message.role }}\n{{ message.content }}"
#define PROMPT "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

static const char tagged[] = TOOLS
    "{% for message in messages %}{{ '<|im_start|>' + message.role }}{% if message.content %}{{ '\n' + message.content "
    "}}"
    "{% endif %}{% for call in message.tool_calls or [] %}{{ '\n<tool_call>\n{\"name\": \"' + call.function.name + "
    "'\", \"arguments\": ' }}{{ call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}" PROMPT;
static const char bare[] =
    TOOLS "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}{% if message.tool_calls %}"
          "{{ '{\"name\": \"' + message.tool_calls[0].function.name + '\", \"parameters\": ' }}"
          "{{ message.tool_calls[0].function.arguments | tojson }}{{ '}' }}{% else %}{{ message.content }}{% endif %}"
          "{{ '<|im_end|>' }}{% endfor %}" PROMPT;
/* Its arguments are a text, put between the braces of others as it is. */
static const char listed[] =
    TOOLS "{% for message in messages %}{% if message.role == 'user' %}[INST]{{ message.content }}[/INST]{% elif "
          "message.tool_calls %}{{ '[CALLS] [' }}{% for call in message.tool_calls %}{{ '{\"name\": \"' + "
          "call.function.name + '\", \"arguments\": ' + call.function.arguments + ', \"id\": \"' + call.id + '\"}' }}"
          "{% endfor %}{{ ']</s>' }}{% else %}{{ message.content }}</s>{% endif %}{% endfor %}";

static void forms_are_found(void **state) {
    (void)state;
    static const struct {
        const char *chat_template, *opening, *between, *closing;
        bool as_text;
    } cases[] = {
        {tagged, "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>", false},
        {bare, "{\"name\": \"", "\", \"parameters\": ", "}", false},
        {listed, "[CALLS] [{\"name\": \"", "\", \"arguments\": ", ", \"id\": \"zqcall001\"}]", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom__tool_format format;
        check_ok(fathom__tool_format_find(&format, llama, cases[i].chat_template));
        assert_string_equal(format.opening, cases[i].opening);
        assert_string_equal(format.between, cases[i].between);
        assert_string_equal(format.closing, cases[i].closing);
        assert_int_equal(format.arguments_as_text, cases[i].as_text);
        fathom__tool_format_free(&format);
    }
}

static void refuses(const char *chat_template, int status, const char *part) {
    struct fathom__tool_format format;
    check_status(fathom__tool_format_find(&format, llama, chat_template), status, part);
    assert_null(format.opening);
}

static void what_has_no_form_is_refused(void **state) {
    (void)state;
    refuses(NULL, FATHOM_ERROR_UNSUPPORTED, "the model's chat template has none");
    refuses(TOOLS "{% for message in messages %}" TURN "{% endfor %}" PROMPT, FATHOM_ERROR_UNSUPPORTED,
            "does not write their calls");
    /* Arguments that are no JSON, that come first, and nothing around the name. */
    refuses(TOOLS
            "{% for message in messages %}" TURN "{% for call in message.tool_calls or [] %}"
            "{{ '<function=' + call.function.name + '>' }}{% for key, value in call.function.arguments.items() %}"
            "{{ '<parameter=' + key + '>' + value + '</parameter>' }}{% endfor %}</function>{% endfor %}{% endfor %}",
            FATHOM_ERROR_UNSUPPORTED, "not understood");
    refuses(TOOLS "{% for message in messages %}" TURN "{% for call in message.tool_calls or [] %}"
                  "{{ call.function.arguments | tojson }}{{ ' for ' + call.function.name }}{% endfor %}{% endfor %}",
            FATHOM_ERROR_UNSUPPORTED, "not understood");
    refuses(TOOLS "{% for message in messages %}" TURN "{% for call in message.tool_calls or [] %}"
                  "{{ call.function.name }}{{ call.function.arguments | tojson }}{% endfor %}{% endfor %}",
            FATHOM_ERROR_UNSUPPORTED, "not understood");
    refuses("{{ raise_exception('no such talk') }}", FATHOM_ERROR_FORMAT, "no such talk");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_found),
        cmocka_unit_test(what_has_no_form_is_refused),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
