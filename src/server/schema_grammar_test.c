/* Schemas that become grammars, and those that are refused. What is written by them is tested with a model (server_test.c). */
#include "base/memory.h"
#include "server/schema_grammar.h"
#include "tests/support/check.h"
#include <fathom/error.h>
#include <string.h>

static void has(const char *schema, const char *rule) {
    json_t *value = schema ? json_loads(schema, 0, NULL) : NULL;
    char *grammar = NULL;
    assert_true(!schema || value);
    assert_int_equal(fathom__schema_grammar(&grammar, value), FATHOM_OK);
    if (!strstr(grammar, rule)) fail_msg("\"%s\" is not in:\n%s", rule, grammar);
    fathom_free(grammar);
    json_decref(value);
}

static void schemas_become_rules(void **state) {
    (void)state;
    has(NULL, "root ::= object\n");
    has("{}", "root ::= value\n");
    has("{\"type\": \"boolean\", \"description\": \"x\"}", "root ::= boolean\n");
    has("{\"const\": \"a \\\"b\\\"\"}", "r0 ::= \"\\\"a \\\\\\\"b\\\\\\\"\\\"\" \n");
    has("{\"enum\": [1, \"x\", null]}", "r0 ::= \"1\" | \"\\\"x\\\"\" | \"null\" \n");
    has("{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 5}", "char{1,5} ");
    has("{\"type\": \"array\", \"items\": {\"type\": \"null\"}, \"minItems\": 1, \"maxItems\": 3}",
        "\"[\" space (null (\",\" space null){0,2} ) \"]\"");
    has("{\"type\": [\"integer\", \"null\"]}", "r0 ::= integer | null\n");
    has("{\"properties\": {\"a\": {\"type\": \"null\"}}, \"required\": [\"a\"]}", "\"\\\"a\\\"\" \":\" space null");
    has("{\"type\": \"object\", \"properties\": {\"next\": {\"anyOf\": [{\"$ref\": \"#\"}, {\"type\": \"null\"}]}}}",
        "root ::= ");
}

static void fails(const char *schema, int status, const char *part) {
    json_t *value = json_loads(schema, JSON_DECODE_ANY, NULL);
    char *grammar = NULL;
    assert_non_null(value);
    assert_int_equal(fathom__schema_grammar(&grammar, value), status);
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" lacks \"%s\"", fathom_error_message(), part);
    assert_null(grammar);
    json_decref(value);
}

static void what_is_not_understood_is_refused(void **state) {
    (void)state;
    fails("{\"type\": \"string\", \"pattern\": \"a+\"}", FATHOM_ERROR_UNSUPPORTED, "pattern");
    fails("{\"type\": \"integer\", \"minimum\": 3}", FATHOM_ERROR_UNSUPPORTED, "minimum");
    fails("{\"type\": [\"integer\", \"null\"], \"minimum\": 3}", FATHOM_ERROR_UNSUPPORTED, "minimum");
    fails("{\"oneOf\": [{}]}", FATHOM_ERROR_UNSUPPORTED, "oneOf");
    fails("{\"$ref\": \"other.json\"}", FATHOM_ERROR_UNSUPPORTED, "$ref");
    fails("{\"type\": \"object\", \"anyOf\": [{}]}", FATHOM_ERROR_UNSUPPORTED, "anyOf");
    fails("{\"enum\": [1], \"minimum\": 0}", FATHOM_ERROR_UNSUPPORTED, "minimum");
    fails("{\"type\": \"object\", \"required\": [\"a\"]}", FATHOM_ERROR_UNSUPPORTED, "required");
    fails("{\"$ref\": \"#/$defs/none\"}", FATHOM_ERROR_FORMAT, "none");
    fails("{\"type\": \"text\"}", FATHOM_ERROR_FORMAT, "text");
    fails("{\"enum\": []}", FATHOM_ERROR_FORMAT, "enum");
    fails("{\"type\": \"array\", \"minItems\": 3, \"maxItems\": 2}", FATHOM_ERROR_FORMAT, "maxItems");
    fails("{\"type\": \"string\", \"maxLength\": 100000}", FATHOM_ERROR_FORMAT, "maxLength");
    fails("5", FATHOM_ERROR_FORMAT, "object");
    fails("{\"$ref\": \"#\"}", FATHOM_ERROR_FORMAT, "\"#\" points to itself");
    fails("{\"$ref\": \"#/$defs/a\", \"$defs\": {\"a\": {\"$ref\": \"#/$defs/b\"}, \"b\": {\"anyOf\": [{\"type\": "
          "\"null\"}, {\"$ref\": \"#/$defs/a\"}]}}}",
          FATHOM_ERROR_FORMAT, "\"#/$defs/a\" points to itself");
    char deep[1024] = "";
    for (int i = 0; i < 40; i++)
        strcat(deep, "{\"items\":");
    strcat(deep, "true");
    for (int i = 0; i < 40; i++)
        strcat(deep, "}");
    fails(deep, FATHOM_ERROR_LIMIT, "deep");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_become_rules),
        cmocka_unit_test(what_is_not_understood_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
