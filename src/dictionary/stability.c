#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/thread.h>
#include <dictionary/vector.h>
#include <fathom/stability.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_ROWS 1024 /* directions of the control: enough for a share's third decimal */
/* No seed that dictionaries are trained with: theirs begin with the directions that are drawn from it. */
#define RANDOM_SEED UINT64_C(0x9E3779B97F4A7C15)
enum { BLOCK = 64, QUAD = 4 }; /* rows that stay in the cache; rows of one product */

/* Unit rows f32 [n, stride], padded with zeros; n is a multiple of QUAD, rows past n_real are zeros. */
struct rows {
    float *values;
    size_t n, n_real, stride;
};

struct matching {
    const struct rows *of, *among;
    float *best; /* [of->n_real] */
};

static void make_unit(float *row, size_t stride) {
    const float length = sqrtf(fathom__dot(row, row, stride));
    for (size_t j = 0; length > 0 && j < stride; j++)
        row[j] /= length;
}

static int open_rows(struct rows *rows, size_t n, size_t d) {
    rows->n_real = n;
    rows->n = (n + QUAD - 1) / QUAD * QUAD;
    rows->stride = fathom__padded(d);
    const int status = fathom__alloc_aligned(&rows->values, rows->n * rows->stride, sizeof *rows->values);
    if (!status) memset(rows->values, 0, rows->n * rows->stride * sizeof *rows->values);
    return status;
}

static int read_rows(struct rows *rows, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    int status = open_rows(rows, info->n_features, info->d_out);
    for (uint32_t f = 0; f < info->n_features && !status; f++) {
        float *row = rows->values + f * rows->stride;
        status = fathom_dictionary_direction(row, dictionary, f);
        if (!status) make_unit(row, rows->stride);
    }
    return status;
}

static int draw_rows(struct rows *rows, size_t d) {
    struct fathom__random random;
    int status = open_rows(rows, RANDOM_ROWS, d);
    fathom__random_seed(&random, RANDOM_SEED);
    for (size_t r = 0; r < RANDOM_ROWS && !status; r++) {
        float *row = rows->values + r * rows->stride;
        for (size_t j = 0; j < d; j++)
            row[j] = (float)fathom__random_normal(&random);
        make_unit(row, rows->stride);
    }
    return status;
}

static void match_share(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct matching *m = payload;
    const struct rows *among = m->among;
    size_t first, last;
    fathom__team_share(&first, &last, m->of->n_real, BLOCK, worker, n_workers);
    for (size_t f = first; f < last; f++)
        m->best[f] = -1;
    for (size_t begin = 0; begin < among->n; begin += BLOCK) {
        const size_t end = begin + BLOCK < among->n ? begin + BLOCK : among->n;
        for (size_t f = first; f < last; f++) {
            const float *row = m->of->values + f * m->of->stride;
            for (size_t g = begin; g < end; g += QUAD) {
                const float *at = among->values + g * among->stride;
                const float *const four[QUAD] = {at, at + among->stride, at + 2 * among->stride,
                                                 at + 3 * among->stride};
                float cosine[QUAD];
                fathom__dot4(cosine, row, four, among->stride);
                for (size_t i = 0; i < QUAD && g + i < among->n_real; i++)
                    if (cosine[i] > m->best[f]) m->best[f] = cosine[i];
            }
        }
    }
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int summarise(struct fathom_stability_figures *out, const float *best, size_t n) {
    float *sorted = NULL;
    double sum = 0;
    size_t similar = 0, same = 0;
    const int status = fathom__alloc(&sorted, n, sizeof *sorted);
    if (status) return status;
    memcpy(sorted, best, n * sizeof *best);
    qsort(sorted, n, sizeof *sorted, by_size);
    for (size_t i = 0; i < n; i++) {
        sum += best[i];
        similar += best[i] > FATHOM_STABILITY_SIMILAR;
        same += best[i] > FATHOM_STABILITY_SAME;
    }
    *out = (struct fathom_stability_figures){sum / (double)n, sorted[n / 2], (double)similar / (double)n,
                                             (double)same / (double)n};
    fathom_free(sorted);
    return 0;
}

/* The least of the best cosines that rows have in each of the dictionaries but `self`. */
static int match_all(float *least, const struct rows *of, const struct rows *all, size_t n, size_t self,
                     fathom__team *team) {
    float *best = NULL;
    const int status = fathom__alloc(&best, of->n_real, sizeof *best);
    for (size_t f = 0; f < of->n_real && !status; f++)
        least[f] = 1;
    for (size_t i = 0; i < n && !status; i++) {
        struct matching matching = {of, &all[i], best};
        if (i == self) continue;
        fathom__team_run(team, match_share, &matching);
        for (size_t f = 0; f < of->n_real; f++)
            if (best[f] < least[f]) least[f] = best[f];
    }
    fathom_free(best);
    return status;
}

static int measure_one(struct fathom_stability *out, const struct rows *all, size_t n, size_t self,
                       const struct rows *random, fathom__team *team) {
    float *control = NULL;
    out->n_features = (uint32_t)all[self].n_real;
    int status = fathom__alloc(&out->best, all[self].n_real, sizeof *out->best);
    if (!status) status = fathom__alloc(&control, random->n_real, sizeof *control);
    if (!status) status = match_all(out->best, &all[self], all, n, self, team);
    if (!status) status = match_all(control, random, all, n, self, team);
    if (!status) status = summarise(&out->features, out->best, out->n_features);
    if (!status) status = summarise(&out->random, control, random->n_real);
    fathom_free(control);
    return status;
}

int fathom_stability_measure(struct fathom_stability *out, const fathom_dictionary *const *dictionaries, size_t n,
                             uint32_t n_threads) {
    struct rows *all = NULL, random = {0};
    fathom__team *team = NULL;
    if (n < 2)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "stability: two dictionaries or more are expected, not %zu", n);
    const struct fathom_dictionary_info *first = fathom_dictionary_describe(dictionaries[0]);
    for (size_t i = 1; i < n; i++) {
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionaries[i]);
        if (info->d_out != first->d_out)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: its rows are of width %u, those of %s of width %u",
                                info->path, info->d_out, first->path, first->d_out);
    }
    memset(out, 0, n * sizeof *out);
    int status = fathom__alloc(&all, n, sizeof *all);
    for (size_t i = 0; i < n && !status; i++)
        status = read_rows(&all[i], dictionaries[i]);
    if (!status) status = draw_rows(&random, first->d_out);
    if (!status) status = fathom__team_open(&team, n_threads);
    for (size_t i = 0; i < n && !status; i++)
        status = measure_one(&out[i], all, n, i, &random, team);
    fathom__team_close(team);
    for (size_t i = 0; all && i < n; i++)
        fathom_free(all[i].values);
    fathom_free(random.values);
    fathom_free(all);
    for (size_t i = 0; i < n && status; i++) {
        fathom_free(out[i].best);
        out[i].best = NULL;
    }
    return status;
}
