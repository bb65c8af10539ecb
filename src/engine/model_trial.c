/* A trial in a child process (base/child.h): what aborts there would have aborted the caller. The child loads the model
 * without any GPU, tokenises a line and runs one token. Models of checked architectures need none of this, and
 * `trust_architecture` leaves it out. */
#include "base/child.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/guard.h"
#include "engine/model_parts.h"
#include <string.h>
#include <unistd.h>

enum { SAID_LIMIT = 1 << 16, MESSAGE_SIZE = 600, TRIAL_CONTEXT = 64, MOST_TOKENS = 64, CHILD_OK = 0, CHILD_FAILED = 1 };

#define TRIAL_SECONDS 300.0
#define TRIAL_TEXT "A trial: 12 words,\n\tna\xC3\xAFve \xF0\x9F\x8F\x80  and <b>so</b> on."

static int words_pipe = -1; /* in the child: where its words go */

/* ggml gives an assertion's text before it aborts. */
static void say_abort(const char *text) {
    fathom__child_say(words_pipe, text, strlen(text));
    _exit(CHILD_FAILED);
}

static int run_one_token(struct llama_model *model) {
    struct llama_context_params params = llama_context_default_params();
    struct llama_context *context = NULL;
    llama_token tokens[MOST_TOKENS];
    int32_t n = 0, result = 0;
    params.n_ctx = TRIAL_CONTEXT;
    params.n_batch = params.n_ubatch = TRIAL_CONTEXT;
    params.n_threads = params.n_threads_batch = 1; /* no threads are started in the child */
    int status = fathom__guard_tokenize(&n, llama_model_get_vocab(model), TRIAL_TEXT, (int32_t)strlen(TRIAL_TEXT),
                                        tokens, MOST_TOKENS, true, false);
    if (status == FATHOM_OK) status = fathom__guard_context_init(&context, model, params);
    if (status != FATHOM_OK) return status;
    llama_token first = n > 0 ? tokens[0] : 0;
    status = fathom__guard_decode(&result, context, llama_batch_get_one(&first, 1));
    if (status == FATHOM_OK && result != 0)
        status = fathom__fail(FATHOM_ERROR_ENGINE, "running one token failed (%d)", result);
    return status;
}

struct trial {
    const char **paths;
    size_t n;
};

static int try_model(void *payload, int words) {
    const struct trial *trial = payload;
    struct llama_model_params params = llama_model_default_params();
    static ggml_backend_dev_t no_devices[] = {NULL};
    struct llama_model *model = NULL;
    words_pipe = words;
    ggml_set_abort_callback(say_abort);
    params.n_gpu_layers = 0;
    params.devices = no_devices;
    int status = fathom__guard_model_load(&model, trial->paths, trial->n, params);
    if (status == FATHOM_OK) status = run_one_token(model);
    if (status == FATHOM_OK) return CHILD_OK;
    fathom__child_say(words, fathom_error_message(), strlen(fathom_error_message()));
    return CHILD_FAILED;
}

/* What the child says begins with the file's name, as all messages do. */
static const char *without_name(const char *said, const char *path) {
    const size_t named = strlen(path);
    return strncmp(said, path, named) == 0 && said[named] == ':' ? said + named + strlen(": ") : said;
}

static int judge(const struct fathom__child_end *end, struct fathom__buffer *said, const char *path) {
    if (!end->in_time)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load did not end within %.0f seconds", path,
                            TRIAL_SECONDS);
    if (end->signal == 0 && end->value == CHILD_OK) return FATHOM_OK;
    for (size_t i = 0; i < said->length; i++)
        if (said->bytes[i] == '\n') said->bytes[i] = ' ';
    if (said->length > 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load failed: %.*s", path, MESSAGE_SIZE,
                            without_name(said->bytes, path));
    if (end->signal != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load was ended by %s", path, strsignal(end->signal));
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load failed", path);
}

int fathom__model_trial(const struct fathom__model_files *files) {
    const struct fathom__child_limits limits = {.seconds = TRIAL_SECONDS};
    struct fathom__buffer said = FATHOM__BUFFER_INIT(SAID_LIMIT);
    struct fathom__child_end end = {0};
    struct trial trial = {.n = files->n};
    int status = fathom__alloc(&trial.paths, files->n, sizeof *trial.paths);
    if (status != FATHOM_OK) return status;
    for (size_t i = 0; i < files->n; i++)
        trial.paths[i] = files->paths[i];
    status = fathom__child_run(&end, &said, files->paths[0], &limits, try_model, &trial);
    if (status == FATHOM_OK) status = judge(&end, &said, files->paths[0]);
    fathom__buffer_free(&said);
    fathom_free(trial.paths);
    return status;
}
