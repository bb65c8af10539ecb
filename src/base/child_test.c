/* A child's words, its end, and the limits that end it. */
#include "base/child.h"
#include "tests/support/check.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_LIMIT = 100, SEVEN = 7 };

static char word[] = "a word";
static const struct fathom__child_limits patient = {.seconds = 60};

static int speak(void *payload, int words) {
    fathom__child_say(words, payload, strlen(payload));
    return SEVEN;
}

static int shout(void *payload, int words) {
    const char *text = payload;
    while (text[0] != '\0')
        fathom__child_say(words, text, strlen(text));
    return 0;
}

static int hang(void *payload, int words) {
    (void)words;
    for (volatile int *n = payload; *n >= 0;) {
    }
    return 0;
}

static int wait_long(void *payload, int words) {
    (void)words;
    while (*(int *)payload == 0)
        pause();
    return 0;
}

static int end_itself(void *payload, int words) {
    (void)payload, (void)words;
    raise(SIGKILL);
    return 0;
}

static int take_memory(void *payload, int words) {
    void *bytes = malloc(*(size_t *)payload);
    if (bytes != NULL) fathom__child_say(words, "some", sizeof "some" - 1);
    free(bytes);
    return 0;
}

static void words_and_value_arrive(void **state) {
    (void)state;
    struct fathom__buffer said = FATHOM__BUFFER_INIT(WORDS_LIMIT);
    struct fathom__child_end end;
    check_ok(fathom__child_run(&end, &said, "x", &patient, speak, word));
    assert_string_equal(said.bytes, "a word");
    assert_true(end.in_time);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.value, SEVEN);
    fathom__buffer_free(&said);
}

static void what_says_too_much_is_ended(void **state) {
    (void)state;
    struct fathom__buffer said = FATHOM__BUFFER_INIT(WORDS_LIMIT);
    struct fathom__child_end end;
    check_status(fathom__child_run(&end, &said, "x", &patient, shout, word), FATHOM_ERROR_LIMIT,
                 "x: what its child process says: ");
    assert_int_equal(end.signal, SIGKILL);
    fathom__buffer_free(&said);
}

static void what_does_not_end_is_ended(void **state) {
    (void)state;
    const struct fathom__child_limits busy = {.seconds = 60, .processor_seconds = 1}, brief = {.seconds = 0.1};
    struct fathom__buffer said = FATHOM__BUFFER_INIT(WORDS_LIMIT);
    struct fathom__child_end end;
    int zero = 0;
    check_ok(fathom__child_run(&end, &said, "x", &busy, hang, &zero));
    assert_false(end.in_time);
    check_ok(fathom__child_run(&end, &said, "x", &brief, wait_long, &zero));
    assert_false(end.in_time);
    fathom__buffer_free(&said);
}

static void a_signal_is_told(void **state) {
    (void)state;
    struct fathom__buffer said = FATHOM__BUFFER_INIT(WORDS_LIMIT);
    struct fathom__child_end end;
    check_ok(fathom__child_run(&end, &said, "x", &patient, end_itself, NULL));
    assert_true(end.in_time);
    assert_int_equal(end.signal, SIGKILL);
    fathom__buffer_free(&said);
}

/* Where the system tells how much is mapped. */
static void memory_is_limited(void **state) {
    (void)state;
    const struct fathom__child_limits small = {.seconds = 60, .memory = (size_t)64 << 20};
    size_t most = (size_t)1 << 30;
    struct fathom__buffer said = FATHOM__BUFFER_INIT(WORDS_LIMIT);
    struct fathom__child_end end;
    if (access("/proc/self/statm", R_OK) != 0) skip();
    check_ok(fathom__child_run(&end, &said, "x", &patient, take_memory, &most));
    assert_string_equal(said.bytes, "some");
    fathom__buffer_clear(&said);
    check_ok(fathom__child_run(&end, &said, "x", &small, take_memory, &most));
    assert_int_equal(said.length, 0);
    fathom__buffer_free(&said);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_value_arrive),     cmocka_unit_test(what_says_too_much_is_ended),
        cmocka_unit_test(what_does_not_end_is_ended), cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(memory_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
