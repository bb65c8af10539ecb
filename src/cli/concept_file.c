#include "concept_file.h"
#include "labelled.h"
#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <string.h>

static int take_strings(const char ***out, size_t *n, const json_t *root, const char *key, bool required,
                        const char *path) {
    const json_t *list = json_object_get(root, key);
    if (list == NULL && !required) {
        return FATHOM_OK;
    }
    if (!json_is_array(list) || (required && json_array_size(list) == 0)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\": an array of strings is expected", path, key);
    }
    int status = fathom__alloc(out, json_array_size(list), sizeof **out);
    for (size_t i = 0; i < json_array_size(list) && status == FATHOM_OK; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL || *text == '\0') {
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\", item %zu: a string is expected", path, key, i + 1);
        }
        (*out)[(*n)++] = text;
    }
    return status;
}

static int take_answers(struct concept_file *file, const char *path) {
    const json_t *list = json_object_get(file->root, "answers");
    if (list == NULL) {
        return FATHOM_OK;
    }
    if (!json_is_array(list)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"answers\": an array of objects is expected", path);
    }
    int status = fathom__alloc(&file->answers, json_array_size(list), sizeof *file->answers);
    for (size_t i = 0; i < json_array_size(list) && status == FATHOM_OK; i++) {
        const json_t *item = json_array_get(list, i);
        const char *question = json_string_value(json_object_get(item, "question"));
        const char *answer = json_string_value(json_object_get(item, "answer"));
        if (question == NULL || answer == NULL || *question == '\0' || *answer == '\0') {
            status = fathom__fail(FATHOM_ERROR_FORMAT,
                                  "%s: \"answers\", item %zu: an object with the strings \"question\" and "
                                  "\"answer\" is expected",
                                  path, i + 1);
        }
        file->answers[file->n_answers++] = (struct fathom_steer_pair){question, answer};
    }
    return status;
}

/* The texts' file lies beside the concept's. */
static int load_texts(struct concept_file *file, const char *path) {
    const char *name = NULL;
    const char *slash = strrchr(path, '/');
    char *whole = NULL;
    int status = fathom__json_get_string(&name, file->root, "texts", false, path);
    if (status != FATHOM_OK || name == NULL) {
        return status;
    }
    status = *name == '/' || slash == NULL ? fathom__copy_string(&whole, name)
                                           : fathom__format(&whole, "%.*s/%s", (int)(slash - path), path, name);
    if (status == FATHOM_OK) {
        status = labelled_append(&file->texts, whole);
    }
    fathom_free(whole);
    return status;
}

int concept_file_open(struct concept_file *out, const char *path) {
    struct concept_file file = {0};
    int status = fathom__json_load(&file.root, path);
    if (status == FATHOM_OK && !json_is_object(file.root)) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: an object is expected", path);
    }
    if (status == FATHOM_OK) {
        status = take_strings(&file.words, &file.n_words, file.root, "words", true, path);
    }
    if (status == FATHOM_OK) {
        status = take_strings(&file.questions, &file.n_questions, file.root, "questions", false, path);
    }
    if (status == FATHOM_OK) {
        status = take_strings(&file.held_out, &file.n_held_out, file.root, "held_out", false, path);
    }
    if (status == FATHOM_OK) {
        status = take_answers(&file, path);
    }
    if (status == FATHOM_OK) {
        status = load_texts(&file, path);
    }
    if (status != FATHOM_OK) {
        concept_file_close(&file);
        return status;
    }
    *out = file;
    return FATHOM_OK;
}

void concept_file_close(struct concept_file *file) {
    fathom_free(file->words);
    fathom_free(file->questions);
    fathom_free(file->held_out);
    fathom_free(file->answers);
    fathom_texts_free(&file->texts);
    json_decref(file->root);
    *file = (struct concept_file){0};
}

int concept_words(struct concept_file *out, const char *list) {
    struct concept_file file = {.root = json_array()};
    size_t capacity = 0;
    int status = FATHOM_OK;
    for (const char *rest = list; status == FATHOM_OK;) {
        const char *comma = strchr(rest, ',');
        size_t length = comma != NULL ? (size_t)(comma - rest) : strlen(rest);
        json_t *word = json_stringn(rest, length);
        if (word == NULL || length == 0) {
            json_decref(word);
            status = fathom__fail(FATHOM_ERROR_ARGUMENT,
                                  "--concept: words with commas between them are expected, not \"%s\"", list);
            break;
        }
        json_array_append_new(file.root, word);
        status = fathom__grow(&file.words, &capacity, file.n_words + 1, sizeof *file.words);
        if (status == FATHOM_OK) {
            file.words[file.n_words++] = json_string_value(word);
        }
        if (comma == NULL) {
            break;
        }
        rest = comma + 1;
    }
    if (status != FATHOM_OK) {
        concept_file_close(&file);
        return status;
    }
    *out = file;
    return FATHOM_OK;
}
