#include "cli.h"
#include <base/buffer.h>
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <fathom/write.h>
#include <stdlib.h>
#include <string.h>

enum { TOPICS_LIMIT = 64 << 20 };

static int run(struct cli_arguments *arguments);

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"topics", 0, CLI_FILE, "FILE", "topics, one a line; empty lines and lines that begin with # are left out", false,
     true},
    {"tokens", 0, CLI_INTEGER, "N", "tokens of the kept documents in all (100000)", false, false},
    {"length", 0, CLI_INTEGER, "N", "most tokens of a document (256)", false, false},
    {"frame", 0, CLI_CHOICE, "auto|chat|title",
     "how topics are put: as instructions in the chat template, or as titles (auto)", false, false},
    {"temperature", 0, CLI_NUMBER, "T", "sampling temperature (0.8)", false, false},
    {"top-p", 0, CLI_NUMBER, "P", "sample among the likeliest tokens that together hold P (0.95)", false, false},
    {"repetition", 0, CLI_NUMBER, "PART",
     "drop documents in which more than this part of the runs of four tokens came before (0.2)", false, false},
    {"parallel", 0, CLI_INTEGER, "N", "documents written at once (32)", false, false},
    {"output", 'o', CLI_OUTPUT, "OUT.jsonl", "the corpus; OUT.jsonl.part while it grows", false, true},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_corpus_write = {
    .name = "corpus write",
    .summary = "let the model write a corpus from a list of topics",
    .operands = "",
    .description = "Writes documents about the topics in turn, in changing forms, as JSONL with \"text\", \"topic\" "
                   "and \"seed\". Documents that "
                   "loop, are too short or were written before are dropped and counted.\n\nAn interrupted run leaves "
                   "OUT.jsonl.part; the "
                   "same command continues it.",
    .examples = "fathom corpus write -m smollm2 --topics topics.txt --tokens 250000 --seed 1 -o own.jsonl # a quarter "
                "of a million tokens",
    .options = options,
    .run = run,
};

/* Splits the file in place; *topics borrows from it. */
static int split_topics(const char ***topics, size_t *n, char *text, const char *path) {
    size_t capacity = 0, line_number = 0;
    *topics = NULL;
    *n = 0;
    for (char *save = NULL, *line = text; line; line = save) {
        save = strchr(line, '\n');
        if (save) *save++ = '\0';
        line_number++;
        size_t length = strcspn(line, "\r");
        line[length] = '\0';
        if (length == 0 || line[0] == '#') continue;
        if (!fathom__utf8_valid(NULL, line, length))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %zu is not UTF-8", path, line_number);
        const int status = fathom__grow(topics, &capacity, *n + 1, sizeof **topics);
        if (status) return status;
        (*topics)[(*n)++] = line;
    }
    return *n > 0 ? FATHOM_OK : fathom__fail(FATHOM_ERROR_FORMAT, "%s: no topics; one a line is expected", path);
}

static enum fathom_write_frame frame_of(const char *name) {
    if (strcmp(name, "chat") == 0) return FATHOM_WRITE_CHAT;
    return strcmp(name, "title") == 0 ? FATHOM_WRITE_TITLE : FATHOM_WRITE_AUTO;
}

static bool read_options(struct fathom_write_options *out, const struct cli_arguments *arguments) {
    int64_t tokens, length, parallel, threads, seed;
    double temperature, top_p, repetition;
    if (!cli_integer(&tokens, arguments, "tokens", 1, INT64_MAX, 100000) ||
        !cli_integer(&length, arguments, "length", 32, 1 << 16, 256) ||
        !cli_integer(&parallel, arguments, "parallel", 1, 256, 32) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX / 2, 1) ||
        !cli_number(&temperature, arguments, "temperature", 0.01, 10, 0.8) ||
        !cli_number(&top_p, arguments, "top-p", 0.01, 1, 0.95) ||
        !cli_number(&repetition, arguments, "repetition", 0.001, 1, 0.2))
        return false;
    *out = (struct fathom_write_options){.tokens = (uint64_t)tokens,
                                         .document_tokens = (uint32_t)length,
                                         .n_sequences = (uint32_t)parallel,
                                         .n_threads = (uint32_t)threads,
                                         .frame = frame_of(cli_text(arguments, "frame", "auto")),
                                         .temperature = (float)temperature,
                                         .top_p = (float)top_p,
                                         .most_repetition = (float)repetition,
                                         .seed = (uint64_t)seed,
                                         .progress = cli_progress};
    return true;
}

static int print_counts(const struct cli_arguments *arguments, const struct fathom_write_counts *c, const char *path) {
    if (cli_json(arguments)) {
        return cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "path", path, "documents",
                                        (json_int_t)c->documents, "tokens", (json_int_t)c->tokens, "continued",
                                        (json_int_t)c->continued, "dropped", "repetitive", (json_int_t)c->repetitive,
                                        "short", (json_int_t)c->short_ones, "duplicates", (json_int_t)c->duplicates,
                                        "broken", (json_int_t)c->broken));
    }
    printf("%s: %llu documents, %llu tokens\n", path, (unsigned long long)c->documents, (unsigned long long)c->tokens);
    printf("dropped: %llu that repeat themselves, %llu too short, %llu duplicates, %llu not UTF-8\n",
           (unsigned long long)c->repetitive, (unsigned long long)c->short_ones, (unsigned long long)c->duplicates,
           (unsigned long long)c->broken);
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct fathom_write_options write;
    struct fathom_write_counts counts;
    const char *topics_path = cli_text(arguments, "topics", NULL), *path = cli_text(arguments, "output", NULL);
    const char **topics = NULL;
    char *text = NULL;
    size_t length;
    if (!read_options(&write, arguments)) return CLI_USAGE;
    int code = CLI_OK;
    int status = fathom__file_read(&text, &length, topics_path, TOPICS_LIMIT);
    if (!status) status = split_topics(&topics, &write.n_topics, text, topics_path);
    write.topics = topics;
    fathom_model *model = status ? NULL : cli_open_model(&code, arguments);
    if (model) status = fathom_corpus_write(&counts, path, model, &write);
    if (status) {
        code = cli_fail(arguments, status);
    } else if (model) {
        code = print_counts(arguments, &counts, path);
    }
    fathom_model_close(model);
    fathom_free(topics);
    fathom_free(text);
    return code;
}
