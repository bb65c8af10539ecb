/* A concept to steer towards, out of a JSON file: "words", "texts" (JSONL beside it), "questions", "held_out",
 * "answers": a list of {"question": …, "answer": …} that speak of the concept. */
#ifndef FATHOM_CLI_CONCEPT_FILE_H
#define FATHOM_CLI_CONCEPT_FILE_H

#include <fathom/steer.h>
#include <jansson.h>

struct concept_file {
    json_t *root;
    const char **words, **questions, **held_out; /* strings borrowed from root */
    size_t n_words, n_questions, n_held_out;
    struct fathom_steer_pair *answers; /* strings borrowed from root */
    size_t n_answers;
    struct fathom_texts texts; /* labelled; empty where the file names none */
};

/* A fathom_status; errors name the file and the key. Only "words" is required. */
int concept_file_open(struct concept_file *out, const char *path);
void concept_file_close(struct concept_file *file);

/* Splits "Golden Gate,bridge" at its commas into the words of a concept without a file. */
int concept_words(struct concept_file *out, const char *list);

#endif
