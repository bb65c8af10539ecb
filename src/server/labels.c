#include "server/labels.h"
#include "base/condition.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include <fathom/labels.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { PATIENCE_SECONDS = 5 };
#define ORIGIN "user"

/* A feature with a label that was set while the server ran. Readers may hold the one that came before. */
struct relabelled {
    struct fathom_feature feature;
    char *label, *origin;
    struct relabelled *before; /* in the list of all */
};

struct fathom__labels {
    fathom_catalogue *given, *current; /* current: what is read, the given one or `own` */
    fathom_catalogue *own;             /* the user's copy, once there is one */
    const fathom_dictionary *dictionary;
    bool named;
    pthread_mutex_t lock;
    pthread_cond_t free;
    bool taken;
    struct relabelled *_Atomic *latest; /* [n_features], NULL: as the catalogue was opened */
    struct relabelled *all;
};

int fathom__labels_open(fathom__labels **out, fathom_catalogue *catalogue, const fathom_dictionary *dictionary,
                        bool named) {
    fathom__labels *labels = NULL;
    int status = fathom__alloc(&labels, 1, sizeof *labels);
    if (status) return status;
    *labels =
        (struct fathom__labels){.given = catalogue, .current = catalogue, .dictionary = dictionary, .named = named};
    pthread_mutex_init(&labels->lock, NULL);
    status = fathom__condition_open(&labels->free);
    if (!status && catalogue)
        status =
            fathom__alloc(&labels->latest, fathom_catalogue_describe(catalogue)->n_features, sizeof *labels->latest);
    if (status) {
        fathom__labels_close(labels);
        return status;
    }
    *out = labels;
    return FATHOM_OK;
}

void fathom__labels_close(fathom__labels *labels) {
    if (!labels) return;
    while (labels->all) {
        struct relabelled *next = labels->all->before;
        fathom_free(labels->all->label);
        fathom_free(labels->all->origin);
        fathom_free(labels->all);
        labels->all = next;
    }
    fathom_free(labels->latest);
    fathom_catalogue_close(labels->own);
    pthread_cond_destroy(&labels->free);
    pthread_mutex_destroy(&labels->lock);
    fathom_free(labels);
}

const struct fathom_feature *fathom__labels_feature(const fathom__labels *labels, uint32_t feature) {
    if (!labels->given || feature >= fathom_catalogue_describe(labels->given)->n_features) return NULL;
    const struct relabelled *latest = atomic_load(&labels->latest[feature]);
    return latest ? &latest->feature : fathom_catalogue_feature(labels->given, feature);
}

int fathom__labels_take(fathom_catalogue **out, fathom__labels *labels) {
    const double until = fathom__seconds() + PATIENCE_SECONDS;
    pthread_mutex_lock(&labels->lock);
    while (labels->taken && fathom__condition_wait(&labels->free, &labels->lock, until)) {
    }
    const bool had = !labels->taken;
    if (had) labels->taken = true;
    pthread_mutex_unlock(&labels->lock);
    *out = had ? labels->current : NULL;
    return had ? FATHOM_OK
               : fathom__fail(FATHOM_ERROR_LIMIT, "the catalogue is locked: requests before this one wait for it");
}

void fathom__labels_give(fathom__labels *labels) {
    pthread_mutex_lock(&labels->lock);
    labels->taken = false;
    pthread_cond_signal(&labels->free);
    pthread_mutex_unlock(&labels->lock);
}

/* Where only a shipped catalogue was read, its copy is from the first label on. */
static int use_writable(fathom__labels *labels) {
    const char *path = fathom_catalogue_describe(labels->current)->path;
    char *writable = NULL;
    if (labels->named) return FATHOM_OK;
    int status = fathom_catalogue_writable(&writable, labels->dictionary, path);
    if (!status && strcmp(writable, path) != 0) {
        status = fathom_catalogue_open(&labels->own, writable, labels->dictionary);
        if (!status) labels->current = labels->own;
    }
    fathom_free(writable);
    return status;
}

/* Reads the feature's first label back from the file. */
static int reread(fathom__labels *labels, uint32_t feature) {
    struct fathom_feature_details *details = NULL;
    struct relabelled *entry = NULL;
    int status = fathom_catalogue_details(&details, labels->current, feature);
    if (!status) status = fathom__alloc(&entry, 1, sizeof *entry);
    if (status) goto done;
    entry->feature = details->feature;
    entry->before = labels->all;
    labels->all = entry;
    if (details->feature.label) status = fathom__copy_string(&entry->label, details->feature.label);
    if (!status && details->feature.label_origin)
        status = fathom__copy_string(&entry->origin, details->feature.label_origin);
    entry->feature.label = entry->label;
    entry->feature.label_origin = entry->origin;
    if (!status) atomic_store(&labels->latest[feature], entry);
done:
    fathom_feature_details_free(details);
    return status;
}

int fathom__labels_set(fathom__labels *labels, uint32_t feature, const char *text) {
    fathom_catalogue *catalogue = NULL;
    int status = fathom__labels_take(&catalogue, labels);
    if (status) return status;
    status = use_writable(labels);
    if (!status)
        status = fathom_catalogue_label(fathom_catalogue_describe(labels->current)->path, labels->dictionary, feature,
                                        text, ORIGIN);
    if (!status) status = reread(labels, feature);
    fathom__labels_give(labels);
    return status;
}
