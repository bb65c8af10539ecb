/* The trainer's state and the parts of a step, shared by the trainer_*.c files. */
#ifndef FATHOM_DICTIONARY_TRAINER_INTERNAL_H
#define FATHOM_DICTIONARY_TRAINER_INTERNAL_H

#include <base/thread.h>
#include <dictionary/product.h>
#include <dictionary/select.h>
#include <dictionary/vector.h>
#include <fathom/trainer.h>

#define FATHOM__ERROR_TEXT 256
#define FATHOM__RADIX 65536 /* values of half a float's bits */

/* Active features of the rows of a batch, and the same sorted by feature. `slope` is the loss's derivative by the
 * pre-activation, up to the factor that trainer_step.c applies at the end. */
struct fathom__active {
    size_t n_features, capacity; /* of pairs */
    uint32_t *start, *count;     /* [batch]: row r has pairs start[r] … start[r] + count[r] - 1 */
    uint32_t *feature;           /* [capacity] */
    float *value, *slope;
    /* by feature: bucket[f] … bucket[f + 1] - 1, rows ascending */
    uint32_t *bucket;     /* [n_features + 1] */
    uint32_t *sorted_row; /* [capacity] */
    float *sorted_value, *sorted_slope;
    uint32_t *histogram; /* [n_workers, n_features] */
};

/* One trained array and Adam's two moments of it. */
struct fathom__parameter {
    float *value, *first, *second;
};

/* What one worker owns. */
struct fathom__worker {
    float *tile;   /* [FATHOM__TILE_ROWS, FATHOM__TILE_FEATURES] */
    float *values; /* candidates: [FATHOM__TILE_ROWS, room] */
    uint32_t *features;
    struct fathom__candidates *candidates; /* [FATHOM__TILE_ROWS] */
    float *gradients;                      /* scratch of trainer_update.c */
    float *block;                          /* dense auxiliary: two times [FATHOM__TILE_ROWS, stride] */
    uint16_t *block_bf16;                  /* [FATHOM__TILE_ROWS, stride] */
    uint16_t *mix;                  /* [FATHOM__TILE_ROWS, FATHOM__TILE_FEATURES]: values or slopes as a dense block */
    uint32_t *cursor;               /* [FATHOM__TILE_ROWS] */
    float *bias_gradient;           /* [stride]: the part of b_dec's gradient that comes through the encoder */
    double *column;                 /* [stride]: sums over rows */
    double sum_squares, sum_errors; /* of the rows it loaded, of the errors it decoded */
    double norm;                    /* squared, of the gradients it formed */
    double seconds[FATHOM_TRAINER_PARTS];
    float *harvest; /* BatchTopK: values above the floor, their features and rows */
    uint32_t *harvest_feature, *harvest_row;
    size_t n_harvest, harvest_capacity, harvest_feature_capacity, harvest_row_capacity;
    uint32_t *histogram; /* BatchTopK: [FATHOM__RADIX] */
    size_t bad_row;
    int status;
    char message[FATHOM__ERROR_TEXT];
};

struct fathom_trainer {
    struct fathom_trainer_options options;
    size_t stride; /* d_in padded */
    uint32_t n_workers;
    fathom__team *team;
    fathom__dense *product;
    struct fathom__worker *workers;
    size_t room; /* keys a row */

    struct fathom__parameter encoder, encoder_bias, decoder,
        decoder_bias;      /* [F, stride], [F padded to a tile], [F, stride], [stride] */
    uint32_t *touched;     /* [F]: step of the last update */
    uint64_t *last_active; /* [F]: rows seen when it last fired */
    double input_scale;
    /* BatchTopK: running mean of the batches' least active value; calibrate sets it for either; < 0: none */
    float threshold;
    float floor; /* BatchTopK: the last batch's threshold, from which the next guess is made; < 0: none */
    bool prepared;
    bool packed; /* product holds the present encoder */
    uint64_t step, rows;

    float *x, *error; /* [batch, stride]: scaled rows less b_dec; reconstruction less those */
    uint16_t *x_bf16; /* [batch padded to a tile, stride] */
    size_t n;         /* rows of the present batch */
    struct fathom__active main, auxiliary;
    uint32_t *dead, n_dead; /* numbers of the dead features at the step's beginning */
    uint32_t *dead_slot;    /* [F]: index in `dead`, or UINT32_MAX */
    /* What the auxiliary loss needs, made when there are dead features and for as many as there are. */
    size_t dead_capacity;
    fathom__dense *dead_encoder, *dead_decoder;
    float *dead_bias;              /* [dead_capacity] */
    bool auxiliary_dense;          /* this step's products are dense ones; else sparse rows, as for the main features */
    uint16_t *dead_rows;           /* dense: bf16 decoder rows [dead_capacity, stride] */
    uint16_t *auxiliary_bf16;      /* dense: the auxiliary reconstruction's errors [batch padded to a tile, stride] */
    float *auxiliary_error;        /* sparse: [batch, stride] */
    double *column, *error_column; /* [stride]: sums over the whole batch */
    uint32_t forced_dead;          /* measuring: so many first features count as dead always */
    bool forced_sparse; /* testing: the auxiliary loss takes the sparse way also where dense products are there */
};

/* Runs fn on the team and brings back the first worker's error. */
int fathom__trainer_run(fathom_trainer *trainer, fathom__team_fn fn, void *payload);
/* Inside a worker: records the calling thread's message with the status. */
void fathom__worker_fail(struct fathom__worker *worker, int status);

int fathom__active_open(struct fathom__active *active, size_t batch, size_t capacity, size_t n_features,
                        uint32_t n_workers);
void fathom__active_close(struct fathom__active *active);
/* Fills bucket and sorted_*. */
void fathom__active_sort(struct fathom__active *active, fathom_trainer *trainer);

/* trainer_encode.c */
int fathom__trainer_load(fathom_trainer *trainer, const float *rows, size_t n); /* x, x_bf16, workers' sums */
int fathom__trainer_pack(fathom_trainer *trainer);
/* How many features of n_features lie in a tile. */
static inline size_t fathom__tile_width(size_t n_features, size_t tile) {
    const size_t left = n_features - tile * FATHOM__TILE_FEATURES;
    return left < FATHOM__TILE_FEATURES ? left : FATHOM__TILE_FEATURES;
}
/* The k strongest positive features of every loaded row, into active. */
int fathom__trainer_topk(struct fathom__active *active, fathom_trainer *trainer, fathom__dense *product,
                         const float *bias, size_t n_features, uint32_t k);
/* BatchTopK: the k·n strongest of the batch. *least: the smallest value kept, 0 when none. */
int fathom__trainer_batchtopk(struct fathom__active *active, float *least, fathom_trainer *trainer);

/* trainer_decode.c: error = W_dec f - x, its sums over rows and (if asked) the slopes. */
void fathom__trainer_decode(fathom_trainer *trainer, bool slopes);
/* The same for any pairs: error = W_dec f + sign · target. */
struct fathom__decoding {
    const struct fathom__active *active;
    const uint32_t *number; /* slot to feature; NULL: they are the same */
    const float *target;    /* [batch, stride] */
    float sign;
    float *error; /* [batch, stride] */
    bool slopes;
};
void fathom__trainer_decode_pairs(fathom_trainer *trainer, const struct fathom__decoding *what);
/* Adds up one number and the column sums of all workers. */
double fathom__trainer_sum(const fathom_trainer *trainer, double *column,
                           double (*part)(const struct fathom__worker *));

/* trainer_auxiliary.c: the dead features' turn, after fathom__trainer_decode. *loss includes its coefficient; *factor
 * is what their gradients are multiplied with, 0 when there is nothing to do. */
int fathom__trainer_auxiliary(double *loss, double *factor, fathom_trainer *trainer);
/* Gradients of the dead features of a chunk (slots chunk * FATHOM__TILE_FEATURES …), before that factor, in the
 * worker's block: decoder rows, then encoder rows. Only where trainer->auxiliary_dense. */
int fathom__trainer_dead_gradients(fathom_trainer *trainer, uint32_t worker, size_t chunk);
void fathom__auxiliary_close(fathom_trainer *trainer);

/* trainer_update.c: gradients and Adam in one pass. */
struct fathom__update {
    double factor, auxiliary_factor; /* of the main and the auxiliary gradients */
    double learning_rate;
};
/* errors: [stride], the sum of the batch's errors. */
int fathom__trainer_update(double *gradient_norm, fathom_trainer *trainer, const struct fathom__update *update,
                           const double *errors);
/* Floats that a worker's `gradients` must hold. */
size_t fathom__trainer_update_scratch(size_t stride);

/* Measuring only: counts the first n features as dead in every step. */
void fathom__trainer_force_dead(fathom_trainer *trainer, uint32_t n);

#endif
