#include "base/error.h"
#include "base/memory.h"
#include "detect/levels.h"
#include "detect/pool.h"
#include "detect/window.h"
#include <math.h>
#include <string.h>

int fathom_monitor_open(fathom_monitor **out, const fathom_model *model) {
    int status = fathom__alloc(out, 1, sizeof **out);
    if (status == FATHOM_OK) {
        (*out)->model = model;
    }
    return status;
}

void fathom_monitor_close(fathom_monitor *monitor) {
    if (monitor == NULL) {
        return;
    }
    fathom_monitor_detach(monitor);
    for (size_t i = 0; i < monitor->n; i++) {
        fathom_free(monitor->names[i]);
    }
    for (size_t g = 0; g < monitor->n_groups; g++) {
        fathom__group_free(&monitor->groups[g]);
    }
    fathom_free(monitor->watches);
    fathom_free(monitor->names);
    fathom_free(monitor->groups);
    fathom_free(monitor);
}

size_t fathom_monitor_count(const fathom_monitor *monitor) {
    return monitor->n;
}

const struct fathom_watch *fathom_monitor_at(const fathom_monitor *monitor, size_t index) {
    return index < monitor->n ? &monitor->watches[index] : NULL;
}

int fathom_monitor_set_level(fathom_monitor *monitor, size_t index, double above) {
    if (index >= monitor->n || !isfinite(above)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "watch %zu of %zu, level %g: no such watch or not a finite level",
                            index, monitor->n, above);
    }
    monitor->watches[index].above = above;
    return FATHOM_OK;
}

static int find_hook(struct fathom_hook *hook, const fathom_model *model, const struct fathom_watch *watch) {
    if ((watch->dictionary == NULL) == (watch->probe == NULL)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a watch needs a dictionary or a probe, and not both");
    }
    if (!isfinite(watch->above)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a watch's level must be finite, is %g", watch->above);
    }
    if (watch->probe != NULL) {
        return fathom_probe_match(hook, watch->probe, model);
    }
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(watch->dictionary);
    if (watch->feature >= info->n_features) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path, info->n_features - 1,
                            watch->feature);
    }
    return fathom_dictionary_match(hook, watch->dictionary, model);
}

static int name_watch(char **out, const struct fathom_watch *watch) {
    if (watch->name != NULL) {
        return fathom__copy_string(out, watch->name);
    }
    if (watch->probe != NULL) {
        return fathom__format(out, "probe at %s", fathom_probe_describe(watch->probe)->hook);
    }
    return fathom__format(out, "feature %u", watch->feature);
}

static int find_group(struct fathom__watch_group **out, fathom_monitor *monitor, const struct fathom_watch *watch,
                      struct fathom_hook hook) {
    for (size_t g = 0; g < monitor->n_groups; g++) {
        struct fathom__watch_group *group = &monitor->groups[g];
        if (group->dictionary == watch->dictionary && group->probe == watch->probe) {
            *out = group;
            return FATHOM_OK;
        }
    }
    int status =
        fathom__grow(&monitor->groups, &monitor->group_capacity, monitor->n_groups + 1, sizeof *monitor->groups);
    if (status == FATHOM_OK) {
        *out = &monitor->groups[monitor->n_groups++];
        **out = (struct fathom__watch_group){.hook = hook,
                                             .width = fathom__hook_width(monitor->model, hook),
                                             .dictionary = watch->dictionary,
                                             .probe = watch->probe};
    }
    return status;
}

static int join_group(struct fathom__watch_group *group, size_t number, uint32_t feature) {
    int status = fathom__grow(&group->watches, &group->capacity, group->n + 1, sizeof *group->watches);
    if (status == FATHOM_OK) {
        status = fathom__grow(&group->features, &group->feature_capacity, group->n + 1, sizeof *group->features);
    }
    if (status == FATHOM_OK) {
        group->watches[group->n] = number;
        group->features[group->n++] = feature;
    }
    return status;
}

int fathom_monitor_add(fathom_monitor *monitor, const struct fathom_watch *watch) {
    struct fathom_hook hook;
    struct fathom__watch_group *group = NULL;
    char *name = NULL;
    int status = monitor->live != NULL ? fathom__fail(FATHOM_ERROR_ARGUMENT, "detach the monitor before adding a watch")
                                       : find_hook(&hook, monitor->model, watch);
    if (status == FATHOM_OK) {
        status = name_watch(&name, watch);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&monitor->watches, &monitor->capacity, monitor->n + 1, sizeof *monitor->watches);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&monitor->names, &monitor->name_capacity, monitor->n + 1, sizeof *monitor->names);
    }
    if (status == FATHOM_OK) {
        status = find_group(&group, monitor, watch, hook);
    }
    if (status == FATHOM_OK) {
        status = join_group(group, monitor->n, watch->feature);
    }
    if (status != FATHOM_OK) {
        fathom_free(name);
        return status;
    }
    monitor->names[monitor->n] = name;
    monitor->watches[monitor->n] = *watch;
    monitor->watches[monitor->n++].name = name;
    return FATHOM_OK;
}

/* A document as it grows piece by piece. */
struct reading {
    fathom_monitor *monitor;
    fathom_reading_fn fn;
    void *payload;
    size_t *hook_of; /* [groups]: which of the hook points read */
    int32_t *tokens;
    float *levels; /* [capacity, watches], token by token */
    size_t n, token_capacity, level_capacity;
    struct fathom__window *windows; /* [watches] */
    float *turned;                  /* [watches, tokens], as a reading has them */
    size_t turned_capacity;
    double *document;
    bool *alerts;
};

static int finish_document(struct reading *reading, size_t text) {
    size_t n_watches = reading->monitor->n;
    struct fathom_reading out = {.text = text, .n_tokens = reading->n};
    int status = fathom__grow(&reading->turned, &reading->turned_capacity, reading->n * n_watches, sizeof(float));
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t w = 0; w < n_watches; w++) {
        for (size_t t = 0; t < reading->n; t++) {
            reading->turned[w * reading->n + t] = reading->levels[t * n_watches + w];
        }
        reading->document[w] = fathom__window_document(&reading->windows[w]);
        reading->alerts[w] = reading->document[w] >= reading->monitor->watches[w].above;
        out.alert = out.alert || reading->alerts[w];
        fathom__window_clear(&reading->windows[w]);
    }
    out.tokens = reading->tokens;
    out.levels = reading->turned;
    out.document = reading->document;
    out.alerts = reading->alerts;
    int returned = reading->fn(&out, reading->payload);
    reading->n = 0;
    return returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
}

static int read_piece(const struct fathom__piece *piece, void *payload) {
    struct reading *reading = payload;
    size_t n_watches = reading->monitor->n;
    int status =
        fathom__grow(&reading->tokens, &reading->token_capacity, reading->n + piece->n_tokens, sizeof(int32_t));
    if (status == FATHOM_OK) {
        status = fathom__grow(&reading->levels, &reading->level_capacity, (reading->n + piece->n_tokens) * n_watches,
                              sizeof(float));
    }
    if (status != FATHOM_OK) {
        return status;
    }
    memcpy(reading->tokens + reading->n, piece->tokens, piece->n_tokens * sizeof *piece->tokens);
    for (size_t g = 0; g < reading->monitor->n_groups && status == FATHOM_OK; g++) {
        struct fathom__watch_group *group = &reading->monitor->groups[g];
        status = fathom__group_levels(group, piece->rows[reading->hook_of[g]], piece->positions, piece->n_tokens);
        for (size_t i = 0; i < piece->n_tokens * group->n && status == FATHOM_OK; i++) {
            size_t watch = group->watches[i % group->n];
            size_t token = reading->n + i / group->n;
            reading->levels[token * n_watches + watch] = group->values[i];
            fathom__window_add(&reading->windows[watch], group->values[i]);
        }
    }
    reading->n += piece->n_tokens;
    if (status == FATHOM_OK && piece->last) {
        status = finish_document(reading, piece->text);
    }
    return status;
}

/* Distinct hook points of the groups. */
static size_t gather_hooks(struct fathom_hook *hooks, size_t *hook_of, const fathom_monitor *monitor) {
    size_t n = 0;
    for (size_t g = 0; g < monitor->n_groups; g++) {
        size_t h = 0;
        while (h < n &&
               (hooks[h].kind != monitor->groups[g].hook.kind || hooks[h].layer != monitor->groups[g].hook.layer)) {
            h++;
        }
        hooks[h] = monitor->groups[g].hook;
        hook_of[g] = h;
        n = h == n ? n + 1 : n;
    }
    return n;
}

int fathom_monitor_run(fathom_monitor *monitor, const struct fathom_texts *texts, fathom_reading_fn fn, void *payload) {
    struct reading reading = {.monitor = monitor, .fn = fn, .payload = payload};
    struct fathom_hook *hooks = NULL;
    size_t n_hooks = 0;
    int status = FATHOM_OK;
    if (monitor->n == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "the monitor watches nothing");
    }
    status = fathom__alloc(&hooks, monitor->n_groups, sizeof *hooks);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.hook_of, monitor->n_groups, sizeof *reading.hook_of);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.windows, monitor->n, sizeof *reading.windows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.document, monitor->n, sizeof *reading.document);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.alerts, monitor->n, sizeof *reading.alerts);
    }
    for (size_t w = 0; w < monitor->n && status == FATHOM_OK; w++) {
        status = fathom__window_start(&reading.windows[w], monitor->watches[w].window);
    }
    if (status == FATHOM_OK) {
        n_hooks = gather_hooks(hooks, reading.hook_of, monitor);
        status = fathom__read_texts(monitor->model, texts, hooks, n_hooks, read_piece, &reading);
    }
    for (size_t w = 0; w < monitor->n && reading.windows != NULL; w++) {
        fathom__window_free(&reading.windows[w]);
    }
    fathom_free(reading.alerts);
    fathom_free(reading.document);
    fathom_free(reading.windows);
    fathom_free(reading.hook_of);
    fathom_free(reading.turned);
    fathom_free(reading.levels);
    fathom_free(reading.tokens);
    fathom_free(hooks);
    return status;
}
