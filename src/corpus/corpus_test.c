#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <fathom/corpus.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static fathom_corpus *opened(const struct fathom_corpus_source *sources, size_t n, uint64_t seed) {
    fathom_corpus *corpus = NULL;
    assert_int_equal(fathom_corpus_open(&corpus, sources, n, seed), FATHOM_OK);
    return corpus;
}

/* `n` documents of `length` bytes of one letter. */
static const char *letters(const char *name, char letter, int n, int length) {
    const char *path = scratch(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < length; j++)
            fputc(letter, file);
        fputs("\n\n\n", file);
    }
    fclose(file);
    return path;
}

static void assert_next(fathom_corpus *corpus, const char *text, uint64_t number, uint32_t source) {
    struct fathom_document document = {0};
    bool more = false;
    assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_OK);
    assert_true(more);
    assert_int_equal(document.length, strlen(text));
    assert_memory_equal(document.text, text, document.length);
    assert_int_equal(document.number, number);
    assert_int_equal(document.source, source);
}

static void assert_end(fathom_corpus *corpus) {
    struct fathom_document document = {.text = "untouched"};
    bool more = true;
    assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_OK);
    assert_false(more);
    assert_string_equal(document.text, "untouched");
}

static void test_folder_in_name_order(void **state) {
    (void)state;
    assert_int_equal(fathom__make_folders(scratch("folder/b")), FATHOM_OK);
    scratch_text("folder/c.txt", "three");
    scratch_text("folder/b/x.jsonl", "{\"text\":\"two\"}\n");
    scratch_text("folder/a", "zero\n\n\none");
    scratch_text("folder/.hidden", "never");
    const struct fathom_corpus_source source = {.path = scratch("folder")};
    fathom_corpus *corpus = opened(&source, 1, 0);
    static const char *const expected[] = {"zero", "one", "two", "three"};
    for (uint64_t i = 0; i < 4; i++)
        assert_next(corpus, expected[i], i, 0);
    assert_end(corpus);
    assert_end(corpus);
    uint64_t done = 0, total = 0;
    fathom_corpus_position(&done, &total, corpus);
    assert_int_equal(done, 15);
    assert_int_equal(total, 15);
    fathom_corpus_close(corpus);
    fathom_corpus_close(NULL);
}

/* Bytes of each of two sources among the first `n` documents, as a string of their letters. */
static void deliver(char *out, int n, const struct fathom_corpus_source *sources, uint64_t seed) {
    fathom_corpus *corpus = opened(sources, 2, seed);
    for (int i = 0; i < n; i++) {
        struct fathom_document document = {0};
        bool more = false;
        assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_OK);
        assert_true(more);
        out[i] = document.text[0];
    }
    out[n] = '\0';
    fathom_corpus_close(corpus);
}

static void test_weights_share_bytes(void **state) {
    (void)state;
    enum { N = 60 };
    const struct fathom_corpus_source sources[] = {
        {.path = letters("heavy", 'h', 100, 10), .weight = 3},
        {.path = letters("light", 'l', 100, 20)},
    };
    char first[N + 1], again[N + 1];
    deliver(first, N, sources, 7);
    deliver(again, N, sources, 7);
    assert_string_equal(first, again);
    int heavy = 0;
    for (int i = 0; i < N; i++)
        heavy += first[i] == 'h';
    /* Three times the bytes in documents of half the size: six of seven documents. */
    assert_in_range(heavy, 50, 53);
}

static void test_seed_decides_who_is_first(void **state) {
    (void)state;
    const struct fathom_corpus_source sources[] = {{.path = letters("a", 'a', 9, 5)},
                                                   {.path = letters("b", 'b', 9, 5)}};
    int a_first = 0;
    for (uint64_t seed = 0; seed < 32; seed++) {
        char order[3];
        deliver(order, 2, sources, seed);
        assert_true(order[0] != order[1]);
        a_first += order[0] == 'a';
    }
    assert_in_range(a_first, 6, 26);
}

static void test_exhausted_sources_drop_out_and_others_repeat(void **state) {
    (void)state;
    const struct fathom_corpus_source sources[] = {
        {.path = letters("once", 'o', 2, 4)},
        {.path = letters("again", 'r', 2, 4), .repeat = true},
    };
    char order[41];
    deliver(order, 40, sources, 1);
    int once = 0;
    for (int i = 0; i < 40; i++)
        once += order[i] == 'o';
    assert_int_equal(once, 2);
    assert_string_equal(order + 10, "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrr");
    const struct fathom_corpus_source nothing = {.path = scratch_text("blank", "\n\n\n"), .repeat = true};
    fathom_corpus *corpus = opened(&nothing, 1, 0);
    assert_end(corpus);
    fathom_corpus_close(corpus);
}

static void test_position_of_what_is_not_known(void **state) {
    (void)state;
    uint64_t done = 1, total = 1;
    const struct fathom_corpus_source endless = {.path = letters("endless", 'e', 3, 4), .repeat = true};
    fathom_corpus *corpus = opened(&endless, 1, 0);
    fathom_corpus_position(&done, &total, corpus);
    assert_int_equal(done, 0);
    assert_int_equal(total, 0);
    fathom_corpus_close(corpus);
    const struct fathom_corpus_source plain = {.path = letters("plain", 'p', 1000, 997)};
    corpus = opened(&plain, 1, 0);
    for (int i = 0; i < 500; i++) {
        struct fathom_document document;
        bool more;
        assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_OK);
    }
    fathom_corpus_position(&done, &total, corpus);
    assert_int_equal(done, 498500);
    assert_in_range(total, 990000, 1000000);
    fathom_corpus_close(corpus);
}

static void test_standard_input(void **state) {
    (void)state;
    int file = open(scratch_text("piped", "one\n\n\ntwo"), O_RDONLY), kept = dup(STDIN_FILENO);
    assert_true(file >= 0);
    dup2(file, STDIN_FILENO);
    const struct fathom_corpus_source source = {.path = "-"};
    fathom_corpus *corpus = opened(&source, 1, 0);
    assert_next(corpus, "one", 0, 0);
    uint64_t done = 0, total = 1;
    fathom_corpus_position(&done, &total, corpus);
    assert_int_equal(total, 0);
    assert_next(corpus, "two", 1, 0);
    assert_end(corpus);
    fathom_corpus_close(corpus);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(file);
}

static void test_bad_arguments(void **state) {
    (void)state;
    fathom_corpus *corpus = NULL;
    const struct fathom_corpus_source no_path = {0}, missing = {.path = scratch("none")},
                                      negative = {.path = "/dev/null", .weight = -1},
                                      again = {.path = "-", .repeat = true}, twice[] = {{.path = "-"}, {.path = "-"}};
    assert_int_equal(fathom_corpus_open(&corpus, NULL, 0, 0), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_corpus_open(&corpus, &no_path, 1, 0), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_corpus_open(&corpus, &negative, 1, 0), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "/dev/null: its weight is -1"));
    assert_int_equal(fathom_corpus_open(&corpus, &again, 1, 0), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_corpus_open(&corpus, twice, 2, 0), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_corpus_open(&corpus, &missing, 1, 0), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "none: cannot open: No such file"));
    assert_int_equal(fathom__make_folders(scratch("hollow/inner")), FATHOM_OK);
    const struct fathom_corpus_source hollow = {.path = scratch("hollow")};
    assert_int_equal(fathom_corpus_open(&corpus, &hollow, 1, 0), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "hollow: the folder holds no files"));
    assert_null(corpus);
}

static void test_folders_that_lead_back(void **state) {
    (void)state;
    fathom_corpus *corpus = NULL;
    assert_int_equal(fathom__make_folders(scratch("loop")), FATHOM_OK);
    assert_int_equal(symlink(".", scratch("loop/back")), 0);
    const struct fathom_corpus_source source = {.path = scratch("loop")};
    assert_int_equal(fathom_corpus_open(&corpus, &source, 1, 0), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "nested more than 32 deep"));
}

static void test_errors_reach_the_caller(void **state) {
    (void)state;
    struct fathom_document document;
    bool more;
    const struct fathom_corpus_source source = {.path = scratch_text("bad.jsonl", "{\"text\":\"a\"}\n{\n")};
    fathom_corpus *corpus = opened(&source, 1, 0);
    assert_next(corpus, "a", 0, 0);
    assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "bad.jsonl: line 2: not valid JSON"));
    fathom_corpus_close(corpus);
}

static void chats_are_delivered_as_json(void **state) {
    (void)state;
    static const char talk[] = "[{\"role\":\"user\",\"content\":\"a \\\"b\\\"\"}]";
    char line[256];
    snprintf(line, sizeof line, "{\"messages\": %s, \"other\": 1}\n\n{\"messages\": %s}\n", talk, talk);
    scratch_text("talk.jsonl", line);
    const struct fathom_corpus_source source = {.path = scratch("talk.jsonl"), .chat = true};
    fathom_corpus *corpus = opened(&source, 1, 0);
    struct fathom_document document = {0};
    bool more = false;
    assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_OK);
    assert_true(more && document.chat);
    assert_int_equal(document.length, strlen(talk));
    assert_memory_equal(document.text, talk, document.length);
    assert_next(corpus, talk, 1, 0);
    assert_end(corpus);
    fathom_corpus_close(corpus);
    /* The same file as text is another corpus. */
    const struct fathom_corpus_source text = {.path = source.path, .field = "messages"};
    char hashes[2][33];
    assert_int_equal(fathom_corpus_hash(hashes[0], &source, 1, 0), FATHOM_OK);
    assert_int_equal(fathom_corpus_hash(hashes[1], &text, 1, 0), FATHOM_OK);
    assert_string_not_equal(hashes[0], hashes[1]);
}

static void bad_chats_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *line, *part;
    } bad[] = {{"{\"text\": \"a\"}\n", "\"messages\" is missing"},
               {"{\"messages\": \"a\"}\n", "another type"},
               {"{\"messages\": []}\n", "is empty"},
               {"{\"messages\": [{\"role\": \"user\"}]}\n", "message 0"},
               {"{\"messages\": [{\"role\": \"user\", \"content\": [1]}]}\n", "message 0"},
               {"plain text\n", "JSON"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_text("bad.jsonl", bad[i].line);
        const struct fathom_corpus_source source = {.path = scratch("bad.jsonl"), .chat = true};
        fathom_corpus *corpus = opened(&source, 1, 0);
        struct fathom_document document;
        bool more;
        assert_int_equal(fathom_corpus_next(&document, &more, corpus), FATHOM_ERROR_FORMAT);
        if (!strstr(fathom_error_message(), bad[i].part) || !strstr(fathom_error_message(), "bad.jsonl: line 1"))
            fail_msg("%s", fathom_error_message());
        fathom_corpus_close(corpus);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_in_name_order),
        cmocka_unit_test(test_weights_share_bytes),
        cmocka_unit_test(test_seed_decides_who_is_first),
        cmocka_unit_test(test_exhausted_sources_drop_out_and_others_repeat),
        cmocka_unit_test(test_position_of_what_is_not_known),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_folders_that_lead_back),
        cmocka_unit_test(chats_are_delivered_as_json),
        cmocka_unit_test(bad_chats_are_refused),
        cmocka_unit_test(test_errors_reach_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
