#include "eval_layers.h"

static json_t *quality_json(const struct fathom_reconstruction_quality *quality) {
    return json_pack("{s:f, s:f, s:f, s:f}", "fve", quality->fve, "median_fve", quality->median_fve, "cosine",
                     quality->cosine, "squared_error", quality->squared_error);
}

static int print_json(const struct fathom_layers_evaluation *e, const struct fathom_dictionary_info *info) {
    json_t *layers = json_array(), *fve = json_object();
    for (uint32_t l = 0; l < e->n_layers; l++) {
        const struct fathom_layer_evaluation *layer = &e->layers[l];
        json_t *value = json_pack("{s:s, s:s, s:f, s:f}", "hook_in", info->layers[l].hook_in, "hook_out",
                                  info->layers[l].hook_out, "l0", layer->l0, "silent_fraction", layer->silent_fraction);
        for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
            json_object_set_new(value, fathom_layers_guess_name((enum fathom_layers_guess)which),
                                quality_json(&layer->quality[which]));
        json_array_append_new(layers, value);
    }
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
        json_object_set_new(fve, fathom_layers_guess_name((enum fathom_layers_guess)which), json_real(e->fve[which]));
    return cli_print_json(json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:I, s:I, s:o, s:o}", "dictionary", info->path,
                                    "architecture", info->architecture, "features", (int)info->n_features, "k",
                                    (int)info->k, "l0", e->l0, "silent_fraction", e->silent_fraction, "rows",
                                    (json_int_t)e->rows, "rows_left_out", (json_int_t)e->rows_left_out, "fve", fve,
                                    "layers", layers));
}

static int print_people(const struct fathom_layers_evaluation *e, const struct fathom_dictionary_info *info) {
    printf("%llu rows, %llu left out; L0 %.1f of all layers; features silent on these rows: %.1f %%\n\n",
           (unsigned long long)e->rows, (unsigned long long)e->rows_left_out, e->l0, 100 * e->silent_fraction);
    printf("%-24s %10s %10s %10s %7s %7s\n", "FVE at", "whole", "own layer", "token mean", "L0", "silent");
    for (uint32_t l = 0; l < e->n_layers; l++) {
        const struct fathom_layer_evaluation *layer = &e->layers[l];
        printf("%-24.24s", info->layers[l].hook_out);
        for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
            printf(" %10.4f", layer->quality[which].fve);
        printf(" %7.1f  %5.1f %%\n", layer->l0, 100 * layer->silent_fraction);
    }
    printf("%-24s", "all, scaled as trained");
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
        printf(" %10.4f", e->fve[which]);
    putchar('\n');
    return cli_output_status();
}

int eval_layers(const struct cli_arguments *arguments, const fathom_dictionary *dictionary, const fathom_model *model,
                const struct fathom_evaluate_options *options) {
    static const char *const others[] = {"loss-tokens", "control",   "shuffled", "probe",
                                         "absorption",  "catalogue", "saebench", "each-feature"};
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_layers_evaluation *evaluation = NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cli_has(arguments, others[i]))
            return cli_usage(arguments, "--%s is not for a cross-layer transcoder, which %s is", others[i], info->path);
    const int status = fathom_layers_evaluate(&evaluation, dictionary, model, options);
    if (status) return cli_fail(arguments, status);
    cli_progress_end();
    const int code = cli_json(arguments) ? print_json(evaluation, info) : print_people(evaluation, info);
    fathom_layers_evaluation_free(evaluation);
    return code;
}
