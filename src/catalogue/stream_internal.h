/* Shared by stream.c, which finds the words of a sequence, and stream_entries.c, which finds their entries in the lexicon. */
#ifndef FATHOM_CATALOGUE_STREAM_INTERNAL_H
#define FATHOM_CATALOGUE_STREAM_INTERNAL_H

#include "catalogue/stream.h"

struct fathom__placed_word {
    uint32_t word;               /* number of its lower-case form */
    size_t first_byte, end_byte; /* in the sequence's bytes */
    uint32_t first_row, end_row; /* rows that belong to it: end_row excluded, both relative to the sequence */
    bool capital;                /* begins with a capital */
    bool sentence_start;
};

/* Sets stream->entries of the rows of one sequence. bytes: the sequence's text; words: its words in order; row: its
 * first row; longest: one byte a word number, which remembers how many words the longest entry from it has (plus one;
 * 0: not looked up). */
int fathom__stream_find_entries(struct fathom__stream *stream, const char *bytes,
                                const struct fathom__placed_word *words, size_t n, uint32_t row, uint8_t *longest);

/* Fills the counts of a stream whose words and entries are set. */
int fathom__stream_count(struct fathom__stream *stream);

/* Whether a capitalised row has no entry, or only that of its own word: none of several words. */
bool fathom__stream_is_own_name(const struct fathom__stream *stream, uint32_t row);
/* The entry of a word as a name, with more classes of nouns (ascending) than the lexicon gives it. */
int fathom__stream_extend_name(uint32_t *entry, struct fathom__stream *stream, uint32_t word, const uint32_t *classes,
                               size_t n);

#endif
