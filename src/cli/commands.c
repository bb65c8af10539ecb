#include "cli.h"

extern const struct cli_command cli_command_bench_harvest, cli_command_bench_train, cli_command_completion, cli_command_man, cli_command_train;

const struct cli_command *const cli_commands[] = {
    &cli_command_bench_harvest,
    &cli_command_bench_train,
    &cli_command_completion,
    &cli_command_man,
    &cli_command_train,
    NULL,
};
