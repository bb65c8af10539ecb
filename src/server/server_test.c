/* Who may come in, what is too much, and what becomes of clients that go: the server over a socket. */
#include "server/server_fixture.h"
#include <sched.h>

static void the_page_is_open_to_all_and_loads_only_itself(void **state) {
    (void)state;
    struct http_reply reply;
    char value[256];
    http_ask(&reply, port, "GET", "/", NULL, NULL);
    assert_int_equal(reply.status, 200);
    assert_true(reply.whole && strstr(reply.body, "<!doctype html>"));
    assert_true(http_header(value, sizeof value, &reply, "Content-Type"));
    assert_string_equal(value, "text/html; charset=utf-8");
    assert_true(http_header(value, sizeof value, &reply, "Content-Security-Policy"));
    assert_non_null(strstr(value, "default-src 'none'"));
    assert_true(http_header(value, sizeof value, &reply, "Cache-Control"));
    http_reply_free(&reply);
    refuses("GET", "/assets/none.js", NULL, 404, "none.js");
    refuses("POST", "/", "{}", 404, "there is no /");
}

/* HEAD is GET without the body; what a path is not to be had by is told with what it is. */
static void methods_are_told(void **state) {
    (void)state;
    struct http_reply reply;
    char value[64];
    const int client = http_connect(port);
    static const char head[] = "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_true(http_send(client, head, strlen(head)));
    http_receive(&reply, client);
    assert_int_equal(reply.status, 200);
    assert_true(http_header(value, sizeof value, &reply, "Content-Length"));
    assert_int_equal(reply.length, 0);
    http_reply_free(&reply);
    http_close(client);
    http_ask(&reply, port, "DELETE", "/api/features/1/label", NULL, NULL);
    assert_int_equal(reply.status, 405);
    assert_true(http_header(value, sizeof value, &reply, "Allow"));
    assert_string_equal(value, "PUT");
    http_reply_free(&reply);
    http_ask(&reply, port, "PUT", "/api/jobs", NULL, "{}");
    assert_int_equal(reply.status, 405);
    assert_true(http_header(value, sizeof value, &reply, "Allow"));
    assert_string_equal(value, "GET, HEAD, POST");
    http_reply_free(&reply);
}

static void strangers_stay_outside(void **state) {
    (void)state;
    static const char get[] = "GET /v1/models HTTP/1.1\r\n%s\r\n";
    static const char *const bad[] = {"Host: evil.example\r\n", "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n",
                                      "Host: 127.0.0.1\r\nOrigin: null\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        struct http_reply reply;
        const int client = http_connect(port);
        snprintf(text, sizeof text, get, bad[i]);
        assert_true(http_send(client, text, strlen(text)));
        http_receive(&reply, client);
        assert_int_equal(reply.status, 403);
        http_reply_free(&reply);
        http_close(client);
    }
    json_decref(ask_at(port, "GET", "/v1/models", "Origin: http://127.0.0.1\r\n", NULL, 200));
}

static void guarded_servers_ask_for_their_token(void **state) {
    (void)state;
    static const char *const origins[] = {"https://page.example"};
    struct fathom_server_options options = options_of();
    fathom_server *guarded = NULL;
    struct http_reply reply;
    char value[64];
    options.token = TOKEN;
    options.read_only = true;
    options.origins = origins;
    options.n_origins = 1;
    check_ok(fathom_server_open(&guarded, &options));
    const uint16_t at_port = fathom_server_port(guarded);
    json_decref(ask_at(at_port, "GET", "/healthz", NULL, NULL, 200));
    json_decref(ask_at(at_port, "GET", "/v1/models", NULL, NULL, 401));
    json_decref(ask_at(at_port, "GET", "/v1/models", "Authorization: Bearer " TOKEN "x\r\n", NULL, 401));
    json_decref(ask_at(at_port, "GET", "/v1/models", "Authorization: Basic " TOKEN "\r\n", NULL, 401));
    json_decref(ask_at(at_port, "GET", "/v1/models", BEARER, NULL, 200));
    json_decref(ask_at(at_port, "POST", "/v1/chat/completions", BEARER, CHAT(""), 200));
    json_decref(ask_at(at_port, "PUT", "/api/features/1/label", BEARER, "{\"label\": \"x\"}", 403));
    http_ask(&reply, at_port, "OPTIONS", "/v1/chat/completions", "Origin: https://page.example\r\n", NULL);
    assert_int_equal(reply.status, 204);
    assert_true(http_header(value, sizeof value, &reply, "Access-Control-Allow-Origin"));
    assert_string_equal(value, origins[0]);
    http_reply_free(&reply);
    fathom_server_close(guarded);
}

static void bad_options_are_refused(void **state) {
    (void)state;
    fathom_server *none = NULL;
    struct fathom_server_options options = options_of();
    options.host = "0.0.0.0";
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "needs a token");
    options.token = "short";
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "16");
    options = options_of();
    options.host = "a name";
    options.token = TOKEN;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "a name");
    options = options_of();
    options.dictionary = NULL;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "catalogue");
    options = options_of();
    options.n_parallel = 1000;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "at most 256");
    options = options_of();
    options.model = NULL;
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_ARGUMENT, "model");
    options = options_of();
    options.port = port; /* taken */
    check_status(fathom_server_open(&none, &options), FATHOM_ERROR_IO, "listen");
}

static bool say(int client, const char *text) {
    return http_send(client, text, strlen(text));
}

static void long_requests_are_cut_off(void **state) {
    (void)state;
    enum { PIECE = 4096, PIECES = 3 * BODY_BYTES / PIECE };
    static char piece[PIECE];
    struct http_reply reply;
    memset(piece, 'x', sizeof piece);
    /* Told beforehand: refused before it is sent. */
    int client = http_connect(port);
    static const char told[] = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                               "Content-Length: 1073741824\r\n\r\n";
    assert_true(http_send(client, told, strlen(told)));
    http_receive(&reply, client);
    assert_int_equal(reply.status, 413);
    http_reply_free(&reply);
    http_close(client);
    /* Not told: read no further than is kept. */
    client = http_connect(port);
    static const char untold[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    assert_true(http_send(client, untold, strlen(untold)));
    for (int i = 0; i < PIECES; i++) {
        assert_true(http_send(client, "1000\r\n", 6));
        assert_true(http_send(client, piece, sizeof piece));
        assert_true(http_send(client, "\r\n", 2));
    }
    assert_true(http_send(client, "0\r\n\r\n", 5));
    http_receive(&reply, client);
    assert_int_equal(reply.status, 413);
    http_reply_free(&reply);
    http_close(client);
    /* Headers without end. */
    client = http_connect(port);
    assert_true(say(client, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "));
    for (int i = 0; i < 64 && http_send(client, piece, sizeof piece); i++)
        continue;
    http_receive(&reply, client);
    assert_true(reply.status == 0 || reply.status == 431 || reply.status == 413);
    http_reply_free(&reply);
    http_close(client);
    /* No HTTP at all. */
    client = http_connect(port);
    assert_true(say(client, "\x16\x03\x01\xff\xfe nonsense\r\n\r\n"));
    http_receive(&reply, client);
    assert_true(reply.status == 0 || reply.status == 400);
    http_reply_free(&reply);
    http_close(client);
    json_decref(ask("GET", "/healthz", NULL, 200));
}

static void slow_clients_are_cut_off(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *hasty = NULL;
    struct http_reply reply;
    options.read_seconds = 0.2;
    check_ok(fathom_server_open(&hasty, &options));
    const int client = http_connect(fathom_server_port(hasty));
    assert_true(say(client, "POST /v1/completions HTTP/1.1\r\nHost: localho"));
    http_receive(&reply, client); /* returns because the server closes */
    assert_int_equal(reply.status, 0);
    http_reply_free(&reply);
    http_close(client);
    fathom_server_close(hasty);
}

static double metric(const char *name) {
    struct http_reply reply;
    char line[64];
    http_ask(&reply, port, "GET", "/metrics", NULL, NULL);
    assert_int_equal(reply.status, 200);
    snprintf(line, sizeof line, "\nfathom_%s ", name);
    const char *found = strstr(reply.body, line);
    assert_non_null(found);
    const double value = atof(found + strlen(line));
    http_reply_free(&reply);
    return value;
}

static void late_requests_say_so(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    static const struct {
        const char *path, *body;
    } asked[] = {
        {"/v1/completions", "{\"prompt\": \"a\"}"},  {"/v1/embeddings", "{\"input\": \"a\"}"},
        {"/api/activations", "{\"text\": \"a\"}"},   {"/api/search", "{\"text\": \"a\"}"},
        {"/api/explain", "{\"prompt\": \"a cat\"}"},
    };
    fathom_server *hurried = NULL;
    options.request_seconds = 1e-9;
    check_ok(fathom_server_open(&hurried, &options));
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        json_t *reply = ask_at(fathom_server_port(hurried), "POST", asked[i].path, NULL, asked[i].body, 504);
        assert_string_equal(text_at(reply, "error.code"), "deadline");
        json_decref(reply);
    }
    fathom_server_close(hurried);
}

/* A client that goes in the middle of an answer leaves its place to others. */
static void vanished_clients_leave_their_place(void **state) {
    (void)state;
    static const char request[] = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                  "application/json\r\nContent-Length: %zu\r\n\r\n%s";
    static const char *const bodies[] = {
        "{\"prompt\": \"a\", \"max_tokens\": 200, \"stream\": true, \"top_k\": 40}",
        "{\"prompt\": \"b\", \"max_tokens\": 200}",
    };
    const double jobs = metric("jobs_total");
    for (int round = 0; round < 4; round++) {
        char text[512];
        const char *body = bodies[round % 2];
        const int client = http_connect(port);
        snprintf(text, sizeof text, request, strlen(body), body);
        assert_true(http_send(client, text, strlen(text)));
        if (round % 2 == 0) assert_true(http_receive_until(client, "data: "));
        http_close(client);
    }
    json_decref(ask("POST", "/v1/chat/completions", CHAT(""), 200));
    assert_true(metric("jobs_total") >= jobs + 3);
}

static void full_queues_say_when_to_come_back(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *small = NULL;
    struct http_reply reply;
    char seconds[16];
    options.n_parallel = 1;
    options.n_queue = 1;
    check_ok(fathom_server_open(&small, &options));
    http_ask(&reply, fathom_server_port(small), "POST", "/v1/completions", NULL,
             "{\"prompt\": [\"a\", \"b\", \"c\", \"d\"], \"n\": 16, \"max_tokens\": 200}");
    assert_int_equal(reply.status, 429);
    assert_true(http_header(seconds, sizeof seconds, &reply, "Retry-After"));
    assert_in_range(atoi(seconds), 1, 60);
    http_reply_free(&reply);
    fathom_server_close(small);
}

static void stopping_breaks_off_what_runs(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *brief = NULL;
    check_ok(fathom_server_open(&brief, &options));
    const int client = http_connect(fathom_server_port(brief));
    static const char request[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 50\r\n\r\n{\"prompt\": \"a\", \"max_tokens\": 250, \"stream\": true}";
    assert_true(http_send(client, request, strlen(request)));
    assert_true(http_receive_until(client, "data: "));
    fathom_server_stop(brief, 0);
    fathom_server_stop(brief, 0);
    assert_int_equal(http_connect(fathom_server_port(brief)), -1);
    fathom_server_close(brief);
    http_close(client);
}

static void every_request_is_logged(void **state) {
    (void)state;
    const int before = atomic_load(&logged);
    json_decref(ask("GET", "/healthz", NULL, 200));
    json_decref(ask("GET", "/no\xc3\xa9thing", NULL, 404));
    while (atomic_load(&logged) < before + 2) /* a reply's line comes when it has been sent */
        sched_yield();
    assert_int_equal(atomic_load(&badly_logged), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_open_to_all_and_loads_only_itself),
        cmocka_unit_test(methods_are_told),
        cmocka_unit_test(strangers_stay_outside),
        cmocka_unit_test(guarded_servers_ask_for_their_token),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(long_requests_are_cut_off),
        cmocka_unit_test(slow_clients_are_cut_off),
        cmocka_unit_test(late_requests_say_so),
        cmocka_unit_test(vanished_clients_leave_their_place),
        cmocka_unit_test(full_queues_say_when_to_come_back),
        cmocka_unit_test(stopping_breaks_off_what_runs),
        cmocka_unit_test(every_request_is_logged),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
