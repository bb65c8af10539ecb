/* A server on a free port with a tiny model, a dictionary and a catalogue, and questions to it over a socket: what the tests of
 * the server as its clients see it have in common. */
#ifndef FATHOM_SERVER_SERVER_FIXTURE_H
#define FATHOM_SERVER_SERVER_FIXTURE_H

#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/http_client.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/server.h>
#include <jansson.h>
#include <math.h>
#include <stdatomic.h>

#define HOOK "blocks.1.hook_resid_post"
#define TOKEN "a token of enough letters"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define CHAT(members)                                                                                                  \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello there\"}], \"temperature\": 0, \"max_tokens\": "        \
    "8" members "}"

enum { BODY_BYTES = 20000 };

static fathom_model *model;
static fathom_dictionary *dictionary;
static fathom_catalogue *catalogue;
static fathom_server *server;
static uint16_t port;
static atomic_int logged, badly_logged;

static inline void count_line(const char *line, void *payload) {
    json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    (void)payload;
    atomic_fetch_add(&logged, 1);
    if (!json_is_integer(json_object_get(entry, "status")) || !json_is_string(json_object_get(entry, "path")))
        atomic_fetch_add(&badly_logged, 1);
    json_decref(entry);
}

static inline int make_catalogue(void) {
    const char *corpus = scratch_text("corpus.txt", "the cat sat on the mat\nthe dog ran to the river\na bird sang in "
                                                    "the tree\nthe river ran by the old mill\n");
    const struct fathom_corpus_source source = {.path = corpus, .weight = 1.0};
    const struct fathom_index_options options = {.n_threads = 1, .context = 32};
    int status = fathom_index(NULL, scratch("catalogue.sqlite"), dictionary, model, &source, 1, &options);
    return status ? status : fathom_catalogue_open(&catalogue, scratch("catalogue.sqlite"), dictionary);
}

static inline struct fathom_server_options options_of(void) {
    return (struct fathom_server_options){.model = model,
                                          .dictionary = dictionary,
                                          .catalogue = catalogue,
                                          .n_parallel = 2,
                                          .n_context = 256,
                                          .n_batch = 32,
                                          .n_threads = 1,
                                          .body_bytes = BODY_BYTES,
                                          .data = scratch("data"),
                                          .log = count_line};
}

static inline int open_all(void **state) {
    (void)state;
    const struct toy_options toy = {.hook = HOOK, .scale = 1.0f, .skip_positions = 1, .max_norm = INFINITY};
    int status = fathom_test_tiny_model(scratch("tiny.gguf"), "llama", 1);
    if (!status) status = fathom_model_open(&model, scratch("tiny.gguf"), NULL);
    if (!status) status = toy_dictionary_write(scratch("toy.gguf"), model, &toy);
    if (!status) status = fathom_dictionary_open(&dictionary, scratch("toy.gguf"));
    if (!status) status = make_catalogue();
    const struct fathom_server_options options = options_of();
    if (!status) status = fathom_server_open(&server, &options);
    if (status) print_error("%s\n", fathom_error_message());
    if (!status) port = fathom_server_port(server);
    return status;
}

static inline int close_all(void **state) {
    (void)state;
    fathom_server_close(server);
    fathom_catalogue_close(catalogue);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return 0;
}

/* Asks and checks the status; the reply's JSON, NULL where it is none. */
static inline json_t *ask_at(uint16_t at, const char *method, const char *path, const char *headers, const char *body,
                             int status) {
    struct http_reply reply;
    http_ask(&reply, at, method, path, headers, body);
    if (reply.status != status || !reply.whole)
        fail_msg("%s %s: %d, not %d: %s", method, path, reply.status, status, reply.body ? reply.body : "");
    json_t *value = json_loads(reply.body, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    http_reply_free(&reply);
    return value;
}

static inline json_t *ask(const char *method, const char *path, const char *body, int status) {
    return ask_at(port, method, path, NULL, body, status);
}

/* "a.0.b" in a JSON value. */
static inline json_t *at(const json_t *value, const char *path) {
    char step[64];
    json_t *found = NULL;
    for (const json_t *here = value; *path; here = found) {
        const size_t length = strcspn(path, ".");
        snprintf(step, sizeof step, "%.*s", (int)length, path);
        found = json_is_array(here) ? json_array_get(here, (size_t)atoi(step)) : json_object_get(here, step);
        if (!found) fail_msg("there is no \"%s\"", path);
        path += length + (path[length] == '.');
    }
    return found;
}

static inline const char *text_at(const json_t *value, const char *path) {
    return json_string_value(at(value, path));
}

static inline long long number_at(const json_t *value, const char *path) {
    return json_integer_value(at(value, path));
}

static inline void refuses(const char *method, const char *path, const char *body, int status, const char *part) {
    json_t *reply = ask(method, path, body, status);
    const char *message = text_at(reply, "error.message");
    if (!message || !strstr(message, part))
        fail_msg("%s %s: \"%s\" lacks \"%s\"", path, body ? body : "", message ? message : "", part);
    assert_true(json_is_string(at(reply, "error.type")));
    json_decref(reply);
}

#endif
