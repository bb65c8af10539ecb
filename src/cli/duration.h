/* Times as people write them. */
#ifndef FATHOM_CLI_DURATION_H
#define FATHOM_CLI_DURATION_H

#include <stdbool.h>

/* A number over 0 and one of the units s, m (minutes), h, d; seconds without a unit. */
bool duration_read(double *seconds, const char *text);

#endif
