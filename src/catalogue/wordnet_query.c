/* What a part of speech of WordNet knows. */
#include "catalogue/wordnet_internal.h"

#include <string.h>

bool fathom__wordnet_at(uint32_t *synset, const fathom__wordnet *wordnet, uint32_t offset) {
    size_t low = 0, high = wordnet->n_synsets;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (wordnet->synsets[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    *synset = (uint32_t)low;
    return low < wordnet->n_synsets && wordnet->synsets[low].offset == offset;
}

uint32_t fathom__wordnet_lemma_count(const fathom__wordnet *wordnet) {
    return (uint32_t)wordnet->lemmas.count;
}

uint32_t fathom__wordnet_synset_count(const fathom__wordnet *wordnet) {
    return (uint32_t)wordnet->n_synsets;
}

bool fathom__wordnet_find(uint32_t *lemma, const fathom__wordnet *wordnet, const char *text, size_t length) {
    return fathom__intern_find(lemma, &wordnet->lemmas, text, length);
}

bool fathom__wordnet_find_inflected(uint32_t *lemma, const fathom__wordnet *wordnet, const char *text, size_t length) {
    if (fathom__wordnet_find(lemma, wordnet, text, length)) return true;
    uint32_t id;
    if (fathom__intern_find(&id, &wordnet->plurals, text, length)) {
        *lemma = wordnet->singulars[id];
        return true;
    }
    char base[FATHOM__WORDNET_LEMMA];
    const struct fathom__wordnet_file *part = wordnet->part;
    for (size_t i = 0; i < sizeof part->rules / sizeof *part->rules && part->rules[i].ending; i++) {
        const size_t ending = strlen(part->rules[i].ending), instead = strlen(part->rules[i].instead);
        if (length <= ending + 1 || length - ending + instead > sizeof base ||
            memcmp(text + length - ending, part->rules[i].ending, ending))
            continue;
        memcpy(base, text, length - ending);
        memcpy(base + length - ending, part->rules[i].instead, instead);
        if (fathom__wordnet_find(lemma, wordnet, base, length - ending + instead)) return true;
    }
    return false;
}

const char *fathom__wordnet_lemma_text(const fathom__wordnet *wordnet, uint32_t lemma) {
    return fathom__intern_text(NULL, &wordnet->lemmas, lemma);
}

size_t fathom__wordnet_senses(const uint32_t **synsets, const fathom__wordnet *wordnet, uint32_t lemma) {
    *synsets = wordnet->senses + wordnet->sense_starts[lemma];
    return wordnet->sense_starts[lemma + 1] - wordnet->sense_starts[lemma];
}

unsigned fathom__wordnet_words_from(const fathom__wordnet *wordnet, const char *word, size_t length) {
    uint32_t id;
    unsigned longest = fathom__intern_find(&id, &wordnet->first_words, word, length) ? wordnet->longest[id] : 0;
    if (!longest && fathom__wordnet_find_inflected(&id, wordnet, word, length)) longest = 1;
    return longest;
}

const char *fathom__wordnet_name(size_t *length, const fathom__wordnet *wordnet, uint32_t synset) {
    *length = wordnet->synsets[synset].name_length;
    return (const char *)wordnet->data.bytes + wordnet->synsets[synset].name;
}

uint32_t fathom__wordnet_offset(const fathom__wordnet *wordnet, uint32_t synset) {
    return wordnet->synsets[synset].offset;
}

uint32_t fathom__wordnet_field_of(const fathom__wordnet *wordnet, uint32_t synset) {
    return wordnet->synsets[synset].field;
}

size_t fathom__wordnet_topics(const uint32_t **offsets, const fathom__wordnet *wordnet, uint32_t synset) {
    *offsets = wordnet->topics + wordnet->synsets[synset].topics;
    return wordnet->synsets[synset + 1].topics - wordnet->synsets[synset].topics;
}

size_t fathom__wordnet_derived(const struct fathom__derived **out, const fathom__wordnet *wordnet, uint32_t synset) {
    *out = wordnet->derived + wordnet->synsets[synset].derived;
    return wordnet->synsets[synset + 1].derived - wordnet->synsets[synset].derived;
}

const char *fathom__wordnet_word(size_t *length, const fathom__wordnet *wordnet, uint32_t synset, unsigned number) {
    const char *word = fathom__wordnet_name(length, wordnet, synset);
    const char *const end = (const char *)wordnet->data.bytes + wordnet->data.length;
    for (unsigned fields = 2 * (number - 1); fields; fields--) { /* a word and its lexical number */
        const char *blank = memchr(word, ' ', (size_t)(end - word));
        if (!blank) return NULL;
        word = blank + 1;
    }
    const char *blank = memchr(word, ' ', (size_t)(end - word));
    *length = blank ? (size_t)(blank - word) : 0;
    return blank ? word : NULL;
}

bool fathom__wordnet_is_name(const fathom__wordnet *wordnet, uint32_t synset) {
    const char first = *((const char *)wordnet->data.bytes + wordnet->synsets[synset].name);
    return first >= 'A' && first <= 'Z';
}

static bool add_sorted(uint32_t out[FATHOM__WORDNET_CLOSURE], size_t *n, uint32_t synset) {
    size_t at = 0;
    while (at < *n && out[at] < synset)
        at++;
    if ((at < *n && out[at] == synset) || *n == FATHOM__WORDNET_CLOSURE) return false;
    memmove(out + at + 1, out + at, (*n - at) * sizeof *out);
    out[at] = synset;
    ++*n;
    return true;
}

size_t fathom__wordnet_closure(uint32_t out[FATHOM__WORDNET_CLOSURE], const fathom__wordnet *wordnet, uint32_t synset) {
    /* A hostile file may hold circles: each synset is walked once, because it is walked only when it is new. */
    uint32_t pending[FATHOM__WORDNET_CLOSURE];
    size_t n = 0, n_pending = 0;
    add_sorted(out, &n, synset);
    pending[n_pending++] = synset;
    while (n_pending) {
        const uint32_t here = pending[--n_pending];
        for (uint32_t i = wordnet->synsets[here].above; i < wordnet->synsets[here + 1].above; i++)
            if (add_sorted(out, &n, wordnet->above[i])) pending[n_pending++] = wordnet->above[i];
    }
    return n;
}
