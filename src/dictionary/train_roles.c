/* Which tokens count: of a chat, those of one side; special ones nowhere. */
#include <base/error.h>
#include <base/memory.h>
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

int fathom__run_find_special(struct fathom__run *run, const fathom_model *model) {
    if (run->options->keep_special) return 0;
    run->n_vocab = fathom_model_describe(model)->n_vocab;
    const int status = fathom__alloc(&run->special, run->n_vocab, sizeof *run->special);
    for (size_t token = 0; !status && token < run->n_vocab; token++)
        run->special[token] = fathom_token_is_special(model, (int32_t)token);
    return status;
}

bool fathom__run_is_special(const struct fathom__run *run, int32_t token) {
    return run->special && token >= 0 && (size_t)token < run->n_vocab && run->special[token];
}
