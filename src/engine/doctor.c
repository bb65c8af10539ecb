#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "engine/doctor_parts.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DETAIL_SIZE = 512, CONTEXT = 256, SEED = 20 };

int fathom__doctor_check(struct fathom__doctor *doctor, const char *name, double measured, bool at_least,
                         double expected, const char *detail, ...) {
    struct fathom_doctor_report *report = doctor->report;
    char text[DETAIL_SIZE];
    va_list arguments;
    va_start(arguments, detail);
    vsnprintf(text, sizeof text, detail, arguments);
    va_end(arguments);
    char *copy = NULL;
    int status = fathom__grow(&report->checks, &doctor->checks_capacity, report->n_checks + 1, sizeof *report->checks);
    if (!status) status = fathom__copy_string(&copy, text);
    if (status) return status;
    struct fathom_doctor_check check = {
        .name = name, .measured = measured, .expected = expected, .at_least = at_least, .detail = copy};
    check.passed = isfinite(measured) && (at_least ? measured >= expected : measured <= expected);
    report->checks[report->n_checks++] = check;
    report->n_failed += !check.passed;
    return FATHOM_OK;
}

int fathom__doctor_progress(struct fathom__doctor *doctor, const char *doing) {
    if (!doctor->options->progress) return FATHOM_OK;
    struct fathom_progress progress = {
        .stage = "doctor", .done = doctor->report->n_checks, .unit = "checks", .seconds_left = -1.0, .note = doing};
    return fathom__callback_status(doctor->options->progress(&progress, doctor->options->payload));
}

static int keep(const struct fathom_block *block, void *payload) {
    struct fathom__seen *seen = payload;
    size_t n = block->n_rows * block->width;
    fathom_free(seen->values);
    seen->values = NULL;
    int status = fathom__alloc(&seen->values, n, sizeof *seen->values);
    if (status) return status;
    memcpy(seen->values, block->rows, n * sizeof *seen->values);
    seen->n_rows = block->n_rows;
    seen->heads = block->heads;
    seen->width = block->width;
    return FATHOM_OK;
}

int fathom__doctor_watch(struct fathom__seen *seen, fathom_session *session, struct fathom_hook hook) {
    *seen = (struct fathom__seen){.hook = hook};
    return fathom_session_tap(NULL, session, hook, keep, seen);
}

void fathom__doctor_unsee(struct fathom__seen *seen, size_t n) {
    for (size_t i = 0; seen && i < n; i++) {
        fathom_free(seen[i].values);
        seen[i].values = NULL;
    }
}

int fathom__doctor_run(struct fathom__doctor *doctor, fathom_session *session, int text, bool want_logits) {
    struct fathom_row rows[FATHOM__DOCTOR_TEXTS * FATHOM__DOCTOR_TOKENS];
    size_t n = 0;
    for (int32_t i = 0; i < FATHOM__DOCTOR_TOKENS; i++)
        for (int t = 0; t < FATHOM__DOCTOR_TEXTS; t++)
            if (text < 0 || text == t)
                rows[n++] = (struct fathom_row){.token = doctor->texts[t][i],
                                                .position = i,
                                                .sequence = text < 0 ? t : 0,
                                                .want_logits = want_logits};
    fathom_session_forget(session, -1, 0);
    return fathom_session_decode(session, rows, n);
}

double fathom__doctor_difference(const float *a, const float *b, size_t n) {
    double difference = 0.0, first = 0.0, second = 0.0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        first += (double)a[i] * a[i];
        second += (double)b[i] * b[i];
    }
    return fathom__doctor_ratio(difference, fathom__doctor_larger(first, second));
}

double fathom__doctor_larger(double a, double b) {
    return isnan(a) || a >= b ? a : b;
}

double fathom__doctor_smaller(double a, double b) {
    return isnan(a) || a <= b ? a : b;
}

double fathom__doctor_ratio(double difference, double norm) {
    return difference == 0.0 ? 0.0 : sqrt(difference / norm);
}

/* Tokens that are plain pieces of text, the two texts' first ones different. */
static int choose_texts(struct fathom__doctor *doctor) {
    uint32_t n_vocab = doctor->model->info.n_vocab;
    struct fathom__random random;
    fathom__random_seed(&random, SEED);
    for (int t = 0; t < FATHOM__DOCTOR_TEXTS; t++) {
        for (int i = 0; i < FATHOM__DOCTOR_TOKENS; i++) {
            int32_t token;
            size_t tries = 0;
            do {
                token = (int32_t)fathom__random_below(&random, n_vocab);
                if (++tries > n_vocab)
                    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: its vocabulary has no plain tokens",
                                        doctor->model->info.path);
            } while (fathom_token_is_special(doctor->model, token) || (t > 0 && token == doctor->texts[0][i]));
            doctor->texts[t][i] = token;
        }
    }
    return FATHOM_OK;
}

/* Every point that the model should have is tapped at once, and listed when it came up with its shape. */
static int list_hooks(struct fathom__doctor *doctor) {
    const struct fathom__model_shape *shape = &doctor->model->shape;
    struct fathom_doctor_report *report = doctor->report;
    struct fathom__seen *seen = NULL;
    size_t n = 0, most = (size_t)FATHOM_HOOK_COUNT * (shape->n_layers + 1), wrong = 0;
    char first[FATHOM_HOOK_NAME_SIZE] = "none";
    int status = fathom__alloc(&seen, most, sizeof *seen);
    if (status) return status;
    for (int kind = 0; kind < FATHOM_HOOK_COUNT && !status; kind++) {
        for (int32_t layer = -1; layer < (int32_t)shape->n_layers && !status; layer++) {
            struct fathom_hook hook = {(enum fathom_hook_kind)kind, layer};
            if (!fathom_hook_exists(NULL, NULL, doctor->model, hook)) continue;
            status = fathom__doctor_watch(&seen[n], doctor->exact, hook);
            /* On architectures that are not known by name a point may turn out not to be there. */
            if (status == FATHOM_ERROR_UNSUPPORTED && shape->architecture == FATHOM__ARCH_OTHER)
                status = FATHOM_OK;
            else
                n++;
        }
    }
    if (!status) status = fathom__doctor_run(doctor, doctor->exact, 0, true);
    if (!status) status = fathom__alloc(&report->hooks, n, sizeof *report->hooks);
    for (size_t i = 0; !status && i < n; i++) {
        struct fathom_doctor_hook *listed = &report->hooks[report->n_hooks];
        listed->hook = seen[i].hook;
        fathom_hook_name(listed->name, seen[i].hook);
        fathom_hook_exists(&listed->heads, &listed->width_per_head, doctor->model, seen[i].hook);
        size_t width = listed->width_per_head ? listed->width_per_head : FATHOM__DOCTOR_TOKENS;
        if (seen[i].n_rows == FATHOM__DOCTOR_TOKENS && seen[i].heads == listed->heads &&
            seen[i].width == listed->heads * width)
            report->n_hooks++;
        else if (wrong++ == 0)
            memcpy(first, listed->name, sizeof first);
    }
    fathom_session_unhook_all(doctor->exact);
    fathom__doctor_unsee(seen, n);
    fathom_free(seen);
    if (status) return status;
    return fathom__doctor_check(doctor, "hook points come up with their shapes", (double)wrong, false, 0.0,
                                "%zu points tapped in one run of %d tokens; missing or of another shape: %s", n,
                                FATHOM__DOCTOR_TOKENS, first);
}

int fathom_doctor_run(struct fathom_doctor_report **out, const fathom_model *model,
                      const struct fathom_doctor_options *options) {
    static const struct fathom_doctor_options defaults = FATHOM_DOCTOR_OPTIONS_INIT;
    if (!out || !model) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_doctor_run: out and model are required");
    struct fathom__doctor doctor = {.model = model, .options = options ? options : &defaults};
    struct fathom_session_options session = {.n_context = CONTEXT,
                                             .n_batch = FATHOM__DOCTOR_TEXTS * FATHOM__DOCTOR_TOKENS,
                                             .n_sequences = FATHOM__DOCTOR_TEXTS,
                                             .n_threads = doctor.options->n_threads,
                                             .flash_attention = true};
    static int (*const steps[])(struct fathom__doctor *) = {list_hooks, fathom__doctor_reads, fathom__doctor_attention,
                                                            fathom__doctor_rows, fathom__doctor_edits};
    static const char *const doing[] = {"looking for every hook point",
                                        "comparing what layers read with what taps read", "comparing attention's parts",
                                        "comparing texts run together and alone", "editing every kind of point"};
    int status = fathom__alloc(&doctor.report, 1, sizeof *doctor.report);
    if (!status) status = choose_texts(&doctor);
    if (!status) status = fathom_session_open(&doctor.plain, model, &session);
    session.exact = true;
    if (!status) status = fathom_session_open(&doctor.exact, model, &session);
    for (size_t i = 0; !status && i < sizeof steps / sizeof steps[0]; i++) {
        status = fathom__doctor_progress(&doctor, doing[i]);
        if (!status) status = steps[i](&doctor);
    }
    fathom_session_close(doctor.plain);
    fathom_session_close(doctor.exact);
    if (status) {
        fathom_doctor_free(doctor.report);
        return status;
    }
    *out = doctor.report;
    return FATHOM_OK;
}

void fathom_doctor_free(struct fathom_doctor_report *report) {
    if (!report) return;
    for (size_t i = 0; i < report->n_checks; i++)
        fathom_free(report->checks[i].detail);
    fathom_free(report->checks);
    fathom_free(report->hooks);
    fathom_free(report);
}
