/* Whole runs on a tiny model: the same bits with and without interruptions, several dictionaries in one pass, and that
 * nothing is left behind where it fails. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/machine.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <dictionary/train_setting.h>
#include <dirent.h>
#include <fathom/dictionary.h>
#include <fathom/model.h>
#include <fathom/trainer.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <tests/support/random_corpus.h>
#include <tests/support/tiny_model.h>
// clang-format off
#include <cmocka.h>
// clang-format on

static int stop_when_stepped(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    /* Until the first step rows are gathered, and told as they come. */
    assert_in_range(progress->done, strcmp(progress->stage, "fill") == 0, progress->total);
    return strcmp(progress->stage, "train") == 0 && progress->done > 0;
}

static void test_interruptions_change_nothing(void **state) {
    (void)state;
    struct setting whole, parts;
    struct fathom_train_result results[2];
    int stops = 0, status = FATHOM_ERROR_STOPPED;
    fill_setting(&whole, scratch("a1.gguf"), scratch("a2.gguf"), NULL);
    assert_int_equal(fathom_train(results, whole.dictionaries, 2, &whole.options), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(results[i].steps, TOKENS / BATCH);
        assert_true(results[i].fve > 0.1 && results[i].fve < 1);
        assert_true(results[i].l0 > 0.9 * K && results[i].l0 < 1.1 * K);
        assert_true(results[i].skipped_positions > 100);
        assert_true(results[i].threshold > 0);
    }
    fill_setting(&parts, scratch("b1.gguf"), scratch("b2.gguf"), scratch("checkpoint"));
    parts.options.metrics_path = scratch("metrics.jsonl");
    parts.options.resume = true;
    parts.options.progress = stop_at_once;
    parts.options.payload = &stops;
    for (int round = 0; status == FATHOM_ERROR_STOPPED && round < 1000; round++) {
        status = fathom_train(results, parts.dictionaries, 2, &parts.options);
        if (status == FATHOM_ERROR_STOPPED) assert_false(fathom__file_exists(scratch("b1.gguf")));
    }
    assert_int_equal(status, 0);
    assert_true(stops > 2);
    check_same_file(scratch("a1.gguf"), scratch("b1.gguf"));
    check_same_file(scratch("a2.gguf"), scratch("b2.gguf"));
    assert_false(fathom__file_exists(scratch("checkpoint/state.json")));
    /* The metrics tell every tenth step of each dictionary once. */
    char *text = NULL;
    size_t length = 0;
    int evaluations = 0;
    assert_int_equal(fathom__file_read(&text, &length, scratch("metrics.jsonl"), 1 << 20), 0);
    for (const char *at = text; (at = strstr(at, "\"held_out\"")); at++)
        evaluations++;
    assert_int_equal(evaluations, 2 * (TOKENS / BATCH / 10 + 1)); /* and the last step */
    fathom_free(text);
}

struct seen {
    size_t starts, points;
    uint64_t resumed, total_steps, last_step[2];
    char corpus[40];
};

static void see_start(const struct fathom_train_start *start, void *payload) {
    struct seen *seen = payload;
    seen->starts++;
    seen->resumed = start->resumed_step;
    seen->total_steps = start->total_steps;
    snprintf(seen->corpus, sizeof seen->corpus, "%s", start->corpus_hash);
    assert_string_not_equal(start->model_identity, "");
}

static void see_point(const struct fathom_train_point *point, void *payload) {
    struct seen *seen = payload;
    seen->points++;
    assert_true(point->dictionary < 2);
    assert_true(point->tokens == point->step * BATCH);
    assert_true(point->fve <= 1 && point->l0 > 0);
    seen->last_step[point->dictionary] = point->step;
}

/* Time that is over at once: every call makes a block's worth of steps and saves; the last one gives the same bits. */
static void test_time_limits_change_nothing(void **state) {
    (void)state;
    struct setting whole, parts;
    struct seen seen = {0};
    int calls = 0, status = FATHOM_ERROR_STOPPED;
    fill_setting(&whole, scratch("w1.gguf"), scratch("w2.gguf"), NULL);
    whole.dictionaries[1].tokens = TOKENS / 2;
    assert_int_equal(fathom_train(NULL, whole.dictionaries, 2, &whole.options), 0);
    fill_setting(&parts, scratch("v1.gguf"), scratch("v2.gguf"), scratch("timed"));
    parts.dictionaries[1].tokens = TOKENS / 2;
    parts.options.resume = true;
    parts.options.max_seconds = 1e-9;
    parts.options.started = see_start;
    parts.options.evaluated = see_point;
    parts.options.payload = &seen;
    for (; status == FATHOM_ERROR_STOPPED && calls < 1000; calls++) {
        status = fathom_train(NULL, parts.dictionaries, 2, &parts.options);
        if (status == FATHOM_ERROR_STOPPED) assert_non_null(strstr(fathom_error_message(), "its time is over"));
    }
    assert_int_equal(status, 0);
    assert_true(calls > 3);
    assert_int_equal(seen.starts, calls);
    assert_true(seen.resumed > 0);
    assert_int_equal(seen.total_steps, TOKENS / BATCH);
    assert_int_equal(strlen(seen.corpus), 32);
    assert_int_equal(seen.last_step[0], TOKENS / BATCH);
    assert_int_equal(seen.last_step[1], TOKENS / 2 / BATCH);
    check_same_file(scratch("w1.gguf"), scratch("v1.gguf"));
    check_same_file(scratch("w2.gguf"), scratch("v2.gguf"));
}

/* A dictionary with fewer tokens than its run is as good as one of a run with so many tokens: its schedule is its own.
 * It is not the same, since the shorter run empties its pool in the last steps. */
static void test_tokens_of_one_dictionary(void **state) {
    (void)state;
    struct setting longer, shorter;
    struct fathom_train_result results[2], alone;
    fill_setting(&longer, scratch("long.gguf"), scratch("short.gguf"), NULL);
    longer.dictionaries[1] = longer.dictionaries[0];
    longer.dictionaries[1].path = scratch("short.gguf");
    longer.dictionaries[1].tokens = TOKENS / 2;
    assert_int_equal(fathom_train(results, longer.dictionaries, 2, &longer.options), 0);
    fill_setting(&shorter, scratch("alone.gguf"), NULL, NULL);
    shorter.options.tokens = TOKENS / 2;
    assert_int_equal(fathom_train(&alone, shorter.dictionaries, 1, &shorter.options), 0);
    assert_int_equal(results[0].steps, TOKENS / BATCH);
    assert_int_equal(results[1].steps, TOKENS / 2 / BATCH);
    assert_true(fabs(results[1].fve - alone.fve) < 0.02);
    assert_true(results[1].fve < results[0].fve);
}

static size_t count_files(const char *path) {
    DIR *entries = opendir(path);
    size_t n = 0;
    while (entries && readdir(entries))
        n++;
    if (entries) closedir(entries);
    return n;
}

/* A save that fails half-way, of another run in the same folder, leaves the checkpoint as it was. */
static void test_failed_saves_leave_the_checkpoint(void **state) {
    (void)state;
    enum { MOST_BYTES = 200000 }; /* a trainer's file is smaller, that of the rows larger */
    struct setting setting;
    struct rlimit limit;
    fill_setting(&setting, scratch("whole.gguf"), NULL, NULL);
    assert_int_equal(fathom_train(NULL, setting.dictionaries, 1, &setting.options), 0);
    fill_setting(&setting, scratch("cut.gguf"), NULL, scratch("kept"));
    setting.options.progress = stop_when_stepped;
    assert_int_equal(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_STOPPED);
    const size_t n_files = count_files(scratch("kept"));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit small = {MOST_BYTES, limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    setting.dictionaries[0].options.seed = 4;
    const int status = fathom_train(NULL, setting.dictionaries, 1, &setting.options);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(status, FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "kept/rows0-"));
    assert_int_equal(count_files(scratch("kept")), n_files);
    setting.dictionaries[0].options.seed = 3;
    setting.options.progress = NULL;
    setting.options.resume = true;
    assert_int_equal(fathom_train(NULL, setting.dictionaries, 1, &setting.options), 0);
    check_same_file(scratch("whole.gguf"), scratch("cut.gguf"));
}

static void test_record(void **state) {
    (void)state;
    struct setting setting;
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    json_t *record = NULL;
    fill_setting(&setting, scratch("c.gguf"), NULL, NULL);
    setting.dictionaries[0].hook = "resid_post.-2"; /* from the end */
    assert_int_equal(fathom_train(NULL, setting.dictionaries, 1, &setting.options), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("c.gguf")), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_string_equal(info->name, "c");
    assert_string_equal(info->hook_in, "blocks.2.hook_resid_post");
    assert_int_equal(info->skip_positions, 1);
    assert_true(info->has_threshold);
    assert_int_equal(fathom__json_parse(&record, info->training, strlen(info->training), "training"), 0);
    assert_int_equal(json_integer_value(json_object_get(record, "steps")), TOKENS / BATCH);
    assert_int_equal(json_integer_value(json_object_get(record, "seed")), 5);
    json_decref(record);
    assert_int_equal(fathom_model_open(&model, scratch("model.gguf"), NULL), 0);
    assert_int_equal(fathom_dictionary_match(NULL, dictionary, model), 0);
    fathom_model_close(model);
    assert_int_equal(fathom_test_tiny_model(scratch("other.gguf"), "llama", 2), 0);
    assert_int_equal(fathom_model_open(&model, scratch("other.gguf"), NULL), 0);
    assert_int_equal(fathom_dictionary_match(NULL, dictionary, model), FATHOM_ERROR_MISMATCH);
    fathom_model_close(model);
    fathom_dictionary_close(dictionary);
}

static void transcoder(struct setting *setting, const char *path, const char *checkpoint) {
    fill_setting(setting, path, NULL, checkpoint);
    setting->dictionaries[0].hook = "mlp_in.1";
    setting->dictionaries[0].hook_out = "mlp_out.1";
    setting->dictionaries[0].options.architecture = FATHOM_TRAIN_JUMPRELU;
    setting->dictionaries[0].options.skip = true;
}

/* A skip transcoder, at two hook points, with interruptions and without. */
static void test_transcoder(void **state) {
    (void)state;
    struct setting setting;
    struct fathom_train_result result;
    fathom_dictionary *dictionary = NULL;
    int stops = 0, status = FATHOM_ERROR_STOPPED;
    transcoder(&setting, scratch("t1.gguf"), NULL);
    assert_int_equal(fathom_train(&result, setting.dictionaries, 1, &setting.options), 0);
    assert_true(result.fve > 0.1 && result.fve < 1);
    transcoder(&setting, scratch("t2.gguf"), scratch("transcoder"));
    setting.options.resume = true;
    setting.options.progress = stop_at_once;
    setting.options.payload = &stops;
    for (int round = 0; status == FATHOM_ERROR_STOPPED && round < 1000; round++)
        status = fathom_train(NULL, setting.dictionaries, 1, &setting.options);
    assert_int_equal(status, 0);
    assert_true(stops > 2);
    check_same_file(scratch("t1.gguf"), scratch("t2.gguf"));
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("t1.gguf")), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_string_equal(info->hook_in, "blocks.1.mlp.hook_in");
    assert_string_equal(info->hook_out, "blocks.1.hook_mlp_out");
    assert_string_equal(info->architecture, "jumprelu");
    assert_true(info->has_skip && info->has_threshold && !info->subtract_decoder_bias);
    fathom_dictionary_close(dictionary);
}

static void expect(int status, int expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

static void test_small_corpora(void **state) {
    (void)state;
    struct setting setting;
    fill_setting(&setting, scratch("e.gguf"), NULL, NULL);
    setting.options.tokens = 100000000;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_LIMIT, "too small for");
    assert_false(fathom__file_exists(scratch("e.gguf")));
    FILE *file = fopen(scratch("one.jsonl"), "w");
    assert_non_null(file);
    fputs("{\"text\": \"a few words\"}\n", file);
    assert_int_equal(fclose(file), 0);
    setting.source.path = scratch("one.jsonl");
    setting.options.tokens = 0;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_LIMIT, "one batch");
}

/* Two dictionaries that fit by themselves, and not together. */
static void test_memory(void **state) {
    (void)state;
    struct setting setting;
    const uint64_t memory = fathom__machine_memory();
    if (memory > UINT32_MAX * (uint64_t)1000) skip();
    const size_t bytes_of_feature = 64 * 2 * (3 * sizeof(float) + sizeof(uint16_t));
    fill_setting(&setting, scratch("f1.gguf"), scratch("f2.gguf"), NULL);
    for (int i = 0; i < 2; i++)
        setting.dictionaries[i].options.n_features = (uint32_t)(0.6 * (double)memory / (double)bytes_of_feature);
    expect(fathom_train(NULL, setting.dictionaries, 2, &setting.options), FATHOM_ERROR_MEMORY, "2 dictionaries");
}

/* What is left of a checkpoint that someone cut, or that is of a hook point of another width, is not gone on from. */
static void test_damaged_checkpoints(void **state) {
    (void)state;
    struct setting setting;
    json_t *json = NULL;
    char *text = NULL;
    size_t length = 0;
    const char *path;
    fill_setting(&setting, scratch("g.gguf"), NULL, scratch("damaged"));
    setting.options.progress = stop_when_stepped;
    assert_int_equal(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_STOPPED);
    setting.options.resume = true;
    path = scratch("damaged/state.json");
    assert_int_equal(fathom__json_load(&json, path), 0);
    json_array_set_new(json_object_get(json, "widths"), 0, json_integer(32));
    assert_int_equal(fathom__json_write(path, json), 0);
    json_decref(json);
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_MISMATCH, "width 32");
    assert_int_equal(fathom__file_read(&text, &length, path, 1 << 20), 0);
    assert_int_equal(truncate(path, (off_t)length / 2), 0);
    fathom_free(text);
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_FORMAT, "state.json");
}

static void test_refusals(void **state) {
    (void)state;
    struct setting setting;
    int stops = 0;
    fill_setting(&setting, scratch("d.gguf"), NULL, scratch("other"));
    setting.options.progress = stop_at_once;
    setting.options.payload = &stops;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_STOPPED, "other");
    setting.options.seed = 6;
    setting.options.resume = true;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_MISMATCH, "state.json");
    setting.options.seed = 5;
    assert_int_equal(random_corpus(scratch("grown.jsonl"), 401, 60), 0);
    setting.source.path = scratch("grown.jsonl");
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_MISMATCH,
           "another model, corpus");
    fill_setting(&setting, scratch("d.gguf"), scratch("d.gguf"), NULL);
    expect(fathom_train(NULL, setting.dictionaries, 2, &setting.options), FATHOM_ERROR_ARGUMENT, "two dictionaries");
    fill_setting(&setting, scratch("d.gguf"), NULL, NULL);
    setting.source.repeat = true;
    setting.options.tokens = 0;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_ARGUMENT, "repeats");
    fill_setting(&setting, scratch("d.gguf"), NULL, NULL);
    setting.options.tokens = BATCH - 1;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_LIMIT, "one batch");
    fill_setting(&setting, scratch("d.gguf"), NULL, NULL);
    setting.dictionaries[0].hook = "resid_post.99";
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_ARGUMENT, "99");
    fill_setting(&setting, scratch("d.gguf"), NULL, NULL);
    setting.dictionaries[0].options.skip = true;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_ARGUMENT, "hook_out");
    setting.dictionaries[0].options.skip = false;
    setting.dictionaries[0].hook_out = "mlp_out.99";
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_ARGUMENT, "99");
    setting.dictionaries[0].hook_out = NULL;
    setting.dictionaries[0].options.k = FEATURES + 1;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_ARGUMENT, "k 97");
    fill_setting(&setting, scratch("d.gguf"), NULL, NULL);
    setting.dictionaries[0].tokens = TOKENS + 1;
    expect(fathom_train(NULL, setting.dictionaries, 1, &setting.options), FATHOM_ERROR_ARGUMENT, "12001 tokens");
    assert_false(fathom__file_exists(scratch("d.gguf")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interruptions_change_nothing),
        cmocka_unit_test(test_failed_saves_leave_the_checkpoint),
        cmocka_unit_test(test_time_limits_change_nothing),
        cmocka_unit_test(test_tokens_of_one_dictionary),
        cmocka_unit_test(test_small_corpora),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_damaged_checkpoints),
        cmocka_unit_test(test_transcoder),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_inputs, NULL);
}
