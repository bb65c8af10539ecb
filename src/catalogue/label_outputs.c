/* What a feature raises at the output, as a source of labels: a feature that writes "NBA", "Basketball" and "Knicks" may
 * be one for basketball, though the words where it is active do not say so. Outputs only propose; the rules made of them
 * are chosen and tested on text like all others. Where two rules are as good, the one that speaks of the outputs too is
 * taken (label_choose.c).
 */
#include "catalogue/label_internal.h"

#include "catalogue/catalogue_internal.h"

enum { LEAST_SHARED = 2 }; /* words raised that make a class, or that must be in one */

void fathom__label_outputs(struct fathom__outputs *out, const struct fathom__label_context *context, uint32_t feature) {
    const struct fathom__stream *stream = context->stream;
    const struct fathom_effect *effects = context->options->effects;
    out->n = 0;
    if (!effects) return;
    effects += (size_t)feature * 2 * FATHOM__EFFECTS;
    for (uint32_t i = 0; i < FATHOM__EFFECTS && out->n < FATHOM__RULE_IDS; i++) {
        if (effects[i].token < 0 || !stream->token_counts[effects[i].token]) continue;
        const uint32_t token = (uint32_t)effects[i].token, word = stream->token_words[token];
        out->tokens[out->n] = token;
        out->words[out->n] = word;
        out->entries[out->n++] = word ? stream->word_entries[word] : 0;
    }
}

static bool has_id(const uint32_t *ids, uint32_t n, uint32_t id) {
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static void propose_words(struct fathom__candidates *candidates, const struct fathom__outputs *outputs,
                          enum fathom__place place) {
    struct fathom__condition condition = {.place = place, .kind = FATHOM__WORDS};
    for (uint32_t i = 0; i < outputs->n; i++)
        if (outputs->words[i] && !has_id(condition.ids, condition.n_ids, outputs->words[i]))
            condition.ids[condition.n_ids++] = outputs->words[i];
    if (condition.n_ids) fathom__label_add_candidate(candidates, &condition);
}

void fathom__label_propose_outputs(struct fathom__label_scratch *scratch, const struct fathom__label_context *context) {
    static const enum fathom__place places[] = {FATHOM__NEAR, FATHOM__HERE, FATHOM__AFTER};
    const struct fathom__outputs *outputs = &scratch->outputs;
    /* "near" for the naming, where only classes that text can be about count. */
    struct fathom__rule shared = {.n = 1,
                                  .conditions = {{.place = FATHOM__NEAR, .kind = FATHOM__TOKENS, .n_ids = outputs->n}}};
    for (uint32_t i = 0; i < outputs->n; i++)
        shared.conditions[0].ids[i] = outputs->tokens[i];
    fathom__label_name(&shared, context);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!context->options->no_quotes) propose_words(&scratch->candidates, outputs, places[i]);
        if (shared.conditions[0].name != FATHOM__NAME_CLASS) continue;
        const struct fathom__condition class = {
            .place = places[i], .kind = FATHOM__CLASS, .class_id = shared.conditions[0].class_id};
        fathom__label_add_candidate(&scratch->candidates, &class);
    }
}

static uint32_t count_listed(const struct fathom__condition *condition, const struct fathom__outputs *outputs) {
    const uint32_t *known = condition->kind == FATHOM__TOKENS ? outputs->tokens : outputs->words;
    uint32_t n = 0;
    for (uint32_t i = 0; i < condition->n_ids; i++)
        n += has_id(known, outputs->n, condition->ids[i]);
    return n;
}

static uint32_t count_in_class(uint32_t class_id, const struct fathom__outputs *outputs,
                               const struct fathom__stream *stream) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < outputs->n; i++)
        n += outputs->entries[i] && !has_id(outputs->entries, i, outputs->entries[i]) &&
             fathom__entry_in_class(stream, outputs->entries[i], class_id);
    return n;
}

bool fathom__label_outputs_agree(const struct fathom__rule *rule, const struct fathom__outputs *outputs,
                                 const struct fathom__stream *stream) {
    for (unsigned i = 0; i < rule->n; i++) {
        const struct fathom__condition *condition = &rule->conditions[i];
        if (condition->kind == FATHOM__CLASS && count_in_class(condition->class_id, outputs, stream) >= LEAST_SHARED)
            return true;
        if ((condition->kind == FATHOM__TOKENS || condition->kind == FATHOM__WORDS) &&
            count_listed(condition, outputs) * 2 >= condition->n_ids)
            return true;
    }
    return false;
}
