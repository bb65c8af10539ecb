/* Whether all weights are finite. Floating types are looked at value by value, quantised ones by their blocks' scales.
 */
#include "engine/model_parts.h"
#include <string.h>

#define F16_EXPONENT 0x7C00u
#define BF16_EXPONENT 0x7F80u
#define F32_EXPONENT 0x7F800000u
#define E8M0_NAN 0xFFu

/* Where a block keeps its half-precision scales: `halves` of them at its start or at its end. */
struct scales {
    uint8_t halves;
    bool at_end;
};

static struct scales scales_of(enum ggml_type type) {
    switch (type) {
    case GGML_TYPE_Q1_0:
    case GGML_TYPE_Q2_0:
    case GGML_TYPE_Q4_0:
    case GGML_TYPE_Q5_0:
    case GGML_TYPE_Q8_0:
    case GGML_TYPE_IQ1_S:
    case GGML_TYPE_IQ2_XXS:
    case GGML_TYPE_IQ2_XS:
    case GGML_TYPE_IQ2_S:
    case GGML_TYPE_IQ3_XXS:
    case GGML_TYPE_IQ3_S:
    case GGML_TYPE_IQ4_NL:
    case GGML_TYPE_IQ4_XS: return (struct scales){1, false};
    case GGML_TYPE_Q4_1:
    case GGML_TYPE_Q5_1:
    case GGML_TYPE_Q4_K:
    case GGML_TYPE_Q5_K: return (struct scales){2, false};
    case GGML_TYPE_Q3_K:
    case GGML_TYPE_Q6_K:
    case GGML_TYPE_TQ1_0:
    case GGML_TYPE_TQ2_0: return (struct scales){1, true};
    case GGML_TYPE_Q2_K: return (struct scales){2, true};
    default: return (struct scales){0, false};
    }
}

/* 16-bit values with all exponent bits set are NaN or infinite. The loop has no exit, so that it is vectorised. */
static bool halves_finite(const unsigned char *bytes, size_t n, uint16_t exponent) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}

static bool floats_finite(const unsigned char *bytes, size_t n) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
        bad |= (bits & F32_EXPONENT) == F32_EXPONENT;
    }
    return bad == 0;
}

static bool scales_finite(const struct fathom__gguf_tensor *tensor, struct scales scales) {
    const size_t size = ggml_type_size(tensor->type), width = scales.halves * sizeof(uint16_t);
    const unsigned char *block = (const unsigned char *)tensor->data + (scales.at_end ? size - width : 0);
    unsigned bad = 0;
    for (size_t left = tensor->bytes / size; left > 0; left--, block += size) {
        uint16_t bits[2] = {0, 0};
        memcpy(bits, block, width);
        bad |= (bits[0] & F16_EXPONENT) == F16_EXPONENT || (bits[1] & F16_EXPONENT) == F16_EXPONENT;
    }
    return bad == 0;
}

bool fathom__model_tensor_finite(const struct fathom__gguf_tensor *tensor) {
    const unsigned char *bytes = tensor->data;
    switch (tensor->type) {
    case GGML_TYPE_F32: return floats_finite(bytes, tensor->bytes / sizeof(uint32_t));
    case GGML_TYPE_F16: return halves_finite(bytes, tensor->bytes / sizeof(uint16_t), F16_EXPONENT);
    case GGML_TYPE_BF16: return halves_finite(bytes, tensor->bytes / sizeof(uint16_t), BF16_EXPONENT);
    case GGML_TYPE_MXFP4:
        for (size_t at = 0; at < tensor->bytes; at += ggml_type_size(GGML_TYPE_MXFP4)) {
            if (bytes[at] == E8M0_NAN) return false;
        }
        return true;
    default: return scales_of(tensor->type).halves == 0 || scales_finite(tensor, scales_of(tensor->type));
    }
}
