#include "steer_subject.h"
#include "labelled.h"
#include "steer_plan.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/plan.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum fathom_steer_rows steer_rows(const struct cli_arguments *arguments) {
    const char *rows = cli_text(arguments, "rows", "all");
    return strcmp(rows, "prompt") == 0   ? FATHOM_STEER_PROMPT
           : strcmp(rows, "answer") == 0 ? FATHOM_STEER_ANSWER
                                         : FATHOM_STEER_ALL;
}

int steer_range_parse(struct fathom_layer_range *out, const char *text, const char *option) {
    char *end = NULL;
    long first = strtol(text, &end, 10);
    long last = first;
    bool good = end != text;
    if (good && *end == '-') {
        const char *rest = end + 1;
        last = strtol(rest, &end, 10);
        good = end != rest;
    }
    if (!good || *end != '\0' || first < 0 || last < first || last > INT16_MAX) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "--%s: a layer or a range such as 6-14 is expected, not \"%s\"",
                            option, text);
    }
    *out = (struct fathom_layer_range){(int32_t)first, (int32_t)last};
    return FATHOM_OK;
}

struct fathom_prompt_style steer_style(const struct cli_arguments *arguments, const fathom_model *model) {
    bool template = fathom_model_describe(model)->chat_template != NULL;
    return (struct fathom_prompt_style){
        .chat = cli_has(arguments, "chat") || (template && !cli_has(arguments, "raw")),
        .prefix = cli_text(arguments, "prefix", NULL),
        .suffix = cli_text(arguments, "suffix", NULL),
        .stop = cli_text(arguments, "stop", NULL),
    };
}

static int measure(struct steer_subject *subject, const struct concept_file *concept) {
    const struct feature_view *view = &subject->view;
    if (view->catalogue != NULL) {
        subject->measured_on = "the catalogue's corpus";
        return fathom_feature_measure_catalogue(&subject->measures, view->dictionary, view->catalogue);
    }
    bool given = concept->texts.n > 0;
    subject->measured_on = given ? "the concept's texts" : "a few sentences (there is no catalogue)";
    return fathom_feature_measure_all(&subject->measures, view->dictionary, view->model,
                                      given ? &concept->texts : NULL);
}

/* "304", or "304=0.5": half the strength of the others. */
static int parse_feature(uint32_t *feature, float *weight, const char *text) {
    char *end = NULL;
    unsigned long long number = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    double share = 1;
    bool good = end != NULL && number <= UINT32_MAX && (*end == '\0' || *end == '=');
    if (good && *end == '=') {
        const char *rest = end + 1;
        share = strtod(rest, &end);
        good = end != rest && *end == '\0' && isfinite(share);
    }
    if (!good) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "--feature: a number, or a number with its part of the strength such as 304=0.5, is "
                            "expected, not \"%s\"",
                            text);
    }
    *feature = (uint32_t)number;
    *weight = (float)share;
    return FATHOM_OK;
}

static int parse_features(struct steer_subject *subject, const struct cli_arguments *arguments) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(subject->view.dictionary);
    size_t n = 0;
    const char *const *given = cli_all(&n, arguments, "feature");
    if (n > STEER_MOST_FEATURES) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "--feature: at most %d features are turned together, not %zu",
                            STEER_MOST_FEATURES, n);
    }
    for (size_t i = 0; i < n; i++) {
        int status = parse_feature(&subject->features[i], &subject->weights[i], given[i]);
        if (status != FATHOM_OK) {
            return status;
        }
        if (subject->features[i] >= info->n_features) {
            return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path,
                                info->n_features - 1, subject->features[i]);
        }
        for (size_t j = 0; j < i; j++) {
            if (subject->features[j] == subject->features[i]) {
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "--feature: %u is named twice", subject->features[i]);
            }
        }
    }
    subject->n_features = n;
    return FATHOM_OK;
}

static int take_features(struct steer_subject *subject, const struct cli_arguments *arguments,
                         const struct concept_file *concept) {
    const char *mode = cli_text(arguments, "mode", "clamp");
    subject->is_feature = true;
    subject->mode = strcmp(mode, "add") == 0      ? FATHOM_STEER_ADD
                    : strcmp(mode, "ablate") == 0 ? FATHOM_STEER_ABLATE
                                                  : FATHOM_STEER_CLAMP;
    int status = parse_features(subject, arguments);
    if (status == FATHOM_OK) {
        status = measure(subject, concept);
    }
    for (size_t i = 0; i < subject->n_features && status == FATHOM_OK && subject->mode != FATHOM_STEER_ABLATE; i++) {
        if (!(subject->measures[subject->features[i]].maximum > 0)) {
            status =
                fathom__fail(FATHOM_ERROR_NOT_FOUND, "feature %u never fired on %s: there is no maximum to steer by",
                             subject->features[i], subject->measured_on);
        }
    }
    return status;
}

static int contrast_texts(struct fathom_texts *texts, const struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *paths = cli_all(&n, arguments, "contrast");
    if (n != 2) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "--contrast: two files are expected, positive texts and negative ones");
    }
    const char *negative = paths[1];
    int status = fathom_texts_load(texts, paths[0], FATHOM_LABEL_POSITIVE);
    return status == FATHOM_OK ? fathom_texts_load(texts, negative, FATHOM_LABEL_NEGATIVE) : status;
}

static int learn_direction(struct steer_subject *subject, const struct cli_arguments *arguments,
                           struct fathom_layer_range whole, const struct fathom_texts *texts) {
    static const char *const made_of[] = {"the difference of means of two sets of texts",
                                          "the first principal component of pairs of texts",
                                          "a logistic regression on two sets of texts"};
    const char *name = cli_text(arguments, "method", "means");
    enum fathom_direction_method method = strcmp(name, "component") == 0  ? FATHOM_DIRECTION_COMPONENT
                                          : strcmp(name, "logistic") == 0 ? FATHOM_DIRECTION_LOGISTIC
                                                                          : FATHOM_DIRECTION_MEANS;
    bool last = strcmp(cli_text(arguments, "pool", "mean"), "last") == 0;
    subject->made_of = made_of[method];
    return fathom_direction_learn(&subject->direction, subject->view.model, texts, method,
                                  last ? FATHOM_POOL_LAST : FATHOM_POOL_MEAN, FATHOM_HOOK_RESID_POST, whole.first,
                                  whole.last);
}

/* A control vector or a file of Fathom's own, by its name. */
static int save_direction(const struct steer_subject *subject, const char *path) {
    const char *dot = strrchr(path, '.');
    return dot != NULL && strcmp(dot, ".gguf") == 0
               ? fathom_direction_write_control_vector(&subject->direction, subject->view.model, path, 0)
               : fathom_direction_write(&subject->direction, subject->view.model, path);
}

static int take_direction(struct steer_subject *subject, const struct cli_arguments *arguments,
                          struct fathom_layer_range whole, const struct concept_file *concept) {
    const char *file = cli_text(arguments, "direction", NULL);
    const char *output = cli_text(arguments, "save-direction", NULL);
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    int status = FATHOM_OK;
    if (file != NULL) {
        subject->made_of = file;
        status = fathom_direction_open(&subject->direction, subject->view.model, file, FATHOM_HOOK_RESID_POST,
                                       whole.first, whole.last, NULL);
    } else {
        bool given = cli_has(arguments, "contrast");
        status = given ? contrast_texts(&texts, arguments) : FATHOM_OK;
        if (status == FATHOM_OK) {
            status = learn_direction(subject, arguments, whole, given ? &texts : &concept->texts);
        }
    }
    if (status == FATHOM_OK && output != NULL) {
        status = save_direction(subject, output);
    }
    fathom_texts_free(&texts);
    return status;
}

/* --dict and --catalogue are those of the plan's features where it names none itself. */
static struct fathom_steer_context context_of(const struct steer_subject *subject) {
    return (struct fathom_steer_context){subject->view.dictionary, subject->view.catalogue};
}

static int take_plan(struct steer_subject *subject, const struct cli_arguments *arguments) {
    const struct fathom_steer_context context = context_of(subject);
    return steer_plan_open(&subject->plan, &subject->document, arguments, subject->view.model, &context);
}

bool steer_subject_open(struct steer_subject *out, int *exit, const struct cli_arguments *arguments,
                        struct fathom_layer_range whole, const struct concept_file *concept) {
    struct steer_subject subject = {0};
    int status = FATHOM_OK;
    *exit = CLI_OK;
    bool plan = cli_has(arguments, "plan");
    bool dictionary = cli_has(arguments, "dict") || cli_has(arguments, "catalogue");
    if (plan && dictionary) {
        if (!feature_view_open(&subject.view, exit, arguments, false)) {
            return false;
        }
        status = take_plan(&subject, arguments);
    } else if (cli_has(arguments, "feature") || cli_has(arguments, "choose")) {
        if (!feature_view_open(&subject.view, exit, arguments, false)) {
            return false;
        }
        status = take_features(&subject, arguments, concept);
    } else {
        subject.view.model = cli_open_model(exit, arguments);
        if (subject.view.model == NULL) {
            return false;
        }
        if (whole.first < 0) {
            whole = (struct fathom_layer_range){0, (int32_t)fathom_model_describe(subject.view.model)->n_layers - 1};
        }
        status = plan ? take_plan(&subject, arguments) : take_direction(&subject, arguments, whole, concept);
    }
    if (status != FATHOM_OK) {
        *exit = cli_fail(arguments, status);
        steer_subject_close(&subject);
        return false;
    }
    *out = subject;
    return true;
}

void steer_control_close(struct steer_subject *control) {
    fathom_direction_free(&control->direction);
    fathom_steer_close(control->plan);
}

void steer_subject_close(struct steer_subject *subject) {
    fathom_free(subject->measures);
    fathom_direction_free(&subject->direction);
    fathom_steer_close(subject->plan);
    json_decref(subject->document);
    feature_view_close(&subject->view);
}

int steer_subject_control(struct steer_subject *out, const struct steer_subject *subject, uint64_t seed) {
    struct steer_subject control = *subject;
    int status = FATHOM_OK;
    if (subject->is_feature) {
        uint32_t n_features = fathom_dictionary_describe(subject->view.dictionary)->n_features;
        uint32_t avoid[2 * STEER_MOST_FEATURES];
        size_t n = subject->n_features;
        memcpy(avoid, subject->features, n * sizeof *avoid);
        for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
            status = fathom_feature_control(&control.features[i], subject->measures, n_features, subject->features[i],
                                            avoid, n + i, seed);
            avoid[n + i] = control.features[i];
        }
    } else if (subject->plan != NULL) {
        const struct fathom_steer_context context = context_of(subject);
        control.document = NULL;
        control.made_of = "as many features as active and random directions as long";
        status = fathom_steer_control(&control.plan, subject->plan, &context, seed);
    } else {
        control.made_of = "a random direction";
        status = fathom_direction_random(&control.direction, &subject->direction, seed);
    }
    if (status == FATHOM_OK) {
        *out = control;
    }
    return status;
}

/* The layers of a direction that a setting wants, borrowed from the whole. */
static int part_of(struct fathom_direction *out, const struct fathom_direction *whole,
                   struct fathom_layer_range range) {
    if (range.first < whole->first_layer || range.last > whole->last_layer) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "layers %d to %d: the direction has layers %d to %d", range.first,
                            range.last, whole->first_layer, whole->last_layer);
    }
    size_t skipped = (size_t)(range.first - whole->first_layer);
    *out = *whole;
    out->first_layer = range.first;
    out->last_layer = range.last;
    out->vectors += skipped * whole->width;
    out->lengths += skipped;
    out->median_norms += skipped;
    return FATHOM_OK;
}

int steer_subject_plan(fathom_steer **out, bool *owned, const struct steer_subject *subject,
                       const struct steer_setting *setting) {
    fathom_steer *plan = NULL;
    *owned = subject->plan == NULL;
    if (subject->plan != NULL) {
        *out = subject->plan;
        return FATHOM_OK;
    }
    int status = fathom_steer_open(&plan, subject->view.model);
    if (status == FATHOM_OK && subject->is_feature) {
        for (size_t i = 0; i < subject->n_features && status == FATHOM_OK; i++) {
            struct fathom_steer_feature edit = {.dictionary = subject->view.dictionary,
                                                .feature = subject->features[i],
                                                .mode = subject->mode,
                                                .value = setting->strength * subject->weights[i] *
                                                         subject->measures[subject->features[i]].maximum,
                                                .spread = setting->range.first >= 0,
                                                .first_layer = setting->range.first,
                                                .last_layer = setting->range.last,
                                                .rows = setting->rows};
            status = fathom_steer_add_feature(plan, &edit);
        }
    } else if (status == FATHOM_OK) {
        struct fathom_direction part;
        const struct fathom_layer_range all = {subject->direction.first_layer, subject->direction.last_layer};
        status = part_of(&part, &subject->direction, setting->range.first < 0 ? all : setting->range);
        if (status == FATHOM_OK) {
            status = fathom_steer_add_direction(plan, &part, setting->strength, setting->rows);
        }
    }
    if (status != FATHOM_OK) {
        fathom_steer_close(plan);
        return status;
    }
    *out = plan;
    return FATHOM_OK;
}

static json_t *one_feature_json(const struct steer_subject *subject, size_t i) {
    static const char *const modes[] = {"clamp", "add", "ablate"};
    const struct fathom_feature_measure *measure = &subject->measures[subject->features[i]];
    return json_pack("{s:s, s:o, s:s, s:f, s:f, s:f, s:f, s:s}", "kind", "feature", "feature",
                     feature_json(&subject->view, subject->features[i]), "mode", modes[subject->mode], "weight",
                     (double)subject->weights[i], "maximum", (double)measure->maximum, "density",
                     (double)measure->density, "decoder_norm", (double)measure->decoder_norm, "measured_on",
                     subject->measured_on);
}

json_t *steer_subject_json(const struct steer_subject *subject) {
    if (subject->document != NULL) {
        return json_pack("{s:s, s:O, s:I}", "kind", "plan", "plan", subject->document, "edits",
                         (json_int_t)fathom_steer_count(subject->plan));
    }
    if (!subject->is_feature) {
        return json_pack("{s:s, s:s}", "kind", subject->plan != NULL ? "plan" : "direction", "made_of",
                         subject->made_of);
    }
    json_t *value = one_feature_json(subject, 0);
    if (subject->n_features > 1) {
        json_t *all = json_array();
        for (size_t i = 0; i < subject->n_features; i++) {
            json_array_append_new(all, one_feature_json(subject, i));
        }
        json_object_set_new(value, "together", all);
    }
    return value;
}

void steer_subject_print(const struct steer_subject *subject) {
    if (subject->plan != NULL && subject->made_of != NULL) {
        fputs(subject->made_of, stdout);
        return;
    }
    if (subject->plan != NULL) {
        printf("a plan of %zu edits, a layer counting as one", fathom_steer_count(subject->plan));
        return;
    }
    if (!subject->is_feature) {
        printf("direction: %s (not a learned feature)", subject->made_of);
        return;
    }
    for (size_t i = 0; i < subject->n_features; i++) {
        const struct fathom_feature_measure *measure = &subject->measures[subject->features[i]];
        if (i > 0) {
            fputs("\n        ", stdout);
        }
        feature_print_head(&subject->view, subject->features[i]);
        printf(", maximum %.3g, density %.2g on %s", (double)measure->maximum, (double)measure->density,
               subject->measured_on);
        if (subject->n_features > 1) {
            printf(", × %g", (double)subject->weights[i]);
        }
    }
}

json_t *steer_score_json(const struct fathom_steer_score *score) {
    return json_pack("{s:I, s:o, s:o, s:o, s:f, s:f, s:f, s:o, s:f, s:o, s:f, s:f, s:f}", "answers",
                     (json_int_t)score->n_answers, "mention_rate", number_json(score->mention_rate),
                     "mentions_per_100_words", number_json(score->mentions_per_100_words), "concept_log_probability",
                     number_json(score->concept_log_probability), "repetition", score->repetition, "distinct_1",
                     score->distinct_1, "distinct_2", score->distinct_2, "log_probability",
                     number_json(score->log_probability), "relevance", score->relevance, "concept_part",
                     number_json(score->concept_part), "fluency_part", score->fluency_part, "relevance_part",
                     score->relevance_part, "objective", score->objective);
}
