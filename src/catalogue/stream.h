/* The corpus as words: for every row of a pass the word it belongs to and the lexicon's entry (of one word or several)
 * that the word is part of.
 *
 * A word is a run of letters, digits and bytes beyond ASCII; its number stands for its lower-case form. Number 0 is
 * "none", of words and of entries.
 */
#ifndef FATHOM_CATALOGUE_STREAM_H
#define FATHOM_CATALOGUE_STREAM_H

#include "catalogue/evidence.h"
#include "catalogue/intern.h"
#include "catalogue/lexicon.h"

#include <fathom/model.h>

/* The tokens' bytes, borrowed from the model. */
struct fathom__vocabulary {
    size_t n;
    const char **bytes;
    size_t *lengths;
    bool *special;
};
int fathom__vocabulary_open(struct fathom__vocabulary *out, const fathom_model *model);
void fathom__vocabulary_free(struct fathom__vocabulary *vocabulary);

enum fathom__row_flag {
    FATHOM__WORD_FIRST = 1,    /* the word's first token */
    FATHOM__WORD_LAST = 2,     /* and its last */
    FATHOM__CAPITAL = 4,       /* the word begins with a capital, not only because a sentence begins there */
    FATHOM__ALL_CAPITALS = 8,  /* two letters or more, all capitals */
    FATHOM__NUMBER = 16,       /* the token has digits and no letters */
    FATHOM__YEAR = 32,         /* the word is a number from 1000 to 2099 */
    FATHOM__LINE_BREAK = 64,   /* the token has a line break */
    FATHOM__PUNCTUATION = 128, /* the token has neither letters nor digits nor line breaks, and is not all blank */
};

/* Entries of the lexicon met in the corpus, each with its classes. */
struct fathom__entries {
    struct fathom__intern keys; /* text and kind of sense */
    size_t *class_starts;       /* [count + 1] */
    uint32_t *classes;          /* ascending for each entry */
    uint32_t *bases;            /* [count]: the same for all forms of a word */
    uint32_t *forms;            /* [count]: stands for the text, whatever its sense */
    size_t class_starts_capacity, n_classes, classes_capacity, bases_capacity, forms_capacity;
};

struct fathom__stream {
    const struct fathom__evidence *evidence;
    const struct fathom__vocabulary *vocabulary;
    const fathom__lexicon *lexicon; /* NULL: no entries */
    uint32_t *words;                /* [rows] */
    uint32_t *entries;              /* [rows] */
    uint8_t *flags;                 /* [rows] */
    struct fathom__intern word_table;
    struct fathom__entries entry_table;
    uint32_t *name_entries; /* [words]: of names that the lexicon lacks, 0 for none; NULL until they are told */
    /* How often each occurs on covered rows of documents that labels are proposed on. */
    uint64_t n_background;
    uint32_t *token_counts, *word_counts, *entry_counts;
    int32_t *capitals; /* [words]: places where it begins with a capital less those where it does not, in all text */
    size_t capitals_capacity;
    uint64_t flag_counts[8]; /* by bit of enum fathom__row_flag */
    uint64_t n_entry_rows;   /* background rows that have an entry */
    uint32_t *token_words;   /* [tokens]: the word that most places of a token belong to, 0 for none */
    uint32_t *word_entries;  /* [words]: the entry that at least half of a word's places have, 0 for none */
};

/* Everything passed in is borrowed and must outlive the stream. lexicon may be NULL. */
int fathom__stream_open(struct fathom__stream **out, const struct fathom__evidence *evidence,
                        const struct fathom__vocabulary *vocabulary, const fathom__lexicon *lexicon);
void fathom__stream_close(struct fathom__stream *stream);

/* Whether an entry belongs to a class. */
bool fathom__entry_in_class(const struct fathom__stream *stream, uint32_t entry, uint32_t class_id);
size_t fathom__entry_classes(const uint32_t **classes, const struct fathom__stream *stream, uint32_t entry);
/* The lower-case text of a word. */
const char *fathom__stream_word(const struct fathom__stream *stream, uint32_t word);
/* Whether a token is a piece of one word, and hardly ever of others. */
bool fathom__stream_token_is_piece(const struct fathom__stream *stream, uint32_t token);
/* What a token is by itself: NUMBER, LINE_BREAK, PUNCTUATION or none. */
uint8_t fathom__stream_token_flags(const struct fathom__stream *stream, uint32_t token);
/* Whether a word is mostly written with a capital. */
bool fathom__stream_word_is_name(const struct fathom__stream *stream, uint32_t word);

#endif
