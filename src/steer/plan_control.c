/* What a plan is compared with: as much turned as far, of something else. */
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/read.h"
#include "steer/plan.h"
#include <string.h>

/* One dictionary of the plan, and its features' maxima. */
struct known {
    const fathom_dictionary *dictionary;
    struct fathom_feature_measure *measures;
};

struct controlling {
    const fathom_steer *plan;
    const struct fathom_steer_context *context; /* or NULL */
    fathom_steer *out;
    uint64_t seed;
    struct known *known; /* [edits] */
    size_t n_known;
    uint32_t *features; /* [edits]: what each feature became */
    uint32_t *avoid;    /* [2 × edits] */
    uint64_t n_drawn;   /* random vectors so far */
};

/* By the catalogue that was given for this dictionary, or its default one, or where there is none on a few sentences. */
static int measure(struct fathom_feature_measure **out, const struct controlling *work,
                   const fathom_dictionary *dictionary) {
    const struct fathom_steer_context *context = work->context;
    char *path = NULL;
    fathom_catalogue *catalogue = NULL;
    if (context != NULL && context->catalogue != NULL && context->dictionary == dictionary) {
        return fathom_feature_measure_catalogue(out, dictionary, context->catalogue);
    }
    int status = fathom_locate_catalogue(&path, dictionary, NULL);
    if (status == FATHOM_ERROR_NOT_FOUND) {
        return fathom_feature_measure_all(out, dictionary, work->plan->model, NULL);
    }
    if (status == FATHOM_OK) {
        status = fathom_catalogue_open(&catalogue, path, dictionary);
    }
    if (status == FATHOM_OK) {
        status = fathom_feature_measure_catalogue(out, dictionary, catalogue);
        fathom_catalogue_close(catalogue);
    }
    fathom_free(path);
    return status;
}

static int find_measures(const struct fathom_feature_measure **out, struct controlling *work,
                         const fathom_dictionary *dictionary) {
    for (size_t k = 0; k < work->n_known; k++) {
        if (work->known[k].dictionary == dictionary) {
            *out = work->known[k].measures;
            return FATHOM_OK;
        }
    }
    struct known *known = &work->known[work->n_known];
    int status = measure(&known->measures, work, dictionary);
    if (status == FATHOM_OK) {
        known->dictionary = dictionary;
        work->n_known++;
        *out = known->measures;
    }
    return status;
}

/* The feature that stands for an edit's: the same wherever the plan has that feature, and none of the plan's own. */
static int choose_feature(struct controlling *work, size_t which, const struct fathom_feature_measure *measures) {
    const struct fathom__edit *edits = work->plan->edits;
    const fathom_dictionary *dictionary = edits[which].dictionary;
    size_t n = 0;
    for (size_t e = 0; e < work->plan->n; e++) {
        if (edits[e].what != FATHOM_STEER_FEATURE || edits[e].dictionary != dictionary) {
            continue;
        }
        if (e < which && edits[e].feature == edits[which].feature) {
            work->features[which] = work->features[e];
            return FATHOM_OK;
        }
        work->avoid[n++] = edits[e].feature;
        if (e < which) {
            work->avoid[n++] = work->features[e];
        }
    }
    return fathom_feature_control(&work->features[which], measures, fathom_dictionary_describe(dictionary)->n_features,
                                  edits[which].feature, work->avoid, n, work->seed);
}

static int turn_feature(struct fathom__edit *one, struct controlling *work, size_t which) {
    const struct fathom_feature_measure *measures = NULL;
    const float output_scale = fathom_dictionary_describe(one->dictionary)->output_scale;
    int status = find_measures(&measures, work, one->dictionary);
    if (status == FATHOM_OK) {
        status = choose_feature(work, which, measures);
    }
    if (status == FATHOM_OK) {
        status = fathom_dictionary_direction(one->vector, one->dictionary, work->features[which]);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    const float scale = measures[work->features[which]].maximum / measures[one->feature].maximum;
    one->feature = work->features[which];
    for (size_t i = 0; i < one->width; i++) {
        one->vector[i] /= output_scale;
    }
    if (one->how == FATHOM_STEER_HOW_CLAMP || one->how == FATHOM_STEER_HOW_ADD || one->how == FATHOM_STEER_HOW_CAP) {
        one->value *= scale;
    }
    one->offset *= scale;
    return FATHOM_OK;
}

/* Whether an entry is the one before it at the next layer. */
static bool goes_on(const struct fathom__edit *edit, const struct fathom__edit *before) {
    return before->what == edit->what && before->how == edit->how && before->value == edit->value &&
           before->hook.kind == edit->hook.kind && before->hook.layer + 1 == edit->hook.layer &&
           before->width == edit->width;
}

/* A random vector as long, the same at all layers of an edit. */
static void turn_vector(struct fathom__edit *one, struct controlling *work, size_t which) {
    struct fathom__random random;
    const double length = fathom__norm(one->vector, one->width);
    work->n_drawn += which == 0 || !goes_on(&work->plan->edits[which], &work->plan->edits[which - 1]);
    fathom__random_seed(&random, work->seed + work->n_drawn);
    for (size_t i = 0; i < one->width; i++) {
        one->vector[i] = (float)fathom__random_normal(&random);
    }
    const double drawn = fathom__norm(one->vector, one->width);
    for (size_t i = 0; i < one->width; i++) {
        one->vector[i] = (float)(one->vector[i] * length / drawn);
    }
}

static int control_edit(struct controlling *work, size_t which) {
    const struct fathom__edit *edit = &work->plan->edits[which];
    struct fathom__edit one = *edit;
    if (edit->vector == NULL || edit->how == FATHOM_STEER_HOW_PATCH) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "a plan that patches, or changes whole rows or a dictionary's "
                                                      "error, has no control");
    }
    one.vector = NULL;
    one.after_text = NULL;
    int status = fathom__alloc_aligned(&one.vector, one.width, sizeof *one.vector);
    if (status == FATHOM_OK) {
        memcpy(one.vector, edit->vector, one.width * sizeof *one.vector);
        if (edit->after_text != NULL) {
            status = fathom__copy_string(&one.after_text, edit->after_text);
        }
    }
    if (status == FATHOM_OK && edit->what == FATHOM_STEER_FEATURE) {
        status = turn_feature(&one, work, which);
    } else if (status == FATHOM_OK) {
        turn_vector(&one, work, which);
    }
    if (status != FATHOM_OK) {
        fathom__edit_free(&one);
        return status;
    }
    const double length = fathom__norm(one.vector, one.width);
    one.inverse = length > 0 ? (float)(1 / (length * length)) : 0;
    return fathom__plan_append(work->out, one);
}

static int copy_conditions(struct controlling *work) {
    const fathom_steer *plan = work->plan;
    fathom_steer *out = work->out;
    int status = fathom__grow(&out->conditions, &out->condition_capacity, plan->n_conditions, sizeof *out->conditions);
    for (size_t c = 0; c < plan->n_conditions && status == FATHOM_OK; c++) {
        struct fathom__condition one = plan->conditions[c];
        if (one.vector != NULL) {
            one.vector = NULL;
            status = fathom__alloc_aligned(&one.vector, one.width, sizeof *one.vector);
        }
        if (status == FATHOM_OK && one.vector != NULL) {
            memcpy(one.vector, plan->conditions[c].vector, one.width * sizeof *one.vector);
        }
        if (status == FATHOM_OK) {
            out->conditions[out->n_conditions++] = one;
        }
    }
    return status;
}

int fathom_steer_control(fathom_steer **out, const fathom_steer *plan, const struct fathom_steer_context *context,
                         uint64_t seed) {
    struct controlling work = {.plan = plan, .context = context, .seed = seed};
    int status = fathom_steer_open(&work.out, plan->model);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&work.known, plan->n, sizeof *work.known);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&work.features, plan->n, sizeof *work.features);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&work.avoid, 2 * plan->n, sizeof *work.avoid);
    }
    if (status == FATHOM_OK) {
        status = copy_conditions(&work);
    }
    for (size_t e = 0; e < plan->n && status == FATHOM_OK; e++) {
        status = control_edit(&work, e);
    }
    for (size_t k = 0; k < work.n_known; k++) {
        fathom_free(work.known[k].measures);
    }
    fathom_free(work.known);
    fathom_free(work.features);
    fathom_free(work.avoid);
    if (status != FATHOM_OK) {
        fathom_steer_close(work.out);
        return status;
    }
    *out = work.out;
    return FATHOM_OK;
}
