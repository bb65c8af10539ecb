#include "catalogue/stream.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "catalogue/names.h"
#include "catalogue/stream_internal.h"
#include "catalogue/topics.h"

#include <string.h>

enum { LONGEST_WORD = 64 }; /* bytes; a longer run (base64 and the like) is no word */
#define MOST_SEQUENCE_BYTES ((size_t)1 << 30)

int fathom__vocabulary_open(struct fathom__vocabulary *out, const fathom_model *model) {
    struct fathom__vocabulary vocabulary = {.n = fathom_model_describe(model)->n_vocab};
    int status;
    if ((status = fathom__alloc(&vocabulary.bytes, vocabulary.n, sizeof *vocabulary.bytes)) ||
        (status = fathom__alloc(&vocabulary.lengths, vocabulary.n, sizeof *vocabulary.lengths)) ||
        (status = fathom__alloc(&vocabulary.special, vocabulary.n, sizeof *vocabulary.special)))
        goto fail;
    for (size_t i = 0; i < vocabulary.n; i++) {
        if ((status = fathom_token_bytes(&vocabulary.bytes[i], &vocabulary.lengths[i], model, (int32_t)i))) goto fail;
        vocabulary.special[i] = fathom_token_is_special(model, (int32_t)i);
    }
    *out = vocabulary;
    return FATHOM_OK;
fail:
    fathom__vocabulary_free(&vocabulary);
    return status;
}

void fathom__vocabulary_free(struct fathom__vocabulary *vocabulary) {
    fathom_free(vocabulary->bytes);
    fathom_free(vocabulary->lengths);
    fathom_free(vocabulary->special);
    *vocabulary = (struct fathom__vocabulary){0};
}

/* What one sequence needs while it is read. */
struct reading {
    struct fathom__buffer text;
    size_t *token_starts; /* [tokens + 1] */
    struct fathom__placed_word *words;
    uint8_t *longest;
    size_t token_starts_capacity, words_capacity, longest_capacity, n_words;
};

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

static bool is_upper(unsigned char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(unsigned char c) {
    return is_upper(c) || (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* Bytes of a character beyond ASCII that separates words all the same: Latin-1 signs, general punctuation, CJK
 * punctuation. */
static size_t separator_length(const unsigned char *at, size_t left) {
    if (left >= 2 && at[0] == 0xc2 && at[1] >= 0xa0 && at[1] <= 0xbf) return 2;
    if (left >= 3 && at[0] == 0xe2 && (at[1] == 0x80 || at[1] == 0x81)) return 3;
    if (left >= 3 && at[0] == 0xe3 && at[1] == 0x80) return 3;
    return 0;
}

static size_t word_end(const unsigned char *text, size_t at, size_t length) {
    while (at < length && (is_letter(text[at]) || is_digit(text[at])) && !separator_length(text + at, length - at))
        at++;
    return at;
}

/* Lower-case in place: ASCII, and the capitals of Latin-1 in UTF-8. */
static void lower(char *text, size_t length) {
    unsigned char *c = (unsigned char *)text;
    for (size_t i = 0; i < length; i++) {
        if (is_upper(c[i]))
            c[i] = (unsigned char)(c[i] + 32);
        else if (i && c[i - 1] == 0xc3 && c[i] >= 0x80 && c[i] <= 0x9e && c[i] != 0x97)
            c[i] = (unsigned char)(c[i] + 32);
    }
}

static bool starts_with_capital(const unsigned char *text, size_t length) {
    return is_upper(text[0]) || (length > 1 && text[0] == 0xc3 && text[1] >= 0x80 && text[1] <= 0x9e);
}

static bool follows_sentence_end(const unsigned char *text, size_t at) {
    while (at && (text[at - 1] == ' ' || text[at - 1] == '"' || text[at - 1] == '\'' || text[at - 1] == '('))
        at--;
    return !at || strchr(".!?:\n\r\t", text[at - 1]) != NULL;
}

static uint8_t word_flags(const unsigned char *text, size_t length, bool sentence_start) {
    uint8_t flags = 0;
    size_t upper = 0, digits = 0;
    for (size_t i = 0; i < length; i++) {
        upper += is_upper(text[i]);
        digits += is_digit(text[i]);
    }
    if (starts_with_capital(text, length) && !sentence_start) flags |= FATHOM__CAPITAL;
    if (length > 1 && upper == length) flags |= FATHOM__ALL_CAPITALS;
    if (length == 4 && digits == 4 && (text[0] == '1' || (text[0] == '2' && text[1] == '0'))) flags |= FATHOM__YEAR;
    return flags;
}

static uint8_t token_flags(const unsigned char *text, size_t length) {
    size_t letters = 0, digits = 0, breaks = 0, others = 0;
    for (size_t i = 0; i < length;) {
        const size_t separator = separator_length(text + i, length - i);
        if (separator)
            others++;
        else if (is_digit(text[i]))
            digits++;
        else if (is_letter(text[i]))
            letters++;
        else if (text[i] == '\n' || text[i] == '\r')
            breaks++;
        else if (text[i] != ' ' && text[i] != '\t')
            others++;
        i += separator ? separator : 1;
    }
    if (breaks) return FATHOM__LINE_BREAK;
    if (digits && !letters) return FATHOM__NUMBER;
    return others && !letters && !digits ? FATHOM__PUNCTUATION : 0;
}

static int join_tokens(struct reading *reading, const struct fathom__vocabulary *vocabulary, const int32_t *tokens,
                       size_t n) {
    int status =
        fathom__grow(&reading->token_starts, &reading->token_starts_capacity, n + 1, sizeof *reading->token_starts);
    fathom__buffer_clear(&reading->text);
    for (size_t i = 0; !status && i < n; i++) {
        reading->token_starts[i] = reading->text.length;
        if (tokens[i] < 0 || (size_t)tokens[i] >= vocabulary->n)
            return fathom__fail(FATHOM_ERROR_FORMAT, "token %d is outside the vocabulary of %zu", (int)tokens[i],
                                vocabulary->n);
        status = vocabulary->special[tokens[i]] ? fathom__buffer_append(&reading->text, "\n", 1)
                                                : fathom__buffer_append(&reading->text, vocabulary->bytes[tokens[i]],
                                                                        vocabulary->lengths[tokens[i]]);
    }
    if (!status) reading->token_starts[n] = reading->text.length;
    return status;
}

/* Gives the rows that a word's bytes touch to the word; a row that has one already keeps it. */
static void place_word(struct fathom__stream *stream, struct reading *reading, struct fathom__placed_word *word,
                       uint32_t row, size_t n, size_t *cursor, uint8_t flags) {
    while (*cursor < n && reading->token_starts[*cursor + 1] <= word->first_byte)
        ++*cursor;
    size_t first = *cursor;
    while (first < n && stream->words[row + first])
        first++;
    size_t end = first;
    while (end < n && reading->token_starts[end] < word->end_byte)
        stream->words[row + end++] = word->word;
    word->first_row = (uint32_t)first;
    word->end_row = (uint32_t)(end > first ? end : first);
    for (size_t i = first; i < end; i++)
        stream->flags[row + i] |=
            (uint8_t)(flags | (i == first ? FATHOM__WORD_FIRST : 0) | (i + 1 == end ? FATHOM__WORD_LAST : 0));
}

static int grow_capitals(struct fathom__stream *stream, size_t n) {
    const size_t before = stream->capitals_capacity;
    const int status = fathom__grow(&stream->capitals, &stream->capitals_capacity, n, sizeof *stream->capitals);
    if (!status && stream->capitals_capacity > before)
        memset(stream->capitals + before, 0, (stream->capitals_capacity - before) * sizeof *stream->capitals);
    return status;
}

static int read_words(struct fathom__stream *stream, struct reading *reading, uint32_t row, size_t n) {
    const unsigned char *text = (const unsigned char *)(reading->text.bytes ? reading->text.bytes : "");
    const size_t length = reading->text.length;
    size_t cursor = 0;
    reading->n_words = 0;
    for (size_t i = 0; i < n; i++)
        stream->flags[row + i] =
            token_flags(text + reading->token_starts[i], reading->token_starts[i + 1] - reading->token_starts[i]);
    for (size_t at = 0; at < length;) {
        const size_t separator = separator_length(text + at, length - at);
        const size_t end = separator ? at + separator : word_end(text, at, length);
        if (separator || end == at) {
            at = separator ? end : at + 1;
            continue;
        }
        if (end - at <= LONGEST_WORD) {
            char lowered[LONGEST_WORD];
            memcpy(lowered, text + at, end - at);
            lower(lowered, end - at);
            struct fathom__placed_word word = {.first_byte = at,
                                               .end_byte = end,
                                               .capital = starts_with_capital(text + at, end - at),
                                               .sentence_start = follows_sentence_end(text, at)};
            int status = fathom__intern_add(&word.word, &stream->word_table, lowered, end - at);
            if (!status)
                status = fathom__grow(&reading->words, &reading->words_capacity, reading->n_words + 1,
                                      sizeof *reading->words);
            if (status) return status;
            if ((status = grow_capitals(stream, (size_t)word.word + 1))) return status;
            stream->capitals[word.word] += word.capital ? 1 : -1;
            place_word(stream, reading, &word, row, n, &cursor, word_flags(text + at, end - at, word.sentence_start));
            reading->words[reading->n_words++] = word;
        }
        at = end;
    }
    return FATHOM_OK;
}

static int grow_longest(struct reading *reading, size_t n) {
    const size_t before = reading->longest_capacity;
    const int status = fathom__grow(&reading->longest, &reading->longest_capacity, n, 1);
    if (!status && reading->longest_capacity > before)
        memset(reading->longest + before, 0, reading->longest_capacity - before);
    return status;
}

int fathom__stream_open(struct fathom__stream **out, const struct fathom__evidence *evidence,
                        const struct fathom__vocabulary *vocabulary, const fathom__lexicon *lexicon) {
    struct fathom__stream *stream;
    struct reading reading = {.text = FATHOM__BUFFER_INIT(MOST_SEQUENCE_BYTES)};
    uint32_t none;
    int status = fathom__alloc(&stream, 1, sizeof *stream);
    if (status) return status;
    *stream = (struct fathom__stream){.evidence = evidence, .vocabulary = vocabulary, .lexicon = lexicon};
    if ((status = fathom__alloc(&stream->words, evidence->n_rows, sizeof *stream->words)) ||
        (status = fathom__alloc(&stream->entries, evidence->n_rows, sizeof *stream->entries)) ||
        (status = fathom__alloc(&stream->flags, evidence->n_rows, sizeof *stream->flags)) ||
        (status = fathom__intern_add(&none, &stream->word_table, "", 0)) ||
        (status = fathom__intern_add(&none, &stream->entry_table.keys, "", 0)) ||
        (status = fathom__grow(&stream->entry_table.class_starts, &stream->entry_table.class_starts_capacity, 2,
                               sizeof *stream->entry_table.class_starts)) ||
        (status = fathom__grow(&stream->entry_table.bases, &stream->entry_table.bases_capacity, 1,
                               sizeof *stream->entry_table.bases)))
        goto done;
    stream->entry_table.class_starts[0] = stream->entry_table.class_starts[1] = 0;
    stream->entry_table.bases[0] = 0;
    for (size_t s = 0; !status && s < evidence->n_sequences; s++) {
        const uint32_t row = evidence->sequences[s].first_row;
        const size_t n = fathom__evidence_sequence_end(evidence, &evidence->sequences[s]) - row;
        if ((status = join_tokens(&reading, vocabulary, evidence->tokens + row, n)) ||
            (status = read_words(stream, &reading, row, n)) ||
            (status = grow_longest(&reading, stream->word_table.count)))
            break;
        if (lexicon && reading.n_words)
            status = fathom__stream_find_entries(stream, reading.text.bytes, reading.words, reading.n_words, row,
                                                 reading.longest);
    }
    if (!status) status = grow_capitals(stream, stream->word_table.count);
    if (!status && lexicon) status = fathom__names_infer(stream);
    if (!status && lexicon) status = fathom__topics_infer(stream);
    if (!status) status = fathom__stream_count(stream);
done:
    fathom__buffer_free(&reading.text);
    fathom_free(reading.token_starts);
    fathom_free(reading.words);
    fathom_free(reading.longest);
    if (status)
        fathom__stream_close(stream);
    else
        *out = stream;
    return status;
}

void fathom__stream_close(struct fathom__stream *stream) {
    if (!stream) return;
    fathom_free(stream->words);
    fathom_free(stream->entries);
    fathom_free(stream->flags);
    fathom__intern_free(&stream->word_table);
    fathom__intern_free(&stream->entry_table.keys);
    fathom_free(stream->entry_table.class_starts);
    fathom_free(stream->entry_table.classes);
    fathom_free(stream->entry_table.bases);
    fathom_free(stream->entry_table.forms);
    fathom_free(stream->name_entries);
    fathom_free(stream->token_words);
    fathom_free(stream->word_entries);
    fathom_free(stream->token_counts);
    fathom_free(stream->word_counts);
    fathom_free(stream->capitals);
    fathom_free(stream->entry_counts);
    fathom_free(stream);
}

const char *fathom__stream_word(const struct fathom__stream *stream, uint32_t word) {
    return fathom__intern_text(NULL, &stream->word_table, word);
}

bool fathom__stream_word_is_name(const struct fathom__stream *stream, uint32_t word) {
    return stream->capitals[word] > 0;
}

bool fathom__stream_token_is_piece(const struct fathom__stream *stream, uint32_t token) {
    size_t length, own = stream->vocabulary->lengths[token];
    const char *bytes = stream->vocabulary->bytes[token];
    if (!stream->token_words[token]) return false;
    for (; own && *bytes == ' '; bytes++)
        own--;
    fathom__intern_text(&length, &stream->word_table, stream->token_words[token]);
    return length > own;
}

uint8_t fathom__stream_token_flags(const struct fathom__stream *stream, uint32_t token) {
    return token_flags((const unsigned char *)stream->vocabulary->bytes[token], stream->vocabulary->lengths[token]);
}
