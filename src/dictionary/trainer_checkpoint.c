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
#include <dictionary/trainer_internal.h>
#include <inttypes.h>

#define MAGIC "FATHOMCK"
enum { MAGIC_SIZE = 8, VERSION = 1, HASH_SIZE = 32, HEADER_SIZE = MAGIC_SIZE + 4 + 8 };

struct arrays {
    void *data[16];
    size_t bytes[16];
    size_t n;
};

static void add_array(struct arrays *arrays, void *data, size_t bytes) {
    arrays->data[arrays->n] = data;
    arrays->bytes[arrays->n++] = bytes;
}

static void visit_arrays(struct arrays *arrays, const fathom_trainer *trainer) {
    const size_t F = trainer->options.n_features, stride = trainer->stride;
    const struct fathom__parameter *parameters[] = {&trainer->encoder, &trainer->encoder_bias, &trainer->decoder,
                                                    &trainer->decoder_bias};
    const size_t sizes[] = {F * stride, F, F * stride, stride};
    arrays->n = 0;
    for (int i = 0; i < 4; i++) {
        add_array(arrays, parameters[i]->value, sizes[i] * sizeof(float));
        add_array(arrays, parameters[i]->first, sizes[i] * sizeof(float));
        add_array(arrays, parameters[i]->second, sizes[i] * sizeof(float));
    }
    add_array(arrays, trainer->touched, F * sizeof *trainer->touched);
    add_array(arrays, trainer->last_active, F * sizeof *trainer->last_active);
}

static json_t *describe(const fathom_trainer *trainer, const char *note) {
    const struct fathom_trainer_options *o = &trainer->options;
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:I, s:i, s:i, s:f, s:I, s:f, s:b, s:b, s:f, s:f, s:f, "
                     "s:b, s:I, s:I, s:s}",
                     "architecture", (int)o->architecture, "d_in", (int)o->d_in, "n_features", (int)o->n_features, "k",
                     (int)o->k, "batch", (int)o->batch, "n_threads", (int)o->n_threads, "seed", (json_int_t)o->seed,
                     "learning_rate", o->learning_rate, "total_steps", (json_int_t)o->total_steps, "warmup_steps",
                     (int)o->warmup_steps, "k_aux", (int)o->k_aux, "auxiliary_coefficient", o->auxiliary_coefficient,
                     "dead_after", (json_int_t)o->dead_after, "gradient_clip", o->gradient_clip, "no_input_scale",
                     (int)o->no_input_scale, "freeze_decoder", (int)o->freeze_decoder, "input_scale",
                     trainer->input_scale, "threshold", (double)trainer->threshold, "floor", (double)trainer->floor,
                     "prepared", (int)trainer->prepared, "step", (json_int_t)trainer->step, "rows",
                     (json_int_t)trainer->rows, "note", note ? note : "{}");
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
    double input_scale, threshold, floor;
    int64_t step, rows;
    bool prepared;
    const char *note;
};

static int read_description(struct saved *saved, const json_t *json, const char *path) {
    int64_t architecture = 0, d_in = 0, n_features = 0, k = 0, batch = 0, n_threads = 0, seed = 0, total_steps = 0,
            warmup_steps = 0, k_aux = 0, dead_after = 0;
    struct fathom_trainer_options *o = &saved->options;
    const struct {
        int64_t *to;
        const char *key;
        int64_t least, most;
    } integers[] = {
        {&architecture, "architecture", 0, 1},
        {&d_in, "d_in", 1, INT32_MAX},
        {&n_features, "n_features", 1, INT32_MAX},
        {&k, "k", 1, INT32_MAX},
        {&batch, "batch", 1, INT32_MAX},
        {&n_threads, "n_threads", 1, INT32_MAX},
        {&seed, "seed", INT64_MIN, INT64_MAX},
        {&total_steps, "total_steps", 0, INT64_MAX},
        {&warmup_steps, "warmup_steps", 0, INT32_MAX},
        {&k_aux, "k_aux", 1, INT32_MAX},
        {&dead_after, "dead_after", 0, INT64_MAX},
        {&saved->step, "step", 0, UINT32_MAX},
        {&saved->rows, "rows", 0, INT64_MAX},
    };
    const struct {
        double *to;
        const char *key;
    } numbers[] = {
        {&o->learning_rate, "learning_rate"}, {&o->auxiliary_coefficient, "auxiliary_coefficient"},
        {&o->gradient_clip, "gradient_clip"}, {&saved->input_scale, "input_scale"},
        {&saved->threshold, "threshold"},     {&saved->floor, "floor"},
    };
    int status = 0;
    for (size_t i = 0; i < sizeof integers / sizeof *integers && !status; i++)
        status = fathom__json_get_integer(integers[i].to, json, integers[i].key, integers[i].least, integers[i].most,
                                          true, path);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++)
        status = fathom__json_get_number(numbers[i].to, json, numbers[i].key, true, path);
    if (!status) status = fathom__json_get_bool(&o->no_input_scale, json, "no_input_scale", true, path);
    if (!status) status = fathom__json_get_bool(&o->freeze_decoder, json, "freeze_decoder", true, path);
    if (!status) status = fathom__json_get_bool(&saved->prepared, json, "prepared", true, path);
    if (!status) status = fathom__json_get_string(&saved->note, json, "note", true, path);
    if (status) return status;
    o->architecture = (enum fathom_trainer_architecture)architecture;
    o->d_in = (uint32_t)d_in;
    o->n_features = (uint32_t)n_features;
    o->k = (uint32_t)k;
    o->batch = (uint32_t)batch;
    o->n_threads = (uint32_t)n_threads;
    o->seed = (uint64_t)seed;
    o->total_steps = (uint64_t)total_steps;
    o->warmup_steps = (uint32_t)warmup_steps;
    o->k_aux = (uint32_t)k_aux;
    o->dead_after = (uint64_t)dead_after;
    return 0;
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
    trainer->input_scale = saved.input_scale;
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
