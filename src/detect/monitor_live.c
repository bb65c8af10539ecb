#include "base/error.h"
#include "base/memory.h"
#include "detect/levels.h"
#include "detect/window.h"
#include <math.h>

/* One watch's window in one sequence. */
struct track {
    struct fathom__window *windows; /* [sequences seen] */
    size_t n, capacity;
};

struct live_tap {
    fathom_monitor *monitor;
    struct fathom__watch_group *group;
    int id;
};

struct fathom__live {
    fathom_session *session;
    fathom_live_fn fn;
    void *payload;
    struct live_tap *taps; /* [groups] */
    size_t n_taps;
    struct track *tracks; /* [watches] */
};

static int find_window(struct fathom__window **out, struct track *track, uint32_t size, int32_t sequence) {
    int status = fathom__grow(&track->windows, &track->capacity, (size_t)sequence + 1, sizeof *track->windows);
    while (status == FATHOM_OK && track->n <= (size_t)sequence) {
        status = fathom__window_start(&track->windows[track->n], size);
        track->n += status == FATHOM_OK;
    }
    *out = status == FATHOM_OK ? &track->windows[sequence] : NULL;
    return status;
}

static int report_level(struct fathom__live *live, fathom_monitor *monitor, const struct fathom_block *block,
                        size_t row, size_t watch, double level) {
    struct fathom__window *window = NULL;
    int status = find_window(&window, &live->tracks[watch], monitor->watches[watch].window, block->sequences[row]);
    if (status != FATHOM_OK) {
        return status;
    }
    if (block->positions[row] == 0) {
        fathom__window_clear(window);
    }
    if (isnan(level)) {
        return FATHOM_OK;
    }
    struct fathom_live_level out = {watch, block->sequences[row], block->positions[row], block->tokens[row], 0, false};
    out.level = fathom__window_add(window, level);
    out.alert = fathom__window_full(window) && out.level >= monitor->watches[watch].above;
    return live->fn(&out, live->payload);
}

static int on_block(const struct fathom_block *block, void *payload) {
    struct live_tap *tap = payload;
    struct fathom__watch_group *group = tap->group;
    int status = fathom__group_levels(group, block->rows, block->positions, block->n_rows);
    for (size_t i = 0; i < block->n_rows * group->n && status == 0; i++) {
        status = report_level(tap->monitor->live, tap->monitor, block, i / group->n, group->watches[i % group->n],
                              group->values[i]);
    }
    return status;
}

int fathom_monitor_attach(fathom_monitor *monitor, fathom_session *session, fathom_live_fn fn, void *payload) {
    int status = FATHOM_OK;
    if (monitor->live != NULL || monitor->n == 0 || fathom_session_model(session) != monitor->model) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "a monitor is attached once, to a session of its own model, with a watch in it");
    }
    status = fathom__alloc(&monitor->live, 1, sizeof *monitor->live);
    if (status != FATHOM_OK) {
        return status;
    }
    struct fathom__live *live = monitor->live;
    *live = (struct fathom__live){.session = session, .fn = fn, .payload = payload};
    status = fathom__alloc(&live->taps, monitor->n_groups, sizeof *live->taps);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&live->tracks, monitor->n, sizeof *live->tracks);
    }
    for (size_t g = 0; g < monitor->n_groups && status == FATHOM_OK; g++) {
        struct live_tap *tap = &live->taps[g];
        *tap = (struct live_tap){monitor, &monitor->groups[g], 0};
        status = fathom_session_tap(&tap->id, session, tap->group->hook, on_block, tap);
        live->n_taps += status == FATHOM_OK;
    }
    if (status != FATHOM_OK) {
        fathom_monitor_detach(monitor);
    }
    return status;
}

void fathom_monitor_detach(fathom_monitor *monitor) {
    struct fathom__live *live = monitor->live;
    if (live == NULL) {
        return;
    }
    for (size_t g = 0; g < live->n_taps; g++) {
        fathom_session_unhook(live->session, live->taps[g].id);
    }
    for (size_t w = 0; w < monitor->n && live->tracks != NULL; w++) {
        for (size_t s = 0; s < live->tracks[w].n; s++) {
            fathom__window_free(&live->tracks[w].windows[s]);
        }
        fathom_free(live->tracks[w].windows);
    }
    fathom_free(live->tracks);
    fathom_free(live->taps);
    fathom_free(live);
    monitor->live = NULL;
}
