#include "size.h"
#include <stdio.h>

const char *cli_size(char out[CLI_SIZE_TEXT], uint64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double value = (double)bytes / 1000;
    size_t unit = 0;
    if (bytes < 1000) {
        snprintf(out, CLI_SIZE_TEXT, "%u B", (unsigned)bytes);
        return out;
    }
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(out, CLI_SIZE_TEXT, "%.1f %s", value, units[unit]);
    return out;
}
