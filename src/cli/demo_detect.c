/* A feature watched on labelled inputs, and a probe judged on texts that it never saw. */
#include "demo.h"
#include <math.h>
#include <string.h>

static json_t *counts_json(const struct fathom_counts *counts) {
    return json_pack("{s:I, s:I, s:I, s:I}", "true_positive", (json_int_t)counts->true_positive, "false_positive",
                     (json_int_t)counts->false_positive, "true_negative", (json_int_t)counts->true_negative,
                     "false_negative", (json_int_t)counts->false_negative);
}

struct watching {
    const struct fathom_texts *texts;
    struct fathom_counts counts;
    json_t *alerts;
};

static int on_reading(const struct fathom_reading *reading, void *payload) {
    struct watching *watching = payload;
    double level = reading->document[0];
    int8_t label = watching->texts->labels[reading->text];
    const char *text = watching->texts->texts[reading->text];
    struct fathom_counts one;
    fathom_count_alerts(&one, &level, &label, 1, reading->alert ? -INFINITY : INFINITY);
    watching->counts.true_positive += one.true_positive;
    watching->counts.false_positive += one.false_positive;
    watching->counts.true_negative += one.true_negative;
    watching->counts.false_negative += one.false_negative;
    bool right = reading->alert == (label == FATHOM_LABEL_POSITIVE);
    printf("  %s %6.2f  %s  %s\n", reading->alert ? "ALERT" : "  -  ", isfinite(level) ? level : 0,
           right ? "right" : "WRONG", text);
    json_array_append_new(watching->alerts,
                          json_pack("{s:s, s:f, s:b, s:b}", "text", text, "level", isfinite(level) ? level : 0.0,
                                    "alert", (int)reading->alert, "expected", (int)(label == FATHOM_LABEL_POSITIVE)));
    return 0;
}

static int watch(struct demo *demo, json_t *results) {
    json_t *feature = NULL, *above = NULL, *file = NULL;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_monitor *monitor = NULL;
    char *path = NULL;
    struct watching watching = {.texts = &texts, .alerts = json_array()};
    int code = demo_setting(&feature, demo, "watch", "feature", JSON_INTEGER);
    if (code == FATHOM_OK) code = demo_setting(&above, demo, "watch", "above", JSON_REAL);
    if (code == FATHOM_OK) code = demo_setting(&file, demo, "watch", "file", JSON_STRING);
    if (code == FATHOM_OK) code = demo_file(&path, demo, json_string_value(file));
    if (code == FATHOM_OK) code = fathom_texts_load(&texts, path, FATHOM_LABEL_NONE);
    if (code == FATHOM_OK) code = fathom_monitor_open(&monitor, demo->model);
    if (code == FATHOM_OK) {
        struct fathom_watch one = {
            .dictionary = demo->dictionary,
            .feature = (uint32_t)json_integer_value(feature),
            .above = json_number_value(above),
        };
        code = fathom_monitor_add(monitor, &one);
    }
    if (code == FATHOM_OK) {
        fputs("Watching ", stdout);
        demo_print_feature(demo, (uint32_t)json_integer_value(feature));
        printf(", alert at %.2f (a level chosen on other texts):\n", json_number_value(above));
        code = fathom_monitor_run(monitor, &texts, on_reading, &watching);
    }
    if (code == FATHOM_OK) {
        printf("  alerts: %llu right, %llu wrong; silences: %llu right, %llu wrong\n",
               (unsigned long long)watching.counts.true_positive, (unsigned long long)watching.counts.false_positive,
               (unsigned long long)watching.counts.true_negative, (unsigned long long)watching.counts.false_negative);
        json_object_set_new(results, "watch",
                            json_pack("{s:o, s:f, s:O, s:o}", "feature",
                                      demo_feature_json(demo, (uint32_t)json_integer_value(feature)), "above",
                                      json_number_value(above), "alerts", watching.alerts, "counts",
                                      counts_json(&watching.counts)));
    }
    json_decref(watching.alerts);
    fathom_monitor_close(monitor);
    fathom_texts_free(&texts);
    fathom_free(path);
    return code;
}

static int load_texts(struct fathom_texts *texts, const struct demo *demo, const char *key) {
    json_t *file = NULL;
    char *path = NULL;
    int code = demo_setting(&file, demo, "probe", key, JSON_STRING);
    if (code == FATHOM_OK) code = demo_file(&path, demo, json_string_value(file));
    if (code == FATHOM_OK) code = fathom_texts_load(texts, path, FATHOM_LABEL_NONE);
    fathom_free(path);
    return code;
}

static int probe(struct demo *demo, json_t *results) {
    json_t *hook = NULL, *about = NULL;
    struct fathom_texts train = FATHOM_TEXTS_INIT, test = FATHOM_TEXTS_INIT;
    struct fathom_probe_options options = FATHOM_PROBE_OPTIONS_INIT;
    struct fathom_probe_evaluation evaluation = {.seed = demo->seed};
    struct fathom_probe_report report;
    fathom_probe *made = NULL;
    int code = demo_setting(&hook, demo, "probe", "hook", JSON_STRING);
    if (code == FATHOM_OK) code = demo_setting(&about, demo, "probe", "about", JSON_STRING);
    if (code == FATHOM_OK) code = load_texts(&train, demo, "train");
    if (code == FATHOM_OK) code = load_texts(&test, demo, "test");
    const char *pool = json_string_value(json_object_get(json_object_get(demo->settings, "probe"), "pool"));
    options.hook = json_string_value(hook);
    options.pool = pool != NULL && strcmp(pool, "last") == 0 ? FATHOM_POOL_LAST : FATHOM_POOL_MEAN;
    options.seed = demo->seed;
    if (code == FATHOM_OK) code = fathom_probe_train(&made, demo->model, &train, &options);
    if (code == FATHOM_OK) code = fathom_probe_evaluate(&report, NULL, made, demo->model, &test, &evaluation);
    if (code == FATHOM_OK) {
        printf("\nA probe for %s, trained at %s on %zu texts, on %zu texts that it never saw:\n",
               json_string_value(about), options.hook, train.n, report.n_positive + report.n_negative);
        printf("  AUROC %.3f (95 %% interval %.3f … %.3f), accuracy %.2f\n", report.auroc, report.auroc_low,
               report.auroc_high, report.accuracy);
        printf("  beside it: shuffled labels %.3f on average, %.3f at best of %zu; bag of words %.3f; random "
               "directions %.3f at the 95th percentile\n",
               report.shuffled_mean, report.shuffled_highest, report.n_shuffled, report.bag_of_words,
               report.random_p95);
        json_object_set_new(results, "probe",
                            json_pack("{s:s, s:s, s:i, s:i, s:f, s:[f,f], s:f, s:f, s:f, s:f, s:f, s:o}", "about",
                                      json_string_value(about), "hook", options.hook, "trained_on", (int)train.n,
                                      "tested_on", (int)(report.n_positive + report.n_negative), "auroc", report.auroc,
                                      "auroc_interval", report.auroc_low, report.auroc_high, "accuracy",
                                      report.accuracy, "shuffled_auroc", report.shuffled_mean, "shuffled_highest",
                                      report.shuffled_highest, "bag_of_words_auroc", report.bag_of_words,
                                      "random_direction_p95", report.random_p95, "counts",
                                      counts_json(&report.counts)));
    }
    fathom_probe_close(made);
    fathom_texts_free(&train);
    fathom_texts_free(&test);
    return code;
}

int demo_detect(struct demo *demo) {
    json_t *results = json_object();
    demo_heading("2. Detect", "alerts where they should be, and none where not");
    int code = watch(demo, results);
    if (code == FATHOM_OK) code = probe(demo, results);
    json_object_set_new(demo->results, "detection", results);
    return code;
}
