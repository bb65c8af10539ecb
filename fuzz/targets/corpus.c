/* Corpora: text and JSONL, plain, in gzip and in zstd. The first byte chooses whether a field is named. */
#include <base/error.h>
#include <fathom/corpus.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom_corpus *corpus = NULL;
    struct fathom_corpus_source source = {0};
    if (length == 0) return 0;
    if (bytes[0] & 1) source.field = "text";
    source.path = scratch_file("input", bytes + 1, length - 1);
    int status = fathom_corpus_open(&corpus, &source, 1, 0);
    FUZZ_CHECK(status);
    size_t total = 0;
    for (bool more = true; !status && more;) {
        struct fathom_document document = {0};
        status = fathom_corpus_next(&document, &more, corpus);
        FUZZ_CHECK(status);
        for (size_t i = 0; !status && more && i < document.length; i++)
            total += (unsigned char)document.text[i];
    }
    if (total == SIZE_MAX) abort();
    fathom_corpus_close(corpus);
    return 0;
}
