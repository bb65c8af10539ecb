/* Two models over the same text, in step.
 *
 * The second model's harvest runs on a thread of its own, which stands still in its callback until the first model's
 * block of the same tokens has come and both have been used: nothing is copied, and the second is at most one block
 * ahead beside what its workers prepare. It begins when the first model is open.
 */
#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>
#include <dictionary/train_internal.h>
#include <pthread.h>
#include <string.h>

struct pair {
    const struct fathom__run *run;
    const struct fathom_harvest_options *options;
    fathom_harvest_fn fn;
    void *payload;
    const char **hooks, **hooks_b; /* of each model */
    size_t n, n_b;
    const float **rows; /* [n + n_b], in the options' order */
    size_t *widths;
    uint32_t n_threads_b;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    const struct fathom_harvest_block *block_b; /* offered, not used yet */
    bool ended, stopping;
    int status_b;
    char message_b[512];
};

/* The second model's callback: offers a block and waits until it was used. */
static int offer(const struct fathom_harvest_block *block, void *payload) {
    struct pair *pair = payload;
    pthread_mutex_lock(&pair->lock);
    pair->block_b = block;
    pthread_cond_broadcast(&pair->changed);
    while (pair->block_b && !pair->stopping)
        pthread_cond_wait(&pair->changed, &pair->lock);
    const bool stopping = pair->stopping;
    pair->block_b = NULL;
    pthread_mutex_unlock(&pair->lock);
    return stopping;
}

static void *harvest_b(void *payload) {
    struct pair *pair = payload;
    const struct fathom_train_options *o = pair->run->options;
    struct fathom_harvest_options options = *pair->options;
    fathom_corpus *corpus = NULL;
    options.hooks = pair->hooks_b;
    options.n_hooks = pair->n_b;
    options.n_threads = pair->n_threads_b;
    options.progress = NULL;
    int status = fathom_corpus_open(&corpus, o->sources, o->n_sources, o->seed);
    if (!status) status = fathom_harvest(NULL, o->model_b_path, corpus, &options, offer, pair);
    fathom_corpus_close(corpus);
    pthread_mutex_lock(&pair->lock);
    pair->ended = true;
    pair->status_b = status;
    snprintf(pair->message_b, sizeof pair->message_b, "%s", status ? fathom_error_message() : "");
    pthread_cond_broadcast(&pair->changed);
    pthread_mutex_unlock(&pair->lock);
    return NULL;
}

static int check_tokens(const struct pair *pair, const struct fathom_harvest_block *a,
                        const struct fathom_harvest_block *b) {
    const size_t n = a->n_rows < b->n_rows ? a->n_rows : b->n_rows;
    size_t r = 0;
    while (r < n && a->tokens[r] == b->tokens[r] && a->positions[r] == b->positions[r] &&
           a->documents[r] == b->documents[r])
        r++;
    if (r == a->n_rows && r == b->n_rows) return 0;
    return fathom__fail(FATHOM_ERROR_MISMATCH,
                        "%s and %s cut document %llu into different tokens: their rows cannot be paired",
                        pair->run->model_name, pair->run->model_b_name,
                        (unsigned long long)a->documents[r < a->n_rows ? r : a->n_rows - 1]);
}

/* Both blocks as one. */
static int use(struct pair *pair, const struct fathom_harvest_block *a, const struct fathom_harvest_block *b) {
    struct fathom_harvest_block both = *a;
    size_t i = 0, j = 0;
    int status = check_tokens(pair, a, b);
    if (status) return status;
    for (size_t h = 0; h < pair->options->n_hooks; h++) {
        const bool second = fathom__of_model_b(pair->options->hooks[h]);
        pair->rows[h] = second ? b->rows[j] : a->rows[i];
        pair->widths[h] = second ? b->widths[j] : a->widths[i];
        *(second ? &j : &i) += 1;
    }
    both.n_hooks = pair->options->n_hooks;
    both.rows = pair->rows;
    both.widths = pair->widths;
    return pair->fn(&both, pair->payload);
}

static int start(struct pair *pair) {
    if (pthread_create(&pair->thread, NULL, harvest_b, pair))
        return fathom__fail(FATHOM_ERROR_MEMORY, "train: a thread for the second model could not be made");
    pair->started = true;
    return 0;
}

/* The first model's callback. */
static int meet(const struct fathom_harvest_block *block, void *payload) {
    struct pair *pair = payload;
    int status = pair->started ? 0 : start(pair);
    if (status) return status;
    pthread_mutex_lock(&pair->lock);
    while (!pair->block_b && !pair->ended)
        pthread_cond_wait(&pair->changed, &pair->lock);
    const struct fathom_harvest_block *other = pair->block_b;
    pthread_mutex_unlock(&pair->lock);
    if (!other && pair->status_b) return fathom__fail(pair->status_b, "%s", pair->message_b);
    if (!other)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s gives fewer rows than %s", pair->run->model_b_name,
                            pair->run->model_name);
    status = use(pair, block, other);
    pthread_mutex_lock(&pair->lock);
    pair->block_b = NULL;
    pthread_cond_broadcast(&pair->changed);
    pthread_mutex_unlock(&pair->lock);
    return status;
}

static int open_pair(struct pair *pair) {
    const struct fathom_harvest_options *options = pair->options;
    int status = fathom__alloc(&pair->hooks, options->n_hooks, sizeof *pair->hooks);
    if (!status) status = fathom__alloc(&pair->hooks_b, options->n_hooks, sizeof *pair->hooks_b);
    if (!status) status = fathom__alloc(&pair->rows, options->n_hooks, sizeof *pair->rows);
    if (!status) status = fathom__alloc(&pair->widths, options->n_hooks, sizeof *pair->widths);
    for (size_t h = 0; h < options->n_hooks && !status; h++) {
        if (fathom__of_model_b(options->hooks[h]))
            pair->hooks_b[pair->n_b++] = options->hooks[h] + strlen(MODEL_B);
        else
            pair->hooks[pair->n++] = options->hooks[h];
    }
    if (!status && (pair->n == 0 || pair->n_b == 0))
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "train: of two models no hook point of %s is asked for",
                              pair->n ? "the second" : "the first");
    return status;
}

int fathom__harvest_pair(const struct fathom__run *run, fathom_corpus *corpus,
                         const struct fathom_harvest_options *options, fathom_harvest_fn fn, void *payload) {
    struct pair pair = {.run = run, .options = options, .fn = fn, .payload = payload};
    struct fathom_harvest_options own = *options;
    const uint32_t n_threads = options->n_threads ? options->n_threads : fathom__cores();
    int status = open_pair(&pair);
    pthread_mutex_init(&pair.lock, NULL);
    pthread_cond_init(&pair.changed, NULL);
    own.hooks = pair.hooks;
    own.n_hooks = pair.n;
    own.n_threads = (n_threads + 1) / 2;
    pair.n_threads_b = n_threads > 1 ? n_threads / 2 : 1;
    if (!status) status = fathom_harvest(NULL, run->options->model_path, corpus, &own, meet, &pair);
    if (pair.started) {
        pthread_mutex_lock(&pair.lock);
        pair.stopping = true;
        pthread_cond_broadcast(&pair.changed);
        pthread_mutex_unlock(&pair.lock);
        pthread_join(pair.thread, NULL);
    }
    pthread_cond_destroy(&pair.changed);
    pthread_mutex_destroy(&pair.lock);
    fathom_free(pair.hooks);
    fathom_free(pair.hooks_b);
    fathom_free(pair.rows);
    fathom_free(pair.widths);
    return status;
}
