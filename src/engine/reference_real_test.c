/* The default models against transformers run on the same weights, dequantised (tests/reference/real.py), at a few
 * points and channels. The engine rounds the inputs of quantised products to eight bits, so agreement is to percents,
 * not to 1e-3. Skipped where a model is not in the cache. */
#include "tests/reference/proof.h"

enum { LARGEST = 3, MAX_NAMES = 16 };

/* The largest error per kind of point, of |a - b| / |b| and of its median over channels, about 1.6 times what was
 * measured. Errors are over all rows but the first, whose norm is two orders of magnitude above the others', and all
 * channels but the three largest; logits are taken relative to their row's mean. */
struct bounds {
    const char *model;
    double residual, mlp, logits;
};

static const struct bounds smollm2 = {"smollm2", 0.08, 0.09, 0.07};
static const struct bounds gemma3 = {"gemma3", 0.11, 0.11, 0.08};
/* The same weights as bf16, whose products round their inputs to bf16: what is left once no input is rounded to eight
 * bits. */
static const struct bounds smollm2_bf16 = {"smollm2", 0.016, 0.02, 0.025};

/* How much worse the input of a layer has to do as its output: the control. */
#define CONTROL_FACTOR 4

/* What was read at one point, cut to the channels that the reference has: [n, channels]. */
struct cut {
    size_t n_rows, n_channels;
    float *ours, *theirs;
};

static void cut_open(struct cut *cut, const struct proof *proof, const struct rows *rows, const char *name) {
    char channels_name[FATHOM_HOOK_NAME_SIZE + 16];
    snprintf(channels_name, sizeof channels_name, "%s/channels", name);
    const struct fathom__tensor *tensor = fathom__safetensors_find(proof->numbers, name);
    const struct fathom__tensor *list = fathom__safetensors_find(proof->numbers, channels_name);
    assert_non_null(tensor);
    assert_non_null(list);
    cut->n_rows = tensor->shape[0];
    cut->n_channels = tensor->shape[1];
    assert_int_equal(list->shape[0], cut->n_channels);
    assert_int_equal(rows->n_rows, cut->n_rows);
    assert_int_equal(fathom__safetensors_f32(&cut->theirs, proof->numbers, name, tensor->shape, 2), FATHOM_OK);
    cut->ours = malloc(tensor->bytes);
    assert_non_null(cut->ours);
    for (size_t c = 0; c < cut->n_channels; c++) {
        int32_t channel;
        memcpy(&channel, (const char *)list->data + c * sizeof channel, sizeof channel);
        assert_in_range(channel, 0, rows->width - 1);
        for (size_t r = 0; r < cut->n_rows; r++)
            cut->ours[r * cut->n_channels + c] = rows->values[r * rows->width + (size_t)channel];
    }
}

static void cut_close(struct cut *cut) {
    free(cut->ours);
    fathom_free(cut->theirs);
}

/* Takes the mean over channels out of every row: logits are read relative to each other. */
static void centre(float *values, size_t n_rows, size_t n_channels) {
    for (size_t r = 0; r < n_rows; r++) {
        double mean = 0;
        for (size_t c = 0; c < n_channels; c++)
            mean += values[r * n_channels + c] / (double)n_channels;
        for (size_t c = 0; c < n_channels; c++)
            values[r * n_channels + c] -= (float)mean;
    }
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Errors over rows from 1 and channels from `first` on. */
static double norm_error(double *median, const struct cut *cut, size_t first) {
    double difference = 0, norm = 0;
    double *channels = calloc(cut->n_channels, sizeof *channels);
    assert_non_null(channels);
    for (size_t c = first; c < cut->n_channels; c++) {
        double channel_difference = 0, channel_norm = 0;
        for (size_t r = 1; r < cut->n_rows; r++) {
            double theirs = cut->theirs[r * cut->n_channels + c], d = cut->ours[r * cut->n_channels + c] - theirs;
            channel_difference += d * d;
            channel_norm += theirs * theirs;
        }
        difference += channel_difference;
        norm += channel_norm;
        channels[c - first] = sqrt(channel_difference / channel_norm);
    }
    qsort(channels, cut->n_channels - first, sizeof *channels, compare_doubles);
    *median = channels[(cut->n_channels - first) / 2];
    free(channels);
    return sqrt(difference / norm);
}

static void check_tokens(const struct proof *proof) {
    const char *text = fathom__safetensors_metadata(proof->numbers, "text");
    assert_non_null(text);
    int32_t *tokens;
    size_t n;
    assert_int_equal(fathom_tokenize(&tokens, &n, proof->model, text, strlen(text), true, false), FATHOM_OK);
    assert_int_equal(n, proof->n_tokens);
    assert_memory_equal(tokens, proof->tokens, n * sizeof *tokens);
    fathom_free(tokens);
}

static double bound_of(const struct bounds *bounds, enum fathom_hook_kind kind) {
    return kind == FATHOM_HOOK_LOGITS ? bounds->logits : kind == FATHOM_HOOK_MLP_OUT ? bounds->mlp : bounds->residual;
}

/* The error of `rows` against the numbers of the point `name`. */
static double error_at(double *median, const struct proof *proof, const struct rows *rows, const char *name) {
    bool logits = rows->hook.kind == FATHOM_HOOK_LOGITS;
    struct cut cut;
    cut_open(&cut, proof, rows, name);
    if (logits) {
        centre(cut.ours, cut.n_rows, cut.n_channels);
        centre(cut.theirs, cut.n_rows, cut.n_channels);
    }
    double error = norm_error(median, &cut, logits ? 0 : LARGEST);
    cut_close(&cut);
    return error;
}

static void tap(struct proof *proof, struct rows *rows, struct fathom_hook hook) {
    rows->hook = hook;
    fathom_hook_name(rows->name, hook);
    assert_int_equal(fathom_session_tap(NULL, proof->session, hook, collect, rows), FATHOM_OK);
}

/* Taps every point of the numbers, and beside each end of a layer that layer's beginning. */
static size_t tap_all(struct proof *proof, struct rows *rows, struct rows *before) {
    size_t n = 0;
    for (size_t i = 0; i < fathom__safetensors_count(proof->numbers); i++) {
        const char *name = fathom__safetensors_at(proof->numbers, i)->name;
        struct fathom_hook hook;
        if (strcmp(name, "tokens") == 0 || strchr(name, '/')) continue;
        assert_in_range(n, 0, MAX_NAMES - 1);
        assert_int_equal(fathom_hook_parse(&hook, proof->model, name), FATHOM_OK);
        tap(proof, &rows[n], hook);
        if (hook.kind == FATHOM_HOOK_RESID_POST)
            tap(proof, &before[n], (struct fathom_hook){FATHOM_HOOK_RESID_PRE, hook.layer});
        n++;
    }
    return n;
}

static void points_agree(const struct bounds *bounds, const char *path) {
    struct proof proof = {.name = bounds->model};
    struct rows rows[MAX_NAMES] = {0}, before[MAX_NAMES] = {0};
    char numbers[256];
    size_t wrong = 0;
    proof_open_model(&proof, path);
    snprintf(numbers, sizeof numbers, "tests/reference/real/%s.safetensors", bounds->model);
    proof_numbers(&proof, numbers);
    check_tokens(&proof);
    size_t n = tap_all(&proof, rows, before);
    assert_int_equal(n, 5);
    proof_decode(&proof, 0, proof.n_tokens, true, true);
    print_message("%s (%s) against transformers:\n", bounds->model, fathom_model_describe(proof.model)->quantisation);
    for (size_t i = 0; i < n; i++) {
        double median, unused, bound = bound_of(bounds, rows[i].hook.kind);
        double error = error_at(&median, &proof, &rows[i], rows[i].name);
        print_message("  %-26s %.4f, median channel %.4f", rows[i].name, error, median);
        wrong += !(error <= bound) + !(median <= bound);
        if (before[i].values) {
            double control = error_at(&unused, &proof, &before[i], rows[i].name);
            print_message("; the layer's input %.4f", control);
            wrong += !(control > CONTROL_FACTOR * error);
        }
        print_message("\n");
        free(rows[i].values);
        free(before[i].values);
    }
    proof_close(&proof);
    assert_int_equal(wrong, 0);
}

/* The model's file (new), or the test is skipped. */
static char *find_model(const char *name) {
    char *path = NULL;
    if (fathom_model_find(&path, name) != FATHOM_OK) {
        print_message("skipped: %s\n", fathom_error_message());
        skip();
    }
    return path;
}

static void smollm2_agrees(void **state) {
    (void)state;
    char *path = find_model("smollm2");
    points_agree(&smollm2, path);
    fathom_free(path);
}

static void smollm2_as_bf16_agrees_better(void **state) {
    (void)state;
    char *path = find_model("smollm2"), *derived = NULL;
    if (fathom_model_derive(&derived, path, 0, NULL, NULL) != FATHOM_OK) fail_msg("%s", fathom_error_message());
    points_agree(&smollm2_bf16, derived);
    fathom_free(derived);
    fathom_free(path);
}

static void gemma3_agrees(void **state) {
    (void)state;
    char *path = find_model("gemma3");
    points_agree(&gemma3, path);
    fathom_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_agrees),
        cmocka_unit_test(smollm2_as_bf16_agrees_better),
        cmocka_unit_test(gemma3_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
