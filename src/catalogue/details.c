/* All there is on one feature, read into one allocation a kind. */
#include "catalogue/catalogue_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "catalogue/content.h"
#include "catalogue/pack.h"

#include <math.h>
#include <string.h>

enum { MOST_EXAMPLES = 4096, MOST_LABELS = 64 };

/* What the public structure points into. */
struct details {
    struct fathom_feature_details public; /* first: the caller's pointer is ours */
    struct fathom_example *examples;
    struct fathom_effect effects[2 * FATHOM__EFFECTS];
    struct fathom_neighbour neighbours[FATHOM__NEIGHBOURS];
    struct fathom_label *labels;
    size_t examples_capacity, labels_capacity;
};

static int read_effects(struct details *details, const fathom_catalogue *catalogue, sqlite3_stmt *statement,
                        int column) {
    struct fathom__unpack in;
    fathom__unpack_begin(&in, sqlite3_column_blob(statement, column), (size_t)sqlite3_column_bytes(statement, column));
    size_t counts[2];
    struct fathom_effect *effects = details->effects;
    for (int side = 0; side < 2; side++) {
        counts[side] = fathom__unpack_integer(&in, FATHOM__EFFECTS);
        for (size_t i = 0; i < counts[side]; i++) {
            effects[side * FATHOM__EFFECTS + (int)i].token = (int32_t)fathom__unpack_integer(&in, INT32_MAX);
            effects[side * FATHOM__EFFECTS + (int)i].value = fathom__unpack_float(&in);
        }
    }
    if (!fathom__unpack_done(&in)) return fathom__store_damaged(&catalogue->store, "a feature's effects");
    details->public.raised = effects;
    details->public.n_raised = counts[0];
    details->public.lowered = effects + FATHOM__EFFECTS;
    details->public.n_lowered = counts[1];
    return FATHOM_OK;
}

static int read_neighbours(struct details *details, const fathom_catalogue *catalogue, sqlite3_stmt *statement,
                           int column) {
    struct fathom__unpack in;
    fathom__unpack_begin(&in, sqlite3_column_blob(statement, column), (size_t)sqlite3_column_bytes(statement, column));
    const size_t n = fathom__unpack_integer(&in, FATHOM__NEIGHBOURS);
    for (size_t i = 0; i < n; i++) {
        details->neighbours[i].feature = (uint32_t)fathom__unpack_integer(&in, catalogue->info.n_features - 1);
        details->neighbours[i].cosine = fathom__unpack_float(&in);
    }
    if (!fathom__unpack_done(&in)) return fathom__store_damaged(&catalogue->store, "a feature's neighbours");
    details->public.neighbours = details->neighbours;
    details->public.n_neighbours = n;
    return FATHOM_OK;
}

static int read_feature(struct details *details, fathom_catalogue *catalogue, uint32_t feature) {
    sqlite3_stmt *statement = NULL;
    struct fathom__unpack in;
    bool row = false;
    int status = fathom__store_prepare(
        &statement, &catalogue->store,
        "SELECT histogram_top, histogram, effects, neighbours FROM features WHERE dictionary = ?1 AND number = ?2");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    if ((status = fathom__store_step(&row, &catalogue->store, statement))) goto done;
    if (!row) {
        status = fathom__store_damaged(&catalogue->store, "a feature is missing");
        goto done;
    }
    details->public.histogram_top = (float)sqlite3_column_double(statement, 0);
    if (!isfinite(details->public.histogram_top)) {
        status = fathom__store_damaged(&catalogue->store, "a feature's histogram");
        goto done;
    }
    fathom__unpack_begin(&in, sqlite3_column_blob(statement, 1), (size_t)sqlite3_column_bytes(statement, 1));
    for (int bin = 0; bin < FATHOM_HISTOGRAM_BINS; bin++)
        details->public.histogram[bin] = fathom__unpack_integer(&in, UINT64_MAX);
    if (!fathom__unpack_done(&in)) {
        status = fathom__store_damaged(&catalogue->store, "a feature's histogram");
        goto done;
    }
    if (!(status = read_effects(details, catalogue, statement, 2)))
        status = read_neighbours(details, catalogue, statement, 3);
done:
    sqlite3_finalize(statement);
    return status;
}

/* The window of an example out of its passage: tokens [first, first + n), and the levels packed beside. */
static int read_window(struct fathom_example *example, const fathom_catalogue *catalogue, sqlite3_stmt *statement) {
    const int64_t first = sqlite3_column_int64(statement, 4), n = sqlite3_column_int64(statement, 5),
                  peak = sqlite3_column_int64(statement, 6);
    int32_t tokens[FATHOM__WINDOW];
    float activations[FATHOM__WINDOW] = {0};
    struct fathom__unpack in;
    if (first < 0 || n < 1 || n > FATHOM__WINDOW || peak < 0 || peak >= n)
        return fathom__store_damaged(&catalogue->store, "an example's window");
    fathom__unpack_begin(&in, sqlite3_column_blob(statement, 8), (size_t)sqlite3_column_bytes(statement, 8));
    for (int64_t i = 0; i < first && in.ok; i++)
        fathom__unpack_integer(&in, INT32_MAX);
    for (int64_t i = 0; i < n; i++)
        tokens[i] = (int32_t)fathom__unpack_integer(&in, INT32_MAX);
    if (!in.ok) return fathom__store_damaged(&catalogue->store, "an example's passage");
    fathom__unpack_begin(&in, sqlite3_column_blob(statement, 7), (size_t)sqlite3_column_bytes(statement, 7));
    const float scale = fathom__unpack_float(&in);
    while (in.ok && in.bytes < in.end) {
        const uint8_t at = fathom__unpack_byte(&in), level = fathom__unpack_byte(&in);
        if (at >= n) in.ok = false;
        if (in.ok) activations[at] = scale * (float)level / 255;
    }
    if (!in.ok) return fathom__store_damaged(&catalogue->store, "an example's activations");
    int32_t *own_tokens;
    float *own_activations;
    int status = fathom__alloc(&own_tokens, (size_t)n, sizeof *own_tokens);
    if (status) return status;
    if ((status = fathom__alloc(&own_activations, (size_t)n, sizeof *own_activations))) {
        fathom_free(own_tokens);
        return status;
    }
    memcpy(own_tokens, tokens, (size_t)n * sizeof *tokens);
    memcpy(own_activations, activations, (size_t)n * sizeof *activations);
    example->tokens = own_tokens;
    example->activations = own_activations;
    example->n = (size_t)n;
    example->peak = (size_t)peak;
    return FATHOM_OK;
}

static int read_examples(struct details *details, fathom_catalogue *catalogue, uint32_t feature) {
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status = fathom__store_prepare(
        &statement, &catalogue->store,
        "SELECT band, value, examples.document, examples.position, first, length, peak, activations, tokens, passage"
        " FROM examples LEFT JOIN passages ON passages.id = passage AND passages.dictionary = examples.dictionary"
        " WHERE examples.dictionary = ?1 AND feature = ?2 ORDER BY band, rank");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    while (!status && !(status = fathom__store_step(&row, &catalogue->store, statement)) && row) {
        size_t *n = &details->public.n_examples;
        if (*n == MOST_EXAMPLES) {
            status = fathom__store_damaged(&catalogue->store, "too many examples of a feature");
            break;
        }
        if ((status = fathom__grow(&details->examples, &details->examples_capacity, *n + 1, sizeof *details->examples)))
            break;
        struct fathom_example *example = &details->examples[*n];
        const int64_t band = sqlite3_column_int64(statement, 0);
        if (band < 0 || band > FATHOM_BANDS || !isfinite((float)sqlite3_column_double(statement, 1))) {
            status = fathom__store_damaged(&catalogue->store, "an example's band or value");
            break;
        }
        *example = (struct fathom_example){.band = (int)band,
                                           .value = (float)sqlite3_column_double(statement, 1),
                                           .document = (uint64_t)sqlite3_column_int64(statement, 2),
                                           .position = sqlite3_column_int(statement, 3)};
        if (sqlite3_column_type(statement, 9) != SQLITE_NULL && (status = read_window(example, catalogue, statement)))
            break;
        ++*n;
    }
    details->public.examples = details->examples;
    sqlite3_finalize(statement);
    return status;
}

static float number_at(sqlite3_stmt *statement, int column) {
    const float number = (float)sqlite3_column_double(statement, column);
    return sqlite3_column_type(statement, column) == SQLITE_NULL || !isfinite(number) ? NAN : number;
}

static int read_labels(struct details *details, fathom_catalogue *catalogue, uint32_t feature) {
    sqlite3_stmt *statement = NULL;
    bool row = true;
    int status = fathom__store_prepare(
        &statement, &catalogue->store,
        "SELECT text, origin, rule, score, f1, precision, recall, prevalence, single_token, shuffled, n_active, "
        "n_inactive"
        " FROM labels WHERE dictionary = ?1 AND feature = ?2 ORDER BY origin = 'offline', score DESC LIMIT ?3");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    sqlite3_bind_int64(statement, 2, feature);
    sqlite3_bind_int(statement, 3, MOST_LABELS);
    while (!status && !(status = fathom__store_step(&row, &catalogue->store, statement)) && row) {
        size_t *n = &details->public.n_labels;
        if ((status = fathom__grow(&details->labels, &details->labels_capacity, *n + 1, sizeof *details->labels)))
            break;
        struct fathom_label *label = &details->labels[(*n)++];
        *label = (struct fathom_label){.score = number_at(statement, 3),
                                       .f1 = number_at(statement, 4),
                                       .precision = number_at(statement, 5),
                                       .recall = number_at(statement, 6),
                                       .prevalence = number_at(statement, 7),
                                       .single_token = number_at(statement, 8),
                                       .shuffled = number_at(statement, 9),
                                       .n_active = (uint32_t)sqlite3_column_int64(statement, 10),
                                       .n_inactive = (uint32_t)sqlite3_column_int64(statement, 11)};
        if (!(status = fathom__store_line(&label->text, statement, 0)) &&
            !(status = fathom__store_line(&label->origin, statement, 1)))
            status = fathom__store_line(&label->rule, statement, 2);
    }
    details->public.labels = details->labels;
    sqlite3_finalize(statement);
    return status;
}

int fathom_catalogue_details(struct fathom_feature_details **out, fathom_catalogue *catalogue, uint32_t feature) {
    struct details *details;
    int status;
    if (feature >= catalogue->info.n_features)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "no feature %u: dictionary \"%s\" has features 0 to %u", feature,
                            catalogue->info.dictionary_name, catalogue->info.n_features - 1);
    if ((status = fathom__alloc(&details, 1, sizeof *details))) return status;
    details->public.feature = catalogue->features[feature];
    if ((status = read_feature(details, catalogue, feature)) || (status = read_examples(details, catalogue, feature)) ||
        (status = read_labels(details, catalogue, feature))) {
        fathom_feature_details_free(&details->public);
        return status;
    }
    const struct fathom_label *first = details->public.n_labels ? details->labels : NULL;
    details->public.feature.label = first ? first->text : NULL;
    details->public.feature.label_origin = first ? first->origin : NULL;
    details->public.feature.label_score = first ? first->score : NAN;
    *out = &details->public;
    return FATHOM_OK;
}

static void free_const(const void *pointer) {
    fathom_free((void *)(uintptr_t)pointer);
}

void fathom_feature_details_free(struct fathom_feature_details *public) {
    struct details *details = (struct details *)(void *)public;
    if (!details) return;
    for (size_t i = 0; i < public->n_examples; i++) {
        free_const(details->examples[i].tokens);
        free_const(details->examples[i].activations);
    }
    for (size_t i = 0; i < public->n_labels; i++) {
        free_const(details->labels[i].text);
        free_const(details->labels[i].origin);
        free_const(details->labels[i].rule);
    }
    fathom_free(details->examples);
    fathom_free(details->labels);
    fathom_free(details);
}
