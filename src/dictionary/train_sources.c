/* The hook points of a stream's rows, and what a crosscoder's file says of them. */
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

const float *fathom__tapped_row(struct fathom__run *run, size_t s, const struct fathom_harvest_block *block, size_t r) {
    const struct fathom__tap *tap = &run->taps[s];
    float *to = run->joined;
    if (tap->n_inputs == 1 && tap->output == NO_HOOK)
        return block->rows[tap->inputs[0]] + r * block->widths[tap->inputs[0]];
    for (uint32_t i = 0; i <= tap->n_inputs; i++) {
        const size_t hook = i < tap->n_inputs ? tap->inputs[i] : tap->output;
        if (hook == NO_HOOK) continue;
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
    if (tap->n_inputs == 1) return 0;
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
