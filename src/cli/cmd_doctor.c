#include "cli.h"
#include <fathom/doctor.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,      CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS, {"hooks", 0, CLI_FLAG, NULL, "also list every hook point that came up", false, false},
    CLI_OPTION_THREADS,    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* What is not finite has no number in JSON. */
static json_t *number_json(double value) {
    json_t *number = json_real(value);
    return number != NULL ? number : json_null();
}

static int print_json(const fathom_model *model, const struct fathom_doctor_report *report) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    json_t *checks = json_array(), *hooks = json_array();
    for (size_t i = 0; i < report->n_checks; i++) {
        const struct fathom_doctor_check *check = &report->checks[i];
        json_array_append_new(checks, json_pack("{s:s, s:b, s:o, s:f, s:s, s:s}", "name", check->name, "passed",
                                                check->passed ? 1 : 0, "measured", number_json(check->measured),
                                                "expected", check->expected, "relation",
                                                check->at_least ? "at least" : "at most", "detail", check->detail));
    }
    for (size_t i = 0; i < report->n_hooks; i++) {
        const struct fathom_doctor_hook *hook = &report->hooks[i];
        json_array_append_new(
            hooks, json_pack("{s:s, s:i, s:o}", "name", hook->name, "heads", (int)hook->heads, "width_per_head",
                             hook->width_per_head ? json_integer(hook->width_per_head) : json_null()));
    }
    return cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:o, s:o}", "model", info->name, "architecture",
                                    info->architecture, "quantisation", info->quantisation, "engine", info->engine,
                                    "passed", report->n_failed == 0 ? 1 : 0, "failed", (json_int_t)report->n_failed,
                                    "checks", checks, "hooks", hooks));
}

static void print_report(const fathom_model *model, const struct fathom_doctor_report *report, bool with_hooks) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    printf("%s (%s, %s) on %s\n", info->name, info->architecture, info->quantisation, info->engine);
    for (size_t i = 0; i < report->n_checks; i++) {
        const struct fathom_doctor_check *check = &report->checks[i];
        fputs(check->passed ? "  ok     " : "  ", stdout);
        if (!check->passed) cli_print_bold(stdout, "FAILED ");
        printf("%s: %.3g, expected at %s %.3g\n", check->name, check->measured, check->at_least ? "least" : "most",
               check->expected);
        if (!check->passed) printf("         %s\n", check->detail);
    }
    for (size_t i = 0; with_hooks && i < report->n_hooks; i++) {
        const struct fathom_doctor_hook *hook = &report->hooks[i];
        printf("  %-34s %u × ", hook->name, hook->heads);
        if (hook->width_per_head)
            printf("%u\n", hook->width_per_head);
        else
            puts("keys");
    }
    printf("%zu of %zu checks passed; %zu hook points came up in a run\n", report->n_checks - report->n_failed,
           report->n_checks, report->n_hooks);
}

static int run(struct cli_arguments *arguments) {
    int64_t threads;
    size_t n = 0;
    int status = CLI_OK;
    if (!cli_integer(&threads, arguments, "threads", 1, 512, 0)) return CLI_USAGE;
    const char *const *operands = cli_operands(&n, arguments);
    if (n > 0 && cli_has(arguments, "model")) return cli_usage(arguments, "the model is given twice");
    fathom_model *model =
        n > 0 ? cli_open_model_at(&status, arguments, operands[0]) : cli_open_model(&status, arguments);
    if (model == NULL) return status;
    struct fathom_doctor_options doctor = {.n_threads = (uint32_t)threads, .progress = cli_progress};
    struct fathom_doctor_report *report = NULL;
    int code = fathom_doctor_run(&report, model, &doctor);
    if (code) {
        status = cli_fail(arguments, code);
    } else if (cli_json(arguments)) {
        status = print_json(model, report);
    } else {
        print_report(model, report, cli_has(arguments, "hooks"));
    }
    if (status == CLI_OK && report->n_failed > 0) status = CLI_NEGATIVE;
    fathom_doctor_free(report);
    fathom_model_close(model);
    return status;
}

const struct cli_command cli_command_doctor = {
    .name = "doctor",
    .summary = "prove on this model and machine that taps and edits do what they say",
    .operands = "[MODEL]",
    .most = 1,
    .description = "Runs the model a few dozen times on short texts and proves that taps carry what the next layer "
                   "computes with, that an edit changes what "
                   "follows and only that, that writing the same values back changes no bit, that rows belong to the "
                   "texts they claim, and that a run that "
                   "stops early reads the same. The exit status is 1 when a check fails. Run it after changing the "
                   "engine, its backend or the machine.",
    .examples = "fathom doctor smollm2 # the default model\n"
                "fathom doctor model.gguf --gpu-layers -1 --json # a model on the GPU",
    .options = options,
    .run = run,
};
