/* Which tokens of a chat count. */
#include <base/error.h>
#include <dictionary/train_internal.h>
#include <fathom/chat.h>
#include <string.h>

static const char *const names[FATHOM_TOKENS] = {"all", "assistant", "user"};

int fathom_train_tokens_find(enum fathom_train_tokens *out, const char *name) {
    for (int i = 0; i < FATHOM_TOKENS; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum fathom_train_tokens)i;
            return 0;
        }
    return fathom__fail(FATHOM_ERROR_ARGUMENT, "tokens from \"%s\": one of " FATHOM_TRAIN_TOKENS " is expected", name);
}

const char *fathom__run_tokens_name(enum fathom_train_tokens tokens) {
    return names[tokens];
}

bool fathom__run_wants(const struct fathom_train_options *options, uint8_t role) {
    switch (options->tokens_from) {
    case FATHOM_TOKENS_ASSISTANT: return role == FATHOM_ROLE_ASSISTANT;
    case FATHOM_TOKENS_USER: return role == FATHOM_ROLE_USER;
    default: return true;
    }
}
