/* Dictionaries in Fathom's own form: those that open encode, decode and answer. */
#include <base/error.h>
#include <base/memory.h>
#include <fathom/dictionary.h>
#include <fuzz/target.h>

enum { WIDTH_LIMIT = 1 << 12, FEATURE_LIMIT = 1 << 12 };

static void use(const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    const uint32_t last = info->n_features - 1;
    float *row = NULL, *out = NULL, bias, value;
    if (info->d_in > WIDTH_LIMIT || info->d_out > WIDTH_LIMIT || info->n_features > FEATURE_LIMIT) return;
    if (fathom__alloc(&row, info->d_in, sizeof *row)) return;
    if (!fathom__alloc(&out, info->d_out > info->d_in ? info->d_out : info->d_in, sizeof *out)) {
        for (uint32_t i = 0; i < info->d_in; i++)
            row[i] = (float)(i % 5) - 1;
        int status = fathom_dictionary_encode(&sparse, dictionary, row, NULL, 1, FATHOM_ENCODE_RUN);
        FUZZ_CHECK(status);
        if (!status) FUZZ_CHECK(fathom_dictionary_reconstruct(out, dictionary, &sparse, row));
        (void)fathom_dictionary_gain(dictionary, row);
        FUZZ_CHECK(fathom_dictionary_read(&value, dictionary, &last, 1, row, NULL, 1));
        FUZZ_CHECK(fathom_dictionary_direction(out, dictionary, last));
        FUZZ_CHECK(fathom_dictionary_encoder_row(out, &bias, dictionary, last));
        (void)fathom_dictionary_threshold(dictionary, last);
        fathom_dictionary_decoder_bias(out, dictionary);
    }
    fathom_sparse_free(&sparse);
    fathom_free(out);
    fathom_free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom_dictionary *dictionary = NULL;
    int status = fathom_dictionary_open(&dictionary, scratch_file("input.gguf", bytes, length));
    FUZZ_CHECK(status);
    if (!status) use(dictionary);
    fathom_dictionary_close(dictionary);
    return 0;
}
