/* Catalogues: what the features of a dictionary mean, in one SQLite file a model.
 *
 * A catalogue holds, for every feature of every dictionary indexed on a model: how often and how strongly it fires,
 * where it fires most (top examples) and across its range (quantile examples) with the activation of every token
 * around, a histogram, the output tokens it raises and lowers, its nearest features, and labels with their origin and
 * score. `fathom_index` builds one by a single pass over a corpus; everything else reads it.
 *
 *   fathom_locate      which dictionary and catalogue belong to a model when nobody says
 *   fathom_catalogue_open … fathom_catalogue_feature      label, maximum, density of a feature: what other rooms need
 *   fathom_catalogue_details                              all there is on one feature
 *   fathom_catalogue_search_…                             features by words, by text, by output token
 *   fathom_catalogue_label                                labels by people
 *   fathom_feature_matrix                                 a corpus's features as a sparse matrix, for work elsewhere
 *
 * An opened catalogue is bound to one dictionary. What fathom_catalogue_feature gives is held in memory and may be read
 * from several threads at once; every other function belongs to one thread at a time.
 */
#ifndef FATHOM_CATALOGUE_H
#define FATHOM_CATALOGUE_H

#include <fathom/corpus.h>
#include <fathom/dictionary.h>
#include <fathom/error.h>
#include <fathom/model.h>
#include <fathom/progress.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_catalogue fathom_catalogue;

/* Finding ------------------------------------------------------------------------------------------------ */

/* Where things lie: in the user's own folder $XDG_DATA_HOME/fathom/MODEL-IDENTITY/ as "dictionary.gguf" and
 * "catalogue.sqlite", then in every folder of the shipped "share" (named by the environment's FATHOM_SHARE, else the
 * source tree's and the installed one) under the same two names. A dictionary found so is taken only when it was
 * trained on this model or on the one that this model was derived from. */

/* The dictionary of a model: `given` when that is not NULL (a path that is opened as it stands), else the first one
 * found in the order above.
 * *out is new (fathom_free). Errors: NOT_FOUND (says where was looked and how to train or name one). */
FATHOM_API int fathom_locate_dictionary(char **out, const fathom_model *model, const char *given);

/* The catalogue that has this dictionary's features: `given` when that is not NULL, else the user's own, else
 * "catalogue.sqlite" beside the dictionary's file, else a shipped one. Errors: NOT_FOUND (says how to build one). */
FATHOM_API int fathom_locate_catalogue(char **out, const fathom_dictionary *dictionary, const char *given);

/* The same for a catalogue that is going to be changed: where only a shipped one has the dictionary it is copied to the
 * user's own place first (unless one on other dictionaries lies there already; then the shipped one it is). */
FATHOM_API int fathom_locate_writable_catalogue(char **out, const fathom_dictionary *dictionary, const char *given);

/* Where `fathom index` writes when nobody says: the user's own catalogue of the dictionary's model. The folder is made.
 * *out is new. */
FATHOM_API int fathom_catalogue_default_path(char **out, const fathom_dictionary *dictionary);

/* Opening and the few figures that every stage needs ------------------------------------------------------ */

/* Opens a catalogue for reading and loads the short record of every feature of `dictionary`, which is told by the bytes
 * of its file and need not stay open. Errors: IO, FORMAT (not SQLite, not a catalogue, damaged: names the file),
 * UNSUPPORTED (written by a newer version), NOT_FOUND (the file has nothing on this dictionary; lists those it has),
 * MISMATCH (it belongs to another model), LIMIT (locked by another process). */
FATHOM_API int fathom_catalogue_open(fathom_catalogue **out, const char *path, const fathom_dictionary *dictionary);
FATHOM_API void fathom_catalogue_close(fathom_catalogue *catalogue); /* NULL is allowed */

struct fathom_catalogue_info {
    const char *path;
    const char *model_name, *model_identity;
    const char *dictionary_name, *hook; /* hook: full name */
    const char *corpus;                 /* what it was indexed on, one line */
    uint64_t n_tokens;                  /* covered tokens seen */
    uint64_t n_documents;
    uint32_t n_features;
    uint32_t n_alive; /* features that fired at least once */
    uint32_t n_labelled;
    bool has_text; /* false: built with no_text */
};
/* Borrowed, valid as long as the catalogue. Never NULL. */
FATHOM_API const struct fathom_catalogue_info *fathom_catalogue_describe(const fathom_catalogue *catalogue);

struct fathom_feature {
    uint32_t number;
    const char *label;        /* NULL: no label holds */
    const char *label_origin; /* "offline", "user", …; NULL without a label */
    /* balanced accuracy of the label on held-out text with near misses, 0.5 is chance; NaN when it was not measured */
    float label_score;
    float max_activation; /* over the corpus, in the dictionary's own (scaled) units; 0 for one that never fired */
    float mean_active;    /* mean over the tokens where it is active */
    double density;       /* share of covered tokens where it is active */
    uint64_t count;       /* those tokens */
};
/* Borrowed, valid as long as the catalogue (labels set since it was opened do not show). NULL for a number that the
 * dictionary has not. */
FATHOM_API const struct fathom_feature *fathom_catalogue_feature(const fathom_catalogue *catalogue, uint32_t feature);

/* All there is on one feature ------------------------------------------------------------------------------ */

#define FATHOM_EXAMPLE_BEFORE 16 /* tokens of context kept on each side of an example's peak */
#define FATHOM_EXAMPLE_AFTER 16
#define FATHOM_HISTOGRAM_BINS 50
#define FATHOM_BANDS 4 /* quantile bands of activation above zero: equal quarters of (0, max] */

struct fathom_example {
    /* 0: one of the strongest (one a document, and three at most with the same tokens around the peak); 1 … FATHOM_BANDS: drawn from that quarter with chances proportional to
     * activation, lowest quarter first */
    int band;
    float value;              /* activation at the peak */
    uint64_t document;        /* number in the corpus */
    int32_t position;         /* of the peak in its sequence */
    size_t n;                 /* tokens of the window; 0 in a catalogue without text */
    size_t peak;              /* index of the peak in the window */
    const int32_t *tokens;    /* [n] */
    const float *activations; /* [n], to 1/255 of the window's largest */
};

struct fathom_effect {
    int32_t token;
    /* W_U (gain ⊙ d / |d|), centred over the vocabulary: how a unit step along the decoder direction moves the token's
     * logit before the final norm's division */
    float value;
};

struct fathom_neighbour {
    uint32_t feature;
    float cosine; /* of the decoder directions */
};

struct fathom_label {
    const char *text;
    const char *origin; /* "offline", "user", … */
    const char *rule;   /* JSON that says when the label predicts the feature to be active, or NULL */
    float score;        /* balanced accuracy on held-out text with near misses; NaN: not measured, and so the rest */
    float f1, precision, recall;   /* over all held-out tokens, at the true prevalence */
    float prevalence;              /* share of held-out tokens where the feature is active */
    float single_token;            /* balanced accuracy of the best single-token rule on the same tokens */
    float shuffled;                /* mean balanced accuracy of other features' labels on the same tokens */
    uint32_t n_active, n_inactive; /* held-out tokens it was measured on */
    /* A person's label is measured on texts, not on tokens (fathom_label_measure); its rule then names them and the level.
     * A label "… (where strong)" tells activations above half of the maximum: its score, single_token and shuffled are
     * about those, and its rule has "above": 0.5. The other figures are about all activations. */
};

struct fathom_feature_details {
    struct fathom_feature feature; /* label and origin as below: the first of labels */
    size_t n_examples, n_raised, n_lowered, n_neighbours, n_labels;
    const struct fathom_example *examples;     /* band 0 first, strongest first */
    const struct fathom_effect *raised;        /* strongest first */
    const struct fathom_effect *lowered;       /* strongest (most negative) first */
    const struct fathom_neighbour *neighbours; /* nearest first */
    const struct fathom_label *labels;         /* people's first, then by score */
    uint64_t histogram[FATHOM_HISTOGRAM_BINS]; /* of activations above zero: equal parts of (0, histogram_top] */
    float histogram_top;
};
/* *out is new: free it with fathom_feature_details_free. Errors: NOT_FOUND (number), FORMAT, IO, MEMORY. */
FATHOM_API int fathom_catalogue_details(struct fathom_feature_details **out, fathom_catalogue *catalogue,
                                        uint32_t feature);
FATHOM_API void fathom_feature_details_free(struct fathom_feature_details *details);

/* Search ----------------------------------------------------------------------------------------------------- */

struct fathom_hit {
    uint32_t feature;
    double score; /* larger is nearer; comparable within one search only */
};

/* Each writes at most `capacity` hits, best first, and their number to *n. */

/* By words of labels and of the strongest tokens (full-text search; every word must occur, its ending is free), the
 * most fitting label first; features of one label stand together, the one that the label tells best in front. Errors:
 * ARGUMENT (no word in `words`). */
FATHOM_API int fathom_catalogue_search_words(struct fathom_hit *hits, size_t *n, size_t capacity,
                                             fathom_catalogue *catalogue, const char *words);

/* By an example: which features is this text about? `features` are its encoded rows (fathom_dictionary_encode). A
 * feature's score is the sum over rows of its activation as a share of its maximum, times ln(1 / density): strong
 * and rare before weak and everywhere. */
FATHOM_API int fathom_catalogue_search_text(struct fathom_hit *hits, size_t *n, size_t capacity,
                                            const fathom_catalogue *catalogue, const struct fathom_sparse *features);

/* By output token: features that raise it (or lower it) most, among those that have it in their stored effects. */
FATHOM_API int fathom_catalogue_search_token(struct fathom_hit *hits, size_t *n, size_t capacity,
                                             fathom_catalogue *catalogue, int32_t token, bool lowered);

/* Labels by people ------------------------------------------------------------------------------------------- */

/* Sets (or with text NULL removes) the label of a feature that has this origin, such as "user". Opens the file for
 * writing; other open catalogues keep what they read. Errors: as open; ARGUMENT (empty, over 200 bytes, a line
 * break, invalid UTF-8); NOT_FOUND (number); IO (read-only file). */
FATHOM_API int fathom_catalogue_label(const char *path, const fathom_dictionary *dictionary, uint32_t feature,
                                      const char *text, const char *origin);

/* Writes beside such a label what it is worth: the figures of *measured (fathom_label_measure) and its rule (NULL or
 * JSON), not its text or origin. Another text for the label takes them away again. Errors: as above; NOT_FOUND (the
 * feature has no label of that origin); ARGUMENT (a rule that is no JSON object). */
FATHOM_API int fathom_catalogue_label_measured(const char *path, const fathom_dictionary *dictionary, uint32_t feature,
                                               const char *origin, const struct fathom_label *measured);

/* Building ----------------------------------------------------------------------------------------------------- */

struct fathom_index_options {
    uint64_t max_tokens; /* 0: the whole corpus, at most FATHOM_INDEX_TOKENS */
    uint32_t context;    /* tokens of a sequence; 0: 256 */
    uint32_t n_threads;  /* 0: all cores */
    uint32_t n_top;      /* strongest examples kept a feature; 0: 20 */
    uint32_t n_band;     /* examples kept a band; 0: 5 */
    uint64_t seed;       /* of the examples drawn at random */
    /* folder of WordNet's index.noun and data.noun (and where present those of verbs and adjectives); NULL:
     * /usr/share/wordnet. Without it labels know the word classes of grammar alone, which is no error */
    const char *wordnet;
    const char *corpus_name; /* how the corpus is described; NULL: the sources' file names */
    /* read after the corpus: counts for figures and labels (which may name words of it), but no example is taken from
     * it */
    const struct fathom_corpus_source *unquoted;
    size_t n_unquoted;
    bool no_text; /* stores neither token ids nor text, nor labels that quote the corpus: numbers only */
    bool no_labels;
    bool restart; /* start again even where a checkpoint of the same run lies */
    /* leave the finished pass beside the catalogue: the next index over the same corpus starts at the labels */
    bool keep_checkpoint;
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM_INDEX_OPTIONS_INIT                                                                                      \
    { 0 }
#define FATHOM_INDEX_TOKENS (UINT64_C(1) << 26)

/* What an offline label is made of. */
enum fathom_label_kind {
    FATHOM_LABEL_CLASS, /* words of a kind: "athletes", "verbs of motion", "forms of ‘go’" */
    FATHOM_LABEL_NAMED, /* several words or tokens, by what they share: "cities (‘Boston’, ‘Chicago’)" */
    FATHOM_LABEL_WORD,  /* one word or token */
    FATHOM_LABEL_LIST,  /* several that share nothing which has a name */
    FATHOM_LABEL_SHAPE, /* numbers, capitals, endings of words */
    FATHOM_LABEL_KINDS
};
/* "class", "named", "word", "list" or "shape". */
FATHOM_API const char *fathom_label_kind_name(enum fathom_label_kind kind);

/* Labels together: means over n of them, of figures described at struct fathom_label. */
struct fathom_label_yield {
    uint32_t n;
    double score, f1, single_token, shuffled;
};

/* What became of the features that fired: each is counted in one of n_rare, n_dense, n_no_rule, n_low_score, n_low_f1
 * and all.n. */
struct fathom_label_counts {
    uint32_t n_rare;       /* too seldom for evidence to find and to test a label with */
    uint32_t n_dense;      /* too often for a label to say anything */
    uint32_t n_candidates; /* all others: */
    uint32_t n_no_rule;    /* nothing set them apart, */
    uint32_t n_low_score; /* or what did was too inaccurate on unseen text, or no better than other features' labels, */
    uint32_t n_low_f1;    /* or fired nearly always where they do not */
    uint32_t n_distinct;  /* different labels: a dictionary may have many features for one thing */
    uint32_t n_strong;    /* of those with a label, how many have it for the upper half of their range only */
    struct fathom_label_yield all, kinds[FATHOM_LABEL_KINDS];
};

struct fathom_index_result {
    uint64_t n_tokens, n_documents; /* covered tokens; documents */
    uint64_t n_resumed;             /* tokens that an earlier, interrupted run had done */
    uint32_t n_alive;
    struct fathom_label_counts labels;
    double seconds, tokens_per_second; /* of the pass over the corpus */
    double label_seconds;              /* of making labels */
};

/* Indexes a dictionary on a corpus into the catalogue at `path` (made when missing; what it has on this dictionary is
 * replaced, on others kept; a person's labels are kept). Every fifth document is held out: labels are found on the
 * others and scored on it. The file changes in one transaction at the end (a new one is no catalogue before that, and
 * goes when the run fails); the pass saves itself to PATH.index-checkpoint every few minutes and when stopped, and goes
 * on from there. Memory: up to 13 KiB a feature, 19 bytes a token and at most 256 MiB of held-out activations.
 * Errors: those of harvest, dictionary and open; IO (disk full: the catalogue stays as it was); STOPPED. result may
 * be NULL. */
FATHOM_API int fathom_index(struct fathom_index_result *result, const char *path, const fathom_dictionary *dictionary,
                            const fathom_model *model, const struct fathom_corpus_source *sources, size_t n_sources,
                            const struct fathom_index_options *options);

/* Sparse feature matrix ----------------------------------------------------------------------------------------- */

struct fathom_matrix_options {
    uint64_t max_tokens; /* 0: the whole corpus, at most 2^31 - 1 */
    uint32_t context;    /* tokens of a sequence; 0: 256 */
    uint32_t n_threads;  /* 0: all cores */
    uint64_t seed;       /* of the corpus's interleaving */
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM_MATRIX_OPTIONS_INIT                                                                                     \
    { 0 }

/* Writes a corpus's features as a safetensors file: the matrix [tokens, features] in coordinates, i32 "rows" and
 * "columns" and f32 "values" (all [entries], by row, then column), and i32 [tokens] "tokens", "positions" (in their
 * sequences) and "documents"; as metadata "shape" ("TOKENS,FEATURES"), model, dictionary and hook. Rows that the
 * dictionary does not cover have no entries. *n_tokens and *n_entries may be NULL. Entries wait on disk beside `path`,
 * not in memory.
 * Errors: those of harvest and dictionary; IO; LIMIT. Nothing half-written is left. */
FATHOM_API int fathom_feature_matrix(uint64_t *n_tokens, uint64_t *n_entries, const char *path,
                                     const fathom_dictionary *dictionary, const fathom_model *model,
                                     const struct fathom_corpus_source *sources, size_t n_sources,
                                     const struct fathom_matrix_options *options);

#ifdef __cplusplus
}
#endif
#endif
