#include "steer/judge.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>
#include <time.h>

enum { REPLY_LIMIT = 1 << 20, LONGEST = 16 << 10, REPLY_TOKENS = 512, ATTEMPTS = 4, SHOWN = 200, OK = 200 };
static const double default_seconds = 60;
static const double default_pause = 1;
static const double most_seconds = 3600;

struct fathom_judge {
    char *url, *model, *key, *concept;
    double seconds, pause;
};

/* What is asked for each kind of points, and what stands below it beside the answer. */
struct criterion {
    const char *about;
    bool concept, question;
};
static const struct criterion criteria[] = {
    {"How much does the text below speak of the concept? 0: not at all. 1: somewhat, or so clumsily or so often that "
     "it does not belong. 2: clearly, and as part of what is said.",
     true, false},
    {"Is the text below a reply to the request? 0: it has nothing to do with it. 1: somewhat, or only in part. 2: "
     "clearly. Facts do not matter, nor what else the text speaks of.",
     false, true},
    {"How well does the text below read? 0: broken, repetitive or without sense. 1: understandable, but odd or with "
     "errors. 2: fluent. A text that stops in the middle of a sentence loses nothing by it.",
     false, false},
};
static const char how_to_end[] = "\n\nGive your reasons in one or two sentences, and end with [[0]], [[1]] or [[2]].";

void fathom_judge_close(fathom_judge *judge) {
    if (judge == NULL) {
        return;
    }
    fathom_free(judge->url);
    fathom_free(judge->model);
    fathom_free(judge->key);
    fathom_free(judge->concept);
    fathom_free(judge);
}

/* Printable ASCII without what would end a word. */
static bool is_plain(const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\') {
            return false;
        }
    }
    return *text != '\0';
}

static int check(const struct fathom_judge_options *options) {
    if (options->url == NULL || !is_plain(options->url) ||
        (strncmp(options->url, "http://", 7) != 0 && strncmp(options->url, "https://", 8) != 0)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "judge: a URL such as http://127.0.0.1:11434/v1 is expected, not \"%s\"",
                            options->url ? options->url : "");
    }
    if (options->model == NULL || *options->model == '\0') {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "judge: a model is needed, as %s calls it", options->url);
    }
    if (options->concept == NULL || *options->concept == '\0') {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "judge: a concept to judge by is needed");
    }
    if (options->key != NULL && !is_plain(options->key)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "judge: the key is empty or has characters that no key has");
    }
    if (!(options->seconds >= 0 && options->seconds <= most_seconds && options->pause >= 0 &&
          options->pause <= most_seconds)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "judge: between 0 and %g seconds are expected", most_seconds);
    }
    return FATHOM_OK;
}

int fathom_judge_open(fathom_judge **out, const struct fathom_judge_options *options) {
    static const char path[] = "/chat/completions";
    fathom_judge *judge = NULL;
    int status = check(options);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&judge, 1, sizeof *judge);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    size_t length = strlen(options->url);
    while (length > 0 && options->url[length - 1] == '/') {
        length--;
    }
    bool whole = length >= strlen(path) && strncmp(options->url + length - strlen(path), path, strlen(path)) == 0;
    status = fathom__format(&judge->url, "%.*s%s", (int)length, options->url, whole ? "" : path);
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&judge->model, options->model);
    }
    if (status == FATHOM_OK && options->key != NULL) {
        status = fathom__copy_string(&judge->key, options->key);
    }
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&judge->concept, options->concept);
    }
    judge->seconds = options->seconds > 0 ? options->seconds : default_seconds;
    judge->pause = options->pause > 0 ? options->pause : default_pause;
    if (status != FATHOM_OK) {
        fathom_judge_close(judge);
        return status;
    }
    *out = judge;
    return FATHOM_OK;
}

int fathom__judge_parse(const char *text) {
    int found = -1;
    for (const char *c = text; (c = strstr(c, "[[")) != NULL; c++) {
        if (c[2] >= '0' && c[2] <= '2' && c[3] == ']' && c[4] == ']') {
            found = c[2] - '0';
        }
    }
    size_t blank = strspn(text, " \t\r\n");
    const char *digit = text + blank;
    if (found < 0 && *digit >= '0' && *digit <= '2' && digit[1 + strspn(digit + 1, " \t\r\n.")] == '\0') {
        found = *digit - '0';
    }
    return found;
}

/* The request's JSON, new. */
static int make_body(char **out, const fathom_judge *judge, const struct criterion *criterion, const char *question,
                     const char *answer) {
    char *text = NULL;
    if (strlen(question) > LONGEST || strlen(answer) > LONGEST) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "judge: a question or an answer is longer than %d bytes", LONGEST);
    }
    int status =
        fathom__format(&text, "%s%s%s%s%s\n\nText:\n%s%s", criterion->about, criterion->concept ? "\n\nConcept: " : "",
                       criterion->concept ? judge->concept : "", criterion->question ? "\n\nRequest:\n" : "",
                       criterion->question ? question : "", answer, how_to_end);
    if (status == FATHOM_OK) {
        json_t *message = json_pack("{s:s, s:o}", "role", "user", "content", fathom__json_string(text, strlen(text)));
        json_t *body =
            json_pack("{s:o, s:[o], s:i, s:i}", "model", fathom__json_string(judge->model, strlen(judge->model)),
                      "messages", message, "temperature", 0, "max_tokens", REPLY_TOKENS);
        status = fathom__json_text(out, body, false);
        json_decref(body);
    }
    fathom_free(text);
    return status;
}

/* choices[0].message.content, borrowed; NULL. */
static const char *content_of(const json_t *reply) {
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    return json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
}

static int read_points(double *out, const fathom_judge *judge, const struct fathom__buffer *reply) {
    json_t *value = NULL;
    int status = fathom__json_parse(&value, reply->bytes ? reply->bytes : "", reply->length, judge->url);
    const char *content = content_of(value);
    if (status == FATHOM_OK && content == NULL) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: key \"choices\": a chat completion is expected", judge->url);
    }
    int points = status == FATHOM_OK ? fathom__judge_parse(content) : -1;
    if (status == FATHOM_OK && points < 0) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: [[0]], [[1]] or [[2]] is expected, not \"%.*s\"", judge->url,
                              SHOWN, content);
    }
    *out = points;
    json_decref(value);
    return status;
}

static int refuse(bool *again, const fathom_judge *judge, long http_status, const struct fathom__buffer *reply) {
    static const long passing[] = {429, 500, 502, 503, 504};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        *again = *again || passing[i] == http_status;
    }
    const char *said = reply->bytes != NULL ? reply->bytes : "";
    return fathom__fail(FATHOM_ERROR_IO, "%s: status %ld: %.*s", judge->url, http_status,
                        (int)(strcspn(said, "\n") < SHOWN ? strcspn(said, "\n") : SHOWN), said);
}

static int ask_once(double *out, bool *again, const fathom_judge *judge, const char *body) {
    const struct fathom__post post = {judge->url, judge->key, body, judge->seconds};
    struct fathom__buffer reply = FATHOM__BUFFER_INIT(REPLY_LIMIT);
    long http_status = 0;
    int status = fathom__post(&reply, &http_status, again, &post);
    if (status == FATHOM_OK) {
        status = http_status == OK ? read_points(out, judge, &reply) : refuse(again, judge, http_status, &reply);
    }
    fathom__buffer_free(&reply);
    return status;
}

static void wait_for(double seconds) {
    const struct timespec time = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&time, NULL);
}

static int ask(double *out, const fathom_judge *judge, const struct criterion *criterion, const char *question,
               const char *answer) {
    char *body = NULL;
    bool again = true;
    double pause = judge->pause;
    int status = make_body(&body, judge, criterion, question, answer);
    for (int attempt = 0; attempt < ATTEMPTS && body != NULL && again; attempt++, pause *= 2) {
        if (attempt > 0) {
            wait_for(pause / 2);
        }
        status = ask_once(out, &again, judge, body);
        again = again && status != FATHOM_OK;
    }
    fathom_free(body);
    return status;
}

int fathom_judge_points(double points[3], const char *question, const char *answer, void *payload) {
    const fathom_judge *judge = payload;
    double own[3];
    int status = FATHOM_OK;
    for (int c = 0; c < 3 && status == FATHOM_OK; c++) {
        status = ask(&own[c], judge, &criteria[c], question, answer);
    }
    if (status == FATHOM_OK) {
        memcpy(points, own, sizeof own);
    }
    return status;
}
