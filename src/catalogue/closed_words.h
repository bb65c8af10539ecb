/* Word classes that WordNet has not: pronouns, prepositions and their like, months, number words. */
#ifndef FATHOM_CATALOGUE_CLOSED_WORDS_H
#define FATHOM_CATALOGUE_CLOSED_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct fathom__closed_class {
    const char *name;  /* as labels say it: "personal pronouns" */
    const char *words; /* lower-case, each between blanks */
    bool names;        /* written with a capital wherever they stand: "May" is a month, "may" is none */
};

extern const struct fathom__closed_class fathom__closed_classes[];
extern const size_t fathom__closed_class_count;

bool fathom__closed_class_has(const struct fathom__closed_class *closed, const char *word, size_t length);
/* Whether a word stands for a noun of WordNet ("in": indium, "or": Oregon) far less often than for itself. */
bool fathom__is_function_word(const char *word, size_t length);

#endif
