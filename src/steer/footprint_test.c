/* Which rows plans reach, and which plans do the same. */
#include "steer/footprint.h"
#include "tests/support/check.h"
#include "tests/support/edited_rows.h"

enum { N_PROMPT = 20 };

static fathom_steer *read_plan(const struct edited_rows *fixture, const char *edits) {
    const struct fathom_steer_context context = {.dictionary = fixture->dictionary};
    fathom_steer *plan = NULL;
    char text[1000];
    snprintf(text, sizeof text, "{\"fathom_plan\": 1, \"edits\": [%s]}", edits);
    check_ok(fathom_steer_open(&plan, fixture->model));
    check_ok(fathom_steer_read(plan, text, strlen(text), "plan", &context));
    return plan;
}

#define EDIT(members) "{\"feature\": 2, \"how\": \"add\", \"value\": 1, \"unit\": \"activation\"" members "}"
#define WHILE(members) ", \"while\": {\"feature\": 3, \"unit\": \"activation\", \"above\": 1" members "}"

static struct fathom__footprint footprint_of(const struct edited_rows *fixture, const char *edits, int32_t n_prompt) {
    struct fathom__footprint footprint;
    fathom_steer *plan = read_plan(fixture, edits);
    check_ok(fathom__footprint(&footprint, plan, n_prompt));
    fathom_steer_close(plan);
    return footprint;
}

static void plans_reach_rows(void **state) {
    const struct edited_rows *fixture = *state;
    static const struct {
        const char *edits;
        int32_t first;
        bool prompt, answer, looks_back;
    } cases[] = {
        {EDIT(""), 0, true, true, false},
        {EDIT(", \"part\": \"prompt\""), 0, true, false, false},
        {EDIT(", \"part\": \"answer\""), N_PROMPT, false, true, false},
        {EDIT(", \"part\": \"thinking\""), N_PROMPT, false, true, false},
        {EDIT(", \"part\": \"reply\""), N_PROMPT, false, true, false},
        {EDIT(", \"positions\": [5, 8]"), 5, true, false, false},
        {EDIT(", \"positions\": [19, 20]"), 19, true, true, false},
        {EDIT(", \"positions\": [30, 40]"), 30, false, true, false},
        {EDIT(", \"positions\": [-4, -1]"), 16, true, false, false},
        {EDIT(", \"positions\": [-40, 2]"), 0, true, false, false},
        {EDIT(", \"positions\": [-40, -30]"), INT32_MAX, false, false, false},
        {EDIT(", \"positions\": [30, 40], \"part\": \"prompt\""), INT32_MAX, false, false, false},
        {EDIT(", \"positions\": [2, 10], \"part\": \"answer\""), INT32_MAX, false, false, false},
        {EDIT(", \"after\": \"x\""), 0, true, true, false},
        {EDIT(WHILE("")), 0, true, true, false},
        {EDIT(WHILE(", \"window\": 4")), 0, true, true, true},
        {EDIT(WHILE(", \"over\": \"ever\"")), 0, true, true, true},
        {EDIT(WHILE(", \"over\": \"prompt\"")), N_PROMPT, false, true, true},
        {EDIT(", \"part\": \"answer\"") ", " EDIT(", \"positions\": [7, 9]"), 7, true, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct fathom__footprint footprint = footprint_of(fixture, cases[i].edits, N_PROMPT);
        if (footprint.first != cases[i].first || (*footprint.prompt != '\0') != cases[i].prompt ||
            (*footprint.answer != '\0') != cases[i].answer || footprint.looks_back != cases[i].looks_back) {
            fail_msg("%s: first %d, \"%s\", \"%s\", %d", cases[i].edits, footprint.first, footprint.prompt,
                     footprint.answer, footprint.looks_back);
        }
    }
    struct fathom__footprint none;
    check_ok(fathom__footprint(&none, NULL, N_PROMPT));
    assert_int_equal(none.first, INT32_MAX);
    assert_string_equal(none.prompt, "");
    assert_string_equal(none.answer, "");
}

/* Each differs from the first in one thing. */
static void names_are_equal_where_edits_are(void **state) {
    const struct edited_rows *fixture = *state;
    static const char *const edits[] = {
        EDIT(""),
        "{\"feature\": 3, \"how\": \"add\", \"value\": 1, \"unit\": \"activation\"}",
        "{\"feature\": 2, \"how\": \"add\", \"value\": 1.5, \"unit\": \"activation\"}",
        "{\"feature\": 2, \"how\": \"clamp\", \"value\": 1, \"unit\": \"activation\"}",
        "{\"feature\": 2, \"how\": \"ablate\"}",
        "{\"error\": true, \"how\": \"ablate\"}",
        "{\"rows\": \"mlp_out.1\", \"how\": \"ablate\"}",
        "{\"rows\": \"mlp_out.2\", \"how\": \"ablate\"}",
        EDIT(", \"layers\": [1, 2]"),
        EDIT(", \"layers\": [1, 2], \"whole\": true"),
        EDIT(", \"ramp\": 3"),
        EDIT(", \"ramp\": -3"),
        EDIT(", \"after\": \"a\""),
        EDIT(", \"after\": \"b\""),
        EDIT(", \"after_token\": 5"),
        EDIT(", \"positions\": [0, 100]"),
        EDIT(", \"positions\": [-20, 100]"),
        EDIT(WHILE("")),
        EDIT(WHILE(", \"window\": 2")),
        EDIT(WHILE(", \"window\": 3")),
        EDIT(WHILE(", \"over\": \"ever\"")),
        EDIT(", \"while\": {\"feature\": 3, \"unit\": \"activation\", \"below\": 1}"),
        EDIT(", \"while\": {\"feature\": 3, \"unit\": \"activation\", \"above\": 2}"),
        EDIT(", \"while\": {\"feature\": 4, \"unit\": \"activation\", \"above\": 1}"),
        EDIT("") ", " EDIT(""),
    };
    enum { N = sizeof edits / sizeof edits[0] };
    struct fathom__footprint footprints[N];
    for (size_t i = 0; i < N; i++) {
        footprints[i] = footprint_of(fixture, edits[i], N_PROMPT);
        const struct fathom__footprint again = footprint_of(fixture, edits[i], N_PROMPT);
        assert_string_equal(footprints[i].prompt, again.prompt);
        assert_string_equal(footprints[i].answer, again.answer);
        assert_string_equal(footprints[i].whole, again.whole);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(footprints[i].prompt, footprints[k].prompt) == 0) {
                fail_msg("%s and %s", edits[i], edits[k]);
            }
        }
    }
}

static void names_are_of_parts(void **state) {
    const struct edited_rows *fixture = *state;
    const struct fathom__footprint all = footprint_of(fixture, EDIT(""), N_PROMPT),
                                   longer = footprint_of(fixture, EDIT(""), N_PROMPT + 3),
                                   two = footprint_of(fixture, EDIT("") ", " EDIT(", \"part\": \"answer\""), N_PROMPT);
    assert_string_equal(all.prompt, all.answer);
    assert_string_equal(all.prompt, longer.prompt);
    assert_string_equal(all.prompt, two.prompt);
    assert_string_not_equal(all.answer, two.answer);
    assert_string_not_equal(all.whole, two.whole);
    /* Counted from the end: the same rows only where the end is the same. */
    static const char from_end[] = EDIT(", \"positions\": [-4, -1]");
    assert_string_not_equal(footprint_of(fixture, from_end, N_PROMPT).prompt,
                            footprint_of(fixture, from_end, N_PROMPT + 3).prompt);
    /* In another order conditions have other numbers. */
    static const char first[] = EDIT(", \"part\": \"prompt\"" WHILE("")),
                      second[] = EDIT(", \"part\": \"answer\"" WHILE(", \"window\": 2"));
    char one[600], other[600];
    snprintf(one, sizeof one, "%s, %s", first, second);
    snprintf(other, sizeof other, "%s, %s", second, first);
    const struct fathom__footprint a = footprint_of(fixture, one, N_PROMPT), b = footprint_of(fixture, other, N_PROMPT);
    assert_string_equal(a.prompt, b.prompt);
    assert_string_equal(a.answer, b.answer);
    assert_string_not_equal(a.whole, b.whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_reach_rows),
        cmocka_unit_test(names_are_equal_where_edits_are),
        cmocka_unit_test(names_are_of_parts),
    };
    return cmocka_run_group_tests(tests, edited_rows_setup, edited_rows_teardown);
}
