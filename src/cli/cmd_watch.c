#include "labelled.h"
#include "watch_view.h"
#include <base/error.h>
#include <base/memory.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WATCHES = 256, MOST_WINDOW = 4096, MOST_STRONGEST = 1000 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"feature", 0, CLI_TEXT, "N[,N…]", "features to watch", true, false},
    {"probe", 0, CLI_FILE, "PROBE", "probes to watch, from fathom probe train", true, false},
    {"above", 0, CLI_NUMBER, "X", "alert when a document's level reaches X (a probe's own threshold)", false, false},
    {"development", 0, CLI_FILE, "FILE", "choose the levels on these labelled texts: JSONL with \"text\" and \"label\"",
     false, false},
    {"target", 0, CLI_NUMBER, "RATE",
     "with --development: the false-positive rate, which needs 10 / RATE negatives (best balanced accuracy)", false,
     false},
    {"window", 0, CLI_TEXT, "N|document",
     "a document's level is the largest mean of N tokens in a row, or the mean of all (1; the mean of all for probes "
     "of means)",
     false, false},
    {"text", 0, CLI_TEXT, "TEXT", "a text to watch", true, false},
    {"file", 'f', CLI_FILE, "FILE", "texts to watch: one a line, or JSONL with \"text\"", true, false},
    {"labelled", 0, CLI_FILE, "FILE", "the same with labels, so that right and wrong alerts are counted", true, false},
    {"strongest", 0, CLI_INTEGER, "N",
     "tell only the N texts with the strongest levels, once all were read, and how many alerts there were", false,
     false},
    {"fail-on-alert", 0, CLI_FLAG, NULL, "exit with status 1 when there was an alert", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int parse_window(uint32_t *out, const struct cli_arguments *arguments) {
    const char *text = cli_text(arguments, "window", NULL);
    char *end = NULL;
    if (text == NULL) {
        *out = 0;
        return FATHOM_OK;
    }
    if (strcmp(text, "document") == 0) {
        *out = FATHOM_WINDOW_DOCUMENT;
        return FATHOM_OK;
    }
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > MOST_WINDOW) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "--window: 1 … %d or \"document\" is expected, not \"%s\"",
                            MOST_WINDOW, text);
    }
    *out = (uint32_t)value;
    return FATHOM_OK;
}

static int add_feature(struct watching *watching, uint32_t feature, double above, uint32_t window) {
    const struct fathom_feature *known =
        watching->view.catalogue != NULL ? fathom_catalogue_feature(watching->view.catalogue, feature) : NULL;
    struct fathom_watch watch = {
        .dictionary = watching->view.dictionary, .feature = feature, .above = above, .window = window};
    char *name = NULL;
    int status = FATHOM_OK;
    if (known != NULL && known->label != NULL) {
        status = fathom__format(&name, "feature %u “%s”", feature, known->label);
    }
    watch.name = name;
    if (status == FATHOM_OK) {
        status = fathom_monitor_add(watching->monitor, &watch);
    }
    fathom_free(name);
    return status;
}

/* "304,17" */
static int add_features(struct watching *watching, const char *list, double above, uint32_t window) {
    int status = FATHOM_OK;
    const char *rest = list;
    while (status == FATHOM_OK) {
        char *end = NULL;
        errno = 0;
        unsigned long long value = strtoull(rest, &end, 10);
        if (end == rest || *rest == '-' || errno != 0 || value > UINT32_MAX || (*end != '\0' && *end != ',')) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "--feature: numbers with commas between them are expected, not \"%s\"", list);
        }
        status = add_feature(watching, (uint32_t)value, above, window);
        if (*end == '\0') {
            break;
        }
        rest = end + 1;
    }
    return status;
}

static int add_probe(struct watching *watching, const char *path, const double *above, uint32_t window) {
    int status = fathom_probe_open(&watching->probes[watching->n_probes], path);
    if (status != FATHOM_OK) {
        return status;
    }
    const fathom_probe *probe = watching->probes[watching->n_probes++];
    const struct fathom_probe_info *info = fathom_probe_describe(probe);
    struct fathom_watch watch = {
        .probe = probe, .above = above != NULL ? *above : info->threshold, .window = window, .name = path};
    if (window == 0 && info->pool == FATHOM_POOL_MEAN) {
        watch.window =
            /* a mean of log-odds is the log-odds of the mean, which the threshold was made for */
            FATHOM_WINDOW_DOCUMENT;
    }
    return fathom_monitor_add(watching->monitor, &watch);
}

static int add_watches(struct watching *watching) {
    const struct cli_arguments *arguments = watching->arguments;
    const char *lists[MOST_WATCHES];
    size_t n_lists = 0;
    size_t n_probes = 0;
    uint32_t window = 0;
    double above = 0;
    bool given = cli_has(arguments, "above");
    const char *const *features = cli_all(&n_lists, arguments, "feature");
    if (n_lists > MOST_WATCHES) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "--feature: at most %d lists", MOST_WATCHES);
    }
    memcpy(lists, features, n_lists * sizeof *lists);
    if (!cli_number(&above, arguments, "above", -1e30, 1e30, 0)) {
        return FATHOM_ERROR_ARGUMENT;
    }
    const char *const *probes = cli_all(&n_probes, arguments, "probe");
    int status = parse_window(&window, arguments);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&watching->probes, n_probes, sizeof *watching->probes);
    }
    if (status == FATHOM_OK) {
        status = fathom_monitor_open(&watching->monitor, watching->view.model);
    }
    for (size_t i = 0; i < n_lists && status == FATHOM_OK; i++) {
        status = add_features(watching, lists[i], above, window);
    }
    for (size_t i = 0; i < n_probes && status == FATHOM_OK; i++) {
        status = add_probe(watching, probes[i], given ? &above : NULL, window);
    }
    return status;
}

static int load_texts(struct watching *watching) {
    const struct cli_arguments *arguments = watching->arguments;
    size_t n = 0;
    int status = FATHOM_OK;
    const char *const *given = cli_all(&n, arguments, "text");
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = fathom_texts_append(&watching->texts, given[i], strlen(given[i]), FATHOM_LABEL_NONE);
    }
    given = cli_all(&n, arguments, "file");
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = fathom_texts_load(&watching->texts, given[i], FATHOM_LABEL_NONE);
    }
    return status == FATHOM_OK ? labelled_append_all(&watching->texts, arguments, "labelled") : status;
}

struct developing {
    struct watching *watching;
    size_t n_texts;
};

static int keep_levels(const struct fathom_reading *reading, void *payload) {
    struct developing *developing = payload;
    size_t n = fathom_monitor_count(developing->watching->monitor);
    for (size_t w = 0; w < n; w++) {
        developing->watching->levels[w * developing->n_texts + reading->text] = reading->document[w];
    }
    return 0;
}

/* Leaves texts out that gave no level, so that a threshold can be chosen. */
static void drop_unread(struct fathom_texts *texts, const double *levels) {
    for (size_t t = 0; t < texts->n; t++) {
        texts->labels[t] = isnan(levels[t]) ? FATHOM_LABEL_NONE : texts->labels[t];
    }
}

static int choose_levels(struct watching *watching, const char *path, double target) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct developing developing = {.watching = watching};
    size_t n_watches = fathom_monitor_count(watching->monitor);
    int status = labelled_append(&texts, path);
    developing.n_texts = texts.n;
    if (status == FATHOM_OK) {
        status = fathom__alloc(&watching->levels, n_watches * texts.n, sizeof *watching->levels);
    }
    if (status == FATHOM_OK) {
        status = fathom_monitor_run(watching->monitor, &texts, keep_levels, &developing);
    }
    for (size_t w = 0; w < n_watches && status == FATHOM_OK; w++) {
        const double *levels = watching->levels + w * texts.n;
        struct fathom_threshold threshold;
        double auroc = 0;
        drop_unread(&texts, levels);
        status = fathom_threshold_choose(&threshold, levels, texts.labels, texts.n, target);
        if (status == FATHOM_OK) {
            status = fathom_auroc(&auroc, levels, texts.labels, texts.n);
        }
        if (status == FATHOM_OK) {
            status = fathom_monitor_set_level(watching->monitor, w, threshold.level);
        }
        if (status == FATHOM_OK && !cli_json(watching->arguments)) {
            printf("%s: level %.4g chosen on %s: recall %.2f, false positives %.2f, AUROC %.3f there\n",
                   fathom_monitor_at(watching->monitor, w)->name, threshold.level, path, threshold.recall,
                   threshold.false_positive_rate, auroc);
        }
    }
    fathom_texts_free(&texts);
    return status;
}

static int watch(struct watching *watching) {
    const struct cli_arguments *arguments = watching->arguments;
    const char *development = cli_text(arguments, "development", NULL);
    double target = 0;
    int64_t strongest = 0;
    if (!cli_number(&target, arguments, "target", 1e-9, 0.5, 0) ||
        !cli_integer(&strongest, arguments, "strongest", 1, MOST_STRONGEST, 0)) {
        return CLI_USAGE;
    }
    watching->most_strongest = (size_t)strongest;
    int status = load_texts(watching);
    if (status == FATHOM_OK && strongest > 0) {
        status = fathom__alloc(&watching->strongest, watching->most_strongest, sizeof *watching->strongest);
    }
    if (status == FATHOM_OK) {
        status = add_watches(watching);
    }
    if (status == FATHOM_OK && development != NULL) {
        status = choose_levels(watching, development, target);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&watching->documents, watching->texts.n, sizeof *watching->documents);
    }
    if (status == FATHOM_OK) {
        status = fathom_monitor_run(watching->monitor, &watching->texts,
                                    strongest > 0 ? watch_keep_reading : watch_print_reading, watching);
    }
    if (watching->output != CLI_OK) {
        return watching->output;
    }
    if (status != FATHOM_OK) {
        return cli_fail(arguments, status);
    }
    int exit = watch_print_summary(watching);
    return exit == CLI_OK && watching->n_alerts > 0 && cli_has(arguments, "fail-on-alert") ? CLI_NEGATIVE : exit;
}

static int check_usage(const struct cli_arguments *arguments) {
    if (!cli_has(arguments, "feature") && !cli_has(arguments, "probe")) {
        return cli_usage(arguments, "--feature or --probe names what to watch");
    }
    if (!cli_has(arguments, "text") && !cli_has(arguments, "file") && !cli_has(arguments, "labelled")) {
        return cli_usage(arguments, "--text, --file or --labelled names the texts");
    }
    if (cli_has(arguments, "feature") && cli_has(arguments, "above") == cli_has(arguments, "development")) {
        return cli_usage(arguments, "a feature needs its level: --above X, or --development FILE to choose one");
    }
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct watching watching = {.arguments = arguments};
    int exit = check_usage(arguments);
    if (exit != CLI_OK) {
        return exit;
    }
    if (!cli_has(arguments, "feature")) {
        watching.view.model = cli_open_model(&exit, arguments);
    } else if (!feature_view_open(&watching.view, &exit, arguments, false)) {
        return exit;
    }
    if (exit == CLI_OK) {
        exit = watch(&watching);
    }
    fathom_monitor_close(watching.monitor);
    for (size_t i = 0; i < watching.n_probes; i++) {
        fathom_probe_close(watching.probes[i]);
    }
    fathom_free(watching.probes);
    fathom_free(watching.levels);
    fathom_free(watching.documents);
    watch_free_kept(&watching);
    fathom_texts_free(&watching.texts);
    feature_view_close(&watching.view);
    return exit;
}

const struct cli_command cli_command_watch = {
    .name = "watch",
    .summary = "watch features and probes in texts and raise alerts",
    .operands = "",
    .description =
        "Reads texts and prints each with its tokens by level, and an alert where a watched feature or "
        "probe reaches its level. With labels the right and "
        "wrong alerts are counted. Choose the level on other texts than those that are counted: "
        "--development does that, and says what it "
        "cost there. With --json every text is one line of JSON, and the last line is a summary. For a scan of a "
        "whole corpus there is --strongest: one document in JSON.",
    .examples = "fathom watch --feature 304 --above 2.5 --text \"Steph Curry scored 30 points\"\n"
                "fathom watch --feature 304 --development share/demo/watch_development.jsonl --labelled "
                "share/demo/watch.jsonl\n"
                "fathom watch --feature 304 --above 2.5 --file corpus.jsonl --strongest 20 # scan a corpus",
    .options = options,
    .run = run,
};
