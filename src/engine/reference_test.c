/* Hook points against transformers: tiny models of every supported architecture, each point read and compared with the
 * numbers of tests/reference (its README.md says how they were made, and under which conditions the two can agree). */
#include "tests/reference/proof.h"

#define MAX_POINTS 128 /* of one model */

struct capture {
    struct rows points[MAX_POINTS];
    size_t n;
};

/* Every hook that any model could have, one after another; false when there are no more. */
static bool next_hook(struct fathom_hook *hook, const struct proof *proof) {
    if (hook->layer >= 0 && hook->layer + 1 < (int32_t)proof->n_layers) {
        hook->layer++;
        return true;
    }
    hook->kind++;
    hook->layer = hook->kind < FATHOM_HOOK_COUNT && has_layer(hook->kind) ? 0 : -1;
    return hook->kind < FATHOM_HOOK_COUNT;
}

static const struct fathom_hook first_hook = {FATHOM_HOOK_EMBED, -1};

static void tap_one(struct capture *capture, struct proof *proof, struct fathom_hook hook) {
    assert_in_range(capture->n, 0, MAX_POINTS - 1);
    struct rows *rows = &capture->points[capture->n++];
    rows->hook = hook;
    rows->n_tokens = proof->n_tokens;
    fathom_hook_name(rows->name, hook);
    if (fathom_session_tap(NULL, proof->session, hook, collect, rows) != FATHOM_OK)
        fail_msg("%s %s: %s", proof->name, rows->name, fathom_error_message());
}

/* Taps every point; those after the layers (final norm, logits) only with `head`. */
static void tap_all(struct capture *capture, struct proof *proof, bool head) {
    memset(capture, 0, sizeof *capture);
    struct fathom_hook hook = first_hook;
    do {
        bool after_layers = hook.kind == FATHOM_HOOK_FINAL_NORM || hook.kind == FATHOM_HOOK_LOGITS;
        if (fathom_hook_exists(NULL, NULL, proof->model, hook) && (head || !after_layers))
            tap_one(capture, proof, hook);
    } while (next_hook(&hook, proof));
}

/* Opens a model, taps every point and runs the whole text. */
static void read_all(struct capture *capture, struct proof *proof, const char *name) {
    proof_open(proof, name);
    tap_all(capture, proof, true);
    proof_decode(proof, 0, proof->n_tokens, true, true);
}

static void close_all(struct capture *capture, struct proof *proof) {
    for (size_t i = 0; i < capture->n; i++)
        free(capture->points[i].values);
    proof_close(proof);
}

/* Whether a point agrees and has the reference's shape. */
static bool point_agrees(double *error, const struct rows *rows, const struct proof *proof) {
    const struct fathom__tensor *tensor = fathom__safetensors_find(proof->numbers, rows->name);
    if (!tensor) {
        print_error("%s %s: is offered, but the architecture has it not\n", proof->name, rows->name);
        return false;
    }
    *error = error_against(proof, rows, rows->name);
    size_t heads = tensor->n_dimensions == 3 ? tensor->shape[1] : 1;
    if (*error <= TOLERANCE && rows->heads == heads) return true;
    print_error("%s %s: relative error %.3g; %zu rows of %zu in %zu heads\n", proof->name, rows->name, *error,
                rows->n_rows, rows->width, rows->heads);
    return false;
}

static void print_table(double worst[N_MODELS][FATHOM_HOOK_COUNT]) {
    print_message("%-22s", "largest relative error");
    for (size_t m = 0; m < N_MODELS; m++)
        print_message(" %9.9s", reference_models[m]);
    for (int k = 0; k < FATHOM_HOOK_COUNT; k++) {
        enum fathom_hook_kind kind = (enum fathom_hook_kind)k;
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, (struct fathom_hook){kind, has_layer(kind) ? 0 : -1});
        print_message("\n%-22s", has_layer(kind) ? name + strlen("blocks.0.") : name);
        for (size_t m = 0; m < N_MODELS; m++) {
            if (worst[m][k] < 0)
                print_message(" %9s", "-");
            else
                print_message(" %9.1e", worst[m][k]);
        }
    }
    print_message("\n");
}

static void points_agree(void **state) {
    (void)state;
    double worst[N_MODELS][FATHOM_HOOK_COUNT];
    size_t wrong = 0;
    for (size_t m = 0; m < N_MODELS; m++) {
        for (int k = 0; k < FATHOM_HOOK_COUNT; k++)
            worst[m][k] = -1;
        struct proof proof;
        struct capture capture;
        read_all(&capture, &proof, reference_models[m]);
        for (size_t i = 0; i < capture.n; i++) {
            double error = INFINITY, *largest = &worst[m][capture.points[i].hook.kind];
            wrong += !point_agrees(&error, &capture.points[i], &proof);
            *largest = fmax(*largest, error);
        }
        close_all(&capture, &proof);
    }
    print_table(worst);
    assert_int_equal(wrong, 0);
}

/* The second decode attends to keys of the first; no row wants logits, and still the last layer has all rows. */
static void points_agree_in_two_decodes(void **state) {
    (void)state;
    size_t wrong = 0;
    for (size_t m = 0; m < N_MODELS; m++) {
        struct proof proof;
        struct capture capture;
        proof_open(&proof, reference_models[m]);
        tap_all(&capture, &proof, false);
        /* A run that stops early leaves later keys out: something after the last layer has to be wanted. */
        tap_one(&capture, &proof, (struct fathom_hook){FATHOM_HOOK_FINAL_NORM, -1});
        proof_decode(&proof, 0, proof.n_tokens / 2, false, false);
        proof_decode(&proof, proof.n_tokens / 2, proof.n_tokens, false, false);
        for (size_t i = 0; i < capture.n; i++) {
            double error;
            wrong += !point_agrees(&error, &capture.points[i], &proof);
        }
        close_all(&capture, &proof);
    }
    assert_int_equal(wrong, 0);
}

/* The point is there exactly when the reference has it; otherwise it is refused, and the message names it. */
static bool check_existence(struct proof *proof, struct fathom_hook hook) {
    char name[FATHOM_HOOK_NAME_SIZE];
    fathom_hook_name(name, hook);
    bool expected = fathom__safetensors_find(proof->numbers, name) != NULL;
    assert_int_equal(fathom_hook_exists(NULL, NULL, proof->model, hook), expected);
    struct fathom_hook parsed;
    int status = fathom_hook_parse(&parsed, proof->model, name);
    if (expected) {
        assert_int_equal(status, FATHOM_OK);
        assert_int_equal(parsed.kind, hook.kind);
        assert_int_equal(parsed.layer, hook.layer);
        return true;
    }
    assert_int_equal(status, FATHOM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(fathom_error_message(), name));
    assert_int_equal(fathom_session_tap(NULL, proof->session, hook, collect, NULL), FATHOM_ERROR_UNSUPPORTED);
    return false;
}

static void absent_points_are_refused_by_name(void **state) {
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        struct proof proof;
        proof_open(&proof, reference_models[m]);
        size_t refused = 0;
        struct fathom_hook hook = first_hook;
        do
            refused += !check_existence(&proof, hook);
        while (next_hook(&hook, &proof));
        /* gpt2 rotates neither q nor k; GPT-NeoX in parallel has nothing between attention and MLP. */
        size_t per_layer = strcmp(proof.name, "gpt2") == 0 ? 2 : strcmp(proof.name, "gptneox") == 0 ? 1 : 0;
        assert_int_equal(refused, per_layer * proof.n_layers);
        proof_close(&proof);
    }
}

/* Whether b follows a with nothing in between. */
static bool is_next(struct fathom_hook a, struct fathom_hook b, bool positions_added) {
    if (a.kind == FATHOM_HOOK_EMBED) return b.kind == FATHOM_HOOK_RESID_PRE && b.layer == 0 && !positions_added;
    return a.kind == FATHOM_HOOK_RESID_POST && b.kind == FATHOM_HOOK_RESID_PRE && b.layer == a.layer + 1;
}

/* The control: a point agrees with its own numbers and no others, but for points that are the same by definition. */
static void points_agree_with_nothing_else(void **state) {
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        struct proof proof;
        struct capture capture;
        read_all(&capture, &proof, reference_models[m]);
        bool positions_added = strcmp(proof.name, "gpt2") == 0;
        size_t same = 0;
        for (size_t i = 0; i < capture.n; i++) {
            for (size_t j = 0; j < capture.n; j++) {
                const struct rows *a = &capture.points[i], *b = &capture.points[j];
                if (i == j) continue;
                bool expected =
                    is_next(a->hook, b->hook, positions_added) || is_next(b->hook, a->hook, positions_added);
                bool agrees = error_against(&proof, a, b->name) <= TOLERANCE;
                if (agrees != expected)
                    fail_msg("%s: %s %s %s", proof.name, a->name, agrees ? "is taken for" : "differs from", b->name);
                same += agrees;
            }
        }
        assert_int_equal(same, 2 * (proof.n_layers - positions_added));
        close_all(&capture, &proof);
    }
}

static const struct rows *find_rows(const struct capture *capture, const char *name, size_t length) {
    for (size_t i = 0; i < capture->n; i++)
        if (strlen(capture->points[i].name) == length && strncmp(capture->points[i].name, name, length) == 0)
            return &capture->points[i];
    return NULL;
}

/* What lies on the wrong side of a gain, a bias, a norm, a scale or a cap is told apart. */
static void mistaken_points_differ(void **state) {
    (void)state;
    const char prefix[] = "mistaken/";
    for (size_t m = 0; m < N_MODELS; m++) {
        struct proof proof;
        struct capture capture;
        read_all(&capture, &proof, reference_models[m]);
        size_t checked = 0;
        for (size_t i = 0; i < fathom__safetensors_count(proof.numbers); i++) {
            const char *tensor = fathom__safetensors_at(proof.numbers, i)->name;
            if (strncmp(tensor, prefix, strlen(prefix)) != 0) continue;
            const char *name = tensor + strlen(prefix), *what = strrchr(name, '/');
            assert_non_null(what);
            const struct rows *rows = find_rows(&capture, name, (size_t)(what - name));
            assert_non_null(rows);
            double error = error_against(&proof, rows, tensor);
            if (!(error > TOLERANCE) || !isfinite(error))
                fail_msg("%s %s: relative error %.3g", proof.name, tensor, error);
            checked++;
        }
        assert_in_range(checked, 7, 20);
        close_all(&capture, &proof);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_agree),
        cmocka_unit_test(points_agree_in_two_decodes),
        cmocka_unit_test(absent_points_are_refused_by_name),
        cmocka_unit_test(points_agree_with_nothing_else),
        cmocka_unit_test(mistaken_points_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
