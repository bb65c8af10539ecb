#include "eval_saebench.h"
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/random.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { UUID_SIZE = 37, EVALUATE_CONTEXT = 256, SPLIT_MOST = FATHOM_ABSORPTION_MOST };

/* Random in the sense of RFC 9562, version 4, by the clock. */
static void make_uuid(char out[UUID_SIZE], const struct timespec *now) {
    struct fathom__random random;
    fathom__random_seed(&random, (uint64_t)now->tv_sec * UINT64_C(1000000000) + (uint64_t)now->tv_nsec);
    const unsigned long long high = fathom__random_next(&random), low = fathom__random_next(&random);
    snprintf(out, UUID_SIZE, "%08llx-%04llx-4%03llx-%04llx-%012llx", high >> 32, high >> 16 & 0xFFFF, high & 0xFFF,
             0x8000 | (low >> 48 & 0x3FFF), low & 0xFFFFFFFFFFFF);
}

/* What every file of the format begins and ends with; steals the others. */
static json_t *envelope(const struct eval_measured *m, const char *type, json_t *config, json_t *metrics,
                        json_t *details) {
    const struct fathom_dictionary_info *info = m->dictionary;
    struct timespec now;
    char id[UUID_SIZE], version[64];
    clock_gettime(CLOCK_REALTIME, &now);
    make_uuid(id, &now);
    snprintf(version, sizeof version, "fathom %s", fathom_version());
    return json_pack("{s:s, s:o, s:s, s:I, s:o, s:o, s:s, s:s, s:s, s:n, s:{s:s, s:I, s:I, s:s, s:s, s:b, s:s}, s:n}",
                     "eval_type_id", type, "eval_config", config, "eval_id", id, "datetime_epoch_millis",
                     (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, "eval_result_metrics", metrics,
                     "eval_result_details", details, "sae_bench_commit_hash", version, "sae_lens_id", info->name,
                     "sae_lens_release_id", "fathom", "sae_lens_version", "sae_cfg_dict", "architecture",
                     info->architecture, "d_in", (json_int_t)info->d_in, "d_sae", (json_int_t)info->n_features,
                     "hook_name", info->hook_in, "model_name", m->model_name, "apply_b_dec_to_input",
                     (int)info->subtract_decoder_bias, "dtype", info->dtype, "eval_result_unstructured");
}

static json_t *feature_details(const struct eval_measured *m) {
    json_t *details = json_array();
    for (uint32_t f = 0; f < m->dictionary->n_features; f++) {
        const struct fathom_feature_quality *q = &m->features[f];
        json_array_append_new(details, json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "index", (json_int_t)f,
                                                 "feature_density", q->density, "consistent_activation_heuristic",
                                                 q->rows_a_sequence, "encoder_bias", (double)q->encoder_bias,
                                                 "encoder_norm", (double)q->encoder_norm, "encoder_decoder_cosine_sim",
                                                 (double)q->encoder_decoder_cosine, "max_decoder_cosine_sim",
                                                 (double)q->max_decoder_cosine, "max_encoder_cosine_sim",
                                                 (double)q->max_encoder_cosine));
    }
    return details;
}

json_t *eval_saebench_core(const struct eval_measured *m) {
    const struct fathom_evaluation *e = &m->evaluation;
    const struct fathom_reconstruction_quality *own = &e->quality[FATHOM_RECONSTRUCT_DICTIONARY],
                                               *zero = &e->quality[FATHOM_RECONSTRUCT_ZERO];
    json_t *metrics = json_object();
    json_object_set_new(metrics, "model_behavior_preservation",
                        json_pack("{s:f, s:f, s:f}", "kl_div_score", own->divergence_recovered, "kl_div_with_ablation",
                                  zero->divergence, "kl_div_with_sae", own->divergence));
    json_object_set_new(metrics, "model_performance_preservation",
                        json_pack("{s:f, s:f, s:f, s:f}", "ce_loss_score", own->recovered_zero, "ce_loss_with_ablation",
                                  e->loss + zero->delta_loss, "ce_loss_with_sae", e->loss + own->delta_loss,
                                  "ce_loss_without_sae", e->loss));
    /* SAEBench divides the squared error by the number of rows once more. */
    json_object_set_new(metrics, "reconstruction_quality",
                        json_pack("{s:f, s:f, s:f, s:f}", "explained_variance", own->saebench_variance,
                                  "explained_variance_legacy", own->saebench_variance_legacy, "mse",
                                  own->squared_error / (double)e->rows, "cossim", own->raw_cosine));
    json_object_set_new(metrics, "shrinkage",
                        json_pack("{s:f, s:f, s:f, s:o}", "l2_norm_in", e->mean_norm, "l2_norm_out", own->mean_length,
                                  "l2_ratio", own->length_ratio, "relative_reconstruction_bias",
                                  isfinite(own->relative_bias) ? json_real(own->relative_bias) : json_null()));
    json_object_set_new(metrics, "sparsity", json_pack("{s:f, s:f}", "l0", e->l0, "l1", e->l1));
    json_object_set_new(metrics, "token_stats",
                        json_pack("{s:I, s:I}", "total_tokens_eval_reconstruction", (json_int_t)e->loss_tokens,
                                  "total_tokens_eval_sparsity_variance", (json_int_t)e->rows));
    json_object_set_new(metrics, "misc_metrics",
                        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "freq_over_1_percent", e->frequent_fraction,
                                  "freq_over_10_percent", e->dense_fraction, "normalized_freq_over_1_percent",
                                  e->frequent_share, "normalized_freq_over_10_percent", e->dense_share,
                                  "average_max_encoder_cosine_sim", e->mean_encoder_cosine,
                                  "average_max_decoder_cosine_sim", e->mean_decoder_cosine, "frac_alive",
                                  1 - e->silent_fraction));
    json_t *config =
        json_pack("{s:s, s:s, s:I, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "model_name", m->model_name, "dataset",
                  m->corpus, "context_size", (json_int_t)(m->context ? m->context : EVALUATE_CONTEXT), "compute_kl", 1,
                  "compute_ce_loss", 1, "compute_l2_norms", 1, "compute_sparsity_metrics", 1,
                  "compute_variance_metrics", 1, "compute_featurewise_density_statistics", 1,
                  "compute_featurewise_weight_based_metrics", 1, "exclude_special_tokens_from_reconstruction", 1);
    return envelope(m, "core", config, metrics, feature_details(m));
}

/* Adds "PREFIX_top_K_test_accuracy" for every size, averaged over n reports; `at` gives a report's figures. */
static void put_accuracies(json_t *out, const char *prefix, const struct eval_probe *probes, size_t n, bool neurons) {
    for (int s = 0; s < FATHOM_SPARSE_PROBE_SIZES; s++) {
        char key[48];
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (neurons ? probes[i].own.neuron_probes : probes[i].own.feature_probes)[s].accuracy;
        snprintf(key, sizeof key, "%s_top_%u_test_accuracy", prefix, probes[0].own.k[s]);
        json_object_set_new(out, key, json_real(sum / (double)n));
    }
}

static void put_whole(json_t *out, const struct eval_probe *probes, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += probes[i].own.whole.accuracy;
    json_object_set_new(out, "llm_test_accuracy", json_real(sum / (double)n));
}

json_t *eval_saebench_probing(const struct eval_measured *m) {
    json_t *llm = json_object(), *sae = json_object(), *details = json_array(), *names = json_array();
    put_whole(llm, m->probes, m->n_probes);
    put_accuracies(llm, "llm", m->probes, m->n_probes, true);
    put_accuracies(sae, "sae", m->probes, m->n_probes, false);
    for (size_t i = 0; i < m->n_probes; i++) {
        json_t *one = json_pack("{s:s}", "dataset_name", m->probes[i].path);
        put_whole(one, &m->probes[i], 1);
        put_accuracies(one, "llm", &m->probes[i], 1, true);
        put_accuracies(one, "sae", &m->probes[i], 1, false);
        json_array_append_new(details, one);
        json_array_append_new(names, json_string(m->probes[i].path));
    }
    const struct fathom_sparse_probe_report *first = &m->probes[0].own;
    json_t *config = json_pack("{s:s, s:I, s:o, s:I, s:I, s:[I,I,I]}", "model_name", m->model_name, "random_seed",
                               (json_int_t)m->seed, "dataset_names", names, "probe_train_set_size",
                               (json_int_t)(first->n_train[0] + first->n_train[1]), "probe_test_set_size",
                               (json_int_t)(first->n_test[0] + first->n_test[1]), "k_values", (json_int_t)first->k[0],
                               (json_int_t)first->k[1], (json_int_t)first->k[2]);
    return envelope(m, "sparse_probing", config, json_pack("{s:o, s:o}", "llm", llm, "sae", sae), details);
}

json_t *eval_saebench_absorption(const struct eval_measured *m) {
    const struct fathom_absorption_report *r = &m->absorption;
    json_t *details = json_array();
    for (int l = 0; l < FATHOM_LETTERS; l++) {
        const struct fathom_absorption_letter *letter = &r->letters[l];
        const char name[] = {(char)('a' + l), 0};
        if (!letter->evaluated) continue;
        json_array_append_new(details,
                              json_pack("{s:s, s:f, s:f, s:I, s:I, s:I}", "first_letter", name,
                                        "mean_absorption_fraction", letter->absorbed_fraction, "full_absorption_rate",
                                        letter->full_absorption, "num_full_absorption",
                                        (json_int_t)lround(letter->full_absorption * (double)letter->n_true_positives),
                                        "num_probe_true_positives", (json_int_t)letter->n_true_positives,
                                        "num_split_features", (json_int_t)letter->n_features));
    }
    json_t *mean =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "mean_absorption_fraction_score", r->absorbed_fraction,
                  "mean_full_absorption_score", r->full_absorption, "mean_num_split_features", r->n_split,
                  "std_dev_absorption_fraction_score", r->absorbed_deviation, "std_dev_full_absorption_score",
                  r->full_deviation, "std_dev_num_split_features", r->split_deviation);
    json_t *config =
        json_pack("{s:s, s:I, s:f, s:I, s:s, s:I}", "model_name", m->model_name, "random_seed", (json_int_t)m->seed,
                  "f1_jump_threshold", 0.03, "max_k_value", (json_int_t)SPLIT_MOST, "prompt_template",
                  "The word {word} begins with the letter", "prompt_token_pos", (json_int_t)-5);
    return envelope(m, "absorption_first_letter", config, json_pack("{s:o}", "mean", mean), details);
}

/* Steals the value. */
static int write_one(const char *folder, const char *kind, const char *name, json_t *value) {
    char *place = NULL, *path = NULL, *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
    int status = text ? FATHOM_OK : fathom__fail(FATHOM_ERROR_MEMORY, "out of memory for the results");
    if (!status) status = fathom__path_join(&place, folder, kind);
    if (!status) status = fathom__make_folders(place);
    if (!status) status = fathom__format(&path, "%s/fathom_%s_eval_results.json", place, name);
    for (char *c = path ? path + strlen(place) + 1 : NULL; c && *c; c++)
        if (*c == '/') *c = '_';
    if (!status) status = fathom__file_write(path, text, strlen(text));
    json_decref(value);
    free(text);
    fathom_free(place);
    fathom_free(path);
    return status;
}

int eval_saebench_write(const char *folder, const struct eval_measured *m) {
    int status = write_one(folder, "core", m->dictionary->name, eval_saebench_core(m));
    if (!status && m->n_probes > 0)
        status = write_one(folder, "sparse_probing", m->dictionary->name, eval_saebench_probing(m));
    if (!status && m->has_absorption)
        status = write_one(folder, "absorption", m->dictionary->name, eval_saebench_absorption(m));
    return status;
}
