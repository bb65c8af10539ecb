/* Plurals of WordNet's class names, for labels such as "suspension bridges". */
#include "catalogue/wordnet.h"

#include <stdio.h>
#include <string.h>

struct irregular {
    const char *singular, *plural;
};

/* Irregular heads that class names end in; the detachment rules of wordnet.c read all others back. */
static const struct irregular irregulars[] = {
    {"person", "people"},      {"man", "men"},
    {"woman", "women"},        {"child", "children"},
    {"foot", "feet"},          {"tooth", "teeth"},
    {"mouse", "mice"},         {"goose", "geese"},
    {"fish", "fish"},          {"sheep", "sheep"},
    {"deer", "deer"},          {"series", "series"},
    {"species", "species"},    {"aircraft", "aircraft"},
    {"wolf", "wolves"},        {"leaf", "leaves"},
    {"life", "lives"},         {"knife", "knives"},
    {"wife", "wives"},         {"half", "halves"},
    {"analysis", "analyses"},  {"phenomenon", "phenomena"},
    {"criterion", "criteria"}, {"medium", "media"},
    {"genus", "genera"},
};

static bool ends_with(const char *text, size_t length, const char *ending) {
    const size_t n = strlen(ending);
    return length >= n && memcmp(text + length - n, ending, n) == 0;
}

static const struct irregular *find_irregular(const char *word, size_t length) {
    for (size_t i = 0; i < sizeof irregulars / sizeof *irregulars; i++)
        if (strlen(irregulars[i].singular) == length && memcmp(irregulars[i].singular, word, length) == 0)
            return &irregulars[i];
    return NULL;
}

/* "sportsman" and the like, but not "human". */
static bool is_compound_man(const fathom__wordnet *wordnet, const char *word, size_t length) {
    char plural[FATHOM__WORDNET_LEMMA];
    uint32_t lemma, singular;
    if (length < 6 || length >= sizeof plural || !ends_with(word, length, "man") || ends_with(word, length, "human") ||
        ends_with(word, length, "german") || ends_with(word, length, "roman"))
        return false;
    memcpy(plural, word, length);
    memcpy(plural + length - 3, "men", 3);
    return fathom__wordnet_find(&singular, wordnet, word, length) &&
           fathom__wordnet_find_inflected(&lemma, wordnet, plural, length) && lemma == singular;
}

void fathom__wordnet_plural(char *out, size_t size, const fathom__wordnet *wordnet, const char *text, size_t length) {
    size_t head = length;
    while (head && text[head - 1] != ' ' && text[head - 1] != '_')
        head--;
    /* "member of parliament": the head stands before the preposition. */
    size_t end = length;
    for (size_t i = 1; i + 4 <= length; i++)
        if ((text[i] == ' ' || text[i] == '_') && memcmp(text + i + 1, "of", 2) == 0 &&
            (text[i + 3] == ' ' || text[i + 3] == '_')) {
            end = i;
            for (head = end; head && text[head - 1] != ' ' && text[head - 1] != '_';)
                head--;
            break;
        }
    const char *word = text + head;
    const size_t n = end - head;
    const struct irregular *irregular = find_irregular(word, n);
    const char *ending = "s";
    size_t keep = n;
    if (irregular) {
        keep = 0;
        ending = irregular->plural;
    } else if (is_compound_man(wordnet, word, n)) {
        keep = n - 2;
        ending = "en";
    } else if (ends_with(word, n, "s") || ends_with(word, n, "x") || ends_with(word, n, "z") ||
               ends_with(word, n, "ch") || ends_with(word, n, "sh")) {
        ending = "es";
    } else if (n > 1 && ends_with(word, n, "y") && !strchr("aeiou", word[n - 2])) {
        keep = n - 1;
        ending = "ies";
    }
    snprintf(out, size, "%.*s%.*s%s%.*s", (int)head, text, (int)keep, word, ending, (int)(length - end), text + end);
    for (char *c = out; *c; c++)
        if (*c == '_') *c = ' ';
}
