/* Corpora of random text, always the same. */
#ifndef FATHOM_TESTS_RANDOM_CORPUS_H
#define FATHOM_TESTS_RANDOM_CORPUS_H

#include <base/random.h>
#include <stdio.h>

/* Writes JSONL of so many documents of so many words of one to seven letters, so that the rows of a model differ. 0 on
 * success. */
static inline int random_corpus(const char *path, int documents, int words) {
    enum { LONGEST = 7, LETTERS = 26 };
    struct fathom__random random;
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fathom__random_seed(&random, 1);
    for (int document = 0; document < documents; document++) {
        fputs("{\"text\": \"", file);
        for (int word = 0; word < words; word++) {
            const size_t letters = 1 + fathom__random_below(&random, LONGEST);
            for (size_t i = 0; i < letters; i++)
                fputc('a' + (int)fathom__random_below(&random, LETTERS), file);
            fputc(' ', file);
        }
        fputs("\"}\n", file);
    }
    return fclose(file);
}

/* Writes JSONL of so many documents of so many characters, blanks and ten letters, so that tokens come again and again.
 * 0 on success. */
static inline int random_letters(const char *path, int documents, int characters) {
    static const char signs[] = "abcdefghij  ";
    struct fathom__random random;
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fathom__random_seed(&random, 1);
    for (int document = 0; document < documents; document++) {
        fputs("{\"text\": \"", file);
        for (int i = 0; i < characters; i++)
            fputc(signs[fathom__random_below(&random, sizeof signs - 1)], file);
        fputs("\"}\n", file);
    }
    return fclose(file);
}

#endif
