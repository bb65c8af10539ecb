#include "cli.h"
#include "duration.h"
#include "trainer_arguments.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/corpus.h>
#include <fathom/trainer.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DICTIONARIES = 64, MOST_SOURCES = 4096 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"hook", 0, CLI_TEXT, "NAME[,NAME…]", "hook points; a dictionary is trained for each", false, true},
    {"arch", 0, CLI_CHOICE, FATHOM_TRAIN_NAMES, "architecture (topk)", false, false},
    {"features", 0, CLI_TEXT, "F[,F…]", "features of a dictionary; a dictionary is trained for each number (4096)",
     false, false},
    {"k", 0, CLI_TEXT, "K[,K…]",
     "active features a token, or what the sparsity loss is controlled for; a dictionary is trained for each number "
     "(32)",
     false, false},
    {"corpus", 0, CLI_FILE, "FILE[:FIELD][=WEIGHT[*]]",
     "text or JSONL files or folders, with the field of the text and a share; * repeats the source", true, true},
    {"hook-out", 0, CLI_TEXT, "NAME[,NAME…]",
     "trains transcoders, which reconstruct the rows of these points from those of --hook, one for each", false, false},
    {"skip", 0, CLI_FLAG, NULL, "transcoders: a linear way from input to output beside the features", false, false},
    {"output", 'o', CLI_FILE, "DICT",
     "the file to write; with several dictionaries, hook, features and k are put before its ending", false, true},
    {"tokens", 0, CLI_INTEGER, "N", "tokens to train on (all that the corpus holds)", false, false},
    {"batch", 0, CLI_INTEGER, "N", "rows of a step (4096)", false, false},
    {"lr", 0, CLI_NUMBER, "RATE", "learning rate (falls with the root of the width: 2e-4 at 16384 features)", false,
     false},
    {"preset", 0, CLI_CHOICE, FATHOM_TRAIN_PRESETS, "a published recipe, whose options may be given as well (none)",
     false, false},
    {"inputs", 0, CLI_CHOICE, FATHOM_TRAIN_INPUTS,
     "what is done to rows first: one scale for all, each dimension divided by its standard deviation, or made "
     "uncorrelated too (scaled)",
     false, false},
    {"schedule", 0, CLI_CHOICE, FATHOM_TRAIN_SCHEDULES,
     "of the learning rate after its warm-up; last-fifth: constant, then to zero (last-fifth)", false, false},
    {"warmup", 0, CLI_INTEGER, "STEPS", "steps of rising learning rate (1000, or a twentieth of all)", false, false},
    {"k-aux", 0, CLI_INTEGER, "N",
     "dead features that the auxiliary loss uses for a row (largest power of two up to half the width)", false, false},
    {"aux", 0, CLI_NUMBER, "C", "the auxiliary loss's coefficient; negative: none (1/32)", false, false},
    {"dead-after", 0, CLI_INTEGER, "TOKENS",
     "a feature that did not fire for so long is dead (10 million, or an eighth of all)", false, false},
    {"clip", 0, CLI_NUMBER, "NORM", "largest norm of the gradient (none)", false, false},
    {"sparsity", 0, CLI_NUMBER, "C",
     "coefficient of the sparsity loss of standard, gated and jumprelu (set as training goes, so that L0 is k)", false,
     false},
    {"sparsity-warmup", 0, CLI_INTEGER, "STEPS",
     "steps over which that coefficient rises (1000, or a twentieth of all)", false, false},
    {"start-l0", 0, CLI_NUMBER, "N", "L0 that biases or thresholds start with (2 k)", false, false},
    {"bandwidth", 0, CLI_NUMBER, "X", "of jumprelu's straight-through estimator (0.05; jumprelu-tanh: 2)", false,
     false},
    {"quadratic-l0", 0, CLI_FLAG, NULL, "jumprelu: a loss of (L0 / k - 1) squared", false, false},
    {"free-norms", 0, CLI_FLAG, NULL, "decoder rows of any length, which the sparsity loss counts", false, false},
    {"ema", 0, CLI_NUMBER, "X",
     "evaluate and write the parameters' running mean, of which a step leaves this part, such as 0.999 (none)", false,
     false},
    {"groups", 0, CLI_TEXT, "N,N…", "matryoshka: features of each group (1/32, 1/16, 1/8, 1/4 of all, the rest)", false,
     false},
    {"dtype", 0, CLI_CHOICE, "f32|bf16|f16|q8_0", "type of the stored matrices (bf16)", false, false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    {"skip-positions", 0, CLI_INTEGER, "N", "leave out the first N positions of a sequence (1)", false, false},
    {"norm-multiple", 0, CLI_NUMBER, "X", "leave out rows with a norm above X times the median; 0: none (8)", false,
     false},
    {"shuffle", 0, CLI_INTEGER, "ROWS", "rows that are mixed at a time (131072)", false, false},
    {"held-out", 0, CLI_INTEGER, "ROWS", "first rows kept aside for evaluation (16384)", false, false},
    {"evaluate-every", 0, CLI_INTEGER, "STEPS", "how often held-out rows are evaluated (100)", false, false},
    {"metrics", 0, CLI_FILE, "FILE", "write metrics as JSON lines", false, false},
    {"checkpoint", 0, CLI_FOLDER, "FOLDER", "where a stopped run is saved (DICT.checkpoint)", false, false},
    {"checkpoint-every", 0, CLI_INTEGER, "STEPS", "also save every so many steps (never)", false, false},
    {"max-time", 0, CLI_TEXT, "TIME", "save a checkpoint and stop after this time, such as 90m or 8h (none)", false,
     false},
    {"resume", 0, CLI_FLAG, NULL, "go on from the checkpoint", false, false},
    {"freeze-decoder", 0, CLI_FLAG, NULL, "leave the random decoder as it is: a control", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* Everything the command makes out of its arguments. */
struct request {
    struct fathom_train_options run;
    struct fathom_trainer_options trainer;
    struct fathom_corpus_source sources[MOST_SOURCES];
    char *source_storage[MOST_SOURCES];
    struct fathom_train_dictionary dictionaries[MOST_DICTIONARIES];
    char *paths[MOST_DICTIONARIES];
    size_t n_dictionaries;
    char *hooks, *hooks_out, *features, *widths, *checkpoint;
};

static void print_warning(const char *path, uint64_t step, const char *text, void *payload) {
    (void)payload;
    cli_progress_end();
    fprintf(stderr, "%s, step %llu: %s\n", path, (unsigned long long)step, text);
}

static bool read_numbers(struct request *request, const struct cli_arguments *arguments) {
    int64_t tokens, context, skip, shuffle, held_out, evaluate, checkpoint, threads, seed;
    double multiple, seconds = 0;
    const char *time = cli_text(arguments, "max-time", NULL);
    if (time && !duration_read(&seconds, time)) {
        cli_usage(arguments, "--max-time %s: a time such as 90s, 45m or 8h is expected", time);
        return false;
    }
    const bool read = cli_integer(&tokens, arguments, "tokens", 1, INT64_MAX, 0) &&
                      cli_integer(&context, arguments, "context", 2, 1 << 20, 0) &&
                      cli_integer(&skip, arguments, "skip-positions", 0, INT32_MAX, 1) &&
                      cli_integer(&shuffle, arguments, "shuffle", 1, INT64_MAX / 65536, 0) &&
                      cli_integer(&held_out, arguments, "held-out", 1, INT32_MAX, 0) &&
                      cli_integer(&evaluate, arguments, "evaluate-every", 1, INT32_MAX, 0) &&
                      cli_integer(&checkpoint, arguments, "checkpoint-every", 1, INT64_MAX, 0) &&
                      cli_integer(&threads, arguments, "threads", 1, 1024, 0) &&
                      cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) &&
                      cli_number(&multiple, arguments, "norm-multiple", 0, 1e9, 8);
    if (!read) return false;
    request->run = (struct fathom_train_options){
        .model_path = cli_text(arguments, "model", "smollm2"),
        .tokens = (uint64_t)tokens,
        .seed = (uint64_t)seed,
        .context = (uint32_t)context,
        .n_threads = (uint32_t)threads,
        .skip_positions = skip ? (uint32_t)skip : UINT32_MAX,
        .norm_multiple = multiple > 0 ? multiple : -1,
        .shuffle_rows = (uint64_t)shuffle,
        .held_out_rows = (uint64_t)held_out,
        .evaluate_every = (uint32_t)evaluate,
        .metrics_path = cli_text(arguments, "metrics", NULL),
        .checkpoint_every = (uint64_t)checkpoint,
        .resume = cli_has(arguments, "resume"),
        .max_seconds = seconds,
        .progress = cli_progress,
        .warning = cli_has(arguments, "quiet") ? NULL : print_warning,
    };
    return true;
}

static int read_sources(struct request *request, const struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *texts = cli_all(&n, arguments, "corpus");
    if (n > MOST_SOURCES)
        return fathom__fail(FATHOM_ERROR_LIMIT, "corpus: %zu sources; at most %d are read", n, MOST_SOURCES);
    for (size_t i = 0; i < n; i++) {
        int status = fathom_corpus_source_parse(&request->sources[i], &request->source_storage[i], texts[i]);
        if (status) return status;
    }
    request->run.sources = request->sources;
    request->run.n_sources = n;
    return 0;
}

/* The path of one of several dictionaries: DICT's name with what sets it apart before its ending. */
static int vary_path(char **out, const char *path, const char *hook, const char *features, const char *k) {
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    if (!dot || (slash && dot < slash)) dot = path + strlen(path);
    return fathom__format(out, "%.*s-%s-%s-%s%s", (int)(dot - path), path, hook, features, k, dot);
}

static int count_commas(const char *text) {
    int n = 0;
    for (; *text; text++)
        n += *text == ',';
    return n;
}

static bool read_count(uint32_t *out, const char *text) {
    char *end;
    const long value = strtol(text, &end, 10);
    *out = (uint32_t)value;
    return end != text && *end == '\0' && value >= 1 && value <= INT32_MAX;
}

/* Every hook point with every width and every k. */
static int list_dictionaries(struct request *request, const struct cli_arguments *arguments) {
    const char *hooks = cli_text(arguments, "hook", ""), *features = cli_text(arguments, "features", "4096"),
               *ks = cli_text(arguments, "k", "32"), *output = cli_text(arguments, "output", "");
    const bool several = count_commas(hooks) + count_commas(features) + count_commas(ks) > 0;
    const char *hooks_out = cli_text(arguments, "hook-out", NULL);
    if (hooks_out && count_commas(hooks_out) != count_commas(hooks))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "--hook-out %s: as many hook points as in --hook %s are expected",
                            hooks_out, hooks);
    int status = fathom__copy_string(&request->hooks, hooks);
    if (!status && hooks_out) status = fathom__copy_string(&request->hooks_out, hooks_out);
    char *hook_state = NULL, *out_state = NULL;
    const char *hook_out = request->hooks_out ? strtok_r(request->hooks_out, ",", &out_state) : NULL;
    for (char *hook = status ? NULL : strtok_r(request->hooks, ",", &hook_state); hook;
         hook = strtok_r(NULL, ",", &hook_state), hook_out = hook_out ? strtok_r(NULL, ",", &out_state) : NULL) {
        char *feature_state = NULL;
        fathom_free(request->features);
        request->features = NULL;
        status = fathom__copy_string(&request->features, features);
        for (char *width = status ? NULL : strtok_r(request->features, ",", &feature_state); width;
             width = strtok_r(NULL, ",", &feature_state)) {
            char *k_state = NULL;
            fathom_free(request->widths);
            request->widths = NULL;
            status = fathom__copy_string(&request->widths, ks);
            for (char *k = status ? NULL : strtok_r(request->widths, ",", &k_state); k;
                 k = strtok_r(NULL, ",", &k_state)) {
                const size_t i = request->n_dictionaries;
                if (i == MOST_DICTIONARIES)
                    return fathom__fail(FATHOM_ERROR_LIMIT, "at most %d dictionaries are trained at once",
                                        MOST_DICTIONARIES);
                struct fathom_train_dictionary *dictionary = &request->dictionaries[i];
                *dictionary = (struct fathom_train_dictionary){.hook = hook,
                                                               .hook_out = hook_out,
                                                               .dtype = cli_text(arguments, "dtype", NULL),
                                                               .options = request->trainer};
                if (!read_count(&dictionary->options.n_features, width))
                    return fathom__fail(FATHOM_ERROR_ARGUMENT, "--features %s: a whole number from 1 to %d is expected",
                                        width, INT32_MAX);
                if (!read_count(&dictionary->options.k, k))
                    return fathom__fail(FATHOM_ERROR_ARGUMENT, "--k %s: a whole number from 1 to %d is expected", k,
                                        INT32_MAX);
                status = several ? vary_path(&request->paths[i], output, hook, width, k)
                                 : fathom__copy_string(&request->paths[i], output);
                if (status) return status;
                dictionary->path = request->paths[i];
                request->n_dictionaries++;
            }
        }
    }
    if (!status) {
        const char *folder = cli_text(arguments, "checkpoint", NULL);
        status = folder ? fathom__copy_string(&request->checkpoint, folder)
                        : fathom__format(&request->checkpoint, "%s.checkpoint", output);
        request->run.checkpoint = request->checkpoint;
    }
    return status;
}

static void print_people(const struct request *request, const struct fathom_train_result *results) {
    for (size_t i = 0; i < request->n_dictionaries; i++) {
        const struct fathom_train_result *r = &results[i];
        printf("%s\n", request->dictionaries[i].path);
        printf("  held-out FVE %.4f, L0 %.1f, dead %.1f %%", r->fve, r->l0, 100 * r->dead_fraction);
        if (r->threshold > 0) printf(", threshold %.3f", r->threshold);
        putchar('\n');
        printf("  %llu steps, %llu tokens, %.0f seconds; left out: %llu rows by position, %llu by norm (over %.1f)\n",
               (unsigned long long)r->steps, (unsigned long long)r->rows, r->seconds,
               (unsigned long long)r->skipped_positions, (unsigned long long)r->skipped_norms, r->max_norm);
    }
}

static int print_json(const struct request *request, const struct fathom_train_result *results) {
    json_t *array = json_array();
    for (size_t i = 0; i < request->n_dictionaries; i++) {
        const struct fathom_train_result *r = &results[i];
        const struct fathom_train_dictionary *d = &request->dictionaries[i];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:s?, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f}",
                                        "path", d->path, "hook", d->hook, "hook_out", d->hook_out, "architecture",
                                        fathom_trainer_architecture_name(d->options.architecture), "features",
                                        (int)d->options.n_features, "k", (int)d->options.k, "fve", r->fve, "l0", r->l0,
                                        "dead_fraction", r->dead_fraction, "threshold", r->threshold, "steps",
                                        (json_int_t)r->steps, "tokens", (json_int_t)r->rows, "skipped_positions",
                                        (json_int_t)r->skipped_positions, "skipped_norms", (json_int_t)r->skipped_norms,
                                        "seconds", r->seconds));
    }
    return cli_print_json(json_pack("{s:o}", "dictionaries", array));
}

static int run(struct cli_arguments *arguments) {
    struct request *request = NULL;
    struct fathom_train_result results[MOST_DICTIONARIES];
    int code = CLI_USAGE;
    int status = fathom__alloc(&request, 1, sizeof *request);
    if (status) return cli_fail(arguments, status);
    if (!read_numbers(request, arguments)) goto done;
    code = trainer_arguments_read(&request->trainer, arguments);
    if (code) goto done;
    status = read_sources(request, arguments);
    if (!status) status = list_dictionaries(request, arguments);
    if (!status) status = fathom_train(results, request->dictionaries, request->n_dictionaries, &request->run);
    if (status) {
        code = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        code = print_json(request, results);
    } else {
        print_people(request, results);
        code = CLI_OK;
    }
done:
    for (size_t i = 0; i < request->n_dictionaries; i++)
        fathom_free(request->paths[i]);
    for (size_t i = 0; i < MOST_SOURCES; i++)
        fathom_free(request->source_storage[i]);
    fathom_free(request->hooks);
    fathom_free(request->hooks_out);
    fathom_free(request->features);
    fathom_free(request->widths);
    fathom_free(request->checkpoint);
    fathom_free(request);
    return code;
}

const struct cli_command cli_command_train = {
    .name = "train",
    .summary = "train sparse dictionaries on a corpus run through a model",
    .operands = "",
    .description =
        "Runs the corpus through the model, shuffles the activations at the hook points and trains "
        "dictionaries on them; nothing but the dictionaries "
        "(and metrics and checkpoints where asked for) touches the disk. Several hook points, widths or "
        "values of k share one pass.\n\n"
        "TopK and BatchTopK choose their features by k. Matryoshka is BatchTopK in which the first groups of "
        "features reconstruct by themselves. Standard (L1), gated and JumpReLU (L0, or tanh) have a sparsity "
        "loss; its coefficient is set as training goes, so that k features are active on average, or given by "
        "--sparsity.\n\n"
        "Rows at the first position and rows of outlier norm are left out and counted: they are of another "
        "kind, and a few of them wreck a loss. The first rows of the "
        "corpus are kept aside; FVE, L0 and dead fraction on them are shown as training goes. Ctrl-C, or the end of "
        "--max-time, saves "
        "a checkpoint, and --resume goes on from it to the same bits that a "
        "run without interruption would have given.",
    .examples = "fathom train -m smollm2 --hook resid_post.12 --arch topk --features 8192 --k 32 --corpus wiki.jsonl "
                "-o layer12.gguf # one dictionary\n"
                "fathom train -m smollm2 --hook resid_post.9,resid_post.15 --features 4096,8192 --corpus "
                "wiki.jsonl=0.9 own.jsonl=0.1 --tokens 2000000 -o try.gguf # four, in one pass\n"
                "fathom train -m smollm2 --hook mlp_in.12 --hook-out mlp_out.12 --skip --arch jumprelu --corpus "
                "wiki.jsonl -o mlp12.gguf # a skip transcoder",
    .options = options,
    .run = run,
};
