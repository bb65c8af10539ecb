#include "cli.h"
#include "size.h"
#include <fathom/cache.h>
#include <string.h>

static const struct cli_option list_options[] = {
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int list_cache(struct cli_arguments *arguments) {
    fathom_cache *cache = NULL;
    size_t n = 0;
    uint64_t total = 0;
    char size[CLI_SIZE_TEXT];
    const int code = fathom_cache_open(&cache);
    if (code != FATHOM_OK) return cli_fail(arguments, code);
    const struct fathom_cache_entry *entries = fathom_cache_entries(&n, cache);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *kind = fathom_cache_kind_name(entries[i].kind);
        total += entries[i].bytes;
        if (cli_json(arguments)) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "kind", kind, "name", entries[i].name, "path",
                                                  entries[i].path, "bytes", (json_int_t)entries[i].bytes));
        } else {
            printf("%-11s %9s  %s\n", kind, cli_size(size, entries[i].bytes), entries[i].name);
        }
    }
    fathom_cache_close(cache);
    if (cli_json(arguments))
        return cli_print_json(json_pack("{s:o, s:I}", "entries", list, "bytes", (json_int_t)total));
    json_decref(list);
    printf("%-11s %9s\n", "in all", cli_size(size, total));
    return CLI_OK;
}

const struct cli_command cli_command_cache = {
    .name = "cache",
    .summary = "list what is kept on this machine, with sizes",
    .operands = "",
    .description =
        "Lists fetched models, copies derived from models, engine builds, and your own dictionaries and catalogues. "
        "The first three lie in $XDG_CACHE_HOME/fathom and are made again when they are wanted; dictionaries and "
        "catalogues lie in $XDG_DATA_HOME/fathom, and removing them loses them.",
    .examples = "fathom cache # kinds, sizes and names\n"
                "fathom cache remove derived # all derived copies",
    .options = list_options,
    .run = list_cache,
};

static const struct cli_option remove_options[] = {
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* Whether an operand means this entry: by its name, or by the folder that it lies in, such as "derived". */
static bool is_meant(const struct fathom_cache_entry *entry, const char *operand) {
    const size_t length = strlen(operand);
    if (strcmp(entry->name, operand) == 0) return true;
    return strncmp(entry->name, operand, length) == 0 && entry->name[length] == '/' && strchr(operand, '/') == NULL;
}

static int remove_from_cache(struct cli_arguments *arguments) {
    fathom_cache *cache = NULL;
    size_t n = 0, n_operands = 0;
    const char *const *operands = cli_operands(&n_operands, arguments);
    json_t *list = json_array();
    int status = CLI_OK, code = fathom_cache_open(&cache);
    if (code != FATHOM_OK) {
        json_decref(list);
        return cli_fail(arguments, code);
    }
    const struct fathom_cache_entry *entries = fathom_cache_entries(&n, cache);
    for (size_t o = 0; status == CLI_OK && o < n_operands; o++) {
        bool found = false;
        for (size_t i = 0; status == CLI_OK && i < n; i++) {
            char size[CLI_SIZE_TEXT];
            if (!is_meant(&entries[i], operands[o])) continue;
            found = true;
            code = fathom_cache_remove(cache, entries[i].name);
            if (code != FATHOM_OK) {
                status = cli_fail(arguments, code);
            } else if (cli_json(arguments)) {
                json_array_append_new(
                    list, json_pack("{s:s, s:I}", "name", entries[i].name, "bytes", (json_int_t)entries[i].bytes));
            } else {
                printf("removed %s (%s)\n", entries[i].name, cli_size(size, entries[i].bytes));
            }
        }
        /* Asking for a name that is not there gives the library's own words. */
        if (status == CLI_OK && !found) status = cli_fail(arguments, fathom_cache_remove(cache, operands[o]));
    }
    fathom_cache_close(cache);
    if (status == CLI_OK && cli_json(arguments)) return cli_print_json(json_pack("{s:o}", "removed", list));
    json_decref(list);
    return status;
}

const struct cli_command cli_command_cache_remove = {
    .name = "cache remove",
    .summary = "remove models, copies, engine builds, dictionaries or catalogues",
    .operands = "NAME…",
    .least = 1,
    .most = -1,
    .description =
        "Removes entries by the names that `fathom cache` lists, or all of a folder: models, derived, engine. Files "
        "outside the cache are never touched.",
    .examples = "fathom cache remove models/SmolLM2-135M-Instruct.Q4_1.gguf # one model\n"
                "fathom cache remove derived engine # what is made again by itself",
    .options = remove_options,
    .run = remove_from_cache,
};
