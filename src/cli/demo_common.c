#include "demo.h"
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <math.h>
#include <stdarg.h>

void demo_heading(const char *title, const char *what) {
    putchar('\n');
    cli_print_bold(stdout, title);
    fputs("  ", stdout);
    cli_print_dim(stdout, what);
    fputs("\n\n", stdout);
}

void demo_print_feature(const struct demo *demo, uint32_t feature) {
    const struct fathom_feature *known = fathom_catalogue_feature(demo->catalogue, feature);
    printf("feature %u", feature);
    if (known != NULL && known->label != NULL) {
        fputs(" “", stdout);
        cli_print_bold(stdout, known->label);
        fputs("”", stdout);
        if (isfinite(known->label_score)) printf(" (label %.2f)", (double)known->label_score);
    } else {
        fputs(" (no label holds)", stdout);
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
    if (fathom_token_bytes(&bytes, &length, demo->model, token) == FATHOM_OK) cli_print_level(stdout, bytes, length, 0);
}

int demo_setting(json_t **out, const struct demo *demo, const char *stage, const char *key, json_type type) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    json_t *value = json_object_get(json_object_get(demo->settings, stage), key);
    bool fits = value != NULL && (json_typeof(value) == type || (type == JSON_REAL && json_is_number(value)) ||
                                  (type == JSON_TRUE && json_is_boolean(value)));
    if (!fits)
        return demo_error(FATHOM_ERROR_FORMAT, "%s/demo.json: %s.%s: %s is expected", demo->share, stage, key,
                          names[type]);
    *out = value;
    return FATHOM_OK;
}

int demo_file(char **out, const struct demo *demo, const char *name) {
    return fathom__path_join(out, demo->share, name);
}

int demo_error(int status, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return fathom__fail(status, "%s", text);
}
