/* A WordNet of a few synsets, written in the database's own format, for tests that must not depend on the installed
 * one. */
#ifndef FATHOM_TESTS_TINY_WORDNET_H
#define FATHOM_TESTS_TINY_WORDNET_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tiny_synset {
    const char *words; /* separated by spaces, as written */
    int above;         /* index of its hypernym, -1 for none */
    int instance;      /* its hypernym is one of an instance */
};

static const struct tiny_synset tiny_synsets[] = {
    {"entity", -1, 0},
    {"person individual", 0, 0},
    {"athlete jock", 1, 0},
    {"basketball_player cager", 2, 0},
    {"striker", 2, 0},
    {"sprinter", 2, 0},
    {"goalkeeper", 2, 0},
    {"swimmer", 2, 0},
    {"Owens Jesse_Owens", 5, 1},
    {"structure", 0, 0},
    {"bridge", 9, 0},
    {"suspension_bridge", 10, 0},
    {"Golden_Gate_Bridge", 11, 1},
    {"city", 0, 0},
    {"San_Francisco", 13, 1},
    {"teacher", 1, 0},
    {"baker", 1, 0},
    {"driver", 1, 0},
    {"writer", 1, 0},
    {"poet", 18, 0},
    {"house", 9, 0},
    {"tower", 9, 0},
    {"wall", 9, 0},
    {"child kid", 1, 0},
    {"owens", 9, 0},
    {"Babe_Ruth", 2, 1},
    {"Willie_Mays", 2, 1},
    {"location", 0, 0},
    {"Green_Bay", 27, 1},
    {"New_York", 27, 1},
    {"Red_Hill", 27, 1},
};
enum { TINY_SYNSETS = sizeof tiny_synsets / sizeof *tiny_synsets };

static int tiny_synset_line(char *line, size_t size, const unsigned *offsets, int i) {
    const char *words = tiny_synsets[i].words;
    int n_words = 1;
    for (const char *c = words; *c; c++)
        n_words += *c == ' ';
    int n = snprintf(line, size, "%08u 18 n %02x ", offsets[i], n_words);
    for (const char *word = words; word;) {
        const char *space = strchr(word, ' ');
        const int length = space ? (int)(space - word) : (int)strlen(word);
        n += snprintf(line + n, size - (size_t)n, "%.*s 0 ", length, word);
        word = space ? space + 1 : NULL;
    }
    if (tiny_synsets[i].above < 0)
        n += snprintf(line + n, size - (size_t)n, "000 | a gloss  \n");
    else
        n += snprintf(line + n, size - (size_t)n, "001 %s %08u n 0000 | a gloss  \n",
                      tiny_synsets[i].instance ? "@i" : "@", offsets[tiny_synsets[i].above]);
    return n;
}

/* Writes data.noun, index.noun and noun.exc into an existing folder; returns 0 on success. */
static int tiny_wordnet_write(const char *folder) {
    static const char licence[] = "  1 A line of licence, which readers pass over.  \n";
    unsigned offsets[TINY_SYNSETS] = {0};
    char path[1024], line[512];
    /* Twice: lengths do not depend on the offsets' values, so the second round has them right. */
    for (int round = 0; round < 2; round++) {
        unsigned at = sizeof licence - 1;
        for (int i = 0; i < TINY_SYNSETS; i++) {
            offsets[i] = at;
            at += (unsigned)tiny_synset_line(line, sizeof line, offsets, i);
        }
    }
    snprintf(path, sizeof path, "%s/data.noun", folder);
    FILE *data = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/index.noun", folder);
    FILE *index = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/noun.exc", folder);
    FILE *exceptions = fopen(path, "wb");
    if (!data || !index || !exceptions) return -1;
    fputs(licence, data);
    fputs(licence, index);
    fputs("children child\n", exceptions);
    for (int i = 0; i < TINY_SYNSETS; i++) {
        tiny_synset_line(line, sizeof line, offsets, i);
        fputs(line, data);
    }
    /* An entry for each word of each synset; "owens" has two senses and is written once. */
    for (int i = 0; i < TINY_SYNSETS; i++)
        for (const char *word = tiny_synsets[i].words; word;) {
            const char *space = strchr(word, ' ');
            const int length = space ? (int)(space - word) : (int)strlen(word);
            char lemma[64];
            for (int c = 0; c < length; c++)
                lemma[c] = (char)tolower((unsigned char)word[c]);
            lemma[length] = 0;
            if (strcmp(lemma, "owens") != 0)
                fprintf(index, "%s n 1 1 @ 1 0 %08u  \n", lemma, offsets[i]);
            else if (i < 20)
                fprintf(index, "%s n 2 2 @ ~ 2 0 %08u %08u  \n", lemma, offsets[8], offsets[24]);
            word = space ? space + 1 : NULL;
        }
    return fclose(data) | fclose(index) | fclose(exceptions);
}

#endif
