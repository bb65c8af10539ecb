#include "cli.h"
#include "size.h"
#include <base/json.h>
#include <string.h>

static const struct cli_option list_options[] = {
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int list_models(struct cli_arguments *arguments) {
    json_t *list = json_array();
    for (const struct fathom_default_model *model = fathom_default_models(); model->name != NULL; model++) {
        char size[CLI_SIZE_TEXT], *path = NULL;
        const bool fetched = fathom_model_find(&path, model->name) == FATHOM_OK;
        if (cli_json(arguments)) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s, s:s?, s:s, s:I, s:I, s:s?}", "name", model->name, "title",
                                            model->title, "licence", model->licence, "terms", model->terms, "source",
                                            model->source, "fetch_bytes", (json_int_t)model->fetch_bytes, "file_bytes",
                                            (json_int_t)model->file_bytes, "path", path));
        } else {
            cli_print_bold(stdout, model->name);
            printf("  %s, %s, %s\n", model->title, cli_size(size, model->file_bytes), model->licence);
            if (model->terms != NULL) printf("  terms: %s\n", model->terms);
            printf("  %s%s\n", fetched ? "fetched: " : "not fetched: fathom fetch ", fetched ? path : model->name);
        }
        fathom_free(path);
    }
    if (cli_json(arguments)) return cli_print_json(json_pack("{s:o}", "models", list));
    json_decref(list);
    return CLI_OK;
}

const struct cli_command cli_command_models = {
    .name = "models",
    .summary = "list the models that can be fetched by name",
    .operands = "",
    .description =
        "Default models are named instead of a file wherever a model is asked for, once they were fetched by `fathom "
        "fetch`. Any other GGUF file is given by its path.",
    .examples = "fathom models # names, licences and whether they are there",
    .options = list_options,
    .run = list_models,
};

static const struct cli_option describe_options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS,
    {"template", 0, CLI_FLAG, NULL, "print the model's chat template and nothing else", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* What comes out of a file may be no UTF-8. */
static json_t *text_json(const char *text) {
    return text != NULL ? fathom__json_string(text, strlen(text)) : json_null();
}

static json_t *token_json(const fathom_model *model, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (token < 0 || fathom_token_bytes(&bytes, &length, model, token) != FATHOM_OK) return json_null();
    return json_pack("{s:i, s:o}", "id", (int)token, "text", fathom__json_string(bytes, length));
}

static int print_json(const fathom_model *model) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    json_t *value = json_object();
    const struct {
        const char *name, *value;
    } texts[] = {
        {"path", info->path},
        {"name", info->name},
        {"architecture", info->architecture},
        {"quantisation", info->quantisation},
        {"engine", info->engine},
        {"identity", info->identity},
        {"source_identity", info->source_identity},
        {"chat_template", info->chat_template},
    };
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"layers", info->n_layers},       {"d_model", info->d_model},         {"d_mlp", info->d_mlp},
        {"heads", info->n_heads},         {"heads_kv", info->n_heads_kv},     {"d_head", info->d_head},
        {"vocabulary", info->n_vocab},    {"context", info->context_trained}, {"parameters", info->n_parameters},
        {"file_bytes", info->file_bytes},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_object_set_new(value, texts[i].name, text_json(texts[i].value));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        json_object_set_new(value, numbers[i].name, json_integer((json_int_t)numbers[i].value));
    }
    json_object_set_new(value, "bos", token_json(model, info->bos));
    json_object_set_new(value, "eos", token_json(model, info->eos));
    json_object_set_new(value, "eot", token_json(model, info->eot));
    json_object_set_new(value, "adds_bos", json_boolean(info->adds_bos));
    return cli_print_json(value);
}

static void print_token(const fathom_model *model, const char *name, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (token < 0 || fathom_token_bytes(&bytes, &length, model, token) != FATHOM_OK) return;
    printf(" %s %d \"", name, token);
    cli_print_level(stdout, bytes, length, 0);
    putchar('"');
}

/* Names may hold anything; what would change the terminal is made visible. */
static void print_text(const char *text) {
    cli_print_level(stdout, text, strlen(text), 0);
}

static void print_human(const fathom_model *model) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    char size[CLI_SIZE_TEXT];
    print_text(info->name);
    printf("\n  file           %s (%s)\n  architecture   ", info->path, cli_size(size, info->file_bytes));
    print_text(info->architecture);
    printf(", mostly %s, %.1f million parameters\n", info->quantisation, (double)info->n_parameters / 1e6);
    printf("  shape          %u layers, d_model %u, d_mlp %u, %u heads (%u for keys and values) of width %u\n",
           info->n_layers, info->d_model, info->d_mlp, info->n_heads, info->n_heads_kv, info->d_head);
    printf("  context        %u tokens, vocabulary %u\n", info->context_trained, info->n_vocab);
    printf("  special tokens");
    print_token(model, "bos", info->bos);
    print_token(model, "eos", info->eos);
    print_token(model, "eot", info->eot);
    printf("%s\n", info->adds_bos ? "; a text begins with bos" : "");
    printf("  chat template  %s\n", info->chat_template != NULL ? "yes (--template prints it)" : "none");
    printf("  identity       %s\n", info->identity);
    if (strcmp(info->identity, info->source_identity) != 0) printf("  derived from   %s\n", info->source_identity);
    printf("  engine         %s\n", info->engine);
}

static int describe(struct cli_arguments *arguments) {
    int status = CLI_OK;
    size_t n = 0;
    const char *const *operands = cli_operands(&n, arguments);
    const char *path = n > 0 ? operands[0] : cli_text(arguments, "model", "smollm2");
    fathom_model *model = cli_open_model_at(&status, arguments, path);
    if (model == NULL) return status;
    const char *chat_template = fathom_model_describe(model)->chat_template;
    if (cli_has(arguments, "template")) {
        if (chat_template != NULL) printf("%s\n", chat_template);
        status = chat_template != NULL ? CLI_OK : CLI_NEGATIVE;
    } else if (cli_json(arguments)) {
        status = print_json(model);
    } else {
        print_human(model);
    }
    fathom_model_close(model);
    return status;
}

const struct cli_command cli_command_describe = {
    .name = "describe",
    .summary = "say what is in a model file",
    .operands = "[MODEL]",
    .most = 1,
    .description =
        "Opens a model, with all checks that opening does, and prints its architecture, shape, special tokens and "
        "identity. The identity is a hash over the weights: dictionaries and catalogues carry that of their model.",
    .examples = "fathom describe gemma3 # a default model\n"
                "fathom describe --json model.gguf # for scripts\n"
                "fathom describe --template smollm2 # the chat template",
    .options = describe_options,
    .run = describe,
};
