/* What commands that generate text share: sampling options, and text that streams out in whole characters. */
#ifndef FATHOM_CLI_GENERATION_H
#define FATHOM_CLI_GENERATION_H

#include "cli.h"
#include <fathom/session.h>

/* How a question becomes a prompt. */
#define CLI_OPTIONS_FRAME                                                                                              \
    {"chat", 0, CLI_FLAG, NULL, "ask as the user's turn of a chat (where the model has a template)", false, false},    \
        {"raw", 0, CLI_FLAG, NULL, "take the prompt as it stands", false, false},                                      \
        {"prefix", 0, CLI_TEXT, "TEXT", "with --raw: put before every prompt", false, false}, {                        \
        "suffix", 0, CLI_TEXT, "TEXT", "with --raw: put after every prompt", false, false                              \
    }
#define CLI_OPTIONS_SAMPLING                                                                                             \
    {"max-tokens", 'n', CLI_INTEGER, "N", "most tokens to generate (256)", false, false},                                \
        {"temperature", 0, CLI_NUMBER, "T", "0 always takes the likeliest token (0.7)", false, false},                   \
        {"top-k", 0, CLI_INTEGER, "K", "draw from the K likeliest tokens; 0 from all (40)", false, false},               \
        {"top-p", 0, CLI_NUMBER, "P", "draw from the likeliest tokens that make up P; 1 from all (0.95)", false, false}, \
        {"min-p", 0, CLI_NUMBER, "P", "leave out tokens less likely than P times the likeliest (0.05)", false, false},   \
        {"repeat-penalty", 0, CLI_NUMBER, "R", "divide the logits of recent tokens by R; 1 is off (1)", false, false},   \
        {"frequency-penalty", 0, CLI_NUMBER, "R", "take R from a logit for each recent occurrence (0)", false, false},   \
        {"presence-penalty", 0, CLI_NUMBER, "R", "take R from the logits of recent tokens (0)", false, false},           \
        {"penalty-window", 0, CLI_INTEGER, "N", "tokens that count as recent (64)", false, false}, CLI_OPTION_SEED

#define CLI_OPTIONS_SESSION                                                                                            \
    {"context", 0, CLI_INTEGER, "N", "tokens of context (2048, or what the model was trained on)", false, false},      \
        {"kv-type", 0, CLI_CHOICE, "f16|f32|q8_0", "type of the keys and values that are kept (f16)", false, false},   \
        CLI_OPTION_THREADS

/* Read the options above. False after a usage error. */
bool cli_session_options(struct fathom_session_options *options, const struct cli_arguments *arguments);
bool cli_sampling(struct fathom_sampling *sampling, uint32_t *max_tokens, const struct cli_arguments *arguments);

/* Text on its way out: bytes that end inside a character wait for the rest of it. */
struct cli_stream {
    FILE *file; /* NULL: nothing is printed */
    char *text; /* all of it */
    size_t length, shown, capacity;
};
int cli_stream_add(struct cli_stream *stream, const char *bytes, size_t n_bytes); /* FATHOM_OK, MEMORY */
int cli_stream_end(struct cli_stream *stream);                                    /* prints what still waits; as add */
void cli_stream_free(struct cli_stream *stream);

/* One generation: what came, token by token. */
struct cli_generation {
    struct cli_stream stream;
    const fathom_model *model;
    bool keep_tokens;
    json_t *tokens;           /* with keep_tokens: an array of {id, text, bytes, logprob} */
    size_t n_tokens;          /* without the end token */
    double log_probability;   /* sum over them */
    bool ended;               /* by an end token */
    int status;               /* of what failed inside the callback */
    double first_at, last_at; /* seconds of the first and the last token */
};
/* A fathom_generate_fn; payload is a struct cli_generation. */
int cli_generation_token(const struct fathom_generated *token, void *payload);
void cli_generation_free(struct cli_generation *generation);

#endif
