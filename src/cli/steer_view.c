#include "labelled.h"
#include "steer_command.h"
#include <string.h>

void steer_range_print(struct fathom_layer_range range) {
    if (range.first < 0) {
        fputs("own  ", stdout);
    } else {
        printf("%2d-%-2d", range.first, range.last);
    }
}

static void print_score_row(const struct fathom_steer_score *score) {
    printf("%6.2f %8.1f %8.2f %7.2f %7.2f %8.2f %9.2f %8.2f\n", score->mention_rate, score->mentions_per_100_words,
           score->concept_log_probability, score->repetition, score->distinct_2, score->log_probability,
           score->relevance, score->objective);
}

static void print_search(const struct steering *steering) {
    const struct fathom_steer_found *found = &steering->found;
    cli_print_bold(stdout, "Settings tried");
    printf(" on %zu answers each; the objective is the harmonic mean of mentions, fluency and relevance against the "
           "plain answers\n",
           found->plain.n_answers);
    puts("layers  strength mentions per 100w concept  repeat dist-2  log p  relevance objective");
    printf("plain            ");
    print_score_row(&found->plain);
    for (size_t i = 0; i < found->n_trials; i++) {
        const struct fathom_steer_trial *trial = &found->trials[i];
        steer_range_print((struct fathom_layer_range){trial->first_layer, trial->last_layer});
        printf("  %8.3g  ", (double)trial->strength);
        print_score_row(&trial->score);
    }
    if (found->has_held_out) {
        const struct fathom_steer_trial *best = &found->trials[found->best];
        printf("The best, strength %.3g over layers ", (double)best->strength);
        steer_range_print((struct fathom_layer_range){best->first_layer, best->last_layer});
        puts(", once on questions and seeds that the choice did not see:");
        printf("plain            ");
        print_score_row(&found->held_out_plain);
        printf("steered          ");
        print_score_row(&found->held_out);
    }
    putchar('\n');
}

static void print_spoken(const struct steering *steering, const char *title, const struct spoken *spoken) {
    const struct fathom_steer_score *score = &spoken->score;
    size_t n_seeds = steering->asking.n_seeds;
    cli_print_bold(stdout, title);
    putchar('\n');
    for (size_t i = 0; i < spoken->answers.n; i++) {
        if (steering->asking.n_questions > 1) {
            printf("  %s\n", steering->asking.questions[i / n_seeds]);
        }
        fputs("    ", stdout);
        cli_print_level(stdout, spoken->answers.texts[i], strlen(spoken->answers.texts[i]), 0);
        putchar('\n');
    }
    printf("  %.2f nats a token without steering, relevance %+.2f, %.0f %% of 4-grams repeated, distinct-2 %.2f",
           score->log_probability, score->relevance, 100 * score->repetition, score->distinct_2);
    if (steering->concept != NULL) {
        printf(", the concept in %.0f %% of the answers", 100 * score->mention_rate);
    }
    fputs("\n\n", stdout);
}

static json_t *spoken_json(const struct spoken *spoken) {
    json_t *texts = json_array();
    for (size_t i = 0; i < spoken->answers.n; i++) {
        json_array_append_new(texts, json_string(spoken->answers.texts[i]));
    }
    return json_pack("{s:o, s:o}", "answers", texts, "score", steer_score_json(&spoken->score));
}

json_t *steer_range_json(int32_t first, int32_t last) {
    return first < 0 ? json_null() : json_pack("[i,i]", first, last);
}

static json_t *search_json(const struct fathom_steer_found *found) {
    json_t *trials = json_array();
    for (size_t i = 0; i < found->n_trials; i++) {
        const struct fathom_steer_trial *trial = &found->trials[i];
        json_array_append_new(trials, json_pack("{s:o, s:f, s:o}", "layers",
                                                steer_range_json(trial->first_layer, trial->last_layer), "strength",
                                                (double)trial->strength, "score", steer_score_json(&trial->score)));
    }
    json_t *value = json_pack("{s:o, s:o, s:I}", "plain", steer_score_json(&found->plain), "trials", trials, "best",
                              (json_int_t)found->best);
    if (found->has_held_out) {
        json_object_set_new(value, "held_out",
                            json_pack("{s:o, s:o}", "plain", steer_score_json(&found->held_out_plain), "steered",
                                      steer_score_json(&found->held_out)));
    }
    return value;
}

int steer_command_show(const struct steering *steering, const struct spoken *plain, const struct spoken *steered,
                       const struct spoken *random, const struct steer_subject *control) {
    if (!cli_json(steering->arguments)) {
        if (steering->searched) {
            print_search(steering);
        }
        if (steering->chose) {
            steer_choice_print(steering);
        }
        cli_print_bold(stdout, "Turned: ");
        steer_subject_print(&steering->subject);
        fputs("\n        ", stdout);
        if (steering->subject.plan != NULL) {
            fputs("as it says, layers ", stdout);
        } else if (steering->subject.is_feature && steering->subject.mode == FATHOM_STEER_ABLATE) {
            fputs("taken away, layers ", stdout);
        } else {
            printf("strength %g, layers ", (double)steering->setting.strength);
        }
        steer_range_print(steering->setting.range);
        fputs("\n\n", stdout);
        print_spoken(steering, "Plain", plain);
        print_spoken(steering, "Steered", steered);
        if (control != NULL) {
            cli_print_bold(stdout, "Control: ");
            steer_subject_print(control);
            putchar('\n');
            print_spoken(steering, "Turned as far", random);
        }
        return cli_output_status();
    }
    json_t *questions = json_array();
    for (size_t i = 0; i < steering->asking.n_questions; i++) {
        json_array_append_new(questions, json_string(steering->asking.questions[i]));
    }
    json_t *value =
        json_pack("{s:o, s:o, s:f, s:o, s:I, s:o, s:o}", "subject", steer_subject_json(&steering->subject), "layers",
                  steer_range_json(steering->setting.range.first, steering->setting.range.last), "strength",
                  (double)steering->setting.strength, "questions", questions, "seeds",
                  (json_int_t)steering->asking.n_seeds, "plain", spoken_json(plain), "steered", spoken_json(steered));
    if (control != NULL) {
        json_object_set_new(value, "random_subject", steer_subject_json(control));
        json_object_set_new(value, "random", spoken_json(random));
    }
    if (steering->searched) {
        json_object_set_new(value, "search", search_json(&steering->found));
    }
    if (steering->chose) {
        json_object_set_new(value, "choice", steer_choice_json(steering));
    }
    return cli_print_json(value);
}
