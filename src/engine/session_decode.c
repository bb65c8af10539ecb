#include "base/error.h"
#include "base/memory.h"
#include "engine/guard.h"
#include "engine/log.h"
#include "engine/session_internal.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { ENGINE_DONE = 0, ENGINE_NO_SLOT = 1 };

/* llama_decode, with the callback's own error first. */
static int run_engine(struct fathom_session *session) {
    session->status = FATHOM_OK;
    session->stopped = session->tokens_seen = session->positions_seen = false;
    session->running = true;
    int32_t result = ENGINE_DONE;
    int status = fathom__guard_decode(&result, session->context, session->batch);
    session->running = false;
    if (session->status) return session->status;
    if (status) return status;
    if (result == ENGINE_NO_SLOT)
        return fathom__fail(FATHOM_ERROR_LIMIT, "the context of %u tokens has no room for %d more", session->n_context,
                            (int)session->batch.n_tokens);
    if (result != ENGINE_DONE)
        return fathom__engine_fail(FATHOM_ERROR_ENGINE, "the engine's decode failed with %d", (int)result);
    return FATHOM_OK;
}

int fathom__session_take_graph(struct fathom_session *session) {
    session->recording = false;
    int status = fathom__points_find(&session->points, &session->graph, session->model);
    fathom__graph_free(&session->graph);
    session->known = status == FATHOM_OK;
    return status;
}

int fathom__session_learn(struct fathom_session *session) {
    struct llama_batch *batch = &session->batch;
    batch->n_tokens = 1;
    batch->token[0] = session->model->info.bos >= 0 ? session->model->info.bos : 0;
    batch->pos[0] = 0;
    session->one_sequence_each[0] = 0;
    batch->logits[0] = 1;
    session->recording = true;
    int status = run_engine(session);
    if (!status) status = fathom__session_take_graph(session);
    session->recording = false;
    fathom__graph_free(&session->graph);
    llama_memory_clear(session->memory, false);
    return status;
}

/* Fills the batch in; *lengths of the sequences are advanced as rows are read, and stand for them until the decode is
 * done. */
static int fill_batch(struct fathom_session *session, const struct fathom_row *rows, size_t n_rows) {
    if (n_rows == 0 || n_rows > session->n_batch)
        return fathom__fail(n_rows ? FATHOM_ERROR_LIMIT : FATHOM_ERROR_ARGUMENT,
                            "decode: %zu rows, where a batch of this session holds 1 to %u", n_rows, session->n_batch);
    const size_t used = session->holdings.n_used;
    if (used + n_rows > session->n_context)
        return fathom__fail(FATHOM_ERROR_LIMIT,
                            "decode: the context holds %u tokens; %zu are in it and %zu more do not fit (%zu too many)",
                            session->n_context, used, n_rows, used + n_rows - session->n_context);
    session->n_logits = 0;
    for (size_t i = 0; i < n_rows; i++) {
        const struct fathom_row *row = &rows[i];
        if (row->sequence < 0 || row->sequence >= (int32_t)session->n_sequences)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "decode: row %zu is of sequence %d, where the session has 0 to %u", i,
                                (int)row->sequence, session->n_sequences - 1);
        if (row->token < 0 || (uint32_t)row->token >= session->model->info.n_vocab)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "decode: row %zu has token %d, where the model has 0 to %u", i,
                                (int)row->token, session->model->info.n_vocab - 1);
        struct fathom__sequence *sequence = &session->sequences[row->sequence];
        if (row->position != sequence->length)
            return fathom__fail(
                FATHOM_ERROR_ARGUMENT,
                "decode: row %zu puts position %d after the %d tokens of sequence %d; position %d was expected", i,
                (int)row->position, (int)sequence->length, (int)row->sequence, (int)sequence->length);
        if ((uint32_t)row->position >= session->longest)
            return fathom__fail(FATHOM_ERROR_LIMIT, "decode: sequence %d is full: its cache holds %u tokens",
                                (int)row->sequence, session->longest);
        const int status = fathom__holdings_add(&session->holdings, row->sequence);
        if (status) return status;
        sequence->length++;
        session->batch.token[i] = row->token;
        session->batch.pos[i] = row->position;
        session->one_sequence_each[i] = row->sequence;
        session->wants_logits[i] = row->want_logits;
        if (row->want_logits) {
            session->logit_rows[session->n_logits] = (int32_t)i;
            session->logit_tokens[session->n_logits] = row->token;
            session->logit_positions[session->n_logits] = row->position;
            session->logit_sequences[session->n_logits] = row->sequence;
            session->n_logits++;
        }
    }
    session->n_rows = n_rows;
    session->batch.n_tokens = (int32_t)n_rows;
    return FATHOM_OK;
}

/* What sequences with caches of their own give the engine to compute in one graph, with its rows in this order. */
static int check_caches(const struct fathom_session *session) {
    const int32_t *sequences = session->one_sequence_each;
    size_t each = 1;
    while (each < session->n_rows && sequences[each] == sequences[0])
        each++;
    bool good = session->n_rows % each == 0;
    for (size_t i = each; i < session->n_rows && good; i++)
        good = sequences[i] == sequences[0] + (int32_t)(i / each);
    if (good || !session->own_caches) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_ARGUMENT,
                        "decode: sequences with caches of their own run together with equally many rows each, those of "
                        "one side by side, and without a gap between their numbers");
}

/* Follows whether cells are still positions, and refuses attention hooks where they are not. */
static int follow_cells(struct fathom_session *session) {
    int32_t first = session->one_sequence_each[0];
    bool one = session->cells == FATHOM__CELLS_EMPTY ||
               (session->cells == FATHOM__CELLS_POSITIONS && session->only_sequence == first);
    for (size_t i = 1; i < session->n_rows; i++)
        one = one && session->one_sequence_each[i] == first;
    session->cells = one ? FATHOM__CELLS_POSITIONS : FATHOM__CELLS_MIXED;
    session->only_sequence = first;
    session->n_keys = session->sequences[first].length;
    for (size_t i = 0; i < session->n_hooks; i++) {
        const struct fathom__hooked *hooked = &session->hooks[i];
        if (one || hooked->point->layout != FATHOM__LAYOUT_ATTENTION) continue;
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, hooked->hook);
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "hook point %s: keys have positions only while the session holds one sequence that was "
                            "started in it when it was empty",
                            name);
    }
    return FATHOM_OK;
}

/* How far this decode runs, and whether the sequences were run that far before. */
static int check_reach(uint32_t *reach, const struct fathom_session *session) {
    *reach = FATHOM__WHOLE;
    if (session->stop_allowed) {
        *reach = 0;
        for (size_t i = 0; i < session->n_watches; i++)
            if (session->watches[i].wanted && session->watches[i].point->ordinal > *reach)
                *reach = session->watches[i].point->ordinal;
    }
    for (size_t i = 0; i < session->n_rows; i++) {
        int32_t sequence = session->one_sequence_each[i];
        if (session->sequences[sequence].reach < *reach)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "decode: sequence %d was run only as far as an earlier decode's last tap, so that "
                                "later layers have no keys and values of it; forget it first",
                                (int)sequence);
    }
    return FATHOM_OK;
}

/* Chooses the rows that the engine carries through the last layer. */
static void choose_outputs(struct fathom_session *session) {
    bool all = false;
    for (size_t i = 0; i < session->n_watches; i++) {
        const struct fathom__watch *watch = &session->watches[i];
        all =
            all || (watch->wanted && watch->point->selected &&
                    watch->point != fathom__points_at(&session->points, (struct fathom_hook){FATHOM_HOOK_LOGITS, -1}));
    }
    for (size_t i = 0; i < session->n_rows; i++)
        session->batch.logits[i] = all || session->wants_logits[i];
    session->n_outputs = all ? session->n_rows : session->n_logits;
}

/* By the bits of their exponents, all ones where a value is infinite or not a number: a sum of floats would be added up
 * one after the other, which for a large vocabulary takes a noticeable part of a small model's decode. */
static bool all_finite(const float *values, size_t n) {
    const uint32_t exponent = 0x7F800000;
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return found == 0;
}

static int check_logits(struct fathom_session *session) {
    size_t n_vocab = session->model->info.n_vocab;
    for (size_t i = 0; i < session->n_logits; i++) {
        const float *logits = llama_get_logits_ith(session->context, session->logit_rows[i]);
        if (!logits)
            return fathom__engine_fail(FATHOM_ERROR_ENGINE, "the engine has no logits for row %d",
                                       (int)session->logit_rows[i]);
        if (!all_finite(logits, n_vocab))
            return fathom__fail(
                FATHOM_ERROR_NUMERIC, "the logits after token %d at position %d of sequence %d are not finite",
                (int)session->logit_tokens[i], (int)session->logit_positions[i], (int)session->logit_sequences[i]);
    }
    return FATHOM_OK;
}

static int decode(struct fathom_session *session, const struct fathom_row *rows, size_t n_rows, bool complete) {
    uint32_t reach = FATHOM__WHOLE;
    int status = fathom__session_prepare_watches(session);
    if (!status) status = fill_batch(session, rows, n_rows);
    if (!status) status = check_caches(session);
    if (!status) status = follow_cells(session);
    if (status) return status;
    fathom__session_arm(session, complete);
    choose_outputs(session);
    status = check_reach(&reach, session);
    if (status) return status;
    session->recording = !session->known;
    status = run_engine(session);
    if (!status && session->recording) status = fathom__session_take_graph(session);
    session->recording = false;
    fathom__graph_free(&session->graph);
    if (status) return status;

    if (session->n_watches > 0) {
        if (!session->tokens_seen ||
            (!session->positions_seen && session->model->shape.architecture != FATHOM__ARCH_OTHER && !session->stopped))
            return fathom__fail(FATHOM_ERROR_ENGINE,
                                "the engine's graph shows no token ids or positions to check the rows by");
        status = fathom__session_check_done(session);
        if (status) return status;
    }
    status = check_logits(session);
    if (status) return status;
    for (size_t i = 0; i < n_rows; i++) {
        uint32_t *reached = &session->sequences[rows[i].sequence].reach;
        if (reach < *reached) *reached = reach;
    }
    session->logits_valid = true;
    return FATHOM_OK;
}

int fathom__session_decode(struct fathom_session *session, const struct fathom_row *rows, size_t n_rows,
                           bool complete) {
    if (!session || (!rows && n_rows > 0))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_session_decode: session and rows are required");
    if (session->running) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_session_decode: a decode is under way");
    session->logits_valid = false;
    int status = decode(session, rows, n_rows, complete);
    if (!status) return FATHOM_OK;
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].sequence >= 0 && rows[i].sequence < (int32_t)session->n_sequences)
            fathom_session_forget(session, rows[i].sequence, 0);
    if (status == FATHOM_ERROR_NUMERIC) {
        /* A masked key's value is still multiplied, by zero: what is not a number must leave the cache altogether. */
        fathom_session_forget(session, -1, 0);
        llama_memory_clear(session->memory, true);
    }
    return status;
}

int fathom_session_decode(fathom_session *session, const struct fathom_row *rows, size_t n_rows) {
    return fathom__session_decode(session, rows, n_rows, false);
}

int fathom__session_feed(struct fathom_session *session, const int32_t *tokens, size_t n, int32_t sequence,
                         int32_t start, bool all_logits, size_t part, fathom__fed_fn fn, void *payload) {
    if (!session || !tokens || n == 0 || part == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "feed: a session and at least one token are required");
    if (start < 0 || n > session->n_context || (size_t)start + n > session->n_context)
        return fathom__fail(FATHOM_ERROR_LIMIT,
                            "the text has %zu tokens from position %d on, where the context holds %u in all", n,
                            (int)start, session->n_context);
    if (part > session->n_batch) part = session->n_batch;
    struct fathom_row *rows = NULL;
    int status = fathom__alloc(&rows, part < n ? part : n, sizeof *rows);
    for (size_t first = 0; !status && first < n; first += part) {
        size_t count = n - first < part ? n - first : part;
        for (size_t i = 0; i < count; i++)
            rows[i] = (struct fathom_row){.token = tokens[first + i],
                                          .position = start + (int32_t)(first + i),
                                          .sequence = sequence,
                                          .want_logits = all_logits || first + i + 1 == n};
        status = fathom__session_decode(session, rows, count, true);
        if (!status && fn) status = fn(first, count, payload);
    }
    fathom_free(rows);
    return status;
}

int fathom_session_feed(fathom_session *session, const int32_t *tokens, size_t n, int32_t sequence, int32_t start,
                        bool all_logits) {
    return fathom__session_feed(session, tokens, n, sequence, start, all_logits, session ? session->n_batch : 0, NULL,
                                NULL);
}

const float *fathom_session_logits(const fathom_session *session, size_t row) {
    if (!session->logits_valid || row >= session->n_rows || !session->wants_logits[row]) return NULL;
    return llama_get_logits_ith(session->context, (int32_t)row);
}
