#include "hook_list.h"
#include <base/buffer.h>
#include <base/error.h>
#include <base/memory.h>
#include <fathom/model.h>
#include <string.h>

enum { LIST_LIMIT = 1 << 16 };

static int count_layers(uint32_t *out, const char *model_path) {
    fathom_model *model = NULL;
    int status = fathom_model_open(&model, model_path, NULL);
    if (!status) *out = fathom_model_describe(model)->n_layers;
    fathom_model_close(model);
    return status;
}

/* One name of the list, `length` long. */
static int append(struct fathom__buffer *to, const char *name, size_t length, uint32_t n_layers) {
    const char *star = memchr(name, '*', length);
    const char *before = to->length ? "," : "";
    if (!star) return fathom__buffer_format(to, "%s%.*s", before, (int)length, name);
    if (star + 1 != name + length || star == name || star[-1] != '.' || memchr(name, '+', length))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "hook \"%.*s\": * stands for all layers at the end of one NAME.*",
                            (int)length, name);
    int status = 0;
    for (uint32_t l = 0; l < n_layers && !status; l++)
        status = fathom__buffer_format(to, "%s%.*s%u", to->length ? "," : "", (int)length - 1, name, l);
    return status;
}

int hook_list_expand(char **out, const char *list, const char *model_path) {
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(LIST_LIMIT);
    uint32_t n_layers = 0;
    int status = strchr(list, '*') ? count_layers(&n_layers, model_path) : 0;
    for (const char *at = list; !status; at++) {
        const size_t length = strcspn(at, ",");
        status = append(&buffer, at, length, n_layers);
        at += length;
        if (!*at) break;
    }
    if (!status) status = fathom__copy_bytes(out, buffer.length ? buffer.bytes : "", buffer.length);
    fathom__buffer_free(&buffer);
    return status;
}
