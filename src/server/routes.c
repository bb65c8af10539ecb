#include "server/routes.h"
#include "server/handlers.h"
#include <string.h>

#define TEXT "{\"type\": \"string\"}"
#define NUMBERS "{\"type\": \"array\", \"items\": {\"type\": \"integer\", \"minimum\": 0}}"
#define TEXT_OR_TOKENS                                                                                                 \
    "{\"oneOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, \"items\": {\"oneOf\": "              \
    "[{\"type\": \"string\"}, {\"type\": \"integer\", \"minimum\": 0}, {\"type\": \"array\", \"items\": "              \
    "{\"type\": \"integer\", \"minimum\": 0}}]}}]}"
#define NULL_TEXT "{\"type\": [\"string\", \"null\"]}"
#define NULL_NUMBER "{\"type\": [\"number\", \"null\"]}"
#define NULL_OBJECT "{\"type\": [\"object\", \"null\"]}"
#define TOP_LOGPROBS "{\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 20}"
#define CHAT_LOGPROBS                                                                                                  \
    "\"logprobs\": {\"type\": [\"boolean\", \"null\"]}, \"top_logprobs\": {\"type\": [\"integer\", "                   \
    "\"null\"], \"minimum\": 0, \"maximum\": 20}, "

#define GENERATION_MEMBERS                                                                                             \
    "\"model\": {\"type\": [\"string\", \"null\"]}, "                                                                  \
    "\"max_tokens\": {\"type\": [\"integer\", \"null\"], \"minimum\": 1}, "                                            \
    "\"max_completion_tokens\": {\"type\": [\"integer\", \"null\"], \"minimum\": 1}, "                                 \
    "\"temperature\": {\"type\": [\"number\", \"null\"], \"minimum\": 0, \"maximum\": 100}, "                          \
    "\"top_p\": {\"type\": [\"number\", \"null\"], \"minimum\": 0, \"maximum\": 1}, "                                  \
    "\"top_k\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 1048576}, "                           \
    "\"min_p\": {\"type\": [\"number\", \"null\"], \"minimum\": 0, \"maximum\": 1}, "                                  \
    "\"repeat_penalty\": {\"type\": [\"number\", \"null\"], \"minimum\": 0, \"maximum\": 100}, "                       \
    "\"frequency_penalty\": {\"type\": [\"number\", \"null\"], \"minimum\": -2, \"maximum\": 2}, "                     \
    "\"presence_penalty\": {\"type\": [\"number\", \"null\"], \"minimum\": -2, \"maximum\": 2}, "                      \
    "\"seed\": {\"type\": [\"integer\", \"null\"]}, "                                                                  \
    "\"n\": {\"type\": [\"integer\", \"null\"], \"minimum\": 1, \"maximum\": 16}, "                                    \
    "\"stop\": {\"oneOf\": [{\"type\": \"null\"}, {\"type\": \"string\", \"minLength\": 1}, {\"type\": "               \
    "\"array\", \"maxItems\": 16, \"items\": {\"type\": \"string\", \"minLength\": 1}}]}, "                            \
    "\"response_format\": {\"type\": [\"object\", \"null\"], \"required\": [\"type\"], \"properties\": {\"type\": "    \
    "{\"enum\": [\"text\", \"json_object\", \"json_schema\"]}, \"json_schema\": {\"type\": \"object\", \"required\": " \
    "[\"schema\"]}}}, "                                                                                                \
    "\"stream\": {\"type\": [\"boolean\", \"null\"]}, "                                                                \
    "\"stream_options\": {\"type\": [\"object\", \"null\"], \"properties\": {\"include_usage\": "                      \
    "{\"type\": \"boolean\"}}}, "                                                                                      \
    "\"steer\": {\"oneOf\": [{\"type\": \"array\", \"maxItems\": 64, \"items\": {\"type\": \"object\", "               \
    "\"required\": [\"feature\"], \"properties\": {\"feature\": {\"type\": \"integer\", \"minimum\": "                 \
    "0}, \"mode\": {\"enum\": [\"clamp\", \"add\", \"ablate\"]}, \"value\": {\"type\": \"number\"}, "                  \
    "\"strength\": {\"type\": \"number\"}, \"rows\": {\"enum\": [\"all\", \"prompt\", \"answer\"]}, "                  \
    "\"layers\": {\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 2, "                          \
    "\"maxItems\": 2}}}}, {\"type\": \"string\", \"minLength\": 1}, {\"type\": \"object\"}]}, "                        \
    "\"watch\": {\"type\": \"array\", \"maxItems\": 64, \"items\": {\"oneOf\": [{\"type\": \"integer\", "              \
    "\"minimum\": 0}, {\"type\": \"object\", \"required\": [\"feature\"], \"properties\": {\"feature\": "              \
    "{\"type\": \"integer\", \"minimum\": 0}, \"above\": {\"type\": \"number\"}}}]}}, "                                \
    "\"features\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 64}, "                                         \
    "\"watch_prompt\": {\"type\": \"boolean\"}"

#define OBJECT(required, properties)                                                                                   \
    "{\"type\": \"object\", \"required\": [" required "], \"properties\": {" properties "}}"
#define LIST(items) "{\"type\": \"array\", \"items\": " items "}"
#define USAGE                                                                                                          \
    OBJECT("\"prompt_tokens\", \"total_tokens\"",                                                                      \
           "\"prompt_tokens\": {\"type\": \"integer\"}, \"completion_tokens\": {\"type\": \"integer\"}, "              \
           "\"total_tokens\": {\"type\": \"integer\"}")
#define COMPLETION(choice)                                                                                             \
    OBJECT("\"id\", \"object\", \"created\", \"model\", \"choices\", \"usage\"",                                       \
           "\"id\": " TEXT ", \"object\": " TEXT ", \"created\": {\"type\": \"integer\"}, \"model\": " TEXT            \
           ", \"choices\": " LIST(choice) ", \"usage\": " USAGE)
#define MODEL OBJECT("\"id\", \"object\", \"created\", \"owned_by\"", "\"id\": " TEXT ", \"object\": " TEXT)
#define TOKEN OBJECT("\"id\", \"token\"", "\"id\": {\"type\": \"integer\"}, \"token\": " TEXT)
#define FEATURE                                                                                                        \
    OBJECT("\"feature\"", "\"feature\": {\"type\": \"integer\"}, \"label\": " NULL_TEXT                                \
                          ", \"label_score\": " NULL_NUMBER ", \"max_activation\": " NULL_NUMBER                       \
                          ", \"density\": " NULL_NUMBER ", \"search_score\": {\"type\": \"number\"}")
#define PART OBJECT("\"type\", \"text\"", "\"type\": {\"const\": \"text\"}, \"text\": " TEXT)
#define MESSAGE                                                                                                        \
    OBJECT("\"role\", \"content\"",                                                                                    \
           "\"role\": " TEXT ", \"content\": {\"oneOf\": [" TEXT ", {\"type\": \"array\", \"items\": " PART "}]}")
#define ANSWER OBJECT("\"role\", \"content\"", "\"role\": " TEXT ", \"content\": " TEXT)
#define FINISH "\"finish_reason\": {\"enum\": [\"stop\", \"length\"]}"
#define CHAT_CHOICE                                                                                                    \
    OBJECT("\"index\", \"message\", \"finish_reason\"",                                                                \
           "\"index\": {\"type\": \"integer\"}, \"message\": " ANSWER ", " FINISH)
#define TEXT_CHOICE                                                                                                    \
    OBJECT("\"index\", \"text\", \"finish_reason\"", "\"index\": {\"type\": \"integer\"}, \"text\": " TEXT ","         \
                                                     " " FINISH)
#define EMBEDDING                                                                                                      \
    OBJECT("\"index\", \"embedding\"",                                                                                 \
           "\"index\": {\"type\": \"integer\"}, \"embedding\": {\"type\": [\"array\", \"string\"]}")
#define HOOK OBJECT("\"name\", \"alias\"", "\"name\": " TEXT ", \"alias\": " TEXT)

#define PATH_NUMBER(name)                                                                                              \
    "[{\"name\": \"" name                                                                                              \
    "\", \"in\": \"path\", \"required\": true, \"schema\": {\"type\": \"integer\", \"minimum\": 0}}]"
#define MEASURE                                                                                                        \
    OBJECT(                                                                                                            \
        "\"effect\", \"control\", \"holds\"",                                                                          \
        "\"effect\": {\"type\": \"number\"}, \"control\": {\"type\": \"number\"}, "                                    \
        "\"control_deviation\": {\"type\": \"number\"}, \"controls\": {\"type\": \"integer\"}, \"holds\": {\"type\": " \
        "\"boolean\"}")
#define EXPLAINED_TOKEN OBJECT("\"token\", \"erased\"", "\"token\": " TEXT ", \"erased\": " MEASURE)
#define EXPLAINED_FEATURE                                                                                              \
    OBJECT("\"feature\", \"ablated\"", "\"feature\": {\"type\": \"integer\"}, \"ablated\": " MEASURE)
#define PROGRESS OBJECT("\"line\", \"share\"", "\"line\": " TEXT ", \"share\": " NULL_NUMBER)
#define RUN                                                                                                            \
    OBJECT("\"run\", \"state\", \"started\", \"command\", \"dictionaries\"",                                           \
           "\"run\": {\"type\": \"integer\"}, \"state\": " TEXT ", \"started\": " TEXT ", \"command\": " TEXT          \
           ", \"dictionaries\": {\"type\": \"array\"}, \"points\": {\"type\": \"array\"}")
#define JOB                                                                                                            \
    OBJECT("\"job\", \"command\", \"state\", \"began\"",                                                               \
           "\"job\": {\"type\": \"integer\"}, \"command\": " TEXT                                                      \
           ", \"arguments\": {\"type\": \"array\"}, \"state\": "                                                       \
           "{\"enum\": [\"running\", \"done\", \"stopped\", \"failed\"]}, \"began\": {\"type\": \"integer\"}, "        \
           "\"ended\": {\"type\": \"integer\"}, \"exit\": {\"type\": \"integer\"}, \"output\": " TEXT                  \
           ", \"progress\": " PROGRESS ", \"message\": " TEXT ", \"log\": " TEXT)

#define PATH_FEATURE                                                                                                   \
    "{\"name\": \"feature\", \"in\": \"path\", \"required\": true, \"schema\": {\"type\": \"integer\", "               \
    "\"minimum\": 0}}"
#define QUERY(name, most)                                                                                              \
    "{\"name\": \"" name                                                                                               \
    "\", \"in\": \"query\", \"schema\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": " #most "}}"

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
                                       "}, " CHAT_LOGPROBS GENERATION_MEMBERS),
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
    {.method = "GET",
     .path = "/api/map",
     .handle = fathom__handle_map,
     .summary = "Every feature's place in two dimensions: principal components of the decoder directions",
     .reply =
         OBJECT("\"method\", \"features\", \"explained\", \"even\", \"x\", \"y\"",
                "\"method\": {\"const\": \"pca\"}, \"features\": {\"type\": \"integer\"}, "
                "\"explained\": " LIST(
                    "{\"type\": \"number\"}") ", \"even\": {\"type\": \"number\"}, "
                                              "\"x\": " LIST("{\"type\": \"number\"}") ", "
                                                                                       "\"y\": " LIST(
                                                                                           "{\"type\": \"number\"}"))},
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
     .summary = "Jobs of training, indexing and evaluation, the latest first, and the files that they can be given",
     .reply = OBJECT("\"jobs\", \"corpora\", \"dictionaries\"",
                     "\"jobs\": " LIST(JOB) ", \"corpora\": " LIST(TEXT) ", \"dictionaries\": " LIST(TEXT))},
    {.method = "POST",
     .path = "/api/jobs",
     .handle = fathom__handle_job_begin,
     .summary = "Begins a job; one runs at a time",
     .request =
         OBJECT("\"command\"", "\"command\": {\"enum\": [\"train\", \"index\", \"eval\"]}, \"corpus\": " LIST(
                                   TEXT) ", \"dictionary\": " TEXT ", \"output\": " TEXT
                                         ", \"repeat\": {\"type\": \"boolean\"}, \"options\": {\"type\": \"object\"}"),
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
