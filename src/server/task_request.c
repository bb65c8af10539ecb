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
#define WATCH "watch"
#define STRONGEST "20" /* texts that a scan tells where nothing is said: a result must not be the corpus over again */
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

static const struct option probe_train_options[] = {{"hook", TEXT},     {"pool", TEXT},    {"c", NUMBER},
                                                    {"target", NUMBER}, {"seed", INTEGER}, {NULL, FLAG}};
static const struct option probe_eval_options[] = {
    {"random", INTEGER}, {"target", NUMBER}, {"seed", INTEGER}, {NULL, FLAG}};

static const struct option watch_options[] = {{"feature", TEXT}, {"above", NUMBER},      {"target", NUMBER},
                                              {"window", TEXT},  {"strongest", INTEGER}, {NULL, FLAG}};
static const struct option doctor_options[] = {{"threads", INTEGER}, {NULL, FLAG}};

static const struct command {
    const char *name; /* words with a blank between them */
    const struct option *options;
    const char *texts;        /* the option that gives it a corpus; NULL: it reads none */
    const char *kind, *given; /* what it makes, or works on and how a request names it; NULL: nothing */
    bool needs_corpus, makes, has_own, repeats;
} commands[] = {
    {"train", train_options, "--corpus=", FATHOM__TASK_DICTIONARIES, "dictionary", true, true, false, true},
    {"index", index_options, "--corpus=", FATHOM__TASK_DICTIONARIES, "dictionary", true, false, true, true},
    {"eval", eval_options, "--corpus=", FATHOM__TASK_DICTIONARIES, "dictionary", false, false, true, true},
    {"probe train", probe_train_options, "--labelled=", FATHOM__TASK_PROBES, "probe", true, true, false, false},
    {"probe eval", probe_eval_options, "--labelled=", FATHOM__TASK_PROBES, "probe", true, false, false, false},
    {WATCH, watch_options, "--file=", NULL, NULL, true, false, false, false},
    {"doctor", doctor_options, NULL, NULL, NULL, false, false, false, false},
};

static const struct command *command_of(const char *name) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

const char *fathom__task_makes(const char *name) {
    const struct command *command = command_of(name);
    return command && command->makes ? command->kind : NULL;
}

static bool is_name(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    const size_t length = strlen(text);
    return length > 0 && length <= MOST_NAME && text[0] != '.' && strspn(text, letters) == length;
}

static int add(json_t *arguments, const char *text) {
    return json_array_append_new(arguments, json_string(text)) ? fathom__fail_memory(1) : FATHOM_OK;
}

/* Of corpora the name is the file's own. */
static const char *ending_of(const char *kind) {
    return strcmp(kind, FATHOM__TASK_CORPORA) == 0 ? "" : ENDING;
}

static int add_path(json_t *arguments, const char *option, const char *folder, const char *kind, const char *name,
                    const char *after) {
    char *text = NULL;
    int status = fathom__format(&text, "%s%s/%s/%s%s%s", option, folder, kind, name, ending_of(kind), after);
    if (!status) status = add(arguments, text);
    fathom_free(text);
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

json_t *fathom__task_files(const struct fathom__task_place *place, const char *kind) {
    const bool cut = *ending_of(kind) != '\0';
    char *path = NULL, *names[MOST_LISTED];
    size_t n = 0;
    json_t *list = json_array();
    if (fathom__path_join(&path, place->folder, kind)) return list;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && n < MOST_LISTED && (entry = readdir(folder)) != NULL;) {
        const size_t length = strlen(entry->d_name), ending = strlen(ENDING);
        const bool ends = length > ending && strcmp(entry->d_name + length - ending, ENDING) == 0;
        if (!is_name(entry->d_name) || (cut && !ends)) continue;
        if (fathom__copy_bytes(&names[n], entry->d_name, cut ? length - ending : length) == FATHOM_OK) n++;
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

int fathom__task_file(char **out, const struct fathom__task_place *place, const char *kind, const char *name) {
    char *path = NULL;
    if (!is_name(name))
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"%.100s\" is no name of a file in %s", name, kind);
    int status = fathom__format(&path, "%s/%s/%s%s", place->folder, kind, name, ending_of(kind));
    if (!status && !fathom__file_exists(path))
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "there is no \"%s\" among the %s in %s; GET /api/jobs lists them",
                              name, kind, place->folder);
    if (!status && out)
        *out = path;
    else
        fathom_free(path);
    return status;
}

static int add_corpora(json_t *arguments, const json_t *request, const struct command *command,
                       const struct fathom__task_place *place) {
    const json_t *corpora = json_object_get(request, "corpus");
    const char *option = command->texts;
    bool labelled = false;
    if (!corpora && !command->needs_corpus) return FATHOM_OK;
    if (!option) return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"corpus\": %s reads none", command->name);
    if (!json_is_array(corpora) || json_array_size(corpora) == 0 || json_array_size(corpora) > MOST_CORPORA)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"corpus\": a list of 1 to %d names of files is expected",
                            MOST_CORPORA);
    bool repeats = false;
    int status = fathom__json_get_bool(&repeats, request, "repeat", false, "request");
    if (!status) status = fathom__json_get_bool(&labelled, request, "labelled", false, "request");
    if (!status && labelled && strcmp(command->name, WATCH) != 0)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"labelled\" is for " WATCH);
    if (labelled) option = "--labelled=";
    if (!status && repeats && !command->repeats)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"repeat\": %s reads its texts once", command->name);
    for (size_t i = 0; i < json_array_size(corpora) && !status; i++) {
        const char *name = json_string_value(json_array_get(corpora, i));
        if (!name) return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"corpus\"[%zu]: a name is expected", i);
        status = fathom__task_file(NULL, place, FATHOM__TASK_CORPORA, name);
        if (!status)
            status = add_path(arguments, option, place->folder, FATHOM__TASK_CORPORA, name, repeats ? REPEATED : "");
    }
    return status;
}

/* What is made, or worked on. */
static int add_subject(json_t *arguments, const json_t *request, const struct command *command,
                       const struct fathom__task_place *place) {
    const char *key = command->makes ? "output" : command->given, *name = NULL;
    if (!command->kind) return FATHOM_OK;
    int status = fathom__json_get_string(&name, request, key, !command->has_own, "request");
    if (status) return status;
    if (!name)
        return place->dictionary ? add(arguments, place->dictionary)
                                 : fathom__fail(FATHOM_ERROR_FORMAT,
                                                "request: \"%s\": this server has none of its own to work on", key);
    status = fathom__task_file(NULL, place, command->kind, name);
    if (!command->makes) return status ? status : add_path(arguments, "", place->folder, command->kind, name, "");
    if (status == FATHOM_OK)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"output\": there is a %s \"%s\" already", command->given,
                            name);
    return status == FATHOM_ERROR_NOT_FOUND ? add_path(arguments, "--output=", place->folder, command->kind, name, "")
                                            : status;
}

/* A file that a request names under `key`, of the kind, as an option. */
static int add_named(json_t *arguments, const json_t *request, const char *key, const char *option, const char *kind,
                     const struct fathom__task_place *place) {
    const char *name = NULL;
    int status = fathom__json_get_string(&name, request, key, false, "request");
    if (status || !name) return status;
    status = fathom__task_file(NULL, place, kind, name);
    return status ? status : add_path(arguments, option, place->folder, kind, name, "");
}

/* What is watched, and by which texts the levels are chosen. */
static int add_monitors(json_t *arguments, const json_t *request, const struct fathom__task_place *place) {
    const json_t *options = json_object_get(request, "options");
    int status = add_named(arguments, request, "probe", "--probe=", FATHOM__TASK_PROBES, place);
    if (!status) status = add_named(arguments, request, "development", "--development=", FATHOM__TASK_CORPORA, place);
    if (!status && json_object_get(request, "dictionary"))
        status = add_named(arguments, request, "dictionary", "--dict=", FATHOM__TASK_DICTIONARIES, place);
    else if (!status && place->dictionary && json_object_get(options, "feature"))
        status = add(arguments, "--dict") ? FATHOM_ERROR_MEMORY : add(arguments, place->dictionary);
    if (!status && !json_object_get(options, "strongest")) status = add(arguments, "--strongest=" STRONGEST);
    return status;
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

static int add_words(json_t *arguments, const char *words) {
    int status = FATHOM_OK;
    while (*words && !status) {
        const size_t length = strcspn(words, " ");
        if (json_array_append_new(arguments, json_stringn(words, length))) status = fathom__fail_memory(length);
        words += length + (words[length] == ' ');
    }
    return status;
}

int fathom__task_arguments(json_t **out, const json_t *request, const struct fathom__task_place *place) {
    const char *name = NULL;
    int status = fathom__json_get_string(&name, request, "command", true, "request");
    if (status) return status;
    const struct command *command = command_of(name);
    if (!command)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "request: \"command\" is \"%.100s\", where " FATHOM__TASK_COMMANDS " is expected", name);
    json_t *arguments = json_array();
    if (!arguments) return fathom__fail_memory(1);
    status = add_words(arguments, name);
    if (!status) status = add(arguments, "--json");
    if (!status) status = add(arguments, "-m");
    if (!status) status = add(arguments, place->model);
    if (!status) status = add_subject(arguments, request, command, place);
    if (!status) status = add_corpora(arguments, request, command, place);
    if (!status && strcmp(name, WATCH) == 0) status = add_monitors(arguments, request, place);
    if (!status) status = add_options(arguments, request, command);
    if (status) {
        json_decref(arguments);
        return status;
    }
    *out = arguments;
    return FATHOM_OK;
}

int fathom__task_resume_arguments(json_t *arguments, const char *command) {
    /* index goes on by itself, and what writes nothing begins again. */
    if (strcmp(command, "train") != 0) return FATHOM_OK;
    for (size_t i = 0; i < json_array_size(arguments); i++)
        if (strcmp(json_string_value(json_array_get(arguments, i)), "--resume") == 0) return FATHOM_OK;
    return add(arguments, "--resume");
}
