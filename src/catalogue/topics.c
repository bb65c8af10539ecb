#include "catalogue/topics.h"

#include "base/memory.h"
#include "catalogue/closed_words.h"
#include "catalogue/statistics.h"

#include <math.h>
#include <string.h>

enum {
    MOST_SEEDS = 3,
    LEAST_SEEDS = 3, /* different words of a subject that a sequence about it has */
    LEAST_ABOUT = 8, /* sequences about a subject, for it to be told by, */
    LEAST_WITH = 4,  /* and those among them that a word of it stands in, */
};
static const double LEAST_SHARE = 0.6; /* of all that it stands in */
static const double ALPHA = 0.01;      /* family-wise, over entries and subjects */

/* A subject, and the nouns under which its words lie, beside its terms. */
static const struct subject {
    const char *name, *seeds[MOST_SEEDS];
} subjects[] = {
    {"sport", {"athlete", "sport", "athletic_contest"}},
    {"music", {"musician", "musical_instrument", "musical_composition"}},
    {"law", {"lawyer", "legal_document", "due_process"}},
    {"medicine", {"doctor", "disease", "medical_care"}},
    {"warfare", {"soldier", "weapon", "military_action"}},
    {"religion", {"religion", "clergyman", "place_of_worship"}},
    {"politics", {"politician", "political_party", "election"}},
    {"commerce", {"merchant", "money", "business"}},
    {"cooking", {"cook", "dish", "cooking"}},
    {"computer_science", {"computer", "software", "computer_user"}},
    {"astronomy", {"astronomer", "celestial_body", "spacecraft"}},
    {"biology", {"biologist", "microorganism", "cell"}},
    {"chemistry", {"chemist", "chemical_element", "chemical_reaction"}},
    {"physics", {"physicist", "physical_phenomenon", "elementary_particle"}},
    {"mathematics", {"mathematician", "plane_figure", "calculation"}},
    {"art", {"artist", "painting", "sculpture"}},
    {"literature", {"writer", "poem", "novel"}},
    {"cinema", {"actor", "movie", "film_maker"}},
    {"architecture", {"architect", "bridge", "tower"}},
    {"education", {"educator", "student", "school"}},
    {"travel", {"traveler", "journey", "hotel"}},
    {"seafaring", {"sailor", "ship", "sailing"}},
    {"aviation", {"aviator", "aircraft", "airport"}},
    {"weather", {"weather", "storm", "precipitation"}},
    {"gardening", {"gardener", "garden", "flower"}},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };
_Static_assert(SUBJECTS <= 32, "subjects are bits");

struct teller {
    struct fathom__stream *stream;
    uint32_t *seeds;  /* [entries]: bits of the subjects that the lexicon has it under */
    uint32_t *topics; /* [entries]: bits of those it is told to belong to */
    uint32_t *with;   /* [entries, SUBJECTS + 1]: sequences about a subject that it stands in; last: all sequences */
    uint32_t *last;   /* [entries]: the latest sequence it was seen in, from 1 */
    uint32_t about[SUBJECTS], n_sequences;
};

static bool first_sense(uint32_t *synset, const fathom__wordnet *nouns, const char *noun) {
    uint32_t lemma;
    const uint32_t *senses;
    if (!fathom__wordnet_find(&lemma, nouns, noun, strlen(noun)) || !fathom__wordnet_senses(&senses, nouns, lemma))
        return false;
    *synset = senses[0];
    return true;
}

static void find_seeds(struct teller *teller) {
    struct fathom__stream *stream = teller->stream;
    const fathom__wordnet *nouns = fathom__lexicon_nouns(stream->lexicon);
    for (int s = 0; s < SUBJECTS; s++) {
        uint32_t synset, classes[MOST_SEEDS + 1];
        size_t n = 0;
        if (!first_sense(&synset, nouns, subjects[s].name)) continue;
        classes[n++] = fathom__lexicon_topic_class(stream->lexicon, synset);
        for (int i = 0; i < MOST_SEEDS; i++)
            if (first_sense(&synset, nouns, subjects[s].seeds[i])) classes[n++] = synset;
        for (uint32_t e = 1; e < stream->entry_table.keys.count; e++)
            for (size_t i = 0; i < n; i++)
                if (fathom__entry_in_class(stream, e, classes[i])) teller->seeds[e] |= UINT32_C(1) << s;
    }
}

/* The subjects that a sequence is about. */
static uint32_t subjects_of(const struct teller *teller, uint32_t first, uint32_t end) {
    const struct fathom__stream *stream = teller->stream;
    uint32_t about = 0;
    for (int s = 0; s < SUBJECTS; s++) {
        uint32_t seen[LEAST_SEEDS];
        int n = 0;
        for (uint32_t row = first; row < end && n < LEAST_SEEDS; row++) {
            const uint32_t entry = stream->entries[row];
            bool fresh = teller->seeds[entry] >> s & 1;
            for (int i = 0; fresh && i < n; i++)
                fresh = stream->entry_table.bases[seen[i]] != stream->entry_table.bases[entry];
            if (fresh) seen[n++] = entry;
        }
        about |= (uint32_t)(n == LEAST_SEEDS) << s;
    }
    return about;
}

static void count_sequence(struct teller *teller, uint32_t first, uint32_t end) {
    const uint32_t about = subjects_of(teller, first, end);
    teller->n_sequences++;
    for (int s = 0; s < SUBJECTS; s++)
        teller->about[s] += about >> s & 1;
    for (uint32_t row = first; row < end; row++) {
        const uint32_t entry = teller->stream->entries[row];
        uint32_t *with = teller->with + (size_t)entry * (SUBJECTS + 1);
        if (!entry || teller->last[entry] == teller->n_sequences) continue;
        teller->last[entry] = teller->n_sequences;
        with[SUBJECTS]++;
        for (int s = 0; s < SUBJECTS; s++)
            with[s] += about >> s & 1;
    }
}

/* Names and words of grammar stand in text about anything. */
static bool is_content(const struct fathom__stream *stream, uint32_t entry) {
    size_t length;
    const char *key = fathom__intern_text(&length, &stream->entry_table.keys, entry);
    return length > 1 && key[length - 1] == FATHOM__SENSE_THING && !fathom__is_function_word(key, length - 1);
}

static void tell(struct teller *teller) {
    const struct fathom__stream *stream = teller->stream;
    const uint32_t n_entries = (uint32_t)stream->entry_table.keys.count;
    const double most = log(ALPHA / ((double)n_entries * SUBJECTS));
    for (uint32_t e = 1; e < n_entries; e++) {
        const uint32_t *with = teller->with + (size_t)e * (SUBJECTS + 1), all = with[SUBJECTS];
        if (!is_content(stream, e)) continue;
        for (int s = 0; s < SUBJECTS; s++)
            if (teller->about[s] >= LEAST_ABOUT && with[s] >= LEAST_WITH && with[s] >= LEAST_SHARE * all &&
                fathom__log_hypergeometric_tail(with[s], all, teller->about[s], teller->n_sequences) <= most)
                teller->topics[e] |= UINT32_C(1) << s;
    }
}

/* The entries' classes with the topics that were told. */
static int extend_entries(const struct teller *teller) {
    struct fathom__stream *stream = teller->stream;
    struct fathom__entries *table = &stream->entry_table;
    const fathom__wordnet *nouns = fathom__lexicon_nouns(stream->lexicon);
    const size_t n_entries = table->keys.count;
    uint32_t *classes, topics[SUBJECTS] = {0};
    size_t n = 0, n_more = 0;
    for (int s = 0; s < SUBJECTS; s++)
        if (first_sense(&topics[s], nouns, subjects[s].name))
            topics[s] = fathom__lexicon_topic_class(stream->lexicon, topics[s]);
    for (size_t e = 1; e < n_entries; e++)
        for (uint32_t bits = teller->topics[e]; bits; bits &= bits - 1)
            n_more++;
    const int status = fathom__alloc(&classes, table->n_classes + n_more, sizeof *classes);
    if (status) return status;
    for (size_t e = 0; e < n_entries; e++) {
        const size_t first = n, from = table->class_starts[e], end = table->class_starts[e + 1];
        memcpy(classes + n, table->classes + from, (end - from) * sizeof *classes);
        n += end - from;
        for (int s = 0; s < SUBJECTS; s++) {
            size_t at = n;
            if (!(teller->topics[e] >> s & 1)) continue;
            while (at > first && classes[at - 1] > topics[s])
                at--;
            if (at > first && classes[at - 1] == topics[s]) continue;
            memmove(classes + at + 1, classes + at, (n - at) * sizeof *classes);
            classes[at] = topics[s];
            n++;
        }
        table->class_starts[e] = first;
    }
    table->class_starts[n_entries] = n;
    fathom_free(table->classes);
    table->classes = classes;
    table->n_classes = n;
    table->classes_capacity = table->n_classes;
    return FATHOM_OK;
}

int fathom__topics_infer(struct fathom__stream *stream) {
    const size_t n = stream->entry_table.keys.count;
    struct teller teller = {.stream = stream};
    int status;
    if (!fathom__lexicon_nouns(stream->lexicon)) return FATHOM_OK;
    if ((status = fathom__alloc(&teller.seeds, n, sizeof *teller.seeds)) ||
        (status = fathom__alloc(&teller.topics, n, sizeof *teller.topics)) ||
        (status = fathom__alloc(&teller.with, n * (SUBJECTS + 1), sizeof *teller.with)) ||
        (status = fathom__alloc(&teller.last, n, sizeof *teller.last)))
        goto done;
    find_seeds(&teller);
    for (size_t s = 0; s < stream->evidence->n_sequences; s++) {
        const struct fathom__sequence *sequence = &stream->evidence->sequences[s];
        if (fathom__document_role(sequence->document) == FATHOM__PROPOSE)
            count_sequence(&teller, sequence->first_row, fathom__evidence_sequence_end(stream->evidence, sequence));
    }
    tell(&teller);
    status = extend_entries(&teller);
done:
    fathom_free(teller.seeds);
    fathom_free(teller.topics);
    fathom_free(teller.with);
    fathom_free(teller.last);
    return status;
}
