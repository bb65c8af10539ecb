/* `fathom steer` in three files: the command, its search, and how results look. */
#ifndef FATHOM_CLI_STEER_COMMAND_H
#define FATHOM_CLI_STEER_COMMAND_H

#include "steer_subject.h"

struct steering {
    const struct cli_arguments *arguments;
    struct concept_file file;
    fathom_concept *concept;
    struct steer_subject subject;
    struct steer_setting setting;
    struct fathom_steer_asking asking;
    uint64_t seed;
    const char **prompts; /* --prompt */
    size_t n_prompts;
    struct fathom_steer_found found;
    bool searched;
};

/* One kind of answer. */
struct spoken {
    struct fathom_answers answers;
    struct fathom_steer_score score;
};

/* Searches layers and strength as the options say, and puts the best into the setting. A fathom_status. */
int steer_command_search(struct steering *steering);

/* Prints everything, as text or JSON; random and control are NULL without a control. An exit status. */
int steer_command_show(const struct steering *steering, const struct spoken *plain, const struct spoken *steered,
                       const struct spoken *random, const struct steer_subject *control);

#endif
