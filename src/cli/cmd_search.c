#include "feature_view.h"
#include <base/memory.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"text", 0, CLI_TEXT, "TEXT", "find the features that this text is about", false, false},
    {"token", 0, CLI_TEXT, "TOKEN", "find the features that raise this output token", false, false},
    {"lowers", 0, CLI_FLAG, NULL, "with --token: those that lower it", false, false},
    {"top", 'n', CLI_INTEGER, "N", "features shown (10)", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* The words of all operands, separated by blanks. */
static int join_operands(char **out, const struct cli_arguments *arguments) {
    size_t n;
    const char *const *words = cli_operands(&n, arguments);
    int status = fathom__copy_string(out, "");
    for (size_t i = 0; !status && i < n; i++) {
        char *longer;
        status = fathom__format(&longer, "%s%s%s", *out, i ? " " : "", words[i]);
        if (status) break;
        fathom_free(*out);
        *out = longer;
    }
    return status;
}

static int find_by_text(struct fathom_hit *hits, size_t *n, size_t most, const struct feature_view *view,
                        const char *text, uint32_t n_threads) {
    struct feature_text read;
    int status = feature_text_read(&read, view, text, n_threads);
    if (status) return status;
    status = fathom_catalogue_search_text(hits, n, most, view->catalogue, &read.features);
    feature_text_free(&read);
    return status;
}

/* A text of several tokens stands for its first one, which is what the model would say next. */
static int first_token(int32_t *out, const struct feature_view *view, const char *text) {
    int32_t *tokens;
    size_t n;
    int status = fathom_tokenize(&tokens, &n, view->model, text, strlen(text), false, true);
    if (status) return status;
    if (n) *out = tokens[0];
    fathom_free(tokens);
    return n ? FATHOM_OK : FATHOM_ERROR_ARGUMENT;
}

static int print_hits(const struct cli_arguments *arguments, const struct feature_view *view,
                      const struct fathom_hit *hits, size_t n, json_t *what) {
    enum { SHOWN_EXAMPLES = 2 };
    json_t *list = json_array();
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < n; i++) {
        struct fathom_feature_details *details;
        if ((status = fathom_catalogue_details(&details, view->catalogue, hits[i].feature))) break;
        if (cli_json(arguments)) {
            json_t *item = feature_details_json(view, details, SHOWN_EXAMPLES);
            json_object_set_new(item, "search_score", json_real(hits[i].score));
            json_array_append_new(list, item);
        } else {
            printf("%s%9.2f  ", i ? "\n" : "", hits[i].score);
            feature_print_head(view, hits[i].feature);
            putchar('\n');
            feature_print_evidence(view, details, SHOWN_EXAMPLES);
        }
        fathom_feature_details_free(details);
    }
    if (!status && cli_json(arguments)) {
        json_t *value = feature_view_json(view);
        json_object_update(value, what);
        json_object_set(value, "features", list);
        json_decref(list);
        json_decref(what);
        return cli_print_json(value);
    }
    json_decref(list);
    json_decref(what);
    if (status) return cli_fail(arguments, status);
    if (!n) puts("no feature found");
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct feature_view view;
    struct fathom_hit *hits = NULL;
    char *words = NULL;
    size_t n = 0, n_operands;
    int64_t most, threads;
    int32_t token = 0;
    int code, status;
    const char *text = cli_text(arguments, "text", NULL), *token_text = cli_text(arguments, "token", NULL);
    (void)cli_operands(&n_operands, arguments);
    if ((n_operands > 0) + (text != NULL) + (token_text != NULL) != 1)
        return cli_usage(arguments, "one of WORDS, --text TEXT or --token TOKEN was expected");
    if (!cli_integer(&most, arguments, "top", 1, 100000, 10) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0))
        return CLI_USAGE;
    if (!feature_view_open(&view, &code, arguments, true)) return code;
    json_t *what = json_object();
    if ((status = fathom__alloc(&hits, (size_t)most, sizeof *hits)) || (status = join_operands(&words, arguments))) {
        code = cli_fail(arguments, status);
        goto done;
    }
    if (text) {
        status = find_by_text(hits, &n, (size_t)most, &view, text, (uint32_t)threads);
        json_object_set_new(what, "text", json_string(text));
    } else if (token_text) {
        if (first_token(&token, &view, token_text)) {
            code = cli_usage(arguments, "--token \"%s\": a text of at least one token was expected", token_text);
            goto done;
        }
        status =
            fathom_catalogue_search_token(hits, &n, (size_t)most, view.catalogue, token, cli_has(arguments, "lowers"));
        json_object_set_new(what, "token", feature_token_json(&view, token));
    } else {
        status = fathom_catalogue_search_words(hits, &n, (size_t)most, view.catalogue, words);
        json_object_set_new(what, "words", json_string(words));
    }
    if (status) {
        code = cli_fail(arguments, status);
    } else {
        if (token_text && !cli_json(arguments)) {
            printf("features that %s ", cli_has(arguments, "lowers") ? "lower" : "raise");
            feature_print_token(&view, token);
            puts("");
        }
        code = print_hits(arguments, &view, hits, n, json_incref(what));
    }
done:
    json_decref(what);
    fathom_free(hits);
    fathom_free(words);
    feature_view_close(&view);
    return code;
}

const struct cli_command cli_command_search = {
    .name = "search",
    .summary = "find features by words, by an example text or by an output token",
    .operands = "[WORDS…]",
    .least = 0,
    .most = -1,
    .description = "WORDS are looked for in labels and in the words of the strongest examples; every one must occur, "
                   "and its ending is free. --text finds the features that a text "
                   "is about: those that are strong in it and rare elsewhere. --token finds the features whose decoder "
                   "raises an output token (or lowers it); it is read as "
                   "the model writes it, so a word in the middle of a sentence begins with a blank.",
    .examples = "fathom search golden gate # by words of labels and examples\n"
                "fathom search --text \"Steph Curry scored 30 points\" # which features is this about?\n"
                "fathom search --token \" Francisco\" # which features make the model say this?",
    .options = options,
    .run = run,
};
