#include "preset.h"
#include "parse.h"
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <fathom/catalogue.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 32 };

static bool is_name(const char *name) {
    return *name != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* *out: the folder of the presets that lie beside the model's dictionary. */
static int locate(char **out, const struct cli_arguments *arguments, int *exit) {
    char *dictionary = NULL;
    fathom_model *model = cli_open_model(exit, arguments);
    if (model == NULL) return FATHOM_ERROR_ARGUMENT;
    int status = fathom_locate_dictionary(&dictionary, model, cli_text(arguments, "dict", NULL));
    if (status == FATHOM_OK) status = fathom__path_join(out, dirname(dictionary), "presets");
    fathom_free(dictionary);
    fathom_model_close(model);
    *exit = status == FATHOM_OK ? CLI_OK : cli_fail(arguments, status);
    return status;
}

static int wrong(const char *path, const char *section, const char *key, const char *expected) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\": \"%s\": %s is expected", path, section, key, expected);
}

/* One value as the text it would have on the command line; "" stands for a flag. */
static int text_of(char **out, const struct cli_option *option, const json_t *value, const char *folder) {
    char number[NUMBER_SIZE];
    if (option->kind == CLI_FLAG) return json_is_true(value) ? fathom__copy_string(out, "") : FATHOM_ERROR_FORMAT;
    if (option->kind == CLI_INTEGER || option->kind == CLI_NUMBER) {
        if (!(option->kind == CLI_INTEGER ? json_is_integer(value) : json_is_number(value))) return FATHOM_ERROR_FORMAT;
        if (json_is_integer(value)) {
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        } else {
            snprintf(number, sizeof number, "%.10g", json_number_value(value));
        }
        return fathom__copy_string(out, number);
    }
    if (!json_is_string(value)) return FATHOM_ERROR_FORMAT;
    if ((option->kind == CLI_CHOICE || option->kind == CLI_CHOICES) && !cli_is_choice(option, json_string_value(value)))
        return FATHOM_ERROR_FORMAT;
    return option->kind == CLI_FILE ? fathom__path_join(out, folder, json_string_value(value))
                                    : fathom__copy_string(out, json_string_value(value));
}

static int add_option(struct cli_arguments *arguments, const struct cli_option *option, const json_t *value,
                      const char *folder) {
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;
    int status = n > 1 && !option->repeats ? FATHOM_ERROR_FORMAT : FATHOM_OK;
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        char *text = NULL;
        status = text_of(&text, option, json_is_array(value) ? json_array_get(value, i) : value, folder);
        if (status == FATHOM_OK) status = cli_arguments_add(arguments, option, text);
        fathom_free(text);
    }
    return status;
}

static int add_all(struct cli_arguments *arguments, const char *path, const char *folder, json_t *section,
                   const char *name) {
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)section, key, value) {
        const struct cli_option *option = cli_command_option(arguments, key);
        if (option == NULL) return wrong(path, name, key, "an option of the command");
        if (cli_has(arguments, key)) continue;
        const int status = add_option(arguments, option, value, folder);
        if (status == FATHOM_ERROR_FORMAT) return wrong(path, name, key, "a value of the option");
        if (status != FATHOM_OK) return status;
    }
    return FATHOM_OK;
}

int preset_apply(struct cli_arguments *arguments) {
    const char *name = cli_text(arguments, "preset", NULL);
    const char *command = cli_arguments_command(arguments)->name;
    char *folder = NULL, *file = NULL, *path = NULL;
    json_t *preset = NULL;
    int exit = CLI_OK;
    if (name == NULL) return CLI_OK;
    if (!is_name(name))
        return cli_usage(arguments, "--preset: a name of small letters, digits and dashes is expected, not \"%s\"",
                         name);
    if (locate(&folder, arguments, &exit) != FATHOM_OK) return exit;
    int status = fathom__format(&file, "%s.json", name);
    if (status == FATHOM_OK) status = fathom__path_join(&path, folder, file);
    if (status == FATHOM_OK) status = fathom__json_load(&preset, path);
    if (status == FATHOM_OK) {
        json_t *section = json_object_get(preset, command);
        status = json_is_object(section)
                     ? add_all(arguments, path, folder, section, command)
                     : fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\": an object of options is expected", path, command);
    }
    if (status != FATHOM_OK) exit = cli_fail(arguments, status);
    json_decref(preset);
    fathom_free(path);
    fathom_free(file);
    fathom_free(folder);
    return exit;
}
