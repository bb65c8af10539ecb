/* Probes of first letters, and what features that do not stand for them carry of their directions. */
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/absorption_internal.h"
#include <math.h>
#include <string.h>

enum { DIRECTIONS_AT_ONCE = 1024 };
static const double probe_regularisation = 1; /* C */
static const double least_f1 = 0.6, absorber_cosine = 0.1;

static int find_directions(struct fathom__measuring *m) {
    const size_t d = m->words->d;
    size_t offsets[DIRECTIONS_AT_ONCE + 1];
    uint32_t features[DIRECTIONS_AT_ONCE];
    float ones[DIRECTIONS_AT_ONCE];
    struct fathom_sparse none = {.n_rows = 1, .offsets = offsets, .features = features, .values = ones};
    offsets[0] = offsets[1] = 0;
    int status = fathom__alloc(&m->base, d, sizeof *m->base);
    if (!status) status = fathom__alloc(&m->directions, (size_t)m->n_features * d, sizeof *m->directions);
    if (!status) status = fathom_dictionary_decode(m->base, m->dictionary, &none);
    for (uint32_t first = 0; first < m->n_features && !status; first += DIRECTIONS_AT_ONCE) {
        const uint32_t left = m->n_features - first, n = left < DIRECTIONS_AT_ONCE ? left : DIRECTIONS_AT_ONCE;
        struct fathom_sparse each = {.n_rows = n, .offsets = offsets, .features = features, .values = ones};
        for (uint32_t i = 0; i < n; i++) {
            offsets[i + 1] = i + 1;
            features[i] = first + i;
            ones[i] = 1;
        }
        float *out = m->directions + (size_t)first * d;
        status = fathom_dictionary_decode(out, m->dictionary, &each);
        for (size_t i = 0; i < n * d; i++)
            out[i] -= m->base[i % d];
    }
    return status;
}

static int scale_rows(struct fathom__measuring *m) {
    const struct fathom__words *words = m->words;
    const size_t d = words->d;
    double *mean = NULL, squares = 0;
    int status = fathom__alloc(&m->scaled, words->n * d, sizeof *m->scaled);
    if (!status) status = fathom__alloc(&mean, d, sizeof *mean);
    if (status) return status;
    for (size_t r = 0; r < words->n_train; r++)
        for (size_t j = 0; j < d; j++)
            mean[j] += words->rows[r * d + j] / (double)words->n_train;
    for (size_t r = 0; r < words->n_train; r++)
        for (size_t j = 0; j < d; j++)
            squares += pow(words->rows[r * d + j] - mean[j], 2);
    const double factor = squares > 0 ? sqrt((double)(words->n_train * d) / squares) : 1;
    for (size_t i = 0; i < words->n * d; i++)
        m->scaled[i] = (float)(factor * (words->rows[i] - mean[i % d]));
    fathom_free(mean);
    return FATHOM_OK;
}

static void sum_features(struct fathom__measuring *m) {
    for (size_t r = 0; r < m->words->n_train; r++) {
        const uint8_t letter = m->words->letters[r];
        m->counts[letter]++;
        for (size_t i = m->sparse.offsets[r]; i < m->sparse.offsets[r + 1]; i++) {
            const uint32_t f = m->sparse.features[i];
            const double value = (double)m->sparse.values[i];
            m->sums[f] += value;
            m->squares[f] += value * value;
            m->letter_sums[letter * (size_t)m->n_features + f] += value;
        }
    }
}

static bool is_main(const struct fathom_absorption_letter *letter, uint32_t feature) {
    for (uint32_t i = 0; i < letter->n_features; i++)
        if (letter->features[i] == feature) return true;
    return false;
}

static double dot(const float *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

static void project(struct fathom__projection *out, const struct fathom__measuring *m, size_t word,
                    const struct fathom_absorption_letter *letter) {
    const size_t d = m->words->d;
    *out = (struct fathom__projection){.silent = true};
    for (size_t j = 0; j < d; j++)
        out->whole += m->weights[j] * ((double)m->words->rows[word * d + j] - m->base[j]);
    for (size_t i = m->sparse.offsets[word]; i < m->sparse.offsets[word + 1]; i++) {
        const uint32_t f = m->sparse.features[i];
        const float *direction = m->directions + f * d;
        double length = 0;
        for (size_t j = 0; j < d; j++)
            length += (double)direction[j] * direction[j];
        const double projection = m->sparse.values[i] * m->along[f],
                     cosine = length > 0 ? m->along[f] / sqrt(length) : 0;
        if (projection > out->best) out->best = projection, out->cosine = cosine;
        if (is_main(letter, f)) {
            out->mains += projection;
            out->silent = false;
        } else if (cosine >= absorber_cosine) {
            int at = FATHOM__ABSORBERS;
            for (; at > 0 && out->others[at - 1] < projection; at--)
                if (at < FATHOM__ABSORBERS) out->others[at] = out->others[at - 1];
            if (at < FATHOM__ABSORBERS) out->others[at] = projection;
        }
    }
}

/* probe_scores [words]; m->weights become the probe's direction, of length 1. */
static void measure_words(struct fathom_absorption_letter *out, struct fathom__measuring *m,
                          const double *probe_scores) {
    const size_t d = m->words->d;
    double length = 0;
    for (size_t j = 0; j < d; j++)
        length += m->weights[j] * m->weights[j];
    for (size_t j = 0; j < d && length > 0; j++)
        m->weights[j] /= sqrt(length);
    for (uint32_t f = 0; f < m->n_features; f++)
        m->along[f] = dot(m->directions + f * d, m->weights, d);
    for (size_t r = m->words->n_train; r < m->words->n; r++) {
        struct fathom__projection projection;
        if (m->labels[r] != 1 || probe_scores[r] <= 0) continue;
        project(&projection, m, r, out);
        out->n_true_positives++;
        out->absorbed_fraction += fathom__absorbed_fraction(&projection);
        out->full_absorption += fathom__absorbed_fully(&projection);
    }
    if (out->n_true_positives > 0) {
        out->absorbed_fraction /= (double)out->n_true_positives;
        out->full_absorption /= (double)out->n_true_positives;
    }
}

static int measure_letter(struct fathom_absorption_letter *out, struct fathom__measuring *m, int letter) {
    const struct fathom__words *words = m->words;
    double *probe_scores = NULL, *chance = NULL;
    for (size_t r = 0; r < words->n; r++) {
        m->labels[r] = words->letters[r] == letter;
        *(r < words->n_train ? &out->n_train : &out->n_test) += words->letters[r] == letter;
        if (r < words->n_train) m->shuffled[r] = m->labels[r];
    }
    if (out->n_train == 0 || out->n_test == 0) return FATHOM_OK;
    for (size_t r = words->n_train; r > 1; r--) {
        const size_t other = (size_t)fathom__random_below(&m->random, r);
        const int8_t kept = m->shuffled[r - 1];
        m->shuffled[r - 1] = m->shuffled[other];
        m->shuffled[other] = kept;
    }
    int status = fathom__alloc(&probe_scores, words->n, sizeof *probe_scores);
    if (!status) status = fathom__alloc(&chance, words->d, sizeof *chance);
    if (!status) status = fathom__letter_score(m, chance, m->scaled, words->d, m->shuffled, probe_regularisation);
    if (!status) out->shuffled_f1 = fathom__letter_f1(m);
    if (!status) status = fathom__letter_score(m, m->weights, m->scaled, words->d, m->labels, probe_regularisation);
    if (!status) {
        out->probe_f1 = fathom__letter_f1(m);
        out->evaluated = out->probe_f1 > least_f1;
        memcpy(probe_scores, m->scores, words->n * sizeof *probe_scores);
        status = fathom__letter_features(out, m, letter);
    }
    if (!status) measure_words(out, m, probe_scores);
    fathom_free(probe_scores);
    fathom_free(chance);
    return status;
}

/* Means over the letters that were evaluated, and sample deviations. */
static void summarise(struct fathom_absorption_report *out) {
    double squares[3] = {0, 0, 0};
    const struct fathom_absorption_letter *letters = out->letters;
    for (int l = 0; l < FATHOM_LETTERS; l++)
        out->n_evaluated += letters[l].evaluated;
    const double n = (double)out->n_evaluated;
    for (int l = 0; l < FATHOM_LETTERS; l++) {
        if (!letters[l].evaluated) continue;
        out->absorbed_fraction += letters[l].absorbed_fraction / n;
        out->full_absorption += letters[l].full_absorption / n;
        out->n_split += letters[l].n_features / n;
        out->probe_f1 += letters[l].probe_f1 / n;
        out->shuffled_f1 += letters[l].shuffled_f1 / n;
        out->best_f1 += letters[l].best_f1 / n;
    }
    for (int l = 0; l < FATHOM_LETTERS; l++) {
        if (!letters[l].evaluated) continue;
        squares[0] += pow(letters[l].absorbed_fraction - out->absorbed_fraction, 2);
        squares[1] += pow(letters[l].full_absorption - out->full_absorption, 2);
        squares[2] += pow(letters[l].n_features - out->n_split, 2);
    }
    if (out->n_evaluated < 2) return;
    out->absorbed_deviation = sqrt(squares[0] / (n - 1));
    out->full_deviation = sqrt(squares[1] / (n - 1));
    out->split_deviation = sqrt(squares[2] / (n - 1));
}

int fathom__absorption_measure(struct fathom_absorption_report *out, const struct fathom__words *words,
                               const fathom_dictionary *dictionary, const struct fathom_absorption_options *options) {
    struct fathom__measuring m = {
        .words = words, .dictionary = dictionary, .n_features = fathom_dictionary_describe(dictionary)->n_features};
    struct fathom_absorption_report report = {.n_words = words->n};
    fathom__random_seed(&m.random, options->seed);
    int status = fathom__alloc(&m.sums, m.n_features, sizeof *m.sums);
    if (!status) status = fathom__alloc(&m.squares, m.n_features, sizeof *m.squares);
    if (!status) status = fathom__alloc(&m.along, m.n_features, sizeof *m.along);
    if (!status) status = fathom__alloc(&m.letter_sums, FATHOM_LETTERS * (size_t)m.n_features, sizeof *m.letter_sums);
    if (!status) status = fathom__alloc(&m.labels, words->n, sizeof *m.labels);
    if (!status) status = fathom__alloc(&m.shuffled, words->n_train, sizeof *m.shuffled);
    if (!status) status = fathom__alloc(&m.scores, words->n, sizeof *m.scores);
    if (!status) status = fathom__alloc(&m.weights, words->d, sizeof *m.weights);
    if (!status)
        status = fathom_dictionary_encode(&m.sparse, dictionary, words->rows, NULL, words->n, FATHOM_ENCODE_RUN);
    if (!status) status = find_directions(&m);
    if (!status) status = scale_rows(&m);
    if (!status) sum_features(&m);
    for (int letter = 0; letter < FATHOM_LETTERS && !status; letter++) {
        status = measure_letter(&report.letters[letter], &m, letter);
        const struct fathom_progress progress = {.stage = "letters",
                                                 .done = (uint64_t)letter + 1,
                                                 .total = FATHOM_LETTERS,
                                                 .unit = "letters",
                                                 .seconds_left = -1};
        if (!status && options->progress)
            status = fathom__callback_status(options->progress(&progress, options->payload));
    }
    if (!status) summarise(&report);
    if (!status) *out = report;
    fathom_sparse_free(&m.sparse);
    fathom_free(m.base);
    fathom_free(m.directions);
    fathom_free(m.scaled);
    fathom_free(m.sums);
    fathom_free(m.squares);
    fathom_free(m.letter_sums);
    fathom_free(m.labels);
    fathom_free(m.shuffled);
    fathom_free(m.scores);
    fathom_free(m.weights);
    fathom_free(m.along);
    return status;
}
