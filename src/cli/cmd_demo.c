#include "demo.h"
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

/* The settings lie beside the dictionary. */
static int open_parts(struct demo *demo) {
    const struct cli_arguments *arguments = demo->arguments;
    char *path = NULL, *copy = NULL;
    int code = fathom_locate_dictionary(&path, demo->model, cli_text(arguments, "dict", NULL));
    if (code == FATHOM_OK) code = fathom_dictionary_open(&demo->dictionary, path);
    if (code == FATHOM_OK) code = fathom__copy_string(&copy, path);
    if (code == FATHOM_OK) code = demo_settings_read(&demo->settings, dirname(copy), demo->model, demo->dictionary);
    fathom_free(path);
    path = NULL;
    if (code == FATHOM_OK)
        code = fathom_locate_catalogue(&path, demo->dictionary, cli_text(arguments, "catalogue", NULL));
    if (code == FATHOM_OK) code = fathom_catalogue_open(&demo->catalogue, path, demo->dictionary);
    fathom_free(path);
    fathom_free(copy);
    return code;
}

static void print_head(const struct demo *demo) {
    const struct fathom_model_info *model = fathom_model_describe(demo->model);
    const struct fathom_dictionary_info *dictionary = fathom_dictionary_describe(demo->dictionary);
    const struct fathom_catalogue_info *catalogue = fathom_catalogue_describe(demo->catalogue);
    fprintf(demo->out, "Model       %s (%s, %u layers, %s)\n", model->name, model->architecture, model->n_layers,
            model->quantisation);
    fprintf(demo->out, "Dictionary  %s: %u features at %s\n", dictionary->name, dictionary->n_features,
            dictionary->hook_in);
    fprintf(demo->out, "Catalogue   %u features alive on %llu tokens, %u of them with a label that holds\n",
            catalogue->n_alive, (unsigned long long)catalogue->n_tokens, catalogue->n_labelled);
    json_object_set_new(demo->results, "model",
                        json_pack("{s:s, s:s, s:s}", "name", model->name, "identity", model->identity, "quantisation",
                                  model->quantisation));
    json_object_set_new(demo->results, "dictionary",
                        json_pack("{s:s, s:s, s:i}", "name", dictionary->name, "hook", dictionary->hook_in, "features",
                                  (int)dictionary->n_features));
    json_object_set_new(demo->results, "catalogue",
                        json_pack("{s:i, s:i, s:I}", "alive", (int)catalogue->n_alive, "labelled",
                                  (int)catalogue->n_labelled, "tokens", (json_int_t)catalogue->n_tokens));
    json_object_set_new(demo->results, "fathom", json_string(fathom_version()));
    json_object_set_new(demo->results, "seed", json_integer((json_int_t)demo->seed));
}

static int run_stages(struct demo *demo) {
    static int (*const stages[])(struct demo *) = {demo_understand, demo_detect, demo_steer, demo_explain};
    int code = FATHOM_OK;
    for (size_t i = 0; code == FATHOM_OK && i < sizeof stages / sizeof stages[0]; i++) {
        code = cli_interrupted() ? demo_error(FATHOM_ERROR_STOPPED, "interrupted") : stages[i](demo);
        fflush(demo->out);
    }
    return code;
}

/* With --json standard output is the file, byte for byte. */
static int write_results(const struct demo *demo) {
    char *path = NULL, *text = NULL;
    int code = fathom__path_join(&path, demo->folder, "demo.json");
    if (code == FATHOM_OK) code = fathom__json_write(path, demo->results);
    if (code == FATHOM_OK && cli_json(demo->arguments)) {
        code = fathom__json_text(&text, demo->results, true);
        if (code == FATHOM_OK) puts(text);
    }
    if (code == FATHOM_OK) fprintf(demo->out, "Everything above as JSON: %s\n", path);
    fathom_free(text);
    fathom_free(path);
    return code;
}

static int run(struct cli_arguments *arguments) {
    struct demo demo = {.arguments = arguments,
                        .folder = cli_text(arguments, "output", "demo-out"),
                        .text = cli_text(arguments, "text", NULL)};
    int status = CLI_OK;
    int64_t seed = 0;
    if (!cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1)) return CLI_USAGE;
    demo.seed = (uint64_t)seed;
    demo.model = cli_open_model(&status, arguments);
    if (demo.model == NULL) return status;
    demo.results = json_object();
    demo.out = cli_json(arguments) ? fopen("/dev/null", "w") : stdout;
    int code = demo.out != NULL ? open_parts(&demo) : fathom__fail_errno("/dev/null", "open");
    if (code == FATHOM_OK) code = fathom__make_folders(demo.folder);
    if (code == FATHOM_OK) {
        print_head(&demo);
        code = run_stages(&demo);
    }
    if (code == FATHOM_OK) code = write_results(&demo);
    status = code == FATHOM_OK ? cli_output_status() : cli_fail(arguments, code);
    if (demo.out != NULL && demo.out != stdout) fclose(demo.out);
    demo_settings_free(&demo.settings);
    json_decref(demo.results);
    fathom_catalogue_close(demo.catalogue);
    fathom_dictionary_close(demo.dictionary);
    fathom_model_close(demo.model);
    return status;
}

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"text", 0, CLI_TEXT, "T", "also show the features of this text", false, false},
    {"output", 'o', CLI_FOLDER, "FOLDER", "where demo.json and explanation.html go (demo-out)", false, false},
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_demo = {
    .name = "demo",
    .summary = "the four stages once: understand, detect, steer, explain",
    .operands = "",
    .description = "Shows which features light up on a text, watches a feature and trains a probe, answers a question "
                   "plainly and steered, and "
                   "explains an answer with every claim checked by intervention. Needs the model's dictionary and "
                   "catalogue with their demo.json.",
    .examples = "fathom demo\nfathom demo -m gemma3 --text \"Roger Federer won in straight sets.\"",
    .options = options,
    .run = run,
};
