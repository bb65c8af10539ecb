/* The accelerator's operations over rows: norms, sums, products by element, gated activations, rotation, cache
 * writes. */
#include "engine/accelerator_parts.h"

#if FATHOM__ACCELERATOR

#include "base/error.h"
#include "base/memory.h"
#include "engine/vector.h"
#include <fathom/model.h>
#include <ggml-cpu.h>
#include <math.h>
#include <string.h>

/* Rotation parameters of a node, as ggml packs them. */
enum {
    ROPE_DIMENSIONS = 1,
    ROPE_MODE = 2,
    ROPE_BASE = 5,
    ROPE_SCALE = 6,
    ROPE_EXTENSION = 7,
    ROPE_MAGNITUDE = 8,
    ROPE_OFFSET = 15
};

#define FIRST_POSITIONS 256

void fathom__to_bf16(fathom__bf16 *out, const float *in, size_t n) {
    size_t i = 0;
    for (; i + FATHOM__LANES <= n; i += FATHOM__LANES)
        fathom__v_store_bf16(out + i, fathom__v_load(in + i));
    if (i < n) {
        float rest[FATHOM__LANES] = {0};
        fathom__bf16 rounded[FATHOM__LANES];
        memcpy(rest, in + i, (n - i) * sizeof *in);
        fathom__v_store_bf16(rounded, fathom__v_load(rest));
        memcpy(out + i, rounded, (n - i) * sizeof *out);
    }
}

/* Row r of a tensor whose rows are counted over its three outer dimensions. */
static void *row_of(const struct ggml_tensor *tensor, int64_t i1, int64_t i2, int64_t i3) {
    return (char *)tensor->data + (size_t)i1 * tensor->nb[1] + (size_t)i2 * tensor->nb[2] + (size_t)i3 * tensor->nb[3];
}

/* The row that broadcasting pairs with row (i1, i2, i3). */
static const float *paired_row(const struct ggml_tensor *tensor, int64_t i1, int64_t i2, int64_t i3) {
    return row_of(tensor, i1 % tensor->ne[1], i2 % tensor->ne[2], i3 % tensor->ne[3]);
}

#define FOR_ROWS(tensor)                                                                                               \
    for (int64_t i3 = 0; i3 < (tensor)->ne[3]; i3++)                                                                   \
        for (int64_t i2 = 0; i2 < (tensor)->ne[2]; i2++)                                                               \
            for (int64_t i1 = 0; i1 < (tensor)->ne[1]; i1++)

static float parameter(const struct ggml_tensor *node, int index) {
    float value;
    memcpy(&value, &node->op_params[index], sizeof value);
    return value;
}

/* Norms ---------------------------------------------------------------------------------------------------- */

static float inverse_rms(const float *x, int64_t n, float epsilon) {
    fathom__v sum = fathom__v_all(0.0f);
    for (int64_t i = 0; i < n; i += FATHOM__LANES) {
        const fathom__v v = fathom__v_load(x + i);
        sum += v * v;
    }
    return 1.0f / sqrtf(fathom__v_sum(sum) / (float)n + epsilon);
}

static void norm_row(float *y, const float *x, const float *gain, int64_t n, float epsilon) {
    const fathom__v scale = fathom__v_all(inverse_rms(x, n, epsilon));
    for (int64_t i = 0; i < n; i += FATHOM__LANES) {
        const fathom__v v = fathom__v_load(x + i) * scale;
        fathom__v_store(y + i, gain ? v * fathom__v_load(gain + i) : v);
    }
}

int fathom__rows_norm_gain(const struct ggml_tensor *norm, struct ggml_tensor *product) {
    const struct ggml_tensor *gain = product->src[0] == norm ? product->src[1] : product->src[0];
    FOR_ROWS(product)
    norm_row(row_of(product, i1, i2, i3), row_of(norm->src[0], i1, i2, i3), paired_row(gain, i1, i2, i3),
             product->ne[0], parameter(norm, 0));
    return FATHOM_OK;
}

bool fathom__rows_can_norm_gain(const struct ggml_tensor *norm, const struct ggml_tensor *product) {
    return product->src[0] == norm && fathom__rows_supports(norm) && fathom__rows_supports(product);
}

/* By element ----------------------------------------------------------------------------------------------- */

static void add_row(float *out, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i += FATHOM__LANES)
        fathom__v_store(out + i, fathom__v_load(a + i) + fathom__v_load(b + i));
}

static void multiply_row(float *out, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i += FATHOM__LANES)
        fathom__v_store(out + i, fathom__v_load(a + i) * fathom__v_load(b + i));
}

static void scale_row(float *out, const float *a, float scale, float shift, int64_t n) {
    for (int64_t i = 0; i < n; i += FATHOM__LANES)
        fathom__v_store(out + i, fathom__v_load(a + i) * scale + shift);
}

static void silu_row(float *out, const float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i += FATHOM__LANES) {
        const fathom__v g = fathom__v_load(gate + i);
        fathom__v_store(out + i, g / (1.0f + fathom__v_exp(-g)) * fathom__v_load(up + i));
    }
}

static void gelu_row(float *out, const float *gate, const float *up, int64_t n) {
    const float root = 0.79788456080286535588f, cubic = 0.044715f; /* sqrt(2 / pi), and GELU's tanh form */
    for (int64_t i = 0; i < n; i += FATHOM__LANES) {
        const fathom__v g = fathom__v_load(gate + i);
        const fathom__v half = 0.5f * g * (1.0f + fathom__v_tanh(root * g * (1.0f + cubic * g * g)));
        fathom__v_store(out + i, half * fathom__v_load(up + i));
    }
}

/* Rotation ------------------------------------------------------------------------------------------------- */

/* One position's factors. Angles are built by repeated multiplication, as the engine's own are. */
static void rotation_row(float *own, float *partner, const struct fathom__rotation *rotation, int32_t position) {
    const int32_t n = rotation->n_rotated;
    const float step = powf(rotation->base, -2.0f / (float)n);
    float theta = (float)position;
    for (int32_t i = 0; i < n / 2; i++) {
        const float angle = rotation->scale * (rotation->factors ? theta / rotation->factors[i] : theta);
        const bool halves = rotation->mode == GGML_ROPE_TYPE_NEOX;
        const int32_t first = halves ? i : 2 * i, second = halves ? i + n / 2 : 2 * i + 1;
        own[first] = own[second] = cosf(angle) * rotation->magnitude;
        partner[second] = sinf(angle) * rotation->magnitude;
        partner[first] = -partner[second];
        theta *= step;
    }
}

static int rotation_extend(struct fathom__rotation *rotation, int32_t last) {
    const size_t width = 2 * (size_t)rotation->n_rotated;
    if (last < rotation->n_positions) return FATHOM_OK;
    int32_t capacity = rotation->capacity > 0 ? rotation->capacity : FIRST_POSITIONS;
    while (capacity <= last)
        capacity *= 2;
    if (capacity > rotation->capacity) {
        float *table = NULL;
        const int status = fathom__alloc_aligned(&table, (size_t)capacity * width, sizeof *table);
        if (status != FATHOM_OK) return status;
        if (rotation->table) memcpy(table, rotation->table, (size_t)rotation->n_positions * width * sizeof *table);
        fathom_free(rotation->table);
        rotation->table = table;
        rotation->capacity = capacity;
    }
    for (; rotation->n_positions <= last; rotation->n_positions++) {
        float *row = rotation->table + (size_t)rotation->n_positions * width;
        rotation_row(row, row + rotation->n_rotated, rotation, rotation->n_positions);
    }
    return FATHOM_OK;
}

static int rotation_for(const struct fathom__rotation **out, struct fathom__worker *worker,
                        const struct ggml_tensor *node, int32_t last) {
    const struct fathom__rotation wanted = {.base = parameter(node, ROPE_BASE),
                                            .scale = parameter(node, ROPE_SCALE),
                                            .magnitude = parameter(node, ROPE_MAGNITUDE),
                                            .factors = node->src[2] ? node->src[2]->data : NULL,
                                            .n_rotated = node->op_params[ROPE_DIMENSIONS],
                                            .mode = node->op_params[ROPE_MODE]};
    struct fathom__rotation *rotation = NULL;
    for (size_t i = 0; i < FATHOM__ROTATIONS && !rotation; i++) {
        struct fathom__rotation *kept = &worker->rotations[i];
        if (kept->base == wanted.base && kept->scale == wanted.scale && kept->magnitude == wanted.magnitude &&
            kept->factors == wanted.factors && kept->n_rotated == wanted.n_rotated && kept->mode == wanted.mode)
            rotation = kept;
    }
    if (!rotation) {
        rotation = &worker->rotations[worker->next_rotation];
        worker->next_rotation = (worker->next_rotation + 1) % FATHOM__ROTATIONS;
        fathom_free(rotation->table);
        *rotation = wanted;
    }
    *out = rotation;
    return rotation_extend(rotation, last);
}

/* Partners lie side by side. */
static void rotate_pairs(float *out, const float *in, const float *own, const float *partner, int32_t n) {
    for (int32_t i = 0; i < n; i += FATHOM__LANES) {
        const fathom__v x = fathom__v_load(in + i);
        fathom__v_store(out + i, x * fathom__v_load(own + i) + fathom__v_swap_pairs(x) * fathom__v_load(partner + i));
    }
}

/* Partners lie half a head apart. */
static void rotate_halves(float *out, const float *in, const float *own, const float *partner, int32_t n) {
    const int32_t half = n / 2;
    for (int32_t i = 0; i < half; i += FATHOM__LANES) {
        const fathom__v x = fathom__v_load(in + i), y = fathom__v_load(in + half + i);
        fathom__v_store(out + i, x * fathom__v_load(own + i) + y * fathom__v_load(partner + i));
        fathom__v_store(out + half + i, y * fathom__v_load(own + half + i) + x * fathom__v_load(partner + half + i));
    }
}

static int rotate(struct fathom__worker *worker, struct ggml_tensor *node) {
    const struct ggml_tensor *in = node->src[0];
    const int32_t *positions = node->src[1]->data;
    const int32_t n = node->op_params[ROPE_DIMENSIONS];
    const struct fathom__rotation *rotation;
    int32_t last = 0;
    for (int64_t i = 0; i < node->ne[2]; i++)
        last = positions[i] > last ? positions[i] : last;
    const int status = rotation_for(&rotation, worker, node, last);
    if (status != FATHOM_OK) return status;
    FOR_ROWS(node) {
        const float *own = rotation->table + 2 * (size_t)positions[i2] * (size_t)n, *from = row_of(in, i1, i2, i3);
        float *to = row_of(node, i1, i2, i3);
        if (rotation->mode == GGML_ROPE_TYPE_NEOX)
            rotate_halves(to, from, own, own + n, n);
        else
            rotate_pairs(to, from, own, own + n, n);
        if (to != from) memcpy(to + n, from + n, (size_t)(node->ne[0] - n) * sizeof *to);
    }
    return FATHOM_OK;
}

/* Writing rows of keys and values into the cache ----------------------------------------------------------- */

static int64_t row_number(const struct ggml_tensor *numbers, int64_t i) {
    return numbers->type == GGML_TYPE_I64 ? ((const int64_t *)numbers->data)[i] : ((const int32_t *)numbers->data)[i];
}

static int set_rows(struct ggml_tensor *node) {
    const struct ggml_tensor *rows = node->src[0], *numbers = node->src[1];
    for (int64_t i = 0; i < rows->ne[1]; i++) {
        const int64_t to = row_number(numbers, i);
        if (to < 0 || to >= node->ne[1])
            return fathom__fail(FATHOM_ERROR_ENGINE, "the engine wrote a row outside its cache");
        if (node->type == GGML_TYPE_F16)
            ggml_cpu_fp32_to_fp16(row_of(rows, i, 0, 0), row_of(node, to, 0, 0), rows->ne[0]);
        else
            memcpy(row_of(node, to, 0, 0), row_of(rows, i, 0, 0), (size_t)rows->ne[0] * sizeof(float));
    }
    return FATHOM_OK;
}

/* What is handled ------------------------------------------------------------------------------------------ */

static bool plain_rows(const struct ggml_tensor *tensor) {
    return tensor && tensor->type == GGML_TYPE_F32 && tensor->nb[0] == sizeof(float);
}

static bool whole_vectors(const struct ggml_tensor *node) {
    return plain_rows(node) && plain_rows(node->src[0]) && node->ne[0] % FATHOM__LANES == 0 &&
           node->src[0]->ne[0] == node->ne[0];
}

static bool broadcasts(const struct ggml_tensor *node) {
    const struct ggml_tensor *second = node->src[1];
    return whole_vectors(node) && plain_rows(second) && second->ne[0] == node->ne[0] &&
           ggml_are_same_shape(node, node->src[0]) && ggml_can_repeat(second, node);
}

static bool rotates(const struct ggml_tensor *node) {
    const int32_t mode = node->op_params[ROPE_MODE], n = node->op_params[ROPE_DIMENSIONS];
    const int32_t whole = mode == GGML_ROPE_TYPE_NEOX ? 2 * FATHOM__LANES : FATHOM__LANES;
    return plain_rows(node) && plain_rows(node->src[0]) && node->src[1]->type == GGML_TYPE_I32 && n <= node->ne[0] &&
           n % whole == 0 && (mode == GGML_ROPE_TYPE_NORMAL || mode == GGML_ROPE_TYPE_NEOX) &&
           parameter(node, ROPE_EXTENSION) == 0.0f && node->op_params[ROPE_OFFSET] == 0 &&
           (!node->src[2] || node->src[2]->type == GGML_TYPE_F32);
}

static bool sets_rows(const struct ggml_tensor *node) {
    const struct ggml_tensor *rows = node->src[0], *numbers = node->src[1];
    return plain_rows(rows) && rows->ne[2] == 1 && rows->ne[3] == 1 && node->ne[2] == 1 && node->ne[3] == 1 &&
           (node->type == GGML_TYPE_F16 || node->type == GGML_TYPE_F32) &&
           (numbers->type == GGML_TYPE_I64 || numbers->type == GGML_TYPE_I32) && ggml_is_contiguous(numbers);
}

bool fathom__rows_supports(const struct ggml_tensor *node) {
    switch (node->op) {
    case GGML_OP_RMS_NORM:
    case GGML_OP_SCALE: return whole_vectors(node);
    case GGML_OP_ADD:
    case GGML_OP_MUL: return broadcasts(node);
    case GGML_OP_GLU:
        return node->src[1] && whole_vectors(node) && plain_rows(node->src[1]) &&
               ggml_are_same_shape(node, node->src[1]) &&
               (ggml_get_glu_op(node) == GGML_GLU_OP_SWIGLU || ggml_get_glu_op(node) == GGML_GLU_OP_GEGLU);
    case GGML_OP_ROPE: return rotates(node);
    case GGML_OP_SET_ROWS: return sets_rows(node);
    default: return false;
    }
}

int fathom__rows_compute(struct fathom__worker *worker, struct ggml_tensor *node) {
    const struct ggml_tensor *a = node->src[0], *b = node->src[1];
    const int64_t n = node->ne[0];
    if (node->op == GGML_OP_ROPE) return rotate(worker, node);
    if (node->op == GGML_OP_SET_ROWS) return set_rows(node);
    FOR_ROWS(node) {
        float *out = row_of(node, i1, i2, i3);
        const float *in = row_of(a, i1, i2, i3);
        switch (node->op) {
        case GGML_OP_RMS_NORM: norm_row(out, in, NULL, n, parameter(node, 0)); break;
        case GGML_OP_SCALE: scale_row(out, in, parameter(node, 0), parameter(node, 1), n); break;
        case GGML_OP_ADD: add_row(out, in, paired_row(b, i1, i2, i3), n); break;
        case GGML_OP_MUL: multiply_row(out, in, paired_row(b, i1, i2, i3), n); break;
        case GGML_OP_GLU:
            if (ggml_get_glu_op(node) == GGML_GLU_OP_SWIGLU)
                silu_row(out, in, row_of(b, i1, i2, i3), n);
            else
                gelu_row(out, in, row_of(b, i1, i2, i3), n);
            break;
        default:
            return fathom__fail(FATHOM_ERROR_ENGINE, "%s reached the accelerator, which does not compute it",
                                ggml_op_name(node->op));
        }
    }
    return FATHOM_OK;
}

#endif
