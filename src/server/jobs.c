/* /api/jobs: long work beside the server. */
#include "base/error.h"
#include "server/handlers.h"
#include "server/tasks.h"

static int need_tasks(const fathom_server *server) {
    return server->tasks ? FATHOM_OK
                         : fathom__fail(FATHOM_ERROR_UNSUPPORTED, "this server has no data folder for jobs");
}

static int reply(struct fathom__exchange *exchange, int status, json_t *value) {
    if (status == FATHOM_ERROR_LIMIT)
        return fathom__refuse(exchange, MHD_HTTP_TOO_MANY_REQUESTS, "busy", NULL, "%s", fathom_error_message());
    return status ? status : fathom__reply_json(exchange, MHD_HTTP_OK, value);
}

int fathom__handle_jobs(struct fathom__exchange *exchange) {
    json_t *list = NULL;
    int status = need_tasks(exchange->server);
    if (!status) status = fathom__tasks_list(&list, exchange->server->tasks);
    return reply(exchange, status, list);
}

int fathom__handle_job_begin(struct fathom__exchange *exchange) {
    json_t *job = NULL;
    int status = need_tasks(exchange->server);
    if (!status) status = fathom__tasks_begin(&job, exchange->server->tasks, exchange->request);
    return reply(exchange, status, job);
}

static int with_number(struct fathom__exchange *exchange,
                       int (*work)(json_t **out, fathom__tasks *tasks, int64_t number)) {
    json_t *job = NULL;
    int64_t number = 0;
    int status = need_tasks(exchange->server);
    if (!status) status = fathom__argument_number(&number, exchange, "job");
    if (!status) status = work(&job, exchange->server->tasks, number);
    return reply(exchange, status, job);
}

int fathom__handle_job(struct fathom__exchange *exchange) {
    return with_number(exchange, fathom__tasks_read);
}

int fathom__handle_job_resume(struct fathom__exchange *exchange) {
    return with_number(exchange, fathom__tasks_resume);
}

int fathom__handle_job_delete(struct fathom__exchange *exchange) {
    return with_number(exchange, fathom__tasks_delete);
}
