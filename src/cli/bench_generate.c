#include "bench.h"
#include <base/memory.h>
#include <base/random.h>
#include <base/thread.h>
#include <fathom/session.h>
#include <math.h>
#include <stdlib.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS,
    {"hook", 0, CLI_HOOK, "NAME", "where the edited runs add a vector (resid_post of the middle layer)", false, false},
    {"prompt", 0, CLI_INTEGER, "N", "tokens of prompt (256)", false, false},
    {"tokens", 0, CLI_INTEGER, "N", "tokens generated (128)", false, false},
    {"parallel", 0, CLI_INTEGER, "N", "texts written side by side, each of that length (1)", false, false},
    {"flash-attention", 0, CLI_FLAG, NULL, "attention in one pass, as reading uses it and writing does not", false,
     false},
    {"runs", 0, CLI_INTEGER, "N", "runs of each kind, in turns, of which the median counts (5)", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_bench_generate = {
    .name = "bench generate",
    .summary = "measure how fast a model reads and writes, plain, tapped and steered",
    .operands = "",
    .description = "Times prompts and decodes of one random token a text, in turns plain, with a tap and with an "
                   "edit that adds a vector to every row. "
                   "Sampling is left out.",
    .examples =
        "fathom bench generate -m smollm2 --threads 2 --json # tokens a second, and what a tap and an edit cost",
    .options = options,
    .run = bench_generate,
};

enum kind { PLAIN, TAPPED, STEERED, KINDS };
static const char *const kind_names[KINDS] = {"plain", "tapped", "steered"};

enum { MOST_RUNS = 100, MOST_PARALLEL = 64 };

struct bench {
    fathom_session *session;
    struct fathom_hook hook;
    int32_t *tokens; /* prompt and what follows, the same for all texts */
    size_t n_prompt, n_new, n_texts;
    float *vector; /* one row of the hook */
    double sum;    /* of what the tap read, so that it reads */
};

static int read_rows(const struct fathom_block *block, void *payload) {
    struct bench *bench = payload;
    bench->sum += block->rows[(block->n_rows - 1) * block->width];
    return 0;
}

static int add_vector(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct bench *bench = payload;
    for (size_t r = 0; r < block->n_rows; r++)
        for (size_t i = 0; i < block->width; i++)
            rows[r * block->width + i] += bench->vector[i];
    *changed = true;
    return 0;
}

/* One run: tokens a second of the prompt and of what follows. */
static int run_once(double *prompt_rate, double *rate, struct bench *bench, enum kind kind) {
    fathom_session_unhook_all(bench->session);
    int status = FATHOM_OK;
    if (kind == TAPPED) status = fathom_session_tap(NULL, bench->session, bench->hook, read_rows, bench);
    if (kind == STEERED) status = fathom_session_edit(NULL, bench->session, bench->hook, add_vector, bench);
    fathom_session_forget(bench->session, -1, 0);
    double start = fathom__seconds();
    for (size_t t = 0; !status && t < bench->n_texts; t++)
        status = fathom_session_feed(bench->session, bench->tokens, bench->n_prompt, (int32_t)t, 0, false);
    double middle = fathom__seconds();
    for (size_t i = 0; !status && i < bench->n_new; i++) {
        struct fathom_row rows[MOST_PARALLEL];
        for (size_t t = 0; t < bench->n_texts; t++)
            rows[t] = (struct fathom_row){.token = bench->tokens[bench->n_prompt + i],
                                          .position = (int32_t)(bench->n_prompt + i),
                                          .sequence = (int32_t)t,
                                          .want_logits = true};
        status = cli_interrupted() ? FATHOM_ERROR_STOPPED : fathom_session_decode(bench->session, rows, bench->n_texts);
    }
    *prompt_rate = (double)(bench->n_texts * bench->n_prompt) / (middle - start);
    *rate = (double)(bench->n_texts * bench->n_new) / (fathom__seconds() - middle);
    return status;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

static int print_result(const struct cli_arguments *arguments, const struct bench *bench,
                        double rates[KINDS][2][MOST_RUNS], size_t n_runs, uint32_t threads) {
    char name[FATHOM_HOOK_NAME_SIZE];
    fathom_hook_name(name, bench->hook);
    json_t *result = json_object();
    for (int kind = 0; kind < KINDS; kind++) {
        double prompt_rate = median(rates[kind][0], n_runs), rate = median(rates[kind][1], n_runs);
        if (kind == PLAIN) json_object_set_new(result, "tokens_per_second", json_real(rate));
        json_object_set_new(
            result, kind_names[kind],
            json_pack("{s:f, s:f}", "tokens_per_second", rate, "prompt_tokens_per_second", prompt_rate));
        if (!cli_json(arguments))
            printf("%-8s %8.1f tokens a second, prompt %8.1f\n", kind_names[kind], rate, prompt_rate);
    }
    if (!cli_json(arguments)) {
        json_decref(result);
        return CLI_OK;
    }
    json_object_set_new(result, "model",
                        json_string(fathom_model_describe(fathom_session_model(bench->session))->name));
    json_object_set_new(result, "hook", json_string(name));
    json_object_set_new(result, "threads", json_integer(threads));
    json_object_set_new(result, "prompt_tokens", json_integer((json_int_t)bench->n_prompt));
    json_object_set_new(result, "tokens", json_integer((json_int_t)bench->n_new));
    json_object_set_new(result, "parallel", json_integer((json_int_t)bench->n_texts));
    json_object_set_new(result, "flash_attention", json_boolean(cli_has(arguments, "flash-attention")));
    json_object_set_new(result, "runs", json_integer((json_int_t)n_runs));
    return cli_print_json(result);
}

/* Random plain tokens, and a small vector that changes what is computed without wrecking it. */
static int prepare(struct bench *bench, const fathom_model *model, const struct cli_arguments *arguments, uint64_t seed,
                   uint32_t threads) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    uint32_t heads = 0, width = 0;
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    const char *name = cli_text(arguments, "hook", NULL);
    bench->hook = (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)info->n_layers / 2};
    int status = name ? fathom_hook_parse(&bench->hook, model, name) : FATHOM_OK;
    if (status) return status;
    fathom_hook_exists(&heads, &width, model, bench->hook);
    size_t n = bench->n_prompt + bench->n_new;
    status = fathom__alloc(&bench->tokens, n, sizeof *bench->tokens);
    if (!status) status = fathom__alloc(&bench->vector, (size_t)heads * width, sizeof *bench->vector);
    for (size_t i = 0; !status && i < n; i++)
        bench->tokens[i] = (int32_t)fathom__random_below(&random, info->n_vocab);
    for (size_t i = 0; !status && i < (size_t)heads * width; i++)
        bench->vector[i] = 0.01f * (float)fathom__random_normal(&random);
    struct fathom_session_options session = {.n_context = (uint32_t)(n * bench->n_texts),
                                             .n_sequences = (uint32_t)bench->n_texts,
                                             .n_threads = threads,
                                             .flash_attention = cli_has(arguments, "flash-attention")};
    return status ? status : fathom_session_open(&bench->session, model, &session);
}

int bench_generate(struct cli_arguments *arguments) {
    int64_t prompt, new_tokens, parallel, runs, threads, seed;
    if (!cli_integer(&prompt, arguments, "prompt", 1, 1 << 20, 256) ||
        !cli_integer(&new_tokens, arguments, "tokens", 1, 1 << 20, 128) ||
        !cli_integer(&parallel, arguments, "parallel", 1, MOST_PARALLEL, 1) ||
        !cli_integer(&runs, arguments, "runs", 1, MOST_RUNS, 5) ||
        !cli_integer(&threads, arguments, "threads", 1, 512, fathom__cores()) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    static double rates[KINDS][2][MOST_RUNS];
    struct bench bench = {.n_prompt = (size_t)prompt, .n_new = (size_t)new_tokens, .n_texts = (size_t)parallel};
    int status = CLI_OK;
    fathom_model *model = cli_open_model(&status, arguments);
    if (model == NULL) return status;
    double ignored[2];
    int code = prepare(&bench, model, arguments, (uint64_t)seed, (uint32_t)threads);
    if (!code) code = run_once(&ignored[0], &ignored[1], &bench, STEERED); /* the model's pages are read in it */
    for (int64_t i = 0; !code && i < runs; i++)
        for (int kind = 0; !code && kind < KINDS; kind++)
            code = run_once(&rates[kind][0][i], &rates[kind][1][i], &bench, (enum kind)kind);
    status = code ? cli_fail(arguments, code) : print_result(arguments, &bench, rates, (size_t)runs, (uint32_t)threads);
    fathom_session_close(bench.session);
    fathom_free(bench.tokens);
    fathom_free(bench.vector);
    fathom_model_close(model);
    return status;
}
