#include "command_line.h"
#include "parse.h"
#include <base/buffer.h>
#include <string.h>

enum { MOST_COMMAND = 1 << 20 };

/* A word as a shell takes it. */
static int add_word(struct fathom__buffer *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./,:@%";
    if (*word && word[strspn(word, plain)] == '\0') return fathom__buffer_text(out, word);
    int status = fathom__buffer_text(out, "'");
    for (; *word && !status; word++)
        status = *word == '\'' ? fathom__buffer_text(out, "'\\''") : fathom__buffer_append(out, word, 1);
    return status ? status : fathom__buffer_text(out, "'");
}

int command_line(char **out, const struct cli_arguments *arguments) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MOST_COMMAND);
    size_t n = 0;
    char *const *words = cli_arguments_words(&n, arguments);
    int status = fathom__buffer_text(&text, "fathom ");
    if (!status) status = fathom__buffer_text(&text, cli_arguments_command(arguments)->name);
    for (size_t i = 0; i < n && !status; i++) {
        status = fathom__buffer_text(&text, " ");
        if (!status) status = add_word(&text, words[i]);
    }
    if (!status) status = fathom__buffer_take(out, &text);
    fathom__buffer_free(&text);
    return status;
}
