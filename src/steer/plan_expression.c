/* Plans as a person types them, translated into JSON documents.
 *
 *   plan      = edit { (";" | ",") edit }
 *   edit      = what [ "@" layers ] how { clause }
 *   what      = WORDS | "#" NUMBER | "direction" FILE | "vector" FILE | "probe" FILE | "error" | "rows" POINT | "layer"
 *   layers    = N [ "-" N ]
 *   how       = "+" X | "-" X | "=" X | "*" X [ "+" X ] | "ablate" | "out" [ X ] | "cap" [ X ] ".." [ X ] | "rotate" X
 *             | "patch" TEXT [ "from" "end" ]
 *   clause    = "while" state { "and" state } | "after" TEXT | "at" N [ ".." N ] | "ramp" N | "whole" | "raw"
 *             | "dictionary" FILE | "on" POINT
 *   state     = "prompting" | "answering" | "thinking" | "replying" | level
 *   level     = (WORDS | "#" NUMBER | "probe" FILE | ("direction" | "cosine" | "cast") FILE "@" N) (">" | "<") X
 *               [ "raw" ] [ "over" ("prompt" | "ever") ] [ "window" N ]
 */
#include "base/error.h"
#include "base/memory.h"
#include "steer/plan_text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 24, NUMBER_SIZE = 48, TEXT_LIMIT = 1 << 20 };

struct cursor {
    const char *at; /* in zero-terminated text */
    const char *name;
};

static int expected(const struct cursor *cursor, const char *what) {
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

static void skip(struct cursor *cursor) {
    while (is_blank(*cursor->at)) {
        cursor->at++;
    }
}

static bool take_sign(struct cursor *cursor, char sign) {
    skip(cursor);
    if (*cursor->at != sign) {
        return false;
    }
    cursor->at++;
    skip(cursor);
    return true;
}

/* Whether a word ends here. */
static bool ends_word(char c) {
    return c == '\0' || is_blank(c) || strchr(",;@\"", c) != NULL;
}

static bool take_word(struct cursor *cursor, const char *word) {
    size_t length = strlen(word);
    skip(cursor);
    if (strncmp(cursor->at, word, length) != 0 || !ends_word(cursor->at[length])) {
        return false;
    }
    cursor->at += length;
    skip(cursor);
    return true;
}

static bool take_dots(struct cursor *cursor) {
    skip(cursor);
    if (strncmp(cursor->at, "..", 2) != 0) {
        return false;
    }
    cursor->at += 2;
    skip(cursor);
    return true;
}

/* Digits with a fraction and an exponent; a point is part of it only before a digit, because of "..". */
static bool take_number(double *out, struct cursor *cursor) {
    char digits[NUMBER_SIZE];
    size_t n = 0;
    skip(cursor);
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

static int read_number(json_t **out, struct cursor *cursor) {
    double value = 0;
    if (!take_number(&value, cursor)) {
        return expected(cursor, "a number");
    }
    *out = json_real(value);
    return FATHOM_OK;
}

static int read_integer(json_t **out, struct cursor *cursor) {
    const char *start = cursor->at;
    double value = 0;
    if (!take_number(&value, cursor) || value != floor(value) || fabs(value) > INT32_MAX) {
        cursor->at = start;
        return expected(cursor, "a whole number");
    }
    *out = json_integer((json_int_t)value);
    return FATHOM_OK;
}

/* What stands between quotes; a backslash takes the next character as it is, \n is a line break. */
static int read_quoted(json_t **out, struct cursor *cursor) {
    char *text = NULL;
    size_t n = 0;
    skip(cursor);
    if (*cursor->at != '"') {
        return expected(cursor, "a text between quotes");
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
        status = expected(cursor, "a closing quote");
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
static int read_name(json_t **out, struct cursor *cursor) {
    skip(cursor);
    size_t n = 0;
    if (*cursor->at == '"') {
        return read_quoted(out, cursor);
    }
    while (!ends_word(cursor->at[n])) {
        n++;
    }
    if (n == 0) {
        return expected(cursor, "a name");
    }
    *out = json_stringn(cursor->at, n);
    cursor->at += n;
    return *out != NULL ? FATHOM_OK : fathom__fail(FATHOM_ERROR_FORMAT, "%s: a name is not valid UTF-8", cursor->name);
}

/* Puts what `read` reads under a key. */
static int put(json_t *object, const char *key, int (*read)(json_t **out, struct cursor *cursor),
               struct cursor *cursor) {
    json_t *value = NULL;
    int status = read(&value, cursor);
    if (status == FATHOM_OK && json_object_set_new(object, key, value) != 0) {
        status = fathom__fail(FATHOM_ERROR_MEMORY, "%s: no memory", cursor->name);
    }
    return status;
}

static void put_word(json_t *object, const char *key, const char *word) {
    json_object_set_new(object, key, json_string(word));
}

static int read_feature_or_file(json_t *object, struct cursor *cursor, const char *const *files) {
    skip(cursor);
    if (*cursor->at == '"') {
        return put(object, "feature", read_quoted, cursor);
    }
    if (take_sign(cursor, '#')) {
        return put(object, "feature", read_integer, cursor);
    }
    for (size_t i = 0; files[i] != NULL; i++) {
        if (take_word(cursor, files[i])) {
            return put(object, files[i], read_name, cursor);
        }
    }
    return expected(cursor, "what is meant (\"words of a label\", #NUMBER, probe FILE, direction FILE, …)");
}

static int read_what(json_t *edit, struct cursor *cursor) {
    static const char *const files[] = {"direction", "vector", "probe", "rows", NULL};
    const char *const flags[] = {"error", "layer"};
    for (size_t i = 0; i < 2; i++) {
        if (take_word(cursor, flags[i])) {
            json_object_set_new(edit, flags[i], json_true());
            return FATHOM_OK;
        }
    }
    return read_feature_or_file(edit, cursor, files);
}

/* Two whole numbers, or one, with ".." or a dash between them. */
static int read_pair(json_t *object, const char *key, struct cursor *cursor, bool dots) {
    json_t *pair = json_array();
    json_t *value = NULL;
    int status = read_integer(&value, cursor);
    if (status == FATHOM_OK) {
        json_array_append_new(pair, value);
        bool more = dots ? take_dots(cursor) : *cursor->at == '-' && is_digit(cursor->at[1]);
        if (more) {
            cursor->at += dots ? 0 : 1;
            status = read_integer(&value, cursor);
            if (status == FATHOM_OK) {
                json_array_append_new(pair, value);
            }
        } else {
            json_array_append(pair, value);
        }
    }
    if (status == FATHOM_OK) {
        json_object_set(object, key, pair);
    }
    json_decref(pair);
    return status;
}

static int read_cap(json_t *edit, struct cursor *cursor) {
    double low = 0;
    double high = 0;
    put_word(edit, "how", "cap");
    bool has_low = take_number(&low, cursor);
    if (!take_dots(cursor)) {
        return expected(cursor, "bounds such as 0..2, ..2 or 0..");
    }
    bool has_high = take_number(&high, cursor);
    if (!has_low && !has_high) {
        return expected(cursor, "a bound on one side of ..");
    }
    if (has_low) {
        json_object_set_new(edit, "low", json_real(low));
    }
    if (has_high) {
        json_object_set_new(edit, "high", json_real(high));
    }
    return FATHOM_OK;
}

static int read_patch(json_t *edit, struct cursor *cursor) {
    json_t *patch = json_object();
    put_word(edit, "how", "patch");
    int status = put(patch, "text", read_quoted, cursor);
    if (status == FATHOM_OK && take_word(cursor, "from")) {
        status = take_word(cursor, "end") ? FATHOM_OK : expected(cursor, "\"end\"");
        put_word(patch, "align", "end");
    }
    json_object_set_new(edit, "patch", patch);
    return status;
}

static int read_how(json_t *edit, struct cursor *cursor) {
    skip(cursor);
    if (*cursor->at == '+' || *cursor->at == '-') {
        put_word(edit, "how", "add");
        return put(edit, "value", read_number, cursor);
    }
    if (take_sign(cursor, '=')) {
        put_word(edit, "how", "clamp");
        return put(edit, "value", read_number, cursor);
    }
    if (take_sign(cursor, '*')) {
        put_word(edit, "how", "affine");
        int status = put(edit, "value", read_number, cursor);
        skip(cursor);
        bool more = *cursor->at == '+' || *cursor->at == '-';
        return status == FATHOM_OK && more ? put(edit, "offset", read_number, cursor) : status;
    }
    if (take_word(cursor, "ablate")) {
        put_word(edit, "how", "ablate");
        return FATHOM_OK;
    }
    if (take_word(cursor, "out")) {
        double part = 1;
        put_word(edit, "how", "project_out");
        if (take_number(&part, cursor)) {
            json_object_set_new(edit, "value", json_real(part));
        }
        return FATHOM_OK;
    }
    if (take_word(cursor, "cap")) {
        return read_cap(edit, cursor);
    }
    if (take_word(cursor, "rotate")) {
        put_word(edit, "how", "rotate");
        return put(edit, "value", read_number, cursor);
    }
    if (take_word(cursor, "patch")) {
        return read_patch(edit, cursor);
    }
    return expected(cursor, "what is done (+X, -X, =X, *X, ablate, out, cap, rotate or patch)");
}

static int read_level(json_t *edit, struct cursor *cursor) {
    static const char *const files[] = {"probe", "direction", NULL};
    static const char *const measures[] = {"cosine", "cast"};
    json_t *level = json_object();
    json_t *all = json_object_get(edit, "while");
    int status = FATHOM_OK;
    bool measured = false;
    if (all == NULL) {
        all = json_array();
        json_object_set_new(edit, "while", all);
    }
    json_array_append_new(all, level);
    for (size_t i = 0; i < 2 && !measured; i++) {
        measured = take_word(cursor, measures[i]);
        if (measured) {
            put_word(level, "measure", measures[i]);
            status = put(level, "direction", read_name, cursor);
        }
    }
    if (!measured) {
        status = read_feature_or_file(level, cursor, files);
    }
    if (status == FATHOM_OK && take_sign(cursor, '@')) {
        status = put(level, "layer", read_integer, cursor);
    }
    if (status == FATHOM_OK) {
        bool above = take_sign(cursor, '>');
        if (!above && !take_sign(cursor, '<')) {
            return expected(cursor, "\">\" or \"<\" and a level");
        }
        status = put(level, above ? "above" : "below", read_number, cursor);
    }
    if (status == FATHOM_OK && take_word(cursor, "raw")) {
        put_word(level, "unit", "activation");
    }
    if (status == FATHOM_OK && take_word(cursor, "over")) {
        bool ever = take_word(cursor, "ever");
        if (!ever && !take_word(cursor, "prompt")) {
            return expected(cursor, "\"prompt\" or \"ever\"");
        }
        put_word(level, "over", ever ? "ever" : "prompt");
    }
    return status == FATHOM_OK && take_word(cursor, "window") ? put(level, "window", read_integer, cursor) : status;
}

static int read_state(json_t *edit, struct cursor *cursor) {
    static const char *const states[] = {"prompting", "answering", "thinking", "replying"};
    for (size_t i = 0; i < 4; i++) {
        if (take_word(cursor, states[i])) {
            put_word(edit, "part", fathom__part_words[i + 1]);
            return FATHOM_OK;
        }
    }
    return read_level(edit, cursor);
}

/* *found is false where no clause begins. */
static int read_clause(bool *found, json_t *edit, struct cursor *cursor) {
    int status = FATHOM_OK;
    *found = true;
    if (take_word(cursor, "while")) {
        do {
            status = read_state(edit, cursor);
        } while (status == FATHOM_OK && take_word(cursor, "and"));
        return status;
    }
    if (take_word(cursor, "after")) {
        return put(edit, "after", read_quoted, cursor);
    }
    if (take_word(cursor, "at")) {
        return read_pair(edit, "positions", cursor, true);
    }
    if (take_word(cursor, "ramp")) {
        return put(edit, "ramp", read_integer, cursor);
    }
    if (take_word(cursor, "on")) {
        return put(edit, "hook", read_name, cursor);
    }
    if (take_word(cursor, "whole")) {
        json_object_set_new(edit, "whole", json_true());
        return FATHOM_OK;
    }
    if (take_word(cursor, "raw")) {
        put_word(edit, "unit", "activation");
        return FATHOM_OK;
    }
    if (take_word(cursor, "dictionary")) {
        return put(edit, "dictionary", read_name, cursor);
    }
    *found = false;
    return FATHOM_OK;
}

static int read_edit(json_t *edit, struct cursor *cursor) {
    bool found = true;
    int status = read_what(edit, cursor);
    if (status == FATHOM_OK && take_sign(cursor, '@')) {
        status = read_pair(edit, "layers", cursor, false);
    }
    if (status == FATHOM_OK) {
        status = read_how(edit, cursor);
    }
    while (status == FATHOM_OK && found) {
        status = read_clause(&found, edit, cursor);
    }
    return status;
}

int fathom__expression_parse(json_t **out, const char *text, size_t length, const char *name) {
    char *copy = NULL;
    if (length > TEXT_LIMIT || memchr(text, '\0', length) != NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not the text of a plan", name);
    }
    int status = fathom__copy_bytes(&copy, text, length);
    if (status != FATHOM_OK) {
        return status;
    }
    struct cursor cursor = {copy, name};
    json_t *edits = json_array();
    bool more = true;
    skip(&cursor);
    while (status == FATHOM_OK && more) {
        json_t *edit = json_object();
        json_array_append_new(edits, edit);
        status = read_edit(edit, &cursor);
        more = status == FATHOM_OK && (take_sign(&cursor, ';') || take_sign(&cursor, ','));
        more = more && *cursor.at != '\0'; /* one at the very end separates nothing */
    }
    skip(&cursor);
    if (status == FATHOM_OK && *cursor.at != '\0') {
        status = expected(&cursor, "a clause (while, after, at, ramp, whole, raw) or \";\" and another edit");
    }
    fathom_free(copy);
    if (status != FATHOM_OK) {
        json_decref(edits);
        return status;
    }
    *out = json_pack("{s:i, s:o}", "fathom_plan", 1, "edits", edits);
    return *out != NULL ? FATHOM_OK : fathom__fail(FATHOM_ERROR_MEMORY, "%s: no memory", name);
}
