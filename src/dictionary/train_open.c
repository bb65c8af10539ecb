/* What a run works on: the hook points that are harvested, the streams of rows and the trainers they feed. */
#include <base/error.h>
#include <base/machine.h>
#include <base/memory.h>
#include <dictionary/train_internal.h>
#include <dictionary/trainer_internal.h>
#include <fathom/chat.h>
#include <string.h>

#define DEFAULT_NORM_MULTIPLE 8.0
#define DEFAULT_SHUFFLE 131072
#define DEFAULT_HELD_OUT 16384
/* A corpus with less than this part of the rows wanted, by a sample of its text, is too small. */
#define CORPUS_LEAST 0.8

static size_t count_sources(const char *hook) {
    size_t n = 1;
    for (; *hook; hook++)
        n += *hook == '+';
    return n;
}

/* A transcoder's hook points: one to read and one to write, or as many of both. */
static int check_outputs(const struct fathom_train_dictionary *wanted) {
    if (!wanted->hook_out) return 0;
    if (count_sources(wanted->hook) != count_sources(wanted->hook_out))
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "train: %s reads %s and writes %s; a transcoder reads one hook point and writes one, and a "
                            "cross-layer transcoder has as many of both",
                            wanted->path, wanted->hook, wanted->hook_out);
    if (strchr(wanted->hook, '+') && (strstr(wanted->hook, MODEL_B) || strstr(wanted->hook_out, MODEL_B)))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: %s: a cross-layer transcoder is of one model", wanted->path);
    return 0;
}

int fathom__run_check(const struct fathom_train_dictionary *dictionaries, size_t n,
                      const struct fathom_train_options *options) {
    int status;
    if (n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: no dictionary is asked for");
    if (!options->model_path || options->n_sources == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: a model and a corpus are expected");
    for (size_t i = 0; i < n; i++) {
        if (!dictionaries[i].path || !dictionaries[i].hook)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: dictionary %zu needs a path and a hook point", i);
        status = check_outputs(&dictionaries[i]);
        if (status) return status;
        if (strstr(dictionaries[i].hook, MODEL_B) && !options->model_b_path)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: %s reads %s, but there is no second model",
                                dictionaries[i].path, dictionaries[i].hook);
        if (dictionaries[i].options.skip && !dictionaries[i].hook_out)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "train: %s has a skip, but no hook point whose rows it reconstructs (hook_out)",
                                dictionaries[i].path);
        if (dictionaries[i].options.batch != dictionaries[0].options.batch)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "train: all dictionaries of a run have the same batch; %u and %u were asked for",
                                dictionaries[0].options.batch, dictionaries[i].options.batch);
        for (size_t j = 0; j < i; j++)
            if (strcmp(dictionaries[i].path, dictionaries[j].path) == 0)
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: two dictionaries would be written to %s",
                                    dictionaries[i].path);
    }
    for (size_t i = 0; i < options->n_sources; i++)
        if (options->tokens_from != FATHOM_TOKENS_ALL && !options->sources[i].chat)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "train: %s is no source of chats, whose tokens could be told apart",
                                options->sources[i].path);
    for (size_t i = 0; i < options->n_sources; i++)
        if (options->sources[i].repeat && options->tokens == 0)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: a number of tokens is needed, because %s repeats",
                                options->sources[i].path);
    return 0;
}

/* The number of a hook point, given by `length` bytes of text, among those that are harvested; equal names only, since
 * names of one point are few and a doubled tap costs little. */
static int find_hook(size_t *out, struct fathom__run *run, const char *text, size_t length) {
    char *name = NULL;
    size_t h = 0;
    int status = fathom__format(&name, "%.*s", (int)length, text);
    if (status) return status;
    while (h < run->n_hooks && strcmp(run->hooks[h], name) != 0)
        h++;
    if (h == run->n_hooks)
        run->hooks[run->n_hooks++] = name;
    else
        fathom_free(name);
    *out = h;
    return 0;
}

/* The numbers of the hook points of a list. */
static int find_list(size_t *hooks, uint32_t *n, struct fathom__run *run, const struct fathom_train_dictionary *wanted,
                     const char *text) {
    int status = 0;
    if (count_sources(text) > FATHOM_TRAIN_SOURCES)
        return fathom__fail(FATHOM_ERROR_LIMIT, "train: %s has %zu sources; at most %d are expected", wanted->path,
                            count_sources(text), FATHOM_TRAIN_SOURCES);
    while (!status && text) {
        const char *end = strchr(text, '+');
        status = find_hook(&hooks[(*n)++], run, text, end ? (size_t)(end - text) : strlen(text));
        text = end ? end + 1 : NULL;
    }
    for (uint32_t i = 1; i < *n && !status; i++)
        for (uint32_t j = 0; j < i; j++)
            if (hooks[i] == hooks[j])
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "train: %s names %s twice", wanted->path,
                                    run->hooks[hooks[i]]);
    return status;
}

static int find_tap(struct fathom__tap *out, struct fathom__run *run, const struct fathom_train_dictionary *wanted) {
    *out = (struct fathom__tap){.n_inputs = 0};
    int status = find_list(out->inputs, &out->n_inputs, run, wanted, wanted->hook);
    if (!status && wanted->hook_out) status = find_list(out->outputs, &out->n_outputs, run, wanted, wanted->hook_out);
    return status;
}

static bool same_tap(const struct fathom__tap *a, const struct fathom__tap *b) {
    return a->n_inputs == b->n_inputs && a->n_outputs == b->n_outputs &&
           memcmp(a->inputs, b->inputs, a->n_inputs * sizeof *a->inputs) == 0 &&
           memcmp(a->outputs, b->outputs, a->n_outputs * sizeof *a->outputs) == 0;
}

int fathom__run_find_streams(struct fathom__run *run, const struct fathom_train_dictionary *dictionaries) {
    size_t most_hooks = 0;
    for (size_t i = 0; i < run->n_learners; i++)
        most_hooks += 2 * count_sources(dictionaries[i].hook);
    int status = fathom__alloc(&run->learners, run->n_learners, sizeof *run->learners);
    if (!status) status = fathom__alloc(&run->hooks, most_hooks, sizeof *run->hooks);
    if (!status) status = fathom__alloc(&run->widths, most_hooks, sizeof *run->widths);
    if (!status) status = fathom__alloc(&run->taps, run->n_learners, sizeof *run->taps);
    if (!status) status = fathom__alloc(&run->streams, run->n_learners, sizeof *run->streams);
    if (!status) status = fathom__alloc(&run->batches, run->n_learners, sizeof *run->batches);
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        struct fathom__tap tap;
        size_t s = 0;
        status = find_tap(&tap, run, &dictionaries[i]);
        while (s < run->n_streams && !same_tap(&run->taps[s], &tap))
            s++;
        if (s == run->n_streams) run->taps[run->n_streams++] = tap;
        run->learners[i].wanted = &dictionaries[i];
        run->learners[i].stream = s;
    }
    return status;
}

/* Those of a document that will be trained on. */
static int count_tokens(size_t *out, const struct fathom__run *run, const fathom_model *model,
                        const struct fathom_document *document) {
    int32_t *ids = NULL;
    uint8_t *roles = NULL;
    size_t n = 0;
    const int status = document->chat ? fathom_chat_tokenize(&ids, &roles, &n, model, document->text, document->length)
                                      : fathom_tokenize(&ids, &n, model, document->text, document->length, true, false);
    *out = roles ? 0 : n;
    for (size_t i = 0; roles && i < n; i++)
        *out += fathom__run_wants(run->options, roles[i]) && !fathom__run_is_special(run, ids[i]);
    fathom_free(ids);
    fathom_free(roles);
    return status;
}

/* How many tokens a corpus gives, from a sample of its text; *out stays as it is where that cannot be told. */
static int estimate_tokens(uint64_t *out, const struct fathom__run *run, const fathom_model *model, bool must_know) {
    enum { SAMPLE_BYTES = 2 << 20 };
    fathom_corpus *corpus = NULL;
    struct fathom_document document;
    bool more = true;
    uint64_t bytes = 0, tokens = 0, done, total = 0;
    int status = fathom_corpus_open(&corpus, run->options->sources, run->options->n_sources, run->options->seed);
    if (!status) fathom_corpus_position(&done, &total, corpus);
    const bool sized = total > 0;
    /* Without a size one document is enough to tell an empty file from a pipe. */
    while (!status && bytes < (sized ? SAMPLE_BYTES : must_know ? 1 : 0)) {
        size_t n = 0;
        status = fathom_corpus_next(&document, &more, corpus);
        if (status || !more) break;
        status = count_tokens(&n, run, model, &document);
        if (status) status = fathom__wrap(status, "document %llu", (unsigned long long)document.number);
        bytes += document.length;
        tokens += n;
    }
    fathom_corpus_close(corpus);
    if (status || (!must_know && (!sized || tokens == 0))) return status;
    if (tokens == 0) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the corpus is empty", run->options->sources[0].path);
    if (!more) total = bytes;
    if (!sized)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "train: a number of tokens is needed, because the corpus' size is not known");
    *out = (uint64_t)((double)total / (double)bytes * (double)tokens);
    return 0;
}

static uint64_t held_out_rows(const struct fathom__run *run) {
    return run->options->held_out_rows ? run->options->held_out_rows : DEFAULT_HELD_OUT;
}

/* How many rows to train on, where nobody says; else whether the corpus can hold so many. */
static int settle_tokens(struct fathom__run *run, const fathom_model *model) {
    const uint64_t held_out = held_out_rows(run), wanted = run->options->tokens;
    uint64_t found = UINT64_MAX;
    const int status = estimate_tokens(&found, run, model, wanted == 0);
    if (status) return status;
    if (wanted == 0)
        run->tokens = found > 2 * held_out ? found - held_out : found / 2;
    else if ((double)found < CORPUS_LEAST * (double)(wanted + held_out))
        return fathom__fail(FATHOM_ERROR_LIMIT,
                            "train: the corpus holds about %llu tokens, which is too small for %llu to train on and "
                            "%llu held out; ask for fewer, add text, or let a source repeat",
                            (unsigned long long)found, (unsigned long long)wanted, (unsigned long long)held_out);
    return 0;
}

static size_t stream_width(const struct fathom__run *run, const struct fathom__tap *tap) {
    return fathom__tap_width(tap, run->widths) + fathom__tap_written(tap, run->widths);
}

static size_t pool_rows(const struct fathom__run *run) {
    size_t pool = run->options->shuffle_rows ? run->options->shuffle_rows : DEFAULT_SHUFFLE;
    if (pool > run->tokens) pool = run->tokens;
    return pool < run->batch ? run->batch : pool;
}

static struct fathom_trainer_options learner_options(const struct fathom__run *run,
                                                     const struct fathom__learner *learner) {
    const struct fathom__tap *tap = &run->taps[learner->stream];
    struct fathom_trainer_options options = learner->wanted->options;
    options.d_in = (uint32_t)fathom__tap_width(tap, run->widths);
    options.n_sources = tap->n_inputs > 1 && tap->n_outputs == 0 ? tap->n_inputs : 0;
    options.n_layers = tap->n_outputs > 1 ? tap->n_outputs : 0;
    for (uint32_t s = 0; s < options.n_sources; s++)
        options.sources[s] = (uint32_t)run->widths[tap->inputs[s]];
    options.d_out = (uint32_t)fathom__tap_written(tap, run->widths);
    options.batch = (uint32_t)run->batch;
    options.total_steps = learner->total_steps;
    options.n_threads = run->options->n_threads;
    return options;
}

/* Each trainer would fit by itself; whether all do, with their rows, is asked before the model is run. */
static int check_memory(const struct fathom__run *run) {
    double bytes = 0;
    char what[96];
    for (size_t s = 0; s < run->n_streams; s++)
        bytes += (double)(pool_rows(run) + held_out_rows(run) + run->batch) * (double)stream_width(run, &run->taps[s]) *
                 sizeof(float);
    for (size_t i = 0; i < run->n_learners; i++) {
        const struct fathom_trainer_options options = learner_options(run, &run->learners[i]);
        bytes += fathom__trainer_bytes(&options);
    }
    snprintf(what, sizeof what, "train: %zu dictionaries and %zu shuffled rows at each of %zu places", run->n_learners,
             pool_rows(run), run->n_streams);
    return fathom__machine_check(bytes, what);
}

static int settle_steps(struct fathom__run *run) {
    run->total_steps = run->tokens / run->batch;
    if (run->tokens < run->batch)
        return fathom__fail(FATHOM_ERROR_LIMIT, "train: %llu tokens are less than one batch of %zu",
                            (unsigned long long)run->tokens, run->batch);
    for (size_t i = 0; i < run->n_learners; i++) {
        struct fathom__learner *learner = &run->learners[i];
        const uint64_t tokens = learner->wanted->tokens ? learner->wanted->tokens : run->tokens;
        if (tokens < run->batch || tokens > run->tokens)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "train: %s is to have %llu tokens; %zu (one batch) to %llu (the run's) are possible",
                                learner->wanted->path, (unsigned long long)tokens, run->batch,
                                (unsigned long long)run->tokens);
        learner->total_steps = tokens / run->batch;
    }
    return 0;
}

/* Identity and name of a model, and the widths of its hook points. */
static int describe_model(char *identity, char **name, struct fathom__run *run, const fathom_model *model,
                          bool second) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    memcpy(identity, info->source_identity, sizeof run->identity);
    int status = fathom__copy_string(name, info->name);
    for (size_t h = 0; h < run->n_hooks && !status; h++) {
        const char *hook = run->hooks[h];
        struct fathom_hook found;
        uint32_t heads = 1, width = 0;
        if (fathom__of_model_b(hook) != second) continue;
        status = fathom_hook_parse(&found, model, second ? hook + strlen(MODEL_B) : hook);
        if (!status) fathom_hook_exists(&heads, &width, model, found);
        run->widths[h] = (size_t)heads * width;
    }
    return status;
}

static int describe_model_b(struct fathom__run *run, const fathom_model *model) {
    const uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    fathom_model *model_b = NULL;
    int status = fathom_model_open(&model_b, run->options->model_b_path, NULL);
    if (status) return status;
    const uint32_t n_vocab_b = fathom_model_describe(model_b)->n_vocab;
    status = describe_model(run->identity_b, &run->model_b_name, run, model_b, true);
    if (!status && n_vocab != n_vocab_b)
        status = fathom__fail(FATHOM_ERROR_MISMATCH,
                              "train: %s has %u tokens and %s %u; rows of two models are paired token by token",
                              run->model_name, n_vocab, run->model_b_name, n_vocab_b);
    fathom_model_close(model_b);
    return status;
}

int fathom__run_describe_model(struct fathom__run *run) {
    fathom_model *model = NULL;
    int status = fathom_model_open(&model, run->options->model_path, NULL);
    if (status) return status;
    status = describe_model(run->identity, &run->model_name, run, model, false);
    if (!status) status = fathom__run_find_special(run, model);
    if (!status && run->options->model_b_path) status = describe_model_b(run, model);
    for (size_t s = 0; s < run->n_streams && !status; s++)
        status = fathom__run_check_layers(run, &run->taps[s], model);
    for (size_t i = 0; i < run->n_learners && !status; i++)
        status = fathom__run_read_start(&run->learners[i], run);
    run->tokens = run->options->tokens;
    if (!status) status = settle_tokens(run, model);
    fathom_model_close(model);
    if (!status) status = settle_steps(run);
    if (!status) status = check_memory(run);
    return status;
}

int fathom__run_open(struct fathom__run *run) {
    const struct fathom_train_options *o = run->options;
    const size_t pool = pool_rows(run);
    size_t widest = 0;
    int status = 0;
    for (size_t s = 0; s < run->n_streams && !status; s++) {
        struct fathom__rows *stream = &run->streams[s];
        const struct fathom__tap *tap = &run->taps[s];
        const size_t d = stream_width(run, tap);
        status = fathom__rows_open(stream, d, held_out_rows(run), pool, o->seed);
        if (!status) status = fathom__alloc_aligned(&run->batches[s], run->batch * d, sizeof **run->batches);
        stream->d_norm = fathom__tap_width(tap, run->widths);
        stream->skip_positions = o->skip_positions == UINT32_MAX ? 0 : o->skip_positions ? o->skip_positions : 1;
        stream->norm_multiple = o->norm_multiple == 0 ? DEFAULT_NORM_MULTIPLE : o->norm_multiple;
        if (d > widest) widest = d;
    }
    if (!status) status = fathom__alloc(&run->joined, widest, sizeof *run->joined);
    for (size_t i = 0; i < run->n_learners && !status; i++) {
        struct fathom__learner *learner = &run->learners[i];
        const struct fathom_trainer_options options = learner_options(run, learner);
        status = fathom_trainer_open(&learner->trainer, &options);
        if (!status) status = fathom__run_begin(learner);
        if (status) status = fathom__wrap(status, "%s", learner->wanted->path);
    }
    run->opened = !status;
    return status;
}
