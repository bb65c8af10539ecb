#include "train_request.h"
#include "duration.h"
#include "hook_list.h"
#include "trainer_arguments.h"
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NUMBERS = TRAIN_DICTIONARIES, LONGEST_NAME = 64 };

struct numbers {
    uint64_t values[MOST_NUMBERS];
    size_t n;
};

static void print_warning(const char *path, uint64_t step, const char *text, void *payload) {
    (void)payload;
    cli_progress_end();
    fprintf(stderr, "%s, step %llu: %s\n", path, (unsigned long long)step, text);
}

static bool read_run(struct train_request *request, const struct cli_arguments *arguments) {
    int64_t context, skip, shuffle, held_out, evaluate, checkpoint, threads, seed;
    double multiple, seconds = 0;
    const char *time = cli_text(arguments, "max-time", NULL);
    if (time && !duration_read(&seconds, time)) {
        cli_usage(arguments, "--max-time %s: a time such as 90s, 45m or 8h is expected", time);
        return false;
    }
    const bool read = cli_integer(&context, arguments, "context", 2, 1 << 20, 0) &&
                      cli_integer(&skip, arguments, "skip-positions", 0, INT32_MAX, 1) &&
                      cli_integer(&shuffle, arguments, "shuffle", 1, INT64_MAX / 65536, 0) &&
                      cli_integer(&held_out, arguments, "held-out", 1, INT32_MAX, 0) &&
                      cli_integer(&evaluate, arguments, "evaluate-every", 1, INT32_MAX, 0) &&
                      cli_integer(&checkpoint, arguments, "checkpoint-every", 1, INT64_MAX, 0) &&
                      cli_integer(&threads, arguments, "threads", 1, 1024, 0) &&
                      cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) &&
                      cli_number(&multiple, arguments, "norm-multiple", 0, 1e9, 8);
    if (!read) return false;
    request->run = (struct fathom_train_options){
        .model_path = cli_text(arguments, "model", "smollm2"),
        .model_b_path = cli_text(arguments, "model-b", NULL),
        .seed = (uint64_t)seed,
        .context = (uint32_t)context,
        .n_threads = (uint32_t)threads,
        .skip_positions = skip ? (uint32_t)skip : UINT32_MAX,
        .keep_special = cli_has(arguments, "keep-special"),
        .norm_multiple = multiple > 0 ? multiple : -1,
        .shuffle_rows = (uint64_t)shuffle,
        .held_out_rows = (uint64_t)held_out,
        .evaluate_every = (uint32_t)evaluate,
        .metrics_path = cli_text(arguments, "metrics", NULL),
        .checkpoint_every = (uint64_t)checkpoint,
        .resume = cli_has(arguments, "resume"),
        .max_seconds = seconds,
        .progress = cli_progress,
        .warning = cli_has(arguments, "quiet") ? NULL : print_warning,
    };
    return true;
}

static int read_sources(struct train_request *request, const struct cli_arguments *arguments) {
    const char *from = cli_text(arguments, "tokens-from", NULL);
    const int found = from ? fathom_train_tokens_find(&request->run.tokens_from, from) : 0;
    if (found) return found;
    const int status = corpus_arguments_read(&request->corpus, arguments, "corpus");
    for (size_t i = 0; i < request->corpus.n; i++)
        request->corpus.list[i].chat = from != NULL;
    request->run.sources = request->corpus.list;
    request->run.n_sources = request->corpus.n;
    return status;
}

/* "N,N…" of whole numbers from 1 to `most`. */
static int read_numbers(struct numbers *out, const char *option, const char *text, uint64_t most) {
    const char *at = text;
    out->n = 0;
    for (;;) {
        char *end;
        errno = 0;
        const unsigned long long value = strtoull(at, &end, 10);
        if (end == at || *at == '-' || errno || (*end && *end != ',') || value < 1 || value > most)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "--%s %s: a whole number from 1 to %llu is expected", option,
                                text, (unsigned long long)most);
        if (out->n == MOST_NUMBERS)
            return fathom__fail(FATHOM_ERROR_LIMIT, "--%s: at most %d numbers are expected", option, MOST_NUMBERS);
        out->values[out->n++] = value;
        if (!*end) return 0;
        at = end + 1;
    }
}

/* "NAME,NAME…" of architectures; without any, what the trainer's options say already. */
static int read_architectures(struct numbers *out, const char *text, enum fathom_trainer_architecture otherwise) {
    out->values[0] = otherwise;
    out->n = text ? 0 : 1;
    for (const char *at = text; at; at = *at ? at + 1 : NULL) {
        const int length = (int)strcspn(at, ",");
        char name[LONGEST_NAME];
        enum fathom_trainer_architecture found;
        snprintf(name, sizeof name, "%.*s", length, at);
        const int status = fathom_trainer_architecture_find(&found, name);
        if (status) return status;
        for (size_t i = 0; i < out->n; i++)
            if (out->values[i] == (uint64_t)found)
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "--arch %s: %s is there twice", text, name);
        out->values[out->n++] = found;
        at += length;
    }
    return 0;
}

static int count_commas(const char *text) {
    int n = 0;
    for (; *text; text++)
        n += *text == ',';
    return n;
}

/* The path of one of several dictionaries: `path` with what sets it apart before its ending. */
static int vary_path(char **out, const char *path, const struct fathom_train_dictionary *dictionary, bool seeds,
                     bool tokens, bool architectures) {
    const size_t stem = fathom__stem_length(path);
    char seed[32] = "", count[32] = "", architecture[LONGEST_NAME] = "";
    if (seeds) snprintf(seed, sizeof seed, "-seed%llu", (unsigned long long)dictionary->options.seed);
    if (architectures)
        snprintf(architecture, sizeof architecture, "-%s",
                 fathom_trainer_architecture_name(dictionary->options.architecture));
    if (tokens) snprintf(count, sizeof count, "-%llu", (unsigned long long)dictionary->tokens);
    return fathom__format(out, "%.*s-%s%s-%u-%u%s%s%s", (int)stem, path, dictionary->hook, architecture,
                          dictionary->options.n_features, dictionary->options.k, count, seed, path + stem);
}

struct lists {
    struct numbers architectures, features, ks, tokens;
    bool several;
};

static int add_dictionaries(struct train_request *request, const struct lists *lists,
                            const struct fathom_train_dictionary *like, const char *output) {
    const size_t n_tokens = lists->tokens.n ? lists->tokens.n : 1,
                 n = lists->architectures.n * lists->features.n * lists->ks.n * n_tokens * request->n_seeds;
    if (request->n_dictionaries + n > TRAIN_DICTIONARIES)
        return fathom__fail(FATHOM_ERROR_LIMIT, "at most %d dictionaries are trained at once", TRAIN_DICTIONARIES);
    for (size_t i = 0; i < n; i++) {
        size_t rest = i;
        struct fathom_train_dictionary *dictionary = &request->dictionaries[request->n_dictionaries];
        char **path = &request->paths[request->n_dictionaries++];
        *dictionary = *like;
        dictionary->options.seed = request->trainer.seed + rest % request->n_seeds;
        rest /= request->n_seeds;
        if (n_tokens > 1) dictionary->tokens = lists->tokens.values[rest % n_tokens];
        rest /= n_tokens;
        dictionary->options.k = (uint32_t)lists->ks.values[rest % lists->ks.n];
        rest /= lists->ks.n;
        dictionary->options.n_features = (uint32_t)lists->features.values[rest % lists->features.n];
        rest /= lists->features.n;
        dictionary->options.architecture = (enum fathom_trainer_architecture)lists->architectures.values[rest];
        const int status = lists->several ? vary_path(path, output, dictionary, request->n_seeds > 1, n_tokens > 1,
                                                      lists->architectures.n > 1)
                                          : fathom__copy_string(path, output);
        if (status) return status;
        dictionary->path = *path;
    }
    return 0;
}

/* Every hook point with every architecture, width, k, token count and seed. */
static int list_dictionaries(struct train_request *request, const struct cli_arguments *arguments, const char *output) {
    const char *hooks = cli_text(arguments, "hook", ""), *hooks_out = cli_text(arguments, "hook-out", NULL),
               *tokens = cli_text(arguments, "tokens", NULL);
    struct lists lists = {.tokens.n = 0};
    int status = read_numbers(&lists.features, "features", cli_text(arguments, "features", "4096"), INT32_MAX);
    if (!status)
        status =
            read_architectures(&lists.architectures, cli_text(arguments, "arch", NULL), request->trainer.architecture);
    if (!status) status = read_numbers(&lists.ks, "k", cli_text(arguments, "k", "32"), INT32_MAX);
    if (!status && tokens) status = read_numbers(&lists.tokens, "tokens", tokens, INT64_MAX);
    if (!status) status = hook_list_expand(&request->hooks, hooks, request->run.model_path);
    if (!status && hooks_out) status = hook_list_expand(&request->hooks_out, hooks_out, request->run.model_path);
    if (status) return status;
    if (hooks_out && count_commas(request->hooks_out) != count_commas(request->hooks))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "--hook-out %s: as many hook points as in --hook %s are expected",
                            hooks_out, hooks);
    for (size_t i = 0; i < lists.tokens.n; i++)
        if (lists.tokens.values[i] > request->run.tokens) request->run.tokens = lists.tokens.values[i];
    lists.several = count_commas(request->hooks) > 0 || lists.architectures.n > 1 || lists.features.n > 1 ||
                    lists.ks.n > 1 || lists.tokens.n > 1 || request->n_seeds > 1;
    char *hook_state = NULL, *out_state = NULL;
    const char *hook = strtok_r(request->hooks, ",", &hook_state),
               *hook_out = request->hooks_out ? strtok_r(request->hooks_out, ",", &out_state) : NULL;
    while (hook && !status) {
        const struct fathom_train_dictionary like = {.hook = hook,
                                                     .hook_out = hook_out,
                                                     .dtype = cli_text(arguments, "dtype", NULL),
                                                     .start = cli_text(arguments, "start", NULL),
                                                     .options = request->trainer};
        status = add_dictionaries(request, &lists, &like, output);
        hook = strtok_r(NULL, ",", &hook_state);
        if (hook_out) hook_out = strtok_r(NULL, ",", &out_state);
    }
    return status;
}

int train_request_read(struct train_request **out, const struct cli_arguments *arguments, const char *output) {
    struct train_request *request = NULL;
    int64_t seeds;
    *out = NULL;
    int status = fathom__alloc(&request, 1, sizeof *request);
    if (status) return cli_fail(arguments, status);
    *out = request;
    if (!read_run(request, arguments) || !cli_integer(&seeds, arguments, "seeds", 1, TRAIN_DICTIONARIES, 1))
        return CLI_USAGE;
    request->n_seeds = (size_t)seeds;
    const int code = trainer_arguments_read(&request->trainer, arguments);
    if (code) return code;
    const char *folder = cli_text(arguments, "checkpoint", NULL);
    status = read_sources(request, arguments);
    if (!status) status = list_dictionaries(request, arguments, output);
    if (!status)
        status = folder ? fathom__copy_string(&request->checkpoint, folder)
                        : fathom__format(&request->checkpoint, "%s.checkpoint", output);
    request->run.checkpoint = request->checkpoint;
    return status ? cli_fail(arguments, status) : CLI_OK;
}

void train_request_free(struct train_request *request) {
    if (!request) return;
    for (size_t i = 0; i < TRAIN_DICTIONARIES; i++)
        fathom_free(request->paths[i]);
    corpus_arguments_free(&request->corpus);
    fathom_free(request->hooks);
    fathom_free(request->hooks_out);
    fathom_free(request->checkpoint);
    fathom_free(request);
}
