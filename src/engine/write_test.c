/* The corpus writer on tiny random models, and its parts. */
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/scratch.h"
#include "engine/write_parts.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call) assert_status(call, FATHOM_OK, #call)
static void assert_status(int status, int expected, const char *call) {
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", call, fathom_error_name(status), fathom_error_message(),
                 fathom_error_name(expected));
}

static void assert_message(const char *part) {
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

enum { WIDTH = 64, LAST_CONTROL = 0x1f, FIRST_HIGH = 0x80, LAST_BYTE = 0xff };

static char model_path[2 * SCRATCH_PATH], out_path[2 * SCRATCH_PATH], part_path[2 * SCRATCH_PATH + 8];
static fathom_model *model;
static const char *const topics[] = {"bridges", "the sea", "bread"};

/* A model that hardly ever writes bytes that are no text: their logits are 0, the others' are widely spread. */
static int make_text_model(const char *path) {
    struct fathom_test_tiny tiny = {.without = "output.weight"};
    float *unembedding = NULL;
    int status = fathom_test_tiny_fill(&tiny, "llama", 2);
    const int64_t shape[] = {WIDTH, tiny.n_vocab};
    if (!status) status = fathom_test_tiny_tensor(&unembedding, &tiny, "output.weight", shape, 2, 0.0f, 0.5f, 7);
    for (int byte = 0; byte <= LAST_BYTE && !status; byte++)
        if (byte <= LAST_CONTROL || byte >= FIRST_HIGH)
            memset(unembedding + byte * WIDTH, 0, WIDTH * sizeof *unembedding);
    if (!status) status = fathom_test_tiny_commit(&tiny, path);
    fathom_test_tiny_free(&tiny);
    return status;
}

static int make_model(void **state) {
    (void)state;
    snprintf(model_path, sizeof model_path, "%s", scratch("llama.gguf"));
    snprintf(out_path, sizeof out_path, "%s", scratch("own.jsonl"));
    snprintf(part_path, sizeof part_path, "%s.part", out_path);
    if (make_text_model(model_path)) return -1;
    return fathom_model_open(&model, model_path, NULL);
}

static int drop_model(void **state) {
    (void)state;
    fathom_model_close(model);
    return 0;
}

static int drop_output(void **state) {
    (void)state;
    unlink(out_path);
    unlink(part_path);
    return 0;
}

static void repetition_counts_runs_of_four(void **state) {
    const int32_t once[] = {1, 2, 3, 4, 5, 6, 7, 8}, loop[] = {1, 2, 1, 2, 1, 2, 1, 2, 1, 2},
                  again[] = {1, 2, 3, 4, 9, 1, 2, 3, 4};
    (void)state;
    assert_true(fathom__write_repetition(once, 8) == 0);
    assert_true(fathom__write_repetition(once, 3) == 0);
    assert_true(fabs(fathom__write_repetition(loop, 10) - 5.0 / 7.0) < 1e-12);
    assert_true(fabs(fathom__write_repetition(again, 9) - 1.0 / 6.0) < 1e-12);
}

static void documents_are_trimmed_and_judged(void **state) {
    int32_t tokens[60];
    (void)state;
    for (int i = 0; i < 60; i++)
        tokens[i] = i;
    char whole[] = "  A text. It goes on\n", cut[] = "First. The second sentence ends here. The third is cu",
         broken[] = "bad \xff byte.";
    char half[] = "One sentence that is long enough to be kept. Next \xe2\x82";
    char blank[] = " \n ";
    assert_int_equal(fathom__write_judge(whole, tokens, 60, false, 0.2), FATHOM__WRITE_KEPT);
    assert_string_equal(whole, "A text. It goes on");
    assert_int_equal(fathom__write_judge(cut, tokens, 60, true, 0.2), FATHOM__WRITE_KEPT);
    assert_string_equal(cut, "First. The second sentence ends here.");
    assert_int_equal(fathom__write_judge(half, tokens, 60, true, 0.2), FATHOM__WRITE_KEPT);
    assert_string_equal(half, "One sentence that is long enough to be kept.");
    assert_int_equal(fathom__write_judge(broken, tokens, 60, false, 0.2), FATHOM__WRITE_BROKEN);
    assert_int_equal(fathom__write_judge(whole, tokens, 10, false, 0.2), FATHOM__WRITE_SHORT);
    assert_int_equal(fathom__write_judge(blank, tokens, 60, false, 0.2), FATHOM__WRITE_SHORT);
    for (int i = 0; i < 60; i++)
        tokens[i] = i % 5;
    assert_int_equal(fathom__write_judge(whole, tokens, 60, false, 0.2), FATHOM__WRITE_REPETITIVE);
}

static void sampling_follows_the_distribution(void **state) {
    enum { N = 37, DRAWS = 20000 };
    float logits[N];
    struct fathom__candidate candidates[N];
    struct fathom__random random;
    int counts[N] = {0};
    double weights[N], total = 0;
    (void)state;
    for (int i = 0; i < N; i++) {
        logits[i] = (float)((i * 17 % N) * 0.1);
        total += weights[i] = exp(logits[i] / 0.5);
    }
    fathom__random_seed(&random, 1);
    for (int i = 0; i < DRAWS; i++)
        counts[fathom__write_sample(logits, N, 0.5f, 1.0f, &random, candidates)]++;
    for (int i = 0; i < N; i++) {
        const double p = weights[i] / total, deviation = sqrt(DRAWS * p * (1 - p));
        assert_true(fabs(counts[i] - DRAWS * p) < 5 * deviation + 1);
    }
    /* top_p keeps the fewest of the likeliest that hold it */
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < DRAWS; i++)
        counts[fathom__write_sample(logits, N, 0.5f, 0.3f, &random, candidates)]++;
    double held = 0;
    for (int rank = N - 1; rank >= 0; rank--) {
        int token = 0;
        while (token * 17 % N != rank)
            token++;
        if (held < 0.3 * total)
            assert_true(counts[token] > 0);
        else
            assert_int_equal(counts[token], 0);
        held += weights[token];
    }
    /* and a nearly greedy temperature the likeliest */
    for (int i = 0; i < 20; i++)
        assert_int_equal(fathom__write_sample(logits, N, 0.001f, 0.9f, &random, candidates) * 17 % N, N - 1);
}

static struct fathom_write_options plain_options(void) {
    return (struct fathom_write_options){.topics = topics,
                                         .n_topics = 3,
                                         .tokens = 600,
                                         .document_tokens = 48,
                                         .n_sequences = 4,
                                         .n_threads = 1,
                                         .temperature = 0.8f,
                                         .top_p = 0.9f,
                                         .most_repetition = 0.9f,
                                         .seed = 11};
}

/* Checks every line and gives the number of them; *first gets the first text (fathom_free) when it is not NULL.
 * Documents under a title hold their topic. */
static size_t check_lines(const char *path, uint64_t seed, bool titled, char **first) {
    char *text = NULL;
    size_t length = 0, n = 0;
    int64_t last = (int64_t)seed - 1;
    OK(fathom__file_read(&text, &length, path, 1 << 20));
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, n++) {
        json_t *object = NULL;
        const char *document = NULL, *topic = NULL;
        int64_t own = 0;
        OK(fathom__json_parse(&object, line, (size_t)(end - line), "line"));
        OK(fathom__json_get_string(&document, object, "text", true, "line"));
        OK(fathom__json_get_string(&topic, object, "topic", true, "line"));
        OK(fathom__json_get_integer(&own, object, "seed", INT64_MIN, INT64_MAX, true, "line"));
        assert_true(document[0] != '\0');
        if (titled) assert_non_null(strstr(document, topic));
        assert_true(own > last);
        assert_string_equal(topic, topics[(uint64_t)(own - (int64_t)seed) % 3]);
        if (n == 0 && first) OK(fathom__copy_string(first, document));
        last = own;
        json_decref(object);
    }
    assert_true(length == 0 || text[length - 1] == '\n');
    fathom_free(text);
    return n;
}

static void a_corpus_is_written(void **state) {
    struct fathom_write_options options = plain_options();
    struct fathom_write_counts counts, again;
    char *first = NULL, *second = NULL;
    (void)state;
    for (int frame = FATHOM_WRITE_CHAT; frame <= FATHOM_WRITE_TITLE; frame++) {
        options.frame = (enum fathom_write_frame)frame;
        OK(fathom_corpus_write(&counts, out_path, model, &options));
        assert_true(counts.tokens >= options.tokens);
        assert_true(counts.documents >= 600 / 48);
        assert_int_equal(counts.continued, 0);
        assert_int_equal(check_lines(out_path, 11, frame == FATHOM_WRITE_TITLE, &first), counts.documents);
        assert_false(fathom__file_exists(part_path));
        OK(fathom_corpus_write(&again, out_path, model, &options));
        assert_memory_equal(&again, &counts, sizeof counts);
        check_lines(out_path, 11, frame == FATHOM_WRITE_TITLE, &second);
        assert_string_equal(first, second);
        fathom_free(first);
        fathom_free(second);
        first = second = NULL;
    }
}

/* The documents in a part file, where they lie in the order in which they were finished and the dropped ones are told. */
static size_t check_part(size_t *n_dropped, uint64_t seed) {
    char *text = NULL;
    size_t length = 0, n = 0;
    bool seen[1000] = {false};
    *n_dropped = 0;
    OK(fathom__file_read(&text, &length, part_path, 1 << 20));
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *object = NULL;
        const char *dropped = NULL;
        int64_t own = 0;
        OK(fathom__json_parse(&object, line, (size_t)(end - line), "line"));
        OK(fathom__json_get_integer(&own, object, "seed", (int64_t)seed, (int64_t)seed + 999, true, "line"));
        OK(fathom__json_get_string(&dropped, object, "dropped", false, "line"));
        assert_false(seen[own - (int64_t)seed]);
        seen[own - (int64_t)seed] = true;
        assert_true((json_object_get(object, "text") != NULL) == (dropped == NULL));
        n += dropped == NULL;
        *n_dropped += dropped != NULL;
        json_decref(object);
    }
    assert_true(length == 0 || text[length - 1] == '\n');
    fathom_free(text);
    return n;
}

static int stop_after_some(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    return progress->done > 0;
}

static void an_interrupted_run_is_continued(void **state) {
    struct fathom_write_options options = plain_options();
    struct fathom_write_counts counts;
    size_t n_dropped, dropped_again;
    (void)state;
    options.tokens = 1 << 20;
    options.progress = stop_after_some;
    assert_status(fathom_corpus_write(&counts, out_path, model, &options), FATHOM_ERROR_STOPPED, "stop");
    assert_false(fathom__file_exists(out_path));
    const size_t before = check_part(&n_dropped, 11);
    assert_int_equal(before, counts.documents);
    assert_in_range(before, 1, 100000);
    FILE *file = fopen(part_path, "a"); /* as a killed process leaves it */
    assert_non_null(file);
    fputs("{\"text\": \"half a li", file);
    fclose(file);
    /* Nothing that is there is written again, the dropped ones included. */
    options.tokens = 1 << 20;
    options.progress = stop_after_some;
    assert_status(fathom_corpus_write(&counts, out_path, model, &options), FATHOM_ERROR_STOPPED, "stop again");
    assert_int_equal(counts.continued, before);
    const size_t between = check_part(&dropped_again, 11);
    assert_true(between >= before && dropped_again >= n_dropped);
    options.progress = NULL;
    options.tokens = counts.tokens + 300;
    OK(fathom_corpus_write(&counts, out_path, model, &options));
    assert_int_equal(counts.continued, between);
    assert_int_equal(check_lines(out_path, 11, false, NULL), counts.documents);
    assert_true(counts.documents > between);
    assert_false(fathom__file_exists(part_path));
}

/* Documents come to the file in any order; the corpus has them in their own, without those dropped or written before,
 * and ends where it has its tokens. */
static void the_corpus_is_in_order(void **state) {
    static const struct {
        uint64_t number, tokens;
        enum fathom__write_verdict verdict;
        const char *text;
    } documents[] = {
        {3, 10, FATHOM__WRITE_KEPT, "third"}, {1, 10, FATHOM__WRITE_KEPT, "first"},
        {6, 10, FATHOM__WRITE_KEPT, "late"},  {2, 10, FATHOM__WRITE_SHORT, "short"},
        {4, 10, FATHOM__WRITE_KEPT, "first"}, {0, 10, FATHOM__WRITE_KEPT, "zeroth"},
    };
    static const char expected[] = "{\"text\":\"zeroth\",\"topic\":\"t\",\"seed\":20}\n"
                                   "{\"text\":\"first\",\"topic\":\"t\",\"seed\":21}\n"
                                   "{\"text\":\"third\",\"topic\":\"t\",\"seed\":23}\n";
    enum { N = sizeof documents / sizeof documents[0], WANTED = 30 };
    fathom__write_file *file = NULL;
    uint64_t *missing = NULL, next = 0;
    size_t n_missing = 0, length = 0;
    char *text = NULL;
    bool complete = true;
    (void)state;
    OK(fathom__write_file_open(&file, out_path, model, 20));
    for (size_t i = 0; i < N; i++) {
        OK(fathom__write_file_count(&complete, file, WANTED));
        assert_false(complete);
        OK(fathom__write_file_add(file, documents[i].number, documents[i].verdict, documents[i].text, "t",
                                  documents[i].tokens));
    }
    assert_int_equal(fathom__write_file_counts(file, false).documents, 0);
    assert_int_equal(fathom__write_file_counts(file, true).documents, 5);
    assert_int_equal(fathom__write_file_counts(file, true).tokens, 50);
    OK(fathom__write_file_missing(&missing, &n_missing, &next, file));
    assert_int_equal(n_missing, 1);
    assert_int_equal(missing[0], 5);
    assert_int_equal(next, 7);
    OK(fathom__write_file_count(&complete, file, WANTED + 1));
    assert_false(complete);
    struct fathom_write_counts counts = fathom__write_file_counts(file, false);
    assert_int_equal(counts.documents, 3);
    assert_int_equal(counts.duplicates, 1);
    assert_int_equal(counts.short_ones, 1);
    OK(fathom__write_file_count(&complete, file, WANTED));
    assert_true(complete);
    OK(fathom__write_file_finish(file));
    fathom__write_file_close(file);
    OK(fathom__file_read(&text, &length, out_path, 1 << 10));
    assert_string_equal(text, expected);
    assert_false(fathom__file_exists(part_path));
    fathom_free(missing);
    fathom_free(text);
}

static void bad_part_files_are_refused(void **state) {
    static const struct {
        const char *content;
        int status;
        const char *message;
    } cases[] = {
        {"{\"text\": \"a\", \"topic\": \"b\", \"seed\": 3}\n", FATHOM_ERROR_MISMATCH, "seed 3"},
        {"{\"text\": \"a\", \"topic\": \"b\", \"seed\": 20}\n{\"text\": \"c\", \"topic\": \"b\", \"seed\": 20}\n",
         FATHOM_ERROR_MISMATCH, "line 2"},
        {"{\"text\": 5, \"topic\": \"b\", \"seed\": 12}\n", FATHOM_ERROR_FORMAT, "text"},
        {"{\"topic\": \"b\", \"seed\": 12}\n", FATHOM_ERROR_FORMAT, "text"},
        {"{\"dropped\": \"dull\", \"seed\": 12}\n", FATHOM_ERROR_FORMAT, "dull"},
        {"{\"dropped\": 1, \"seed\": 12}\n", FATHOM_ERROR_FORMAT, "dropped"},
        {"{\"dropped\": \"short\"}\n", FATHOM_ERROR_FORMAT, "seed"},
        {"{\"dropped\": \"short\", \"seed\": 4611686018427387904}\n", FATHOM_ERROR_MISMATCH, "4611686018427387904"},
        {"nonsense\n", FATHOM_ERROR_FORMAT, "line 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fathom_write_options options = plain_options();
        OK(fathom__file_write(part_path, cases[i].content, strlen(cases[i].content)));
        assert_status(fathom_corpus_write(NULL, out_path, model, &options), cases[i].status, cases[i].content);
        assert_message(cases[i].message);
        assert_message(".part");
        assert_false(fathom__file_exists(out_path));
    }
}

static void bad_arguments_are_refused(void **state) {
    struct fathom_write_options options = plain_options();
    (void)state;
    options.n_topics = 0;
    assert_status(fathom_corpus_write(NULL, out_path, model, &options), FATHOM_ERROR_ARGUMENT, "topics");
    assert_message("topics");
    options = plain_options();
    options.tokens = 0;
    assert_status(fathom_corpus_write(NULL, out_path, model, &options), FATHOM_ERROR_ARGUMENT, "tokens");
    options = plain_options();
    options.top_p = 1.5f;
    assert_status(fathom_corpus_write(NULL, out_path, model, &options), FATHOM_ERROR_ARGUMENT, "top_p");
    assert_message("top_p");
    options = plain_options();
    options.temperature = NAN;
    assert_status(fathom_corpus_write(NULL, out_path, model, &options), FATHOM_ERROR_ARGUMENT, "temperature");
    options = plain_options();
    assert_status(fathom_corpus_write(NULL, "/nowhere/own.jsonl", model, &options), FATHOM_ERROR_IO, "path");
    assert_message("/nowhere/own.jsonl.part");
}

static void hopeless_runs_end(void **state) {
    struct fathom_write_options options = plain_options();
    struct fathom_write_counts counts;
    (void)state;
    options.document_tokens = 8; /* every document is too short */
    assert_status(fathom_corpus_write(&counts, out_path, model, &options), FATHOM_ERROR_LIMIT, "short documents");
    assert_message("short");
    assert_int_equal(counts.documents, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repetition_counts_runs_of_four),
        cmocka_unit_test(documents_are_trimmed_and_judged),
        cmocka_unit_test(sampling_follows_the_distribution),
        cmocka_unit_test_teardown(a_corpus_is_written, drop_output),
        cmocka_unit_test_teardown(an_interrupted_run_is_continued, drop_output),
        cmocka_unit_test_teardown(the_corpus_is_in_order, drop_output),
        cmocka_unit_test_teardown(bad_part_files_are_refused, drop_output),
        cmocka_unit_test_teardown(bad_arguments_are_refused, drop_output),
        cmocka_unit_test_teardown(hopeless_runs_end, drop_output),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
