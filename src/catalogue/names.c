#include "catalogue/names.h"

#include "base/memory.h"
#include "catalogue/closed_words.h"
#include "catalogue/stream_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1 << 15,
    REACH = 12, /* rows on each side whose words are clues to the kind of person or place */
    MOST_CLUES = 512,
    MOST_TOPICS = 4,         /* clues that one word around gives by its topics */
    LEAST_KNOWN = 3,         /* different names of a kind that must be known, */
    LEAST_SEEN = 6,          /* at so many places, before the kind is told */
    LEAST_PLACES = 2,        /* places that a name must be seen at, */
    MOST_PLACES = 48,        /* and as many as are looked at */
    CAPITAL_PERCENT = 50,    /* share of a word's places inside sentences that are names, for it to be one at all */
    MOST_SMALL_PERCENT = 20, /* share of places in small letters up to which it is one where a sentence begins too */
};
static const double CERTAIN = 0.7, SMOOTHING = 0.1;

/* Kinds of names by the noun that they are under; NULL: those of the level that are none of the listed. */
struct kind {
    const char *noun;
    int under; /* the kind it is a part of, -1 for none */
};
static const struct kind kinds[] = {
    {NULL, -1},     {"person", -1},   {"location", -1}, {"organization", -1}, {"structure", -1}, {NULL, 1},
    {"athlete", 1}, {"musician", 1},  {"writer", 1},    {"politician", 1},    {"scientist", 1},  {"artist", 1},
    {"actor", 1},   {"sovereign", 1}, {NULL, 2},        {"city", 2},          {"country", 2},    {"body_of_water", 2},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct learner {
    struct fathom__stream *stream;
    uint32_t synsets[KINDS]; /* UINT32_MAX: none */
    float *counts;           /* [BUCKETS, KINDS] */
    double totals[KINDS];
    uint32_t n_known[KINDS], n_seen[KINDS];
    uint32_t clues[MOST_CLUES];
    size_t n_clues, n_near_clues; /* the first ones stand right before and after */
    uint32_t *place_starts;       /* [words + 2]: where names stand, by word */
    uint32_t *places;
    uint32_t *n_places; /* [words]: all their places */
};

/* The first sense of a noun that is under a synset; under none when that is UINT32_MAX. */
static uint32_t sense_under(const fathom__wordnet *nouns, const char *noun, uint32_t above) {
    uint32_t lemma, closure[FATHOM__WORDNET_CLOSURE];
    const uint32_t *senses;
    if (!fathom__wordnet_find(&lemma, nouns, noun, strlen(noun))) return UINT32_MAX;
    const size_t n = fathom__wordnet_senses(&senses, nouns, lemma);
    for (size_t i = 0; i < n; i++) {
        const size_t n_closure = fathom__wordnet_closure(closure, nouns, senses[i]);
        if (above == UINT32_MAX) return senses[i];
        for (size_t j = 0; j < n_closure; j++)
            if (closure[j] == above) return senses[i];
    }
    return UINT32_MAX;
}

/* The only kind of the level that an entry is of: 0 or the level's "none of the listed" when it is of none, -1 when it
 * is of several. */
static int kind_of(const struct learner *learner, uint32_t entry, int under) {
    int found = -1, none = -1;
    for (int k = 0; k < KINDS; k++) {
        if (kinds[k].under != under) continue;
        if (!kinds[k].noun) {
            none = k;
        } else if (learner->synsets[k] != UINT32_MAX &&
                   fathom__entry_in_class(learner->stream, entry, learner->synsets[k])) {
            if (found >= 0) return -1;
            found = k;
        }
    }
    return found >= 0 ? found : none;
}

static bool is_name(const struct fathom__stream *stream, uint32_t row) {
    return stream->words[row] && (stream->flags[row] & FATHOM__CAPITAL);
}

static void add_clue(struct learner *learner, uint32_t place, uint32_t id) {
    const uint64_t hash = (((uint64_t)place << 32) + id) * UINT64_C(0x9e3779b97f4a7c15);
    if (learner->n_clues < MOST_CLUES) learner->clues[learner->n_clues++] = (uint32_t)(hash >> 40) % BUCKETS;
}

static uint32_t written_at(const struct fathom__stream *stream, uint32_t row) {
    return stream->words[row] ? stream->words[row]
                              : (uint32_t)stream->word_table.count + (uint32_t)stream->evidence->tokens[row];
}

/* What stands around the run of capitalised words that a row is in. */
static void find_clues(struct learner *learner, uint32_t row) {
    enum { BEFORE, BEFORE_THAT, AFTER, AFTER_THAT, LENGTH, AROUND, TOPIC };
    const struct fathom__stream *stream = learner->stream;
    const struct fathom__sequence *sequence = fathom__evidence_sequence(stream->evidence, row);
    const uint32_t first = sequence->first_row, end = fathom__evidence_sequence_end(stream->evidence, sequence);
    uint32_t from = row, to = row + 1;
    while (from > first && is_name(stream, from - 1))
        from--;
    while (to < end && is_name(stream, to))
        to++;
    uint32_t words = 0;
    for (uint32_t r = from; r < to; r++)
        words += (stream->flags[r] & FATHOM__WORD_FIRST) != 0;
    learner->n_clues = 0;
    if (from > first) add_clue(learner, BEFORE, written_at(stream, from - 1));
    if (from > first + 1) add_clue(learner, BEFORE_THAT, written_at(stream, from - 2));
    if (to < end) add_clue(learner, AFTER, written_at(stream, to));
    if (to + 1 < end) add_clue(learner, AFTER_THAT, written_at(stream, to + 1));
    add_clue(learner, LENGTH, words);
    learner->n_near_clues = learner->n_clues;
    for (uint32_t r = from - first > REACH ? from - REACH : first; r < end && r < to + REACH; r++) {
        if ((r >= from && r < to) || !(stream->flags[r] & FATHOM__WORD_FIRST) || is_name(stream, r)) continue;
        size_t length;
        const char *text = fathom__intern_text(&length, &stream->word_table, stream->words[r]);
        if (fathom__is_function_word(text, length)) continue;
        add_clue(learner, AROUND, stream->words[r]);
        const uint32_t *classes;
        const size_t n = stream->entries[r] ? fathom__entry_classes(&classes, stream, stream->entries[r]) : 0;
        for (size_t i = 0, taken = 0; i < n && taken < MOST_TOPICS; i++)
            if (fathom__lexicon_class_kind(stream->lexicon, classes[i]) == FATHOM__CLASS_TOPIC) {
                add_clue(learner, TOPIC, classes[i]);
                taken++;
            }
    }
}

static void learn_place(struct learner *learner, int kind, bool fresh) {
    const size_t n = kinds[kind].under < 0 ? learner->n_near_clues : learner->n_clues;
    for (size_t i = 0; i < n; i++)
        learner->counts[(size_t)learner->clues[i] * KINDS + (size_t)kind]++;
    learner->totals[kind] += (double)n;
    learner->n_seen[kind]++;
    learner->n_known[kind] += fresh;
}

/* A name that the lexicon knows teaches what stands around its kind; one word of a longer name is no such name. */
static int learn(struct learner *learner) {
    const struct fathom__stream *stream = learner->stream;
    const struct fathom__evidence *evidence = stream->evidence;
    bool *known;
    const int status = fathom__alloc(&known, stream->entry_table.keys.count, sizeof *known);
    if (status) return status;
    for (uint32_t row = 0; row < evidence->n_rows; row++) {
        const uint32_t entry = stream->entries[row];
        if (!entry || !is_name(stream, row) || (row && stream->entries[row - 1] == entry)) continue;
        const bool alone =
            !(row && is_name(stream, row - 1)) &&
            !(row + 1 < evidence->n_rows && is_name(stream, row + 1) && stream->entries[row + 1] != entry);
        const int kind = kind_of(learner, entry, -1);
        if (!alone || kind < 0) continue;
        find_clues(learner, row);
        learn_place(learner, kind, !known[entry]);
        const int part = kind ? kind_of(learner, entry, kind) : -1;
        if (part >= 0) learn_place(learner, part, !known[entry]);
        known[entry] = true;
    }
    fathom_free(known);
    return FATHOM_OK;
}

/* Adds the chances of each kind of a level, by the clues at hand. */
static void tell_place(double chances[KINDS], const struct learner *learner, int under) {
    double scores[KINDS], best = -HUGE_VAL, sum = 0;
    const size_t n = under < 0 ? learner->n_near_clues : learner->n_clues;
    for (int k = 0; k < KINDS; k++) {
        scores[k] = -HUGE_VAL;
        if (kinds[k].under != under || learner->n_known[k] < LEAST_KNOWN || learner->n_seen[k] < LEAST_SEEN) continue;
        scores[k] = 0;
        for (size_t i = 0; i < n; i++)
            scores[k] += log(((double)learner->counts[(size_t)learner->clues[i] * KINDS + (size_t)k] + SMOOTHING) /
                             (learner->totals[k] + SMOOTHING * BUCKETS));
        best = fmax(best, scores[k]);
    }
    for (int k = 0; k < KINDS; k++)
        if (scores[k] > -HUGE_VAL) sum += exp(scores[k] - best);
    for (int k = 0; k < KINDS; k++)
        if (scores[k] > -HUGE_VAL) chances[k] += exp(scores[k] - best) / sum;
}

/* The kind of a level that most places of a word speak for; -1 when they do not agree. */
static int tell(struct learner *learner, uint32_t word, int under) {
    const uint32_t first = learner->place_starts[word], n = learner->place_starts[word + 1] - first;
    const uint32_t looked_at = n < MOST_PLACES ? n : MOST_PLACES;
    double chances[KINDS] = {0};
    for (uint32_t i = 0; i < looked_at; i++) {
        find_clues(learner, learner->places[first + (uint64_t)i * n / looked_at]);
        tell_place(chances, learner, under);
    }
    for (int k = 0; k < KINDS; k++)
        if (kinds[k].under == under && kinds[k].noun && chances[k] >= CERTAIN * looked_at) return k;
    return -1;
}

/* Where each word stands as (part of) a name that no entry of several words covers. */
static int list_places(struct learner *learner) {
    struct fathom__stream *stream = learner->stream;
    const size_t n_words = stream->word_table.count;
    int status;
    if ((status = fathom__alloc(&learner->place_starts, n_words + 2, sizeof *learner->place_starts)) ||
        (status = fathom__alloc(&learner->n_places, n_words, sizeof *learner->n_places)) ||
        (status = fathom__alloc(&learner->places, stream->evidence->n_rows, sizeof *learner->places)))
        return status;
    for (int filling = 0; filling < 2; filling++) {
        for (uint32_t row = 0; row < stream->evidence->n_rows; row++) {
            const uint32_t word = stream->words[row];
            if (!word || !(stream->flags[row] & FATHOM__WORD_FIRST)) continue;
            if (!filling) learner->n_places[word]++;
            if (!is_name(stream, row) || !fathom__stream_is_own_name(stream, row)) continue;
            if (filling)
                learner->places[learner->place_starts[word + 1]++] = row;
            else
                learner->place_starts[word + 2]++;
        }
        for (size_t w = 2; !filling && w < n_words + 2; w++)
            learner->place_starts[w] += learner->place_starts[w - 1];
    }
    return FATHOM_OK;
}

/* Capitals are counted at every place of a word, also where its token has another word before it and it has no row. */
static uint32_t small_places(const struct learner *learner, uint32_t word) {
    const int64_t difference = (int64_t)learner->n_places[word] - learner->stream->capitals[word];
    return difference > 0 ? (uint32_t)(difference / 2) : 0;
}

/* The classes of the kinds that a word was told to be, at the most special one's places in the lexicon. */
static int give(struct learner *learner, uint32_t word, int kind) {
    struct fathom__stream *stream = learner->stream;
    const bool always =
        (uint64_t)small_places(learner, word) * 100 <= (uint64_t)learner->n_places[word] * MOST_SMALL_PERCENT;
    uint32_t closure[FATHOM__WORDNET_CLOSURE], entry;
    const size_t n = fathom__wordnet_closure(closure, fathom__lexicon_nouns(stream->lexicon), learner->synsets[kind]);
    const int status = fathom__stream_extend_name(&entry, stream, word, closure, n);
    for (uint32_t i = learner->place_starts[word]; !status && i < learner->place_starts[word + 1]; i++)
        for (uint32_t row = learner->places[i]; row < stream->evidence->n_rows && stream->words[row] == word; row++) {
            stream->entries[row] = entry;
            if (stream->flags[row] & FATHOM__WORD_LAST) break;
        }
    if (!status && always) stream->name_entries[word] = entry;
    return status;
}

/* Where sentences begin a name is told by what it is elsewhere. */
static void fill_beginnings(struct fathom__stream *stream) {
    for (uint32_t row = 0; row < stream->evidence->n_rows; row++)
        if (!stream->entries[row] && stream->name_entries[stream->words[row]])
            stream->entries[row] = stream->name_entries[stream->words[row]];
}

int fathom__names_infer(struct fathom__stream *stream) {
    const fathom__wordnet *nouns = fathom__lexicon_nouns(stream->lexicon);
    if (!nouns) return FATHOM_OK;
    struct learner *learner;
    int status = fathom__alloc(&learner, 1, sizeof *learner);
    if (status) return status;
    learner->stream = stream;
    for (int k = 0; k < KINDS; k++)
        learner->synsets[k] =
            kinds[k].noun
                ? sense_under(nouns, kinds[k].noun, kinds[k].under < 0 ? UINT32_MAX : learner->synsets[kinds[k].under])
                : UINT32_MAX;
    if ((status = fathom__alloc(&learner->counts, (size_t)BUCKETS * KINDS, sizeof *learner->counts)) ||
        (status = fathom__alloc(&stream->name_entries, stream->word_table.count, sizeof *stream->name_entries)) ||
        (status = list_places(learner)) || (status = learn(learner)))
        goto done;
    for (uint32_t word = 1; !status && word < stream->word_table.count; word++) {
        const uint32_t n = learner->place_starts[word + 1] - learner->place_starts[word];
        if (n < LEAST_PLACES || (uint64_t)n * 100 < ((uint64_t)n + small_places(learner, word)) * CAPITAL_PERCENT)
            continue;
        const int kind = tell(learner, word, -1);
        if (kind < 0) continue;
        const int part = tell(learner, word, kind);
        status = give(learner, word, part >= 0 ? part : kind);
    }
    if (!status) fill_beginnings(stream);
done:
    fathom_free(learner->counts);
    fathom_free(learner->place_starts);
    fathom_free(learner->places);
    fathom_free(learner->n_places);
    fathom_free(learner);
    return status;
}
