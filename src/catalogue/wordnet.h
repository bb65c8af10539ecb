/* One part of speech of WordNet, read from the database files of its distribution (wndb(5WN)): index.noun, data.noun
 * and, where present, noun.exc; and so for verbs and adjectives.
 *
 * Lemmas are lower-case with words joined by "_". A synset is numbered by its line in its part's data file, from 0.
 */
#ifndef FATHOM_CATALOGUE_WORDNET_H
#define FATHOM_CATALOGUE_WORDNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fathom__wordnet fathom__wordnet;

#define FATHOM__WORDNET_WORDS 5    /* longest entry that is looked for, in words */
#define FATHOM__WORDNET_LEMMA 96   /* longest lemma that is looked for, in bytes */
#define FATHOM__WORDNET_CLOSURE 96 /* most synsets above one */

enum fathom__wordnet_part { FATHOM__NOUNS, FATHOM__VERBS, FATHOM__ADJECTIVES, FATHOM__WORDNET_PARTS };

/* Errors: IO (a file is missing), FORMAT (file, line and what was expected), LIMIT (a file over 256 MiB), MEMORY. */
int fathom__wordnet_open(fathom__wordnet **out, const char *folder, enum fathom__wordnet_part part);
void fathom__wordnet_close(fathom__wordnet *wordnet);

uint32_t fathom__wordnet_lemma_count(const fathom__wordnet *wordnet);
uint32_t fathom__wordnet_synset_count(const fathom__wordnet *wordnet);

/* The entry with exactly this lemma. */
bool fathom__wordnet_find(uint32_t *lemma, const fathom__wordnet *wordnet, const char *text, size_t length);
/* The entry of a word or phrase as it is written: the lemma itself, else its base form (irregular plurals by noun.exc,
 * then the regular endings). */
bool fathom__wordnet_find_inflected(uint32_t *lemma, const fathom__wordnet *wordnet, const char *text, size_t length);
/* Zero-terminated. */
const char *fathom__wordnet_lemma_text(const fathom__wordnet *wordnet, uint32_t lemma);
/* Senses of an entry, the most frequent first. Borrowed. */
size_t fathom__wordnet_senses(const uint32_t **synsets, const fathom__wordnet *wordnet, uint32_t lemma);
/* Words of the longest entry that begins with this word (lower-case), 0 when none does. */
unsigned fathom__wordnet_words_from(const fathom__wordnet *wordnet, const char *word, size_t length);

/* The first word of a synset, as written in the database ("Golden_Gate_Bridge"); not zero-terminated. */
const char *fathom__wordnet_name(size_t *length, const fathom__wordnet *wordnet, uint32_t synset);
/* Where the synset stands in data.noun, which is how other programs name it. */
uint32_t fathom__wordnet_offset(const fathom__wordnet *wordnet, uint32_t synset);
/* Whether it is a name: its first word is written with a capital. */
bool fathom__wordnet_is_name(const fathom__wordnet *wordnet, uint32_t synset);
/* The lexicographer's file that the synset comes from: 29 to 43 are fields of verbs (lexnames(5WN)). */
uint32_t fathom__wordnet_field_of(const fathom__wordnet *wordnet, uint32_t synset);
/* Where in data.noun the topics of a synset stand (";c": a touchdown belongs to American football), or the attributes
 * that an adjective is a value of ("=": size). Borrowed; returns their number. */
size_t fathom__wordnet_topics(const uint32_t **offsets, const fathom__wordnet *wordnet, uint32_t synset);
/* A word that another one is derived from, or derives from ("+"): "reflect" and "reflection". */
struct fathom__derived {
    uint32_t offset;        /* of its synset, in the data file of its part */
    uint8_t part;           /* enum fathom__wordnet_part; FATHOM__WORDNET_PARTS: an adverb */
    uint8_t source, target; /* numbers of the words in their synsets, from 1 */
};
/* Borrowed; returns their number. */
size_t fathom__wordnet_derived(const struct fathom__derived **out, const fathom__wordnet *wordnet, uint32_t synset);
/* A synset's word of this number (from 1), as written in the database; NULL when the file ends before it. Not
 * zero-terminated. */
const char *fathom__wordnet_word(size_t *length, const fathom__wordnet *wordnet, uint32_t synset, unsigned number);
/* The synset that stands there. */
bool fathom__wordnet_at(uint32_t *synset, const fathom__wordnet *wordnet, uint32_t offset);
/* The synset itself and all above it (hypernyms and instance hypernyms; of an adjective the one that its cluster is
 * about), each once, in ascending order; at most FATHOM__WORDNET_CLOSURE. */
size_t fathom__wordnet_closure(uint32_t out[FATHOM__WORDNET_CLOSURE], const fathom__wordnet *wordnet, uint32_t synset);

/* The plural of a noun or noun phrase (its last word), zero-terminated in out; cut off at `size`. */
void fathom__wordnet_plural(char *out, size_t size, const fathom__wordnet *wordnet, const char *text, size_t length);

#endif
