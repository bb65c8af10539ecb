#include "labelled.h"
#include "steer_eval.h"
#include <string.h>

enum { EXAMPLES = 3 }; /* answers that are shown where it failed, and where it did best */

static json_t *rating_json(const struct fathom_steer_rating *rating) {
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:o}", "answers", (json_int_t)rating->n_answers, "concept",
                     rating->concept, "instruction", rating->instruction, "fluency", rating->fluency, "harmonic_mean",
                     rating->harmonic, "score", steer_score_json(&rating->score));
}

static json_t *method_json(const struct steer_method *method) {
    json_t *texts = json_array();
    json_t *points = json_array();
    for (size_t i = 0; i < method->answers.n; i++) {
        const double *own = method->points[i];
        json_array_append_new(texts, json_string(method->answers.texts[i]));
        json_array_append_new(points, json_pack("[f, f, f]", own[0], own[1], own[2]));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "method", method->name, "strength",
                     method->fixed ? json_null() : json_real((double)method->strength), "development",
                     rating_json(&method->development), "held_out", rating_json(&method->rating), "answers", texts,
                     "points", points);
}

static json_t *evaluation_json(const struct steer_evaluation *evaluation) {
    json_t *list = json_array();
    json_t *questions = json_array();
    for (size_t i = 0; i < evaluation->n_methods; i++) {
        json_array_append_new(list, method_json(&evaluation->methods[i]));
    }
    for (size_t i = 0; i < evaluation->file.n_held_out; i++) {
        json_array_append_new(questions, json_string(evaluation->file.held_out[i]));
    }
    return json_pack("{s:o, s:s?, s:o, s:I, s:o}", "subject", steer_subject_json(&evaluation->subject), "judge",
                     cli_text(evaluation->arguments, "judge-model", NULL), "questions", questions, "seeds",
                     (json_int_t)evaluation->asking.n_seeds, "methods", list);
}

static void print_method(const struct steer_method *method) {
    const struct fathom_steer_rating *rating = &method->rating;
    printf("%-20s ", method->name);
    if (method->fixed) {
        fputs("       -", stdout);
    } else {
        printf("%8.3g", (double)method->strength);
    }
    printf("  %7.2f  %11.2f  %7.2f  %13.2f  %7.0f %%  %7.0f %%  %+9.2f\n", rating->concept, rating->instruction,
           rating->fluency, rating->harmonic, 100 * rating->score.mention_rate, 100 * rating->score.repetition,
           rating->score.relevance);
}

static void print_example(const struct steer_evaluation *evaluation, const struct steer_method *method, size_t which) {
    const char *text = method->answers.texts[which];
    const double *points = method->points[which];
    printf("  %s\n    ", evaluation->file.held_out[which / evaluation->asking.n_seeds]);
    cli_print_level(stdout, text, strlen(text), 0);
    printf("\n    concept %.0f, instruction %.0f, fluency %.0f\n", points[0], points[1], points[2]);
}

/* Answers whose harmonic mean is nothing, or two: the first ones, one a question. */
static void print_examples(const struct steer_evaluation *evaluation, const char *title, double wanted) {
    const struct steer_method *method = &evaluation->methods[evaluation->subject_method];
    const size_t n_seeds = evaluation->asking.n_seeds;
    size_t n = 0;
    size_t shown = 0;
    size_t after = 0; /* questions before this one have an example, or none to give */
    for (size_t i = 0; i < method->answers.n; i++) {
        n += fathom_steer_harmonic(method->points[i]) == wanted;
    }
    putchar('\n');
    cli_print_bold(stdout, title);
    printf(": %zu of %zu answers by %s\n", n, method->answers.n, method->name);
    for (size_t i = 0; i < method->answers.n && shown < EXAMPLES; i++) {
        if (i / n_seeds >= after && fathom_steer_harmonic(method->points[i]) == wanted) {
            print_example(evaluation, method, i);
            shown++;
            after = i / n_seeds + 1;
        }
    }
}

int steer_eval_show(const struct steer_evaluation *evaluation) {
    if (cli_json(evaluation->arguments)) {
        return cli_print_json(evaluation_json(evaluation));
    }
    cli_print_bold(stdout, "Rated");
    printf(" on %zu answers to held-out questions, 0 to 2 each, by %s; strengths chosen on the others\n",
           evaluation->methods[0].rating.n_answers, cli_text(evaluation->arguments, "judge-model", "rules"));
    puts("                     strength  concept  instruction  fluency  harmonic mean  mentions   repeats  relevance");
    for (size_t i = 0; i < evaluation->n_methods; i++) {
        print_method(&evaluation->methods[i]);
    }
    print_examples(evaluation, "Failed", 0);
    print_examples(evaluation, "Good in all three", 2);
    return cli_output_status();
}
