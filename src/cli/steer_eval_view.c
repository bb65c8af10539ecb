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

/* The best answer to a question that none of the n shown ones answers; the number of answers where there is none. */
static size_t next_best(const struct steer_evaluation *evaluation, const struct steer_method *method,
                        const size_t *shown, size_t n) {
    const size_t n_seeds = evaluation->asking.n_seeds;
    size_t best = method->answers.n;
    double most = 0;
    for (size_t i = 0; i < method->answers.n; i++) {
        bool seen = false;
        for (size_t s = 0; s < n; s++) {
            seen = seen || shown[s] / n_seeds == i / n_seeds;
        }
        if (!seen && fathom_steer_harmonic(method->points[i]) > most) {
            most = fathom_steer_harmonic(method->points[i]);
            best = i;
        }
    }
    return best;
}

/* Answers of the subject that failed in something, the first ones, and the best; one a question. */
static void print_examples(const struct steer_evaluation *evaluation) {
    const struct steer_method *method = &evaluation->methods[evaluation->subject_method];
    const size_t n_seeds = evaluation->asking.n_seeds;
    size_t shown[EXAMPLES];
    size_t n_failed = 0;
    size_t n_shown = 0;
    size_t after = 0; /* questions before this one have an example, or none to give */
    for (size_t i = 0; i < method->answers.n; i++) {
        n_failed += !(fathom_steer_harmonic(method->points[i]) > 0);
    }
    putchar('\n');
    cli_print_bold(stdout, "Failed");
    printf(" in something: %zu of %zu answers by %s\n", n_failed, method->answers.n, method->name);
    for (size_t i = 0; i < method->answers.n && n_shown < EXAMPLES; i++) {
        if (i / n_seeds >= after && !(fathom_steer_harmonic(method->points[i]) > 0)) {
            print_example(evaluation, method, i);
            n_shown++;
            after = i / n_seeds + 1;
        }
    }
    putchar('\n');
    cli_print_bold(stdout, "Best");
    printf(" of the other %zu\n", method->answers.n - n_failed);
    for (size_t s = 0; s < EXAMPLES; s++) {
        shown[s] = next_best(evaluation, method, shown, s);
        if (shown[s] == method->answers.n) {
            break;
        }
        print_example(evaluation, method, shown[s]);
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
    print_examples(evaluation);
    return cli_output_status();
}
