/* Plans as expressions and as documents: what they are translated to, what they do, and what is refused. */
#include "base/json.h"
#include "base/memory.h"
#include "steer/plan.h"
#include "tests/support/edited_rows.h"

/* The expression and the document must be the same; the document is written with ' for ". */
static void assert_translated(const char *expression, const char *edits) {
    char *text = NULL;
    char *quoted = NULL;
    json_t *found = NULL;
    json_t *wanted = NULL;
    assert_int_equal(fathom__format(&quoted, "{\"fathom_plan\": 1, \"edits\": [%s]}", edits), FATHOM_OK);
    for (char *c = quoted; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    if (fathom_steer_translate(&text, expression, strlen(expression), "typed") != FATHOM_OK) {
        fail_msg("%s: %s", expression, fathom_error_message());
    }
    assert_int_equal(fathom__json_parse(&found, text, strlen(text), "found"), FATHOM_OK);
    assert_int_equal(fathom__json_parse(&wanted, quoted, strlen(quoted), "wanted"), FATHOM_OK);
    if (!json_equal(found, wanted)) {
        fail_msg("%s became %s", expression, text);
    }
    json_decref(found);
    json_decref(wanted);
    fathom_free(text);
    fathom_free(quoted);
}

static void expressions_are_documents(void **state) {
    (void)state;
    assert_translated("\"golden gate\"@16 +8 while answering",
                      "{'feature': 'golden gate', 'layers': [16, 16], 'how': 'add', 'value': 8.0, 'part': 'answer'}");
    assert_translated("#304@6-14 =1.5 whole ramp 10 ;  error *0.5, #7 -2 raw",
                      "{'feature': 304, 'layers': [6, 14], 'how': 'clamp', 'value': 1.5, 'whole': true, 'ramp': 10},"
                      "{'error': true, 'how': 'affine', 'value': 0.5},"
                      "{'feature': 7, 'how': 'add', 'value': -2.0, 'unit': 'activation'}");
    assert_translated(
        "rows mlp_out@3 ablate at -4..-1; layer@2 *0; direction a/b-c.safetensors rotate -30 after \"x:\\n\"",
        "{'rows': 'mlp_out', 'layers': [3, 3], 'how': 'ablate', 'positions': [-4, -1]},"
        "{'layer': true, 'layers': [2, 2], 'how': 'affine', 'value': 0.0},"
        "{'direction': 'a/b-c.safetensors', 'how': 'rotate', 'value': -30.0, 'after': 'x:\\n'}");
    assert_translated("probe \"p q.gguf\" cap 0..2e-1; vector v.gguf *2+1; #1 cap ..3; #1 out 0.5; #1 out",
                      "{'probe': 'p q.gguf', 'how': 'cap', 'low': 0.0, 'high': 0.2},"
                      "{'vector': 'v.gguf', 'how': 'affine', 'value': 2.0, 'offset': 1.0},"
                      "{'feature': 1, 'how': 'cap', 'high': 3.0},"
                      "{'feature': 1, 'how': 'project_out', 'value': 0.5}, {'feature': 1, 'how': 'project_out'}");
    assert_translated("direction d.st out on attn_out",
                      "{'direction': 'd.st', 'how': 'project_out', 'hook': 'attn_out'}");
    assert_translated(
        "#1 patch \"other\" from end while thinking and #2 > 0.5 raw over ever and cast c.st@4 < -0.1 over prompt "
        "and probe p > 1 window 3;",
        "{'feature': 1, 'how': 'patch', 'patch': {'text': 'other', 'align': 'end'}, 'part': 'thinking',"
        " 'while': [{'feature': 2, 'above': 0.5, 'unit': 'activation', 'over': 'ever'},"
        " {'measure': 'cast', 'direction': 'c.st', 'layer': 4, 'below': -0.1, 'over': 'prompt'},"
        " {'probe': 'p', 'above': 1.0, 'window': 3}]}");
}

static void wrong_expressions_say_where(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "at the end: what is meant"},
        {"#304", "at the end: what is done"},
        {"#304 + while", "a number is expected"},
        {"\"golden", "closing quote"},
        {"#1.5 +1", "a whole number"},
        {"#1 +1 whilst", "at \"whilst\""},
        {"#1 +1 while above", "at \"above\""},
        {"#1 +1 while #2 3", "\">\" or \"<\""},
        {"#1 cap 3", "bounds such as"},
        {"#1 cap ..", "one side"},
        {"#1 patch other", "between quotes"},
        {"#1@x +1", "a whole number"},
        {"#1 +1 while #2 > 1 over all", "\"prompt\" or \"ever\""},
        {"#1 +1e999", "a number is expected"},
        {"rows +1 @", "at the end: a whole number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = NULL;
        assert_int_equal(fathom_steer_translate(&text, cases[i].text, strlen(cases[i].text), "typed"),
                         FATHOM_ERROR_FORMAT);
        if (strstr(fathom_error_message(), cases[i].message) == NULL ||
            strncmp(fathom_error_message(), "typed: ", 7) != 0) {
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].text, fathom_error_message(), cases[i].message);
        }
    }
}

/* A plan of a text, or its status. */
static int open_plan(fathom_steer **out, const struct edited_rows *fixture, const char *text) {
    struct fathom_steer_context context = {.dictionary = fixture->dictionary};
    fathom_steer *plan = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    int status = fathom_steer_read(plan, text, strlen(text), "plan", &context);
    if (status != FATHOM_OK) {
        assert_int_equal(fathom_steer_count(plan), 0);
        fathom_steer_close(plan);
        return status;
    }
    *out = plan;
    return FATHOM_OK;
}

static void run_text(struct edited_rows *fixture, const char *text, int32_t n_prompt) {
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    if (open_plan(&plan, fixture, text) != FATHOM_OK) {
        fail_msg("%s: %s", text, fathom_error_message());
    }
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    assert_int_equal(fathom_steering_prompt(steering, 0, n_prompt), FATHOM_OK);
    edited_rows_decode(fixture->rows, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void texts_do_what_they_say(void **state) {
    struct edited_rows *fixture = *state;
    enum { PROMPT = 6 };
    struct fathom_feature_measure *measures = NULL;
    run_text(fixture, "#6 +1.5 raw while answering; #3 -1 raw at 2..3", PROMPT);
    assert_int_equal(edited_bits(fixture), 0xfcc);
    assert_row_moved(fixture, 2, 3, -1 / (double)ROWS_SCALE);
    assert_row_moved(fixture, 8, 6, 1.5 / (double)ROWS_SCALE);
    /* Without a catalogue the unit is what the feature reaches in a few sentences. */
    assert_int_equal(fathom_feature_measure_all(&measures, fixture->dictionary, fixture->model, NULL), FATHOM_OK);
    run_text(fixture, "{\"fathom_plan\": 1, \"edits\": [{\"feature\": 6, \"how\": \"add\", \"value\": 2}]}", PROMPT);
    assert_row_moved(fixture, 5, 6, 2 * (double)measures[6].maximum / (double)ROWS_SCALE);
    run_text(fixture, "rows resid_post@2 *0.5", PROMPT);
    for (size_t i = 0; i < ROWS_N * TOY_WIDTH; i++) {
        assert_true(fixture->rows[i] == 0.5f * fixture->plain[i]);
    }
    run_text(fixture, "rows resid_post.2 *0.5", PROMPT);
    assert_true(fixture->rows[5] == 0.5f * fixture->plain[5]);
    fathom_free(measures);
}

static void a_layer_is_both_of_its_additions(void **state) {
    struct edited_rows *fixture = *state;
    float before[ROWS_N * TOY_WIDTH], after[ROWS_N * TOY_WIDTH];
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    assert_int_equal(open_plan(&plan, fixture, "layer@2 ablate"), FATHOM_OK);
    assert_int_equal(fathom_steer_count(plan), 2);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    edited_rows_decode(before, fixture, FATHOM_HOOK_RESID_PRE, ROWS_LAYER, 0);
    edited_rows_decode(after, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    assert_memory_equal(before, after, sizeof before); /* the layer adds nothing */
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void directions_and_vectors_come_from_files(void **state) {
    struct edited_rows *fixture = *state;
    char text[512];
    char path[256];
    snprintf(path, sizeof path, "%s", scratch("direction.safetensors"));
    assert_int_equal(fathom_direction_write(&fixture->direction, fixture->model, path), FATHOM_OK);
    snprintf(text, sizeof text, "direction \"%s\" ablate", path);
    run_text(fixture, text, 1);
    for (size_t r = 1; r < ROWS_N; r++) {
        /* Outliers are left alone: the file's norms are measured anew. */
        assert_true(row_untouched(fixture, r) || fabs(toy_projection(fixture->rows + r * TOY_WIDTH, 7, 1)) < 1e-4);
    }
    assert_int_equal(edited_bits(fixture) & 0x20, 0x20);
    snprintf(path, sizeof path, "%s", scratch("vector.gguf"));
    assert_int_equal(fathom_direction_write_control_vector(&fixture->direction, fixture->model, path, 0), FATHOM_OK);
    snprintf(text, sizeof text, "vector \"%s\" +2", path);
    run_text(fixture, text, 1);
    for (size_t r = 0; r < ROWS_N; r++) {
        assert_row_moved(fixture, r, 7, 2 * (double)fixture->length);
    }
}

static void wrong_documents_are_refused(void **state) {
    struct edited_rows *fixture = *state;
    static const struct {
        const char *text, *message;
        int status;
    } cases[] = {
        {"{\"edits\": []}", "\"fathom_plan\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 2, \"edits\": []}", "fathom_plan", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1}", "\"edits\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [], \"more\": 1}", "\"more\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [3]}", "edit 1: an object", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"how\": \"add\", \"value\": 1}]}", "says what is meant",
         FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"value\": 1}]}", "\"how\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"how\": \"push\"}]}", "\"push\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"how\": \"add\"}]}", "\"value\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": -1, \"how\": \"ablate\"}]}", "\"feature\"",
         FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"error\": true, \"how\": \"ablate\"}]}",
         "exclude each other", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"unit\": \"volt\", \"how\": \"ablate\"}]}", "\"volt\"",
         FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"rows\": \"mlp_out\", \"how\": \"ablate\", \"layers\": [1, 2, 3]}]}",
         "\"layers\"", FATHOM_ERROR_FORMAT},
        {"{\"fathom_plan\": 1, \"edits\": [{\"feature\": 1, \"how\": \"ablate\", \"while\": {\"feature\": 1}}]}",
         "condition 1: either \"above\" or \"below\"", FATHOM_ERROR_FORMAT},
        {"#8 ablate raw", "features 0 … 7, not 8", FATHOM_ERROR_NOT_FOUND},
        {"\"golden gate\" +1", "has no catalogue", FATHOM_ERROR_NOT_FOUND},
        {"rows nowhere@2 ablate", "nowhere", FATHOM_ERROR_NOT_FOUND},
        {"#1 +1 raw on attn_out", "for directions", FATHOM_ERROR_FORMAT},
        {"layer ablate", "a layer needs", FATHOM_ERROR_FORMAT},
        {"#1 +1 raw; #2 +1 raw while #3 > 1 raw over prompt; rows mlp_out@0 ablate while #1 > 1 raw", "too late",
         FATHOM_ERROR_ARGUMENT},
        {"probe missing.gguf =1", "missing.gguf", FATHOM_ERROR_IO},
        {"vector missing.gguf +1", "missing.gguf", FATHOM_ERROR_IO},
        {"direction missing.safetensors +1", "missing.safetensors", FATHOM_ERROR_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fathom_steer *plan = NULL;
        int status = open_plan(&plan, fixture, cases[i].text);
        if (status != cases[i].status || strstr(fathom_error_message(), cases[i].message) == NULL) {
            fail_msg("%s: %d \"%s\" does not say \"%s\"", cases[i].text, status, fathom_error_message(),
                     cases[i].message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_are_documents),
        cmocka_unit_test(wrong_expressions_say_where),
        cmocka_unit_test(texts_do_what_they_say),
        cmocka_unit_test(a_layer_is_both_of_its_additions),
        cmocka_unit_test(directions_and_vectors_come_from_files),
        cmocka_unit_test(wrong_documents_are_refused),
    };
    return cmocka_run_group_tests(tests, edited_rows_setup, edited_rows_teardown);
}
