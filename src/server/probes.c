#include "server/probes.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/handlers.h"
#include <math.h>
#include <string.h>

int fathom__probe_named(fathom_probe **out, const fathom_server *server, const char *name) {
    char *path = NULL;
    fathom_probe *probe = NULL;
    if (!server->tasks)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "\"%.100s\": this server has no data folder for probes", name);
    int status = fathom__task_file(&path, fathom__tasks_place(server->tasks), FATHOM__TASK_PROBES, name);
    if (!status) status = fathom_probe_open(&probe, path);
    if (!status) status = fathom_probe_match(NULL, probe, server->options.model);
    fathom_free(path);
    if (!status)
        *out = probe;
    else
        fathom_probe_close(probe);
    return status;
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* One that cannot be used says why. */
static json_t *probe_json(const fathom_server *server, const char *name) {
    fathom_probe *probe = NULL;
    if (fathom__probe_named(&probe, server, name)) {
        const char *message = fathom_error_message();
        return json_pack("{s:s, s:o}", "probe", name, "trouble", fathom__json_string(message, strlen(message)));
    }
    const struct fathom_probe_info *about = fathom_probe_describe(probe);
    json_t *value = json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:I}", "probe", name, "hook", about->hook, "pool",
                              about->pool == FATHOM_POOL_LAST ? "last" : "mean", "threshold", number(about->threshold),
                              "cross_validated_auroc", number(about->cross_validated_auroc), "positive",
                              (json_int_t)about->n_positive, "negative", (json_int_t)about->n_negative);
    fathom_probe_close(probe);
    return value;
}

int fathom__handle_probes(struct fathom__exchange *exchange) {
    const fathom_server *server = exchange->server;
    json_t *list = json_array(), *name;
    json_t *names =
        server->tasks ? fathom__task_files(fathom__tasks_place(server->tasks), FATHOM__TASK_PROBES) : json_array();
    size_t i;
    json_array_foreach (names, i, name) {
        json_array_append_new(list, probe_json(server, json_string_value(name)));
    }
    json_decref(names);
    return fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:o}", "probes", list));
}
