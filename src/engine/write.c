/* The model writes: workers write documents, and this thread judges them and gives them to the file as they come. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/accelerator.h"
#include "engine/model_internal.h"
#include "engine/write_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DOCUMENT_TOKENS 256u
#define SEQUENCES 32u
#define TEMPERATURE 0.8f
#define TOP_P 0.95f
#define REPETITION 0.2f
/* After so many documents without a single one that could be kept, none is to be expected. */
#define HOPELESS 1000u
#define PROGRESS_SECONDS 0.5

struct writing {
    const fathom_model *model; /* the one that runs: a bf16 copy where that is faster */
    const struct fathom_write_options *options;
    fathom__write_file *file;
    fathom__write_team *team;
    uint64_t judged, kept, n_written; /* documents of this run, and its tokens, kept or not */
    double started, told;
};

/* The opening and what was written after it. */
static int document_text(char **out, const struct fathom__write_document *document, const fathom_model *model) {
    const size_t opening = strlen(document->prompt.opening);
    size_t length = opening;
    char *text = NULL;
    int status = FATHOM_OK;
    for (int copying = 0; copying < 2 && !status; copying++) {
        size_t at = opening;
        for (size_t i = 0; i < document->n_tokens && !status; i++) {
            const char *bytes = NULL;
            size_t n = 0;
            status = fathom_token_bytes(&bytes, &n, model, document->tokens[i]);
            if (copying && !status) memcpy(text + at, bytes, n);
            at += n;
        }
        length = at;
        if (!copying && !status) status = fathom__alloc(&text, length + 1, 1);
    }
    if (status) {
        fathom_free(text);
        return status;
    }
    memcpy(text, document->prompt.opening, opening);
    *out = text;
    return FATHOM_OK;
}

static int give_document(struct writing *w, const struct fathom__write_document *document) {
    const struct fathom_write_options *options = w->options;
    char *text = NULL;
    int status = document_text(&text, document, w->model);
    if (status) return status;
    enum fathom__write_verdict verdict = FATHOM__WRITE_REPETITIVE;
    if (!document->looping)
        verdict =
            fathom__write_judge(text, document->tokens, document->n_tokens, document->cut, options->most_repetition);
    w->judged++;
    w->kept += verdict == FATHOM__WRITE_KEPT;
    status = fathom__write_file_add(w->file, document->number, verdict, text,
                                    options->topics[document->number % options->n_topics], document->n_tokens);
    fathom_free(text);
    return status;
}

static int check_hope(const struct writing *w) {
    const struct fathom_write_counts counts = fathom__write_file_counts(w->file, true);
    if (w->judged < HOPELESS || (w->kept > 0 && counts.documents > counts.continued)) return FATHOM_OK;
    return fathom__fail(
        FATHOM_ERROR_LIMIT,
        "none of %llu documents could be kept (%llu repetitive, %llu short, %llu duplicates, %llu not UTF-8)",
        (unsigned long long)w->judged, (unsigned long long)counts.repetitive, (unsigned long long)counts.short_ones,
        (unsigned long long)counts.duplicates, (unsigned long long)counts.broken);
}

static int tell_progress(struct writing *w) {
    const struct fathom_write_counts counts = fathom__write_file_counts(w->file, true), *c = &counts;
    const uint64_t total = w->options->tokens;
    const double now = fathom__seconds();
    if (!w->options->progress || now - w->told < PROGRESS_SECONDS) return FATHOM_OK;
    const double rate = (double)w->n_written / (now - w->started);
    char note[96];
    snprintf(note, sizeof note, "%llu documents, dropped %llu that loop, %llu others", (unsigned long long)c->documents,
             (unsigned long long)c->repetitive, (unsigned long long)(c->short_ones + c->duplicates + c->broken));
    struct fathom_progress progress = {.stage = "write",
                                       .done = c->tokens < total ? c->tokens : total,
                                       .total = total,
                                       .unit = "tokens",
                                       .units_per_second = rate,
                                       .seconds_left = -1.0,
                                       .note = note};
    if (rate > 0 && c->tokens < total) progress.seconds_left = (double)(total - c->tokens) / rate;
    w->told = now;
    const int returned = w->options->progress(&progress, w->options->payload);
    return returned ? fathom__callback_status(returned) : FATHOM_OK;
}

static int give_documents(struct writing *w) {
    bool complete = false;
    int status = fathom__write_file_count(&complete, w->file, w->options->tokens);
    w->started = w->told = fathom__seconds();
    while (!status && !complete) {
        struct fathom__write_document *document = NULL;
        status = fathom__write_team_take(&document, &w->n_written, w->team, PROGRESS_SECONDS);
        if (document) {
            status = give_document(w, document);
            if (!status) status = fathom__write_file_count(&complete, w->file, w->options->tokens);
            if (!status) status = check_hope(w);
            fathom__write_document_free(document);
        }
        if (!status && !complete) status = tell_progress(w);
    }
    return status;
}

static int check_options(struct fathom_write_options *o) {
    if (o->n_topics == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "topics: at least one is expected");
    if (o->tokens == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "tokens: at least 1 is expected");
    if (o->document_tokens == 0) o->document_tokens = DOCUMENT_TOKENS;
    if (o->n_sequences == 0) o->n_sequences = SEQUENCES;
    if (o->n_threads == 0) o->n_threads = fathom__cores();
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

/* A bf16 copy for the accelerator; a model with adapters runs as it is, because the copy would not have them. */
static int open_copy(fathom_model **out, const fathom_model *model, const struct fathom_write_options *options) {
    char *path = NULL;
    int status = fathom_model_derive(&path, fathom_model_describe(model)->path, 0, options->progress, options->payload);
    if (!status) status = fathom_model_open(out, path, NULL);
    fathom_free(path);
    return status;
}

int fathom_corpus_write(struct fathom_write_counts *counts, const char *path, const fathom_model *model,
                        const struct fathom_write_options *options) {
    struct fathom_write_options filled = *options;
    struct writing w = {.model = model, .options = &filled};
    struct fathom__write_work work = {0};
    uint64_t *missing = NULL;
    fathom_model *copy = NULL;
    int status = check_options(&filled);
    if (status) return status;
    const bool accelerate = model->n_adapters == 0 && fathom__accelerator_register();
    status = fathom__write_file_open(&w.file, path, model, filled.seed);
    if (!status) status = fathom__write_file_missing(&missing, &work.n_missing, &work.next, w.file);
    work.missing = missing;
    if (!status && accelerate) status = open_copy(&copy, model, &filled);
    if (copy) w.model = copy;
    if (!status) status = fathom__write_team_open(&w.team, w.model, &filled, accelerate, work);
    if (!status) status = give_documents(&w);
    fathom__write_team_close(w.team);
    if (!status) status = fathom__write_file_finish(w.file);
    if (counts && w.file) *counts = fathom__write_file_counts(w.file, status != FATHOM_OK);
    fathom__write_file_close(w.file);
    fathom_free(missing);
    fathom_model_close(copy);
    return status;
}
