/* Sources of a corpus, as options such as --corpus name them. */
#ifndef FATHOM_CLI_CORPUS_ARGUMENTS_H
#define FATHOM_CLI_CORPUS_ARGUMENTS_H

#include "cli.h"
#include <fathom/corpus.h>

#define CLI_CORPUS_VALUE "FILE[:FIELD][=WEIGHT[*]]"

struct corpus_arguments {
    struct fathom_corpus_source *list;
    size_t n;
    char **storage; /* the strings of the list; [n] */
};

/* All values of an option. A fathom_status; *out is to be freed in any case. */
int corpus_arguments_read(struct corpus_arguments *out, const struct cli_arguments *arguments, const char *option);
/* The same of texts that were given otherwise. */
int corpus_arguments_parse(struct corpus_arguments *out, const char *const *texts, size_t n);
void corpus_arguments_free(struct corpus_arguments *corpus);

#endif
