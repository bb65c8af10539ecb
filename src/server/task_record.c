#include "server/task_record.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 8192, RESULT_BYTES = 4 << 20, EXIT_NEGATIVE = 1, EXIT_STOPPED = 130 };
#define RECORD "task.json"

static int path_of(char **out, const char *data, int64_t number, const char *name) {
    return fathom__format(out, "%s/" FATHOM__TASK_FOLDER "/%lld/%s", data, (long long)number, name);
}

int fathom__task_folder(char **out, const char *data, int64_t number) {
    return fathom__format(out, "%s/" FATHOM__TASK_FOLDER "/%lld", data, (long long)number);
}

int fathom__task_make_folder(const char *data, const char *kind) {
    char *path = NULL;
    int status = fathom__path_join(&path, data, kind);
    if (!status) status = fathom__make_folders(path);
    fathom_free(path);
    return status;
}

int fathom__task_record_read(json_t **out, const char *data, int64_t number) {
    char *path = NULL;
    int status = path_of(&path, data, number, RECORD);
    if (!status && !fathom__file_exists(path))
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "there is no job %lld", (long long)number);
    if (!status) status = fathom__json_load(out, path);
    fathom_free(path);
    return status;
}

int fathom__task_record_write(const json_t *record, const char *data, int64_t number) {
    char *path = NULL;
    int status = path_of(&path, data, number, RECORD);
    if (!status) status = fathom__json_write(path, record);
    fathom_free(path);
    return status;
}

int fathom__task_record_remove(const char *data, int64_t number) {
    static const char *const names[] = {FATHOM__TASK_OUTPUT, FATHOM__TASK_LOG, RECORD, ""};
    int status = FATHOM_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !status; i++) {
        char *path = NULL;
        if ((status = path_of(&path, data, number, names[i]))) break;
        if (remove(path) != 0 && strcmp(names[i], RECORD) == 0) status = fathom__fail_errno(path, "remove it");
        fathom_free(path);
    }
    return status;
}

const char *fathom__task_state(const json_t *record) {
    const char *state = json_string_value(json_object_get(record, "state"));
    return state ? state : "";
}

void fathom__task_record_end(json_t *record, const struct fathom__process_end *end) {
    /* A process that was asked to stop before it could listen is ended by the request itself. */
    const bool stopped = end->exited ? end->value == EXIT_STOPPED : end->value == SIGTERM;
    const bool done =
        end->exited && (end->value == 0 || end->value == EXIT_NEGATIVE); /* also with a no for an answer */
    const char *state = stopped ? FATHOM__TASK_STOPPED : done ? "done" : "failed";
    json_object_set_new(record, "state", json_string(state));
    json_object_set_new(record, "ended", json_integer((json_int_t)time(NULL)));
    json_object_set_new(record, "exit", json_integer(end->exited ? end->value : -end->value));
}

/* The last bytes of a file, from the beginning of a line; empty where there are none. New. */
static int read_end(char **out, const char *path) {
    FILE *file = fopen(path, "re");
    size_t n = 0;
    int status = fathom__alloc(out, LOG_BYTES + 1, 1);
    if (!status && file) {
        const bool cut = fseek(file, -(long)LOG_BYTES, SEEK_END) == 0;
        if (!cut) rewind(file);
        n = fread(*out, 1, LOG_BYTES, file);
        const char *line = cut ? memchr(*out, '\n', n) : NULL;
        if (line) memmove(*out, line + 1, n = n - (size_t)(line + 1 - *out));
        (*out)[n] = '\0';
    }
    if (file) fclose(file);
    return status;
}

/* The last line that says something. */
static json_t *last_line(const char *log) {
    size_t end = strlen(log);
    while (end > 0 && strchr("\n\r ", log[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && log[begin - 1] != '\n')
        begin--;
    return fathom__json_string(log + begin, end - begin);
}

/* "train  12.5 %  …" as 0.125; null where the line has no share. */
static json_t *share_of(const char *line) {
    const char *sign = strchr(line, '%');
    const char *begin = sign;
    while (begin && begin > line && strchr("0123456789. ", begin[-1]))
        begin--;
    return begin && begin < sign ? json_real(strtod(begin, NULL) / 100) : json_null();
}

static void add_result(json_t *record, const char *path) {
    char *text = NULL;
    size_t length = 0;
    json_t *result = NULL;
    if (fathom__file_exists(path) && fathom__file_read(&text, &length, path, RESULT_BYTES) == FATHOM_OK && length > 0 &&
        fathom__json_parse(&result, text, length, path) == FATHOM_OK)
        json_object_set_new(record, "result", result);
    fathom_free(text);
}

void fathom__task_record_progress(json_t *record, const char *data, int64_t number, bool whole) {
    char *path = NULL, *log = NULL, *output = NULL;
    const char *state = fathom__task_state(record);
    if (path_of(&path, data, number, FATHOM__TASK_LOG) == FATHOM_OK && read_end(&log, path) == FATHOM_OK) {
        json_t *line = last_line(log);
        if (strcmp(state, FATHOM__TASK_RUNNING) == 0)
            json_object_set_new(record, "progress",
                                json_pack("{s:O, s:o}", "line", line, "share", share_of(json_string_value(line))));
        else if (strcmp(state, "failed") == 0)
            json_object_set(record, "message", line);
        json_decref(line);
        if (whole) json_object_set_new(record, "log", fathom__json_string(log, strlen(log)));
    }
    if (whole && path_of(&output, data, number, FATHOM__TASK_OUTPUT) == FATHOM_OK) add_result(record, output);
    fathom_free(path);
    fathom_free(log);
    fathom_free(output);
}
