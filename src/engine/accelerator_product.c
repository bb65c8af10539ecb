/* The accelerator's products: oneDNN's matrix multiplication in bf16, prepared once per shape. */
#include "engine/accelerator_parts.h"

#if FATHOM__ACCELERATOR

#include "base/error.h"
#include "base/memory.h"
#include <fathom/model.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <string.h>

/* Shapes kept prepared by one worker; attention asks for one per width of the live keys, the layers for a handful. */
#define KEPT_SHAPES 128
/* The layout of packed weights is the one that a product with this many rows prefers. */
#define PACKING_ROWS 512

struct prepared {
    struct fathom__product_shape shape;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, other, scratch;
    size_t scratch_bytes;
};

struct fathom__products {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct prepared kept[KEPT_SHAPES];
    size_t n_kept, next, last;
    struct fathom__scratch scratch;
};

struct fathom__packed {
    dnnl_engine_t engine;
    void *bytes;
};

static int dnnl_failed(dnnl_status_t status, const char *doing) {
    return fathom__fail(status == dnnl_out_of_memory ? FATHOM_ERROR_MEMORY : FATHOM_ERROR_ENGINE,
                        "oneDNN could not %s (status %d)", doing, (int)status);
}

bool fathom__product_fast(void) {
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

static dnnl_status_t matrix(dnnl_memory_desc_t *out, int64_t rows, int64_t columns, dnnl_data_type_t type,
                            dnnl_format_tag_t layout) {
    const dnnl_dims_t sizes = {rows, columns};
    return dnnl_memory_desc_init_by_tag(out, 2, sizes, type, layout);
}

static dnnl_status_t add_finish(dnnl_primitive_attr_t attributes, const struct fathom__product_shape *shape) {
    dnnl_memory_desc_t other;
    dnnl_post_ops_t finish = NULL;
    if (shape->finish == FATHOM__FINISH_PLAIN) return dnnl_success;
    dnnl_status_t status = dnnl_post_ops_create(&finish);
    if (status == dnnl_success && shape->finish == FATHOM__FINISH_SILU)
        status = dnnl_post_ops_append_eltwise(finish, 1.0f, dnnl_eltwise_swish, 1.0f, 0.0f);
    if (status == dnnl_success && shape->finish == FATHOM__FINISH_GELU)
        status = dnnl_post_ops_append_eltwise(finish, 1.0f, dnnl_eltwise_gelu_tanh, 0.0f, 0.0f);
    if (status == dnnl_success && shape->finish == FATHOM__FINISH_TIMES) {
        status = matrix(&other, shape->m, shape->n, dnnl_bf16, dnnl_ab);
        if (status == dnnl_success) status = dnnl_post_ops_append_binary(finish, dnnl_binary_mul, &other);
    }
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, finish);
    if (finish) dnnl_post_ops_destroy(finish);
    return status;
}

/* Describes a product; with a layout of `any` for b oneDNN chooses b's layout. */
static dnnl_status_t describe(dnnl_primitive_desc_t *out, const struct fathom__product_shape *shape,
                              const dnnl_memory_desc_t *b, dnnl_engine_t engine) {
    dnnl_memory_desc_t a, c;
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = matrix(&a, shape->m, shape->k, dnnl_bf16, dnnl_ab);
    if (status == dnnl_success) status = matrix(&c, shape->m, shape->n, shape->to_bf16 ? dnnl_bf16 : dnnl_f32, dnnl_ab);
    if (status == dnnl_success) status = dnnl_matmul_desc_init(&product, &a, b, NULL, &c);
    if (status == dnnl_success) status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = add_finish(attributes, shape);
    if (status == dnnl_success) status = dnnl_primitive_desc_create(out, &product, attributes, engine, NULL);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

static dnnl_status_t packed_layout(dnnl_memory_desc_t *out, int64_t n, int64_t k, dnnl_engine_t engine) {
    const struct fathom__product_shape shape = {.m = PACKING_ROWS, .n = n, .k = k, .right = FATHOM__RIGHT_PACKED};
    dnnl_memory_desc_t any;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = matrix(&any, k, n, dnnl_bf16, dnnl_format_tag_any);
    if (status == dnnl_success) status = describe(&description, &shape, &any, engine);
    if (status == dnnl_success) *out = *dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
    if (description) dnnl_primitive_desc_destroy(description);
    return status;
}

static dnnl_status_t right_layout(dnnl_memory_desc_t *out, const struct fathom__product_shape *shape,
                                  dnnl_engine_t engine) {
    if (shape->right == FATHOM__RIGHT_PACKED) return packed_layout(out, shape->n, shape->k, engine);
    return matrix(out, shape->k, shape->n, dnnl_bf16, shape->right == FATHOM__RIGHT_ROWS ? dnnl_ba : dnnl_ab);
}

static void prepared_close(struct prepared *prepared) {
    if (prepared->primitive) dnnl_primitive_destroy(prepared->primitive);
    if (prepared->a) dnnl_memory_destroy(prepared->a);
    if (prepared->b) dnnl_memory_destroy(prepared->b);
    if (prepared->c) dnnl_memory_destroy(prepared->c);
    if (prepared->other) dnnl_memory_destroy(prepared->other);
    if (prepared->scratch) dnnl_memory_destroy(prepared->scratch);
    memset(prepared, 0, sizeof *prepared);
}

static dnnl_status_t prepare(struct prepared *out, const struct fathom__product_shape *shape, dnnl_engine_t engine) {
    dnnl_memory_desc_t layout, other;
    dnnl_primitive_desc_t description = NULL;
    memset(out, 0, sizeof *out);
    out->shape = *shape;
    dnnl_status_t status = right_layout(&layout, shape, engine);
    if (status == dnnl_success) status = describe(&description, shape, &layout, engine);
    if (status == dnnl_success) status = dnnl_primitive_create(&out->primitive, description);
    if (status == dnnl_success)
        status = dnnl_memory_create(&out->a, dnnl_primitive_desc_query_md(description, dnnl_query_src_md, 0), engine,
                                    DNNL_MEMORY_NONE);
    if (status == dnnl_success) status = dnnl_memory_create(&out->b, &layout, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&out->c, dnnl_primitive_desc_query_md(description, dnnl_query_dst_md, 0), engine,
                                    DNNL_MEMORY_NONE);
    if (status == dnnl_success) status = matrix(&other, shape->m, shape->n, dnnl_bf16, dnnl_ab);
    if (status == dnnl_success) status = dnnl_memory_create(&out->other, &other, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success) {
        const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
        out->scratch_bytes = dnnl_memory_desc_get_size(scratch);
        status = dnnl_memory_create(&out->scratch, scratch, engine, DNNL_MEMORY_NONE);
    }
    if (description) dnnl_primitive_desc_destroy(description);
    if (status != dnnl_success) prepared_close(out);
    return status;
}

/* oneDNN keeps what it compiled for all threads, and reads it without a lock that checkers of threads know. */
static pthread_mutex_t preparing = PTHREAD_MUTEX_INITIALIZER;

static bool same_shape(const struct fathom__product_shape *a, const struct fathom__product_shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->right == b->right && a->finish == b->finish &&
           a->to_bf16 == b->to_bf16;
}

static int find_prepared(struct prepared **out, struct fathom__products *products,
                         const struct fathom__product_shape *shape) {
    for (size_t i = 0; i < products->n_kept; i++) {
        const size_t at = (products->last + i) % products->n_kept; /* attention asks for the same shape many times */
        if (same_shape(&products->kept[at].shape, shape)) {
            products->last = at;
            *out = &products->kept[at];
            return FATHOM_OK;
        }
    }
    struct prepared fresh;
    pthread_mutex_lock(&preparing);
    const dnnl_status_t status = prepare(&fresh, shape, products->engine);
    pthread_mutex_unlock(&preparing);
    if (status != dnnl_success) return dnnl_failed(status, "prepare a matrix product");
    if (products->n_kept < KEPT_SHAPES) {
        products->last = products->n_kept++;
    } else {
        products->last = products->next;
        products->next = (products->next + 1) % KEPT_SHAPES;
        prepared_close(&products->kept[products->last]);
    }
    products->kept[products->last] = fresh;
    *out = &products->kept[products->last];
    return FATHOM_OK;
}

/* oneDNN takes pointers that are not const for what it only reads. */
static void *unconst(const void *pointer) {
    void *plain;
    memcpy(&plain, &pointer, sizeof plain);
    return plain;
}

int fathom__product_run(struct fathom__products *products, const struct fathom__product_shape *shape,
                        const fathom__bf16 *a, const void *b, void *c, const fathom__bf16 *other) {
    struct prepared *prepared = NULL;
    void *scratch = NULL;
    int status = find_prepared(&prepared, products, shape);
    if (status == FATHOM_OK) status = fathom__scratch_hold(&scratch, &products->scratch, prepared->scratch_bytes);
    if (status != FATHOM_OK) return status;
    dnnl_memory_set_data_handle(prepared->a, unconst(a));
    dnnl_memory_set_data_handle(prepared->b, unconst(b));
    dnnl_memory_set_data_handle(prepared->c, c);
    dnnl_memory_set_data_handle(prepared->other, unconst(other));
    dnnl_memory_set_data_handle(prepared->scratch, scratch);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, prepared->a},
                                         {DNNL_ARG_WEIGHTS, prepared->b},
                                         {DNNL_ARG_DST, prepared->c},
                                         {DNNL_ARG_SCRATCHPAD, prepared->scratch},
                                         {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, prepared->other}};
    const int n = shape->finish == FATHOM__FINISH_TIMES ? 5 : 4;
    const dnnl_status_t done = dnnl_primitive_execute(prepared->primitive, products->stream, n, arguments);
    return done == dnnl_success ? FATHOM_OK : dnnl_failed(done, "multiply matrices");
}

int fathom__products_open(struct fathom__products **out) {
    struct fathom__products *products = NULL;
    int status = fathom__alloc(&products, 1, sizeof *products);
    if (status != FATHOM_OK) return status;
    dnnl_status_t done = dnnl_engine_create(&products->engine, dnnl_cpu, 0);
    if (done == dnnl_success) done = dnnl_stream_create(&products->stream, products->engine, dnnl_stream_default_flags);
    if (done != dnnl_success) {
        fathom__products_close(products);
        return dnnl_failed(done, "start on this processor");
    }
    *out = products;
    return FATHOM_OK;
}

void fathom__products_close(struct fathom__products *products) {
    if (!products) return;
    for (size_t i = 0; i < products->n_kept; i++)
        prepared_close(&products->kept[i]);
    if (products->stream) dnnl_stream_destroy(products->stream);
    if (products->engine) dnnl_engine_destroy(products->engine);
    fathom_free(products->scratch.bytes);
    fathom_free(products);
}

static int plain_bf16(fathom__bf16 **out, const struct ggml_tensor *weight) {
    const int64_t n = weight->ne[1], k = weight->ne[0];
    fathom__bf16 *plain = NULL;
    float *row = NULL;
    int status = fathom__alloc_aligned(&plain, (size_t)(n * k), sizeof *plain);
    if (status == FATHOM_OK) status = fathom__alloc_aligned(&row, (size_t)k, sizeof *row);
    for (int64_t i = 0; i < n && status == FATHOM_OK; i++) {
        const char *from = (const char *)weight->data + (size_t)i * weight->nb[1];
        if (weight->type == GGML_TYPE_BF16) {
            memcpy(plain + i * k, from, (size_t)k * sizeof *plain);
        } else if (weight->type == GGML_TYPE_F32) {
            fathom__to_bf16(plain + i * k, (const float *)(const void *)from, (size_t)k);
        } else {
            ggml_get_type_traits(weight->type)->to_float(from, row, k);
            fathom__to_bf16(plain + i * k, row, (size_t)k);
        }
    }
    fathom_free(row);
    if (status != FATHOM_OK) {
        fathom_free(plain);
        return status;
    }
    *out = plain;
    return FATHOM_OK;
}

static dnnl_status_t reorder(void *to, const dnnl_memory_desc_t *to_layout, void *from,
                             const dnnl_memory_desc_t *from_layout, dnnl_engine_t engine) {
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source = NULL, target = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status =
        dnnl_reorder_primitive_desc_create(&description, from_layout, engine, to_layout, engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, description);
    if (status == dnnl_success) status = dnnl_memory_create(&source, from_layout, engine, from);
    if (status == dnnl_success) status = dnnl_memory_create(&target, to_layout, engine, to);
    if (status == dnnl_success) status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
        status = dnnl_primitive_execute(primitive, stream, 2, arguments);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(stream);
    if (stream) dnnl_stream_destroy(stream);
    if (target) dnnl_memory_destroy(target);
    if (source) dnnl_memory_destroy(source);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (description) dnnl_primitive_desc_destroy(description);
    return status;
}

int fathom__packed_open(struct fathom__packed **out, const struct ggml_tensor *weight) {
    const int64_t n = weight->ne[1], k = weight->ne[0];
    struct fathom__packed *packed = NULL;
    fathom__bf16 *plain = NULL;
    dnnl_memory_desc_t from_layout, to_layout;
    dnnl_status_t done = dnnl_success;
    int status = fathom__alloc(&packed, 1, sizeof *packed);
    if (status != FATHOM_OK) return status;
    status = plain_bf16(&plain, weight);
    if (status != FATHOM_OK) goto end;
    done = dnnl_engine_create(&packed->engine, dnnl_cpu, 0);
    if (done == dnnl_success) done = matrix(&from_layout, k, n, dnnl_bf16, dnnl_ba);
    if (done == dnnl_success) done = packed_layout(&to_layout, n, k, packed->engine);
    if (done != dnnl_success) goto end;
    status = fathom__alloc_aligned(&packed->bytes, dnnl_memory_desc_get_size(&to_layout), 1);
    if (status == FATHOM_OK) done = reorder(packed->bytes, &to_layout, plain, &from_layout, packed->engine);
end:
    fathom_free(plain);
    if (status == FATHOM_OK && done != dnnl_success) status = dnnl_failed(done, "pack a weight matrix");
    if (status != FATHOM_OK) {
        fathom__packed_close(packed);
        return status;
    }
    *out = packed;
    return FATHOM_OK;
}

const void *fathom__packed_bytes(const struct fathom__packed *packed) {
    return packed->bytes;
}

void fathom__packed_close(struct fathom__packed *packed) {
    if (!packed) return;
    if (packed->engine) dnnl_engine_destroy(packed->engine);
    fathom_free(packed->bytes);
    fathom_free(packed);
}

#endif
