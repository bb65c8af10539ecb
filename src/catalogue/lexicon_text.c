/* Classes as people read them. */
#include "catalogue/lexicon.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 128 };

/* What WordNet calls by a name that few would use. */
static const struct {
    const char *name, *said;
} plain_names[] = {
    {"person", "people"},
    {"location", "places"},
    {"region", "places"},
    {"geographical_area", "places"},
    {"administrative_district", "districts"},
    {"municipality", "towns"},
    {"urban_area", "towns"},
    {"time_period", "periods of time"},
    {"time_unit", "units of time"},
    {"definite_quantity", "quantities"},
    {"integer", "whole numbers"},
    {"instrumentality", "devices"},
    {"structure", "buildings"},
    {"geological_formation", "landforms"},
    {"body_of_water", "waters"},
    {"gregorian_calendar_month", "months"},
    {"atmospheric_phenomenon", "weather"},
    {"linear_unit", "units of length"},
    {"monetary_unit", "currencies"},
    {"genitor", "parents"},
    {"kin", "relatives"},
    {"animal", "animals"},
    {"diversion", "pastimes"},
    {"food", "food"},
    {"nutriment", "food"},
    {"clothing", "clothes"},
    {"music", "music"},
    {"money", "money"},
    {"water", "water"},
    {"furniture", "furniture"},
    {"equipment", "equipment"},
    {"information", "information"},
    {"knowledge", "knowledge"},
    {"happiness", "happiness"},
    {"gladfulness", "gladness"},
};

/* A database name without its marks: "Golden_Gate" with a blank, "galore(ip)" without the parenthesis. */
static void plain(char out[NAME_SIZE], const char *name, size_t length) {
    const char *mark = memchr(name, '(', length);
    if (mark) length = (size_t)(mark - name);
    if (length >= NAME_SIZE) length = NAME_SIZE - 1;
    for (size_t i = 0; i < length; i++)
        out[i] = name[i] == '_' ? ' ' : name[i];
    out[length] = 0;
}

static int noun_text(struct fathom__buffer *out, const fathom__lexicon *lexicon, const char *name, size_t length,
                     bool plural) {
    char text[NAME_SIZE];
    for (size_t i = 0; i < sizeof plain_names / sizeof *plain_names; i++)
        if (strlen(plain_names[i].name) == length && memcmp(plain_names[i].name, name, length) == 0)
            return fathom__buffer_text(out, plain_names[i].said);
    if (plural)
        fathom__wordnet_plural(text, sizeof text, fathom__lexicon_nouns(lexicon), name, length);
    else
        plain(text, name, length);
    return fathom__buffer_text(out, text);
}

/* WordNet puts the numbers written as words under these two heads, which nobody would look for them at. */
static int adjective_text(struct fathom__buffer *out, const char *head) {
    if (strcmp(head, "cardinal") == 0) return fathom__buffer_text(out, "number words");
    if (strcmp(head, "ordinal") == 0) return fathom__buffer_text(out, "ordinal numbers");
    return fathom__buffer_format(out, "adjectives like ‘%s’", head);
}

int fathom__lexicon_class_text(struct fathom__buffer *out, const fathom__lexicon *lexicon, uint32_t class_id,
                               bool plural) {
    const char *kind;
    char text[NAME_SIZE];
    size_t length;
    uint32_t offset;
    const char *name = fathom__lexicon_class_name(&length, &kind, &offset, lexicon, class_id);
    plain(text, name, length);
    switch (fathom__lexicon_class_kind(lexicon, class_id)) {
    case FATHOM__CLASS_NOUN: return noun_text(out, lexicon, name, length, plural);
    case FATHOM__CLASS_VERB: return fathom__buffer_format(out, "verbs like ‘%s’", text);
    case FATHOM__CLASS_ADJECTIVE: return adjective_text(out, text);
    case FATHOM__CLASS_TOPIC: return fathom__buffer_format(out, "words of %s", text);
    case FATHOM__CLASS_ATTRIBUTE: return fathom__buffer_format(out, "adjectives of %s", text);
    case FATHOM__CLASS_FIELD: return fathom__buffer_format(out, "verbs %s", text);
    case FATHOM__CLASS_FORMS: return fathom__buffer_format(out, "forms of ‘%s’", text);
    case FATHOM__CLASS_IDEA: return fathom__buffer_format(out, "words for ‘%s’", text);
    default: return fathom__buffer_text(out, text);
    }
}
