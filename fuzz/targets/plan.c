/* Plans as texts, expressions and documents: what an expression is translated into is a document that is taken. */
#include <base/error.h>
#include <base/memory.h>
#include <fathom/plan.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char *document = NULL, *again = NULL;
    const int status = fathom_steer_translate(&document, (const char *)bytes, length, "input");
    FUZZ_CHECK(status);
    if (!status && fathom_steer_translate(&again, document, strlen(document), "translation")) abort();
    fathom_free(again);
    fathom_free(document);
    return 0;
}
