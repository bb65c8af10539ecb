/* A feature watched on labelled inputs, and a probe judged on texts that it never saw. */
#include "demo.h"
#include <base/error.h>
#include <math.h>

static json_t *counts_json(const struct fathom_counts *counts) {
    return json_pack("{s:I, s:I, s:I, s:I}", "true_positive", (json_int_t)counts->true_positive, "false_positive",
                     (json_int_t)counts->false_positive, "true_negative", (json_int_t)counts->true_negative,
                     "false_negative", (json_int_t)counts->false_negative);
}

struct watching {
    const struct demo *demo;
    const struct fathom_texts *texts;
    struct fathom_counts counts;
    json_t *alerts;
};

static int on_reading(const struct fathom_reading *reading, void *payload) {
    struct watching *watching = payload;
    const struct demo *demo = watching->demo;
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
    fprintf(demo->out, "  %s %6.2f  %s  %s\n", reading->alert ? "ALERT" : "  -  ", isfinite(level) ? level : 0,
            right ? "right" : "WRONG", text);
    json_array_append_new(watching->alerts,
                          json_pack("{s:s, s:f, s:b, s:b}", "text", text, "level", isfinite(level) ? level : 0.0,
                                    "alert", (int)reading->alert, "expected", (int)(label == FATHOM_LABEL_POSITIVE)));
    return 0;
}

static int watch(struct demo *demo, json_t *results) {
    const uint32_t feature = demo->settings.watch.feature;
    const double above = demo->settings.watch.above;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_monitor *monitor = NULL;
    struct watching watching = {.demo = demo, .texts = &texts, .alerts = json_array()};
    int code = fathom_texts_load(&texts, demo->settings.watch.path, FATHOM_LABEL_NONE);
    if (code == FATHOM_OK) code = fathom_monitor_open(&monitor, demo->model);
    if (code == FATHOM_OK) {
        struct fathom_watch one = {
            .dictionary = demo->dictionary,
            .feature = feature,
            .above = above,
        };
        code = fathom_monitor_add(monitor, &one);
    }
    if (code == FATHOM_OK) {
        fputs("Watching ", demo->out);
        demo_print_feature(demo, feature);
        fprintf(demo->out, ", alert at %.2f (a level chosen on other texts):\n", above);
        code = fathom_monitor_run(monitor, &texts, on_reading, &watching);
    }
    if (code == FATHOM_OK) {
        fprintf(demo->out, "  alerts: %llu right, %llu wrong; silences: %llu right, %llu wrong\n",
                (unsigned long long)watching.counts.true_positive, (unsigned long long)watching.counts.false_positive,
                (unsigned long long)watching.counts.true_negative, (unsigned long long)watching.counts.false_negative);
        json_object_set_new(results, "watch",
                            json_pack("{s:o, s:f, s:O, s:o}", "feature", demo_feature_json(demo, feature), "above",
                                      above, "alerts", watching.alerts, "counts", counts_json(&watching.counts)));
    }
    json_decref(watching.alerts);
    fathom_monitor_close(monitor);
    fathom_texts_free(&texts);
    return code;
}

static int probe(struct demo *demo, json_t *results) {
    struct fathom_texts train = FATHOM_TEXTS_INIT, test = FATHOM_TEXTS_INIT;
    struct fathom_probe_options options = {
        .hook = demo->settings.probe.hook, .pool = demo->settings.probe.pool, .seed = demo->seed};
    struct fathom_probe_evaluation evaluation = {.seed = demo->seed};
    struct fathom_probe_report report;
    fathom_probe *made = NULL;
    int code = fathom_texts_load(&train, demo->settings.probe.train_path, FATHOM_LABEL_NONE);
    if (code == FATHOM_OK) code = fathom_texts_load(&test, demo->settings.probe.test_path, FATHOM_LABEL_NONE);
    if (code == FATHOM_OK) code = fathom_probe_train(&made, demo->model, &train, &options);
    if (code == FATHOM_OK && (code = fathom_probe_evaluate(&report, NULL, made, demo->model, &test, &evaluation)))
        code = fathom__wrap(code, "%s", demo->settings.probe.test_path);
    if (code == FATHOM_OK) {
        fprintf(demo->out, "\nA probe for %s, trained at %s on %zu texts, on %zu texts that it never saw:\n",
                demo->settings.probe.about, options.hook, train.n, report.n_positive + report.n_negative);
        fprintf(demo->out, "  AUROC %.3f (95 %% interval %.3f … %.3f), accuracy %.2f\n", report.auroc, report.auroc_low,
                report.auroc_high, report.accuracy);
        fprintf(demo->out,
                "  beside it: shuffled labels %.3f on average, %.3f at best of %zu; bag of words %.3f; random "
                "directions %.3f at the 95th percentile\n",
                report.shuffled_mean, report.shuffled_highest, report.n_shuffled, report.bag_of_words,
                report.random_p95);
        json_object_set_new(results, "probe",
                            json_pack("{s:s, s:s, s:i, s:i, s:f, s:[f,f], s:f, s:f, s:f, s:f, s:f, s:o}", "about",
                                      demo->settings.probe.about, "hook", options.hook, "trained_on", (int)train.n,
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
    demo_heading(demo, "2. Detect", "alerts where they should be, and none where not");
    int code = watch(demo, results);
    if (code == FATHOM_OK) code = probe(demo, results);
    json_object_set_new(demo->results, "detection", results);
    return code;
}
