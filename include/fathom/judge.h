/* A judge behind a URL: a language model that gives answers AxBench's points (Wu et al. 2025).
 *
 * Any server that speaks OpenAI's chat completions will do. Each answer is sent three times, once for each of concept,
 * instruction and fluency, with the question (but for fluency) and the concept; what leaves the machine is that. The
 * reply's last [[0]], [[1]] or [[2]] is the points. The wording is Fathom's own: points of two judges, or AxBench's own
 * figures, are not to be compared.
 *
 * Requests are made by the program `curl`, which is told the key in a way that other users cannot see. */
#ifndef FATHOM_JUDGE_H
#define FATHOM_JUDGE_H

#include <fathom/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_judge_options {
    const char *url;     /* of the API, such as http://127.0.0.1:11434/v1; "/chat/completions" is put after it */
    const char *model;   /* as the server calls it */
    const char *key;     /* sent as a bearer token; NULL: none */
    const char *concept; /* what answers are to speak of, such as "the Golden Gate Bridge" */
    double seconds;      /* the most a reply may take; 0: 60 */
    double pause;        /* seconds before a request is made again, doubled each time; 0: 1 */
};

typedef struct fathom_judge fathom_judge; /* one thread at a time */

/* Copies the options; asks nothing yet. Errors: ARGUMENT (a URL that is not http or https, a key or model that cannot be
 * sent), MEMORY. */
FATHOM_API int fathom_judge_open(fathom_judge **out, const struct fathom_judge_options *options);
FATHOM_API void fathom_judge_close(fathom_judge *judge);

/* Points for one answer: a fathom_steer_judge_fn, whose payload is the judge. A server that is too busy (429, 500, 502,
 * 503, 504), does not answer in time or cannot be reached is asked four times in all. Errors, which name the URL: IO (no
 * connection, no curl, another status than 200 with what the server said), FORMAT (no reply of that form, no points in
 * it), LIMIT (question or answer too long, a reply of more than a megabyte), STOPPED (interrupted). */
FATHOM_API int fathom_judge_points(double points[3], const char *question, const char *answer, void *judge);

#ifdef __cplusplus
}
#endif
#endif
