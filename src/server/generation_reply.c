/* Replies as a whole, and as events. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/generation.h"
#include <string.h>

/* How often a waiting reply looks whether its client is still there, and at the other choices. */
#define LOOK_SECONDS 0.25
#define TURN_SECONDS 0.02

int fathom__generation_take(struct fathom__choice **changed, struct fathom__generation *generation, double seconds) {
    *changed = NULL;
    struct fathom__choice *waiting = NULL;
    int status = FATHOM_OK;
    for (size_t i = 0; i < generation->n_choices && !status; i++) {
        struct fathom__choice *choice = &generation->choices[(generation->next + i) % generation->n_choices];
        if (choice->finished) continue;
        status = fathom__job_take(&choice->part, choice->job, 0);
        if (status || choice->part.n_tokens || choice->part.length || choice->part.finish) {
            *changed = choice;
            break;
        }
        if (!waiting) waiting = choice;
    }
    if (!*changed && waiting && !status) {
        status = fathom__job_take(&waiting->part, waiting->job,
                                  generation->n_choices > 1 && seconds > TURN_SECONDS ? TURN_SECONDS : seconds);
        if (status || waiting->part.n_tokens || waiting->part.length || waiting->part.finish) *changed = waiting;
    }
    if (*changed) {
        generation->next = (size_t)(*changed - generation->choices) + 1;
        (*changed)->finish = (*changed)->part.finish;
        (*changed)->finished = (*changed)->finish != FATHOM__FINISH_NONE || status;
        generation->n_answered += (*changed)->part.n_tokens;
    }
    return status;
}

static bool all_finished(const struct fathom__generation *generation) {
    for (size_t i = 0; i < generation->n_choices; i++)
        if (!generation->choices[i].finished) return false;
    return true;
}

/* Whole replies ------------------------------------------------------------------------------------------ */

static int extend(json_t **list, json_t *more) {
    if (!*list) {
        *list = more;
        return *list ? FATHOM_OK : fathom__fail_memory(1);
    }
    const int failed = json_array_extend(*list, more);
    json_decref(more);
    return failed ? fathom__fail_memory(1) : FATHOM_OK;
}

/* Logarithms are lists in an object: "content", or the four of the legacy route. */
static int extend_logprobs(json_t **kept, json_t *more) {
    const char *key;
    json_t *list;
    if (!*kept || json_is_null(*kept)) {
        json_decref(*kept);
        *kept = more;
        return FATHOM_OK;
    }
    int failed = 0;
    json_object_foreach (more, key, list)
        failed = json_array_extend(json_object_get(*kept, key), list) || failed;
    json_decref(more);
    return failed ? fathom__fail_memory(1) : FATHOM_OK;
}

/* What the part says: its text, of which calls of tools are no part; the reader has their pieces. */
static int read_part(const char **text, size_t *length, const struct fathom__generation *generation,
                     struct fathom__choice *choice) {
    struct fathom__call_reader *reader = &choice->reader;
    const struct fathom__job_part *part = &choice->part;
    *text = part->length ? part->text : "";
    *length = part->length;
    if (!generation->tools.format) return FATHOM_OK;
    const int status = fathom__call_reader_add(reader, *text, *length, choice->finished);
    *text = reader->text.length ? reader->text.bytes : "";
    *length = reader->text.length;
    return status;
}

static int keep_part(struct fathom__generation *generation, struct fathom__choice *choice) {
    const struct fathom__buffer *arguments = &choice->reader.arguments;
    const char *text = NULL;
    size_t length = 0;
    int status = read_part(&text, &length, generation, choice);
    if (!status) status = fathom__buffer_append(&choice->text, text, length);
    if (!status && arguments->length > 0)
        status = fathom__buffer_append(&choice->arguments, arguments->bytes, arguments->length);
    if (!status && generation->job.log_probabilities)
        status = extend_logprobs(&choice->logprobs, fathom__choice_logprobs(generation, choice));
    if (!status && fathom__inside_tells(&generation->inside))
        status = extend(&choice->tokens, fathom__choice_tokens(generation, choice));
    return status;
}

/* A call with its name; arguments, whole or a piece of them, are taken. */
static json_t *call_json(const struct fathom__choice *choice, json_t *arguments) {
    return json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", choice->call_id, "type", "function", "function", "name",
                     choice->reader.name.bytes, "arguments", arguments);
}

static json_t *buffer_json(const struct fathom__buffer *buffer) {
    return fathom__json_string(buffer->length ? buffer->bytes : "", buffer->length);
}

static json_t *message_json(const struct fathom__choice *choice) {
    const bool calls = choice->reader.state > FATHOM__CALL_NAME;
    const struct fathom__buffer *text = &choice->text;
    const bool blank = !text->length || strspn(text->bytes, " \t\r\n") == text->length;
    json_t *message = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content",
                                calls && blank ? json_null() : buffer_json(text), "refusal");
    if (calls)
        json_object_set_new(message, "tool_calls",
                            json_pack("[o]", call_json(choice, buffer_json(&choice->arguments))));
    return message;
}

static json_t *choice_json(const struct fathom__generation *generation, size_t index) {
    const struct fathom__choice *choice = &generation->choices[index];
    json_t *out = json_pack("{s:I, s:O?, s:s}", "index", (json_int_t)index, "logprobs", choice->logprobs,
                            "finish_reason", fathom__finish_name(choice));
    if (generation->chat)
        json_object_set_new(out, "message", message_json(choice));
    else
        json_object_set_new(out, "text", buffer_json(&choice->text));
    if (choice->tokens) json_object_set(out, "tokens", choice->tokens);
    if (generation->inside.whole_prompt)
        json_object_set_new(out, "prompt_tokens", fathom__prompt_tokens_json(generation, index));
    return out;
}

int fathom__generation_whole(struct fathom__generation *generation) {
    while (!all_finished(generation)) {
        struct fathom__choice *choice = NULL;
        const char *code = NULL, *message = NULL;
        int status = fathom__generation_take(&choice, generation, LOOK_SECONDS);
        if (!status && choice) status = keep_part(generation, choice);
        if (status) return status;
        const unsigned failed = choice ? fathom__finish_error(&code, &message, choice->finish) : 0;
        if (failed) return fathom__refuse(generation->exchange, failed, code, NULL, "%s", message);
        if (!choice && fathom__exchange_gone(generation->exchange))
            return fathom__fail(FATHOM_ERROR_STOPPED, "the client has gone");
    }
    json_t *reply = fathom__generation_head(generation, generation->chat ? "chat.completion" : "text_completion");
    json_t *choices = json_array();
    for (size_t i = 0; i < generation->n_choices; i++)
        json_array_append_new(choices, choice_json(generation, i));
    json_object_set_new(reply, "choices", choices);
    json_object_set_new(reply, "usage", fathom__usage_json(generation));
    return fathom__reply_json(generation->exchange, MHD_HTTP_OK, reply);
}

/* Events ------------------------------------------------------------------------------------------------- */

static int put_event(struct fathom__buffer *out, json_t *value) {
    char *text = NULL;
    int status = fathom__json_text(&text, value, false);
    json_decref(value);
    if (!status) status = fathom__buffer_format(out, "data: %s\n\n", text);
    fathom_free(text);
    return status;
}

static json_t *chunk_head(const struct fathom__generation *generation) {
    return fathom__generation_head(generation, generation->chat ? "chat.completion.chunk" : "text_completion");
}

static int put_choice(struct fathom__buffer *out, const struct fathom__generation *generation, size_t index,
                      json_t *delta, json_t *logprobs, const char *finish, json_t *tokens, json_t *prompt_tokens) {
    json_t *choice = json_pack("{s:I, s:o, s:o, s:s?}", "index", (json_int_t)index, generation->chat ? "delta" : "text",
                               delta, "logprobs", logprobs, "finish_reason", finish);
    json_t *chunk = chunk_head(generation);
    if (tokens) json_object_set_new(choice, "tokens", tokens);
    if (prompt_tokens) json_object_set_new(choice, "prompt_tokens", prompt_tokens);
    json_object_set_new(chunk, "choices", json_pack("[o]", choice));
    if (generation->tells_usage) json_object_set_new(chunk, "usage", json_null());
    return put_event(out, chunk);
}

/* A chat's answer begins with its role. */
static int put_beginning(struct fathom__buffer *out, struct fathom__generation *generation, size_t index) {
    struct fathom__choice *choice = &generation->choices[index];
    if (choice->begun) return FATHOM_OK;
    choice->begun = true;
    if (!generation->chat && !generation->inside.whole_prompt) return FATHOM_OK;
    json_t *delta = generation->chat ? json_pack("{s:s, s:s}", "role", "assistant", "content", "") : json_string("");
    return put_choice(out, generation, index, delta, json_null(), NULL, NULL,
                      generation->inside.whole_prompt ? fathom__prompt_tokens_json(generation, index) : NULL);
}

/* What a chunk adds to a message. The first piece of a call has its name. */
static json_t *delta_json(const struct fathom__choice *choice, json_t *text, bool said) {
    const struct fathom__call_reader *reader = &choice->reader;
    json_t *delta = json_object(), *call = NULL;
    if (said) json_object_set(delta, "content", text);
    json_decref(text);
    if (reader->named)
        call = call_json(choice, buffer_json(&reader->arguments));
    else if (reader->arguments.length > 0)
        call = json_pack("{s:{s:o}}", "function", "arguments", buffer_json(&reader->arguments));
    if (call) {
        json_object_set_new(call, "index", json_integer(0));
        json_object_set_new(delta, "tool_calls", json_pack("[o]", call));
    }
    return delta;
}

static int put_part(struct fathom__buffer *out, struct fathom__generation *generation, size_t index) {
    struct fathom__choice *choice = &generation->choices[index];
    const bool tells = fathom__inside_tells(&generation->inside);
    const char *text = NULL;
    size_t length = 0;
    const int status = read_part(&text, &length, generation, choice);
    const bool calls = choice->reader.named || choice->reader.arguments.length > 0;
    const bool shown =
        choice->part.n_tokens > 0 && (!generation->tools.format || generation->job.log_probabilities || tells);
    if (status || (!shown && !calls && length == 0)) return status;
    json_t *said = fathom__json_string(text, length);
    return put_choice(out, generation, index,
                      generation->chat ? delta_json(choice, said, length > 0 || !generation->tools.format) : said,
                      fathom__choice_logprobs(generation, choice), NULL,
                      tells ? fathom__choice_tokens(generation, choice) : NULL, NULL);
}

static int put_end(struct fathom__buffer *out, struct fathom__generation *generation, size_t index) {
    return put_choice(out, generation, index, generation->chat ? json_object() : json_string(""), json_null(),
                      fathom__finish_name(&generation->choices[index]), NULL, NULL);
}

static int put_failure(struct fathom__buffer *out, bool *end, unsigned http_status, const char *code,
                       const char *message) {
    *end = true;
    return put_event(out, fathom__error_json(http_status, code, NULL, message));
}

static int put_last(struct fathom__buffer *out, bool *end, struct fathom__generation *generation) {
    int status = FATHOM_OK;
    if (generation->tells_usage) {
        json_t *chunk = chunk_head(generation);
        json_object_set_new(chunk, "choices", json_array());
        json_object_set_new(chunk, "usage", fathom__usage_json(generation));
        status = put_event(out, chunk);
    }
    *end = true;
    return status ? status : fathom__buffer_text(out, "data: [DONE]\n\n");
}

int fathom__generation_events(struct fathom__buffer *out, bool *end, void *payload) {
    struct fathom__generation *generation = payload;
    struct fathom__choice *choice = NULL;
    const char *code = NULL, *message = NULL;
    if (all_finished(generation)) return put_last(out, end, generation);
    int status = fathom__generation_take(&choice, generation, LOOK_SECONDS);
    if (status)
        return put_failure(out, end, fathom__http_status(status), fathom_error_name(status), fathom_error_message());
    if (!choice)
        return fathom__exchange_gone(generation->exchange) ? fathom__fail(FATHOM_ERROR_STOPPED, "the client has gone")
                                                           : FATHOM_OK;
    const size_t index = (size_t)(choice - generation->choices);
    status = put_beginning(out, generation, index);
    if (!status) status = put_part(out, generation, index);
    if (status || !choice->finished) return status;
    const unsigned failed = fathom__finish_error(&code, &message, choice->finish);
    return failed ? put_failure(out, end, failed, code, message) : put_end(out, generation, index);
}
