#include <base/error.h>
#include <base/hash.h>
#include <base/memory.h>

#include <xxhash.h>

struct fathom__hash {
    XXH3_state_t *state;
};

void fathom__hex(char *out, const unsigned char *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

int fathom__hash_open(fathom__hash **out) {
    fathom__hash *hash = NULL;
    int status = fathom__alloc(&hash, 1, sizeof *hash);
    if (status) return status;
    /* XXH3's state needs a stricter alignment than malloc gives, hence its own allocator. */
    hash->state = XXH3_createState();
    if (!hash->state || XXH3_128bits_reset(hash->state) != XXH_OK) {
        fathom__hash_close(hash);
        return fathom__fail_memory(sizeof *hash);
    }
    *out = hash;
    return FATHOM_OK;
}

void fathom__hash_add(fathom__hash *hash, const void *bytes, size_t length) {
    if (length) XXH3_128bits_update(hash->state, bytes, length);
}

void fathom__hash_text(char out[33], fathom__hash *hash) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash->state));
    fathom__hex(out, canonical.digest, sizeof canonical.digest);
}

void fathom__hash_close(fathom__hash *hash) {
    if (!hash) return;
    XXH3_freeState(hash->state);
    fathom_free(hash);
}
