#include "base/scratch.h"
#include "catalogue/label_internal.h"
#include "tests/support/text_stream.h"
#include "tests/support/tiny_wordnet.h"

#include <fathom/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 64 };

static struct text_stream opened;
static struct fathom__stream *stream;

static const char *const texts[] = {
    /* In| San| Francisco| the| striker| met| two| swimmers|.|\n|Bridges| of| San| Jose */
    "In San Francisco the striker met two swimmers.\nBridges of San Jose",
    /* Francisco| running| re|,| rerun| (| 12|)| the| athletes| in| 1937 */
    "Francisco running re, rerun( 12) the athletes in 1937",
};

static int set_up(void **state) {
    (void)state;
    if (tiny_wordnet_write(scratch_root()) ||
        text_stream_open(&opened, texts, sizeof texts / sizeof *texts, scratch_root()))
        return -1;
    stream = opened.stream;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    text_stream_close(&opened);
    return 0;
}

static uint32_t word(const char *text) {
    uint32_t id;
    assert_true(fathom__intern_find(&id, &stream->word_table, text, strlen(text)));
    return id;
}

static uint32_t token(const char *text) {
    uint32_t id;
    assert_true(fathom__intern_find(&id, &opened.pieces.table, text, strlen(text)));
    return id;
}

static struct fathom__rule one(enum fathom__place place, enum fathom__kind kind, uint32_t id) {
    struct fathom__rule rule = {.n = 1, .conditions = {{.place = place, .kind = kind, .n_ids = 1, .ids = {id}}}};
    return rule;
}

static struct fathom__rule of_class(enum fathom__place place, uint32_t class_id) {
    struct fathom__rule rule = {.n = 1, .conditions = {{.place = place, .kind = FATHOM__CLASS, .class_id = class_id}}};
    return rule;
}

/* Where a rule fires, as a text of one character a row; both ways of running it must agree. */
static void assert_fires(const struct fathom__rule *rule, const char *wanted) {
    char found[2 * ROWS + 1] = {0};
    for (size_t s = 0; s < stream->evidence->n_sequences; s++) {
        uint8_t fires[ROWS], scratch[ROWS];
        const uint32_t first = stream->evidence->sequences[s].first_row;
        const uint32_t end = fathom__evidence_sequence_end(stream->evidence, &stream->evidence->sequences[s]);
        fathom__rule_mark(fires, scratch, rule, stream, first, end);
        for (uint32_t row = first; row < end; row++) {
            assert_int_equal(fires[row - first], fathom__rule_at(rule, stream, row));
            strcat(found, fires[row - first] ? "x" : ".");
        }
        strcat(found, s ? "" : " ");
    }
    assert_string_equal(found, wanted);
}

static void conditions_hold_where_they_say(void **state) {
    (void)state;
    struct fathom__rule rule = one(FATHOM__HERE, FATHOM__WORDS, word("san"));
    assert_fires(&rule, ".x..........x. ............");
    rule = one(FATHOM__BEFORE, FATHOM__WORDS, word("san"));
    assert_fires(&rule, "..x..........x ............");
    rule = one(FATHOM__AFTER, FATHOM__WORDS, word("francisco"));
    assert_fires(&rule, ".x............ ............");
    rule = one(FATHOM__BEFORE, FATHOM__TOKENS, token(","));
    assert_fires(&rule, ".............. ....x.......");
    rule = one(FATHOM__BEFORE, FATHOM__WORDS, word("re"));
    assert_fires(&rule, ".............. ...xx.......");
    rule = of_class(FATHOM__HERE, 2); /* athletes */
    assert_fires(&rule, "....x..x...... .........x..");
    rule = of_class(FATHOM__HERE, 14); /* San Francisco, both words */
    assert_fires(&rule, ".xx........... ............");
}

static void shapes_and_affixes(void **state) {
    (void)state;
    struct fathom__rule rule = {.n = 1, .conditions = {{.kind = FATHOM__FLAG, .flag = FATHOM__NUMBER}}};
    assert_fires(&rule, ".............. ......x....x");
    rule.conditions[0].flag = FATHOM__YEAR;
    assert_fires(&rule, ".............. ...........x");
    rule.conditions[0].flag = FATHOM__CAPITAL;
    assert_fires(&rule, ".xx.........xx ............");
    rule.conditions[0] =
        (struct fathom__condition){.place = FATHOM__BEFORE, .kind = FATHOM__FLAG, .flag = FATHOM__LINE_BREAK};
    assert_fires(&rule, "..........x... ............");
    rule.conditions[0] = (struct fathom__condition){.kind = FATHOM__SUFFIX, .affix = "ers"};
    assert_fires(&rule, ".......x...... ............");
    rule.conditions[0] = (struct fathom__condition){.kind = FATHOM__PREFIX, .affix = "re"};
    assert_fires(&rule, ".............. ....x......."); /* not "re" itself */
}

static void near_looks_around_within_the_sequence(void **state) {
    (void)state;
    struct fathom__rule rule = one(FATHOM__NEAR, FATHOM__WORDS, word("bridges"));
    assert_fires(&rule, "..xxxxxxxxxxxx ............");
    rule = one(FATHOM__NEAR, FATHOM__WORDS, word("athletes"));
    assert_fires(&rule, ".............. .xxxxxxxxxxx");
}

static void all_conditions_must_hold(void **state) {
    (void)state;
    struct fathom__rule rule = one(FATHOM__HERE, FATHOM__WORDS, word("francisco"));
    assert_fires(&rule, "..x........... x...........");
    rule.conditions[rule.n++] = one(FATHOM__BEFORE, FATHOM__WORDS, word("san")).conditions[0];
    assert_fires(&rule, "..x........... ............");
    const struct fathom__rule nothing = {0};
    assert_fires(&nothing, ".............. ............");
}

static void assert_text(const struct fathom__rule *rule, const char *wanted) {
    struct fathom__buffer out = FATHOM__BUFFER_INIT(1024);
    assert_int_equal(fathom__rule_text(&out, rule, stream), FATHOM_OK);
    assert_string_equal(out.bytes, wanted);
    fathom__buffer_free(&out);
}

static void rules_read_as_labels(void **state) {
    (void)state;
    struct fathom__rule rule = of_class(FATHOM__HERE, 2);
    assert_text(&rule, "athletes");
    rule = of_class(FATHOM__HERE, 20);
    assert_text(&rule, "houses");
    rule = of_class(FATHOM__HERE, 4);
    assert_text(&rule, "striker"); /* the corpus has strikers one by one alone */
    rule = of_class(FATHOM__NEAR, 2);
    rule.conditions[1] = rule.conditions[0];
    rule.conditions[0] = (struct fathom__condition){.kind = FATHOM__FLAG, .flag = FATHOM__CAPITAL};
    rule.n = 2;
    assert_text(&rule, "capitalised words in text about athletes");
    rule = one(FATHOM__HERE, FATHOM__WORDS, word("francisco"));
    rule.conditions[rule.n++] = one(FATHOM__BEFORE, FATHOM__WORDS, word("san")).conditions[0];
    rule.conditions[rule.n++] = (struct fathom__condition){.kind = FATHOM__FLAG, .flag = FATHOM__WORD_LAST};
    assert_text(&rule, "‘Francisco’ after ‘San’");
    rule = one(FATHOM__HERE, FATHOM__TOKENS, token("\n"));
    assert_text(&rule, "the token ‘\\n’");
    rule = one(FATHOM__HERE, FATHOM__TOKENS, token(" the"));
    rule.conditions[0].ids[rule.conditions[0].n_ids++] = token(" in");
    rule.conditions[0].ids[rule.conditions[0].n_ids++] = token("In");
    assert_text(&rule, "‘the’ and ‘in’");
    rule = (struct fathom__rule){.n = 1, .conditions = {{.kind = FATHOM__FLAG, .flag = FATHOM__YEAR}}};
    assert_text(&rule, "years");
    rule = (struct fathom__rule){.n = 1, .conditions = {{.kind = FATHOM__SUFFIX, .affix = "ing"}}};
    assert_text(&rule, "words ending in ‘-ing’");
}

static struct fathom__rule named(enum fathom__list_name name, uint32_t n_named) {
    struct fathom__rule rule = one(FATHOM__HERE, FATHOM__WORDS, word("striker"));
    struct fathom__condition *condition = &rule.conditions[0];
    condition->ids[condition->n_ids++] = word("athletes");
    condition->ids[condition->n_ids++] = word("francisco");
    condition->ids[condition->n_ids++] = word("met");
    condition->name = name;
    condition->class_id = 2;
    condition->n_named = n_named;
    return rule;
}

static void lists_are_called_by_what_their_members_share(void **state) {
    (void)state;
    struct fathom__rule rule = named(FATHOM__NAME_CLASS, 2);
    assert_text(&rule, "athletes (‘striker’, ‘athletes’), ‘Francisco’ and ‘met’");
    assert_int_equal(fathom__rule_kind(&rule), FATHOM_LABEL_NAMED);
    assert_fires(&rule, "..x.xx........ x........x..");
    rule.conditions[0].n_ids = 3;
    assert_text(&rule, "athletes (‘striker’, ‘athletes’) and ‘Francisco’");
    rule.conditions[0].place = FATHOM__BEFORE;
    assert_text(&rule, "after athletes (‘striker’, ‘athletes’) and ‘Francisco’");
    rule.conditions[0].place = FATHOM__NEAR;
    assert_text(&rule, "text about athletes (‘striker’, ‘athletes’) and ‘Francisco’");
    rule = named(FATHOM__NAME_NAMES, 4);
    assert_text(&rule, "names (‘striker’, ‘athletes’, ‘Francisco’, …)");
    rule.conditions[0].name = FATHOM__NAME_PARTS;
    rule.conditions[0].n_ids = rule.conditions[0].n_named = 2;
    assert_text(&rule, "parts of names (‘striker’, ‘athletes’)");
    rule.conditions[0].name = FATHOM__NAME_FLAG;
    rule.conditions[0].flag = FATHOM__NUMBER;
    assert_text(&rule, "numbers (‘striker’, ‘athletes’)");
    rule.conditions[0].name = FATHOM__NAME_SIGNS;
    rule.conditions[0].flag = 0;
    assert_text(&rule, "opening brackets (‘striker’, ‘athletes’)");
    rule.conditions[0].name = FATHOM__NAME_NONE;
    assert_text(&rule, "‘striker’ and ‘athletes’");
    assert_int_equal(fathom__rule_kind(&rule), FATHOM_LABEL_LIST);
}

static void lists_of_signs_are_called_by_their_kind(void **state) {
    (void)state;
    const struct fathom__label_context context = {.stream = stream};
    struct fathom__rule rule = one(FATHOM__HERE, FATHOM__TOKENS, token("("));
    rule.conditions[0].ids[rule.conditions[0].n_ids++] = token("(");
    fathom__label_name(&rule, &context);
    assert_text(&rule, "opening brackets (‘(’)");
    rule.conditions[0].ids[1] = token(")");
    fathom__label_name(&rule, &context);
    assert_text(&rule, "punctuation (‘(’, ‘)’)");
    rule.conditions[0].ids[1] = token(" 12");
    fathom__label_name(&rule, &context);
    assert_text(&rule, "‘(’ and ‘12’");
}

static void names_of_lists_are_in_the_json(void **state) {
    (void)state;
    const struct fathom__rule rule = named(FATHOM__NAME_CLASS, 2);
    json_t *json;
    assert_int_equal(fathom__rule_json(&json, &rule, stream), FATHOM_OK);
    const json_t *part = json_array_get(json_object_get(json, "all"), 0), *name = json_object_get(part, "named");
    assert_int_equal(json_array_size(json_object_get(part, "any")), 4);
    assert_int_equal(json_integer_value(json_object_get(name, "members")), 2);
    assert_string_equal(json_string_value(json_object_get(name, "class")), "athlete");
    json_decref(json);
}

static void rules_are_written_as_json(void **state) {
    (void)state;
    struct fathom__rule rule = of_class(FATHOM__NEAR, 2);
    rule.conditions[rule.n++] = one(FATHOM__HERE, FATHOM__TOKENS, token(" San")).conditions[0];
    json_t *json;
    assert_int_equal(fathom__rule_json(&json, &rule, stream), FATHOM_OK);
    const json_t *all = json_object_get(json, "all");
    assert_int_equal(json_array_size(all), 2);
    const json_t *class_part = json_array_get(all, 0), *token_part = json_array_get(all, 1);
    assert_string_equal(json_string_value(json_object_get(class_part, "place")), "near");
    assert_string_equal(json_string_value(json_object_get(class_part, "class")), "athlete");
    const json_t *any = json_array_get(json_object_get(token_part, "any"), 0);
    assert_string_equal(json_string_value(json_object_get(any, "text")), " San");
    assert_int_equal(json_integer_value(json_object_get(any, "token")), token(" San"));
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_hold_where_they_say),
        cmocka_unit_test(shapes_and_affixes),
        cmocka_unit_test(near_looks_around_within_the_sequence),
        cmocka_unit_test(all_conditions_must_hold),
        cmocka_unit_test(rules_read_as_labels),
        cmocka_unit_test(lists_are_called_by_what_their_members_share),
        cmocka_unit_test(lists_of_signs_are_called_by_their_kind),
        cmocka_unit_test(names_of_lists_are_in_the_json),
        cmocka_unit_test(rules_are_written_as_json),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
