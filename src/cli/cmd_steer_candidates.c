#include "concept_file.h"
#include "feature_view.h"
#include "labelled.h"
#include <base/error.h>
#include <fathom/steer.h>
#include <math.h>

enum { MOST = 10000 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"concept-file", 0, CLI_FILE, "FILE.json", "\"words\" of the concept and \"texts\" about it with near misses",
     false, true},
    {"measure", 0, CLI_INTEGER, "N", "candidates whose output score is measured (12)", false, false},
    {"top", 'n', CLI_INTEGER, "N", "candidates shown (12)", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static json_t *candidate_json(const struct feature_view *view, const struct fathom_steer_candidate *candidate) {
    json_t *value = feature_json(view, candidate->feature);
    json_object_set_new(value, "positive_mean", json_real((double)candidate->positive_mean));
    json_object_set_new(value, "negative_mean", json_real((double)candidate->negative_mean));
    json_object_set_new(value, "auroc", json_real(candidate->auroc));
    json_object_set_new(value, "maximum_here", json_real((double)candidate->maximum));
    json_object_set_new(value, "output_score", number_json(candidate->output_score));
    json_object_set_new(value, "best_rank", number_json(candidate->best_rank));
    json_object_set_new(value, "raised_score", number_json(candidate->raised_score));
    return value;
}

static int print_candidates(const struct cli_arguments *arguments, const struct feature_view *view,
                            const struct fathom_steer_candidate *candidates, size_t n) {
    if (cli_json(arguments)) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            json_array_append_new(list, candidate_json(view, &candidates[i]));
        }
        json_t *value = feature_view_json(view);
        json_object_set_new(value, "candidates", list);
        return cli_print_json(value);
    }
    puts("output score   rank  own tokens  AUROC  on the concept  on near misses  feature");
    for (size_t i = 0; i < n; i++) {
        const struct fathom_steer_candidate *candidate = &candidates[i];
        if (isnan(candidate->output_score)) {
            printf("           -      -           -");
        } else {
            printf("%12.4f %6.0f  %10.4f", candidate->output_score, candidate->best_rank, candidate->raised_score);
        }
        printf("  %5.3f  %14.3f  %14.3f  ", candidate->auroc, (double)candidate->positive_mean,
               (double)candidate->negative_mean);
        feature_print_head(view, candidate->feature);
        putchar('\n');
    }
    return cli_output_status();
}

static int run(struct cli_arguments *arguments) {
    struct feature_view view;
    struct concept_file file = {0};
    fathom_concept *concept = NULL;
    struct fathom_steer_candidate *candidates = NULL;
    int64_t n_measured = 0;
    int64_t most = 0;
    size_t n = 0;
    int exit = CLI_USAGE;
    const char *path = cli_text(arguments, "concept-file", "");
    if (!cli_integer(&n_measured, arguments, "measure", 0, MOST, 12) ||
        !cli_integer(&most, arguments, "top", 1, MOST, 12) || !feature_view_open(&view, &exit, arguments, false)) {
        return exit;
    }
    int status = concept_file_open(&file, path);
    if (status == FATHOM_OK && file.texts.n == 0) {
        status = fathom__fail(FATHOM_ERROR_FORMAT,
                              "%s: \"texts\" is missing: labelled texts about the concept and near misses", path);
    }
    if (status == FATHOM_OK) {
        status = fathom_concept_open(&concept, view.model, file.words, file.n_words);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_candidates(&candidates, &n, view.model, view.dictionary, &file.texts, concept,
                                         (size_t)n_measured, (size_t)most);
    }
    exit = status == FATHOM_OK ? print_candidates(arguments, &view, candidates, n) : cli_fail(arguments, status);
    fathom_free(candidates);
    fathom_concept_close(concept);
    concept_file_close(&file);
    feature_view_close(&view);
    return exit;
}

const struct cli_command cli_command_steer_candidates = {
    .name = "steer candidates",
    .summary = "find the features that a concept could be steered by",
    .operands = "",
    .description =
        "Ranks features by how much more active they are on texts about the concept than on near misses, "
        "then measures for the first of them how much the "
        "probability of the concept's words rises after neutral prompts when ten times the feature's "
        "maximum is added. A feature that reads a concept is not always "
        "one that writes it: the output score tells. \"Own tokens\" is the output score of Arad et al. (2025), which "
        "knows of no concept: how much likelier the likeliest of the 20 tokens becomes that the feature's "
        "decoder raises most.",
    .examples = "fathom steer candidates --concept-file share/demo/golden_gate.json",
    .options = options,
    .run = run,
};
