/* Building a catalogue: one pass over a corpus, then what follows from it, then one transaction. */
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include "catalogue/content.h"
#include "catalogue/effects.h"
#include "catalogue/encode.h"

#include <fathom/harvest.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    DEFAULT_TOP = 20,
    DEFAULT_BAND = 5,
    MOST_TOP = FATHOM__TOP_MOST / 2,
    MOST_BAND = FATHOM__SPREAD,
    MOST_CORPUS_TEXT = 400,
    KEY_TEXT = 1024
};
static const double CHECKPOINT_SECONDS = 120;

struct run {
    const struct fathom_index_options *options;
    const fathom_dictionary *dictionary;
    struct fathom__evidence *evidence;
    fathom__encoder *encoder;
    struct fathom_sparse sparse;
    bool *covered;
    size_t covered_capacity;
    const char *checkpoint; /* NULL: the corpus cannot be read again, so nothing is saved */
    char key[FATHOM__DICTIONARY_HASH_SIZE];
    double saved;
    fathom_corpus *corpus;         /* the present one, */
    uint64_t first_document;       /* what its document 0 counts as, */
    uint64_t first_row, most_rows; /* its first row, and the end of the pass */
    uint64_t resumed_row;
    double started;
};

/* After every block: how far, how fast, and whether to stop. */
static int report(const struct run *run) {
    const struct fathom_index_options *options = run->options;
    const uint64_t rows = run->evidence->n_rows, here = rows - run->first_row;
    uint64_t done, all;
    if (!options->progress) return FATHOM_OK;
    fathom_corpus_position(&done, &all, run->corpus);
    uint64_t total = done && all ? run->first_row + (uint64_t)((double)here * (double)all / (double)done) : 0;
    if (run->most_rows < total || (!total && options->max_tokens)) total = run->most_rows;
    if (total && total < rows) total = rows;
    const double seconds = fathom__seconds() - run->started;
    const double rate = seconds > 0 ? (double)(rows - run->resumed_row) / seconds : 0;
    const struct fathom_progress progress = {.stage = "index",
                                             .done = rows,
                                             .total = total,
                                             .unit = "tokens",
                                             .units_per_second = rate,
                                             .seconds_left = total && rate > 0 ? (double)(total - rows) / rate : -1};
    const int returned = options->progress(&progress, options->payload);
    return returned ? fathom__callback_status(returned) : FATHOM_OK;
}

static int take_block(const struct fathom_harvest_block *block, void *payload) {
    struct run *run = payload;
    const size_t n = block->n_rows, width = block->widths[0];
    int status;
    if ((status = fathom__grow(&run->covered, &run->covered_capacity, n, sizeof *run->covered)) ||
        (status = fathom__encoder_run(&run->sparse, run->encoder, block->rows[0], block->positions, n)))
        return status;
    for (size_t i = 0; i < n; i++)
        run->covered[i] = fathom_dictionary_covers(run->dictionary, block->rows[0] + i * width, block->positions[i]);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && block->positions[end] != 0;)
            end++;
        if ((status = fathom__evidence_add(run->evidence, block->tokens + first, run->covered + first, end - first,
                                           run->first_document + block->documents[first], &run->sparse, first)))
            return status;
    }
    if (run->checkpoint && fathom__seconds() - run->saved > CHECKPOINT_SECONDS) {
        if ((status = fathom__evidence_save(run->evidence, run->checkpoint, run->key))) return status;
        run->saved = fathom__seconds();
    }
    return report(run);
}

/* What a checkpoint must agree on: the corpus's content, the dictionary's, and every option that decides the stream or
 * what is kept of it. */
static int make_key(struct run *run, const struct fathom_corpus_source *sources, size_t n_sources,
                    const char *dictionary_hash, const char *identity) {
    const struct fathom_index_options *options = run->options;
    char corpus[FATHOM__DICTIONARY_HASH_SIZE], unquoted[FATHOM__DICTIONARY_HASH_SIZE] = "", text[KEY_TEXT];
    fathom__hash *hash = NULL;
    int status;
    if ((status = fathom_corpus_hash(corpus, sources, n_sources, options->seed)) ||
        (options->n_unquoted &&
         (status = fathom_corpus_hash(unquoted, options->unquoted, options->n_unquoted, options->seed))) ||
        (status = fathom__hash_open(&hash)))
        return status;
    snprintf(text, sizeof text, "%s %s %s %s %" PRIu32 " %" PRIu64 " %" PRIu64, corpus, unquoted, dictionary_hash,
             identity, options->context, options->max_tokens, options->seed);
    fathom__hash_add(hash, text, strlen(text));
    fathom__hash_text(run->key, hash);
    fathom__hash_close(hash);
    return FATHOM_OK;
}

static bool reads_standard_input(const struct fathom_corpus_source *sources, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(sources[i].path, "-") == 0) return true;
    return false;
}

/* Fresh evidence, or that of an interrupted pass. A checkpoint that cannot be used is no error: the pass starts
 * again. */
static int open_evidence(struct run *run, uint32_t n_top) {
    const uint32_t n_features = fathom_dictionary_describe(run->dictionary)->n_features;
    bool found = false;
    int status = fathom__evidence_open(&run->evidence, n_features, n_top, run->options->seed);
    if (status || !run->checkpoint || run->options->restart) return status;
    status = fathom__evidence_load(&found, run->evidence, run->checkpoint, run->key);
    if (status == FATHOM_OK || status == FATHOM_ERROR_MEMORY) return status;
    fathom__evidence_close(run->evidence);
    run->evidence = NULL;
    return fathom__evidence_open(&run->evidence, n_features, n_top, run->options->seed);
}

/* One corpus, from the row that an earlier run came to. */
static int harvest(struct run *run, const fathom_model *model, const struct fathom_corpus_source *sources,
                   size_t n_sources, uint64_t done, uint64_t most) {
    const struct fathom_index_options *options = run->options;
    const char *hook = fathom_dictionary_describe(run->dictionary)->hook_in;
    const struct fathom_harvest_options how = {.hooks = &hook,
                                               .n_hooks = 1,
                                               .context = options->context,
                                               .n_threads = options->n_threads,
                                               .max_tokens = most,
                                               .skip_tokens = done};
    int status = fathom_corpus_open(&run->corpus, sources, n_sources, options->seed);
    if (status) return status;
    run->first_row = run->evidence->n_rows - done;
    run->most_rows = run->first_row + most;
    status = fathom_harvest(NULL, fathom_model_describe(model)->path, run->corpus, &how, take_block, run);
    fathom_corpus_close(run->corpus);
    return status;
}

/* The corpus that examples come from, then the one that only counts. */
static int harvest_both(struct run *run, const fathom_model *model, const struct fathom_corpus_source *sources,
                        size_t n_sources) {
    const struct fathom_index_options *options = run->options;
    struct fathom__evidence *evidence = run->evidence;
    const uint64_t most =
        options->max_tokens && options->max_tokens < FATHOM_INDEX_TOKENS ? options->max_tokens : FATHOM_INDEX_TOKENS;
    int status = FATHOM_OK;
    if (!evidence->quoted_done) {
        run->first_document = 0;
        if (evidence->n_rows < most) status = harvest(run, model, sources, n_sources, evidence->n_rows, most);
        if (status) return status;
        fathom__evidence_end_quoted(evidence);
    }
    if (!options->n_unquoted || evidence->n_rows >= most) return FATHOM_OK;
    run->first_document = evidence->first_unquoted_document;
    return harvest(run, model, options->unquoted, options->n_unquoted, evidence->n_rows - evidence->n_quoted_rows,
                   most - evidence->n_quoted_rows);
}

static int pass(struct run *run, struct fathom_index_result *result, const fathom_model *model,
                const struct fathom_corpus_source *sources, size_t n_sources) {
    result->n_resumed = run->resumed_row = run->evidence->n_rows;
    run->saved = run->started = fathom__seconds();
    int status = harvest_both(run, model, sources, n_sources);
    result->seconds = fathom__seconds() - run->started;
    if (result->seconds > 0)
        result->tokens_per_second = (double)(run->evidence->n_rows - result->n_resumed) / result->seconds;
    /* What was done is kept when the user stops, and when the pass is at its end: a failure further on then costs no
     * second pass. */
    if (run->checkpoint && (!status || status == FATHOM_ERROR_STOPPED) && run->evidence->n_rows > result->n_resumed) {
        const int saved = fathom__evidence_save(run->evidence, run->checkpoint, run->key);
        if (!status) status = saved;
        if (status == FATHOM_ERROR_STOPPED && !saved)
            status = fathom__fail(FATHOM_ERROR_STOPPED, "stopped; the same command goes on from token %zu",
                                  run->evidence->n_rows);
    }
    return status;
}

static int list_sources(struct fathom__buffer *out, const struct fathom_corpus_source *sources, size_t n) {
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < n; i++) {
        const char *slash = strrchr(sources[i].path, '/');
        status = fathom__buffer_format(out, "%s%s", out->length ? ", " : "", slash ? slash + 1 : sources[i].path);
    }
    return status;
}

static int describe_corpus(struct fathom__buffer *out, const struct fathom_corpus_source *sources, size_t n_sources,
                           const struct fathom_index_options *options) {
    if (options->corpus_name) return fathom__buffer_text(out, options->corpus_name);
    int status = list_sources(out, sources, n_sources);
    if (!status) status = list_sources(out, options->unquoted, options->n_unquoted);
    if (status == FATHOM_ERROR_LIMIT) { /* many files: their number will do */
        fathom__buffer_clear(out);
        status = fathom__buffer_format(out, "%zu files", n_sources + options->n_unquoted);
    }
    return status;
}

static int describe_settings(char **out, const struct fathom_index_options *options, uint32_t n_top, uint32_t n_band) {
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "max_tokens", (json_int_t)options->max_tokens, "context",
                  (json_int_t)options->context, "top", (json_int_t)n_top, "band", (json_int_t)n_band, "seed",
                  (json_int_t)options->seed, "no_text", options->no_text, "fathom", fathom_version());
    if (!json) return fathom__fail_memory(0);
    const int status = fathom__json_text(out, json, false);
    json_decref(json);
    return status;
}

/* Words, and the classes that labels need; a machine without WordNet has those of grammar alone. */
static int open_stream(struct fathom__stream **stream, fathom__lexicon **lexicon, const struct run *run,
                       const struct fathom__vocabulary *vocabulary) {
    const char *folder = run->options->wordnet ? run->options->wordnet : "/usr/share/wordnet";
    int status = FATHOM_OK;
    *lexicon = NULL;
    if (!run->options->no_labels) {
        status = fathom__lexicon_open(lexicon, folder);
        if (status == FATHOM_ERROR_IO && !run->options->wordnet) status = fathom__lexicon_open(lexicon, NULL);
    }
    return status ? status : fathom__stream_open(stream, run->evidence, vocabulary, *lexicon);
}

static int finish(struct run *run, struct fathom_index_result *result, struct fathom__store *store,
                  struct fathom__content *content, const fathom_model *model) {
    const struct fathom_index_options *options = run->options;
    struct fathom__vocabulary vocabulary = {0};
    struct fathom__decoder_facts facts = {0};
    struct fathom__feature_label *labels = NULL;
    fathom__lexicon *lexicon = NULL;
    struct fathom__stream *stream = NULL;
    size_t n_labels = 0;
    int status;
    if ((status = fathom__evidence_seal(run->evidence)) || (status = fathom__vocabulary_open(&vocabulary, model)) ||
        (status = fathom__decoder_facts_make(&facts, run->dictionary, model, options->n_threads, options->progress,
                                             options->payload)) ||
        (status = open_stream(&stream, &lexicon, run, &vocabulary)))
        goto done;
    if (!options->no_labels) {
        const struct fathom__label_options how = {.neighbours = facts.neighbours,
                                                  .effects = facts.effects,
                                                  .seed = options->seed,
                                                  .n_threads = options->n_threads,
                                                  .no_quotes = options->no_text,
                                                  .progress = options->progress,
                                                  .payload = options->payload};
        const double started = fathom__seconds();
        if ((status = fathom__labels_make(&labels, &n_labels, &result->labels, stream, &how))) goto done;
        result->label_seconds = fathom__seconds() - started;
    }
    content->stream = stream;
    content->effects = facts.effects;
    content->neighbours = facts.neighbours;
    content->labels = labels;
    content->n_labels = n_labels;
    status = fathom__content_write(store, content);
    result->n_tokens = run->evidence->n_covered;
    result->n_documents = run->evidence->n_documents;
    for (uint32_t f = 0; f < run->evidence->n_features; f++)
        result->n_alive += run->evidence->features[f].count > 0;
done:
    fathom__stream_close(stream);
    fathom__lexicon_close(lexicon);
    fathom__labels_free(labels, n_labels);
    fathom__decoder_facts_free(&facts);
    fathom__vocabulary_free(&vocabulary);
    return status;
}

static void write_now(char *out, size_t size) {
    const time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

int fathom_index(struct fathom_index_result *result, const char *path, const fathom_dictionary *dictionary,
                 const fathom_model *model, const struct fathom_corpus_source *sources, size_t n_sources,
                 const struct fathom_index_options *options) {
    static const struct fathom_index_options defaults = FATHOM_INDEX_OPTIONS_INIT;
    struct fathom_index_result own = {0};
    struct run run = {.options = options ? options : &defaults, .dictionary = dictionary};
    struct fathom__store store = {0};
    struct fathom__buffer corpus = FATHOM__BUFFER_INIT(MOST_CORPUS_TEXT);
    char *checkpoint = NULL, *settings = NULL, hash[FATHOM__DICTIONARY_HASH_SIZE], made[32];
    options = run.options;
    const uint32_t n_top = options->n_top ? options->n_top : DEFAULT_TOP,
                   n_band = options->n_band ? options->n_band : DEFAULT_BAND;
    const bool once =
        reads_standard_input(sources, n_sources) || reads_standard_input(options->unquoted, options->n_unquoted);
    int status;
    if (n_top > MOST_TOP || n_band > MOST_BAND)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "at most %d top examples and %d a band are kept, not %u and %u",
                            MOST_TOP, MOST_BAND, n_top, n_band);
    if ((status = fathom_dictionary_match(NULL, dictionary, model)) ||
        (status = fathom__dictionary_hash(hash, dictionary)) ||
        /* Before the long work: a file that cannot be written should say so now. */
        (status = fathom__store_open(&store, path, FATHOM__STORE_BEGIN)) ||
        (status = describe_corpus(&corpus, sources, n_sources, options)) ||
        (status = describe_settings(&settings, options, n_top, n_band)) ||
        (status = fathom__format(&checkpoint, "%s.index-checkpoint", path)) ||
        (!once && (status = make_key(&run, sources, n_sources, hash, fathom_model_describe(model)->identity))))
        goto done;
    run.checkpoint = once ? NULL : checkpoint;
    if ((status = fathom__encoder_open(&run.encoder, dictionary, options->n_threads)) ||
        (status = open_evidence(&run, 2 * n_top)) || (status = pass(&run, &own, model, sources, n_sources)))
        goto done;
    write_now(made, sizeof made);
    struct fathom__content content = {.model = fathom_model_describe(model),
                                      .dictionary = fathom_dictionary_describe(dictionary),
                                      .hash = hash,
                                      .corpus = corpus.bytes ? corpus.bytes : "",
                                      .settings = settings,
                                      .no_text = options->no_text,
                                      .n_top = n_top,
                                      .n_band = n_band,
                                      .made = made};
    if ((status = finish(&run, &own, &store, &content, model))) goto done;
    if (!options->keep_checkpoint && run.checkpoint) unlink(run.checkpoint);
    if (result) *result = own;
done:
    fathom__evidence_close(run.evidence);
    fathom__encoder_close(run.encoder);
    fathom_sparse_free(&run.sparse);
    fathom_free(run.covered);
    fathom__store_close(&store);
    fathom__buffer_free(&corpus);
    fathom_free(checkpoint);
    fathom_free(settings);
    return status;
}
