/* What `fathom eval` reads where no corpus is named: text that the model writes itself. */
#ifndef FATHOM_CLI_EVAL_CORPUS_H
#define FATHOM_CLI_EVAL_CORPUS_H

#include <fathom/model.h>

/* How much of it is measured where nothing else is asked for. */
enum { EVAL_OWN_ROWS = 8192, EVAL_OWN_LOSS_TOKENS = 2048 };

/* The path, new, of a text of the model's own that is enough for so many rows and tokens; it is written on first use,
 * into the cache. A fathom_status. */
int eval_own_corpus(char **path, const fathom_model *model, uint64_t rows, uint64_t loss_tokens, uint32_t n_threads);

#endif
