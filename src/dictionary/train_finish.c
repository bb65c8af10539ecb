/* The end of a run: each learner's dictionary becomes a file. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <dictionary/train_internal.h>
#include <string.h>

#define DEFAULT_DTYPE "bf16"

int fathom__run_finish(struct fathom_train_result *result, struct fathom__run *run, struct fathom__learner *learner) {
    const struct fathom__rows *stream = &run->streams[learner->stream];
    const struct fathom_train_dictionary *wanted = learner->wanted;
    struct fathom_dictionary_parts parts;
    void *storage = NULL;
    char *name = NULL, *training = NULL;
    float threshold = 0;
    const uint64_t steps = run->step < learner->total_steps ? run->step : learner->total_steps;
    if (run->step == 0)
        return fathom__fail(FATHOM_ERROR_LIMIT,
                            "train: the corpus gave fewer rows than one batch (%zu) beside the %zu held-out ones",
                            run->batch, stream->n_held_out);
    int status = fathom_trainer_calibrate(&threshold, learner->trainer, stream->held_out, stream->n_held_out);
    if (!status) status = fathom__run_evaluate(run, learner);
    if (!status) status = fathom_trainer_parts(&parts, &storage, learner->trainer);
    if (status) return status;
    json_t *record = fathom__run_record(run, learner);
    status = fathom__json_text(&training, record, false);
    json_decref(record);
    const char *base = strrchr(wanted->path, '/');
    if (!status) status = fathom__copy_string(&name, wanted->name ? wanted->name : base ? base + 1 : wanted->path);
    if (!status && !wanted->name) name[fathom__stem_length(name)] = '\0';
    if (!status) {
        struct fathom_dictionary_source *sources = NULL;
        struct fathom_dictionary_layer *layers = NULL;
        char *full = NULL, *full_out = NULL;
        status = fathom__run_full_hooks(&full, run, wanted->hook);
        if (!status)
            status = fathom__run_full_hooks(&full_out, run, wanted->hook_out ? wanted->hook_out : wanted->hook);
        if (!status) status = fathom__run_sources(&sources, &parts.info.n_sources, run, learner);
        parts.info.n_layers = 0;
        if (!status) status = fathom__run_layers(&layers, &parts.info.n_layers, run, learner);
        if (!status) {
            parts.info.name = name;
            parts.info.hook_in = full;
            parts.info.hook_out = full_out;
            parts.info.sources = sources;
            parts.info.layers = layers;
            parts.info.model_identity = run->identity;
            parts.info.model_name = run->model_name;
            parts.info.training = training;
            parts.info.skip_positions = stream->skip_positions;
            parts.info.max_norm = stream->max_norm;
            status = fathom_dictionary_write(wanted->path, &parts, wanted->dtype ? wanted->dtype : DEFAULT_DTYPE);
        }
        fathom__run_sources_free(sources, parts.info.n_sources);
        fathom__run_layers_free(layers, parts.info.n_layers);
        fathom_free(full);
        fathom_free(full_out);
    }
    if (!status && result)
        *result = (struct fathom_train_result){learner->evaluation.fve,
                                               learner->evaluation.l0,
                                               learner->evaluation.dead_fraction,
                                               threshold,
                                               steps,
                                               steps * run->batch,
                                               stream->skipped_positions,
                                               stream->skipped_norms,
                                               run->skipped_roles,
                                               run->skipped_special,
                                               stream->max_norm,
                                               fathom__run_seconds(run)};
    fathom_free(storage);
    fathom_free(name);
    fathom_free(training);
    return status;
}
