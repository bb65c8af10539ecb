/* Checkpoints: everything that a resumed run needs to give the bits that an uninterrupted one would have given.
 *
 *   "FATHOMCK" | u32 version | u64 length | JSON | arrays in the order of visit_arrays | 32 hex digits of XXH3-128 over
 *   all before
 *
 * Little-endian, as every machine that this runs on is. A file whose last digits do not fit was not written to its end,
 * or damaged.
 */
#include <base/error.h>
#include <base/file.h>
#include <base/hash.h>
#include <base/json.h>
#include <base/memory.h>
#include <dictionary/trainer_describe.h>
#include <inttypes.h>

#define MAGIC "FATHOMCK"
enum { MAGIC_SIZE = 8, VERSION = 3, HASH_SIZE = 32, HEADER_SIZE = MAGIC_SIZE + 4 + 8 };

enum { MOST_ARRAYS = 40 };

struct arrays {
    void *data[MOST_ARRAYS];
    size_t bytes[MOST_ARRAYS];
    size_t n;
};

static void add_array(struct arrays *arrays, void *data, size_t bytes) {
    arrays->data[arrays->n] = data;
    arrays->bytes[arrays->n++] = bytes;
}

static void visit_arrays(struct arrays *arrays, const fathom_trainer *trainer) {
    const size_t F = trainer->options.n_features, stride = trainer->stride;
    const struct fathom__parameter *parameters[] = {
        &trainer->encoder,   &trainer->encoder_bias, &trainer->decoder, &trainer->decoder_bias,
        &trainer->scalar[0], &trainer->scalar[1],    &trainer->skip,
    };
    const size_t sizes[] = {
        F * trainer->read, F, fathom__decoder_count(trainer), stride, F, F, trainer->options.d_out * stride};
    arrays->n = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!parameters[i]->value) continue;
        add_array(arrays, parameters[i]->value, sizes[i] * sizeof(float));
        add_array(arrays, parameters[i]->first, sizes[i] * sizeof(float));
        add_array(arrays, parameters[i]->second, sizes[i] * sizeof(float));
        if (parameters[i]->average) add_array(arrays, parameters[i]->average, sizes[i] * sizeof(float));
    }
    if (trainer->centre) add_array(arrays, trainer->centre, stride * sizeof *trainer->centre);
    const struct fathom__map *maps[] = {&trainer->input_transform, &trainer->output_transform,
                                        &trainer->target_transform};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i]->weights)
            add_array(arrays, maps[i]->weights,
                      (maps[i]->diagonal ? 1 : maps[i]->d) * maps[i]->stride * sizeof *maps[i]->weights);
    if (trainer->source_scale)
        add_array(arrays, trainer->source_scale, fathom__n_parts(&trainer->options) * sizeof *trainer->source_scale);
    if (trainer->averaged) add_array(arrays, trainer->averaged, F * sizeof *trainer->averaged);
    if (trainer->norm) add_array(arrays, trainer->norm, F * sizeof *trainer->norm);
    add_array(arrays, trainer->touched, F * sizeof *trainer->touched);
    add_array(arrays, trainer->last_active, F * sizeof *trainer->last_active);
}

static json_t *describe(const fathom_trainer *trainer, const char *note) {
    return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f, s:b, s:I, s:I, s:s}", "options",
                     fathom__trainer_options_json(&trainer->options), "input_scale", trainer->input_scale,
                     "output_scale", trainer->output_scale, "threshold", (double)trainer->threshold, "floor",
                     (double)trainer->floor, "sparsity", trainer->sparsity, "prepared", (int)trainer->prepared, "step",
                     (json_int_t)trainer->step, "rows", (json_int_t)trainer->rows, "note", note ? note : "{}");
}

static int put(struct fathom__writer *writer, fathom__hash *hash, const void *bytes, size_t length) {
    fathom__hash_add(hash, bytes, length);
    return fathom__writer_write(writer, bytes, length);
}

int fathom_trainer_save(const fathom_trainer *trainer, const char *path, const char *note) {
    struct fathom__writer writer = {0};
    fathom__hash *hash = NULL;
    struct arrays arrays;
    char *text = NULL, digits[HASH_SIZE + 1];
    json_t *json = describe(trainer, note);
    if (!json) return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: the checkpoint's note must be UTF-8", path);
    int status = fathom__json_text(&text, json, false);
    json_decref(json);
    if (!status) status = fathom__hash_open(&hash);
    if (!status) status = fathom__writer_open(&writer, path);
    if (status) goto done;
    const uint32_t version = VERSION;
    const uint64_t length = strlen(text);
    status = put(&writer, hash, MAGIC, MAGIC_SIZE);
    if (!status) status = put(&writer, hash, &version, sizeof version);
    if (!status) status = put(&writer, hash, &length, sizeof length);
    if (!status) status = put(&writer, hash, text, length);
    visit_arrays(&arrays, trainer);
    for (size_t i = 0; i < arrays.n && !status; i++)
        status = put(&writer, hash, arrays.data[i], arrays.bytes[i]);
    fathom__hash_text(digits, hash);
    if (!status) status = fathom__writer_write(&writer, digits, HASH_SIZE);
    if (!status) status = fathom__writer_commit(&writer);
    if (status) fathom__writer_discard(&writer);
done:
    fathom__hash_close(hash);
    fathom_free(text);
    return status;
}

/* Checks magic, version and checksum; *length gets the JSON's. */
static int check_file(uint64_t *length, const struct fathom__mapping *file, const char *path) {
    uint32_t version;
    if (file->length < HEADER_SIZE + HASH_SIZE || memcmp(file->bytes, MAGIC, MAGIC_SIZE) != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a checkpoint (it does not begin with %s)", path, MAGIC);
    memcpy(&version, file->bytes + MAGIC_SIZE, sizeof version);
    memcpy(length, file->bytes + MAGIC_SIZE + sizeof version, sizeof *length);
    if (version != VERSION)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: checkpoint version %" PRIu32 "; %d is expected", path, version,
                            VERSION);
    fathom__hash *hash = NULL;
    char digits[HASH_SIZE + 1];
    int status = fathom__hash_open(&hash);
    if (status) return status;
    fathom__hash_add(hash, file->bytes, file->length - HASH_SIZE);
    fathom__hash_text(digits, hash);
    fathom__hash_close(hash);
    if (memcmp(digits, file->bytes + file->length - HASH_SIZE, HASH_SIZE) != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: the checksum does not fit: the checkpoint is incomplete or damaged", path);
    if (*length > file->length - HEADER_SIZE - HASH_SIZE)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the description is %" PRIu64 " bytes long, more than the file",
                            path, *length);
    return 0;
}

struct saved {
    struct fathom_trainer_options options;
    double input_scale, output_scale, threshold, floor, sparsity;
    int64_t step, rows;
    bool prepared;
    const char *note;
};

static int read_description(struct saved *saved, const json_t *json, const char *path) {
    const struct {
        double *to;
        const char *key;
    } numbers[] = {{&saved->input_scale, "input_scale"},
                   {&saved->output_scale, "output_scale"},
                   {&saved->threshold, "threshold"},
                   {&saved->floor, "floor"},
                   {&saved->sparsity, "sparsity"}};
    int status = fathom__trainer_options_read(&saved->options, json_object_get(json, "options"), path);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++)
        status = fathom__json_get_number(numbers[i].to, json, numbers[i].key, true, path);
    if (!status) status = fathom__json_get_integer(&saved->step, json, "step", 0, UINT32_MAX, true, path);
    if (!status) status = fathom__json_get_integer(&saved->rows, json, "rows", 0, INT64_MAX, true, path);
    if (!status) status = fathom__json_get_bool(&saved->prepared, json, "prepared", true, path);
    if (!status) status = fathom__json_get_string(&saved->note, json, "note", true, path);
    return status;
}

static int read_arrays(fathom_trainer *trainer, const struct fathom__mapping *file, size_t at, const char *path) {
    struct arrays arrays;
    size_t expected = 0;
    visit_arrays(&arrays, trainer);
    for (size_t i = 0; i < arrays.n; i++)
        expected += arrays.bytes[i];
    if (file->length - HASH_SIZE - at != expected)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %zu bytes of arrays; %zu are expected", path,
                            file->length - HASH_SIZE - at, expected);
    for (size_t i = 0; i < arrays.n; i++) {
        memcpy(arrays.data[i], file->bytes + at, arrays.bytes[i]);
        at += arrays.bytes[i];
    }
    return 0;
}

int fathom_trainer_resume(fathom_trainer **out, char **note, const char *path, uint32_t n_threads) {
    struct fathom__mapping file = {0};
    struct saved saved = {0};
    uint64_t length = 0;
    json_t *json = NULL;
    fathom_trainer *trainer = NULL;
    char *kept = NULL;
    int status = fathom__file_map(&file, path);
    if (status) return status;
    status = check_file(&length, &file, path);
    if (!status) status = fathom__json_parse(&json, (const char *)file.bytes + HEADER_SIZE, length, path);
    if (!status) status = read_description(&saved, json, path);
    if (status) goto done;
    if (n_threads) saved.options.n_threads = n_threads;
    status = fathom_trainer_open(&trainer, &saved.options);
    if (!status) status = read_arrays(trainer, &file, HEADER_SIZE + length, path);
    if (!status && note) status = fathom__copy_string(&kept, saved.note);
    if (status) {
        fathom_trainer_close(trainer);
        goto done;
    }
    trainer->options.warmup_steps = saved.options.warmup_steps; /* 0 would be read as "the default" */
    trainer->options.sparsity_warmup = saved.options.sparsity_warmup;
    trainer->sparsity = saved.sparsity;
    trainer->input_scale = saved.input_scale;
    trainer->output_scale = saved.output_scale;
    trainer->threshold = (float)saved.threshold;
    trainer->floor = (float)saved.floor;
    trainer->prepared = saved.prepared;
    trainer->step = (uint64_t)saved.step;
    trainer->rows = (uint64_t)saved.rows;
    *out = trainer;
    if (note) *note = kept;
done:
    json_decref(json);
    fathom__file_unmap(&file);
    return status;
}
