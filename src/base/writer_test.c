#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/scratch.h>

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

static int files_in(const char *folder) {
    int n = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        n += entry->d_name[0] != '.';
    closedir(entries);
    return n;
}

static void assert_content(const char *path, const char *expected) {
    char *bytes = NULL;
    size_t length = 0;
    assert_int_equal(fathom__file_read(&bytes, &length, path, 1 << 20), FATHOM_OK);
    assert_string_equal(bytes, expected);
    fathom_free(bytes);
}

static void test_commit_replaces(void **state) {
    (void)state;
    struct fathom__writer writer;
    assert_int_equal(fathom__make_folders(scratch("commit")), FATHOM_OK);
    const char *path = scratch_text("commit/file", "old");
    assert_int_equal(fathom__writer_open(&writer, path), FATHOM_OK);
    assert_int_equal(fathom__writer_write(&writer, "new", 3), FATHOM_OK);
    fprintf(writer.stream, " %d", 42);
    assert_content(path, "old");
    assert_int_equal(fathom__writer_commit(&writer), FATHOM_OK);
    assert_content(path, "new 42");
    fathom__writer_discard(&writer);
    assert_int_equal(files_in(scratch("commit")), 1);
}

static void test_discard_leaves_nothing(void **state) {
    (void)state;
    struct fathom__writer writer;
    assert_int_equal(fathom__make_folders(scratch("discard")), FATHOM_OK);
    assert_int_equal(fathom__writer_open(&writer, scratch("discard/file")), FATHOM_OK);
    assert_int_equal(files_in(scratch("discard")), 1);
    fathom__writer_discard(&writer);
    assert_int_equal(files_in(scratch("discard")), 0);
}

static void test_two_writers_of_one_path(void **state) {
    (void)state;
    struct fathom__writer first, second;
    const char *path = scratch("both");
    assert_int_equal(fathom__writer_open(&first, path), FATHOM_OK);
    assert_int_equal(fathom__writer_open(&second, path), FATHOM_OK);
    assert_int_equal(fathom__writer_write(&first, "1", 1), FATHOM_OK);
    assert_int_equal(fathom__writer_write(&second, "2", 1), FATHOM_OK);
    assert_int_equal(fathom__writer_commit(&first), FATHOM_OK);
    assert_int_equal(fathom__writer_commit(&second), FATHOM_OK);
    assert_content(path, "2");
}

static void test_places_that_cannot_be_written(void **state) {
    (void)state;
    struct fathom__writer writer;
    assert_int_equal(fathom__writer_open(&writer, scratch("no/such/folder")), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "no/such/folder: cannot write: No such file"));
    assert_int_equal(fathom__make_folders(scratch("folder")), FATHOM_OK);
    assert_int_equal(fathom__file_write(scratch("folder"), "x", 1), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "is a folder"));
}

static void test_links_and_devices_stay(void **state) {
    (void)state;
    struct stat about;
    char path[SCRATCH_PATH * 2];
    assert_int_equal(fathom__make_folders(scratch("links/far")), FATHOM_OK);
    const char *target = scratch_text("links/far/file", "old");
    snprintf(path, sizeof path, "%s", scratch("links/link"));
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(fathom__file_write(path, "new", 3), FATHOM_OK);
    assert_content(target, "new");
    assert_int_equal(lstat(path, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(files_in(scratch("links")), 2);

    /* A pipe takes what is written, and is still there. */
    char read_back[8] = "";
    const char *pipe_path = scratch("links/pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    int reader = open(pipe_path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(fathom__file_write(pipe_path, "through", 7), FATHOM_OK);
    assert_int_equal(read(reader, read_back, sizeof read_back - 1), 7);
    assert_string_equal(read_back, "through");
    close(reader);
    assert_int_equal(lstat(pipe_path, &about), 0);
    assert_true(S_ISFIFO(about.st_mode));
}

static void test_probe_leaves_nothing(void **state) {
    (void)state;
    assert_int_equal(fathom__make_folders(scratch("probe")), FATHOM_OK);
    assert_int_equal(fathom__writer_probe(scratch("probe/new")), FATHOM_OK);
    assert_int_equal(files_in(scratch("probe")), 0);
    const char *path = scratch_text("probe/old", "old");
    assert_int_equal(fathom__writer_probe(path), FATHOM_OK);
    assert_content(path, "old");
    assert_int_equal(fathom__writer_probe(scratch("probe/missing/file")), FATHOM_ERROR_IO);
    assert_int_equal(fathom__writer_probe(scratch("probe")), FATHOM_ERROR_IO);
}

/* A limit on the size of files stands in for a full disk: both make write fail in the middle. */
static void test_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    static char many[100000];
    struct rlimit before, low;
    assert_int_equal(fathom__make_folders(scratch("full")), FATHOM_OK);
    const char *path = scratch_text("full/file", "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    int big = fathom__file_write(path, many, sizeof many);
    char message[256];
    snprintf(message, sizeof message, "%s", fathom_error_message());
    /* What fits into the stream's buffer fails in commit only, and so does what nobody checked. */
    struct fathom__writer writer;
    assert_int_equal(fathom__writer_open(&writer, path), FATHOM_OK);
    for (int i = 0; i < 10000; i++)
        fprintf(writer.stream, "%d", i);
    int unchecked = fathom__writer_commit(&writer);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(big, FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(message, "file: cannot write: File too large"));
    assert_int_equal(unchecked, FATHOM_ERROR_LIMIT);
    assert_content(path, "old");
    assert_int_equal(files_in(scratch("full")), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_replaces),
        cmocka_unit_test(test_discard_leaves_nothing),
        cmocka_unit_test(test_two_writers_of_one_path),
        cmocka_unit_test(test_places_that_cannot_be_written),
        cmocka_unit_test(test_links_and_devices_stay),
        cmocka_unit_test(test_probe_leaves_nothing),
        cmocka_unit_test(test_full_disk_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
