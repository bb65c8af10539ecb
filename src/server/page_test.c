#include "server/page.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above. */
#include <cmocka.h>

/* Everything that the page loads, in bytes: it is to show at once. */
enum { MOST_BYTES = 120000 };

static char *text_of(const struct fathom__page_file *file) {
    char *text = malloc(file->length + 1);
    assert_non_null(text);
    memcpy(text, file->bytes, file->length);
    text[file->length] = '\0';
    return text;
}

static void test_page_begins_as_html(void **state) {
    (void)state;
    const struct fathom__page_file *page = fathom__page_find("/");
    assert_non_null(page);
    assert_string_equal(page->type, "text/html; charset=utf-8");
    assert_true(page->length > strlen("<!doctype html>"));
    assert_memory_equal(page->bytes, "<!doctype html>", strlen("<!doctype html>"));
    assert_string_equal(fathom__page_cache(page), "no-cache");
}

/* The page names each of its assets, and none is of another place: the policy would not let it in. */
static void test_page_names_its_assets(void **state) {
    (void)state;
    size_t bytes = 0;
    char *html = text_of(fathom__page_find("/"));
    assert_null(strstr(html, "http:"));
    assert_null(strstr(html, "https:"));
    assert_null(strstr(html, "style="));
    for (size_t i = 0; i < fathom__n_page_files; i++) {
        const struct fathom__page_file *file = &fathom__page_files[i];
        bytes += file->length;
        assert_ptr_equal(fathom__page_find(file->path), file);
        if (strcmp(file->path, "/") == 0) continue;
        assert_memory_equal(file->path, "/assets/", strlen("/assets/"));
        assert_non_null(strstr(html, file->path));
        assert_non_null(strstr(fathom__page_cache(file), "immutable"));
    }
    assert_true(bytes < MOST_BYTES);
    free(html);
}

static void test_other_paths_are_not_files(void **state) {
    (void)state;
    static const char *const others[] = {"", "/assets/", "/assets", "/index.html", "/../etc/passwd", "//", "/assets/x"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_null(fathom__page_find(others[i]));
}

static void test_policy_lets_in_nothing_from_elsewhere(void **state) {
    (void)state;
    assert_memory_equal(fathom__page_policy, "default-src 'none';", strlen("default-src 'none';"));
    assert_non_null(strstr(fathom__page_policy, "frame-ancestors 'none'"));
    assert_null(strstr(fathom__page_policy, "unsafe"));
    assert_null(strchr(fathom__page_policy, '*'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_begins_as_html),
        cmocka_unit_test(test_page_names_its_assets),
        cmocka_unit_test(test_other_paths_are_not_files),
        cmocka_unit_test(test_policy_lets_in_nothing_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
