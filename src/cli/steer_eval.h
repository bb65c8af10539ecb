/* `fathom steer eval`: what is rated, and how it looks. */
#ifndef FATHOM_CLI_STEER_EVAL_H
#define FATHOM_CLI_STEER_EVAL_H

#include "steer_command.h"
#include <fathom/judge.h>

enum { STEER_MOST_METHODS = 6 };

/* One way to steer, and how it is rated. */
struct steer_method {
    const char *name;
    const struct steer_subject *subject; /* NULL: none */
    const char *instruction;             /* NULL: none */
    bool fixed;                          /* no strength to choose */
    float strength;
    struct fathom_steer_rating development, rating;
    struct fathom_answers answers; /* to the held-out questions, a question's seeds together */
    double (*points)[3];           /* of each: concept, instruction, fluency */
};

struct steer_evaluation {
    const struct cli_arguments *arguments;
    struct concept_file file;
    fathom_concept *concept;
    struct steer_subject subject, control, means, random;
    bool controlled;
    struct steer_setting setting;
    struct fathom_steer_asking asking;
    char *instruction;
    fathom_steer_rater *development, *test;
    fathom_judge *judge; /* NULL: the rules */
    struct steer_method methods[STEER_MOST_METHODS];
    size_t n_methods, subject_method;
    /* Progress, in answers. */
    uint64_t done, total;
    double started;
    const char *doing;
};

/* Prints everything, as text or JSON; an exit status. */
int steer_eval_show(const struct steer_evaluation *evaluation);

#endif
