/* Whose words a chat's tokens are. */
#include "tests/support/chat_models.h"
#include <fathom/chat.h>

/* The text of the tokens that have this role. */
static void words_of(char out[1024], const fathom_model *model, const char *messages, enum fathom_chat_role role) {
    int32_t *tokens = NULL;
    uint8_t *roles = NULL;
    size_t n = 0, length = 0;
    check_ok(fathom_chat_tokenize(&tokens, &roles, &n, model, messages, strlen(messages)));
    for (size_t i = 0; i < n; i++) {
        const char *bytes;
        size_t size;
        if (roles[i] != role) continue;
        check_ok(fathom_token_bytes(&bytes, &size, model, tokens[i]));
        assert_true(length + size < 1024);
        memcpy(out + length, bytes, size);
        length += size;
    }
    out[length] = '\0';
    fathom_free(tokens);
    fathom_free(roles);
}

/* The first user's words also stand in the template's own system message, and the assistant's in the user's. */
static void words_are_told_apart(void **state) {
    (void)state;
    static const char talk[] = "[{\"role\": \"user\", \"content\": \"Be brief. Why?\"}, {\"role\": \"assistant\", "
                               "\"content\": \"Why?\"}, {\"role\": \"user\", \"content\": \"Be\"}]";
    const fathom_model *const models[] = {llama, gemma};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char text[1024];
        words_of(text, models[i], talk, FATHOM_ROLE_USER);
        assert_string_equal(text, "Be brief. Why?Be");
        words_of(text, models[i], talk, FATHOM_ROLE_ASSISTANT);
        assert_string_equal(text, "Why?");
        words_of(text, models[i], talk, FATHOM_ROLE_SYSTEM);
        assert_string_equal(text, "");
    }
    char text[1024];
    words_of(text, llama, talk, FATHOM_ROLE_NONE);
    assert_string_equal(text, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>"
                              "assistant\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n");
    words_of(text, llama, "[{\"role\": \"system\", \"content\": \"Rhyme.\"}, {\"role\": \"user\", \"content\": \"x\"}]",
             FATHOM_ROLE_SYSTEM);
    assert_string_equal(text, "Rhyme.");
}

static void what_is_no_chat_is_refused(void **state) {
    (void)state;
    int32_t *tokens = NULL;
    uint8_t *roles = NULL;
    size_t n = 0;
    static const struct {
        const char *messages, *part;
    } bad[] = {{"[{\"role\"", "messages"},
               {"[]", "a message or more"},
               {"{\"role\": \"user\"}", "message"},
               {"[{\"role\": \"user\"}]", "message 0"},
               {"[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": 1, \"content\": \"b\"}]", "message 1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fathom_chat_tokenize(&tokens, &roles, &n, llama, bad[i].messages, strlen(bad[i].messages)),
                         FATHOM_ERROR_FORMAT);
        if (!strstr(fathom_error_message(), bad[i].part)) fail_msg("%s", fathom_error_message());
    }
    assert_null(tokens);
}

static void roles_have_names(void **state) {
    (void)state;
    assert_int_equal(fathom_chat_role("assistant"), FATHOM_ROLE_ASSISTANT);
    assert_int_equal(fathom_chat_role("tool"), FATHOM_ROLE_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_told_apart),
                                       cmocka_unit_test(what_is_no_chat_is_refused),
                                       cmocka_unit_test(roles_have_names)};
    return cmocka_run_group_tests(tests, open_models, close_models);
}
