#include "cli.h"

extern const struct cli_command cli_command_bench_generate;
extern const struct cli_command cli_command_bench_harvest;
extern const struct cli_command cli_command_bench_train;
extern const struct cli_command cli_command_capture;
extern const struct cli_command cli_command_chat;
extern const struct cli_command cli_command_completion;
extern const struct cli_command cli_command_corpus_write;
extern const struct cli_command cli_command_crosscoder;
extern const struct cli_command cli_command_doctor;
extern const struct cli_command cli_command_lens;
extern const struct cli_command cli_command_explain;
extern const struct cli_command cli_command_demo;
extern const struct cli_command cli_command_feature;
extern const struct cli_command cli_command_features;
extern const struct cli_command cli_command_hooks;
extern const struct cli_command cli_command_index;
extern const struct cli_command cli_command_label;
extern const struct cli_command cli_command_man;
extern const struct cli_command cli_command_run;
extern const struct cli_command cli_command_runs;
extern const struct cli_command cli_command_runs_compare;
extern const struct cli_command cli_command_runs_remove;
extern const struct cli_command cli_command_runs_show;
extern const struct cli_command cli_command_search;
extern const struct cli_command cli_command_serve;
extern const struct cli_command cli_command_sweep;
extern const struct cli_command cli_command_train;
extern const struct cli_command cli_command_eval;
extern const struct cli_command cli_command_models;
extern const struct cli_command cli_command_describe;
extern const struct cli_command cli_command_fetch;
extern const struct cli_command cli_command_cache;
extern const struct cli_command cli_command_cache_remove;
extern const struct cli_command cli_command_derive;
extern const struct cli_command cli_command_probe_apply;
extern const struct cli_command cli_command_probe_eval;
extern const struct cli_command cli_command_probe_train;
extern const struct cli_command cli_command_steer;
extern const struct cli_command cli_command_steer_candidates;
extern const struct cli_command cli_command_steer_condition;
extern const struct cli_command cli_command_steer_eval;
extern const struct cli_command cli_command_steer_refusal;
extern const struct cli_command cli_command_steer_sample;
extern const struct cli_command cli_command_watch;
extern const struct cli_command cli_command_watch_candidates;
extern const struct cli_command cli_command_import;
extern const struct cli_command cli_command_export;
extern const struct cli_command cli_command_drift;

const struct cli_command *const cli_commands[] = {
    &cli_command_bench_generate,
    &cli_command_bench_harvest,
    &cli_command_bench_train,
    &cli_command_capture,
    &cli_command_chat,
    &cli_command_completion,
    &cli_command_corpus_write,
    &cli_command_crosscoder,
    &cli_command_doctor,
    &cli_command_lens,
    &cli_command_explain,
    &cli_command_demo,
    &cli_command_feature,
    &cli_command_features,
    &cli_command_hooks,
    &cli_command_index,
    &cli_command_label,
    &cli_command_man,
    &cli_command_run,
    &cli_command_runs,
    &cli_command_runs_show,
    &cli_command_runs_compare,
    &cli_command_runs_remove,
    &cli_command_eval,
    &cli_command_search,
    &cli_command_serve,
    &cli_command_train,
    &cli_command_sweep,
    &cli_command_models,
    &cli_command_describe,
    &cli_command_fetch,
    &cli_command_cache,
    &cli_command_cache_remove,
    &cli_command_derive,
    &cli_command_probe_apply,
    &cli_command_probe_eval,
    &cli_command_probe_train,
    &cli_command_steer,
    &cli_command_steer_candidates,
    &cli_command_steer_condition,
    &cli_command_steer_eval,
    &cli_command_steer_refusal,
    &cli_command_steer_sample,
    &cli_command_watch,
    &cli_command_watch_candidates,
    &cli_command_import,
    &cli_command_export,
    &cli_command_drift,
    NULL,
};
