/* Maps in the cache: found again, told from those of other dictionaries, and made anew where they are damaged. */
#include "base/file.h"
#include "base/scratch.h"
#include "server/map_file.h"
#include "tests/support/check.h"
#include "tests/support/open_model.h"
#include "tests/support/toy_dictionary.h"
#include <math.h>
#include <stdlib.h>

#define HOOK "blocks.1.hook_resid_post"

static fathom_dictionary *dictionary, *other;
static char *path;

static int open_dictionary(fathom_dictionary **out, const fathom_model *model, const char *name, const char *hook) {
    const struct toy_options toy = {.hook = hook, .scale = 1.0f, .skip_positions = 1, .max_norm = INFINITY};
    const int status = toy_dictionary_write(scratch(name), model, &toy);
    return status ? status : fathom_dictionary_open(out, scratch(name));
}

static int open_all(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    fathom_model *model = open_tiny_model("tiny.gguf", "llama", 1);
    int status = open_dictionary(&dictionary, model, "toy.gguf", HOOK);
    if (!status) status = open_dictionary(&other, model, "other.gguf", "blocks.2.hook_resid_post");
    if (!status) status = fathom__map_path(&path, dictionary);
    fathom_model_close(model);
    if (status) print_error("%s\n", fathom_error_message());
    return status;
}

static int close_all(void **state) {
    (void)state;
    fathom_free(path);
    fathom_dictionary_close(other);
    fathom_dictionary_close(dictionary);
    return 0;
}

static bool never_again(void *payload) {
    (void)payload;
    return true;
}

static void assert_same_map(const struct fathom__map *a, const struct fathom__map *b) {
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->n_nearest, b->n_nearest);
    assert_memory_equal(a->x, b->x, a->n * sizeof *a->x);
    assert_memory_equal(a->y, b->y, a->n * sizeof *a->y);
    assert_true(a->kept == b->kept && a->kept_by_components == b->kept_by_components);
    assert_true(a->kept_by_chance == b->kept_by_chance);
}

static void a_map_is_made_once(void **state) {
    (void)state;
    struct fathom__map made, found, fresh;
    check_status(fathom__map_get(&made, dictionary, 1, never_again, NULL), FATHOM_ERROR_STOPPED, "stopped");
    assert_false(fathom__file_exists(path));
    check_ok(fathom__map_get(&made, dictionary, 1, NULL, NULL));
    assert_true(fathom__file_exists(path));
    /* What would be stopped at once is not made. */
    check_ok(fathom__map_get(&found, dictionary, 1, never_again, NULL));
    check_ok(fathom__map_make(&fresh, dictionary, 1, NULL, NULL));
    assert_same_map(&found, &made);
    assert_same_map(&found, &fresh);
    assert_int_equal(found.n, TOY_FEATURES);
    fathom__map_free(&made);
    fathom__map_free(&found);
    fathom__map_free(&fresh);
}

/* A file goes by the directions, whatever else a dictionary says. */
static void equal_directions_have_one_map(void **state) {
    (void)state;
    char *there = NULL;
    check_ok(fathom__map_path(&there, other));
    assert_string_equal(there, path);
    fathom_free(there);
}

static void damaged_maps_are_made_anew(void **state) {
    (void)state;
    struct fathom__map made, again;
    char *bytes = NULL;
    size_t length = 0;
    check_ok(fathom__map_get(&made, dictionary, 1, NULL, NULL));
    check_ok(fathom__file_read(&bytes, &length, path, SIZE_MAX / 2));
    for (size_t at = 0; at < length; at += 37) {
        bytes[at] ^= 16;
        check_ok(fathom__file_write(path, bytes, length));
        bytes[at] ^= 16;
        check_status(fathom__map_read(&again, path, TOY_FEATURES), FATHOM_ERROR_FORMAT, "map");
        assert_null(again.x);
    }
    const size_t lengths[] = {0, 1, 47, length - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        check_ok(fathom__file_write(path, bytes, lengths[i]));
        check_status(fathom__map_read(&again, path, TOY_FEATURES), FATHOM_ERROR_FORMAT, "map");
    }
    check_ok(fathom__map_get(&again, dictionary, 1, NULL, NULL));
    assert_same_map(&again, &made);
    fathom__map_free(&again);
    check_ok(fathom__map_read(&again, path, TOY_FEATURES));
    assert_same_map(&again, &made);
    fathom__map_free(&again);
    check_status(fathom__map_read(&again, path, TOY_FEATURES - 1), FATHOM_ERROR_FORMAT, "map");
    fathom__map_free(&made);
    fathom_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_is_made_once),
        cmocka_unit_test(equal_directions_have_one_map),
        cmocka_unit_test(damaged_maps_are_made_anew),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
