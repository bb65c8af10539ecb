/* /api/watch and /api/probes/NAME/apply: texts read in the batch, with the levels of monitors at every token and over each text. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "detect/window.h"
#include "server/feature_json.h"
#include "server/handlers.h"
#include "server/inside.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST_TEXTS = 64, MOST_WINDOW = 4096 };

struct watched_text {
    int32_t *tokens;
    size_t n;
    fathom__job *job;
};

struct watching {
    struct fathom__exchange *exchange;
    struct fathom__inside inside;
    uint32_t windows[FATHOM__MOST_WATCHES];
    struct watched_text *texts;
    size_t n_texts;
    bool full;
};

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static int submit(struct watching *watching, struct watched_text *text, const json_t *value) {
    const fathom_server *server = watching->exchange->server;
    const char *words = json_string_value(value);
    if (!words)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"texts\": a list of 1 to %d texts is expected", MOST_TEXTS);
    int status =
        fathom_tokenize(&text->tokens, &text->n, server->options.model, words, json_string_length(value), true, false);
    if (status) return status;
    struct fathom__job_request request = {.tokens = text->tokens,
                                          .n = text->n,
                                          .client = fathom__connection_number(watching->exchange->patience),
                                          .deadline = watching->exchange->begun + server->options.request_seconds};
    fathom__inside_ask(&request, &watching->inside, server);
    status = fathom__job_submit(&text->job, server->batcher, &request);
    watching->full = status == FATHOM_ERROR_LIMIT;
    return status;
}

/* Reads the request's texts with the monitors of `inside`. */
static int read_texts(struct watching *watching) {
    const json_t *texts = json_object_get(watching->exchange->request, "texts");
    const size_t n = json_array_size(texts);
    if (n == 0 || n > MOST_TEXTS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"texts\": a list of 1 to %d texts is expected", MOST_TEXTS);
    watching->inside.whole_prompt = true;
    int status = fathom__alloc(&watching->texts, n, sizeof *watching->texts);
    if (!status) watching->n_texts = n;
    for (size_t i = 0; i < n && !status; i++)
        status = submit(watching, &watching->texts[i], json_array_get(texts, i));
    for (size_t i = 0; i < n && !status; i++)
        status = fathom__wait_for_reading(watching->exchange, watching->texts[i].job);
    return status;
}

/* A text's level by one monitor. */
static int document_level(double *out, const struct watching *watching, const struct watched_text *text, size_t watch) {
    const float *levels = fathom__job_prompt_levels(text->job);
    struct fathom__window window;
    const int status = fathom__window_start(&window, watching->windows[watch]);
    for (size_t i = 0; i < text->n && !status; i++)
        (void)fathom__window_add(&window, (double)levels[i * watching->inside.n_watches + watch]);
    *out = status ? NAN : fathom__window_document(&window);
    if (!status) fathom__window_free(&window);
    return status;
}

/* Gives the reply of what was done, or an error's, and lets go of everything. */
static int finish(struct watching *watching, int status, json_t *reply) {
    if (watching->full)
        status = fathom__refuse_full(watching->exchange);
    else if (!status)
        status = fathom__reply_json(watching->exchange, MHD_HTTP_OK, json_incref(reply));
    json_decref(reply);
    for (size_t i = 0; i < watching->n_texts; i++) {
        fathom__job_close(watching->texts[i].job);
        fathom_free(watching->texts[i].tokens);
    }
    fathom_free(watching->texts);
    fathom__inside_free(&watching->inside);
    return status;
}

/* Watching ----------------------------------------------------------------------------------------------- */

/* What a monitor of "watch" has beside its feature or probe: when it alerts. */
static int read_window(uint32_t *out, const struct fathom_watch *watch, const json_t *entry, size_t index) {
    const json_t *given = json_object_get(entry, "window");
    const char *text = json_string_value(given);
    /* A mean of log-odds is the log-odds of the mean, which such a probe's threshold was made for. */
    const bool of_mean = watch->probe && fathom_probe_describe(watch->probe)->pool == FATHOM_POOL_MEAN;
    *out = of_mean ? FATHOM_WINDOW_DOCUMENT : 1;
    if (watch->above >= DBL_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "watch[%zu]: \"above\" is missing: the level from which it alerts",
                            index);
    if (!given || json_is_null(given)) return FATHOM_OK;
    if (text && strcmp(text, "document") == 0) {
        *out = FATHOM_WINDOW_DOCUMENT;
        return FATHOM_OK;
    }
    if (!json_is_integer(given) || json_integer_value(given) < 1 || json_integer_value(given) > MOST_WINDOW)
        return fathom__fail(FATHOM_ERROR_FORMAT, "watch[%zu]: \"window\": 1 to %d or \"document\" is expected", index,
                            MOST_WINDOW);
    *out = (uint32_t)json_integer_value(given);
    return FATHOM_OK;
}

static json_t *tokens_json(const struct watching *watching, const struct watched_text *text) {
    json_t *tokens = json_array();
    for (size_t i = 0; i < text->n; i++) {
        json_t *token = fathom__feature_token_json(watching->exchange->server, text->tokens[i]);
        fathom__inside_token_json(token, &watching->inside, fathom__job_prompt_levels(text->job),
                                  fathom__job_prompt_features(text->job), i);
        json_array_append_new(tokens, token);
    }
    return tokens;
}

static int text_json(json_t *list, size_t *n_alerts, const struct watching *watching, const struct watched_text *text) {
    json_t *levels = json_array(), *alerts = json_array();
    bool any = false;
    int status = FATHOM_OK;
    for (size_t w = 0; w < watching->inside.n_watches && !status; w++) {
        double level = NAN;
        status = document_level(&level, watching, text, w);
        const bool alert = level >= watching->inside.watches[w].above;
        any = any || alert;
        json_array_append_new(levels, number(level));
        json_array_append_new(alerts, json_boolean(alert));
    }
    *n_alerts += any;
    json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:b}", "tokens", tokens_json(watching, text), "levels",
                                          levels, "alerts", alerts, "alert", (int)any));
    return status;
}

/* The monitors, as fathom__inside_watches_json has them, and their windows. */
static json_t *watches_json(const struct watching *watching) {
    json_t *list = fathom__inside_watches_json(&watching->inside, watching->exchange->server), *entry;
    size_t i;
    json_array_foreach (list, i, entry) {
        const uint32_t window = watching->windows[i];
        json_object_set_new(entry, "window",
                            window == FATHOM_WINDOW_DOCUMENT ? json_string("document") : json_integer(window));
    }
    return list;
}

int fathom__handle_watch(struct fathom__exchange *exchange) {
    struct watching watching = {.exchange = exchange};
    const json_t *watches = json_object_get(exchange->request, "watch");
    json_t *texts = NULL, *reply = NULL;
    size_t n_alerts = 0;
    int status = fathom__inside_read(&watching.inside, exchange);
    if (!status && watching.inside.n_watches == 0)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"watch\": a list of features and probes is expected");
    for (size_t i = 0; i < watching.inside.n_watches && !status; i++)
        status = read_window(&watching.windows[i], &watching.inside.watches[i], json_array_get(watches, i), i);
    if (!status) status = read_texts(&watching);
    if (!status && !(texts = json_array())) status = fathom__fail_memory(1);
    for (size_t i = 0; i < watching.n_texts && !status; i++)
        status = text_json(texts, &n_alerts, &watching, &watching.texts[i]);
    if (!status)
        reply = json_pack("{s:o, s:O, s:I}", "watch", watches_json(&watching), "texts", texts, "alerts",
                          (json_int_t)n_alerts);
    json_decref(texts);
    return finish(&watching, status, reply);
}

/* Applying a probe --------------------------------------------------------------------------------------- */

/* As a probe was trained: the mean over a text's rows, or the last one. */
static int probe_score(double *out, const struct watching *watching, const struct watched_text *text) {
    const float *levels = fathom__job_prompt_levels(text->job);
    *out = NAN;
    if (watching->windows[0] == FATHOM_WINDOW_DOCUMENT) return document_level(out, watching, text, 0);
    for (size_t i = text->n; i-- > 0 && isnan(*out);)
        *out = (double)levels[i];
    return FATHOM_OK;
}

int fathom__handle_probe_apply(struct fathom__exchange *exchange) {
    struct watching watching = {.exchange = exchange};
    json_t *list = NULL, *reply = NULL;
    size_t n_alerts = 0;
    int status = fathom__inside_watch_probe(&watching.inside, exchange->server, exchange->argument);
    const struct fathom_probe_info *about = status ? NULL : fathom_probe_describe(watching.inside.watches[0].probe);
    if (about) watching.windows[0] = about->pool == FATHOM_POOL_MEAN ? FATHOM_WINDOW_DOCUMENT : 1;
    if (!status) status = read_texts(&watching);
    if (!status && !(list = json_array())) status = fathom__fail_memory(1);
    for (size_t i = 0; i < watching.n_texts && !status; i++) {
        double score = NAN;
        status = probe_score(&score, &watching, &watching.texts[i]);
        const bool alert = score >= about->threshold;
        n_alerts += alert;
        json_array_append_new(list, json_pack("{s:o, s:o, s:b}", "score", number(score), "probability",
                                              number(1 / (1 + exp(-score))), "alert", (int)alert));
    }
    if (!status)
        reply = json_pack("{s:s, s:s, s:f, s:O, s:I}", "probe", exchange->argument, "hook", about->hook, "threshold",
                          about->threshold, "texts", list, "alerts", (json_int_t)n_alerts);
    json_decref(list);
    return finish(&watching, status, reply);
}
