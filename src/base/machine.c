#include <base/error.h>
#include <base/machine.h>

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* The limit of a container (cgroup v2); "max" and a missing file mean none. */
static uint64_t container_memory(void) {
    uint64_t bytes = UINT64_MAX;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    if (!file) return UINT64_MAX;
    if (fscanf(file, "%" SCNu64, &bytes) != 1) bytes = UINT64_MAX;
    fclose(file);
    return bytes;
}

uint64_t fathom__machine_memory(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    const uint64_t physical = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    const uint64_t container = container_memory();
    return physical < container ? physical : container;
}

int fathom__machine_check(double bytes, const char *what) {
    const uint64_t memory = fathom__machine_memory();
    if (bytes <= (double)memory) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_MEMORY, "%s: %.1f GB of memory are needed, and this machine has %.1f GB", what,
                        bytes / 1e9, (double)memory / 1e9);
}
