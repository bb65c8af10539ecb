/* /api/runs: the ledger of training runs. */
#include "base/error.h"
#include "base/file.h"
#include "catalogue/ledger_json.h"
#include "server/handlers.h"
#include <string.h>

/* *out is NULL where no run was ever written down. A ledger that another process has only begun is still an empty file. */
static int open_ledger(fathom_ledger **out) {
    char *path = NULL;
    int status = fathom_ledger_path(&path);
    *out = NULL;
    if (!status && fathom__file_filled(path)) status = fathom_ledger_open(out, path, false);
    fathom_free(path);
    return status;
}

int fathom__handle_runs(struct fathom__exchange *exchange) {
    fathom_ledger *ledger = NULL;
    fathom_ledger_runs *runs = NULL;
    size_t n = 0;
    int status = open_ledger(&ledger);
    if (!status && ledger) status = fathom_ledger_list(&runs, ledger);
    fathom_ledger_close(ledger);
    if (status == FATHOM_ERROR_LIMIT) return fathom__refuse_unavailable(exchange);
    if (status) return status;
    const struct fathom_ledger_run *all = runs ? fathom_ledger_runs_get(&n, runs) : NULL;
    json_t *list = json_array();
    for (size_t i = n; i-- > 0;) { /* the latest first */
        json_t *run = fathom__ledger_run_json(&all[i]);
        json_object_del(run, "points"); /* which a list does not read */
        json_array_append_new(list, run);
    }
    fathom_ledger_runs_free(runs);
    return fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:o}", "runs", list));
}

int fathom__handle_run(struct fathom__exchange *exchange) {
    fathom_ledger *ledger = NULL;
    fathom_ledger_runs *runs = NULL;
    size_t n = 0;
    int64_t number = 0;
    int status = fathom__argument_number(&number, exchange, "run");
    if (!status) status = open_ledger(&ledger);
    if (!status && !ledger) status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "no run was written down yet");
    if (!status) status = fathom_ledger_read(&runs, ledger, number);
    fathom_ledger_close(ledger);
    if (status == FATHOM_ERROR_LIMIT) return fathom__refuse_unavailable(exchange);
    if (!status)
        status = fathom__reply_json(exchange, MHD_HTTP_OK, fathom__ledger_run_json(fathom_ledger_runs_get(&n, runs)));
    fathom_ledger_runs_free(runs);
    return status;
}
