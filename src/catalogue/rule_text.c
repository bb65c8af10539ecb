/* Rules as people read them, and as JSON. */
#include "catalogue/rule_text.h"
#include "base/error.h"
#include "base/json.h"

#include <string.h>

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

/* Subjects and nouns in the text around: "athletes in text about bridges". */
static bool is_subject(const struct fathom__condition *condition, const struct fathom__stream *stream) {
    if (condition->place != FATHOM__NEAR || (condition->kind != FATHOM__CLASS && condition->name != FATHOM__NAME_CLASS))
        return false;
    const enum fathom__class_kind kind = fathom__lexicon_class_kind(stream->lexicon, condition->class_id);
    return kind == FATHOM__CLASS_NOUN || kind == FATHOM__CLASS_TOPIC || kind == FATHOM__CLASS_IDEA;
}

static int topic_text(struct fathom__buffer *out, const struct fathom__stream *stream, uint32_t class_id) {
    const char *kind;
    size_t length;
    uint32_t offset;
    const enum fathom__class_kind which = fathom__lexicon_class_kind(stream->lexicon, class_id);
    if (which != FATHOM__CLASS_TOPIC && which != FATHOM__CLASS_IDEA) return class_text(out, stream, class_id);
    const char *name = fathom__lexicon_class_name(&length, &kind, &offset, stream->lexicon, class_id);
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < length; i++)
        status = fathom__buffer_append(out, name[i] == '_' ? " " : name + i, 1);
    return status;
}

/* What a list's members share, as the list is called by. */
static int name_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                     const struct fathom__stream *stream) {
    switch (condition->name) {
    case FATHOM__NAME_CLASS:
        return is_subject(condition, stream) ? topic_text(out, stream, condition->class_id)
                                             : class_text(out, stream, condition->class_id);
    case FATHOM__NAME_NAMES: return fathom__buffer_text(out, "names");
    case FATHOM__NAME_PARTS: return fathom__buffer_text(out, "parts of names");
    case FATHOM__NAME_SIGNS: return fathom__buffer_text(out, fathom__signs[condition->flag].name);
    default: return fathom__buffer_text(out, name_of(condition->flag)->text);
    }
}

static int condition_text(struct fathom__buffer *out, const struct fathom__condition *condition,
                          const struct fathom__stream *stream, bool alone) {
    static const char *const places[FATHOM__PLACES] = {"", "after ", "before ", "near "};
    int status;
    if (is_subject(condition, stream)) {
        status = fathom__buffer_text(out, alone ? "text about " : "in text about ");
        if (!status && condition->name)
            status = name_text(out, condition, stream);
        else if (!status)
            status = topic_text(out, stream, condition->class_id);
        return status || !condition->name ? status : fathom__rule_list_text(out, condition, stream);
    }
    if ((status = fathom__buffer_text(out, places[condition->place]))) return status;
    if (condition->name) {
        status = name_text(out, condition, stream);
        return status ? status : fathom__rule_list_text(out, condition, stream);
    }
    switch (condition->kind) {
    case FATHOM__CLASS: return class_text(out, stream, condition->class_id);
    case FATHOM__FLAG: return fathom__buffer_text(out, name_of(condition->flag)->text);
    case FATHOM__SUFFIX: return fathom__buffer_format(out, "words ending in ‘-%s’", condition->affix);
    case FATHOM__PREFIX: return fathom__buffer_format(out, "words beginning with ‘%s-’", condition->affix);
    case FATHOM__TOKENS:
        if (condition->place == FATHOM__HERE && condition->n_ids == 1 &&
            !fathom__stream_token_is_piece(stream, condition->ids[0]) &&
            (status = fathom__buffer_text(out, "the token ")))
            return status;
        return fathom__rule_list_text(out, condition, stream);
    default: return fathom__rule_list_text(out, condition, stream);
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

static void set_class_json(json_t *object, const struct fathom__stream *stream, uint32_t class_id) {
    size_t length;
    uint32_t offset;
    const char *kind;
    const char *name = fathom__lexicon_class_name(&length, &kind, &offset, stream->lexicon, class_id);
    json_object_set_new(object, "class", fathom__json_string(name, length));
    json_object_set_new(object, "class_of", json_string(kind));
    if (offset) json_object_set_new(object, "synset", json_integer(offset));
}

/* What a list is called by: how many of its members, the first ones, share it, and the class if it is one. */
static json_t *name_json(const struct fathom__condition *condition, const struct fathom__stream *stream) {
    json_t *object = json_object();
    json_object_set_new(object, "members", json_integer(condition->n_named));
    if (condition->name == FATHOM__NAME_CLASS)
        set_class_json(object, stream, condition->class_id);
    else if (condition->name == FATHOM__NAME_FLAG)
        json_object_set_new(object, "shape", json_string(name_of(condition->flag)->json));
    else
        json_object_set_new(object, "shape",
                            json_string(condition->name == FATHOM__NAME_SIGNS   ? fathom__signs[condition->flag].name
                                        : condition->name == FATHOM__NAME_NAMES ? "names"
                                                                                : "parts of names"));
    return object;
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
        if (condition->name) json_object_set_new(object, "named", name_json(condition, stream));
    } else if (condition->kind == FATHOM__CLASS) {
        set_class_json(object, stream, condition->class_id);
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
