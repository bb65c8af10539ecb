#include "cli.h"
#include "help.h"
#include "parse.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted, pipe_closed;
static bool quiet, line_open;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whoever presses Ctrl-C again does not want to wait for the clean stop. A signal that comes twice at once, as timeout
 * and process groups send it, is one request. */
static void on_signal(int number) {
    static const double again = 0.5;
    static double asked;
    if (number == SIGINT && asked > 0 && seconds_now() - asked > again) {
        _exit(CLI_STOPPED);
    }
    asked = asked > 0 ? asked : seconds_now();
    interrupted = 1;
}

/* What is under way stops as if it was interrupted, so that it is saved: the pipe may be a log of a long run. */
static void on_pipe(int number) {
    (void)number;
    pipe_closed = 1;
    interrupted = 1;
}

void cli_output_start(bool be_quiet) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    quiet = be_quiet;
    sigfillset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* nohup ignores the loss of the terminal, and so it stays. */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
    action.sa_handler = on_pipe;
    sigaction(SIGPIPE, &action, NULL);
    /* A file that may grow no further is an error of its write. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
}

bool cli_pipe_closed(void) {
    return pipe_closed != 0;
}

bool cli_interrupted(void) {
    return interrupted != 0;
}

bool cli_json(const struct cli_arguments *arguments) {
    return cli_has(arguments, "json");
}

bool cli_colour(void) {
    static int known = -1;
    if (known < 0) {
        const char *none = getenv("NO_COLOR");
        const char *terminal = getenv("TERM");
        known = isatty(STDOUT_FILENO) && (none == NULL || *none == '\0') && terminal != NULL &&
                strcmp(terminal, "dumb") != 0;
    }
    return known == 1;
}

int cli_output_status(void) {
    bool failed = ferror(stdout) != 0;
    errno = 0;
    failed = fflush(stdout) != 0 || failed;
    if (!failed) {
        return CLI_OK;
    }
    /* Why an earlier write failed is not kept; a full disk is what it nearly always is. */
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == 0;
    if (!cli_pipe_closed()) {
        fprintf(stderr, "fathom: standard output: cannot write: %s\n",
                errno != 0 ? strerror(errno) : "an earlier write failed (is the disk full?)");
    }
    clearerr(stdout);
    return full ? CLI_LIMIT : CLI_FAILURE;
}

int cli_print_json(json_t *value) {
    cli_progress_end();
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (text == NULL) {
        fputs("fathom: the result has no form in JSON: it holds a number that is not finite or a name that is not "
              "UTF-8\n",
              stderr);
        return CLI_FAILURE;
    }
    puts(text);
    free(text);
    return cli_output_status();
}

/* Six steps of one hue in the terminal's 256 colours, from faint to full, and a foreground that stays readable. */
static const int level_colours[] = {0, 223, 222, 215, 208, 202};

void cli_print_level(FILE *stream, const char *bytes, size_t length, double level) {
    cli_progress_end();
    const int steps = (int)(sizeof level_colours / sizeof level_colours[0]) - 1;
    int step = level > 0 ? (int)ceil(fmin(level, 1.0) * steps) : 0;
    bool colour = step > 0 && cli_colour();
    if (colour) {
        fprintf(stream, "\033[48;5;%d;38;5;16m", level_colours[step]);
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n') {
            fputs(colour ? "↵\033[0m\n" : "\n", stream);
            if (colour && i + 1 < length) {
                fprintf(stream, "\033[48;5;%d;38;5;16m", level_colours[step]);
            }
        } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
            fprintf(stream, "\\x%02x", c);
        } else {
            fputc(c, stream);
        }
    }
    if (colour) {
        fputs("\033[0m", stream);
    }
}

void cli_print_bold(FILE *stream, const char *text) {
    cli_progress_end();
    fprintf(stream, cli_colour() ? "\033[1m%s\033[0m" : "%s", text);
}

void cli_print_dim(FILE *stream, const char *text) {
    cli_progress_end();
    fprintf(stream, cli_colour() ? "\033[2m%s\033[0m" : "%s", text);
}

static void format_time(char *out, size_t size, double seconds) {
    long whole = seconds < 0 ? 0 : lround(fmin(seconds, 3.6e6));
    if (whole >= 3600) {
        snprintf(out, size, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
    } else if (whole >= 60) {
        snprintf(out, size, "%ld min %02ld s", whole / 60, whole % 60);
    } else {
        snprintf(out, size, "%ld s", whole);
    }
}

void cli_progress_end(void) {
    if (line_open) {
        fputc('\n', stderr);
        line_open = false;
    }
}

/* Two digits at the least: what takes long is counted by the minute or the hour. */
static void print_rate(double per_second, const char *unit) {
    static const double enough = 1.0, many = 10.0, per_minute = 60.0, per_hour = 3600.0;
    const bool by_minute = per_second < enough, by_hour = per_second * per_minute < enough;
    const double rate = per_second * (by_hour ? per_hour : by_minute ? per_minute : 1.0);
    fprintf(stderr, "  %.*f %s/%s", rate < many ? 1 : 0, rate, unit, by_hour ? "h" : by_minute ? "min" : "s");
}

int cli_progress(const struct fathom_progress *progress, void *payload) {
    static const double terminal_interval = 0.2, log_interval = 10.0;
    static double last;
    double now = seconds_now();
    bool terminal = isatty(STDERR_FILENO);
    bool finished = progress->total > 0 && progress->done >= progress->total;
    (void)payload;
    if (!quiet && (finished || now - last >= (terminal ? terminal_interval : log_interval))) {
        char left[32];
        last = now;
        fprintf(stderr, "%s%s", terminal ? "\r\033[K" : "", progress->stage);
        if (progress->total > 0) {
            fprintf(stderr, " %5.1f %%", 100.0 * (double)progress->done / (double)progress->total);
        }
        fprintf(stderr, "  %llu %s", (unsigned long long)progress->done, progress->unit);
        if (progress->units_per_second > 0) {
            print_rate(progress->units_per_second, progress->unit);
        }
        if (progress->seconds_left >= 0 && !finished) {
            format_time(left, sizeof left, progress->seconds_left);
            fprintf(stderr, "  %s left", left);
        }
        if (progress->note != NULL) {
            fprintf(stderr, "  %s", progress->note);
        }
        line_open = terminal && !finished;
        if (!line_open) {
            fputc('\n', stderr);
        }
        fflush(stderr);
    }
    return cli_interrupted() ? FATHOM_ERROR_STOPPED : 0;
}
