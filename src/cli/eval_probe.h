/* Sparse probing for `fathom eval`. */
#ifndef FATHOM_CLI_EVAL_PROBE_H
#define FATHOM_CLI_EVAL_PROBE_H

#include "cli.h"
#include <fathom/sparse_probe.h>

/* Probes of one labelled file. */
struct eval_probe {
    const char *path;
    size_t n_duplicates; /* texts left out as repeats */
    struct fathom_sparse_probe_report own, control;
};

/* Probes every file that --probe names; *out is new (fathom_free). control may be NULL. A fathom_status. */
int eval_probes(struct eval_probe **out, size_t *n, const struct cli_arguments *arguments, const fathom_model *model,
                const fathom_dictionary *dictionary, const fathom_dictionary *control, uint64_t seed);
void eval_probes_print(const struct eval_probe *probes, size_t n, bool control);
json_t *eval_probes_json(const struct eval_probe *probes, size_t n, bool control);

#endif
