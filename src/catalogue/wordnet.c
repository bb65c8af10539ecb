#include "base/error.h"
#include "base/memory.h"
#include "catalogue/wordnet_internal.h"
#include "catalogue/wordnet_parse.h"

#include <fathom/model.h>
#include <inttypes.h>
#include <string.h>

enum {
    MOST_SENSES = 1000,
    MOST_POINTERS = 100000,
    MOST_WORDS = 255,
};
#define MOST_BYTES ((size_t)256 << 20)

static const struct fathom__wordnet_file parts[FATHOM__WORDNET_PARTS] = {
    {"data.noun",
     "index.noun",
     "noun.exc",
     'n',
     ";c",
     {{"s", ""},
      {"ses", "s"},
      {"xes", "x"},
      {"zes", "z"},
      {"ches", "ch"},
      {"shes", "sh"},
      {"men", "man"},
      {"ies", "y"}}},
    {"data.verb",
     "index.verb",
     "verb.exc",
     'v',
     ";c",
     {{"s", ""}, {"ies", "y"}, {"es", "e"}, {"es", ""}, {"ed", "e"}, {"ed", ""}, {"ing", "e"}, {"ing", ""}}},
    {"data.adj", "index.adj", "adj.exc", 'a', "=", {{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}}},
};

static int map_file(struct fathom__mapping *out, char **path, const char *folder, const char *name) {
    int status = fathom__path_join(path, folder, name);
    if (!status) status = fathom__file_map(out, *path);
    if (!status && out->length > MOST_BYTES)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "%s: larger than 256 MiB", *path);
    return status;
}

static struct fathom__wordnet_lines lines_of(const struct fathom__mapping *file, const char *path) {
    const char *bytes = file->bytes ? (const char *)file->bytes : "";
    return (struct fathom__wordnet_lines){.path = path, .next = bytes, .end = bytes + file->length};
}

static bool is(const char *field, size_t length, const char *text) {
    return length == strlen(text) && memcmp(field, text, length) == 0;
}

/* Words' numbers are two hexadecimal digits each; 0000 would be no words but the synsets. */
static int read_derived(struct fathom__derived *out, const struct fathom__wordnet_lines *lines, uint32_t offset,
                        char pos, const char *ends, size_t length) {
    unsigned numbers[2] = {0};
    for (size_t i = 0; i < length; i++) {
        const char *digit = strchr("0123456789abcdef", ends[i]);
        if (length != 4 || !digit)
            return fathom__fail(FATHOM_ERROR_FORMAT,
                                "%s: line %" PRIu64 ": a pointer's words are “%.*s”, not four hexadecimal digits",
                                lines->path, lines->number, (int)length, ends);
        numbers[i / 2] = numbers[i / 2] * 16 + (unsigned)(digit - "0123456789abcdef");
    }
    *out = (struct fathom__derived){.offset = offset,
                                    .part = pos == 'n'   ? FATHOM__NOUNS
                                            : pos == 'v' ? FATHOM__VERBS
                                            : pos == 'r' ? FATHOM__WORDNET_PARTS
                                                         : FATHOM__ADJECTIVES,
                                    .source = (uint8_t)numbers[0],
                                    .target = (uint8_t)numbers[1]};
    return FATHOM_OK;
}

/* symbol offset pos source/target: what lies above, topics and derived words. */
static int read_pointer(fathom__wordnet *wordnet, struct fathom__wordnet_lines *lines, bool satellite) {
    const char *symbol, *pos, *ends;
    size_t symbol_length, length;
    uint32_t target;
    int status;
    if ((status = fathom__wordnet_field(&symbol, &symbol_length, lines, "a pointer")) ||
        (status = fathom__wordnet_number(&target, lines, 10, UINT32_MAX, "a pointer's offset")) ||
        (status = fathom__wordnet_field(&pos, &length, lines, "a pointer's part of speech")) ||
        (status = fathom__wordnet_field(&ends, &length, lines, "a pointer's words")))
        return status;
    const bool above = (is(symbol, symbol_length, "@") || is(symbol, symbol_length, "@i") ||
                        (satellite && is(symbol, symbol_length, "&"))) &&
                       *pos == wordnet->part->letter;
    const bool topic = is(symbol, symbol_length, wordnet->part->topic) && *pos == 'n';
    if (above && !(status = fathom__grow(&wordnet->above, &wordnet->above_capacity, wordnet->n_above + 1,
                                         sizeof *wordnet->above)))
        wordnet->above[wordnet->n_above++] = target;
    if (topic && !(status = fathom__grow(&wordnet->topics, &wordnet->topics_capacity, wordnet->n_topics + 1,
                                         sizeof *wordnet->topics)))
        wordnet->topics[wordnet->n_topics++] = target;
    if (is(symbol, symbol_length, "+") && !(status = fathom__grow(&wordnet->derived, &wordnet->derived_capacity,
                                                                  wordnet->n_derived + 1, sizeof *wordnet->derived)))
        status = read_derived(&wordnet->derived[wordnet->n_derived++], lines, target, *pos, ends, length);
    return status;
}

/* offset file type w_cnt (word lex_id)… p_cnt (symbol offset pos source/target)… | gloss */
static int read_synset(fathom__wordnet *wordnet, struct fathom__wordnet_lines *lines) {
    const char *line = lines->cursor;
    const size_t at = (size_t)(line - (const char *)wordnet->data.bytes);
    const char *field;
    size_t length;
    uint32_t offset, lex_file, n_words, n_pointers;
    int status;
    if ((status = fathom__wordnet_number(&offset, lines, 10, UINT32_MAX, "the synset's offset")) ||
        (status = fathom__wordnet_number(&lex_file, lines, 10, 99, "the file number")) ||
        (status = fathom__wordnet_field(&field, &length, lines, "the type")) ||
        (status = fathom__wordnet_number(&n_words, lines, 16, MOST_WORDS, "the number of words")))
        return status;
    const bool satellite = *field == 's';
    if (offset != at)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %" PRIu64 ": the offset %" PRIu32 " should be %zu",
                            lines->path, lines->number, offset, at);
    if (!n_words)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %" PRIu64 ": a synset without words", lines->path,
                            lines->number);
    if ((status = fathom__grow(&wordnet->synsets, &wordnet->synsets_capacity, wordnet->n_synsets + 2,
                               sizeof *wordnet->synsets)))
        return status;
    struct fathom__synset *synset = &wordnet->synsets[wordnet->n_synsets];
    for (uint32_t i = 0; i < n_words; i++) {
        if ((status = fathom__wordnet_field(&field, &length, lines, "a word"))) return status;
        if (i == 0) {
            synset->offset = offset;
            synset->name = (uint32_t)(field - (const char *)wordnet->data.bytes);
            synset->name_length = (uint32_t)length;
            synset->above = (uint32_t)wordnet->n_above;
            synset->topics = (uint32_t)wordnet->n_topics;
            synset->derived = (uint32_t)wordnet->n_derived;
            synset->field = lex_file;
        }
        if ((status = fathom__wordnet_field(&field, &length, lines, "a word's lexical number"))) return status;
    }
    if ((status = fathom__wordnet_number(&n_pointers, lines, 10, MOST_POINTERS, "the number of pointers")))
        return status;
    for (uint32_t i = 0; i < n_pointers; i++)
        if ((status = read_pointer(wordnet, lines, satellite))) return status;
    wordnet->n_synsets++;
    wordnet->synsets[wordnet->n_synsets].above = (uint32_t)wordnet->n_above;
    wordnet->synsets[wordnet->n_synsets].topics = (uint32_t)wordnet->n_topics;
    wordnet->synsets[wordnet->n_synsets].derived = (uint32_t)wordnet->n_derived;
    return FATHOM_OK;
}

static int read_data(fathom__wordnet *wordnet, const char *path) {
    struct fathom__wordnet_lines lines = lines_of(&wordnet->data, path);
    int status = fathom__grow(&wordnet->synsets, &wordnet->synsets_capacity, 1, sizeof *wordnet->synsets);
    while (!status && fathom__wordnet_line(&lines))
        status = read_synset(wordnet, &lines);
    for (size_t i = 0; !status && i < wordnet->n_above; i++) {
        uint32_t synset;
        if (!fathom__wordnet_at(&synset, wordnet, wordnet->above[i]))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a pointer to offset %" PRIu32 ", where no synset is", path,
                                wordnet->above[i]);
        wordnet->above[i] = synset;
    }
    return status;
}

static int note_first_word(fathom__wordnet *wordnet, const char *lemma, size_t length) {
    const char *end = memchr(lemma, '_', length);
    if (!end || end == lemma) return FATHOM_OK;
    unsigned words = 1;
    for (size_t i = 0; i < length; i++)
        words += lemma[i] == '_';
    if (words > FATHOM__WORDNET_WORDS) return FATHOM_OK;
    uint32_t id;
    const size_t before = wordnet->first_words.count;
    int status = fathom__intern_add(&id, &wordnet->first_words, lemma, (size_t)(end - lemma));
    if (!status) status = fathom__grow(&wordnet->longest, &wordnet->longest_capacity, (size_t)id + 1, 1);
    if (status) return status;
    if (wordnet->first_words.count > before || wordnet->longest[id] < words) wordnet->longest[id] = (uint8_t)words;
    return FATHOM_OK;
}

/* lemma pos synset_cnt p_cnt symbol… sense_cnt tagsense_cnt synset_offset… */
static int read_entry(fathom__wordnet *wordnet, struct fathom__wordnet_lines *lines) {
    const char *lemma, *field;
    size_t lemma_length, length;
    uint32_t n_synsets, n_symbols, ignored, id;
    int status;
    if ((status = fathom__wordnet_field(&lemma, &lemma_length, lines, "the lemma")) ||
        (status = fathom__wordnet_field(&field, &length, lines, "the part of speech")) ||
        (status = fathom__wordnet_number(&n_synsets, lines, 10, MOST_SENSES, "the number of synsets")) ||
        (status = fathom__wordnet_number(&n_symbols, lines, 10, MOST_SENSES, "the number of pointers")))
        return status;
    for (uint32_t i = 0; i < n_symbols; i++)
        if ((status = fathom__wordnet_field(&field, &length, lines, "a pointer symbol"))) return status;
    if ((status = fathom__wordnet_number(&ignored, lines, 10, MOST_SENSES, "the number of senses")) ||
        (status = fathom__wordnet_number(&ignored, lines, 10, MOST_SENSES, "the number of tagged senses")))
        return status;
    const size_t before = wordnet->lemmas.count;
    if ((status = fathom__intern_add(&id, &wordnet->lemmas, lemma, lemma_length))) return status;
    if (wordnet->lemmas.count == before)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %" PRIu64 ": the lemma was there before", lines->path,
                            lines->number);
    if ((status = fathom__grow(&wordnet->sense_starts, &wordnet->sense_starts_capacity, (size_t)id + 2,
                               sizeof *wordnet->sense_starts)) ||
        (status = fathom__grow(&wordnet->senses, &wordnet->senses_capacity, wordnet->n_senses + n_synsets,
                               sizeof *wordnet->senses)))
        return status;
    wordnet->sense_starts[id] = (uint32_t)wordnet->n_senses;
    for (uint32_t i = 0; i < n_synsets; i++) {
        uint32_t offset, synset;
        if ((status = fathom__wordnet_number(&offset, lines, 10, UINT32_MAX, "a synset's offset"))) return status;
        if (!fathom__wordnet_at(&synset, wordnet, offset))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %" PRIu64 ": no synset is at offset %" PRIu32 " of %s",
                                lines->path, lines->number, offset, wordnet->part->data);
        wordnet->senses[wordnet->n_senses++] = synset;
    }
    wordnet->sense_starts[id + 1] = (uint32_t)wordnet->n_senses;
    return note_first_word(wordnet, lemma, lemma_length);
}

static int read_index(fathom__wordnet *wordnet, const char *path) {
    struct fathom__wordnet_lines lines = lines_of(&wordnet->index, path);
    int status = FATHOM_OK;
    while (!status && fathom__wordnet_line(&lines))
        status = read_entry(wordnet, &lines);
    if (!status && !wordnet->lemmas.count) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: no entries", path);
    return status;
}

/* plural singular… ; those whose singular is no entry say nothing. */
static int read_exceptions(fathom__wordnet *wordnet, const char *path) {
    struct fathom__wordnet_lines lines = lines_of(&wordnet->exceptions, path);
    while (fathom__wordnet_line(&lines)) {
        const char *plural, *singular;
        size_t plural_length, singular_length;
        uint32_t id, lemma;
        int status;
        if ((status = fathom__wordnet_field(&plural, &plural_length, &lines, "the inflected form")) ||
            (status = fathom__wordnet_field(&singular, &singular_length, &lines, "the base form")))
            return status;
        const size_t before = wordnet->plurals.count;
        if (!fathom__wordnet_find(&lemma, wordnet, singular, singular_length)) continue;
        if ((status = fathom__intern_add(&id, &wordnet->plurals, plural, plural_length))) return status;
        if (wordnet->plurals.count == before) continue;
        if ((status = fathom__grow(&wordnet->singulars, &wordnet->singulars_capacity, (size_t)id + 1,
                                   sizeof *wordnet->singulars)))
            return status;
        wordnet->singulars[id] = lemma;
    }
    return FATHOM_OK;
}

int fathom__wordnet_open(fathom__wordnet **out, const char *folder, enum fathom__wordnet_part part) {
    fathom__wordnet *wordnet;
    char *data = NULL, *index = NULL, *exceptions = NULL;
    int status = fathom__alloc(&wordnet, 1, sizeof *wordnet);
    if (status) return status;
    wordnet->part = &parts[part];
    if ((status = map_file(&wordnet->data, &data, folder, parts[part].data)) || (status = read_data(wordnet, data)) ||
        (status = map_file(&wordnet->index, &index, folder, parts[part].index)) ||
        (status = read_index(wordnet, index)) ||
        (status = fathom__path_join(&exceptions, folder, parts[part].exceptions)))
        goto done;
    if (fathom__file_exists(exceptions) && !(status = fathom__file_map(&wordnet->exceptions, exceptions)))
        status = read_exceptions(wordnet, exceptions);
done:
    fathom_free(data);
    fathom_free(index);
    fathom_free(exceptions);
    if (status)
        fathom__wordnet_close(wordnet);
    else
        *out = wordnet;
    return status;
}

void fathom__wordnet_close(fathom__wordnet *wordnet) {
    if (!wordnet) return;
    fathom__file_unmap(&wordnet->index);
    fathom__file_unmap(&wordnet->data);
    fathom__file_unmap(&wordnet->exceptions);
    fathom_free(wordnet->synsets);
    fathom_free(wordnet->above);
    fathom_free(wordnet->topics);
    fathom_free(wordnet->derived);
    fathom_free(wordnet->sense_starts);
    fathom_free(wordnet->senses);
    fathom_free(wordnet->singulars);
    fathom_free(wordnet->longest);
    fathom__intern_free(&wordnet->lemmas);
    fathom__intern_free(&wordnet->plurals);
    fathom__intern_free(&wordnet->first_words);
    fathom_free(wordnet);
}
