/* JSON Schemas of requests and replies, as texts that the table of routes (routes.c) is made of. */
#ifndef FATHOM_SERVER_ROUTE_SCHEMAS_H
#define FATHOM_SERVER_ROUTE_SCHEMAS_H

#define TEXT "{\"type\": \"string\"}"
#define NUMBERS "{\"type\": \"array\", \"items\": {\"type\": \"integer\", \"minimum\": 0}}"
#define TEXT_OR_TOKENS                                                                                                 \
    "{\"oneOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, \"items\": {\"oneOf\": "              \
    "[{\"type\": \"string\"}, {\"type\": \"integer\", \"minimum\": 0}, {\"type\": \"array\", \"items\": "              \
    "{\"type\": \"integer\", \"minimum\": 0}}]}}]}"
#define NUMBER "{\"type\": \"number\"}"
#define SHARE "{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}"
#define NULL_TEXT "{\"type\": [\"string\", \"null\"]}"
#define NULL_NUMBER "{\"type\": [\"number\", \"null\"]}"
#define NULL_OBJECT "{\"type\": [\"object\", \"null\"]}"
#define TOP_LOGPROBS "{\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 20}"
#define CHAT_LOGPROBS "\"logprobs\": {\"type\": [\"boolean\", \"null\"]}, \"top_logprobs\": " TOP_LOGPROBS ", "

#define STEER                                                                                                          \
    "{\"oneOf\": [{\"type\": \"array\", \"maxItems\": 64, \"items\": {\"type\": \"object\", "                          \
    "\"required\": [\"feature\"], \"properties\": {\"feature\": {\"type\": \"integer\", \"minimum\": "                 \
    "0}, \"mode\": {\"enum\": [\"clamp\", \"add\", \"ablate\"]}, \"value\": {\"type\": \"number\"}, "                  \
    "\"strength\": {\"type\": \"number\"}, \"rows\": {\"enum\": [\"all\", \"prompt\", \"answer\"]}, "                  \
    "\"layers\": {\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 2, "                          \
    "\"maxItems\": 2}}}}, {\"type\": \"string\", \"minLength\": 1}, {\"type\": \"object\"}]}"
#define WATCHED(kind, type)                                                                                            \
    "{\"type\": \"object\", \"required\": [\"" kind "\"], \"properties\": {\"" kind "\": " type                        \
    ", \"above\": {\"type\": \"number\"}, \"window\": {\"oneOf\": [{\"type\": \"null\"}, {\"const\": "                 \
    "\"document\"}, {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 4096}]}}}"
#define WATCHED_FEATURE WATCHED("feature", "{\"type\": \"integer\", \"minimum\": 0}")
#define WATCHED_PROBE WATCHED("probe", "{\"type\": \"string\", \"minLength\": 1}")
#define WATCHES                                                                                                        \
    "{\"type\": \"array\", \"maxItems\": 64, \"items\": {\"oneOf\": [{\"type\": \"integer\", \"minimum\": "            \
    "0}, " WATCHED_FEATURE ", " WATCHED_PROBE "]}}"
#define TEXTS "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 64, \"items\": {\"type\": \"string\"}}"

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
    "\"steer\": " STEER ", "                                                                                           \
    "\"watch\": " WATCHES ", "                                                                                         \
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
#define CALL                                                                                                           \
    OBJECT("\"id\", \"type\", \"function\"",                                                                           \
           "\"id\": " TEXT ", \"type\": {\"const\": \"function\"}, \"function\": " OBJECT(                             \
               "\"name\", \"arguments\"", "\"name\": " TEXT ", \"arguments\": " TEXT))
#define SAYING                                                                                                         \
    OBJECT("\"role\", \"content\"",                                                                                    \
           "\"role\": " TEXT ", \"content\": {\"oneOf\": [" TEXT ", {\"type\": \"array\", \"items\": " PART "}]}")
#define CALLING                                                                                                        \
    OBJECT("\"role\", \"tool_calls\"",                                                                                 \
           "\"role\": " TEXT ", \"content\": " NULL_TEXT                                                               \
           ", \"tool_calls\": {\"type\": \"array\", \"minItems\": 1, \"items\": " CALL "}")
#define MESSAGE "{\"anyOf\": [" SAYING ", " CALLING "]}"
#define TOOLS                                                                                                          \
    "\"tools\": {\"type\": [\"array\", \"null\"], \"maxItems\": 128, \"items\": " OBJECT(                              \
        "\"type\", \"function\"",                                                                                      \
        "\"type\": {\"const\": \"function\"}, \"function\": " OBJECT(                                                  \
            "\"name\"",                                                                                                \
            "\"name\": {\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_-]{1,64}$\"}, "                               \
            "\"description\": " NULL_TEXT                                                                              \
            ", \"parameters\": " NULL_OBJECT)) "}, "                                                                   \
                                               "\"tool_choice\": {\"oneOf\": [{\"enum\": [null, \"none\", \"auto\", "  \
                                               "\"required\"]}, " OBJECT(                                              \
                                                   "\"type\", \"function\"",                                           \
                                                   "\"type\": {\"const\": \"function\"}, \"function\": " OBJECT(       \
                                                       "\"name\"",                                                     \
                                                       "\"name\": " TEXT)) "]}, "                                      \
                                                                           "\"parallel_tool_calls\": {\"type\": "      \
                                                                           "[\"boolean\", \"null\"]}, "
#define ANSWER                                                                                                         \
    OBJECT("\"role\", \"content\"", "\"role\": " TEXT ", \"content\": " NULL_TEXT ", \"tool_calls\": " LIST(CALL))
#define FINISH "\"finish_reason\": {\"enum\": [\"stop\", \"length\", \"tool_calls\"]}"
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
#define WATCHED_TEXT                                                                                                   \
    OBJECT("\"tokens\", \"levels\", \"alerts\", \"alert\"",                                                            \
           "\"tokens\": {\"type\": \"array\"}, \"levels\": {\"type\": \"array\", \"items\": " NULL_NUMBER              \
           "}, \"alerts\": {\"type\": \"array\", \"items\": {\"type\": \"boolean\"}}, \"alert\": {\"type\": "          \
           "\"boolean\"}")
#define PROBE                                                                                                          \
    OBJECT("\"probe\"", "\"probe\": " TEXT ", \"hook\": " TEXT ", \"threshold\": " NULL_NUMBER                         \
                        ", \"cross_validated_auroc\": " NULL_NUMBER ", \"trouble\": " TEXT)
#define MONITOR OBJECT("\"above\", \"window\"", "\"above\": " NUMBER)
#define PROBE_SCORE                                                                                                    \
    OBJECT("\"score\", \"alert\"",                                                                                     \
           "\"score\": " NULL_NUMBER ", \"probability\": " NULL_NUMBER ", \"alert\": {\"type\": \"boolean\"}")
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

#endif
