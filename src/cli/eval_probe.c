#include "eval_probe.h"
#include "labelled.h"
#include <base/memory.h>

static int probe_file(struct eval_probe *out, const fathom_model *model, const fathom_dictionary *dictionary,
                      const fathom_dictionary *control, uint64_t seed) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    int status = labelled_append(&texts, out->path);
    if (!status) status = fathom_texts_unique(&out->n_duplicates, &texts);
    if (!status) status = fathom_sparse_probe(&out->own, model, dictionary, &texts, seed);
    if (!status && control) status = fathom_sparse_probe(&out->control, model, control, &texts, seed);
    fathom_texts_free(&texts);
    return status;
}

int eval_probes(struct eval_probe **out, size_t *n, const struct cli_arguments *arguments, const fathom_model *model,
                const fathom_dictionary *dictionary, const fathom_dictionary *control, uint64_t seed) {
    struct eval_probe *probes = NULL;
    const char *const *paths = cli_all(n, arguments, "probe");
    int status = fathom__alloc(&probes, *n, sizeof *probes);
    for (size_t i = 0; i < *n && !status; i++) {
        probes[i].path = paths[i];
        status = probe_file(&probes[i], model, dictionary, control, seed);
    }
    *out = probes;
    return status;
}

static void print_line(const char *name, const struct fathom_sparse_probe_figures *figures) {
    printf("  %-42s", name);
    for (int s = 0; s < FATHOM_SPARSE_PROBE_SIZES; s++)
        printf(" %8.3f %8.3f ", figures[s].auroc, figures[s].accuracy);
    putchar('\n');
}

void eval_probes_print(const struct eval_probe *probes, size_t n, bool control) {
    for (size_t i = 0; i < n; i++) {
        const struct fathom_sparse_probe_report *r = &probes[i].own;
        printf("\nsparse probing of %s: %zu + %zu texts to train on, %zu + %zu to judge by", probes[i].path,
               r->n_train[1], r->n_train[0], r->n_test[1], r->n_test[0]);
        if (probes[i].n_duplicates > 0) printf(", %zu repeats left out", probes[i].n_duplicates);
        printf("\n  %-42s", "AUROC and accuracy of");
        for (int s = 0; s < FATHOM_SPARSE_PROBE_SIZES; s++)
            printf(" %15s %u ", "k =", r->k[s]);
        putchar('\n');
        print_line("k features", r->feature_probes);
        if (control) print_line("k features of the control", probes[i].control.feature_probes);
        print_line("k raw neurons", r->neuron_probes);
        print_line("k features chosen by shuffled labels", r->shuffled);
        printf("  %-42s %8.3f %8.3f\n", "the whole row", r->whole.auroc, r->whole.accuracy);
        printf("  features:");
        for (uint32_t f = 0; f < r->n_features; f++)
            printf(" %u", r->features[f]);
        putchar('\n');
    }
}

static json_t *figures_json(const struct fathom_sparse_probe_report *report,
                            const struct fathom_sparse_probe_figures *figures) {
    json_t *value = json_array();
    for (int s = 0; s < FATHOM_SPARSE_PROBE_SIZES; s++)
        json_array_append_new(value, json_pack("{s:I, s:f, s:f}", "k", (json_int_t)report->k[s], "auroc",
                                               figures[s].auroc, "accuracy", figures[s].accuracy));
    return value;
}

static json_t *numbers_json(const uint32_t *numbers, uint32_t n) {
    json_t *value = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(value, json_integer((json_int_t)numbers[i]));
    return value;
}

json_t *eval_probes_json(const struct eval_probe *probes, size_t n, bool control) {
    json_t *value = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct fathom_sparse_probe_report *r = &probes[i].own;
        json_t *one = json_pack(
            "{s:s, s:I, s:[I,I], s:[I,I], s:o, s:o, s:o, s:o, s:{s:f, s:f}}", "file", probes[i].path, "duplicates",
            (json_int_t)probes[i].n_duplicates, "train_negative_positive", (json_int_t)r->n_train[0],
            (json_int_t)r->n_train[1], "test_negative_positive", (json_int_t)r->n_test[0], (json_int_t)r->n_test[1],
            "chosen", numbers_json(r->features, r->n_features), "features", figures_json(r, r->feature_probes),
            "raw_neurons", figures_json(r, r->neuron_probes), "shuffled_labels", figures_json(r, r->shuffled),
            "whole_row", "auroc", r->whole.auroc, "accuracy", r->whole.accuracy);
        if (control)
            json_object_set_new(one, "control", figures_json(&probes[i].control, probes[i].control.feature_probes));
        json_array_append_new(value, one);
    }
    return value;
}
