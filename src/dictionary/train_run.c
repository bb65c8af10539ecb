/* A whole run: harvest in, dictionaries out.
 *
 * Rows are delivered by the harvest in the corpus' order; whenever every hook point's pool is full, one batch is drawn
 * from each and each learner makes one step. So what a run computes depends on the options alone, and a checkpoint
 * between two blocks is enough to go on from.
 */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/thread.h>
#include <dictionary/train_internal.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_NORM_MULTIPLE 8.0
#define DEFAULT_SHUFFLE 131072
#define DEFAULT_HELD_OUT 16384
#define DEFAULT_EVALUATE 100
#define DEFAULT_BATCH 4096
#define DEFAULT_DTYPE "bf16"
#define METRICS_EVERY 10
#define PROGRESS_SECONDS 0.25
#define RATE_SECONDS 5.0
/* What the callback says when no more rows are needed; seen by nobody outside. */
#define ENOUGH 1

double fathom__run_seconds(const struct fathom__run *run) {
    return run->seconds_before + fathom__seconds() - run->started;
}

static int check(const struct fathom_train_dictionary *dictionaries, size_t n,
                 const struct fathom_train_options *options) {
    if (n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: no dictionary is asked for");
    if (!options->model_path || options->n_sources == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: a model and a corpus are expected");
    for (size_t i = 0; i < n; i++) {
        if (!dictionaries[i].path || !dictionaries[i].hook)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: dictionary %zu needs a path and a hook point", i);
        if (dictionaries[i].options.batch != dictionaries[0].options.batch)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "train: all dictionaries of a run have the same batch; %u and %u were asked for",
                                dictionaries[0].options.batch, dictionaries[i].options.batch);
        for (size_t j = 0; j < i; j++)
            if (strcmp(dictionaries[i].path, dictionaries[j].path) == 0)
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: two dictionaries would be written to %s",
                                    dictionaries[i].path);
    }
    for (size_t i = 0; i < options->n_sources; i++)
        if (options->sources[i].repeat && options->tokens == 0)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: a number of tokens is needed, because %s repeats",
                                options->sources[i].path);
    return 0;
}

/* Distinct hook points; equal names only, since names of one point are few and a doubled tap costs little. */
static int find_streams(struct fathom__run *run, const struct fathom_train_dictionary *dictionaries) {
    int status = fathom__alloc(&run->learners, run->n_learners, sizeof *run->learners);
    if (!status) status = fathom__alloc(&run->hooks, run->n_learners, sizeof *run->hooks);
    if (!status) status = fathom__alloc(&run->streams, run->n_learners, sizeof *run->streams);
    if (!status) status = fathom__alloc(&run->batches, run->n_learners, sizeof *run->batches);
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        size_t s = 0;
        while (s < run->n_streams && strcmp(run->hooks[s], dictionaries[i].hook) != 0)
            s++;
        if (s == run->n_streams) run->hooks[run->n_streams++] = dictionaries[i].hook;
        run->learners[i].wanted = &dictionaries[i];
        run->learners[i].stream = s;
    }
    return status;
}

/* How many tokens a corpus gives, from a sample of its text. */
static int estimate_tokens(uint64_t *out, const struct fathom__run *run, const fathom_model *model) {
    enum { SAMPLE_BYTES = 2 << 20 };
    fathom_corpus *corpus = NULL;
    struct fathom_document document;
    bool more = true;
    uint64_t bytes = 0, tokens = 0, done, total = 0;
    int status = fathom_corpus_open(&corpus, run->options->sources, run->options->n_sources, run->options->seed);
    if (!status) fathom_corpus_position(&done, &total, corpus);
    const bool sized = total > 0;
    /* Without a size one document is enough to tell an empty file from a pipe. */
    while (!status && bytes < (sized ? SAMPLE_BYTES : 1)) {
        int32_t *ids = NULL;
        size_t n = 0;
        status = fathom_corpus_next(&document, &more, corpus);
        if (status || !more) break;
        status = fathom_tokenize(&ids, &n, model, document.text, document.length, true, false);
        fathom_free(ids);
        bytes += document.length;
        tokens += n;
    }
    fathom_corpus_close(corpus);
    if (status) return status;
    if (tokens == 0) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the corpus is empty", run->options->sources[0].path);
    if (!more) total = bytes;
    if (!sized)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "train: a number of tokens is needed, because the corpus' size is not known");
    *out = (uint64_t)((double)total / (double)bytes * (double)tokens);
    return 0;
}

static int describe_model(struct fathom__run *run) {
    fathom_model *model = NULL;
    int status = fathom_model_open(&model, run->options->model_path, NULL);
    if (status) return status;
    const struct fathom_model_info *info = fathom_model_describe(model);
    memcpy(run->identity, info->source_identity, sizeof run->identity);
    status = fathom__copy_string(&run->model_name, info->name);
    for (size_t s = 0; s < run->n_streams && !status; s++) {
        struct fathom_hook hook;
        status = fathom_hook_parse(&hook, model, run->hooks[s]);
    }
    run->tokens = run->options->tokens;
    if (!status && run->tokens == 0) {
        status = estimate_tokens(&run->tokens, run, model);
        const uint64_t held_out = run->options->held_out_rows ? run->options->held_out_rows : DEFAULT_HELD_OUT;
        if (!status) run->tokens = run->tokens > 2 * held_out ? run->tokens - held_out : run->tokens / 2;
    }
    fathom_model_close(model);
    if (!status && run->tokens < run->batch)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "train: %llu tokens are less than one batch of %zu",
                              (unsigned long long)run->tokens, run->batch);
    run->total_steps = run->tokens / (run->batch ? run->batch : 1);
    return status;
}

int fathom__run_open(struct fathom__run *run, const size_t *widths) {
    const struct fathom_train_options *o = run->options;
    size_t pool = o->shuffle_rows ? o->shuffle_rows : DEFAULT_SHUFFLE;
    if (pool > run->tokens) pool = run->tokens;
    if (pool < run->batch) pool = run->batch;
    int status = 0;
    for (size_t s = 0; s < run->n_streams && !status; s++) {
        struct fathom__rows *stream = &run->streams[s];
        status =
            fathom__rows_open(stream, widths[s], o->held_out_rows ? o->held_out_rows : DEFAULT_HELD_OUT, pool, o->seed);
        if (!status) status = fathom__alloc_aligned(&run->batches[s], run->batch * widths[s], sizeof **run->batches);
        stream->skip_positions = o->skip_positions == UINT32_MAX ? 0 : o->skip_positions ? o->skip_positions : 1;
        stream->norm_multiple = o->norm_multiple == 0 ? DEFAULT_NORM_MULTIPLE : o->norm_multiple;
    }
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        struct fathom__learner *learner = &run->learners[i];
        struct fathom_trainer_options options = learner->wanted->options;
        options.d_in = (uint32_t)widths[learner->stream];
        options.batch = (uint32_t)run->batch;
        options.total_steps = run->total_steps;
        options.n_threads = o->n_threads;
        status = fathom_trainer_open(&learner->trainer, &options);
        if (status) status = fathom__wrap(status, "%s", learner->wanted->path);
    }
    run->opened = !status;
    return status;
}

static int write_metrics(struct fathom__run *run, const struct fathom__learner *learner, bool held_out) {
    if (!run->metrics) return 0;
    const struct fathom_trainer_metrics *m = &learner->last;
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "dictionary", learner->wanted->path,
                  "step", (json_int_t)m->step, "tokens", (json_int_t)m->rows, "loss", m->loss, "auxiliary_loss",
                  m->auxiliary_loss, "fve", m->fve, "l0", m->l0, "dead_fraction", m->dead_fraction, "gradient_norm",
                  m->gradient_norm, "learning_rate", m->learning_rate, "seconds", fathom__run_seconds(run));
    if (json && held_out)
        json_object_set_new(json, "held_out",
                            json_pack("{s:f, s:f, s:f}", "fve", learner->evaluation.fve, "l0", learner->evaluation.l0,
                                      "dead_fraction", learner->evaluation.dead_fraction));
    char *text = NULL;
    int status = fathom__json_text(&text, json, false);
    json_decref(json);
    if (status) return status;
    if (fprintf(run->metrics, "%s\n", text) < 0 || fflush(run->metrics))
        status = fathom__fail_errno(run->options->metrics_path, "write");
    fathom_free(text);
    return status;
}

static int evaluate(struct fathom__run *run, struct fathom__learner *learner) {
    const struct fathom__rows *stream = &run->streams[learner->stream];
    int status = fathom_trainer_evaluate(&learner->evaluation, learner->trainer, stream->held_out, stream->n_held_out);
    learner->evaluated = !status;
    return status;
}

static int tell(struct fathom__run *run, bool training) {
    const struct fathom_train_options *o = run->options;
    const double now = fathom__seconds();
    if (!o->progress || now - run->told < PROGRESS_SECONDS) return 0;
    const uint64_t reached = run->step * run->batch;
    if (now - run->rate_from >= RATE_SECONDS) {
        run->rate = (double)(run->delivered - run->rate_rows) / (now - run->rate_from);
        run->rate_from = now;
        run->rate_rows = run->delivered;
    }
    run->told = now;
    char note[128] = "";
    const struct fathom__learner *first = &run->learners[0];
    if (first->evaluated)
        snprintf(note, sizeof note, "held-out FVE %.4f, L0 %.1f, dead %.1f %%", first->evaluation.fve,
                 first->evaluation.l0, 100 * first->evaluation.dead_fraction);
    else if (first->last.step)
        snprintf(note, sizeof note, "FVE %.4f, L0 %.1f", first->last.fve, first->last.l0);
    struct fathom_progress progress = {.stage = training ? "train" : "fill",
                                       .done = reached,
                                       .total = run->tokens,
                                       .unit = "tokens",
                                       .units_per_second = run->rate,
                                       .seconds_left = -1,
                                       .note = note[0] ? note : NULL};
    const uint64_t taken = reached + run->streams[0].n_pool;
    if (run->rate > 0) progress.seconds_left = run->tokens > taken ? (double)(run->tokens - taken) / run->rate : 0;
    return fathom__callback_status(o->progress(&progress, o->payload));
}

/* One step of every learner, from one batch a hook point. */
static int make_step(struct fathom__run *run) {
    int status = 0;
    for (size_t i = 0; i < run->n_learners && !status; i++) /* the pools are at their fullest before the first draw */
        if (run->step == 0)
            status = fathom_trainer_prepare(run->learners[i].trainer, run->streams[run->learners[i].stream].pool,
                                            run->streams[run->learners[i].stream].n_pool);
    for (size_t s = 0; s < run->n_streams; s++)
        fathom__rows_draw(run->batches[s], &run->streams[s], run->batch);
    const uint64_t every = run->options->evaluate_every ? run->options->evaluate_every : DEFAULT_EVALUATE;
    const bool held_out = (run->step + 1) % every == 0 || run->step + 1 == run->total_steps;
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        struct fathom__learner *learner = &run->learners[i];
        status = fathom_trainer_step(&learner->last, learner->trainer, run->batches[learner->stream], run->batch);
        if (!status && held_out) status = evaluate(run, learner);
        if (!status && (held_out || run->step % METRICS_EVERY == 0)) status = write_metrics(run, learner, held_out);
        if (status) status = fathom__wrap(status, "%s", learner->wanted->path);
    }
    if (!status) run->step++;
    if (run->step == run->total_steps) run->finished = true;
    return status;
}

/* Whether the pools hold all rows that the steps to come will use. */
static bool enough(const struct fathom__run *run) {
    for (size_t s = 0; s < run->n_streams; s++)
        if (run->streams[s].n_pool < (run->total_steps - run->step) * run->batch) return false;
    return true;
}

static bool all_full(const struct fathom__run *run) {
    for (size_t s = 0; s < run->n_streams; s++)
        if (!fathom__rows_full(&run->streams[s])) return false;
    return true;
}

/* Takes a row at every hook point. Where one point leaves out more rows than another, its pool fills later; a full pool
 * then lets rows pass. */
static int take_row(struct fathom__run *run, const struct fathom_harvest_block *block, size_t r) {
    int status = 0;
    for (size_t s = 0; s < run->n_streams && !status; s++)
        if (!fathom__rows_full(&run->streams[s]))
            status = fathom__rows_offer(&run->streams[s], block->rows[s] + r * block->widths[s], block->positions[r],
                                        block->documents[r]);
    if (!status && all_full(run)) status = make_step(run);
    return status;
}

static int take_block(const struct fathom_harvest_block *block, void *payload) {
    struct fathom__run *run = payload;
    const uint64_t every = run->options->checkpoint_every, before = run->step;
    int status = run->opened ? 0 : fathom__run_open(run, block->widths);
    for (size_t r = 0; r < block->n_rows && !status && !enough(run); r++)
        status = take_row(run, block, r);
    if (status) return status;
    run->delivered = block->first_row + block->n_rows;
    if (enough(run)) return ENOUGH;
    status = tell(run, run->step > 0);
    const bool stopping = status == FATHOM_ERROR_STOPPED;
    if (run->options->checkpoint && (stopping || (every && run->step / every > before / every))) {
        const int saved = fathom__run_save(run);
        if (saved) return saved;
    }
    return status;
}

/* No more rows come: what the pools hold is used up. */
static int drain(struct fathom__run *run) {
    int status = 0;
    for (size_t s = 0; s < run->n_streams && !status; s++)
        if (!run->streams[s].held_out_complete && (status = fathom__rows_settle(&run->streams[s])))
            fathom__wrap(status, "%s", run->options->sources[0].path);
    while (!status && !run->finished) {
        for (size_t s = 0; s < run->n_streams; s++)
            if (run->streams[s].n_pool < run->batch) return 0;
        status = make_step(run);
        if (!status) {
            status = tell(run, true);
            if (status == FATHOM_ERROR_STOPPED && run->options->checkpoint) {
                const int saved = fathom__run_save(run);
                if (saved) return saved;
            }
        }
    }
    return status;
}

static int harvest(struct fathom__run *run) {
    const struct fathom_train_options *o = run->options;
    fathom_corpus *corpus = NULL;
    const struct fathom_harvest_options options = {.hooks = run->hooks,
                                                   .n_hooks = run->n_streams,
                                                   .context = o->context,
                                                   .n_threads = o->n_threads,
                                                   .skip_tokens = run->delivered};
    int status = 0;
    if (!run->opened || !enough(run)) status = fathom_corpus_open(&corpus, o->sources, o->n_sources, o->seed);
    if (status) return status;
    if (corpus) status = fathom_harvest(NULL, o->model_path, corpus, &options, take_block, run);
    fathom_corpus_close(corpus);
    if (run->opened && enough(run)) status = 0; /* the callback's ENOUGH */
    if (!status) status = drain(run);
    if (status == FATHOM_ERROR_STOPPED)
        return fathom__fail(status, "train: stopped after %llu tokens%s%s",
                            (unsigned long long)(run->step * run->batch),
                            o->checkpoint ? "; the checkpoint is in " : "", o->checkpoint ? o->checkpoint : "");
    return status;
}

static int finish(struct fathom_train_result *result, struct fathom__run *run, struct fathom__learner *learner) {
    const struct fathom__rows *stream = &run->streams[learner->stream];
    const struct fathom_train_dictionary *wanted = learner->wanted;
    struct fathom_dictionary_parts parts;
    void *storage = NULL;
    char *name = NULL, *training = NULL;
    float threshold = 0;
    if (run->step == 0)
        return fathom__fail(FATHOM_ERROR_LIMIT,
                            "train: the corpus gave fewer rows than one batch (%zu) beside the %zu held-out ones",
                            run->batch, stream->n_held_out);
    int status = fathom_trainer_calibrate(&threshold, learner->trainer, stream->held_out, stream->n_held_out);
    if (!status) status = evaluate(run, learner);
    if (!status) status = fathom_trainer_parts(&parts, &storage, learner->trainer);
    if (status) return status;
    json_t *record = fathom__run_record(run, learner);
    status = fathom__json_text(&training, record, false);
    json_decref(record);
    const char *base = strrchr(wanted->path, '/');
    if (!status) status = fathom__copy_string(&name, wanted->name ? wanted->name : base ? base + 1 : wanted->path);
    if (!status && !wanted->name && strrchr(name, '.')) *strrchr(name, '.') = '\0';
    if (!status) {
        struct fathom_hook hook = {0};
        char full[FATHOM_HOOK_NAME_SIZE];
        fathom_model *model = NULL;
        status = fathom_model_open(&model, run->options->model_path, NULL);
        if (!status) status = fathom_hook_parse(&hook, model, wanted->hook);
        fathom_model_close(model);
        if (!status) {
            fathom_hook_name(full, hook);
            parts.info.name = name;
            parts.info.hook_in = parts.info.hook_out = full;
            parts.info.model_identity = run->identity;
            parts.info.model_name = run->model_name;
            parts.info.training = training;
            parts.info.skip_positions = stream->skip_positions;
            parts.info.max_norm = stream->max_norm;
            status = fathom_dictionary_write(wanted->path, &parts, wanted->dtype ? wanted->dtype : DEFAULT_DTYPE);
        }
    }
    if (!status && result)
        *result = (struct fathom_train_result){learner->evaluation.fve,
                                               learner->evaluation.l0,
                                               learner->evaluation.dead_fraction,
                                               threshold,
                                               run->step,
                                               run->step * run->batch,
                                               stream->skipped_positions,
                                               stream->skipped_norms,
                                               stream->max_norm,
                                               fathom__run_seconds(run)};
    fathom_free(storage);
    fathom_free(name);
    fathom_free(training);
    return status;
}

static void close_run(struct fathom__run *run) {
    for (size_t i = 0; run->learners && i < run->n_learners; i++)
        fathom_trainer_close(run->learners[i].trainer);
    for (size_t s = 0; run->streams && s < run->n_streams; s++) {
        fathom__rows_close(&run->streams[s]);
        fathom_free(run->batches[s]);
    }
    if (run->metrics) fclose(run->metrics);
    fathom_free(run->learners);
    fathom_free(run->streams);
    fathom_free(run->batches);
    fathom_free(run->hooks);
    fathom_free(run->model_name);
}

int fathom_train(struct fathom_train_result *results, const struct fathom_train_dictionary *dictionaries,
                 size_t n_dictionaries, const struct fathom_train_options *options) {
    struct fathom__run run = {.options = options, .n_learners = n_dictionaries};
    bool resumed = false;
    int status = check(dictionaries, n_dictionaries, options);
    if (status) return status;
    run.started = run.rate_from = fathom__seconds();
    run.batch = dictionaries[0].options.batch ? dictionaries[0].options.batch : DEFAULT_BATCH;
    status = find_streams(&run, dictionaries);
    if (!status) status = describe_model(&run);
    /* Hours of work must not end at a place that cannot be written. */
    for (size_t i = 0; i < n_dictionaries && !status; i++)
        status = fathom__writer_probe(dictionaries[i].path);
    if (!status && options->checkpoint) status = fathom__run_prepare(&run);
    if (!status) status = fathom_corpus_hash(run.corpus, options->sources, options->n_sources, options->seed);
    if (!status && options->metrics_path) {
        run.metrics = fopen(options->metrics_path, options->resume ? "a" : "w");
        if (!run.metrics) status = fathom__fail_errno(options->metrics_path, "write");
    }
    if (!status && options->resume && options->checkpoint) status = fathom__run_restore(&resumed, &run);
    if (!status && !resumed) status = fathom__run_shorten(&run, 0);
    run.rate_rows = run.delivered;
    if (!status && !run.finished) status = harvest(&run);
    for (size_t i = 0; i < n_dictionaries && !status; i++)
        status = finish(results ? &results[i] : NULL, &run, &run.learners[i]);
    if (!status && options->checkpoint) fathom__run_forget(&run);
    if (options->checkpoint) rmdir(options->checkpoint); /* where nothing was saved in it */
    close_run(&run);
    return status;
}
