/* What stands how often in the text that labels are proposed on. */
#include "base/memory.h"
#include "catalogue/stream_internal.h"

static int count_background(struct fathom__stream *stream) {
    const struct fathom__evidence *evidence = stream->evidence;
    int status;
    if ((status = fathom__alloc(&stream->token_counts, stream->vocabulary->n, sizeof *stream->token_counts)) ||
        (status = fathom__alloc(&stream->word_counts, stream->word_table.count, sizeof *stream->word_counts)) ||
        (status = fathom__alloc(&stream->entry_counts, stream->entry_table.keys.count, sizeof *stream->entry_counts)))
        return status;
    for (size_t s = 0; s < evidence->n_sequences; s++) {
        if (fathom__document_role(evidence->sequences[s].document) != FATHOM__PROPOSE) continue;
        const uint32_t end = fathom__evidence_sequence_end(evidence, &evidence->sequences[s]);
        for (uint32_t row = evidence->sequences[s].first_row; row < end; row++) {
            if (!evidence->covered[row]) continue;
            stream->n_background++;
            stream->token_counts[evidence->tokens[row]]++;
            stream->word_counts[stream->words[row]]++;
            stream->entry_counts[stream->entries[row]]++;
            for (int bit = 0; bit < 8; bit++)
                stream->flag_counts[bit] += stream->flags[row] >> bit & 1;
        }
    }
    stream->n_entry_rows = stream->n_background - stream->entry_counts[0];
    return FATHOM_OK;
}

enum { MOSTLY_PERCENT = 60, HALF_PERCENT = 50 };

/* Of every key the value that stands at so large a share of its places, 0 where none does: found by a majority vote
 * and then counted. keys and values: [rows]; out: [n_keys]. */
static int find_usual(uint32_t *out, size_t n_keys, const uint32_t *keys, const uint32_t *values, size_t n_rows,
                      unsigned percent) {
    uint32_t *votes = NULL, *hits = NULL, *all = NULL;
    int status;
    if ((status = fathom__alloc(&votes, n_keys, sizeof *votes)) ||
        (status = fathom__alloc(&hits, n_keys, sizeof *hits)) || (status = fathom__alloc(&all, n_keys, sizeof *all)))
        goto done;
    for (size_t row = 0; row < n_rows; row++) {
        const uint32_t key = keys[row];
        if (!votes[key]) out[key] = values[row];
        if (out[key] == values[row])
            votes[key]++;
        else
            votes[key]--;
    }
    for (size_t row = 0; row < n_rows; row++) {
        all[keys[row]]++;
        hits[keys[row]] += out[keys[row]] == values[row];
    }
    for (size_t key = 0; key < n_keys; key++)
        if ((uint64_t)hits[key] * 100 < (uint64_t)all[key] * percent) out[key] = 0;
done:
    fathom_free(votes);
    fathom_free(hits);
    fathom_free(all);
    return status;
}

int fathom__stream_count(struct fathom__stream *stream) {
    const size_t n_rows = stream->evidence->n_rows, n_words = stream->word_table.count;
    int status;
    if ((status = count_background(stream)) ||
        (status = fathom__alloc(&stream->token_words, stream->vocabulary->n, sizeof *stream->token_words)) ||
        (status = fathom__alloc(&stream->word_entries, n_words, sizeof *stream->word_entries)) ||
        (status = find_usual(stream->token_words, stream->vocabulary->n, (const uint32_t *)stream->evidence->tokens,
                             stream->words, n_rows, MOSTLY_PERCENT)))
        return status;
    return find_usual(stream->word_entries, n_words, stream->words, stream->entries, n_rows, HALF_PERCENT);
}
