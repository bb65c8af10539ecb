#include "bench.h"
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/safetensors.h>
#include <dictionary/trainer_internal.h>
#include <fathom/trainer.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_STEPS = 3, BATCHES = 4, LINE_BYTES = 256 };
/* Of the random rows, whatever the trainer's seed is: rows and features of one seed would be the same directions. */
#define ROW_SEED 0x726F7773

struct setting {
    struct fathom_trainer_options options;
    int64_t steps, warm_steps, evaluate_every;
    double dead;
    bool dense_adam;
    const char *data, *curve;
};

/* What the timed steps came to. */
struct outcome {
    struct fathom_trainer_metrics last;
    double seconds, parts[FATHOM_TRAINER_PARTS];
    size_t active_features; /* with at least one row, in the last step */
    double trainer_bytes;   /* by how much the trainer raised the process's peak memory; < 0: not known */
    double memory[FATHOM_TRAINER_MEMORIES]; /* as the trainer reckons it */
};

static bool read_setting(struct setting *out, const struct cli_arguments *arguments) {
    int64_t d, features, k, batch, threads, seed;
    double lr;
    if (!cli_integer(&d, arguments, "d", 1, 1 << 20, 576)) return false;
    if (!cli_integer(&features, arguments, "features", 1, 1 << 26, 16384)) return false;
    if (!cli_integer(&k, arguments, "k", 1, features, 32)) return false;
    if (!cli_integer(&batch, arguments, "batch", 1, 1 << 20, 4096)) return false;
    if (!cli_integer(&out->steps, arguments, "steps", 1, 1000000, 20)) return false;
    if (!cli_integer(&threads, arguments, "threads", 1, 1024, 0)) return false;
    if (!cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1)) return false;
    if (!cli_integer(&out->evaluate_every, arguments, "evaluate-every", 1, INT32_MAX, 10)) return false;
    if (!cli_number(&out->dead, arguments, "dead", 0, 1, 0)) return false;
    if (!cli_number(&lr, arguments, "lr", 1e-12, 10, 0)) return false;
    out->dense_adam = cli_has(arguments, "dense-adam");
    out->data = cli_text(arguments, "data", NULL);
    out->curve = cli_text(arguments, "curve", NULL);
    out->warm_steps = out->curve ? 0 : WARM_STEPS;
    out->options = (struct fathom_trainer_options){
        .d_in = (uint32_t)d,
        .n_features = (uint32_t)features,
        .k = (uint32_t)k,
        .batch = (uint32_t)batch,
        .n_threads = (uint32_t)threads,
        .seed = (uint64_t)seed,
        .learning_rate = lr,
        .total_steps = out->curve ? (uint64_t)out->steps : 0,
    };
    if (fathom_trainer_architecture_find(&out->options.architecture, cli_text(arguments, "arch", "topk"))) return false;
    /* Where control would bring it: what is timed is not a run's first steps. */
    if (!out->curve && !fathom__architecture(out->options.architecture)->exact) out->options.start_l0 = (double)k;
    return true;
}

static int random_rows(float **out, size_t n, size_t d, uint64_t seed) {
    struct fathom__random random;
    int status = fathom__alloc_aligned(out, n * d, sizeof **out);
    if (status) return status;
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < n * d; i++)
        (*out)[i] = (float)fathom__random_normal(&random);
    return 0;
}

/* The first matrix with d columns; *n gets its rows. */
static int file_rows(float **out, size_t *n, const char *path, size_t d) {
    fathom__safetensors *file = NULL;
    int status = fathom__safetensors_open(&file, path);
    if (status) return status;
    status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: a matrix of %zu columns is expected", path, d);
    for (size_t i = 0; i < fathom__safetensors_count(file); i++) {
        const struct fathom__tensor *tensor = fathom__safetensors_at(file, i);
        if (tensor->n_dimensions != 2 || tensor->shape[1] != d) continue;
        *n = tensor->shape[0];
        status = fathom__safetensors_f32(out, file, tensor->name, tensor->shape, 2);
        break;
    }
    fathom__safetensors_close(file);
    return status;
}

/* The most memory that this process has had; < 0 where the system does not tell. getrusage would tell the most of its
 * parent's too, where that was a larger one. */
static double peak_bytes(void) {
    double kilobytes = -1;
    char line[LINE_BYTES];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && kilobytes < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtod(line + 6, NULL);
    if (file) fclose(file);
    return kilobytes < 0 ? -1 : 1024 * kilobytes;
}

/* One line of the curve: what held-out rows and the last batch say. */
static int write_point(FILE *file, struct fathom_trainer *trainer, const struct fathom_trainer_metrics *metrics,
                       const float *held_out, size_t n) {
    struct fathom_trainer_evaluation found;
    const int status = fathom_trainer_evaluate(&found, trainer, held_out, n);
    if (status) return status;
    json_t *line = json_pack("{s:I, s:f, s:f, s:f, s:f}", "tokens", (json_int_t)metrics->rows, "fve", found.fve, "l0",
                             found.l0, "dead_fraction", found.dead_fraction, "batch_fve", metrics->fve);
    const bool written = line && json_dumpf(line, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF;
    json_decref(line);
    return written ? FATHOM_OK : fathom__fail(FATHOM_ERROR_IO, "cannot write the curve");
}

/* Steps through the rows again and again. With a curve the file's last batch is kept aside and evaluated. */
static int train(struct outcome *out, fathom_trainer *trainer, const struct setting *setting, const float *rows,
                 size_t n) {
    const size_t batch = setting->options.batch, d = setting->options.d_in;
    const size_t batches = n / batch - (setting->curve ? 1 : 0);
    FILE *curve = setting->curve ? fopen(setting->curve, "w") : NULL;
    int status = setting->curve && !curve ? fathom__fail(FATHOM_ERROR_IO, "%s: cannot write", setting->curve) : 0;
    for (int64_t step = -setting->warm_steps; step < setting->steps && !status; step++) {
        const size_t at = (size_t)(step + setting->warm_steps) % batches * batch;
        status =
            cli_interrupted() ? FATHOM_ERROR_STOPPED : fathom_trainer_step(&out->last, trainer, rows + at * d, batch);
        if (!status && curve && ((step + 1) % setting->evaluate_every == 0 || step + 1 == setting->steps))
            status = write_point(curve, trainer, &out->last, rows + batches * batch * d, batch);
        if (step < 0 || status) continue;
        out->seconds += out->last.seconds;
        for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
            out->parts[p] += out->last.part_seconds[p];
    }
    if (curve && fclose(curve) != 0 && !status)
        status = fathom__fail(FATHOM_ERROR_IO, "%s: cannot write", setting->curve);
    return status;
}

static size_t count_active(const fathom_trainer *trainer) {
    size_t n = 0;
    for (uint32_t f = 0; f < trainer->options.n_features; f++)
        n += trainer->main.bucket[f + 1] > trainer->main.bucket[f];
    return n;
}

static double total_memory(const struct outcome *outcome) {
    double sum = 0;
    for (int p = 0; p < FATHOM_TRAINER_MEMORIES; p++)
        sum += outcome->memory[p];
    return sum;
}

static void print_people(const struct setting *setting, const struct outcome *outcome) {
    const double steps = (double)setting->steps;
    printf("%.0f tokens a second\n", steps * setting->options.batch / outcome->seconds);
    printf("a step of %u rows takes %.1f ms:\n", setting->options.batch, 1e3 * outcome->seconds / steps);
    for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
        printf("  %-10s %7.1f ms\n", fathom_trainer_part_name((enum fathom_trainer_part)p),
               1e3 * outcome->parts[p] / steps);
    printf("last step: FVE %.4f, L0 %.1f, dead %.3f, features with a row %zu\n", outcome->last.fve, outcome->last.l0,
           outcome->last.dead_fraction, outcome->active_features);
    const double parameters = outcome->memory[FATHOM_TRAINER_MEMORY_PARAMETERS];
    printf("the trainer's memory: %.1f MB, %.2f times weights and moments:\n", 1e-6 * total_memory(outcome),
           total_memory(outcome) / parameters);
    for (int p = 0; p < FATHOM_TRAINER_MEMORIES; p++)
        printf("  %-10s %7.1f MB\n", fathom_trainer_memory_name((enum fathom_trainer_memory)p),
               1e-6 * outcome->memory[p]);
    if (outcome->trainer_bytes >= 0)
        printf("  %-10s %7.1f MB at its peak\n", "resident", 1e-6 * outcome->trainer_bytes);
}

static int print_json(const struct setting *setting, const struct fathom_trainer *trainer,
                      const struct outcome *outcome) {
    const struct fathom_trainer_options *options = fathom_trainer_describe(trainer);
    const double steps = (double)setting->steps;
    json_t *milliseconds = json_object();
    for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
        json_object_set_new(milliseconds, fathom_trainer_part_name((enum fathom_trainer_part)p),
                            json_real(1e3 * outcome->parts[p] / steps));
    json_t *result = json_pack(
        "{s:f, s:f, s:o, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:s, s:s, s:f, s:f, s:I}", "tokens_per_second",
        steps * options->batch / outcome->seconds, "milliseconds_per_step", 1e3 * outcome->seconds / steps, "parts",
        milliseconds, "architecture", fathom_trainer_architecture_name(options->architecture), "d", (int)options->d_in,
        "features", (int)options->n_features, "k", (int)options->k, "batch", (int)options->batch, "threads",
        (int)options->n_threads, "steps", (json_int_t)setting->steps, "dead", outcome->last.dead_fraction, "data",
        setting->data ? setting->data : "random", "product", fathom__dense_name(trainer->products[0]), "fve",
        outcome->last.fve, "l0", outcome->last.l0, "active_features", (json_int_t)outcome->active_features);
    json_t *memory = json_object();
    for (int p = 0; p < FATHOM_TRAINER_MEMORIES; p++)
        json_object_set_new(memory, fathom_trainer_memory_name((enum fathom_trainer_memory)p),
                            json_real(outcome->memory[p]));
    json_object_set_new(result, "memory", memory);
    if (outcome->trainer_bytes >= 0) json_object_set_new(result, "trainer_bytes", json_real(outcome->trainer_bytes));
    return cli_print_json(result);
}

int bench_train(struct cli_arguments *arguments) {
    struct setting setting;
    struct outcome outcome = {.trainer_bytes = -1};
    float *rows = NULL;
    fathom_trainer *trainer = NULL;
    if (!read_setting(&setting, arguments)) return CLI_USAGE;
    const size_t batch = setting.options.batch, d = setting.options.d_in, least = setting.curve ? 2 * batch : batch;
    size_t n = BATCHES * batch;
    int status = setting.data ? file_rows(&rows, &n, setting.data, d) : random_rows(&rows, n, d, ROW_SEED);
    if (!status && n < least)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "%s: %zu rows; at least %zu are needed", setting.data, n, least);
    /* A file's mapping is part of the peak before, and what the trainer takes in its place would not be seen. */
    const double before = setting.data ? -1 : peak_bytes();
    if (!status) status = fathom_trainer_open(&trainer, &setting.options);
    if (!status) fathom__trainer_force_dead(trainer, (uint32_t)(setting.dead * setting.options.n_features));
    if (!status && setting.dense_adam) fathom__trainer_update_all(trainer);
    if (!status) status = train(&outcome, trainer, &setting, rows, n);
    if (!status) outcome.active_features = count_active(trainer);
    if (!status) fathom_trainer_memory(outcome.memory, trainer);
    if (before >= 0) outcome.trainer_bytes = peak_bytes() - before;
    int code;
    if (status) {
        code = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        code = print_json(&setting, trainer, &outcome);
    } else {
        print_people(&setting, &outcome);
        code = CLI_OK;
    }
    fathom_trainer_close(trainer);
    fathom_free(rows);
    return code;
}
