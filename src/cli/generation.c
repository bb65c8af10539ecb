#include "generation.h"
#include <base/buffer.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/thread.h>
#include <base/utf8.h>
#include <string.h>

enum { DEFAULT_MAX_TOKENS = 256 };

bool cli_session_options(struct fathom_session_options *options, const struct cli_arguments *arguments) {
    static const char *const types[] = {[FATHOM_KV_F16] = "f16", [FATHOM_KV_F32] = "f32", [FATHOM_KV_Q8_0] = "q8_0"};
    const char *type = cli_text(arguments, "kv-type", types[FATHOM_KV_F16]);
    int64_t threads, context;
    if (!cli_integer(&threads, arguments, "threads", 1, 512, 0) ||
        !cli_integer(&context, arguments, "context", 1, INT32_MAX / 2, 0))
        return false;
    *options = (struct fathom_session_options){.n_threads = (uint32_t)threads, .n_context = (uint32_t)context};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0) options->kv_type = (enum fathom_kv_type)i;
    return true;
}

bool cli_sampling(struct fathom_sampling *sampling, uint32_t *max_tokens, const struct cli_arguments *arguments) {
    int64_t most, top_k, window, seed;
    double temperature, top_p, min_p, repeat, frequency, presence;
    if (!cli_integer(&most, arguments, "max-tokens", 0, INT32_MAX, DEFAULT_MAX_TOKENS) ||
        !cli_number(&temperature, arguments, "temperature", 0.0, 100.0, 0.7) ||
        !cli_integer(&top_k, arguments, "top-k", 0, INT32_MAX, 40) ||
        !cli_number(&top_p, arguments, "top-p", 0.0, 1.0, 0.95) ||
        !cli_number(&min_p, arguments, "min-p", 0.0, 1.0, 0.05) ||
        !cli_number(&repeat, arguments, "repeat-penalty", 0.01, 100.0, 1.0) ||
        !cli_number(&frequency, arguments, "frequency-penalty", -100.0, 100.0, 0.0) ||
        !cli_number(&presence, arguments, "presence-penalty", -100.0, 100.0, 0.0) ||
        !cli_integer(&window, arguments, "penalty-window", 1, INT32_MAX, 64) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return false;
    *max_tokens = (uint32_t)most;
    *sampling = (struct fathom_sampling){.seed = (uint64_t)seed,
                                         .temperature = (float)temperature,
                                         .top_k = (int32_t)top_k,
                                         .top_p = (float)top_p,
                                         .min_p = (float)min_p,
                                         .repeat_penalty = (float)repeat,
                                         .frequency_penalty = (float)frequency,
                                         .presence_penalty = (float)presence,
                                         .penalty_window = (int32_t)window};
    return true;
}

/* Shows what has come up to there; bytes that are no characters become U+FFFD. */
static int show(struct cli_stream *stream, size_t up_to) {
    struct fathom__buffer clean = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    int status = FATHOM_OK;
    if (stream->file != NULL && up_to > stream->shown) {
        status = fathom__utf8_append_clean(&clean, stream->text + stream->shown, up_to - stream->shown);
        if (!status) cli_print_level(stream->file, clean.bytes, clean.length, 0.0);
        fflush(stream->file);
        fathom__buffer_free(&clean);
    }
    stream->shown = up_to;
    return status;
}

int cli_stream_add(struct cli_stream *stream, const char *bytes, size_t n_bytes) {
    int status = fathom__grow(&stream->text, &stream->capacity, stream->length + n_bytes, 1);
    if (status) return status;
    memcpy(stream->text + stream->length, bytes, n_bytes);
    stream->length += n_bytes;
    size_t whole = fathom__utf8_whole(stream->text + stream->shown, stream->length - stream->shown);
    return show(stream, stream->shown + whole);
}

int cli_stream_end(struct cli_stream *stream) {
    return show(stream, stream->length);
}

void cli_stream_free(struct cli_stream *stream) {
    fathom_free(stream->text);
    *stream = (struct cli_stream){0};
}

/* A token may be part of a character: its bytes stand beside its text. */
static json_t *token_json(const struct fathom_generated *token) {
    json_t *bytes = json_array(), *value = json_object();
    for (size_t i = 0; i < token->n_bytes; i++)
        json_array_append_new(bytes, json_integer((unsigned char)token->bytes[i]));
    json_object_set_new(value, "id", json_integer(token->token));
    json_object_set_new(value, "text", fathom__json_string(token->bytes, token->n_bytes));
    json_object_set_new(value, "bytes", bytes);
    json_object_set_new(value, "logprob", json_real(token->log_probability));
    return value;
}

int cli_generation_token(const struct fathom_generated *token, void *payload) {
    struct cli_generation *generation = payload;
    generation->last_at = fathom__seconds();
    if (token->index == 0) generation->first_at = generation->last_at;
    generation->ended = token->end;
    if (!token->end) {
        generation->status = cli_stream_add(&generation->stream, token->bytes, token->n_bytes);
        generation->n_tokens++;
        generation->log_probability += token->log_probability;
        if (generation->keep_tokens) {
            if (generation->tokens == NULL) generation->tokens = json_array();
            json_array_append_new(generation->tokens, token_json(token));
        }
    }
    return generation->status || cli_interrupted();
}

void cli_generation_free(struct cli_generation *generation) {
    cli_stream_free(&generation->stream);
    json_decref(generation->tokens);
    *generation = (struct cli_generation){0};
}
