/* Conditional steering: which layer, level and side of it tell prompts of a kind from others (Lee et al. 2024, CAST).
 *
 * A direction is learned at every layer from the first prompts of each class, and every other prompt gets a level there:
 * the mean over its rows of the condition's measure, which is what a plan's condition `over prompt` goes by. At each
 * layer all levels between two neighbouring prompts' are tried, above and below, and the one of highest F1 is kept, in
 * the middle of its gap; the best layer is the one of highest F1, and among equals the one whose gap is widest, counted
 * in standard deviations of the levels there. A level that lets every prompt or none pass is not tried.
 *
 * Beside it stands what F1 alone reaches without knowing anything: a condition that is always on, and the same search
 * with labels that were shuffled, learning, choosing and testing alike.
 *
 * The paper's own code chooses on the prompts that its direction was learned from, takes the cosine of the mean row
 * instead of the mean of the rows' cosines, and tries levels in steps of 0.01.
 */
#ifndef FATHOM_CAST_H
#define FATHOM_CAST_H

#include <fathom/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_cast_search {
    const struct fathom_texts *texts; /* questions, all of them labelled */
    size_t n_train;                   /* the first of each class make the directions; at least 2 of each remain */
    const struct fathom_texts *test;  /* others, on which the best is judged once; NULL: none */
    struct fathom_prompt_style style;
    enum fathom_direction_method method; /* the paper's is FATHOM_DIRECTION_COMPONENT */
    enum fathom_steer_measure measure;   /* the paper's is FATHOM_STEER_CAST */
    enum fathom_hook_kind kind;          /* of the rows that are read */
    int32_t first_layer, last_layer;     /* inclusive; negative counts from the end */
    uint32_t n_shuffles;                 /* 0: none, and their figures are not numbers */
    uint64_t seed;                       /* of the shuffles */
    fathom_progress_fn progress;
    void *payload;
};

/* A condition at one layer. */
struct fathom_cast_point {
    int32_t layer;
    float level;
    bool below; /* on where a prompt's level is < `level`; else where it is >= */
    double f1;  /* not a number where all prompts have one level */
    double auroc;
    double margin; /* width of the gap around the level, in standard deviations of the levels */
    struct fathom_counts counts;
};

/* F1 of a search with shuffled labels: mean and highest. */
struct fathom_cast_chance {
    double mean, highest;
};

struct fathom_cast {
    struct fathom_direction direction; /* of all layers searched, as fathom_direction_learn's */
    struct fathom_cast_point *points;  /* one a layer, in order; owned */
    size_t n_points, best;
    double always;                    /* F1 of a condition that is always on, on the prompts that chose */
    struct fathom_cast_chance chance; /* on them */
    struct fathom_cast_point test;    /* the best on the test texts; its figures are not numbers without any */
    double test_always;
    struct fathom_cast_chance test_chance;
};
#define FATHOM_CAST_INIT                                                                                               \
    { 0 }
FATHOM_API void fathom_cast_free(struct fathom_cast *cast);

/* Errors: ARGUMENT (too few prompts of a class, a prompt without a label, layers), UNSUPPORTED (no rows of one width
 * there), NUMERIC (nothing tells the classes apart), those of chat templates and sessions, STOPPED. */
FATHOM_API int fathom_cast_find(struct fathom_cast *out, const fathom_model *model,
                                const struct fathom_cast_search *search);

/* The best as a condition of an edit, over the prompt: it acts on the answer. It points into `cast`. */
FATHOM_API struct fathom_steer_condition fathom_cast_condition(const struct fathom_cast *cast,
                                                               enum fathom_steer_measure measure);

#ifdef __cplusplus
}
#endif
#endif
