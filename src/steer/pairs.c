#include "steer/pairs.h"
#include "base/error.h"
#include "base/memory.h"
#include <ctype.h>
#include <string.h>

void fathom__pairs_free(struct fathom__pairs *pairs) {
    for (size_t p = 0; p < pairs->n_prompts; p++) {
        fathom_free(pairs->prompts[p].tokens);
    }
    for (size_t p = 0; p < pairs->n; p++) {
        fathom_free(pairs->pairs[p].answer);
    }
    fathom_free(pairs->questions);
    fathom_free(pairs->prompts);
    fathom_free(pairs->pairs);
    *pairs = (struct fathom__pairs){0};
}

int fathom__pairs_prompt(size_t *out, struct fathom__pairs *pairs, const fathom_model *model,
                         const struct fathom_prompt_style *style, const char *question) {
    for (size_t p = 0; p < pairs->n_prompts; p++) {
        if (strcmp(pairs->questions[p], question) == 0) {
            *out = p;
            return FATHOM_OK;
        }
    }
    struct fathom__prompt prompt = {0};
    int status =
        fathom__grow(&pairs->questions, &pairs->question_capacity, pairs->n_prompts + 1, sizeof *pairs->questions);
    if (status == FATHOM_OK) {
        status = fathom__grow(&pairs->prompts, &pairs->prompt_capacity, pairs->n_prompts + 1, sizeof *pairs->prompts);
    }
    if (status == FATHOM_OK) {
        status = fathom_prompt_tokens(&prompt.tokens, &prompt.n, model, style, question);
    }
    if (status == FATHOM_OK) {
        pairs->questions[pairs->n_prompts] = question;
        pairs->prompts[pairs->n_prompts] = prompt;
        *out = pairs->n_prompts++;
    }
    return status;
}

int fathom__pairs_add(struct fathom__pairs *pairs, size_t prompt, int32_t *answer, size_t n,
                      enum fathom__pair_kind kind) {
    int status =
        n == 0 ? fathom__fail(FATHOM_ERROR_ARGUMENT, "question \"%s\": its answer is empty", pairs->questions[prompt])
               : fathom__grow(&pairs->pairs, &pairs->capacity, pairs->n + 1, sizeof *pairs->pairs);
    if (status != FATHOM_OK) {
        fathom_free(answer);
        return status;
    }
    pairs->pairs[pairs->n++] = (struct fathom__pair){prompt, answer, n, kind};
    return FATHOM_OK;
}

/* An answer follows its prompt as the next word, but a chat's turn begins without a space. */
static bool needs_space(const struct fathom_prompt_style *style) {
    const char *suffix = style->suffix ? style->suffix : "";
    size_t length = strlen(suffix);
    return !style->chat && (length == 0 || !isspace((unsigned char)suffix[length - 1]));
}

int fathom__pairs_add_text(struct fathom__pairs *pairs, const fathom_model *model,
                           const struct fathom_prompt_style *style, const struct fathom_steer_pair *pair,
                           enum fathom__pair_kind kind) {
    char *text = NULL;
    int32_t *tokens = NULL;
    size_t prompt = 0;
    size_t n = 0;
    if (pair->question == NULL || pair->answer == NULL || *pair->answer == '\0') {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a question with an answer that is not empty is expected");
    }
    int status = fathom__pairs_prompt(&prompt, pairs, model, style, pair->question);
    if (status == FATHOM_OK) {
        status = fathom__format(&text, "%s%s", needs_space(style) ? " " : "", pair->answer);
    }
    if (status == FATHOM_OK) {
        status = fathom_tokenize(&tokens, &n, model, text, strlen(text), false, false);
    }
    if (status == FATHOM_OK) {
        status = fathom__pairs_add(pairs, prompt, tokens, n, kind);
    }
    fathom_free(text);
    return status;
}

/* Tokens that all prompts begin with, each prompt's last one left out: the answers' rows begin with it. */
static size_t common_beginning(const struct fathom__pairs *pairs) {
    const struct fathom__prompt *first = &pairs->prompts[0];
    size_t n = first->n - 1;
    for (size_t p = 1; p < pairs->n_prompts; p++) {
        const struct fathom__prompt *prompt = &pairs->prompts[p];
        n = prompt->n - 1 < n ? prompt->n - 1 : n;
        for (size_t i = 0; i < n; i++) {
            n = prompt->tokens[i] != first->tokens[i] ? i : n;
        }
    }
    return n;
}

/* The row before a token predicts it: the prompt's last one the answer's first. */
static void lay_answers(struct fathom__pair_rows *rows, const struct fathom__pairs *pairs) {
    for (size_t p = 0; p < pairs->n; p++) {
        const struct fathom__pair *pair = &pairs->pairs[p];
        const struct fathom__prompt *prompt = &pairs->prompts[pair->prompt];
        for (size_t i = 0; i < pair->n; i++) {
            size_t r = rows->n_answers++;
            rows->answers[r] = (struct fathom_row){i == 0 ? prompt->tokens[prompt->n - 1] : pair->answer[i - 1],
                                                   (int32_t)(prompt->n - 1 + i), fathom__pair_sequence(pairs, p), true};
            rows->expected[r] = pair->answer[i];
            rows->owners[r] = p;
        }
    }
}

int fathom__pair_rows_open(struct fathom__pair_rows *out, const struct fathom__pairs *pairs) {
    struct fathom__pair_rows rows = {0};
    size_t n_shared = common_beginning(pairs);
    size_t n_questions = 0;
    size_t n_answers = 0;
    for (size_t p = 0; p < pairs->n_prompts; p++) {
        n_questions += pairs->prompts[p].n - 1 - n_shared;
    }
    for (size_t p = 0; p < pairs->n; p++) {
        n_answers += pairs->pairs[p].n;
    }
    int status = fathom__alloc(&rows.shared, n_shared, sizeof *rows.shared);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows.questions, n_questions, sizeof *rows.questions);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows.answers, n_answers, sizeof *rows.answers);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows.expected, n_answers, sizeof *rows.expected);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&rows.owners, n_answers, sizeof *rows.owners);
    }
    if (status != FATHOM_OK) {
        fathom__pair_rows_free(&rows);
        return status;
    }
    for (size_t i = 0; i < n_shared; i++) {
        rows.shared[rows.n_shared++] = (struct fathom_row){pairs->prompts[0].tokens[i], (int32_t)i, 0, false};
    }
    for (size_t p = 0; p < pairs->n_prompts; p++) {
        for (size_t i = n_shared; i + 1 < pairs->prompts[p].n; i++) {
            rows.questions[rows.n_questions++] =
                (struct fathom_row){pairs->prompts[p].tokens[i], (int32_t)i, (int32_t)(1 + p), false};
        }
    }
    lay_answers(&rows, pairs);
    *out = rows;
    return FATHOM_OK;
}

void fathom__pair_rows_free(struct fathom__pair_rows *rows) {
    fathom_free(rows->shared);
    fathom_free(rows->questions);
    fathom_free(rows->answers);
    fathom_free(rows->expected);
    fathom_free(rows->owners);
    *rows = (struct fathom__pair_rows){0};
}
