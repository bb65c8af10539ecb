/* Detection: watching features and probes in a text, learning probes from labelled texts, and saying how well either
 * works.
 *
 *   texts     labelled texts out of files, with duplicates removed and leakage refused
 *   figures   AUROC with its interval, counts, a threshold for a target
 *   probes    logistic regression on pooled activations, with the controls it has to beat
 *   monitors  per-token levels of features and probes, and an alert per document
 *
 * Rows that say nothing are left out everywhere: the first position of a sequence (an attention sink, whose norm can be
 * a hundred times the others') and rows whose norm is far above the usual one. For a dictionary these are the rows it
 * does not cover; for a probe they are those at position 0 or longer than `max_norm`.
 */
#ifndef FATHOM_DETECT_H
#define FATHOM_DETECT_H

#include <fathom/catalogue.h>
#include <fathom/dictionary.h>
#include <fathom/error.h>
#include <fathom/hook.h>
#include <fathom/model.h>
#include <fathom/session.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Texts --------------------------------------------------------------------------------------------------- */

enum fathom_text_label { FATHOM_LABEL_NONE = -1, FATHOM_LABEL_NEGATIVE = 0, FATHOM_LABEL_POSITIVE = 1 };

struct fathom_texts {
    size_t n;
    char **texts;   /* zero-terminated UTF-8, owned */
    int8_t *labels; /* enum fathom_text_label */
    size_t text_capacity, label_capacity;
};
#define FATHOM_TEXTS_INIT                                                                                              \
    { 0 }
FATHOM_API void fathom_texts_free(struct fathom_texts *texts);
FATHOM_API int fathom_texts_append(struct fathom_texts *texts, const char *text, size_t length,
                                   enum fathom_text_label label);

/* Appends a file's texts. A name that ends in ".jsonl" is JSONL with "text" and optionally "label" (true, false, 1 or
 * 0); anything else is plain text with one text a line. Blank lines are skipped. `label` is given to texts whose record
 * has none.
 * Errors: IO; FORMAT names file and line (invalid UTF-8, bad JSON, a missing or mistyped key, no text at all). */
FATHOM_API int fathom_texts_load(struct fathom_texts *texts, const char *path, enum fathom_text_label label);

/* Removes texts that repeat an earlier one but for case, spacing and punctuation, and counts them in *removed (NULL
 * allowed). FORMAT when the two carry different labels. */
FATHOM_API int fathom_texts_unique(size_t *removed, struct fathom_texts *texts);

/* How many texts carry a label. */
FATHOM_API size_t fathom_texts_count(const struct fathom_texts *texts, enum fathom_text_label label);

/* Figures ------------------------------------------------------------------------------------------------- */

/* The probability that a positive scores above a negative, ties counting half (Mann-Whitney U over both counts): exact.
 * labels[i] is 1 or 0. Errors: ARGUMENT (a class is empty), NUMERIC (a score is not a number), MEMORY. */
FATHOM_API int fathom_auroc(double *out, const double *scores, const int8_t *labels, size_t n);

/* Percentile bootstrap interval of the AUROC, both classes resampled by themselves. confidence such as 0.95; resamples
 * >= 100. */
FATHOM_API int fathom_auroc_interval(double *low, double *high, const double *scores, const int8_t *labels, size_t n,
                                     double confidence, uint32_t resamples, uint64_t seed);

struct fathom_counts {
    uint64_t true_positive, false_positive, true_negative, false_negative;
};
/* Counts with an alert where score >= level; a score that is not a number never alerts. Texts without a label are not
 * counted. */
FATHOM_API void fathom_count_alerts(struct fathom_counts *out, const double *scores, const int8_t *labels, size_t n,
                                    double level);
/* Mean of recall and specificity; not a number where a class is empty. */
FATHOM_API double fathom_balanced_accuracy(const struct fathom_counts *counts);

struct fathom_threshold {
    double level;  /* alert where score >= level */
    double recall; /* on the data it was chosen on */
    double false_positive_rate;
    struct fathom_counts counts;
};
/* A false-positive rate t is claimed from 10 / t negatives on: 0.1 % needs 10,000. */
#define FATHOM_FALSE_POSITIVES_NEEDED 10
/* Chooses a level on development data. target 0: the one of best balanced accuracy (in the middle of the widest gap
 * that has it). 0 < target < 1:
 * the lowest level whose false-positive rate is at most target; refused with LIMIT where there are fewer than 10 /
 * target negatives.
 * Errors: ARGUMENT, LIMIT, NUMERIC, MEMORY. */
FATHOM_API int fathom_threshold_choose(struct fathom_threshold *out, const double *scores, const int8_t *labels,
                                       size_t n, double target);

/* Probes -------------------------------------------------------------------------------------------------- */

typedef struct fathom_probe fathom_probe; /* immutable once made; may be used from several threads */

enum fathom_pool {
    FATHOM_POOL_MEAN = 0, /* mean over a text's rows */
    FATHOM_POOL_LAST      /* the last row */
};

struct fathom_probe_info {
    const char *path;           /* "" for one that was not opened from a file */
    const char *hook;           /* full hook name */
    const char *model_identity; /* source identity of the model */
    const char *model_name;
    enum fathom_pool pool;
    uint32_t d_in;
    float max_norm;        /* longer rows are left out */
    double threshold;      /* of the score, chosen on cross-validated scores of the training texts */
    double regularisation; /* liblinear's C, chosen by cross-validated AUROC */
    double cross_validated_auroc;
    uint32_t n_positive, n_negative; /* training texts */
    uint32_t n_duplicates;           /* training texts left out as repeats */
    uint32_t n_shuffled;             /* probes trained on shuffled labels that it carries */
    uint64_t seed;
};

struct fathom_probe_options {
    const char *hook; /* name or alias; required */
    enum fathom_pool pool;
    double regularisation; /* C; 0: chosen from 0.001, 0.01, 0.1, 1 and 10 by cross-validation */
    double target;         /* false-positive rate for the threshold, as fathom_threshold_choose */
    uint64_t seed;         /* folds and shuffles */
};
#define FATHOM_PROBE_OPTIONS_INIT                                                                                      \
    { 0 }

/* Trains L2-regularised logistic regression (liblinear) on pooled activations standardised by the training texts' mean
 * and deviation, together with what it must be compared with: 20 probes trained on shuffled labels and the same
 * regression on the texts' bags of tokens.
 * Errors: ARGUMENT (fewer than 10 texts of a class, a text of one token), FORMAT (a text with both labels), NUMERIC,
 * those of hooks and sessions. */
FATHOM_API int fathom_probe_train(fathom_probe **out, const fathom_model *model, const struct fathom_texts *texts,
                                  const struct fathom_probe_options *options);
FATHOM_API void fathom_probe_close(fathom_probe *probe);
FATHOM_API const struct fathom_probe_info *fathom_probe_describe(const fathom_probe *probe);

/* One GGUF file, written whole or not at all. It holds no text, only 32-bit hashes of the training texts' word pairs
 * (for the leakage check). */
FATHOM_API int fathom_probe_write(const fathom_probe *probe, const char *path);
/* Errors: IO, FORMAT (file, key, what was expected), NUMERIC (a weight that is not finite). */
FATHOM_API int fathom_probe_open(fathom_probe **out, const char *path);

/* Whether the probe belongs to this model or one derived from it: OK, or MISMATCH with both names and identities. *hook
 * (NULL allowed). */
FATHOM_API int fathom_probe_match(struct fathom_hook *hook, const fathom_probe *probe, const fathom_model *model);

/* Score of one activation row: the log-odds w · (x - mean) / sd + b. */
FATHOM_API double fathom_probe_row_score(const fathom_probe *probe, const float *row);

/* Scores of texts, pooled as in training; out[i] is not a number for a text that leaves no row. */
FATHOM_API int fathom_probe_score(double *out, const fathom_probe *probe, const fathom_model *model,
                                  const struct fathom_texts *texts);

struct fathom_probe_report {
    size_t n_positive, n_negative;
    size_t n_duplicates;                 /* test texts left out: repeats of one another or of a training text */
    double auroc, auroc_low, auroc_high; /* 95 % bootstrap interval */
    double accuracy, balanced_accuracy;  /* at the probe's own threshold */
    struct fathom_counts counts;
    double shuffled_mean, shuffled_highest; /* AUROC of the probes trained on shuffled labels */
    size_t n_shuffled;
    double bag_of_words;                            /* AUROC of the same regression on token ids */
    double length;                                  /* AUROC of the number of tokens, either way round */
    double random_mean, random_p95, random_highest; /* AUROC of random directions, either way round */
    size_t n_random;
    double random_reaching; /* share of the random directions that reach the probe's AUROC */
    size_t n_decoys;
    double decoy_alerts; /* share of the decoys that alert; not a number without decoys */
};
struct fathom_probe_evaluation {
    const struct fathom_texts *decoys; /* near misses that should not alert; labels are ignored; NULL: none */
    size_t n_random;                   /* 0: 1000 */
    uint64_t seed;
};
#define FATHOM_PROBE_EVALUATION_INIT                                                                                   \
    { 0 }
/* Evaluates on texts that the probe never saw. Exact repeats of training texts are counted and left out; a
 * near-duplicate (half or more of the word pairs shared) is refused with MISMATCH and the text's number. *scores
 * (new, fathom_free; NULL allowed) gets a score a given text, not a number where it was left out. */
FATHOM_API int fathom_probe_evaluate(struct fathom_probe_report *out, double **scores, const fathom_probe *probe,
                                     const fathom_model *model, const struct fathom_texts *texts,
                                     const struct fathom_probe_evaluation *options);

/* Monitors ------------------------------------------------------------------------------------------------ */

typedef struct fathom_monitor fathom_monitor; /* one thread at a time */

/* How a document's level is made of its tokens' levels. */
#define FATHOM_WINDOW_DOCUMENT UINT32_MAX
struct fathom_watch {
    const fathom_dictionary *dictionary; /* a feature of it … */
    uint32_t feature;
    const fathom_probe *probe; /* … or a probe; the other NULL. Borrowed while the monitor lives */
    double above;              /* alert where the document's level >= above */
    /* 0 or 1: the largest token level; n: the largest mean of n tokens in a row (of all where there are fewer);
     * FATHOM_WINDOW_DOCUMENT: the mean of all */
    uint32_t window;
    const char *name; /* shown in results; NULL: made of the number or the hook. Copied */
};

FATHOM_API int fathom_monitor_open(fathom_monitor **out, const fathom_model *model);
FATHOM_API void fathom_monitor_close(fathom_monitor *monitor);
/* Errors: ARGUMENT (neither or both of dictionary and probe, `above` not finite), NOT_FOUND (no such feature), MISMATCH
 * (made on another model). */
FATHOM_API int fathom_monitor_add(fathom_monitor *monitor, const struct fathom_watch *watch);
FATHOM_API size_t fathom_monitor_count(const fathom_monitor *monitor);
/* Borrowed. NULL when index is out of range. */
FATHOM_API const struct fathom_watch *fathom_monitor_at(const fathom_monitor *monitor, size_t index);
/* Changes the level of a watch, after it was chosen on development data. */
FATHOM_API int fathom_monitor_set_level(fathom_monitor *monitor, size_t index, double above);

/* What a monitor says of one document. All borrowed during the callback. */
struct fathom_reading {
    size_t text; /* its number */
    size_t n_tokens;
    const int32_t *tokens;
    const float *levels;    /* [watches, n_tokens]; not a number where a probe reads nothing */
    const double *document; /* [watches]: levels of the document; not a number where nothing was read */
    const bool *alerts;     /* [watches] */
    bool alert;             /* any of them */
};
/* Non-zero stops: a fathom_status is returned as it is, anything else as STOPPED. */
typedef int (*fathom_reading_fn)(const struct fathom_reading *reading, void *payload);

/* Reads texts, several in one batch, in order. Texts longer than the trained context (at most 2048 tokens) are read in
 * windows that begin afresh. */
FATHOM_API int fathom_monitor_run(fathom_monitor *monitor, const struct fathom_texts *texts, fathom_reading_fn fn,
                                  void *payload);

/* A feature judged as a watch. */
struct fathom_watch_candidate {
    uint32_t feature;
    double auroc;                      /* by a text's largest activation */
    struct fathom_threshold threshold; /* of best balanced accuracy */
};
/* All features that are active in labelled development texts, by balanced accuracy and then AUROC: *out is new
 * (fathom_free) and has *n <= most entries. The best of many thousand features is in part chosen by chance: judge it on
 * other texts. *by_chance (NULL allowed) gets the balanced accuracy of the best feature when the same search is done
 * on shuffled labels, a mean over five shuffles by seed. */
FATHOM_API int fathom_watch_candidates(struct fathom_watch_candidate **out, size_t *n, double *by_chance,
                                       const fathom_model *model, const fathom_dictionary *dictionary,
                                       const struct fathom_texts *texts, size_t most, uint64_t seed);

/* What a person's label of a feature is worth: how well the feature's largest activation in a text, at the level `above`
 * (in the dictionary's own units, > 0), tells texts that the label holds for from texts that it does not. *out gets
 * score (balanced accuracy), f1, precision and recall at the texts' own prevalence, n_active and n_inactive (the texts
 * of either kind) and the controls: `shuffled`, the mean balanced accuracy over 100 shuffles of the labels by seed, and
 * `single_token`, that of the one token whose presence tells these same texts apart best. Its text, origin and rule are
 * NULL. Choose the level on other texts than these (fathom_watch_candidates).
 * Errors: ARGUMENT (a kind is missing, a text without a label, the level), NOT_FOUND (no such feature), MISMATCH (made
 * on another model), and what the engine says. */
FATHOM_API int fathom_label_measure(struct fathom_label *out, const fathom_model *model,
                                    const fathom_dictionary *dictionary, uint32_t feature,
                                    const struct fathom_texts *texts, double above, uint64_t seed);

/* A token's level as the model runs. */
struct fathom_live_level {
    size_t watch;
    int32_t sequence, position, token;
    double level; /* the mean of the window that ends here */
    bool alert;   /* the window is full and level >= above */
};
typedef int (*fathom_live_fn)(const struct fathom_live_level *level, void *payload);
/* Watches everything that the session runs from now on, sequence by sequence: fn is called for every row that is read.
 * A sequence that starts again at position 0 starts its windows again. One session a monitor at a time; detach
 * before closing either. */
FATHOM_API int fathom_monitor_attach(fathom_monitor *monitor, fathom_session *session, fathom_live_fn fn,
                                     void *payload);
FATHOM_API void fathom_monitor_detach(fathom_monitor *monitor);

#ifdef __cplusplus
}
#endif
#endif
