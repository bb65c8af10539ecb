/* A few texts as a stream of words, with the lexicon of a folder: each text is a sequence of a document of its own. */
#ifndef FATHOM_TESTS_TEXT_STREAM_H
#define FATHOM_TESTS_TEXT_STREAM_H

#include "tests/support/word_stream.h"

struct text_stream {
    struct word_pieces pieces;
    struct fathom__evidence *evidence;
    fathom__lexicon *lexicon;
    struct fathom__stream *stream;
};

/* Returns 0 on success; call text_stream_close in any case. */
static inline int text_stream_open(struct text_stream *out, const char *const *texts, size_t n, const char *folder) {
    enum { ROWS = 64 }; /* most tokens of a text */
    int32_t tokens[ROWS];
    bool covered[ROWS];
    size_t offsets[ROWS + 1] = {0};
    const struct fathom_sparse nothing = {.n_rows = ROWS, .offsets = offsets};
    *out = (struct text_stream){0};
    memset(covered, 1, sizeof covered);
    if (fathom__evidence_open(&out->evidence, 1, 1, 0)) return -1;
    for (size_t i = 0; i < n; i++) {
        const size_t count = word_tokens(tokens, ROWS, &out->pieces, texts[i]);
        if (!count || fathom__evidence_add(out->evidence, tokens, covered, count, i, &nothing, 0)) return -1;
    }
    return fathom__evidence_seal(out->evidence) || word_vocabulary(&out->pieces) ||
           fathom__lexicon_open(&out->lexicon, folder) ||
           fathom__stream_open(&out->stream, out->evidence, &out->pieces.vocabulary, out->lexicon);
}

static inline void text_stream_close(struct text_stream *read) {
    fathom__stream_close(read->stream);
    fathom__lexicon_close(read->lexicon);
    fathom__evidence_close(read->evidence);
    word_pieces_free(&read->pieces);
}

#endif
