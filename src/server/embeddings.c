/* /v1/embeddings: rows of any hook point, pooled over a text. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/handlers.h"
#include <math.h>
#include <string.h>

enum { MOST_INPUTS = 256 };
#define LOOK_SECONDS 0.25

enum pool { POOL_MEAN, POOL_LAST };

struct embedding {
    int32_t *tokens;
    size_t n;
    fathom__job *job;
};

struct reading {
    struct fathom_hook hook;
    size_t width;
    enum pool pool;
    bool base64, normalise;
    int64_t dimensions; /* 0: all */
};

int fathom__wait_for_reading(struct fathom__exchange *exchange, fathom__job *job) {
    struct fathom__job_part part = FATHOM__JOB_PART_INIT;
    int status = FATHOM_OK;
    do {
        status = fathom__job_take(&part, job, LOOK_SECONDS);
        if (!status && !part.finish && fathom__exchange_gone(exchange))
            status = fathom__fail(FATHOM_ERROR_STOPPED, "the client has gone");
    } while (!status && !part.finish);
    if (!status && part.finish == FATHOM__FINISH_LATE)
        status = fathom__fail(FATHOM_ERROR_STOPPED, "the text was not read when the request's time was up");
    if (!status && part.finish == FATHOM__FINISH_CLOSED)
        status = fathom__fail(FATHOM_ERROR_STOPPED, "the server is stopping");
    fathom__job_part_free(&part);
    return status;
}

static int read_options(struct reading *out, const fathom_server *server, const json_t *request) {
    const char *hook = "final_norm", *pool = "mean", *format = "float";
    uint32_t heads = 0, width = 0;
    int status = fathom__json_get_string(&hook, request, "hook", false, "request");
    if (!status) status = fathom__json_get_string(&pool, request, "pool", false, "request");
    if (!status) status = fathom__json_get_string(&format, request, "encoding_format", false, "request");
    if (!status) status = fathom__json_get_bool(&out->normalise, request, "normalise", false, "request");
    if (!status && strcmp(pool, "mean") != 0 && strcmp(pool, "last") != 0)
        status = fathom__fail(FATHOM_ERROR_FORMAT,
                              "request: \"pool\" is \"%s\", where \"mean\" or \"last\" is expected", pool);
    if (!status && strcmp(format, "float") != 0 && strcmp(format, "base64") != 0)
        status =
            fathom__fail(FATHOM_ERROR_FORMAT,
                         "request: \"encoding_format\" is \"%s\", where \"float\" or \"base64\" is expected", format);
    if (!status) status = fathom_hook_parse(&out->hook, server->options.model, hook);
    if (!status && (!fathom_hook_exists(&heads, &width, server->options.model, out->hook) || width == 0 ||
                    out->hook.kind == FATHOM_HOOK_LOGITS))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                              "request: \"hook\": %s has no row of a fixed width for every "
                              "token",
                              hook);
    out->width = (size_t)heads * width;
    out->pool = strcmp(pool, "last") == 0 ? POOL_LAST : POOL_MEAN;
    out->base64 = strcmp(format, "base64") == 0;
    if (!status)
        status =
            fathom__json_get_integer(&out->dimensions, request, "dimensions", 1, (int64_t)out->width, false, "request");
    return status;
}

static int submit(struct embedding *embedding, struct fathom__exchange *exchange, const struct reading *reading,
                  const json_t *text) {
    const struct fathom__job_request job = {.client = fathom__connection_number(exchange->patience),
                                            .deadline = exchange->begun + exchange->server->options.request_seconds,
                                            .keeps_rows = true,
                                            .hook = reading->hook,
                                            .width = reading->width};
    int status = fathom__check_text(text, "input");
    if (!status)
        status =
            fathom__tokens_of_json(&embedding->tokens, &embedding->n, exchange->server->options.model, text, "input");
    if (status) return status;
    struct fathom__job_request request = job;
    request.tokens = embedding->tokens;
    request.n = embedding->n;
    return fathom__job_submit(&embedding->job, exchange->server->batcher, &request);
}

static int pool_rows(float **out, const struct embedding *embedding, const struct reading *reading) {
    const float *rows = fathom__job_rows(embedding->job);
    const size_t width = reading->width, first = reading->pool == POOL_LAST ? embedding->n - 1 : 0;
    float *pooled = NULL;
    int status = fathom__alloc(&pooled, width, sizeof *pooled);
    for (size_t i = 0; i < width && !status; i++) {
        double sum = 0;
        for (size_t r = first; r < embedding->n; r++)
            sum += (double)rows[r * width + i];
        pooled[i] = (float)(sum / (double)(embedding->n - first));
    }
    *out = pooled;
    return status;
}

static void normalise(float *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)values[i] * (double)values[i];
    for (size_t i = 0; i < n && sum > 0; i++)
        values[i] = (float)((double)values[i] / sqrt(sum));
}

/* RFC 4648, of little-endian f32. */
static json_t *base64_json(const float *values, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)values;
    const size_t length = n * sizeof *values;
    char *text = NULL;
    if (fathom__alloc(&text, (length + 2) / 3 * 4 + 1, 1)) return NULL;
    size_t at = 0;
    for (size_t i = 0; i < length; i += 3) {
        const unsigned b = i + 1 < length ? bytes[i + 1] : 0, c = i + 2 < length ? bytes[i + 2] : 0;
        const unsigned three = (unsigned)bytes[i] << 16 | b << 8 | c;
        text[at++] = digits[three >> 18];
        text[at++] = digits[three >> 12 & 63];
        text[at++] = '=';
        text[at++] = '=';
        if (i + 1 < length) text[at - 2] = digits[three >> 6 & 63];
        if (i + 2 < length) text[at - 1] = digits[three & 63];
    }
    json_t *value = json_stringn(text, at);
    fathom_free(text);
    return value;
}

static json_t *values_json(const float *values, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static int add_result(json_t *data, size_t index, struct fathom__exchange *exchange, struct embedding *embedding,
                      const struct reading *reading) {
    float *pooled = NULL;
    int status = fathom__wait_for_reading(exchange, embedding->job);
    if (!status) status = pool_rows(&pooled, embedding, reading);
    if (status) return status;
    const size_t n = reading->dimensions ? (size_t)reading->dimensions : reading->width;
    if (reading->normalise) normalise(pooled, n);
    json_array_append_new(data,
                          json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)index, "embedding",
                                    reading->base64 ? base64_json(pooled, n) : values_json(pooled, n)));
    fathom_free(pooled);
    return FATHOM_OK;
}

static int reply(struct fathom__exchange *exchange, json_t *data, const struct reading *reading, size_t n_tokens) {
    const char *name = fathom_model_describe(exchange->server->options.model)->name;
    char hook[FATHOM_HOOK_NAME_SIZE];
    fathom_hook_name(hook, reading->hook);
    return fathom__reply_json(exchange, MHD_HTTP_OK,
                              json_pack("{s:s, s:o, s:o, s:s, s:s, s:{s:I, s:I}}", "object", "list", "data", data,
                                        "model", fathom__json_string(name, strlen(name)), "hook", hook, "pool",
                                        reading->pool == POOL_LAST ? "last" : "mean", "usage", "prompt_tokens",
                                        (json_int_t)n_tokens, "total_tokens", (json_int_t)n_tokens));
}

int fathom__handle_embeddings(struct fathom__exchange *exchange) {
    const json_t *input = json_object_get(exchange->request, "input");
    struct reading reading = {0};
    struct embedding *embeddings = NULL;
    size_t n_tokens = 0, n = 0;
    bool full = false;
    int status = fathom__check_text(input, "input");
    if (!status && (n = fathom__count_texts(input)) > MOST_INPUTS)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"input\": at most %d texts", MOST_INPUTS);
    if (!status) status = fathom__check_model(exchange->server, exchange->request);
    if (!status) status = read_options(&reading, exchange->server, exchange->request);
    if (!status) status = fathom__alloc(&embeddings, n, sizeof *embeddings);
    json_t *data = json_array();
    for (size_t i = 0; i < n && !status; i++) {
        status = submit(&embeddings[i], exchange, &reading, fathom__text_at(input, i));
        full = status == FATHOM_ERROR_LIMIT;
        n_tokens += embeddings[i].n;
    }
    for (size_t i = 0; i < n && !status; i++)
        status = add_result(data, i, exchange, &embeddings[i], &reading);
    if (!status)
        status = reply(exchange, data, &reading, n_tokens);
    else
        json_decref(data);
    if (full) status = fathom__refuse_full(exchange);
    for (size_t i = 0; embeddings && i < n; i++) {
        fathom__job_close(embeddings[i].job);
        fathom_free(embeddings[i].tokens);
    }
    fathom_free(embeddings);
    return status;
}
