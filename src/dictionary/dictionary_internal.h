/* An opened dictionary. */
#ifndef FATHOM_DICTIONARY_DICTIONARY_INTERNAL_H
#define FATHOM_DICTIONARY_DICTIONARY_INTERNAL_H

#include <base/gguf_file.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>
#include <fathom/dictionary.h>
#include <pthread.h>

#define FATHOM__DICTIONARY_ARCHITECTURE "fathom-dictionary"
#define FATHOM__DICTIONARY_KEY "fathom.dictionary."
#define FATHOM__DICTIONARY_VERSION 1

enum fathom__dictionary_kind {
    FATHOM__KIND_TOPK,
    FATHOM__KIND_BATCHTOPK,
    FATHOM__KIND_JUMPRELU,
    FATHOM__KIND_STANDARD,
    FATHOM__KINDS
};
/* The kind of a name, or FATHOM__KINDS. */
enum fathom__dictionary_kind fathom__dictionary_kind(const char *architecture);

/* What encoding by the whole encoder needs; made when it is first asked for. */
struct fathom__whole {
    float *encoder;      /* f32 [n_features, stride] */
    float *tile_norm;    /* [tiles]: length of the longest encoder row in a tile */
    float *shifted_bias; /* [padded]: bias less threshold, so that a feature is active above 0 */
    float *bias;         /* [padded] */
    fathom__dense *product;
    bool *busy; /* [lanes]: a lane of the product belongs to one call at a time */
    uint32_t n_lanes;
};

struct fathom_dictionary {
    struct fathom_dictionary_info info;
    enum fathom__dictionary_kind kind;
    fathom__gguf *file;
    const struct fathom__gguf_tensor *encoder, *decoder;
    const float *encoder_bias, *decoder_bias;
    const float *threshold; /* NULL: none */
    size_t stride;          /* d_in padded */
    float *subtracted;      /* [stride]: b_dec, or zeros where it is not subtracted */
    /* under lock; made once and then never changed */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct fathom__whole *whole;
    float *whole_decoder; /* f32 [n_features, d_out] */
};

/* Makes (once) what whole encoding needs. */
int fathom__dictionary_whole(struct fathom__whole **out, fathom_dictionary *dictionary);
void fathom__whole_close(struct fathom__whole *whole);

#endif
