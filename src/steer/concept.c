#include "steer/concept.h"
#include "base/error.h"
#include "base/memory.h"
#include "steer/likelihood.h"
#include <ctype.h>
#include <math.h>
#include <regex.h>
#include <string.h>

struct pattern {
    char *phrase; /* NULL: a regular expression */
    regex_t expression;
    bool compiled;
};

struct fathom_concept {
    struct pattern *patterns;
    size_t n;
    int32_t *tokens;
    size_t n_tokens, token_capacity;
};

void fathom_concept_close(fathom_concept *concept) {
    if (concept == NULL) {
        return;
    }
    for (size_t i = 0; i < concept->n; i++) {
        fathom_free(concept->patterns[i].phrase);
        if (concept->patterns[i].compiled) {
            regfree(&concept->patterns[i].expression);
        }
    }
    fathom_free(concept->patterns);
    fathom_free(concept->tokens);
    fathom_free(concept);
}

const int32_t *fathom__concept_tokens(size_t *n, const fathom_concept *concept) {
    *n = concept->n_tokens;
    return concept->tokens;
}

/* Keeps the first token of `before` + phrase. */
static int add_token(fathom_concept *concept, const fathom_model *model, const char *before, const char *phrase) {
    char *text = NULL;
    int32_t *tokens = NULL;
    size_t n = 0;
    int status = fathom__format(&text, "%s%s", before, phrase);
    if (status == FATHOM_OK) {
        status = fathom_tokenize(&tokens, &n, model, text, strlen(text), false, false);
    }
    for (size_t i = 0; status == FATHOM_OK && n > 0 && i < concept->n_tokens; i++) {
        n = concept->tokens[i] == tokens[0] ? 0 : n;
    }
    if (status == FATHOM_OK && n > 0) {
        status =
            fathom__grow(&concept->tokens, &concept->token_capacity, concept->n_tokens + 1, sizeof *concept->tokens);
    }
    if (status == FATHOM_OK && n > 0) {
        concept->tokens[concept->n_tokens++] = tokens[0];
    }
    fathom_free(tokens);
    fathom_free(text);
    return status;
}

static int add_expression(struct pattern *pattern, const char *word, size_t length) {
    char *source = NULL;
    char complaint[128];
    int status = fathom__copy_bytes(&source, word + 1, length - 2);
    if (status != FATHOM_OK) {
        return status;
    }
    int code = regcomp(&pattern->expression, source, REG_EXTENDED | REG_ICASE);
    if (code != 0) {
        regerror(code, &pattern->expression, complaint, sizeof complaint);
        status = fathom__fail(FATHOM_ERROR_FORMAT, "concept \"%s\": %s", word, complaint);
    }
    pattern->compiled = code == 0;
    fathom_free(source);
    return status;
}

static int add_word(fathom_concept *concept, const fathom_model *model, const char *word) {
    struct pattern *pattern = &concept->patterns[concept->n++];
    size_t length = strlen(word);
    if (length == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "concept: an empty word matches nothing");
    }
    if (length > 2 && word[0] == '/' && word[length - 1] == '/') {
        return add_expression(pattern, word, length);
    }
    int status = fathom__copy_string(&pattern->phrase, word);
    if (status == FATHOM_OK) {
        status = add_token(concept, model, " ", word);
    }
    if (status == FATHOM_OK) {
        status = add_token(concept, model, "", word);
    }
    return status;
}

int fathom_concept_open(fathom_concept **out, const fathom_model *model, const char *const *words, size_t n_words) {
    fathom_concept *concept = NULL;
    if (n_words == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "concept: at least one word is needed");
    }
    int status = fathom__alloc(&concept, 1, sizeof *concept);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&concept->patterns, n_words, sizeof *concept->patterns);
    }
    for (size_t i = 0; i < n_words && status == FATHOM_OK; i++) {
        status = add_word(concept, model, words[i]);
    }
    if (status != FATHOM_OK) {
        fathom_concept_close(concept);
        return status;
    }
    *out = concept;
    return FATHOM_OK;
}

static bool in_word(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Length of the phrase's match at the start of text, 0 for none. A space in the phrase stands for any white space. */
static size_t match_here(const char *phrase, const char *text) {
    const char *start = text;
    for (; *phrase != '\0'; phrase++) {
        if (*phrase == ' ') {
            if (!isspace((unsigned char)*text)) {
                return 0;
            }
            while (isspace((unsigned char)*text)) {
                text++;
            }
        } else if (tolower((unsigned char)*phrase) == tolower((unsigned char)*text)) {
            text++;
        } else {
            return 0;
        }
    }
    return (size_t)(text - start);
}

static bool find_phrase(size_t *start, size_t *length, const char *phrase, const char *text, size_t from) {
    for (size_t at = from; text[at] != '\0'; at++) {
        size_t n = at > 0 && in_word(text[at - 1]) && in_word(text[at]) ? 0 : match_here(phrase, text + at);
        if (n > 0 && !(in_word(text[at + n - 1]) && in_word(text[at + n]))) {
            *start = at;
            *length = n;
            return true;
        }
    }
    return false;
}

static bool find_pattern(size_t *start, size_t *length, const struct pattern *pattern, const char *text, size_t from) {
    regmatch_t match;
    if (pattern->phrase != NULL) {
        return find_phrase(start, length, pattern->phrase, text, from);
    }
    while (regexec(&pattern->expression, text + from, 1, &match, from > 0 ? REG_NOTBOL : 0) == 0) {
        if (match.rm_eo > match.rm_so) {
            *start = from + (size_t)match.rm_so;
            *length = (size_t)(match.rm_eo - match.rm_so);
            return true;
        }
        if (text[from + (size_t)match.rm_so] == '\0') {
            break;
        }
        from += (size_t)match.rm_so + 1; /* an empty match is no mention */
    }
    return false;
}

size_t fathom_concept_mentions(const fathom_concept *concept, const char *text) {
    size_t count = 0;
    size_t from = 0;
    for (;;) {
        size_t best_start = SIZE_MAX;
        size_t best_length = 0;
        for (size_t i = 0; i < concept->n; i++) {
            size_t start = 0;
            size_t length = 0;
            if (find_pattern(&start, &length, &concept->patterns[i], text, from) &&
                (start < best_start || (start == best_start && length > best_length))) {
                best_start = start;
                best_length = length;
            }
        }
        if (best_start == SIZE_MAX) {
            return count;
        }
        count++;
        from = best_start + best_length;
    }
}

double fathom__concept_log_mass(const fathom_concept *concept, const float *logits, size_t n_vocab) {
    double total = fathom__log_total(logits, n_vocab);
    double mass = 0;
    for (size_t i = 0; i < concept->n_tokens; i++) {
        mass += exp((double)logits[concept->tokens[i]] - total);
    }
    return log(mass);
}
