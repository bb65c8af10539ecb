#include "base/error.h"
#include "base/memory.h"
#include <fathom/steer.h>
#include <string.h>

int fathom_prompt_tokens(int32_t **out, size_t *n, const fathom_model *model, const struct fathom_prompt_style *style,
                         const char *question) {
    char *text = NULL;
    int status = FATHOM_OK;
    if (style->chat) {
        struct fathom_chat_message message = {"user", question};
        status = fathom_chat_render(&text, model, &message, 1, true, style->chat_template);
    } else {
        status = fathom__format(&text, "%s%s%s", style->prefix ? style->prefix : "", question,
                                style->suffix ? style->suffix : "");
    }
    if (status == FATHOM_OK) {
        status = fathom_tokenize(out, n, model, text, strlen(text), !style->chat, style->chat);
    }
    if (status == FATHOM_OK && *n == 0) {
        fathom_free(*out);
        *out = NULL;
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "the prompt is empty");
    }
    fathom_free(text);
    return status;
}
