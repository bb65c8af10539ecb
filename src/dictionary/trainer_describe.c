/* The trainer's options as JSON, for checkpoints and the record of a run. */
#include <base/error.h>
#include <base/json.h>
#include <dictionary/trainer_describe.h>
#include <math.h>

enum type { U32, U64, SEED, NUMBER, BOOL, SCHEDULE, INPUTS };

static const struct field {
    const char *key;
    size_t offset;
    enum type type;
    bool of_penalty; /* means nothing where the architecture is exact */
} fields[] = {
#define FIELD(name, type, of_penalty)                                                                                  \
    { #name, offsetof(struct fathom_trainer_options, name), type, of_penalty }
    FIELD(d_in, U32, false),
    FIELD(d_out, U32, false),
    FIELD(skip, BOOL, false),
    FIELD(n_features, U32, false),
    FIELD(k, U32, false),
    FIELD(batch, U32, false),
    FIELD(n_threads, U32, false),
    FIELD(seed, SEED, false),
    FIELD(learning_rate, NUMBER, false),
    FIELD(total_steps, U64, false),
    FIELD(warmup_steps, U32, false),
    FIELD(schedule, SCHEDULE, false),
    FIELD(k_aux, U32, false),
    FIELD(auxiliary_coefficient, NUMBER, false),
    FIELD(dead_after, U64, false),
    FIELD(gradient_clip, NUMBER, false),
    FIELD(inputs, INPUTS, false),
    FIELD(no_input_scale, BOOL, false),
    FIELD(freeze_decoder, BOOL, false),
    FIELD(ema, NUMBER, false),
    FIELD(free_norms, BOOL, true),
    FIELD(sparsity, NUMBER, true),
    FIELD(sparsity_warmup, U64, true),
    FIELD(start_l0, NUMBER, true),
    FIELD(bandwidth, NUMBER, true),
    FIELD(quadratic_l0, BOOL, true),
    FIELD(tanh_scale, NUMBER, true),
    FIELD(inactive_coefficient, NUMBER, true),
#undef FIELD
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static const char *const schedules[FATHOM_SCHEDULES] = {"last-fifth", "constant", "linear", "cosine"};

const char *fathom_trainer_schedule_name(enum fathom_trainer_schedule schedule) {
    return (unsigned)schedule < FATHOM_SCHEDULES ? schedules[schedule] : "";
}

int fathom_trainer_schedule_find(enum fathom_trainer_schedule *out, const char *name) {
    for (unsigned i = 0; i < FATHOM_SCHEDULES; i++)
        if (strcmp(schedules[i], name) == 0) {
            *out = (enum fathom_trainer_schedule)i;
            return 0;
        }
    return fathom__fail(FATHOM_ERROR_ARGUMENT,
                        "schedule \"%s\"; one of last-fifth, constant, linear, cosine is expected", name);
}

static const char *const input_names[FATHOM_INPUTS] = {"scaled", "standardised", "whitened"};

const char *fathom_trainer_inputs_name(enum fathom_trainer_inputs inputs) {
    return (unsigned)inputs < FATHOM_INPUTS ? input_names[inputs] : "";
}

int fathom_trainer_inputs_find(enum fathom_trainer_inputs *out, const char *name) {
    for (unsigned i = 0; i < FATHOM_INPUTS; i++)
        if (strcmp(input_names[i], name) == 0) {
            *out = (enum fathom_trainer_inputs)i;
            return 0;
        }
    return fathom__fail(FATHOM_ERROR_ARGUMENT, "inputs \"%s\"; one of scaled, standardised, whitened is expected",
                        name);
}

static json_t *field_json(const void *at, enum type type) {
    switch (type) {
    case U32: return json_integer(*(const uint32_t *)at);
    case U64:
    case SEED: return json_integer((json_int_t) * (const uint64_t *)at);
    case NUMBER: return json_real(*(const double *)at);
    case BOOL: return json_boolean(*(const bool *)at);
    case SCHEDULE: return json_string(schedules[*(const enum fathom_trainer_schedule *)at]);
    case INPUTS: return json_string(input_names[*(const enum fathom_trainer_inputs *)at]);
    }
    return NULL;
}

static json_t *numbers_json(const uint32_t *numbers, uint32_t n) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer(numbers[i]));
    return array;
}

json_t *fathom__trainer_options_json(const struct fathom_trainer_options *options) {
    const struct fathom__architecture *architecture = fathom__architecture(options->architecture);
    json_t *json = json_pack("{s:s}", "architecture", architecture ? architecture->name : "");
    for (int i = 0; i < N_FIELDS && architecture; i++)
        if (!fields[i].of_penalty || !architecture->exact)
            json_object_set_new(json, fields[i].key,
                                field_json((const char *)options + fields[i].offset, fields[i].type));
    if (architecture && architecture->nested)
        json_object_set_new(json, "groups", numbers_json(options->groups, options->n_groups));
    if (options->n_sources) json_object_set_new(json, "sources", numbers_json(options->sources, options->n_sources));
    if (options->n_layers) json_object_set_new(json, "n_layers", json_integer(options->n_layers));
    return json;
}

static int read_field(void *to, const json_t *json, const struct field *field, const char *where) {
    const int64_t most = field->type == U32 ? UINT32_MAX : INT64_MAX, least = field->type == SEED ? INT64_MIN : 0;
    const char *text = NULL;
    int64_t integer = 0;
    int status;
    switch (field->type) {
    case U32:
    case U64:
    case SEED:
        status = fathom__json_get_integer(&integer, json, field->key, least, most, true, where);
        if (field->type == U32)
            *(uint32_t *)to = (uint32_t)integer;
        else
            *(uint64_t *)to = (uint64_t)integer;
        return status;
    case NUMBER: return fathom__json_get_number(to, json, field->key, true, where);
    case BOOL: return fathom__json_get_bool(to, json, field->key, true, where);
    case SCHEDULE:
        status = fathom__json_get_string(&text, json, field->key, true, where);
        if (!status) status = fathom_trainer_schedule_find(to, text);
        return status;
    case INPUTS:
        status = fathom__json_get_string(&text, json, field->key, true, where);
        if (!status) status = fathom_trainer_inputs_find(to, text);
        return status;
    }
    return 0;
}

static int read_counts(uint32_t *out, uint32_t *n_out, uint32_t most, const json_t *json, const char *key,
                       const char *where) {
    const json_t *array = json_object_get(json, key);
    const size_t n = json_array_size(array);
    if (n == 0 || n > most)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s must have 1 to %u members", where, key, most);
    for (size_t i = 0; i < n; i++) {
        const json_int_t count = json_integer_value(json_array_get(array, i));
        if (count < 1 || count > UINT32_MAX)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s must be whole numbers above 0", where, key);
        out[i] = (uint32_t)count;
    }
    *n_out = (uint32_t)n;
    return 0;
}

int fathom__trainer_options_read(struct fathom_trainer_options *options, const json_t *json, const char *where) {
    const char *name = NULL;
    int64_t n_layers = 0;
    int status = fathom__json_get_string(&name, json, "architecture", true, where);
    if (!status) status = fathom_trainer_architecture_find(&options->architecture, name);
    for (int i = 0; i < N_FIELDS && !status; i++)
        if (!fields[i].of_penalty || !fathom__architecture(options->architecture)->exact)
            status = read_field((char *)options + fields[i].offset, json, &fields[i], where);
    if (!status && fathom__architecture(options->architecture)->nested)
        status = read_counts(options->groups, &options->n_groups, FATHOM_TRAIN_GROUPS, json, "groups", where);
    if (!status && json_object_get(json, "sources"))
        status = read_counts(options->sources, &options->n_sources, FATHOM_TRAIN_SOURCES, json, "sources", where);
    if (status) return status;
    status = fathom__json_get_integer(&n_layers, json, "n_layers", 0, FATHOM_TRAIN_LAYERS, false, where);
    options->n_layers = (uint32_t)n_layers;
    return status;
}
