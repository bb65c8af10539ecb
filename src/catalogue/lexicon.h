/* What kinds of words a word or phrase belongs to, whatever the source: classes of WordNet's nouns, verbs and
 * adjectives, topics and attributes, word classes of grammar, the forms of one word, and words of whatever kind for one
 * idea.
 *
 * Classes are numbers. Those of nouns come first and are synsets of fathom__lexicon_nouns; names of persons, places and
 * the like that WordNet lacks are given such classes elsewhere (names.h).
 */
#ifndef FATHOM_CATALOGUE_LEXICON_H
#define FATHOM_CATALOGUE_LEXICON_H

#include "base/buffer.h"
#include "catalogue/wordnet.h"

typedef struct fathom__lexicon fathom__lexicon;

#define FATHOM__LEXICON_MOST 768 /* most classes of one entry */

enum fathom__class_kind {
    FATHOM__CLASS_NOUN,
    FATHOM__CLASS_VERB,      /* verbs under one verb */
    FATHOM__CLASS_ADJECTIVE, /* adjectives of one cluster */
    FATHOM__CLASS_TOPIC,     /* words of one subject: "terms of baseball" */
    FATHOM__CLASS_ATTRIBUTE, /* adjectives that are values of one attribute: "adjectives of size" */
    FATHOM__CLASS_FIELD,     /* verbs of a lexicographer's field: "verbs of motion" */
    FATHOM__CLASS_CLOSED,    /* pronouns and the like */
    FATHOM__CLASS_FORMS,     /* the forms of one word, and the words derived from it: "reflected", "reflection" */
    FATHOM__CLASS_IDEA,      /* words of all kinds for what one noun names: "begin", "first" and "start" */
    FATHOM__CLASS_KINDS
};

/* What is looked up: a thing, the name of one, or (where a sentence begins) either. */
enum fathom__sense { FATHOM__SENSE_THING = 't', FATHOM__SENSE_NAME = 'n', FATHOM__SENSE_EITHER = 'e' };

/* WordNet's nouns, verbs and adjectives of a folder; with NULL the word classes of grammar alone. Verbs and adjectives
 * may be missing. Errors: those of fathom__wordnet_open. */
int fathom__lexicon_open(fathom__lexicon **out, const char *folder);
void fathom__lexicon_close(fathom__lexicon *lexicon);

/* NULL without WordNet. */
const fathom__wordnet *fathom__lexicon_nouns(const fathom__lexicon *lexicon);
uint32_t fathom__lexicon_class_count(const fathom__lexicon *lexicon);
enum fathom__class_kind fathom__lexicon_class_kind(const fathom__lexicon *lexicon, uint32_t class_id);

/* The class of words of one subject, by the noun synset that names it. */
uint32_t fathom__lexicon_topic_class(const fathom__lexicon *lexicon, uint32_t synset);

/* Classes of a lower-case word, or of a phrase with its words joined by "_", in ascending order; 0 when there are none.
 * *base is the same number for all forms of a word: that of its lemma. */
size_t fathom__lexicon_classes(uint32_t out[FATHOM__LEXICON_MOST], uint32_t *base, const fathom__lexicon *lexicon,
                               const char *text, size_t length, enum fathom__sense sense);
/* Words of the longest entry that begins with this word, 0 when none does. */
unsigned fathom__lexicon_words_from(const fathom__lexicon *lexicon, const char *word, size_t length);

/* The class as it stands in the database ("Golden_Gate_Bridge"), for programs; *kind names its kind, and *offset is
 * where its synset stands in the data file, 0 when it is none. Not zero-terminated. */
const char *fathom__lexicon_class_name(size_t *length, const char **kind, uint32_t *offset,
                                       const fathom__lexicon *lexicon, uint32_t class_id);
/* A class as people read it, in the plural where nouns have one: "athletes", "verbs of motion", "forms of ‘go’". */
int fathom__lexicon_class_text(struct fathom__buffer *out, const fathom__lexicon *lexicon, uint32_t class_id,
                               bool plural);

#endif
