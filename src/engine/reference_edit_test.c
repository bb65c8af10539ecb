/* Edits against transformers: every point of the first and the last layer changed by the same values in both; the
 * logits must agree. */
#include "tests/reference/proof.h"

#define EDIT_SIZE 0.5f     /* the largest value that an edit adds */
#define LEAST_EFFECT 0.005 /* an edit that was lost would agree with the plain run */

/* What tests/reference/points.py adds, at the same elements. What the mask removed stays removed. */
static int add_values(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct proof *proof = payload;
    size_t n_keys = block->width / block->heads;
    for (size_t r = 0; r < block->n_rows; r++) {
        for (size_t i = 0; i < block->width; i++) {
            float *value = &rows[r * block->width + i];
            size_t index = i;
            if (has_keys(block->hook.kind)) {
                if (*value == 0 || isinf(*value)) continue;
                index = i / n_keys * proof->n_tokens + i % n_keys;
            }
            int step = (int)(((size_t)block->positions[r] * 7 + index * 37 + 11) % 23) - 11;
            *value += EDIT_SIZE * (float)step / 11.0f;
        }
    }
    *changed = true;
    return 0;
}

/* Runs the text with one edit, logits wanted of the last row only, and compares that row. */
static bool edit_agrees(struct proof *proof, const char *tensor, const char *name, const float *plain, size_t n_vocab) {
    struct fathom_hook hook;
    assert_int_equal(fathom_hook_parse(&hook, proof->model, name), FATHOM_OK);
    float *reference;
    assert_int_equal(fathom__safetensors_f32(&reference, proof->numbers, tensor, &n_vocab, 1), FATHOM_OK);
    fathom_session_forget(proof->session, -1, 0);
    fathom_session_unhook_all(proof->session);
    assert_int_equal(fathom_session_edit(NULL, proof->session, hook, add_values, proof), FATHOM_OK);
    proof_decode(proof, 0, proof->n_tokens, false, true);
    const float *logits = fathom_session_logits(proof->session, proof->n_tokens - 1);
    assert_non_null(logits);
    double error = relative_error(logits, reference, n_vocab), effect = relative_error(logits, plain, n_vocab);
    fathom_free(reference);
    if (error <= TOLERANCE && effect > LEAST_EFFECT) return true;
    print_error("%s %s: relative error %.3g, effect %.3g\n", proof->name, name, error, effect);
    return false;
}

static void edits_agree(void **state) {
    (void)state;
    const char prefix[] = "edited/";
    size_t wrong = 0;
    for (size_t m = 0; m < N_MODELS; m++) {
        struct proof proof;
        proof_open(&proof, reference_models[m]);
        size_t n_vocab = fathom_model_describe(proof.model)->n_vocab, checked = 0;
        float *plain;
        assert_int_equal(
            fathom__safetensors_f32(&plain, proof.numbers, "logits", (size_t[]){proof.n_tokens, n_vocab}, 2),
            FATHOM_OK);
        const float *last = plain + (proof.n_tokens - 1) * n_vocab;
        for (size_t i = 0; i < fathom__safetensors_count(proof.numbers); i++) {
            const char *tensor = fathom__safetensors_at(proof.numbers, i)->name;
            if (strncmp(tensor, prefix, strlen(prefix)) != 0) continue;
            wrong += !edit_agrees(&proof, tensor, tensor + strlen(prefix), last, n_vocab);
            checked++;
        }
        assert_in_range(checked, 33, 37);
        fathom_free(plain);
        proof_close(&proof);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
