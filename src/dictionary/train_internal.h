/* A training run, shared by the train_*.c files. */
#ifndef FATHOM_DICTIONARY_TRAIN_INTERNAL_H
#define FATHOM_DICTIONARY_TRAIN_INTERNAL_H

#include <dictionary/train_stream.h>
#include <fathom/harvest.h>
#include <fathom/trainer.h>
#include <jansson.h>
#include <stdio.h>

/* Hook points of the second model have this before their names. */
#define MODEL_B "b:"

/* The hook points of a stream of rows: one, of a transcoder two, of a crosscoder as many inputs as it has sources, of a
 * cross-layer transcoder as many inputs and outputs as it has layers. */
struct fathom__tap {
    size_t inputs[FATHOM_TRAIN_SOURCES];
    size_t outputs[FATHOM_TRAIN_SOURCES];
    uint32_t n_inputs, n_outputs;
};

/* One dictionary in the making. */
struct fathom__learner {
    const struct fathom_train_dictionary *wanted;
    size_t stream;           /* which hook point */
    uint64_t total_steps;    /* at most the run's */
    fathom_trainer *trainer; /* opened with the first row, whose width decides */
    struct fathom_trainer_metrics last;
    struct fathom_trainer_evaluation evaluation;
    bool evaluated;
    uint32_t falls;         /* evaluations in a row at which FVE fell */
    unsigned warned;        /* kinds of warnings that hold */
    char warning[160];      /* the last evaluation's, or "" */
    char start_hash[33];    /* of the file that it begins from, or "" */
    json_t *start_training; /* what that file records */
};

struct fathom__run {
    const struct fathom_train_options *options;
    struct fathom__learner *learners;
    size_t n_learners;
    char **hooks;             /* distinct ones, as they were given */
    size_t *widths, n_hooks;  /* of their rows */
    struct fathom__tap *taps; /* [n_streams] */
    float *joined;            /* a transcoder's or crosscoder's row, put together */
    struct fathom__rows *streams;
    float **batches; /* [n_streams]: a drawn batch */
    size_t n_streams;
    size_t batch; /* rows; the same for all learners */
    uint64_t tokens, total_steps;
    uint64_t step;      /* made by every learner */
    uint64_t delivered; /* rows that the harvest gave, skipped ones included */
    uint64_t skipped_roles, skipped_special;
    uint8_t *special; /* [n_vocab]: whether a token's rows are left out; NULL: none are */
    size_t n_vocab;
    bool opened;   /* streams and trainers are there */
    bool finished; /* all steps are made */
    bool out_of_time;
    char corpus[33];
    char identity[FATHOM_IDENTITY_SIZE];
    char *model_name;
    char identity_b[FATHOM_IDENTITY_SIZE]; /* of the second model; "": none */
    char *model_b_name;
    FILE *metrics;
    double started, seconds_before; /* before a resume */
    double told, rate_from, rate;
    bool told_training;
    uint64_t rate_rows;
    uint64_t resumed_rows; /* trained on before the resume: no part of the rate */
    char tag[33];          /* in the names of its checkpoint's files */
    bool saved;            /* there is a checkpoint of this run, made at step saved_step */
    uint64_t saved_step;
};

/* What identifies a run: a checkpoint of another run is refused. New. */
json_t *fathom__run_identity(const struct fathom__run *run);
/* What a dictionary file records about its training. New. */
json_t *fathom__run_record(const struct fathom__run *run, const struct fathom__learner *learner);
double fathom__run_seconds(const struct fathom__run *run);

/* train_health.c: an error where the loss is not finite any more; the warning of an evaluation, given that before. */
int fathom__health_of_step(struct fathom__learner *learner);
void fathom__health_of_evaluation(struct fathom__learner *learner, const struct fathom_trainer_evaluation *before);

/* train_sources.c */
bool fathom__of_model_b(const char *hook);
/* A stream's row: that of its hook point, or those of several, one after another. */
const float *fathom__tapped_row(struct fathom__run *run, size_t s, const struct fathom_harvest_block *block, size_t r);
/* How many numbers of a stream's row are read, and how many are only reconstructed. */
size_t fathom__tap_width(const struct fathom__tap *tap, const size_t *widths);
size_t fathom__tap_written(const struct fathom__tap *tap, const size_t *widths);
/* The full names of a list of hook points, as a file has them; new. */
int fathom__run_full_hooks(char **out, const struct fathom__run *run, const char *hook);
/* What the file of a crosscoder says of its sources; none (NULL) of others. */
int fathom__run_sources(struct fathom_dictionary_source **out, uint32_t *n, const struct fathom__run *run,
                        const struct fathom__learner *learner);
void fathom__run_sources_free(struct fathom_dictionary_source *sources, uint32_t n);
/* Whether the hook points of a cross-layer transcoder are of equal widths and ascending layers. */
int fathom__run_check_layers(const struct fathom__run *run, const struct fathom__tap *tap, const fathom_model *model);
/* What its file says of its layers; none (NULL) of others. */
int fathom__run_layers(struct fathom_dictionary_layer **out, uint32_t *n, const struct fathom__run *run,
                       const struct fathom__learner *learner);
void fathom__run_layers_free(struct fathom_dictionary_layer *layers, uint32_t n);

/* train_pair.c: a harvest of both models in step, whose blocks have the hook points of both in the options' order. The
 * corpus is the first model's; the second gets its own. Errors: as fathom_harvest; MISMATCH where the models' tokens
 * differ. */
int fathom__harvest_pair(const struct fathom__run *run, fathom_corpus *corpus,
                         const struct fathom_harvest_options *options, fathom_harvest_fn fn, void *payload);

/* train_roles.c: as options name it; whether tokens of this role are trained on; which tokens are left out as special,
 * of a model that is open, and whether one is. */
const char *fathom__run_tokens_name(enum fathom_train_tokens tokens);
bool fathom__run_wants(const struct fathom_train_options *options, uint8_t role);
int fathom__run_find_special(struct fathom__run *run, const fathom_model *model);
bool fathom__run_is_special(const struct fathom__run *run, int32_t token);

/* train_open.c */
int fathom__run_check(const struct fathom_train_dictionary *dictionaries, size_t n,
                      const struct fathom_train_options *options);
int fathom__run_find_streams(struct fathom__run *run, const struct fathom_train_dictionary *dictionaries);
int fathom__run_describe_model(struct fathom__run *run);
/* Opens streams and trainers. */
int fathom__run_open(struct fathom__run *run);

/* train_start.c: the dictionary that a learner begins from is opened and its hash and record kept; the learner's trainer,
 * just opened, takes its weights over. Nothing where there is none. */
int fathom__run_read_start(struct fathom__learner *learner, const struct fathom__run *run);
int fathom__run_begin(struct fathom__learner *learner);

/* train_finish.c: writes a learner's dictionary. */
int fathom__run_finish(struct fathom_train_result *result, struct fathom__run *run, struct fathom__learner *learner);
/* train_run.c */
int fathom__run_evaluate(struct fathom__run *run, struct fathom__learner *learner);

/* train_state.c */
/* Makes the checkpoint's folder; an error when it cannot be written. */
int fathom__run_prepare(const struct fathom__run *run);
/* Cuts the metrics file, where it is one and longer. */
int fathom__run_shorten(const struct fathom__run *run, int64_t bytes);
int fathom__run_save(struct fathom__run *run);
/* *found: there was a complete checkpoint, and the run now stands where it was written. */
int fathom__run_restore(bool *found, struct fathom__run *run);
/* Removes the checkpoint: the run is done. */
void fathom__run_forget(struct fathom__run *run);

#endif
