#include "engine/workers.h"
#include "base/error.h"
#include <ggml-backend.h>

/* How long a thread stays awake for more work, in the engine's units of 131,072 turns of a loop: about two milliseconds,
 * which is more than lies between two parts of a decode or two tokens of an answer, and less than a pause costs anyone. */
enum { AWAKE = 1 };

typedef struct ggml_threadpool *(*open_function)(struct ggml_threadpool_params *);
typedef void (*close_function)(struct ggml_threadpool *);

/* By name: where the engine's backends are libraries of their own, none is linked with. */
static void *find(const char *name) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return device ? ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name) : NULL;
}

int fathom__workers_open(struct ggml_threadpool **out, uint32_t n_threads) {
    const open_function open = (open_function)find("ggml_threadpool_new");
    *out = NULL;
    if (n_threads < 2 || !open || !find("ggml_threadpool_free")) return FATHOM_OK;
    struct ggml_threadpool_params params = ggml_threadpool_params_default((int)n_threads);
    params.poll = AWAKE;
    *out = open(&params);
    return *out ? FATHOM_OK : fathom__fail(FATHOM_ERROR_ENGINE, "session: %u threads cannot be started", n_threads);
}

void fathom__workers_close(struct ggml_threadpool *workers) {
    if (workers) ((close_function)find("ggml_threadpool_free"))(workers);
}
