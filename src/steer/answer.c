#include "steer/answer.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/sampler.h"
#include "steer/concept.h"
#include "steer/steering.h"
#include <string.h>

enum { TEXT_LIMIT = 1 << 24 };

/* What all answers share. */
struct writer {
    fathom_session *session;
    const fathom_model *model;
    size_t n_vocab;
    uint32_t max_new;
    const char *stop;
    const fathom_concept *concept;
};

/* One answer on its way. */
struct writing {
    fathom__sampler *sampler;
    struct fathom__buffer text;
    int32_t *tokens;
    size_t *ends; /* bytes of text after each token */
    size_t n, token_capacity, end_capacity;
    double *masses; /* of the concept, where each token was drawn */
    size_t mass_capacity;
    bool finished;
};

static void close_writing(struct writing *writing) {
    fathom__sampler_close(writing->sampler);
    fathom__buffer_free(&writing->text);
    fathom_free(writing->tokens);
    fathom_free(writing->ends);
    fathom_free(writing->masses);
}

static bool holds(const struct writing *writing, const char *stop) {
    return stop != NULL && writing->n > 0 && strstr(writing->text.bytes, stop) != NULL;
}

/* Draws the next token from logits and keeps it. */
static int write_token(struct writing *writing, const struct writer *writer, const float *logits) {
    const char *bytes = NULL;
    size_t length = 0;
    int32_t token = 0;
    if (logits == NULL) {
        return fathom__fail(FATHOM_ERROR_ENGINE, "an answer's last row has no logits");
    }
    int status = fathom__sampler_next(&token, writing->sampler, logits);
    if (status == FATHOM_OK && fathom_token_is_end(writer->model, token)) {
        writing->finished = true;
        return FATHOM_OK;
    }
    if (status == FATHOM_OK) {
        status = fathom_token_bytes(&bytes, &length, writer->model, token);
    }
    if (status == FATHOM_OK) {
        status = fathom__buffer_append(&writing->text, bytes, length);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&writing->tokens, &writing->token_capacity, writing->n + 1, sizeof *writing->tokens);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&writing->ends, &writing->end_capacity, writing->n + 1, sizeof *writing->ends);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&writing->masses, &writing->mass_capacity, writing->n + 1, sizeof *writing->masses);
    }
    if (status == FATHOM_OK) {
        writing->masses[writing->n] =
            writer->concept != NULL ? fathom__concept_log_mass(writer->concept, logits, writer->n_vocab) : 0;
        writing->tokens[writing->n] = token;
        writing->ends[writing->n++] = writing->text.length;
        writing->finished = writing->n >= writer->max_new || holds(writing, writer->stop);
    }
    return status;
}

/* Cuts text and tokens before the stop text, and gives both away. */
static int finish(struct fathom__answer *out, struct writing *writing, const char *stop) {
    if (holds(writing, stop)) {
        writing->text.length = (size_t)(strstr(writing->text.bytes, stop) - writing->text.bytes);
        while (writing->n > 0 && writing->ends[writing->n - 1] > writing->text.length) {
            writing->n--;
        }
    }
    int status = fathom__utf8_clean(&out->text, writing->text.bytes ? writing->text.bytes : "", writing->text.length);
    if (status == FATHOM_OK) {
        out->tokens = writing->tokens;
        out->n = writing->n;
        writing->tokens = NULL;
        for (size_t i = 0; i < out->n; i++) {
            out->concept += writing->masses[i] / (double)out->n;
        }
    }
    return status;
}

/* Whether sequences under this steering may share rows: what conditions have read is kept for each by itself. */
static bool can_share(const fathom_steering *steering) {
    return steering == NULL || steering->plan->n_conditions == 0;
}

/* Gives a sequence its prompt: the one before it where that has the same, and nothing came after it yet. */
static int take_prompt(const struct writer *writer, fathom_steering *steering, const struct fathom__request *requests,
                       size_t which) {
    const struct fathom__request *request = &requests[which];
    int32_t sequence = (int32_t)which;
    if (which > 0 && requests[which - 1].prompt == request->prompt && can_share(steering)) {
        int status = fathom_session_fork(writer->session, sequence - 1, sequence);
        return status == FATHOM_OK && steering != NULL
                   ? fathom_steering_history(steering, sequence, request->prompt, request->n_prompt)
                   : status;
    }
    return fathom_session_feed(writer->session, request->prompt, request->n_prompt, sequence, 0, false);
}

static int begin(struct writing *writing, const struct writer *writer, fathom_steering *steering,
                 const struct fathom__request *requests, size_t which, struct fathom_sampling sampling) {
    const struct fathom__request *request = &requests[which];
    sampling.seed = request->seed;
    writing->text = (struct fathom__buffer)FATHOM__BUFFER_INIT(TEXT_LIMIT);
    int status = fathom__sampler_open(&writing->sampler, &sampling, writer->n_vocab);
    for (size_t i = 0; i < request->n_prompt && status == FATHOM_OK; i++) {
        fathom__sampler_accept(writing->sampler, request->prompt[i]);
    }
    if (status == FATHOM_OK && steering != NULL) {
        status = fathom_steering_prompt(steering, (int32_t)which, (int32_t)request->n_prompt);
    }
    if (status == FATHOM_OK) {
        status = take_prompt(writer, steering, requests, which);
    }
    if (status == FATHOM_OK && writer->max_new > 0) {
        status = write_token(writing, writer, fathom_session_logits(writer->session, request->n_prompt - 1));
    }
    return status;
}

/* One decode for all answers that are not finished; *more is false when there is none. */
static int step(bool *more, struct writing *writings, struct fathom_row *rows, size_t *places,
                const struct writer *writer, const struct fathom__request *requests, size_t n) {
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++) {
        const struct writing *writing = &writings[i];
        if (!writing->finished) {
            places[n_rows] = i;
            rows[n_rows++] = (struct fathom_row){writing->tokens[writing->n - 1],
                                                 (int32_t)(requests[i].n_prompt + writing->n - 1), (int32_t)i, true};
        }
    }
    *more = n_rows > 0;
    int status = n_rows > 0 ? fathom_session_decode(writer->session, rows, n_rows) : FATHOM_OK;
    for (size_t r = 0; r < n_rows && status == FATHOM_OK; r++) {
        status = write_token(&writings[places[r]], writer, fathom_session_logits(writer->session, r));
    }
    return status;
}

int fathom__answers_generate(struct fathom__answer *out, fathom_session *session, fathom_steering *steering,
                             const struct fathom__request *requests, size_t n, uint32_t max_new,
                             const struct fathom_sampling *sampling, const char *stop, const fathom_concept *concept) {
    const fathom_model *model = fathom_session_model(session);
    const struct writer writer = {session, model, fathom_model_describe(model)->n_vocab, max_new, stop, concept};
    struct writing *writings = NULL;
    struct fathom_row *rows = NULL;
    size_t *places = NULL;
    bool more = max_new > 0;
    int status = fathom__alloc(&writings, n, sizeof *writings);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows, n, sizeof *rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&places, n, sizeof *places);
    }
    fathom_session_forget(session, -1, 0);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = begin(&writings[i], &writer, steering, requests, i, *sampling);
    }
    while (status == FATHOM_OK && more) {
        status = step(&more, writings, rows, places, &writer, requests, n);
    }
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = finish(&out[i], &writings[i], stop);
    }
    for (size_t i = 0; i < n && writings != NULL; i++) {
        close_writing(&writings[i]);
        if (status != FATHOM_OK) {
            fathom__answer_free(&out[i]);
        }
    }
    fathom_free(places);
    fathom_free(rows);
    fathom_free(writings);
    return status;
}

void fathom__answer_free(struct fathom__answer *answer) {
    fathom_free(answer->tokens);
    fathom_free(answer->text);
    *answer = (struct fathom__answer){0};
}

void fathom_answers_free(struct fathom_answers *answers) {
    for (size_t i = 0; i < answers->n; i++) {
        fathom_free(answers->texts[i]);
    }
    fathom_free(answers->texts);
    *answers = (struct fathom_answers)FATHOM_ANSWERS_INIT;
}
