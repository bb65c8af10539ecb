#include "generation.h"
#include "steer_plan.h"
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEMPLATE_LIMIT = 1 << 20 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS,
    {"message", 'p', CLI_TEXT, "TEXT", "say this and leave after the answer; given several times, one after another",
     true, false},
    {"system", 0, CLI_TEXT, "TEXT", "a system message to begin with", false, false},
    {"chat-template", 0, CLI_FILE, "FILE", "a Jinja template instead of the model's own", false, false},
    CLI_OPTION_PLAN,
    CLI_OPTIONS_SESSION,
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* A conversation and what runs it. */
struct chat {
    const struct cli_arguments *arguments;
    fathom_model *model;
    fathom_session *session;
    char *chat_template;
    struct fathom_chat_message *messages; /* roles are literals, contents are owned */
    size_t n, capacity;
    struct fathom_sampling sampling;
    uint32_t max_tokens;
    json_t *answers;
    fathom_steer *plan; /* NULL: none */
    json_t *document;   /* of the plan */
    fathom_steering *steering;
};

static int add(struct chat *chat, const char *role, const char *content, size_t length) {
    int status = fathom__grow(&chat->messages, &chat->capacity, chat->n + 1, sizeof *chat->messages);
    char *copy = NULL;
    if (!status) status = fathom__copy_bytes(&copy, content, length);
    if (!status) chat->messages[chat->n++] = (struct fathom_chat_message){role, copy};
    return status;
}

static void forget_last(struct chat *chat) {
    /* The contents are ours; the public struct only lends them. */
    char *content;
    memcpy(&content, &chat->messages[--chat->n].content, sizeof content);
    fathom_free(content);
}

/* Asks for the answer to the messages so far and adds it to them. */
static int answer(struct chat *chat) {
    bool json = cli_json(chat->arguments);
    struct cli_generation generation = {.model = chat->model, .stream.file = json ? NULL : stdout};
    char *text = NULL, *clean = NULL;
    int32_t *tokens = NULL;
    size_t n = 0;
    int status = fathom_chat_render(&text, chat->model, chat->messages, chat->n, true, chat->chat_template);
    if (!status) status = fathom_tokenize(&tokens, &n, chat->model, text, strlen(text), false, true);
    if (!status && chat->steering) status = fathom_steering_prompt(chat->steering, 0, (int32_t)n);
    if (!status)
        status = fathom_generate(NULL, chat->session, tokens, n, chat->max_tokens, &chat->sampling,
                                 cli_generation_token, &generation);
    if (!status) status = generation.status;
    int ended = cli_stream_end(&generation.stream);
    if (!status) status = ended;
    if (!json) putchar('\n');
    if (!status)
        status =
            fathom__utf8_clean(&clean, generation.stream.text ? generation.stream.text : "", generation.stream.length);
    if (!status) status = add(chat, "assistant", clean, strlen(clean));
    if (!status && json)
        json_array_append_new(chat->answers,
                              json_pack("{s:s, s:s, s:I, s:I, s:f}", "text", clean, "finish",
                                        generation.ended    ? "end"
                                        : cli_interrupted() ? "interrupted"
                                                            : "length",
                                        "prompt_tokens", (json_int_t)n, "tokens", (json_int_t)generation.n_tokens,
                                        "log_probability", generation.log_probability));
    cli_generation_free(&generation);
    fathom_free(clean);
    fathom_free(tokens);
    fathom_free(text);
    return status;
}

/* Reads lines until the end of input or an empty one; what goes wrong with one message leaves the others in place. */
static int converse(struct chat *chat) {
    bool terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t size = 0;
    int status = CLI_OK;
    if (terminal) cli_print_dim(stderr, "an empty line ends the conversation\n");
    while (!cli_interrupted()) {
        if (terminal) {
            cli_print_bold(stdout, "> ");
            fflush(stdout);
        }
        ssize_t length = getline(&line, &size, stdin);
        if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
        if (length <= 0) break;
        int code = FATHOM_OK;
        size_t before = chat->n;
        code = add(chat, "user", line, (size_t)length);
        if (!code) code = answer(chat);
        if (!code) continue;
        status = cli_fail(chat->arguments, code);
        while (chat->n > before)
            forget_last(chat);
        if (!terminal) break;
    }
    free(line);
    return cli_interrupted() ? CLI_STOPPED : status;
}

static int say_all(struct chat *chat, const char *const *messages, size_t n) {
    for (size_t i = 0; i < n && !cli_interrupted(); i++) {
        if (n > 1 && !cli_json(chat->arguments)) {
            cli_print_bold(stdout, "> ");
            puts(messages[i]);
        }
        int code = add(chat, "user", messages[i], strlen(messages[i]));
        if (!code) code = answer(chat);
        if (code) return cli_fail(chat->arguments, code);
    }
    return cli_interrupted() ? CLI_STOPPED : CLI_OK;
}

static json_t *messages_json(const struct chat *chat) {
    json_t *array = json_array();
    for (size_t i = 0; i < chat->n; i++) {
        json_t *message = json_object();
        json_object_set_new(message, "role", json_string(chat->messages[i].role));
        json_object_set_new(message, "content",
                            fathom__json_string(chat->messages[i].content, strlen(chat->messages[i].content)));
        json_array_append_new(array, message);
    }
    return array;
}

static int run(struct cli_arguments *arguments) {
    struct chat chat = {.arguments = arguments, .answers = json_array()};
    struct fathom_session_options session;
    size_t n = 0, length = 0;
    int status = CLI_USAGE;
    if (!cli_sampling(&chat.sampling, &chat.max_tokens, arguments) || !cli_session_options(&session, arguments))
        goto done;
    chat.model = cli_open_model(&status, arguments);
    if (chat.model == NULL) goto done;
    const char *path = cli_text(arguments, "chat-template", NULL), *system = cli_text(arguments, "system", NULL);
    int code = path ? fathom__file_read(&chat.chat_template, &length, path, TEMPLATE_LIMIT) : FATHOM_OK;
    if (!code) code = fathom_session_open(&chat.session, chat.model, &session);
    if (!code) code = steer_plan_open(&chat.plan, &chat.document, arguments, chat.model, NULL);
    if (!code && chat.plan) code = fathom_steer_attach(&chat.steering, chat.session, chat.plan);
    if (!code && system) code = add(&chat, "system", system, strlen(system));
    const char *const *messages = cli_all(&n, arguments, "message");
    if (code) {
        status = cli_fail(arguments, code);
        goto done;
    }
    status = n > 0 ? say_all(&chat, messages, n) : converse(&chat);
    if (cli_json(arguments) && (status == CLI_OK || status == CLI_STOPPED)) {
        json_t *result = json_pack("{s:s, s:o, s:O}", "model", fathom_model_describe(chat.model)->name, "messages",
                                   messages_json(&chat), "answers", chat.answers);
        if (chat.document) json_object_set(result, "plan", chat.document);
        int printed = cli_print_json(result);
        if (status == CLI_OK) status = printed;
    }
done:
    while (chat.n > 0)
        forget_last(&chat);
    fathom_free(chat.messages);
    fathom_free(chat.chat_template);
    fathom_steer_detach(chat.steering);
    fathom_steer_close(chat.plan);
    json_decref(chat.document);
    fathom_session_close(chat.session);
    fathom_model_close(chat.model);
    json_decref(chat.answers);
    return status;
}

const struct cli_command cli_command_chat = {
    .name = "chat",
    .summary = "talk with a model",
    .operands = "",
    .description = "Renders the conversation by the model's own chat template and answers. Without --message it reads "
                   "one message a line from "
                   "standard input, until an empty line or the end.\n\n"
                   "A plan steers every answer; earlier turns, answers included, are then its prompt.",
    .examples = "fathom chat # talk\n"
                "fathom chat --message \"What should I paint my bedroom?\" # one question, one answer",
    .options = options,
    .run = run,
};
