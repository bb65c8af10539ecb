/* Training sparse dictionaries on a stream of activation rows.
 *
 *   loss = [ Σ|x^ - x|² + λ S ] / Σ|x - mean|²                             over the rows of a batch, in scaled units
 *        + auxiliary_coefficient · min(dead / k_aux, 1) · Σ|e^ - e|² / Σ|e - mean|²
 *
 * where e = x - x^ (held constant) and e^ is what the k_aux strongest dead features of each row make of it, so that
 * features which have stopped firing are pulled towards what is left unexplained (Gao et al. 2024). Where the
 * architecture has a sparsity loss, a dead feature's bias counts as 0 there if it is below, and comes a fiftieth nearer
 * to 0 (a threshold: falls by as much) in every such step, until the feature fires. Dead features are not resampled
 * (Bricken et al. 2023). On known features of which half of the dictionary's cannot fire at first, three seeds
 * (trainer_resampling_test):
 *
 *                           topk: recovered   FVE    dead      standard: recovered   FVE    dead
 *   nothing                       0.59       0.828   0.49                0.73       0.643   0.47
 *   auxiliary loss                0.99       0.941   0.31                1.00       0.711   0.01
 *   resampling                    0.76       0.880   0.42                0.85       0.336   0.30
 *
 * There are 64 true features for 96 learned ones: a third has nothing to do. Both were read at equal L0 (3.0; resampling
 * with standard 3.1).
 *
 * S is the architecture's sparsity loss, with d a feature's decoder row and pre as in dictionary.h:
 *   topk, batchtopk, matryoshka  none: the choice of k makes them sparse. Matryoshka has the mean over the prefixes of
 *                                groups in place of |x^ - x|² (Bussmann et al. 2024, 2025)
 *   standard                     Σ f |d| (Conerly et al., April 2024)
 *   gated                        Σ relu(u + b_gate) |d|, and beside it the error of what relu(u + b_gate) reconstructs
 *                                by a decoder held fixed (Rajamanoharan et al., April 2024)
 *   jumprelu                     L0, or (L0 / k - 1)²; the threshold's gradient by a straight-through estimator with a
 *                                rectangular kernel (Rajamanoharan et al., July 2024; Lieberum et al. 2024)
 *   jumprelu-tanh                Σ tanh(c f |d|), and μ Σ relu(threshold - pre) |d| over inactive features (Anthropic,
 *                                January 2025)
 * Unless it is given, λ is controlled so that L0 comes to k. JumpReLU's thresholds are moved for it too, all by the same part
 * of themselves (not with tanh), by a twentieth of log(L0 / k) in a step: by the learning rate's steps alone they
 * would need thousands, and meanwhile L0 would be what the encoder's growth makes of it.
 *
 * Decoder rows have length 1, unless their norms are free; the part of their gradient along themselves is removed
 * before the step, and they are brought back to length 1 after it.
 * The optimiser is Adam. A feature that got no gradient in a step is not touched in that step. When it next gets one, its
 * moments have decayed as by gradients of zero (exactly: β^n), and what they would have moved it by meanwhile is made up
 * for (a geometric sum, with the present rate): late, but rare features learn as fast as by dense Adam, which they would
 * not without. Everything else is dense Adam.
 * The dense product rounds its inputs to bf16 and sums in f32; parameters, moments, reconstructions, losses and gradients
 * are f32. Gradients are summed from inputs and errors in bf16: the inputs are those very numbers that the product read,
 * an error is rounded once after losses and slopes have been made of it. In the auxiliary loss dead features' values,
 * slopes and decoder rows are rounded to bf16 too (not a cross-layer transcoder's). Every architecture's step is sparse:
 * it costs one dense product, and a few rows for each active pair of a row and a feature. That is why biases and
 * thresholds start where L0 is low (start_l0).
 *
 * A transcoder reads rows of one hook point and reconstructs those of another; x above is then the second kind, scaled
 * by its own mean norm, and nothing trained is subtracted from what is read (its geometric median is, which
 * fathom_trainer_parts folds into the biases). Any architecture may be one.
 *
 * A crosscoder (Lindsey et al., October 2024; with BatchTopK Minder et al. 2025) is an SAE of rows of several sources,
 * hook points of one model or of two, that lie one after another; each source is scaled by its own mean norm. A decoder
 * row has length 1 over all sources together, unless norms are free, and every source's part of it any length within
 * that. |d| in the sparsity losses is the sum of the lengths of its parts, so that a feature which one source can do
 * without costs less when it has no part there. Any architecture may be one.
 *
 * A cross-layer transcoder (Ameisen et al., March 2025) has n_layers pairs of points, inputs and targets. A feature reads
 * the input of its layer l and writes the targets of that layer and all later ones:
 *
 *   a_l = activation(W_enc_l x_l + b_enc_l)        y^_t = b_dec_t + Σ over l <= t of W_dec_{l,t} a_l
 *
 * Every layer's inputs and targets are scaled by their own mean norms, and the loss is the sum over all layers. A
 * feature's decoder row is what it writes to all of them, one after another; its length is 1, and |d| in the sparsity
 * losses its length as a whole. The features of all layers compete for k. A step costs one dense product for each layer
 * and, for each active pair, rows as long as the layers that it writes (the auxiliary loss, where features are dead,
 * costs the products once more); only those rows are held, about half of what n_layers full decoders would be. Any
 * architecture without groups may be one.
 *
 * A trainer belongs to one thread at a time and uses n_threads of its own. The same seed, rows, options and n_threads
 * give the same bits, also across fathom_trainer_save and _resume.
 */
#ifndef FATHOM_TRAINER_H
#define FATHOM_TRAINER_H

#include <fathom/corpus.h>
#include <fathom/dictionary.h>
#include <fathom/error.h>
#include <fathom/progress.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_trainer fathom_trainer;

enum fathom_trainer_architecture {
    FATHOM_TRAIN_TOPK,
    FATHOM_TRAIN_BATCHTOPK,
    FATHOM_TRAIN_MATRYOSHKA, /* BatchTopK whose prefixes reconstruct by themselves */
    FATHOM_TRAIN_STANDARD,   /* ReLU + L1 */
    FATHOM_TRAIN_GATED,
    FATHOM_TRAIN_JUMPRELU,      /* with an L0 loss */
    FATHOM_TRAIN_JUMPRELU_TANH, /* with a tanh loss and a pre-activation loss */
    FATHOM_TRAIN_ARCHITECTURES
};
#define FATHOM_TRAIN_NAMES "topk|batchtopk|matryoshka|standard|gated|jumprelu|jumprelu-tanh"
#define FATHOM_TRAIN_GROUPS 8
#define FATHOM_TRAIN_SOURCES 64
#define FATHOM_TRAIN_LAYERS 256
FATHOM_API const char *fathom_trainer_architecture_name(enum fathom_trainer_architecture architecture);
/* Errors: ARGUMENT (lists the names). */
FATHOM_API int fathom_trainer_architecture_find(enum fathom_trainer_architecture *out, const char *name);

/* How the learning rate goes after its warm-up. */
enum fathom_trainer_schedule {
    FATHOM_SCHEDULE_LAST_FIFTH, /* constant, the last fifth of total_steps linearly to zero */
    FATHOM_SCHEDULE_CONSTANT,
    FATHOM_SCHEDULE_LINEAR, /* to zero over the whole run */
    FATHOM_SCHEDULE_COSINE, /* the same by half a cosine */
    FATHOM_SCHEDULES
};
#define FATHOM_TRAIN_SCHEDULES "last-fifth|constant|linear|cosine"
FATHOM_API const char *fathom_trainer_schedule_name(enum fathom_trainer_schedule schedule);
FATHOM_API int fathom_trainer_schedule_find(enum fathom_trainer_schedule *out, const char *name);

/* What is done to rows before anything else, from the rows that the trainer is prepared with. */
enum fathom_trainer_inputs {
    FATHOM_INPUTS_SCALED,       /* one number for all: √d / mean norm */
    FATHOM_INPUTS_STANDARDISED, /* each dimension divided by its standard deviation, then that number: a few dimensions of
                                 * large variance, as some models have, then count no more than others */
    FATHOM_INPUTS_WHITENED,     /* uncorrelated too, by the Cholesky factor of the correlations (shrunk by 2 %) */
    FATHOM_INPUTS
};
#define FATHOM_TRAIN_INPUTS "scaled|standardised|whitened"
FATHOM_API const char *fathom_trainer_inputs_name(enum fathom_trainer_inputs inputs);
/* Errors: ARGUMENT (lists the names). */
FATHOM_API int fathom_trainer_inputs_find(enum fathom_trainer_inputs *out, const char *name);

struct fathom_trainer_options {
    enum fathom_trainer_architecture architecture;
    uint32_t d_in, n_features;
    /* A transcoder's width of the rows that it reconstructs from those that it reads; 0: an SAE, which reconstructs what
     * it reads. The rows of a transcoder hold both, one after the other: d_in + d_out numbers. */
    uint32_t d_out;
    /* A crosscoder's sources: the width of each one's part of a row, which together are d_in; n_sources 0: an SAE or a
     * transcoder, else 2 or more */
    uint32_t sources[FATHOM_TRAIN_SOURCES], n_sources;
    /* A cross-layer transcoder's layers, 2 or more: d_in and d_out are then the widths of all layers' inputs and of all
     * targets together, which are equal, and each layer's is a multiple of 16. Rows hold the inputs of all layers, then
     * the targets. n_features are those of all layers together, as many of each: layer l has [l, l + 1) · n_features /
     * n_layers. 0: any other dictionary */
    uint32_t n_layers;
    bool skip; /* a transcoder's linear way from input to output, beside the features */
    /* active features a row: exactly (TopK), on average over the batch (BatchTopK), or what the sparsity loss's
     * coefficient is controlled for (the others) */
    uint32_t k;
    uint32_t batch;     /* most rows of a step; 0: 4096 */
    uint32_t n_threads; /* 0: all cores */
    uint64_t seed;
    double learning_rate;  /* 0: 2e-4 / sqrt(n_features / 16384) */
    uint64_t total_steps;  /* for the schedule; 0: the rate stays */
    uint32_t warmup_steps; /* the rate rises linearly; 0: the smaller of 1000 and total_steps / 20 */
    enum fathom_trainer_schedule schedule;
    uint32_t k_aux;               /* 0: the largest power of two not above d_in / 2, or half of a layer's width */
    double auxiliary_coefficient; /* 0: 1/32; negative: no auxiliary loss */
    /* rows without firing after which a feature is dead; 0: 10 million, or an eighth of total_steps * batch where that
     * is less */
    uint64_t dead_after;
    double gradient_clip; /* largest gradient norm (a second pass over the active features finds it first); 0: none */
    enum fathom_trainer_inputs inputs;
    bool no_input_scale; /* leave s at 1 */
    bool freeze_decoder; /* a control: the decoder stays the random one it started as */
    /* the part of the parameters' running mean that a step leaves, such as 0.999: evaluation and the dictionary are then
     * of the mean; 0: of the parameters themselves. What control moves thresholds by, it moves their mean by at once */
    double ema;
    bool free_norms; /* decoder rows may have any length, 0.1 to start with, and the sparsity loss counts it */

    /* Architectures with a sparsity loss --------------------------------------------------------------------- */
    /* its coefficient, in units where E|x|² = d_in; 0: it is controlled, step by step, so that L0 comes to k */
    double sparsity;
    /* steps over which the coefficient rises from 0; 0: the smaller of 1000 and total_steps / 20 */
    uint64_t sparsity_warmup;
    /* L0 that biases or thresholds are set to before the first step, by the rows that the trainer is prepared with, so
     * that it is sparse from the start; 0: 2 k; n_features / 2 or more: they are not set, and half of all features are
     * active at first */
    double start_l0;
    double bandwidth;  /* JumpReLU: width of the straight-through estimator's kernel; 0: 0.05, or 2 with tanh */
    bool quadratic_l0; /* JumpReLU: the loss is d_in (L0 / k - 1)², or `sparsity` times that; nothing is controlled */
    double tanh_scale; /* c of tanh(c f |d|); 0: 4 */
    double inactive_coefficient; /* of the pre-activation loss, with tanh; 0: 3e-6; negative: none */
    /* Matryoshka: features of each group, which together are n_features; n_groups 0: 1/32, 1/16, 1/8, 1/4, the rest */
    uint32_t groups[FATHOM_TRAIN_GROUPS], n_groups;
};
#define FATHOM_TRAINER_OPTIONS_INIT                                                                                    \
    { .k = 0 }

/* Sets what a published recipe decides: architecture, rate, schedule, clipping and losses. Errors: ARGUMENT (lists the
 * names). */
#define FATHOM_TRAIN_PRESETS "april-2024|gemma-scope|january-2025"
FATHOM_API int fathom_trainer_preset(struct fathom_trainer_options *options, const char *name);

enum fathom_trainer_part {
    FATHOM_TRAINER_ENCODE,
    FATHOM_TRAINER_SELECT,
    FATHOM_TRAINER_DECODE,
    FATHOM_TRAINER_SORT,
    FATHOM_TRAINER_AUXILIARY,
    FATHOM_TRAINER_GRADIENTS,
    FATHOM_TRAINER_OPTIMISER,
    FATHOM_TRAINER_PACK,
    FATHOM_TRAINER_PARTS
};
FATHOM_API const char *fathom_trainer_part_name(enum fathom_trainer_part part);

struct fathom_trainer_metrics {
    uint64_t step, rows;   /* after this step: steps and rows so far */
    double loss;           /* of reconstruction alone: 1 - fve; Matryoshka: the mean of the prefixes' */
    double auxiliary_loss; /* times its coefficient; 0 without dead features */
    double gate_loss;      /* gated: of what the gate reconstructs */
    double sparsity_loss;  /* times its coefficient; with tanh, with the pre-activation loss */
    double sparsity;       /* that coefficient */
    double fve;            /* 1 - Σ|x^ - x|² / Σ|x - mean|² */
    double l0;             /* mean active features a row */
    double dead_fraction;  /* at the step's beginning */
    double gradient_norm;  /* before clipping */
    double learning_rate;
    double seconds;
    double part_seconds[FATHOM_TRAINER_PARTS]; /* wall time, mean over the threads */
};

enum fathom_trainer_memory {
    FATHOM_TRAINER_MEMORY_PARAMETERS, /* weights and two moments of each */
    FATHOM_TRAINER_MEMORY_MEANS,      /* of the weights, with ema */
    FATHOM_TRAINER_MEMORY_PRODUCT, /* the encoder as the dense product reads it, in whose place the errors are after it */
    FATHOM_TRAINER_MEMORY_ROWS,  /* inputs, errors that found no room there, maps; the caller's rows are not counted */
    FATHOM_TRAINER_MEMORY_PAIRS, /* active features of rows */
    FATHOM_TRAINER_MEMORY_FEATURES, /* single numbers of features */
    FATHOM_TRAINER_MEMORY_WORKERS,  /* the threads' scratch */
    FATHOM_TRAINER_MEMORY_AUXILIARY, /* what dead features need beside what other parts lend: 0 as long as there are none */
    FATHOM_TRAINER_MEMORIES
};
FATHOM_API const char *fathom_trainer_memory_name(enum fathom_trainer_memory part);

/* Errors: ARGUMENT (names the option), MEMORY, ENGINE. */
FATHOM_API int fathom_trainer_open(fathom_trainer **out, const struct fathom_trainer_options *options);
FATHOM_API void fathom_trainer_close(fathom_trainer *trainer);
/* The options in force, defaults filled in. Borrowed. */
FATHOM_API const struct fathom_trainer_options *fathom_trainer_describe(const fathom_trainer *trainer);

/* Bytes of the trainer's arrays as they are now. Without ema, gradient_clip and transformed inputs, parameters aside, they
 * come to at most a quarter of the parameters where the batch is not large beside the dictionary: at width 576, k 32,
 * batch 4096 and two threads from 4096 features on, a fifth of them dead, in all architectures whose L0 is near k but
 * JumpReLU with a tanh loss. */
FATHOM_API void fathom_trainer_memory(double bytes[FATHOM_TRAINER_MEMORIES], const fathom_trainer *trainer);

/* Sets the transform that `inputs` asks for, input scale (sqrt(d_in) / mean norm; of a crosscoder one for each source, of
 * a cross-layer transcoder one for each layer's inputs and targets)
 * and b_dec (the geometric median) from rows f32 [n, d_in], of a transcoder [n, d_in + d_out]; once, before the first
 * step, which otherwise does it with its own rows. Errors: ARGUMENT (called later, n is 0), NUMERIC (names the
 * row). */
FATHOM_API int fathom_trainer_prepare(fathom_trainer *trainer, const float *rows, size_t n);

/* Begins from an SAE instead of from random directions: its weights, b_dec, scale and transform become the trainer's, and
 * _prepare is not called; once, before the first step. Adam's moments start at 0, and a feature counts as alive until it
 * has not fired for dead_after rows. The same features keep their numbers. Decoder rows of another length than 1 are
 * brought to it, their length going to the encoder. Errors: ARGUMENT (called later), UNSUPPORTED (the trainer is of
 * something else than an SAE), MISMATCH (width, features, architecture or whitening; topk, batchtopk and matryoshka
 * stand for one another). */
FATHOM_API int fathom_trainer_begin(fathom_trainer *trainer, const fathom_dictionary *dictionary);

/* One optimiser step on n such rows, 1 <= n <= batch. Nothing has changed after an error, except after ENGINE:
 * close the trainer then. metrics may be NULL.
 * Errors: ARGUMENT, NUMERIC (names the row), MEMORY, ENGINE. */
FATHOM_API int fathom_trainer_step(struct fathom_trainer_metrics *metrics, fathom_trainer *trainer, const float *rows,
                                   size_t n);

#define FATHOM_DENSE 0.1 /* a feature active in more than this part of the rows is dense */

struct fathom_trainer_evaluation {
    double fve; /* 1 - Σ|x - x^|² / Σ|x - mean|² */
    double l0;
    double dead_fraction;
    uint32_t n_dense;
    double dense_share; /* the dense features' part of L0 */
};
/* Reads rows with the features chosen as in training (BatchTopK: over `batch` rows at a time), any n; changes nothing.
 * Errors: as step. */
FATHOM_API int fathom_trainer_evaluate(struct fathom_trainer_evaluation *out, fathom_trainer *trainer,
                                       const float *rows, size_t n);

/* Finds the threshold at which held-out rows have k features on average, for reading features at run time without the
 * rest of the encoder; the trainer's parts then have it. */
FATHOM_API int fathom_trainer_calibrate(float *threshold, fathom_trainer *trainer, const float *rows, size_t n);

/* The dictionary so far, for fathom_dictionary_write: arrays are new in *storage (fathom_free) and info has the
 * trainer's own fields filled in (architecture, sizes, k, input scale, subtract_decoder_bias); hook, model and the
 * rest are the caller's. */
FATHOM_API int fathom_trainer_parts(struct fathom_dictionary_parts *out, void **storage, fathom_trainer *trainer);

/* Writes all that a resumed run needs (temporary file, renamed, checksum inside); `note` (JSON of the caller's, NULL:
 * "{}") comes back on resume. Errors: IO. */
FATHOM_API int fathom_trainer_save(const fathom_trainer *trainer, const char *path, const char *note);
/* Opens a saved trainer. n_threads 0: as it was saved (other numbers give the same result up to rounding). *note is new
 * (fathom_free), NULL allowed. Errors: IO, FORMAT (damaged or half-written, by its checksum), MEMORY. */
FATHOM_API int fathom_trainer_resume(fathom_trainer **out, char **note, const char *path, uint32_t n_threads);

/* A whole run: corpus, model, dictionaries --------------------------------------------------------------- */

struct fathom_train_dictionary {
    const char *path; /* the native file to write */
    /* name or alias; of a crosscoder those of its sources, with + between them and "b:" before those of model_b, such
     * as "resid_post.9+resid_post.15" or "resid_post.15+b:resid_post.15" */
    const char *hook;
    /* of a transcoder: the point whose rows it reconstructs; of a cross-layer transcoder as many as `hook` has, with +
     * between them: the layers' inputs and outputs by ascending layer, all of one width; NULL: an SAE or a crosscoder */
    const char *hook_out;
    const char *name;  /* NULL: the file's name without folder and ending */
    const char *dtype; /* NULL: "bf16" */
    uint64_t tokens;   /* rows to train this one on, with a schedule of their own; 0: all of the run's */
    /* a dictionary of the same model to begin from (fathom_trainer_begin), at the same hook point or another one; its own
     * training record becomes part of the new one. NULL: random directions */
    const char *start;
    struct fathom_trainer_options options; /* d_in, d_out, sources, n_layers, total_steps and n_threads are filled in */
};

/* Whose tokens of a chat are trained on; the model is run on all of them. */
enum fathom_train_tokens {
    FATHOM_TOKENS_ALL,
    FATHOM_TOKENS_ASSISTANT, /* the words of the assistant, without the template's own text */
    FATHOM_TOKENS_USER,
    FATHOM_TOKENS
};
#define FATHOM_TRAIN_TOKENS "all|assistant|user"
/* Errors: ARGUMENT (lists the names). */
FATHOM_API int fathom_train_tokens_find(enum fathom_train_tokens *out, const char *name);

/* What a run is about to do, told once before its first row. Strings are borrowed for the call. */
struct fathom_train_start {
    const char *model_name, *model_identity;
    const char *corpus_hash; /* as fathom_corpus_hash */
    uint64_t tokens, total_steps;
    bool resumed; /* from a checkpoint made at resumed_step */
    uint64_t resumed_step;
};

/* A held-out evaluation of one dictionary. */
struct fathom_train_point {
    size_t dictionary;     /* its number in the run */
    uint64_t step, tokens; /* so far */
    double loss;           /* of the step's own batch */
    double fve, l0, dead_fraction;
    double seconds; /* of the whole run */
};

struct fathom_train_options {
    const char *model_path;
    /* A second model, whose rows of the same tokens crosscoders may read (hooks with "b:"); it must cut text into the
     * same tokens, which is checked block by block (MISMATCH). NULL: none */
    const char *model_b_path;
    const struct fathom_corpus_source *sources;
    size_t n_sources;
    /* rows to train on, at each hook point; 0: what the corpus is estimated to hold, less the held-out rows */
    uint64_t tokens;
    enum fathom_train_tokens tokens_from; /* all but ALL: every source is one of chats */
    uint64_t seed;                        /* of the corpus' interleaving and of the shuffling */
    uint32_t context;                     /* as fathom_harvest_options */
    uint32_t n_threads;                   /* 0: all cores */
    /* rows at positions below are left out; 0: 1, the first position, whose rows are of another kind; UINT32_MAX:
     * none */
    uint32_t skip_positions;
    /* rows of special tokens (fathom_token_is_special), which stand between a chat's messages, are trained on too; else
     * they are left out: every chat has them, and features for them would be of the template */
    bool keep_special;
    double norm_multiple;  /* rows with a norm over this multiple of the median are left out; 0: 8; negative: none */
    uint64_t shuffle_rows; /* rows mixed at a time, at each hook point; 0: 131072 (f32: 302 MB at width 576) */
    /* the corpus' first rows, to the end of their document, are kept aside for evaluation; 0: 16384 */
    uint64_t held_out_rows;
    uint32_t evaluate_every;   /* steps; 0: 100 */
    const char *metrics_path;  /* JSON lines; NULL: none */
    const char *checkpoint;    /* a folder; NULL: none */
    uint64_t checkpoint_every; /* steps; 0: only when the run is stopped */
    bool resume; /* go on from the checkpoint if there is a complete one; MISMATCH when it is of another run */
    /* seconds of this call after which it stops as if the progress callback had asked for it; 0: none */
    double max_seconds;
    fathom_progress_fn progress;
    /* Told once when it begins to hold: held-out FVE below 0, or falling three evaluations in a row though L0 did not;
     * more than half of the features dead; more than half of L0 by dense features; L0 below a tenth of k. The metrics
     * have it as "warning". A loss that is not finite ends the run (NUMERIC). NULL: none */
    void (*warning)(const char *path, uint64_t step, const char *text, void *payload);
    void (*started)(const struct fathom_train_start *start, void *payload);   /* NULL: none */
    void (*evaluated)(const struct fathom_train_point *point, void *payload); /* NULL: none */
    void *payload;
};
#define FATHOM_TRAIN_OPTIONS_INIT                                                                                      \
    { .tokens = 0 }

/* What a run came to, for one dictionary. */
struct fathom_train_result {
    double fve, l0, dead_fraction;             /* on held-out rows, features chosen as in training */
    double threshold;                          /* for reading by threshold, calibrated on held-out rows */
    uint64_t steps, rows;                      /* trained on */
    uint64_t skipped_positions, skipped_norms; /* rows left out, at this hook point */
    uint64_t skipped_roles;                    /* rows of the run that were of another than the tokens asked for */
    uint64_t skipped_special;                  /* rows of the run that were of special tokens, after skip_positions */
    double max_norm;
    double seconds;
};

/* Trains any number of dictionaries on one pass of a corpus through a model, and writes each as a native file with the
 * record of the run in it. When the progress callback asks to stop, or max_seconds are over, a checkpoint is written (if
 * there is a folder for it) and STOPPED returned. The same options give the same dictionaries, also across a stop and a
 * resume. A corpus that turns out to end before all steps are made is warned of; one that by a sample of its text holds
 * less than four fifths of what is asked for is refused. results (NULL allowed) has room for n_dictionaries.
 * Errors: those of model, corpus and harvest; ARGUMENT; MEMORY (all dictionaries and rows together are more than the
 * machine has); LIMIT (a corpus that is too small); MISMATCH (a dictionary to begin from that does not fit); IO. */
FATHOM_API int fathom_train(struct fathom_train_result *results, const struct fathom_train_dictionary *dictionaries,
                            size_t n_dictionaries, const struct fathom_train_options *options);

#ifdef __cplusplus
}
#endif
#endif
