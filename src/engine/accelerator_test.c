/* The accelerator against plain loops and against sessions without it. Everything here passes without running where
 * there is none. */
#include "base/memory.h"
#include "base/random.h"
#include "base/scratch.h"
#include "engine/accelerator.h"
#include "tests/support/tiny_model.h"
#include <fathom/session.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call) assert_status(call, FATHOM_OK, #call)
static void assert_status(int status, int expected, const char *call) {
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", call, fathom_error_name(status), fathom_error_message(),
                 fathom_error_name(expected));
}

#if FATHOM__ACCELERATOR

#include "engine/accelerator_parts.h"
#include "engine/vector.h"
#include <ggml-backend.h>

#define NEED_ACCELERATOR()                                                                                             \
    do {                                                                                                               \
        if (!fathom__accelerator_register()) skip();                                                                   \
    } while (0)

static float rounded(float x) {
    fathom__bf16 half;
    uint32_t bits;
    float back;
    fathom__to_bf16(&half, &x, 1);
    bits = (uint32_t)half << 16;
    memcpy(&back, &bits, sizeof back);
    return back;
}

static void exponentials_are_exact_enough(void **state) {
    (void)state;
    for (float x = -95.0f; x < 88.0f; x += 0.037f) {
        float lanes[FATHOM__LANES];
        fathom__v_store(lanes, fathom__v_exp(fathom__v_all(x)));
        if (x < -87.0f)
            assert_true(lanes[3] == 0.0f);
        else
            assert_true(fabs(lanes[3] - exp((double)x)) <= 3e-7 * exp((double)x));
        fathom__v_store(lanes, fathom__v_tanh(fathom__v_all(x)));
        assert_true(fabs(lanes[5] - tanh((double)x)) < 3e-7);
    }
    float lanes[FATHOM__LANES];
    fathom__v_store(lanes, fathom__v_exp(fathom__v_all(-INFINITY)));
    assert_true(lanes[0] == 0.0f);
}

static void bf16_is_rounded_to_nearest_even(void **state) {
    (void)state;
    assert_true(rounded(1.0f) == 1.0f);
    assert_true(rounded(1.00390625f) == 1.0f);      /* halfway between 1 and 1 + 2^-7: to even */
    assert_true(rounded(1.01171875f) == 1.015625f); /* halfway above an odd one */
    assert_true(rounded(1.004f) == 1.0078125f);
    assert_true(rounded(-3.0e38f) == -2.99073e38f || fabsf(rounded(-3.0e38f) / -3.0e38f - 1) < 4e-3f);
    assert_true(isnan(rounded(NAN)));
    assert_true(isinf(rounded(INFINITY)));
}

/* A weight matrix [n, k] in a ggml type. */
static struct ggml_tensor *make_weight(struct ggml_context *context, enum ggml_type type, int64_t n, int64_t k,
                                       struct fathom__random *random) {
    struct ggml_tensor *tensor = ggml_new_tensor_2d(context, type, k, n);
    float *values = NULL;
    OK(fathom__alloc(&values, (size_t)(n * k), sizeof *values));
    for (int64_t i = 0; i < n * k; i++)
        values[i] = (float)fathom__random_normal(random);
    ggml_quantize_chunk(type, values, tensor->data, 0, n, k, NULL);
    fathom_free(values);
    return tensor;
}

static float weight_at(const struct ggml_tensor *weight, int64_t row, int64_t column) {
    float values[512];
    const void *from = (const char *)weight->data + (size_t)row * weight->nb[1];
    if (weight->type == GGML_TYPE_F32) return ((const float *)from)[column];
    ggml_get_type_traits(weight->type)->to_float(from, values, weight->ne[0]);
    return values[column];
}

static double finished(double sum, enum fathom__product_finish finish, float other) {
    switch (finish) {
    case FATHOM__FINISH_SILU: return sum / (1 + exp(-sum));
    case FATHOM__FINISH_GELU: return 0.5 * sum * (1 + tanh(0.79788456080286536 * sum * (1 + 0.044715 * sum * sum)));
    case FATHOM__FINISH_TIMES: return sum * other;
    default: return sum;
    }
}

static void products_match_plain_loops(void **state) {
    static const enum ggml_type types[] = {GGML_TYPE_F32, GGML_TYPE_BF16, GGML_TYPE_F16, GGML_TYPE_Q8_0};
    static const int64_t rows[] = {1, 33, 130};
    enum { N = 80, K = 96 };
    struct fathom__random random;
    struct fathom__products *products = NULL;
    float *a = NULL, *c = NULL;
    fathom__bf16 *half = NULL;
    (void)state;
    NEED_ACCELERATOR();
    fathom__random_seed(&random, 5);
    OK(fathom__products_open(&products));
    OK(fathom__alloc_aligned(&a, 130 * (size_t)K, sizeof *a));
    OK(fathom__alloc_aligned(&half, 130 * (size_t)K, sizeof *half));
    OK(fathom__alloc_aligned(&c, 130 * (size_t)N, sizeof *c));
    for (size_t i = 0; i < 130 * (size_t)K; i++)
        a[i] = rounded((float)fathom__random_normal(&random));
    fathom__to_bf16(half, a, 130 * (size_t)K);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct ggml_context *context = ggml_init((struct ggml_init_params){1 << 20, NULL, false});
        struct ggml_tensor *weight = make_weight(context, types[t], N, K, &random);
        struct fathom__packed *packed = NULL;
        OK(fathom__packed_open(&packed, weight));
        for (size_t m = 0; m < 3; m++) {
            for (int finish = FATHOM__FINISH_PLAIN; finish <= FATHOM__FINISH_TIMES; finish++) {
                const struct fathom__product_shape shape = {.m = rows[m],
                                                            .n = N,
                                                            .k = K,
                                                            .right = FATHOM__RIGHT_PACKED,
                                                            .finish = (enum fathom__product_finish)finish};
                double difference = 0, size = 0;
                OK(fathom__product_run(products, &shape, half, fathom__packed_bytes(packed), c, half));
                for (int64_t i = 0; i < rows[m]; i++) {
                    for (int64_t j = 0; j < N; j++) {
                        double sum = 0;
                        for (int64_t k = 0; k < K; k++)
                            sum += (double)a[i * K + k] * rounded(weight_at(weight, j, k));
                        /* `half` read as a matrix of N columns */
                        sum = finished(sum, shape.finish, a[i * N + j]);
                        difference += (sum - c[i * N + j]) * (sum - c[i * N + j]);
                        size += sum * sum;
                    }
                }
                if (!(sqrt(difference / size) < 1e-4))
                    fail_msg("%s, %d rows, finish %d: off by %g", ggml_type_name(types[t]), (int)rows[m], finish,
                             sqrt(difference / size));
            }
        }
        fathom__packed_close(packed);
        ggml_free(context);
    }
    fathom_free(a);
    fathom_free(half);
    fathom_free(c);
    fathom__products_close(products);
}

static void products_with_rows_and_columns(void **state) {
    enum { M = 20, N = 64, K = 48 };
    struct fathom__random random;
    struct fathom__products *products = NULL;
    fathom__bf16 *a = NULL, *rows = NULL, *columns = NULL;
    float c[M * N], d[M * N], one;
    (void)state;
    NEED_ACCELERATOR();
    fathom__random_seed(&random, 6);
    OK(fathom__alloc_aligned(&a, M * K, sizeof *a));
    OK(fathom__alloc_aligned(&rows, N * K, sizeof *rows));
    OK(fathom__alloc_aligned(&columns, N * K, sizeof *columns));
    for (size_t i = 0; i < M * K; i++) {
        one = (float)fathom__random_normal(&random);
        fathom__to_bf16(&a[i], &one, 1);
    }
    for (size_t j = 0; j < N; j++) {
        for (size_t k = 0; k < K; k++) {
            one = (float)fathom__random_normal(&random);
            fathom__to_bf16(&rows[j * K + k], &one, 1);
            columns[k * N + j] = rows[j * K + k];
        }
    }
    OK(fathom__products_open(&products));
    OK(fathom__product_run(products,
                           &(struct fathom__product_shape){.m = M, .n = N, .k = K, .right = FATHOM__RIGHT_ROWS}, a,
                           rows, c, NULL));
    OK(fathom__product_run(products,
                           &(struct fathom__product_shape){.m = M, .n = N, .k = K, .right = FATHOM__RIGHT_COLUMNS}, a,
                           columns, d, NULL));
    double size = 0;
    for (size_t i = 0; i < M * N; i++) {
        assert_true(fabsf(c[i] - d[i]) < 1e-4f);
        size += fabsf(c[i]);
    }
    assert_true(size > M * N);
    fathom__products_close(products);
    fathom_free(a);
    fathom_free(rows);
    fathom_free(columns);
}

static struct ggml_tensor *rope(struct ggml_context *g, struct ggml_tensor *q, struct ggml_tensor *positions, int n,
                                int mode, float extension) {
    return ggml_rope_ext(g, q, positions, NULL, n, mode, 2048, 10000.0f, 1.0f, extension, 1.0f, 32.0f, 1.0f);
}

static void what_it_cannot_do_is_refused(void **state) {
    (void)state;
    NEED_ACCELERATOR();
    struct ggml_context *g = ggml_init((struct ggml_init_params){1 << 20, NULL, true});
    struct ggml_tensor *rows = ggml_new_tensor_2d(g, GGML_TYPE_F32, 64, 5),
                       *odd = ggml_new_tensor_2d(g, GGML_TYPE_F32, 24, 5);
    struct ggml_tensor *halves = ggml_new_tensor_2d(g, GGML_TYPE_F16, 64, 5),
                       *gain = ggml_new_tensor_1d(g, GGML_TYPE_F32, 64);
    struct ggml_tensor *heads = ggml_new_tensor_3d(g, GGML_TYPE_F32, 64, 2, 5),
                       *positions = ggml_new_tensor_1d(g, GGML_TYPE_I32, 5);
    assert_true(fathom__rows_supports(ggml_rms_norm(g, rows, 1e-5f)));
    assert_false(fathom__rows_supports(ggml_rms_norm(g, odd, 1e-5f)));
    assert_true(fathom__rows_supports(ggml_mul(g, rows, gain)));
    assert_true(fathom__rows_supports(ggml_add(g, rows, rows)));
    assert_false(fathom__rows_supports(ggml_add(g, halves, rows)));
    assert_true(fathom__rows_supports(ggml_swiglu_split(g, rows, rows)));
    assert_false(fathom__rows_supports(ggml_reglu_split(g, rows, rows)));
    assert_false(fathom__rows_supports(ggml_swiglu(g, rows)));
    assert_false(fathom__rows_supports(ggml_soft_max(g, rows)));
    assert_true(fathom__rows_supports(rope(g, heads, positions, 64, GGML_ROPE_TYPE_NORMAL, 0)));
    assert_true(fathom__rows_supports(rope(g, heads, positions, 64, GGML_ROPE_TYPE_NEOX, 0)));
    assert_false(fathom__rows_supports(rope(g, heads, positions, 8, GGML_ROPE_TYPE_NORMAL, 0)));
    assert_false(fathom__rows_supports(rope(g, heads, positions, 64, GGML_ROPE_TYPE_NORMAL, 1)));

    struct ggml_tensor *q = ggml_new_tensor_3d(g, GGML_TYPE_F32, 64, 5, 4),
                       *mask = ggml_new_tensor_2d(g, GGML_TYPE_F16, 128, 5);
    struct ggml_tensor *k = ggml_new_tensor_3d(g, GGML_TYPE_F16, 64, 128, 2),
                       *k32 = ggml_new_tensor_3d(g, GGML_TYPE_F32, 64, 128, 2);
    struct ggml_tensor *few = ggml_new_tensor_3d(g, GGML_TYPE_F16, 64, 96, 2),
                       *few_mask = ggml_new_tensor_2d(g, GGML_TYPE_F16, 96, 5);
    assert_true(fathom__attention_supports(ggml_flash_attn_ext(g, q, k, k, mask, 0.1f, 0, 0)));
    assert_true(fathom__attention_supports(ggml_flash_attn_ext(g, q, k, k, mask, 0.1f, 0, 50)));
    assert_false(fathom__attention_supports(ggml_flash_attn_ext(g, q, k, k, mask, 0.1f, 8, 0)));
    assert_false(fathom__attention_supports(ggml_flash_attn_ext(g, q, k32, k32, mask, 0.1f, 0, 0)));
    assert_false(fathom__attention_supports(ggml_flash_attn_ext(g, q, k, k, NULL, 0.1f, 0, 0)));
    assert_false(fathom__attention_supports(ggml_flash_attn_ext(g, q, few, few, few_mask, 0.1f, 0, 0)));
    ggml_free(g);
}

static void nothing_is_claimed_unless_in_use(void **state) {
    fathom__accelerator *accelerator = NULL;
    (void)state;
    NEED_ACCELERATOR();
    ggml_backend_dev_t device = ggml_backend_dev_by_name("Fathom");
    assert_non_null(device);
    struct ggml_context *g = ggml_init((struct ggml_init_params){1 << 16, NULL, true});
    struct ggml_tensor *rows = ggml_new_tensor_2d(g, GGML_TYPE_F32, 64, 5),
                       *weight = ggml_new_tensor_2d(g, GGML_TYPE_F32, 64, 64);
    struct ggml_tensor *norm = ggml_rms_norm(g, rows, 1e-5f), *product = ggml_mul_mat(g, weight, rows);
    assert_false(ggml_backend_dev_supports_op(device, norm));
    OK(fathom__accelerator_open(&accelerator));
    fathom__accelerator_use(accelerator);
    assert_true(fathom__accelerator_in_use());
    assert_true(ggml_backend_dev_supports_op(device, norm));
    assert_false(ggml_backend_dev_supports_op(device, product)); /* not a weight: what it holds may change */
    fathom__accelerator_use(NULL);
    assert_false(fathom__accelerator_in_use());
    assert_false(ggml_backend_dev_supports_op(device, norm));
    fathom__accelerator_close(accelerator);
    ggml_free(g);
}

/* Sessions ------------------------------------------------------------------------------------------------- */

enum { ROWS = 150, SEQUENCES = 3 };
static const char *const hooks[] = {"resid_post.0", "mlp_pre.1", "mlp_post.1",   "q.1",
                                    "rot_k.2",      "z.2",       "resid_post.3", "final_norm"};
#define N_HOOKS (sizeof hooks / sizeof *hooks)

struct seen {
    float *values[N_HOOKS];
    size_t widths[N_HOOKS];
};
struct tapped {
    struct seen *seen;
    size_t hook;
};

static int see(const struct fathom_block *block, void *payload) {
    const struct tapped *tapped = payload;
    assert_int_equal(block->n_rows, ROWS);
    tapped->seen->widths[tapped->hook] = block->width;
    OK(fathom__alloc(&tapped->seen->values[tapped->hook], block->n_rows * block->width, sizeof(float)));
    memcpy(tapped->seen->values[tapped->hook], block->rows, block->n_rows * block->width * sizeof(float));
    return 0;
}

/* Adds 1 to one channel of the rows of sequence 1. */
static int nudge(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    (void)payload;
    for (size_t r = 0; r < block->n_rows; r++)
        if (block->sequences[r] == 1) rows[r * block->width + 7] += 1.0f;
    *changed = true;
    return 0;
}

static void run_session(struct seen *seen, const fathom_model *model, bool edit) {
    static const int lengths[SEQUENCES] = {70, 13, 67};
    const struct fathom_session_options options = {
        .n_context = 256, .n_batch = 256, .n_sequences = SEQUENCES, .n_threads = 1, .flash_attention = true};
    fathom_session *session = NULL;
    struct fathom_row rows[ROWS];
    struct tapped tapped[N_HOOKS];
    struct fathom_hook hook;
    size_t n = 0;
    OK(fathom_session_open(&session, model, &options));
    for (size_t h = 0; h < N_HOOKS; h++) {
        tapped[h] = (struct tapped){seen, h};
        OK(fathom_hook_parse(&hook, model, hooks[h]));
        OK(fathom_session_tap(NULL, session, hook, see, &tapped[h]));
    }
    OK(fathom_hook_parse(&hook, model, "resid_mid.0"));
    if (edit) OK(fathom_session_edit(NULL, session, hook, nudge, NULL));
    for (int s = 0; s < SEQUENCES; s++)
        for (int i = 0; i < lengths[s]; i++, n++)
            rows[n] = (struct fathom_row){.token = (int32_t)(5 + (n * n) % 90), .position = i, .sequence = s};
    assert_int_equal(n, ROWS);
    OK(fathom_session_decode(session, rows, ROWS));
    fathom_session_close(session);
}

static double relative_difference(const struct seen *a, const struct seen *b, size_t hook) {
    double difference = 0, size = 0;
    assert_int_equal(a->widths[hook], b->widths[hook]);
    for (size_t i = 0; i < ROWS * a->widths[hook]; i++) {
        const double d = a->values[hook][i] - b->values[hook][i];
        difference += d * d;
        size += (double)a->values[hook][i] * a->values[hook][i];
    }
    assert_true(size > 0);
    return sqrt(difference / size);
}

static void free_seen(struct seen *seen) {
    for (size_t h = 0; h < N_HOOKS; h++)
        fathom_free(seen->values[h]);
}

static void sessions_agree_with_and_without(void **state) {
    static const char *const architectures[] = {"llama", "gemma3"};
    (void)state;
    NEED_ACCELERATOR();
    for (int i = 0; i < 2; i++) {
        const char *path = scratch("model.gguf");
        fathom_model *model = NULL;
        fathom__accelerator *accelerator = NULL;
        struct seen plain = {0}, fast = {0}, edited = {0}, plain_edited = {0};
        OK(fathom_test_tiny_model(path, architectures[i], 4));
        OK(fathom_model_open(&model, path, NULL));
        run_session(&plain, model, false);
        run_session(&plain_edited, model, true);
        OK(fathom__accelerator_open(&accelerator));
        fathom__accelerator_use(accelerator);
        run_session(&fast, model, false);
        run_session(&edited, model, true);
        fathom__accelerator_use(NULL);
        for (size_t h = 0; h < N_HOOKS; h++) {
            const double off = relative_difference(&plain, &fast, h), effect = relative_difference(&fast, &edited, h);
            if (!(off > 0 && off < 2e-2)) fail_msg("%s %s is off by %g", architectures[i], hooks[h], off);
            if (!(effect > 3 * off))
                fail_msg("%s %s: an edit before it changes only %g", architectures[i], hooks[h], effect);
            assert_true(relative_difference(&plain_edited, &edited, h) < 2e-2);
        }
        free_seen(&plain);
        free_seen(&fast);
        free_seen(&edited);
        free_seen(&plain_edited);
        fathom_model_close(model);
        fathom__accelerator_close(accelerator);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_are_exact_enough),   cmocka_unit_test(bf16_is_rounded_to_nearest_even),
        cmocka_unit_test(products_match_plain_loops),      cmocka_unit_test(products_with_rows_and_columns),
        cmocka_unit_test(what_it_cannot_do_is_refused),    cmocka_unit_test(nothing_is_claimed_unless_in_use),
        cmocka_unit_test(sessions_agree_with_and_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void there_is_none(void **state) {
    fathom__accelerator *accelerator = NULL;
    (void)state;
    assert_false(fathom__accelerator_register());
    assert_status(fathom__accelerator_open(&accelerator), FATHOM_ERROR_UNSUPPORTED, "open");
    assert_null(accelerator);
    assert_false(fathom__accelerator_in_use());
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
