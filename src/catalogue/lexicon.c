#include "catalogue/lexicon.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "catalogue/closed_words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SENSES = 2,        /* the most frequent senses of an entry that count: rare ones are noise */
    FIRST_FIELD = 29,  /* lexicographers' files of verbs, from verb.body … */
    FIELDS = 15,       /* to verb.weather */
    MOST_TOPICS = 256, /* offsets looked at for one entry */
    MOST_DERIVED = 64, /* derived words looked at for one sense */
};

struct fathom__lexicon {
    fathom__wordnet *parts[FATHOM__WORDNET_PARTS]; /* NULL: not there */
    uint32_t starts[FATHOM__CLASS_KINDS + 1];      /* the first class of each kind */
    uint32_t part_forms[FATHOM__WORDNET_PARTS];    /* where each part's lemmas begin among the forms */
    bool *is_topic;                                /* [noun synsets]: some synset names it as its topic */
};

static const char *const field_names[FIELDS] = {"of the body",
                                                "of change",
                                                "of thought",
                                                "of communication",
                                                "of competition",
                                                "of eating",
                                                "of contact",
                                                "of making",
                                                "of feeling",
                                                "of motion",
                                                "of sensing",
                                                "of having",
                                                "of dealings between people",
                                                "of being",
                                                "of weather"};

static const char *const kind_names[FATHOM__CLASS_KINDS] = {"noun",  "verb",    "adjective", "topic", "attribute",
                                                            "field", "grammar", "forms",     "idea"};

/* Marks the synsets that are topics of others. */
static int mark_topics(fathom__lexicon *lexicon) {
    const fathom__wordnet *nouns = lexicon->parts[FATHOM__NOUNS];
    int status = fathom__alloc(&lexicon->is_topic, fathom__wordnet_synset_count(nouns), sizeof *lexicon->is_topic);
    for (int p = 0; !status && p < FATHOM__ADJECTIVES; p++)
        for (uint32_t s = 0; lexicon->parts[p] && s < fathom__wordnet_synset_count(lexicon->parts[p]); s++) {
            const uint32_t *offsets;
            const size_t n = fathom__wordnet_topics(&offsets, lexicon->parts[p], s);
            uint32_t topic;
            for (size_t i = 0; i < n; i++)
                if (fathom__wordnet_at(&topic, nouns, offsets[i])) lexicon->is_topic[topic] = true;
        }
    return status;
}

static uint32_t synsets_of(const fathom__lexicon *lexicon, enum fathom__wordnet_part part) {
    return lexicon->parts[part] ? fathom__wordnet_synset_count(lexicon->parts[part]) : 0;
}

static void number_classes(fathom__lexicon *lexicon) {
    const uint32_t nouns = synsets_of(lexicon, FATHOM__NOUNS);
    uint32_t lemmas = 0;
    for (int p = 0; p < FATHOM__WORDNET_PARTS; p++) {
        lexicon->part_forms[p] = lemmas;
        if (lexicon->parts[p]) lemmas += fathom__wordnet_lemma_count(lexicon->parts[p]);
    }
    const uint32_t counts[FATHOM__CLASS_KINDS] = {nouns,
                                                  synsets_of(lexicon, FATHOM__VERBS),
                                                  synsets_of(lexicon, FATHOM__ADJECTIVES),
                                                  nouns,
                                                  nouns,
                                                  FIELDS,
                                                  (uint32_t)fathom__closed_class_count,
                                                  lemmas,
                                                  nouns};
    for (int k = 0; k < FATHOM__CLASS_KINDS; k++)
        lexicon->starts[k + 1] = lexicon->starts[k] + counts[k];
}

int fathom__lexicon_open(fathom__lexicon **out, const char *folder) {
    static const char *const files[FATHOM__WORDNET_PARTS] = {"index.noun", "index.verb", "index.adj"};
    fathom__lexicon *lexicon;
    int status = fathom__alloc(&lexicon, 1, sizeof *lexicon);
    for (int p = 0; !status && folder && p < FATHOM__WORDNET_PARTS; p++) {
        char *path;
        if ((status = fathom__path_join(&path, folder, files[p]))) break;
        if (p == FATHOM__NOUNS || fathom__file_exists(path))
            status = fathom__wordnet_open(&lexicon->parts[p], folder, (enum fathom__wordnet_part)p);
        fathom_free(path);
    }
    if (!status && folder) status = mark_topics(lexicon);
    if (status) {
        fathom__lexicon_close(lexicon);
        return status;
    }
    number_classes(lexicon);
    *out = lexicon;
    return FATHOM_OK;
}

void fathom__lexicon_close(fathom__lexicon *lexicon) {
    if (!lexicon) return;
    for (int p = 0; p < FATHOM__WORDNET_PARTS; p++)
        fathom__wordnet_close(lexicon->parts[p]);
    fathom_free(lexicon->is_topic);
    fathom_free(lexicon);
}

const fathom__wordnet *fathom__lexicon_nouns(const fathom__lexicon *lexicon) {
    return lexicon->parts[FATHOM__NOUNS];
}

uint32_t fathom__lexicon_class_count(const fathom__lexicon *lexicon) {
    return lexicon->starts[FATHOM__CLASS_KINDS];
}

enum fathom__class_kind fathom__lexicon_class_kind(const fathom__lexicon *lexicon, uint32_t class_id) {
    int kind = 0;
    while (kind + 1 < FATHOM__CLASS_KINDS && class_id >= lexicon->starts[kind + 1])
        kind++;
    return (enum fathom__class_kind)kind;
}

uint32_t fathom__lexicon_topic_class(const fathom__lexicon *lexicon, uint32_t synset) {
    return lexicon->starts[FATHOM__CLASS_TOPIC] + synset;
}

/* Classes gathered for one entry. */
struct gathered {
    uint32_t *ids;
    size_t n;
};

static void gather(struct gathered *out, uint32_t class_id) {
    if (out->n < FATHOM__LEXICON_MOST) out->ids[out->n++] = class_id;
}

/* A topic, and the topics that it is a kind of: baseball is a sport. */
static void gather_topic(struct gathered *out, const fathom__lexicon *lexicon, uint32_t topic) {
    uint32_t above[FATHOM__WORDNET_CLOSURE];
    const size_t n = fathom__wordnet_closure(above, lexicon->parts[FATHOM__NOUNS], topic);
    for (size_t i = 0; i < n; i++)
        if (lexicon->is_topic[above[i]]) gather(out, lexicon->starts[FATHOM__CLASS_TOPIC] + above[i]);
}

/* Nouns that name what several kinds of words can say: acts, attributes, thoughts, feelings and their like (lexnames(5WN)),
 * no persons and no things. */
static bool is_idea(const fathom__wordnet *nouns, uint32_t synset) {
    static const uint8_t fields[] = {4, 7, 9, 10, 11, 12, 16, 19, 21, 22, 24, 26, 28};
    return memchr(fields, (int)fathom__wordnet_field_of(nouns, synset), sizeof fields) != NULL;
}

static void gather_ideas(struct gathered *out, const fathom__lexicon *lexicon, uint32_t noun) {
    uint32_t above[FATHOM__WORDNET_CLOSURE];
    const fathom__wordnet *nouns = lexicon->parts[FATHOM__NOUNS];
    if (!is_idea(nouns, noun)) return;
    const size_t n = fathom__wordnet_closure(above, nouns, noun);
    for (size_t i = 0; i < n; i++)
        if (is_idea(nouns, above[i])) gather(out, lexicon->starts[FATHOM__CLASS_IDEA] + above[i]);
}

/* Whether a word of a synset, by its number, is this lemma. */
static bool is_word(const fathom__wordnet *wordnet, uint32_t synset, unsigned number, const char *lemma) {
    size_t length;
    const char *word = number ? fathom__wordnet_word(&length, wordnet, synset, number) : NULL;
    return word && strlen(lemma) == length && strncasecmp(word, lemma, length) == 0;
}

/* The words that are derived from this word of a sense, or that it derives from, and the ideas that the sense's derived
 * nouns name. */
static void gather_derived(struct gathered *out, const fathom__lexicon *lexicon, enum fathom__wordnet_part part,
                           uint32_t synset, uint32_t lemma) {
    const struct fathom__derived *derived;
    const fathom__wordnet *wordnet = lexicon->parts[part];
    const size_t n = fathom__wordnet_derived(&derived, wordnet, synset);
    for (size_t i = 0; i < n && i < MOST_DERIVED; i++) {
        const fathom__wordnet *others =
            derived[i].part < FATHOM__WORDNET_PARTS ? lexicon->parts[derived[i].part] : NULL;
        uint32_t other, other_lemma;
        char text[FATHOM__WORDNET_LEMMA];
        size_t length;
        if (!others || !fathom__wordnet_at(&other, others, derived[i].offset)) continue;
        if (part != FATHOM__NOUNS && derived[i].part == FATHOM__NOUNS) gather_ideas(out, lexicon, other);
        if (!derived[i].target ||
            !is_word(wordnet, synset, derived[i].source, fathom__wordnet_lemma_text(wordnet, lemma)))
            continue;
        const char *word = fathom__wordnet_word(&length, others, other, derived[i].target);
        if (!word || length >= sizeof text) continue;
        for (size_t c = 0; c < length; c++)
            text[c] = (char)tolower((unsigned char)word[c]);
        if (fathom__wordnet_find(&other_lemma, others, text, length))
            gather(out, lexicon->starts[FATHOM__CLASS_FORMS] + lexicon->part_forms[derived[i].part] + other_lemma);
    }
    if (part == FATHOM__NOUNS) gather_ideas(out, lexicon, synset);
}

static void gather_sense(struct gathered *out, const fathom__lexicon *lexicon, enum fathom__wordnet_part part,
                         uint32_t synset) {
    static const enum fathom__class_kind kinds[] = {FATHOM__CLASS_NOUN, FATHOM__CLASS_VERB, FATHOM__CLASS_ADJECTIVE};
    const fathom__wordnet *wordnet = lexicon->parts[part];
    uint32_t above[FATHOM__WORDNET_CLOSURE];
    const size_t n = fathom__wordnet_closure(above, wordnet, synset);
    for (size_t i = 0; i < n; i++) {
        const uint32_t *offsets;
        uint32_t topic;
        const size_t n_topics = fathom__wordnet_topics(&offsets, wordnet, above[i]);
        gather(out, lexicon->starts[kinds[part]] + above[i]);
        for (size_t j = 0; j < n_topics && j < MOST_TOPICS; j++) {
            if (!fathom__wordnet_at(&topic, lexicon->parts[FATHOM__NOUNS], offsets[j])) continue;
            if (part == FATHOM__ADJECTIVES)
                gather(out, lexicon->starts[FATHOM__CLASS_ATTRIBUTE] + topic);
            else
                gather_topic(out, lexicon, topic);
        }
        if (part == FATHOM__NOUNS && above[i] == synset && lexicon->is_topic[synset])
            gather_topic(out, lexicon, synset);
    }
    const uint32_t field = fathom__wordnet_field_of(wordnet, synset);
    if (part == FATHOM__VERBS && field >= FIRST_FIELD && field < FIRST_FIELD + FIELDS)
        gather(out, lexicon->starts[FATHOM__CLASS_FIELD] + field - FIRST_FIELD);
}

/* A word's classes in one part of speech; false when it has no sense of the wanted kind there. */
static bool gather_part(struct gathered *out, uint32_t *form, const fathom__lexicon *lexicon,
                        enum fathom__wordnet_part part, const char *text, size_t length, enum fathom__sense sense) {
    const fathom__wordnet *wordnet = lexicon->parts[part];
    const uint32_t *senses;
    uint32_t lemma;
    size_t taken = 0;
    if (!wordnet || !fathom__wordnet_find_inflected(&lemma, wordnet, text, length)) return false;
    const size_t n = fathom__wordnet_senses(&senses, wordnet, lemma);
    for (size_t i = 0; i < n && taken < SENSES; i++) {
        if (part == FATHOM__NOUNS && sense != FATHOM__SENSE_EITHER &&
            fathom__wordnet_is_name(wordnet, senses[i]) != (sense == FATHOM__SENSE_NAME))
            continue;
        gather_sense(out, lexicon, part, senses[i]);
        gather_derived(out, lexicon, part, senses[i], lemma);
        taken++;
    }
    *form = lexicon->part_forms[part] + lemma;
    if (taken) gather(out, lexicon->starts[FATHOM__CLASS_FORMS] + *form);
    return taken > 0;
}

static void gather_closed(struct gathered *out, const fathom__lexicon *lexicon, const char *text, size_t length,
                          enum fathom__sense sense) {
    const bool oneself = length == 1 && *text == 'i'; /* a capital everywhere, and no name */
    for (size_t i = 0; i < fathom__closed_class_count; i++) {
        const struct fathom__closed_class *closed = &fathom__closed_classes[i];
        const bool fits = closed->names ? sense != FATHOM__SENSE_THING : sense != FATHOM__SENSE_NAME || oneself;
        if (fits && fathom__closed_class_has(closed, text, length))
            gather(out, lexicon->starts[FATHOM__CLASS_CLOSED] + (uint32_t)i);
    }
}

static int ascending(const void *left, const void *right) {
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

size_t fathom__lexicon_classes(uint32_t out[FATHOM__LEXICON_MOST], uint32_t *base, const fathom__lexicon *lexicon,
                               const char *text, size_t length, enum fathom__sense sense) {
    static const enum fathom__wordnet_part order[] = {FATHOM__VERBS, FATHOM__NOUNS, FATHOM__ADJECTIVES};
    struct gathered gathered = {out, 0};
    const bool phrase = memchr(text, '_', length) != NULL;
    *base = UINT32_MAX;
    if (!phrase) gather_closed(&gathered, lexicon, text, length, sense);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        uint32_t form;
        if (order[i] != FATHOM__NOUNS && (phrase || sense == FATHOM__SENSE_NAME)) continue;
        /* "Was" is a form of "be", but "can" does not put food into tins. */
        if (!phrase && fathom__is_function_word(text, length)) {
            uint32_t lemma;
            if (order[i] != FATHOM__VERBS || !lexicon->parts[FATHOM__VERBS] ||
                !fathom__wordnet_find_inflected(&lemma, lexicon->parts[FATHOM__VERBS], text, length))
                continue;
            *base = lexicon->part_forms[FATHOM__VERBS] + lemma;
            gather(&gathered, lexicon->starts[FATHOM__CLASS_FORMS] + *base);
        } else if (gather_part(&gathered, &form, lexicon, order[i], text, length, sense) && *base == UINT32_MAX) {
            *base = form;
        }
    }
    size_t unique = 0;
    if (gathered.n) qsort(out, gathered.n, sizeof *out, ascending);
    for (size_t i = 0; i < gathered.n; i++)
        if (!unique || out[unique - 1] != out[i]) out[unique++] = out[i];
    return unique;
}

unsigned fathom__lexicon_words_from(const fathom__lexicon *lexicon, const char *word, size_t length) {
    const fathom__wordnet *nouns = lexicon->parts[FATHOM__NOUNS];
    const unsigned words = nouns ? fathom__wordnet_words_from(nouns, word, length) : 0;
    return words ? words : 1;
}

const char *fathom__lexicon_class_name(size_t *length, const char **kind, uint32_t *offset,
                                       const fathom__lexicon *lexicon, uint32_t class_id) {
    const enum fathom__class_kind which = fathom__lexicon_class_kind(lexicon, class_id);
    uint32_t at = class_id - lexicon->starts[which];
    const fathom__wordnet *wordnet = lexicon->parts[which == FATHOM__CLASS_VERB        ? FATHOM__VERBS
                                                    : which == FATHOM__CLASS_ADJECTIVE ? FATHOM__ADJECTIVES
                                                                                       : FATHOM__NOUNS];
    const char *text;
    *kind = kind_names[which];
    *offset = 0;
    switch (which) {
    case FATHOM__CLASS_FIELD: text = field_names[at]; break;
    case FATHOM__CLASS_CLOSED: text = fathom__closed_classes[at].name; break;
    case FATHOM__CLASS_FORMS: {
        int p = FATHOM__WORDNET_PARTS - 1;
        while (at < lexicon->part_forms[p] || !lexicon->parts[p])
            p--;
        text = fathom__wordnet_lemma_text(lexicon->parts[p], at - lexicon->part_forms[p]);
        break;
    }
    default: *offset = fathom__wordnet_offset(wordnet, at); return fathom__wordnet_name(length, wordnet, at);
    }
    *length = strlen(text);
    return text;
}
