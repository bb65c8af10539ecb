#include "catalogue/pack.h"

#include <math.h>
#include <string.h>

int fathom__pack_integer(struct fathom__buffer *buffer, uint64_t value) {
    unsigned char bytes[10];
    size_t n = 0;
    while (value >= 0x80) {
        bytes[n++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (unsigned char)value;
    return fathom__buffer_append(buffer, bytes, n);
}

int fathom__pack_byte(struct fathom__buffer *buffer, uint8_t value) {
    return fathom__buffer_append(buffer, &value, 1);
}

int fathom__pack_float(struct fathom__buffer *buffer, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8), (unsigned char)(bits >> 16),
                                    (unsigned char)(bits >> 24)};
    return fathom__buffer_append(buffer, bytes, sizeof bytes);
}

void fathom__unpack_begin(struct fathom__unpack *in, const void *bytes, size_t length) {
    static const unsigned char nothing[1];
    in->bytes = bytes ? bytes : nothing;
    in->end = in->bytes + (bytes ? length : 0);
    in->ok = true;
}

uint64_t fathom__unpack_integer(struct fathom__unpack *in, uint64_t most) {
    uint64_t value = 0;
    for (unsigned shift = 0; in->ok && shift < 64; shift += 7) {
        if (in->bytes == in->end) break;
        const unsigned char byte = *in->bytes++;
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (value > most) break;
            return value;
        }
    }
    in->ok = false;
    return 0;
}

uint8_t fathom__unpack_byte(struct fathom__unpack *in) {
    if (!in->ok || in->bytes == in->end) {
        in->ok = false;
        return 0;
    }
    return *in->bytes++;
}

float fathom__unpack_float(struct fathom__unpack *in) {
    if (!in->ok || in->end - in->bytes < 4) {
        in->ok = false;
        return 0;
    }
    const uint32_t bits = (uint32_t)in->bytes[0] | (uint32_t)in->bytes[1] << 8 | (uint32_t)in->bytes[2] << 16 |
                          (uint32_t)in->bytes[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    in->bytes += 4;
    if (!isfinite(value)) {
        in->ok = false;
        return 0;
    }
    return value;
}

bool fathom__unpack_done(const struct fathom__unpack *in) {
    return in->ok && in->bytes == in->end;
}
