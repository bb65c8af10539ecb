/* Checkpoints of a run: a folder with one file a learner and one a hook point, and state.json, which names them.
 *
 * state.json is written last and renamed into place, and files carry the step in their name, so that what it names is
 * always whole and of one moment.
 */
#include <base/error.h>
#include <base/file.h>
#include <base/hash.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <dictionary/train_internal.h>
#include <dictionary/trainer_internal.h>
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE "state.json"
#define PARTIAL ".part" /* the ending of what a writer has not finished */

/* A file's name holds the step and the run that it is of: what a save of another run left behind, or one that did not
 * come to its end, is never taken for part of the checkpoint that the state tells of. */
static int learner_path(char **out, const struct fathom__run *run, size_t i, uint64_t step) {
    return fathom__format(out, "%s/trainer%zu-%" PRIu64 "-%s.ckpt", run->options->checkpoint, i, step, run->tag);
}
static int stream_path(char **out, const struct fathom__run *run, size_t s, uint64_t step) {
    return fathom__format(out, "%s/rows%zu-%" PRIu64 "-%s.safetensors", run->options->checkpoint, s, step, run->tag);
}

static int find_tag(struct fathom__run *run) {
    json_t *identity = fathom__run_identity(run);
    char *text = NULL;
    fathom__hash *hash = NULL;
    int status = fathom__json_text(&text, identity, false);
    if (!status) status = fathom__hash_open(&hash);
    if (!status) {
        fathom__hash_add(hash, text, strlen(text));
        fathom__hash_text(run->tag, hash);
    }
    fathom__hash_close(hash);
    fathom_free(text);
    json_decref(identity);
    return status;
}

enum which { ALL, ALL_BUT_SAVED, THIS_STEP };

static bool has_ending(const char *name, const char *ending) {
    const size_t length = strlen(name), ending_length = strlen(ending);
    return length > ending_length && strcmp(name + length - ending_length, ending) == 0;
}

/* Removes files that a save writes, and those that one did not finish: a killed process may have left some behind. */
static void remove_files(const struct fathom__run *run, enum which which) {
    DIR *entries = opendir(run->options->checkpoint);
    if (!entries) return;
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        uint64_t step = 0;
        size_t number;
        char *path = NULL;
        const char *name = entry->d_name;
        if (sscanf(name, "trainer%zu-%" SCNu64 "-", &number, &step) != 2 &&
            sscanf(name, "rows%zu-%" SCNu64 "-", &number, &step) != 2 && strncmp(name, STATE ".", sizeof STATE) != 0)
            continue;
        const bool own = strstr(name, run->tag) != NULL, saved = own && run->saved && step == run->saved_step;
        const bool remove = has_ending(name, PARTIAL) || which == ALL || (which == ALL_BUT_SAVED && !saved) ||
                            (which == THIS_STEP && own && step == run->step && !saved);
        if (remove && !fathom__path_join(&path, run->options->checkpoint, name)) unlink(path);
        fathom_free(path);
    }
    closedir(entries);
}

static int save_stream(const struct fathom__run *run, size_t s) {
    const struct fathom__rows *stream = &run->streams[s];
    const struct fathom__tensor tensors[] = {
        {"held_out",
         FATHOM__F32,
         2,
         {stream->n_held_out, stream->d},
         stream->held_out,
         stream->n_held_out * stream->d * sizeof(float)},
        {"pool", FATHOM__F32, 2, {stream->n_pool, stream->d}, stream->pool, stream->n_pool * stream->d * sizeof(float)},
        {"random", FATHOM__I64, 1, {4}, stream->random.state, sizeof stream->random.state},
    };
    char *path = NULL;
    int status = stream_path(&path, run, s, run->step);
    if (!status) status = fathom__safetensors_write(path, tensors, sizeof tensors / sizeof *tensors, NULL);
    fathom_free(path);
    return status;
}

static json_t *describe_stream(const struct fathom__rows *stream) {
    return json_pack("{s:b, s:f, s:I, s:I, s:I}", "held_out_complete", (int)stream->held_out_complete, "max_norm",
                     stream->held_out_complete && stream->norm_multiple > 0 ? (double)stream->max_norm : 0.0,
                     "last_held_out", (json_int_t)stream->last_held_out, "skipped_positions",
                     (json_int_t)stream->skipped_positions, "skipped_norms", (json_int_t)stream->skipped_norms);
}

static int find_state(char **out, const struct fathom__run *run) {
    return fathom__path_join(out, run->options->checkpoint, STATE);
}

int fathom__run_prepare(const struct fathom__run *run) {
    char *state = NULL;
    int status = fathom__make_folders(run->options->checkpoint);
    if (!status) status = find_state(&state, run);
    if (!status) status = fathom__writer_probe(state);
    fathom_free(state);
    return status;
}

int fathom__run_save(struct fathom__run *run) {
    char *state = NULL;
    json_t *streams = NULL, *json = NULL;
    if (!run->opened) return 0;
    int status = fathom__make_folders(run->options->checkpoint);
    if (!status) status = find_tag(run);
    if (!status) status = find_state(&state, run);
    if (status) return status;
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        char *path = NULL;
        status = learner_path(&path, run, i, run->step);
        if (!status) status = fathom_trainer_save(run->learners[i].trainer, path, NULL);
        fathom_free(path);
    }
    for (size_t s = 0; s < run->n_streams && !status; s++)
        status = save_stream(run, s);
    if (!status) {
        streams = json_array();
        for (size_t s = 0; s < run->n_streams; s++)
            json_array_append_new(streams, describe_stream(&run->streams[s]));
        json_t *widths = json_array();
        for (size_t h = 0; h < run->n_hooks; h++)
            json_array_append_new(widths, json_integer((json_int_t)run->widths[h]));
        if (run->metrics) fflush(run->metrics);
        json = json_pack("{s:o, s:I, s:I, s:I, s:I, s:f, s:I, s:o, s:o}", "run", fathom__run_identity(run), "step",
                         (json_int_t)run->step, "delivered", (json_int_t)run->delivered, "skipped_roles",
                         (json_int_t)run->skipped_roles, "skipped_special", (json_int_t)run->skipped_special, "seconds",
                         fathom__run_seconds(run), "metrics_bytes",
                         (json_int_t)(run->metrics ? ftell(run->metrics) : 0), "widths", widths, "streams", streams);
        status = fathom__json_write(state, json);
        json_decref(json);
    }
    if (!status) {
        run->saved = true;
        run->saved_step = run->step;
    }
    remove_files(run, status ? THIS_STEP : ALL_BUT_SAVED);
    fathom_free(state);
    return status;
}

static int restore_rows(float *out, size_t *n, const fathom__safetensors *file, const char *name, size_t d, size_t most,
                        const char *path) {
    const struct fathom__tensor *tensor = fathom__safetensors_find(file, name);
    if (!tensor || tensor->dtype != FATHOM__F32 || tensor->n_dimensions != 2 || tensor->shape[1] != d ||
        tensor->shape[0] > most)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s, f32 rows of width %zu, is expected", path, name, d);
    *n = tensor->shape[0];
    if (out) memcpy(out, tensor->data, tensor->bytes);
    return 0;
}

static int restore_stream(struct fathom__run *run, size_t s, const json_t *json, const char *state) {
    struct fathom__rows *stream = &run->streams[s];
    fathom__safetensors *file = NULL;
    char *path = NULL;
    double max_norm = 0;
    int64_t last = 0, positions = 0, norms = 0;
    size_t n = 0;
    int status = fathom__json_get_bool(&stream->held_out_complete, json, "held_out_complete", true, state);
    if (!status) status = fathom__json_get_number(&max_norm, json, "max_norm", true, state);
    if (!status) status = fathom__json_get_integer(&last, json, "last_held_out", 0, INT64_MAX, true, state);
    if (!status) status = fathom__json_get_integer(&positions, json, "skipped_positions", 0, INT64_MAX, true, state);
    if (!status) status = fathom__json_get_integer(&norms, json, "skipped_norms", 0, INT64_MAX, true, state);
    if (!status) status = stream_path(&path, run, s, run->step);
    if (!status) status = fathom__safetensors_open(&file, path);
    if (!status)
        status = restore_rows(NULL, &n, file, "held_out", stream->d, SIZE_MAX / sizeof(float) / stream->d, path);
    if (!status) status = fathom__alloc(&stream->held_out, n * stream->d, sizeof *stream->held_out);
    if (!status) status = restore_rows(stream->held_out, &stream->n_held_out, file, "held_out", stream->d, n, path);
    if (!status)
        status = restore_rows(stream->pool, &stream->n_pool, file, "pool", stream->d, stream->pool_capacity, path);
    if (!status) {
        const struct fathom__tensor *random = fathom__safetensors_find(file, "random");
        if (!random || random->bytes != sizeof stream->random.state)
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: random, four 64-bit integers, is expected", path);
        else
            memcpy(stream->random.state, random->data, sizeof stream->random.state);
    }
    stream->held_out_capacity = stream->n_held_out;
    if (max_norm > 0) stream->max_norm = (float)max_norm;
    stream->last_held_out = (uint64_t)last;
    stream->skipped_positions = (uint64_t)positions;
    stream->skipped_norms = (uint64_t)norms;
    fathom__safetensors_close(file);
    fathom_free(path);
    return status;
}

static int restore_streams(struct fathom__run *run, const json_t *json, const char *state) {
    const json_t *streams = json_object_get(json, "streams");
    const json_t *numbers = json_object_get(json, "widths");
    if (json_array_size(streams) != run->n_streams)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: streams must have %zu members", state, run->n_streams);
    if (json_array_size(numbers) != run->n_hooks)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: widths must have %zu members", state, run->n_hooks);
    for (size_t h = 0; h < run->n_hooks; h++) {
        const json_int_t width = json_integer_value(json_array_get(numbers, h));
        if (width < 1 || (uint64_t)width != run->widths[h])
            return fathom__fail(FATHOM_ERROR_MISMATCH,
                                "%s: the checkpoint has rows of width %lld for %s, whose rows are of width %zu", state,
                                (long long)width, run->hooks[h], run->widths[h]);
    }
    int status = fathom__run_open(run);
    for (size_t s = 0; s < run->n_streams && !status; s++)
        status = restore_stream(run, s, json_array_get(streams, s), state);
    return status;
}

static int restore_learner(struct fathom__run *run, size_t i) {
    struct fathom__learner *learner = &run->learners[i];
    fathom_trainer *trainer = NULL;
    char *path = NULL;
    int status = learner_path(&path, run, i, run->step);
    if (!status) status = fathom_trainer_resume(&trainer, NULL, path, 0);
    if (!status) {
        fathom_trainer_close(learner->trainer);
        learner->trainer = trainer;
        learner->last.step = trainer->step;
        learner->last.rows = trainer->rows;
    }
    fathom_free(path);
    return status;
}

int fathom__run_shorten(const struct fathom__run *run, int64_t bytes) {
    struct stat about;
    if (!run->metrics || fstat(fileno(run->metrics), &about) || !S_ISREG(about.st_mode) || about.st_size <= bytes)
        return 0;
    return ftruncate(fileno(run->metrics), bytes) ? fathom__fail_errno(run->options->metrics_path, "shorten") : 0;
}

int fathom__run_restore(bool *found, struct fathom__run *run) {
    char *state = NULL;
    json_t *json = NULL, *identity = NULL;
    int64_t step = 0, delivered = 0, metrics = 0, roles = 0, special = 0;
    *found = false;
    int status = find_state(&state, run);
    if (status || !fathom__file_exists(state)) goto done;
    status = fathom__json_load(&json, state);
    if (status) goto done;
    identity = fathom__run_identity(run);
    if (!json_equal(identity, json_object_get(json, "run"))) {
        status =
            fathom__fail(FATHOM_ERROR_MISMATCH,
                         "%s: the checkpoint is of a run with another model, corpus, seed or other options", state);
        goto done;
    }
    status = fathom__json_get_integer(&step, json, "step", 0, INT64_MAX, true, state);
    if (!status) status = fathom__json_get_integer(&delivered, json, "delivered", 0, INT64_MAX, true, state);
    if (!status) status = fathom__json_get_integer(&roles, json, "skipped_roles", 0, INT64_MAX, false, state);
    if (!status) status = fathom__json_get_integer(&special, json, "skipped_special", 0, INT64_MAX, false, state);
    if (!status) status = fathom__json_get_integer(&metrics, json, "metrics_bytes", 0, INT64_MAX, true, state);
    if (!status) status = fathom__json_get_number(&run->seconds_before, json, "seconds", true, state);
    if (status) goto done;
    run->step = (uint64_t)step;
    run->delivered = (uint64_t)delivered;
    run->skipped_roles = (uint64_t)roles;
    run->skipped_special = (uint64_t)special;
    run->saved_step = run->step;
    run->saved = true;
    run->finished = run->step == run->total_steps;
    status = find_tag(run);
    if (!status) status = restore_streams(run, json, state);
    for (size_t i = 0; i < run->n_learners && !status; i++)
        status = restore_learner(run, i);
    /* Lines written after the checkpoint will be written again. */
    if (!status) status = fathom__run_shorten(run, metrics);
    *found = !status;
done:
    json_decref(json);
    json_decref(identity);
    fathom_free(state);
    return status;
}

void fathom__run_forget(struct fathom__run *run) {
    char *state = NULL;
    if (find_state(&state, run)) return;
    unlink(state);
    remove_files(run, ALL);
    fathom_free(state);
}
