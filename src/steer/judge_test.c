/* A judge behind a URL, against a server on this machine that says what it is told to. */
#include "base/json.h"
#include "base/memory.h"
#include "steer/judge.h"
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_REQUESTS = 16, REQUEST_SIZE = 1 << 16, URL_SIZE = 64 };

/* Answers one connection after another, each with the next reply. */
struct stub {
    int listener;
    pthread_t thread;
    const char *const *replies; /* status, then body, … ended by NULL */
    size_t n_requests;
    char requests[MOST_REQUESTS][REQUEST_SIZE];
    char url[URL_SIZE];
};

static size_t body_length(const char *request) {
    const char *header = strstr(request, "Content-Length: ");
    return header != NULL ? strtoul(header + strlen("Content-Length: "), NULL, 10) : 0;
}

static void read_request(int connection, char *request) {
    size_t length = 0;
    for (;;) {
        const ssize_t n = read(connection, request + length, REQUEST_SIZE - 1 - length);
        if (n <= 0) {
            return;
        }
        length += (size_t)n;
        request[length] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        if (end != NULL && (size_t)(request + length - (end + 4)) >= body_length(request)) {
            return;
        }
    }
}

static void *serve(void *payload) {
    struct stub *stub = payload;
    for (const char *const *reply = stub->replies; *reply != NULL; reply += 2) {
        const int connection = accept(stub->listener, NULL, NULL);
        char head[128];
        if (connection < 0) {
            break;
        }
        read_request(connection, stub->requests[stub->n_requests++]);
        const int n = snprintf(head, sizeof head, "HTTP/1.1 %s X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                               reply[0], strlen(reply[1]));
        if (write(connection, head, (size_t)n) < 0 || write(connection, reply[1], strlen(reply[1])) < 0) {
            close(connection);
            break;
        }
        close(connection);
    }
    return NULL;
}

static void start_stub(struct stub *stub, const char *const *replies) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(stub, 0, sizeof *stub);
    stub->replies = replies;
    stub->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(stub->listener >= 0);
    assert_int_equal(bind(stub->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(stub->listener, MOST_REQUESTS), 0);
    assert_int_equal(getsockname(stub->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(stub->url, sizeof stub->url, "http://127.0.0.1:%d/v1/", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&stub->thread, NULL, serve, stub), 0);
}

static void stop_stub(struct stub *stub) {
    pthread_join(stub->thread, NULL);
    close(stub->listener);
}

static fathom_judge *judge_at(const char *url, const char *key) {
    fathom_judge *judge = NULL;
    const struct fathom_judge_options options = {.url = url,
                                                 .model = "a \"model\"",
                                                 .key = key,
                                                 .concept = "the Golden Gate Bridge",
                                                 .pause = 0.001,
                                                 .seconds = 30};
    assert_int_equal(fathom_judge_open(&judge, &options), FATHOM_OK);
    return judge;
}

#define SAYS(text) "200", "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"" text "\"}}]}"

/* The user's message of a request, new. */
static char *message_of(const char *request) {
    json_t *body = NULL;
    char *text = NULL;
    const char *start = strstr(request, "\r\n\r\n") + 4;
    assert_int_equal(fathom__json_parse(&body, start, strlen(start), "request"), FATHOM_OK);
    assert_string_equal(json_string_value(json_object_get(body, "model")), "a \"model\"");
    assert_true(json_is_integer(json_object_get(body, "temperature")));
    const json_t *message = json_array_get(json_object_get(body, "messages"), 0);
    assert_string_equal(json_string_value(json_object_get(message, "role")), "user");
    assert_int_equal(fathom__copy_string(&text, json_string_value(json_object_get(message, "content"))), FATHOM_OK);
    json_decref(body);
    return text;
}

static struct stub stub;

static void answers_are_asked_about_three_times(void **state) {
    (void)state;
    static const char *const replies[] = {SAYS("It does. [[0]], no: [[2]]"), SAYS("1"), SAYS("Odd. [[0]]"), NULL};
    static const char answer[] = "A \"bridge\"\\n over\n the “bay”.";
    double points[3] = {-1, -1, -1};
    start_stub(&stub, replies);
    fathom_judge *judge = judge_at(stub.url, "secret-key");
    const int status = fathom_judge_points(points, "What shall I paint?", answer, judge);
    if (status != FATHOM_OK) {
        fail_msg("%s", fathom_error_message());
    }
    stop_stub(&stub);
    assert_true(points[0] == 2 && points[1] == 1 && points[2] == 0);
    assert_int_equal(stub.n_requests, 3);
    for (size_t i = 0; i < 3; i++) {
        char *text = message_of(stub.requests[i]);
        assert_int_equal(strncmp(stub.requests[i], "POST /v1/chat/completions HTTP/1.1\r\n", 36), 0);
        assert_non_null(strstr(stub.requests[i], "\r\nAuthorization: Bearer secret-key\r\n"));
        assert_non_null(strstr(stub.requests[i], "\r\nContent-Type: application/json\r\n"));
        assert_non_null(strstr(text, answer));
        assert_int_equal(strstr(text, "Golden Gate") != NULL, i == 0);
        assert_int_equal(strstr(text, "What shall I paint?") != NULL, i == 1);
        fathom_free(text);
    }
    fathom_judge_close(judge);
}

static void a_busy_server_is_asked_again(void **state) {
    (void)state;
    static const char *const replies[] = {"429",         "slow down",   "503",         "",
                                          SAYS("[[2]]"), SAYS("[[2]]"), SAYS("[[1]]"), NULL};
    double points[3];
    start_stub(&stub, replies);
    fathom_judge *judge = judge_at(stub.url, NULL);
    assert_int_equal(fathom_judge_points(points, "q", "a", judge), FATHOM_OK);
    stop_stub(&stub);
    assert_int_equal(stub.n_requests, 5);
    assert_true(points[0] == 2 && points[1] == 2 && points[2] == 1);
    assert_null(strstr(stub.requests[0], "Authorization"));
    fathom_judge_close(judge);
}

static void expect_error(const char *const *replies, size_t n_requests, int expected, const char *words) {
    double points[3] = {7, 7, 7};
    start_stub(&stub, replies);
    fathom_judge *judge = judge_at(stub.url, "k");
    assert_int_equal(fathom_judge_points(points, "q", "a", judge), expected);
    stop_stub(&stub);
    assert_int_equal(stub.n_requests, n_requests);
    if (strstr(fathom_error_message(), words) == NULL || strstr(fathom_error_message(), "http://127.0.0.1:") == NULL) {
        fail_msg("%s", fathom_error_message());
    }
    assert_true(points[0] == 7 && points[2] == 7);
    fathom_judge_close(judge);
}

static void replies_without_points_are_errors(void **state) {
    (void)state;
    static const char *const refused[] = {"401", "{\"error\":{\"message\":\"bad key\"}}", NULL};
    static const char *const busy[] = {"500", "x", "500", "x", "500", "x", "502", "the last", NULL};
    static const char *const no_json[] = {"200", "<html>", NULL};
    static const char *const no_choice[] = {"200", "{\"choices\":[]}", NULL};
    static const char *const no_points[] = {SAYS("I would say 2 of 3, [[3]]"), NULL};
    expect_error(refused, 1, FATHOM_ERROR_IO, "status 401: {\"error\":{\"message\":\"bad key\"}}");
    expect_error(busy, 4, FATHOM_ERROR_IO, "status 502: the last");
    expect_error(no_json, 1, FATHOM_ERROR_FORMAT, "JSON");
    expect_error(no_choice, 1, FATHOM_ERROR_FORMAT, "\"choices\"");
    expect_error(no_points, 1, FATHOM_ERROR_FORMAT, "2 of 3");
}

static void a_server_that_is_not_there_is_an_error(void **state) {
    (void)state;
    double points[3];
    static const char *const none[] = {NULL};
    start_stub(&stub, none);
    stop_stub(&stub);
    fathom_judge *judge = judge_at(stub.url, NULL);
    assert_int_equal(fathom_judge_points(points, "q", "a", judge), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "curl: (7)"));
    char *text = NULL;
    assert_int_equal(fathom__alloc(&text, 20000, 1), FATHOM_OK);
    memset(text, 'a', 19999);
    assert_int_equal(fathom_judge_points(points, "q", text, judge), FATHOM_ERROR_LIMIT);
    fathom_free(text);
    fathom_judge_close(judge);
}

static void options_are_checked(void **state) {
    (void)state;
    static const struct fathom_judge_options wrong[] = {
        {.url = NULL, .model = "m", .concept = "c"},
        {.url = "ftp://127.0.0.1/v1", .model = "m", .concept = "c"},
        {.url = "http://a b", .model = "m", .concept = "c"},
        {.url = "http://a\"\nurl = x", .model = "m", .concept = "c"},
        {.url = "http://a", .model = "", .concept = "c"},
        {.url = "http://a", .model = "m", .concept = NULL},
        {.url = "http://a", .model = "m", .concept = "c", .key = ""},
        {.url = "http://a", .model = "m", .concept = "c", .key = "k\nheader = x"},
        {.url = "http://a", .model = "m", .concept = "c", .seconds = -1},
        {.url = "http://a", .model = "m", .concept = "c", .pause = NAN},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fathom_judge *judge = NULL;
        assert_int_equal(fathom_judge_open(&judge, &wrong[i]), FATHOM_ERROR_ARGUMENT);
        assert_null(judge);
    }
}

static void points_are_the_last_in_brackets(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int points;
    } cases[] = {
        {"[[1]]", 1},      {"first [[2]], then [[0]].", 0},
        {"[[[2]]]", 2},    {" 2\n", 2},
        {"0.", 0},         {"[[3]]", -1},
        {"[[12]]", -1},    {"", -1},
        {"2 3", -1},       {"a 2", -1},
        {"[2] and 1", -1}, {"[[", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fathom__judge_parse(cases[i].text), cases[i].points);
    }
}

static int need_curl(void **state) {
    (void)state;
    if (system("command -v curl >/dev/null 2>&1") != 0) {
        skip();
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(answers_are_asked_about_three_times, need_curl),
        cmocka_unit_test_setup(a_busy_server_is_asked_again, need_curl),
        cmocka_unit_test_setup(replies_without_points_are_errors, need_curl),
        cmocka_unit_test_setup(a_server_that_is_not_there_is_an_error, need_curl),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(points_are_the_last_in_brackets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
