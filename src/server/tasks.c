#include "server/tasks.h"
#include "base/condition.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/task_process.h"
#include "server/task_record.h"
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fathom__tasks {
    char *program, *folder, *model, *dictionary;
    struct fathom__task_place place;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t waiter;
    bool waits;   /* there is a waiter to join */
    bool running; /* its process has not ended */
    pid_t process;
    int64_t number; /* of the task that runs or ran last */
    int64_t last;   /* the highest number given */
};

/* Numbers of the folders in jobs/, the highest first. New. */
static int read_numbers(int64_t **out, size_t *n, const fathom__tasks *tasks) {
    char *path = NULL;
    size_t capacity = 0;
    int status = fathom__path_join(&path, tasks->folder, FATHOM__TASK_FOLDER);
    DIR *folder = status ? NULL : opendir(path);
    *n = 0;
    for (struct dirent *entry; folder && !status && (entry = readdir(folder)) != NULL;) {
        const size_t length = strlen(entry->d_name);
        if (length > 9 || strspn(entry->d_name, "0123456789") != length) continue;
        if ((status = fathom__grow(out, &capacity, *n + 1, sizeof **out))) break;
        const int64_t number = strtoll(entry->d_name, NULL, 10);
        size_t at = (*n)++;
        for (; at > 0 && (*out)[at - 1] < number; at--)
            (*out)[at] = (*out)[at - 1];
        (*out)[at] = number;
    }
    if (folder) closedir(folder);
    fathom_free(path);
    return status;
}

/* What a server that ended without a word left as running is stopped. */
static int settle_old(fathom__tasks *tasks) {
    int64_t *numbers = NULL;
    size_t n = 0;
    int status = read_numbers(&numbers, &n, tasks);
    for (size_t i = 0; i < n && !status; i++) {
        json_t *record = NULL;
        if (fathom__task_record_read(&record, tasks->folder, numbers[i])) continue; /* someone else's folder */
        if (strcmp(fathom__task_state(record), FATHOM__TASK_RUNNING) == 0) {
            json_object_set_new(record, "state", json_string(FATHOM__TASK_STOPPED));
            status = fathom__task_record_write(record, tasks->folder, numbers[i]);
        }
        json_decref(record);
    }
    if (n > 0) tasks->last = numbers[0];
    fathom_free(numbers);
    return status;
}

int fathom__tasks_open(fathom__tasks **out, const char *program, const struct fathom__task_place *place) {
    fathom__tasks *tasks = NULL;
    int status = fathom__alloc(&tasks, 1, sizeof *tasks);
    if (status) return status;
    pthread_mutex_init(&tasks->lock, NULL);
    status = fathom__condition_open(&tasks->ended);
    if (!status && program) status = fathom__copy_string(&tasks->program, program);
    if (!status) status = fathom__copy_string(&tasks->folder, place->folder);
    if (!status) status = fathom__copy_string(&tasks->model, place->model);
    if (!status && place->dictionary) status = fathom__copy_string(&tasks->dictionary, place->dictionary);
    tasks->place = (struct fathom__task_place){tasks->folder, tasks->model, tasks->dictionary};
    if (!status) status = settle_old(tasks);
    if (status) {
        fathom__tasks_close(tasks, 0);
        return status;
    }
    *out = tasks;
    return FATHOM_OK;
}

void fathom__tasks_close(fathom__tasks *tasks, double seconds) {
    if (!tasks) return;
    const double until = fathom__seconds() + seconds;
    pthread_mutex_lock(&tasks->lock);
    if (tasks->running) (void)kill(tasks->process, SIGTERM);
    while (tasks->running && fathom__condition_wait(&tasks->ended, &tasks->lock, until)) {
    }
    if (tasks->running) (void)kill(tasks->process, SIGKILL);
    pthread_mutex_unlock(&tasks->lock);
    if (tasks->waits) pthread_join(tasks->waiter, NULL);
    pthread_cond_destroy(&tasks->ended);
    pthread_mutex_destroy(&tasks->lock);
    fathom_free(tasks->program);
    fathom_free(tasks->folder);
    fathom_free(tasks->model);
    fathom_free(tasks->dictionary);
    fathom_free(tasks);
}

/* Waits for the process, and writes down what became of it. */
static void *wait_for(void *payload) {
    fathom__tasks *tasks = payload;
    json_t *record = NULL;
    const struct fathom__process_end end = fathom__process_wait(tasks->process);
    pthread_mutex_lock(&tasks->lock);
    if (fathom__task_record_read(&record, tasks->folder, tasks->number) == FATHOM_OK) {
        fathom__task_record_end(record, &end);
        (void)fathom__task_record_write(record, tasks->folder, tasks->number);
        json_decref(record);
    }
    fathom__process_forget(tasks->process); /* from here on the number may be another's */
    tasks->running = false;
    pthread_cond_broadcast(&tasks->ended);
    pthread_mutex_unlock(&tasks->lock);
    return NULL;
}

/* With the lock: starts the process of a record, and whom waits for it. */
static int start(fathom__tasks *tasks, json_t *record, int64_t number) {
    char *folder = NULL;
    int status = fathom__task_folder(&folder, tasks->folder, number);
    if (!status) status = fathom__make_folders(folder);
    json_object_set_new(record, "state", json_string(FATHOM__TASK_RUNNING));
    json_object_set_new(record, "began", json_integer((json_int_t)time(NULL)));
    json_object_del(record, "ended");
    json_object_del(record, "exit");
    if (!status) status = fathom__task_record_write(record, tasks->folder, number);
    if (!status)
        status = fathom__process_start(&tasks->process, tasks->program, json_object_get(record, "arguments"), folder);
    fathom_free(folder);
    if (status) return status;
    if (tasks->waits) pthread_join(tasks->waiter, NULL); /* the one before: its process has ended */
    tasks->number = number;
    tasks->running = true;
    tasks->waits = pthread_create(&tasks->waiter, NULL, wait_for, tasks) == 0;
    if (tasks->waits) return FATHOM_OK;
    (void)kill(tasks->process, SIGKILL);
    (void)fathom__process_wait(tasks->process);
    fathom__process_forget(tasks->process);
    tasks->running = false;
    return fathom__fail(FATHOM_ERROR_MEMORY, "the thread that waits for the work cannot be started");
}

/* With the lock. */
static int check_free(const fathom__tasks *tasks) {
    if (!tasks->program)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "this server does not know the program to do the work with");
    return tasks->running
               ? fathom__fail(FATHOM_ERROR_LIMIT, "job %lld runs; one runs at a time", (long long)tasks->number)
               : FATHOM_OK;
}

int fathom__tasks_begin(json_t **out, fathom__tasks *tasks, const json_t *request) {
    json_t *arguments = NULL, *record = NULL;
    pthread_mutex_lock(&tasks->lock);
    int status = check_free(tasks);
    if (!status) status = fathom__task_arguments(&arguments, request, &tasks->place);
    if (!status && !(record = json_pack("{s:I, s:O, s:O}", "job", (json_int_t)tasks->last + 1, "command",
                                        json_object_get(request, "command"), "arguments", arguments)))
        status = fathom__fail_memory(1);
    const char *made = status ? NULL : fathom__task_makes(json_string_value(json_object_get(request, "command")));
    if (made) {
        json_object_set(record, "output", json_object_get(request, "output"));
        status = fathom__task_make_folder(tasks->folder, made);
    }
    if (!status) status = start(tasks, record, tasks->last + 1);
    if (!status) {
        tasks->last++;
        *out = json_incref(record);
    }
    pthread_mutex_unlock(&tasks->lock);
    json_decref(arguments);
    json_decref(record);
    return status;
}

int fathom__tasks_resume(json_t **out, fathom__tasks *tasks, int64_t number) {
    json_t *record = NULL;
    pthread_mutex_lock(&tasks->lock);
    int status = check_free(tasks);
    if (!status) status = fathom__task_record_read(&record, tasks->folder, number);
    if (!status)
        status = fathom__task_resume_arguments(json_object_get(record, "arguments"),
                                               json_string_value(json_object_get(record, "command")));
    if (!status) status = start(tasks, record, number);
    if (!status) *out = json_incref(record);
    pthread_mutex_unlock(&tasks->lock);
    json_decref(record);
    return status;
}

/* With the lock: a record whose process is not there is one of a task that could not be started, or whose end could not be
 * written down. */
static void correct(json_t *record, const fathom__tasks *tasks, int64_t number) {
    const bool running = tasks->running && tasks->number == number;
    if (!running && strcmp(fathom__task_state(record), FATHOM__TASK_RUNNING) == 0)
        json_object_set_new(record, "state", json_string(FATHOM__TASK_STOPPED));
}

int fathom__tasks_list(json_t **out, fathom__tasks *tasks) {
    int64_t *numbers = NULL;
    size_t n = 0;
    json_t *list = json_array();
    int status = read_numbers(&numbers, &n, tasks);
    pthread_mutex_lock(&tasks->lock);
    for (size_t i = 0; i < n && !status; i++) {
        json_t *record = NULL;
        if (fathom__task_record_read(&record, tasks->folder, numbers[i])) continue;
        correct(record, tasks, numbers[i]);
        fathom__task_record_progress(record, tasks->folder, numbers[i], false);
        json_array_append_new(list, record);
    }
    pthread_mutex_unlock(&tasks->lock);
    fathom_free(numbers);
    *out = json_pack("{s:o, s:o, s:o, s:o}", "jobs", list, "corpora",
                     fathom__task_files(&tasks->place, FATHOM__TASK_CORPORA), "dictionaries",
                     fathom__task_files(&tasks->place, FATHOM__TASK_DICTIONARIES), "probes",
                     fathom__task_files(&tasks->place, FATHOM__TASK_PROBES));
    return status ? status : *out ? FATHOM_OK : fathom__fail_memory(1);
}

int fathom__tasks_read(json_t **out, fathom__tasks *tasks, int64_t number) {
    pthread_mutex_lock(&tasks->lock);
    const int status = fathom__task_record_read(out, tasks->folder, number);
    if (!status) correct(*out, tasks, number);
    if (!status) fathom__task_record_progress(*out, tasks->folder, number, true);
    pthread_mutex_unlock(&tasks->lock);
    return status;
}

const struct fathom__task_place *fathom__tasks_place(const fathom__tasks *tasks) {
    return &tasks->place;
}

int fathom__tasks_delete(json_t **out, fathom__tasks *tasks, int64_t number) {
    pthread_mutex_lock(&tasks->lock);
    int status = fathom__task_record_read(out, tasks->folder, number);
    if (!status && tasks->running && tasks->number == number)
        (void)kill(tasks->process, SIGTERM);
    else if (!status)
        status = fathom__task_record_remove(tasks->folder, number);
    pthread_mutex_unlock(&tasks->lock);
    return status;
}
