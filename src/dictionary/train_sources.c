/* The hook points of a stream's rows, and what the file of a crosscoder or a cross-layer transcoder says of them. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/train_internal.h>
#include <dictionary/trainer_internal.h>
#include <string.h>

bool fathom__of_model_b(const char *hook) {
    return strncmp(hook, MODEL_B, strlen(MODEL_B)) == 0;
}

size_t fathom__tap_width(const struct fathom__tap *tap, const size_t *widths) {
    size_t width = 0;
    for (uint32_t i = 0; i < tap->n_inputs; i++)
        width += widths[tap->inputs[i]];
    return width;
}

size_t fathom__tap_written(const struct fathom__tap *tap, const size_t *widths) {
    size_t width = 0;
    for (uint32_t i = 0; i < tap->n_outputs; i++)
        width += widths[tap->outputs[i]];
    return width;
}

const float *fathom__tapped_row(struct fathom__run *run, size_t s, const struct fathom_harvest_block *block, size_t r) {
    const struct fathom__tap *tap = &run->taps[s];
    float *to = run->joined;
    if (tap->n_inputs == 1 && tap->n_outputs == 0)
        return block->rows[tap->inputs[0]] + r * block->widths[tap->inputs[0]];
    for (uint32_t i = 0; i < tap->n_inputs + tap->n_outputs; i++) {
        const size_t hook = i < tap->n_inputs ? tap->inputs[i] : tap->outputs[i - tap->n_inputs];
        const size_t width = block->widths[hook];
        memcpy(to, block->rows[hook] + r * width, width * sizeof *to);
        to += width;
    }
    return run->joined;
}

/* The full name of one hook point of a list, which ends at + or at the end. */
static int add_full_hook(char **out, const fathom_model *model, const char *text, bool second) {
    const char *own = second ? text + strlen(MODEL_B) : text;
    struct fathom_hook hook = {0};
    char full[FATHOM_HOOK_NAME_SIZE], *name = NULL, *longer = NULL;
    int status = fathom__format(&name, "%.*s", (int)strcspn(own, "+"), own);
    if (!status) status = fathom_hook_parse(&hook, model, name);
    if (!status) {
        fathom_hook_name(full, hook);
        status = fathom__format(&longer, "%s%s%s%s", *out ? *out : "", *out ? "+" : "", second ? MODEL_B : "", full);
    }
    fathom_free(name);
    if (status) return status;
    fathom_free(*out);
    *out = longer;
    return 0;
}

int fathom__run_full_hooks(char **out, const struct fathom__run *run, const char *hook) {
    fathom_model *model = NULL, *model_b = NULL;
    char *names = NULL;
    int status = fathom_model_open(&model, run->options->model_path, NULL);
    if (!status && run->options->model_b_path) status = fathom_model_open(&model_b, run->options->model_b_path, NULL);
    while (hook && !status) {
        const bool second = fathom__of_model_b(hook);
        status = add_full_hook(&names, second ? model_b : model, hook, second);
        hook = strchr(hook, '+');
        if (hook) hook++;
    }
    fathom_model_close(model);
    fathom_model_close(model_b);
    if (status)
        fathom_free(names);
    else
        *out = names;
    return status;
}

int fathom__run_sources(struct fathom_dictionary_source **out, uint32_t *n, const struct fathom__run *run,
                        const struct fathom__learner *learner) {
    const struct fathom__tap *tap = &run->taps[learner->stream];
    const fathom_trainer *trainer = learner->trainer;
    struct fathom_dictionary_source *sources = NULL;
    *out = NULL;
    *n = 0;
    if (tap->n_inputs == 1 || tap->n_outputs > 0) return 0;
    int status = fathom__alloc(&sources, tap->n_inputs, sizeof *sources);
    for (uint32_t s = 0; s < tap->n_inputs && !status; s++) {
        const char *hook = run->hooks[tap->inputs[s]];
        const bool second = fathom__of_model_b(hook);
        char *full = NULL;
        status = fathom__run_full_hooks(&full, run, hook);
        sources[s] = (struct fathom_dictionary_source){
            .hook = full,
            .model_identity = second ? run->identity_b : run->identity,
            .model_name = second ? run->model_b_name : run->model_name,
            .width = trainer->options.sources[s],
            .scale = trainer->source_scale[s] * (float)trainer->input_scale,
        };
    }
    *out = sources;
    *n = sources ? tap->n_inputs : 0;
    return status;
}

void fathom__run_sources_free(struct fathom_dictionary_source *sources, uint32_t n) {
    for (uint32_t s = 0; s < n; s++)
        fathom_free((void *)(uintptr_t)sources[s].hook);
    fathom_free(sources);
}

int fathom__run_check_layers(const struct fathom__run *run, const struct fathom__tap *tap, const fathom_model *model) {
    int32_t before = -1;
    if (tap->n_outputs < 2) return 0;
    for (uint32_t l = 0; l < tap->n_outputs; l++) {
        const char *names[2] = {run->hooks[tap->inputs[l]], run->hooks[tap->outputs[l]]};
        struct fathom_hook read, written;
        int status = fathom_hook_parse(&read, model, names[0]);
        if (!status) status = fathom_hook_parse(&written, model, names[1]);
        if (status) return status;
        if (read.layer <= before || written.layer < read.layer)
            return fathom__fail(
                FATHOM_ERROR_ARGUMENT,
                "train: a cross-layer transcoder that reads %s and writes %s as its layer %u; layers in "
                "ascending order are expected, and none written that was computed before it is read",
                names[0], names[1], l);
        if (run->widths[tap->inputs[l]] != run->widths[tap->inputs[0]] ||
            run->widths[tap->outputs[l]] != run->widths[tap->inputs[0]])
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "train: %s has rows of %zu numbers, %s of %zu and %s of %zu; the layers of a "
                                "cross-layer transcoder have one width",
                                run->hooks[tap->inputs[0]], run->widths[tap->inputs[0]], names[0],
                                run->widths[tap->inputs[l]], names[1], run->widths[tap->outputs[l]]);
        before = written.layer;
    }
    return 0;
}

int fathom__run_layers(struct fathom_dictionary_layer **out, uint32_t *n, const struct fathom__run *run,
                       const struct fathom__learner *learner) {
    const struct fathom__tap *tap = &run->taps[learner->stream];
    const fathom_trainer *trainer = learner->trainer;
    struct fathom_dictionary_layer *layers = NULL;
    *out = NULL;
    *n = 0;
    if (tap->n_outputs < 2) return 0;
    int status = fathom__alloc(&layers, tap->n_outputs, sizeof *layers);
    for (uint32_t l = 0; l < tap->n_outputs && !status; l++) {
        char *read = NULL, *written = NULL;
        status = fathom__run_full_hooks(&read, run, run->hooks[tap->inputs[l]]);
        if (!status) status = fathom__run_full_hooks(&written, run, run->hooks[tap->outputs[l]]);
        layers[l] = (struct fathom_dictionary_layer){
            .hook_in = read,
            .hook_out = written,
            .input_scale = trainer->source_scale[l] * (float)trainer->input_scale,
            .output_scale = trainer->source_scale[tap->n_outputs + l] * (float)trainer->output_scale,
        };
    }
    *out = layers;
    *n = layers ? tap->n_outputs : 0;
    return status;
}

void fathom__run_layers_free(struct fathom_dictionary_layer *layers, uint32_t n) {
    for (uint32_t l = 0; l < n; l++) {
        fathom_free((void *)(uintptr_t)layers[l].hook_in);
        fathom_free((void *)(uintptr_t)layers[l].hook_out);
    }
    fathom_free(layers);
}
