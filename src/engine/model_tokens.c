/* Tokens: the bytes of every token are computed once, when the model is opened. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/guard.h"
#include "engine/model_internal.h"
#include "engine/model_parts.h"
#include <limits.h>
#include <string.h>

#define PIECE_SIZE 512
#define TOKEN_TEXT_LIMIT ((size_t)UINT32_MAX)

/* Appends the bytes of one token; tokens of any length are handled by asking for the length first. */
static int append_piece(struct fathom__buffer *text, const struct llama_vocab *vocab, llama_token token) {
    char piece[PIECE_SIZE];
    const int32_t length = llama_token_to_piece(vocab, token, piece, PIECE_SIZE, 0, true);
    if (length >= 0) return fathom__buffer_append(text, piece, (size_t)length);
    char *larger;
    int status = fathom__alloc(&larger, (size_t)-length, 1);
    if (status != FATHOM_OK) return status;
    const int32_t again = llama_token_to_piece(vocab, token, larger, -length, 0, true);
    status = fathom__buffer_append(text, larger, again < 0 ? 0 : (size_t)again);
    fathom_free(larger);
    return status;
}

int fathom__model_read_tokens(fathom_model *model) {
    const uint32_t n = model->info.n_vocab;
    struct fathom__buffer text = FATHOM__BUFFER_INIT(TOKEN_TEXT_LIMIT);
    int status = fathom__alloc(&model->token_offsets, (size_t)n + 1, sizeof *model->token_offsets);
    if (status == FATHOM_OK) status = fathom__alloc(&model->token_flags, n, sizeof *model->token_flags);
    for (uint32_t i = 0; status == FATHOM_OK && i < n; i++) {
        const llama_token token = (llama_token)i;
        if (llama_vocab_is_control(model->vocab, token)) model->token_flags[i] |= FATHOM__TOKEN_SPECIAL;
        if (llama_vocab_is_eog(model->vocab, token)) model->token_flags[i] |= FATHOM__TOKEN_END;
        status = append_piece(&text, model->vocab, token);
        model->token_offsets[i + 1] = (uint32_t)text.length;
    }
    if (status == FATHOM_OK) status = fathom__buffer_take(&model->token_text, &text);
    fathom__buffer_free(&text);
    return status;
}

int fathom_tokenize(int32_t **out, size_t *n, const fathom_model *model, const char *text, size_t length,
                    bool add_special, bool parse_special) {
    size_t bad;
    if (!fathom__utf8_valid(&bad, text, length)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "text to tokenise: byte %zu (0x%02x) is not UTF-8", bad,
                            (unsigned)(unsigned char)text[bad]);
    }
    if (length > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "text to tokenise: %zu bytes, expected at most %d", length, INT32_MAX);
    int32_t *tokens = NULL;
    int32_t count = 0;
    /* A token is at least one byte, but the tokenizer may put a space, bos and eos around the text. */
    size_t capacity = length == 0 ? 0 : length + 4;
    if (capacity > INT32_MAX) capacity = INT32_MAX;
    int status = fathom__alloc(&tokens, capacity, sizeof *tokens);
    if (status != FATHOM_OK) return status;
    if (length > 0) {
        status = fathom__guard_tokenize(&count, model->vocab, text, (int32_t)length, tokens, (int32_t)capacity,
                                        add_special, parse_special);
        if (status == FATHOM_OK && count < 0) {
            /* Normalisation made the text longer than its bytes; the engine then says how many tokens there are. */
            const int32_t needed = count == INT32_MIN ? 0 : -count;
            if (needed == 0)
                status = fathom__fail(FATHOM_ERROR_LIMIT, "text to tokenise: more than %d tokens", INT32_MAX);
            fathom_free(tokens);
            tokens = NULL;
            if (status == FATHOM_OK) status = fathom__alloc(&tokens, (size_t)needed, sizeof *tokens);
            if (status == FATHOM_OK)
                status = fathom__guard_tokenize(&count, model->vocab, text, (int32_t)length, tokens, needed,
                                                add_special, parse_special);
        }
        if (status != FATHOM_OK) {
            fathom_free(tokens);
            return status;
        }
    }
    *out = tokens;
    *n = (size_t)count;
    return FATHOM_OK;
}

static bool token_exists(const fathom_model *model, int32_t token) {
    return token >= 0 && (uint32_t)token < model->info.n_vocab;
}

int fathom_token_bytes(const char **out, size_t *length, const fathom_model *model, int32_t token) {
    if (!token_exists(model, token)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "token %d: expected 0 to %u", token, model->info.n_vocab - 1);
    }
    *out = model->token_text + model->token_offsets[token];
    *length = model->token_offsets[token + 1] - model->token_offsets[token];
    return FATHOM_OK;
}

bool fathom_token_is_special(const fathom_model *model, int32_t token) {
    return token_exists(model, token) && (model->token_flags[token] & FATHOM__TOKEN_SPECIAL) != 0;
}

bool fathom_token_is_end(const fathom_model *model, int32_t token) {
    return token_exists(model, token) && (model->token_flags[token] & FATHOM__TOKEN_END) != 0;
}

int fathom_detokenize(char **out, const fathom_model *model, const int32_t *tokens, size_t n) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    int status = FATHOM_OK;
    for (size_t i = 0; status == FATHOM_OK && i < n; i++) {
        const char *bytes = NULL;
        size_t length = 0;
        status = fathom_token_bytes(&bytes, &length, model, tokens[i]);
        if (status == FATHOM_OK) status = fathom__buffer_append(&text, bytes, length);
    }
    if (status == FATHOM_OK) status = fathom__utf8_clean(out, text.length > 0 ? text.bytes : "", text.length);
    fathom__buffer_free(&text);
    return status;
}
