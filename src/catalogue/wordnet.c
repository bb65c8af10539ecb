#include "catalogue/wordnet.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "catalogue/intern.h"
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

struct synset {
    uint32_t offset; /* in data.noun: its name elsewhere in the database */
    uint32_t name;   /* where its first word lies in data.noun */
    uint32_t name_length;
    uint32_t above;  /* index of its first hypernym; the next synset's is the end */
    uint32_t topics; /* and of its first topic */
    uint32_t field;
};

/* How a part of speech lies on disk, and how its words are inflected: WordNet's own detachment rules (morphy(7WN)). */
struct part {
    const char *data, *index, *exceptions;
    char letter;       /* as pointers name it */
    const char *topic; /* the pointer that is kept as a topic */
    struct {
        const char *ending, *instead;
    } rules[8];
};

static const struct part parts[FATHOM__WORDNET_PARTS] = {
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

struct fathom__wordnet {
    const struct part *part;
    struct fathom__mapping index, data, exceptions;
    struct synset *synsets; /* [n_synsets + 1] */
    size_t n_synsets, synsets_capacity;
    uint32_t *above; /* hypernyms, all synsets' */
    size_t n_above, above_capacity;
    uint32_t *topics; /* offsets in data.noun, all synsets' */
    size_t n_topics, topics_capacity;
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

static bool is(const char *field, size_t length, const char *text) {
    return length == strlen(text) && memcmp(field, text, length) == 0;
}

/* symbol offset pos source/target: what lies above, and topics. */
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
    struct synset *synset = &wordnet->synsets[wordnet->n_synsets];
    for (uint32_t i = 0; i < n_words; i++) {
        if ((status = fathom__wordnet_field(&field, &length, lines, "a word"))) return status;
        if (i == 0) {
            synset->offset = offset;
            synset->name = (uint32_t)(field - (const char *)wordnet->data.bytes);
            synset->name_length = (uint32_t)length;
            synset->above = (uint32_t)wordnet->n_above;
            synset->topics = (uint32_t)wordnet->n_topics;
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
    fathom_free(wordnet->sense_starts);
    fathom_free(wordnet->senses);
    fathom_free(wordnet->singulars);
    fathom_free(wordnet->longest);
    fathom__intern_free(&wordnet->lemmas);
    fathom__intern_free(&wordnet->plurals);
    fathom__intern_free(&wordnet->first_words);
    fathom_free(wordnet);
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
    const struct part *part = wordnet->part;
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
