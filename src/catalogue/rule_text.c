/* Rules as people read them, and as JSON. */
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "catalogue/rule.h"

#include <string.h>
#include <strings.h>

enum { SHOWN_IDS = 4 };

struct flag_name {
    uint8_t flag;
    const char *text, *json;
};

static const struct flag_name flag_names[] = {
    {FATHOM__CAPITAL, "capitalised words", "capital"},
    {FATHOM__ALL_CAPITALS, "words in capitals", "all-capitals"},
    {FATHOM__NUMBER, "numbers", "number"},
    {FATHOM__YEAR, "years", "year"},
    {FATHOM__LINE_BREAK, "line breaks", "line-break"},
    {FATHOM__PUNCTUATION, "punctuation", "punctuation"},
    {FATHOM__WORD_FIRST, "beginnings of words", "word-first"},
    {FATHOM__WORD_LAST, "ends of words", "word-last"},
};

static const struct flag_name *name_of(uint8_t flag) {
    for (size_t i = 0; i + 1 < sizeof flag_names / sizeof *flag_names; i++)
        if (flag_names[i].flag == flag) return &flag_names[i];
    return &flag_names[sizeof flag_names / sizeof *flag_names - 1];
}

/* How often the corpus has the last word of a noun phrase. */
static uint32_t uses_of(const struct fathom__stream *stream, const char *text, size_t length) {
    size_t first = length;
    uint32_t word;
    while (first && text[first - 1] != ' ' && text[first - 1] != '_')
        first--;
    return fathom__intern_find(&word, &stream->word_table, text + first, length - first) ? stream->word_counts[word]
                                                                                         : 0;
}

/* A class of nouns in the plural, unless the corpus uses the noun and never its plural: "music" has none. */
static int class_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t class_id) {
    char plural[128];
    const char *kind;
    size_t length;
    uint32_t offset;
    bool countable = true;
    if (fathom__lexicon_class_kind(stream->lexicon, class_id) == FATHOM__CLASS_NOUN) {
        const char *name = fathom__lexicon_class_name(&length, &kind, &offset, stream->lexicon, class_id);
        fathom__wordnet_plural(plural, sizeof plural, fathom__lexicon_nouns(stream->lexicon), name, length);
        countable = uses_of(stream, plural, strlen(plural)) || !uses_of(stream, name, length);
    }
    return fathom__lexicon_class_text(out, stream->lexicon, class_id, countable);
}

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

static int word_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t word) {
    const size_t at = out->length;
    const int status = fathom__buffer_text(out, fathom__stream_word(stream, word));
    if (!status && fathom__stream_word_is_name(stream, word) && out->bytes[at] >= 'a' && out->bytes[at] <= 'z')
        out->bytes[at] = (char)(out->bytes[at] - 'a' + 'A');
    return status;
}

/* Whether a token is a piece of one word, and hardly ever of others: then it is shown as that word. */
static bool is_piece(const struct fathom__stream *stream, uint32_t token) {
    size_t length, own = stream->vocabulary->lengths[token];
    const char *bytes = stream->vocabulary->bytes[token];
    if (!stream->token_words[token]) return false;
    for (; own && *bytes == ' '; bytes++)
        own--;
    fathom__intern_text(&length, &stream->word_table, stream->token_words[token]);
    return length > own;
}

static int id_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                   const struct fathom__stream *stream, uint32_t i) {
    const uint32_t id = condition->ids[i];
    if (condition->kind == FATHOM__WORDS) return word_text(out, stream, id);
    return is_piece(stream, id) ? word_text(out, stream, stream->token_words[id]) : token_text(out, stream, id);
}

/* ‘a’, ‘b’ and ‘c’; tokens that look alike are shown once. */
static int list_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                     const struct fathom__stream *stream) {
    struct fathom__buffer names[FATHOM__RULE_IDS];
    uint32_t n = 0;
    int status = FATHOM_OK;
    for (uint32_t i = 0; !status && i < condition->n_ids; i++) {
        names[n] = (struct fathom__buffer)FATHOM__BUFFER_INIT(1024);
        status = id_text(&names[n], condition, stream, i);
        bool seen = false;
        for (uint32_t j = 0; !status && j < n; j++)
            seen |= names[j].length == names[n].length &&
                    strncasecmp(names[j].bytes ? names[j].bytes : "", names[n].bytes ? names[n].bytes : "",
                                names[n].length) == 0;
        if (seen)
            fathom__buffer_free(&names[n]);
        else
            n++;
    }
    const uint32_t shown = n < SHOWN_IDS ? n : SHOWN_IDS;
    for (uint32_t i = 0; !status && i < shown; i++)
        status = fathom__buffer_format(out, "%s‘%s’",
                                       !i           ? ""
                                       : i + 1 == n ? " and "
                                                    : ", ",
                                       names[i].bytes ? names[i].bytes : "");
    if (!status && n > shown) status = fathom__buffer_text(out, ", …");
    for (uint32_t i = 0; i < n; i++)
        fathom__buffer_free(&names[i]);
    return status;
}

/* Subjects and nouns in the text around: "athletes in text about bridges". */
static bool is_subject(const struct fathom__condition *condition, const struct fathom__stream *stream) {
    if (condition->place != FATHOM__NEAR || condition->kind != FATHOM__CLASS) return false;
    const enum fathom__class_kind kind = fathom__lexicon_class_kind(stream->lexicon, condition->class_id);
    return kind == FATHOM__CLASS_NOUN || kind == FATHOM__CLASS_TOPIC;
}

static int topic_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t class_id) {
    const char *kind;
    size_t length;
    uint32_t offset;
    if (fathom__lexicon_class_kind(stream->lexicon, class_id) != FATHOM__CLASS_TOPIC)
        return class_text(out, stream, class_id);
    const char *name = fathom__lexicon_class_name(&length, &kind, &offset, stream->lexicon, class_id);
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < length; i++)
        status = fathom__buffer_append(out, name[i] == '_' ? " " : name + i, 1);
    return status;
}

static int condition_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                          const struct fathom__stream *stream, bool alone) {
    static const char *const places[FATHOM__PLACES] = {"", "after ", "before ", "near "};
    int status;
    if (is_subject(condition, stream)) {
        if ((status = fathom__buffer_text(out, alone ? "text about " : "in text about "))) return status;
        return topic_text(out, stream, condition->class_id);
    }
    if ((status = fathom__buffer_text(out, places[condition->place]))) return status;
    switch (condition->kind) {
    case FATHOM__CLASS: return class_text(out, stream, condition->class_id);
    case FATHOM__FLAG: return fathom__buffer_text(out, name_of(condition->flag)->text);
    case FATHOM__SUFFIX: return fathom__buffer_format(out, "words ending in ‘-%s’", condition->affix);
    case FATHOM__PREFIX: return fathom__buffer_format(out, "words beginning with ‘%s-’", condition->affix);
    case FATHOM__TOKENS:
        if (condition->place == FATHOM__HERE && condition->n_ids == 1 && !is_piece(stream, condition->ids[0]) &&
            (status = fathom__buffer_text(out, "the token ")))
            return status;
        return list_text(out, condition, stream);
    default: return list_text(out, condition, stream);
    }
}

static bool is_word_edge(const struct fathom__condition *condition) {
    return condition->kind == FATHOM__FLAG &&
           (condition->flag == FATHOM__WORD_FIRST || condition->flag == FATHOM__WORD_LAST);
}

int fathom__rule_text(struct fathom__buffer *out, const struct fathom__rule *rule,
                      const struct fathom__stream *stream) {
    int status = FATHOM_OK;
    bool first = true;
    for (unsigned i = 0; !status && i < rule->n; i++) {
        if (rule->n > 1 && is_word_edge(&rule->conditions[i]))
            continue; /* says which token of the word, not which words */
        if (!first) status = fathom__buffer_text(out, rule->conditions[i].place == FATHOM__HERE ? ", " : " ");
        if (!status) status = condition_text(out, &rule->conditions[i], stream, first);
        first = false;
    }
    return status;
}

static json_t *condition_json(const struct fathom__condition *condition, const struct fathom__stream *stream) {
    static const char *const places[FATHOM__PLACES] = {"here", "before", "after", "near"};
    static const char *const kinds[] = {"tokens", "words", "class", "shape", "suffix", "prefix"};
    json_t *object = json_object();
    json_object_set_new(object, "place", json_string(places[condition->place]));
    json_object_set_new(object, "kind", json_string(kinds[condition->kind]));
    if (condition->kind == FATHOM__TOKENS || condition->kind == FATHOM__WORDS) {
        json_t *list = json_array();
        for (uint32_t i = 0; i < condition->n_ids; i++) {
            const bool token = condition->kind == FATHOM__TOKENS;
            const char *bytes =
                token ? stream->vocabulary->bytes[condition->ids[i]] : fathom__stream_word(stream, condition->ids[i]);
            const size_t length = token ? stream->vocabulary->lengths[condition->ids[i]] : strlen(bytes);
            json_t *item = json_object();
            if (token) json_object_set_new(item, "token", json_integer(condition->ids[i]));
            json_object_set_new(item, "text", fathom__json_string(bytes, length));
            json_array_append_new(list, item);
        }
        json_object_set_new(object, "any", list);
    } else if (condition->kind == FATHOM__CLASS) {
        size_t length;
        uint32_t offset;
        const char *kind;
        const char *name = fathom__lexicon_class_name(&length, &kind, &offset, stream->lexicon, condition->class_id);
        json_object_set_new(object, "class", fathom__json_string(name, length));
        json_object_set_new(object, "class_of", json_string(kind));
        if (offset) json_object_set_new(object, "synset", json_integer(offset));
    } else if (condition->kind == FATHOM__FLAG) {
        json_object_set_new(object, "shape", json_string(name_of(condition->flag)->json));
    } else {
        json_object_set_new(object, "affix", fathom__json_string(condition->affix, strlen(condition->affix)));
    }
    return object;
}

int fathom__rule_json(json_t **out, const struct fathom__rule *rule, const struct fathom__stream *stream) {
    json_t *object = json_object(), *all = json_array();
    for (unsigned i = 0; i < rule->n; i++)
        json_array_append_new(all, condition_json(&rule->conditions[i], stream));
    json_object_set_new(object, "all", all);
    if (!object || json_array_size(all) != rule->n) {
        json_decref(object);
        return fathom__fail_memory(0);
    }
    *out = object;
    return FATHOM_OK;
}
