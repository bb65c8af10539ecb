#include "cli.h"
#include "run_record.h"
#include "seed_report.h"
#include "train_request.h"

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"hook", 0, CLI_HOOK, "NAME[+NAME…][,NAME…]",
     "hook points; a dictionary is trained for each, and a crosscoder for several with + between them; NAME.* is NAME "
     "of every layer",
     false, true},
    {"model-b", 0, CLI_MODEL, "MODEL", "a second model, whose hook points are b:NAME: crosscoders of both", false,
     false},
    {"arch", 0, CLI_CHOICES, FATHOM_TRAIN_NAMES,
     "architecture; several with commas between: a dictionary is trained of each (topk)", false, false},
    {"features", 0, CLI_TEXT, "F[,F…]", "features of a dictionary; a dictionary is trained for each number (4096)",
     false, false},
    {"k", 0, CLI_TEXT, "K[,K…]",
     "active features a token, or what the sparsity loss is controlled for; a dictionary is trained for each number "
     "(32)",
     false, false},
    {"seeds", 0, CLI_INTEGER, "N",
     "train each dictionary from so many seeds, from --seed on, and tell which features come back (1)", false, false},
    {"hook-out", 0, CLI_HOOK, "NAME[+NAME…][,NAME…]",
     "trains transcoders, which reconstruct the rows of these points from those of --hook, one for each; with + "
     "between "
     "as many points as in --hook, a cross-layer transcoder",
     false, false},
    {"skip", 0, CLI_FLAG, NULL, "transcoders: a linear way from input to output beside the features", false, false},
    {"output", 'o', CLI_OUTPUT, "DICT",
     "the file to write; with several dictionaries, hook, features and k are put before its ending", false, true},
    {"tokens", 0, CLI_INTEGER, "N", "tokens to train on (all that the corpus holds)", false, false},
    {"inputs", 0, CLI_CHOICE, FATHOM_TRAIN_INPUTS,
     "what is done to rows first: one scale for all, each dimension divided by its standard deviation, or made "
     "uncorrelated too (scaled)",
     false, false},
    {"start", 0, CLI_FILE, "DICT",
     "begin from an SAE of the same model instead of random directions: its features keep their numbers (none)", false,
     false},
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
    {"skip-positions", 0, CLI_INTEGER, "N", "leave out the first N positions of a sequence (1)", false, false},
    {"keep-special", 0, CLI_FLAG, NULL,
     "train on special tokens too, such as those between a chat's messages (they are left out and counted)", false,
     false},
    {"norm-multiple", 0, CLI_NUMBER, "X", "leave out rows with a norm above X times the median; 0: none (8)", false,
     false},
    TRAIN_OPTIONS_RUN,
    {"metrics", 0, CLI_OUTPUT, "FILE", "write metrics as JSON lines", false, false},
    {"freeze-decoder", 0, CLI_FLAG, NULL, "leave the random decoder as it is: a control", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static void print_people(const struct train_request *request, const struct fathom_train_result *results) {
    for (size_t i = 0; i < request->n_dictionaries; i++) {
        const struct fathom_train_result *r = &results[i];
        printf("%s\n", request->dictionaries[i].path);
        printf("  held-out FVE %.4f, L0 %.1f, dead %.1f %%", r->fve, r->l0, 100 * r->dead_fraction);
        if (r->threshold > 0) printf(", threshold %.3f", r->threshold);
        putchar('\n');
        printf("  %llu steps, %llu tokens, %.0f seconds; left out: %llu rows by position, %llu by norm (over %.1f)\n",
               (unsigned long long)r->steps, (unsigned long long)r->rows, r->seconds,
               (unsigned long long)r->skipped_positions, (unsigned long long)r->skipped_norms, r->max_norm);
        if (r->skipped_roles > 0)
            printf("  run past, and not trained on: %llu tokens of others than --tokens-from asks for\n",
                   (unsigned long long)r->skipped_roles);
        if (r->skipped_special > 0)
            printf("  left out: %llu rows of special tokens\n", (unsigned long long)r->skipped_special);
    }
}

static int print_json(const struct train_request *request, const struct fathom_train_result *results,
                      const json_t *stability) {
    json_t *array = json_array();
    for (size_t i = 0; i < request->n_dictionaries; i++) {
        const struct fathom_train_result *r = &results[i];
        const struct fathom_train_dictionary *d = &request->dictionaries[i];
        json_array_append_new(
            array,
            json_pack("{s:s, s:s, s:s?, s:s, s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f}",
                      "path", d->path, "hook", d->hook, "hook_out", d->hook_out, "architecture",
                      fathom_trainer_architecture_name(d->options.architecture), "features", (int)d->options.n_features,
                      "k", (int)d->options.k, "seed", (json_int_t)d->options.seed, "fve", r->fve, "l0", r->l0,
                      "dead_fraction", r->dead_fraction, "threshold", r->threshold, "steps", (json_int_t)r->steps,
                      "tokens", (json_int_t)r->rows, "skipped_positions", (json_int_t)r->skipped_positions,
                      "skipped_norms", (json_int_t)r->skipped_norms, "skipped_roles", (json_int_t)r->skipped_roles,
                      "skipped_special", (json_int_t)r->skipped_special, "seconds", r->seconds));
    }
    json_t *json = json_pack("{s:o}", "dictionaries", array);
    if (stability) json_object_set(json, "stability", (json_t *)(uintptr_t)stability);
    return cli_print_json(json);
}

static int run(struct cli_arguments *arguments) {
    struct train_request *request = NULL;
    struct fathom_train_result results[TRAIN_DICTIONARIES];
    struct run_record record;
    int code = train_request_read(&request, arguments, cli_text(arguments, "output", ""));
    if (code) {
        train_request_free(request);
        return code;
    }
    run_record_open(&record, request, arguments);
    int status = fathom_train(results, request->dictionaries, request->n_dictionaries, &request->run);
    json_t *stability = NULL;
    if (!status && request->n_seeds > 1) status = seed_report(&stability, request);
    if (stability) run_record_note(&record, "stability", json_incref(stability));
    run_record_close(&record, status, results);
    if (status) {
        code = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        code = print_json(request, results, stability);
    } else {
        print_people(request, results);
        if (stability) seed_report_print(stability);
    }
    json_decref(stability);
    train_request_free(request);
    return code;
}

const struct cli_command cli_command_train = {
    .name = "train",
    .summary = "train sparse dictionaries on a corpus run through a model",
    .operands = "",
    .description =
        "Runs the corpus through the model, shuffles the activations at the hook points and trains "
        "dictionaries on them; nothing but the dictionaries "
        "(and metrics and checkpoints where asked for) touches the disk. Several hook points, "
        "architectures, widths or values of k share one pass.\n\n"
        "TopK and BatchTopK choose their features by k. Matryoshka is BatchTopK in which the first groups of "
        "features reconstruct by themselves. Standard (L1), gated and JumpReLU (L0, or tanh) have a sparsity "
        "loss; its coefficient is set as training goes, so that k features are active on average, or given by "
        "--sparsity.\n\n"
        "Hook points with + between them are the sources of a crosscoder: each feature is read from, and writes to, "
        "the "
        "rows of all of them, and the lengths of its parts tell where it is at home. They may be layers of one model, "
        "or, with --model-b, of two that cut text into the same tokens. fathom crosscoder tells what came of it.\n\n"
        "With as many points in --hook-out, a cross-layer transcoder is trained: a feature reads one of the points of "
        "--hook, and writes to the one that stands at its place in --hook-out and to all after it. --features and --k "
        "are then those of all layers together.\n\n"
        "Rows at the first position and rows of outlier norm are left out and counted: they are of another "
        "kind, and a few of them wreck a loss. The first rows of the "
        "corpus are kept aside; FVE, L0 and dead fraction on them are shown as training goes. Ctrl-C, or the end of "
        "--max-time, saves "
        "a checkpoint, and --resume goes on from it to the same bits that a "
        "run without interruption would have given. Runs are written down in a ledger, which fathom runs shows.\n\n"
        "With --start an SAE that was trained before is trained on, with a schedule of its own: on more text, on other "
        "text, or at another layer. Its features keep their numbers. Give text that it has not seen: a corpus is read "
        "from its beginning.\n\n"
        "With --tokens-from the corpus is chats: each is put together by the model's own template and run as a whole, "
        "and "
        "the rows of all tokens, or of the words of the assistant or of the user alone, are trained on.\n\n"
        "With --seeds N, dictionaries that differ in their seed alone are trained on the same batches, and every "
        "feature "
        "is matched with those of the other seeds by the cosine of their decoder rows, beside random directions; "
        "NAME.stability.json beside each dictionary has the figure of every feature.",
    .examples = "fathom train -m smollm2 --hook resid_post.12 --arch topk --features 8192 --k 32 --corpus wiki.jsonl "
                "-o layer12.gguf # one dictionary\n"
                "fathom train -m smollm2 --hook resid_post.9,resid_post.15 --features 4096,8192 --corpus "
                "wiki.jsonl=0.9 own.jsonl=0.1 --tokens 2000000 -o try.gguf # four, in one pass\n"
                "fathom train -m smollm2 --hook mlp_in.12 --hook-out mlp_out.12 --skip --arch jumprelu --corpus "
                "wiki.jsonl -o mlp12.gguf # a skip transcoder\n"
                "fathom train -m smollm2 --hook resid_post.9+resid_post.15 --arch batchtopk --corpus wiki.jsonl -o "
                "cross.gguf # a crosscoder of two layers\n"
                "fathom train -m base.gguf --model-b tuned.gguf --hook resid_post.12+b:resid_post.12 --arch batchtopk "
                "--corpus wiki.jsonl -o changed.gguf # one of two models",
    .options = options,
    .run = run,
};
