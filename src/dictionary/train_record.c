/* What is written down about a run. */
#include <dictionary/train_internal.h>
#include <dictionary/trainer_describe.h>
#include <math.h>
#include <string.h>

/* A file that is passed on says nothing of the folders of the machine that it was made on; the corpus is known by its
 * hash. */
static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static json_t *describe_sources(const struct fathom_train_options *options) {
    json_t *array = json_array();
    for (size_t i = 0; i < options->n_sources; i++) {
        const struct fathom_corpus_source *source = &options->sources[i];
        json_array_append_new(array, json_pack("{s:s, s:s?, s:f, s:b}", "file", name_of(source->path), "field",
                                               source->field, "weight", source->weight > 0 ? source->weight : 1,
                                               "repeat", (int)source->repeat));
    }
    return array;
}

json_t *fathom__run_identity(const struct fathom__run *run) {
    const struct fathom_train_options *o = run->options;
    json_t *learners = json_array();
    for (size_t i = 0; i < run->n_learners; i++) {
        const struct fathom__learner *learner = &run->learners[i];
        json_t *json = fathom__trainer_options_json(&learner->wanted->options);
        json_object_set_new(json, "hook", json_string(learner->wanted->hook));
        if (learner->wanted->hook_out) json_object_set_new(json, "hook_out", json_string(learner->wanted->hook_out));
        if (learner->wanted->tokens)
            json_object_set_new(json, "tokens", json_integer((json_int_t)learner->wanted->tokens));
        if (learner->start_hash[0]) json_object_set_new(json, "start", json_string(learner->start_hash));
        json_array_append_new(learners, json);
    }
    json_t *identity =
        json_pack("{s:s, s:s, s:I, s:I, s:i, s:i, s:f, s:I, s:I, s:o}", "model", run->identity, "corpus", run->corpus,
                  "tokens", (json_int_t)run->tokens, "seed", (json_int_t)o->seed, "context", (int)o->context,
                  "skip_positions", (int)o->skip_positions, "norm_multiple", o->norm_multiple, "shuffle_rows",
                  (json_int_t)o->shuffle_rows, "held_out_rows", (json_int_t)o->held_out_rows, "dictionaries", learners);
    if (run->identity_b[0]) json_object_set_new(identity, "model_b", json_string(run->identity_b));
    if (o->tokens_from) json_object_set_new(identity, "tokens_from", json_integer(o->tokens_from));
    if (o->keep_special) json_object_set_new(identity, "keep_special", json_true());
    return identity;
}

json_t *fathom__run_record(const struct fathom__run *run, const struct fathom__learner *learner) {
    const struct fathom_train_options *o = run->options;
    const struct fathom__rows *stream = &run->streams[learner->stream];
    const uint64_t steps = run->step < learner->total_steps ? run->step : learner->total_steps;
    json_t *held_out =
        json_pack("{s:I, s:f, s:f, s:f}", "rows", (json_int_t)stream->n_held_out, "fve", learner->evaluation.fve, "l0",
                  learner->evaluation.l0, "dead_fraction", learner->evaluation.dead_fraction);
    json_t *record =
        json_pack("{s:o, s:s, s:o, s:I, s:I, s:I, s:i, s:I, s:I, s:f, s:f, s:o, s:s}", "trainer",
                  fathom__trainer_options_json(fathom_trainer_describe(learner->trainer)), "corpus_hash", run->corpus,
                  "corpus", describe_sources(o), "seed", (json_int_t)o->seed, "steps", (json_int_t)steps, "tokens",
                  (json_int_t)(steps * run->batch), "context", (int)o->context, "skipped_positions",
                  (json_int_t)stream->skipped_positions, "skipped_norms", (json_int_t)stream->skipped_norms, "max_norm",
                  isfinite(stream->max_norm) ? (double)stream->max_norm : 0.0, "seconds", fathom__run_seconds(run),
                  "held_out", held_out, "version", fathom_version());
    if (o->tokens_from)
        json_object_set_new(record, "tokens_from", json_string(fathom__run_tokens_name(o->tokens_from)));
    if (run->skipped_special)
        json_object_set_new(record, "skipped_special", json_integer((json_int_t)run->skipped_special));
    if (learner->wanted->start)
        json_object_set_new(record, "start",
                            json_pack("{s:s, s:s, s:O}", "file", name_of(learner->wanted->start), "hash",
                                      learner->start_hash, "training", learner->start_training));
    return record;
}
