/* The accelerator as ggml sees it: a registry entry, one device, and a backend per context. */
#include "engine/accelerator.h"

#if FATHOM__ACCELERATOR

#include "base/error.h"
#include "base/memory.h"
#include "engine/accelerator_parts.h"
#include <dlfcn.h>
#include <fathom/model.h>
#include <ggml-backend.h>
#include <internal/ggml-backend-impl.h>
#include <internal/ggml-impl.h>
#include <pthread.h>
#include <string.h>

struct kept_weight {
    const void *address;
    int64_t n, k;
    enum ggml_type type;
    struct fathom__packed *packed;
};

struct fathom__accelerator {
    pthread_mutex_t lock;
    struct kept_weight *weights;
    size_t n_weights, capacity;
};

static _Thread_local fathom__accelerator *in_use;

int fathom__scratch_hold(void *out, struct fathom__scratch *scratch, size_t size) {
    if (scratch->size < size || !scratch->bytes) {
        void *bytes = NULL;
        const int status = fathom__alloc_aligned(&bytes, size + size / 4 + 64, 1);
        if (status != FATHOM_OK) return status;
        fathom_free(scratch->bytes);
        scratch->bytes = bytes;
        scratch->size = size + size / 4 + 64;
    }
    memcpy(out, &scratch->bytes, sizeof scratch->bytes);
    return FATHOM_OK;
}

int fathom__accelerator_packed(const struct fathom__packed **out, fathom__accelerator *accelerator,
                               const struct ggml_tensor *weight) {
    int status = FATHOM_OK;
    pthread_mutex_lock(&accelerator->lock);
    for (size_t i = 0; i < accelerator->n_weights; i++) {
        const struct kept_weight *kept = &accelerator->weights[i];
        if (kept->address == weight->data && kept->k == weight->ne[0] && kept->n == weight->ne[1] &&
            kept->type == weight->type) {
            *out = kept->packed;
            goto end;
        }
    }
    struct fathom__packed *packed = NULL;
    status = fathom__grow(&accelerator->weights, &accelerator->capacity, accelerator->n_weights + 1,
                          sizeof *accelerator->weights);
    if (status == FATHOM_OK) status = fathom__packed_open(&packed, weight);
    if (status == FATHOM_OK) {
        accelerator->weights[accelerator->n_weights++] =
            (struct kept_weight){weight->data, weight->ne[1], weight->ne[0], weight->type, packed};
        *out = packed;
    }
end:
    pthread_mutex_unlock(&accelerator->lock);
    return status;
}

/* The backend --------------------------------------------------------------------------------------------- */

static const char *backend_name(ggml_backend_t backend) {
    (void)backend;
    return "Fathom";
}

static void worker_close(struct fathom__worker *worker) {
    fathom__products_close(worker->products);
    struct fathom__scratch *const scratches[] = {&worker->rows,    &worker->gate,   &worker->keys,    &worker->values,
                                                 &worker->queries, &worker->scores, &worker->weights, &worker->sums,
                                                 &worker->mask,    &worker->ranges};
    for (size_t i = 0; i < sizeof scratches / sizeof *scratches; i++)
        fathom_free(scratches[i]->bytes);
    for (size_t i = 0; i < FATHOM__ROTATIONS; i++)
        fathom_free(worker->rotations[i].table);
    fathom_free(worker);
}

static void backend_free(ggml_backend_t backend) {
    worker_close(backend->context);
    fathom_free(backend);
}

static bool computes_nothing(enum ggml_op op) {
    return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE ||
           op == GGML_OP_TRANSPOSE;
}

static bool fusable_norm(const struct ggml_cgraph *graph, int at) {
    static const enum ggml_op pair[] = {GGML_OP_RMS_NORM, GGML_OP_MUL};
    return at + 1 < graph->n_nodes && ggml_can_fuse(graph, at, pair, 2) &&
           fathom__rows_can_norm_gain(graph->nodes[at], graph->nodes[at + 1]);
}

static enum ggml_status backend_compute(ggml_backend_t backend, struct ggml_cgraph *graph) {
    struct fathom__worker *worker = backend->context;
    if (!worker->accelerator) return GGML_STATUS_FAILED; /* the context was opened without one */
    worker->rounded = worker->ranged_mask = NULL;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct ggml_tensor *node = graph->nodes[i];
        int status = FATHOM_OK;
        if (computes_nothing(node->op) || ggml_is_empty(node) || !(node->flags & GGML_TENSOR_FLAG_COMPUTE)) continue;
        struct fathom__gated mlp;
        if (node->op == GGML_OP_MUL_MAT && fathom__gated_find(&mlp, graph, i)) {
            status = fathom__gated_compute(worker, &mlp);
            i += 3;
        } else if (node->op == GGML_OP_MUL_MAT) {
            status = fathom__weights_compute(worker, node);
        } else if (node->op == GGML_OP_FLASH_ATTN_EXT) {
            status = fathom__attention_compute(worker, node);
        } else if (fusable_norm(graph, i)) {
            status = fathom__rows_norm_gain(node, graph->nodes[i + 1]);
            i++;
        } else {
            status = fathom__rows_compute(worker, node);
        }
        if (graph->nodes[i]->data == worker->rounded_data) worker->rounded = NULL;
        if (status != FATHOM_OK) return status == FATHOM_ERROR_MEMORY ? GGML_STATUS_ALLOC_FAILED : GGML_STATUS_FAILED;
    }
    return GGML_STATUS_SUCCESS;
}

static ggml_guid_t backend_guid(void) {
    static ggml_guid guid = {0x66, 0x61, 0x74, 0x68, 0x6f, 0x6d, 0x2d, 0x61,
                             0x63, 0x63, 0x65, 0x6c, 0x2d, 0x62, 0x66, 0x31};
    return &guid;
}

/* The device ---------------------------------------------------------------------------------------------- */

static const char *device_name(ggml_backend_dev_t device) {
    (void)device;
    return "Fathom";
}

static const char *device_description(ggml_backend_dev_t device) {
    (void)device;
    return "bf16 on oneDNN, for harvesting";
}

static void device_memory(ggml_backend_dev_t device, size_t *free_bytes, size_t *total) {
    (void)device;
    *free_bytes = 0;
    *total = 0;
}

static enum ggml_backend_dev_type device_type(ggml_backend_dev_t device) {
    (void)device;
    return GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

static void device_properties(ggml_backend_dev_t device, struct ggml_backend_dev_props *properties) {
    memset(properties, 0, sizeof *properties);
    properties->name = device_name(device);
    properties->description = device_description(device);
    properties->type = device_type(device);
    properties->caps.buffer_from_host_ptr = true;
    properties->caps.mmap_support = true;
}

static ggml_backend_t device_open(ggml_backend_dev_t device, const char *parameters);

static ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device) {
    (void)device;
    return ggml_backend_cpu_buffer_type();
}

static ggml_backend_buffer_t device_buffer(ggml_backend_dev_t device, void *pointer, size_t size, size_t largest) {
    (void)device;
    (void)largest;
    return ggml_backend_cpu_buffer_from_ptr(pointer, size);
}

static bool device_supports(ggml_backend_dev_t device, const struct ggml_tensor *node) {
    (void)device;
    if (!in_use) return false;
    if (computes_nothing(node->op)) return true;
    if (node->op == GGML_OP_MUL_MAT) return fathom__weights_supports(node);
    if (node->op == GGML_OP_FLASH_ATTN_EXT) return fathom__attention_supports(node);
    return fathom__rows_supports(node);
}

static bool device_supports_buffers(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
    (void)device;
    return ggml_backend_buft_is_host(type);
}

static const char *registry_name(ggml_backend_reg_t registry);
static size_t registry_count(ggml_backend_reg_t registry);
static ggml_backend_dev_t registry_device(ggml_backend_reg_t registry, size_t index);

static void *registry_function(ggml_backend_reg_t registry, const char *name) {
    (void)registry;
    (void)name;
    return NULL;
}

static struct ggml_backend_reg the_registry = {
    .api_version = GGML_BACKEND_API_VERSION,
    .iface = {.get_name = registry_name,
              .get_device_count = registry_count,
              .get_device = registry_device,
              .get_proc_address = registry_function},
};

static struct ggml_backend_device the_device = {
    .iface = {.get_name = device_name,
              .get_description = device_description,
              .get_memory = device_memory,
              .get_type = device_type,
              .get_props = device_properties,
              .init_backend = device_open,
              .get_buffer_type = device_buffer_type,
              .buffer_from_host_ptr = device_buffer,
              .supports_op = device_supports,
              .supports_buft = device_supports_buffers},
    .reg = &the_registry,
};

static const char *registry_name(ggml_backend_reg_t registry) {
    (void)registry;
    return "Fathom";
}

static size_t registry_count(ggml_backend_reg_t registry) {
    (void)registry;
    return 1;
}

static ggml_backend_dev_t registry_device(ggml_backend_reg_t registry, size_t index) {
    (void)registry;
    return index == 0 ? &the_device : NULL;
}

static ggml_backend_t device_open(ggml_backend_dev_t device, const char *parameters) {
    struct ggml_backend *backend = NULL;
    struct fathom__worker *worker = NULL;
    (void)parameters;
    if (fathom__alloc(&backend, 1, sizeof *backend) != FATHOM_OK) return NULL;
    if (fathom__alloc(&worker, 1, sizeof *worker) != FATHOM_OK) goto fail;
    worker->accelerator = in_use;
    if (in_use && fathom__products_open(&worker->products) != FATHOM_OK) goto fail;
    backend->guid = backend_guid();
    backend->iface.get_name = backend_name;
    backend->iface.free = backend_free;
    backend->iface.graph_compute = backend_compute;
    backend->device = device;
    backend->context = worker;
    return backend;
fail:
    if (worker) worker_close(worker);
    fathom_free(backend);
    return NULL;
}

/* What the engine room calls ------------------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool registered;

static void register_once(void) {
    if (!fathom__product_fast()) return;
    ggml_backend_register(&the_registry);
    registered = true;
}

bool fathom__accelerator_register(void) {
    pthread_once(&once, register_once);
    return registered;
}

int fathom__accelerator_open(fathom__accelerator **out) {
    fathom__accelerator *accelerator = NULL;
    if (!fathom__accelerator_register())
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "this processor does not multiply bf16 in hardware");
    const int status = fathom__alloc(&accelerator, 1, sizeof *accelerator);
    if (status != FATHOM_OK) return status;
    pthread_mutex_init(&accelerator->lock, NULL);
    *out = accelerator;
    return FATHOM_OK;
}

void fathom__accelerator_close(fathom__accelerator *accelerator) {
    if (!accelerator) return;
    for (size_t i = 0; i < accelerator->n_weights; i++)
        fathom__packed_close(accelerator->weights[i].packed);
    fathom_free(accelerator->weights);
    pthread_mutex_destroy(&accelerator->lock);
    fathom_free(accelerator);
}

void fathom__accelerator_use(fathom__accelerator *accelerator) {
    in_use = accelerator;
    /* oneDNN splits a product over OpenMP's threads; workers side by side must each stay on their own. The setting is
     * the calling thread's alone.
     * Looked up by name, because oneDNN is also built with other thread libraries. */
    if (accelerator) {
        void *const found = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
        void (*set_threads)(int);
        memcpy(&set_threads, &found, sizeof found);
        if (set_threads) set_threads(1);
    }
}

bool fathom__accelerator_in_use(void) {
    return in_use != NULL;
}

#else

#include "base/error.h"
#include <stddef.h>

bool fathom__accelerator_register(void) {
    return false;
}

int fathom__accelerator_open(fathom__accelerator **out) {
    (void)out;
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "built without oneDNN");
}

void fathom__accelerator_close(fathom__accelerator *accelerator) {
    (void)accelerator;
}

void fathom__accelerator_use(fathom__accelerator *accelerator) {
    (void)accelerator;
}

bool fathom__accelerator_in_use(void) {
    return false;
}

#endif
