#include "catalogue/closed_words.h"

#include <string.h>

const struct fathom__closed_class fathom__closed_classes[] = {
    {"personal pronouns", " i you he she it we they me him her us them ", false},
    {"possessives", " my your his her its our their mine yours hers ours theirs ", false},
    {"words for oneself", " i me my mine myself we us our ours ourselves ", false},
    {"words for the one spoken to", " you your yours yourself yourselves ", false},
    {"words for a man or a woman", " he him his himself she her hers herself ", false},
    {"reflexive pronouns", " myself yourself himself herself itself ourselves yourselves themselves oneself ", false},
    {"articles", " a an the ", false},
    {"demonstratives", " this that these those such ", false},
    {"indefinite pronouns",
     " someone somebody something anyone anybody anything everyone everybody everything none nobody nothing one ",
     false},
    {"prepositions",
     " of in to for with on at from by about as into like through after over between out against during without before "
     "under around among within along across behind beyond above below near off onto upon toward towards beside "
     "besides beneath inside outside throughout despite until since per via than amid except ",
     false},
    {"prepositions of place",
     " in on at over between under around among within along across behind beyond above below near beside beneath "
     "inside outside throughout amid upon onto ",
     false},
    {"prepositions of time", " after before during until since till throughout while ", false},
    {"prepositions of direction", " to from into through toward towards onto off up down out away back along across ",
     false},
    {"conjunctions", " and or but nor so yet because although though while if unless whereas until when since ", false},
    {"words that begin a condition", " if unless whether otherwise provided when whenever ", false},
    {"words of contrast",
     " but however although though yet while whereas despite nevertheless nonetheless instead rather still ", false},
    {"words of cause", " because since so therefore thus hence due consequently ", false},
    {"linking adverbs",
     " however therefore moreover furthermore thus hence consequently nevertheless nonetheless meanwhile additionally "
     "otherwise instead besides finally overall also ",
     false},
    {"auxiliary verbs",
     " am is are was were be been being do does did done have has had having can could may might must shall should "
     "will "
     "would ",
     false},
    {"modal verbs", " can could may might must shall should will would cannot ", false},
    {"negations", " no not never none nothing nobody neither nor cannot without n't don didn doesn isn wasn weren won ",
     false},
    {"question words", " who whom whose what which when where why how ", false},
    {"relative pronouns", " who whom whose which that where ", false},
    {"number words",
     " two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
     "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen ",
     false},
    {"ordinals",
     " first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth 1st 2nd 3rd 4th 5th 6th 7th "
     "8th "
     "9th 10th last next final ",
     false},
    {"words of quantity",
     " all some any many much few little more most less least several both each every half enough plenty numerous "
     "various another other ",
     false},
    {"comparisons", " more most less least better best worse worst greater greatest larger largest than as rather ",
     false},
    {"words of degree",
     " very so too quite really extremely highly rather pretty just only even almost nearly incredibly truly simply "
     "particularly especially completely absolutely totally ",
     false},
    {"words of frequency",
     " always never often sometimes usually rarely seldom ever frequently occasionally again once twice daily "
     "constantly ",
     false},
    {"words of time",
     " now then today yesterday tomorrow soon already still yet ago later earlier early late recently once before "
     "after "
     "when while tonight currently ",
     false},
    {"words of place", " here there everywhere somewhere anywhere nowhere where above below nearby away home ", false},
    {"contractions", " s t re ve ll d m ", false},
    {"titles of people", " mr mrs ms dr prof sir lady lord professor doctor president king queen prince ", true},
    {"months",
     " january february march april may june july august september october november december jan feb mar apr jun jul "
     "aug sep sept oct nov dec ",
     true},
    {"weekdays", " monday tuesday wednesday thursday friday saturday sunday ", true},
    {"directions", " north south east west northern southern eastern western left right up down ", false},
};
const size_t fathom__closed_class_count = sizeof fathom__closed_classes / sizeof *fathom__closed_classes;

static bool list_has(const char *list, const char *word, size_t length) {
    if (!length) return false;
    for (const char *at = list + 1; *at;) {
        const char *end = strchr(at, ' ');
        if ((size_t)(end - at) == length && memcmp(at, word, length) == 0) return true;
        at = end + 1;
    }
    return false;
}

bool fathom__closed_class_has(const struct fathom__closed_class *closed, const char *word, size_t length) {
    return list_has(closed->words, word, length);
}

bool fathom__is_function_word(const char *word, size_t length) {
    static const char words[] =
        " a about all am an and any are as at back be been being but by can could did do does don down each else for "
        "from had has have he her him his how i if in into is it its just like may me might more most much must my no "
        "nor not of off on one or our out over own s shall she should so some such t than that the their them then "
        "there they this those thus to too under until up us very was we well were what when where which while who why "
        "will with would yet you your ";
    return list_has(words, word, length);
}
