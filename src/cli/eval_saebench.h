/* Results in the file format of SAEBench 0.6. */
#ifndef FATHOM_CLI_EVAL_SAEBENCH_H
#define FATHOM_CLI_EVAL_SAEBENCH_H

#include "eval_measured.h"

/* Writes core/, sparse_probing/ and absorption/ in `folder`, each with fathom_NAME_eval_results.json, for what was
 * measured. `features` must be there. What SAEBench's code computes is written as its code computes it, under its names;
 * sae_bench_commit_hash says that Fathom wrote it. A fathom_status. */
int eval_saebench_write(const char *folder, const struct eval_measured *measured);

/* The contents, new: "core", "sparse_probing" or "absorption_first_letter". */
json_t *eval_saebench_core(const struct eval_measured *measured);
json_t *eval_saebench_probing(const struct eval_measured *measured);
json_t *eval_saebench_absorption(const struct eval_measured *measured);

#endif
