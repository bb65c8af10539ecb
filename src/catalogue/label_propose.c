/* Proposals of tokens, words, shapes and affixes that a feature's rows have more often than the corpus. */
#include "base/memory.h"
#include "catalogue/label_internal.h"
#include "catalogue/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_ROWS = 2,  /* rows of evidence that something must be seen at */
    SET_POOL = 24,   /* things that a set is put together from */
    AFFIX_WORDS = 4, /* different words that must share an affix */
    BEST_AFFIXES = 2,
    SHORT_SET = 3, /* members of the short form in which a longer set is proposed too */
};
static const double LEAST_SHARE = 0.03; /* of the evidence */
static const double SET_GAIN = 1.03;    /* by which another member must raise a set's information */

struct tally {
    uint32_t id;
    size_t first, n; /* in scratch->seen */
    double information;
};

static int by_id_and_row(const void *left, const void *right) {
    const struct fathom__seen *a = left, *b = right;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static uint32_t seen_at(const struct fathom__stream *stream, uint32_t row, enum fathom__sight sight) {
    switch (sight) {
    case FATHOM__SEE_TOKENS: return (uint32_t)stream->evidence->tokens[row];
    case FATHOM__SEE_WORDS: return stream->words[row];
    default: return stream->entries[row];
    }
}

static int add_seen(struct fathom__label_scratch *scratch, const struct fathom__stream *stream, uint32_t index,
                    uint32_t document, uint32_t row, enum fathom__sight sight) {
    const uint32_t id = seen_at(stream, row, sight);
    if (sight != FATHOM__SEE_TOKENS && !id) return FATHOM_OK;
    const int status =
        fathom__grow(&scratch->seen, &scratch->seen_capacity, scratch->n_seen + 1, sizeof *scratch->seen);
    if (!status) scratch->seen[scratch->n_seen++] = (struct fathom__seen){id, index, document};
    return status;
}

int fathom__label_look(struct fathom__label_scratch *scratch, const struct fathom__stream *stream, const uint32_t *rows,
                       size_t n_rows, enum fathom__place place, enum fathom__sight sight) {
    const struct fathom__evidence *evidence = stream->evidence;
    int status = FATHOM_OK;
    scratch->n_seen = 0;
    for (uint32_t i = 0; !status && i < n_rows; i++) {
        const struct fathom__sequence *sequence = fathom__evidence_sequence(evidence, rows[i]);
        const uint32_t first = sequence->first_row, end = fathom__evidence_sequence_end(evidence, sequence),
                       row = rows[i];
        uint32_t other;
        if (place == FATHOM__HERE) {
            status = add_seen(scratch, stream, i, sequence->document, row, sight);
        } else if (place == FATHOM__BEFORE) {
            if (fathom__row_before(&other, stream, row, first, sight != FATHOM__SEE_TOKENS))
                status = add_seen(scratch, stream, i, sequence->document, other, sight);
        } else if (place == FATHOM__AFTER) {
            if (fathom__row_after(&other, stream, row, end, sight != FATHOM__SEE_TOKENS))
                status = add_seen(scratch, stream, i, sequence->document, other, sight);
        } else {
            const uint32_t from = row - first > FATHOM__NEAR_BEFORE ? row - FATHOM__NEAR_BEFORE : first;
            for (other = from; !status && other < end && other <= row + FATHOM__NEAR_AFTER; other++)
                if (stream->flags[other] & FATHOM__WORD_LAST || sight == FATHOM__SEE_TOKENS)
                    status = add_seen(scratch, stream, i, sequence->document, other, sight);
        }
    }
    if (status || !scratch->n_seen) return status;
    qsort(scratch->seen, scratch->n_seen, sizeof *scratch->seen, by_id_and_row);
    size_t n = 1;
    for (size_t i = 1; i < scratch->n_seen; i++)
        if (scratch->seen[i].id != scratch->seen[n - 1].id || scratch->seen[i].row != scratch->seen[n - 1].row)
            scratch->seen[n++] = scratch->seen[i];
    scratch->n_seen = n;
    return FATHOM_OK;
}

double fathom__label_share(const struct fathom__stream *stream, uint64_t count, enum fathom__place place) {
    const double share = ((double)count + 0.5) / ((double)stream->n_background + 1);
    if (place != FATHOM__NEAR) return share < 1 ? share : 1;
    return 1 - exp(-share * (FATHOM__NEAR_BEFORE + 1 + FATHOM__NEAR_AFTER));
}

void fathom__label_add_candidate(struct fathom__candidates *candidates, const struct fathom__condition *condition) {
    if (candidates->n == FATHOM__CANDIDATES) return;
    candidates->rules[candidates->n++] = (struct fathom__rule){.n = 1, .conditions = {*condition}};
}

static int most_informative(const void *left, const void *right) {
    const struct tally *a = left, *b = right;
    if (a->information != b->information) return a->information > b->information ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* The most telling things seen, each alone; something of one document only may be chance when there are several
 * documents. */
static size_t tally_seen(struct tally out[SET_POOL], const struct fathom__label_scratch *scratch,
                         const struct fathom__stream *stream, size_t n_rows, const uint32_t *counts,
                         enum fathom__place place) {
    struct tally all[SET_POOL + 1] = {0};
    size_t n = 0;
    for (size_t i = 0, end; i < scratch->n_seen; i = end) {
        bool several = false;
        for (end = i + 1; end < scratch->n_seen && scratch->seen[end].id == scratch->seen[i].id; end++)
            several |= scratch->seen[end].document != scratch->seen[i].document;
        const double share = (double)(end - i) / (double)n_rows;
        if (end - i < LEAST_ROWS || share < LEAST_SHARE || !several) continue;
        const double background = fathom__label_share(stream, counts[scratch->seen[i].id], place);
        const struct tally tally = {scratch->seen[i].id, i, end - i, fathom__information(share, background)};
        if (tally.information <= 0) continue;
        size_t at = n;
        while (at > 0 && most_informative(&tally, &all[at - 1]) < 0) {
            all[at] = all[at - 1];
            at--;
        }
        all[at] = tally;
        if (n < SET_POOL) n++;
    }
    memcpy(out, all, n * sizeof *out);
    return n;
}

/* The best one alone, and the set that grows from it as long as that says more. */
static void propose_sets(struct fathom__label_scratch *scratch, const struct fathom__stream *stream, size_t n_rows,
                         const uint32_t *counts, enum fathom__place place, enum fathom__kind kind) {
    struct tally pool[SET_POOL];
    const size_t n_pool = tally_seen(pool, scratch, stream, n_rows, counts, place);
    if (!n_pool) return;
    struct fathom__condition set = {.place = place, .kind = kind};
    bool covered[FATHOM__EVIDENCE_ROWS] = {false};
    size_t n_covered = 0;
    uint64_t count = 0;
    double information = 0;
    for (size_t i = 0; i < n_pool && set.n_ids < FATHOM__RULE_IDS; i++) {
        size_t fresh = 0;
        for (size_t j = pool[i].first; j < pool[i].first + pool[i].n; j++)
            fresh += !covered[scratch->seen[j].row];
        const double share = (double)(n_covered + fresh) / (double)n_rows;
        const double grown = fathom__information(share, fathom__label_share(stream, count + counts[pool[i].id], place));
        if (grown < information * SET_GAIN) continue;
        information = grown;
        n_covered += fresh;
        count += counts[pool[i].id];
        for (size_t j = pool[i].first; j < pool[i].first + pool[i].n; j++)
            covered[scratch->seen[j].row] = true;
        set.ids[set.n_ids++] = pool[i].id;
        if (set.n_ids == 1) fathom__label_add_candidate(&scratch->candidates, &set);
    }
    if (set.n_ids > 1) fathom__label_add_candidate(&scratch->candidates, &set);
    if (set.n_ids > SHORT_SET) {
        set.n_ids = SHORT_SET;
        fathom__label_add_candidate(&scratch->candidates, &set);
    }
}

static void propose_shapes(struct fathom__label_scratch *scratch, const struct fathom__stream *stream,
                           const uint32_t *rows, size_t n_rows) {
    static const uint8_t flags[] = {FATHOM__CAPITAL, FATHOM__ALL_CAPITALS, FATHOM__NUMBER,
                                    FATHOM__YEAR,    FATHOM__LINE_BREAK,   FATHOM__PUNCTUATION};
    static const double MOSTLY = 0.3;
    for (size_t f = 0; f < sizeof flags; f++) {
        size_t here = 0, before = 0;
        for (size_t i = 0; i < n_rows; i++) {
            const struct fathom__sequence *sequence = fathom__evidence_sequence(stream->evidence, rows[i]);
            here += (stream->flags[rows[i]] & flags[f]) != 0;
            before += rows[i] > sequence->first_row && (stream->flags[rows[i] - 1] & flags[f]) != 0;
        }
        struct fathom__condition condition = {.kind = FATHOM__FLAG, .flag = flags[f]};
        if ((double)here >= MOSTLY * (double)n_rows) fathom__label_add_candidate(&scratch->candidates, &condition);
        condition.place = FATHOM__BEFORE;
        if ((double)before >= MOSTLY * (double)n_rows) fathom__label_add_candidate(&scratch->candidates, &condition);
    }
}

/* A byte that goes on with a letter of several in UTF-8. */
static bool is_inside_letter(char byte) {
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Endings (side 0) or beginnings (side 1) that different words of the evidence share. scratch->seen has the words at
 * the rows. */
static int propose_affixes(struct fathom__label_scratch *scratch, const struct fathom__label_context *context,
                           size_t n_rows, int side) {
    struct fathom__intern found = FATHOM__INTERN_INIT;
    struct affix {
        size_t rows, words, most;
    } *affixes = NULL;
    size_t capacity = 0;
    int status = FATHOM_OK;
    for (size_t i = 0, end; !status && i < scratch->n_seen; i = end) {
        for (end = i + 1; end < scratch->n_seen && scratch->seen[end].id == scratch->seen[i].id;)
            end++;
        size_t length;
        const char *word = fathom__intern_text(&length, &context->stream->word_table, scratch->seen[i].id);
        for (size_t n = 1; !status && n <= FATHOM__AFFIX_LENGTHS && n < length; n++) {
            if (is_inside_letter(word[side ? n : length - n])) continue;
            uint32_t id;
            const size_t before = found.count;
            if ((status = fathom__intern_add(&id, &found, side ? word : word + length - n, n)) ||
                (status = fathom__grow(&affixes, &capacity, (size_t)id + 1, sizeof *affixes)))
                break;
            if (found.count > before) affixes[id] = (struct affix){0};
            affixes[id].rows += end - i;
            affixes[id].words++;
            if (end - i > affixes[id].most) affixes[id].most = end - i;
        }
    }
    struct tally best[BEST_AFFIXES] = {{0}};
    for (uint32_t id = 0; !status && id < found.count; id++) {
        uint32_t known;
        size_t length;
        const char *text = fathom__intern_text(&length, &found, id);
        if (affixes[id].words < AFFIX_WORDS || affixes[id].most * 2 > affixes[id].rows ||
            !fathom__intern_find(&known, &context->affixes[side], text, length))
            continue;
        const double share = (double)affixes[id].rows / (double)n_rows;
        const double background = fathom__label_share(context->stream, context->affix_rows[side][known], FATHOM__HERE);
        const struct tally tally = {.id = id, .information = fathom__information(share, background)};
        for (size_t i = 0; i < BEST_AFFIXES; i++)
            if (tally.information > 0 && tally.information >= best[i].information) { /* of equals the longest */
                memmove(best + i + 1, best + i, (BEST_AFFIXES - i - 1) * sizeof *best);
                best[i] = tally;
                break;
            }
    }
    for (size_t i = 0; !status && i < BEST_AFFIXES && best[i].information > 0; i++) {
        struct fathom__condition condition = {.kind = side ? FATHOM__PREFIX : FATHOM__SUFFIX};
        size_t length;
        const char *text = fathom__intern_text(&length, &found, best[i].id);
        memcpy(condition.affix, text, length);
        fathom__label_add_candidate(&scratch->candidates, &condition);
    }
    fathom_free(affixes);
    fathom__intern_free(&found);
    return status;
}

int fathom__label_propose(struct fathom__label_scratch *scratch, const struct fathom__label_context *context,
                          uint32_t feature, float least) {
    const struct fathom__stream *stream = context->stream;
    const struct fathom__drawn *drawn = fathom__evidence_drawn(stream->evidence, feature, FATHOM__PROPOSE);
    uint32_t rows[FATHOM__EVIDENCE_ROWS];
    const size_t n_drawn = stream->evidence->features[feature].n_drawn[FATHOM__PROPOSE];
    size_t n = 0;
    int status = FATHOM_OK;
    scratch->candidates.n = 0;
    fathom__label_outputs(&scratch->outputs, context, feature);
    for (size_t i = 0; i < n_drawn && n < FATHOM__EVIDENCE_ROWS; i++)
        if (drawn[i].value > least) rows[n++] = drawn[i].row;
    propose_shapes(scratch, stream, rows, n);
    fathom__label_propose_outputs(scratch, context);
    for (enum fathom__place place = 0; !status && place < FATHOM__PLACES; place++)
        status = fathom__label_propose_classes(scratch, context, rows, n, place);
    if (context->options->no_quotes) return status;
    for (enum fathom__place place = 0; !status && place < FATHOM__PLACES; place++) {
        if ((status = fathom__label_look(scratch, stream, rows, n, place, FATHOM__SEE_WORDS))) break;
        propose_sets(scratch, stream, n, stream->word_counts, place, FATHOM__WORDS);
        if (place == FATHOM__HERE)
            for (int side = 0; !status && side < 2; side++)
                status = propose_affixes(scratch, context, n, side);
        if (place == FATHOM__NEAR || status) continue;
        if ((status = fathom__label_look(scratch, stream, rows, n, place, FATHOM__SEE_TOKENS))) break;
        propose_sets(scratch, stream, n, stream->token_counts, place, FATHOM__TOKENS);
    }
    return status;
}
