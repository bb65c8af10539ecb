#include "corpus_arguments.h"
#include <base/memory.h>

int corpus_arguments_parse(struct corpus_arguments *out, const char *const *texts, size_t n) {
    *out = (struct corpus_arguments){0};
    int status = fathom__alloc(&out->list, n, sizeof *out->list);
    if (!status) status = fathom__alloc(&out->storage, n, sizeof *out->storage);
    while (!status && out->n < n) {
        status = fathom_corpus_source_parse(&out->list[out->n], &out->storage[out->n], texts[out->n]);
        if (!status) out->n++;
    }
    return status;
}

int corpus_arguments_read(struct corpus_arguments *out, const struct cli_arguments *arguments, const char *option) {
    size_t n = 0;
    const char *const *texts = cli_all(&n, arguments, option);
    return corpus_arguments_parse(out, texts, n);
}

void corpus_arguments_free(struct corpus_arguments *corpus) {
    for (size_t i = 0; i < corpus->n; i++)
        fathom_free(corpus->storage[i]);
    fathom_free(corpus->storage);
    fathom_free(corpus->list);
    *corpus = (struct corpus_arguments){0};
}
