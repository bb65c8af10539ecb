/* Labels that read alike, told apart. */
#include "catalogue/label_internal.h"

#include "base/memory.h"
#include "catalogue/rule_text.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_LABEL_BYTES = 480 };
static const char where_strong[] = FATHOM__WHERE_STRONG;

struct named {
    const char *text;
    uint32_t feature;
};

static int by_text(const void *left, const void *right) {
    const struct named *a = left, *b = right;
    const int order = strcmp(a->text, b->text);
    return order ? order : a->feature < b->feature ? -1 : a->feature > b->feature;
}

/* The word where the feature is strongest, in sum over the rows drawn; 0 when it has none. */
static uint32_t strongest_word(const struct fathom__stream *stream, uint32_t feature) {
    const struct fathom__statistics *statistics = &stream->evidence->features[feature];
    const struct fathom__drawn *drawn = fathom__evidence_drawn(stream->evidence, feature, FATHOM__PROPOSE);
    const uint32_t n = statistics->n_drawn[FATHOM__PROPOSE];
    uint32_t best = 0;
    double best_sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t word = stream->words[drawn[i].row];
        double sum = 0;
        for (uint32_t j = 0; word && j < n; j++)
            if (stream->words[drawn[j].row] == word && drawn[j].value > FATHOM__LABEL_STRONG * statistics->maximum)
                sum += (double)drawn[j].value;
        if (sum > best_sum) {
            best_sum = sum;
            best = word;
        }
    }
    return best;
}

static int add_word(struct fathom_label *label, const struct fathom__stream *stream, uint32_t feature) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MOST_LABEL_BYTES), quoted = FATHOM__BUFFER_INIT(MOST_LABEL_BYTES);
    const uint32_t word = strongest_word(stream, feature);
    const size_t length = strlen(label->text), end = sizeof where_strong - 1;
    const bool strong = length > end && strcmp(label->text + length - end, where_strong) == 0;
    char *written = NULL;
    int status;
    if (!word) return FATHOM_OK;
    if ((status = fathom__buffer_text(&quoted, "‘")) || (status = fathom__rule_word_text(&quoted, stream, word)) ||
        (status = fathom__buffer_text(&quoted, "’")) || strstr(label->text, quoted.bytes))
        goto done;
    if ((status = fathom__buffer_append(&text, label->text, strong ? length - end : length)) ||
        (status = fathom__buffer_format(&text, ", above all %s%s", quoted.bytes, strong ? where_strong : "")) ||
        (status = fathom__buffer_take(&written, &text)))
        goto done;
    fathom_free((char *)(uintptr_t)label->text);
    label->text = written;
done:
    fathom__buffer_free(&text);
    fathom__buffer_free(&quoted);
    return status == FATHOM_ERROR_LIMIT ? FATHOM_OK : status;
}

int fathom__labels_tell_apart(struct fathom_label *labels, uint32_t n_features, const struct fathom__stream *stream) {
    struct named *named;
    size_t n = 0;
    int status = fathom__alloc(&named, n_features, sizeof *named);
    if (status) return status;
    for (uint32_t f = 0; f < n_features; f++)
        if (labels[f].text) named[n++] = (struct named){labels[f].text, f};
    if (n) qsort(named, n, sizeof *named, by_text);
    for (size_t i = 0, end; !status && i < n; i = end) {
        for (end = i + 1; end < n && strcmp(named[end].text, named[i].text) == 0;)
            end++;
        /* The texts of this group are freed one by one: none is looked at again. */
        for (size_t j = i; !status && end > i + 1 && j < end; j++)
            status = add_word(&labels[named[j].feature], stream, named[j].feature);
    }
    fathom_free(named);
    return status;
}
