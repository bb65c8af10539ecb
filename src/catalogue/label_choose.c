/* Choosing among the proposed rules, and putting two of them together. */
#include "catalogue/label_internal.h"

#include <math.h>
#include <string.h>

enum { BEST_HERE = 4, BEST_AROUND = 4 };

/* What a rule must be better by to be preferred to one that is easier to read. */
static const double CONDITION_COST = 0.02, ID_COST = 0.015, CLASS_GAIN = 0.06, WORD_GAIN = 0.015;
/* What it is worth more to say what the feature raises, too, than only where it is active. */
static const double OUTPUT_GAIN = 0.03;
/* What a rule is worth that fires where the feature does and nowhere else, more than one that fires everywhere. */
static const double F1_GAIN = 0.15;

double fathom__label_score(const struct fathom__rule *rule, const struct fathom__sample *sample,
                           const struct fathom__stream *stream) {
    size_t hits = 0, passes = 0;
    for (size_t i = 0; i < sample->n_active; i++)
        hits += fathom__rule_at(rule, stream, sample->active[i]);
    for (size_t i = 0; i < sample->n_inactive; i++)
        passes += !fathom__rule_at(rule, stream, sample->inactive[i]);
    if (!sample->n_active || !sample->n_inactive) return 0;
    return ((double)hits / (double)sample->n_active + (double)passes / (double)sample->n_inactive) / 2;
}

static double share_of(const struct fathom__condition *condition, const struct fathom__label_context *context) {
    const struct fathom__stream *stream = context->stream;
    uint64_t rows = 0;
    switch (condition->kind) {
    case FATHOM__TOKENS:
        for (uint32_t i = 0; i < condition->n_ids; i++)
            rows += stream->token_counts[condition->ids[i]];
        break;
    case FATHOM__WORDS:
        for (uint32_t i = 0; i < condition->n_ids; i++)
            rows += stream->word_counts[condition->ids[i]];
        break;
    case FATHOM__CLASS: rows = context->classes[context->class_index[condition->class_id]].rows; break;
    case FATHOM__FLAG:
        for (int bit = 0; bit < 8; bit++)
            if (condition->flag >> bit & 1) rows = stream->flag_counts[bit];
        break;
    default: {
        const int side = condition->kind == FATHOM__PREFIX;
        uint32_t affix;
        if (!fathom__intern_find(&affix, &context->affixes[side], condition->affix, strlen(condition->affix))) return 1;
        rows = context->affix_rows[side][affix];
    }
    }
    return fathom__label_share(stream, rows, condition->place);
}

/* F1 at the true prevalence, from the sample's recall and how often the rule's conditions hold in the background; of
 * several conditions the rarest one counts. */
static double expected_f1(const struct fathom__rule *rule, double recall, double density,
                          const struct fathom__label_context *context) {
    double share = 1;
    for (unsigned i = 0; i < rule->n; i++)
        share = fmin(share, share_of(&rule->conditions[i], context));
    const double precision = fmin(1, recall * density / share);
    return recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static double worth(const struct fathom__rule *rule, const struct fathom__sample *sample,
                    const struct fathom__label_context *context) {
    const struct fathom__stream *stream = context->stream;
    double score = fathom__label_score(rule, sample, stream);
    size_t hits = 0;
    for (size_t i = 0; i < sample->n_active; i++)
        hits += fathom__rule_at(rule, stream, sample->active[i]);
    if (sample->n_active)
        score += F1_GAIN * expected_f1(rule, (double)hits / (double)sample->n_active, sample->density, context);
    for (unsigned i = 0; i < rule->n; i++) {
        const struct fathom__condition *condition = &rule->conditions[i];
        if (i) score -= CONDITION_COST;
        if (condition->n_ids > 1) score -= (i ? 2 : 1) * ID_COST * (condition->n_ids - 1);
    }
    if (rule->conditions[0].kind == FATHOM__CLASS) score += CLASS_GAIN;
    if (rule->conditions[0].kind == FATHOM__WORDS) score += WORD_GAIN;
    if (sample->outputs && fathom__label_outputs_agree(rule, sample->outputs, stream)) score += OUTPUT_GAIN;
    return score;
}

struct ranked {
    size_t rule;
    double worth;
};

static void rank(struct ranked *best, size_t most, size_t rule, double value) {
    for (size_t i = 0; i < most; i++)
        if (value > best[i].worth) {
            for (size_t j = most - 1; j > i; j--)
                best[j] = best[j - 1];
            best[i] = (struct ranked){rule, value};
            return;
        }
}

static void consider(struct fathom__rule *best, double *best_worth, const struct fathom__rule *rule,
                     const struct fathom__sample *sample, const struct fathom__label_context *context) {
    const double value = worth(rule, sample, context);
    if (value > *best_worth) {
        *best_worth = value;
        *best = *rule;
    }
}

/* A rule on words says so for all their tokens; a feature may sit on the last one, or the first. */
static void consider_edges(struct fathom__rule *best, double *best_worth, const struct fathom__sample *sample,
                           const struct fathom__label_context *context) {
    static const uint8_t edges[] = {FATHOM__WORD_LAST, FATHOM__WORD_FIRST};
    const struct fathom__rule whole = *best;
    if (whole.n == FATHOM__RULE_CONDITIONS || whole.conditions[0].place != FATHOM__HERE ||
        whole.conditions[0].kind == FATHOM__TOKENS)
        return;
    for (size_t i = 0; i < sizeof edges; i++) {
        struct fathom__rule rule = whole;
        rule.conditions[rule.n++] = (struct fathom__condition){.kind = FATHOM__FLAG, .flag = edges[i]};
        consider(best, best_worth, &rule, sample, context);
    }
}

/* Takes words out of lists as long as the rest is worth more, and puts those first that tell most. */
static void prune(struct fathom__rule *best, double *best_worth, const struct fathom__sample *sample,
                  const struct fathom__label_context *context) {
    for (unsigned c = 0; c < best->n; c++) {
        for (uint32_t i = best->conditions[c].n_ids; i-- > 0 && best->conditions[c].n_ids > 1;) {
            struct fathom__rule rule = *best;
            struct fathom__condition *condition = &rule.conditions[c];
            condition->n_ids--;
            memmove(condition->ids + i, condition->ids + i + 1, (condition->n_ids - i) * sizeof *condition->ids);
            consider(best, best_worth, &rule, sample, context);
        }
        struct fathom__condition *condition = &best->conditions[c];
        size_t hits[FATHOM__RULE_IDS] = {0};
        for (uint32_t i = 0; i < condition->n_ids; i++) {
            struct fathom__condition alone = *condition;
            const uint32_t id = condition->ids[i];
            alone.n_ids = 1;
            alone.ids[0] = id;
            size_t n = 0;
            for (size_t row = 0; row < sample->n_active; row++)
                n += fathom__condition_at(&alone, context->stream, sample->active[row]);
            uint32_t at = i;
            for (; at > 0 && hits[at - 1] < n; at--) {
                hits[at] = hits[at - 1];
                condition->ids[at] = condition->ids[at - 1];
            }
            hits[at] = n;
            condition->ids[at] = id;
        }
    }
}

bool fathom__label_choose(struct fathom__rule *out, struct fathom__label_scratch *scratch,
                          const struct fathom__label_context *context, const struct fathom__sample *sample) {
    const struct fathom__candidates *candidates = &scratch->candidates;
    struct ranked here[BEST_HERE], around[BEST_AROUND];
    double best_worth = 0;
    for (size_t i = 0; i < BEST_HERE; i++)
        here[i] = (struct ranked){0, 0};
    for (size_t i = 0; i < BEST_AROUND; i++)
        around[i] = (struct ranked){0, 0};
    for (size_t i = 0; i < candidates->n; i++) {
        const double value = worth(&candidates->rules[i], sample, context);
        if (candidates->rules[i].conditions[0].place == FATHOM__HERE)
            rank(here, BEST_HERE, i, value);
        else
            rank(around, BEST_AROUND, i, value);
        if (value > best_worth) {
            best_worth = value;
            *out = candidates->rules[i];
        }
    }
    for (size_t i = 0; i < BEST_HERE && here[i].worth > 0; i++)
        for (size_t j = 0; j < BEST_AROUND && around[j].worth > 0; j++) {
            struct fathom__rule rule = candidates->rules[here[i].rule];
            rule.conditions[rule.n++] = candidates->rules[around[j].rule].conditions[0];
            consider(out, &best_worth, &rule, sample, context);
        }
    if (best_worth > 0) consider_edges(out, &best_worth, sample, context);
    if (best_worth > 0) prune(out, &best_worth, sample, context);
    return best_worth > 0;
}

void fathom__label_choose_token(struct fathom__rule *out, const struct fathom__label_scratch *scratch,
                                const struct fathom__label_context *context, const struct fathom__sample *sample) {
    double best = 0;
    out->n = 0;
    for (size_t i = 0; i < scratch->candidates.n; i++) {
        const struct fathom__rule *rule = &scratch->candidates.rules[i];
        if (rule->conditions[0].place != FATHOM__HERE || rule->conditions[0].kind != FATHOM__TOKENS ||
            rule->conditions[0].n_ids != 1)
            continue;
        const double score = fathom__label_score(rule, sample, context->stream);
        if (score > best) {
            best = score;
            *out = *rule;
        }
    }
}
