/* Chat templates. */
#include "base/child.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/chat_render.h"
#include "engine/guard.h"
#include "engine/model_internal.h"
#include <pthread.h>
#include <string.h>

/* The renderer walks templates by recursion, and a hostile one nests as deep as it is long: the template is limited,
 * and rendered on a thread whose stack holds the deepest nesting that fits. Its pages are made only when they are
 * touched. A template is a program that may as well never end or take all memory, or call itself without end: the
 * thread leaves the rendering to a child process with limits. Good templates take milliseconds. */
#define TEMPLATE_LIMIT ((size_t)1 << 17)
#define STACK_BYTES ((size_t)1 << 30)
#define TEXT_LIMIT ((size_t)1 << 26)
#define MEMORY_BYTES ((size_t)1 << 30)

enum { PROCESSOR_SECONDS = 3, PATIENCE_SECONDS = 60 };

struct rendering {
    const fathom_model *model;
    const json_t *messages, *tools;
    const char *chat_template, *name;
    bool add_generation_prompt;
    int status;
    struct fathom__buffer said; /* by the child: the text, or its error message */
    struct fathom__child_end end;
    char *message; /* the error's, because messages belong to threads */
};

static int copy_token(char **out, const fathom_model *model, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (token < 0 || fathom_token_bytes(&bytes, &length, model, token) != FATHOM_OK) return FATHOM_OK;
    return fathom__copy_bytes(out, bytes, length);
}

/* In the child. Its value is the status' number without its sign. */
static int render(void *payload, int words) {
    const struct rendering *rendering = payload;
    const fathom_model *model = rendering->model;
    char *bos = NULL, *eos = NULL, *text = NULL;
    int status = copy_token(&bos, model, model->info.bos);
    if (status == FATHOM_OK) status = copy_token(&eos, model, model->info.eos);
    if (status == FATHOM_OK)
        status = fathom__guard_render_chat(&text, rendering->name, rendering->chat_template, bos, eos,
                                           rendering->messages, rendering->tools, rendering->add_generation_prompt);
    const char *said = status == FATHOM_OK ? text : fathom_error_message();
    fathom__child_say(words, said, strlen(said));
    return -status;
}

static int judge(const struct rendering *rendering) {
    const struct fathom__child_end *end = &rendering->end;
    if (!end->in_time)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: the chat template is not rendered within %d seconds",
                            rendering->name, PROCESSOR_SECONDS);
    if (end->signal != 0)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: rendering the chat template was ended by %s", rendering->name,
                            strsignal(end->signal));
    if (end->value != 0 && rendering->said.length == 0)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: rendering the chat template ended its process", rendering->name);
    if (end->value != 0) return fathom__fail(-end->value, "%s", rendering->said.bytes);
    return FATHOM_OK;
}

static void *run(void *payload) {
    const struct fathom__child_limits limits = {
        .seconds = PATIENCE_SECONDS, .processor_seconds = PROCESSOR_SECONDS, .memory = MEMORY_BYTES};
    struct rendering *rendering = payload;
    int status = fathom__buffer_text(&rendering->said, "");
    if (status == FATHOM_OK)
        status = fathom__child_run(&rendering->end, &rendering->said, rendering->name, &limits, render, rendering);
    if (status == FATHOM_OK) status = judge(rendering);
    rendering->status = status;
    if (status != FATHOM_OK) (void)fathom__copy_string(&rendering->message, fathom_error_message());
    return NULL;
}

static int run_on_large_stack(struct rendering *rendering) {
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return fathom__fail_memory(STACK_BYTES);
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (error == 0) error = pthread_create(&thread, &attributes, run, rendering);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        return fathom__fail(FATHOM_ERROR_MEMORY, "a thread to render the chat template cannot be started: %s",
                            strerror(error));
    pthread_join(thread, NULL);
    if (rendering->status == FATHOM_OK) return FATHOM_OK;
    const int status =
        fathom__fail(rendering->status, "%s",
                     rendering->message != NULL ? rendering->message : "the chat template cannot be rendered");
    fathom_free(rendering->message);
    return status;
}

static int check_message(const struct fathom_chat_message *message, size_t index) {
    size_t bad;
    if (message->role == NULL || message->content == NULL) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "chat message %zu: a role and a content are expected", index);
    }
    if (!fathom__utf8_valid(&bad, message->role, strlen(message->role))) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "chat message %zu: byte %zu of its role is not UTF-8", index, bad);
    }
    if (!fathom__utf8_valid(&bad, message->content, strlen(message->content))) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "chat message %zu: byte %zu of its content is not UTF-8", index, bad);
    }
    return FATHOM_OK;
}

int fathom__chat_render(char **out, const fathom_model *model, const json_t *messages, const json_t *tools,
                        bool add_generation_prompt, const char *chat_template) {
    struct rendering rendering = {
        .model = model,
        .messages = messages,
        .tools = tools,
        .chat_template = chat_template != NULL ? chat_template : model->info.chat_template,
        .name = chat_template != NULL ? "the given template" : model->path,
        .add_generation_prompt = add_generation_prompt,
        .said = FATHOM__BUFFER_INIT(TEXT_LIMIT),
    };
    if (rendering.chat_template == NULL) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND,
                            "%s: the model has no chat template (key tokenizer.chat_template) and none was given",
                            model->path);
    }
    const size_t length = strlen(rendering.chat_template);
    if (length > TEMPLATE_LIMIT) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: a chat template of %zu bytes, expected at most %zu",
                            rendering.name, length, TEMPLATE_LIMIT);
    }
    int status = run_on_large_stack(&rendering);
    if (status == FATHOM_OK) status = fathom__buffer_take(out, &rendering.said);
    fathom__buffer_free(&rendering.said);
    return status;
}

int fathom_chat_render(char **out, const fathom_model *model, const struct fathom_chat_message *messages,
                       size_t n_messages, bool add_generation_prompt, const char *chat_template) {
    json_t *list = json_array();
    int status = list != NULL ? FATHOM_OK : fathom__fail_memory(n_messages);
    for (size_t i = 0; i < n_messages && status == FATHOM_OK; i++) {
        status = check_message(&messages[i], i);
        if (status == FATHOM_OK && json_array_append_new(list, json_pack("{s:s, s:s}", "role", messages[i].role,
                                                                         "content", messages[i].content)) != 0)
            status = fathom__fail_memory(n_messages);
    }
    if (status == FATHOM_OK) status = fathom__chat_render(out, model, list, NULL, add_generation_prompt, chat_template);
    json_decref(list);
    return status;
}
