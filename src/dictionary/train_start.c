/* The dictionary that training begins from, where one is given. */
#include <base/error.h>
#include <base/file.h>
#include <base/hash.h>
#include <base/json.h>
#include <dictionary/train_internal.h>
#include <string.h>

static int hash_of(char out[33], const char *path) {
    struct fathom__mapping file;
    fathom__hash *hash = NULL;
    int status = fathom__file_map(&file, path);
    if (status) return status;
    status = fathom__hash_open(&hash);
    if (!status) {
        fathom__hash_add(hash, file.bytes, file.length);
        fathom__hash_text(out, hash);
    }
    fathom__hash_close(hash);
    fathom__file_unmap(&file);
    return status;
}

int fathom__run_read_start(struct fathom__learner *learner, const struct fathom__run *run) {
    const char *path = learner->wanted->start;
    fathom_dictionary *dictionary = NULL;
    if (!path) return 0;
    int status = fathom_dictionary_open(&dictionary, path);
    if (status) return status;
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    if (strcmp(info->model_identity, run->identity) != 0)
        status =
            fathom__fail(FATHOM_ERROR_MISMATCH, "%s: the dictionary is of the model %s (%s); %s (%s) is trained on",
                         path, info->model_name, info->model_identity, run->model_name, run->identity);
    if (!status) status = fathom__json_parse(&learner->start_training, info->training, strlen(info->training), path);
    fathom_dictionary_close(dictionary);
    return status ? status : hash_of(learner->start_hash, path);
}

int fathom__run_begin(struct fathom__learner *learner) {
    fathom_dictionary *dictionary = NULL;
    if (!learner->wanted->start) return 0;
    int status = fathom_dictionary_open(&dictionary, learner->wanted->start);
    if (!status) status = fathom_trainer_begin(learner->trainer, dictionary);
    fathom_dictionary_close(dictionary);
    return status;
}
