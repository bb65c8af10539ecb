/* Sources as the command line writes them, and what they amount to as a hash. */
#include <base/error.h>
#include <base/file.h>
#include <base/hash.h>
#include <base/memory.h>
#include <corpus/files.h>
#include <fathom/corpus.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { READ_SIZE = 1 << 16 };

/* Splits "=WEIGHT" or "=WEIGHT*" off the end of text. What follows the last "=" without being a number is part of the
 * path. */
static int split_weight(struct fathom_corpus_source *source, char *text) {
    char *sign = strrchr(text, '='), *end;
    if (!sign || !sign[1]) return FATHOM_OK;
    double weight = strtod(sign + 1, &end);
    if (end == sign + 1) return FATHOM_OK;
    bool repeat = *end == '*';
    if (end[repeat]) return FATHOM_OK;
    if (!isfinite(weight) || weight <= 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "corpus \"%s\": a weight over 0 was expected after \"=\"", text);
    source->weight = weight;
    source->repeat = repeat;
    *sign = '\0';
    return FATHOM_OK;
}

int fathom_corpus_source_parse(struct fathom_corpus_source *out, char **storage, const char *text) {
    struct fathom_corpus_source source = {0};
    char *copy = NULL;
    int status = fathom__copy_string(&copy, text);
    if (status) return status;
    /* A file of exactly this name is meant, whatever characters it has. */
    if (!fathom__file_exists(copy)) status = split_weight(&source, copy);
    if (!status && !fathom__file_exists(copy)) {
        char *colon = strrchr(copy, ':');
        if (colon && colon[1] && !strchr(colon, '/')) {
            *colon = '\0';
            source.field = colon + 1;
        }
    }
    if (!status && !copy[0]) status = fathom__fail(FATHOM_ERROR_ARGUMENT, "corpus \"%s\": a path was expected", text);
    if (status) {
        fathom_free(copy);
        return status;
    }
    source.path = copy;
    *out = source;
    *storage = copy;
    return FATHOM_OK;
}

static int hash_file(fathom__hash *hash, const char *path) {
    char bytes[READ_SIZE];
    uint64_t length = 0;
    struct stat about;
    /* What can be read only once is left for the corpus itself. */
    if (strcmp(path, "-") == 0 || (stat(path, &about) == 0 && !S_ISREG(about.st_mode))) {
        fathom__hash_add(hash, "-", 1);
        return FATHOM_OK;
    }
    FILE *file = fopen(path, "rb");
    if (!file) return fathom__fail_errno(path, "open");
    for (size_t got = 1; got > 0;) {
        got = fread(bytes, 1, sizeof bytes, file);
        fathom__hash_add(hash, bytes, got);
        length += got;
    }
    int status = ferror(file) ? fathom__fail_errno(path, "read") : FATHOM_OK;
    fclose(file);
    /* Lengths keep two files from being taken for one. */
    fathom__hash_add(hash, &length, sizeof length);
    return status;
}

static int hash_source(fathom__hash *hash, const struct fathom_corpus_source *source) {
    struct fathom__files files = {0};
    const char *field = source->field ? source->field : "";
    const double weight = source->weight != 0 ? source->weight : 1;
    const unsigned char repeat = source->repeat;
    int status = fathom__files_list(&files, source->path);
    if (status) return status;
    const uint64_t n = files.n;
    fathom__hash_add(hash, field, strlen(field) + 1);
    fathom__hash_add(hash, &weight, sizeof weight);
    fathom__hash_add(hash, &repeat, sizeof repeat);
    if (source->chat) fathom__hash_add(hash, "chat", sizeof "chat");
    fathom__hash_add(hash, &n, sizeof n);
    for (size_t i = 0; i < files.n && !status; i++)
        status = hash_file(hash, files.paths[i]);
    fathom__files_free(&files);
    return status;
}

int fathom_corpus_hash(char out[33], const struct fathom_corpus_source *sources, size_t n_sources, uint64_t seed) {
    fathom__hash *hash = NULL;
    int status = fathom__hash_open(&hash);
    if (status) return status;
    fathom__hash_add(hash, &seed, sizeof seed);
    for (size_t i = 0; i < n_sources && !status; i++)
        status = hash_source(hash, &sources[i]);
    if (!status) fathom__hash_text(out, hash);
    fathom__hash_close(hash);
    return status;
}
