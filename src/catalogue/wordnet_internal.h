/* Shared by wordnet.c, which reads the files, and wordnet_query.c, which answers from them. */
#ifndef FATHOM_CATALOGUE_WORDNET_INTERNAL_H
#define FATHOM_CATALOGUE_WORDNET_INTERNAL_H

#include "base/file.h"
#include "catalogue/intern.h"
#include "catalogue/wordnet.h"

struct fathom__synset {
    uint32_t offset; /* in data.noun: its name elsewhere in the database */
    uint32_t name;   /* where its first word lies in data.noun */
    uint32_t name_length;
    uint32_t above;   /* index of its first hypernym; the next synset's is the end */
    uint32_t topics;  /* of its first topic, */
    uint32_t derived; /* and of its first derived word */
    uint32_t field;
};

/* How a part of speech lies on disk, and how its words are inflected: WordNet's own detachment rules (morphy(7WN)). */
struct fathom__wordnet_file {
    const char *data, *index, *exceptions;
    char letter;       /* as pointers name it */
    const char *topic; /* the pointer that is kept as a topic */
    struct {
        const char *ending, *instead;
    } rules[8];
};

struct fathom__wordnet {
    const struct fathom__wordnet_file *part;
    struct fathom__mapping index, data, exceptions;
    struct fathom__synset *synsets; /* [n_synsets + 1] */
    size_t n_synsets, synsets_capacity;
    uint32_t *above; /* hypernyms, all synsets' */
    size_t n_above, above_capacity;
    uint32_t *topics; /* offsets in data.noun, all synsets' */
    size_t n_topics, topics_capacity;
    struct fathom__derived *derived; /* all synsets' */
    size_t n_derived, derived_capacity;
    struct fathom__intern lemmas;
    uint32_t *sense_starts; /* [lemmas + 1] */
    size_t sense_starts_capacity;
    uint32_t *senses;
    size_t n_senses, senses_capacity;
    struct fathom__intern plurals; /* of noun.exc, with singulars[] beside */
    uint32_t *singulars;           /* lemma numbers */
    size_t singulars_capacity;
    struct fathom__intern first_words; /* of entries of several words, with longest[] beside */
    uint8_t *longest;
    size_t longest_capacity;
};

#endif
