/* WordNet's files: index.noun, data.noun and noun.exc, divided by zero bytes. */
#include <base/error.h>
#include <base/file.h>
#include <catalogue/wordnet.h>
#include <fuzz/target.h>

static void use(const fathom__wordnet *wordnet) {
    static const char *const words[] = {"athlete", "mice", "golden_gate_bridge", "x"};
    uint32_t above[FATHOM__WORDNET_CLOSURE], lemma;
    char plural[64];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const size_t length = strlen(words[i]);
        (void)fathom__wordnet_words_from(wordnet, words[i], length);
        fathom__wordnet_plural(plural, sizeof plural, wordnet, words[i], length);
        if (!fathom__wordnet_find_inflected(&lemma, wordnet, words[i], length)) continue;
        const uint32_t *synsets = NULL;
        const size_t n = fathom__wordnet_senses(&synsets, wordnet, lemma);
        for (size_t j = 0; j < n; j++)
            (void)fathom__wordnet_closure(above, wordnet, synsets[j]);
    }
    for (uint32_t i = 0; i < fathom__wordnet_synset_count(wordnet); i++) {
        size_t length = 0;
        (void)fathom__wordnet_name(&length, wordnet, i);
        (void)fathom__wordnet_is_name(wordnet, i);
        const uint32_t *topics = NULL;
        const size_t n = fathom__wordnet_topics(&topics, wordnet, i);
        uint32_t topic;
        for (size_t j = 0; j < n; j++)
            (void)fathom__wordnet_at(&topic, wordnet, topics[j]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const char *const names[] = {"wordnet/index.noun", "wordnet/data.noun", "wordnet/noun.exc"};
    fathom__wordnet *wordnet = NULL;
    if (fathom__make_folders(scratch("wordnet"))) return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const uint8_t *end = length ? memchr(bytes, 0, length) : NULL;
        const size_t part = end ? (size_t)(end - bytes) : length;
        scratch_file(names[i], bytes, part);
        bytes += end ? part + 1 : part;
        length -= end ? part + 1 : part;
    }
    int status = fathom__wordnet_open(&wordnet, scratch("wordnet"), FATHOM__NOUNS);
    FUZZ_CHECK(status);
    if (!status) use(wordnet);
    fathom__wordnet_close(wordnet);
    return 0;
}
