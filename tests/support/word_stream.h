/* Text as tokens without a model: a piece is an optional blank and a run of letters or digits, or one other byte. */
#ifndef FATHOM_TESTS_WORD_STREAM_H
#define FATHOM_TESTS_WORD_STREAM_H

#include "base/memory.h"
#include "catalogue/intern.h"
#include "catalogue/stream.h"

#include <ctype.h>
#include <string.h>

struct word_pieces {
    struct fathom__intern table;
    struct fathom__vocabulary vocabulary; /* made by word_vocabulary */
};

/* Tokens of a text; returns their number, at most `capacity`. */
static size_t word_tokens(int32_t *out, size_t capacity, struct word_pieces *pieces, const char *text) {
    size_t n = 0;
    while (*text && n < capacity) {
        size_t length = *text == ' ' ? 1 : 0;
        while (isalnum((unsigned char)text[length]))
            length++;
        if (!length || (length == 1 && *text == ' ')) length = 1;
        uint32_t id;
        if (fathom__intern_add(&id, &pieces->table, text, length)) return 0;
        out[n++] = (int32_t)id;
        text += length;
    }
    return n;
}

/* Call when all pieces are known: their text must not move any more. */
static int word_vocabulary(struct word_pieces *pieces) {
    struct fathom__vocabulary *vocabulary = &pieces->vocabulary;
    vocabulary->n = pieces->table.count;
    int status;
    if ((status = fathom__alloc(&vocabulary->bytes, vocabulary->n, sizeof *vocabulary->bytes)) ||
        (status = fathom__alloc(&vocabulary->lengths, vocabulary->n, sizeof *vocabulary->lengths)) ||
        (status = fathom__alloc(&vocabulary->special, vocabulary->n, sizeof *vocabulary->special)))
        return status;
    for (uint32_t i = 0; i < vocabulary->n; i++)
        vocabulary->bytes[i] = fathom__intern_text(&vocabulary->lengths[i], &pieces->table, i);
    return 0;
}

static void word_pieces_free(struct word_pieces *pieces) {
    fathom__vocabulary_free(&pieces->vocabulary);
    fathom__intern_free(&pieces->table);
}

#endif
