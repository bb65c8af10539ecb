/* What a training command asks for: a run, and its dictionaries, one for each combination of the lists given. */
#ifndef FATHOM_CLI_TRAIN_REQUEST_H
#define FATHOM_CLI_TRAIN_REQUEST_H

#include "corpus_arguments.h"
#include <fathom/trainer.h>

enum { TRAIN_DICTIONARIES = 64 };

struct train_request {
    struct fathom_train_options run;
    struct fathom_trainer_options trainer;
    struct corpus_arguments corpus;
    struct fathom_train_dictionary dictionaries[TRAIN_DICTIONARIES];
    char *paths[TRAIN_DICTIONARIES];
    size_t n_dictionaries;
    size_t n_seeds; /* dictionaries that differ in their seed alone follow one another */
    char *hooks, *hooks_out, *checkpoint;
};

/* Options of all commands that train. */
// clang-format off
#define TRAIN_OPTIONS_RUN                                                                                              \
    {"corpus", 0, CLI_FILE, CLI_CORPUS_VALUE,                                                                          \
     "text or JSONL files or folders, with the field of the text and a share; * repeats the source", true, true},      \
    {"tokens-from", 0, CLI_CHOICE, FATHOM_TRAIN_TOKENS,                                                                \
     "the corpus is chats, JSONL with \"messages\" of role and content, put together by the model's own template; "    \
     "train on all tokens, or on the words of one side (the corpus is text)", false, false},                           \
    {"lr", 0, CLI_NUMBER, "RATE", "learning rate (falls with the root of the width: 2e-4 at 16384 features)",          \
     false, false},                                                                                                    \
    {"batch", 0, CLI_INTEGER, "N", "rows of a step (4096)", false, false},                                             \
    {"preset", 0, CLI_CHOICE, FATHOM_TRAIN_PRESETS,                                                                    \
     "a published recipe, whose options may be given as well (none)", false, false},                                   \
    {"schedule", 0, CLI_CHOICE, FATHOM_TRAIN_SCHEDULES,                                                                \
     "of the learning rate after its warm-up; last-fifth: constant, then to zero (last-fifth)", false, false},         \
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},                                      \
    {"shuffle", 0, CLI_INTEGER, "ROWS", "rows that are mixed at a time (131072)", false, false},                       \
    {"held-out", 0, CLI_INTEGER, "ROWS", "first rows kept aside for evaluation (16384)", false, false},                \
    {"evaluate-every", 0, CLI_INTEGER, "STEPS", "how often held-out rows are evaluated (100)", false, false},          \
    {"dtype", 0, CLI_CHOICE, "f32|bf16|f16|q8_0", "type of the stored matrices (bf16)", false, false},                 \
    {"checkpoint", 0, CLI_FOLDER, "FOLDER", "where a stopped run is saved (OUTPUT.checkpoint)", false, false},         \
    {"checkpoint-every", 0, CLI_INTEGER, "STEPS", "also save every so many steps (never)", false, false},              \
    {"max-time", 0, CLI_TEXT, "TIME", "save a checkpoint and stop after this time, such as 90m or 8h (none)",          \
     false, false},                                                                                                    \
    {"resume", 0, CLI_FLAG, NULL, "go on from the checkpoint", false, false},                                          \
    {"no-record", 0, CLI_FLAG, NULL, "leave this run out of the ledger that `fathom runs` shows", false, false}
// clang-format on

/* Reads the arguments. `output`: the path of a dictionary, which is varied where there are several. An exit status,
 * after printing what is wrong; *out is new (train_request_free) in any case but may be NULL. */
int train_request_read(struct train_request **out, const struct cli_arguments *arguments, const char *output);
void train_request_free(struct train_request *request);

#endif
