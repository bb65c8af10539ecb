#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <corpus/files.h>
#include <corpus/reader.h>
#include <fathom/corpus.h>

#include <math.h>
#include <string.h>

struct source {
    char *field; /* NULL: not named */
    double weight;
    bool repeat, chat;
    struct fathom__files files;
    size_t next_file;
    fathom__reader *reader; /* of the file before next_file, or NULL */
    uint64_t used;          /* bytes of the files before the present one, in this pass */
    uint64_t delivered;     /* bytes of text, in all passes */
    bool gave;              /* a document in this pass */
    bool exhausted;
};

struct fathom_corpus {
    struct source *sources;
    uint32_t n;
    uint32_t *order; /* of the sources where they are even, by the seed */
    uint64_t n_documents;
    uint64_t delivered;
};

static int open_source(struct source *source, const struct fathom_corpus_source *from, size_t index) {
    if (!from->path || !from->path[0])
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "corpus source %zu has no path", index);
    if (!isfinite(from->weight) || from->weight < 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: its weight is %g, over 0 was expected", from->path,
                            from->weight);
    if (from->repeat && strcmp(from->path, "-") == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "standard input cannot be repeated");
    source->weight = from->weight > 0 ? from->weight : 1;
    source->repeat = from->repeat;
    source->chat = from->chat;
    const char *field = !from->field && from->chat ? "messages" : from->field;
    int status = field ? fathom__copy_string(&source->field, field) : FATHOM_OK;
    return status ? status : fathom__files_list(&source->files, from->path);
}

int fathom_corpus_open(fathom_corpus **out, const struct fathom_corpus_source *sources, size_t n_sources,
                       uint64_t seed) {
    fathom_corpus *corpus = NULL;
    struct fathom__random random;
    size_t standard_inputs = 0;
    if (n_sources == 0 || n_sources > UINT32_MAX)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a corpus of %zu sources, at least one was expected", n_sources);
    int status = fathom__alloc(&corpus, 1, sizeof *corpus);
    if (status) return status;
    status = fathom__alloc(&corpus->sources, n_sources, sizeof *corpus->sources);
    if (!status) status = fathom__alloc(&corpus->order, n_sources, sizeof *corpus->order);
    for (size_t i = 0; i < n_sources && !status; i++) {
        corpus->n++;
        corpus->order[i] = (uint32_t)i;
        status = open_source(&corpus->sources[i], &sources[i], i);
        if (!status) standard_inputs += strcmp(sources[i].path, "-") == 0;
    }
    if (!status && standard_inputs > 1)
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "standard input is named %zu times as a source", standard_inputs);
    if (status) {
        fathom_corpus_close(corpus);
        return status;
    }
    fathom__random_seed(&random, seed);
    fathom__random_shuffle(&random, corpus->order, n_sources);
    *out = corpus;
    return FATHOM_OK;
}

void fathom_corpus_close(fathom_corpus *corpus) {
    if (!corpus) return;
    for (uint32_t i = 0; i < corpus->n; i++) {
        fathom__reader_close(corpus->sources[i].reader);
        fathom__files_free(&corpus->sources[i].files);
        fathom_free(corpus->sources[i].field);
    }
    fathom_free(corpus->sources);
    fathom_free(corpus->order);
    fathom_free(corpus);
}

/* The source that is furthest behind its share; NULL when none has text left. */
static struct source *choose(const fathom_corpus *corpus) {
    struct source *chosen = NULL;
    for (uint32_t i = 0; i < corpus->n; i++) {
        struct source *source = &corpus->sources[corpus->order[i]];
        if (source->exhausted) continue;
        if (!chosen || (double)source->delivered / source->weight < (double)chosen->delivered / chosen->weight)
            chosen = source;
    }
    return chosen;
}

/* Goes on to the source's next file, or to its first one again. A pass without a document is its last: it would never
 * end. */
static int advance(struct source *source) {
    if (source->reader) {
        source->used += fathom__reader_used(source->reader);
        fathom__reader_close(source->reader);
        source->reader = NULL;
    }
    if (source->next_file == source->files.n) {
        source->exhausted = !source->repeat || !source->gave;
        if (source->exhausted) return FATHOM_OK;
        source->next_file = 0;
        source->used = 0;
        source->gave = false;
    }
    const int status = fathom__reader_open(&source->reader, source->files.paths[source->next_file++], source->field);
    if (!status && source->chat) fathom__reader_take_chats(source->reader);
    return status;
}

int fathom_corpus_next(struct fathom_document *document, bool *more, fathom_corpus *corpus) {
    const char *text = NULL;
    size_t length = 0;
    for (struct source *source = choose(corpus); source; source = choose(corpus)) {
        bool found = false;
        int status = source->reader ? fathom__reader_next(&text, &length, &found, source->reader) : FATHOM_OK;
        if (!status && !found) status = advance(source);
        if (status) return status;
        if (!found) continue;
        source->gave = true;
        source->delivered += length;
        corpus->delivered += length;
        *document = (struct fathom_document){text, length, corpus->n_documents++, (uint32_t)(source - corpus->sources),
                                             source->chat};
        *more = true;
        return FATHOM_OK;
    }
    *more = false;
    return FATHOM_OK;
}

void fathom_corpus_position(uint64_t *done, uint64_t *total, const fathom_corpus *corpus) {
    double estimate = 0;
    bool known = true;
    for (uint32_t i = 0; i < corpus->n; i++) {
        const struct source *source = &corpus->sources[i];
        uint64_t used = source->used + (source->reader ? fathom__reader_used(source->reader) : 0);
        if (source->exhausted)
            estimate += (double)source->delivered;
        else if (source->repeat || source->files.bytes == 0)
            known = false;
        else if (used > 0 && source->delivered > 0)
            estimate += (double)source->delivered * ((double)source->files.bytes / (double)used);
        else
            estimate += (double)source->files.bytes;
    }
    *done = corpus->delivered;
    *total = known ? (uint64_t)estimate : 0;
}
