#include "server/metrics.h"
#include "base/error.h"
#include "server/routes.h"
#include <inttypes.h>

void fathom__metrics_count(fathom__metrics *metrics, size_t route, unsigned http_status, uint64_t bytes, double seconds,
                           bool broken_off) {
    const unsigned first_digit = http_status / 100;
    if (first_digit >= 1 && first_digit <= FATHOM__STATUS_CLASSES)
        atomic_fetch_add(&metrics->requests[route < FATHOM__MOST_ROUTES ? route : FATHOM__MOST_ROUTES][first_digit - 1],
                         1);
    atomic_fetch_add(&metrics->bytes, bytes);
    atomic_fetch_add(&metrics->microseconds, (unsigned long long)(seconds * 1e6));
    if (broken_off) atomic_fetch_add(&metrics->broken_off, 1);
}

static int put(struct fathom__buffer *out, const char *name, const char *kind, const char *help, double value) {
    return fathom__buffer_format(out, "# HELP fathom_%s %s\n# TYPE fathom_%s %s\nfathom_%s %.15g\n", name, help, name,
                                 kind, name, value);
}

static int put_requests(struct fathom__buffer *out, fathom__metrics *metrics) {
    int status = fathom__buffer_text(out, "# HELP fathom_requests_total Requests answered, by route and status.\n"
                                          "# TYPE fathom_requests_total counter\n");
    for (size_t route = 0; route <= fathom__n_routes && !status; route++) {
        const size_t row = route < fathom__n_routes ? route : FATHOM__MOST_ROUTES;
        const char *method = route < fathom__n_routes ? fathom__routes[route].method : "",
                   *path = route < fathom__n_routes ? fathom__routes[route].path : "";
        for (int c = 0; c < FATHOM__STATUS_CLASSES && !status; c++) {
            const unsigned long long n = atomic_load(&metrics->requests[row][c]);
            if (n > 0)
                status = fathom__buffer_format(
                    out, "fathom_requests_total{method=\"%s\",path=\"%s\",status=\"%dxx\"} %llu\n", method, path, c + 1,
                    n);
        }
    }
    return status;
}

int fathom__metrics_text(struct fathom__buffer *out, fathom__metrics *metrics,
                         const struct fathom__batcher_figures *figures, double uptime) {
    const struct {
        const char *name, *kind, *help;
        double value;
    } rows[] = {
        {"uptime_seconds", "gauge", "Seconds since the server began.", uptime},
        {"connections", "gauge", "Connections that are open.", atomic_load(&metrics->connections)},
        {"reply_bytes_total", "counter", "Bytes of replies.", (double)atomic_load(&metrics->bytes)},
        {"request_seconds_total", "counter", "Seconds from requests' arrival to the end of their replies.",
         1e-6 * (double)atomic_load(&metrics->microseconds)},
        {"broken_off_total", "counter", "Requests whose reply did not reach its end.",
         (double)atomic_load(&metrics->broken_off)},
        {"refused_full_total", "counter", "Requests refused because too many waited.",
         (double)atomic_load(&metrics->refused_full)},
        {"jobs_running", "gauge", "Texts in the batch.", figures->running},
        {"jobs_waiting", "gauge", "Texts that wait for a place in the batch.", figures->waiting},
        {"jobs_at_once", "gauge", "Places in the batch.", figures->n_parallel},
        {"jobs_total", "counter", "Texts that came into the batch.", (double)figures->jobs},
        {"jobs_failed_total", "counter", "Texts that ended with an error.", (double)figures->failed},
        {"steps_total", "counter", "Decodes.", (double)figures->steps},
        {"rows_total", "counter", "Rows decoded; divided by steps the mean size of a batch.", (double)figures->rows},
        {"prompt_tokens_total", "counter", "Tokens of prompts.", (double)figures->prompt_tokens},
        {"cached_tokens_total", "counter", "Of these, found in the cache.", (double)figures->cached_tokens},
        {"answer_tokens_total", "counter", "Tokens sampled.", (double)figures->answer_tokens},
    };
    int status = put_requests(out, metrics);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !status; i++)
        status = put(out, rows[i].name, rows[i].kind, rows[i].help, rows[i].value);
    return status;
}
