#include "eval_view.h"
#include "labelled.h"
#include <math.h>

#define BINS_A_DECADE 2
#define SPARSEST_EXPONENT (-5)
#define MOST_BAR 40

static const char *explain(enum fathom_reconstruction which) {
    static const char *const texts[FATHOM_RECONSTRUCTIONS] = {"this dictionary, as it is read at run time",
                                                              "this dictionary, as it was trained",
                                                              "the control that was named",
                                                              "same shape, untrained",
                                                              "principal components",
                                                              "raw neurons",
                                                              "mean row of the token",
                                                              "mean row (mean ablation)",
                                                              "zeros (zero ablation)"};
    return texts[which];
}

static void print_rows(const struct fathom_reconstruction_quality *qualities) {
    printf("%-44s %8s %10s %8s %8s %8s\n", "", "FVE", "median FVE", "cosine", "length", "bias");
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const struct fathom_reconstruction_quality *q = &qualities[which];
        if (!q->measured) continue;
        printf("%-44s %8.4f %10.4f %8.4f %8.4f ", explain((enum fathom_reconstruction)which), q->fve, q->median_fve,
               q->cosine, q->length_ratio);
        if (isfinite(q->relative_bias))
            printf("%8.4f\n", q->relative_bias);
        else
            printf("%8s\n", "-");
    }
}

static void print_losses(const struct fathom_reconstruction_quality *qualities) {
    printf("%-44s %19s %18s %9s %9s\n", "in the model, nats a token", "loss change", "divergence", "recovered",
           "(zero)");
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const struct fathom_reconstruction_quality *q = &qualities[which];
        if (!q->measured) continue;
        printf("%-44s %10.4f ± %.4f %9.4f ± %.4f %8.1f%% %8.1f%%\n", explain((enum fathom_reconstruction)which),
               q->delta_loss, q->delta_standard_error, q->divergence, q->divergence_standard_error,
               100 * q->recovered_mean, 100 * q->recovered_zero);
    }
}

static void print_density(const struct fathom_evaluation *e) {
    uint32_t most = 1;
    for (int bin = 0; bin < FATHOM_DENSITY_BINS; bin++)
        if (e->density[bin] > most) most = e->density[bin];
    puts("features by density, the share of rows that activate them");
    for (int bin = 0; bin < FATHOM_DENSITY_BINS; bin++) {
        if (bin == 0)
            printf("  %-16s", "silent");
        else
            printf("  from %-11.2g", pow(10, (double)(bin - 1) / BINS_A_DECADE + SPARSEST_EXPONENT));
        printf(" %8u ", e->density[bin]);
        for (uint32_t i = 0; i < (uint64_t)e->density[bin] * MOST_BAR / most; i++)
            putchar('#');
        putchar('\n');
    }
}

void eval_print(const struct fathom_evaluation *e, bool shuffled) {
    print_rows(e->quality);
    printf("controls have %u active components a row; length is mean |x^| / |x|, bias is Σ|x^|² / Σx·x^\n\n", e->k);
    print_losses(e->quality);
    puts(
        "recovered: 1 - loss change / that of the mean row; against zeros (in brackets) nearly everything does well\n");
    if (shuffled) {
        puts("on the rows of the model with shuffled weights");
        print_rows(e->shuffled);
        putchar('\n');
    }
    printf("L0 %.1f at run time, %.1f as trained; %.1f %% of the features alive, %.2f %% active in over a hundredth of "
           "the rows, %.2f %% in over a tenth\n",
           e->l0, e->l0_trained, 100 * (1 - e->silent_fraction), 100 * e->frequent_fraction, 100 * e->dense_fraction);
    if (e->quality[FATHOM_RECONSTRUCT_CONTROL].measured) printf("the control's L0 is %.1f\n", e->l0_control);
    printf("nearest decoder rows: mean cosine %.3f (random directions %.3f), %.2f %% of the features have a twin above "
           "0.9; nearest encoder rows %.3f\n",
           e->mean_decoder_cosine, e->random_decoder_cosine, 100 * e->twin_fraction, e->mean_encoder_cosine);
    print_density(e);
    printf("%llu rows measured, %llu left out; the model's own loss is %.4f nats a token over %llu tokens\n",
           (unsigned long long)e->rows, (unsigned long long)e->rows_left_out, e->loss,
           (unsigned long long)e->loss_tokens);
}

static json_t *quality_json(const struct fathom_reconstruction_quality *q, bool spliced) {
    json_t *value =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:o, s:f, s:f, s:f}", "fve", q->fve, "median_fve", q->median_fve, "cosine",
                  q->cosine, "raw_cosine", q->raw_cosine, "length_ratio", q->length_ratio, "relative_bias",
                  number_json(q->relative_bias), "squared_error", q->squared_error, "saebench_explained_variance",
                  q->saebench_variance, "saebench_explained_variance_legacy", q->saebench_variance_legacy);
    if (spliced)
        json_object_update_new(value, json_pack("{s:f, s:f, s:f, s:f, s:o, s:o, s:o}", "delta_loss", q->delta_loss,
                                                "delta_standard_error", q->delta_standard_error, "kl", q->divergence,
                                                "kl_standard_error", q->divergence_standard_error,
                                                "recovered_mean_ablation", number_json(q->recovered_mean),
                                                "recovered_zero_ablation", number_json(q->recovered_zero),
                                                "kl_recovered_zero_ablation", number_json(q->divergence_recovered)));
    return value;
}

static json_t *qualities_json(const struct fathom_reconstruction_quality *qualities, bool spliced) {
    json_t *value = json_object();
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++)
        if (qualities[which].measured)
            json_object_set_new(value, fathom_reconstruction_name((enum fathom_reconstruction)which),
                                quality_json(&qualities[which], spliced));
    return value;
}

static json_t *features_json(const struct fathom_feature_quality *features, uint32_t n) {
    json_t *value = json_array();
    for (uint32_t f = 0; f < n; f++)
        json_array_append_new(
            value,
            json_pack("{s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f}", "feature", (json_int_t)f, "density",
                      features[f].density, "rows_a_sequence", features[f].rows_a_sequence, "neighbour",
                      (json_int_t)features[f].neighbour, "max_decoder_cosine", (double)features[f].max_decoder_cosine,
                      "max_encoder_cosine", (double)features[f].max_encoder_cosine, "encoder_decoder_cosine",
                      (double)features[f].encoder_decoder_cosine, "encoder_norm", (double)features[f].encoder_norm,
                      "encoder_bias", (double)features[f].encoder_bias));
    return value;
}

json_t *eval_json(const struct fathom_evaluation *e, const struct fathom_dictionary_info *info,
                  const struct fathom_feature_quality *features, bool shuffled) {
    json_t *density = json_array();
    for (int bin = 0; bin < FATHOM_DENSITY_BINS; bin++)
        json_array_append_new(density, json_integer((json_int_t)e->density[bin]));
    json_t *value =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "dictionary",
                  info->path, "architecture", info->architecture, "hook", info->hook_in, "features",
                  (json_int_t)info->n_features, "k", (json_int_t)info->k, "k_controls", (json_int_t)e->k, "l0", e->l0,
                  "l1", e->l1, "l0_trained", e->l0_trained, "silent_fraction", e->silent_fraction, "frequent_fraction",
                  e->frequent_fraction, "dense_fraction", e->dense_fraction, "frequent_share", e->frequent_share,
                  "dense_share", e->dense_share, "mean_norm", e->mean_norm, "density_histogram", density);
    json_object_update_new(value,
                           json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:o}", "mean_max_decoder_cosine",
                                     e->mean_decoder_cosine, "mean_max_encoder_cosine", e->mean_encoder_cosine,
                                     "random_max_decoder_cosine", e->random_decoder_cosine, "twin_fraction",
                                     e->twin_fraction, "loss", e->loss, "rows", (json_int_t)e->rows, "rows_left_out",
                                     (json_int_t)e->rows_left_out, "loss_tokens", (json_int_t)e->loss_tokens,
                                     "reconstructions", qualities_json(e->quality, true)));
    if (e->quality[FATHOM_RECONSTRUCT_CONTROL].measured)
        json_object_set_new(value, "l0_control", json_real(e->l0_control));
    if (shuffled) json_object_set_new(value, "shuffled_weights", qualities_json(e->shuffled, false));
    if (features) json_object_set_new(value, "each_feature", features_json(features, info->n_features));
    return value;
}

void eval_labels_print(const struct fathom_monosemanticity *m) {
    printf("\nmonosemanticity %.3f: %u of %u alive features have a label, %.1f %% of them all are told by it at a "
           "balanced "
           "accuracy of %g or more\n",
           m->score, m->n_labelled, m->n_alive, 100 * m->told, FATHOM_MONOSEMANTIC_SCORE);
    if (m->n_labelled > 0)
        printf(
            "  labels tell their features at %.3f on text they were not made of (F1 %.3f); the best single token %.3f, "
            "other features' labels %.3f\n",
            m->accuracy, m->f1, m->single_token, m->shuffled);
}

json_t *eval_labels_json(const struct fathom_monosemanticity *m) {
    return json_pack("{s:f, s:f, s:I, s:I, s:f, s:f, s:f, s:f}", "score", m->score, "told", m->told, "alive",
                     (json_int_t)m->n_alive, "labelled", (json_int_t)m->n_labelled, "balanced_accuracy", m->accuracy,
                     "f1", m->f1, "single_token", m->single_token, "shuffled_labels", m->shuffled);
}
