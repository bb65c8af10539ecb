/* What the members of a list share, so that "cities (‘Boston’, ‘Atlanta’)" stands where ‘Boston’ and ‘Atlanta’ would.
 *
 * A class that at least half of the members belong to names the list when so many of them would seldom be drawn from the
 * corpus's words by chance (hypergeometric test, corrected for the classes that two members or more share); the forms of
 * one word need no such test. Members that are no such class may still all be names, parts of names, numbers or signs
 * of one kind. A name changes nothing of what the rule holds for.
 */
#include "base/memory.h"
#include "catalogue/label_internal.h"
#include "catalogue/statistics.h"

#include <math.h>
#include <string.h>

enum { MOST_SHARED = 1024, SIGN_BYTES = 4 };
static const double ALPHA = 0.01;
/* Forms of one word go before all classes, and those of the word written most before others. */
static const double MOST_CERTAIN = 1e6;

/* The members' words and entries; 0 where there are none. */
struct members {
    uint32_t n, words[FATHOM__RULE_IDS], entries[FATHOM__RULE_IDS];
    bool whole[FATHOM__RULE_IDS]; /* the member is the word, not a piece of it */
};

static void list_members(struct members *out, const struct fathom__condition *condition,
                         const struct fathom__stream *stream) {
    out->n = condition->n_ids;
    for (uint32_t i = 0; i < out->n; i++) {
        const bool token = condition->kind == FATHOM__TOKENS;
        out->words[i] = token ? stream->token_words[condition->ids[i]] : condition->ids[i];
        out->whole[i] = !token || !fathom__stream_token_is_piece(stream, condition->ids[i]);
        out->entries[i] = out->words[i] ? stream->word_entries[out->words[i]] : 0;
    }
}

/* A class as far as members share it. */
struct shared {
    uint32_t class_id, members; /* bits */
};

static bool has_class(const struct shared *shared, size_t n, uint32_t class_id) {
    for (size_t i = 0; i < n; i++)
        if (shared[i].class_id == class_id) return true;
    return false;
}

static size_t list_shared(struct shared out[MOST_SHARED], const struct members *members,
                          const struct fathom__label_context *context) {
    size_t n = 0;
    for (uint32_t i = 0; i + 1 < members->n; i++) {
        const uint32_t *classes;
        const size_t n_classes =
            members->entries[i] ? fathom__entry_classes(&classes, context->stream, members->entries[i]) : 0;
        for (size_t c = 0; c < n_classes && n < MOST_SHARED; c++) {
            struct shared shared = {classes[c], UINT32_C(1) << i};
            if (context->class_index[classes[c]] == FATHOM__NO_CLASS || has_class(out, n, classes[c])) continue;
            for (uint32_t j = i + 1; j < members->n; j++)
                if (members->entries[j] && fathom__entry_in_class(context->stream, members->entries[j], classes[c]))
                    shared.members |= UINT32_C(1) << j;
            if (shared.members & (shared.members - 1)) out[n++] = shared;
        }
    }
    return n;
}

static uint32_t count_members(uint32_t bits) {
    uint32_t n = 0;
    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

/* Different words among members: forms of one word count once. */
static uint32_t count_bases(const struct members *members, const struct fathom__stream *stream, uint32_t bits) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < members->n; i++) {
        bool fresh = (bits >> i & 1) && members->entries[i];
        for (uint32_t j = 0; fresh && j < i; j++)
            fresh = !(bits >> j & 1) || !members->entries[j] ||
                    stream->entry_table.bases[members->entries[j]] != stream->entry_table.bases[members->entries[i]];
        n += fresh;
    }
    return n;
}

/* Logarithm of the chance that so many of the members' words would be of the class; 0 where a class says nothing in this
 * place. */
static double chance_of(const struct shared *shared, const struct members *members,
                        const struct fathom__label_context *context, enum fathom__place place) {
    const struct fathom__stream *stream = context->stream;
    const struct fathom__class_count *count = &context->classes[context->class_index[shared->class_id]];
    const enum fathom__class_kind kind = fathom__lexicon_class_kind(stream->lexicon, shared->class_id);
    const bool subject = kind == FATHOM__CLASS_NOUN || kind == FATHOM__CLASS_TOPIC || kind == FATHOM__CLASS_IDEA;
    if (kind == FATHOM__CLASS_FORMS) return -MOST_CERTAIN - fathom__label_uses(stream, shared->class_id);
    if (place == FATHOM__NEAR && !subject) return 0;
    const uint32_t all = (UINT32_C(1) << members->n) - 1, different = count_bases(members, stream, shared->members);
    if (different < 2) return 0;
    return fathom__log_hypergeometric_tail(different, count_bases(members, stream, all), count->bases,
                                           context->n_bases);
}

/* The class that most members share beyond chance, and of equals the one that fewest words are of. */
static uint32_t choose_class(uint32_t *class_id, const struct members *members,
                             const struct fathom__label_context *context, enum fathom__place place) {
    struct shared shared[MOST_SHARED];
    const size_t n = context->stream->lexicon ? list_shared(shared, members, context) : 0;
    uint32_t best = 0;
    double best_chance = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t n_members = count_members(shared[i].members), n_best = count_members(best);
        const double chance = chance_of(&shared[i], members, context, place);
        if (n_members * 2 < members->n || chance > log(ALPHA / (double)n)) continue;
        if (n_members < n_best || (n_members == n_best && chance >= best_chance)) continue;
        best = shared[i].members;
        best_chance = chance;
        *class_id = shared[i].class_id;
    }
    return best;
}

/* Whether a token is made of one kind of signs, and blanks around them. */
static bool is_of_signs(const struct fathom__vocabulary *vocabulary, uint32_t token, const char *signs) {
    const char *bytes = vocabulary->bytes[token];
    size_t seen = 0;
    for (size_t at = 0, end; at < vocabulary->lengths[token]; at = end) {
        char sign[SIGN_BYTES + 1] = {bytes[at]};
        for (end = at + 1; end < vocabulary->lengths[token] && ((unsigned char)bytes[end] & 0xc0) == 0x80; end++)
            if (end - at < SIGN_BYTES) sign[end - at] = bytes[end];
        if (bytes[at] == ' ') continue;
        if (!*sign || end - at > SIGN_BYTES || !strstr(signs, sign)) return false;
        seen++;
    }
    return seen > 0;
}

/* What all members are by how they are written. */
static enum fathom__list_name shape_of(uint8_t *flag, const struct members *members,
                                       const struct fathom__condition *condition, const struct fathom__stream *stream) {
    static const uint8_t flags[] = {FATHOM__NUMBER, FATHOM__LINE_BREAK, FATHOM__PUNCTUATION};
    bool names = true, parts = true;
    for (uint32_t i = 0; i < members->n; i++) {
        const bool is_name = members->words[i] && fathom__stream_word_is_name(stream, members->words[i]);
        names &= is_name && members->whole[i];
        parts &= is_name && !members->whole[i];
    }
    if (names) return FATHOM__NAME_NAMES;
    if (parts) return FATHOM__NAME_PARTS;
    for (size_t k = 0; k < fathom__sign_kinds && condition->kind == FATHOM__TOKENS; k++) {
        bool all = true;
        for (uint32_t i = 0; i < members->n; i++)
            all &= is_of_signs(stream->vocabulary, condition->ids[i], fathom__signs[k].signs);
        *flag = (uint8_t)k;
        if (all) return FATHOM__NAME_SIGNS;
    }
    for (size_t f = 0; f < sizeof flags && condition->kind == FATHOM__TOKENS; f++) {
        bool all = true;
        for (uint32_t i = 0; i < members->n; i++)
            all &= (fathom__stream_token_flags(stream, condition->ids[i]) & flags[f]) != 0;
        *flag = flags[f];
        if (all) return FATHOM__NAME_FLAG;
    }
    return FATHOM__NAME_NONE;
}

/* Puts the members of a set of bits first, in the order that they had. */
static void put_first(struct fathom__condition *condition, uint32_t bits) {
    uint32_t ids[FATHOM__RULE_IDS] = {0}, n = 0;
    for (int others = 0; others < 2; others++) {
        for (uint32_t i = 0; i < condition->n_ids; i++)
            if ((bits >> i & 1) != (uint32_t)others) ids[n++] = condition->ids[i];
        if (!others) condition->n_named = n;
    }
    memcpy(condition->ids, ids, n * sizeof *ids);
}

void fathom__label_name(struct fathom__rule *rule, const struct fathom__label_context *context) {
    for (unsigned c = 0; c < rule->n; c++) {
        struct fathom__condition *condition = &rule->conditions[c];
        if ((condition->kind != FATHOM__TOKENS && condition->kind != FATHOM__WORDS) || condition->n_ids < 2) continue;
        struct members members;
        list_members(&members, condition, context->stream);
        const uint32_t of_class = choose_class(&condition->class_id, &members, context, condition->place);
        if (of_class) {
            condition->name = FATHOM__NAME_CLASS;
            put_first(condition, of_class);
        } else {
            condition->name = shape_of(&condition->flag, &members, condition, context->stream);
            condition->n_named = condition->name ? condition->n_ids : 0;
        }
    }
}
