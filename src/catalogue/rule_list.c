/* Lists of tokens and words as people read them. */
#include "catalogue/rule_text.h"

#include "base/error.h"
#include "base/utf8.h"

#include <string.h>
#include <strings.h>

enum {
    SHOWN_IDS = 4,   /* members of a list without a name, */
    SHOWN_NAMED = 3, /* that share the name of one that has one, */
    SHOWN_OTHERS = 2 /* and that do not */
};

/* A token's bytes as shown: without the blank before a word, line breaks and tabs by their escapes. */
static int token_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t token) {
    const char *bytes = stream->vocabulary->bytes[token];
    size_t length = stream->vocabulary->lengths[token];
    char *clean = NULL;
    while (length > 1 && *bytes == ' ') {
        bytes++;
        length--;
    }
    int status = fathom__utf8_clean(&clean, bytes, length);
    for (const char *c = clean; !status && *c; c++)
        status = *c == '\n'   ? fathom__buffer_text(out, "\\n")
                 : *c == '\r' ? fathom__buffer_text(out, "\\r")
                 : *c == '\t' ? fathom__buffer_text(out, "\\t")
                              : fathom__buffer_append(out, c, 1);
    fathom_free(clean);
    return status;
}

int fathom__rule_word_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t word) {
    const size_t at = out->length;
    const int status = fathom__buffer_text(out, fathom__stream_word(stream, word));
    if (!status && fathom__stream_word_is_name(stream, word) && out->bytes[at] >= 'a' && out->bytes[at] <= 'z')
        out->bytes[at] = (char)(out->bytes[at] - 'a' + 'A');
    return status;
}

static int id_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                   const struct fathom__stream *stream, uint32_t i) {
    const uint32_t id = condition->ids[i];
    if (condition->kind == FATHOM__WORDS) return fathom__rule_word_text(out, stream, id);
    return fathom__stream_token_is_piece(stream, id) ? fathom__rule_word_text(out, stream, stream->token_words[id])
                                                     : token_text(out, stream, id);
}

/* Members [first, end) without those that look like one before. */
struct members {
    struct fathom__buffer texts[FATHOM__RULE_IDS];
    uint32_t n;
};

static const char *text_of(const struct fathom__buffer *buffer) {
    return buffer->bytes ? buffer->bytes : "";
}

static int list_members(struct members *out, const struct fathom__condition *condition,
                        const struct fathom__stream *stream, uint32_t first, uint32_t end) {
    int status = FATHOM_OK;
    out->n = 0;
    for (uint32_t i = first; !status && i < end; i++) {
        struct fathom__buffer *text = &out->texts[out->n];
        *text = (struct fathom__buffer)FATHOM__BUFFER_INIT(1024);
        status = id_text(text, condition, stream, i);
        bool seen = false;
        for (uint32_t j = 0; !status && j < out->n; j++)
            seen |= strcasecmp(text_of(&out->texts[j]), text_of(text)) == 0;
        if (seen)
            fathom__buffer_free(text);
        else
            out->n++;
    }
    return status;
}

static void free_members(struct members *members) {
    for (uint32_t i = 0; i < members->n; i++)
        fathom__buffer_free(&members->texts[i]);
}

/* `joined`: with "and" before the last one, as far as all are shown. */
static int write_members(struct fathom__buffer *out, const struct members *members, uint32_t most, bool joined) {
    const uint32_t shown = members->n < most ? members->n : most;
    int status = FATHOM_OK;
    for (uint32_t i = 0; !status && i < shown; i++)
        status = fathom__buffer_format(out, "%s‘%s’",
                                       !i                              ? ""
                                       : joined && i + 1 == members->n ? " and "
                                                                       : ", ",
                                       text_of(&members->texts[i]));
    return !status && members->n > shown ? fathom__buffer_text(out, ", …") : status;
}

static int write_named(struct fathom__buffer *out, const struct fathom__condition *condition,
                       const struct fathom__stream *stream) {
    struct members named = {.n = 0}, others = {.n = 0};
    int status;
    if ((status = list_members(&named, condition, stream, 0, condition->n_named)) ||
        (status = list_members(&others, condition, stream, condition->n_named, condition->n_ids)) ||
        (status = fathom__buffer_text(out, " (")) || (status = write_members(out, &named, SHOWN_NAMED, false)) ||
        (status = fathom__buffer_text(out, ")")) || !others.n)
        goto done;
    if ((status = fathom__buffer_text(out, others.n == 1 ? " and " : ", "))) goto done;
    status = write_members(out, &others, SHOWN_OTHERS, true);
done:
    free_members(&named);
    free_members(&others);
    return status;
}

int fathom__rule_list_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                           const struct fathom__stream *stream) {
    if (condition->name) return write_named(out, condition, stream);
    struct members members;
    int status = list_members(&members, condition, stream, 0, condition->n_ids);
    if (!status) status = write_members(out, &members, SHOWN_IDS, true);
    free_members(&members);
    return status;
}
