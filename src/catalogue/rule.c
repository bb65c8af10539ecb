#include "catalogue/rule.h"

#include <string.h>

enum { WORDLESS_BETWEEN = 2 };

const struct fathom__sign_kind fathom__signs[] = {
    {"opening brackets", "([{<"},
    {"closing brackets", ")]}>"},
    {"quotation marks", "\"'`“”‘’«»"},
    {"ends of sentences", ".!?…"},
    {"dashes", "-–—"},
    {"marks of emphasis", "*_#"},
};
const size_t fathom__sign_kinds = sizeof fathom__signs / sizeof *fathom__signs;

static bool has_affix(const struct fathom__condition *condition, const struct fathom__stream *stream, uint32_t row) {
    size_t length;
    const size_t n = strlen(condition->affix);
    if (!stream->words[row]) return false;
    const char *word = fathom__intern_text(&length, &stream->word_table, stream->words[row]);
    return length > n && memcmp(condition->kind == FATHOM__SUFFIX ? word + length - n : word, condition->affix, n) == 0;
}

/* The condition at the row itself, wherever its place is. */
static bool matches(const struct fathom__condition *condition, const struct fathom__stream *stream, uint32_t row) {
    uint32_t id;
    switch (condition->kind) {
    case FATHOM__TOKENS: id = (uint32_t)stream->evidence->tokens[row]; break;
    case FATHOM__WORDS: id = stream->words[row]; break;
    case FATHOM__CLASS:
        return stream->entries[row] && fathom__entry_in_class(stream, stream->entries[row], condition->class_id);
    case FATHOM__FLAG: return (stream->flags[row] & condition->flag) != 0;
    case FATHOM__SUFFIX:
    case FATHOM__PREFIX: return has_affix(condition, stream, row);
    default: return false;
    }
    for (uint32_t i = 0; i < condition->n_ids; i++)
        if (condition->ids[i] == id) return true;
    return false;
}

bool fathom__row_before(uint32_t *out, const struct fathom__stream *stream, uint32_t row, uint32_t first, bool words) {
    if (words && stream->words[row])
        while (row > first && !(stream->flags[row] & FATHOM__WORD_FIRST))
            row--;
    for (int i = 0; row > first && i <= WORDLESS_BETWEEN; i++) {
        row--;
        if (!words || stream->words[row]) {
            *out = row;
            return true;
        }
    }
    return false;
}

bool fathom__row_after(uint32_t *out, const struct fathom__stream *stream, uint32_t row, uint32_t end, bool words) {
    if (words && stream->words[row])
        while (row + 1 < end && !(stream->flags[row] & FATHOM__WORD_LAST))
            row++;
    for (int i = 0; row + 1 < end && i <= WORDLESS_BETWEEN; i++) {
        row++;
        if (!words || stream->words[row]) {
            *out = row;
            return true;
        }
    }
    return false;
}

static bool condition_in(const struct fathom__condition *condition, const struct fathom__stream *stream, uint32_t row,
                         uint32_t first, uint32_t end) {
    const bool words = condition->kind != FATHOM__TOKENS && condition->kind != FATHOM__FLAG;
    uint32_t other;
    switch (condition->place) {
    case FATHOM__BEFORE:
        return fathom__row_before(&other, stream, row, first, words) && matches(condition, stream, other);
    case FATHOM__AFTER: return fathom__row_after(&other, stream, row, end, words) && matches(condition, stream, other);
    case FATHOM__NEAR: {
        const uint32_t from = row - first > FATHOM__NEAR_BEFORE ? row - FATHOM__NEAR_BEFORE : first;
        for (uint32_t i = from; i < end && i <= row + FATHOM__NEAR_AFTER; i++)
            if (matches(condition, stream, i)) return true;
        return false;
    }
    default: return matches(condition, stream, row);
    }
}

bool fathom__condition_at(const struct fathom__condition *condition, const struct fathom__stream *stream,
                          uint32_t row) {
    if (condition->place == FATHOM__HERE) return matches(condition, stream, row);
    const struct fathom__sequence *sequence = fathom__evidence_sequence(stream->evidence, row);
    return condition_in(condition, stream, row, sequence->first_row,
                        fathom__evidence_sequence_end(stream->evidence, sequence));
}

bool fathom__rule_at(const struct fathom__rule *rule, const struct fathom__stream *stream, uint32_t row) {
    for (unsigned i = 0; i < rule->n; i++)
        if (!fathom__condition_at(&rule->conditions[i], stream, row)) return false;
    return rule->n > 0;
}

void fathom__rule_mark(uint8_t *fires, uint8_t *scratch, const struct fathom__rule *rule,
                       const struct fathom__stream *stream, uint32_t first, uint32_t end) {
    const uint32_t n = end - first;
    memset(fires, rule->n > 0, n);
    for (unsigned c = 0; c < rule->n; c++) {
        const struct fathom__condition *condition = &rule->conditions[c];
        if (condition->place != FATHOM__NEAR) {
            for (uint32_t i = 0; i < n; i++)
                if (fires[i]) fires[i] = condition_in(condition, stream, first + i, first, end);
            continue;
        }
        /* Every match covers the rows that would look at it. */
        memset(scratch, 0, n);
        for (uint32_t i = 0, covered = 0; i < n; i++) {
            if (!matches(condition, stream, first + i)) continue;
            uint32_t from = i > FATHOM__NEAR_AFTER ? i - FATHOM__NEAR_AFTER : 0;
            const uint32_t to = i + FATHOM__NEAR_BEFORE < n - 1 ? i + FATHOM__NEAR_BEFORE : n - 1;
            if (from < covered) from = covered;
            for (; from <= to; from++)
                scratch[from] = 1;
            covered = to + 1;
        }
        for (uint32_t i = 0; i < n; i++)
            fires[i] &= scratch[i];
    }
}

enum fathom_label_kind fathom__rule_kind(const struct fathom__rule *rule) {
    bool class = false, list = false, named = false, word = false;
    for (unsigned i = 0; i < rule->n; i++) {
        const struct fathom__condition *condition = &rule->conditions[i];
        const bool words = condition->kind == FATHOM__WORDS || condition->kind == FATHOM__TOKENS;
        class |= condition->kind == FATHOM__CLASS;
        list |= words && condition->n_ids > 1 && !condition->name;
        named |= words && condition->name;
        word |= words && condition->n_ids == 1;
    }
    return list    ? FATHOM_LABEL_LIST
           : named ? FATHOM_LABEL_NAMED
           : class ? FATHOM_LABEL_CLASS
           : word  ? FATHOM_LABEL_WORD
                   : FATHOM_LABEL_SHAPE;
}

const char *fathom_label_kind_name(enum fathom_label_kind kind) {
    static const char *const names[FATHOM_LABEL_KINDS] = {"class", "named", "word", "list", "shape"};
    return (unsigned)kind < FATHOM_LABEL_KINDS ? names[kind] : "";
}
