#include "eval_layers.h"
#include <math.h>

static json_t *quality_json(const struct fathom_reconstruction_quality *quality) {
    return json_pack("{s:f, s:f, s:f, s:f}", "fve", quality->fve, "median_fve", quality->median_fve, "cosine",
                     quality->cosine, "squared_error", quality->squared_error);
}

static const char *hook_in(const struct fathom_dictionary_info *info, uint32_t layer) {
    return info->n_layers ? info->layers[layer].hook_in : info->hook_in;
}

static const char *hook_out(const struct fathom_dictionary_info *info, uint32_t layer) {
    return info->n_layers ? info->layers[layer].hook_out : info->hook_out;
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *losses_json(const struct fathom_layers_evaluation *e) {
    json_t *losses = json_object();
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++) {
        const struct fathom_layers_loss *loss = &e->losses[which];
        json_object_set_new(losses, fathom_layers_guess_name((enum fathom_layers_guess)which),
                            json_pack("{s:f, s:f, s:f, s:f, s:o, s:o}", "delta_loss", loss->delta_loss,
                                      "delta_standard_error", loss->delta_standard_error, "divergence",
                                      loss->divergence, "divergence_standard_error", loss->divergence_standard_error,
                                      "recovered_mean", number(loss->recovered_mean), "recovered_zero",
                                      number(loss->recovered_zero)));
    }
    return losses;
}

static int print_json(const struct fathom_layers_evaluation *e, const struct fathom_dictionary_info *info) {
    json_t *layers = json_array(), *fve = json_object();
    for (uint32_t l = 0; l < e->n_layers; l++) {
        const struct fathom_layer_evaluation *layer = &e->layers[l];
        json_t *value = json_pack("{s:s, s:s, s:f, s:f}", "hook_in", hook_in(info, l), "hook_out", hook_out(info, l),
                                  "l0", layer->l0, "silent_fraction", layer->silent_fraction);
        for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
            json_object_set_new(value, fathom_layers_guess_name((enum fathom_layers_guess)which),
                                quality_json(&layer->quality[which]));
        json_array_append_new(layers, value);
    }
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++)
        json_object_set_new(fve, fathom_layers_guess_name((enum fathom_layers_guess)which), json_real(e->fve[which]));
    json_t *value = json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:I, s:I, s:o, s:o, s:I}", "dictionary", info->path,
                              "architecture", info->architecture, "features", (int)info->n_features, "k", (int)info->k,
                              "l0", e->l0, "silent_fraction", e->silent_fraction, "rows", (json_int_t)e->rows,
                              "rows_left_out", (json_int_t)e->rows_left_out, "fve", fve, "layers", layers,
                              "loss_tokens", (json_int_t)e->loss_tokens);
    if (e->not_spliced) {
        json_object_set_new(value, "not_spliced", json_string(e->not_spliced));
    } else {
        json_object_set_new(value, "loss", json_real(e->loss));
        json_object_set_new(value, "losses", losses_json(e));
    }
    return cli_print_json(value);
}

static void print_losses(const struct fathom_layers_evaluation *e) {
    if (e->not_spliced) {
        printf("\nno losses: %s\n", e->not_spliced);
        return;
    }
    printf("\nPut in place%s, on %llu tokens; the model's own loss is %.4f nats a token\n",
           e->n_layers > 1 ? " at all layers at once" : "", (unsigned long long)e->loss_tokens, e->loss);
    printf("%-12s %20s %22s %12s\n", "", "loss change (nats)", "divergence (nats)", "recovered");
    for (int which = 0; which < FATHOM_LAYERS_GUESSES; which++) {
        const struct fathom_layers_loss *loss = &e->losses[which];
        if (which == FATHOM_LAYERS_OWN && e->n_layers == 1) continue;
        printf("%-12s %11.4f ± %.4f %13.4f ± %.4f %12.4f\n", fathom_layers_guess_name((enum fathom_layers_guess)which),
               loss->delta_loss, loss->delta_standard_error, loss->divergence, loss->divergence_standard_error,
               loss->recovered_mean);
    }
    puts("Recovered: of what the mean row costs.");
}

/* What is shown beside what all features write: the own layer's features are all where there is one layer. */
static bool shown(const struct fathom_layers_evaluation *e, int which) {
    return which == FATHOM_LAYERS_WHOLE || which == FATHOM_LAYERS_TOKEN_MEAN ||
           (which == FATHOM_LAYERS_OWN && e->n_layers > 1);
}

static int print_people(const struct fathom_layers_evaluation *e, const struct fathom_dictionary_info *info) {
    const char *const heads[] = {"whole", "own layer", "token mean"};
    printf("%llu rows, %llu left out; L0 %.1f%s; features silent on these rows: %.1f %%\n\n",
           (unsigned long long)e->rows, (unsigned long long)e->rows_left_out, e->l0,
           e->n_layers > 1 ? " of all layers" : "", 100 * e->silent_fraction);
    printf("%-24s", "FVE at");
    for (int which = 0; which <= FATHOM_LAYERS_TOKEN_MEAN; which++)
        if (shown(e, which)) printf(" %10s", heads[which]);
    printf(" %7s %7s\n", "L0", "silent");
    for (uint32_t l = 0; l < e->n_layers; l++) {
        const struct fathom_layer_evaluation *layer = &e->layers[l];
        printf("%-24.24s", hook_out(info, l));
        for (int which = 0; which <= FATHOM_LAYERS_TOKEN_MEAN; which++)
            if (shown(e, which)) printf(" %10.4f", layer->quality[which].fve);
        printf(" %7.1f  %5.1f %%\n", layer->l0, 100 * layer->silent_fraction);
    }
    if (e->n_layers > 1) {
        printf("%-24s", "all, scaled as trained");
        for (int which = 0; which <= FATHOM_LAYERS_TOKEN_MEAN; which++)
            printf(" %10.4f", e->fve[which]);
        putchar('\n');
    }
    print_losses(e);
    return cli_output_status();
}

int eval_layers(const struct cli_arguments *arguments, const fathom_dictionary *dictionary, const fathom_model *model,
                const struct fathom_evaluate_options *options) {
    static const char *const others[] = {"control",   "shuffled", "probe",       "absorption",
                                         "catalogue", "saebench", "each-feature"};
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_layers_evaluation *evaluation = NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cli_has(arguments, others[i]))
            return cli_usage(arguments, "--%s is not for a transcoder, which %s is", others[i], info->path);
    const int status = fathom_layers_evaluate(&evaluation, dictionary, model, options);
    if (status) return cli_fail(arguments, status);
    cli_progress_end();
    const int code = cli_json(arguments) ? print_json(evaluation, info) : print_people(evaluation, info);
    fathom_layers_evaluation_free(evaluation);
    return code;
}
