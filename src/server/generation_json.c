/* What came of a request for text, as JSON. */
#include "base/json.h"
#include "base/memory.h"
#include "server/generation.h"
#include <math.h>
#include <string.h>

const char *fathom__finish_name(const struct fathom__choice *choice) {
    if (choice->finish == FATHOM__FINISH_LENGTH) return "length";
    return choice->reader.state == FATHOM__CALL_WHOLE ? "tool_calls" : "stop";
}

unsigned fathom__finish_error(const char **code, const char **message, enum fathom__finish finish) {
    switch (finish) {
    case FATHOM__FINISH_LATE:
        *code = "deadline";
        *message = "the answer was not complete when the request's time was up";
        return MHD_HTTP_GATEWAY_TIMEOUT;
    case FATHOM__FINISH_CLOSED:
        *code = "stopping";
        *message = "the server stopped before the answer was complete";
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default: return 0;
    }
}

static json_t *bytes_json(const char *bytes, size_t length) {
    json_t *list = json_array();
    for (size_t i = 0; i < length; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    return list;
}

static json_t *token_json(const struct fathom__generation *generation, int32_t token) {
    const char *bytes = "";
    size_t length = 0;
    (void)fathom_token_bytes(&bytes, &length, generation->server->options.model, token);
    return json_pack("{s:o, s:o}", "token", fathom__json_string(bytes, length), "bytes", bytes_json(bytes, length));
}

static json_t *token_text(const struct fathom__generation *generation, int32_t token) {
    const char *bytes = "";
    size_t length = 0;
    (void)fathom_token_bytes(&bytes, &length, generation->server->options.model, token);
    return fathom__json_string(bytes, length);
}

/* JSON has no infinity: what cannot happen has a large negative logarithm. */
static json_t *logarithm(double value) {
    static const double impossible = -9999.0;
    return json_real(isfinite(value) ? value : impossible);
}

static json_t *chat_logprobs(const struct fathom__generation *generation, const struct fathom__choice *choice) {
    const uint32_t n_top = generation->job.n_top;
    json_t *content = json_array();
    for (size_t i = 0; i < choice->part.n_tokens; i++) {
        json_t *entry = token_json(generation, choice->part.tokens[i].token), *top = json_array();
        json_object_set_new(entry, "logprob", logarithm(choice->part.tokens[i].log_probability));
        for (uint32_t k = 0; k < n_top; k++) {
            const struct fathom__candidate_token *candidate = &choice->part.top[i * n_top + k];
            json_t *other = token_json(generation, candidate->token);
            json_object_set_new(other, "logprob", logarithm((double)candidate->log_probability));
            json_array_append_new(top, other);
        }
        json_object_set_new(entry, "top_logprobs", top);
        json_array_append_new(content, entry);
    }
    return json_pack("{s:o}", "content", content);
}

/* Characters of a text, as clients count offsets. */
static size_t count_characters(const char *text, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

static json_t *legacy_logprobs(const struct fathom__generation *generation, struct fathom__choice *choice) {
    const uint32_t n_top = generation->job.n_top;
    json_t *tokens = json_array(), *values = json_array(), *tops = json_array(), *offsets = json_array();
    for (size_t i = 0; i < choice->part.n_tokens; i++) {
        json_t *text = token_text(generation, choice->part.tokens[i].token), *top = json_object();
        for (uint32_t k = 0; k < n_top; k++) {
            const struct fathom__candidate_token *candidate = &choice->part.top[i * n_top + k];
            json_t *other = token_text(generation, candidate->token);
            json_object_setn_new(top, json_string_value(other), json_string_length(other),
                                 logarithm((double)candidate->log_probability));
            json_decref(other);
        }
        json_array_append_new(offsets, json_integer((json_int_t)choice->text_offset));
        choice->text_offset += count_characters(json_string_value(text), json_string_length(text));
        json_array_append_new(tokens, text);
        json_array_append_new(values, logarithm(choice->part.tokens[i].log_probability));
        json_array_append_new(tops, top);
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values, "top_logprobs", tops,
                     "text_offset", offsets);
}

json_t *fathom__choice_logprobs(const struct fathom__generation *generation, struct fathom__choice *choice) {
    if (!generation->job.log_probabilities) return json_null();
    return generation->chat ? chat_logprobs(generation, choice) : legacy_logprobs(generation, choice);
}

json_t *fathom__choice_tokens(const struct fathom__generation *generation, const struct fathom__choice *choice) {
    json_t *list = json_array();
    for (size_t i = 0; i < choice->part.n_tokens; i++) {
        json_t *entry = token_json(generation, choice->part.tokens[i].token);
        json_object_set_new(entry, "id", json_integer(choice->part.tokens[i].token));
        fathom__inside_token_json(entry, &generation->inside, choice->part.levels, choice->part.features, i);
        json_array_append_new(list, entry);
    }
    return list;
}

json_t *fathom__prompt_tokens_json(const struct fathom__generation *generation, size_t choice) {
    const fathom__job *job = generation->choices[choice].job;
    const size_t prompt = choice / generation->n;
    json_t *list = json_array();
    for (size_t i = 0; i < generation->prompt_lengths[prompt]; i++) {
        json_t *entry = token_json(generation, generation->prompts[prompt][i]);
        json_object_set_new(entry, "id", json_integer(generation->prompts[prompt][i]));
        fathom__inside_token_json(entry, &generation->inside, fathom__job_prompt_levels(job),
                                  fathom__job_prompt_features(job), i);
        json_array_append_new(list, entry);
    }
    return list;
}

json_t *fathom__usage_json(const struct fathom__generation *generation) {
    size_t n_prompt = 0, n_cached = 0;
    for (size_t i = 0; i < generation->n_prompts; i++)
        n_prompt += generation->prompt_lengths[i];
    for (size_t i = 0; i < generation->n_choices; i += generation->n)
        n_cached += fathom__job_cached(generation->choices[i].job);
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)n_prompt, "completion_tokens",
                     (json_int_t)generation->n_answered, "total_tokens",
                     (json_int_t)(n_prompt + generation->n_answered), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)n_cached);
}

json_t *fathom__generation_head(const struct fathom__generation *generation, const char *object) {
    const struct fathom_model_info *about = fathom_model_describe(generation->server->options.model);
    json_t *head =
        json_pack("{s:s, s:s, s:I, s:o, s:s, s:I}", "id", generation->id, "object", object, "created",
                  (json_int_t)generation->created, "model", fathom__json_string(about->name, strlen(about->name)),
                  "system_fingerprint", about->identity, "seed", (json_int_t)generation->job.sampling.seed);
    if (generation->inside.n_watches)
        json_object_set_new(head, "watch", fathom__inside_watches_json(&generation->inside, generation->server));
    return head;
}
