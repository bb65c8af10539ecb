#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>
#include <fathom/explain.h>
#include <math.h>
#include <string.h>

enum {
    LANES = 16,      /* partial sums of a product: lets the compiler keep a vector register of them */
    ROWS_AT_ONCE = 8 /* rows whose logits are held in memory together */
};

struct fathom_lens {
    float *unembedding; /* [n_vocab, d_model] */
    float *mean;        /* [d_model]: mean of its rows */
    size_t n_vocab, d_model;
    struct fathom_final_norm norm;
};

static int set_mean(fathom_lens *lens) {
    double *sums = NULL;
    int status = fathom__alloc(&sums, lens->d_model, sizeof *sums);
    if (status == FATHOM_OK) status = fathom__alloc(&lens->mean, lens->d_model, sizeof *lens->mean);
    if (status != FATHOM_OK) goto done;
    for (size_t v = 0; v < lens->n_vocab; v++)
        for (size_t i = 0; i < lens->d_model; i++)
            sums[i] += (double)lens->unembedding[v * lens->d_model + i];
    for (size_t i = 0; i < lens->d_model; i++)
        lens->mean[i] = (float)(sums[i] / (double)lens->n_vocab);
done:
    fathom_free(sums);
    return status;
}

int fathom_lens_open(fathom_lens **out, const fathom_model *model) {
    fathom_lens *lens = NULL;
    int status = fathom__alloc(&lens, 1, sizeof *lens);
    if (status != FATHOM_OK) return status;
    status = fathom_model_unembedding(&lens->unembedding, &lens->n_vocab, &lens->d_model, model);
    if (status == FATHOM_OK) status = fathom_model_final_norm(&lens->norm, model);
    if (status == FATHOM_OK && lens->d_model != fathom_model_describe(model)->d_model)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: the unembedding is %zu wide, but the model %u",
                              fathom_model_describe(model)->path, lens->d_model, fathom_model_describe(model)->d_model);
    if (status == FATHOM_OK) status = set_mean(lens);
    if (status != FATHOM_OK) {
        fathom_lens_close(lens);
        return status;
    }
    *out = lens;
    return FATHOM_OK;
}

void fathom_lens_close(fathom_lens *lens) {
    if (lens == NULL) return;
    fathom_free(lens->unembedding);
    fathom_free(lens->mean);
    fathom_free(lens->norm.gain);
    fathom_free(lens->norm.bias);
    fathom_free(lens);
}

static double mean_of(const float *row, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)row[i];
    return sum / (double)n;
}

double fathom_lens_denominator(const fathom_lens *lens, const float *row) {
    double mean = lens->norm.rms ? 0 : mean_of(row, lens->d_model);
    double squares = 0;
    for (size_t i = 0; i < lens->d_model; i++) {
        double x = (double)row[i] - mean;
        squares += x * x;
    }
    return sqrt(squares / (double)lens->d_model + (double)lens->norm.epsilon);
}

static void normalise(float *out, const fathom_lens *lens, const float *row) {
    double denominator = fathom_lens_denominator(lens, row);
    double mean = lens->norm.rms ? 0 : mean_of(row, lens->d_model);
    for (size_t i = 0; i < lens->d_model; i++) {
        double bias = lens->norm.bias != NULL ? (double)lens->norm.bias[i] : 0;
        out[i] = (float)(((double)row[i] - mean) / denominator * (double)lens->norm.gain[i] + bias);
    }
}

double fathom_lens_contribution(const fathom_lens *lens, const float *component, double denominator, int32_t token) {
    const float *direction = lens->unembedding + (size_t)token * lens->d_model;
    double mean = lens->norm.rms ? 0 : mean_of(component, lens->d_model);
    double sum = 0;
    for (size_t i = 0; i < lens->d_model; i++)
        sum += ((double)component[i] - mean) * (double)lens->norm.gain[i] * (double)(direction[i] - lens->mean[i]);
    return sum / denominator;
}

static float product(const float *a, const float *b, size_t n) {
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            sums[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sums[0] += a[i] * b[i];
    float sum = 0;
    for (size_t l = 0; l < LANES; l++)
        sum += sums[l];
    return sum;
}

struct job {
    const fathom_lens *lens;
    const float *normalised; /* [n_rows, d_model] */
    float *logits;           /* [n_rows, n_vocab] */
    size_t n_rows;
};

static void fill_logits(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct job *job = payload;
    const fathom_lens *lens = job->lens;
    size_t first, last;
    fathom__team_share(&first, &last, lens->n_vocab, LANES, worker, n_workers);
    for (size_t v = first; v < last; v++) {
        const float *direction = lens->unembedding + v * lens->d_model;
        for (size_t r = 0; r < job->n_rows; r++) {
            float logit = product(direction, job->normalised + r * lens->d_model, lens->d_model);
            if (lens->norm.softcap > 0) logit = lens->norm.softcap * tanhf(logit / lens->norm.softcap);
            job->logits[r * lens->n_vocab + v] = logit;
        }
    }
}

static void keep_top(int32_t *tokens, float *logits, size_t *n, int32_t token, float logit) {
    if (*n == FATHOM_LENS_TOP && logit <= logits[*n - 1]) return;
    size_t at = *n < FATHOM_LENS_TOP ? (*n)++ : *n - 1;
    for (; at > 0 && logits[at - 1] < logit; at--) {
        logits[at] = logits[at - 1];
        tokens[at] = tokens[at - 1];
    }
    logits[at] = logit;
    tokens[at] = token;
}

static int read_row(struct fathom_lens_reading *out, const float *logits, size_t n_vocab, int32_t target, size_t row) {
    int32_t tokens[FATHOM_LENS_TOP] = {0};
    float top[FATHOM_LENS_TOP] = {0};
    size_t n = 0;
    double sum = 0, weighted = 0;
    memset(out, 0, sizeof *out);
    for (size_t v = 0; v < n_vocab; v++) {
        if (!isfinite(logits[v]))
            return fathom__fail(FATHOM_ERROR_NUMERIC, "row %zu: the lens gives a logit that is not finite", row);
        keep_top(tokens, top, &n, (int32_t)v, logits[v]);
    }
    for (size_t v = 0; v < n_vocab; v++) {
        double shifted = (double)(logits[v] - top[0]);
        double weight = exp(shifted);
        sum += weight;
        weighted += weight * shifted;
    }
    out->entropy = log(sum) - weighted / sum;
    for (size_t i = 0; i < n; i++)
        out->top[i] = (struct fathom_lens_guess){tokens[i], exp((double)(top[i] - top[0])) / sum};
    if (target >= 0) {
        out->target_probability = exp((double)(logits[target] - top[0])) / sum;
        for (size_t v = 0; v < n_vocab; v++)
            out->target_rank += logits[v] > logits[target];
    }
    return FATHOM_OK;
}

int fathom_lens_read(struct fathom_lens_reading *out, const fathom_lens *lens, const float *rows, size_t n_rows,
                     const int32_t *targets, uint32_t n_threads) {
    fathom__team *team = NULL;
    struct job job = {.lens = lens};
    float *normalised = NULL;
    int status = FATHOM_OK;
    for (size_t r = 0; targets != NULL && r < n_rows; r++)
        if (targets[r] >= 0 && (size_t)targets[r] >= lens->n_vocab)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "token %d: the vocabulary has %zu tokens", targets[r],
                                lens->n_vocab);
    status = fathom__alloc_aligned(&normalised, ROWS_AT_ONCE * lens->d_model, sizeof *normalised);
    if (status == FATHOM_OK)
        status = fathom__alloc_aligned(&job.logits, ROWS_AT_ONCE * lens->n_vocab, sizeof *job.logits);
    if (status == FATHOM_OK) status = fathom__team_open(&team, n_threads);
    job.normalised = normalised;
    for (size_t first = 0; status == FATHOM_OK && first < n_rows; first += ROWS_AT_ONCE) {
        job.n_rows = n_rows - first < ROWS_AT_ONCE ? n_rows - first : ROWS_AT_ONCE;
        for (size_t r = 0; r < job.n_rows; r++)
            normalise(normalised + r * lens->d_model, lens, rows + (first + r) * lens->d_model);
        fathom__team_run(team, fill_logits, &job);
        for (size_t r = 0; status == FATHOM_OK && r < job.n_rows; r++)
            status = read_row(&out[first + r], job.logits + r * lens->n_vocab, lens->n_vocab,
                              targets != NULL ? targets[first + r] : -1, first + r);
    }
    fathom__team_close(team);
    fathom_free(job.logits);
    fathom_free(normalised);
    return status;
}
