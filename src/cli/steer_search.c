#include "steer_command.h"
#include <base/error.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int steer_strengths_parse(float *out, size_t *n, const char *text, const char *option) {
    for (const char *rest = text;; rest++) {
        char *end = NULL;
        double value = strtod(rest, &end);
        if (end == rest || !isfinite(value) || (*end != ',' && *end != '\0') || *n == STEER_MOST_STRENGTHS) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "--%s: at most %d numbers with commas between them are expected, not \"%s\"", option,
                                STEER_MOST_STRENGTHS, text);
        }
        out[(*n)++] = (float)value;
        if (*end == '\0') {
            return FATHOM_OK;
        }
        rest = end;
    }
}

int steer_ranges_parse(struct fathom_layer_range *out, size_t *n, const char *text) {
    char part[32];
    for (const char *rest = text;;) {
        size_t length = strcspn(rest, ",");
        if (length == 0 || length >= sizeof part || *n == STEER_MOST_RANGES) {
            return fathom__fail(
                FATHOM_ERROR_ARGUMENT,
                "--ranges: at most %d ranges such as 6-14, with commas between them, are expected, not \"%s\"",
                STEER_MOST_RANGES, text);
        }
        memcpy(part, rest, length);
        part[length] = '\0';
        if (strcmp(part, "own") == 0) {
            out[*n] = (struct fathom_layer_range){-1, -1};
        } else {
            int status = steer_range_parse(&out[*n], part, "ranges");
            if (status != FATHOM_OK) {
                return status;
            }
        }
        ++*n;
        if (rest[length] == '\0') {
            return FATHOM_OK;
        }
        rest += length + 1;
    }
}

static int32_t within(int32_t layer, int32_t n_layers) {
    return layer < 0 ? 0 : layer >= n_layers ? n_layers - 1 : layer;
}

/* Ranges to try where none are named: around the dictionary's own layer, or for a direction around a third of the
 * depth, where steering by vectors works best. */
static size_t default_ranges(struct fathom_layer_range *out, const struct steering *steering) {
    int32_t n_layers = (int32_t)fathom_model_describe(steering->subject.view.model)->n_layers;
    int32_t centre = n_layers / 3;
    size_t n = 0;
    if (steering->subject.is_feature) {
        struct fathom_hook hook;
        const char *name = fathom_dictionary_describe(steering->subject.view.dictionary)->hook_out;
        centre = fathom_hook_parse(&hook, steering->subject.view.model, name) == FATHOM_OK && hook.layer >= 0
                     ? hook.layer
                     : centre;
        out[n++] = (struct fathom_layer_range){-1, -1};
    } else {
        out[n++] = (struct fathom_layer_range){centre, centre};
    }
    for (int32_t half = 2; half <= 4; half += 2) {
        out[n++] = (struct fathom_layer_range){within(centre - half, n_layers), within(centre + half, n_layers)};
    }
    return n;
}

static const char *default_strengths(const struct steering *steering) {
    return steering->subject.is_feature ? "1,2,4,6,8,12" : "0.2,0.4,0.6,0.8,1,1.3";
}

int steer_command_search(struct steering *steering) {
    const struct cli_arguments *arguments = steering->arguments;
    struct steer_subject *subject = &steering->subject;
    struct fathom_layer_range ranges[STEER_MOST_RANGES];
    float strengths[STEER_MOST_STRENGTHS];
    float maxima[STEER_MOST_FEATURES];
    struct fathom_steer_search search = {.ranges = ranges,
                                         .strengths = strengths,
                                         .asking = steering->asking,
                                         .held_out = steering->file.held_out,
                                         .n_held_out = steering->file.n_held_out,
                                         .concept = steering->concept,
                                         .n_refine = (uint32_t)steering->n_refine,
                                         .progress = cli_progress};
    if (subject->is_feature) {
        search.dictionary = subject->view.dictionary;
        search.features = subject->features;
        search.maxima = maxima;
        search.n_features = subject->n_features;
        search.together = true;
        for (size_t i = 0; i < subject->n_features; i++) {
            maxima[i] = subject->weights[i] * subject->measures[subject->features[i]].maximum;
        }
        search.mode = subject->mode;
    } else {
        search.direction = &subject->direction;
    }
    int status = steer_strengths_parse(strengths, &search.n_strengths,
                                       cli_text(arguments, "strengths", default_strengths(steering)), "strengths");
    if (status == FATHOM_OK && cli_has(arguments, "ranges")) {
        status = steer_ranges_parse(ranges, &search.n_ranges, cli_text(arguments, "ranges", ""));
    } else if (status == FATHOM_OK) {
        search.n_ranges = default_ranges(ranges, steering);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_search(&steering->found, subject->view.model, &search);
    }
    cli_progress_end();
    if (status == FATHOM_OK) {
        const struct fathom_steer_trial *best = &steering->found.trials[steering->found.best];
        steering->setting.range = (struct fathom_layer_range){best->first_layer, best->last_layer};
        steering->setting.strength = best->strength;
        steering->searched = true;
    }
    return status;
}
