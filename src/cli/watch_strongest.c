/* Of many texts those with the strongest levels: what a scan of a corpus is read for. */
#include "watch_view.h"
#include <base/memory.h>
#include <base/thread.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double strength_of(const struct watching *watching, const struct fathom_reading *reading) {
    double strongest = -HUGE_VAL;
    for (size_t w = 0; w < fathom_monitor_count(watching->monitor); w++) {
        const double above = reading->document[w] - fathom_monitor_at(watching->monitor, w)->above,
                     strength = above / watch_full_level(watching, w);
        if (strength > strongest) {
            strongest = strength;
        }
    }
    return strongest;
}

static void free_kept(struct watch_kept *kept) {
    fathom_free(kept->levels);
    json_decref(kept->json);
}

/* Takes its place among the strongest; the earlier of two equal ones stays first. */
static int keep(struct watching *watching, const struct fathom_reading *reading) {
    const size_t n = watching->n_strongest, n_watches = fathom_monitor_count(watching->monitor);
    struct watch_kept *list = watching->strongest;
    struct watch_kept kept = {strength_of(watching, reading), reading->text, reading->alert, NULL, NULL};
    if (n == watching->most_strongest && !(kept.strength > list[n - 1].strength)) {
        return FATHOM_OK;
    }
    int status = fathom__alloc(&kept.levels, n_watches, sizeof *kept.levels);
    if (status != FATHOM_OK) {
        return status;
    }
    memcpy(kept.levels, reading->document, n_watches * sizeof *kept.levels);
    if (cli_json(watching->arguments)) {
        kept.json = watch_reading_json(watching, reading);
    }
    if (n == watching->most_strongest) {
        free_kept(&list[n - 1]);
    } else {
        watching->n_strongest++;
    }
    size_t at = watching->n_strongest - 1;
    for (; at > 0 && list[at - 1].strength < kept.strength; at--) {
        list[at] = list[at - 1];
    }
    list[at] = kept;
    return FATHOM_OK;
}

int watch_keep_reading(const struct fathom_reading *reading, void *payload) {
    struct watching *watching = payload;
    const uint64_t done = reading->text + 1, total = watching->texts.n;
    const double now = fathom__seconds();
    watching->documents[reading->text] = reading->alert ? 1 : 0;
    watching->n_alerts += reading->alert;
    if (watching->began <= 0) {
        watching->began = now;
    }
    const double rate = now > watching->began ? (double)done / (now - watching->began) : 0;
    const struct fathom_progress progress = {.stage = "watch",
                                             .done = done,
                                             .total = total,
                                             .unit = "texts",
                                             .units_per_second = rate,
                                             .seconds_left = rate > 0 ? (double)(total - done) / rate : -1};
    int status = keep(watching, reading);
    return status != FATHOM_OK ? status : cli_progress(&progress, NULL);
}

void watch_print_kept(const struct watching *watching) {
    for (size_t i = 0; i < watching->n_strongest; i++) {
        const struct watch_kept *kept = &watching->strongest[i];
        const char *text = watching->texts.texts[kept->text];
        watch_print_verdict(watching, kept->text, kept->alert);
        cli_print_level(stdout, text, strlen(text), 0);
        putchar('\n');
        watch_print_levels(watching, kept->levels);
    }
}

json_t *watch_kept_json(const struct watching *watching) {
    json_t *list = json_array();
    for (size_t i = 0; i < watching->n_strongest; i++) {
        json_array_append(list, watching->strongest[i].json);
    }
    return list;
}

void watch_free_kept(struct watching *watching) {
    for (size_t i = 0; i < watching->n_strongest; i++) {
        free_kept(&watching->strongest[i]);
    }
    fathom_free(watching->strongest);
}
