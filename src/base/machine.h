/* What this machine can hold, asked before much is allocated: the system grants memory that it does not have, and ends
 * the process when it is touched. */
#ifndef FATHOM_BASE_MACHINE_H
#define FATHOM_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of memory of the machine or of the container that this process runs in; UINT64_MAX when that is not known. */
uint64_t fathom__machine_memory(void);

/* MEMORY, naming `what`, when it needs more bytes than there are. */
int fathom__machine_check(double bytes, const char *what);

#endif
