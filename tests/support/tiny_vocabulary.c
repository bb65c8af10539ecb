#include "tests/support/tiny_vocabulary.h"
#include "base/memory.h"
#include <llama.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MOST_TOKENS 1024
#define TOKEN_SIZE 24

/* Words that become one token each when a space stands before them; every prefix of one is a token as well. */
static const char *const words[] = {"the",  "of",     "and",  "to",     "in",    "is",    "was",  "for",    "on",
                                    "with", "bridge", "gate", "golden", "red",   "paint", "team", "points", "game",
                                    "city", "sea",    "ship", "river",  "music", "king",  "war",  "play"};
enum { N_WORDS = sizeof words / sizeof words[0] };

struct vocabulary {
    char tokens[MOST_TOKENS][TOKEN_SIZE];
    int32_t types[MOST_TOKENS];
    char merges[MOST_TOKENS][TOKEN_SIZE];
    uint32_t n, n_merges;
};

static bool contains(const struct vocabulary *vocabulary, const char *token) {
    for (uint32_t i = 0; i < vocabulary->n; i++) {
        if (strcmp(vocabulary->tokens[i], token) == 0) return true;
    }
    return false;
}

static void add(struct vocabulary *vocabulary, const char *token, int32_t type) {
    snprintf(vocabulary->tokens[vocabulary->n], TOKEN_SIZE, "%s", token);
    vocabulary->types[vocabulary->n++] = type;
}

/* Adds every prefix of space + word, and the merge that makes it out of the one before. */
static void add_words(struct vocabulary *vocabulary, const char *space) {
    for (size_t w = 0; w < N_WORDS; w++) {
        char prefix[TOKEN_SIZE], longer[TOKEN_SIZE];
        snprintf(prefix, sizeof prefix, "%s", space);
        for (const char *c = words[w]; *c != '\0'; c++) {
            snprintf(longer, sizeof longer, "%.*s%c", TOKEN_SIZE - 2, prefix, *c);
            if (!contains(vocabulary, longer)) {
                snprintf(vocabulary->merges[vocabulary->n_merges++], TOKEN_SIZE, "%.16s %c", prefix, *c);
                add(vocabulary, longer, LLAMA_TOKEN_TYPE_NORMAL);
            }
            memcpy(prefix, longer, sizeof prefix);
        }
    }
}

static void put_utf8(char *out, unsigned codepoint) {
    if (codepoint < 0x80) {
        out[0] = (char)codepoint;
        out[1] = '\0';
        return;
    }
    out[0] = (char)(0xC0 | (codepoint >> 6));
    out[1] = (char)(0x80 | (codepoint & 0x3F));
    out[2] = '\0';
}

/* GPT-2 writes every byte as a visible character: bytes that are none get the code points from 256 on. */
static void add_bytes_as_characters(struct vocabulary *vocabulary) {
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; byte++) {
        char token[TOKEN_SIZE];
        const bool visible = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        put_utf8(token, visible ? byte : next++);
        add(vocabulary, token, LLAMA_TOKEN_TYPE_NORMAL);
    }
}

static int put_tokens(fathom__gguf_writer *writer, const struct vocabulary *vocabulary) {
    const char *tokens[MOST_TOKENS];
    for (uint32_t i = 0; i < vocabulary->n; i++)
        tokens[i] = vocabulary->tokens[i];
    int status = fathom__gguf_put_strings(writer, "tokenizer.ggml.tokens", tokens, vocabulary->n);
    if (status == FATHOM_OK)
        status = fathom__gguf_put_array(writer, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, vocabulary->types,
                                        vocabulary->n);
    return status;
}

int fathom_test_put_bpe(uint32_t *n_vocab, fathom__gguf_writer *writer) {
    struct vocabulary *vocabulary = NULL;
    const char *merges[MOST_TOKENS];
    int status = fathom__alloc(&vocabulary, 1, sizeof *vocabulary);
    if (status != FATHOM_OK) return status;
    add(vocabulary, "<|endoftext|>", LLAMA_TOKEN_TYPE_CONTROL);
    add(vocabulary, "<|im_start|>", LLAMA_TOKEN_TYPE_CONTROL);
    add(vocabulary, "<|im_end|>", LLAMA_TOKEN_TYPE_CONTROL);
    add_bytes_as_characters(vocabulary);
    add_words(vocabulary, "\xC4\xA0");
    for (uint32_t i = 0; i < vocabulary->n_merges; i++)
        merges[i] = vocabulary->merges[i];
    *n_vocab = vocabulary->n;
    status = put_tokens(writer, vocabulary);
    if (status == FATHOM_OK)
        status = fathom__gguf_put_strings(writer, "tokenizer.ggml.merges", merges, vocabulary->n_merges);
    if (status == FATHOM_OK) status = fathom__gguf_put_string(writer, "tokenizer.ggml.model", "gpt2");
    if (status == FATHOM_OK) status = fathom__gguf_put_string(writer, "tokenizer.ggml.pre", "gpt-2");
    if (status == FATHOM_OK) status = fathom__gguf_put_integer(writer, "tokenizer.ggml.bos_token_id", 1);
    if (status == FATHOM_OK) status = fathom__gguf_put_integer(writer, "tokenizer.ggml.eos_token_id", 2);
    if (status == FATHOM_OK) status = fathom__gguf_put_bool(writer, "tokenizer.ggml.add_bos_token", false);
    if (status == FATHOM_OK) {
        status = fathom__gguf_put_string(
            writer, "tokenizer.chat_template",
            "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
            "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
            "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
    }
    fathom_free(vocabulary);
    return status;
}

int fathom_test_put_spm(uint32_t *n_vocab, fathom__gguf_writer *writer) {
    struct vocabulary *vocabulary = NULL;
    float scores[MOST_TOKENS];
    int status = fathom__alloc(&vocabulary, 1, sizeof *vocabulary);
    if (status != FATHOM_OK) return status;
    add(vocabulary, "<pad>", LLAMA_TOKEN_TYPE_CONTROL);
    add(vocabulary, "<eos>", LLAMA_TOKEN_TYPE_CONTROL);
    add(vocabulary, "<bos>", LLAMA_TOKEN_TYPE_CONTROL);
    add(vocabulary, "<unk>", LLAMA_TOKEN_TYPE_UNKNOWN);
    add(vocabulary, "<start_of_turn>", LLAMA_TOKEN_TYPE_CONTROL);
    add(vocabulary, "<end_of_turn>", LLAMA_TOKEN_TYPE_CONTROL);
    for (unsigned byte = 0; byte < 256; byte++) {
        char token[TOKEN_SIZE];
        snprintf(token, sizeof token, "<0x%02X>", byte);
        add(vocabulary, token, LLAMA_TOKEN_TYPE_BYTE);
    }
    add(vocabulary, "\xE2\x96\x81", LLAMA_TOKEN_TYPE_NORMAL);
    for (char c = '!'; c <= '~'; c++)
        add(vocabulary, (char[]){c, '\0'}, LLAMA_TOKEN_TYPE_NORMAL);
    add_words(vocabulary, "\xE2\x96\x81");
    for (uint32_t i = 0; i < vocabulary->n; i++)
        scores[i] = -(float)i;
    *n_vocab = vocabulary->n;
    status = put_tokens(writer, vocabulary);
    if (status == FATHOM_OK)
        status = fathom__gguf_put_array(writer, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores, vocabulary->n);
    if (status == FATHOM_OK) status = fathom__gguf_put_string(writer, "tokenizer.ggml.model", "llama");
    if (status == FATHOM_OK) status = fathom__gguf_put_string(writer, "tokenizer.ggml.pre", "default");
    if (status == FATHOM_OK) status = fathom__gguf_put_integer(writer, "tokenizer.ggml.bos_token_id", 2);
    if (status == FATHOM_OK) status = fathom__gguf_put_integer(writer, "tokenizer.ggml.eos_token_id", 1);
    if (status == FATHOM_OK) status = fathom__gguf_put_integer(writer, "tokenizer.ggml.unknown_token_id", 3);
    if (status == FATHOM_OK) status = fathom__gguf_put_bool(writer, "tokenizer.ggml.add_bos_token", true);
    if (status == FATHOM_OK) status = fathom__gguf_put_bool(writer, "tokenizer.ggml.add_space_prefix", false);
    if (status == FATHOM_OK) {
        status = fathom__gguf_put_string(
            writer, "tokenizer.chat_template",
            "{{ bos_token }}{% for message in messages %}\n"
            "  {% if message['role'] not in ['user', 'assistant'] %}\n"
            "    {{ raise_exception('roles are user and assistant') }}\n"
            "  {% endif %}\n"
            "{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}");
    }
    fathom_free(vocabulary);
    return status;
}
