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

/* The word that most places of each token belong to, found by a majority vote and then counted. */
static int find_token_words(struct fathom__stream *stream) {
    enum { MOSTLY_PERCENT = 60 };
    const struct fathom__evidence *evidence = stream->evidence;
    const size_t n = stream->vocabulary->n;
    uint32_t *votes = NULL, *hits = NULL, *all = NULL;
    int status;
    if ((status = fathom__alloc(&stream->token_words, n, sizeof *stream->token_words)) ||
        (status = fathom__alloc(&votes, n, sizeof *votes)) || (status = fathom__alloc(&hits, n, sizeof *hits)) ||
        (status = fathom__alloc(&all, n, sizeof *all)))
        goto done;
    for (uint32_t row = 0; row < evidence->n_rows; row++) {
        const int32_t token = evidence->tokens[row];
        if (!votes[token]) stream->token_words[token] = stream->words[row];
        if (stream->token_words[token] == stream->words[row])
            votes[token]++;
        else
            votes[token]--;
    }
    for (uint32_t row = 0; row < evidence->n_rows; row++) {
        const int32_t token = evidence->tokens[row];
        all[token]++;
        hits[token] += stream->token_words[token] == stream->words[row];
    }
    for (size_t token = 0; token < n; token++)
        if ((uint64_t)hits[token] * 100 < (uint64_t)all[token] * MOSTLY_PERCENT) stream->token_words[token] = 0;
done:
    fathom_free(votes);
    fathom_free(hits);
    fathom_free(all);
    return status;
}

int fathom__stream_count(struct fathom__stream *stream) {
    const int status = count_background(stream);
    return status ? status : find_token_words(stream);
}
