#include "detect/texts.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 30 };

void fathom_texts_free(struct fathom_texts *texts) {
    for (size_t i = 0; i < texts->n; i++) {
        fathom_free(texts->texts[i]);
    }
    fathom_free(texts->texts);
    fathom_free(texts->labels);
    *texts = (struct fathom_texts)FATHOM_TEXTS_INIT;
}

int fathom_texts_append(struct fathom_texts *texts, const char *text, size_t length, enum fathom_text_label label) {
    size_t bad = 0;
    int status = FATHOM_OK;
    if (!fathom__utf8_valid(&bad, text, length)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "text %zu: invalid UTF-8 at byte %zu", texts->n + 1, bad);
    }
    if (memchr(text, '\0', length) != NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "text %zu: holds a zero byte", texts->n + 1);
    }
    status = fathom__grow(&texts->texts, &texts->text_capacity, texts->n + 1, sizeof *texts->texts);
    if (status == FATHOM_OK) {
        status = fathom__grow(&texts->labels, &texts->label_capacity, texts->n + 1, sizeof *texts->labels);
    }
    if (status == FATHOM_OK) {
        status = fathom__copy_bytes(&texts->texts[texts->n], text, length);
    }
    if (status == FATHOM_OK) {
        texts->labels[texts->n++] = (int8_t)label;
    }
    return status;
}

static int record_label(enum fathom_text_label *label, const json_t *record, const char *where) {
    const json_t *value = json_object_get(record, "label");
    if (value == NULL) {
        return FATHOM_OK;
    }
    if (json_is_boolean(value)) {
        *label = json_is_true(value) ? FATHOM_LABEL_POSITIVE : FATHOM_LABEL_NEGATIVE;
    } else if (json_is_integer(value) && (json_integer_value(value) == 0 || json_integer_value(value) == 1)) {
        *label = (enum fathom_text_label)json_integer_value(value);
    } else {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"label\" must be true, false, 1 or 0", where);
    }
    return FATHOM_OK;
}

static int append_record(struct fathom_texts *texts, const char *line, size_t length, enum fathom_text_label label,
                         const char *where) {
    json_t *record = NULL;
    const char *text = NULL;
    int status = fathom__json_parse(&record, line, length, where);
    if (status == FATHOM_OK) {
        status = fathom__json_get_string(&text, record, "text", true, where);
    }
    if (status == FATHOM_OK) {
        status = record_label(&label, record, where);
    }
    if (status == FATHOM_OK) {
        status = fathom_texts_append(texts, text, strlen(text), label);
    }
    json_decref(record);
    return status;
}

static size_t trimmed(const char *line, size_t length) {
    while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL) {
        length--;
    }
    return length;
}

int fathom_texts_load(struct fathom_texts *texts, const char *path, enum fathom_text_label label) {
    char *bytes = NULL;
    char *where = NULL;
    size_t length = 0;
    size_t before = texts->n;
    size_t number = 0;
    const char *dot = strrchr(path, '.');
    bool records = dot != NULL && strcmp(dot, ".jsonl") == 0;
    int status = fathom__file_read(&bytes, &length, path, FILE_LIMIT);
    const char *end = bytes + length;
    for (const char *line = bytes; status == FATHOM_OK && line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;
        size_t used = trimmed(line, (size_t)((newline ? newline : end) - line));
        size_t bad = 0;
        number++;
        if (used > 0) {
            fathom_free(where);
            where = NULL;
            status = fathom__format(&where, "%s, line %zu", path, number);
            if (status == FATHOM_OK && !fathom__utf8_valid(&bad, line, used)) {
                status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: invalid UTF-8 at byte %zu", where, bad);
            }
            if (status == FATHOM_OK && records) {
                status = append_record(texts, line, used, label, where);
            } else if (status == FATHOM_OK) {
                status = fathom_texts_append(texts, line, used, label);
                status = status == FATHOM_OK ? status : fathom__wrap(status, "%s", where);
            }
        }
        line = next;
    }
    if (status == FATHOM_OK && texts->n == before) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: holds no text", path);
    }
    fathom_free(where);
    fathom_free(bytes);
    return status;
}

size_t fathom_texts_count(const struct fathom_texts *texts, enum fathom_text_label label) {
    size_t n = 0;
    for (size_t i = 0; i < texts->n; i++) {
        n += texts->labels[i] == (int8_t)label;
    }
    return n;
}

struct keyed {
    uint64_t whole;
    size_t index;
};

static int by_whole(const void *a, const void *b) {
    const struct keyed *x = a;
    const struct keyed *y = b;
    if (x->whole != y->whole) {
        return x->whole < y->whole ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Drops texts marked in `drop`, keeping the order. */
static void compact(struct fathom_texts *texts, const bool *drop) {
    size_t kept = 0;
    for (size_t i = 0; i < texts->n; i++) {
        if (drop[i]) {
            fathom_free(texts->texts[i]);
        } else {
            texts->texts[kept] = texts->texts[i];
            texts->labels[kept++] = texts->labels[i];
        }
    }
    texts->n = kept;
}

int fathom_texts_unique(size_t *removed, struct fathom_texts *texts) {
    struct keyed *keys = NULL;
    bool *drop = NULL;
    size_t before = texts->n;
    int status = fathom__alloc(&keys, texts->n, sizeof *keys);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&drop, texts->n, sizeof *drop);
    }
    for (size_t i = 0; i < texts->n && status == FATHOM_OK; i++) {
        uint32_t *pairs = NULL;
        size_t n = 0;
        status = fathom__text_pairs(&pairs, &n, &keys[i].whole, texts->texts[i]);
        keys[i].index = i;
        fathom_free(pairs);
    }
    if (status != FATHOM_OK) {
        goto done;
    }
    qsort(keys, texts->n, sizeof *keys, by_whole);
    for (size_t i = 1; i < texts->n && status == FATHOM_OK; i++) {
        size_t here = keys[i].index;
        size_t earlier = keys[i - 1].index;
        if (keys[i].whole != keys[i - 1].whole) {
            continue;
        }
        if (texts->labels[here] != texts->labels[earlier]) {
            status = fathom__fail(FATHOM_ERROR_FORMAT, "texts %zu and %zu are the same but carry different labels",
                                  earlier + 1, here + 1);
        }
        drop[here] = true;
    }
    if (status == FATHOM_OK) {
        compact(texts, drop);
        if (removed != NULL) {
            *removed = before - texts->n;
        }
    }
done:
    fathom_free(keys);
    fathom_free(drop);
    return status;
}
