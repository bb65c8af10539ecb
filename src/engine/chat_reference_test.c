/* Chat templates against transformers: every template of tests/reference/chat with every conversation, byte for byte
 * (tests/reference/chat.py made the renderings), and SmolLM2's own template where that model is in the cache. */
#include "base/file.h"
#include "base/json.h"
#include <fathom/model.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_MESSAGES 16
#define TEMPLATE_LIMIT (1 << 20)

static json_t *document;
static fathom_model *tiny;

static int open_all(void **state) {
    (void)state;
    if (fathom__json_load(&document, "tests/reference/chat.json") != FATHOM_OK ||
        fathom_model_open(&tiny, "tests/reference/llama/model.gguf", NULL) != FATHOM_OK) {
        print_error("%s\n", fathom_error_message());
        return -1;
    }
    return 0;
}

static int close_all(void **state) {
    (void)state;
    json_decref(document);
    fathom_model_close(tiny);
    return 0;
}

static size_t read_messages(struct fathom_chat_message messages[MAX_MESSAGES], const json_t *of) {
    int64_t number = 0;
    assert_int_equal(fathom__json_get_integer(&number, of, "conversation", 0, 1000, true, "chat.json"), FATHOM_OK);
    const json_t *conversation = json_array_get(json_object_get(document, "conversations"), (size_t)number);
    assert_non_null(conversation);
    size_t n = json_array_size(conversation);
    assert_in_range(n, 0, MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        const json_t *message = json_array_get(conversation, i);
        messages[i].role = json_string_value(json_object_get(message, "role"));
        messages[i].content = json_string_value(json_object_get(message, "content"));
        assert_non_null(messages[i].role);
        assert_non_null(messages[i].content);
    }
    return n;
}

/* 0 when the rendering is what transformers made; prints what differs. */
static int check(const fathom_model *model, const json_t *expected, const char *chat_template) {
    struct fathom_chat_message messages[MAX_MESSAGES];
    size_t n = read_messages(messages, expected);
    bool prompt = json_is_true(json_object_get(expected, "add_generation_prompt"));
    const char *name = json_string_value(json_object_get(expected, "template"));
    const char *text = json_string_value(json_object_get(expected, "text"));
    const char *error = json_string_value(json_object_get(expected, "error"));
    json_int_t number = json_integer_value(json_object_get(expected, "conversation"));
    char *rendered = NULL;
    int status = fathom_chat_render(&rendered, model, messages, n, prompt, chat_template);
    int wrong = 0;
    if (text != NULL && status != FATHOM_OK) {
        print_error("%s, conversation %d: %s\n", name, (int)number, fathom_error_message());
        wrong = 1;
    } else if (text != NULL && strcmp(rendered, text) != 0) {
        print_error("%s, conversation %d, prompt %d:\n[%s]\nexpected\n[%s]\n", name, (int)number, prompt, rendered,
                    text);
        wrong = 1;
    } else if (text == NULL && status != FATHOM_ERROR_FORMAT) {
        print_error("%s, conversation %d: rendered \"%s\" instead of the error \"%s\"\n", name, (int)number,
                    status == FATHOM_OK ? rendered : "", error);
        wrong = 1;
    }
    fathom_free(rendered);
    return wrong;
}

static void templates_render_as_in_transformers(void **state) {
    (void)state;
    size_t index, checked = 0;
    int wrong = 0;
    const json_t *expected;
    json_array_foreach (json_object_get(document, "cases"), index, expected) {
        const char *name = json_string_value(json_object_get(expected, "template"));
        assert_non_null(name);
        if (name[0] == '\0') {
            continue;
        }
        char path[256], *source;
        size_t length;
        snprintf(path, sizeof(path), "tests/reference/chat/%s", name);
        assert_int_equal(fathom__file_read(&source, &length, path, TEMPLATE_LIMIT), FATHOM_OK);
        wrong += check(tiny, expected, source);
        checked++;
        fathom_free(source);
    }
    assert_int_equal(wrong, 0);
    assert_in_range(checked, 200, 1000);
}

static void what_a_template_raises_is_told(void **state) {
    (void)state;
    const struct fathom_chat_message messages[] = {{"user", "first"}, {"user", "second"}};
    char *text = NULL;
    const char *source = "{% for message in messages %}\n{% if loop.index0 % 2 %}{{ raise_exception('roles must "
                         "alternate') }}{% endif %}{% endfor %}";
    assert_int_equal(fathom_chat_render(&text, tiny, messages, 2, false, source), FATHOM_ERROR_FORMAT);
    assert_null(text);
    assert_non_null(strstr(fathom_error_message(), "roles must alternate"));
    assert_null(strchr(fathom_error_message(), '\n'));
    assert_int_equal(fathom_chat_render(&text, tiny, messages, 2, false, "{% if %}"), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom_chat_render(&text, tiny, messages, 2, false, "{{ unclosed"), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom_chat_render(&text, tiny, messages, 2, false, NULL), FATHOM_ERROR_NOT_FOUND);
    assert_null(text);
}

static void smollm2_renders_its_own_template(void **state) {
    (void)state;
    char *path = NULL;
    if (fathom_model_find(&path, "smollm2") != FATHOM_OK) {
        print_message("skipped: %s\n", fathom_error_message());
        skip();
    }
    fathom_model *model;
    assert_int_equal(fathom_model_open(&model, path, NULL), FATHOM_OK);
    size_t index, checked = 0;
    int wrong = 0;
    const json_t *expected;
    json_array_foreach (json_object_get(document, "cases"), index, expected) {
        if (json_string_length(json_object_get(expected, "template")) == 0) {
            wrong += check(model, expected, NULL);
            checked++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_in_range(checked, 20, 100);
    fathom_model_close(model);
    fathom_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_render_as_in_transformers),
        cmocka_unit_test(what_a_template_raises_is_told),
        cmocka_unit_test(smollm2_renders_its_own_template),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
