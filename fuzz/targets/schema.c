/* JSON schemas as grammars. The engine refuses those of schemas that only point to themselves, and says so. */
#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <engine/sampler.h>
#include <fuzz/target.h>
#include <server/schema_grammar.h>

#define MODEL "tests/reference/llama/model.gguf"

static const fathom_model *open_model(void) {
    static fathom_model *model;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    if (model == NULL && fathom_model_open(&model, MODEL, NULL)) {
        fprintf(stderr, "%s\n", fathom_error_message());
        exit(EXIT_FAILURE);
    }
    return model;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    json_t *schema = NULL;
    char *grammar = NULL;
    int status = fathom__json_parse(&schema, (const char *)bytes, length, "input");
    if (!status) status = fathom__schema_grammar(&grammar, schema);
    FUZZ_CHECK(status);
    if (!status) FUZZ_CHECK(fathom__grammar_check(open_model(), grammar));
    fathom_free(grammar);
    json_decref(schema);
    return 0;
}
