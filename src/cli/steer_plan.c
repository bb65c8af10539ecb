#include "steer_plan.h"
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <string.h>

enum { PLAN_LIMIT = 16 << 20 };

int steer_plan_open(fathom_steer **out, json_t **document, const struct cli_arguments *arguments,
                    const fathom_model *model, const struct fathom_steer_context *context) {
    const char *given = cli_text(arguments, "plan", NULL);
    const char *name = "--plan";
    const char *text = given;
    char *file = NULL;
    char *json = NULL;
    fathom_steer *plan = NULL;
    *out = NULL;
    *document = NULL;
    if (given == NULL) {
        return FATHOM_OK;
    }
    size_t length = strlen(given);
    int status = FATHOM_OK;
    if (fathom__file_exists(given)) {
        name = given;
        status = fathom__file_read(&file, &length, given, PLAN_LIMIT);
        text = file;
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_translate(&json, text, length, name);
    }
    if (status == FATHOM_OK) {
        status = fathom__json_parse(document, json, strlen(json), name);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_open(&plan, model);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_read(plan, json, strlen(json), name, context);
    }
    fathom_free(file);
    fathom_free(json);
    if (status != FATHOM_OK) {
        fathom_steer_close(plan);
        json_decref(*document);
        *document = NULL;
        return status;
    }
    *out = plan;
    return FATHOM_OK;
}
