#include "server/task_request.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include <dirent.h>
#include <fathom/error.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAME = 100, MOST_TEXT = 200, MOST_CORPORA = 16, MOST_LISTED = 1000 };
#define ENDING ".gguf"
#define REPEATED "=1*" /* after a corpus: as often as there are tokens asked for */

enum kind { INTEGER, NUMBER, TEXT, FLAG };

struct option {
    const char *name;
    enum kind kind;
};

static const struct option train_options[] = {
    {"hook", TEXT},       {"hook-out", TEXT},          {"arch", TEXT},        {"features", INTEGER},
    {"k", INTEGER},       {"tokens", INTEGER},         {"inputs", TEXT},      {"lr", NUMBER},
    {"batch", INTEGER},   {"warmup", INTEGER},         {"preset", TEXT},      {"schedule", TEXT},
    {"context", INTEGER}, {"shuffle", INTEGER},        {"held-out", INTEGER}, {"dtype", TEXT},
    {"sparsity", NUMBER}, {"evaluate-every", INTEGER}, {"max-time", TEXT},    {"tokens-from", TEXT},
    {"skip", FLAG},       {"seed", INTEGER},           {"threads", INTEGER},  {NULL, FLAG}};
static const struct option index_options[] = {{"max-tokens", INTEGER}, {"context", INTEGER},  {"top", INTEGER},
                                              {"band", INTEGER},       {"corpus-name", TEXT}, {"no-text", FLAG},
                                              {"no-labels", FLAG},     {"restart", FLAG},     {"seed", INTEGER},
                                              {"threads", INTEGER},    {NULL, FLAG}};
static const struct option eval_options[] = {{"tokens", INTEGER},  {"loss-tokens", INTEGER}, {"context", INTEGER},
                                             {"absorption", FLAG}, {"seed", INTEGER},        {"threads", INTEGER},
                                             {NULL, FLAG}};

static const struct command {
    const char *name;
    const struct option *options;
    bool needs_corpus, makes_dictionary;
} commands[] = {
    {"train", train_options, true, true}, {"index", index_options, true, false}, {"eval", eval_options, false, false}};

static bool is_name(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    const size_t length = strlen(text);
    return length > 0 && length <= MOST_NAME && text[0] != '.' && strspn(text, letters) == length;
}

static int add(json_t *arguments, const char *text) {
    return json_array_append_new(arguments, json_string(text)) ? fathom__fail_memory(1) : FATHOM_OK;
}

static int add_path(json_t *arguments, const char *option, const char *folder, const char *kind, const char *name,
                    const char *ending) {
    char *text = NULL;
    int status = fathom__format(&text, "%s%s/%s/%s%s", option, folder, kind, name, ending);
    if (!status) status = add(arguments, text);
    fathom_free(text);
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

json_t *fathom__task_files(const struct fathom__task_place *place, const char *kind) {
    const bool dictionaries = strcmp(kind, FATHOM__TASK_DICTIONARIES) == 0;
    char *path = NULL, *names[MOST_LISTED];
    size_t n = 0;
    json_t *list = json_array();
    if (fathom__path_join(&path, place->folder, kind)) return list;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && n < MOST_LISTED && (entry = readdir(folder)) != NULL;) {
        const size_t length = strlen(entry->d_name), ending = strlen(ENDING);
        const bool ends = length > ending && strcmp(entry->d_name + length - ending, ENDING) == 0;
        if (!is_name(entry->d_name) || (dictionaries && !ends)) continue;
        if (fathom__copy_bytes(&names[n], entry->d_name, dictionaries ? length - ending : length) == FATHOM_OK) n++;
    }
    if (folder) closedir(folder);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_string(names[i]));
        fathom_free(names[i]);
    }
    fathom_free(path);
    return list;
}

/* Whether a file is there, and what to say where it is not. */
static int find(const struct fathom__task_place *place, const char *kind, const char *name, const char *ending) {
    char *path = NULL;
    if (!is_name(name))
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"%.100s\" is no name of a file in %s", name, kind);
    int status = fathom__format(&path, "%s/%s/%s%s", place->folder, kind, name, ending);
    if (!status && !fathom__file_exists(path))
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "there is no \"%s\" among the %s in %s; GET /api/jobs lists them",
                              name, kind, place->folder);
    fathom_free(path);
    return status;
}

static int add_corpora(json_t *arguments, const json_t *request, const struct command *command,
                       const struct fathom__task_place *place) {
    const json_t *corpora = json_object_get(request, "corpus");
    if (!corpora && !command->needs_corpus) return FATHOM_OK;
    if (!json_is_array(corpora) || json_array_size(corpora) == 0 || json_array_size(corpora) > MOST_CORPORA)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"corpus\": a list of 1 to %d names of files is expected",
                            MOST_CORPORA);
    bool repeats = false;
    int status = fathom__json_get_bool(&repeats, request, "repeat", false, "request");
    for (size_t i = 0; i < json_array_size(corpora) && !status; i++) {
        const char *name = json_string_value(json_array_get(corpora, i));
        if (!name) return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"corpus\"[%zu]: a name is expected", i);
        status = find(place, FATHOM__TASK_CORPORA, name, "");
        if (!status)
            status =
                add_path(arguments, "--corpus=", place->folder, FATHOM__TASK_CORPORA, name, repeats ? REPEATED : "");
    }
    return status;
}

static int add_dictionary(json_t *arguments, const json_t *request, const struct command *command,
                          const struct fathom__task_place *place) {
    const char *key = command->makes_dictionary ? "output" : "dictionary", *name = NULL;
    int status = fathom__json_get_string(&name, request, key, command->makes_dictionary, "request");
    if (status) return status;
    if (!command->makes_dictionary && !name)
        return place->dictionary ? add(arguments, place->dictionary)
                                 : fathom__fail(FATHOM_ERROR_FORMAT,
                                                "request: \"dictionary\": this server has none of its own to work on");
    if (!command->makes_dictionary) {
        status = find(place, FATHOM__TASK_DICTIONARIES, name, ENDING);
        return status ? status : add_path(arguments, "", place->folder, FATHOM__TASK_DICTIONARIES, name, ENDING);
    }
    status = find(place, FATHOM__TASK_DICTIONARIES, name, ENDING);
    if (status == FATHOM_OK)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"output\": there is a dictionary \"%s\" already", name);
    return status == FATHOM_ERROR_NOT_FOUND
               ? add_path(arguments, "--output=", place->folder, FATHOM__TASK_DICTIONARIES, name, ENDING)
               : status;
}

/* Texts of options are words: hook points, names of recipes and times. */
static bool is_word(const char *text) {
    static const char others[] = "_-.,+: ()";
    const size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", text[i]) &&
            !strchr(others, text[i]))
            return false;
    return length > 0 && length <= MOST_TEXT;
}

static int add_option(json_t *arguments, const struct option *option, const json_t *value) {
    static const char *const expected[] = {
        [INTEGER] = "a whole number", [NUMBER] = "a number", [TEXT] = "a name", [FLAG] = "true or false"};
    char *text = NULL;
    int status = FATHOM_OK;
    if (option->kind == INTEGER && json_is_integer(value))
        status = fathom__format(&text, "--%s=%lld", option->name, (long long)json_integer_value(value));
    else if (option->kind == NUMBER && json_is_number(value))
        status = fathom__format(&text, "--%s=%.9g", option->name, json_number_value(value));
    else if (option->kind == TEXT && json_is_string(value) && is_word(json_string_value(value)))
        status = fathom__format(&text, "--%s=%s", option->name, json_string_value(value));
    else if (option->kind == FLAG && json_is_true(value))
        status = fathom__format(&text, "--%s", option->name);
    else if (option->kind != FLAG || !json_is_false(value))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: options: \"%s\": %s is expected", option->name,
                              expected[option->kind]);
    if (!status && text) status = add(arguments, text);
    fathom_free(text);
    return status;
}

static int add_options(json_t *arguments, const json_t *request, const struct command *command) {
    json_t *options = json_object_get(request, "options"), *value;
    const char *key;
    int status = FATHOM_OK;
    if (options && !json_is_object(options))
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"options\": an object is expected");
    json_object_foreach (options, key, value) {
        const struct option *option = command->options;
        while (option->name && strcmp(option->name, key) != 0)
            option++;
        if (!option->name)
            return fathom__fail(FATHOM_ERROR_FORMAT,
                                "request: options: \"%.100s\" is no option of %s that a request can give", key,
                                command->name);
        if ((status = add_option(arguments, option, value))) return status;
    }
    return FATHOM_OK;
}

int fathom__task_arguments(json_t **out, const json_t *request, const struct fathom__task_place *place) {
    const char *name = NULL;
    const struct command *command = NULL;
    int status = fathom__json_get_string(&name, request, "command", true, "request");
    if (status) return status;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0) command = &commands[i];
    if (!command)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "request: \"command\" is \"%.100s\", where " FATHOM__TASK_COMMANDS " is expected", name);
    json_t *arguments = json_pack("[s, s, s, s]", name, "--json", "-m", place->model);
    if (!arguments) return fathom__fail_memory(1);
    status = add_dictionary(arguments, request, command, place);
    if (!status) status = add_corpora(arguments, request, command, place);
    if (!status) status = add_options(arguments, request, command);
    if (status) {
        json_decref(arguments);
        return status;
    }
    *out = arguments;
    return FATHOM_OK;
}

int fathom__task_resume_arguments(json_t *arguments, const char *command) {
    /* index goes on by itself, and eval begins again. */
    if (strcmp(command, "train") != 0) return FATHOM_OK;
    for (size_t i = 0; i < json_array_size(arguments); i++)
        if (strcmp(json_string_value(json_array_get(arguments, i)), "--resume") == 0) return FATHOM_OK;
    return add(arguments, "--resume");
}
