/* Where edits act: parts, positions, texts, thinking, ramps, conditions, sequences. */
#include "base/memory.h"
#include "detect/read.h"
#include "tests/support/edited_rows.h"

/* An addition to feature 2, which every covered row (1 … 11) shows. */
static struct fathom_steer_edit addition(const struct edited_rows *fixture) {
    return (struct fathom_steer_edit){.what = FATHOM_STEER_FEATURE,
                                      .dictionary = fixture->dictionary,
                                      .feature = 2,
                                      .how = FATHOM_STEER_HOW_ADD,
                                      .value = 1};
}

static uint32_t bits_from(uint32_t first, uint32_t last) {
    uint32_t bits = 0;
    for (uint32_t r = first; r <= last; r++) {
        bits |= 1u << r;
    }
    return bits;
}

static void positions_count_from_either_end(void **state) {
    struct edited_rows *fixture = *state;
    const struct {
        int32_t first, last, n_prompt;
        uint32_t bits;
    } cases[] = {
        {3, 4, -1, 0x18}, {-1, -1, 6, 1u << 5}, {-3, -2, 6, 0x18}, {2, -4, 6, 1u << 2}, {-1, -1, -1, 0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct fathom_steer_edit edit = addition(fixture);
        edit.positioned = true;
        edit.first_position = cases[c].first;
        edit.last_position = cases[c].last;
        edited_rows_run(fixture, &edit, 1, cases[c].n_prompt);
        assert_int_equal(edited_bits(fixture), cases[c].bits);
    }
}

/* The fixture's tokens replaced by those of a text, and its plain rows with them. */
static size_t use_text(struct edited_rows *fixture, const char *text) {
    int32_t *tokens = NULL;
    size_t n = 0;
    assert_int_equal(fathom_tokenize(&tokens, &n, fixture->model, text, strlen(text), false, false), FATHOM_OK);
    assert_true(n <= ROWS_N);
    for (size_t i = 0; i < ROWS_N; i++) {
        fixture->tokens[i] = i < n ? tokens[i] : tokens[n - 1];
    }
    fathom_free(tokens);
    edited_rows_decode(fixture->plain, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    return n;
}

/* First row at which the text so far holds `wanted`. */
static uint32_t row_with(const struct edited_rows *fixture, const char *wanted) {
    char text[256] = "";
    for (uint32_t r = 0; r < ROWS_N; r++) {
        const char *bytes = NULL;
        size_t length = 0;
        assert_int_equal(fathom_token_bytes(&bytes, &length, fixture->model, fixture->tokens[r]), FATHOM_OK);
        strncat(text, bytes, length);
        if (strstr(text, wanted) != NULL) {
            return r;
        }
    }
    return UINT32_MAX;
}

static void texts_and_tokens_to_come_after(void **state) {
    struct edited_rows *fixture = *state;
    use_text(fixture, "ab: cd ab: e");
    uint32_t first = row_with(fixture, "b: c");
    assert_true(first > 1 && first < ROWS_N - 1);
    struct fathom_steer_edit edit = addition(fixture);
    edit.after_text = "b: c";
    edited_rows_run(fixture, &edit, 1, -1);
    assert_int_equal(edited_bits(fixture), bits_from(first, ROWS_N - 1));
    edit.after_text = "never there";
    edited_rows_run(fixture, &edit, 1, -1);
    assert_int_equal(edited_bits(fixture), 0);
    edit.after_text = NULL;
    edit.after_token = &fixture->tokens[4];
    uint32_t place = 4;
    for (uint32_t r = 4; r-- > 0;) {
        place = fixture->tokens[r] == fixture->tokens[4] ? r : place;
    }
    edited_rows_run(fixture, &edit, 1, -1);
    assert_int_equal(edited_bits(fixture), bits_from(place > 0 ? place : 1, ROWS_N - 1));
}

static void thinking_is_between_its_marks(void **state) {
    struct edited_rows *fixture = *state;
    /* The vocabulary has a token a byte: the marks fill rows 0 … 6 and 9 … 16, so only the first ones are seen here. */
    size_t n = use_text(fixture, "<think>");
    uint32_t opened = row_with(fixture, "<think>");
    assert_true(n <= 8 && opened < ROWS_N - 2);
    struct fathom_steer_edit edit = addition(fixture);
    edit.rows = FATHOM_STEER_THINKING;
    edited_rows_run(fixture, &edit, 1, 2);
    assert_int_equal(edited_bits(fixture), bits_from(opened, ROWS_N - 1));
    edit.rows = FATHOM_STEER_REPLY;
    edited_rows_run(fixture, &edit, 1, 2);
    assert_int_equal(edited_bits(fixture), opened > 2 ? bits_from(2, opened - 1) : 0);
    /* Closed again: a history that opened it, and rows that close it. */
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    edit.rows = FATHOM_STEER_THINKING;
    size_t n_closed = use_text(fixture, "</think>");
    uint32_t closed = row_with(fixture, "</think>");
    assert_true(n_closed <= ROWS_N && closed < ROWS_N);
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    assert_int_equal(fathom_steering_prompt(steering, 0, 1), FATHOM_OK);
    edited_rows_decode(fixture->rows, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, 0);
    assert_int_equal(edited_bits(fixture), 0); /* never opened */
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

static void ramps_grow_and_fade(void **state) {
    struct edited_rows *fixture = *state;
    enum { PROMPT = 4 };
    struct fathom_steer_edit edit = addition(fixture);
    edit.rows = FATHOM_STEER_ANSWER;
    edit.ramp = 4;
    edited_rows_run(fixture, &edit, 1, PROMPT);
    for (uint32_t r = PROMPT; r < ROWS_N; r++) {
        assert_row_moved(fixture, r, 2, fmin(1, (r - PROMPT + 1) / 4.0) / (double)ROWS_SCALE);
    }
    edit.ramp = -4;
    edited_rows_run(fixture, &edit, 1, PROMPT);
    for (uint32_t r = PROMPT; r < ROWS_N; r++) {
        assert_row_moved(fixture, r, 2, fmax(0, 1 - (double)(r - PROMPT) / 4) / (double)ROWS_SCALE);
    }
}

static void conditions_switch_edits(void **state) {
    struct edited_rows *fixture = *state;
    enum { PROMPT = 6 };
    double levels[ROWS_N] = {0};
    double mean = 0;
    uint32_t on = 0;
    uint32_t first = ROWS_N;
    for (uint32_t r = 1; r < ROWS_N; r++) {
        levels[r] = toy_projection(fixture->plain + r * TOY_WIDTH, 7, 1) / (double)fixture->median;
        if (r < PROMPT) {
            mean += levels[r] / (PROMPT - 1);
        }
    }
    double middle = (levels[3] + levels[7]) / 2;
    for (uint32_t r = 1; r < ROWS_N; r++) {
        on |= levels[r] >= middle ? 1u << r : 0;
        first = r < first && levels[r] >= middle ? r : first;
    }
    assert_true(on != 0 && on != bits_from(1, ROWS_N - 1)); /* both cases are there */
    struct fathom_steer_condition condition = {
        .direction = &fixture->direction, .layer = ROWS_LAYER, .level = (float)middle};
    struct fathom_steer_edit edit = addition(fixture);
    edit.conditions = &condition;
    edit.n_conditions = 1;
    edited_rows_run(fixture, &edit, 1, PROMPT);
    assert_int_equal(edited_bits(fixture), on);
    condition.below = true;
    edited_rows_run(fixture, &edit, 1, PROMPT);
    assert_int_equal(edited_bits(fixture), bits_from(1, ROWS_N - 1) & ~on);
    condition.below = false;
    condition.over = FATHOM_STEER_OVER_EVER;
    edited_rows_run(fixture, &edit, 1, PROMPT);
    assert_int_equal(edited_bits(fixture), bits_from(first, ROWS_N - 1));
    condition.over = FATHOM_STEER_OVER_PROMPT;
    for (int above = 0; above < 2; above++) {
        condition.level = (float)(mean + (above ? 1e-4 : -1e-4));
        edited_rows_run(fixture, &edit, 1, PROMPT);
        assert_int_equal(edited_bits(fixture), above ? 0 : bits_from(PROMPT, ROWS_N - 1));
    }
    /* Two of them are both to be on. */
    struct fathom_steer_condition both[2] = {condition, condition};
    both[0].over = both[1].over = FATHOM_STEER_OVER_ROW;
    both[0].level = both[1].level = (float)middle;
    both[1].below = true;
    edit.conditions = both;
    edit.n_conditions = 2;
    edited_rows_run(fixture, &edit, 1, PROMPT);
    assert_int_equal(edited_bits(fixture), 0);
}

static void conditions_on_features_and_cosines(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_condition condition = {.dictionary = fixture->dictionary, .feature = 3, .level = 0.02f};
    struct fathom_steer_edit edit = addition(fixture);
    uint32_t feature_on = 0;
    uint32_t cast_on = 0;
    edit.conditions = &condition;
    edit.n_conditions = 1;
    for (uint32_t r = 1; r < ROWS_N; r++) {
        const float *row = fixture->plain + r * TOY_WIDTH;
        double along = toy_projection(row, 7, 1);
        double inner = 0;
        double squares = 0;
        feature_on |= toy_level(row, 3, (double)ROWS_SCALE) >= 0.02 ? 1u << r : 0;
        for (uint32_t j = 0; j < TOY_WIDTH; j++) {
            double entry = tanh(toy_entry(7, j) * along);
            inner += entry * row[j];
            squares += entry * entry;
        }
        cast_on |= inner / sqrt(squares) / fathom__norm(row, TOY_WIDTH) >= 0.05 ? 1u << r : 0;
    }
    edited_rows_run(fixture, &edit, 1, -1);
    assert_int_equal(edited_bits(fixture), feature_on);
    condition = (struct fathom_steer_condition){
        .direction = &fixture->direction, .layer = ROWS_LAYER, .measure = FATHOM_STEER_CAST, .level = 0.05f};
    edited_rows_run(fixture, &edit, 1, -1);
    assert_int_equal(edited_bits(fixture), cast_on);
}

static void conditions_that_come_too_late_are_refused(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_condition condition = {.dictionary = fixture->dictionary, .feature = 3, .level = 0.02f};
    struct fathom_steer_edit edit = {.what = FATHOM_STEER_ROW,
                                     .how = FATHOM_STEER_HOW_ABLATE,
                                     .placed = true,
                                     .kind = FATHOM_HOOK_MLP_OUT,
                                     .first_layer = ROWS_LAYER,
                                     .last_layer = ROWS_LAYER,
                                     .conditions = &condition,
                                     .n_conditions = 1};
    fathom_steer *plan = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "too late"));
    edit.first_layer = edit.last_layer = ROWS_LAYER + 1;
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_OK);
    condition.feature = TOY_FEATURES;
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_ERROR_NOT_FOUND);
    condition = (struct fathom_steer_condition){.level = 1};
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_steer_count(plan), 1);
    fathom_steer_close(plan);
}

static void a_plan_can_act_on_one_sequence(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_steer_edit edit = addition(fixture);
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, fixture->session, plan), FATHOM_OK);
    fathom_steering_only(steering, 1);
    for (int32_t sequence = 0; sequence < 2; sequence++) {
        edited_rows_decode(fixture->rows, fixture, FATHOM_HOOK_RESID_POST, ROWS_LAYER, sequence);
        assert_int_equal(edited_bits(fixture), sequence == 1 ? bits_from(1, ROWS_N - 1) : 0);
    }
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_count_from_either_end),
        cmocka_unit_test(conditions_switch_edits),
        cmocka_unit_test(conditions_on_features_and_cosines),
        cmocka_unit_test(conditions_that_come_too_late_are_refused),
        cmocka_unit_test(ramps_grow_and_fade),
        cmocka_unit_test(a_plan_can_act_on_one_sequence),
        cmocka_unit_test(texts_and_tokens_to_come_after),
        cmocka_unit_test(thinking_is_between_its_marks),
    };
    return cmocka_run_group_tests(tests, edited_rows_setup, edited_rows_teardown);
}
