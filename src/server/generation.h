/* A request for generated text, as both of OpenAI's routes have it: one or more prompts, each answered n times. */
#ifndef FATHOM_SERVER_GENERATION_H
#define FATHOM_SERVER_GENERATION_H

#include "server/call_reader.h"
#include "server/inside.h"
#include "server/tools.h"

enum { FATHOM__MOST_CHOICES = 64, FATHOM__ID_BYTES = 40, FATHOM__CALL_ID_BYTES = 10 };

struct fathom__choice {
    fathom__job *job;
    struct fathom__job_part part;      /* what was taken last */
    struct fathom__buffer text;        /* of whole replies */
    json_t *tokens, *logprobs;         /* of whole replies */
    struct fathom__call_reader reader; /* where a tool may be called */
    struct fathom__buffer arguments;   /* of the call, of whole replies */
    char call_id[FATHOM__CALL_ID_BYTES];
    size_t text_offset; /* bytes before the part's tokens, by legacy counting */
    bool begun, finished;
    enum fathom__finish finish;
};

struct fathom__generation {
    struct fathom__exchange *exchange;
    fathom_server *server;
    bool chat, streams, tells_usage;
    bool compares; /* the first of two answers is plain, and both have one seed */
    char id[FATHOM__ID_BYTES];
    long long created;
    struct fathom__inside inside;
    struct fathom__job_request job;
    const char *stops[FATHOM__MOST_STOPS];
    char *grammar; /* of "response_format"; NULL: any text */
    struct fathom__tools tools;
    int32_t **prompts;
    size_t *prompt_lengths, n_prompts;
    uint32_t n; /* answers a prompt */
    struct fathom__choice *choices;
    size_t n_choices;
    size_t next;         /* the choice that is looked at first: each gets its turn, however slowly the client reads */
    uint64_t n_answered; /* tokens */
    bool said_usage;
};

/* Reads what both kinds have in common: sampling, lengths, stops, the inside. Errors: FORMAT, UNSUPPORTED, those of
 * fathom__inside_read. */
int fathom__generation_open(struct fathom__generation **out, struct fathom__exchange *exchange, bool chat);
/* Adds a prompt; the tokens are taken over. */
int fathom__generation_add_prompt(struct fathom__generation *generation, int32_t *tokens, size_t n);
/* Runs it and sets the exchange's reply, whole or as a stream. Takes the generation. */
int fathom__generation_reply(struct fathom__generation *generation);
void fathom__generation_close(struct fathom__generation *generation);

/* JSON of what came. */
json_t *fathom__choice_logprobs(const struct fathom__generation *generation, struct fathom__choice *choice);
json_t *fathom__choice_tokens(const struct fathom__generation *generation, const struct fathom__choice *choice);
json_t *fathom__prompt_tokens_json(const struct fathom__generation *generation, size_t choice);
json_t *fathom__usage_json(const struct fathom__generation *generation);
json_t *fathom__generation_head(const struct fathom__generation *generation, const char *object);
const char *fathom__finish_name(const struct fathom__choice *choice);
/* The error that a finished choice stands for: an HTTP status and its message; 0: none. */
unsigned fathom__finish_error(const char **code, const char **message, enum fathom__finish finish);
/* Takes what is new of any choice that has not finished, waiting for at most `seconds`; *changed tells which (NULL:
 * none). Errors: as fathom__job_take. */
int fathom__generation_take(struct fathom__choice **changed, struct fathom__generation *generation, double seconds);

/* The whole reply, and the stream's. */
int fathom__generation_whole(struct fathom__generation *generation);
int fathom__generation_events(struct fathom__buffer *out, bool *end, void *generation);

#endif
