#include "feature_view.h"
#include "generation.h"
#include "steer_subject.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/prefer.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_SAMPLES = 8, MOST_SAMPLES = 1000, DEFAULT_TOKENS = 64, MOST_PREFERENCES = 32 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"prompt", 'p', CLI_TEXT, "TEXT", "what is answered", false, true},
    {"prefer", 0, CLI_TEXT, "N|WORDS", "more of this feature: its number, or words of its label", true, false},
    {"avoid", 0, CLI_TEXT, "N|WORDS", "less of this feature", true, false},
    {"best-of", 0, CLI_INTEGER, "N", "samples to choose among (8)", false, false},
    CLI_OPTIONS_FRAME,
    CLI_OPTIONS_SAMPLING,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct choice {
    const struct cli_arguments *arguments;
    struct feature_view view;
    struct fathom_feature_measure *measures;
    struct fathom_preference preferences[MOST_PREFERENCES];
    size_t n_preferences;
    struct fathom_samples samples;
};

/* A number, or the feature whose label fits the words best. */
static int find_feature(uint32_t *out, const struct choice *choice, const char *text) {
    char *end = NULL;
    struct fathom_hit hit;
    size_t n = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && number <= UINT32_MAX) {
        *out = (uint32_t)number;
        return FATHOM_OK;
    }
    if (choice->view.catalogue == NULL) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "\"%s\": without a catalogue features are told by number only",
                            text);
    }
    int status = fathom_catalogue_search_words(&hit, &n, 1, choice->view.catalogue, text);
    if (status == FATHOM_OK && n == 0) {
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "\"%s\": no feature has these words in its label or its tokens",
                            text);
    }
    *out = n > 0 ? hit.feature : 0;
    return status;
}

static int add_preferences(struct choice *choice, const char *option, bool avoid) {
    size_t n = 0;
    const char *const *given = cli_all(&n, choice->arguments, option);
    uint32_t n_features = fathom_dictionary_describe(choice->view.dictionary)->n_features;
    for (size_t i = 0; i < n; i++) {
        uint32_t feature = 0;
        if (choice->n_preferences == MOST_PREFERENCES) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "at most %d features are preferred or avoided",
                                MOST_PREFERENCES);
        }
        int status = find_feature(&feature, choice, given[i]);
        if (status != FATHOM_OK) {
            return status;
        }
        if (feature >= n_features) {
            return fathom__fail(FATHOM_ERROR_NOT_FOUND, "--%s: the dictionary has features 0 … %u, not %u", option,
                                n_features - 1, feature);
        }
        if (!(choice->measures[feature].maximum > 0)) {
            return fathom__fail(FATHOM_ERROR_NOT_FOUND, "feature %u never fired: there is no maximum to measure by",
                                feature);
        }
        choice->preferences[choice->n_preferences++] =
            (struct fathom_preference){.dictionary = choice->view.dictionary,
                                       .feature = feature,
                                       .unit = choice->measures[feature].maximum,
                                       .avoid = avoid};
    }
    return FATHOM_OK;
}

static json_t *preference_json(const struct choice *choice, const struct fathom_preference *preference) {
    json_t *value = feature_json(&choice->view, preference->feature);
    json_object_set_new(value, "wanted", json_string(preference->avoid ? "less" : "more"));
    json_object_set_new(value, "maximum", json_real((double)preference->unit));
    return value;
}

static int show(const struct choice *choice) {
    const struct fathom_samples *samples = &choice->samples;
    const struct fathom_sample *best = &samples->samples[samples->best];
    double mean = 0;
    for (size_t i = 0; i < samples->n; i++) {
        mean += samples->samples[i].score / (double)samples->n;
    }
    if (cli_json(choice->arguments)) {
        json_t *list = json_array();
        json_t *preferences = json_array();
        for (size_t i = 0; i < samples->n; i++) {
            json_t *peaks = json_array();
            for (size_t p = 0; p < samples->n_preferences; p++) {
                json_array_append_new(peaks, json_real((double)samples->samples[i].peaks[p]));
            }
            json_array_append_new(list, json_pack("{s:s, s:f, s:o}", "text", samples->samples[i].text, "score",
                                                  samples->samples[i].score, "peaks", peaks));
        }
        for (size_t p = 0; p < choice->n_preferences; p++) {
            json_array_append_new(preferences, preference_json(choice, &choice->preferences[p]));
        }
        return cli_print_json(json_pack("{s:s, s:f, s:f, s:I, s:o, s:o}", "text", best->text, "score", best->score,
                                        "mean_score", mean, "best", (json_int_t)samples->best, "preferences",
                                        preferences, "samples", list));
    }
    for (size_t p = 0; p < choice->n_preferences; p++) {
        cli_print_bold(stdout, choice->preferences[p].avoid ? "Less: " : "More: ");
        feature_print_head(&choice->view, choice->preferences[p].feature);
        putchar('\n');
    }
    putchar('\n');
    cli_print_level(stdout, best->text, strlen(best->text), 0);
    printf("\n\nscore %.4f, the %zu samples' mean %.4f; a score is in shares of the features' maxima\n", best->score,
           samples->n, mean);
    return cli_output_status();
}

static int draw(struct choice *choice, const struct fathom_sampling *sampling, uint32_t max_new, size_t n_samples) {
    const struct fathom_prompt_style style = steer_style(choice->arguments, choice->view.model);
    fathom_session *session = NULL;
    int32_t *tokens = NULL;
    size_t n = 0;
    int status =
        choice->view.catalogue != NULL
            ? fathom_feature_measure_catalogue(&choice->measures, choice->view.dictionary, choice->view.catalogue)
            : fathom_feature_measure_all(&choice->measures, choice->view.dictionary, choice->view.model, NULL);
    if (status == FATHOM_OK) {
        status = add_preferences(choice, "prefer", false);
    }
    if (status == FATHOM_OK) {
        status = add_preferences(choice, "avoid", true);
    }
    if (status == FATHOM_OK) {
        status =
            fathom_prompt_tokens(&tokens, &n, choice->view.model, &style, cli_text(choice->arguments, "prompt", ""));
    }
    if (status == FATHOM_OK) {
        status = fathom_session_open(&session, choice->view.model, NULL);
    }
    if (status == FATHOM_OK) {
        status = fathom_samples_draw(&choice->samples, session, tokens, n, max_new, sampling, n_samples,
                                     choice->preferences, choice->n_preferences);
    }
    fathom_session_close(session);
    fathom_free(tokens);
    return status;
}

static int run(struct cli_arguments *arguments) {
    struct choice choice = {.arguments = arguments};
    struct fathom_sampling sampling;
    uint32_t max_new = 0;
    int64_t n_samples = 0;
    int exit = CLI_USAGE;
    if (!cli_has(arguments, "prefer") && !cli_has(arguments, "avoid")) {
        return cli_usage(arguments, "--prefer or --avoid says what is chosen by");
    }
    if (cli_has(arguments, "chat") && cli_has(arguments, "raw")) {
        return cli_usage(arguments, "--chat and --raw exclude each other");
    }
    if (!cli_integer(&n_samples, arguments, "best-of", 1, MOST_SAMPLES, DEFAULT_SAMPLES) ||
        !cli_sampling(&sampling, &max_new, arguments) || !feature_view_open(&choice.view, &exit, arguments, false)) {
        return exit;
    }
    max_new = cli_has(arguments, "max-tokens") ? max_new : DEFAULT_TOKENS;
    int status = draw(&choice, &sampling, max_new, (size_t)n_samples);
    exit = status == FATHOM_OK ? show(&choice) : cli_fail(arguments, status);
    fathom_samples_free(&choice.samples);
    fathom_free(choice.measures);
    feature_view_close(&choice.view);
    return exit;
}

const struct cli_command cli_command_steer_sample = {
    .name = "steer sample",
    .summary = "take the sample that has most of a feature, or least",
    .operands = "",
    .description =
        "Draws several answers and takes the one whose tokens have most of the preferred features and least of "
        "the avoided ones, by the mean of their levels as shares of their maxima. The model itself is not "
        "changed: where steering would make it say what it never says, this picks among what it does.",
    .examples = "fathom steer sample --prompt \"Where shall we go?\" --prefer \"golden gate\" --best-of 16\n"
                "fathom steer sample --prompt \"Tell me a story.\" --prefer sea --avoid war",
    .options = options,
    .run = run,
};
