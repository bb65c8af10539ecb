/* Many sizes in one pass of the model, and the loss surface through them. */
#include "cli.h"
#include "curve.h"
#include "run_record.h"
#include "train_request.h"
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <fathom/surface.h>
#include <math.h>
#include <string.h>

#define GRID_STEP 1.4142135623730951 /* between the widths that are considered */
#define GRID_BEYOND 4.0              /* times the largest width measured */
#define NEAR_BEST 1.01               /* the smallest width within a hundredth of the best loss is recommended */
enum { CURVE_POINTS = 48, NAME_SIZE = 64 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"hook", 0, CLI_HOOK, "NAME", "the hook point", false, true},
    {"hook-out", 0, CLI_HOOK, "NAME", "trains transcoders, which reconstruct the rows of this point", false, false},
    {"arch", 0, CLI_CHOICE, FATHOM_TRAIN_NAMES, "architecture (topk)", false, false},
    {"features", 0, CLI_TEXT, "F,F…", "widths", false, true},
    {"k", 0, CLI_TEXT, "K,K…", "active features a token", false, true},
    {"tokens", 0, CLI_TEXT, "N,N…", "token counts, each with a schedule of its own; the model is run on the largest",
     false, true},
    {"budget", 0, CLI_INTEGER, "N", "recommend a width for so many tokens (the largest count)", false, false},
    {"output", 'o', CLI_FOLDER, "FOLDER", "where the dictionaries and sweep.json are written", false, true},
    {"svg", 0, CLI_FILE, "FILE", "draw what was found and the fitted surface", false, false},
    TRAIN_OPTIONS_RUN,
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct sweep {
    struct fathom_surface_point points[TRAIN_DICTIONARIES];
    double l0[TRAIN_DICTIONARIES];
    bool withheld[TRAIN_DICTIONARIES];
    double predicted[TRAIN_DICTIONARIES]; /* of those that are withheld */
    size_t n, n_withheld;
    struct fathom_surface all, without; /* fits to all points and to those that are not withheld */
    double widest, narrowest, most_tokens, budget;
    bool fitted, tested; /* there were points enough for each */
};

static void take_points(struct sweep *sweep, const struct train_request *request,
                        const struct fathom_train_result *results) {
    sweep->n = request->n_dictionaries;
    sweep->narrowest = INFINITY;
    for (size_t i = 0; i < sweep->n; i++) {
        const struct fathom_trainer_options *o = &request->dictionaries[i].options;
        sweep->points[i] =
            (struct fathom_surface_point){o->n_features, o->k, (double)results[i].rows, 1 - results[i].fve};
        sweep->l0[i] = results[i].l0;
        sweep->widest = fmax(sweep->widest, o->n_features);
        sweep->narrowest = fmin(sweep->narrowest, o->n_features);
        sweep->most_tokens = fmax(sweep->most_tokens, (double)results[i].rows);
    }
}

/* The runs of the largest width with the most tokens, one for each k, are predicted from all the others. */
static void fit(struct sweep *sweep) {
    struct fathom_surface_point kept[TRAIN_DICTIONARIES];
    size_t n_kept = 0;
    for (size_t i = 0; i < sweep->n; i++) {
        const struct fathom_surface_point *p = &sweep->points[i];
        sweep->withheld[i] = p->n_features == sweep->widest && p->tokens == sweep->most_tokens;
        if (sweep->withheld[i])
            sweep->n_withheld++;
        else
            kept[n_kept++] = *p;
    }
    sweep->fitted = fathom_surface_fit(&sweep->all, sweep->points, sweep->n) == 0;
    sweep->tested = sweep->fitted && n_kept > 0 && fathom_surface_fit(&sweep->without, kept, n_kept) == 0;
    for (size_t i = 0; i < sweep->n && sweep->tested; i++)
        if (sweep->withheld[i])
            sweep->predicted[i] = fathom_surface_loss(&sweep->without, sweep->points[i].n_features, sweep->points[i].k,
                                                      sweep->points[i].tokens);
}

/* The control of a prediction: the loss of the largest run with the same k that was not withheld. */
static double nearest_loss(const struct sweep *sweep, size_t index) {
    const struct fathom_surface_point *of = &sweep->points[index], *nearest = NULL;
    for (size_t i = 0; i < sweep->n; i++) {
        const struct fathom_surface_point *p = &sweep->points[i];
        if (sweep->withheld[i] || p->k != of->k) continue;
        if (!nearest || p->n_features * p->tokens > nearest->n_features * nearest->tokens) nearest = p;
    }
    return nearest ? nearest->loss : NAN;
}

struct advice {
    double n_features, loss;
    bool beyond; /* wider than what was measured, or for more tokens */
};

static struct advice advise(const struct sweep *sweep, double k) {
    double best = INFINITY;
    for (double n = sweep->narrowest; n <= sweep->widest * GRID_BEYOND; n *= GRID_STEP)
        best = fmin(best, fathom_surface_loss(&sweep->all, n, k, sweep->budget));
    double n = sweep->narrowest;
    while (n <= sweep->widest * GRID_BEYOND && fathom_surface_loss(&sweep->all, n, k, sweep->budget) > NEAR_BEST * best)
        n *= GRID_STEP;
    return (struct advice){round(n), fathom_surface_loss(&sweep->all, n, k, sweep->budget),
                           round(n) > sweep->widest || sweep->budget > sweep->most_tokens};
}

/* Whether this is the first point with its k. */
static bool first_of_k(const struct sweep *sweep, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (sweep->points[i].k == sweep->points[index].k) return false;
    return true;
}

static json_t *surface_json(const struct fathom_surface *s) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:b, s:I, s:I, s:f}", "alpha", s->alpha,
                     "beta_k", s->beta_k, "beta_n", s->beta_n, "gamma", s->gamma, "zeta", s->zeta, "eta", s->eta,
                     "theta", s->theta, "delta", s->delta, "epsilon", s->epsilon, "has_floor", (int)s->has_floor,
                     "has_tokens", (int)s->has_tokens, "points", (json_int_t)s->n_points, "parameters",
                     (json_int_t)s->n_parameters, "rms_log_error", s->error);
}

static json_t *sweep_json(const struct sweep *sweep, const struct train_request *request) {
    json_t *points = json_array(), *withheld = json_array(), *advices = json_array(),
           *json = json_pack("{s:s}", "hook", request->dictionaries[0].hook);
    for (size_t i = 0; i < sweep->n; i++) {
        const struct fathom_surface_point *p = &sweep->points[i];
        json_array_append_new(points, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "path", request->dictionaries[i].path,
                                                "features", p->n_features, "k", p->k, "tokens", p->tokens, "loss",
                                                p->loss, "l0", sweep->l0[i]));
        if (sweep->tested && sweep->withheld[i]) {
            json_t *one = json_pack("{s:f, s:f, s:f, s:f, s:f}", "features", p->n_features, "k", p->k, "tokens",
                                    p->tokens, "found", p->loss, "predicted", sweep->predicted[i]);
            if (isfinite(nearest_loss(sweep, i)))
                json_object_set_new(one, "largest_other_run", json_real(nearest_loss(sweep, i)));
            json_array_append_new(withheld, one);
        }
        if (sweep->fitted && first_of_k(sweep, i)) {
            const struct advice advice = advise(sweep, p->k);
            json_array_append_new(advices, json_pack("{s:f, s:f, s:f, s:b}", "k", p->k, "features", advice.n_features,
                                                     "predicted_loss", advice.loss, "beyond_what_was_measured",
                                                     (int)advice.beyond));
        }
    }
    json_object_set_new(json, "points", points);
    if (sweep->fitted) json_object_set_new(json, "surface", surface_json(&sweep->all));
    if (sweep->tested) json_object_set_new(json, "surface_without_the_largest", surface_json(&sweep->without));
    json_object_set_new(json, "largest_withheld", withheld);
    json_object_set_new(json, "budget_tokens", json_real(sweep->budget));
    json_object_set_new(json, "recommended", advices);
    return json;
}

static void print_surface(const struct fathom_surface *s) {
    printf("\nL = exp(%.4f %+.4f ln k %+.4f ln n %+.4f ln k ln n)", s->alpha, s->beta_k, s->beta_n, s->gamma);
    if (s->has_floor) printf(" + exp(%.4f %+.4f ln k)", s->zeta, s->eta);
    if (s->has_tokens) printf(" + exp(%.4f %+.4f ln D %+.4f ln n)", s->theta, s->delta, s->epsilon);
    printf("\n  %zu parameters, %zu points, relative error %.2f %% (root mean square)\n", s->n_parameters, s->n_points,
           100 * s->error);
    if (!s->has_floor) printf("  without a floor, which takes three widths\n");
    if (!s->has_tokens) printf("  without tokens, which take two counts\n");
}

static void print_people(const struct sweep *sweep) {
    printf("%10s %6s %12s %8s %8s\n", "features", "k", "tokens", "loss", "L0");
    for (size_t i = 0; i < sweep->n; i++)
        printf("%10.0f %6.0f %12.0f %8.4f %8.1f\n", sweep->points[i].n_features, sweep->points[i].k,
               sweep->points[i].tokens, sweep->points[i].loss, sweep->l0[i]);
    if (!sweep->fitted) {
        printf("\nno surface: %s\n", fathom_error_message());
        return;
    }
    print_surface(&sweep->all);
    if (sweep->tested) {
        printf("\nthe largest, predicted from the %zu others:\n%10s %6s %12s %10s %8s %8s %20s\n",
               sweep->n - sweep->n_withheld, "features", "k", "tokens", "predicted", "found", "off by",
               "largest other run");
        for (size_t i = 0; i < sweep->n; i++)
            if (sweep->withheld[i])
                printf("%10.0f %6.0f %12.0f %10.4f %8.4f %+7.2f%% %20.4f\n", sweep->points[i].n_features,
                       sweep->points[i].k, sweep->points[i].tokens, sweep->predicted[i], sweep->points[i].loss,
                       100 * (sweep->predicted[i] / sweep->points[i].loss - 1), nearest_loss(sweep, i));
    } else {
        printf("\nwithout the largest, too few points are left to predict it\n");
    }
    printf("\nfor %.0f tokens, the smallest width within 1 %% of the best loss up to %.0f features:\n", sweep->budget,
           sweep->widest * GRID_BEYOND);
    for (size_t i = 0; i < sweep->n; i++) {
        if (!first_of_k(sweep, i)) continue;
        const struct advice advice = advise(sweep, sweep->points[i].k);
        printf("  k %.0f: %.0f features, loss %.4f%s\n", sweep->points[i].k, advice.n_features, advice.loss,
               advice.beyond ? " (beyond what was measured)" : "");
    }
}

/* For each k, at the most tokens: what was found as marks, and the surface as a line. */
static int draw(const char *path, const struct sweep *sweep) {
    struct curve curves[CURVE_MOST];
    char names[CURVE_MOST][NAME_SIZE];
    double x[CURVE_MOST / 2][CURVE_POINTS + TRAIN_DICTIONARIES], y[CURVE_MOST / 2][CURVE_POINTS + TRAIN_DICTIONARIES];
    size_t n = 0;
    for (size_t i = 0; i < sweep->n && n + 2 <= CURVE_MOST; i++) {
        const double k = sweep->points[i].k;
        double *at_x = x[n / 2], *at_y = y[n / 2];
        size_t n_found = 0;
        if (!first_of_k(sweep, i)) continue;
        for (size_t j = 0; j < CURVE_POINTS; j++) {
            at_x[j] = sweep->narrowest * pow(sweep->widest / sweep->narrowest, (double)j / (CURVE_POINTS - 1));
            at_y[j] = fathom_surface_loss(&sweep->all, at_x[j], k, sweep->most_tokens);
        }
        for (size_t j = 0; j < sweep->n; j++)
            if (sweep->points[j].k == k && sweep->points[j].tokens == sweep->most_tokens) {
                at_x[CURVE_POINTS + n_found] = sweep->points[j].n_features;
                at_y[CURVE_POINTS + n_found++] = sweep->points[j].loss;
            }
        snprintf(names[n], NAME_SIZE, "k %.0f: surface", k);
        snprintf(names[n + 1], NAME_SIZE, "k %.0f: found", k);
        curves[n] = (struct curve){names[n], at_x, at_y, CURVE_POINTS, false};
        curves[n + 1] = (struct curve){names[n + 1], at_x + CURVE_POINTS, at_y + CURVE_POINTS, n_found, true};
        n += 2;
    }
    const struct curve_plot plot = {
        "held-out loss by width, at the most tokens", "features", "1 - FVE", true, true, curves, n};
    return curve_write_svg(path, &plot);
}

static int report(const struct sweep *sweep, const struct train_request *request, struct run_record *record,
                  const struct cli_arguments *arguments) {
    const char *svg = cli_text(arguments, "svg", NULL);
    char *path = NULL;
    json_t *json = sweep_json(sweep, request);
    int status = fathom__path_join(&path, cli_text(arguments, "output", ""), "sweep.json");
    if (!status) status = fathom__json_write(path, json);
    fathom_free(path);
    run_record_note(record, "sweep", json_incref(json));
    if (!status && svg && sweep->fitted) status = draw(svg, sweep);
    if (!status && cli_json(arguments)) return cli_print_json(json);
    json_decref(json);
    if (status) return cli_fail(arguments, status);
    print_people(sweep);
    return cli_output_status();
}

static int run(struct cli_arguments *arguments) {
    struct train_request *request = NULL;
    struct fathom_train_result results[TRAIN_DICTIONARIES];
    struct sweep sweep = {.n = 0};
    struct run_record record;
    char *path = NULL;
    int64_t budget;
    const char *folder = cli_text(arguments, "output", "");
    if (strpbrk(cli_text(arguments, "hook", ""), ",*"))
        return cli_usage(arguments, "--hook: one hook point is expected; a surface is of one");
    if (!cli_integer(&budget, arguments, "budget", 1, INT64_MAX, 0)) return CLI_USAGE;
    const char *svg = cli_text(arguments, "svg", NULL);
    int status = fathom__make_folders(folder);
    if (!status && svg) status = fathom__writer_probe(svg); /* it may lie in that folder */
    if (!status) status = fathom__path_join(&path, folder, "dictionary.gguf");
    if (status) return cli_fail(arguments, status);
    int code = train_request_read(&request, arguments, path);
    if (!code) {
        run_record_open(&record, request, arguments);
        status = fathom_train(results, request->dictionaries, request->n_dictionaries, &request->run);
        if (!status) {
            take_points(&sweep, request, results);
            sweep.budget = budget > 0 ? (double)budget : sweep.most_tokens;
            fit(&sweep);
            code = report(&sweep, request, &record, arguments);
        } else {
            code = cli_fail(arguments, status);
        }
        run_record_close(&record, status, results);
    }
    train_request_free(request);
    fathom_free(path);
    return code;
}

const struct cli_command cli_command_sweep = {
    .name = "sweep",
    .summary = "train many sizes in one pass and fit the loss surface",
    .operands = "",
    .description =
        "Trains a dictionary for every width, k and token count given, all in one pass of the model; each token count "
        "has a learning-rate schedule of its own. Then fits the surface of the held-out loss (1 - FVE) over width n, k "
        "and tokens D, after Gao et al. 2024 with a term for training that is not at its end, by least squares of its "
        "logarithm. Four token counts, three widths and two ks or more make all of its terms possible.\n\n"
        "The surface is tested: the runs of the largest width with the most tokens are left out, predicted from all "
        "others, and printed beside what was found and beside the loss of the largest run that was not left out. For a "
        "budget of tokens it names, for each k, the smallest width within 1 % of the best loss.",
    .examples = "fathom sweep -m smollm2 --hook resid_post.15 --features 1024,2048,4096,8192 --k 16,32 --tokens "
                "250000,500000,1000000,2000000 --corpus wiki.jsonl -o sweep # 32 dictionaries\n"
                "fathom sweep -m smollm2 --hook resid_post.15 --features 1024,2048,4096 --k 32 --tokens 500000,1000000 "
                "--corpus wiki.jsonl -o sweep --budget 10000000 --svg sweep.svg # what would ten million tokens want?",
    .options = options,
    .run = run,
};
