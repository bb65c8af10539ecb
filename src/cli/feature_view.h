/* What the commands about features share: model, dictionary and catalogue opened together, a text read by them, and how
 * a feature looks. */
#ifndef FATHOM_CLI_FEATURE_VIEW_H
#define FATHOM_CLI_FEATURE_VIEW_H

#include "cli.h"
#include <fathom/catalogue.h>
#include <fathom/dictionary.h>

struct feature_view {
    fathom_model *model;
    fathom_dictionary *dictionary;
    fathom_catalogue *catalogue; /* NULL where it is not required and there is none */
};

/* Opens what --model, --dict and --catalogue name, or the defaults; prints what went wrong. False: leave with *exit. */
bool feature_view_open(struct feature_view *out, int *exit, const struct cli_arguments *arguments,
                       bool catalogue_required);
void feature_view_close(struct feature_view *view);

/* A text with its features. */
struct feature_text {
    int32_t *tokens;
    size_t n;
    struct fathom_sparse features; /* row i: token i */
};
int feature_text_read(struct feature_text *out, const struct feature_view *view, const char *text, uint32_t n_threads);
void feature_text_free(struct feature_text *text);

/* A feature's largest activation as the level 1; without a catalogue the largest of the text. */
double feature_level(const struct feature_view *view, uint32_t feature, float value, float fallback);

/* One line: number, label and how good it is. */
void feature_print_head(const struct feature_view *view, uint32_t feature);
/* How often it fires, what it raises and lowers, and its strongest examples. */
void feature_print_evidence(const struct feature_view *view, const struct fathom_feature_details *details,
                            size_t n_examples);
/* The window of an example on one line, its tokens by level. */
void feature_print_example(const struct feature_view *view, const struct fathom_example *example, float maximum,
                           size_t context);
/* A token's text between quotes, with its blanks and line breaks visible. */
void feature_print_token(const struct feature_view *view, int32_t token);

json_t *feature_token_json(const struct feature_view *view, int32_t token);
/* Number, label with origin and score, and the short figures. */
json_t *feature_json(const struct feature_view *view, uint32_t feature);
/* All there is. */
json_t *feature_details_json(const struct feature_view *view, const struct fathom_feature_details *details,
                             size_t n_examples);
/* What was opened: model, dictionary, catalogue. */
json_t *feature_view_json(const struct feature_view *view);

#endif
