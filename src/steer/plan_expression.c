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
#include "steer/plan_words.h"
#include <string.h>

enum { TEXT_LIMIT = 1 << 20 };

/* Puts what `read` reads under a key. */
static int put(json_t *object, const char *key, int (*read)(json_t **out, struct fathom__cursor *cursor),
               struct fathom__cursor *cursor) {
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

static int read_feature_or_file(json_t *object, struct fathom__cursor *cursor, const char *const *files) {
    fathom__skip(cursor);
    if (*cursor->at == '"') {
        return put(object, "feature", fathom__read_quoted, cursor);
    }
    if (fathom__take_sign(cursor, '#')) {
        return put(object, "feature", fathom__read_integer, cursor);
    }
    for (size_t i = 0; files[i] != NULL; i++) {
        if (fathom__take_word(cursor, files[i])) {
            return put(object, files[i], fathom__read_name, cursor);
        }
    }
    return fathom__expected(cursor, "what is meant (\"words of a label\", #NUMBER, probe FILE, direction FILE, …)");
}

static int read_what(json_t *edit, struct fathom__cursor *cursor) {
    static const char *const files[] = {"direction", "vector", "probe", "rows", NULL};
    const char *const flags[] = {"error", "layer"};
    for (size_t i = 0; i < 2; i++) {
        if (fathom__take_word(cursor, flags[i])) {
            json_object_set_new(edit, flags[i], json_true());
            return FATHOM_OK;
        }
    }
    return read_feature_or_file(edit, cursor, files);
}

/* Two whole numbers, or one, with ".." or a dash between them. */
static int read_pair(json_t *object, const char *key, struct fathom__cursor *cursor, bool dots) {
    json_t *pair = json_array();
    json_t *value = NULL;
    int status = fathom__read_integer(&value, cursor);
    if (status == FATHOM_OK) {
        json_array_append_new(pair, value);
        bool more =
            dots ? fathom__take_dots(cursor) : *cursor->at == '-' && cursor->at[1] >= '0' && cursor->at[1] <= '9';
        if (more) {
            cursor->at += dots ? 0 : 1;
            status = fathom__read_integer(&value, cursor);
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

static int read_cap(json_t *edit, struct fathom__cursor *cursor) {
    double low = 0;
    double high = 0;
    put_word(edit, "how", "cap");
    bool has_low = fathom__take_number(&low, cursor);
    if (!fathom__take_dots(cursor)) {
        return fathom__expected(cursor, "bounds such as 0..2, ..2 or 0..");
    }
    bool has_high = fathom__take_number(&high, cursor);
    if (!has_low && !has_high) {
        return fathom__expected(cursor, "a bound on one side of ..");
    }
    if (has_low) {
        json_object_set_new(edit, "low", json_real(low));
    }
    if (has_high) {
        json_object_set_new(edit, "high", json_real(high));
    }
    return FATHOM_OK;
}

static int read_patch(json_t *edit, struct fathom__cursor *cursor) {
    json_t *patch = json_object();
    put_word(edit, "how", "patch");
    int status = put(patch, "text", fathom__read_quoted, cursor);
    if (status == FATHOM_OK && fathom__take_word(cursor, "from")) {
        status = fathom__take_word(cursor, "end") ? FATHOM_OK : fathom__expected(cursor, "\"end\"");
        put_word(patch, "align", "end");
    }
    json_object_set_new(edit, "patch", patch);
    return status;
}

static int read_how(json_t *edit, struct fathom__cursor *cursor) {
    fathom__skip(cursor);
    if (*cursor->at == '+' || *cursor->at == '-') {
        put_word(edit, "how", "add");
        return put(edit, "value", fathom__read_number, cursor);
    }
    if (fathom__take_sign(cursor, '=')) {
        put_word(edit, "how", "clamp");
        return put(edit, "value", fathom__read_number, cursor);
    }
    if (fathom__take_sign(cursor, '*')) {
        put_word(edit, "how", "affine");
        int status = put(edit, "value", fathom__read_number, cursor);
        fathom__skip(cursor);
        bool more = *cursor->at == '+' || *cursor->at == '-';
        return status == FATHOM_OK && more ? put(edit, "offset", fathom__read_number, cursor) : status;
    }
    if (fathom__take_word(cursor, "ablate")) {
        put_word(edit, "how", "ablate");
        return FATHOM_OK;
    }
    if (fathom__take_word(cursor, "out")) {
        double part = 1;
        put_word(edit, "how", "project_out");
        if (fathom__take_number(&part, cursor)) {
            json_object_set_new(edit, "value", json_real(part));
        }
        return FATHOM_OK;
    }
    if (fathom__take_word(cursor, "cap")) {
        return read_cap(edit, cursor);
    }
    if (fathom__take_word(cursor, "rotate")) {
        put_word(edit, "how", "rotate");
        return put(edit, "value", fathom__read_number, cursor);
    }
    if (fathom__take_word(cursor, "patch")) {
        return read_patch(edit, cursor);
    }
    return fathom__expected(cursor, "what is done (+X, -X, =X, *X, ablate, out, cap, rotate or patch)");
}

static int read_level(json_t *edit, struct fathom__cursor *cursor) {
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
        measured = fathom__take_word(cursor, measures[i]);
        if (measured) {
            put_word(level, "measure", measures[i]);
            status = put(level, "direction", fathom__read_name, cursor);
        }
    }
    if (!measured) {
        status = read_feature_or_file(level, cursor, files);
    }
    if (status == FATHOM_OK && fathom__take_sign(cursor, '@')) {
        status = put(level, "layer", fathom__read_integer, cursor);
    }
    if (status == FATHOM_OK) {
        bool above = fathom__take_sign(cursor, '>');
        if (!above && !fathom__take_sign(cursor, '<')) {
            return fathom__expected(cursor, "\">\" or \"<\" and a level");
        }
        status = put(level, above ? "above" : "below", fathom__read_number, cursor);
    }
    if (status == FATHOM_OK && fathom__take_word(cursor, "raw")) {
        put_word(level, "unit", "activation");
    }
    if (status == FATHOM_OK && fathom__take_word(cursor, "over")) {
        bool ever = fathom__take_word(cursor, "ever");
        if (!ever && !fathom__take_word(cursor, "prompt")) {
            return fathom__expected(cursor, "\"prompt\" or \"ever\"");
        }
        put_word(level, "over", ever ? "ever" : "prompt");
    }
    return status == FATHOM_OK && fathom__take_word(cursor, "window")
               ? put(level, "window", fathom__read_integer, cursor)
               : status;
}

static int read_state(json_t *edit, struct fathom__cursor *cursor) {
    static const char *const states[] = {"prompting", "answering", "thinking", "replying"};
    for (size_t i = 0; i < 4; i++) {
        if (fathom__take_word(cursor, states[i])) {
            put_word(edit, "part", fathom__part_words[i + 1]);
            return FATHOM_OK;
        }
    }
    return read_level(edit, cursor);
}

/* *found is false where no clause begins. */
static int read_clause(bool *found, json_t *edit, struct fathom__cursor *cursor) {
    int status = FATHOM_OK;
    *found = true;
    if (fathom__take_word(cursor, "while")) {
        do {
            status = read_state(edit, cursor);
        } while (status == FATHOM_OK && fathom__take_word(cursor, "and"));
        return status;
    }
    if (fathom__take_word(cursor, "after")) {
        return put(edit, "after", fathom__read_quoted, cursor);
    }
    if (fathom__take_word(cursor, "at")) {
        return read_pair(edit, "positions", cursor, true);
    }
    if (fathom__take_word(cursor, "ramp")) {
        return put(edit, "ramp", fathom__read_integer, cursor);
    }
    if (fathom__take_word(cursor, "on")) {
        return put(edit, "hook", fathom__read_name, cursor);
    }
    if (fathom__take_word(cursor, "whole")) {
        json_object_set_new(edit, "whole", json_true());
        return FATHOM_OK;
    }
    if (fathom__take_word(cursor, "raw")) {
        put_word(edit, "unit", "activation");
        return FATHOM_OK;
    }
    if (fathom__take_word(cursor, "dictionary")) {
        return put(edit, "dictionary", fathom__read_name, cursor);
    }
    *found = false;
    return FATHOM_OK;
}

static int read_edit(json_t *edit, struct fathom__cursor *cursor) {
    bool found = true;
    int status = read_what(edit, cursor);
    if (status == FATHOM_OK && fathom__take_sign(cursor, '@')) {
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
    struct fathom__cursor cursor = {copy, name};
    json_t *edits = json_array();
    bool more = true;
    fathom__skip(&cursor);
    while (status == FATHOM_OK && more) {
        json_t *edit = json_object();
        json_array_append_new(edits, edit);
        status = read_edit(edit, &cursor);
        more = status == FATHOM_OK && (fathom__take_sign(&cursor, ';') || fathom__take_sign(&cursor, ','));
        more = more && *cursor.at != '\0'; /* one at the very end separates nothing */
    }
    fathom__skip(&cursor);
    if (status == FATHOM_OK && *cursor.at != '\0') {
        status = fathom__expected(&cursor, "a clause (while, after, at, ramp, whole, raw) or \";\" and another edit");
    }
    fathom_free(copy);
    if (status != FATHOM_OK) {
        json_decref(edits);
        return status;
    }
    *out = json_pack("{s:i, s:o}", "fathom_plan", 1, "edits", edits);
    return *out != NULL ? FATHOM_OK : fathom__fail(FATHOM_ERROR_MEMORY, "%s: no memory", name);
}
