/* Words out of a vocabulary, each read in sentences about first letters. */
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/absorption_internal.h"
#include <ctype.h>
#include <fathom/session.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_WORDS = 200,
    FEWEST_WORDS = 20,
    SHORTEST = 3,
    EXAMPLES = 10,
    BEGINNINGS = 4,
    BATCH = 32,
    MOST_TEXT = 2048
};
static const double test_part = 0.2;

/* A space and three or more ASCII letters. */
static bool is_word(const char *bytes, size_t length) {
    if (length < 1 + SHORTEST || bytes[0] != ' ') return false;
    for (size_t i = 1; i < length; i++)
        if (!isalpha((unsigned char)bytes[i]) || (unsigned char)bytes[i] > 'z') return false;
    return true;
}

static uint8_t letter_of(const char *bytes) {
    return (uint8_t)(tolower((unsigned char)bytes[1]) - 'a');
}

/* All words of the vocabulary, shuffled. */
static int find_words(uint32_t **out, size_t *n, const fathom_model *model, struct fathom__random *random) {
    const uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    uint32_t *words = NULL;
    int status = fathom__alloc(&words, n_vocab, sizeof *words);
    *n = 0;
    for (uint32_t token = 0; token < n_vocab && !status; token++) {
        const char *bytes = NULL;
        size_t length = 0;
        status = fathom_token_bytes(&bytes, &length, model, (int32_t)token);
        if (!status && !fathom_token_is_special(model, (int32_t)token) && is_word(bytes, length)) words[(*n)++] = token;
    }
    if (!status) fathom__random_shuffle(random, words, *n);
    *out = words;
    return status;
}

/* At most `most` words of each letter that has enough, the training words of all letters first. The last EXAMPLES *
 * BEGINNINGS of the shuffled words are left for the sentences. */
static int divide(struct fathom__words *out, const fathom_model *model, const uint32_t *words, size_t n,
                  uint32_t most) {
    size_t counts[FATHOM_LETTERS] = {0}, n_letters = 0;
    int status = fathom__alloc(&out->tokens, n, sizeof *out->tokens);
    if (!status) status = fathom__alloc(&out->letters, n, sizeof *out->letters);
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t i = 0; i < n && !status; i++) {
        status = fathom_token_bytes(&bytes, &length, model, (int32_t)words[i]);
        if (!status) counts[letter_of(bytes)]++;
    }
    for (int letter = 0; letter < FATHOM_LETTERS; letter++)
        n_letters += counts[letter] >= FEWEST_WORDS;
    if (!status && n_letters < 2)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT,
                         "absorption: the vocabulary has %d words of a letter for %zu letters only; two are needed",
                         FEWEST_WORDS, n_letters);
    for (int testing = 0; testing < 2 && !status; testing++) {
        size_t seen[FATHOM_LETTERS] = {0};
        for (size_t i = 0; i < n && !status; i++) {
            status = fathom_token_bytes(&bytes, &length, model, (int32_t)words[i]);
            const uint8_t letter = letter_of(bytes);
            const size_t kept = counts[letter] < most ? counts[letter] : most,
                         n_test = (size_t)(test_part * (double)kept);
            const size_t place = seen[letter]++;
            if (counts[letter] < FEWEST_WORDS || place >= kept || (place < n_test) != (testing == 1)) continue;
            out->letters[out->n] = letter;
            out->tokens[out->n++] = (int32_t)words[i];
        }
        if (!testing) out->n_train = out->n;
    }
    return status;
}

/* "The word apple begins with the letter A." for some words, then "The word": new tokens. */
static int make_beginning(int32_t **out, size_t *n, const fathom_model *model, const uint32_t *examples) {
    char text[MOST_TEXT];
    size_t at = 0;
    for (int i = 0; i < EXAMPLES; i++) {
        const char *bytes = NULL;
        size_t length = 0;
        int status = fathom_token_bytes(&bytes, &length, model, (int32_t)examples[i]);
        if (status) return status;
        const int written = snprintf(text + at, sizeof text - at, "The word%.*s begins with the letter %c.\n",
                                     (int)length, bytes, toupper((unsigned char)bytes[1]));
        if (written < 0 || (size_t)written >= sizeof text - at)
            return fathom__fail(FATHOM_ERROR_LIMIT, "absorption: words of the vocabulary are too long for a sentence");
        at += (size_t)written;
    }
    if (sizeof text - at < sizeof "The word")
        return fathom__fail(FATHOM_ERROR_LIMIT, "absorption: words of the vocabulary are too long for a sentence");
    at += (size_t)snprintf(text + at, sizeof text - at, "The word");
    return fathom_tokenize(out, n, model, text, at, true, false);
}

struct reading {
    struct fathom__words *words;
    const fathom_dictionary *dictionary;
    const size_t *places; /* of the batch's words */
    bool *covered;        /* [words] */
    bool listening;
};

static int keep_rows(const struct fathom_block *block, void *payload) {
    struct reading *reading = payload;
    const size_t d = reading->words->d;
    for (size_t r = 0; r < block->n_rows && reading->listening; r++) {
        const size_t place = reading->places[r];
        const float *row = block->rows + r * block->width;
        memcpy(reading->words->rows + place * d, row, d * sizeof *row);
        reading->covered[place] = fathom_dictionary_covers(reading->dictionary, row, block->positions[r]);
    }
    return 0;
}

/* Reads every BEGINNINGS-th word after one beginning, which is run once for all of them. */
static int read_after(struct reading *reading, fathom_session *session, const int32_t *beginning, size_t n_beginning,
                      size_t first) {
    const struct fathom__words *words = reading->words;
    struct fathom_row rows[BATCH];
    size_t places[BATCH];
    reading->places = places;
    reading->listening = false;
    fathom_session_forget(session, -1, 0);
    int status = fathom_session_feed(session, beginning, n_beginning, 0, 0, false);
    reading->listening = true;
    for (size_t at = first; at < words->n && !status;) {
        size_t n = 0;
        for (; n < BATCH && at < words->n && !status; at += BEGINNINGS, n++) {
            places[n] = at;
            status = fathom_session_fork(session, 0, (int32_t)(1 + n));
            rows[n] = (struct fathom_row){words->tokens[at], (int32_t)n_beginning, (int32_t)(1 + n), false};
        }
        if (!status) status = fathom_session_decode(session, rows, n);
        for (size_t i = 0; i < n; i++)
            fathom_session_forget(session, (int32_t)(1 + i), 0);
    }
    return status;
}

static int read_rows(struct reading *reading, const fathom_model *model, struct fathom_hook hook,
                     const uint32_t *examples, const struct fathom_absorption_options *options) {
    fathom_session *session = NULL;
    int status = FATHOM_OK;
    for (size_t b = 0; b < BEGINNINGS && !status; b++) {
        int32_t *beginning = NULL;
        size_t n = 0;
        status = make_beginning(&beginning, &n, model, examples + b * EXAMPLES);
        const struct fathom_session_options wanted = {.n_context = (uint32_t)(n + BATCH + 1),
                                                      .n_batch = (uint32_t)(n > BATCH ? n : BATCH),
                                                      .n_sequences = 1 + BATCH,
                                                      .n_threads = options->n_threads};
        if (!status) status = fathom_session_open(&session, model, &wanted);
        if (!status) status = fathom_session_tap(NULL, session, hook, keep_rows, reading);
        if (!status) status = read_after(reading, session, beginning, n, b);
        fathom_session_close(session);
        session = NULL;
        fathom_free(beginning);
        const struct fathom_progress progress = {
            .stage = "words", .done = b + 1, .total = BEGINNINGS, .unit = "parts", .seconds_left = -1};
        if (!status && options->progress)
            status = fathom__callback_status(options->progress(&progress, options->payload));
    }
    return status;
}

/* Takes out words whose rows the dictionary does not cover. */
static void leave_out(struct fathom__words *words, const bool *covered) {
    size_t n = 0, n_train = 0;
    for (size_t i = 0; i < words->n; i++) {
        if (!covered[i]) continue;
        memmove(words->rows + n * words->d, words->rows + i * words->d, words->d * sizeof *words->rows);
        words->tokens[n] = words->tokens[i];
        words->letters[n++] = words->letters[i];
        n_train += i < words->n_train;
    }
    words->n = n;
    words->n_train = n_train;
}

int fathom__words_read(struct fathom__words *out, const fathom_model *model, const fathom_dictionary *dictionary,
                       const struct fathom_absorption_options *options) {
    enum { KEPT = EXAMPLES * BEGINNINGS };
    const uint32_t most = options->words ? options->words : DEFAULT_WORDS;
    struct reading reading = {.words = out, .dictionary = dictionary};
    struct fathom__random random;
    struct fathom_hook hook;
    uint32_t *words = NULL;
    size_t n = 0;
    *out = (struct fathom__words){.d = fathom_dictionary_describe(dictionary)->d_in};
    fathom__random_seed(&random, options->seed);
    int status = fathom_dictionary_match(&hook, dictionary, model);
    if (!status) status = find_words(&words, &n, model, &random);
    if (!status && n < KEPT)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "absorption: the vocabulary has %zu words; more than %d are needed",
                              n, KEPT);
    if (!status) status = divide(out, model, words, n - KEPT, most);
    if (!status) status = fathom__alloc(&out->rows, out->n * out->d, sizeof *out->rows);
    if (!status) status = fathom__alloc(&reading.covered, out->n, sizeof *reading.covered);
    if (!status) status = read_rows(&reading, model, hook, words + n - KEPT, options);
    if (!status) leave_out(out, reading.covered);
    fathom_free(words);
    fathom_free(reading.covered);
    if (status) fathom__words_free(out);
    return status;
}

void fathom__words_free(struct fathom__words *words) {
    fathom_free(words->tokens);
    fathom_free(words->letters);
    fathom_free(words->rows);
    *words = (struct fathom__words){0};
}
