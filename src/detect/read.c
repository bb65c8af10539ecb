#include "detect/read.h"
#include "base/error.h"
#include "base/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_LIMIT = 2048, /* tokens of a piece */
    BATCH_ROWS = 256,    /* rows that keep the products busy; longer pieces make larger batches */
    BATCH_SEQUENCES = 16
};

/* Parameters from which a second thread pays. */
static const uint64_t threaded_parameters = UINT64_C(8) << 20;

struct piece {
    size_t text, first, n;
    bool last;
};

struct reader {
    const fathom_model *model;
    fathom_session *session;
    size_t n_hooks;
    size_t batch; /* rows of a decode */
    const struct fathom__tokens *texts;
    struct piece *pieces;
    size_t n_pieces, piece_capacity;
    float **rows; /* [hooks] of [batch, width] */
    size_t *widths;
    struct tap *taps;
    struct fathom_row *feed;
    int32_t *positions;
};

struct tap {
    float *rows;
    size_t width;
};

uint32_t fathom__session_threads(const fathom_model *model) {
    return fathom_model_describe(model)->n_parameters < threaded_parameters ? 1 : 0;
}

double fathom__norm(const float *row, size_t width) {
    double sum = 0;
    for (size_t i = 0; i < width; i++) {
        sum += (double)row[i] * row[i];
    }
    return sqrt(sum);
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x < y ? -1 : x > y;
}

float fathom__median(float *values, size_t n) {
    if (n == 0) {
        return 0;
    }
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : 0.5f * (values[n / 2 - 1] + values[n / 2]);
}

static int keep_rows(const struct fathom_block *block, void *payload) {
    struct tap *tap = payload;
    memcpy(tap->rows, block->rows, block->n_rows * tap->width * sizeof(float));
    return FATHOM_OK;
}

static int add_piece(struct reader *reader, struct piece piece) {
    int status = fathom__grow(&reader->pieces, &reader->piece_capacity, reader->n_pieces + 1, sizeof *reader->pieces);
    if (status == FATHOM_OK) {
        reader->pieces[reader->n_pieces++] = piece;
    }
    return status;
}

void fathom__tokens_free(struct fathom__tokens *tokens) {
    for (size_t t = 0; t < tokens->n; t++) {
        fathom_free(tokens->tokens[t]);
    }
    fathom_free(tokens->tokens);
    fathom_free(tokens->lengths);
    *tokens = (struct fathom__tokens){0};
}

int fathom__tokens_of_texts(struct fathom__tokens *out, const fathom_model *model, const struct fathom_texts *texts) {
    struct fathom__tokens tokens = {0};
    int status = fathom__alloc(&tokens.tokens, texts->n, sizeof *tokens.tokens);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&tokens.lengths, texts->n, sizeof *tokens.lengths);
    }
    for (; tokens.n < texts->n && status == FATHOM_OK; tokens.n++) {
        size_t t = tokens.n;
        status = fathom_tokenize(&tokens.tokens[t], &tokens.lengths[t], model, texts->texts[t], strlen(texts->texts[t]),
                                 true, false);
        if (status != FATHOM_OK) {
            status = fathom__wrap(status, "text %zu", t + 1);
        }
    }
    if (status != FATHOM_OK) {
        fathom__tokens_free(&tokens);
        return status;
    }
    *out = tokens;
    return FATHOM_OK;
}

static int cut(struct reader *reader, size_t window) {
    size_t longest = 0;
    int status = FATHOM_OK;
    for (size_t t = 0; t < reader->texts->n && status == FATHOM_OK; t++) {
        size_t n = reader->texts->lengths[t];
        size_t first = 0;
        do {
            size_t length = n - first < window ? n - first : window;
            status = add_piece(reader, (struct piece){t, first, length, first + length == n});
            longest = length > longest ? length : longest;
            first += length;
        } while (first < n && status == FATHOM_OK);
    }
    reader->batch = longest > BATCH_ROWS ? longest : BATCH_ROWS;
    return status;
}

static int start(struct reader *reader, const struct fathom_hook *hooks) {
    struct fathom_session_options options = FATHOM_SESSION_OPTIONS_INIT;
    options.n_context = options.n_batch = (uint32_t)reader->batch;
    options.n_sequences = BATCH_SEQUENCES;
    options.n_threads = fathom__session_threads(reader->model);
    options.flash_attention = true;
    int status = fathom_session_open(&reader->session, reader->model, &options);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reader->rows, reader->n_hooks, sizeof *reader->rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reader->widths, reader->n_hooks, sizeof *reader->widths);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reader->taps, reader->n_hooks, sizeof *reader->taps);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reader->feed, reader->batch, sizeof *reader->feed);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reader->positions, reader->batch, sizeof *reader->positions);
    }
    for (size_t h = 0; h < reader->n_hooks && status == FATHOM_OK; h++) {
        uint32_t heads = 0;
        uint32_t width = 0;
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, hooks[h]);
        if (!fathom_hook_exists(&heads, &width, reader->model, hooks[h]) || width == 0) {
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: this model has no rows of a fixed width there", name);
        }
        reader->widths[h] = (size_t)heads * width;
        status = fathom__alloc_aligned(&reader->rows[h], reader->batch * reader->widths[h], sizeof(float));
        if (status == FATHOM_OK) {
            reader->taps[h] = (struct tap){reader->rows[h], reader->widths[h]};
            status = fathom_session_tap(NULL, reader->session, hooks[h], keep_rows, &reader->taps[h]);
        }
    }
    return status;
}

/* Runs pieces [first, next), whose tokens fit one batch. */
static int run_batch(struct reader *reader, size_t first, size_t next) {
    size_t n = 0;
    for (size_t p = first; p < next; p++) {
        const struct piece *piece = &reader->pieces[p];
        for (size_t i = 0; i < piece->n; i++) {
            reader->positions[n] = (int32_t)i;
            reader->feed[n++] = (struct fathom_row){reader->texts->tokens[piece->text][piece->first + i], (int32_t)i,
                                                    (int32_t)(p - first), false};
        }
    }
    if (n == 0) {
        return FATHOM_OK;
    }
    fathom_session_forget(reader->session, -1, 0);
    int status = fathom_session_decode(reader->session, reader->feed, n);
    return status == FATHOM_OK ? status : fathom__wrap(status, "text %zu", reader->pieces[first].text + 1);
}

static int deliver(struct reader *reader, size_t first, size_t next, fathom__piece_fn fn, void *payload) {
    const float **rows = NULL;
    size_t row = 0;
    int status = fathom__alloc(&rows, reader->n_hooks, sizeof *rows);
    for (size_t p = first; p < next && status == FATHOM_OK; p++) {
        const struct piece *piece = &reader->pieces[p];
        for (size_t h = 0; h < reader->n_hooks; h++) {
            rows[h] = reader->rows[h] + row * reader->widths[h];
        }
        struct fathom__piece out = {piece->text,
                                    piece->first,
                                    piece->n,
                                    piece->last,
                                    reader->texts->tokens[piece->text] + piece->first,
                                    reader->positions + row,
                                    rows,
                                    reader->widths};
        int returned = fn(&out, payload);
        status = returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
        row += piece->n;
    }
    fathom_free(rows);
    return status;
}

int fathom__read_tokens(const fathom_model *model, const struct fathom__tokens *texts, const struct fathom_hook *hooks,
                        size_t n_hooks, fathom__piece_fn fn, void *payload) {
    struct reader reader = {.model = model, .n_hooks = n_hooks, .texts = texts};
    uint32_t trained = fathom_model_describe(model)->context_trained;
    size_t window = trained > 0 && trained < WINDOW_LIMIT ? trained : WINDOW_LIMIT;
    int status = cut(&reader, window);
    if (status == FATHOM_OK && reader.n_pieces > 0) {
        status = start(&reader, hooks);
    }
    for (size_t first = 0; first < reader.n_pieces && status == FATHOM_OK;) {
        size_t next = first;
        size_t rows = 0;
        while (next < reader.n_pieces && next - first < BATCH_SEQUENCES &&
               rows + reader.pieces[next].n <= reader.batch) {
            rows += reader.pieces[next++].n;
        }
        status = run_batch(&reader, first, next);
        if (status == FATHOM_OK) {
            status = deliver(&reader, first, next, fn, payload);
        }
        first = next;
    }
    if (reader.session != NULL) {
        fathom_session_close(reader.session);
    }
    for (size_t h = 0; h < n_hooks && reader.rows != NULL; h++) {
        fathom_free(reader.rows[h]);
    }
    fathom_free(reader.rows);
    fathom_free(reader.widths);
    fathom_free(reader.taps);
    fathom_free(reader.feed);
    fathom_free(reader.positions);
    fathom_free(reader.pieces);
    return status;
}

int fathom__read_texts(const fathom_model *model, const struct fathom_texts *texts, const struct fathom_hook *hooks,
                       size_t n_hooks, fathom__piece_fn fn, void *payload) {
    struct fathom__tokens tokens = {0};
    int status = fathom__tokens_of_texts(&tokens, model, texts);
    if (status == FATHOM_OK) {
        status = fathom__read_tokens(model, &tokens, hooks, n_hooks, fn, payload);
    }
    fathom__tokens_free(&tokens);
    return status;
}
