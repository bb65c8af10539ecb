#include "labelled.h"
#include <base/error.h>
#include <inttypes.h>
#include <math.h>

static int load_all(struct fathom_texts *texts, const struct cli_arguments *arguments, const char *option,
                    enum fathom_text_label label) {
    size_t n = 0;
    const char *const *paths = cli_all(&n, arguments, option);
    int status = FATHOM_OK;
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status =
            label == FATHOM_LABEL_NONE ? labelled_append(texts, paths[i]) : fathom_texts_load(texts, paths[i], label);
    }
    return status;
}

int labelled_append(struct fathom_texts *texts, const char *path) {
    const size_t before = texts->n;
    int status = fathom_texts_load(texts, path, FATHOM_LABEL_NONE);
    for (size_t t = before; t < texts->n && status == FATHOM_OK; t++) {
        if (texts->labels[t] == FATHOM_LABEL_NONE) {
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: text %zu: a \"label\" of true or false is expected", path,
                                  t - before + 1);
        }
    }
    return status;
}

int labelled_append_all(struct fathom_texts *texts, const struct cli_arguments *arguments, const char *option) {
    return load_all(texts, arguments, option, FATHOM_LABEL_NONE);
}

int labelled_load(struct fathom_texts *texts, const struct cli_arguments *arguments) {
    int status = load_all(texts, arguments, "pos", FATHOM_LABEL_POSITIVE);
    if (status == FATHOM_OK) {
        status = load_all(texts, arguments, "neg", FATHOM_LABEL_NEGATIVE);
    }
    if (status == FATHOM_OK) {
        status = labelled_append_all(texts, arguments, "labelled");
    }
    if (status == FATHOM_OK && texts->n == 0) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "no texts: --pos and --neg, or --labelled, name them");
    }
    return status;
}

json_t *counts_json(const struct fathom_counts *counts) {
    return json_pack("{s:I, s:I, s:I, s:I}", "true_positive", (json_int_t)counts->true_positive, "false_positive",
                     (json_int_t)counts->false_positive, "true_negative", (json_int_t)counts->true_negative,
                     "false_negative", (json_int_t)counts->false_negative);
}

void counts_print(const struct fathom_counts *counts) {
    printf("alerts: %" PRIu64 " right, %" PRIu64 " wrong; silences: %" PRIu64 " right, %" PRIu64 " wrong",
           counts->true_positive, counts->false_positive, counts->true_negative, counts->false_negative);
    double balanced = fathom_balanced_accuracy(counts);
    if (isfinite(balanced)) {
        printf(" (balanced accuracy %.2f)", balanced);
    }
    putchar('\n');
}

json_t *number_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}
