/* Choosing among the proposed rules, and putting two of them together. */
#include "catalogue/label_internal.h"

#include <math.h>

enum { BEST_HERE = 4, BEST_AROUND = 4 };

/* What a rule must be better by to be preferred to one that is easier to read. */
static const double CONDITION_COST = 0.01, ID_COST = 0.004, CLASS_GAIN = 0.02, WORD_GAIN = 0.01;

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

static double worth(const struct fathom__rule *rule, const struct fathom__sample *sample,
                    const struct fathom__stream *stream) {
    double score = fathom__label_score(rule, sample, stream);
    for (unsigned i = 0; i < rule->n; i++) {
        const struct fathom__condition *condition = &rule->conditions[i];
        if (i) score -= CONDITION_COST;
        if (condition->n_ids > 1) score -= ID_COST * (condition->n_ids - 1);
        if (condition->kind == FATHOM__CLASS) score += CLASS_GAIN;
        if (condition->kind == FATHOM__WORDS) score += WORD_GAIN;
    }
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
                     const struct fathom__sample *sample, const struct fathom__stream *stream) {
    const double value = worth(rule, sample, stream);
    if (value > *best_worth) {
        *best_worth = value;
        *best = *rule;
    }
}

/* A rule on words says so for all their tokens; a feature may sit on the last one, or the first. */
static void consider_edges(struct fathom__rule *best, double *best_worth, const struct fathom__sample *sample,
                           const struct fathom__stream *stream) {
    static const uint8_t edges[] = {FATHOM__WORD_LAST, FATHOM__WORD_FIRST};
    const struct fathom__rule whole = *best;
    if (whole.n == FATHOM__RULE_CONDITIONS || whole.conditions[0].place != FATHOM__HERE ||
        whole.conditions[0].kind == FATHOM__TOKENS)
        return;
    for (size_t i = 0; i < sizeof edges; i++) {
        struct fathom__rule rule = whole;
        rule.conditions[rule.n++] = (struct fathom__condition){.kind = FATHOM__FLAG, .flag = edges[i]};
        consider(best, best_worth, &rule, sample, stream);
    }
}

bool fathom__label_choose(struct fathom__rule *out, struct fathom__label_scratch *scratch,
                          const struct fathom__label_context *context, const struct fathom__sample *sample) {
    const struct fathom__candidates *candidates = &scratch->candidates;
    const struct fathom__stream *stream = context->stream;
    struct ranked here[BEST_HERE], around[BEST_AROUND];
    double best_worth = 0;
    for (size_t i = 0; i < BEST_HERE; i++)
        here[i] = (struct ranked){0, 0};
    for (size_t i = 0; i < BEST_AROUND; i++)
        around[i] = (struct ranked){0, 0};
    for (size_t i = 0; i < candidates->n; i++) {
        const double value = worth(&candidates->rules[i], sample, stream);
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
            consider(out, &best_worth, &rule, sample, stream);
        }
    if (best_worth > 0) consider_edges(out, &best_worth, sample, stream);
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
