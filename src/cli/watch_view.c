#include "watch_view.h"
#include "labelled.h"
#include <math.h>

double watch_full_level(const struct watching *watching, size_t w) {
    const struct fathom_watch *watch = fathom_monitor_at(watching->monitor, w);
    const struct fathom_feature *known = watch->dictionary != NULL && watching->view.catalogue != NULL
                                             ? fathom_catalogue_feature(watching->view.catalogue, watch->feature)
                                             : NULL;
    if (known != NULL && known->max_activation > 0) {
        return (double)known->max_activation;
    }
    return watch->above > 0 ? 2 * watch->above : 1;
}

static void print_tokens(const struct watching *watching, const struct fathom_reading *reading) {
    size_t n_watches = fathom_monitor_count(watching->monitor);
    for (size_t t = 0; t < reading->n_tokens; t++) {
        double level = 0;
        const char *bytes = NULL;
        size_t length = 0;
        for (size_t w = 0; w < n_watches; w++) {
            double here = (double)reading->levels[w * reading->n_tokens + t] / watch_full_level(watching, w);
            level = here > level ? here : level;
        }
        if (fathom_token_bytes(&bytes, &length, watching->view.model, reading->tokens[t]) == FATHOM_OK) {
            cli_print_level(stdout, bytes, length, level);
        }
    }
    putchar('\n');
}

void watch_print_verdict(const struct watching *watching, size_t text, bool alert) {
    int label = watching->texts.labels[text];
    fputs(alert ? "ALERT  " : "  -    ", stdout);
    if (label != FATHOM_LABEL_NONE) {
        fputs(alert == (label == FATHOM_LABEL_POSITIVE) ? "right  " : "WRONG  ", stdout);
    }
}

void watch_print_levels(const struct watching *watching, const double *levels) {
    for (size_t w = 0; w < fathom_monitor_count(watching->monitor); w++) {
        const struct fathom_watch *watch = fathom_monitor_at(watching->monitor, w);
        if (isnan(levels[w])) {
            printf("         %s: nothing to read\n", watch->name);
        } else {
            printf("         %s: %.3f%s %.3f\n", watch->name, levels[w],
                   levels[w] >= watch->above ? " reaches" : ", below", watch->above);
        }
    }
}

static void print_reading(const struct watching *watching, const struct fathom_reading *reading) {
    watch_print_verdict(watching, reading->text, reading->alert);
    print_tokens(watching, reading);
    watch_print_levels(watching, reading->document);
}

static json_t *watch_json(const struct watching *watching, const struct fathom_reading *reading, size_t w) {
    const struct fathom_watch *watch = fathom_monitor_at(watching->monitor, w);
    json_t *levels = json_array();
    for (size_t t = 0; t < reading->n_tokens; t++) {
        json_array_append_new(levels, number_json((double)reading->levels[w * reading->n_tokens + t]));
    }
    json_t *value =
        json_pack("{s:s, s:o, s:f, s:b, s:o}", "name", watch->name, "level", number_json(reading->document[w]), "above",
                  watch->above, "alert", (int)reading->alerts[w], "levels", levels);
    if (watch->dictionary != NULL) {
        json_object_set_new(value, "feature", json_integer((json_int_t)watch->feature));
    }
    return value;
}

json_t *watch_reading_json(const struct watching *watching, const struct fathom_reading *reading) {
    int label = watching->texts.labels[reading->text];
    json_t *watches = json_array();
    json_t *tokens = json_array();
    for (size_t w = 0; w < fathom_monitor_count(watching->monitor); w++) {
        json_array_append_new(watches, watch_json(watching, reading, w));
    }
    for (size_t t = 0; t < reading->n_tokens; t++) {
        char *text = NULL;
        bool known = fathom_detokenize(&text, watching->view.model, &reading->tokens[t], 1) == FATHOM_OK;
        json_array_append_new(tokens, known ? json_string(text) : json_null());
        fathom_free(text);
    }
    json_t *value = json_pack("{s:I, s:s, s:b, s:o, s:o}", "number", (json_int_t)reading->text, "text",
                              watching->texts.texts[reading->text], "alert", (int)reading->alert, "watches", watches,
                              "tokens", tokens);
    if (label != FATHOM_LABEL_NONE) {
        json_object_set_new(value, "label", json_boolean(label == FATHOM_LABEL_POSITIVE));
    }
    return value;
}

/* One object a line, so that a long watch can be followed while it runs. */
static int print_line(json_t *value) {
    bool failed = value == NULL || json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0;
    putchar('\n');
    json_decref(value);
    return failed ? CLI_FAILURE : cli_output_status();
}

int watch_print_reading(const struct fathom_reading *reading, void *payload) {
    struct watching *watching = payload;
    watching->documents[reading->text] = reading->alert ? 1 : 0;
    watching->n_alerts += reading->alert;
    if (cli_json(watching->arguments)) {
        watching->output = print_line(watch_reading_json(watching, reading));
    } else {
        print_reading(watching, reading);
        watching->output = cli_output_status();
    }
    return watching->output != CLI_OK || cli_interrupted() ? FATHOM_ERROR_STOPPED : 0;
}

int watch_print_summary(const struct watching *watching) {
    const struct fathom_texts *texts = &watching->texts;
    struct fathom_counts counts;
    bool labelled = fathom_texts_count(texts, FATHOM_LABEL_NONE) < texts->n;
    fathom_count_alerts(&counts, watching->documents, texts->labels, texts->n, 1);
    if (cli_json(watching->arguments)) {
        json_t *summary =
            json_pack("{s:I, s:I}", "texts", (json_int_t)texts->n, "alerts", (json_int_t)watching->n_alerts);
        if (labelled) {
            json_object_set_new(summary, "counts", counts_json(&counts));
            json_object_set_new(summary, "balanced_accuracy", number_json(fathom_balanced_accuracy(&counts)));
        }
        return print_line(watching->most_strongest > 0
                              ? json_pack("{s:o, s:o}", "summary", summary, "strongest", watch_kept_json(watching))
                              : json_pack("{s:o}", "summary", summary));
    }
    watch_print_kept(watching);
    printf("%zu texts, %zu with an alert\n", texts->n, watching->n_alerts);
    if (labelled) {
        counts_print(&counts);
    }
    return cli_output_status();
}
