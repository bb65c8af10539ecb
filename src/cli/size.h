/* Sizes for people. */
#ifndef FATHOM_CLI_SIZE_H
#define FATHOM_CLI_SIZE_H

#include <stdint.h>

enum { CLI_SIZE_TEXT = 24 };

/* Such as "98.4 MB", in powers of 1000; returns out. */
const char *cli_size(char out[CLI_SIZE_TEXT], uint64_t bytes);

#endif
