/* Hook points by the names of other tools. The same words mean different places there: TransformerLens's hook_mlp_in is
 * what enters the norm before the MLP, and SAELens has called the normed and gained input by that name too. What a file
 * says by transformers' module is therefore believed before what it says by TransformerLens's. */
#include <base/error.h>
#include <base/memory.h>
#include <ctype.h>
#include <dictionary/formats/import.h>
#include <stdlib.h>
#include <string.h>

/* Looks for a word in a model's name, whatever its case, as "gemma-2" in "google/Gemma-2-2b". */
static bool names(const char *model_name, const char *word) {
    const size_t n = strlen(word);
    for (; *model_name; model_name++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)model_name[i]) == word[i])
            i++;
        if (i == n) return true;
    }
    return false;
}

enum fathom__norm_family fathom__model_norm(const char *model_name) {
    static const char *const layer_norm[] = {"gpt2",        "gpt-2",         "pythia", "gpt-neo", "gpt-j",
                                             "opt-",        "bloom",         "gelu-",  "solu-",   "tiny-stories",
                                             "tinystories", "stanford-crfm", "phi-1",  "phi-2"};
    static const char *const rms[] = {"gemma", "llama", "qwen",  "mistral", "mixtral", "smollm",
                                      "phi-3", "phi3",  "phi-4", "olmo-2",  "deepseek"};
    for (size_t i = 0; i < sizeof layer_norm / sizeof *layer_norm; i++)
        if (names(model_name, layer_norm[i])) return FATHOM__FAMILY_LAYER_NORM;
    for (size_t i = 0; i < sizeof rms / sizeof *rms; i++)
        if (names(model_name, rms[i])) return FATHOM__FAMILY_RMS;
    return FATHOM__FAMILY_UNKNOWN;
}

bool fathom__model_post_norms(const char *model_name) {
    return names(model_name, "gemma-2") || names(model_name, "gemma2") || names(model_name, "gemma-3") ||
           names(model_name, "gemma3");
}

/* A number after `before`, and what follows it. */
static bool take_layer(unsigned *layer, const char **rest, const char *name, const char *before) {
    const size_t n = strlen(before);
    char *end = NULL;
    if (strncmp(name, before, n) != 0 || !isdigit((unsigned char)name[n])) return false;
    const unsigned long value = strtoul(name + n, &end, 10);
    *layer = (unsigned)value;
    *rest = end;
    return value < 100000;
}

/* transformers' modules: what follows "model.layers.N." and what it is. */
static const struct {
    const char *module, *hook;
    bool before_post_norm; /* what the module gives is normed before it is what Fathom's hook point has */
} modules[] = {
    {".output", "hook_resid_post", false},
    {".input", "hook_resid_pre", false},
    {".self_attn.o_proj.input", "attn.hook_z", false},
    {".pre_feedforward_layernorm.output", "mlp.hook_in", false},
    {".post_feedforward_layernorm.output", "hook_mlp_out", false},
    {".mlp.input", "mlp.hook_in", false},
    {".mlp.output", "hook_mlp_out", true},
    {".self_attn.output", "hook_attn_out", true},
};

const char *fathom__hook_module(const char *hook) {
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (!modules[i].before_post_norm && strcmp(modules[i].hook, hook) == 0) return modules[i].module;
    return NULL;
}

static int translate_module(const char **out, struct fathom__import *in, const char *name, unsigned layer,
                            const char *rest) {
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        if (strcmp(rest, modules[i].module) != 0) continue;
        if (modules[i].before_post_norm && fathom__model_post_norms(in->info.model_name))
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: %s of %s lies before a norm, where Fathom has no hook point", in->folder, name,
                                in->info.model_name);
        return fathom__import_text(out, in, "blocks.%u.%s", layer, modules[i].hook);
    }
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: the module %s is no hook point; name one by hook", in->folder,
                        name);
}

/* What a norm gives before its gain: TransformerLens's ln1 and ln2.hook_normalized in models with RMS norms. */
static int translate_normalized(const char **out, struct fathom__import *in, const char *name, unsigned layer,
                                const char *place, bool reads) {
    if (!reads)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: writes at %s, which is no hook point", in->folder, name);
    const char *model = in->options->model ? in->options->model : in->info.model_name;
    if (fathom__model_norm(model) == FATHOM__FAMILY_UNKNOWN)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: reads %s of a model whose norm is not known; name the model (as gemma-2-2b)",
                            in->folder, name);
    if (fathom__model_norm(model) == FATHOM__FAMILY_LAYER_NORM)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: reads %s of %s, which is before or after the norm's gain depending on how the model "
                            "was loaded; where it is after it, name blocks.%u.mlp.hook_in or blocks.%u.attn.hook_in as "
                            "the hook",
                            in->folder, name, model, layer, layer);
    in->info.input_norm = "rms";
    int status = fathom__import_change(in, "%s is read as blocks.%u.%s under its RMS norm, without the norm's gain",
                                       name, layer, place);
    return status ? status : fathom__import_text(out, in, "blocks.%u.%s", layer, place);
}

static int translate(const char **out, struct fathom__import *in, const char *name, bool reads) {
    unsigned layer = 0;
    const char *rest = NULL;
    if (take_layer(&layer, &rest, name, "model.layers.")) return translate_module(out, in, name, layer, rest);
    if (!take_layer(&layer, &rest, name, "blocks.")) {
        *out = name;
        return 0;
    }
    if (strcmp(rest, ".ln2.hook_normalized") == 0)
        return translate_normalized(out, in, name, layer, "hook_resid_mid", reads);
    if (strcmp(rest, ".ln1.hook_normalized") == 0)
        return translate_normalized(out, in, name, layer, "hook_resid_pre", reads);
    const char *same = strcmp(rest, ".hook_mlp_in") == 0    ? "hook_resid_mid"
                       : strcmp(rest, ".hook_attn_in") == 0 ? "hook_resid_pre"
                                                            : NULL;
    if (!same) {
        *out = name;
        return 0;
    }
    int status = fathom__import_change(in, "%s is what enters the norm: blocks.%u.%s", name, layer, same);
    return status ? status : fathom__import_text(out, in, "blocks.%u.%s", layer, same);
}

/* One hook by the options where they say it, else by the file. */
static int choose(const char **out, struct fathom__import *in, const char *stated, const char *found, bool reads) {
    const char *translated = NULL;
    if (stated) {
        *out = stated;
        if (!found || strcmp(stated, found) == 0) return 0;
        return fathom__import_change(in, "%s is taken for %s", stated, found);
    }
    int status = translate(&translated, in, found, reads);
    if (!status) *out = translated;
    return status;
}

int fathom__import_hooks(struct fathom__import *in, const char *hook_in, const char *hook_out) {
    const struct fathom_import_options *options = in->options;
    if (!options->hook && (!hook_in || !hook_in[0]))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: does not say which hook point it reads; name it by hook",
                            in->folder);
    int status = choose(&in->info.hook_in, in, options->hook, hook_in, true);
    if (status) return status;
    if (!options->hook_out && (!hook_out || !hook_out[0])) {
        in->info.hook_out = in->info.hook_in;
        return 0;
    }
    return choose(&in->info.hook_out, in, options->hook_out, hook_out, false);
}
