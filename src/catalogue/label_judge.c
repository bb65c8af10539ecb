/* Whether a label holds on text that no choice has seen, and its figures. */
#include "catalogue/label_work.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

enum { SHUFFLED = 8, MOST_LABEL_BYTES = 400 };

void fathom__label_seed(struct fathom__random *random, const struct fathom__labelling *work, uint32_t feature,
                        uint64_t purpose) {
    fathom__random_seed(random, work->context.options->seed * UINT64_C(0x9e3779b97f4a7c15) + ((uint64_t)feature << 8) +
                                    purpose);
}

float fathom__label_least(const struct fathom__evidence *evidence, uint32_t feature, enum fathom__range range) {
    return range == FATHOM__RANGE_STRONG ? FATHOM__LABEL_STRONG * evidence->features[feature].maximum : 0;
}

bool fathom__label_tells_strong(const struct fathom__labelling *work, uint32_t feature,
                                const struct fathom__rule *rule) {
    const struct fathom__stream *stream = work->context.stream;
    const float least = fathom__label_least(stream->evidence, feature, FATHOM__RANGE_STRONG);
    size_t n = 0, hits = 0;
    for (enum fathom__role role = 0; role < FATHOM__ROLES; role++) {
        const struct fathom__drawn *drawn = fathom__evidence_drawn(stream->evidence, feature, role);
        for (uint32_t i = 0; i < stream->evidence->features[feature].n_drawn[role]; i++) {
            if (drawn[i].value <= least) continue;
            n++;
            hits += fathom__rule_at(rule, stream, drawn[i].row);
        }
    }
    return hits * 2 >= n;
}

/* Precision, recall and F1 over all rows of the test documents. */
static void measure_all(struct fathom_label *label, const struct fathom__labelling *work,
                        struct fathom__label_scratch *scratch, uint32_t feature, const struct fathom__rule *rule) {
    const struct fathom__stream *stream = work->context.stream;
    const struct fathom__evidence *evidence = stream->evidence;
    size_t both = 0, fires = 0, active = 0, rows = 0;
    size_t next = evidence->active_starts[feature];
    const size_t end = evidence->active_starts[feature + 1];
    for (size_t s = 0; s < work->context.n_test_sequences; s++) {
        const uint32_t first = work->context.test_sequences[s].first_row,
                       last = work->context.test_sequences[s].document;
        fathom__rule_mark(scratch->fires, scratch->marks, rule, stream, first, last);
        while (next < end && evidence->active_rows[next] < first)
            next++;
        for (uint32_t row = first; row < last; row++) {
            const bool on = next < end && evidence->active_rows[next] == row;
            next += on;
            if (!evidence->covered[row]) continue;
            rows++;
            active += on;
            fires += scratch->fires[row - first];
            both += on && scratch->fires[row - first];
        }
    }
    label->precision = fires ? (float)both / (float)fires : 0;
    label->recall = active ? (float)both / (float)active : 0;
    label->f1 = both ? 2 * label->precision * label->recall / (label->precision + label->recall) : 0;
    label->prevalence = rows ? (float)active / (float)rows : 0;
}

/* The mean score of labels that belong to other features. */
static float score_shuffled(const struct fathom__labelling *work, struct fathom__label_scratch *scratch,
                            const struct fathom__sample *sample, uint32_t feature) {
    const uint32_t n = work->context.stream->evidence->n_features;
    double sum = 0;
    int taken = 0;
    for (int i = 0; i < SHUFFLED * SHUFFLED && taken < SHUFFLED; i++) {
        const uint32_t other = (uint32_t)fathom__random_below(&scratch->random, n);
        const struct fathom__rule *rule = &work->outcomes[other].choices[FATHOM__RANGE_WHOLE].rule;
        if (other == feature || !rule->n) continue;
        sum += fathom__label_score(rule, sample, work->context.stream);
        taken++;
    }
    return taken ? (float)(sum / taken) : 0.5f;
}

static int write_label(struct fathom_label *label, const struct fathom__labelling *work,
                       const struct fathom__rule *rule, enum fathom__range range) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MOST_LABEL_BYTES);
    json_t *json = NULL;
    char *written = NULL, *rule_text = NULL;
    int status = fathom__rule_text(&text, rule, work->context.stream);
    if (!status && range == FATHOM__RANGE_STRONG) status = fathom__buffer_text(&text, FATHOM__WHERE_STRONG);
    if (status == FATHOM_ERROR_LIMIT) { /* tokens of many bytes: no label for people */
        fathom__buffer_free(&text);
        return FATHOM_OK;
    }
    if (!status && !(status = fathom__rule_json(&json, rule, work->context.stream))) {
        if (range == FATHOM__RANGE_STRONG) json_object_set_new(json, "above", json_real((double)FATHOM__LABEL_STRONG));
        status = fathom__json_text(&rule_text, json, false);
    }
    if (!status) status = fathom__buffer_take(&written, &text);
    json_decref(json);
    fathom__buffer_free(&text);
    if (status) {
        fathom_free(rule_text);
        return status;
    }
    label->text = written;
    label->rule = rule_text;
    label->origin = "offline";
    return FATHOM_OK;
}

int fathom__label_judge(enum fathom__fate *fate, struct fathom__labelling *work, struct fathom__label_scratch *scratch,
                        uint32_t feature, enum fathom__range range) {
    const struct fathom__choice *choice = &work->outcomes[feature].choices[range];
    const struct fathom__stream *stream = work->context.stream;
    struct fathom_label label = {0};
    struct fathom__sample sample = {.n_active = 0};
    *fate = FATHOM__FATE_NO_RULE;
    if (!choice->rule.n) return FATHOM_OK;
    *fate = FATHOM__FATE_LOW_SCORE;
    fathom__label_seed(&scratch->random, work, feature, FATHOM__TEST);
    fathom__label_sample(&sample, &work->context, feature, FATHOM__TEST,
                         fathom__label_least(stream->evidence, feature, range), &scratch->random);
    label.score = (float)fathom__label_score(&choice->rule, &sample, stream);
    label.single_token = choice->token.n ? (float)fathom__label_score(&choice->token, &sample, stream) : 0.5f;
    label.shuffled = score_shuffled(work, scratch, &sample, feature);
    label.n_active = (uint32_t)sample.n_active;
    label.n_inactive = (uint32_t)sample.n_inactive;
    if (label.n_active < FATHOM__LABEL_ACTIVE || label.score < FATHOM__LABEL_SCORE ||
        label.score < label.shuffled + FATHOM__LABEL_MARGIN ||
        !fathom__label_tells_strong(work, feature, &choice->rule))
        return FATHOM_OK;
    measure_all(&label, work, scratch, feature, &choice->rule);
    if (label.f1 < FATHOM__LABEL_F1) {
        *fate = FATHOM__FATE_LOW_F1;
        return FATHOM_OK;
    }
    const int status = write_label(&label, work, &choice->rule, range);
    if (status || !label.text) return status;
    work->labels[feature] = label;
    *fate = FATHOM__FATE_LABELLED;
    return FATHOM_OK;
}
