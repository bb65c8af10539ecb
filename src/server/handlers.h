/* The routes' handlers, and what several of them read. */
#ifndef FATHOM_SERVER_HANDLERS_H
#define FATHOM_SERVER_HANDLERS_H

#include "server/exchange.h"

int fathom__handle_health(struct fathom__exchange *exchange);
int fathom__handle_metrics(struct fathom__exchange *exchange);
int fathom__handle_openapi(struct fathom__exchange *exchange);
int fathom__handle_models(struct fathom__exchange *exchange);
int fathom__handle_model(struct fathom__exchange *exchange);
int fathom__handle_chat(struct fathom__exchange *exchange);
int fathom__handle_completions(struct fathom__exchange *exchange);
int fathom__handle_embeddings(struct fathom__exchange *exchange);
int fathom__handle_tokenize(struct fathom__exchange *exchange);
int fathom__handle_detokenize(struct fathom__exchange *exchange);
int fathom__handle_status(struct fathom__exchange *exchange);
int fathom__handle_hooks(struct fathom__exchange *exchange);
int fathom__handle_features(struct fathom__exchange *exchange);
int fathom__handle_feature(struct fathom__exchange *exchange);
int fathom__handle_label(struct fathom__exchange *exchange);
int fathom__handle_search(struct fathom__exchange *exchange);
int fathom__handle_activations(struct fathom__exchange *exchange);
int fathom__handle_probes(struct fathom__exchange *exchange);
int fathom__handle_probe_apply(struct fathom__exchange *exchange);
int fathom__handle_watch(struct fathom__exchange *exchange);
int fathom__handle_steer(struct fathom__exchange *exchange);
int fathom__handle_explain(struct fathom__exchange *exchange);
int fathom__handle_map(struct fathom__exchange *exchange);
int fathom__handle_runs(struct fathom__exchange *exchange);
int fathom__handle_run(struct fathom__exchange *exchange);
int fathom__handle_jobs(struct fathom__exchange *exchange);
int fathom__handle_job_begin(struct fathom__exchange *exchange);
int fathom__handle_job(struct fathom__exchange *exchange);
int fathom__handle_job_resume(struct fathom__exchange *exchange);
int fathom__handle_job_delete(struct fathom__exchange *exchange);

/* The number in a request's path; `what` stands in messages. Errors: NOT_FOUND (it is none). */
int fathom__argument_number(int64_t *out, const struct fathom__exchange *exchange, const char *what);

/* Whether "model" is left out, "default" or the loaded one's name. Errors: FORMAT, NOT_FOUND. */
int fathom__check_model(const fathom_server *server, const json_t *request);
/* The tokens of a text, or of a list of tokens. New. `name` stands in messages. */
int fathom__tokens_of_json(int32_t **tokens, size_t *n, const fathom_model *model, const json_t *value,
                           const char *name);
/* "input" and "prompt" are a text, a text's tokens, or a list of either. */
int fathom__check_text(const json_t *value, const char *name);
size_t fathom__count_texts(const json_t *value);
const json_t *fathom__text_at(const json_t *value, size_t index);
/* Waits until a job that only reads has ended. STOPPED when the client goes, its time is up or the server stops. */
int fathom__wait_for_reading(struct fathom__exchange *exchange, fathom__job *job);

#endif
