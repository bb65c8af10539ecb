#include "server/access.h"
#include "tests/support/check.h"

static void only_addresses_and_known_names_are_hosts(void **state) {
    (void)state;
    static const char *const names[] = {"fathom.example"};
    static const char *const good[] = {"127.0.0.1", "127.0.0.1:8080",     "10.1.2.3:80",
                                       "localhost", "LocalHost:8080",     "[::1]:8080",
                                       "[::1]",     "fathom.example:443", "Fathom.Example"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "127.0.0.1.evil.example",
                                      "localhost.evil.example",
                                      "localhost:80a",
                                      "[::1",
                                      "[evil.example]",
                                      "127.0.0.1:8080:1",
                                      "256.0.0.1",
                                      "[127.0.0.1]:80",
                                      ":8080",
                                      "fathom.example.evil"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!fathom__host_allowed(good[i], names, 1)) fail_msg("\"%s\" is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (fathom__host_allowed(bad[i], names, 1)) fail_msg("\"%s\" is let in", bad[i]);
    assert_false(fathom__host_allowed(NULL, names, 1));
    assert_false(fathom__host_allowed("fathom.example", NULL, 0));
}

static void only_the_servers_own_pages_may_send(void **state) {
    (void)state;
    static const char *const origins[] = {"https://page.example"};
    assert_true(fathom__origin_allowed("http://localhost:8080", "localhost:8080", NULL, 0));
    assert_true(fathom__origin_allowed("https://localhost:8080", "LOCALHOST:8080", NULL, 0));
    assert_true(fathom__origin_allowed("https://page.example", "localhost:8080", origins, 1));
    assert_false(fathom__origin_allowed("https://page.example", "localhost:8080", NULL, 0));
    assert_false(fathom__origin_allowed("http://localhost:8081", "localhost:8080", NULL, 0));
    assert_false(fathom__origin_allowed("http://localhost", "localhost:8080", NULL, 0));
    assert_false(fathom__origin_allowed("file://localhost:8080", "localhost:8080", NULL, 0));
    assert_false(fathom__origin_allowed("null", "localhost:8080", origins, 1));
    assert_false(fathom__origin_allowed("http://localhost:8080.evil.example", "localhost:8080", NULL, 0));
    assert_false(fathom__origin_allowed("http://localhost:8080", NULL, NULL, 0));
}

static void secrets_are_compared_whole(void **state) {
    (void)state;
    assert_true(fathom__same_secret("a secret of some length", "a secret of some length"));
    assert_false(fathom__same_secret("a secret of some lengtH", "a secret of some length"));
    assert_false(fathom__same_secret("b secret of some length", "a secret of some length"));
    assert_false(fathom__same_secret("a secret of some lengt", "a secret of some length"));
    assert_false(fathom__same_secret("abcabc", "abc"));
    assert_false(fathom__same_secret("", "abc"));
    assert_false(fathom__same_secret("", ""));
}

static void loopback_is_known(void **state) {
    (void)state;
    assert_true(fathom__is_loopback("127.0.0.1"));
    assert_true(fathom__is_loopback("127.8.9.1"));
    assert_true(fathom__is_loopback("::1"));
    assert_false(fathom__is_loopback("0.0.0.0"));
    assert_false(fathom__is_loopback("::"));
    assert_false(fathom__is_loopback("192.168.0.1"));
    assert_false(fathom__is_loopback("localhost"));
}

static void depth_is_counted_outside_strings(void **state) {
    (void)state;
    static const char flat[] = "{\"a\": \"[[[[{{{{\\\"[[[[\", \"b\": [1, [2]], \"c\": [[3]]}";
    assert_true(fathom__json_depth_allowed(flat, sizeof flat - 1, 3));
    assert_false(fathom__json_depth_allowed(flat, sizeof flat - 1, 2));
    assert_true(fathom__json_depth_allowed("]]]][", 5, 1));
    assert_true(fathom__json_depth_allowed("\"\\", 2, 1));
    assert_true(fathom__json_depth_allowed(NULL, 0, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_and_known_names_are_hosts),
        cmocka_unit_test(only_the_servers_own_pages_may_send),
        cmocka_unit_test(secrets_are_compared_whole),
        cmocka_unit_test(loopback_is_known),
        cmocka_unit_test(depth_is_counted_outside_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
