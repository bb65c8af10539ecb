/* Catalogues with values in their rows that nobody wrote. The input is a line of values, each a length and that many
 * bytes: five blobs and the numbers of a feature; what is left over is written over bytes of the SQLite file, as pairs
 * of a place (3 bytes) and a byte. */
#include <base/error.h>
#include <catalogue/schema.h>
#include <fathom/catalogue.h>
#include <fuzz/target.h>

enum { WIDTH = 4, FEATURES = 2, BLOBS = 5, NUMBERS = 6 };

static fathom_dictionary *dictionary(void) {
    static fathom_dictionary *opened;
    static const float zeros[WIDTH * FEATURES];
    const struct fathom_dictionary_parts parts = {
        .info = {.name = "toy",
                 .architecture = "topk",
                 .hook_in = "blocks.0.hook_resid_post",
                 .hook_out = "blocks.0.hook_resid_post",
                 .model_identity = "0123456789abcdef0123456789abcdef",
                 .d_in = WIDTH,
                 .d_out = WIDTH,
                 .n_features = FEATURES,
                 .k = 1,
                 .input_scale = 1},
        .encoder = zeros,
        .encoder_bias = zeros,
        .decoder = zeros,
        .decoder_bias = zeros,
    };
    if (!opened && (fathom_dictionary_write(scratch("toy.gguf"), &parts, "f32") ||
                    fathom_dictionary_open(&opened, scratch("toy.gguf")))) {
        fprintf(stderr, "%s\n", fathom_error_message());
        exit(EXIT_FAILURE);
    }
    return opened;
}

struct value {
    const uint8_t *bytes;
    int length;
};

static struct value take(const uint8_t **bytes, size_t *length) {
    if (*length == 0) return (struct value){(const uint8_t *)"", 0};
    size_t n = **bytes < *length - 1 ? **bytes : *length - 1;
    const struct value value = {*bytes + 1, (int)n};
    *bytes += n + 1;
    *length -= n + 1;
    return value;
}

static int write_rows(const struct fathom__store *store, const char *hash, const struct value blobs[BLOBS],
                      const int64_t numbers[NUMBERS]) {
    static const char *const texts[] = {
        "INSERT INTO features VALUES (1, 0, ?7, 0.5, ?8, 2.0, 3.0, ?2, ?3, ?4)",
        "INSERT INTO passages VALUES (1, 1, ?9, ?10, ?5)",
        "INSERT INTO examples VALUES (1, 0, ?11, 0, 1.5, 0, ?10, 1, ?12, ?7, ?9, ?6)",
        "INSERT INTO labels VALUES (1, 0, 'offline', ?2, ?3, 0.9, 0.5, 0.5, 0.5, 0.1, 0.6, 0.5, ?7, ?8)",
    };
    char *head =
        sqlite3_mprintf("INSERT INTO models VALUES (1, '0123456789abcdef0123456789abcdef', 'toy', 'llama', 1, 4, 9);"
                        "INSERT INTO dictionaries VALUES (1, 1, '%q', 'toy', 'h', 'topk', 2, 'c', '{}', 10, 1, 1, '');",
                        hash);
    int status = fathom__store_run(store, head);
    sqlite3_free(head);
    for (size_t i = 0; !status && i < sizeof texts / sizeof *texts; i++) {
        sqlite3_stmt *statement = NULL;
        status = fathom__store_prepare(&statement, store, texts[i]);
        if (status) break;
        for (int j = 0; j < BLOBS; j++)
            sqlite3_bind_blob(statement, 2 + j, blobs[j].bytes, blobs[j].length, SQLITE_STATIC);
        for (int j = 0; j < NUMBERS; j++)
            sqlite3_bind_int64(statement, 7 + j, numbers[j]);
        sqlite3_step(statement);
        sqlite3_finalize(statement);
    }
    return status;
}

static void damage(const char *path, const uint8_t *bytes, size_t length) {
    FILE *file = fopen(path, "r+b");
    for (; file && length >= 4; bytes += 4, length -= 4)
        if (fseek(file, (long)(bytes[0] | bytes[1] << 8 | bytes[2] << 16), SEEK_SET) == 0) fputc(bytes[3], file);
    if (file) fclose(file);
}

static void use(const char *path) {
    fathom_catalogue *catalogue = NULL;
    struct fathom_feature_details *details = NULL;
    struct fathom_hit hits[4];
    size_t n = 0;
    int status = fathom_catalogue_open(&catalogue, path, dictionary());
    FUZZ_CHECK(status);
    if (status) return;
    for (uint32_t i = 0; i < FEATURES; i++) {
        status = fathom_catalogue_details(&details, catalogue, i);
        FUZZ_CHECK(status);
        if (!status) fathom_feature_details_free(details);
    }
    FUZZ_CHECK(fathom_catalogue_search_words(hits, &n, 4, catalogue, "word"));
    FUZZ_CHECK(fathom_catalogue_search_token(hits, &n, 4, catalogue, 1, false));
    fathom_catalogue_close(catalogue);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct fathom__store store = {0};
    struct value blobs[BLOBS];
    int64_t numbers[NUMBERS] = {0};
    char hash[FATHOM__DICTIONARY_HASH_SIZE];
    const char *path = scratch("input.sqlite");
    unlink(path);
    for (int i = 0; i < BLOBS; i++)
        blobs[i] = take(&bytes, &length);
    for (int i = 0; i < NUMBERS; i++) {
        const struct value value = take(&bytes, &length);
        memcpy(&numbers[i], value.bytes,
               (size_t)value.length < sizeof *numbers ? (size_t)value.length : sizeof *numbers);
    }
    if (fathom__dictionary_hash(hash, dictionary()) || fathom__store_open(&store, path, FATHOM__STORE_CREATE)) return 0;
    int status = write_rows(&store, hash, blobs, numbers);
    fathom__store_close(&store);
    damage(path, bytes, length);
    if (!status) use(path);
    return 0;
}
