/* A corpus's features as one sparse matrix in a safetensors file. */
#include "base/error.h"
#include "base/memory.h"
#include "base/safetensors.h"

#include <fathom/catalogue.h>
#include <fathom/harvest.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROWS, COLUMNS, VALUES, TOKENS, POSITIONS, DOCUMENTS, TENSORS };
enum { SHAPE_TEXT = 64 };

static const char *const tensor_names[TENSORS] = {"rows", "columns", "values", "tokens", "positions", "documents"};

/* Numbers of four bytes on their way to a tensor: they wait in a file that has no name any more. */
struct spool {
    FILE *file;
    uint64_t n;
    void *mapped;
};

struct export {
    const fathom_dictionary *dictionary;
    const char *path;
    struct spool spools[TENSORS];
    struct fathom_sparse sparse;
    int32_t *numbers;
    size_t numbers_capacity;
    uint64_t n_rows;
};

static int spool_open(struct spool *spool, const char *path, const char *name) {
    char *own;
    int status = fathom__format(&own, "%s.%s-%ld.part", path, name, (long)getpid());
    if (status) return status;
    spool->file = fopen(own, "w+b");
    if (!spool->file)
        status = fathom__fail_errno(own, "write");
    else
        unlink(own);
    fathom_free(own);
    return status;
}

static int spool_add(struct spool *spool, const char *path, const void *numbers, size_t n) {
    if (n && fwrite(numbers, sizeof(int32_t), n, spool->file) != n) return fathom__fail_errno(path, "write");
    spool->n += n;
    return FATHOM_OK;
}

static int spool_map(struct spool *spool, const char *path) {
    if (fflush(spool->file)) return fathom__fail_errno(path, "write");
    if (!spool->n) return FATHOM_OK;
    void *mapped = mmap(NULL, spool->n * sizeof(int32_t), PROT_READ, MAP_PRIVATE, fileno(spool->file), 0);
    if (mapped == MAP_FAILED) return fathom__fail_errno(path, "map");
    spool->mapped = mapped;
    return FATHOM_OK;
}

static void spool_close(struct spool *spool) {
    if (spool->mapped) munmap(spool->mapped, spool->n * sizeof(int32_t));
    if (spool->file) fclose(spool->file);
}

static int add_rows(struct export *export, size_t n) {
    const struct fathom_sparse *sparse = &export->sparse;
    const size_t entries = sparse->offsets[n];
    int status = fathom__grow(&export->numbers, &export->numbers_capacity, entries, sizeof *export->numbers);
    if (status) return status;
    for (size_t row = 0; row < n; row++)
        for (size_t i = sparse->offsets[row]; i < sparse->offsets[row + 1]; i++)
            export->numbers[i] = (int32_t)(export->n_rows + row);
    if ((status = spool_add(&export->spools[ROWS], export->path, export->numbers, entries)) ||
        (status = spool_add(&export->spools[COLUMNS], export->path, sparse->features, entries)))
        return status;
    return spool_add(&export->spools[VALUES], export->path, sparse->values, entries);
}

static int take_block(const struct fathom_harvest_block *block, void *payload) {
    struct export *export = payload;
    const size_t n = block->n_rows;
    int status;
    if (export->n_rows + n > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: a matrix has at most %d rows", export->path, INT32_MAX);
    if ((status = fathom_dictionary_encode(&export->sparse, export->dictionary, block->rows[0], block->positions, n,
                                           FATHOM_ENCODE_RUN)) ||
        (status = add_rows(export, n)) ||
        (status = spool_add(&export->spools[TOKENS], export->path, block->tokens, n)) ||
        (status = spool_add(&export->spools[POSITIONS], export->path, block->positions, n)) ||
        (status = fathom__grow(&export->numbers, &export->numbers_capacity, n, sizeof *export->numbers)))
        return status;
    for (size_t i = 0; i < n; i++)
        export->numbers[i] = (int32_t)block->documents[i];
    export->n_rows += n;
    return spool_add(&export->spools[DOCUMENTS], export->path, export->numbers, n);
}

static int write_file(struct export *export, const fathom_model *model) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(export->dictionary);
    struct fathom__tensor tensors[TENSORS];
    char shape[SHAPE_TEXT];
    snprintf(shape, sizeof shape, "%" PRIu64 ",%" PRIu32, export->n_rows, info->n_features);
    const char *metadata[] = {"shape",      shape,      "model", fathom_model_describe(model)->name,
                              "dictionary", info->name, "hook",  info->hook_in,
                              NULL};
    for (int i = 0; i < TENSORS; i++) {
        const int status = spool_map(&export->spools[i], export->path);
        if (status) return status;
        tensors[i] = (struct fathom__tensor){.name = tensor_names[i],
                                             .dtype = i == VALUES ? FATHOM__F32 : FATHOM__I32,
                                             .n_dimensions = 1,
                                             .shape = {export->spools[i].n},
                                             .data = export->spools[i].mapped,
                                             .bytes = export->spools[i].n * sizeof(int32_t)};
    }
    return fathom__safetensors_write(export->path, tensors, TENSORS, metadata);
}

int fathom_feature_matrix(uint64_t *n_tokens, uint64_t *n_entries, const char *path,
                          const fathom_dictionary *dictionary, const fathom_model *model,
                          const struct fathom_corpus_source *sources, size_t n_sources,
                          const struct fathom_matrix_options *options) {
    static const struct fathom_matrix_options defaults = FATHOM_MATRIX_OPTIONS_INIT;
    struct export export = {.dictionary = dictionary, .path = path};
    const char *hook = fathom_dictionary_describe(dictionary)->hook_in;
    fathom_corpus *corpus = NULL;
    int status = fathom_dictionary_match(NULL, dictionary, model);
    if (!options) options = &defaults;
    const struct fathom_harvest_options harvest = {.hooks = &hook,
                                                   .n_hooks = 1,
                                                   .context = options->context,
                                                   .n_threads = options->n_threads,
                                                   .max_tokens = options->max_tokens,
                                                   .progress = options->progress,
                                                   .payload = options->payload};
    for (int i = 0; !status && i < TENSORS; i++)
        status = spool_open(&export.spools[i], path, tensor_names[i]);
    if (!status) status = fathom_corpus_open(&corpus, sources, n_sources, options->seed);
    if (!status)
        status = fathom_harvest(NULL, fathom_model_describe(model)->path, corpus, &harvest, take_block, &export);
    if (!status) status = write_file(&export, model);
    if (!status && n_tokens) *n_tokens = export.n_rows;
    if (!status && n_entries) *n_entries = export.spools[VALUES].n;
    fathom_corpus_close(corpus);
    for (int i = 0; i < TENSORS; i++)
        spool_close(&export.spools[i]);
    fathom_sparse_free(&export.sparse);
    fathom_free(export.numbers);
    return status;
}
