/* Cross-layer transcoders on their way into the native file's shapes: rows are features, layer after layer, and a
 * decoder row is what a feature writes to its layer, to the next, …. */
#include <base/error.h>
#include <base/machine.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/formats/import.h>
#include <fathom/trainer.h>

int fathom__import_layers_open(struct fathom__import *in, size_t n_layers, size_t layer_features, size_t width) {
    struct fathom_dictionary_info *info = &in->info;
    if (n_layers < 2 || n_layers > FATHOM_TRAIN_LAYERS)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %zu layers; 2 to %d are expected", in->folder, n_layers,
                            FATHOM_TRAIN_LAYERS);
    if (width == 0 || width % FATHOM__LANES || width * n_layers > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: layers of width %zu; a multiple of %d is expected",
                            in->folder, width, FATHOM__LANES);
    if (layer_features == 0 || layer_features > INT32_MAX / n_layers)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %zu features of a layer; 1 to %zu are expected", in->folder,
                            layer_features, INT32_MAX / n_layers);
    info->n_layers = (uint32_t)n_layers;
    info->n_features = (uint32_t)(layer_features * n_layers);
    info->d_in = info->d_out = (uint32_t)(width * n_layers);
    const size_t encoder = info->n_features * width, decoder = fathom__decoders_count(info);
    int status = fathom__machine_check((double)(encoder + decoder) * sizeof(float), in->folder);
    if (!status) status = fathom__alloc(&in->layers, n_layers, sizeof *in->layers);
    if (!status) status = fathom__alloc_aligned(&in->encoder, encoder, sizeof *in->encoder);
    if (!status) status = fathom__alloc_aligned(&in->decoder, decoder, sizeof *in->decoder);
    if (!status) status = fathom__alloc(&in->encoder_bias, info->n_features, sizeof *in->encoder_bias);
    if (!status) status = fathom__alloc(&in->decoder_bias, info->d_out, sizeof *in->decoder_bias);
    for (size_t l = 0; l < n_layers && !status; l++)
        in->layers[l].input_scale = in->layers[l].output_scale = 1;
    return status;
}

int fathom__import_layer_tensor(float *out, const struct fathom__source *source, const char *name, const size_t *shape,
                                size_t n_dimensions) {
    const struct fathom__tensor *tensor = NULL;
    float *values = NULL;
    size_t n = 1;
    int status = fathom__source_need(&tensor, source, name);
    if (!status) status = fathom__tensor_f32(&values, tensor, source->path, shape, n_dimensions);
    if (status) return status;
    for (size_t i = 0; i < n_dimensions; i++)
        n *= shape[i];
    memcpy(out, values, n * sizeof *out);
    fathom_free(values);
    return 0;
}

/* The part of a list, with + between, that belongs to a layer; NULL: the list ends before. */
static int take_part(const char **out, struct fathom__import *in, const char *list, uint32_t layer) {
    *out = NULL;
    for (uint32_t l = 0; l < layer && list; l++) {
        list = strchr(list, '+');
        if (list) list++;
    }
    return list ? fathom__import_text(out, in, "%.*s", (int)strcspn(list, "+"), list) : 0;
}

int fathom__import_layer_hooks(struct fathom__import *in, uint32_t layer, const char *hook_in, const char *hook_out) {
    const struct fathom_import_options *given = in->options;
    struct fathom_import_options own = *given;
    const char *before_in = in->info.hook_in, *before_out = in->info.hook_out;
    int status = given->hook ? take_part(&own.hook, in, given->hook, layer) : 0;
    if (!status && given->hook_out) status = take_part(&own.hook_out, in, given->hook_out, layer);
    if (!status && ((given->hook && !own.hook) || (given->hook_out && !own.hook_out)))
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: %u layers; as many hooks, with + between, are expected",
                              in->folder, in->info.n_layers);
    if (!status && !hook_out && !own.hook_out)
        status = fathom__fail(FATHOM_ERROR_ARGUMENT,
                              "%s: does not say which hook points it writes; name them by hook-out, with + between",
                              in->folder);
    if (status) return status;
    in->options = &own;
    status = fathom__import_hooks(in, hook_in, hook_out);
    in->options = given;
    if (status) return status;
    if (in->info.input_norm)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: reads %s, under a norm of each layer by itself, which a cross-layer transcoder does "
                            "not have; name hook points of the model by hook",
                            in->folder, hook_in ? hook_in : "");
    in->layers[layer].hook_in = in->info.hook_in;
    in->layers[layer].hook_out = in->info.hook_out;
    if (layer == 0) return 0;
    status = fathom__import_text(&in->info.hook_in, in, "%s+%s", before_in, in->layers[layer].hook_in);
    return status ? status
                  : fathom__import_text(&in->info.hook_out, in, "%s+%s", before_out, in->layers[layer].hook_out);
}

int fathom__import_jump_only(const struct fathom__import *in) {
    for (uint32_t f = 0; f < in->info.n_features; f++)
        if (in->threshold[f] < 0)
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: threshold of feature %u is %g, and no ReLU follows it: activations would be "
                                "negative",
                                in->source.path ? in->source.path : in->folder, f, (double)in->threshold[f]);
    return 0;
}
