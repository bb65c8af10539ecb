/* A catalogue without a model: a dictionary file of six features, a corpus of a few words, and everything that an index
 * would have found. */
#ifndef FATHOM_TESTS_TINY_CATALOGUE_H
#define FATHOM_TESTS_TINY_CATALOGUE_H

#include "base/scratch.h"
#include "catalogue/content.h"
#include "tests/support/word_stream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TINY_FEATURES = 6, TINY_WIDTH = 32, TINY_DOCUMENTS = 30, TINY_ROWS = 64 };

struct tiny_catalogue {
    const char *folder;
    char dictionary_path[2 * SCRATCH_PATH], path[2 * SCRATCH_PATH], hash[FATHOM__DICTIONARY_HASH_SIZE];
    fathom_dictionary *dictionary;
    struct word_pieces pieces;
    struct fathom__evidence *evidence;
    struct fathom__stream *stream;
    struct fathom_model_info model;
    struct fathom_effect effects[TINY_FEATURES * 2 * FATHOM__EFFECTS];
    struct fathom_neighbour neighbours[TINY_FEATURES * FATHOM__NEIGHBOURS];
    struct fathom__feature_label labels[2];
    struct fathom__content content;
};

/* Feature 0 is on at "bridge" with the document's number plus one, feature 1 at "the", feature 2 at both; the rest
 * never. */
static int tiny_catalogue_corpus(struct tiny_catalogue *tiny) {
    int status = fathom__evidence_open(&tiny->evidence, TINY_FEATURES, 5, 1);
    for (uint64_t document = 0; !status && document < TINY_DOCUMENTS; document++) {
        int32_t tokens[TINY_ROWS];
        bool covered[TINY_ROWS];
        size_t offsets[TINY_ROWS + 1] = {0}, entries = 0;
        uint32_t features[2 * TINY_ROWS];
        float values[2 * TINY_ROWS];
        char text[256];
        snprintf(text, sizeof text, "On day red the %d bridge was near the old town and the river", (int)document);
        const size_t n = word_tokens(tokens, TINY_ROWS, &tiny->pieces, text);
        for (size_t row = 0; row < n; row++) {
            const char *piece = fathom__intern_text(NULL, &tiny->pieces.table, (uint32_t)tokens[row]);
            covered[row] = row != 0;
            if (strcmp(piece, " bridge") == 0) {
                features[entries] = 0;
                values[entries++] = (float)(document + 1);
            }
            if (strcmp(piece, " the") == 0) {
                features[entries] = 1;
                values[entries++] = 2;
            }
            if (strcmp(piece, " the") == 0 || strcmp(piece, " bridge") == 0) {
                features[entries] = 2;
                values[entries++] = 0.5f;
            }
            offsets[row + 1] = entries;
        }
        const struct fathom_sparse sparse = {.n_rows = n, .offsets = offsets, .features = features, .values = values};
        status = fathom__evidence_add(tiny->evidence, tokens, covered, n, document, &sparse, 0);
    }
    return status ? status : fathom__evidence_seal(tiny->evidence);
}

static int tiny_catalogue_dictionary(const char *path, const char *model_identity, float scale) {
    float encoder[TINY_FEATURES * TINY_WIDTH], bias[TINY_FEATURES] = {0}, zeros[TINY_WIDTH] = {0},
                                               threshold[TINY_FEATURES];
    for (int i = 0; i < TINY_FEATURES * TINY_WIDTH; i++)
        encoder[i] = scale * (float)((i * 7 + 3) % 11 - 5);
    for (int i = 0; i < TINY_FEATURES; i++)
        threshold[i] = 1;
    const struct fathom_dictionary_parts parts = {
        .info = {.name = "tiny",
                 .architecture = "batchtopk",
                 .hook_in = "blocks.1.hook_resid_post",
                 .hook_out = "blocks.1.hook_resid_post",
                 .model_identity = model_identity,
                 .model_name = "a model",
                 .training = "{}",
                 .d_in = TINY_WIDTH,
                 .d_out = TINY_WIDTH,
                 .n_features = TINY_FEATURES,
                 .k = 2,
                 .input_scale = 1,
                 .skip_positions = 1,
                 .max_norm = INFINITY},
        .encoder = encoder,
        .encoder_bias = bias,
        .decoder = encoder,
        .decoder_bias = zeros,
        .threshold = threshold,
    };
    return fathom_dictionary_write(path, &parts, "f32");
}

static int tiny_catalogue_open(struct tiny_catalogue *tiny) {
    *tiny = (struct tiny_catalogue){.folder = scratch_root()};
    snprintf(tiny->dictionary_path, sizeof tiny->dictionary_path, "%s/dictionary.gguf", tiny->folder);
    snprintf(tiny->path, sizeof tiny->path, "%s/catalogue.sqlite", tiny->folder);
    tiny->model = (struct fathom_model_info){.name = "a model",
                                             .architecture = "llama",
                                             .source_identity = "0123456789abcdef0123456789abcdef",
                                             .n_layers = 4,
                                             .d_model = TINY_WIDTH,
                                             .n_vocab = 100};
    int status;
    if ((status = tiny_catalogue_dictionary(tiny->dictionary_path, tiny->model.source_identity, 1)) ||
        (status = fathom_dictionary_open(&tiny->dictionary, tiny->dictionary_path)) ||
        (status = fathom__dictionary_hash(tiny->hash, tiny->dictionary)) || (status = tiny_catalogue_corpus(tiny)) ||
        (status = word_vocabulary(&tiny->pieces)) ||
        (status = fathom__stream_open(&tiny->stream, tiny->evidence, &tiny->pieces.vocabulary, NULL)))
        return status;
    for (int i = 0; i < TINY_FEATURES * 2 * FATHOM__EFFECTS; i++)
        tiny->effects[i] = (struct fathom_effect){.token = -1};
    tiny->effects[0] = (struct fathom_effect){7, 2.5f}; /* feature 0 raises token 7 most, */
    tiny->effects[1] = (struct fathom_effect){9, 1.5f};
    tiny->effects[FATHOM__EFFECTS] = (struct fathom_effect){8, -3};    /* and lowers token 8 */
    tiny->effects[2 * FATHOM__EFFECTS] = (struct fathom_effect){7, 4}; /* feature 1 raises it more */
    for (uint32_t f = 0; f < TINY_FEATURES; f++)
        for (uint32_t i = 0; i < FATHOM__NEIGHBOURS; i++)
            tiny->neighbours[f * FATHOM__NEIGHBOURS + i] =
                (struct fathom_neighbour){(f + 1 + i % (TINY_FEATURES - 1)) % TINY_FEATURES, 0.9f - 0.1f * (float)i};
    tiny->labels[0] = (struct fathom__feature_label){0,
                                                     {.text = "suspension bridges",
                                                      .origin = "offline",
                                                      .rule = "{\"all\":[]}",
                                                      .score = 0.9f,
                                                      .f1 = 0.8f,
                                                      .precision = 0.7f,
                                                      .recall = 0.95f,
                                                      .prevalence = 0.01f,
                                                      .single_token = 0.75f,
                                                      .shuffled = 0.5f,
                                                      .n_active = 96,
                                                      .n_inactive = 95}};
    tiny->labels[1] = (struct fathom__feature_label){
        2, {.text = "‘the’ and ‘bridge’", .origin = "offline", .score = 0.71f, .n_active = 10, .n_inactive = 10}};
    tiny->content = (struct fathom__content){.model = &tiny->model,
                                             .dictionary = fathom_dictionary_describe(tiny->dictionary),
                                             .hash = tiny->hash,
                                             .corpus = "a few words",
                                             .settings = "{}",
                                             .n_top = 5,
                                             .n_band = 3,
                                             .stream = tiny->stream,
                                             .effects = tiny->effects,
                                             .neighbours = tiny->neighbours,
                                             .labels = tiny->labels,
                                             .n_labels = 2,
                                             .made = "2026-01-01T00:00:00Z"};
    return FATHOM_OK;
}

static int tiny_catalogue_write(const struct tiny_catalogue *tiny) {
    struct fathom__store store;
    int status = fathom__store_open(&store, tiny->path, FATHOM__STORE_CREATE);
    if (status) return status;
    status = fathom__content_write(&store, &tiny->content);
    fathom__store_close(&store);
    return status;
}

static void tiny_catalogue_close(struct tiny_catalogue *tiny) {
    fathom__stream_close(tiny->stream);
    fathom__evidence_close(tiny->evidence);
    word_pieces_free(&tiny->pieces);
    fathom_dictionary_close(tiny->dictionary);
}

#endif
