#include "eval_absorption.h"

static void print_one(const char *name, const struct fathom_absorption_report *r) {
    if (r->n_evaluated == 0) {
        printf("  %-28s no letter is known to the model at this hook point: nothing to measure\n", name);
        return;
    }
    printf("  %-28s %8.3f ± %.3f %8.3f ± %.3f %8.2f ± %.2f %10.3f %9.3f %8.3f %8u\n", name, r->absorbed_fraction,
           r->absorbed_deviation, r->full_absorption, r->full_deviation, r->n_split, r->split_deviation, r->best_f1,
           r->probe_f1, r->shuffled_f1, r->n_evaluated);
}

void eval_absorption_print(const struct fathom_absorption_report *own, const struct fathom_absorption_report *control) {
    printf("\nfirst letters of %zu words, means over letters that a probe of the row knows\n", own->n_words);
    printf("  %-28s %16s %16s %15s %10s %9s %8s %8s\n", "", "absorbed share", "fully absorbed", "features", "best's F1",
           "probe F1", "shuffled", "letters");
    print_one("this dictionary", own);
    if (control) print_one("the control that was named", control);
}

static json_t *letter_json(const struct fathom_absorption_letter *letter, int number) {
    const char name[] = {(char)('a' + number), 0};
    json_t *features = json_array();
    for (uint32_t i = 0; i < letter->n_features; i++)
        json_array_append_new(features, json_integer((json_int_t)letter->features[i]));
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "letter", name, "evaluated",
                     letter->evaluated, "train", (json_int_t)letter->n_train, "test", (json_int_t)letter->n_test,
                     "true_positives", (json_int_t)letter->n_true_positives, "probe_f1", letter->probe_f1,
                     "shuffled_f1", letter->shuffled_f1, "best_f1", letter->best_f1, "split_f1", letter->split_f1,
                     "absorbed_fraction", letter->absorbed_fraction, "full_absorption", letter->full_absorption,
                     "features", features);
}

static json_t *report_json(const struct fathom_absorption_report *r) {
    json_t *letters = json_array();
    for (int l = 0; l < FATHOM_LETTERS; l++)
        if (r->letters[l].n_test > 0) json_array_append_new(letters, letter_json(&r->letters[l], l));
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "words", (json_int_t)r->n_words,
                     "letters_evaluated", (json_int_t)r->n_evaluated, "absorbed_fraction", r->absorbed_fraction,
                     "absorbed_deviation", r->absorbed_deviation, "full_absorption", r->full_absorption,
                     "full_deviation", r->full_deviation, "features_a_letter", r->n_split, "features_deviation",
                     r->split_deviation, "probe_f1", r->probe_f1, "shuffled_f1", r->shuffled_f1, "best_f1", r->best_f1,
                     "letters", letters);
}

json_t *eval_absorption_json(const struct fathom_absorption_report *own,
                             const struct fathom_absorption_report *control) {
    json_t *value = report_json(own);
    if (control) json_object_set_new(value, "control", report_json(control));
    return value;
}
