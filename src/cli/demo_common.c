#include "demo.h"
#include <base/error.h>
#include <base/memory.h>
#include <math.h>
#include <stdarg.h>

void demo_heading(const struct demo *demo, const char *title, const char *what) {
    fputc('\n', demo->out);
    cli_print_bold(demo->out, title);
    fputs("  ", demo->out);
    cli_print_dim(demo->out, what);
    fputs("\n\n", demo->out);
}

void demo_print_feature(const struct demo *demo, uint32_t feature) {
    const struct fathom_feature *known = fathom_catalogue_feature(demo->catalogue, feature);
    fprintf(demo->out, "feature %u", feature);
    if (known != NULL && known->label != NULL) {
        fputs(" “", demo->out);
        cli_print_bold(demo->out, known->label);
        fputs("”", demo->out);
        if (isfinite(known->label_score)) fprintf(demo->out, " (label %.2f)", (double)known->label_score);
    } else {
        fputs(" (no label holds)", demo->out);
    }
}

json_t *demo_feature_json(const struct demo *demo, uint32_t feature) {
    const struct fathom_feature *known = fathom_catalogue_feature(demo->catalogue, feature);
    json_t *value = json_pack("{s:i}", "feature", (int)feature);
    if (known == NULL) return value;
    json_object_set_new(value, "label", known->label != NULL ? json_string(known->label) : json_null());
    if (known->label != NULL && isfinite(known->label_score))
        json_object_set_new(value, "label_score", json_real((double)known->label_score));
    json_object_set_new(value, "density", json_real(known->density));
    json_object_set_new(value, "max_activation", json_real((double)known->max_activation));
    return value;
}

json_t *demo_token_json(const struct demo *demo, int32_t token) {
    char *text = NULL;
    json_t *value = fathom_detokenize(&text, demo->model, &token, 1) == FATHOM_OK ? json_string(text) : json_null();
    fathom_free(text);
    return value;
}

void demo_print_token(const struct demo *demo, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    if (fathom_token_bytes(&bytes, &length, demo->model, token) == FATHOM_OK)
        cli_print_level(demo->out, bytes, length, 0);
}

int demo_error(int status, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return fathom__fail(status, "%s", text);
}
