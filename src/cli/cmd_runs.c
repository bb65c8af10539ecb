/* The ledger of training runs: listing, showing and comparing. */
#include "cli.h"
#include "curve.h"
#include <base/error.h>
#include <base/memory.h>
#include <catalogue/ledger_json.h>
#include <fathom/ledger.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COMPARED = 8, NAME_SIZE = 160 };

#define OPTION_LEDGER                                                                                                  \
    { "ledger", 0, CLI_FILE, "FILE", "the ledger's file ($XDG_DATA_HOME/fathom/runs.sqlite)", false, false }
#define OPTION_SVG                                                                                                     \
    { "svg", 0, CLI_OUTPUT, "FILE", "also draw the curves into this file", false, false }
#define OPTION_CURVE                                                                                                   \
    {                                                                                                                  \
        "curve", 0, CLI_CHOICE, "fve|loss|l0|dead", "the curve to draw, on held-out rows but for the loss (fve)",      \
            false, false                                                                                               \
    }

static const struct cli_option list_options[] = {OPTION_LEDGER, CLI_OPTION_JSON, CLI_OPTION_END};
static const struct cli_option show_options[] = {OPTION_LEDGER, OPTION_CURVE, OPTION_SVG, CLI_OPTION_JSON,
                                                 CLI_OPTION_END};

static int open_ledger(fathom_ledger **out, const struct cli_arguments *arguments, bool write) {
    const char *given = cli_text(arguments, "ledger", NULL);
    char *path = NULL;
    int status = given ? fathom__copy_string(&path, given) : fathom_ledger_path(&path);
    if (!status && write) { /* nothing is made here: only training begins a ledger */
        status = fathom_ledger_open(out, path, false);
        if (!status) fathom_ledger_close(*out);
    }
    if (!status) status = fathom_ledger_open(out, path, write);
    fathom_free(path);
    return status;
}

/* The finished dictionary that reconstructs most. */
static const struct fathom_ledger_dictionary *best_of(const struct fathom_ledger_run *run) {
    const struct fathom_ledger_dictionary *best = NULL;
    for (size_t i = 0; i < run->n_dictionaries; i++) {
        const struct fathom_ledger_dictionary *d = &run->dictionaries[i];
        if (d->finished && isfinite(d->fve) && (!best || d->fve > best->fve)) best = d;
    }
    return best;
}

static int list(struct cli_arguments *arguments) {
    fathom_ledger *ledger = NULL;
    fathom_ledger_runs *runs = NULL;
    size_t n = 0;
    int status = open_ledger(&ledger, arguments, false);
    if (!status) status = fathom_ledger_list(&runs, ledger);
    fathom_ledger_close(ledger);
    if (status) return cli_fail(arguments, status);
    const struct fathom_ledger_run *all = fathom_ledger_runs_get(&n, runs);
    if (cli_json(arguments)) {
        json_t *array = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(array, fathom__ledger_run_json(&all[i]));
        fathom_ledger_runs_free(runs);
        return cli_print_json(json_pack("{s:o}", "runs", array));
    }
    printf("%4s  %-16s  %-7s  %-24s  %11s  %5s  %8s  %s\n", "run", "started (UTC)", "state", "model", "tokens", "dicts",
           "best FVE", "first dictionary");
    for (size_t i = 0; i < n; i++) {
        const struct fathom_ledger_run *run = &all[i];
        const struct fathom_ledger_dictionary *best = best_of(run);
        char fve[16] = "";
        if (best) snprintf(fve, sizeof fve, "%.4f", best->fve);
        const char *path = run->n_dictionaries ? run->dictionaries[0].path : "", *slash = strrchr(path, '/');
        printf("%4lld  %.16s  %-7s  %-24.24s  %11llu  %5zu  %8s  %s\n", (long long)run->number, run->started,
               run->state, run->model_name, (unsigned long long)run->tokens, run->n_dictionaries, fve,
               slash ? slash + 1 : path);
    }
    fathom_ledger_runs_free(runs);
    return cli_output_status();
}

static double figure(const struct fathom_ledger_point *point, const char *name) {
    return strcmp(name, "loss") == 0   ? point->loss
           : strcmp(name, "l0") == 0   ? point->l0
           : strcmp(name, "dead") == 0 ? point->dead_fraction
                                       : point->fve;
}

/* The curves of some runs in one plot. */
struct drawing {
    struct curve curves[CURVE_MOST];
    char names[CURVE_MOST][NAME_SIZE];
    double *x, *y;
    size_t n, n_points, n_left_out;
};

static int gather(struct drawing *drawing, const struct fathom_ledger_run *const *runs, size_t n_runs,
                  const char *figure_name) {
    size_t total = 0;
    for (size_t r = 0; r < n_runs; r++)
        total += runs[r]->n_points;
    int status = fathom__alloc(&drawing->x, total, sizeof *drawing->x);
    if (!status) status = fathom__alloc(&drawing->y, total, sizeof *drawing->y);
    for (size_t r = 0; r < n_runs && !status; r++) {
        const struct fathom_ledger_run *run = runs[r];
        for (size_t p = 0; p < run->n_points;) {
            const size_t number_of = run->points[p].dictionary;
            size_t end = p;
            while (end < run->n_points && run->points[end].dictionary == number_of)
                end++;
            if (drawing->n == CURVE_MOST) {
                drawing->n_left_out++;
            } else {
                const struct fathom_ledger_dictionary *d = &run->dictionaries[number_of];
                char *name = drawing->names[drawing->n];
                snprintf(name, NAME_SIZE, "run %lld: %s %s, %u features, k %u, seed %llu", (long long)run->number,
                         d->hook, d->architecture, d->n_features, d->k, (unsigned long long)d->seed);
                drawing->curves[drawing->n++] = (struct curve){.name = name,
                                                               .x = drawing->x + drawing->n_points,
                                                               .y = drawing->y + drawing->n_points,
                                                               .n = end - p};
                for (size_t i = p; i < end; i++) {
                    drawing->x[drawing->n_points] = (double)run->points[i].tokens;
                    drawing->y[drawing->n_points++] = figure(&run->points[i], figure_name);
                }
            }
            p = end;
        }
    }
    return status;
}

static int draw(const struct fathom_ledger_run *const *runs, size_t n_runs, const struct cli_arguments *arguments,
                bool print) {
    static const char *const titles[] = {"fve", "held-out FVE", "loss", "loss of the steps' own batches",
                                         "l0",  "held-out L0",  "dead", "dead fraction of the features"};
    const char *name = cli_text(arguments, "curve", "fve"), *svg = cli_text(arguments, "svg", NULL), *title = name;
    struct drawing *drawing = NULL;
    int status = fathom__alloc(&drawing, 1, sizeof *drawing);
    if (!status) status = gather(drawing, runs, n_runs, name);
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i += 2)
        if (strcmp(titles[i], name) == 0) title = titles[i + 1];
    if (!status) {
        const struct curve_plot plot = {
            .title = title, .x_name = "tokens", .y_name = name, .curves = drawing->curves, .n_curves = drawing->n};
        if (print && drawing->n_points > 0) curve_print(stdout, &plot);
        if (print && drawing->n_left_out > 0) printf("%zu more curves are not drawn\n", drawing->n_left_out);
        if (svg) status = curve_write_svg(svg, &plot);
    }
    if (drawing) {
        fathom_free(drawing->x);
        fathom_free(drawing->y);
    }
    fathom_free(drawing);
    return status;
}

static void print_result(const struct fathom_ledger_dictionary *d) {
    printf("  %s\n    %s%s%s, %s, %u features, k %u, seed %llu", d->path, d->hook, d->hook_out ? " to " : "",
           d->hook_out ? d->hook_out : "", d->architecture, d->n_features, d->k, (unsigned long long)d->seed);
    if (d->finished)
        printf(": held-out FVE %.4f, L0 %.1f, dead %.1f %%, %llu tokens", d->fve, d->l0, 100 * d->dead_fraction,
               (unsigned long long)d->tokens);
    putchar('\n');
}

static bool read_number(int64_t *out, const char *text) {
    char *end;
    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *out > 0;
}

/* Reads the runs that the operands name. */
static int read_runs(fathom_ledger_runs **runs, const struct fathom_ledger_run **out, size_t n,
                     const struct cli_arguments *arguments, const char *const *operands) {
    fathom_ledger *ledger = NULL;
    int status = open_ledger(&ledger, arguments, false);
    for (size_t i = 0; i < n && !status; i++) {
        int64_t wanted;
        size_t found = 0;
        if (!read_number(&wanted, operands[i]))
            status = fathom__fail(FATHOM_ERROR_ARGUMENT,
                                  "%s: the number of a run is expected, as `fathom runs` lists it", operands[i]);
        if (!status) status = fathom_ledger_read(&runs[i], ledger, wanted);
        if (!status) out[i] = fathom_ledger_runs_get(&found, runs[i]);
    }
    fathom_ledger_close(ledger);
    return status;
}

static int show(struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *operands = cli_operands(&n, arguments);
    fathom_ledger_runs *runs = NULL;
    const struct fathom_ledger_run *run = NULL;
    int code = CLI_OK, status = read_runs(&runs, &run, 1, arguments, operands);
    if (!status && !cli_json(arguments)) {
        printf("run %lld, %s (UTC): %s%s%s\n  %s\n", (long long)run->number, run->started, run->state,
               run->message[0] ? ": " : "", run->message, run->command);
        printf("  model %s (%s), corpus %s, seed %llu, %llu tokens, %llu steps, %.0f seconds, version %s\n",
               run->model_name, run->model_identity, run->corpus_hash, (unsigned long long)run->seed,
               (unsigned long long)run->tokens, (unsigned long long)run->steps, run->seconds, run->version);
        for (size_t i = 0; i < run->n_dictionaries; i++)
            print_result(&run->dictionaries[i]);
        if (strcmp(run->notes, "{}") != 0) printf("  notes: %s\n", run->notes);
    }
    if (!status) status = draw(&run, 1, arguments, !cli_json(arguments));
    if (status)
        code = cli_fail(arguments, status);
    else
        code = cli_json(arguments) ? cli_print_json(fathom__ledger_run_json(run)) : cli_output_status();
    fathom_ledger_runs_free(runs);
    return code;
}

static void print_pair(const char *name, const char *a, const char *b) {
    printf("  %-12s %s %s\n", name, strcmp(a, b) == 0 ? "same:" : "A:", a);
    if (strcmp(a, b) != 0) printf("  %-12s B: %s\n", "", b);
}

/* Dictionaries of the two runs at the same place in their lists. */
static void print_differences(const struct fathom_ledger_run *a, const struct fathom_ledger_run *b) {
    char seed_a[24], seed_b[24], tokens_a[24], tokens_b[24];
    snprintf(seed_a, sizeof seed_a, "%llu", (unsigned long long)a->seed);
    snprintf(seed_b, sizeof seed_b, "%llu", (unsigned long long)b->seed);
    snprintf(tokens_a, sizeof tokens_a, "%llu", (unsigned long long)a->tokens);
    snprintf(tokens_b, sizeof tokens_b, "%llu", (unsigned long long)b->tokens);
    printf("A is run %lld, B is run %lld\n", (long long)a->number, (long long)b->number);
    print_pair("command", a->command, b->command);
    print_pair("model", a->model_identity, b->model_identity);
    print_pair("corpus", a->corpus_hash, b->corpus_hash);
    print_pair("seed", seed_a, seed_b);
    print_pair("tokens", tokens_a, tokens_b);
    print_pair("version", a->version, b->version);
    const size_t n = a->n_dictionaries < b->n_dictionaries ? a->n_dictionaries : b->n_dictionaries;
    for (size_t i = 0; i < n; i++) {
        const struct fathom_ledger_dictionary *x = &a->dictionaries[i], *y = &b->dictionaries[i];
        print_result(x);
        print_result(y);
        if (x->finished && y->finished)
            printf("    B less A: FVE %+.4f, L0 %+.1f, dead %+.1f %%\n", y->fve - x->fve, y->l0 - x->l0,
                   100 * (y->dead_fraction - x->dead_fraction));
    }
    if (a->n_dictionaries != b->n_dictionaries)
        printf("  A has %zu dictionaries, B has %zu\n", a->n_dictionaries, b->n_dictionaries);
}

static int compare(struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *operands = cli_operands(&n, arguments);
    fathom_ledger_runs *runs[MOST_COMPARED] = {NULL};
    const struct fathom_ledger_run *found[MOST_COMPARED] = {NULL};
    int status = read_runs(runs, found, n, arguments, operands), code = CLI_OK;
    if (!status && !cli_json(arguments))
        for (size_t i = 1; i < n; i++)
            print_differences(found[0], found[i]);
    if (!status) status = draw(found, n, arguments, !cli_json(arguments));
    if (status) {
        code = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        json_t *array = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(array, fathom__ledger_run_json(found[i]));
        code = cli_print_json(json_pack("{s:o}", "runs", array));
    } else {
        code = cli_output_status();
    }
    for (size_t i = 0; i < n; i++)
        fathom_ledger_runs_free(runs[i]);
    return code;
}

static int remove_runs(struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *operands = cli_operands(&n, arguments);
    fathom_ledger *ledger = NULL;
    int status = open_ledger(&ledger, arguments, true);
    for (size_t i = 0; i < n && !status; i++) {
        int64_t wanted;
        status = read_number(&wanted, operands[i])
                     ? fathom_ledger_remove(ledger, wanted)
                     : fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: the number of a run is expected", operands[i]);
    }
    fathom_ledger_close(ledger);
    if (status) return cli_fail(arguments, status);
    return cli_json(arguments) ? cli_print_json(json_pack("{s:I}", "removed", (json_int_t)n)) : CLI_OK;
}

const struct cli_command cli_command_runs = {
    .name = "runs",
    .summary = "list the training runs that were written down",
    .operands = "",
    .description =
        "Every run of fathom train and fathom sweep is written down with its command, seed, corpus (by its hash), "
        "model (by its identity), held-out curves and results, unless it was given --no-record. A run that "
        "was killed stays \"running\"; one that goes on from its checkpoint goes on in its entry.",
    .examples = "fathom runs # number, date, state, model and best FVE of each\n"
                "fathom runs --json # all there is but the curves",
    .options = list_options,
    .run = list,
};

const struct cli_command cli_command_runs_show = {
    .name = "runs show",
    .summary = "show one training run with its curves",
    .operands = "RUN",
    .least = 1,
    .most = 1,
    .description =
        "Shows the command, what it was run on, its dictionaries with their held-out figures, and the curves "
        "over tokens: drawn in the terminal, with --svg also into a file, with --json as numbers.",
    .examples = "fathom runs show 3 # with the curve of held-out FVE\n"
                "fathom runs show 3 --curve l0 --svg l0.svg # L0, as a picture too",
    .options = show_options,
    .run = show,
};

const struct cli_command cli_command_runs_compare = {
    .name = "runs compare",
    .summary = "compare training runs: what differs, results and curves",
    .operands = "A B [RUN…]",
    .least = 2,
    .most = MOST_COMPARED,
    .description = "Compares each run with the first: command, model, corpus, seed, and the dictionaries at the same "
                   "place in their lists, with the differences of their held-out figures; and draws all curves in one "
                   "plot.",
    .examples = "fathom runs compare 3 4 # two runs in one plot\n"
                "fathom runs compare 3 4 5 --svg widths.svg # three, as a picture too",
    .options = show_options,
    .run = compare,
};

const struct cli_command cli_command_runs_remove = {
    .name = "runs remove",
    .summary = "take training runs out of the ledger",
    .operands = "RUN…",
    .least = 1,
    .most = -1,
    .description = "Takes runs out of the ledger. Dictionaries and checkpoints stay where they are.",
    .examples = "fathom runs remove 1 2 # two entries less",
    .options = list_options,
    .run = remove_runs,
};
