/* Runs that begin from a dictionary, on a tiny model. */
#include <base/file.h>
#include <base/json.h>
#include <dictionary/train_setting.h>
#include <math.h>

static float alignment(const char *a, const char *b) {
    fathom_dictionary *first = NULL, *second = NULL;
    float x[64], y[64], least = 1;
    assert_int_equal(fathom_dictionary_open(&first, a), 0);
    assert_int_equal(fathom_dictionary_open(&second, b), 0);
    for (uint32_t f = 0; f < FEATURES; f++) {
        float product = 0, left = 0, right = 0;
        assert_int_equal(fathom_dictionary_direction(x, first, f), 0);
        assert_int_equal(fathom_dictionary_direction(y, second, f), 0);
        for (uint32_t j = 0; j < fathom_dictionary_describe(first)->d_out; j++) {
            product += x[j] * y[j];
            left += x[j] * x[j];
            right += y[j] * y[j];
        }
        least = fminf(least, product / sqrtf(left * right));
    }
    fathom_dictionary_close(first);
    fathom_dictionary_close(second);
    return least;
}

/* A run with the rate at 0 but for rounding leaves the dictionary that it began from; one with a rate makes it better,
 * and is the same in two parts. */
static void test_start(void **state) {
    (void)state;
    const double still = 1e-9;
    struct setting first, again, more, parts;
    struct fathom_train_result before[2], same[2], after[2];
    fathom_dictionary *dictionary = NULL;
    fill_setting(&first, scratch("s1.gguf"), scratch("s2.gguf"), NULL);
    assert_int_equal(fathom_train(before, first.dictionaries, 2, &first.options), 0);

    fill_setting(&again, scratch("t1.gguf"), scratch("t2.gguf"), NULL);
    for (int i = 0; i < 2; i++) {
        again.dictionaries[i].start = first.dictionaries[i].path;
        again.dictionaries[i].options.learning_rate = still;
        again.dictionaries[i].options.seed = 9;
    }
    again.options.tokens = BATCH;
    assert_int_equal(fathom_train(same, again.dictionaries, 2, &again.options), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(alignment(first.dictionaries[i].path, again.dictionaries[i].path) > 0.9999F);
        assert_float_equal(same[i].fve, before[i].fve, 2e-3);
    }

    fill_setting(&more, scratch("u1.gguf"), scratch("u2.gguf"), NULL);
    for (int i = 0; i < 2; i++)
        more.dictionaries[i].start = first.dictionaries[i].path;
    assert_int_equal(fathom_train(after, more.dictionaries, 2, &more.options), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(after[i].fve > before[i].fve);
        assert_true(alignment(first.dictionaries[i].path, more.dictionaries[i].path) < 0.9999F);
    }
    assert_int_equal(fathom_dictionary_open(&dictionary, more.dictionaries[1].path), 0);
    json_t *record = NULL;
    const char *text = fathom_dictionary_describe(dictionary)->training;
    assert_int_equal(fathom__json_parse(&record, text, strlen(text), "record"), 0);
    const json_t *start = json_object_get(record, "start");
    assert_string_equal(json_string_value(json_object_get(start, "file")), "s2.gguf");
    assert_int_equal(strlen(json_string_value(json_object_get(start, "hash"))), 32);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(start, "training"), "tokens")),
                     TOKENS / BATCH * BATCH);
    json_decref(record);
    fathom_dictionary_close(dictionary);

    int stops = 0, status = FATHOM_ERROR_STOPPED;
    fill_setting(&parts, scratch("v1.gguf"), scratch("v2.gguf"), scratch("start-checkpoint"));
    for (int i = 0; i < 2; i++)
        parts.dictionaries[i].start = first.dictionaries[i].path;
    parts.options.resume = true;
    parts.options.progress = stop_at_once;
    parts.options.payload = &stops;
    for (int round = 0; status == FATHOM_ERROR_STOPPED && round < 1000; round++)
        status = fathom_train(NULL, parts.dictionaries, 2, &parts.options);
    assert_int_equal(status, 0);
    assert_true(stops > 2);
    check_same_file(more.dictionaries[0].path, parts.dictionaries[0].path);
    check_same_file(more.dictionaries[1].path, parts.dictionaries[1].path);
}

static void refuse_start(const struct fathom_train_dictionary *dictionary, const struct setting *setting, int expected,
                         const char *words) {
    assert_int_equal(fathom_train(NULL, dictionary, 1, &setting->options), expected);
    assert_non_null(strstr(fathom_error_message(), words));
    assert_false(fathom__file_exists(dictionary->path));
}

static void test_start_refusals(void **state) {
    (void)state;
    struct setting first, wrong;
    fill_setting(&first, scratch("w1.gguf"), scratch("w2.gguf"), NULL);
    first.options.tokens = 4 * BATCH;
    assert_int_equal(fathom_train(NULL, first.dictionaries, 2, &first.options), 0);

    fill_setting(&wrong, scratch("never.gguf"), scratch("never2.gguf"), NULL);
    struct fathom_train_dictionary *dictionary = &wrong.dictionaries[0];
    dictionary->start = scratch("missing.gguf");
    refuse_start(dictionary, &wrong, FATHOM_ERROR_IO, "missing.gguf");
    dictionary->start = first.dictionaries[0].path;
    dictionary->options.n_features = FEATURES / 2;
    refuse_start(dictionary, &wrong, FATHOM_ERROR_MISMATCH, "features of width");
    dictionary->options.n_features = FEATURES;
    dictionary->options.architecture = FATHOM_TRAIN_JUMPRELU;
    refuse_start(dictionary, &wrong, FATHOM_ERROR_MISMATCH, "the architecture is topk, and jumprelu");
    dictionary->options.architecture = FATHOM_TRAIN_BATCHTOPK;
    dictionary->options.inputs = FATHOM_INPUTS_STANDARDISED;
    refuse_start(dictionary, &wrong, FATHOM_ERROR_MISMATCH, "whitening is none, and standardised");
    dictionary->options.inputs = FATHOM_INPUTS_SCALED;
    dictionary->hook_out = "mlp_out.2";
    refuse_start(dictionary, &wrong, FATHOM_ERROR_UNSUPPORTED, "only an SAE");
    dictionary->hook_out = NULL;
    assert_int_equal(fathom_test_tiny_model(scratch("other.gguf"), "llama", 2), 0);
    wrong.options.model_path = scratch("other.gguf");
    refuse_start(dictionary, &wrong, FATHOM_ERROR_MISMATCH, "the dictionary is of the model");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_start), cmocka_unit_test(test_start_refusals)};
    return cmocka_run_group_tests(tests, make_inputs, NULL);
}
