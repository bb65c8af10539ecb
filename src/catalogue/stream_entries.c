/* Entries of a sequence's words in the lexicon: the longest entry from each word on, read from left to right. */
#include "catalogue/stream_internal.h"

#include "base/memory.h"

#include <fathom/error.h>
#include <string.h>

/* A key that no text has as well: a mark for the kind of sense stands behind the text. */
static size_t make_key(char key[FATHOM__WORDNET_LEMMA + 1], const char *text, size_t length, char mark) {
    memcpy(key, text, length);
    key[length] = mark;
    return length + 1;
}

static uint32_t text_number(const char *text, size_t length) {
    uint32_t hash = UINT32_C(0x811c9dc5); /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT32_C(0x01000193);
    return hash;
}

static int add_entry(uint32_t *out, struct fathom__entries *table, const char *key, size_t key_length,
                     const uint32_t *classes, size_t n, uint32_t base) {
    int status;
    if ((status = fathom__intern_add(out, &table->keys, key, key_length)) ||
        (status = fathom__grow(&table->class_starts, &table->class_starts_capacity, (size_t)*out + 2,
                               sizeof *table->class_starts)) ||
        (status = fathom__grow(&table->bases, &table->bases_capacity, (size_t)*out + 1, sizeof *table->bases)) ||
        (status = fathom__grow(&table->forms, &table->forms_capacity, (size_t)*out + 1, sizeof *table->forms)) ||
        (status =
             fathom__grow(&table->classes, &table->classes_capacity, table->n_classes + n, sizeof *table->classes)))
        return status;
    memcpy(table->classes + table->n_classes, classes, n * sizeof *classes);
    table->n_classes += n;
    table->class_starts[*out + 1] = table->n_classes;
    table->bases[*out] = base == UINT32_MAX ? base - *out : base;
    table->forms[*out] = text_number(key, key_length - 1);
    return FATHOM_OK;
}

/* The number of the entry of a text; 0 when the lexicon has no such sense. */
static int entry_number(uint32_t *out, struct fathom__stream *stream, const char *text, size_t length,
                        enum fathom__sense sense) {
    char key[FATHOM__WORDNET_LEMMA + 1];
    const size_t key_length = make_key(key, text, length, (char)sense);
    if (fathom__intern_find(out, &stream->entry_table.keys, key, key_length)) return FATHOM_OK;
    uint32_t classes[FATHOM__LEXICON_MOST], base;
    const size_t n = fathom__lexicon_classes(classes, &base, stream->lexicon, text, length, sense);
    *out = 0;
    return n ? add_entry(out, &stream->entry_table, key, key_length, classes, n, base) : FATHOM_OK;
}

bool fathom__stream_is_own_name(const struct fathom__stream *stream, uint32_t row) {
    char key[FATHOM__WORDNET_LEMMA + 1];
    size_t length;
    uint32_t entry;
    const char *text = fathom__intern_text(&length, &stream->word_table, stream->words[row]);
    if (!stream->entries[row]) return true;
    const size_t key_length = make_key(key, text, length, FATHOM__SENSE_NAME);
    return fathom__intern_find(&entry, &stream->entry_table.keys, key, key_length) && entry == stream->entries[row];
}

int fathom__stream_extend_name(uint32_t *entry, struct fathom__stream *stream, uint32_t word, const uint32_t *classes,
                               size_t n) {
    enum { TOLD = 'i' };
    char key[FATHOM__WORDNET_LEMMA + 1];
    uint32_t merged[FATHOM__LEXICON_MOST + FATHOM__WORDNET_CLOSURE], base;
    size_t length, n_merged = 0, n_own, at = 0;
    const char *text = fathom__intern_text(&length, &stream->word_table, word);
    uint32_t own[FATHOM__LEXICON_MOST];
    n_own = fathom__lexicon_classes(own, &base, stream->lexicon, text, length, FATHOM__SENSE_NAME);
    for (size_t i = 0; i < n_own; i++) {
        while (at < n && classes[at] < own[i])
            merged[n_merged++] = classes[at++];
        if (at < n && classes[at] == own[i]) at++;
        merged[n_merged++] = own[i];
    }
    while (at < n)
        merged[n_merged++] = classes[at++];
    return add_entry(entry, &stream->entry_table, key, make_key(key, text, length, TOLD), merged, n_merged, base);
}

/* One capitalised word in the middle of a sentence is a name ("Baker") and no baker; one in small letters is no name.
 */
static enum fathom__sense sense_of(const struct fathom__placed_word *word, unsigned n_words) {
    if (!word->capital) return FATHOM__SENSE_THING;
    return n_words == 1 && !word->sentence_start ? FATHOM__SENSE_NAME : FATHOM__SENSE_EITHER;
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
            const char byte = bytes[words[i - 1].end_byte];
            if (between != 1 || (byte != ' ' && byte != '-')) return 0;
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
        if (!*known) *known = (uint8_t)(1 + fathom__lexicon_words_from(stream->lexicon, text, length));
        unsigned taken = 1;
        unsigned most = *known - 1u;
        if (most > n - at) most = (unsigned)(n - at);
        for (unsigned count = most; count > 0; count--) {
            char lemma[FATHOM__WORDNET_LEMMA];
            uint32_t entry;
            const size_t lemma_length = join_lemma(lemma, stream, bytes, words + at, count);
            if (!lemma_length) continue;
            const int status = entry_number(&entry, stream, lemma, lemma_length, sense_of(&words[at], count));
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

size_t fathom__entry_classes(const uint32_t **classes, const struct fathom__stream *stream, uint32_t entry) {
    *classes = stream->entry_table.classes + stream->entry_table.class_starts[entry];
    return stream->entry_table.class_starts[entry + 1] - stream->entry_table.class_starts[entry];
}

bool fathom__entry_in_class(const struct fathom__stream *stream, uint32_t entry, uint32_t class_id) {
    const uint32_t *classes;
    size_t low = 0, high = fathom__entry_classes(&classes, stream, entry);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (classes[middle] == class_id) return true;
        if (classes[middle] < class_id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
