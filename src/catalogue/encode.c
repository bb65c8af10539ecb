#include "catalogue/encode.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"

#include <stdio.h>
#include <string.h>

enum { GRAIN = 64, MESSAGE_SIZE = 256 };

/* What one thread made of its rows. */
struct part {
    struct fathom_sparse sparse;
    int status;
    char message[MESSAGE_SIZE];
};

struct fathom__encoder {
    const fathom_dictionary *dictionary;
    fathom__team *team;
    struct part *parts; /* one a thread */
    const float *rows;
    const int32_t *positions;
    size_t n_rows;
};

int fathom__encoder_open(fathom__encoder **out, const fathom_dictionary *dictionary, uint32_t n_threads) {
    fathom__encoder *encoder;
    int status = fathom__alloc(&encoder, 1, sizeof *encoder);
    if (status) return status;
    encoder->dictionary = dictionary;
    if ((status = fathom__team_open(&encoder->team, n_threads)) ||
        (status = fathom__alloc(&encoder->parts, fathom__team_size(encoder->team), sizeof *encoder->parts))) {
        fathom__encoder_close(encoder);
        return status;
    }
    *out = encoder;
    return FATHOM_OK;
}

void fathom__encoder_close(fathom__encoder *encoder) {
    if (!encoder) return;
    for (uint32_t i = 0; encoder->parts && i < fathom__team_size(encoder->team); i++)
        fathom_sparse_free(&encoder->parts[i].sparse);
    fathom_free(encoder->parts);
    fathom__team_close(encoder->team);
    fathom_free(encoder);
}

static void encode_part(uint32_t worker, uint32_t n_workers, void *payload) {
    const fathom__encoder *encoder = payload;
    struct part *part = &encoder->parts[worker];
    const size_t width = fathom_dictionary_describe(encoder->dictionary)->d_in;
    size_t first, last;
    fathom__team_share(&first, &last, encoder->n_rows, GRAIN, worker, n_workers);
    part->status = fathom_dictionary_encode(&part->sparse, encoder->dictionary, encoder->rows + first * width,
                                            encoder->positions ? encoder->positions + first : NULL, last - first,
                                            FATHOM_ENCODE_RUN);
    if (part->status) snprintf(part->message, sizeof part->message, "%s", fathom_error_message());
}

static int append(struct fathom_sparse *out, const struct fathom_sparse *part) {
    const size_t at = out->offsets[out->n_rows], n = part->offsets[part->n_rows];
    size_t features = out->capacity, values = out->capacity;
    int status = fathom__grow(&out->features, &features, at + n, sizeof *out->features);
    if (!status) status = fathom__grow(&out->values, &values, at + n, sizeof *out->values);
    if (status) return status;
    out->capacity = features < values ? features : values;
    if (n) memcpy(out->features + at, part->features, n * sizeof *out->features);
    if (n) memcpy(out->values + at, part->values, n * sizeof *out->values);
    for (size_t row = 1; row <= part->n_rows; row++)
        out->offsets[out->n_rows + row] = at + part->offsets[row];
    out->n_rows += part->n_rows;
    return FATHOM_OK;
}

int fathom__encoder_run(struct fathom_sparse *out, fathom__encoder *encoder, const float *rows,
                        const int32_t *positions, size_t n_rows) {
    encoder->rows = rows;
    encoder->positions = positions;
    encoder->n_rows = n_rows;
    int status = fathom__grow(&out->offsets, &out->row_capacity, n_rows + 1, sizeof *out->offsets);
    if (status) return status;
    out->n_rows = 0;
    out->offsets[0] = 0;
    fathom__team_run(encoder->team, encode_part, encoder);
    for (uint32_t i = 0; !status && i < fathom__team_size(encoder->team); i++) {
        const struct part *part = &encoder->parts[i];
        status = part->status ? fathom__fail(part->status, "%s", part->message) : append(out, &part->sparse);
    }
    return status;
}
