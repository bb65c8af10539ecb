#include "steer_command.h"
#include <base/error.h>
#include <stdio.h>
#include <string.h>

enum { OPTIONS_SIZE = 512 };

int steer_command_choose(struct steering *steering) {
    const struct cli_arguments *arguments = steering->arguments;
    struct steer_subject *subject = &steering->subject;
    struct fathom_layer_range ranges[STEER_MOST_RANGES] = {steering->setting.range};
    uint32_t named[STEER_MOST_FEATURES];
    if (steering->file.n_answers == 0 || steering->file.texts.n == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "--choose: the concept file needs \"answers\" that speak of the concept and \"texts\" with "
                            "near misses");
    }
    struct fathom_steer_choosing choosing = {.dictionary = subject->view.dictionary,
                                             .measures = subject->measures,
                                             .n_candidates = (size_t)steering->n_candidates,
                                             .texts = &steering->file.texts,
                                             .wanted = steering->file.answers,
                                             .n_wanted = steering->file.n_answers,
                                             .style = steering->asking.style,
                                             .mode = subject->mode,
                                             .rows = steering->setting.rows,
                                             .ranges = ranges,
                                             .n_ranges = 1,
                                             .most = (uint32_t)steering->most_chosen,
                                             .tolerance = steering->tolerance,
                                             .seed = steering->seed,
                                             .progress = cli_progress};
    int status = FATHOM_OK;
    if (subject->n_features > 0) {
        memcpy(named, subject->features, sizeof named);
        choosing.candidates = named;
        choosing.n_candidates = subject->n_features;
    }
    if (cli_has(arguments, "ranges")) {
        choosing.n_ranges = 0;
        status = steer_ranges_parse(ranges, &choosing.n_ranges, cli_text(arguments, "ranges", ""));
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_choose(&steering->chosen, subject->view.model, &choosing);
    }
    cli_progress_end();
    if (status == FATHOM_OK) {
        const struct fathom_steer_set *set = &steering->chosen.set;
        subject->n_features = set->n_features;
        memcpy(subject->features, set->features, sizeof set->features);
        memcpy(subject->weights, set->weights, sizeof set->weights);
        steering->setting.range = (struct fathom_layer_range){set->first_layer, set->last_layer};
        steering->chose = true;
    }
    return status;
}

static void print_set(const struct fathom_steer_set *set) {
    for (size_t i = 0; i < set->n_features; i++) {
        printf("%s%u × %.3g", i > 0 ? ", " : "", set->features[i], (double)set->weights[i]);
    }
    putchar('\n');
}

static void print_parts(const struct fathom_steer_parts *parts) {
    printf("%8.3f %7.3f %9.3f  ", parts->wanted, parts->lost, parts->objective);
}

static bool same_step(const struct fathom_steer_choice_trial *a, const struct fathom_steer_choice_trial *b) {
    return a->round == b->round && a->refinement == b->refinement && a->set.first_layer == b->set.first_layer &&
           a->set.last_layer == b->set.last_layer;
}

/* The best of the trials that belong to one round's additions, or to its refinement. */
static const struct fathom_steer_choice_trial *best_of_step(size_t *next, const struct fathom_steer_chosen *chosen,
                                                            size_t first) {
    const struct fathom_steer_choice_trial *best = &chosen->trials[first];
    size_t i = first;
    for (; i < chosen->n_trials && same_step(&chosen->trials[i], &chosen->trials[first]); i++) {
        if (chosen->trials[i].parts.objective > best->parts.objective) {
            best = &chosen->trials[i];
        }
    }
    *next = i;
    return best;
}

/* What gives the chosen set again, for a shell. */
static void write_options(char out[OPTIONS_SIZE], const struct steering *steering) {
    static const char *const rows[] = {"all", "prompt", "answer"};
    const struct fathom_steer_set *set = &steering->chosen.set;
    size_t n = 0;
    for (size_t i = 0; i < set->n_features; i++) {
        n += (size_t)snprintf(out + n, OPTIONS_SIZE - n, "--feature %u=%.4g ", set->features[i],
                              (double)set->weights[i]);
    }
    n += (size_t)snprintf(out + n, OPTIONS_SIZE - n, "--strength 1");
    if (set->first_layer >= 0) {
        n += (size_t)snprintf(out + n, OPTIONS_SIZE - n, " --layers %d-%d", set->first_layer, set->last_layer);
    }
    if (steering->subject.mode == FATHOM_STEER_ADD) {
        n += (size_t)snprintf(out + n, OPTIONS_SIZE - n, " --mode add");
    }
    if (steering->setting.rows != FATHOM_STEER_ALL) {
        snprintf(out + n, OPTIONS_SIZE - n, " --rows %s", rows[steering->setting.rows]);
    }
}

void steer_choice_print(const struct steering *steering) {
    const struct fathom_steer_chosen *chosen = &steering->chosen;
    char options[OPTIONS_SIZE];
    cli_print_bold(stdout, "Features chosen");
    printf(" out of %zu settings, by the log probability of a token of the wanted answers, less what the plain "
           "answers lost beyond the tolerance\n",
           chosen->n_trials);
    puts("layers step      wanted    lost objective  features");
    printf("       plain   ");
    print_parts(&chosen->before);
    putchar('\n');
    for (size_t i = 0; i < chosen->n_trials;) {
        const struct fathom_steer_choice_trial *best = best_of_step(&i, chosen, i);
        steer_range_print((struct fathom_layer_range){best->set.first_layer, best->set.last_layer});
        printf("  %s ", best->refinement ? "refined" : "added  ");
        print_parts(&best->parts);
        print_set(&best->set);
    }
    printf("       chosen  ");
    print_parts(&chosen->after);
    print_set(&chosen->set);
    printf("       control ");
    print_parts(&chosen->control_parts);
    print_set(&chosen->control);
    write_options(options, steering);
    printf("Again: %s\n\n", options);
}

static json_t *parts_json(const struct fathom_steer_parts *parts) {
    return json_pack("{s:f, s:f, s:f, s:f}", "wanted", parts->wanted, "plain", parts->plain, "lost", parts->lost,
                     "objective", parts->objective);
}

static json_t *set_json(const struct fathom_steer_set *set) {
    json_t *features = json_array();
    for (size_t i = 0; i < set->n_features; i++) {
        json_array_append_new(features, json_pack("{s:I, s:f}", "feature", (json_int_t)set->features[i], "weight",
                                                  (double)set->weights[i]));
    }
    return json_pack("{s:o, s:o}", "layers", steer_range_json(set->first_layer, set->last_layer), "features", features);
}

json_t *steer_choice_json(const struct steering *steering) {
    const struct fathom_steer_chosen *chosen = &steering->chosen;
    char options[OPTIONS_SIZE];
    json_t *trials = json_array();
    for (size_t i = 0; i < chosen->n_trials; i++) {
        const struct fathom_steer_choice_trial *trial = &chosen->trials[i];
        json_array_append_new(trials, json_pack("{s:i, s:b, s:o, s:o}", "round", (int)trial->round, "refinement",
                                                trial->refinement, "set", set_json(&trial->set), "parts",
                                                parts_json(&trial->parts)));
    }
    write_options(options, steering);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "set", set_json(&chosen->set), "before",
                     parts_json(&chosen->before), "after", parts_json(&chosen->after), "control",
                     set_json(&chosen->control), "control_parts", parts_json(&chosen->control_parts), "options",
                     options, "trials", trials);
}
