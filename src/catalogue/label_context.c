/* What is counted once for all features. */
#include "catalogue/label_internal.h"

#include "base/memory.h"

#include <stdlib.h>
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

/* Classes so general that they say nothing of what a word means. */
static bool is_vague(const fathom__lexicon *lexicon, uint32_t class_id) {
    static const char names[] =
        " entity physical_entity abstraction thing object whole causal_agent matter process psychological_feature "
        "attribute group relation measure state act event unit cognition communication content property quality part "
        "artifact organism living_thing physical_condition happening indefinite_quantity definite_quantity "
        "social_group "
        "abstract_entity activity condition magnitude fundamental_quantity change_of_state ";
    const char *kind;
    size_t length;
    uint32_t offset;
    const enum fathom__class_kind which = fathom__lexicon_class_kind(lexicon, class_id);
    if (which != FATHOM__CLASS_NOUN && which != FATHOM__CLASS_IDEA) return false;
    const char *name = fathom__lexicon_class_name(&length, &kind, &offset, lexicon, class_id);
    for (const char *at = names + 1; *at;) {
        const char *end = strchr(at, ' ');
        if ((size_t)(end - at) == length && memcmp(at, name, length) == 0) return true;
        at = end + 1;
    }
    return false;
}

static int by_base(const void *left, const void *right) {
    const struct fathom__entry_base *a = left, *b = right;
    if (a->base != b->base) return a->base < b->base ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

/* Entries of the background, forms of one word together. */
static int list_entries(struct fathom__entry_base **out, size_t *n, const struct fathom__stream *stream) {
    const int status = fathom__alloc(out, stream->entry_table.keys.count, sizeof **out);
    *n = 0;
    for (uint32_t entry = 1; !status && entry < stream->entry_table.keys.count; entry++)
        if (stream->entry_counts[entry])
            (*out)[(*n)++] = (struct fathom__entry_base){stream->entry_table.bases[entry], 0, entry};
    if (*n) qsort(*out, *n, sizeof **out, by_base);
    return status;
}

static int count_classes(struct fathom__label_context *context) {
    const struct fathom__stream *stream = context->stream;
    struct fathom__entry_base *entries = NULL;
    struct fathom__class_count *counts = NULL;
    uint32_t *last_base = NULL;
    size_t n_entries = 0;
    if (!stream->lexicon) return FATHOM_OK;
    const uint32_t n = fathom__lexicon_class_count(stream->lexicon);
    int status;
    if ((status = list_entries(&entries, &n_entries, stream)) ||
        (status = fathom__alloc(&context->class_index, n, sizeof *context->class_index)) ||
        (status = fathom__alloc(&counts, n, sizeof *counts)) ||
        (status = fathom__alloc(&last_base, n, sizeof *last_base)))
        goto done;
    for (size_t i = 0; i < n_entries; i++) {
        const uint32_t *classes;
        const size_t n_of_entry = fathom__entry_classes(&classes, stream, entries[i].entry);
        context->n_bases += !i || entries[i].base != entries[i - 1].base;
        for (size_t j = 0; j < n_of_entry; j++) {
            struct fathom__class_count *count = &counts[classes[j]];
            count->rows += stream->entry_counts[entries[i].entry];
            if (last_base[classes[j]] == context->n_bases) continue;
            last_base[classes[j]] = context->n_bases; /* counted from 1 */
            count->bases++;
        }
    }
    for (uint32_t c = 0; c < n; c++) {
        const bool forms = fathom__lexicon_class_kind(stream->lexicon, c) == FATHOM__CLASS_FORMS;
        const bool tried = counts[c].bases >= (forms ? 1 : FATHOM__LEAST_BASES) &&
                           (double)counts[c].rows <= FATHOM__MOST_COMMON * (double)stream->n_entry_rows &&
                           !is_vague(stream->lexicon, c);
        context->class_index[c] = tried ? context->n_classes : FATHOM__NO_CLASS;
        if (!tried) continue;
        counts[context->n_classes] = counts[c];
        counts[context->n_classes++].class_id = c;
    }
    context->classes = counts;
    counts = NULL;
done:
    fathom_free(entries);
    fathom_free(counts);
    fathom_free(last_base);
    return status;
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
    fathom_free(context->class_index);
    fathom_free(context->classes);
    for (int side = 0; side < 2; side++) {
        fathom__intern_free(&context->affixes[side]);
        fathom_free(context->affix_rows[side]);
    }
    *context = (struct fathom__label_context){0};
}
