#include "bench.h"
#include "corpus_arguments.h"
#include <base/buffer.h>
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/safetensors.h>
#include <base/thread.h>
#include <base/utf8.h>
#include <fathom/harvest.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Blocks a worker that come before the clock starts: weights are packed and products prepared in them. */
enum { WARM_BLOCKS = 2, DEFAULT_TOKENS = 65536, DOCUMENT_TOKENS = 1000, DOCUMENT_BYTES = 1 << 20 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"hook", 0, CLI_HOOK, "NAME", "hook point to harvest; several with commas between them (resid_post.11)", false,
     false},
    {"corpus", 0, CLI_FILE, "FILE", "text to run (random tokens: the time does not depend on what they are)", true,
     false},
    {"tokens", 0, CLI_INTEGER, "N", "tokens that are timed, after a few that are not (65536)", false, false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    {"output", 'o', CLI_OUTPUT, "FILE",
     "also write the first hook point's rows, as \"rows\", and their \"position\" to a safetensors file", false, false},
    {"original", 0, CLI_FLAG, NULL, "run the model as it is, not a derived bf16 copy", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_bench_harvest = {
    .name = "bench harvest",
    .summary = "measure how fast activations are harvested",
    .operands = "",
    .description = "Times the stream of activations that training and indexing read, from text to rows of floats.",
    .examples = "fathom bench harvest -m smollm2 --hook resid_post.11 --threads 2 --json # the figure that is compared "
                "with other libraries",
    .options = options,
    .run = bench_harvest,
};

struct timing {
    uint64_t warm_blocks, blocks, rows, started_at;
    double started, ended;
    bool keep; /* the rows themselves, in these: */
    float *kept;
    int32_t *positions;
    size_t width, kept_capacity, positions_capacity;
};

static int keep_rows(struct timing *timing, const struct fathom_harvest_block *block) {
    const size_t n = timing->rows, width = timing->width = block->widths[0];
    int status = fathom__grow(&timing->kept, &timing->kept_capacity, (n + block->n_rows) * width, sizeof(float));
    if (!status)
        status = fathom__grow(&timing->positions, &timing->positions_capacity, n + block->n_rows, sizeof(int32_t));
    if (status) return status;
    memcpy(timing->kept + n * width, block->rows[0], block->n_rows * width * sizeof(float));
    memcpy(timing->positions + n, block->positions, block->n_rows * sizeof(int32_t));
    return FATHOM_OK;
}

static int write_kept(const struct timing *timing, const char *path) {
    const struct fathom__tensor tensors[] = {
        {.name = "rows",
         .dtype = FATHOM__F32,
         .n_dimensions = 2,
         .shape = {timing->rows, timing->width},
         .data = timing->kept,
         .bytes = timing->rows * timing->width * sizeof(float)},
        {.name = "position",
         .dtype = FATHOM__I32,
         .n_dimensions = 1,
         .shape = {timing->rows},
         .data = timing->positions,
         .bytes = timing->rows * sizeof(int32_t)},
    };
    return fathom__safetensors_write(path, tensors, sizeof tensors / sizeof *tensors, NULL);
}

static int take(const struct fathom_harvest_block *block, void *payload) {
    struct timing *timing = payload;
    const int status = timing->keep ? keep_rows(timing, block) : FATHOM_OK;
    if (status) return status;
    timing->blocks++;
    timing->rows += block->n_rows;
    timing->ended = fathom__seconds();
    if (timing->blocks == timing->warm_blocks) {
        timing->started = timing->ended;
        timing->started_at = timing->rows;
    }
    return cli_interrupted() ? FATHOM_ERROR_STOPPED : 0;
}

static bool plain_token(const char **bytes, size_t *length, const fathom_model *model, int32_t token) {
    return !fathom_token_is_special(model, token) && fathom_token_bytes(bytes, length, model, token) == FATHOM_OK &&
           *length > 0 && fathom__utf8_valid(NULL, *bytes, *length) && !memchr(*bytes, '\0', *length);
}

/* JSONL documents that are random tokens of the model's vocabulary. */
static int random_text(FILE *file, const fathom_model *model, uint64_t n_tokens, uint64_t seed) {
    const uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    struct fathom__buffer text = FATHOM__BUFFER_INIT(DOCUMENT_BYTES);
    struct fathom__random random;
    int status = FATHOM_OK;
    fathom__random_seed(&random, seed);
    for (uint64_t written = 0; written < n_tokens && !status;) {
        fathom__buffer_clear(&text);
        for (uint32_t in_document = 0; in_document < DOCUMENT_TOKENS && !status;) {
            const char *bytes = NULL;
            size_t length = 0;
            if (!plain_token(&bytes, &length, model, (int32_t)fathom__random_below(&random, n_vocab))) continue;
            status = fathom__buffer_append(&text, bytes, length);
            in_document++;
            written++;
        }
        json_t *line = status ? NULL : json_pack("{s:s%}", "text", text.bytes, text.length);
        if (line && (json_dumpf(line, file, JSON_COMPACT) != 0 || fputc('\n', file) == EOF))
            status = fathom__fail(FATHOM_ERROR_IO, "cannot write the text to run");
        json_decref(line);
    }
    fathom__buffer_free(&text);
    return status;
}

static int temporary_text(char **path, const char *model_path, uint64_t n_tokens, uint64_t seed) {
    const char *folder = getenv("TMPDIR");
    fathom_model *model = NULL;
    FILE *file = NULL;
    int status = fathom__format(path, "%s/fathom-bench-XXXXXX", folder ? folder : "/tmp");
    if (status) return status;
    const int descriptor = mkstemp(*path);
    if (descriptor < 0 || !(file = fdopen(descriptor, "w")))
        return fathom__fail(FATHOM_ERROR_IO, "%s: cannot make a temporary file", *path);
    status = fathom_model_open(&model, model_path, NULL);
    if (!status) status = random_text(file, model, n_tokens, seed);
    fathom_model_close(model);
    if (fclose(file) != 0 && !status) status = fathom__fail(FATHOM_ERROR_IO, "%s: cannot write", *path);
    return status;
}

static int open_corpus(fathom_corpus **out, const char *const *paths, size_t n, uint64_t seed) {
    struct corpus_arguments corpus;
    int status = corpus_arguments_parse(&corpus, paths, n);
    for (size_t i = 0; i < corpus.n; i++)
        corpus.list[i].repeat = true; /* the measurement ends after its tokens */
    if (!status) status = fathom_corpus_open(out, corpus.list, corpus.n, seed);
    corpus_arguments_free(&corpus);
    return status;
}

/* Splits "a,b" in place. */
static size_t split_hooks(const char **hooks, size_t most, char *text) {
    size_t n = 0;
    for (char *save = NULL, *name = strtok_r(text, ",", &save); name && n < most; name = strtok_r(NULL, ",", &save))
        hooks[n++] = name;
    return n;
}

enum { MOST_HOOKS = 64 };

static int print_result(const struct cli_arguments *arguments, const struct fathom_harvest_options *harvest,
                        const struct timing *timing, const char *model) {
    const double seconds = timing->ended - timing->started, rows = (double)(timing->rows - timing->started_at),
                 rate = seconds > 0 ? rows / seconds : 0;
    if (!cli_json(arguments)) {
        printf("%.0f tokens a second: %.0f tokens in %.2f s on %u threads\n", rate, rows, seconds, harvest->n_threads);
        return CLI_OK;
    }
    json_t *hooks = json_array();
    for (size_t i = 0; i < harvest->n_hooks; i++)
        json_array_append_new(hooks, json_string(harvest->hooks[i]));
    return cli_print_json(json_pack("{s:f, s:s, s:o, s:i, s:i, s:I, s:f, s:b}", "tokens_per_second", rate, "model",
                                    model, "hooks", hooks, "threads", (int)harvest->n_threads, "context",
                                    (int)harvest->context, "tokens", (json_int_t)rows, "seconds", seconds, "original",
                                    harvest->original ? 1 : 0));
}

int bench_harvest(struct cli_arguments *arguments) {
    int64_t tokens, context, threads, seed;
    if (!cli_integer(&tokens, arguments, "tokens", 1024, INT32_MAX, DEFAULT_TOKENS) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 256) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, fathom__cores()) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    const char *model = cli_text(arguments, "model", "smollm2"), *hooks[MOST_HOOKS];
    const char *output = cli_text(arguments, "output", NULL);
    struct timing timing = {.warm_blocks = WARM_BLOCKS * (uint64_t)threads, .keep = output};
    struct fathom_harvest_options harvest = {
        .hooks = hooks,
        .context = (uint32_t)context,
        .n_threads = (uint32_t)threads,
        .max_tokens = (uint64_t)tokens + timing.warm_blocks * (uint64_t)(context > 512 ? context : 512),
        .original = cli_has(arguments, "original"),
        .progress = cli_progress};
    size_t n_corpora = 0;
    const char *const *corpora = cli_all(&n_corpora, arguments, "corpus");
    char *names = NULL, *temporary = NULL;
    fathom_corpus *corpus = NULL;
    int status = fathom__copy_string(&names, cli_text(arguments, "hook", "resid_post.11"));
    if (!status) harvest.n_hooks = split_hooks(hooks, MOST_HOOKS, names);
    if (!status && n_corpora == 0) status = temporary_text(&temporary, model, harvest.max_tokens, (uint64_t)seed);
    if (!status)
        status = n_corpora > 0 ? open_corpus(&corpus, corpora, n_corpora, (uint64_t)seed)
                               : open_corpus(&corpus, (const char *const[]){temporary}, 1, 1);
    if (!status) status = fathom_harvest(NULL, model, corpus, &harvest, take, &timing);
    if (!status && output) status = write_kept(&timing, output);
    const int code = status ? cli_fail(arguments, status) : print_result(arguments, &harvest, &timing, model);
    fathom_free(timing.kept);
    fathom_free(timing.positions);
    fathom_corpus_close(corpus);
    if (temporary) unlink(temporary);
    fathom_free(temporary);
    fathom_free(names);
    return code;
}
