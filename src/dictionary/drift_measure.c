/* The rows of a drift: a corpus through one model, or the same tokens through two forms of it. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/drift.h>
#include <fathom/harvest.h>
#include <string.h>

#define DEFAULT_TOKENS 16384

struct measuring {
    fathom_drift *drift;
    size_t d;
    const char *path; /* of the model now run */
    /* of the first model, where there are two */
    float *rows;
    int32_t *tokens;
    size_t n, row_capacity, token_capacity;
};

static int add_block(const struct fathom_harvest_block *block, void *payload) {
    struct measuring *m = payload;
    return fathom_drift_add(m->drift, block->rows[0], block->rows[0], block->positions, block->n_rows);
}

static int keep_block(const struct fathom_harvest_block *block, void *payload) {
    struct measuring *m = payload;
    int status = fathom__grow(&m->rows, &m->row_capacity, (m->n + block->n_rows) * m->d, sizeof *m->rows);
    if (!status) status = fathom__grow(&m->tokens, &m->token_capacity, m->n + block->n_rows, sizeof *m->tokens);
    if (status) return status;
    memcpy(m->rows + m->n * m->d, block->rows[0], block->n_rows * m->d * sizeof *m->rows);
    memcpy(m->tokens + m->n, block->tokens, block->n_rows * sizeof *m->tokens);
    m->n += block->n_rows;
    return 0;
}

static int compare_block(const struct fathom_harvest_block *block, void *payload) {
    const struct measuring *m = payload;
    const size_t first = (size_t)block->first_row;
    if (block->widths[0] != m->d)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: rows of %zu numbers; %zu are expected", m->path,
                            block->widths[0], m->d);
    if (first > m->n || block->n_rows > m->n - first ||
        memcmp(m->tokens + first, block->tokens, block->n_rows * sizeof *m->tokens) != 0)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: cuts the same text into other tokens: not the same model",
                            m->path);
    return fathom_drift_add(m->drift, m->rows + first * m->d, block->rows[0], block->positions, block->n_rows);
}

static int harvest(struct measuring *m, const char *path, const struct fathom_drift_options *options, const char *hook,
                   fathom_harvest_fn fn) {
    const struct fathom_harvest_options harvest = {.hooks = &hook,
                                                   .n_hooks = 1,
                                                   .context = options->context,
                                                   .n_threads = options->n_threads,
                                                   .max_tokens = options->tokens ? options->tokens : DEFAULT_TOKENS,
                                                   .original = true,
                                                   .progress = options->progress,
                                                   .payload = options->payload};
    fathom_corpus *corpus = NULL;
    uint64_t rows = 0;
    m->path = path;
    int status = fathom_corpus_open(&corpus, options->sources, options->n_sources, options->seed);
    if (!status) status = fathom_harvest(&rows, path, corpus, &harvest, fn, m);
    fathom_corpus_close(corpus);
    if (!status && rows == 0)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "drift: the corpus has no rows%s",
                              m->n > 0 ? " left: a pipe can be read once, and two models read the text twice" : "");
    return status;
}

int fathom_drift_measure(fathom_drift *drift, const fathom_model *model, const struct fathom_drift_options *options) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(fathom__drift_dictionary(drift));
    struct measuring m = {.drift = drift, .d = info->d_in};
    struct fathom_hook hook;
    char name[FATHOM_HOOK_NAME_SIZE];
    int status = fathom_dictionary_match(&hook, fathom__drift_dictionary(drift), model);
    if (status) return status;
    fathom_hook_name(name, hook);
    status = harvest(&m, fathom_model_describe(model)->path, options, name,
                     options->other_model_path ? keep_block : add_block);
    if (!status && options->other_model_path)
        status = harvest(&m, options->other_model_path, options, name, compare_block);
    fathom_free(m.rows);
    fathom_free(m.tokens);
    return status;
}
