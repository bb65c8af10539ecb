/* Whether taps carry what the model computes with: each value is computed again from those before it, by arithmetic of
 * our own. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/doctor_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sums and norms in f32 agree to rounding; a tap of the wrong value is off by about 1. */
#define SUM_BOUND 1e-4
/* The engine's products may round their inputs to bf16 or 8 bits. */
#define LOGITS_BOUND 0.05

enum { SAMPLED_TOKENS = 64 };

enum { PRE, ATTN_IN, ATTN_OUT, MID, MLP_IN, MLP_OUT, POST, PER_LAYER };
static const enum fathom_hook_kind kinds[PER_LAYER] = {FATHOM_HOOK_RESID_PRE, FATHOM_HOOK_ATTN_IN, FATHOM_HOOK_ATTN_OUT,
                                                       FATHOM_HOOK_RESID_MID, FATHOM_HOOK_MLP_IN,  FATHOM_HOOK_MLP_OUT,
                                                       FATHOM_HOOK_RESID_POST};

/* The largest difference found, and where. */
struct worst {
    double difference;
    uint32_t layer;
    size_t row;
};

static void note(struct worst *worst, double difference, uint32_t layer, size_t row) {
    if (isnan(worst->difference) || difference <= worst->difference) return;
    *worst = (struct worst){difference, layer, row};
}

struct gain {
    float *weight, *bias; /* bias NULL: none */
};

static int load_gain(struct gain *out, const fathom_model *model, const char *name) {
    char text[GGML_MAX_NAME];
    size_t rows = 0, columns = 0;
    snprintf(text, sizeof text, "%s.weight", name);
    int status = fathom_model_weight(&out->weight, &rows, &columns, model, text);
    if (status) return status;
    snprintf(text, sizeof text, "%s.bias", name);
    status = fathom_model_weight(&out->bias, &rows, &columns, model, text);
    return status == FATHOM_ERROR_NOT_FOUND ? FATHOM_OK : status;
}

static void free_gain(struct gain *gain) {
    fathom_free(gain->weight);
    fathom_free(gain->bias);
    *gain = (struct gain){0};
}

static bool uses_layer_norm(const fathom_model *model) {
    return model->shape.architecture == FATHOM__ARCH_GPT2 || model->shape.architecture == FATHOM__ARCH_GPTNEOX;
}

static void norm(float *out, const float *in, size_t n, const struct gain *gain, const fathom_model *model) {
    double mean = 0.0, square = 0.0;
    if (uses_layer_norm(model)) {
        for (size_t i = 0; i < n; i++)
            mean += in[i];
        mean /= (double)n;
    }
    for (size_t i = 0; i < n; i++)
        square += (in[i] - mean) * (in[i] - mean);
    double scale = 1.0 / sqrt(square / (double)n + (double)model->shape.norm_epsilon);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((in[i] - mean) * scale * gain->weight[i] + (gain->bias ? gain->bias[i] : 0.0f));
}

static int compare_norm(struct worst *worst, struct fathom__doctor *doctor, const struct fathom__seen *before,
                        const struct fathom__seen *after, const char *name, uint32_t layer) {
    struct gain gain = {0};
    float *expected = NULL;
    int status = load_gain(&gain, doctor->model, name);
    if (!status) status = fathom__alloc(&expected, before->width, sizeof *expected);
    for (size_t row = 0; !status && row < before->n_rows; row++) {
        norm(expected, before->values + row * before->width, before->width, &gain, doctor->model);
        note(worst, fathom__doctor_difference(expected, after->values + row * after->width, after->width), layer, row);
    }
    fathom_free(expected);
    free_gain(&gain);
    return status;
}

/* |a + b + c - sum| against the largest of them; c may be NULL. */
static void compare_sum(struct worst *worst, const struct fathom__seen *a, const struct fathom__seen *b,
                        const struct fathom__seen *c, const struct fathom__seen *sum, uint32_t layer) {
    for (size_t row = 0; row < sum->n_rows; row++) {
        double difference = 0.0, norms[4] = {0.0};
        for (size_t i = row * sum->width; i < (row + 1) * sum->width; i++) {
            double third = c ? c->values[i] : 0.0, error = a->values[i] + (double)b->values[i] + third - sum->values[i];
            difference += error * error;
            norms[0] += (double)a->values[i] * a->values[i];
            norms[1] += (double)b->values[i] * b->values[i];
            norms[2] += third * third;
            norms[3] += (double)sum->values[i] * sum->values[i];
        }
        double scale = fmax(fmax(norms[0], norms[1]), fmax(norms[2], norms[3]));
        note(worst, fathom__doctor_ratio(difference, scale), layer, row);
    }
}

static int report(struct fathom__doctor *doctor, const char *name, const struct worst *worst, const char *what) {
    return fathom__doctor_check(doctor, name, worst->difference, false, SUM_BOUND,
                                "%s; relative difference of rows, worst at layer %u, row %zu", what, worst->layer,
                                worst->row);
}

static int check_layers(struct fathom__doctor *doctor, const struct fathom__seen *seen) {
    bool parallel = doctor->model->shape.parallel_residual;
    struct worst attn_in = {0}, mid = {0}, mlp_in = {0}, post = {0};
    int status = FATHOM_OK;
    for (uint32_t layer = 0; !status && layer < doctor->model->shape.n_layers; layer++) {
        const struct fathom__seen *here = seen + (size_t)layer * PER_LAYER;
        /* What the layer reads must be what the layer before left, under that point's own tap. */
        const struct fathom__seen *input = layer > 0 ? here - PER_LAYER + POST : here + PRE;
        char name[GGML_MAX_NAME];
        snprintf(name, sizeof name, "blk.%u.attn_norm", layer);
        status = compare_norm(&attn_in, doctor, input, here + ATTN_IN, name, layer);
        snprintf(name, sizeof name, "blk.%u.ffn_norm", layer);
        if (!status) status = compare_norm(&mlp_in, doctor, here + (parallel ? PRE : MID), here + MLP_IN, name, layer);
        if (status) break;
        if (parallel) {
            compare_sum(&post, here + PRE, here + ATTN_OUT, here + MLP_OUT, here + POST, layer);
        } else {
            compare_sum(&mid, here + PRE, here + ATTN_OUT, NULL, here + MID, layer);
            compare_sum(&post, here + MID, here + MLP_OUT, NULL, here + POST, layer);
        }
    }
    if (!status)
        status = report(doctor, "resid_post is what the next layer reads", &attn_in,
                        "attn_in against norm and gain of resid_post of the layer before");
    if (!status && !parallel) status = report(doctor, "resid_mid is resid_pre + attn_out", &mid, "all layers");
    if (!status)
        status = report(doctor, "mlp_in is the norm of its residual stream", &mlp_in,
                        parallel ? "mlp_in against norm and gain of resid_pre"
                                 : "mlp_in against norm and gain of resid_mid");
    if (!status)
        status = report(doctor,
                        parallel ? "resid_post is resid_pre + attn_out + mlp_out" : "resid_post is resid_mid + mlp_out",
                        &post, "all layers");
    return status;
}

/* Logits of some tokens by their rows of W_U, f32. */
static int check_logits(struct fathom__doctor *doctor, const struct fathom__seen *final_norm,
                        const struct fathom__seen *logits) {
    const fathom_model *model = doctor->model;
    const struct fathom__gguf_tensor *unembedding = fathom__model_files_find(&model->files, "output.weight");
    if (!unembedding) unembedding = fathom__model_files_find(&model->files, "token_embd.weight");
    if (!unembedding)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: neither output.weight nor token_embd.weight",
                            model->info.path);
    size_t d = final_norm->width, n_vocab = logits->width;
    struct worst worst = {0};
    float *row = NULL;
    int status = fathom__alloc(&row, d, sizeof *row);
    float expected[SAMPLED_TOKENS], found[SAMPLED_TOKENS];
    float cap = model->shape.logit_softcap;
    for (size_t r = 0; !status && r < logits->n_rows; r++) {
        for (size_t s = 0; !status && s < SAMPLED_TOKENS; s++) {
            size_t token = (s * n_vocab / SAMPLED_TOKENS + r) % n_vocab;
            status = fathom__gguf_rows_f32(row, unembedding, (int64_t)token, 1);
            double sum = 0.0;
            for (size_t i = 0; !status && i < d; i++)
                sum += (double)row[i] * final_norm->values[r * d + i];
            expected[s] = cap > 0.0f ? cap * tanhf((float)sum / cap) : (float)sum;
            found[s] = logits->values[r * n_vocab + token];
        }
        if (!status) note(&worst, fathom__doctor_difference(expected, found, SAMPLED_TOKENS), 0, r);
    }
    fathom_free(row);
    if (status) return status;
    return fathom__doctor_check(doctor, "logits are W_U times final_norm", worst.difference, false, LOGITS_BOUND,
                                "%d tokens a row by their rows of W_U in f32; worst at row %zu", SAMPLED_TOKENS,
                                worst.row);
}

int fathom__doctor_reads(struct fathom__doctor *doctor) {
    const struct fathom__model_shape *shape = &doctor->model->shape;
    if (shape->architecture == FATHOM__ARCH_OTHER) return FATHOM_OK;
    size_t n = (size_t)shape->n_layers * PER_LAYER;
    struct fathom__seen *seen = NULL, final_norm = {0}, logits = {0};
    struct worst last = {0};
    int status = fathom__alloc(&seen, n, sizeof *seen);
    for (size_t i = 0; !status && i < n; i++) {
        struct fathom_hook hook = {kinds[i % PER_LAYER], (int32_t)(i / PER_LAYER)};
        if (fathom_hook_exists(NULL, NULL, doctor->model, hook))
            status = fathom__doctor_watch(&seen[i], doctor->exact, hook);
    }
    if (!status)
        status = fathom__doctor_watch(&final_norm, doctor->exact, (struct fathom_hook){FATHOM_HOOK_FINAL_NORM, -1});
    if (!status) status = fathom__doctor_watch(&logits, doctor->exact, (struct fathom_hook){FATHOM_HOOK_LOGITS, -1});
    if (!status) status = fathom__doctor_run(doctor, doctor->exact, 0, true);
    if (!status) status = check_layers(doctor, seen);
    if (!status)
        status =
            compare_norm(&last, doctor, &seen[n - PER_LAYER + POST], &final_norm, "output_norm", shape->n_layers - 1);
    if (!status)
        status = report(doctor, "final_norm is the norm of the last resid_post", &last, "against norm and gain");
    /* An adapter may be part of W_U. */
    if (!status && doctor->model->n_adapters == 0) status = check_logits(doctor, &final_norm, &logits);
    fathom_session_unhook_all(doctor->exact);
    fathom__doctor_unsee(seen, n);
    fathom__doctor_unsee(&final_norm, 1);
    fathom__doctor_unsee(&logits, 1);
    fathom_free(seen);
    return status;
}
