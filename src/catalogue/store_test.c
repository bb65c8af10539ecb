#include "base/file.h"
#include "tests/support/tiny_catalogue.h"

#include "base/random.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct tiny_catalogue tiny;

static int set_up(void **state) {
    (void)state;
    return tiny_catalogue_open(&tiny) || tiny_catalogue_write(&tiny);
}

static int tear_down(void **state) {
    (void)state;
    tiny_catalogue_close(&tiny);
    return 0;
}

static void run_sql(const char *path, const char *sql) {
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s", sqlite3_errmsg(database));
    sqlite3_close(database);
}

static void assert_refused(const char *path, int status, const char *message) {
    fathom_catalogue *catalogue = NULL;
    assert_int_equal(fathom_catalogue_open(&catalogue, path, tiny.dictionary), status);
    if (!strstr(fathom_error_message(), message))
        fail_msg("\"%s\" does not say \"%s\"", fathom_error_message(), message);
    assert_null(strchr(fathom_error_message(), '\n'));
    assert_null(catalogue);
}

/* A copy of the catalogue that a test may spoil. */
static void spoil(char out[2 * SCRATCH_PATH], const char *sql) {
    char *bytes;
    size_t length;
    snprintf(out, 2 * SCRATCH_PATH, "%s/spoiled.sqlite", tiny.folder);
    assert_int_equal(fathom__file_read(&bytes, &length, tiny.path, SIZE_MAX), FATHOM_OK);
    assert_int_equal(fathom__file_write(out, bytes, length), FATHOM_OK);
    fathom_free(bytes);
    if (sql) run_sql(out, sql);
}

static void other_files_are_refused(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s/other", tiny.folder);
    assert_refused(path, FATHOM_ERROR_IO, "no such file");
    assert_int_equal(fathom__file_write(path, "this is some plain text, and no database at all", 47), FATHOM_OK);
    assert_refused(path, FATHOM_ERROR_FORMAT, "not a SQLite file");
    unlink(path);
    assert_int_equal(fathom__file_write(path, "", 0), FATHOM_OK);
    assert_refused(path, FATHOM_ERROR_FORMAT, "not a catalogue");
    unlink(path);
    run_sql(path, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
    assert_refused(path, FATHOM_ERROR_FORMAT, "a SQLite file, but not a catalogue");
    /* Nor is someone else's database turned into a catalogue. */
    struct fathom__store store;
    assert_int_equal(fathom__store_open(&store, path, FATHOM__STORE_CREATE), FATHOM_ERROR_FORMAT);
    unlink(path);
}

static void a_catalogue_begins_with_its_first_content(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    struct fathom__store store;
    snprintf(path, sizeof path, "%s/new.sqlite", tiny.folder);
    assert_int_equal(fathom__store_open(&store, path, FATHOM__STORE_BEGIN), FATHOM_OK);
    assert_refused(path, FATHOM_ERROR_FORMAT, "not a catalogue"); /* as a killed process would leave it */
    assert_int_equal(fathom__store_begin(&store), FATHOM_OK);
    fathom__store_close(&store);
    assert_false(fathom__file_exists(path));
    /* An empty file of somebody's stays. */
    assert_int_equal(fathom__file_write(path, "", 0), FATHOM_OK);
    assert_int_equal(fathom__store_open(&store, path, FATHOM__STORE_BEGIN), FATHOM_OK);
    fathom__store_close(&store);
    assert_true(fathom__file_exists(path));
    assert_int_equal(fathom__store_open(&store, path, FATHOM__STORE_BEGIN), FATHOM_OK);
    assert_int_equal(fathom__store_begin(&store), FATHOM_OK);
    assert_int_equal(fathom__store_commit(&store), FATHOM_OK);
    fathom__store_close(&store);
    assert_refused(path, FATHOM_ERROR_NOT_FOUND, "an empty catalogue");
    unlink(path);
}

static void newer_versions_are_refused(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    spoil(path, "PRAGMA user_version = 2");
    assert_refused(path, FATHOM_ERROR_UNSUPPORTED, "a catalogue of version 2; this program reads up to version 1");
    spoil(path, "PRAGMA user_version = 0");
    assert_refused(path, FATHOM_ERROR_FORMAT, "version 0, which never was");
    unlink(path);
}

static void other_dictionaries_and_models_are_told_apart(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    fathom_dictionary *other;
    fathom_catalogue *catalogue = NULL;
    snprintf(path, sizeof path, "%s/other.gguf", tiny.folder);
    assert_int_equal(tiny_catalogue_dictionary(path, tiny.model.source_identity, 2), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&other, path), FATHOM_OK);
    assert_int_equal(fathom_catalogue_open(&catalogue, tiny.path, other), FATHOM_ERROR_NOT_FOUND);
    assert_non_null(strstr(fathom_error_message(), "has nothing on dictionary \"tiny\""));
    assert_non_null(strstr(fathom_error_message(), "it has tiny at blocks.1.hook_resid_post of a model"));
    fathom_dictionary_close(other);
    assert_int_equal(tiny_catalogue_dictionary(path, "ffffffffffffffffffffffffffffffff", 2), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&other, path), FATHOM_OK);
    assert_int_equal(fathom_catalogue_open(&catalogue, tiny.path, other), FATHOM_ERROR_MISMATCH);
    assert_non_null(strstr(fathom_error_message(), "a catalogue of another model"));
    fathom_dictionary_close(other);
    unlink(path);
    spoil(path, "DELETE FROM dictionaries");
    assert_refused(path, FATHOM_ERROR_NOT_FOUND, "an empty catalogue");
    unlink(path);
}

static void damaged_values_are_refused(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    spoil(path, "UPDATE features SET number = 77 WHERE number = 5");
    assert_refused(path, FATHOM_ERROR_FORMAT, "a feature number out of range");
    spoil(path, "UPDATE labels SET feature = -1 WHERE feature = 2");
    assert_refused(path, FATHOM_ERROR_FORMAT, "a label of a feature that is not there");
    spoil(path, "UPDATE dictionaries SET n_features = 7");
    assert_refused(path, FATHOM_ERROR_FORMAT, "number of features differs");
    static const char *const figures[] = {
        "count = -1",
        "count = 1, density = 0",
        "density = 1.5",
        "density = -9e999",
        "maximum = 9e999",
        "mean = 9e999",
        "count = 1, density = 0.5, maximum = 0",
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "UPDATE features SET %s WHERE number = 5", figures[i]);
        spoil(path, sql);
        assert_refused(path, FATHOM_ERROR_FORMAT, "a feature's count, density or activations");
    }
    spoil(path, "DROP TABLE features");
    assert_refused(path, FATHOM_ERROR_FORMAT, "no such table: features");
    unlink(path);
}

static void damaged_details_are_refused(void **state) {
    (void)state;
    static const char *const changes[][2] = {
        {"UPDATE features SET histogram = x'01'", "a feature's histogram"},
        {"UPDATE features SET histogram_top = 1e99", "a feature's histogram"},
        {"UPDATE examples SET band = 5 WHERE band = 4", "an example's band or value"},
        {"UPDATE examples SET value = 9e999", "an example's band or value"},
        {"UPDATE features SET effects = x'ff'", "a feature's effects"},
        {"UPDATE features SET effects = x'0101000080ff00'", "a feature's effects"},
        {"UPDATE features SET neighbours = x'016300000000'", "a feature's neighbours"},
        {"UPDATE examples SET first = 1000000000000", "an example's passage"},
        {"UPDATE examples SET length = 1000000", "an example's window"},
        {"UPDATE examples SET peak = 33", "an example's window"},
        {"UPDATE examples SET activations = x'0000803f2001'", "an example's activations"},
        {"UPDATE passages SET tokens = x'ffffffffffffffffffff'", "an example's passage"},
        {"DELETE FROM features WHERE number = 0", "a feature is missing"},
        {"DELETE FROM passages", "an example's passage"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char path[2 * SCRATCH_PATH];
        fathom_catalogue *catalogue;
        struct fathom_feature_details *details = NULL;
        spoil(path, changes[i][0]);
        assert_int_equal(fathom_catalogue_open(&catalogue, path, tiny.dictionary), FATHOM_OK);
        assert_int_equal(fathom_catalogue_details(&details, catalogue, 0), FATHOM_ERROR_FORMAT);
        if (!strstr(fathom_error_message(), changes[i][1]))
            fail_msg("%s: \"%s\"", changes[i][0], fathom_error_message());
        assert_null(details);
        fathom_catalogue_close(catalogue);
        unlink(path);
    }
}

/* Whatever bytes of the file change, reading all of it either works or says why. */
static void damaged_bytes_never_break_the_reader(void **state) {
    (void)state;
    enum { ROUNDS = 300 };
    struct fathom__random random;
    char path[2 * SCRATCH_PATH], *bytes;
    size_t length;
    unsigned refused = 0;
    fathom__random_seed(&random, 5);
    snprintf(path, sizeof path, "%s/damaged.sqlite", tiny.folder);
    assert_int_equal(fathom__file_read(&bytes, &length, tiny.path, SIZE_MAX), FATHOM_OK);
    for (int round = 0; round < ROUNDS; round++) {
        char saved[8];
        size_t places[8];
        for (size_t i = 0; i < 8; i++) {
            places[i] = fathom__random_below(&random, length);
            saved[i] = bytes[places[i]];
            bytes[places[i]] = (char)fathom__random_next(&random);
        }
        const size_t kept = fathom__random_below(&random, 5) ? length : fathom__random_below(&random, length);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, kept, file), kept);
        assert_int_equal(fclose(file), 0);
        for (size_t i = 8; i-- > 0;)
            bytes[places[i]] = saved[i];
        fathom_catalogue *catalogue;
        if (fathom_catalogue_open(&catalogue, path, tiny.dictionary)) {
            refused++;
            continue;
        }
        for (uint32_t f = 0; f < TINY_FEATURES; f++) {
            struct fathom_feature_details *details;
            struct fathom_hit hits[4];
            size_t n;
            if (fathom_catalogue_details(&details, catalogue, f) == FATHOM_OK) fathom_feature_details_free(details);
            (void)fathom_catalogue_search_words(hits, &n, 4, catalogue, "bridge");
            (void)fathom_catalogue_search_token(hits, &n, 4, catalogue, 7, false);
        }
        fathom_catalogue_close(catalogue);
    }
    assert_in_range(refused, ROUNDS / 10, ROUNDS - 1);
    fathom_free(bytes);
    unlink(path);
}

static void a_locked_file_is_named(void **state) {
    (void)state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(tiny.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    fathom__store_patience(1);
    assert_refused(tiny.path, FATHOM_ERROR_LIMIT, "locked by another process");
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "text", "user"), FATHOM_ERROR_LIMIT);
    sqlite3_close(other);
}

/* A file may grow no further: what a full disk looks like. */
static int write_with_limit(const struct tiny_catalogue *catalogue, rlim_t bytes) {
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int status = tiny_catalogue_write(catalogue);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    return status;
}

static void a_full_disk_leaves_the_catalogue_as_it_was(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    struct tiny_catalogue other = tiny;
    spoil(path, NULL);
    snprintf(other.path, sizeof other.path, "%s", path);
    other.content.corpus = "written over";
    assert_int_equal(write_with_limit(&other, 8192), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "the disk is full"));
    fathom_catalogue *catalogue;
    assert_int_equal(fathom_catalogue_open(&catalogue, path, tiny.dictionary), FATHOM_OK);
    assert_string_equal(fathom_catalogue_describe(catalogue)->corpus, "a few words");
    fathom_catalogue_close(catalogue);
    unlink(path);
}

static void a_catalogue_that_cannot_be_begun_leaves_nothing(void **state) {
    (void)state;
    struct tiny_catalogue new = tiny;
    snprintf(new.path, sizeof new.path, "%s", scratch("begun.sqlite"));
    assert_int_equal(write_with_limit(&new, 1024), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "begun.sqlite: cannot "));
    assert_int_equal(access(new.path, F_OK), -1);
    assert_int_equal(access(scratch("begun.sqlite-journal"), F_OK), -1);
}

static void a_hostile_schema_runs_nothing(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    spoil(path, "CREATE TRIGGER mischief AFTER INSERT ON labels BEGIN DELETE FROM features; END");
    assert_int_equal(fathom_catalogue_label(path, tiny.dictionary, 1, "text", "user"), FATHOM_OK);
    fathom_catalogue *catalogue;
    assert_int_equal(fathom_catalogue_open(&catalogue, path, tiny.dictionary), FATHOM_OK);
    assert_int_equal(fathom_catalogue_feature(catalogue, 0)->count, TINY_DOCUMENTS);
    fathom_catalogue_close(catalogue);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(a_catalogue_begins_with_its_first_content),
        cmocka_unit_test(newer_versions_are_refused),
        cmocka_unit_test(other_dictionaries_and_models_are_told_apart),
        cmocka_unit_test(damaged_values_are_refused),
        cmocka_unit_test(damaged_details_are_refused),
        cmocka_unit_test(damaged_bytes_never_break_the_reader),
        cmocka_unit_test(a_locked_file_is_named),
        cmocka_unit_test(a_full_disk_leaves_the_catalogue_as_it_was),
        cmocka_unit_test(a_catalogue_that_cannot_be_begun_leaves_nothing),
        cmocka_unit_test(a_hostile_schema_runs_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
