/* The trainer's state and the parts of a step, shared by the trainer_*.c files. */
#ifndef FATHOM_DICTIONARY_TRAINER_INTERNAL_H
#define FATHOM_DICTIONARY_TRAINER_INTERNAL_H

#include <base/thread.h>
#include <dictionary/product.h>
#include <dictionary/select.h>
#include <dictionary/vector.h>
#include <dictionary/whitening.h>
#include <fathom/trainer.h>
#include <math.h>

#define FATHOM__ERROR_TEXT 256
#define FATHOM__SCALARS 2     /* most trained numbers that a feature has beside its encoder's bias */
#define FATHOM__DEAD_CHUNK 64 /* dead features whose gradients lie together */

/* Active features of the rows of a batch, and the same sorted by feature. `slope` is the loss's derivative by the
 * pre-activation, up to the factor that trainer_step.c applies at the end. */
struct fathom__active {
    size_t n_features;       /* 0: pairs are never sorted, and there is nothing to sort them with */
    size_t capacity;         /* of pairs; fathom__active_reserve */
    uint32_t *start, *count; /* [batch]: row r has pairs start[r] … start[r] + count[r] - 1 */
    uint32_t *feature;       /* [capacity]; the pairs' memory begins with it, and is one piece */
    float *value, *slope;    /* both are lost when pairs are sorted; those that are never sorted have no value */
    /* by feature: bucket[f] … bucket[f + 1] - 1, rows ascending */
    uint32_t *bucket;                   /* [n_features + 1] */
    uint32_t *sorted_row;               /* [capacity], where the slopes were */
    float *sorted_value, *sorted_slope; /* sorted_slope lies where the values were */
    uint32_t *histogram;                /* [n_workers, n_features] */
};

/* Bytes that a pair takes. */
static inline size_t fathom__pair_bytes(const struct fathom__active *active) {
    return sizeof *active->feature + sizeof *active->slope +
           (active->n_features ? sizeof *active->value + sizeof *active->sorted_value : 0);
}

/* Pairs that are only gathered yet: there is room for twice as many. */
struct fathom__gathered {
    uint32_t *feature;
    float *value;
    size_t capacity;
};
static inline struct fathom__gathered fathom__gathered(const struct fathom__active *active) {
    const size_t capacity = 2 * active->capacity;
    return (struct fathom__gathered){active->feature, (float *)(void *)(active->feature + capacity), capacity};
}

/* One trained array, Adam's two moments of it and, where asked for, its running mean. */
struct fathom__parameter {
    float *value, *first, *second, *average;
};

/* Sums over a batch that a worker keeps for every feature, of what its rows' pairs say; found by the architecture's
 * `slopes`, up to the same factor as the slopes. */
enum fathom__sum {
    FATHOM__SUM_BIAS,   /* of the encoder's bias, where it is not the sum of the slopes */
    FATHOM__SUM_SCALAR, /* of the scalars, one after the other */
    FATHOM__SUM_PULL = FATHOM__SUM_SCALAR + FATHOM__SCALARS, /* of the decoder row's length */
    FATHOM__SUMS
};

/* What one worker owns. */
struct fathom__worker {
    float *tile;   /* [span of the product, FATHOM__TILE_ROWS, FATHOM__TILE_FEATURES], the product's */
    float *values; /* candidates of a block's rows, or a block's pairs: [values_room], [features_room] */
    uint32_t *features;
    size_t values_room, features_room;
    float *dead_values; /* of dead features' candidates, lent; NULL: no room, and the above are for them too */
    uint32_t *dead_features;
    struct fathom__candidates *candidates; /* [FATHOM__TILE_ROWS] */
    float *gradients;                      /* scratch of trainer_update.c */
    uint16_t *rounded;                     /* [k_aux]: a row's values for dead features */
    float *slopes;                         /* [k_aux] */
    float *bias_gradient;                  /* [stride]: the part of b_dec's gradient that comes through the encoder */
    double *column;                        /* [stride]: sums over rows */
    double sum_squares, sum_errors;        /* of the rows it loaded, of the errors it decoded */
    double sum_prefixes;                   /* Matryoshka: of the errors of all prefixes */
    double sum_penalty;                    /* of the sparsity loss's terms, before its coefficient */
    double sum_inactive;                   /* of the pre-activation loss's terms, before its coefficient */
    double norm;                           /* squared, of the gradients it formed */
    double *prefix_column;                 /* Matryoshka: [stride], sums over rows of all prefixes' errors */
    double *input_column;                  /* [stride]: sums over the inputs that it loaded */
    float *input_row, *error_row;          /* [stride]; Matryoshka: [n_groups, stride] errors */
    float *sums; /* [as many as the architecture has, n_features], by fathom__sums; penalised architectures only */
    double seconds[FATHOM_TRAINER_PARTS];
    /* trainer_gather.c */
    uint8_t *row; /* [row_room]: the rows of a block's pairs, in the block */
    size_t row_room, n_block;
    size_t part, part_room, n_gathered, n_positive; /* what it has of main's memory, and the pairs in there */
    size_t next_row;
    size_t bad_row;
    int status;
    char message[FATHOM__ERROR_TEXT];
};

/* One feature's gradients, in a worker's scratch. */
struct fathom__gradient {
    float *encoder, *decoder;
    float input; /* the sum of the slopes: by what is added to every input's product with the encoder row */
    float bias, scalar[FATHOM__SCALARS];
    uint32_t feature;
    const float *dead; /* a dead feature's auxiliary gradient by trainer_auxiliary_rows.c, not yet scaled; NULL: none */
};

/* The auxiliary loss's pairs of some rows, sorted by feature. */
struct fathom__section_pairs {
    uint32_t *row;           /* in the section */
    uint16_t *value, *slope; /* bf16 */
    uint32_t *bucket;        /* [dead_capacity + 1]: slot s has pairs bucket[s] … bucket[s + 1] - 1, rows ascending */
    uint32_t *next;          /* [n_workers, dead_capacity]: counts, then places */
};

/* Memory that other parts of a step do not need while the auxiliary loss works, and what had to be allocated beside. */
struct fathom__loans {
    struct fathom__loan {
        unsigned char *at;
        size_t left; /* bytes */
    } loan[3];
    void **own;
    size_t n_own, own_capacity;
    double own_bytes;
};

/* What sets an architecture apart. Adding one is a file with one of these and a line in trainer_architecture.c. */
struct fathom__architecture {
    const char *name; /* of the option */
    const char *kind; /* of the dictionary file */
    bool exact;       /* the choice of pairs alone makes it sparse: no sparsity loss, no coefficient */
    bool batchwise;   /* features compete over the whole batch; what they need is kept as a threshold */
    bool nested;      /* has groups of features */
    uint32_t n_scalars;
    float scalar_start[FATHOM__SCALARS];
    uint32_t sums; /* fathom__sum as bits: those that `slopes` finds */
    /* what stands for 0 in the options */
    double sparsity; /* where control starts from */
    double bandwidth, tanh_scale, inactive_coefficient;
    /* The loaded rows' pairs into trainer->main. *least: the smallest value chosen, where that is a threshold. */
    int (*choose)(float *least, fathom_trainer *trainer);
    /* What is decoded beside the main features, before them; returns its loss, times spread. NULL: nothing. */
    double (*second)(fathom_trainer *trainer);
    /* The errors, their sums and the slopes; NULL: fathom__trainer_decode. */
    void (*decode)(fathom_trainer *trainer);
    /* Adds the sparsity loss to a row's slopes, and fills the worker's sums. NULL where exact. */
    void (*slopes)(fathom_trainer *trainer, struct fathom__worker *own, size_t row);
    /* What a feature's gradient gets beside its pairs' rows. NULL: nothing. */
    void (*feature)(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                    float factor);
    /* Sets a feature's bias or threshold so that pre-activations above `level` are active. NULL: nothing. */
    void (*start_at)(fathom_trainer *trainer, uint32_t feature, float level);
    /* Moves the level above which a feature's product with a row is active by this part of itself, and its running mean
     * with it. NULL: control is by the sparsity loss's coefficient alone. */
    void (*shift)(fathom_trainer *trainer, uint32_t feature, float part);
    /* A feature's bias in the auxiliary loss. NULL: the encoder's bias. */
    float (*dead_bias)(const fathom_trainer *trainer, uint32_t feature);
    /* Brings a dead feature that the auxiliary loss worked on a little nearer to firing. NULL: nothing. */
    void (*revive)(fathom_trainer *trainer, uint32_t feature);
};

struct fathom_trainer {
    struct fathom_trainer_options options;
    const struct fathom__architecture *architecture;
    size_t stride; /* the larger of d_in and d_out, padded: both kinds of rows are held in rows of this length */
    /* Of a cross-layer transcoder, whose layers' features follow one another; 1 of all others. An encoder row is a
     * layer's, `read` numbers long; a decoder row has those of its layer and the later ones (fathom__decoder_span). */
    size_t n_layers, layer_features, read;
    uint32_t n_workers;
    fathom__team *team;
    fathom__dense **products; /* [n_layers] */
    struct fathom__worker *workers;

    struct fathom__parameter encoder, encoder_bias, decoder,
        decoder_bias; /* [F, read], [F padded to a tile], fathom__decoder_count numbers, [stride] */
    struct fathom__parameter scalar[FATHOM__SCALARS]; /* [F padded to a tile] each; as many as the architecture has */
    /* JumpReLU: [F padded to a tile] each: what is added to products before they are compared with 0; thresholds */
    float *shifted_bias, *level;
    float *norm;           /* [F]: |d| of the sparsity losses, where it is not 1 by construction; NULL: it is */
    uint32_t *touched;     /* [F]: step of the last update */
    uint32_t *averaged;    /* [F]: the step that its running mean is of; NULL: there are no means */
    uint64_t *last_active; /* [F]: rows seen when it last fired */
    /* P of inputs, P⁻¹ of outputs; of a transcoder P of its targets (weights NULL: an SAE's are its inputs); weights
     * NULL: none */
    struct fathom__map input_transform, output_transform, target_transform;
    double input_scale, output_scale; /* the same for an SAE */
    size_t row_width;                 /* of the rows that the caller gives: d_in, of a transcoder d_in + d_out */
    float *centre;                    /* transcoder: [stride], subtracted from inputs; not trained */
    /* crosscoder: [n_sources], of the rows before input_scale; cross-layer transcoder: [2 n_layers], inputs, then
     * targets; NULL: none */
    float *source_scale;
    float *scaled;                 /* where there are such: [batch, row_width], the batch's rows so scaled */
    struct fathom__parameter skip; /* [d_out, stride], or NULL */
    float *skip_gradient;          /* the same */
    /* BatchTopK: running mean of the batches' least active value; calibrate sets it for either; < 0: none */
    float threshold;
    float floor; /* BatchTopK: the last batch's threshold, from which the next guess is made; < 0: none */
    bool prepared;
    bool packed; /* product holds the present encoder */
    uint64_t step, rows;

    /* Rows are kept in bf16 alone: inputs as the product reads them, so that the encoder's gradient is that of the very
     * numbers that went into it, and errors rounded once after everything else has been made of them. */
    const float *given; /* the loaded batch's rows, the caller's */
    size_t x_rows;      /* batch padded to a tile */
    uint16_t *x_bf16;   /* [n_layers, x_rows, read]: what is encoded */
    uint16_t *error;    /* [batch, stride]: W_dec f - target, by fathom__trainer_target */
    bool errors_lent;   /* `error` lies where the product has the packed encoder, which is packed anew after it */
    size_t n;           /* rows of the present batch */
    struct fathom__active main, auxiliary;
    struct fathom__active near; /* JumpReLU: pairs not active, but within the estimator's band */
    struct fathom__active
        gate;               /* gated: the same pairs as main with the gate's values and slopes; all memory is main's */
    uint16_t *group_error;  /* Matryoshka: [n_groups - 1, batch, stride]; the last group's is `error` */
    uint16_t *prefix_error; /* or, where groups are updated one after another, [batch, stride]: the present prefix's */
    bool prefix_owned;
    bool inputs_lost;       /* prefix_error takes the inputs' place when rows are decoded */
    double sparsity;        /* the coefficient that control has come to, or the one asked for */
    float half_sparsity;    /* half of the present step's coefficient, since the slopes' factor has a 2 in it */
    double *inputs_column;  /* [stride]: sums over the batch's inputs */
    uint32_t *dead, n_dead; /* numbers of the dead features at the step's beginning */
    uint32_t *dead_slot;    /* [F]: index in `dead`, or UINT32_MAX */
    /* What the auxiliary loss needs, made when there are dead features and for as many as there are. */
    size_t dead_capacity;
    float *dead_bias;          /* [dead_capacity + FATHOM__TILE_FEATURES] */
    uint16_t *auxiliary_error; /* [section's rows, of layers batch, stride]: the auxiliary reconstruction's errors;
                                * NULL: they take the place of `error` */
    struct fathom__loans loans;
    /* where there are no layers */
    fathom__dense *dead_encoder;
    size_t block_rows;        /* that a worker takes of a section */
    bool dead_last;           /* the dead features come after all others: see trainer_auxiliary_memory.c */
    const void *lent_pairs;   /* where main's pairs were when memory was lent */
    uint16_t *section_inputs; /* [section's rows, stride]; NULL: x_bf16 has them */
    uint16_t *dead_rows;      /* [dead_capacity, stride]: decoder rows in bf16 */
    float **dead_gradient;    /* of every chunk of dead features, [2, FATHOM__DEAD_CHUNK, stride]: decoder rows, then
                               * encoder rows, before their factor */
    float *dead_slopes;       /* [dead_capacity]: sums of slopes */
    uint32_t *dead_pairs;     /* [dead_capacity]: how many pairs they are of */
    double *dead_values;      /* [dead_capacity]: sums of the main pairs' values, where dead features come last */
    uint32_t *dead_sum;       /* [dead_capacity]: a dead feature's among the sums of trainer_nested.c */
    uint16_t *dead_sums;      /* [dead_sums_room, stride]: those that have no room among candidates */
    size_t dead_sums_room;
    struct fathom__section_pairs section;
    double *column, *error_column; /* [stride]: sums over the whole batch */
    uint32_t forced_dead;          /* measuring: so many first features count as dead always */
    bool updates_all; /* measuring: dense Adam, which moves features on their moments when they have no gradient */
};

/* Runs fn on the team and brings back the first worker's error. */
int fathom__trainer_run(fathom_trainer *trainer, fathom__team_fn fn, void *payload);
/* Inside a worker: records the calling thread's message with the status. */
void fathom__worker_fail(struct fathom__worker *worker, int status);

int fathom__parameter_open(struct fathom__parameter *parameter, size_t n); /* zeros */
int fathom__active_open(struct fathom__active *active, size_t batch, size_t capacity, size_t n_features,
                        uint32_t n_workers);
/* Room for so many pairs; those that it holds are lost. */
int fathom__active_reserve(struct fathom__active *active, size_t capacity);
/* The memory of the pairs of `from`, which has nothing else, in place of its own. */
void fathom__active_take(struct fathom__active *active, struct fathom__active *from);
void fathom__active_close(struct fathom__active *active);
/* Fills bucket and sorted_*. */
void fathom__active_sort(struct fathom__active *active, fathom_trainer *trainer);

/* trainer_encode.c */
/* given (borrowed until the next batch), x_bf16, workers' sums */
int fathom__trainer_load(fathom_trainer *trainer, const float *rows, size_t n);
/* f32 [stride]: a loaded row's input; what is to be decoded from it, less b_dec and, of a transcoder, less what the skip
 * makes of the input. Both are found anew from the caller's row. */
void fathom__trainer_input(float *x, const fathom_trainer *trainer, size_t row);
void fathom__trainer_target(float *target, float *x, const fathom_trainer *trainer, size_t row);
/* The input as it was loaded, bf16, by the worker's scratch. */
void fathom__trainer_make_input(uint16_t *out, const fathom_trainer *trainer, struct fathom__worker *own, size_t row);
int fathom__trainer_pack(fathom_trainer *trainer);
/* A feature's layer, and where its decoder row lies: n numbers at `at` of the decoder, which are those of a row of
 * errors from `begin` on. */
static inline size_t fathom__layer(const fathom_trainer *trainer, size_t feature) {
    return trainer->n_layers == 1 ? 0 : feature / trainer->layer_features;
}
struct fathom__span {
    size_t at, begin, n;
};
/* Numbers in the decoder rows of the layers before this one; of all n_layers: of all. */
static inline size_t fathom__decoder_before(const fathom_trainer *trainer, size_t layer) {
    const size_t block = trainer->stride / trainer->n_layers;
    return trainer->layer_features * block * (layer * trainer->n_layers - layer * (layer - 1) / 2);
}
static inline size_t fathom__decoder_count(const fathom_trainer *trainer) {
    return fathom__decoder_before(trainer, trainer->n_layers);
}
static inline struct fathom__span fathom__decoder_span(const fathom_trainer *trainer, size_t feature) {
    if (trainer->n_layers == 1) return (struct fathom__span){feature * trainer->stride, 0, trainer->stride};
    const size_t layer = feature / trainer->layer_features, begin = layer * (trainer->stride / trainer->n_layers),
                 n = trainer->stride - begin;
    return (struct fathom__span){
        fathom__decoder_before(trainer, layer) + (feature - layer * trainer->layer_features) * n, begin, n};
}
/* The loaded inputs of a layer, from a row on. */
static inline const uint16_t *fathom__layer_inputs(const fathom_trainer *trainer, size_t layer, size_t row) {
    return trainer->x_bf16 + (layer * trainer->x_rows + row) * trainer->read;
}
/* A tile of the encoder, by its number among those of all layers. */
struct fathom__tile {
    fathom__dense *product;
    size_t layer, number; /* in the product */
    size_t first, width;  /* features */
};
static inline size_t fathom__tiles(const fathom_trainer *trainer) {
    return trainer->n_layers * fathom__dense_tiles(trainer->products[0]);
}
/* How many features of n_features lie in a tile. */
static inline size_t fathom__tile_width(size_t n_features, size_t tile) {
    const size_t left = n_features - tile * FATHOM__TILE_FEATURES;
    return left < FATHOM__TILE_FEATURES ? left : FATHOM__TILE_FEATURES;
}
static inline struct fathom__tile fathom__tile(const fathom_trainer *trainer, size_t tile) {
    const size_t each = fathom__dense_tiles(trainer->products[0]), layer = tile / each, number = tile % each;
    return (struct fathom__tile){trainer->products[layer], layer, number,
                                 layer * trainer->layer_features + number * FATHOM__TILE_FEATURES,
                                 fathom__tile_width(trainer->layer_features, number)};
}
/* The k strongest positive of some features of every loaded row. */
struct fathom__choice {
    struct fathom__active *active;
    fathom__dense *const *products; /* [n_products], of as many first layers' inputs */
    size_t n_products;
    const float *bias; /* [n_products * n_features padded to a tile] */
    size_t n_features; /* of each product */
    uint32_t k;
    const uint16_t *inputs; /* fathom__trainer_choose_block: the block's rows, which are for dead features; NULL: the
                             * loaded ones */
};
int fathom__trainer_choose(const struct fathom__choice *choice, fathom_trainer *trainer);
/* The same by one worker for one block of n rows: they are left in the worker's candidates, and choice->active is not
 * used. */
int fathom__trainer_choose_block(const struct fathom__choice *choice, fathom_trainer *trainer, uint32_t worker,
                                 size_t block, size_t n);
/* Room for the candidates of so many in each of a block's rows; what the workers' candidates held is lost. */
int fathom__trainer_room(fathom_trainer *trainer, uint32_t k, size_t rows);
/* Room for so many values and features in all, for one worker; what it holds stays. */
int fathom__worker_room(struct fathom__worker *worker, size_t values, size_t features);
void fathom__worker_clear(struct fathom__worker *worker);
/* The options' k of all features. */
int fathom__trainer_topk(struct fathom__active *active, fathom_trainer *trainer);
/* BatchTopK: the k·n strongest of the batch into main. *least: the smallest value kept, 0 when none. */
int fathom__trainer_batchtopk(float *least, fathom_trainer *trainer);

/* trainer_gather.c: every value + bias above a floor, each worker's into its part of main's memory, as fathom__gathered
 * has them: row by row, a row's features ascending. bias: [F padded to a tile]. */
int fathom__trainer_gather(fathom_trainer *trainer, const float *bias, float floor);
size_t fathom__n_gathered(const fathom_trainer *trainer);
/* Main becomes those larger than `least` and, as the rows have them, the first `equal` ones that equal it: n_kept in
 * all. JumpReLU: near becomes the others. */
int fathom__trainer_keep(fathom_trainer *trainer, float least, size_t equal, size_t n_kept);
/* Both: those above 0 into main and, where the floor is below 0, the others into near. */
int fathom__trainer_above(fathom_trainer *trainer, const float *bias, float floor);
/* Calls fn for every loaded row, each worker for its own. */
typedef void (*fathom__row_fn)(fathom_trainer *trainer, struct fathom__worker *own, size_t row);
void fathom__trainer_rows(fathom_trainer *trainer, fathom__row_fn fn);

/* trainer_architecture.c */
const struct fathom__architecture *fathom__architecture(enum fathom_trainer_architecture architecture);
extern const struct fathom__architecture fathom__topk, fathom__batchtopk, fathom__matryoshka, fathom__standard,
    fathom__gated, fathom__jumprelu, fathom__jumprelu_tanh;

/* trainer_standard.c: a dead feature's bias keeps every row out; the auxiliary loss looks at what it would do without. */
float fathom__lifted_bias(const fathom_trainer *trainer, uint32_t feature);
/* A negative bias comes this much nearer to 0 in a step in which a dead feature is revived: with the learning rate's
 * steps alone it would take thousands. */
#define FATHOM__REVIVAL 0.98F
void fathom__raise_bias(float *bias);

/* trainer_jumprelu.c, for both of its losses */
int fathom__jumprelu_choose(float *least, fathom_trainer *trainer);
void fathom__jumprelu_revive(fathom_trainer *trainer, uint32_t feature);
static inline float fathom__jumprelu_threshold(const fathom_trainer *trainer, uint32_t feature) {
    return expf(trainer->scalar[0].value[feature]);
}

/* trainer_matryoshka.c: the group of a feature, and the batch's errors that its gradient is made of. */
uint32_t fathom__trainer_group(const fathom_trainer *trainer, uint32_t feature);
const uint16_t *fathom__trainer_errors(const fathom_trainer *trainer, uint32_t feature);

/* trainer_nested.c: Matryoshka's groups one after another, so that the errors of one at a time are held. */
/* How many arrays of errors there are of a batch's rows. */
uint32_t fathom__nested_errors(const struct fathom_trainer_options *options);
/* The memory for it, or for the errors of all groups. */
int fathom__nested_open(fathom_trainer *trainer);
void fathom__nested_close(fathom_trainer *trainer);
/* Room for the sums below. */
int fathom__nested_begin_dead(fathom_trainer *trainer);
/* Forms, of group `group`, the dead features' sums of main errors, then makes the errors those of the next group. */
void fathom__nested_next(fathom_trainer *trainer, uint32_t group, bool dead);
/* A dead feature's main pairs' errors times their values, bf16 [stride]; NULL: it has none. */
const uint16_t *fathom__nested_dead_sum(const fathom_trainer *trainer, size_t slot);

/* trainer.c: bytes of the arrays that grow with the features and with the batch: values and two moments of
 * each matrix, the product's copy of one, inputs and errors. Defaults are filled in. */
double fathom__trainer_bytes(const struct fathom_trainer_options *options);

/* trainer_options.c */
int fathom__trainer_check_options(const struct fathom_trainer_options *options);
void fathom__trainer_fill_options(struct fathom_trainer_options *options);

/* trainer_schedule.c: the learning rate of a step; the coefficient of a step whose batch has this L0; control. */
double fathom__trainer_rate(const struct fathom_trainer_options *options, uint64_t step);
double fathom__trainer_sparsity(const fathom_trainer *trainer, double l0);
void fathom__trainer_control(fathom_trainer *trainer, double l0);
/* By what part of itself control moves every threshold after a step of this L0. */
double fathom__trainer_shift(const fathom_trainer *trainer, double l0);

/* trainer_start.c: biases or thresholds at which rows f32 [n, d_in] have options.start_l0 features. */
int fathom__trainer_start(fathom_trainer *trainer, const float *rows, size_t n);

/* |d|: the length of a feature's decoder row, of a crosscoder the sum of its parts' lengths. */
static inline float fathom__decoder_norm(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->norm ? trainer->norm[feature] : 1;
}
static inline float *fathom__sums(const fathom_trainer *trainer, const struct fathom__worker *worker,
                                  enum fathom__sum sum) {
    const uint32_t before = trainer->architecture->sums & ((1U << sum) - 1);
    return worker->sums + (size_t)__builtin_popcount(before) * trainer->options.n_features;
}
static inline size_t fathom__sums_count(const fathom_trainer *trainer) {
    return (size_t)__builtin_popcount(trainer->architecture->sums) * trainer->options.n_features;
}
/* One sum of a feature over all workers; 0 where the architecture has none such. */
static inline float fathom__sum_of(const fathom_trainer *trainer, enum fathom__sum sum, uint32_t feature) {
    float total = 0;
    if (!(trainer->architecture->sums & 1U << sum)) return 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        total += fathom__sums(trainer, &trainer->workers[w], sum)[feature];
    return total;
}

/* trainer_decode.c: the sums over rows of W_dec f - target and (if asked) `error` itself and the slopes. */
void fathom__trainer_decode(fathom_trainer *trainer, bool slopes);
/* The same for any pairs: W_dec f less the target, plus `error`, or alone. */
enum fathom__decoding_from { FATHOM__FROM_TARGET, FATHOM__FROM_ERROR, FATHOM__FROM_ZERO };
struct fathom__decoding {
    const struct fathom__active *active, *near; /* near: pairs that only get slopes; NULL: none */
    const uint32_t *number;                     /* slot to feature; NULL: they are the same */
    enum fathom__decoding_from from;
    uint16_t *error; /* [batch, stride]; NULL: not kept */
    float *exact;    /* the same unrounded; NULL: not kept */
    bool slopes;
};
void fathom__trainer_decode_pairs(fathom_trainer *trainer, const struct fathom__decoding *what);
/* Adds up one number and the column sums of all workers. */
double fathom__trainer_sum(const fathom_trainer *trainer, double *column,
                           double (*part)(const struct fathom__worker *));

struct fathom__update {
    double factor, auxiliary_factor; /* of the main and the auxiliary gradients */
    double learning_rate;
    bool begun;       /* all but the dead features are updated */
    double skip_norm; /* squared, of the skip's gradient, where begun */
};

/* trainer_auxiliary.c: the dead features' turn, after fathom__trainer_decode. First, whether they have one, and memory
 * for it: *factor is what their gradients are multiplied with, 0 when there is nothing to do. */
int fathom__auxiliary_begin(double *factor, fathom_trainer *trainer);
/* *loss includes its coefficient. */
int fathom__trainer_auxiliary(double *loss, fathom_trainer *trainer, const struct fathom__update *update);
void fathom__auxiliary_close(fathom_trainer *trainer);

/* trainer_auxiliary_memory.c */
/* Whether dead features can come after all others. */
bool fathom__may_be_last(const struct fathom_trainer_options *options);
void fathom__loans_open(fathom_trainer *trainer);
/* From now on, the memory of main's pairs too: only for what is not written before they have been read. */
void fathom__loans_add_pairs(fathom_trainer *trainer);
void fathom__loans_close(fathom_trainer *trainer);
/* Some lent memory aligned to a cache line, lost with every step; NULL: there is not so much. */
void *fathom__lend(fathom_trainer *trainer, size_t bytes);
/* Lent memory or, where there is none, new; not zeroed. Given back by fathom__loans_close. */
int fathom__take(void *out, fathom_trainer *trainer, size_t count, size_t size);
/* Pairs of a dead feature. */
static inline uint32_t fathom__dead_pairs(const fathom_trainer *trainer, uint32_t slot) {
    return trainer->n_layers == 1 ? trainer->dead_pairs[slot]
                                  : trainer->auxiliary.bucket[slot + 1] - trainer->auxiliary.bucket[slot];
}

/* trainer_auxiliary_rows.c: the same where there are no layers. */
int fathom__auxiliary_sums_open(fathom_trainer *trainer, size_t capacity);
int fathom__auxiliary_gradients_open(fathom_trainer *trainer, size_t capacity);
int fathom__auxiliary_rows_open(fathom_trainer *trainer, size_t capacity);
void fathom__auxiliary_rows_close(fathom_trainer *trainer);
/* Clears the dead features' sums. Where they come last, their gradients get what their main pairs say too. */
void fathom__auxiliary_rows_clear(fathom_trainer *trainer, const struct fathom__update *update);
/* Takes over the decoder rows of dead features [first, last). */
void fathom__auxiliary_rows_begin(fathom_trainer *trainer, size_t first, size_t last);
/* A dead feature's decoder row among the gradients; FATHOM__DEAD_CHUNK rows behind it is the encoder's. */
static inline float *fathom__dead_gradient(const fathom_trainer *trainer, size_t slot) {
    return trainer->dead_gradient[slot / FATHOM__DEAD_CHUNK] + slot % FATHOM__DEAD_CHUNK * trainer->stride;
}
/* The workers' sums of errors, and the dead features' gradients; k: features a row. */
int fathom__auxiliary_rows(fathom_trainer *trainer, uint32_t k);

/* trainer_update.c: gradients and Adam in one pass. */
/* A gradient += `factor` times what the feature's main pairs say of it. */
void fathom__trainer_add_main(struct fathom__gradient *gradient, const fathom_trainer *trainer,
                              struct fathom__worker *own, float factor);
/* The sum of its main pairs' values. */
double fathom__trainer_sum_values(const fathom_trainer *trainer, const struct fathom__gradient *gradient);
/* All features but the dead ones, where those come last. */
void fathom__trainer_update_others(fathom_trainer *trainer, struct fathom__update *how);
/* The rest. errors: [stride], the sum of the batch's errors. Returns the gradients' norm before clipping. */
double fathom__trainer_update(fathom_trainer *trainer, const struct fathom__update *how, const double *errors);
/* One Adam step of n parameters. */
void fathom__trainer_adam(const fathom_trainer *trainer, const struct fathom__parameter *parameter,
                          const float *gradient, size_t n, double learning_rate);

/* trainer_average.c. Before and after a feature's update in a step; after those of what features share. */
int fathom__average_open(fathom_trainer *trainer);
void fathom__average_close(fathom_trainer *trainer);
/* Of an SAE: the means are the parameters as they are now. */
void fathom__average_restart(fathom_trainer *trainer);
void fathom__average_before(fathom_trainer *trainer, uint32_t feature);
void fathom__average_after(fathom_trainer *trainer, uint32_t feature);
void fathom__average_shared(fathom_trainer *trainer);
/* Puts the running means, brought up to date, in the parameters' place, and back. */
void fathom__average_use(fathom_trainer *trainer);
void fathom__average_leave(fathom_trainer *trainer);

/* trainer_sources.c: rows of several parts, each scaled by itself, as crosscoders and cross-layer transcoders have
 * them, and what a crosscoder has beside an SAE; its sources count as one where there are none. */
/* How many parts rows have, and a part's width: a crosscoder's sources; a cross-layer transcoder's inputs, then its
 * targets. */
static inline uint32_t fathom__n_parts(const struct fathom_trainer_options *options) {
    return options->n_sources ? options->n_sources : 2 * options->n_layers;
}
static inline uint32_t fathom__part_width(const struct fathom_trainer_options *options, uint32_t part) {
    return options->n_sources ? options->sources[part] : options->d_in / options->n_layers;
}
int fathom__sources_open(fathom_trainer *trainer);
void fathom__sources_close(fathom_trainer *trainer);
/* Finds the scales by rows f32 [n, row_width]. */
int fathom__sources_measure(fathom_trainer *trainer, const float *rows, size_t n);
/* out [n, row_width]: the rows with every part scaled. */
void fathom__sources_scale(float *out, const fathom_trainer *trainer, const float *rows, size_t n);
/* Gives every source the first one's direction, where their widths are equal; the row's length stays. */
void fathom__sources_align(float *row, const fathom_trainer *trainer);
/* |d| of a decoder row. */
float fathom__sources_length(const fathom_trainer *trainer, const float *row);
/* gradient += amount · |d| · ∂|d|/∂d for a feature's decoder row d. */
void fathom__sources_pull(float *gradient, const fathom_trainer *trainer, uint32_t feature, float amount);
/* Brings a crosscoder's encoder rows [F, d_in], decoder rows and b_dec, which are of scaled rows, into the model's own
 * units. */
void fathom__sources_fold(float *encoder, float *decoder, float *decoder_bias, const fathom_trainer *trainer);

/* trainer_layers.c: cross-layer transcoders. What is asked of their options; the same of a dictionary's parts as
 * fathom__sources_fold. */
int fathom__layers_check(const struct fathom_trainer_options *options);
void fathom__layers_fold(float *encoder, float *decoder, float *decoder_bias, const fathom_trainer *trainer);

/* trainer_skip.c */
int fathom__skip_open(fathom_trainer *trainer);
/* target -= W_skip x */
void fathom__skip_subtract(const fathom_trainer *trainer, float *target, const float *x);
/* Finds the gradient by the present errors, times factor; returns its squared length. */
double fathom__skip_gradient(fathom_trainer *trainer, float factor);
/* Floats that a worker's `gradients` must hold. */
size_t fathom__trainer_update_scratch(size_t stride);

/* Measuring only: counts the first n features as dead in every step. */
void fathom__trainer_force_dead(fathom_trainer *trainer, uint32_t n);
/* Measuring only: every feature is updated in every step, as dense Adam does. */
void fathom__trainer_update_all(fathom_trainer *trainer);

#endif
