/* What `fathom bench` measures: one function a subject, each in its own bench_*.c file. */
#ifndef FATHOM_CLI_BENCH_H
#define FATHOM_CLI_BENCH_H

#include "cli.h"

int bench_train(struct cli_arguments *arguments);
int bench_harvest(struct cli_arguments *arguments);
int bench_generate(struct cli_arguments *arguments);

#endif
