/* Listing and removing what is kept. */
#include "base/file.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include <fathom/cache.h>
#include <stdbool.h>

#define MODEL "models/some.gguf"
#define PERSON "0123456789abcdef0123456789abcdef"

static void write_at(const char *place, size_t bytes) {
    static const char zeros[5000];
    char path[2 * SCRATCH_PATH], *slash;
    strcpy(path, scratch(place));
    slash = strrchr(path, '/');
    *slash = '\0';
    check_ok(fathom__make_folders(path));
    *slash = '/';
    check_ok(fathom__file_write(path, zeros, bytes));
}

static int set_up(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    setenv("XDG_DATA_HOME", scratch("data"), 1);
    return 0;
}

static const struct fathom_cache_entry *find(const fathom_cache *cache, const char *name) {
    size_t n = 0;
    const struct fathom_cache_entry *entries = fathom_cache_entries(&n, cache);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entries[i].name, name) == 0) return &entries[i];
    }
    return NULL;
}

static void nothing_is_kept_at_first(void **state) {
    (void)state;
    fathom_cache *cache = NULL;
    size_t n = 7;
    check_ok(fathom_cache_open(&cache));
    fathom_cache_entries(&n, cache);
    assert_int_equal(n, 0);
    check_status(fathom_cache_remove(cache, MODEL), FATHOM_ERROR_NOT_FOUND, "nothing called \"models/some.gguf\"");
    fathom_cache_close(cache);
}

static void everything_is_listed_with_its_size(void **state) {
    (void)state;
    static const struct {
        const char *place, *name, *kind;
        uint64_t bytes;
    } kept[] = {
        {"cache/fathom/" MODEL, MODEL, "model", 1000},
        {"cache/fathom/derived/x-bf16.gguf", "derived/x-bf16.gguf", "copy", 2000},
        {"cache/fathom/engine/1.0/lib/a.a", "engine/1.0", "engine", 300},
        {"cache/fathom/models/some.gguf.12-3-4.part", "models/some.gguf.12-3-4.part", "leftover", 40},
        {"cache/fathom/models/fetch.Ab12/a.whl", "models/fetch.Ab12", "leftover", 50},
        {"cache/fathom/python/bin/pip", "python", "tools", 30},
        {"cache/fathom/peers/bin/pip", "peers", "tools", 35},
        {"data/fathom/" PERSON "/dictionary.gguf", PERSON "/dictionary.gguf", "dictionary", 60},
        {"data/fathom/" PERSON "/catalogue.sqlite", PERSON "/catalogue.sqlite", "catalogue", 70},
        {"data/fathom/jobs/000001/log", "jobs/000001", "record", 80},
        {"data/fathom/runs.sqlite", "runs.sqlite", "record", 90},
    };
    fathom_cache *cache = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        write_at(kept[i].place, kept[i].bytes);
    write_at("data/fathom/" PERSON "/catalogue.sqlite-wal", 10);
    write_at("data/fathom/runs.sqlite-wal", 10);
    write_at("cache/fathom/engine/lock", 0);
    check_ok(fathom_cache_open(&cache));
    const struct fathom_cache_entry *entries = fathom_cache_entries(&n, cache);
    assert_int_equal(n, sizeof kept / sizeof kept[0]);
    for (size_t i = 0; i < n; i++) {
        const struct fathom_cache_entry *entry = find(cache, kept[i].name);
        assert_non_null(entry);
        assert_string_equal(fathom_cache_kind_name(entry->kind), kept[i].kind);
        assert_int_equal(entry->bytes, kept[i].bytes);
        assert_true(i == 0 || entries[i - 1].kind <= entries[i].kind);
    }
    fathom_cache_close(cache);
}

static void entries_are_removed_and_nothing_else(void **state) {
    (void)state;
    static const char *const gone[] = {MODEL, "engine/1.0", PERSON "/catalogue.sqlite", "models/fetch.Ab12",
                                       "runs.sqlite"};
    fathom_cache *cache = NULL;
    size_t n = 0;
    check_ok(fathom_cache_open(&cache));
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        check_ok(fathom_cache_remove(cache, gone[i]));
    check_status(fathom_cache_remove(cache, MODEL), FATHOM_ERROR_IO, "some.gguf: cannot remove");
    check_status(fathom_cache_remove(cache, "../data"), FATHOM_ERROR_NOT_FOUND, "../data");
    check_status(fathom_cache_remove(cache, "models"), FATHOM_ERROR_NOT_FOUND, "models");
    fathom_cache_close(cache);
    assert_false(fathom__file_exists(scratch("data/fathom/" PERSON "/catalogue.sqlite-wal")));
    assert_false(fathom__file_exists(scratch("data/fathom/runs.sqlite-wal")));
    check_ok(fathom_cache_open(&cache));
    fathom_cache_entries(&n, cache);
    assert_int_equal(n, 6);
    assert_non_null(find(cache, PERSON "/dictionary.gguf"));
    fathom_cache_close(cache);
}

/* A link in the cache goes, and what it points to stays. */
static void links_are_not_followed(void **state) {
    (void)state;
    fathom_cache *cache = NULL;
    write_at("elsewhere/precious", 4000);
    assert_int_equal(symlink(scratch("elsewhere"), scratch("cache/fathom/models/link")), 0);
    check_ok(fathom_cache_open(&cache));
    assert_true(find(cache, "models/link")->bytes < 4000);
    check_ok(fathom_cache_remove(cache, "models/link"));
    fathom_cache_close(cache);
    assert_true(fathom__file_exists(scratch("elsewhere/precious")));
}

static void a_home_is_needed(void **state) {
    (void)state;
    fathom_cache *cache = NULL;
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    check_status(fathom_cache_open(&cache), FATHOM_ERROR_IO, "XDG_CACHE_HOME");
    assert_null(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_kept_at_first),
        cmocka_unit_test(everything_is_listed_with_its_size),
        cmocka_unit_test(entries_are_removed_and_nothing_else),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(a_home_is_needed),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
