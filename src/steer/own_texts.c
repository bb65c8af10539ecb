#include "steer/own_texts.h"
#include <string.h>

static const char *const sentences[] = {
    "The bus was late again this morning, so Maria walked the last two miles to the office in the rain.",
    "Water boils at a lower temperature on a mountain because the air presses on it less.",
    "To change a bicycle tyre, first let out the remaining air and push the bead into the middle of the rim.",
    "Our grandmother kept bees behind the barn and sold the honey at the market every Saturday.",
    "The committee voted seven to two in favour of the new library, although nobody had agreed on a site.",
    "In 1893 the town was connected to the railway, and within ten years its population had doubled.",
    "She scored twice in the second half, but the visitors equalised a minute before the final whistle.",
    "Add the onions and cook them slowly until they are soft, then stir in the rice and a pinch of saffron.",
    "A function that calls itself needs a case in which it does not; otherwise it never returns.",
    "\"I never said that,\" he answered, and closed the door more loudly than he had meant to.",
    "The museum is open from ten to five on weekdays; tickets can be bought at the door or by telephone.",
    "Most cats sleep for more than half of the day, yet wake at once when a tin is opened in the kitchen.",
    "The violin part was difficult, and the orchestra rehearsed the slow movement three times before lunch.",
    "Please send the signed form back by the end of the month, together with a copy of your passport.",
    "From the top of the tower one can see the harbour, the old bridge and, on clear days, the islands.",
    "Prices rose by three per cent last year, more slowly than wages for the first time since the crisis.",
};

int fathom__own_texts(struct fathom_texts *out) {
    int status = FATHOM_OK;
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0] && status == FATHOM_OK; i++) {
        status = fathom_texts_append(out, sentences[i], strlen(sentences[i]), FATHOM_LABEL_NONE);
    }
    return status;
}
