/* Prompts of two kinds, their levels along directions, and where between them a condition goes. */
#ifndef FATHOM_STEER_CAST_H
#define FATHOM_STEER_CAST_H

#include "detect/read.h"
#include <fathom/cast.h>

/* Prompts as tokens, and what each is. */
struct fathom__cast_prompts {
    struct fathom__tokens tokens;
    int8_t *labels; /* [tokens.n] */
    size_t label_capacity, token_capacity, length_capacity;
};
void fathom__cast_prompts_free(struct fathom__cast_prompts *prompts);
/* Appends a question as a prompt. */
int fathom__cast_prompts_add(struct fathom__cast_prompts *prompts, const fathom_model *model,
                             const struct fathom_prompt_style *style, const char *question, int8_t label);

/* One level a prompt, layer and direction: the mean over the rows that a condition reads; NaN where it reads none.
 * out [n_directions, layers, prompts]. All directions are of one range of layers. */
int fathom__cast_levels(float *out, const fathom_model *model, const struct fathom__cast_prompts *prompts,
                        const struct fathom_direction *directions, size_t n_directions,
                        const struct fathom_cast_search *search);

/* The best condition between n levels (its layer is left alone). f1 is NaN where all levels are one. */
int fathom__cast_choose(struct fathom_cast_point *out, const float *levels, const int8_t *labels, size_t n);
/* Counts and F1 of a condition on other levels; its auroc is theirs, and not a number where one is missing or the
 * classes are not both there. */
int fathom__cast_judge(struct fathom_cast_point *point, const float *levels, const int8_t *labels, size_t n);
/* F1 of a condition that is always on. */
double fathom__cast_always(const int8_t *labels, size_t n);

#endif
