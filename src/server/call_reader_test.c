/* Answers taken apart, however they come in pieces. */
#include "server/call_reader.h"
#include "tests/support/check.h"
#include <string.h>

static char opening[] = "<call>{\"name\": \"", between[] = "\", \"arguments\": ", closing[] = "}</call>";
static const struct fathom__tool_format format = {.opening = opening, .between = between, .closing = closing};

/* What an answer is read as, in pieces of so many bytes. */
static void reads(const char *answer, const char *text, const char *name, const char *arguments,
                  enum fathom__call_state state) {
    const size_t n = strlen(answer);
    for (size_t size = 1; size <= n + 1; size++) {
        struct fathom__call_reader reader;
        char said[400] = "", passed[400] = "";
        int named = 0;
        fathom__call_reader_open(&reader, &format);
        for (size_t at = 0; at < n || at == 0; at += size) {
            const size_t rest = n - at, piece = rest < size ? rest : size;
            check_ok(fathom__call_reader_add(&reader, answer + at, piece, at + piece == n));
            if (reader.text.length) strcat(said, reader.text.bytes);
            if (reader.arguments.length) strcat(passed, reader.arguments.bytes);
            named += reader.named;
            /* Arguments never come before the name. */
            assert_true(named == 1 || passed[0] == '\0');
        }
        assert_string_equal(said, text);
        assert_string_equal(passed, arguments);
        assert_string_equal(reader.name.bytes ? reader.name.bytes : "", name);
        assert_int_equal(reader.state, state);
        assert_int_equal(named, state > FATHOM__CALL_NAME);
        fathom__call_reader_close(&reader);
    }
}

static void answers_are_taken_apart(void **state) {
    (void)state;
    reads("Hello.", "Hello.", "", "", FATHOM__CALL_NONE);
    reads("", "", "", "", FATHOM__CALL_NONE);
    reads("<call>{\"name\": \"get_x\", \"arguments\": {\"a\": [1, {\"b\": 2}]}}</call>", "", "get_x",
          "{\"a\": [1, {\"b\": 2}]}", FATHOM__CALL_WHOLE);
    reads("Let me see.\n<call>{\"name\": \"f\", \"arguments\": {}}</call>", "Let me see.\n", "f", "{}",
          FATHOM__CALL_WHOLE);
    /* Braces and quotation marks in strings close nothing. */
    reads("<call>{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"}\\\\\"}}</call>", "", "f", "{\"a\": \"}\\\"}\\\\\"}",
          FATHOM__CALL_WHOLE);
    /* What only begins like an opening is text, also where that comes twice or at the end. */
    reads("<<call>{\"nam<call>{\"name\": \"f\", \"arguments\": {}}</call>", "<<call>{\"nam", "f", "{}",
          FATHOM__CALL_WHOLE);
    reads("a <call>{\"name\": ", "a <call>{\"name\": ", "", "", FATHOM__CALL_NONE);
    reads("caf\u00e9 <ca", "caf\u00e9 <ca", "", "", FATHOM__CALL_NONE);
    /* Cut short. */
    reads("<call>{\"name\": \"get", "", "get", "", FATHOM__CALL_NAME);
    reads("<call>{\"name\": \"get\", \"arg", "", "get", "", FATHOM__CALL_BETWEEN);
    reads("<call>{\"name\": \"get\", \"arguments\": {\"a\": \"x", "", "get", "{\"a\": \"x", FATHOM__CALL_ARGUMENTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
