/* Command lines out of requests: what they become, and what never gets into one. */
#include "base/file.h"
#include "base/scratch.h"
#include "server/task_request.h"
#include "tests/support/check.h"
#include <string.h>
#include <sys/stat.h>

static struct fathom__task_place place = {.model = "/models/m.gguf", .dictionary = "/served/d.gguf"};
static char folder[512];

static int make_files(void **state) {
    (void)state;
    char path[600];
    snprintf(folder, sizeof folder, "%s", scratch("data"));
    place.folder = folder;
    static const char *const files[] = {"corpora/wiki.jsonl", "corpora/b.txt",         "dictionaries/mine.gguf",
                                        "probes/mood.gguf",   "dictionaries/note.txt", "secret.txt"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        if (fathom__make_folders(path)) return 1;
        *slash = '/';
        if (fathom__file_write(path, "x", 1)) return 1;
    }
    return 0;
}

/* The arguments, joined by blanks, with the data folder as "@". */
static void becomes(const char *request, const char *expected) {
    json_t *value = json_loads(request, 0, NULL), *arguments = NULL;
    char text[1024] = "";
    assert_non_null(value);
    assert_int_equal(fathom__task_arguments(&arguments, value, &place), FATHOM_OK);
    for (size_t i = 0; i < json_array_size(arguments); i++) {
        const char *word = json_string_value(json_array_get(arguments, i)), *at = strstr(word, folder);
        const size_t before = at ? (size_t)(at - word) : strlen(word);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s%s%s", i ? " " : "", (int)before, word,
                 at ? "@" : "", at ? at + strlen(folder) : "");
    }
    assert_string_equal(text, expected);
    json_decref(arguments);
    json_decref(value);
}

static void fails(const char *request, int status, const char *part) {
    json_t *value = json_loads(request, 0, NULL), *arguments = NULL;
    assert_non_null(value);
    assert_int_equal(fathom__task_arguments(&arguments, value, &place), status);
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" lacks \"%s\"", fathom_error_message(), part);
    json_decref(value);
}

static void requests_become_command_lines(void **state) {
    (void)state;
    becomes("{\"command\": \"train\", \"corpus\": [\"wiki.jsonl\", \"b.txt\"], \"output\": \"new\", \"options\": "
            "{\"hook\": "
            "\"resid_post.11\", \"features\": 4096, \"lr\": 0.5, \"skip\": true}}",
            "train --json -m /models/m.gguf --output=@/dictionaries/new.gguf --corpus=@/corpora/wiki.jsonl "
            "--corpus=@/corpora/b.txt --hook=resid_post.11 --features=4096 --lr=0.5 --skip");
    becomes("{\"command\": \"index\", \"corpus\": [\"b.txt\"], \"options\": {\"no-text\": false}}",
            "index --json -m /models/m.gguf /served/d.gguf --corpus=@/corpora/b.txt");
    becomes("{\"command\": \"index\", \"corpus\": [\"b.txt\"], \"repeat\": true}",
            "index --json -m /models/m.gguf /served/d.gguf --corpus=@/corpora/b.txt=1*");
    becomes("{\"command\": \"eval\", \"dictionary\": \"mine\", \"options\": {\"seed\": -1}}",
            "eval --json -m /models/m.gguf @/dictionaries/mine.gguf --seed=-1");
    becomes("{\"command\": \"probe train\", \"corpus\": [\"wiki.jsonl\"], \"output\": \"new\", \"options\": {\"hook\": "
            "\"resid_post.1\", \"pool\": \"last\"}}",
            "probe train --json -m /models/m.gguf --output=@/probes/new.gguf --labelled=@/corpora/wiki.jsonl "
            "--hook=resid_post.1 --pool=last");
    becomes("{\"command\": \"probe eval\", \"corpus\": [\"wiki.jsonl\"], \"probe\": \"mood\", \"options\": "
            "{\"random\": 9}}",
            "probe eval --json -m /models/m.gguf @/probes/mood.gguf --labelled=@/corpora/wiki.jsonl --random=9");
    becomes(
        "{\"command\": \"watch\", \"corpus\": [\"b.txt\"], \"options\": {\"feature\": \"304,17\", \"above\": 2.5}}",
        "watch --json -m /models/m.gguf --file=@/corpora/b.txt --dict /served/d.gguf --strongest=20 --feature=304,17 "
        "--above=2.5");
    becomes(
        "{\"command\": \"watch\", \"corpus\": [\"b.txt\"], \"labelled\": true, \"probe\": \"mood\", \"development\": "
        "\"wiki.jsonl\", \"options\": {\"strongest\": 5}}",
        "watch --json -m /models/m.gguf --labelled=@/corpora/b.txt --probe=@/probes/mood.gguf "
        "--development=@/corpora/wiki.jsonl --strongest=5");
    becomes("{\"command\": \"watch\", \"corpus\": [\"b.txt\"], \"dictionary\": \"mine\", \"options\": {\"feature\": "
            "\"3\"}}",
            "watch --json -m /models/m.gguf --file=@/corpora/b.txt --dict=@/dictionaries/mine.gguf --strongest=20 "
            "--feature=3");
    becomes("{\"command\": \"doctor\", \"options\": {\"threads\": 1}}", "doctor --json -m /models/m.gguf --threads=1");
}

static void other_files_are_not_reached(void **state) {
    (void)state;
    static const char *const names[] = {"../secret.txt", "/etc/passwd", "..", ".", "",
                                        "a/b",           "a\\u0000b",   "-o", "~", "a b"};
    char request[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(request, sizeof request, "{\"command\": \"index\", \"corpus\": [\"%s\"]}", names[i]);
        json_t *value = json_loads(request, JSON_ALLOW_NUL, NULL), *arguments = NULL;
        const int status = fathom__task_arguments(&arguments, value, &place);
        assert_true(status == FATHOM_ERROR_FORMAT || status == FATHOM_ERROR_NOT_FOUND);
        json_decref(value);
    }
    fails("{\"command\": \"train\", \"corpus\": [\"b.txt\"], \"output\": \"../x\"}", FATHOM_ERROR_FORMAT, "no name");
    fails("{\"command\": \"eval\", \"dictionary\": \"../mine\"}", FATHOM_ERROR_FORMAT, "no name");
    fails("{\"command\": \"index\", \"corpus\": [\"b.txt\"], \"options\": {\"catalogue\": \"x\"}}", FATHOM_ERROR_FORMAT,
          "catalogue");
    fails("{\"command\": \"index\", \"corpus\": [\"b.txt\"], \"options\": {\"corpus-name\": \"/a\"}}",
          FATHOM_ERROR_FORMAT, "corpus-name");
}

static void bad_requests_are_named(void **state) {
    (void)state;
    fails("{}", FATHOM_ERROR_FORMAT, "command");
    fails("{\"command\": \"serve\"}", FATHOM_ERROR_FORMAT, "serve");
    fails("{\"command\": \"index\"}", FATHOM_ERROR_FORMAT, "corpus");
    fails("{\"command\": \"index\", \"corpus\": [5]}", FATHOM_ERROR_FORMAT, "corpus");
    fails("{\"command\": \"index\", \"corpus\": [\"none.txt\"]}", FATHOM_ERROR_NOT_FOUND, "none.txt");
    fails("{\"command\": \"train\", \"corpus\": [\"b.txt\"]}", FATHOM_ERROR_FORMAT, "output");
    fails("{\"command\": \"train\", \"corpus\": [\"b.txt\"], \"output\": \"mine\"}", FATHOM_ERROR_FORMAT, "already");
    fails("{\"command\": \"probe train\", \"corpus\": [\"b.txt\"], \"output\": \"mood\"}", FATHOM_ERROR_FORMAT,
          "already");
    fails("{\"command\": \"probe eval\", \"corpus\": [\"b.txt\"]}", FATHOM_ERROR_FORMAT, "probe");
    fails("{\"command\": \"probe eval\", \"corpus\": [\"b.txt\"], \"probe\": \"mine\"}", FATHOM_ERROR_NOT_FOUND,
          "mine");
    fails("{\"command\": \"probe eval\", \"corpus\": [\"b.txt\"], \"probe\": \"mood\", \"repeat\": true}",
          FATHOM_ERROR_FORMAT, "repeat");
    fails("{\"command\": \"watch\", \"options\": {\"feature\": \"3\"}}", FATHOM_ERROR_FORMAT, "corpus");
    fails("{\"command\": \"watch\", \"corpus\": [\"b.txt\"], \"probe\": \"../mood\"}", FATHOM_ERROR_FORMAT, "no name");
    fails("{\"command\": \"watch\", \"corpus\": [\"b.txt\"], \"development\": \"none\"}", FATHOM_ERROR_NOT_FOUND,
          "none");
    fails("{\"command\": \"index\", \"corpus\": [\"b.txt\"], \"labelled\": true}", FATHOM_ERROR_FORMAT, "labelled");
    fails("{\"command\": \"doctor\", \"corpus\": [\"b.txt\"]}", FATHOM_ERROR_FORMAT, "reads none");
    fails("{\"command\": \"probe\", \"corpus\": [\"b.txt\"]}", FATHOM_ERROR_FORMAT, "probe");
    fails("{\"command\": \"eval\", \"options\": 5}", FATHOM_ERROR_FORMAT, "options");
    fails("{\"command\": \"eval\", \"options\": {\"tokens\": \"x\"}}", FATHOM_ERROR_FORMAT, "whole number");
    fails("{\"command\": \"eval\", \"options\": {\"absorption\": 1}}", FATHOM_ERROR_FORMAT, "true or false");
    const struct fathom__task_place bare = {.folder = folder, .model = "m"};
    json_t *value = json_loads("{\"command\": \"eval\"}", 0, NULL), *arguments = NULL;
    assert_int_equal(fathom__task_arguments(&arguments, value, &bare), FATHOM_ERROR_FORMAT);
    json_decref(value);
}

static void files_are_listed(void **state) {
    (void)state;
    json_t *corpora = fathom__task_files(&place, "corpora"), *dictionaries = fathom__task_files(&place, "dictionaries");
    assert_int_equal(json_array_size(corpora), 2);
    assert_string_equal(json_string_value(json_array_get(corpora, 0)), "b.txt");
    assert_int_equal(json_array_size(dictionaries), 1);
    assert_string_equal(json_string_value(json_array_get(dictionaries, 0)), "mine");
    json_t *probes = fathom__task_files(&place, "probes");
    assert_int_equal(json_array_size(probes), 1);
    assert_string_equal(json_string_value(json_array_get(probes, 0)), "mood");
    json_decref(probes);
    json_decref(corpora);
    json_decref(dictionaries);
}

static void only_training_is_told_to_go_on(void **state) {
    (void)state;
    json_t *arguments = json_pack("[s, s]", "train", "--json");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(fathom__task_resume_arguments(arguments, "train"), FATHOM_OK);
        assert_int_equal(json_array_size(arguments), 3);
        assert_string_equal(json_string_value(json_array_get(arguments, 2)), "--resume");
    }
    assert_int_equal(fathom__task_resume_arguments(arguments, "index"), FATHOM_OK);
    assert_int_equal(json_array_size(arguments), 3);
    json_decref(arguments);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_become_command_lines),  cmocka_unit_test(other_files_are_not_reached),
        cmocka_unit_test(bad_requests_are_named),         cmocka_unit_test(files_are_listed),
        cmocka_unit_test(only_training_is_told_to_go_on),
    };
    return cmocka_run_group_tests(tests, make_files, NULL);
}
