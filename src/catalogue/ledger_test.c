#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <fathom/ledger.h>
#include <math.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

static char path[SCRATCH_PATH * 2];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s", scratch("runs.sqlite"));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static const struct fathom_ledger_dictionary two[] = {
    {.path = "/d/a.gguf", .hook = "resid_post.1", .architecture = "topk", .n_features = 64, .k = 4, .seed = 1},
    {.path = "/d/b.gguf",
     .hook = "mlp_in.1",
     .hook_out = "mlp_out.1",
     .architecture = "jumprelu",
     .n_features = 128,
     .k = 8,
     .seed = 2},
};

static struct fathom_ledger_run sample(void) {
    return (struct fathom_ledger_run){.command = "fathom train --hook 'a b'",
                                      .model_name = "tiny",
                                      .model_identity = "abc",
                                      .corpus_hash = "def",
                                      .seed = 7,
                                      .tokens = 1000,
                                      .steps = 10,
                                      .dictionaries = two,
                                      .n_dictionaries = 2};
}

static fathom_ledger *open_for_writing(void) {
    fathom_ledger *ledger = NULL;
    if (fathom_ledger_open(&ledger, path, true)) fail_msg("%s", fathom_error_message());
    return ledger;
}

static int64_t begin(fathom_ledger *ledger, const struct fathom_ledger_run *run, bool resumed, uint64_t step) {
    int64_t number = 0;
    if (fathom_ledger_begin(&number, ledger, run, resumed, step)) fail_msg("%s", fathom_error_message());
    return number;
}

static void add(fathom_ledger *ledger, int64_t number, size_t dictionary, uint64_t step, double fve) {
    const struct fathom_ledger_point point = {dictionary, step, step * 100, 1 - fve, fve, 4.5, 0.25, (double)step};
    assert_int_equal(fathom_ledger_add(ledger, number, &point), 0);
}

static void test_what_is_written_is_read(void **state) {
    (void)state;
    fathom_ledger *ledger = open_for_writing();
    fathom_ledger_runs *runs = NULL;
    struct fathom_ledger_run run = sample();
    struct fathom_ledger_dictionary done[2];
    size_t n = 0;
    const int64_t number = begin(ledger, &run, false, 0);
    assert_int_equal(number, 1);
    add(ledger, number, 1, 5, 0.5);
    add(ledger, number, 0, 10, 0.75);
    add(ledger, number, 0, 5, NAN);
    memcpy(done, two, sizeof done);
    done[0].finished = true;
    done[0].fve = 0.75;
    done[0].l0 = 4;
    done[0].dead_fraction = 0.125;
    done[0].threshold = 1.5;
    done[0].steps = 10;
    done[0].tokens = 1000;
    run.dictionaries = done;
    run.state = "stopped";
    run.message = "it's over";
    run.seconds = 12.5;
    assert_int_equal(fathom_ledger_end(ledger, number, &run), 0);
    assert_int_equal(fathom_ledger_note(ledger, number, "stability", "{\"same\": 0.5}"), 0);
    assert_int_equal(fathom_ledger_note(ledger, number, "more", "[1]"), 0);
    assert_int_equal(fathom_ledger_read(&runs, ledger, number), 0);
    fathom_ledger_close(ledger);
    const struct fathom_ledger_run *read = fathom_ledger_runs_get(&n, runs);
    assert_int_equal(n, 1);
    assert_string_equal(read->command, "fathom train --hook 'a b'");
    assert_string_equal(read->state, "stopped");
    assert_string_equal(read->message, "it's over");
    assert_string_equal(read->model_name, "tiny");
    assert_string_equal(read->model_identity, "abc");
    assert_string_equal(read->corpus_hash, "def");
    assert_string_equal(read->version, fathom_version());
    assert_int_equal(strlen(read->started), strlen("2026-01-01 00:00:00"));
    assert_string_equal(read->notes, "{\"stability\":{\"same\":0.5},\"more\":[1]}");
    assert_true(read->seed == 7 && read->tokens == 1000 && read->steps == 10 && read->seconds == 12.5);
    assert_int_equal(read->n_dictionaries, 2);
    assert_string_equal(read->dictionaries[1].hook_out, "mlp_out.1");
    assert_null(read->dictionaries[0].hook_out);
    assert_true(read->dictionaries[0].finished && !read->dictionaries[1].finished);
    assert_true(read->dictionaries[0].fve == 0.75 && read->dictionaries[0].threshold == 1.5);
    assert_int_equal(read->dictionaries[1].n_features, 128);
    assert_int_equal(read->n_points, 3);
    assert_true(read->points[0].step == 5 && isnan(read->points[0].fve) && read->points[0].l0 == 4.5);
    assert_true(read->points[1].step == 10 && read->points[1].fve == 0.75 && read->points[1].tokens == 1000);
    assert_true(read->points[2].dictionary == 1 && read->points[2].loss == 0.5);
    fathom_ledger_runs_free(runs);
}

/* A resumed run goes on in its entry, without what it had done after the checkpoint. */
static void test_resumed_runs(void **state) {
    (void)state;
    fathom_ledger *ledger = open_for_writing();
    fathom_ledger_runs *runs = NULL;
    struct fathom_ledger_run run = sample(), other = sample();
    size_t n = 0;
    other.seed = 8;
    const int64_t first = begin(ledger, &run, false, 0);
    add(ledger, first, 0, 5, 0.5);
    add(ledger, first, 0, 10, 0.6);
    assert_true(begin(ledger, &other, true, 5) != first); /* of another seed: an entry of its own */
    assert_int_equal(begin(ledger, &run, true, 5), first);
    assert_int_equal(fathom_ledger_read(&runs, ledger, first), 0);
    const struct fathom_ledger_run *read = fathom_ledger_runs_get(&n, runs);
    assert_int_equal(read->n_points, 1);
    assert_int_equal(read->points[0].step, 5);
    assert_int_equal(read->n_dictionaries, 2);
    assert_string_equal(read->state, "running");
    fathom_ledger_runs_free(runs);
    run.state = "done";
    run.message = "";
    assert_int_equal(fathom_ledger_end(ledger, first, &run), 0);
    assert_true(begin(ledger, &run, true, 5) != first); /* what is done is not gone on with */
    assert_int_equal(fathom_ledger_list(&runs, ledger), 0);
    fathom_ledger_runs_get(&n, runs);
    fathom_ledger_runs_free(runs);
    assert_int_equal(fathom_ledger_remove(ledger, first), 0);
    size_t left = 0;
    assert_int_equal(fathom_ledger_list(&runs, ledger), 0);
    fathom_ledger_runs_get(&left, runs);
    assert_int_equal(left, n - 1);
    fathom_ledger_runs_free(runs);
    fathom_ledger_close(ledger);
}

static void expect(int status, int expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

static void test_refusals(void **state) {
    (void)state;
    fathom_ledger *ledger = NULL;
    fathom_ledger_runs *runs = NULL;
    expect(fathom_ledger_open(&ledger, path, false), FATHOM_ERROR_IO, "no such file; a ledger of runs was expected");
    assert_int_equal(fathom__file_write(path, "", 0), 0); /* as another process has just begun it */
    expect(fathom_ledger_open(&ledger, path, false), FATHOM_ERROR_IO, "an empty file; no run was written down yet");
    assert_int_equal(fathom__file_write(path, "some plain text, and no database at all", 39), 0);
    expect(fathom_ledger_open(&ledger, path, true), FATHOM_ERROR_FORMAT, "not a SQLite file");
    unlink(path);
    ledger = open_for_writing();
    expect(fathom_ledger_read(&runs, ledger, 3), FATHOM_ERROR_NOT_FOUND, "there is no run 3");
    expect(fathom_ledger_read(&runs, ledger, -1), FATHOM_ERROR_NOT_FOUND, "there is no run -1");
    expect(fathom_ledger_remove(ledger, 3), FATHOM_ERROR_NOT_FOUND, "there is no run 3");
    expect(fathom_ledger_note(ledger, 3, "a", "1x"), FATHOM_ERROR_FORMAT, "a");
    expect(fathom_ledger_note(ledger, 3, "a", "[1]"), FATHOM_ERROR_NOT_FOUND, "there is no run 3");
    struct fathom_ledger_run run = sample();
    const struct fathom_ledger_point point = {.step = 1, .tokens = 2, .fve = 0.5};
    expect(fathom_ledger_add(ledger, 3, &point), FATHOM_ERROR_NOT_FOUND, "there is no run 3, nor any other");
    expect(fathom_ledger_end(ledger, 3, &run), FATHOM_ERROR_NOT_FOUND, "there is no run 3");
    begin(ledger, &run, false, 0);
    expect(fathom_ledger_read(&runs, ledger, 3), FATHOM_ERROR_NOT_FOUND, "1 are there, the last is 1");
    fathom_ledger_close(ledger);
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "UPDATE runs SET notes = '[]'", NULL, NULL, NULL), SQLITE_OK);
    ledger = open_for_writing();
    expect(fathom_ledger_note(ledger, 1, "a", "[1]"), FATHOM_ERROR_FORMAT, "notes are no object");
    fathom_ledger_close(ledger);
    assert_int_equal(sqlite3_exec(database, "DROP TABLE points", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    ledger = open_for_writing();
    expect(fathom_ledger_read(&runs, ledger, 1), FATHOM_ERROR_FORMAT, "damaged");
    fathom_ledger_close(ledger);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    expect(fathom_ledger_open(&ledger, path, true), FATHOM_ERROR_UNSUPPORTED, "version 9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resumed_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
