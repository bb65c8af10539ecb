#include "server/job_text.h"
#include "base/utf8.h"
#include <fathom/error.h>
#include <stdint.h>
#include <string.h>

void fathom__job_text_start(struct fathom__job_text *text, const char *const *stops, size_t n_stops, size_t limit) {
    *text = (struct fathom__job_text){
        .bytes = FATHOM__BUFFER_INIT(limit), .stops = stops, .n_stops = n_stops, .cut = SIZE_MAX};
    for (size_t i = 0; i < n_stops; i++) {
        const size_t length = strlen(stops[i]);
        if (length > text->longest_stop) text->longest_stop = length;
    }
}

static bool starts_with(const struct fathom__job_text *text, size_t at, const char *stop) {
    const size_t length = strlen(stop);
    return at + length <= text->bytes.length && memcmp(text->bytes.bytes + at, stop, length) == 0;
}

int fathom__job_text_add(bool *stopped, struct fathom__job_text *text, const char *bytes, size_t length) {
    const size_t before = text->bytes.length;
    const int status = fathom__buffer_append(&text->bytes, bytes, length);
    if (status) return status;
    *stopped = false;
    if (text->longest_stop == 0) return FATHOM_OK;
    const size_t from = before + 1 > text->longest_stop ? before + 1 - text->longest_stop : 0;
    for (size_t at = from; at < text->bytes.length && !*stopped; at++)
        for (size_t i = 0; i < text->n_stops && !*stopped; i++)
            if (starts_with(text, at, text->stops[i])) {
                text->cut = at;
                *stopped = true;
            }
    return FATHOM_OK;
}

/* Whether a stop text could begin at `at` and go on after the text. */
static bool may_stop_at(const struct fathom__job_text *text, size_t at, size_t end) {
    for (size_t i = 0; i < text->n_stops; i++)
        if (end - at < strlen(text->stops[i]) && memcmp(text->bytes.bytes + at, text->stops[i], end - at) == 0)
            return true;
    return false;
}

size_t fathom__job_text_showable(const struct fathom__job_text *text, size_t shown, size_t known, bool finished) {
    if (known > text->cut) return text->cut > shown ? text->cut : shown;
    if (finished || known <= shown) return known > shown ? known : shown;
    const size_t whole = shown + fathom__utf8_whole(text->bytes.bytes + shown, known - shown);
    for (size_t at = shown; at < whole; at++)
        if (known - at < text->longest_stop && may_stop_at(text, at, known)) return at;
    return whole;
}

void fathom__job_text_free(struct fathom__job_text *text) {
    fathom__buffer_free(&text->bytes);
}
