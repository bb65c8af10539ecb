#include "generation.h"
#include "steer_plan.h"
#include <base/json.h>
#include <base/memory.h>
#include <math.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS,
    {"prompt", 'p', CLI_TEXT, "TEXT", "the text to go on from", false, true},
    {"special", 0, CLI_FLAG, NULL, "read \"<|im_start|>\" and the like in the prompt as one token", false, false},
    {"logprobs", 0, CLI_FLAG, NULL, "show every token with its probability", false, false},
    CLI_OPTION_PLAN,
    CLI_OPTIONS_SESSION,
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static void print_tokens(const struct cli_generation *generation) {
    size_t i;
    json_t *token;
    json_array_foreach (generation->tokens, i, token) {
        const char *text = json_string_value(json_object_get(token, "text"));
        double log_probability = json_real_value(json_object_get(token, "logprob"));
        printf("%6.2f %%  %8.4f  \"", 100.0 * exp(log_probability), log_probability);
        for (const char *c = text; *c; c++) {
            if (*c == '\n')
                fputs("\\n", stdout);
            else
                cli_print_level(stdout, c, 1, 0.0);
        }
        puts("\"");
    }
}

/* The plan in force; all NULL where there is none. */
struct steered {
    fathom_steer *plan;
    json_t *document;
    fathom_steering *steering;
};

static int steer(struct steered *steered, const struct cli_arguments *arguments, fathom_session *session,
                 size_t n_prompt) {
    int status = steer_plan_open(&steered->plan, &steered->document, arguments, fathom_session_model(session), NULL);
    if (!status && steered->plan) status = fathom_steer_attach(&steered->steering, session, steered->plan);
    if (!status && steered->steering) status = fathom_steering_prompt(steered->steering, 0, (int32_t)n_prompt);
    return status;
}

static json_t *steered_json(const struct steered *steered) {
    uint64_t edited = 0, left = 0;
    fathom_steering_rows(&edited, &left, steered->steering);
    return json_pack("{s:O, s:I, s:I}", "plan", steered->document, "rows_edited", (json_int_t)edited, "rows_left",
                     (json_int_t)left);
}

static int print_result(const struct cli_arguments *arguments, struct cli_generation *generation, const char *prompt,
                        size_t n_prompt, uint64_t seed, const struct steered *steered) {
    const char *finish = generation->ended ? "end" : cli_interrupted() ? "interrupted" : "length";
    double seconds = generation->last_at - generation->first_at;
    if (!cli_json(arguments)) {
        int ended = cli_stream_end(&generation->stream);
        if (ended) return cli_fail(arguments, ended);
        if (generation->stream.file) putchar('\n');
        if (generation->keep_tokens) print_tokens(generation);
        return cli_interrupted() ? CLI_STOPPED : CLI_OK;
    }
    json_t *result = json_object();
    json_object_set_new(result, "model", json_string(fathom_model_describe(generation->model)->name));
    json_object_set_new(result, "prompt", fathom__json_string(prompt, strlen(prompt)));
    json_object_set_new(
        result, "text",
        fathom__json_string(generation->stream.text ? generation->stream.text : "", generation->stream.length));
    json_object_set_new(result, "prompt_tokens", json_integer((json_int_t)n_prompt));
    json_object_set_new(result, "tokens", json_integer((json_int_t)generation->n_tokens));
    json_object_set_new(result, "finish", json_string(finish));
    json_object_set_new(result, "log_probability", json_real(generation->log_probability));
    json_object_set_new(result, "seed", json_integer((json_int_t)seed));
    if (generation->n_tokens > 1 && seconds > 0.0)
        json_object_set_new(result, "tokens_per_second", json_real((double)(generation->n_tokens - 1) / seconds));
    if (generation->keep_tokens)
        json_object_set(result, "logprobs", generation->tokens ? generation->tokens : json_null());
    if (steered->steering) json_object_set_new(result, "steered", steered_json(steered));
    int status = cli_print_json(result);
    return status == CLI_OK && cli_interrupted() ? CLI_STOPPED : status;
}

static int run(struct cli_arguments *arguments) {
    struct fathom_sampling sampling;
    uint32_t max_tokens = 0;
    struct fathom_session_options session_options;
    if (!cli_sampling(&sampling, &max_tokens, arguments) || !cli_session_options(&session_options, arguments))
        return CLI_USAGE;
    const char *prompt = cli_text(arguments, "prompt", "");
    struct cli_generation generation = {.keep_tokens = cli_has(arguments, "logprobs")};
    fathom_session *session = NULL;
    int32_t *tokens = NULL;
    struct steered steered = {NULL, NULL, NULL};
    size_t n = 0;
    int status = CLI_OK;
    fathom_model *model = cli_open_model(&status, arguments);
    if (model == NULL) return status;
    generation.model = model;
    if (!cli_json(arguments) && !generation.keep_tokens) generation.stream.file = stdout;
    int code = fathom_tokenize(&tokens, &n, model, prompt, strlen(prompt), true, cli_has(arguments, "special"));
    if (!code && n == 0) {
        status = cli_usage(arguments, "--prompt has no tokens, and the model has no token to begin with");
        goto done;
    }
    if (!code) code = fathom_session_open(&session, model, &session_options);
    if (!code) code = steer(&steered, arguments, session, n);
    const bool shown = !code && generation.stream.file && n <= fathom_session_context(session);
    if (shown) {
        cli_print_dim(stdout, prompt);
        fflush(stdout);
    }
    if (!code)
        code = fathom_generate(NULL, session, tokens, n, max_tokens, &sampling, cli_generation_token, &generation);
    if (!code) code = generation.status;
    if (code && shown) putchar('\n');
    status =
        code ? cli_fail(arguments, code) : print_result(arguments, &generation, prompt, n, sampling.seed, &steered);
done:
    cli_generation_free(&generation);
    fathom_steer_detach(steered.steering);
    fathom_steer_close(steered.plan);
    json_decref(steered.document);
    fathom_session_close(session);
    fathom_free(tokens);
    fathom_model_close(model);
    return status;
}

const struct cli_command cli_command_run = {
    .name = "run",
    .summary = "go on from a text",
    .operands = "",
    .description =
        "Prints what the model writes after the prompt, as it comes. The same seed and options give the same text.",
    .examples = "fathom run --prompt \"The Golden Gate Bridge is located in the city of\" --temperature 0 -n 8 # the "
                "likeliest words\n"
                "fathom run --prompt \"Once upon a time\" --logprobs --json # every token with its log-probability\n"
                "fathom run --prompt \"We drove\" --plan '\"golden gate\" +1 while answering' # steered",
    .options = options,
    .run = run,
};
