#include "steer/plan_words.h"
#include "base/error.h"
#include "base/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 24, NUMBER_SIZE = 48 };

int fathom__expected(const struct fathom__cursor *cursor, const char *what) {
    return *cursor->at != '\0'
               ? fathom__fail(FATHOM_ERROR_FORMAT, "%s: at \"%.*s\": %s is expected", cursor->name, SHOWN, cursor->at,
                              what)
               : fathom__fail(FATHOM_ERROR_FORMAT, "%s: at the end: %s is expected", cursor->name, what);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

void fathom__skip(struct fathom__cursor *cursor) {
    while (is_blank(*cursor->at)) {
        cursor->at++;
    }
}

bool fathom__take_sign(struct fathom__cursor *cursor, char sign) {
    fathom__skip(cursor);
    if (*cursor->at != sign) {
        return false;
    }
    cursor->at++;
    fathom__skip(cursor);
    return true;
}

/* Whether a word ends here. */
static bool ends_word(char c) {
    return c == '\0' || is_blank(c) || strchr(",;@\"", c) != NULL;
}

bool fathom__take_word(struct fathom__cursor *cursor, const char *word) {
    size_t length = strlen(word);
    fathom__skip(cursor);
    if (strncmp(cursor->at, word, length) != 0 || !ends_word(cursor->at[length])) {
        return false;
    }
    cursor->at += length;
    fathom__skip(cursor);
    return true;
}

bool fathom__take_dots(struct fathom__cursor *cursor) {
    fathom__skip(cursor);
    if (strncmp(cursor->at, "..", 2) != 0) {
        return false;
    }
    cursor->at += 2;
    fathom__skip(cursor);
    return true;
}

/* Digits with a fraction and an exponent; a point is part of it only before a digit, because of "..". */
bool fathom__take_number(double *out, struct fathom__cursor *cursor) {
    char digits[NUMBER_SIZE];
    size_t n = 0;
    fathom__skip(cursor);
    const char *c = cursor->at;
    if (*c == '-' || *c == '+') {
        digits[n++] = *c++;
    }
    size_t sign = n;
    while (n < NUMBER_SIZE - 4 && (is_digit(*c) || (*c == '.' && is_digit(c[1])))) {
        digits[n++] = *c++;
    }
    if (n == sign) {
        return false;
    }
    if (*c == 'e' && (is_digit(c[1]) || ((c[1] == '-' || c[1] == '+') && is_digit(c[2])))) {
        digits[n++] = *c++;
        do {
            digits[n++] = *c++; /* the exponent's sign or first digit, and the rest */
        } while (n < NUMBER_SIZE - 1 && is_digit(*c));
    }
    digits[n] = '\0';
    char *end = NULL;
    *out = strtod(digits, &end);
    if (*end != '\0' || !isfinite(*out)) {
        return false;
    }
    cursor->at = c;
    return true;
}

int fathom__read_number(json_t **out, struct fathom__cursor *cursor) {
    double value = 0;
    if (!fathom__take_number(&value, cursor)) {
        return fathom__expected(cursor, "a number");
    }
    *out = json_real(value);
    return FATHOM_OK;
}

int fathom__read_integer(json_t **out, struct fathom__cursor *cursor) {
    const char *start = cursor->at;
    double value = 0;
    if (!fathom__take_number(&value, cursor) || value != floor(value) || fabs(value) > INT32_MAX) {
        cursor->at = start;
        return fathom__expected(cursor, "a whole number");
    }
    *out = json_integer((json_int_t)value);
    return FATHOM_OK;
}

/* What stands between quotes; a backslash takes the next character as it is, \n is a line break. */
int fathom__read_quoted(json_t **out, struct fathom__cursor *cursor) {
    char *text = NULL;
    size_t n = 0;
    fathom__skip(cursor);
    if (*cursor->at != '"') {
        return fathom__expected(cursor, "a text between quotes");
    }
    int status = fathom__alloc(&text, strlen(cursor->at), 1);
    const char *c = cursor->at + 1;
    while (status == FATHOM_OK && *c != '"' && *c != '\0') {
        bool escaped = *c == '\\' && c[1] != '\0';
        c += escaped;
        text[n++] = escaped && *c == 'n' ? '\n' : *c;
        c++;
    }
    if (status == FATHOM_OK && *c == '\0') {
        status = fathom__expected(cursor, "a closing quote");
    }
    if (status == FATHOM_OK) {
        *out = json_stringn(text, n);
        cursor->at = c + 1;
        status =
            *out != NULL ? FATHOM_OK : fathom__fail(FATHOM_ERROR_FORMAT, "%s: a text is not valid UTF-8", cursor->name);
    }
    fathom_free(text);
    return status;
}

/* A file's or hook point's name, quoted or not. */
int fathom__read_name(json_t **out, struct fathom__cursor *cursor) {
    fathom__skip(cursor);
    size_t n = 0;
    if (*cursor->at == '"') {
        return fathom__read_quoted(out, cursor);
    }
    while (!ends_word(cursor->at[n])) {
        n++;
    }
    if (n == 0) {
        return fathom__expected(cursor, "a name");
    }
    *out = json_stringn(cursor->at, n);
    cursor->at += n;
    return *out != NULL ? FATHOM_OK : fathom__fail(FATHOM_ERROR_FORMAT, "%s: a name is not valid UTF-8", cursor->name);
}
