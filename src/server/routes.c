#include "server/routes.h"
#include "server/handlers.h"
#include "server/route_schemas.h"
#include <string.h>

const struct fathom__route fathom__routes[] = {
    {.method = "GET",
     .path = "/healthz",
     .handle = fathom__handle_health,
     .summary = "Whether the server is up",
     .reply = OBJECT("\"status\"", "\"status\": " TEXT),
     .open = true},
    {.method = "GET",
     .path = "/metrics",
     .handle = fathom__handle_metrics,
     .summary = "Counters in Prometheus' text format"},
    {.method = "GET",
     .path = "/openapi.json",
     .handle = fathom__handle_openapi,
     .summary = "This description",
     .reply = OBJECT("\"openapi\", \"paths\"", "\"openapi\": " TEXT ", \"paths\": {\"type\": \"object\"}")},
    {.method = "GET",
     .path = "/v1/models",
     .handle = fathom__handle_models,
     .summary = "The model that is loaded",
     .reply = OBJECT("\"object\", \"data\"", "\"object\": " TEXT ", \"data\": " LIST(MODEL))},
    {.method = "GET",
     .path = "/v1/models/{model}",
     .handle = fathom__handle_model,
     .summary = "One model",
     .parameters = "[{\"name\": \"model\", \"in\": \"path\", \"required\": true, \"schema\": " TEXT "}]",
     .reply = MODEL},
    {.method = "POST",
     .path = "/v1/chat/completions",
     .handle = fathom__handle_chat,
     .summary = "Answers a conversation by the model's own chat template",
     .request = OBJECT("\"messages\"", "\"messages\": {\"type\": \"array\", \"minItems\": 1, \"items\": " MESSAGE
                                       "}, " TOOLS CHAT_LOGPROBS GENERATION_MEMBERS),
     .reply = COMPLETION(CHAT_CHOICE),
     .streams = true},
    {.method = "POST",
     .path = "/v1/completions",
     .handle = fathom__handle_completions,
     .summary = "Goes on from texts",
     .request =
         OBJECT("\"prompt\"", "\"prompt\": " TEXT_OR_TOKENS ", \"logprobs\": " TOP_LOGPROBS ", " GENERATION_MEMBERS),
     .reply = COMPLETION(TEXT_CHOICE),
     .streams = true},
    {.method = "POST",
     .path = "/v1/embeddings",
     .handle = fathom__handle_embeddings,
     .summary = "Rows of a hook point, pooled over each text",
     .request = OBJECT("\"input\"",
                       "\"input\": " TEXT_OR_TOKENS ", \"model\": " TEXT ", \"hook\": " TEXT
                       ", \"pool\": {\"enum\": [\"mean\", \"last\"]}, \"encoding_format\": {\"enum\": [\"float\", "
                       "\"base64\"]}, \"normalise\": {\"type\": \"boolean\"}, \"dimensions\": {\"type\": \"integer\", "
                       "\"minimum\": 1}"),
     .reply = OBJECT("\"object\", \"data\", \"model\", \"usage\"", "\"data\": " LIST(EMBEDDING) ", \"usage\": " USAGE)},
    {.method = "POST",
     .path = "/v1/tokenize",
     .handle = fathom__handle_tokenize,
     .summary = "The tokens of a text",
     .request = OBJECT("\"text\"", "\"text\": " TEXT ", \"add_special\": {\"type\": \"boolean\"}, \"parse_special\": "
                                   "{\"type\": \"boolean\"}"),
     .reply = OBJECT("\"count\", \"tokens\"", "\"count\": {\"type\": \"integer\"}, \"tokens\": " LIST(TOKEN))},
    {.method = "POST",
     .path = "/v1/detokenize",
     .handle = fathom__handle_detokenize,
     .summary = "The text of tokens",
     .request = OBJECT("\"tokens\"", "\"tokens\": " NUMBERS),
     .reply = OBJECT("\"text\"", "\"text\": " TEXT)},
    {.method = "GET",
     .path = "/api/status",
     .handle = fathom__handle_status,
     .summary = "What is loaded, and the server's limits",
     .reply = OBJECT("\"version\", \"model\", \"limits\"",
                     "\"version\": " TEXT ", \"model\": {\"type\": \"object\"}, \"dictionary\": " NULL_OBJECT
                     ", \"catalogue\": " NULL_OBJECT ", \"limits\": {\"type\": \"object\"}")},
    {.method = "GET",
     .path = "/api/hooks",
     .handle = fathom__handle_hooks,
     .summary = "The model's hook points",
     .reply = OBJECT("\"hooks\"", "\"hooks\": " LIST(HOOK))},
    {.method = "GET",
     .path = "/api/features",
     .handle = fathom__handle_features,
     .summary = "Features by number",
     .parameters = "[" QUERY("offset", 16777216) ", " QUERY("limit", 200) "]",
     .reply = OBJECT(
         "\"total\", \"features\"",
         "\"total\": {\"type\": \"integer\"}, \"offset\": {\"type\": \"integer\"}, \"features\": " LIST(FEATURE))},
    {.method = "GET",
     .path = "/api/features/{feature}",
     .handle = fathom__handle_feature,
     .summary = "All there is on a feature, under Neuronpedia's names",
     .parameters = "[" PATH_FEATURE ", " QUERY("examples", 100) "]",
     .reply = OBJECT("\"modelId\", \"layer\", \"index\", \"activations\", \"explanations\"",
                     "\"modelId\": " TEXT ", \"layer\": " TEXT ", \"index\": " TEXT ", \"maxActApprox\": " NULL_NUMBER
                     ", \"frac_nonzero\": " NULL_NUMBER ", \"activations\": " LIST(
                         "{\"type\": \"object\"}") ", \"explanations\": " LIST("{\"type\": \"object\"}"))},
    {.method = "PUT",
     .path = "/api/features/{feature}/label",
     .handle = fathom__handle_label,
     .summary = "Sets a person's label, or with null removes it",
     .parameters = "[" PATH_FEATURE "]",
     .request = OBJECT("\"label\"", "\"label\": " NULL_TEXT),
     .reply = FEATURE,
     .changes = true},
    {.method = "POST",
     .path = "/api/search",
     .handle = fathom__handle_search,
     .summary = "Features by words, by an example text, or by the output token that they raise or lower",
     .request = OBJECT("", "\"words\": " TEXT ", \"text\": " TEXT ", \"token\": " TEXT
                           ", \"lowered\": {\"type\": \"boolean\"}, \"limit\": {\"type\": \"integer\", \"minimum\": 1, "
                           "\"maximum\": 200}"),
     .reply = OBJECT("\"features\"", "\"features\": " LIST(FEATURE))},
    {.method = "POST",
     .path = "/api/activations",
     .handle = fathom__handle_activations,
     .summary = "The strongest features of every token of a text",
     .request = OBJECT("\"text\"",
                       "\"text\": " TEXT ", \"features\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 64}"),
     .reply = OBJECT("\"tokens\"", "\"tokens\": " LIST(TOKEN))},
    {.method = "POST",
     .path = "/api/steer",
     .handle = fathom__handle_steer,
     .summary = "The answer as it is, and beside it the steered one, drawn with the same seed",
     .request = OBJECT("\"steer\"", "\"prompt\": " TEXT_OR_TOKENS
                                    ", \"messages\": {\"type\": \"array\", \"minItems\": 1, \"items\": " MESSAGE
                                    "}, " GENERATION_MEMBERS),
     .reply = OBJECT("\"id\", \"choices\", \"usage\"",
                     "\"id\": " TEXT ", \"choices\": " LIST("{\"type\": \"object\"}") ", \"usage\": " USAGE),
     .streams = true},
    {.method = "POST",
     .path = "/api/explain",
     .handle = fathom__handle_explain,
     .summary = "Why a prompt goes on with an answer, each claim checked by an intervention beside its control",
     .request = OBJECT("\"prompt\"", "\"prompt\": " TEXT ", \"answer\": " TEXT
                                     ", \"answer_tokens\": {\"type\": \"integer\", \"minimum\": 1, "
                                     "\"maximum\": 32}, \"corrupt\": " TEXT
                                     ", \"top\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 200}, "
                                     "\"controls\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 32}, "
                                     "\"seed\": {\"type\": \"integer\", "
                                     "\"minimum\": 0}, \"features\": {\"type\": \"boolean\"}"),
     .reply = OBJECT("\"prompt\", \"answer\", \"log_probability\", \"layers\", \"tokens\"",
                     "\"prompt\": " TEXT ", \"answer\": " TEXT
                     ", \"log_probability\": {\"type\": \"number\"}, \"probability\": {\"type\": \"number\"}, "
                     "\"layers\": {\"type\": \"array\"}, \"tokens\": " LIST(EXPLAINED_TOKEN) ", \"features\": " LIST(
                         EXPLAINED_FEATURE) ", \"patching\": {\"type\": \"object\"}")},
    {.method = "POST",
     .path = "/api/watch",
     .handle = fathom__handle_watch,
     .summary = "Texts read with features and probes as monitors: levels at every token and over each text, and alerts",
     .request =
         OBJECT("\"texts\", \"watch\"", "\"texts\": " TEXTS ", \"watch\": " WATCHES ", \"steer\": " STEER
                                        ", \"features\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 64}"),
     .reply = OBJECT("\"watch\", \"texts\", \"alerts\"",
                     "\"watch\": " LIST(MONITOR) ", \"alerts\": {\"type\": \"integer\"}, "
                                                 "\"texts\": " LIST(WATCHED_TEXT))},
    {.method = "GET",
     .path = "/api/probes",
     .handle = fathom__handle_probes,
     .summary = "The probes in the data folder; one that cannot be used here says why",
     .reply = OBJECT("\"probes\"", "\"probes\": " LIST(PROBE))},
    {.method = "POST",
     .path = "/api/probes/{probe}/apply",
     .handle = fathom__handle_probe_apply,
     .summary = "A probe's scores of texts, pooled as it was trained",
     .parameters = "[{\"name\": \"probe\", \"in\": \"path\", \"required\": true, \"schema\": " TEXT "}]",
     .request = OBJECT("\"texts\"", "\"texts\": " TEXTS),
     .reply = OBJECT("\"probe\", \"hook\", \"threshold\", \"texts\", \"alerts\"",
                     "\"threshold\": " NUMBER ", \"alerts\": {\"type\": \"integer\"}, \"texts\": " LIST(PROBE_SCORE))},
    {.method = "GET",
     .path = "/api/map",
     .handle = fathom__handle_map,
     .summary = "Every feature's place in two dimensions: an embedding that keeps features of like directions near, "
                "begun from the "
                "principal components",
     .reply = OBJECT(
         "\"method\", \"features\", \"neighbours\", \"kept\", \"kept_by_components\", \"kept_by_chance\", \"x\", \"y\"",
         "\"method\": {\"const\": \"neighbours\"}, \"features\": {\"type\": \"integer\"}, \"neighbours\": "
         "{\"type\": \"integer\"}, \"kept\": " SHARE ", \"kept_by_components\": " SHARE ", \"kept_by_chance\": " SHARE
         ", \"x\": " LIST(NUMBER) ", \"y\": " LIST(NUMBER))},
    {.method = "GET",
     .path = "/api/runs",
     .handle = fathom__handle_runs,
     .summary = "The training runs that were written down, the latest first, without their curves",
     .reply = OBJECT("\"runs\"", "\"runs\": " LIST(RUN))},
    {.method = "GET",
     .path = "/api/runs/{run}",
     .handle = fathom__handle_run,
     .summary = "A training run with its curves",
     .parameters = PATH_NUMBER("run"),
     .reply = RUN},
    {.method = "GET",
     .path = "/api/jobs",
     .handle = fathom__handle_jobs,
     .summary = "Jobs of training, indexing, scanning and evaluation, the latest first, and the "
                "files that they can be given",
     .reply = OBJECT("\"jobs\", \"corpora\", \"dictionaries\", \"probes\"",
                     "\"jobs\": " LIST(JOB) ", \"corpora\": " LIST(TEXT) ", \"dictionaries\": " LIST(
                         TEXT) ", \"probes\": " LIST(TEXT))},
    {.method = "POST",
     .path = "/api/jobs",
     .handle = fathom__handle_job_begin,
     .summary = "Begins a job; one runs at a time",
     .request = OBJECT("\"command\"",
                       "\"command\": {\"enum\": [\"train\", \"index\", \"eval\", \"probe train\", \"probe eval\", "
                       "\"watch\", \"doctor\"]}, "
                       "\"corpus\": " LIST(TEXT) ", \"dictionary\": " TEXT ", \"probe\": " TEXT ", \"output\": " TEXT
                                                 ", \"repeat\": {\"type\": \"boolean\"}, \"labelled\": {\"type\": "
                                                 "\"boolean\"}, \"development\": " TEXT
                                                 ", \"options\": {\"type\": \"object\"}"),
     .reply = JOB,
     .changes = true},
    {.method = "GET",
     .path = "/api/jobs/{job}",
     .handle = fathom__handle_job,
     .summary = "A job with the end of its log, and its result",
     .parameters = PATH_NUMBER("job"),
     .reply = JOB},
    {.method = "POST",
     .path = "/api/jobs/{job}/resume",
     .handle = fathom__handle_job_resume,
     .summary = "Lets a job that ended go on where it was, or begin again",
     .parameters = PATH_NUMBER("job"),
     .request = OBJECT("", ""),
     .reply = JOB,
     .changes = true},
    {.method = "DELETE",
     .path = "/api/jobs/{job}",
     .handle = fathom__handle_job_delete,
     .summary = "Asks a job that runs to stop, or forgets one that has ended; what it made stays",
     .parameters = PATH_NUMBER("job"),
     .reply = JOB,
     .changes = true},
};
const size_t fathom__n_routes = sizeof fathom__routes / sizeof fathom__routes[0];
_Static_assert(sizeof fathom__routes / sizeof fathom__routes[0] <= FATHOM__MOST_ROUTES, "routes that metrics count");

/* Whether a path is one of the pattern's. */
static bool matches(const char **argument, size_t *length, const char *pattern, const char *path) {
    *argument = NULL;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            *argument = path;
            *length = strcspn(path, "/");
            if (*length == 0) return false;
            path += *length;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

int fathom__route_methods(struct fathom__buffer *out, const char *path) {
    const char *argument = NULL;
    size_t length = 0;
    int status = FATHOM_OK;
    for (size_t i = 0; i < fathom__n_routes && !status; i++) {
        const char *method = fathom__routes[i].method;
        if (!matches(&argument, &length, fathom__routes[i].path, path)) continue;
        status = fathom__buffer_format(out, "%s%s%s", out->length ? ", " : "", method,
                                       strcmp(method, "GET") == 0 ? ", HEAD" : "");
    }
    return status;
}

const struct fathom__route *fathom__route_find(const char **argument, size_t *argument_length, bool *other_method,
                                               const char *method, const char *path) {
    *other_method = false;
    for (size_t i = 0; i < fathom__n_routes; i++) {
        if (!matches(argument, argument_length, fathom__routes[i].path, path)) continue;
        if (strcmp(fathom__routes[i].method, method) == 0) return &fathom__routes[i];
        *other_method = true;
    }
    *argument = NULL;
    return NULL;
}
