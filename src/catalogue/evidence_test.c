#include "catalogue/evidence.h"

#include "base/file.h"
#include "base/scratch.h"

#include <fathom/error.h>
#include <fathom/model.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FEATURES = 40, LENGTH = 50 };

/* Sequence number `number`: feature 0 at every third row, feature 1 at row 10 with a strength of its own, others now
 * and then. */
static void add_sequence(struct fathom__evidence *evidence, uint32_t number) {
    int32_t tokens[LENGTH];
    bool covered[LENGTH];
    size_t offsets[LENGTH + 1];
    uint32_t features[LENGTH * 3];
    float values[LENGTH * 3];
    size_t n = 0;
    for (int row = 0; row < LENGTH; row++) {
        tokens[row] = (int32_t)(number * LENGTH) + row;
        covered[row] = row != 0;
        offsets[row] = n;
        if (row % 3 == 1) {
            features[n] = 0;
            values[n++] = (float)(row + 1);
        }
        if (row == 10 && number % 7 != 0) {
            features[n] = 1;
            values[n++] = (float)(1 + number % 100);
        }
        if ((row + (int)number) % 4 == 0) {
            features[n] = 2 + (number * 13 + (uint32_t)row) % (FEATURES - 3);
            values[n++] = 0.5f + (float)(row % 5);
        }
    }
    offsets[LENGTH] = n;
    const struct fathom_sparse sparse = {.n_rows = LENGTH, .offsets = offsets, .features = features, .values = values};
    /* Two sequences make a document. */
    assert_int_equal(fathom__evidence_add(evidence, tokens, covered, LENGTH, number / 2, &sparse, 0), FATHOM_OK);
}

static struct fathom__evidence *filled(uint32_t n_sequences, uint64_t seed) {
    struct fathom__evidence *evidence;
    assert_int_equal(fathom__evidence_open(&evidence, FEATURES, 5, seed), FATHOM_OK);
    for (uint32_t i = 0; i < n_sequences; i++)
        add_sequence(evidence, i);
    assert_int_equal(fathom__evidence_seal(evidence), FATHOM_OK);
    return evidence;
}

static void statistics_are_counted(void **state) {
    (void)state;
    struct fathom__evidence *evidence = filled(100, 1);
    const struct fathom__statistics *zero = &evidence->features[0];
    assert_int_equal(zero->count, 100 * 17);
    assert_true(zero->maximum == 50);
    double sum = 0;
    uint64_t in_bins = 0;
    for (int row = 1; row < LENGTH; row += 3)
        sum += row + 1;
    for (int bin = 0; bin < FATHOM_HISTOGRAM_BINS; bin++)
        in_bins += zero->histogram[bin];
    assert_true(zero->sum == sum * 100);
    assert_int_equal(in_bins, zero->count);
    assert_true(zero->histogram_top == 64);     /* 2 doubled until it reached 50 */
    assert_int_equal(zero->histogram[1], 100);  /* the twos: (1.28, 2.56] */
    assert_int_equal(zero->histogram[39], 100); /* the fifties: (49.92, 51.2] */
    assert_int_equal(evidence->features[FEATURES - 1].count, 0);
    assert_int_equal(evidence->n_rows, 100 * LENGTH);
    assert_int_equal(evidence->n_covered, 100 * (LENGTH - 1));
    assert_int_equal(evidence->n_documents, 50);
    fathom__evidence_close(evidence);
}

static void strongest_examples_are_one_a_document(void **state) {
    (void)state;
    struct fathom__evidence *evidence = filled(100, 1);
    const struct fathom__peak *top = evidence->top + 1 * 5;
    assert_int_equal(evidence->features[1].n_top, 5);
    /* Strengths are 1 + number, two numbers a document; 91 is a multiple of 7 and has none. */
    const float wanted[] = {100, 98, 96, 94, 91};
    for (int i = 0; i < 5; i++) {
        assert_true(top[i].value == wanted[i]);
        assert_int_equal(top[i].row % LENGTH, 10);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(top[i].document, top[j].document);
    }
    fathom__evidence_close(evidence);
}

static void windows_hold_the_levels_around(void **state) {
    (void)state;
    struct fathom__evidence *evidence = filled(4, 1);
    /* The strongest of feature 0 is the last of its rows, 49, with 50: every third row before it is in the window,
     * nothing after. */
    const struct fathom__peak *peak = evidence->top;
    assert_true(peak->value == 50 && peak->scale == 50);
    for (int i = 0; i < FATHOM__WINDOW; i++) {
        const int row = 49 + i - FATHOM_EXAMPLE_BEFORE;
        const int level = row <= 49 && row % 3 == 1 ? (int)((double)(row + 1) / 50 * 255 + 0.5) : 0;
        assert_int_equal(peak->levels[i], level);
    }
    fathom__evidence_close(evidence);
}

static void draws_follow_roles_and_favour_strong_rows(void **state) {
    (void)state;
    struct fathom__evidence *evidence = filled(600, 1);
    const struct fathom__statistics *zero = &evidence->features[0];
    for (enum fathom__role role = 0; role < FATHOM__ROLES; role++) {
        const struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, 0, role);
        assert_int_equal(zero->n_drawn[role], fathom__drawn_capacity(role));
        double mean = 0;
        for (uint32_t i = 0; i < zero->n_drawn[role]; i++) {
            assert_int_equal(fathom__document_role(fathom__evidence_sequence(evidence, drawn[i].row)->document), role);
            assert_int_equal(drawn[i].row % LENGTH % 3, 1);
            mean += (double)drawn[i].value / zero->n_drawn[role];
        }
        /* The plain mean is 26; with chances proportional to the value's square it is 38. */
        assert_in_range((int)(mean * 100), 3500, 4100);
    }
    fathom__evidence_close(evidence);
}

/* A sentence that every document repeats gives three examples and three rows of each role at most. */
static void what_reads_alike_is_kept_a_few_times(void **state) {
    (void)state;
    enum { REPEATED = 6, DOCUMENTS = 100 };
    struct fathom__evidence *evidence;
    assert_int_equal(fathom__evidence_open(&evidence, 1, 5, 1), FATHOM_OK);
    for (uint32_t document = 0; document < DOCUMENTS; document++) {
        const int32_t tokens[REPEATED] = {(int32_t)document + 10, 1, 2, 3, 4, (int32_t)document + 10};
        const bool covered[REPEATED] = {true, true, true, true, true, true};
        const size_t offsets[REPEATED + 1] = {0, 0, 0, 0, 1, 1, 1};
        const uint32_t feature = 0;
        const float value = (float)(document + 1);
        const struct fathom_sparse sparse = {.n_rows = REPEATED,
                                             .offsets = (size_t *)(uintptr_t)offsets,
                                             .features = (uint32_t *)(uintptr_t)&feature,
                                             .values = (float *)(uintptr_t)&value};
        assert_int_equal(fathom__evidence_add(evidence, tokens, covered, REPEATED, document, &sparse, 0), FATHOM_OK);
    }
    assert_int_equal(fathom__evidence_seal(evidence), FATHOM_OK);
    assert_int_equal(evidence->features[0].count, DOCUMENTS);
    assert_int_equal(evidence->features[0].n_top, 3);
    assert_true(evidence->top[0].value == DOCUMENTS && evidence->top[2].value == DOCUMENTS - 2);
    assert_int_equal(evidence->features[0].n_spread, 3);
    for (enum fathom__role role = 0; role < FATHOM__ROLES; role++)
        assert_int_equal(evidence->features[0].n_drawn[role], 3);
    fathom__evidence_close(evidence);
    const int32_t one[] = {1, 2, 3, 4, 5}, other[] = {9, 2, 3, 4, 7};
    assert_int_equal(fathom__token_context(one, 5, 3), fathom__token_context(one, 5, 3));
    assert_int_not_equal(fathom__token_context(one, 5, 3), fathom__token_context(other, 5, 3)); /* the next token */
    assert_int_equal(fathom__token_context(one, 4, 3), fathom__token_context(other, 4, 3));
    assert_int_not_equal(fathom__token_context(one, 5, 2), fathom__token_context(one, 5, 1));
}

static void held_out_rows_know_what_is_active(void **state) {
    (void)state;
    struct fathom__evidence *evidence = filled(40, 1);
    size_t held = 0;
    for (uint32_t number = 0; number < 40; number++)
        held += fathom__document_role(number / 2) != FATHOM__PROPOSE;
    assert_int_equal(held, 16);
    assert_int_equal(evidence->n_held, held * LENGTH);
    const uint32_t first = 8 * LENGTH; /* document 4: a test one */
    assert_int_equal(fathom__document_role(4), FATHOM__TEST);
    assert_int_equal(fathom__document_role(3), FATHOM__CHOOSE);
    for (uint32_t row = 0; row < LENGTH; row++)
        assert_int_equal(fathom__evidence_active(evidence, 0, first + row), row % 3 == 1);
    assert_true(fathom__evidence_active(evidence, 1, first + 10));
    assert_false(fathom__evidence_active(evidence, 1, first + 11));
    assert_int_equal(fathom__evidence_sequence(evidence, first + 3)->first_row, first);
    assert_int_equal(fathom__evidence_sequence_end(evidence, fathom__evidence_sequence(evidence, first)),
                     first + LENGTH);
    assert_int_equal(fathom__evidence_sequence_end(evidence, fathom__evidence_sequence(evidence, 39 * LENGTH)),
                     40 * LENGTH);
    fathom__evidence_close(evidence);
}

static void assert_same(const struct fathom__evidence *a, const struct fathom__evidence *b) {
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->n_pairs, b->n_pairs);
    assert_memory_equal(a->tokens, b->tokens, a->n_rows * sizeof *a->tokens);
    assert_memory_equal(a->active_rows, b->active_rows, a->n_pairs * sizeof *a->active_rows);
    for (uint32_t f = 0; f < FEATURES; f++) {
        assert_int_equal(a->features[f].count, b->features[f].count);
        assert_true(a->features[f].sum == b->features[f].sum);
        for (uint32_t i = 0; i < a->features[f].n_spread; i++) {
            const struct fathom__peak *left = &a->spread[f * FATHOM__SPREAD + i],
                                      *right = &b->spread[f * FATHOM__SPREAD + i];
            assert_true(left->row == right->row && left->value == right->value);
            assert_memory_equal(left->levels, right->levels, sizeof left->levels);
        }
        const struct fathom__drawn *left = fathom__evidence_drawn(a, f, FATHOM__TEST),
                                   *right = fathom__evidence_drawn(b, f, FATHOM__TEST);
        for (uint32_t i = 0; i < a->features[f].n_drawn[FATHOM__TEST]; i++)
            assert_true(left[i].row == right[i].row && left[i].key == right[i].key);
    }
}

static void a_resumed_pass_is_the_same_pass(void **state) {
    (void)state;
    const char *path = scratch("checkpoint");
    struct fathom__evidence *whole = filled(200, 3), *half, *resumed;
    bool found;
    assert_int_equal(fathom__evidence_open(&half, FEATURES, 5, 3), FATHOM_OK);
    for (uint32_t i = 0; i < 90; i++)
        add_sequence(half, i);
    assert_int_equal(fathom__evidence_save(half, path, "run a"), FATHOM_OK);
    assert_int_equal(fathom__evidence_open(&resumed, FEATURES, 5, 3), FATHOM_OK);
    assert_int_equal(fathom__evidence_load(&found, resumed, path, "run b"), FATHOM_OK);
    assert_false(found);
    assert_int_equal(resumed->n_rows, 0);
    assert_int_equal(fathom__evidence_load(&found, resumed, path, "run a"), FATHOM_OK);
    assert_true(found);
    for (uint32_t i = 90; i < 200; i++)
        add_sequence(resumed, i);
    assert_int_equal(fathom__evidence_seal(resumed), FATHOM_OK);
    assert_same(whole, resumed);
    fathom__evidence_close(whole);
    fathom__evidence_close(half);
    fathom__evidence_close(resumed);
    unlink(path);
}

static void unquoted_text_counts_but_gives_no_examples(void **state) {
    (void)state;
    struct fathom__evidence *evidence;
    assert_int_equal(fathom__evidence_open(&evidence, FEATURES, 5, 1), FATHOM_OK);
    for (uint32_t i = 0; i < 20; i++)
        add_sequence(evidence, i);
    fathom__evidence_end_quoted(evidence);
    for (uint32_t i = 20; i < 100; i++)
        add_sequence(evidence, i);
    assert_int_equal(fathom__evidence_seal(evidence), FATHOM_OK);
    assert_int_equal(evidence->first_unquoted_document, 10);
    assert_int_equal(evidence->features[0].count, 100 * 17);
    assert_true(evidence->features[1].maximum == 100);
    assert_int_equal(evidence->features[0].n_drawn[FATHOM__PROPOSE], fathom__drawn_capacity(FATHOM__PROPOSE));
    assert_true(evidence->top[1 * 5].value == 20); /* of the first twenty sequences */
    for (uint32_t f = 0; f < FEATURES; f++) {
        for (uint32_t i = 0; i < evidence->features[f].n_top; i++)
            assert_in_range(evidence->top[f * 5 + i].document, 0, 9);
        for (uint32_t i = 0; i < evidence->features[f].n_spread; i++)
            assert_in_range(evidence->spread[f * FATHOM__SPREAD + i].document, 0, 9);
    }
    fathom__evidence_close(evidence);
}

static void damaged_checkpoints_are_refused(void **state) {
    (void)state;
    const char *path = scratch("checkpoint");
    struct fathom__evidence *evidence = filled(10, 3), *other;
    bool found;
    assert_int_equal(fathom__evidence_save(evidence, path, "run"), FATHOM_OK);
    char *bytes;
    size_t length;
    assert_int_equal(fathom__file_read(&bytes, &length, path, SIZE_MAX), FATHOM_OK);
    static const size_t cuts[] = {0, 3, 100, 1000};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(fathom__file_write(path, bytes, cuts[i]), FATHOM_OK);
        assert_int_equal(fathom__evidence_open(&other, FEATURES, 5, 3), FATHOM_OK);
        assert_int_equal(fathom__evidence_load(&found, other, path, "run"), FATHOM_ERROR_FORMAT);
        assert_false(found);
        fathom__evidence_close(other);
    }
    bytes[length / 2] ^= 1;
    assert_int_equal(fathom__file_write(path, bytes, length), FATHOM_OK);
    assert_int_equal(fathom__evidence_open(&other, FEATURES, 5, 3), FATHOM_OK);
    assert_int_equal(fathom__evidence_load(&found, other, path, "run"), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "its hash differs"));
    fathom__evidence_close(other);
    unlink(path);
    assert_int_equal(fathom__evidence_open(&other, FEATURES, 5, 3), FATHOM_OK);
    assert_int_equal(fathom__evidence_load(&found, other, path, "run"), FATHOM_OK);
    assert_false(found);
    fathom__evidence_close(other);
    fathom__evidence_close(evidence);
    fathom_free(bytes);
}

static void numbers_of_examples_are_checked(void **state) {
    (void)state;
    struct fathom__evidence *evidence = NULL;
    assert_int_equal(fathom__evidence_open(&evidence, FEATURES, FATHOM__TOP_MOST + 1, 0), FATHOM_ERROR_ARGUMENT);
    assert_null(evidence);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_are_counted),
        cmocka_unit_test(strongest_examples_are_one_a_document),
        cmocka_unit_test(windows_hold_the_levels_around),
        cmocka_unit_test(draws_follow_roles_and_favour_strong_rows),
        cmocka_unit_test(what_reads_alike_is_kept_a_few_times),
        cmocka_unit_test(held_out_rows_know_what_is_active),
        cmocka_unit_test(a_resumed_pass_is_the_same_pass),
        cmocka_unit_test(unquoted_text_counts_but_gives_no_examples),
        cmocka_unit_test(damaged_checkpoints_are_refused),
        cmocka_unit_test(numbers_of_examples_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
