/* What is counted once for all features. */
#include "catalogue/label_internal.h"

#include "base/memory.h"

#include <string.h>

static int index_role(struct fathom__held_index *out, const struct fathom__label_context *context,
                      enum fathom__role role) {
    const struct fathom__evidence *evidence = context->stream->evidence;
    size_t capacity = 0, n = 0;
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < evidence->n_held; i++) {
        const uint32_t row = evidence->held_rows[i];
        if (!evidence->covered[row] ||
            fathom__document_role(fathom__evidence_sequence(evidence, row)->document) != role)
            continue;
        if (!(status = fathom__grow(&out->rows, &capacity, n + 1, sizeof *out->rows))) out->rows[n++] = row;
    }
    out->n_rows = n;
    if (status ||
        (status = fathom__alloc(&out->surface_starts, context->n_surfaces + 2, sizeof *out->surface_starts)) ||
        (status = fathom__alloc(&out->surface_rows, n, sizeof *out->surface_rows)))
        return status;
    /* Counted one place ahead, so that filling leaves every start where it belongs. */
    for (size_t i = 0; i < n; i++)
        out->surface_starts[fathom__surface(context->stream, out->rows[i]) + 2]++;
    for (size_t s = 2; s < context->n_surfaces + 2; s++)
        out->surface_starts[s] += out->surface_starts[s - 1];
    for (size_t i = 0; i < n; i++)
        out->surface_rows[out->surface_starts[fathom__surface(context->stream, out->rows[i]) + 1]++] = out->rows[i];
    return FATHOM_OK;
}

/* The test documents' sequences that are held out whole: figures at the true prevalence come from all their rows. */
static int list_test_sequences(struct fathom__label_context *context) {
    const struct fathom__evidence *evidence = context->stream->evidence;
    size_t capacity = 0;
    for (size_t i = 0; i < evidence->n_held;) {
        const struct fathom__sequence *sequence = fathom__evidence_sequence(evidence, evidence->held_rows[i]);
        const uint32_t end = fathom__evidence_sequence_end(evidence, sequence), length = end - sequence->first_row;
        i += length;
        if (length > context->longest_sequence) context->longest_sequence = length;
        if (fathom__document_role(sequence->document) != FATHOM__TEST) continue;
        const int status = fathom__grow(&context->test_sequences, &capacity, context->n_test_sequences + 1,
                                        sizeof *context->test_sequences);
        if (status) return status;
        context->test_sequences[context->n_test_sequences++] = (struct fathom__sequence){sequence->first_row, end};
    }
    return FATHOM_OK;
}

static int count_classes(struct fathom__label_context *context) {
    const struct fathom__stream *stream = context->stream;
    if (!stream->wordnet) return FATHOM_OK;
    const uint32_t n = fathom__wordnet_synset_count(stream->wordnet);
    int status;
    if ((status = fathom__alloc(&context->class_rows, n, sizeof *context->class_rows)) ||
        (status = fathom__alloc(&context->class_entries, n, sizeof *context->class_entries)))
        return status;
    for (uint32_t entry = 1; entry < stream->entry_table.keys.count; entry++) {
        const uint32_t *classes;
        if (!stream->entry_counts[entry]) continue;
        const size_t n_classes = fathom__entry_classes(&classes, stream, entry);
        context->n_entries++;
        for (size_t i = 0; i < n_classes; i++) {
            context->class_rows[classes[i]] += stream->entry_counts[entry];
            context->class_entries[classes[i]]++;
        }
    }
    return FATHOM_OK;
}

static int count_affix(struct fathom__label_context *context, int side, const char *affix, size_t length,
                       uint32_t rows) {
    uint32_t id;
    const size_t before = context->affix_capacities[side];
    int status = fathom__intern_add(&id, &context->affixes[side], affix, length);
    if (!status)
        status = fathom__grow(&context->affix_rows[side], &context->affix_capacities[side], (size_t)id + 1,
                              sizeof **context->affix_rows);
    if (status) return status;
    if (context->affix_capacities[side] > before)
        memset(context->affix_rows[side] + before, 0,
               (context->affix_capacities[side] - before) * sizeof **context->affix_rows);
    context->affix_rows[side][id] += rows;
    return FATHOM_OK;
}

static int count_affixes(struct fathom__label_context *context) {
    const struct fathom__stream *stream = context->stream;
    int status = FATHOM_OK;
    for (uint32_t word = 1; !status && word < stream->word_table.count; word++) {
        size_t length;
        const char *text = fathom__intern_text(&length, &stream->word_table, word);
        if (!stream->word_counts[word]) continue;
        for (size_t n = 1; !status && n <= FATHOM__AFFIX_LENGTHS && n < length; n++)
            if (!(status = count_affix(context, 0, text + length - n, n, stream->word_counts[word])))
                status = count_affix(context, 1, text, n, stream->word_counts[word]);
    }
    return status;
}

int fathom__label_context_open(struct fathom__label_context *out, const struct fathom__stream *stream,
                               const struct fathom__label_options *options) {
    *out = (struct fathom__label_context){
        .stream = stream, .options = options, .n_surfaces = stream->word_table.count + stream->vocabulary->n};
    int status;
    if ((status = index_role(&out->held[FATHOM__CHOOSE], out, FATHOM__CHOOSE)) ||
        (status = index_role(&out->held[FATHOM__TEST], out, FATHOM__TEST)) || (status = list_test_sequences(out)) ||
        (status = count_classes(out)) || (status = count_affixes(out)))
        fathom__label_context_close(out);
    return status;
}

void fathom__label_context_close(struct fathom__label_context *context) {
    for (int role = 0; role < FATHOM__ROLES; role++) {
        fathom_free(context->held[role].rows);
        fathom_free(context->held[role].surface_starts);
        fathom_free(context->held[role].surface_rows);
    }
    fathom_free(context->test_sequences);
    fathom_free(context->class_rows);
    fathom_free(context->class_entries);
    for (int side = 0; side < 2; side++) {
        fathom__intern_free(&context->affixes[side]);
        fathom_free(context->affix_rows[side]);
    }
    *context = (struct fathom__label_context){0};
}
