/* Steering: making a model do more or less of something, finding what to turn and how far, and measuring what it costs.
 *
 * With a dictionary of input scale s, decoder direction d_i and activation f_i(x) of feature i, a row x of the residual
 * stream becomes
 *
 *   clamp    x + (c - f_i(x)) · d_i / s        f_i becomes c, the part of x that the dictionary does not explain is
 *            kept (Templeton et al. 2024)
 *   add      x + a · d_i / s                   a more than there was
 *   ablate   x - f_i(x) · d_i / s              clamp to 0
 *   direction x + g · m · v                    a unit vector v, in multiples g of the median row norm m at that layer
 *
 * All activations of one hook point are read before any of its edits is made. Over n layers a clamp, an add or a
 * direction takes the n-th part at each (a clamp reads f_i with the same encoder at each of them), an ablation the
 * whole at each. Rows that a dictionary does not cover are neither encoded nor edited; a direction leaves out position
 * 0 and rows longer than ten times the median. An edit of size zero writes nothing.
 */
#ifndef FATHOM_STEER_H
#define FATHOM_STEER_H

#include <fathom/catalogue.h>
#include <fathom/detect.h>
#include <fathom/dictionary.h>
#include <fathom/error.h>
#include <fathom/hook.h>
#include <fathom/model.h>
#include <fathom/progress.h>
#include <fathom/session.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Directions ---------------------------------------------------------------------------------------------- */

/* A unit vector at each layer of a range, and how long rows usually are there. */
struct fathom_direction {
    enum fathom_hook_kind kind;
    int32_t first_layer, last_layer; /* inclusive */
    size_t width;
    float *vectors;      /* [layers, width], unit length, owned */
    float *lengths;      /* [layers]: length before it was made a unit vector, owned */
    float *median_norms; /* [layers]: median Euclidean norm of the rows past position 0, owned */
};
#define FATHOM_DIRECTION_INIT                                                                                          \
    { 0 }
FATHOM_API void fathom_direction_free(struct fathom_direction *direction);

/* Difference of means at every layer of the range: mean over the positive texts of a text's mean row, minus the same
 * over the negative ones (texts carry their labels). Outlier rows are left out. Errors: ARGUMENT (a class is empty,
 * layers), NUMERIC (the means are equal), those of sessions. */
FATHOM_API int fathom_direction_contrast(struct fathom_direction *out, const fathom_model *model,
                                         const struct fathom_texts *texts, enum fathom_hook_kind kind,
                                         int32_t first_layer, int32_t last_layer);

enum fathom_direction_method {
    FATHOM_DIRECTION_MEANS = 0, /* the difference of the classes' means */
    FATHOM_DIRECTION_COMPONENT, /* the first principal component of the differences of pairs (as llama.cpp's generator) */
    FATHOM_DIRECTION_LOGISTIC   /* the slope of a logistic regression on standardised rows */
};
/* The same by another method, or by the texts' last rows, at all layers in one pass over the texts. Pairs are the first
 * positive and the first negative text, the second ones, and so on. lengths are how far apart the means are along the
 * vector, which points to the positive texts. Errors: as above; ARGUMENT (a component of unequal classes). */
FATHOM_API int fathom_direction_learn(struct fathom_direction *out, const fathom_model *model,
                                      const struct fathom_texts *texts, enum fathom_direction_method method,
                                      enum fathom_pool pool, enum fathom_hook_kind kind, int32_t first_layer,
                                      int32_t last_layer);

/* Reads a direction from a safetensors file: its only tensor (or the one named "direction"), [width] for all layers of
 * the range or [layers, width]. Norms are measured on `texts` (NULL: a few sentences of Fathom's own). Errors: IO,
 * FORMAT, NUMERIC (not finite, all zero), MISMATCH (width). */
FATHOM_API int fathom_direction_open(struct fathom_direction *out, const fathom_model *model, const char *path,
                                     enum fathom_hook_kind kind, int32_t first_layer, int32_t last_layer,
                                     const struct fathom_texts *texts);

/* Writes it as tensor "direction" f32 [layers, width], with hook points, layers and model identity as metadata. */
FATHOM_API int fathom_direction_write(const struct fathom_direction *direction, const fathom_model *model,
                                      const char *path);

/* llama.cpp's control vectors: GGUF with a tensor "direction.N" [width] for what is added to the end of layer N, from 1
 * on. Opening gives resid_post over the layers from the first tensor to the last, with the vectors' own lengths (0 where
 * a layer between has none) and median norms of 0. Errors: IO, FORMAT, NUMERIC (not finite), MISMATCH (width, layers,
 * architecture). */
FATHOM_API int fathom_direction_open_control_vector(struct fathom_direction *out, const fathom_model *model,
                                                    const char *path);
/* Writes `strength` times median norm times vector a layer; strength 0: the vectors at their own lengths. Errors:
 * ARGUMENT (not resid_post, layer 0, a strength that is not finite), IO. */
FATHOM_API int fathom_direction_write_control_vector(const struct fathom_direction *direction,
                                                     const fathom_model *model, const char *path, float strength);

/* The control: one random unit vector at the same layers with the same norms. */
FATHOM_API int fathom_direction_random(struct fathom_direction *out, const struct fathom_direction *like,
                                       uint64_t seed);

/* Plans --------------------------------------------------------------------------------------------------- */

/* Features and directions clamped, added and ablated. plan.h has the other edits, conditions and plans in files. */
typedef struct fathom_steer fathom_steer; /* a list of edits; must not change while it is attached */

enum fathom_steer_mode { FATHOM_STEER_CLAMP = 0, FATHOM_STEER_ADD, FATHOM_STEER_ABLATE };
/* Thinking is what an answer has between <think> and </think>, both in the prompt or in the answer; the reply is the
 * rest of the answer. */
enum fathom_steer_rows {
    FATHOM_STEER_ALL = 0,
    FATHOM_STEER_PROMPT,
    FATHOM_STEER_ANSWER,
    FATHOM_STEER_THINKING,
    FATHOM_STEER_REPLY
};

struct fathom_steer_feature {
    const fathom_dictionary *dictionary; /* borrowed while the plan lives */
    uint32_t feature;
    enum fathom_steer_mode mode;
    float value; /* c or a, in the dictionary's units (strength × the feature's maximum); not used by ablate */
    bool spread; /* over first_layer … last_layer at the same kind of hook point; else at the dictionary's own */
    int32_t first_layer, last_layer; /* inclusive; negative counts from the end */
    enum fathom_steer_rows rows;
};

FATHOM_API int fathom_steer_open(fathom_steer **out, const fathom_model *model);
FATHOM_API void fathom_steer_close(fathom_steer *plan);
/* Errors: NOT_FOUND (feature), MISMATCH (a dictionary of another model), ARGUMENT (layers, a value that is not finite),
 * UNSUPPORTED (clamp or ablate with a dictionary that reads at one point and writes at another). */
FATHOM_API int fathom_steer_add_feature(fathom_steer *plan, const struct fathom_steer_feature *edit);
/* The vectors are copied. `strength` is g, the whole of it; each of the n layers gets g / n. */
FATHOM_API int fathom_steer_add_direction(fathom_steer *plan, const struct fathom_direction *direction, float strength,
                                          enum fathom_steer_rows rows);
/* Edits in the plan, one a layer and feature or direction. */
FATHOM_API size_t fathom_steer_count(const fathom_steer *plan);

typedef struct fathom_steering fathom_steering; /* a plan in force on a session */
/* Every decode of the session is edited from now on. `plan` is borrowed. */
FATHOM_API int fathom_steer_attach(fathom_steering **out, fathom_session *session, const fathom_steer *plan);
/* Tells where a sequence's prompt ends: rows at positions < n_prompt are the prompt. Without it all rows are the
 * prompt. */
FATHOM_API int fathom_steering_prompt(fathom_steering *steering, int32_t sequence, int32_t n_prompt);
/* Rows edited and rows left alone (not covered, wrong part of the text, no change) so far. NULL allowed. */
FATHOM_API void fathom_steering_rows(uint64_t *edited, uint64_t *left, const fathom_steering *steering);
FATHOM_API void fathom_steer_detach(fathom_steering *steering);

/* Features ------------------------------------------------------------------------------------------------ */

/* What a feature does over some texts. */
struct fathom_feature_measure {
    float maximum; /* largest activation; 0: never active */
    float density; /* share of the covered rows where it is active */
    float decoder_norm;
};
/* Measures all features of a dictionary over texts: out is [n_features], new (fathom_free). texts NULL: a few sentences
 * of Fathom's own. */
FATHOM_API int fathom_feature_measure_all(struct fathom_feature_measure **out, const fathom_dictionary *dictionary,
                                          const fathom_model *model, const struct fathom_texts *texts);

/* The same out of a catalogue, whose corpus is larger than any few texts. */
FATHOM_API int fathom_feature_measure_catalogue(struct fathom_feature_measure **out,
                                                const fathom_dictionary *dictionary, const fathom_catalogue *catalogue);

/* The control for a feature: another one that is alive and as nearly as possible as active (density, maximum) with a
 * decoder of the same norm. One of the 16 nearest in these three, drawn by seed. `avoid` are features not to take
 * (NULL allowed). Errors: NOT_FOUND when no other feature is alive. */
FATHOM_API int fathom_feature_control(uint32_t *out, const struct fathom_feature_measure *measures, size_t n_features,
                                      uint32_t feature, const uint32_t *avoid, size_t n_avoid, uint64_t seed);

/* Concepts ------------------------------------------------------------------------------------------------ */

/* What counts as speaking of the concept: words and phrases, matched as whole words whatever their case, or "/…/": a
 * POSIX extended regular expression. */
typedef struct fathom_concept fathom_concept;
FATHOM_API int fathom_concept_open(fathom_concept **out, const fathom_model *model, const char *const *words,
                                   size_t n_words);
FATHOM_API void fathom_concept_close(fathom_concept *concept);
/* Mentions in a text that do not overlap. */
FATHOM_API size_t fathom_concept_mentions(const fathom_concept *concept, const char *text);

struct fathom_steer_candidate {
    uint32_t feature;
    float positive_mean, negative_mean; /* mean over texts of the mean activation over their covered rows */
    double auroc;                       /* positives against negatives, by a text's largest activation */
    float maximum;                      /* largest activation in these texts */
    /* rise of the concept's first tokens' probability after neutral prompts when 10 × maximum is added (Arad et al.
     * 2025); not a number before it was measured */
    double output_score;
    double best_rank; /* mean rank of the best concept token then; 0: the likeliest */
    /* Arad et al.'s output score, which knows of no concept: whether the feature says what its decoder points to. Of the
     * 20 output tokens that it raises most the likeliest, by (1 - rank / vocabulary) · probability, the rank from 0; with
     * 10 × maximum added less without, mean over the neutral prompts. Not a number before it was measured, and of
     * dictionaries that do not write to the residual stream. */
    double raised_score;
};
/* Features for a concept: the `n_measured` of largest positive_mean - negative_mean are measured by output score and
 * come first, by that score; they need a concept with a word that is no regular expression (ARGUMENT), which may be NULL
 * where none is measured; *out is new (fathom_free) and has *n <= most entries. Texts carry their labels;
 * negatives should be near misses (other landmarks for a landmark). */
FATHOM_API int fathom_steer_candidates(struct fathom_steer_candidate **out, size_t *n, const fathom_model *model,
                                       const fathom_dictionary *dictionary, const struct fathom_texts *texts,
                                       const fathom_concept *concept, size_t n_measured, size_t most);

/* Answers ------------------------------------------------------------------------------------------------- */

/* How a question becomes a prompt. */
struct fathom_prompt_style {
    bool chat;                 /* as the user's turn of a chat, by the model's own template */
    const char *chat_template; /* instead of the model's own; NULL */
    const char *prefix;        /* not chat: before the question, such as a few questions with answers; NULL: "" */
    const char *suffix;        /* not chat: after it, such as "\nA:"; NULL: "" */
    const char *stop;          /* an answer ends before this text; NULL: at the end token or the length only */
};
#define FATHOM_PROMPT_STYLE_INIT                                                                                       \
    { 0 }
/* New tokens (fathom_free). */
FATHOM_API int fathom_prompt_tokens(int32_t **out, size_t *n, const fathom_model *model,
                                    const struct fathom_prompt_style *style, const char *question);

/* Figures of answers, each a mean over answers; logarithms are natural. */
struct fathom_steer_score {
    size_t n_answers;
    double mention_rate; /* share of the answers that mention the concept */
    double mentions_per_100_words;
    /* log of the probability of the concept's first tokens, mean over the answer's positions, under the steered
     * model */
    double concept_log_probability;
    double repetition;             /* share of the answer's 4-grams of tokens that occurred in it before */
    double distinct_1, distinct_2; /* distinct 1- and 2-grams over all of them */
    double log_probability;        /* of a token of the answer under the model without steering */
    /* log p(answer | its question) - mean log p(answer | the four questions after it, or as many as there are), a token,
     * without steering */
    double relevance;
    /* The three parts of the objective, each in 0 … 1, against the plain answers to the same questions: */
    double concept_part;   /* mention_rate */
    double fluency_part;   /* (1 - repetition) · exp(min(0, (log_probability - plain) / 2)) */
    double relevance_part; /* relevance over the plain answers' relevance, cut to 0 … 1 */
    double objective;      /* harmonic mean of the three; 0 where one is 0 */
};

struct fathom_steer_asking {
    const char *const *questions;
    size_t n_questions;        /* at least 1 */
    const char *const *others; /* further questions, which nobody answers: relevance compares with them as well */
    size_t n_others;           /* 0 with a single question: four of Fathom's own */
    struct fathom_prompt_style style;
    uint32_t n_seeds;                /* answers a question; 0: 1 */
    uint32_t max_new;                /* 0: 48 */
    struct fathom_sampling sampling; /* its seed is the first; temperature 0 answers greedily */
    fathom_progress_fn progress;     /* after every few answers; NULL: none. A search has its own instead */
    void *payload;
};

struct fathom_answers {
    size_t n;     /* questions × seeds, a question's seeds together */
    char **texts; /* owned */
};
#define FATHOM_ANSWERS_INIT                                                                                            \
    { 0 }
FATHOM_API void fathom_answers_free(struct fathom_answers *answers);

/* Answers the questions under a plan (NULL: plainly) and measures the answers. `plain` is the score of the plain
 * answers, or NULL to measure these as the plain ones. `concept` NULL leaves the concept out (its figures are not
 * numbers and the objective is made of the other two). answers may be NULL. */
FATHOM_API int fathom_steer_ask(struct fathom_steer_score *out, struct fathom_answers *answers,
                                const fathom_model *model, const fathom_steer *plan,
                                const struct fathom_steer_asking *asking, const fathom_concept *concept,
                                const struct fathom_steer_score *plain);

/* Ratings ------------------------------------------------------------------------------------------------- */

/* Points of 0, 1 and 2 an answer, as AxBench has them (Wu et al. 2025), given by rules or by a judge:
 *
 *   concept      0 without a mention, 1 with more than 20 mentions in 100 words, else 2
 *   instruction  relevance_part: 0 in the lowest third of 0 … 1, 1 in the middle one, 2 above
 *   fluency      fluency_part likewise
 *
 * The rules know nothing of what an answer says; compare methods by them, not models or papers. */
FATHOM_API void fathom_steer_points(double out[3], const struct fathom_steer_score *score);
/* 3 / (1/C + 1/I + 1/F); 0 where one is 0. */
FATHOM_API double fathom_steer_harmonic(const double parts[3]);

struct fathom_steer_rating {
    size_t n_answers;
    double concept, instruction, fluency; /* means over answers, 0 … 2 */
    double harmonic;                      /* mean over answers of each one's harmonic mean */
    struct fathom_steer_score score;      /* of all answers together, against the plain ones */
};

typedef struct fathom_steer_rater fathom_steer_rater; /* plain answers' scores, a question each; one thread at a time */
/* Answers every question plainly, for comparison. What asking and concept point to is borrowed while it lives. Errors:
 * ARGUMENT (no question, no concept), those of fathom_steer_ask, STOPPED. */
FATHOM_API int fathom_steer_rater_open(fathom_steer_rater **out, const fathom_model *model,
                                       const struct fathom_steer_asking *asking, const fathom_concept *concept);
FATHOM_API void fathom_steer_rater_close(fathom_steer_rater *rater);

/* Gives points to an answer, on the thread that rates; points hold the rules' when it is called. Not 0: rating stops
 * with that status. */
typedef int (*fathom_steer_judge_fn)(double points[3], const char *question, const char *answer, void *payload);
/* Has a judge give the points from now on (NULL: the rules); judge.h has one behind a URL. */
FATHOM_API void fathom_steer_rater_judge(fathom_steer_rater *rater, fathom_steer_judge_fn judge, void *payload);

/* Answers under a plan (NULL: none), with an instruction before every question (NULL: none), and rates each answer, as
 * an answer to the question alone whatever was put before it. answers and points [questions × seeds][3] (concept,
 * instruction, fluency; of the caller's) may be NULL. */
FATHOM_API int fathom_steer_rater_rate(struct fathom_steer_rating *out, struct fathom_answers *answers,
                                       double (*points)[3], fathom_steer_rater *rater, const fathom_steer *plan,
                                       const char *instruction);

/* Choosing ------------------------------------------------------------------------------------------------ */

enum { FATHOM_STEER_MOST_FEATURES = 8 };

/* Features that are turned together, and how far. */
struct fathom_steer_set {
    int32_t first_layer, last_layer; /* spread over these; -1 and -1: at the dictionary's own layer */
    size_t n_features;
    uint32_t features[FATHOM_STEER_MOST_FEATURES];
    float weights[FATHOM_STEER_MOST_FEATURES]; /* multiples of the features' maxima */
};

/* A question, and an answer to it. */
struct fathom_steer_pair {
    const char *question, *answer;
};

/* Figures of a set, in nats a token of given answers, each a mean over answers. */
struct fathom_steer_parts {
    double wanted;    /* log probability of the wanted answers under the steered model */
    double plain;     /* of the plain answers */
    double lost;      /* what the plain answers lost against the model without steering; negative: they gained */
    double objective; /* wanted - 2 · max(0, lost - tolerance) */
};

struct fathom_steer_choosing {
    const fathom_dictionary *dictionary;
    const struct fathom_feature_measure *measures; /* [features of the dictionary]: their maxima, and for the control */
    const uint32_t *candidates;                    /* each once; NULL: the first of the ranking below on `texts` */
    size_t n_candidates;                           /* 0: 32 */
    const struct fathom_texts *texts;              /* labelled; not needed where candidates are given */
    const struct fathom_steer_pair *wanted;        /* answers that speak of the concept */
    size_t n_wanted;
    /* Answers as the model gives them anyway; NULL: it gives them itself, greedily, to the wanted ones' questions. */
    const struct fathom_steer_pair *plain;
    size_t n_plain;
    struct fathom_prompt_style style;
    enum fathom_steer_mode mode; /* clamp or add */
    enum fathom_steer_rows rows;
    const struct fathom_layer_range *ranges; /* each is chosen for by itself, the best counts; NULL: own layer */
    size_t n_ranges;
    uint32_t most;      /* features of a set, up to FATHOM_STEER_MOST_FEATURES; 0: 4 */
    double tolerance;   /* nats a token that plain answers may lose for nothing; 0: 1.2 */
    uint64_t seed;      /* of the control */
    uint32_t n_threads; /* 0: all cores; changes nothing but the time */
    bool original;      /* run the model as it is, not a derived bf16 copy: needed for one with adapters */
    fathom_progress_fn progress;
    void *payload;
};

struct fathom_steer_choice_trial {
    uint32_t round;  /* from 1: features of the set when it was tried */
    bool refinement; /* a level of the set was moved; else its last feature was tried */
    struct fathom_steer_set set;
    struct fathom_steer_parts parts;
};

struct fathom_steer_chosen {
    struct fathom_steer_set set, control; /* the control's features as active as the set's, turned as far */
    struct fathom_steer_parts before, after, control_parts;
    struct fathom_steer_choice_trial *trials; /* in the order tried, owned */
    size_t n_trials;
};
#define FATHOM_STEER_CHOSEN_INIT                                                                                       \
    { 0 }
FATHOM_API void fathom_steer_chosen_free(struct fathom_steer_chosen *chosen);

/* Chooses features that together bring the wanted answers nearest. Each round tries every candidate that is not in the
 * set yet at 0.5, 1, 1.5 and 2 times its maximum beside those that are, and keeps the best; then levels are moved to
 * 3/4 and 4/3 of what they are, the best such step first, until none gains 0.005. It ends with `most` features, or
 * when a further one gains less than 0.02. From the second round on only the 16 best candidates of the first are tried.
 *
 * Candidates that nobody gave are features that are more active on texts with the concept than on near misses, ranked
 * by the difference of their mean activations there, times the share of it in both, times their decoder's norm.
 *
 * Errors: ARGUMENT, NOT_FOUND (no candidate brings the answers nearer, no feature like a chosen one), LIMIT (more or
 * longer answers than a session holds), those of sessions and derived models, STOPPED. */
FATHOM_API int fathom_steer_choose(struct fathom_steer_chosen *out, const fathom_model *model,
                                   const struct fathom_steer_choosing *choosing);

/* Search -------------------------------------------------------------------------------------------------- */

struct fathom_layer_range {
    int32_t first, last;
};

struct fathom_steer_search {
    /* What to turn: features of a dictionary with their maxima, or else a direction (its layers must hold all
     * ranges). */
    const fathom_dictionary *dictionary;
    const uint32_t *features;
    const float *maxima;
    size_t n_features;
    bool together;               /* every setting turns all of them at once; else each is tried by itself */
    enum fathom_steer_mode mode; /* clamp or add */
    const struct fathom_direction *direction;
    /* The grid. A range of -1 … -1 means the dictionary's own layer. */
    const struct fathom_layer_range *ranges;
    size_t n_ranges;
    const float *strengths; /* multiples of the maximum, or of the median norm */
    size_t n_strengths;
    struct fathom_steer_asking asking; /* development questions */
    const char *const *held_out;       /* questions that the choice does not see; NULL: none */
    size_t n_held_out;
    const fathom_concept *concept;
    uint32_t n_refine; /* afterwards, halvings of the strength step around the best */
    fathom_progress_fn progress;
    void *payload;
};

struct fathom_steer_trial {
    bool has_feature;
    uint32_t feature; /* the first where they are turned together */
    int32_t first_layer, last_layer;
    float strength;
    struct fathom_steer_score score;
};

struct fathom_steer_found {
    struct fathom_steer_score plain;   /* development questions, unsteered */
    struct fathom_steer_trial *trials; /* in the order tried, owned */
    size_t n_trials, best;
    struct fathom_steer_score held_out_plain,
        held_out; /* the best setting once, on the held-out questions with other seeds */
    bool has_held_out;
};
#define FATHOM_STEER_FOUND_INIT                                                                                        \
    { 0 }
/* Tries every setting of the grid and refines the best. The same seed gives the same trials. Errors: ARGUMENT, those of
 * sessions, STOPPED. */
FATHOM_API int fathom_steer_search(struct fathom_steer_found *out, const fathom_model *model,
                                   const struct fathom_steer_search *search);
FATHOM_API void fathom_steer_found_free(struct fathom_steer_found *found);

#ifdef __cplusplus
}
#endif
#endif
