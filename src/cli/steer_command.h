/* `fathom steer` in five files: the command, its search, its choice of features, and how results look. */
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
    int64_t most_chosen, n_candidates, n_refine; /* --choose, --candidates, --refine */
    double strength, tolerance;
    const char **prompts; /* --prompt */
    size_t n_prompts;
    struct fathom_steer_found found;
    bool searched;
    struct fathom_steer_chosen chosen;
    bool chose;
};

/* One kind of answer. */
struct spoken {
    struct fathom_answers answers;
    struct fathom_steer_score score;
};

/* Searches layers and strength as the options say, and puts the best into the setting. A fathom_status. */
int steer_command_search(struct steering *steering);

/* Numbers with commas between them, at most STEER_MOST_STRENGTHS, appended to out. A fathom_status; `option` stands in
 * the message. */
enum { STEER_MOST_STRENGTHS = 64 };
int steer_strengths_parse(float *out, size_t *n, const char *text, const char *option);

/* Ranges such as "own,6-14" of an option, at most STEER_MOST_RANGES, appended to out. A fathom_status. */
enum { STEER_MOST_RANGES = 64 };
int steer_ranges_parse(struct fathom_layer_range *out, size_t *n, const char *text);

/* Chooses features as the options say, and puts them into the subject and the setting. A fathom_status. */
int steer_command_choose(struct steering *steering);
/* What was chosen, as text or JSON. */
void steer_choice_print(const struct steering *steering);
json_t *steer_choice_json(const struct steering *steering);

/* "6-14", or "own  ". */
void steer_range_print(struct fathom_layer_range range);
json_t *steer_range_json(int32_t first, int32_t last);

/* Prints everything, as text or JSON; random and control are NULL without a control. An exit status. */
int steer_command_show(const struct steering *steering, const struct spoken *plain, const struct spoken *steered,
                       const struct spoken *random, const struct steer_subject *control);

#endif
