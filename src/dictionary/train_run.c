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

#define DEFAULT_EVALUATE 100
#define DEFAULT_BATCH 4096
#define METRICS_EVERY 10
#define PROGRESS_SECONDS 0.25
#define RATE_SECONDS 5.0
/* What the callback says when no more rows are needed; seen by nobody outside. */
#define ENOUGH 1

double fathom__run_seconds(const struct fathom__run *run) {
    return run->seconds_before + fathom__seconds() - run->started;
}

static int write_metrics(struct fathom__run *run, const struct fathom__learner *learner, bool held_out) {
    if (!run->metrics) return 0;
    const struct fathom_trainer_metrics *m = &learner->last;
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "dictionary",
                  learner->wanted->path, "step", (json_int_t)m->step, "tokens", (json_int_t)m->rows, "loss", m->loss,
                  "auxiliary_loss", m->auxiliary_loss, "sparsity_loss", m->sparsity_loss, "sparsity", m->sparsity,
                  "fve", m->fve, "l0", m->l0, "dead_fraction", m->dead_fraction, "gradient_norm", m->gradient_norm,
                  "learning_rate", m->learning_rate, "seconds", fathom__run_seconds(run));
    if (json && held_out)
        json_object_set_new(json, "held_out",
                            json_pack("{s:f, s:f, s:f, s:i, s:f}", "fve", learner->evaluation.fve, "l0",
                                      learner->evaluation.l0, "dead_fraction", learner->evaluation.dead_fraction,
                                      "dense_features", (int)learner->evaluation.n_dense, "dense_share",
                                      learner->evaluation.dense_share));
    if (json && held_out && learner->warning[0]) json_object_set_new(json, "warning", json_string(learner->warning));
    char *text = NULL;
    int status = fathom__json_text(&text, json, false);
    json_decref(json);
    if (status) return status;
    if (fprintf(run->metrics, "%s\n", text) < 0 || fflush(run->metrics))
        status = fathom__fail_errno(run->options->metrics_path, "write");
    fathom_free(text);
    return status;
}

int fathom__run_evaluate(struct fathom__run *run, struct fathom__learner *learner) {
    const struct fathom__rows *stream = &run->streams[learner->stream];
    const struct fathom_trainer_evaluation before = learner->evaluation;
    int status = fathom_trainer_evaluate(&learner->evaluation, learner->trainer, stream->held_out, stream->n_held_out);
    if (status) return status;
    fathom__health_of_evaluation(learner, &before);
    learner->evaluated = true;
    if (learner->warning[0] && run->options->warning)
        run->options->warning(learner->wanted->path, learner->last.step, learner->warning, run->options->payload);
    const struct fathom_train_point point = {(size_t)(learner - run->learners),
                                             learner->last.step,
                                             learner->last.rows,
                                             learner->last.loss,
                                             learner->evaluation.fve,
                                             learner->evaluation.l0,
                                             learner->evaluation.dead_fraction,
                                             fathom__run_seconds(run)};
    if (run->options->evaluated) run->options->evaluated(&point, run->options->payload);
    return 0;
}

static int tell(struct fathom__run *run, bool training) {
    const struct fathom_train_options *o = run->options;
    const double now = fathom__seconds();
    const bool begins = training && !run->told_training; /* is told however little time has passed */
    if (!o->progress || (now - run->told < PROGRESS_SECONDS && !begins)) return 0;
    run->told_training = training;
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
    /* Before the first step rows are held out and a pool is filled, or as much of it as all steps will take. */
    const struct fathom__rows *stream = &run->streams[0];
    const uint64_t pool = run->tokens < stream->pool_capacity ? run->tokens : stream->pool_capacity;
    struct fathom_progress progress = {.stage = training ? "train" : "fill",
                                       .done = training ? reached : stream->n_held_out + stream->n_pool,
                                       .total = training ? run->tokens : stream->held_out_wanted + pool,
                                       .unit = "tokens",
                                       .units_per_second = run->rate,
                                       .seconds_left = -1,
                                       .note = note[0] ? note : NULL};
    const uint64_t taken = reached + stream->n_pool;
    if (run->rate > 0) progress.seconds_left = run->tokens > taken ? (double)(run->tokens - taken) / run->rate : 0;
    return fathom__callback_status(o->progress(&progress, o->payload));
}

/* One step of every learner that is not done, from one batch a hook point. */
static int make_step(struct fathom__run *run) {
    int status = 0;
    for (size_t i = 0; i < run->n_learners && !status; i++) /* the pools are at their fullest before the first draw */
        if (run->step == 0 && !run->learners[i].wanted->start)
            status = fathom_trainer_prepare(run->learners[i].trainer, run->streams[run->learners[i].stream].pool,
                                            run->streams[run->learners[i].stream].n_pool);
    for (size_t s = 0; s < run->n_streams; s++)
        fathom__rows_draw(run->batches[s], &run->streams[s], run->batch);
    const uint64_t every = run->options->evaluate_every ? run->options->evaluate_every : DEFAULT_EVALUATE;
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        struct fathom__learner *learner = &run->learners[i];
        const bool held_out = (run->step + 1) % every == 0 || run->step + 1 == learner->total_steps;
        if (run->step >= learner->total_steps) continue;
        status = fathom_trainer_step(&learner->last, learner->trainer, run->batches[learner->stream], run->batch);
        if (!status) status = fathom__health_of_step(learner);
        if (!status && held_out) status = fathom__run_evaluate(run, learner);
        if (!status && (held_out || run->step % METRICS_EVERY == 0)) status = write_metrics(run, learner, held_out);
        if (status) status = fathom__wrap(status, "%s", learner->wanted->path);
    }
    if (!status) run->step++;
    if (run->step == run->total_steps) run->finished = true;
    return status;
}

/* Progress is told, and whoever asks for a stop by it, or the time that is over, is heard. */
static int tell_and_hear(struct fathom__run *run, bool training) {
    const double limit = run->options->max_seconds;
    const int status = tell(run, training);
    if (status || !(limit > 0) || run->finished || fathom__seconds() - run->started < limit) return status;
    run->out_of_time = true;
    return FATHOM_ERROR_STOPPED;
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
    if (!fathom__run_wants(run->options, block->roles[r])) {
        run->skipped_roles++;
        return 0;
    }
    if (fathom__run_is_special(run, block->tokens[r]) &&
        (uint32_t)block->positions[r] >= run->streams[0].skip_positions) {
        run->skipped_special++;
        return 0;
    }
    for (size_t s = 0; s < run->n_streams && !status; s++)
        if (!fathom__rows_full(&run->streams[s]))
            status = fathom__rows_offer(&run->streams[s], fathom__tapped_row(run, s, block, r), block->positions[r],
                                        block->documents[r]);
    if (!status && all_full(run)) status = make_step(run);
    return status;
}

static int take_block(const struct fathom_harvest_block *block, void *payload) {
    struct fathom__run *run = payload;
    const uint64_t every = run->options->checkpoint_every, before = run->step;
    int status = run->opened ? 0 : fathom__run_open(run);
    for (size_t r = 0; r < block->n_rows && !status && !enough(run); r++)
        status = take_row(run, block, r);
    if (status) return status;
    run->delivered = block->first_row + block->n_rows;
    if (enough(run)) return ENOUGH;
    status = tell_and_hear(run, run->step > 0);
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
            status = tell_and_hear(run, true);
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
    const struct fathom_harvest_options options = {.hooks = (const char *const *)run->hooks,
                                                   .n_hooks = run->n_hooks,
                                                   .context = o->context,
                                                   .n_threads = o->n_threads,
                                                   .skip_tokens = run->delivered};
    int status = 0;
    if (!run->opened || !enough(run)) status = fathom_corpus_open(&corpus, o->sources, o->n_sources, o->seed);
    if (status) return status;
    if (corpus && o->model_b_path)
        status = fathom__harvest_pair(run, corpus, &options, take_block, run);
    else if (corpus)
        status = fathom_harvest(NULL, o->model_path, corpus, &options, take_block, run);
    fathom_corpus_close(corpus);
    if (run->opened && enough(run)) status = 0; /* the callback's ENOUGH */
    if (!status) status = drain(run);
    if (status == FATHOM_ERROR_STOPPED)
        return fathom__fail(status, "train: stopped after %llu tokens%s%s%s",
                            (unsigned long long)(run->step * run->batch),
                            run->out_of_time ? ", since its time is over" : "",
                            o->checkpoint ? "; the checkpoint is in " : "", o->checkpoint ? o->checkpoint : "");
    return status;
}

static void close_run(struct fathom__run *run) {
    for (size_t i = 0; run->learners && i < run->n_learners; i++) {
        fathom_trainer_close(run->learners[i].trainer);
        json_decref(run->learners[i].start_training);
    }
    for (size_t s = 0; run->streams && s < run->n_streams; s++) {
        fathom__rows_close(&run->streams[s]);
        fathom_free(run->batches[s]);
    }
    if (run->metrics) fclose(run->metrics);
    fathom_free(run->learners);
    fathom_free(run->streams);
    fathom_free(run->batches);
    for (size_t h = 0; h < run->n_hooks; h++)
        fathom_free(run->hooks[h]);
    fathom_free(run->hooks);
    fathom_free(run->widths);
    fathom_free(run->taps);
    fathom_free(run->joined);
    fathom_free(run->special);
    fathom_free(run->model_name);
    fathom_free(run->model_b_name);
}

static void tell_start(const struct fathom__run *run, bool resumed) {
    const struct fathom_train_start start = {.model_name = run->model_name,
                                             .model_identity = run->identity,
                                             .corpus_hash = run->corpus,
                                             .tokens = run->tokens,
                                             .total_steps = run->total_steps,
                                             .resumed = resumed,
                                             .resumed_step = run->step};
    if (run->options->started) run->options->started(&start, run->options->payload);
}

/* A schedule that was not gone through to its end leaves a worse dictionary than fewer tokens with a whole one. */
static void warn_of_end(const struct fathom__run *run) {
    char text[128];
    if (run->finished || !run->options->warning) return;
    snprintf(text, sizeof text, "the corpus ended after %llu of %llu steps: the learning rate's schedule is unfinished",
             (unsigned long long)run->step, (unsigned long long)run->total_steps);
    run->options->warning(run->learners[0].wanted->path, run->step, text, run->options->payload);
}

int fathom_train(struct fathom_train_result *results, const struct fathom_train_dictionary *dictionaries,
                 size_t n_dictionaries, const struct fathom_train_options *options) {
    struct fathom__run run = {.options = options, .n_learners = n_dictionaries};
    bool resumed = false;
    int status = fathom__run_check(dictionaries, n_dictionaries, options);
    if (status) return status;
    run.started = run.rate_from = fathom__seconds();
    run.batch = dictionaries[0].options.batch ? dictionaries[0].options.batch : DEFAULT_BATCH;
    status = fathom__run_find_streams(&run, dictionaries);
    if (!status) status = fathom__run_describe_model(&run);
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
    if (!status) tell_start(&run, resumed);
    if (!status && !run.finished) status = harvest(&run);
    if (!status) warn_of_end(&run);
    for (size_t i = 0; i < n_dictionaries && !status; i++)
        status = fathom__run_finish(results ? &results[i] : NULL, &run, &run.learners[i]);
    if (!status && options->checkpoint) fathom__run_forget(&run);
    if (options->checkpoint) rmdir(options->checkpoint); /* where nothing was saved in it */
    close_run(&run);
    return status;
}
