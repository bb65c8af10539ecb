#include "tests/support/far_device.h"

#ifdef FATHOM_HAVE_GGML_INTERNAL

#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <internal/ggml-backend-impl.h>
#include <internal/ggml-impl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_BUFFERS = 256, ALIGNMENT = 64 };

/* Buffers in use. Their pages are open only while the lock is held. */
static struct {
    pthread_mutex_t lock;
    struct {
        void *base;
        size_t size;
    } buffers[MOST_BUFFERS];
    uint64_t computed;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void set_access(int protection) {
    for (size_t i = 0; i < MOST_BUFFERS; i++)
        if (memory.buffers[i].base && mprotect(memory.buffers[i].base, memory.buffers[i].size, protection) != 0)
            abort();
}

static void begin(void) {
    pthread_mutex_lock(&memory.lock);
    set_access(PROT_READ | PROT_WRITE);
}

static void end(void) {
    set_access(PROT_NONE);
    pthread_mutex_unlock(&memory.lock);
}

/* Buffers ------------------------------------------------------------------------------------------------- */

static void buffer_free(ggml_backend_buffer_t buffer) {
    pthread_mutex_lock(&memory.lock);
    for (size_t i = 0; i < MOST_BUFFERS; i++) {
        if (memory.buffers[i].base != buffer->context) continue;
        munmap(memory.buffers[i].base, memory.buffers[i].size);
        memory.buffers[i].base = NULL;
    }
    pthread_mutex_unlock(&memory.lock);
}

static void *buffer_base(ggml_backend_buffer_t buffer) {
    return buffer->context;
}

static void buffer_fill(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor, uint8_t value, size_t offset,
                        size_t size) {
    (void)buffer;
    begin();
    memset((char *)tensor->data + offset, value, size);
    end();
}

static void buffer_set(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor, const void *data, size_t offset,
                       size_t size) {
    (void)buffer;
    begin();
    memcpy((char *)tensor->data + offset, data, size);
    end();
}

static void buffer_get(ggml_backend_buffer_t buffer, const struct ggml_tensor *tensor, void *data, size_t offset,
                       size_t size) {
    (void)buffer;
    begin();
    memcpy(data, (const char *)tensor->data + offset, size);
    end();
}

static void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    begin();
    memset(buffer->context, value, buffer->size);
    end();
}

static const char *type_name(ggml_backend_buffer_type_t type) {
    (void)type;
    return "Far";
}

static ggml_backend_buffer_t type_alloc(ggml_backend_buffer_type_t type, size_t size) {
    static const struct ggml_backend_buffer_i functions = {.free_buffer = buffer_free,
                                                           .get_base = buffer_base,
                                                           .memset_tensor = buffer_fill,
                                                           .set_tensor = buffer_set,
                                                           .get_tensor = buffer_get,
                                                           .clear = buffer_clear};
    const size_t held = size ? size : 1;
    void *const base = mmap(NULL, held, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool kept = false;
    if (base == MAP_FAILED) return NULL;
    pthread_mutex_lock(&memory.lock);
    for (size_t i = 0; i < MOST_BUFFERS && !kept; i++) {
        if (memory.buffers[i].base) continue;
        memory.buffers[i].base = base;
        memory.buffers[i].size = held;
        kept = true;
    }
    pthread_mutex_unlock(&memory.lock);
    if (kept) return ggml_backend_buffer_init(type, functions, base, size);
    munmap(base, held);
    return NULL;
}

static size_t type_alignment(ggml_backend_buffer_type_t type) {
    (void)type;
    return ALIGNMENT;
}

static bool type_is_host(ggml_backend_buffer_type_t type) {
    (void)type;
    return false;
}

/* The backend: one of the CPU's own behind it ------------------------------------------------------------- */

static const char *far_name(ggml_backend_t backend) {
    (void)backend;
    return "Far0";
}

static void far_free(ggml_backend_t backend) {
    ggml_backend_free(backend->context);
    free(backend);
}

static enum ggml_status far_compute(ggml_backend_t backend, struct ggml_cgraph *graph) {
    begin();
    const enum ggml_status status = ggml_backend_graph_compute(backend->context, graph);
    memory.computed += (uint64_t)graph->n_nodes;
    end();
    return status;
}

uint64_t fathom_test_far_device_computed(void) {
    pthread_mutex_lock(&memory.lock);
    const uint64_t computed = memory.computed;
    pthread_mutex_unlock(&memory.lock);
    return computed;
}

/* The device ---------------------------------------------------------------------------------------------- */

static const char *device_name(ggml_backend_dev_t device) {
    (void)device;
    return "Far0";
}

static const char *device_description(ggml_backend_dev_t device) {
    (void)device;
    return "the processor, in memory of its own";
}

static void device_memory(ggml_backend_dev_t device, size_t *free_bytes, size_t *total) {
    (void)device;
    *free_bytes = *total = (size_t)1 << 32;
}

static enum ggml_backend_dev_type device_type(ggml_backend_dev_t device) {
    (void)device;
    return GGML_BACKEND_DEVICE_TYPE_GPU;
}

static void device_properties(ggml_backend_dev_t device, struct ggml_backend_dev_props *properties) {
    memset(properties, 0, sizeof *properties);
    properties->name = device_name(device);
    properties->description = device_description(device);
    properties->type = device_type(device);
    device_memory(device, &properties->memory_free, &properties->memory_total);
}

static ggml_backend_t device_open(ggml_backend_dev_t device, const char *parameters);
static ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device);

static bool device_supports(ggml_backend_dev_t device, const struct ggml_tensor *node) {
    (void)device;
    return ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), node);
}

static bool device_supports_buffers(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
    return type == device_buffer_type(device);
}

/* As GPUs do, it asks for products whose weights lie in the processor's memory. */
static bool device_wants(ggml_backend_dev_t device, const struct ggml_tensor *node) {
    (void)device;
    return node->op == GGML_OP_MUL_MAT;
}

/* The registry -------------------------------------------------------------------------------------------- */

static const char *registry_name(ggml_backend_reg_t registry) {
    (void)registry;
    return "Far";
}

static size_t registry_count(ggml_backend_reg_t registry) {
    (void)registry;
    return 1;
}

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
              .supports_op = device_supports,
              .supports_buft = device_supports_buffers,
              .offload_op = device_wants},
    .reg = &the_registry,
};

static struct ggml_backend_buffer_type the_buffer_type = {
    .iface = {.get_name = type_name,
              .alloc_buffer = type_alloc,
              .get_alignment = type_alignment,
              .is_host = type_is_host},
    .device = &the_device,
};

static ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device) {
    (void)device;
    return &the_buffer_type;
}

static ggml_backend_t device_open(ggml_backend_dev_t device, const char *parameters) {
    static ggml_guid guid = {0x66, 0x61, 0x74, 0x68, 0x6f, 0x6d, 0x2d, 0x74,
                             0x65, 0x73, 0x74, 0x2d, 0x66, 0x61, 0x72, 0x30};
    (void)parameters;
    struct ggml_backend *const backend = calloc(1, sizeof *backend);
    if (!backend) return NULL;
    backend->guid = &guid;
    backend->iface.get_name = far_name;
    backend->iface.free = far_free;
    backend->iface.graph_compute = far_compute;
    backend->device = device;
    backend->context = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, NULL);
    if (!backend->context) {
        free(backend);
        return NULL;
    }
    ggml_backend_cpu_set_n_threads(backend->context, 1);
    return backend;
}

static ggml_backend_dev_t registry_device(ggml_backend_reg_t registry, size_t index) {
    (void)registry;
    return index == 0 ? &the_device : NULL;
}

bool fathom_test_far_device(void) {
    static bool registered;
    if (!registered) ggml_backend_register(&the_registry);
    return registered = true;
}

#else

bool fathom_test_far_device(void) {
    return false;
}

uint64_t fathom_test_far_device_computed(void) {
    return 0;
}

#endif
