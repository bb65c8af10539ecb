/* Chat templates. */
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/guard.h"
#include "engine/model_internal.h"
#include <pthread.h>
#include <string.h>

/* The renderer walks templates by recursion, and a hostile one nests as deep as it is long: the template is limited,
 * and rendered on a thread whose stack holds the deepest nesting that fits. Its pages are made only when they are
 * touched. */
#define TEMPLATE_LIMIT ((size_t)1 << 17)
#define STACK_BYTES ((size_t)1 << 30)

struct rendering {
    char *text;
    const fathom_model *model;
    const struct fathom_chat_message *messages;
    size_t n_messages;
    const char *chat_template, *name;
    bool add_generation_prompt;
    int status;
    char *message; /* the error's, because messages belong to threads */
};

static void *render(void *payload) {
    struct rendering *rendering = payload;
    const fathom_model *model = rendering->model;
    const char *bos = NULL, *eos = NULL;
    char *bos_copy = NULL, *eos_copy = NULL;
    size_t length;
    int status = FATHOM_OK;
    if (model->info.bos >= 0 && fathom_token_bytes(&bos, &length, model, model->info.bos) == FATHOM_OK) {
        status = fathom__copy_bytes(&bos_copy, bos, length);
    }
    if (status == FATHOM_OK && model->info.eos >= 0 &&
        fathom_token_bytes(&eos, &length, model, model->info.eos) == FATHOM_OK) {
        status = fathom__copy_bytes(&eos_copy, eos, length);
    }
    if (status == FATHOM_OK) {
        status =
            fathom__guard_render_chat(&rendering->text, rendering->name, rendering->chat_template, bos_copy, eos_copy,
                                      rendering->messages, rendering->n_messages, rendering->add_generation_prompt);
    }
    rendering->status = status;
    if (status != FATHOM_OK) (void)fathom__copy_string(&rendering->message, fathom_error_message());
    fathom_free(bos_copy);
    fathom_free(eos_copy);
    return NULL;
}

static int run_on_large_stack(struct rendering *rendering) {
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return fathom__fail_memory(STACK_BYTES);
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (error == 0) error = pthread_create(&thread, &attributes, render, rendering);
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

int fathom_chat_render(char **out, const fathom_model *model, const struct fathom_chat_message *messages,
                       size_t n_messages, bool add_generation_prompt, const char *chat_template) {
    struct rendering rendering = {
        .model = model,
        .messages = messages,
        .n_messages = n_messages,
        .chat_template = chat_template != NULL ? chat_template : model->info.chat_template,
        .name = chat_template != NULL ? "the given template" : model->path,
        .add_generation_prompt = add_generation_prompt,
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
    for (size_t i = 0; i < n_messages; i++) {
        const int status = check_message(&messages[i], i);
        if (status != FATHOM_OK) return status;
    }
    const int status = run_on_large_stack(&rendering);
    if (status == FATHOM_OK) *out = rendering.text;
    return status;
}
