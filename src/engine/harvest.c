/* Harvest: the calling thread cuts the corpus into batches, keeps the workers supplied, and delivers in the corpus'
 * order.
 *
 * What a batch holds depends on the corpus and the options alone, and a batch is computed by one thread, so the stream
 * is the same whatever the number of threads and wherever a resumed run starts. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/accelerator.h"
#include "engine/harvest_parts.h"
#include <fathom/harvest.h>
#include <fathom/model.h>

#define PROGRESS_SECONDS 0.25
#define RATE_SECONDS 5.0

struct harvest {
    const struct fathom_harvest_options *options;
    fathom_harvest_fn fn;
    void *payload;
    fathom_model *model;
    struct fathom__harvest_plan plan;
    struct fathom__cutter cutter;
    struct fathom__batch *batches;
    size_t n_batches;
    fathom__crew *crew;
    int32_t *tokens, *positions; /* of the block now delivered */
    const float **rows;
    uint64_t delivered;
    double told, rate_from; /* seconds of a clock */
    uint64_t rate_rows;
    double rate;
};

static int check_hooks(struct harvest *h, fathom_model *model, int32_t *last_layer) {
    const struct fathom_harvest_options *o = h->options;
    *last_layer = 0;
    for (size_t i = 0; i < o->n_hooks; i++) {
        uint32_t heads = 1, width = 0;
        struct fathom_hook *hook = &h->plan.hooks[i];
        int status = fathom_hook_parse(hook, model, o->hooks[i]);
        if (status != FATHOM_OK) return status;
        if (hook->kind == FATHOM_HOOK_ATTN_SCORES || hook->kind == FATHOM_HOOK_PATTERN ||
            hook->kind == FATHOM_HOOK_LOGITS)
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: scores, patterns and logits cannot be harvested; tap them in a session",
                                o->hooks[i]);
        fathom_hook_exists(&heads, &width, model, *hook);
        h->plan.widths[i] = (size_t)heads * width;
        const int32_t needed =
            hook->kind == FATHOM_HOOK_FINAL_NORM ? (int32_t)fathom_model_describe(model)->n_layers - 1 : hook->layer;
        if (needed > *last_layer) *last_layer = needed;
    }
    return FATHOM_OK;
}

/* The model to run: a bf16 copy without the layers that nobody reads, or the file itself. */
static int open_model(struct harvest *h, const char *path) {
    const struct fathom_harvest_options *o = h->options;
    fathom_model *source = NULL;
    char *derived = NULL;
    int32_t last_layer;
    const bool on_gpu = !o->no_gpu && fathom_gpu_present();
    const struct fathom_model_options options = {.gpu_layers = on_gpu ? -1 : 0};
    int status = fathom_model_open(&source, path, o->original ? &options : NULL);
    if (status != FATHOM_OK) return status;
    status = check_hooks(h, source, &last_layer);
    if (status != FATHOM_OK || o->original) {
        h->model = source;
        return status;
    }
    const uint32_t n_layers = fathom_model_describe(source)->n_layers, wanted = (uint32_t)last_layer + 2;
    status = fathom_model_derive(&derived, fathom_model_describe(source)->path, wanted < n_layers ? wanted : 0,
                                 o->progress, o->payload);
    fathom_model_close(source);
    if (status == FATHOM_OK) status = fathom_model_open(&h->model, derived, &options);
    fathom_free(derived);
    return status;
}

static void close_batches(struct harvest *h) {
    for (size_t i = 0; h->batches && i < h->n_batches; i++) {
        struct fathom__batch *batch = &h->batches[i];
        for (size_t k = 0; batch->values && k < h->plan.n_hooks; k++)
            fathom_free(batch->values[k]);
        fathom_free(batch->values);
        fathom_free(batch->rows);
        fathom_free(batch->documents);
        fathom_free(batch->roles);
        fathom_free(batch->message);
    }
    fathom_free(h->batches);
}

static int open_batches(struct harvest *h) {
    const size_t rows = h->plan.batch_rows;
    int status = fathom__alloc(&h->batches, h->n_batches, sizeof *h->batches);
    for (size_t i = 0; i < h->n_batches && status == FATHOM_OK; i++) {
        struct fathom__batch *batch = &h->batches[i];
        status = fathom__alloc(&batch->rows, rows, sizeof *batch->rows);
        if (status == FATHOM_OK) status = fathom__alloc(&batch->documents, rows, sizeof *batch->documents);
        if (status == FATHOM_OK) status = fathom__alloc(&batch->roles, rows, sizeof *batch->roles);
        if (status == FATHOM_OK) status = fathom__alloc(&batch->values, h->plan.n_hooks, sizeof *batch->values);
        for (size_t k = 0; k < h->plan.n_hooks && status == FATHOM_OK; k++)
            status = fathom__alloc_aligned(&batch->values[k], rows * h->plan.widths[k], sizeof(float));
    }
    if (status == FATHOM_OK) status = fathom__alloc(&h->tokens, rows, sizeof *h->tokens);
    if (status == FATHOM_OK) status = fathom__alloc(&h->positions, rows, sizeof *h->positions);
    if (status == FATHOM_OK) status = fathom__alloc(&h->rows, h->plan.n_hooks, sizeof *h->rows);
    return status;
}

/* Rows of the whole stream, as far as can be told: by the share of the corpus' text that was read. */
static uint64_t expected_rows(const struct harvest *h) {
    uint64_t done = 0, total = 0;
    fathom_corpus_position(&done, &total, h->cutter.corpus);
    const uint64_t estimate =
        done > 0 && total > 0 ? (uint64_t)((double)h->cutter.n_cut * ((double)total / (double)done)) : 0;
    const uint64_t most = h->options->max_tokens;
    return most > 0 && (estimate == 0 || most < estimate) ? most : estimate;
}

static int tell_progress(struct harvest *h, uint64_t reached) {
    const double now = fathom__seconds();
    if (!h->options->progress || now - h->told < PROGRESS_SECONDS) return FATHOM_OK;
    if (now - h->rate_from >= RATE_SECONDS || h->rate == 0.0) {
        h->rate = (double)(h->delivered - h->rate_rows) / (now - h->rate_from);
        if (now - h->rate_from >= RATE_SECONDS) {
            h->rate_from = now;
            h->rate_rows = h->delivered;
        }
    }
    h->told = now;
    struct fathom_progress progress = {
        .stage = "harvest", .done = reached, .total = expected_rows(h), .unit = "tokens", .units_per_second = h->rate};
    progress.seconds_left =
        progress.total > reached && h->rate > 0.0 ? (double)(progress.total - reached) / h->rate : -1.0;
    const int returned = h->options->progress(&progress, h->options->payload);
    return returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
}

/* Delivers what of a finished batch lies past the rows to skip and before the end. */
static int deliver(struct harvest *h, const struct fathom__batch *batch) {
    const struct fathom_harvest_options *o = h->options;
    const uint64_t last = batch->first_row + batch->n_rows;
    const uint64_t from = o->skip_tokens > batch->first_row ? o->skip_tokens : batch->first_row;
    const uint64_t to = o->max_tokens > 0 && o->max_tokens < last ? o->max_tokens : last;
    if (from >= to) return FATHOM_OK;
    const size_t offset = (size_t)(from - batch->first_row);
    struct fathom_harvest_block block = {.n_rows = (size_t)(to - from),
                                         .n_hooks = h->plan.n_hooks,
                                         .rows = h->rows,
                                         .widths = h->plan.widths,
                                         .tokens = h->tokens,
                                         .positions = h->positions,
                                         .documents = batch->documents + offset,
                                         .roles = batch->roles + offset,
                                         .first_row = from};
    for (size_t i = 0; i < block.n_rows; i++) {
        h->tokens[i] = batch->rows[offset + i].token;
        h->positions[i] = batch->rows[offset + i].position;
    }
    for (size_t k = 0; k < h->plan.n_hooks; k++)
        h->rows[k] = batch->values[k] + offset * h->plan.widths[k];
    const int returned = h->fn(&block, h->payload);
    if (returned != 0) return fathom__callback_status(returned);
    h->delivered += block.n_rows;
    return tell_progress(h, to);
}

/* Cuts batches until one has rows to deliver; *more is false when the stream is over. */
static int next_wanted(bool *more, struct harvest *h, struct fathom__batch *batch) {
    const struct fathom_harvest_options *o = h->options;
    *more = false;
    while (o->max_tokens == 0 || h->cutter.n_cut < o->max_tokens) {
        int status = fathom__cutter_fill(batch, &h->cutter);
        if (status != FATHOM_OK) return status;
        if (batch->n_rows == 0) return FATHOM_OK;
        if (h->cutter.n_cut > o->skip_tokens) {
            *more = true;
            return FATHOM_OK;
        }
        status = tell_progress(h, h->cutter.n_cut);
        if (status != FATHOM_OK) return status;
    }
    return FATHOM_OK;
}

static int run(struct harvest *h) {
    size_t cut = 0, done = 0;
    bool more = true;
    h->told = h->rate_from = fathom__seconds();
    for (;;) {
        while (more && cut - done < h->n_batches) {
            struct fathom__batch *batch = &h->batches[cut % h->n_batches];
            const int status = next_wanted(&more, h, batch);
            if (status != FATHOM_OK) return status;
            if (more) {
                fathom__crew_submit(h->crew, batch);
                cut++;
            }
        }
        if (done == cut) return FATHOM_OK;
        struct fathom__batch *batch = &h->batches[done % h->n_batches];
        int status = fathom__crew_wait(h->crew, batch);
        if (status == FATHOM_OK) status = deliver(h, batch);
        if (status != FATHOM_OK) return status;
        done++;
    }
}

static int check_options(const struct fathom_harvest_options *o) {
    if (o->n_hooks == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "hooks: at least one hook point is expected");
    if (o->context == 1 || o->context > 1u << 20)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "context: 2 to 1048576 tokens are expected, not %u", o->context);
    if (o->max_tokens > 0 && o->skip_tokens > o->max_tokens) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "skip_tokens: %llu is past max_tokens, %llu",
                            (unsigned long long)o->skip_tokens, (unsigned long long)o->max_tokens);
    }
    return FATHOM_OK;
}

int fathom_harvest(uint64_t *rows, const char *model_path, fathom_corpus *corpus,
                   const struct fathom_harvest_options *options, fathom_harvest_fn fn, void *payload) {
    struct harvest h = {.options = options, .fn = fn, .payload = payload};
    int status = check_options(options);
    if (status != FATHOM_OK) return status;
    h.plan.n_hooks = options->n_hooks;
    const bool on_gpu = !options->no_gpu && fathom_gpu_present();
    h.plan.n_threads = on_gpu ? 1 : options->n_threads > 0 ? options->n_threads : fathom__cores();
    h.plan.accelerate = !on_gpu && !options->original && fathom__accelerator_register();
    h.cutter.context = options->context > 0 ? options->context : FATHOM__HARVEST_CONTEXT;
    h.cutter.batch_rows = h.plan.batch_rows =
        h.cutter.context > FATHOM__HARVEST_ROWS ? h.cutter.context : FATHOM__HARVEST_ROWS;
    h.n_batches = 2 * (size_t)h.plan.n_threads; /* one running and one waiting to be delivered for each worker */
    status = fathom__alloc(&h.plan.hooks, h.plan.n_hooks, sizeof *h.plan.hooks);
    if (status == FATHOM_OK) status = fathom__alloc(&h.plan.widths, h.plan.n_hooks, sizeof *h.plan.widths);
    if (status == FATHOM_OK) status = open_model(&h, model_path);
    if (status == FATHOM_OK) status = open_batches(&h);
    if (status != FATHOM_OK) goto end;
    h.plan.model = h.cutter.model = h.model;
    h.cutter.corpus = corpus;
    status = fathom__crew_open(&h.crew, &h.plan, h.batches, h.n_batches);
    if (status == FATHOM_OK) status = run(&h);
end:
    fathom__crew_close(h.crew);
    fathom__cutter_close(&h.cutter);
    close_batches(&h);
    fathom_model_close(h.model);
    fathom_free(h.plan.hooks);
    fathom_free(h.plan.widths);
    fathom_free(h.tokens);
    fathom_free(h.positions);
    fathom_free(h.rows);
    if (rows) *rows = h.delivered;
    return status;
}
