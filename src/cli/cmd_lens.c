#include "cli.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/explain.h>
#include <fathom/session.h>
#include <string.h>

enum { BATCH = 256 }; /* attention without flash attention takes memory by its square */

struct rows {
    float *values; /* [n_layers, n_tokens, width] */
    size_t width, n_tokens;
};

static int keep(const struct fathom_block *block, void *payload) {
    struct rows *rows = payload;
    const size_t first = (size_t)block->hook.layer * rows->n_tokens + (size_t)block->positions[0];
    memcpy(rows->values + first * rows->width, block->rows, block->n_rows * block->width * sizeof *block->rows);
    return cli_interrupted();
}

/* Runs the text once and keeps resid_post of every layer. */
static int run_text(struct rows *rows, const fathom_model *model, const int32_t *tokens, size_t n, uint32_t threads) {
    const struct fathom_session_options options = {.n_context = (uint32_t)n, .n_batch = BATCH, .n_threads = threads};
    const struct fathom_model_info *info = fathom_model_describe(model);
    fathom_session *session = NULL;
    if (n > info->context_trained)
        return fathom__fail(FATHOM_ERROR_LIMIT, "--text has %zu tokens, but the model was trained on %u", n,
                            info->context_trained);
    int status = fathom_session_open(&session, model, &options);
    for (uint32_t l = 0; status == FATHOM_OK && l < info->n_layers; l++)
        status =
            fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)l}, keep, rows);
    if (status == FATHOM_OK) status = fathom_session_feed(session, tokens, n, 0, 0, false);
    fathom_session_close(session);
    return status;
}

static json_t *token_json(const fathom_model *model, int32_t token) {
    char *text = NULL;
    json_t *value = fathom_detokenize(&text, model, &token, 1) == FATHOM_OK ? json_string(text) : json_null();
    fathom_free(text);
    return value;
}

static json_t *cell_json(const fathom_model *model, uint32_t layer, size_t position,
                         const struct fathom_lens_reading *reading, bool with_target) {
    json_t *top = json_array();
    json_t *cell =
        json_pack("{s:i, s:i, s:f}", "layer", (int)layer, "position", (int)position, "entropy", reading->entropy);
    for (int i = 0; i < FATHOM_LENS_TOP; i++)
        json_array_append_new(top, json_pack("{s:i, s:o, s:f}", "id", reading->top[i].token, "token",
                                             token_json(model, reading->top[i].token), "probability",
                                             reading->top[i].probability));
    json_object_set_new(cell, "top", top);
    if (with_target) {
        json_object_set_new(cell, "target_probability", json_real(reading->target_probability));
        json_object_set_new(cell, "target_rank", json_integer(reading->target_rank));
    }
    return cell;
}

static void print_token(const fathom_model *model, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (fathom_token_bytes(&bytes, &length, model, token) == FATHOM_OK) {
        putchar('"');
        cli_print_level(stdout, bytes, length, 0);
        putchar('"');
    }
}

static void print_cell(const fathom_model *model, uint32_t layer, const struct fathom_lens_reading *reading,
                       bool with_target) {
    printf("layer %2u  ", layer);
    for (int i = 0; i < 3; i++) {
        print_token(model, reading->top[i].token);
        printf(" %4.1f %%  ", 100 * reading->top[i].probability);
    }
    if (with_target) {
        printf("| target %.3g %%, rank %u", 100 * reading->target_probability, reading->target_rank + 1);
    }
    putchar('\n');
}

static int print_result(const struct cli_arguments *arguments, const fathom_model *model, const fathom_lens *lens,
                        const struct rows *rows, const int32_t *tokens, int32_t target, uint32_t threads) {
    uint32_t n_layers = fathom_model_describe(model)->n_layers;
    bool all = cli_has(arguments, "all");
    size_t first = all ? 0 : rows->n_tokens - 1;
    json_t *cells = json_array();
    for (size_t p = first; p < rows->n_tokens; p++) {
        int32_t wanted = target >= 0 ? target : (p + 1 < rows->n_tokens ? tokens[p + 1] : -1);
        if (!cli_json(arguments) && all) {
            fputs("after ", stdout);
            print_token(model, tokens[p]);
            putchar('\n');
        }
        for (uint32_t l = 0; l < n_layers; l++) {
            struct fathom_lens_reading reading;
            const float *row = rows->values + ((size_t)l * rows->n_tokens + p) * rows->width;
            int status = cli_interrupted() ? fathom__fail(FATHOM_ERROR_STOPPED, "interrupted")
                                           : fathom_lens_read(&reading, lens, row, 1, &wanted, threads);
            if (status != FATHOM_OK) {
                json_decref(cells);
                return cli_fail(arguments, status);
            }
            if (cli_json(arguments)) {
                json_array_append_new(cells, cell_json(model, l, p, &reading, wanted >= 0));
            } else {
                print_cell(model, l, &reading, wanted >= 0);
            }
        }
    }
    if (cli_json(arguments)) {
        return cli_print_json(json_pack("{s:s, s:o}", "model", fathom_model_describe(model)->name, "readings", cells));
    }
    json_decref(cells);
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    int status = CLI_OK, code = FATHOM_OK;
    int64_t threads = 0;
    int32_t *tokens = NULL, *wanted = NULL;
    size_t n = 0, n_wanted = 0;
    fathom_lens *lens = NULL;
    struct rows rows = {0};
    const char *text = cli_text(arguments, "text", "");
    const char *target = cli_text(arguments, "target", NULL);
    if (!cli_integer(&threads, arguments, "threads", 1, 1024, 0)) return CLI_USAGE;
    fathom_model *model = cli_open_model(&status, arguments);
    if (model == NULL) return status;
    code = fathom_tokenize(&tokens, &n, model, text, strlen(text), true, false);
    if (code == FATHOM_OK && target != NULL)
        code = fathom_tokenize(&wanted, &n_wanted, model, target, strlen(target), false, false);
    if (code != FATHOM_OK) {
        status = cli_fail(arguments, code);
    } else if (n == 0 || (target != NULL && n_wanted == 0)) {
        status = cli_usage(arguments, "--text and --target need at least one token each");
    } else {
        const struct fathom_model_info *info = fathom_model_describe(model);
        rows = (struct rows){NULL, info->d_model, n};
        code = fathom__alloc(&rows.values, (size_t)info->n_layers * n, info->d_model * sizeof(float));
        if (code == FATHOM_OK) code = run_text(&rows, model, tokens, n, (uint32_t)threads);
        if (code == FATHOM_OK) code = fathom_lens_open(&lens, model);
        status = code != FATHOM_OK ? cli_fail(arguments, code)
                                   : print_result(arguments, model, lens, &rows, tokens,
                                                  target != NULL ? wanted[0] : -1, (uint32_t)threads);
    }
    fathom_free(rows.values);
    fathom_lens_close(lens);
    fathom_free(tokens);
    fathom_free(wanted);
    fathom_model_close(model);
    return status;
}

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"text", 0, CLI_TEXT, "T", "the text to read", false, true},
    {"target", 0, CLI_TEXT, "T", "follow this token's probability (the text's own next token)", false, false},
    {"all", 0, CLI_FLAG, NULL, "read at every token, not only the last", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_lens = {
    .name = "lens",
    .summary = "what each layer would have said next (logit lens)",
    .operands = "",
    .description = "Reads the residual stream after every layer through the model's own final norm and unembedding.",
    .examples = "fathom lens --text \"The Golden Gate Bridge is located in the city of\" --target \" San\"",
    .options = options,
    .run = run,
};
