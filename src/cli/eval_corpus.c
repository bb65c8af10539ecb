#include "eval_corpus.h"
#include "cli.h"
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <fathom/write.h>

/* Rows that are left out, and the rest of the document that the last row is of, come on top of what is asked for. */
enum { SPARE_TOKENS = 2048, SEED = 20000 };

static const char *const topics[] = {
    "a walk by the river", "baking bread",        "the night sky",           "a football match",
    "growing tomatoes",    "the history of Rome", "repairing a bicycle",     "a letter to a friend",
    "the human heart",     "learning to paint",   "trains and stations",     "a recipe for soup",
    "how computers work",  "a storm at sea",      "the price of houses",     "music in the evening",
    "wild birds",          "a visit to a museum", "the first day of school", "how laws are made",
    "a detective's case",  "saving water",        "mountains and valleys",   "the rules of chess",
};

int eval_own_corpus(char **path, const fathom_model *model, uint64_t rows, uint64_t loss_tokens, uint32_t n_threads) {
    const struct fathom_write_options write = {.topics = topics,
                                               .n_topics = sizeof topics / sizeof topics[0],
                                               .tokens = rows + loss_tokens + SPARE_TOKENS,
                                               .n_threads = n_threads,
                                               .seed = SEED,
                                               .progress = cli_progress};
    char *name = NULL, *found = NULL;
    int status = fathom__format(&name, "derived/%s-own-text-%llu.jsonl", fathom_model_describe(model)->source_identity,
                                (unsigned long long)write.tokens);
    if (!status) status = fathom__cache_path(&found, name);
    if (!status && !fathom__file_exists(found)) status = fathom_corpus_write(NULL, found, model, &write);
    fathom_free(name);
    if (status)
        fathom_free(found);
    else
        *path = found;
    return status;
}
