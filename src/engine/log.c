#include "engine/log.h"
#include "base/error.h"
#include "engine/accelerator.h"
#include <llama.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_TEXT_SIZE 512

static _Thread_local char log_text[LOG_TEXT_SIZE];
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

/* Only the first error is kept: the engine names the cause first and then what failed because of it. */
static void keep_error(enum ggml_log_level level, const char *text, void *payload) {
    (void)payload;
    if (level != GGML_LOG_LEVEL_ERROR || log_text[0] != '\0') return;
    size_t length = strcspn(text, "\n");
    if (length >= LOG_TEXT_SIZE) length = LOG_TEXT_SIZE - 1;
    memcpy(log_text, text, length);
    log_text[length] = '\0';
}

static void start(void) {
    llama_log_set(keep_error, NULL);
    llama_backend_init();
    /* An engine built with its backends as modules has none at first. One that has them must not go looking for more:
     * modules are searched for in the present folder too. */
    if (ggml_backend_reg_count() == 0) ggml_backend_load_all();
    fathom__accelerator_register(); /* now, while no other thread goes through the engine's list of devices */
}

void fathom__engine_start(void) {
    pthread_once(&engine_once, start);
}

void fathom__engine_log_clear(void) {
    log_text[0] = '\0';
}

const char *fathom__engine_log_text(void) {
    return log_text;
}

int fathom__engine_fail(int status, const char *format, ...) {
    char text[LOG_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (log_text[0] == '\0') return fathom__fail(status, "%s", text);
    return fathom__fail(status, "%s: %s", text, log_text);
}
