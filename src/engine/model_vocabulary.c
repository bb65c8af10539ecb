/* The tokenizer's keys, checked because the engine aborts on a vocabulary with doubles and on a missing bos. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/model_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define KEY_MODEL "tokenizer.ggml.model"
#define KEY_PRE "tokenizer.ggml.pre"
#define KEY_TOKENS "tokenizer.ggml.tokens"
#define KEY_TYPES "tokenizer.ggml.token_type"
#define KEY_SCORES "tokenizer.ggml.scores"
#define KEY_MERGES "tokenizer.ggml.merges"

/* Pre-tokenizers that leave spaces in words: with a vocabulary that was not made for them the engine aborts while
 * tokenising. */
static const char *const odd_pre[] = {"gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"};

/* A set of strings by open addressing; slots hold index + 1. */
struct set {
    const char **texts;
    size_t *lengths;
    uint32_t *slots;
    size_t mask;
};

static uint32_t hash_text(const char *text, size_t length) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* The index of an equal string that was added before, or `index` after adding it. */
static size_t set_add(struct set *set, size_t index) {
    const char *text = set->texts[index];
    const size_t length = set->lengths[index];
    for (size_t slot = hash_text(text, length) & set->mask;; slot = (slot + 1) & set->mask) {
        if (set->slots[slot] == 0) {
            set->slots[slot] = (uint32_t)index + 1;
            return index;
        }
        const size_t other = set->slots[slot] - 1;
        if (set->lengths[other] == length && memcmp(set->texts[other], text, length) == 0) return other;
    }
}

/* All tokens differ, as the engine reads them: up to a zero byte. (It gives empty ones a text of their own.) */
static int check_unique(const fathom__gguf *file, const struct fathom__gguf_array *tokens) {
    struct set set = {NULL, NULL, NULL, 1};
    size_t cursor = 0;
    while (set.mask < tokens->n * 2)
        set.mask = set.mask * 2;
    int status = fathom__alloc(&set.texts, tokens->n, sizeof *set.texts);
    if (status == FATHOM_OK) status = fathom__alloc(&set.lengths, tokens->n, sizeof *set.lengths);
    if (status == FATHOM_OK) status = fathom__alloc(&set.slots, set.mask, sizeof *set.slots);
    set.mask--;
    for (size_t i = 0; status == FATHOM_OK && i < tokens->n; i++) {
        size_t length;
        set.texts[i] = fathom__gguf_array_string(&length, tokens, &cursor);
        set.lengths[i] = strnlen(set.texts[i], length);
        if (set.lengths[i] == 0) continue;
        const size_t same = set_add(&set, i);
        if (same != i) {
            status = fathom__fail(
                FATHOM_ERROR_FORMAT, "%s: key %s: tokens %zu and %zu are both \"%.*s\", expected different ones",
                fathom__gguf_path(file), KEY_TOKENS, same, i, (int)(length < 40 ? length : 40), set.texts[i]);
        }
    }
    fathom_free(set.texts);
    fathom_free(set.lengths);
    fathom_free(set.slots);
    return status;
}

static int check_array(struct fathom__gguf_array *out, const fathom__gguf *file, const char *key, enum gguf_type type,
                       enum gguf_type other, size_t n, bool required) {
    struct fathom__gguf_array array = {.type = GGUF_TYPE_COUNT};
    int status = fathom__gguf_array(&array, file, key, required);
    if (status != FATHOM_OK || array.type == GGUF_TYPE_COUNT) return status;
    if (array.type != type && array.type != other) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is an array of %s, expected %s", fathom__gguf_path(file),
                            key, gguf_type_name(array.type), gguf_type_name(type));
    }
    if (n != SIZE_MAX && array.n != n) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s has %zu values, expected one for each of the %zu tokens",
                            fathom__gguf_path(file), key, array.n, n);
    }
    if (out != NULL) *out = array;
    return FATHOM_OK;
}

static int check_scores(const fathom__gguf *file, size_t n) {
    struct fathom__gguf_array scores = {.type = GGUF_TYPE_COUNT};
    const int status = check_array(&scores, file, KEY_SCORES, GGUF_TYPE_FLOAT32, GGUF_TYPE_INT32, n, false);
    if (status != FATHOM_OK || scores.type != GGUF_TYPE_FLOAT32) return status;
    for (size_t i = 0; i < n; i++) {
        float score;
        memcpy(&score, scores.data + i * sizeof score, sizeof score);
        if (!isfinite(score)) {
            return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: key %s: the score of token %zu is not finite",
                                fathom__gguf_path(file), KEY_SCORES, i);
        }
    }
    return FATHOM_OK;
}

/* Ids that are given lie in the vocabulary; where bos or eos are not given, the tokenizer's default does. */
static int check_special(const fathom__gguf *file, size_t n, int64_t default_bos, int64_t default_eos) {
    const struct {
        const char *key;
        int64_t fallback;
    } ids[] = {{"tokenizer.ggml.bos_token_id", default_bos}, {"tokenizer.ggml.eos_token_id", default_eos}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        int64_t id = ids[i].fallback;
        const int status = fathom__gguf_integer(&id, file, ids[i].key, 0, (int64_t)n - 1, false);
        if (status != FATHOM_OK) return status;
        if (id >= (int64_t)n) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is missing, expected an id below %zu",
                                fathom__gguf_path(file), ids[i].key, n);
        }
    }
    return FATHOM_OK;
}

int fathom__model_check_vocabulary(bool *odd, const struct fathom__model_files *files) {
    const fathom__gguf *file = files->files[0];
    const char *model = NULL, *pre = "";
    struct fathom__gguf_array tokens = {0};
    int status = fathom__gguf_string(&model, file, KEY_MODEL, true);
    if (status == FATHOM_OK) status = fathom__gguf_string(&pre, file, KEY_PRE, false);
    if (status == FATHOM_OK)
        status = check_array(&tokens, file, KEY_TOKENS, GGUF_TYPE_STRING, GGUF_TYPE_STRING, SIZE_MAX, true);
    if (status != FATHOM_OK) return status;
    const bool pieces = strcmp(model, "llama") == 0, bytes = strcmp(model, "gpt2") == 0;
    if (strcmp(model, "none") == 0 || strcmp(model, "no_vocab") == 0 || tokens.n == 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is \"%s\" with %zu tokens, expected a vocabulary",
                            fathom__gguf_path(file), KEY_MODEL, model, tokens.n);
    }
    *odd = !pieces && !bytes;
    for (size_t i = 0; i < sizeof odd_pre / sizeof odd_pre[0]; i++) {
        if (strcmp(pre, odd_pre[i]) == 0) *odd = true;
    }
    status = check_unique(file, &tokens);
    if (status == FATHOM_OK)
        status = check_array(NULL, file, KEY_TYPES, GGUF_TYPE_INT32, GGUF_TYPE_INT32, tokens.n, false);
    if (status == FATHOM_OK) status = check_scores(file, tokens.n);
    if (status == FATHOM_OK)
        status = check_array(NULL, file, KEY_MERGES, GGUF_TYPE_STRING, GGUF_TYPE_STRING, SIZE_MAX, bytes);
    if (status == FATHOM_OK && pieces) status = check_special(file, tokens.n, 1, 2);
    if (status == FATHOM_OK && bytes) status = check_special(file, tokens.n, 11, 11);
    return status;
}
