#include "bench.h"
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/safetensors.h>
#include <dictionary/trainer_internal.h>
#include <fathom/trainer.h>
#include <stdlib.h>

enum { WARM_STEPS = 3, BATCHES = 4 };

struct setting {
    struct fathom_trainer_options options;
    int64_t steps;
    double dead;
    const char *data;
};

static bool read_setting(struct setting *out, const struct cli_arguments *arguments) {
    int64_t d, features, k, batch, threads, seed;
    if (!cli_integer(&d, arguments, "d", 1, 1 << 20, 576)) return false;
    if (!cli_integer(&features, arguments, "features", 1, 1 << 26, 16384)) return false;
    if (!cli_integer(&k, arguments, "k", 1, features, 32)) return false;
    if (!cli_integer(&batch, arguments, "batch", 1, 1 << 20, 4096)) return false;
    if (!cli_integer(&out->steps, arguments, "steps", 1, 1000000, 20)) return false;
    if (!cli_integer(&threads, arguments, "threads", 1, 1024, 0)) return false;
    if (!cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1)) return false;
    if (!cli_number(&out->dead, arguments, "dead", 0, 1, 0)) return false;
    out->data = cli_text(arguments, "data", NULL);
    out->options = (struct fathom_trainer_options){
        .architecture =
            strcmp(cli_text(arguments, "arch", "topk"), "topk") == 0 ? FATHOM_TRAIN_TOPK : FATHOM_TRAIN_BATCHTOPK,
        .d_in = (uint32_t)d,
        .n_features = (uint32_t)features,
        .k = (uint32_t)k,
        .batch = (uint32_t)batch,
        .n_threads = (uint32_t)threads,
        .seed = (uint64_t)seed,
    };
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

static void print_people(const struct setting *setting, const struct fathom_trainer_metrics *last, double seconds,
                         const double *parts) {
    const double steps = (double)setting->steps;
    printf("%.0f tokens a second\n", steps * setting->options.batch / seconds);
    printf("a step of %u rows takes %.1f ms:\n", setting->options.batch, 1e3 * seconds / steps);
    for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
        printf("  %-10s %7.1f ms\n", fathom_trainer_part_name((enum fathom_trainer_part)p), 1e3 * parts[p] / steps);
    printf("last step: FVE %.4f, L0 %.1f, dead %.3f\n", last->fve, last->l0, last->dead_fraction);
}

static int print_json(const struct setting *setting, const struct fathom_trainer *trainer,
                      const struct fathom_trainer_metrics *last, double seconds, const double *parts) {
    const struct fathom_trainer_options *options = fathom_trainer_describe(trainer);
    const double steps = (double)setting->steps;
    json_t *milliseconds = json_object();
    for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
        json_object_set_new(milliseconds, fathom_trainer_part_name((enum fathom_trainer_part)p),
                            json_real(1e3 * parts[p] / steps));
    return cli_print_json(json_pack(
        "{s:f, s:f, s:o, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:s, s:s, s:f}", "tokens_per_second",
        steps * options->batch / seconds, "milliseconds_per_step", 1e3 * seconds / steps, "parts", milliseconds,
        "architecture", options->architecture == FATHOM_TRAIN_TOPK ? "topk" : "batchtopk", "d", (int)options->d_in,
        "features", (int)options->n_features, "k", (int)options->k, "batch", (int)options->batch, "threads",
        (int)options->n_threads, "steps", (json_int_t)setting->steps, "dead", last->dead_fraction, "data",
        setting->data ? setting->data : "random", "product", fathom__dense_name(trainer->product), "fve", last->fve));
}

int bench_train(struct cli_arguments *arguments) {
    struct setting setting;
    struct fathom_trainer_metrics metrics = {0};
    double seconds = 0, parts[FATHOM_TRAINER_PARTS] = {0};
    float *rows = NULL;
    fathom_trainer *trainer = NULL;
    if (!read_setting(&setting, arguments)) return CLI_USAGE;
    const size_t batch = setting.options.batch, d = setting.options.d_in;
    size_t n = BATCHES * batch;
    int status = setting.data ? file_rows(&rows, &n, setting.data, d) : random_rows(&rows, n, d, setting.options.seed);
    if (!status && n < batch)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "%s: %zu rows; a batch needs %zu", setting.data, n, batch);
    if (!status) status = fathom_trainer_open(&trainer, &setting.options);
    if (!status) fathom__trainer_force_dead(trainer, (uint32_t)(setting.dead * setting.options.n_features));
    for (int64_t step = -WARM_STEPS; step < setting.steps && !status; step++) {
        const size_t at = (size_t)(step + WARM_STEPS) % (n / batch) * batch;
        status = fathom_trainer_step(&metrics, trainer, rows + at * d, batch);
        if (step < 0) continue;
        seconds += metrics.seconds;
        for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
            parts[p] += metrics.part_seconds[p];
    }
    int code;
    if (status) {
        code = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        code = print_json(&setting, trainer, &metrics, seconds, parts);
    } else {
        print_people(&setting, &metrics, seconds, parts);
        code = CLI_OK;
    }
    fathom_trainer_close(trainer);
    fathom_free(rows);
    return code;
}
