/* The model writes: a window of documents, as many of them running as the batch holds, given to the file in their order. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/write_parts.h"
#include <fathom/session.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DOCUMENT_TOKENS 256u
#define SEQUENCES 32u
#define TEMPERATURE 0.8f
#define TOP_P 0.95f
#define REPETITION 0.2f
/* Documents that may wait for an earlier one to end, for each sequence. */
#define WINDOW 8u
/* Room for a prompt. */
#define PROMPT_TOKENS 192u
#define BATCH_ROWS 512u
/* A running document is looked at this often, over so many of its last tokens; one that loops is given up at once. */
#define LOOK_EVERY 32u
#define LOOK_BACK 64u
#define LOOPS 0.6
/* After so many documents without a single one that could be kept, none is to be expected. */
#define HOPELESS 1000u
#define PROGRESS_SECONDS 0.5

struct document {
    uint64_t number;
    struct fathom__write_prompt prompt;
    int32_t *tokens; /* written so far */
    size_t n_tokens;
    struct fathom__random random;
    bool cut, looping, finished;
};

struct slot {
    struct document *document; /* NULL: free */
    size_t n_fed;              /* of prompt and tokens */
};

struct writing {
    const fathom_model *model;
    struct fathom_write_options options;
    struct fathom_write_counts *counts;
    fathom__write_file *file;
    fathom_session *session;
    struct slot *slots;
    struct document *window; /* document n stands at n modulo n_window */
    size_t n_window;
    uint64_t begun, given; /* numbers of the next document to begin and to give to the file */
    uint64_t judged;
    struct fathom_row *rows;
    struct fathom__candidate *candidates;
    double started, told;
    uint64_t n_written; /* tokens, kept or not, in this run */
};

static void drop_document(struct document *document) {
    fathom__write_prompt_free(&document->prompt);
    fathom_free(document->tokens);
    *document = (struct document){0};
}

static int begin_document(struct writing *w, uint32_t sequence) {
    struct document *document = &w->window[w->begun % w->n_window];
    document->number = w->begun;
    int status = fathom__write_prompt(&document->prompt, w->model, &w->options, document->number);
    if (!status && document->prompt.n > PROMPT_TOKENS)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT, "topic \"%.40s…\": its prompt has %zu tokens, at most %u are possible",
                         w->options.topics[document->number % w->options.n_topics], document->prompt.n, PROMPT_TOKENS);
    if (!status) status = fathom__alloc(&document->tokens, w->options.document_tokens, sizeof *document->tokens);
    if (status) return status;
    fathom__random_seed(&document->random, w->options.seed + document->number);
    w->slots[sequence] = (struct slot){.document = document};
    w->begun++;
    return FATHOM_OK;
}

static int fill_slots(struct writing *w) {
    for (uint32_t i = 0; i < w->options.n_sequences && w->begun - w->given < w->n_window; i++) {
        if (w->slots[i].document) continue;
        const int status = begin_document(w, i);
        if (status) return status;
    }
    return FATHOM_OK;
}

static int document_text(char **out, const struct document *document, const fathom_model *model) {
    char *written = NULL;
    int status = FATHOM_OK;
    size_t length = strlen(document->prompt.opening);
    for (size_t i = 0; i < document->n_tokens && !status; i++) {
        const char *bytes;
        size_t n = 0;
        status = fathom_token_bytes(&bytes, &n, model, document->tokens[i]);
        length += n;
    }
    if (!status) status = fathom__alloc(&written, length + 1, 1);
    if (status) return status;
    *out = written;
    memcpy(written, document->prompt.opening, strlen(document->prompt.opening));
    written += strlen(document->prompt.opening);
    for (size_t i = 0; i < document->n_tokens && !status; i++) {
        const char *bytes = NULL;
        size_t n = 0;
        status = fathom_token_bytes(&bytes, &n, model, document->tokens[i]);
        if (status) return status;
        memcpy(written, bytes, n);
        written += n;
    }
    return FATHOM_OK;
}

static int give_document(struct writing *w, struct document *document) {
    struct fathom_write_counts *counts = w->counts;
    const char *topic = w->options.topics[document->number % w->options.n_topics];
    char *text = NULL;
    bool duplicate = false;
    int status = document_text(&text, document, w->model);
    if (status) return status;
    enum fathom__write_verdict verdict = document->looping
                                             ? FATHOM__WRITE_REPETITIVE
                                             : fathom__write_judge(text, document->tokens, document->n_tokens,
                                                                   document->cut, w->options.most_repetition);
    w->judged++;
    counts->repetitive += verdict == FATHOM__WRITE_REPETITIVE;
    counts->short_ones += verdict == FATHOM__WRITE_SHORT;
    counts->broken += verdict == FATHOM__WRITE_BROKEN;
    if (verdict == FATHOM__WRITE_KEPT) {
        status = fathom__write_file_add(&duplicate, w->file, text, topic, w->options.seed + document->number);
        counts->duplicates += duplicate;
        counts->documents += !status && !duplicate;
        counts->tokens += !status && !duplicate ? document->n_tokens : 0;
    }
    fathom_free(text);
    return status;
}

/* Hands finished documents to the file, in order, until there are enough. */
static int give_finished(struct writing *w) {
    while (w->given < w->begun && w->counts->tokens < w->options.tokens) {
        struct document *document = &w->window[w->given % w->n_window];
        if (!document->finished) break;
        const int status = give_document(w, document);
        if (status) return status;
        drop_document(document);
        w->given++;
    }
    if (w->judged >= HOPELESS && w->counts->documents == w->counts->continued)
        return fathom__fail(FATHOM_ERROR_LIMIT,
                            "none of %llu documents could be kept (%llu repetitive, %llu short, %llu duplicates)",
                            (unsigned long long)w->judged, (unsigned long long)w->counts->repetitive,
                            (unsigned long long)w->counts->short_ones, (unsigned long long)w->counts->duplicates);
    return FATHOM_OK;
}

static void end_document(struct writing *w, uint32_t sequence) {
    w->slots[sequence].document->finished = true;
    w->slots[sequence].document = NULL;
    fathom_session_forget(w->session, (int32_t)sequence, 0);
}

/* Takes the next token of a document out of the logits of its last row. */
static int extend_document(struct writing *w, uint32_t sequence, size_t row) {
    struct document *document = w->slots[sequence].document;
    const float *logits = fathom_session_logits(w->session, row);
    if (!logits) return fathom__fail(FATHOM_ERROR_ENGINE, "a document's last row has no logits");
    const int32_t token =
        fathom__write_sample(logits, (int32_t)fathom_model_describe(w->model)->n_vocab, w->options.temperature,
                             w->options.top_p, &document->random, w->candidates);
    if (fathom_token_is_end(w->model, token) || fathom_token_is_special(w->model, token)) {
        end_document(w, sequence);
        return FATHOM_OK;
    }
    document->tokens[document->n_tokens++] = token;
    w->n_written++;
    document->cut = document->n_tokens == w->options.document_tokens;
    document->looping = document->n_tokens >= LOOK_BACK && document->n_tokens % LOOK_EVERY == 0 &&
                        fathom__write_repetition(document->tokens + document->n_tokens - LOOK_BACK, LOOK_BACK) > LOOPS;
    if (document->cut || document->looping) end_document(w, sequence);
    return FATHOM_OK;
}

static size_t pending(const struct slot *slot) {
    return slot->document ? slot->document->prompt.n + slot->document->n_tokens - slot->n_fed : 0;
}

static void put_rows(struct writing *w, size_t *n_rows, uint32_t sequence) {
    struct slot *slot = &w->slots[sequence];
    const struct document *document = slot->document;
    for (size_t n = pending(slot); n > 0; n--, slot->n_fed++) {
        const size_t at = slot->n_fed;
        w->rows[(*n_rows)++] = (struct fathom_row){
            .token = at < document->prompt.n ? document->prompt.tokens[at] : document->tokens[at - document->prompt.n],
            .position = (int32_t)at,
            .sequence = (int32_t)sequence,
            .want_logits = n == 1};
    }
}

/* Every running document gets one token, in as many batches as the new prompts ask for. */
static int step(struct writing *w) {
    for (uint32_t first = 0; first < w->options.n_sequences;) {
        uint32_t last = first;
        size_t n_rows = 0, row = 0;
        for (; last < w->options.n_sequences && n_rows + pending(&w->slots[last]) <= BATCH_ROWS; last++)
            if (w->slots[last].document) put_rows(w, &n_rows, last);
        if (n_rows > 0) {
            const int status = fathom_session_decode(w->session, w->rows, n_rows);
            if (status) return status;
        }
        for (; row < n_rows; row++) {
            if (!w->rows[row].want_logits) continue;
            const int status = extend_document(w, (uint32_t)w->rows[row].sequence, row);
            if (status) return status;
        }
        first = last;
    }
    return FATHOM_OK;
}

static int tell_progress(struct writing *w) {
    const double now = fathom__seconds();
    if (!w->options.progress || now - w->told < PROGRESS_SECONDS) return FATHOM_OK;
    const double rate = (double)w->n_written / (now - w->started);
    char note[96];
    const struct fathom_write_counts *c = w->counts;
    snprintf(note, sizeof note, "%llu documents, dropped %llu that loop, %llu others", (unsigned long long)c->documents,
             (unsigned long long)c->repetitive, (unsigned long long)(c->short_ones + c->duplicates + c->broken));
    struct fathom_progress progress = {.stage = "write",
                                       .done = c->tokens,
                                       .total = w->options.tokens,
                                       .unit = "tokens",
                                       .units_per_second = rate,
                                       .note = note};
    progress.seconds_left =
        rate > 0 && c->tokens < w->options.tokens ? (double)(w->options.tokens - c->tokens) / rate : -1.0;
    w->told = now;
    const int returned = w->options.progress(&progress, w->options.payload);
    return returned ? fathom__callback_status(returned) : FATHOM_OK;
}

static int write_documents(struct writing *w) {
    int status = FATHOM_OK;
    w->started = w->told = fathom__seconds();
    while (!status && w->counts->tokens < w->options.tokens) {
        status = fill_slots(w);
        if (!status) status = step(w);
        if (!status) status = give_finished(w);
        if (!status) status = tell_progress(w);
    }
    return status;
}

static int check_options(struct fathom_write_options *o) {
    if (o->n_topics == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "topics: at least one is expected");
    if (o->tokens == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "tokens: at least 1 is expected");
    if (o->document_tokens == 0) o->document_tokens = DOCUMENT_TOKENS;
    if (o->n_sequences == 0) o->n_sequences = SEQUENCES;
    if (o->temperature == 0.0f) o->temperature = TEMPERATURE;
    if (o->top_p == 0.0f) o->top_p = TOP_P;
    if (o->most_repetition == 0.0f) o->most_repetition = REPETITION;
    if (!(o->temperature > 0.0f) || !isfinite(o->temperature) || !(o->top_p > 0.0f) || o->top_p > 1.0f ||
        !(o->most_repetition > 0.0f) || o->most_repetition > 1.0f)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "temperature %g must be positive; top_p %g and most_repetition %g must lie in (0, 1]",
                            (double)o->temperature, (double)o->top_p, (double)o->most_repetition);
    if (o->document_tokens > 1u << 16 || o->n_sequences > 256)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "document_tokens %u and n_sequences %u: at most 65536 and 256 are possible",
                            o->document_tokens, o->n_sequences);
    return FATHOM_OK;
}

static int open_session(struct writing *w) {
    const struct fathom_session_options options = {.n_context = w->options.n_sequences *
                                                                (w->options.document_tokens + PROMPT_TOKENS),
                                                   .n_batch = BATCH_ROWS,
                                                   .n_sequences = w->options.n_sequences,
                                                   .n_threads = w->options.n_threads};
    return fathom_session_open(&w->session, w->model, &options);
}

int fathom_corpus_write(struct fathom_write_counts *counts, const char *path, const fathom_model *model,
                        const struct fathom_write_options *options) {
    struct fathom_write_counts own = {0};
    struct writing w = {.model = model, .options = *options, .counts = &own};
    int status = check_options(&w.options);
    if (status) return status;
    w.n_window = (size_t)WINDOW * w.options.n_sequences;
    status = fathom__alloc(&w.slots, w.options.n_sequences, sizeof *w.slots);
    if (!status) status = fathom__alloc(&w.window, w.n_window, sizeof *w.window);
    if (!status) status = fathom__alloc(&w.rows, BATCH_ROWS, sizeof *w.rows);
    if (!status) status = fathom__alloc(&w.candidates, fathom_model_describe(model)->n_vocab, sizeof *w.candidates);
    if (!status) status = fathom__write_file_open(&w.file, &w.begun, &own, path, model, w.options.seed);
    w.given = w.begun;
    if (!status) status = open_session(&w);
    if (!status) status = write_documents(&w);
    if (!status) status = fathom__write_file_finish(w.file);
    fathom_session_close(w.session);
    fathom__write_file_close(w.file);
    for (size_t i = 0; w.window && i < w.n_window; i++)
        drop_document(&w.window[i]);
    fathom_free(w.window);
    fathom_free(w.slots);
    fathom_free(w.rows);
    fathom_free(w.candidates);
    if (counts) *counts = own;
    return status;
}
