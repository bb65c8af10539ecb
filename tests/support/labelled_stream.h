/* Random text of a few words with features that a test switches on word by word: what labels are made of. */
#ifndef FATHOM_TESTS_LABELLED_STREAM_H
#define FATHOM_TESTS_LABELLED_STREAM_H

#include "base/random.h"
#include "base/scratch.h"
#include "tests/support/text_stream.h"
#include "tests/support/tiny_wordnet.h"

enum { LABELLED_WORDS = 40, LABELLED_ROWS = 128, LABELLED_MOST = 16 /* features of a row */ };

struct labelled_stream {
    const char *const *filler; /* what documents are put together from */
    size_t n_filler, n_documents;
    uint32_t n_features;
    uint64_t seed;
    /* The features of a word and their values, by what it is and what stood before it; returns their number. */
    size_t (*features)(uint32_t *features, float *values, const char *word, const char *before,
                       struct fathom__random *random);
};

static inline int labelled_stream_add(struct text_stream *out, const struct labelled_stream *of, uint64_t document,
                                      struct fathom__random *random) {
    char text[LABELLED_ROWS * 16] = "";
    for (int i = 0; i < LABELLED_WORDS; i++) {
        strcat(text, " ");
        strcat(text, of->filler[fathom__random_below(random, of->n_filler)]);
    }
    int32_t tokens[LABELLED_ROWS];
    bool covered[LABELLED_ROWS];
    size_t offsets[LABELLED_ROWS + 1] = {0}, n_values = 0;
    uint32_t features[LABELLED_ROWS * LABELLED_MOST];
    float values[LABELLED_ROWS * LABELLED_MOST];
    const size_t n = word_tokens(tokens, LABELLED_ROWS, &out->pieces, text);
    char before[32] = "";
    for (size_t row = 0; row < n; row++) {
        /* past the blank */
        const char *word = fathom__intern_text(NULL, &out->pieces.table, (uint32_t)tokens[row]) + 1;
        covered[row] = true;
        n_values += of->features(features + n_values, values + n_values, word, before, random);
        offsets[row + 1] = n_values;
        snprintf(before, sizeof before, "%s", word);
    }
    const struct fathom_sparse sparse = {.n_rows = n, .offsets = offsets, .features = features, .values = values};
    return fathom__evidence_add(out->evidence, tokens, covered, n, document, &sparse, 0);
}

/* With the lexicon that tiny_wordnet.h writes, and with a token more that no text has (NULL: none). Returns 0 on
 * success; call text_stream_close in any case. */
static inline int labelled_stream_open(struct text_stream *out, const struct labelled_stream *of, const char *unseen) {
    struct fathom__random random;
    const char *folder = scratch_root();
    int32_t token;
    *out = (struct text_stream){0};
    fathom__random_seed(&random, of->seed);
    if (tiny_wordnet_write(folder) || fathom__evidence_open(&out->evidence, of->n_features, 5, 1)) return -1;
    for (uint64_t i = 0; i < of->n_documents; i++)
        if (labelled_stream_add(out, of, i, &random)) return -1;
    if (unseen && word_tokens(&token, 1, &out->pieces, unseen) != 1) return -1;
    return fathom__evidence_seal(out->evidence) || word_vocabulary(&out->pieces) ||
           fathom__lexicon_open(&out->lexicon, folder) ||
           fathom__stream_open(&out->stream, out->evidence, &out->pieces.vocabulary, out->lexicon);
}

#endif
