/* WordNet entries of a sequence's words: the longest entry from each word on, read from left to right. */
#include "catalogue/stream_internal.h"

#include "base/memory.h"

#include <fathom/error.h>
#include <stdlib.h>
#include <string.h>

enum { SENSES = 2 }; /* the most frequent senses of an entry that count: rare ones are noise */

enum sense_kind { SENSE_COMMON = 'c', SENSE_NAME = 'n', SENSE_EITHER = 'e' };

/* Words that stand for a noun of WordNet ("In": indium, "OR": Oregon) far less often than for themselves. */
static bool is_function_word(const char *word) {
    static const char *const words[] = {
        "a",     "about", "all",  "am",    "an",    "and",   "are",  "as",    "at",   "be",    "been", "but",
        "by",    "can",   "did",  "do",    "does",  "for",   "from", "had",   "has",  "have",  "he",   "her",
        "him",   "his",   "how",  "i",     "if",    "in",    "into", "is",    "it",   "its",   "like", "may",
        "me",    "more",  "most", "much",  "must",  "my",    "no",   "not",   "of",   "on",    "or",   "our",
        "out",   "over",  "own",  "s",     "she",   "so",    "some", "such",  "t",    "than",  "that", "the",
        "their", "them",  "then", "there", "they",  "this",  "to",   "under", "up",   "us",    "was",  "we",
        "well",  "were",  "what", "when",  "where", "which", "who",  "will",  "with", "would", "you",  "your"};
    size_t low = 0, high = sizeof words / sizeof *words;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(words[middle], word);
        if (order == 0) return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static int ascending(const void *left, const void *right) {
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* The classes above the first senses of the kind, each once; none when the entry has no sense of the kind. */
static size_t collect_classes(uint32_t out[SENSES * FATHOM__WORDNET_CLOSURE], const fathom__wordnet *wordnet,
                              uint32_t lemma, enum sense_kind kind) {
    const uint32_t *senses;
    const size_t n_senses = fathom__wordnet_senses(&senses, wordnet, lemma);
    size_t n = 0, taken = 0, unique = 0;
    for (size_t i = 0; i < n_senses && taken < SENSES; i++) {
        const bool name = fathom__wordnet_is_name(wordnet, senses[i]);
        if (kind != SENSE_EITHER && name != (kind == SENSE_NAME)) continue;
        n += fathom__wordnet_closure(out + n, wordnet, senses[i]);
        taken++;
    }
    if (n) qsort(out, n, sizeof *out, ascending);
    for (size_t i = 0; i < n; i++)
        if (!unique || out[unique - 1] != out[i]) out[unique++] = out[i];
    return unique;
}

/* The number of an entry of this kind; 0 when it has no such sense. */
static int entry_number(uint32_t *out, struct fathom__stream *stream, uint32_t lemma, enum sense_kind kind) {
    struct fathom__entries *table = &stream->entry_table;
    char key[sizeof lemma + 1];
    memcpy(key, &lemma, sizeof lemma);
    key[sizeof lemma] = (char)kind;
    if (fathom__intern_find(out, &table->keys, key, sizeof key)) return FATHOM_OK;
    uint32_t classes[SENSES * FATHOM__WORDNET_CLOSURE];
    const size_t n = collect_classes(classes, stream->wordnet, lemma, kind);
    *out = 0;
    if (!n) return FATHOM_OK;
    int status;
    if ((status = fathom__intern_add(out, &table->keys, key, sizeof key)) ||
        (status = fathom__grow(&table->class_starts, &table->class_starts_capacity, (size_t)*out + 2,
                               sizeof *table->class_starts)) ||
        (status =
             fathom__grow(&table->classes, &table->classes_capacity, table->n_classes + n, sizeof *table->classes)))
        return status;
    memcpy(table->classes + table->n_classes, classes, n * sizeof *classes);
    table->n_classes += n;
    table->class_starts[*out + 1] = table->n_classes;
    return FATHOM_OK;
}

/* One capitalised word in the middle of a sentence is a name ("Baker") and no baker; one in small letters is no name.
 */
static enum sense_kind kind_of(const struct fathom__placed_word *word, unsigned n_words) {
    if (!word->capital) return SENSE_COMMON;
    return n_words == 1 && !word->sentence_start ? SENSE_NAME : SENSE_EITHER;
}

/* The words from here on, joined as a lemma; 0 when they do not follow one another with one blank or hyphen between. */
static size_t join_lemma(char out[FATHOM__WORDNET_LEMMA], const struct fathom__stream *stream, const char *bytes,
                         const struct fathom__placed_word *words, unsigned n) {
    size_t length = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t word_length;
        const char *word = fathom__intern_text(&word_length, &stream->word_table, words[i].word);
        if (i) {
            const size_t between = words[i].first_byte - words[i - 1].end_byte;
            if (between != 1 || !strchr(" -", bytes[words[i - 1].end_byte])) return 0;
            out[length++] = '_';
        }
        if (length + word_length + 1 >= FATHOM__WORDNET_LEMMA) return 0;
        memcpy(out + length, word, word_length);
        length += word_length;
    }
    return length;
}

int fathom__stream_find_entries(struct fathom__stream *stream, const char *bytes,
                                const struct fathom__placed_word *words, size_t n, uint32_t row, uint8_t *longest) {
    for (size_t at = 0; at < n;) {
        size_t length;
        const char *text = fathom__intern_text(&length, &stream->word_table, words[at].word);
        uint8_t *known = &longest[words[at].word];
        if (!*known) *known = (uint8_t)(1 + fathom__wordnet_words_from(stream->wordnet, text, length));
        unsigned taken = 1;
        unsigned most = *known - 1u;
        if (most > n - at) most = (unsigned)(n - at);
        for (unsigned count = most; count > 0; count--) {
            char lemma_text[FATHOM__WORDNET_LEMMA];
            uint32_t lemma, entry;
            const size_t lemma_length = join_lemma(lemma_text, stream, bytes, words + at, count);
            if (!lemma_length || (count == 1 && is_function_word(text)) ||
                !fathom__wordnet_find_inflected(&lemma, stream->wordnet, lemma_text, lemma_length))
                continue;
            const int status = entry_number(&entry, stream, lemma, kind_of(&words[at], count));
            if (status) return status;
            if (!entry) continue;
            for (uint32_t i = words[at].first_row; i < words[at + count - 1].end_row; i++)
                stream->entries[row + i] = entry;
            taken = count;
            break;
        }
        at += taken;
    }
    return FATHOM_OK;
}

size_t fathom__entry_classes(const uint32_t **synsets, const struct fathom__stream *stream, uint32_t entry) {
    *synsets = stream->entry_table.classes + stream->entry_table.class_starts[entry];
    return stream->entry_table.class_starts[entry + 1] - stream->entry_table.class_starts[entry];
}

bool fathom__entry_in_class(const struct fathom__stream *stream, uint32_t entry, uint32_t synset) {
    const uint32_t *classes;
    size_t low = 0, high = fathom__entry_classes(&classes, stream, entry);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (classes[middle] == synset) return true;
        if (classes[middle] < synset)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
