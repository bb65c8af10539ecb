/* Which documents are kept. */
#include "base/utf8.h"
#include "engine/write_parts.h"
#include <ctype.h>
#include <string.h>

/* Fewer tokens than this are no document. */
#define LEAST_TOKENS 24
#define RUN 4

static bool same_run(const int32_t *a, const int32_t *b) {
    return memcmp(a, b, RUN * sizeof *a) == 0;
}

/* Documents are a few hundred tokens long, so that comparing all pairs is quicker than a table. */
double fathom__write_repetition(const int32_t *tokens, size_t n) {
    if (n <= RUN) return 0;
    const size_t runs = n - RUN + 1;
    size_t repeated = 0;
    for (size_t i = 1; i < runs; i++) {
        size_t j = 0;
        while (j < i && !same_run(tokens + i, tokens + j))
            j++;
        repeated += j < i;
    }
    return (double)repeated / (double)runs;
}

static void trim_ends(char *text) {
    size_t start = 0, end = strlen(text);
    while (end > 0 && isspace((unsigned char)text[end - 1]))
        end--;
    while (start < end && isspace((unsigned char)text[start]))
        start++;
    memmove(text, text + start, end - start);
    text[end - start] = '\0';
}

/* Cuts after the last sentence that ends in the second half; a text without one stays as it is. */
static void trim_sentence(char *text) {
    const size_t length = strlen(text);
    for (size_t i = length; i > length / 2; i--) {
        const char c = text[i - 1], after = text[i];
        if ((c == '.' || c == '!' || c == '?') && (after == '\0' || isspace((unsigned char)after) || after == '"')) {
            text[after == '"' ? i + 1 : i] = '\0';
            return;
        }
    }
}

enum fathom__write_verdict fathom__write_judge(char *text, const int32_t *tokens, size_t n, bool cut,
                                               double most_repetition) {
    if (cut) {
        text[fathom__utf8_whole(text, strlen(text))] = '\0';
        trim_sentence(text);
    }
    trim_ends(text);
    if (n < LEAST_TOKENS || text[0] == '\0') return FATHOM__WRITE_SHORT;
    if (!fathom__utf8_valid(NULL, text, strlen(text))) return FATHOM__WRITE_BROKEN;
    if (fathom__write_repetition(tokens, n) > most_repetition) return FATHOM__WRITE_REPETITIVE;
    return FATHOM__WRITE_KEPT;
}
