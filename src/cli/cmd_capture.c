#include "corpus_arguments.h"
#include <base/memory.h>
#include <fathom/capture.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS,
    {"hook", 0, CLI_HOOK, "NAME[,NAME…]", "hook points to read, such as resid_post.11; `fathom hooks` lists them", true,
     true},
    {"text", 0, CLI_TEXT, "TEXT", "a text to run; given several times, each is a document", true, false},
    {"file", 0, CLI_FILE, "FILE", "text or JSONL files to run, as PATH or PATH:FIELD", true, false},
    {"output", 'o', CLI_OUTPUT, "FILE", "the safetensors file to write", false, true},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence; longer documents are cut (512)", false, false},
    {"max-tokens", 'n', CLI_INTEGER, "N", "stop after N tokens (all)", false, false},
    {"special", 0, CLI_FLAG, NULL, "read \"<|im_start|>\" and the like in the text as one token", false, false},
    {"exact", 0, CLI_FLAG, NULL, "F32 KV cache and no flash attention, for comparisons", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* Splits lists "a,b" into new names. */
static int split_hooks(char ***out, size_t *n, const char *const *lists, size_t n_lists) {
    size_t capacity = 0;
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < n_lists; i++) {
        for (const char *at = lists[i]; !status && at;) {
            const char *comma = strchr(at, ',');
            status = fathom__grow(out, &capacity, *n + 1, sizeof **out);
            if (!status) status = fathom__copy_bytes(&(*out)[*n], at, comma ? (size_t)(comma - at) : strlen(at));
            if (!status) ++*n;
            at = comma ? comma + 1 : NULL;
        }
    }
    return status;
}

static int capture_files(fathom_capture *capture, const char *const *paths, size_t n) {
    struct corpus_arguments files;
    fathom_corpus *corpus = NULL;
    int status = corpus_arguments_parse(&files, paths, n);
    /* Each file by itself, so that documents come in the order that was given. */
    for (size_t i = 0; !status && i < n; i++) {
        status = fathom_corpus_open(&corpus, &files.list[i], 1, 1);
        if (!status) status = fathom_capture_corpus(capture, corpus);
        fathom_corpus_close(corpus);
        corpus = NULL;
    }
    corpus_arguments_free(&files);
    return status;
}

static int capture_texts(fathom_capture *capture, const struct cli_arguments *arguments) {
    size_t n = 0;
    int status = FATHOM_OK;
    const char *const *texts = cli_all(&n, arguments, "text");
    for (size_t i = 0; !status && i < n; i++)
        status = fathom_capture_text(capture, texts[i], strlen(texts[i]));
    const char *const *files = status ? NULL : cli_all(&n, arguments, "file");
    if (!status && n > 0) status = capture_files(capture, files, n);
    return status;
}

static int print_result(const struct cli_arguments *arguments, const fathom_model *model, const fathom_capture *capture,
                        char *const *hooks, size_t n) {
    const int32_t *documents = NULL;
    size_t n_rows = fathom_capture_rows(NULL, NULL, &documents, capture);
    const char *path = cli_text(arguments, "output", "");
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        struct fathom_hook hook;
        char name[FATHOM_HOOK_NAME_SIZE];
        size_t width = 0;
        fathom_capture_values(&width, capture, i);
        if (fathom_hook_parse(&hook, model, hooks[i]) != FATHOM_OK) continue;
        fathom_hook_name(name, hook);
        json_array_append_new(list, json_pack("{s:s, s:I}", "name", name, "width", (json_int_t)width));
        if (!cli_json(arguments)) printf("%s: %zu rows of %zu\n", name, n_rows, width);
    }
    if (!cli_json(arguments)) {
        json_decref(list);
        printf("%zu tokens of %d documents in %s\n", n_rows, documents[n_rows - 1] + 1, path);
        return CLI_OK;
    }
    return cli_print_json(json_pack("{s:s, s:s, s:I, s:i, s:o}", "model", fathom_model_describe(model)->name, "output",
                                    path, "tokens", (json_int_t)n_rows, "documents", documents[n_rows - 1] + 1, "hooks",
                                    list));
}

static int run(struct cli_arguments *arguments) {
    int64_t context, most, threads;
    if (!cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&most, arguments, "max-tokens", 1, INT64_MAX, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 512, 0))
        return CLI_USAGE;
    if (!cli_has(arguments, "text") && !cli_has(arguments, "file"))
        return cli_usage(arguments, "--text TEXT or --file FILE is missing");
    fathom_capture *capture = NULL;
    char **hooks = NULL;
    size_t n = 0, n_lists = 0;
    int status = CLI_OK;
    fathom_model *model = cli_open_model(&status, arguments);
    if (model == NULL) return status;
    const char *const *lists = cli_all(&n_lists, arguments, "hook");
    int code = split_hooks(&hooks, &n, lists, n_lists);
    struct fathom_capture_options capture_options = {.hooks = (const char *const *)hooks,
                                                     .n_hooks = n,
                                                     .context = (uint32_t)context,
                                                     .n_threads = (uint32_t)threads,
                                                     .exact = cli_has(arguments, "exact"),
                                                     .parse_special = cli_has(arguments, "special"),
                                                     .max_tokens = (uint64_t)most,
                                                     .progress = cli_progress};
    if (!code) code = fathom_capture_open(&capture, model, &capture_options);
    if (!code) code = capture_texts(capture, arguments);
    if (!code) code = fathom_capture_write(capture, cli_text(arguments, "output", ""));
    status = code ? cli_fail(arguments, code) : print_result(arguments, model, capture, hooks, n);
    fathom_capture_close(capture);
    for (size_t i = 0; i < n; i++)
        fathom_free(hooks[i]);
    fathom_free(hooks);
    fathom_model_close(model);
    return status;
}

const struct cli_command cli_command_capture = {
    .name = "capture",
    .summary = "write a model's activations to a safetensors file",
    .operands = "",
    .description = "Runs texts through the model and writes what hook points carry: one f32 tensor [tokens, width] a "
                   "point, under its full name, and "
                   "i32 tensors tokens, position and document. Every sequence begins with the model's bos where its "
                   "tokenizer adds one. Rows are held in "
                   "memory until they are written.",
    .examples = "fathom capture --hook resid_post.11 --text \"Steph Curry scored 30 points\" -o rows.safetensors # one "
                "point of one text\n"
                "fathom capture --hook resid_post.11,mlp_out.11 --file texts.jsonl:text -n 10000 -o rows.safetensors # "
                "two points of a corpus",
    .options = options,
    .run = run,
};
