/* Gradients and the optimiser in one pass over the features.
 *
 * A feature's gradient is the sum of a few rows: of the errors times its values (decoder), of the inputs times its
 * slopes (encoder). It is formed in a scratch row and used at once, so that no gradient matrix exists. Features are
 * taken in groups, so that gradients and optimiser can be timed apart. A feature without gradient is not touched; its
 * moments' decay, and how far they would have moved it, are made up for when it next is.
 */
#include <dictionary/trainer_internal.h>
#include <float.h>
#include <math.h>

#define BETA_FIRST 0.9
#define BETA_SECOND 0.999
/* Gao et al. 2024: small, because the loss is a fraction and its gradients are small. */
#define EPSILON 6.25e-10F

enum { GROUP = 16 };

struct updating {
    fathom_trainer *trainer;
    const struct fathom__update *update;
    uint32_t first, last;               /* the features that are looked at */
    bool measure;                       /* only the gradient's norm is wanted */
    enum { EVERY, OTHERS, DEAD } which; /* others: without the dead features whose gradients are summed already */
    float clip;                         /* gradients are multiplied by this */
};

struct rates {
    float keep_first, keep_second; /* what is left of the moments */
    float rate, second_scale;      /* both with Adam's corrections for the moments' start at zero */
    float drift;                   /* the rates of all the steps without gradient together */
};

static struct rates find_rates(const fathom_trainer *trainer, double learning_rate, uint64_t since) {
    const double step = (double)(trainer->step + 1);
    /* In the i-th step without gradient Adam moves a parameter by the rate times first / sqrt(second), times ratio^i. */
    const double ratio = BETA_FIRST / sqrt(BETA_SECOND),
                 missed = ratio * (1 - pow(ratio, (double)(since - 1))) / (1 - ratio),
                 rate = learning_rate / (1 - pow(BETA_FIRST, step));
    return (struct rates){
        (float)pow(BETA_FIRST, (double)since),
        (float)pow(BETA_SECOND, (double)since),
        (float)rate,
        (float)(1 / (1 - pow(BETA_SECOND, step))),
        (float)(rate * missed),
    };
}

/* What the steps since the last gradient would have moved. */
static void catch_up(struct fathom__parameter parameter, size_t at, size_t n, struct rates rates) {
    float *restrict value = parameter.value + at;
    const float *restrict first = parameter.first + at, *restrict second = parameter.second + at;
    for (size_t j = 0; j < n; j++)
        value[j] -= rates.drift * first[j] / (sqrtf(second[j] * rates.second_scale) + EPSILON);
}

static void adam(struct fathom__parameter parameter, size_t at, const float *restrict gradient, size_t n,
                 struct rates rates) {
    float *restrict value = parameter.value + at, *restrict first = parameter.first + at,
                    *restrict second = parameter.second + at;
    const float take_first = (float)(1 - BETA_FIRST), take_second = (float)(1 - BETA_SECOND);
    for (size_t j = 0; j < n; j++) {
        const float g = gradient[j];
        const float m = first[j] * rates.keep_first + take_first * g,
                    v = second[j] * rates.keep_second + take_second * (g * g);
        first[j] = m;
        second[j] = v;
        value[j] -= rates.rate * m / (sqrtf(v * rates.second_scale) + EPSILON);
    }
}

/* A row of a layer's inputs; where they are lost, one that is made anew in the worker's i-th place. */
static const uint16_t *input_row(const fathom_trainer *trainer, struct fathom__worker *own, const uint16_t *inputs,
                                 size_t row, size_t i) {
    if (!trainer->inputs_lost) return inputs + row * trainer->read;
    uint16_t *input = (uint16_t *)(void *)own->error_row + i * trainer->stride;
    fathom__trainer_make_input(input, trainer, own, row);
    return input;
}

/* Adds the pairs [first, last) of a feature: their rows of `errors` to the decoder's gradient, of x to the
 * encoder's. */
static void add_pairs(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                      const struct fathom__active *active, uint32_t first, uint32_t last, const uint16_t *errors,
                      float factor) {
    const size_t stride = trainer->stride, read = trainer->read;
    const struct fathom__span span = fathom__decoder_span(trainer, gradient->feature);
    const uint16_t *inputs = fathom__layer_inputs(trainer, fathom__layer(trainer, gradient->feature), 0);
    uint32_t i = first;
    errors += span.begin;
    for (; i + 4 <= last; i += 4) {
        const uint32_t *row = active->sorted_row + i;
        const float *v = active->sorted_value + i, *s = active->sorted_slope + i;
        const float values[4] = {factor * v[0], factor * v[1], factor * v[2], factor * v[3]};
        const float slopes[4] = {factor * s[0], factor * s[1], factor * s[2], factor * s[3]};
        const uint16_t *const error[4] = {errors + row[0] * stride, errors + row[1] * stride, errors + row[2] * stride,
                                          errors + row[3] * stride};
        const uint16_t *const x[4] = {
            input_row(trainer, own, inputs, row[0], 0), input_row(trainer, own, inputs, row[1], 1),
            input_row(trainer, own, inputs, row[2], 2), input_row(trainer, own, inputs, row[3], 3)};
        fathom__add_scaled4_bf16(gradient->decoder, values, error, span.n);
        fathom__add_scaled4_bf16(gradient->encoder, slopes, x, read);
        gradient->input += (slopes[0] + slopes[1]) + (slopes[2] + slopes[3]);
    }
    for (; i < last; i++) {
        const size_t row = active->sorted_row[i];
        fathom__add_scaled_bf16(gradient->decoder, factor * active->sorted_value[i], errors + row * stride, span.n);
        fathom__add_scaled_bf16(gradient->encoder, factor * active->sorted_slope[i],
                                input_row(trainer, own, inputs, row, 0), read);
        gradient->input += factor * active->sorted_slope[i];
    }
}

void fathom__trainer_add_main(struct fathom__gradient *gradient, const fathom_trainer *trainer,
                              struct fathom__worker *own, float factor) {
    const uint32_t *bucket = trainer->main.bucket + gradient->feature;
    add_pairs(gradient, trainer, own, &trainer->main, bucket[0], bucket[1],
              fathom__trainer_errors(trainer, gradient->feature), factor);
}

double fathom__trainer_sum_values(const fathom_trainer *trainer, const struct fathom__gradient *gradient) {
    const uint32_t *bucket = trainer->main.bucket + gradient->feature;
    double sum = 0;
    if (gradient->dead && trainer->dead_last) return trainer->dead_values[trainer->dead_slot[gradient->feature]];
    for (uint32_t i = bucket[0]; i < bucket[1]; i++)
        sum += trainer->main.sorted_value[i];
    return sum;
}

/* What the sparsity loss says of a feature itself: its decoder row's length, its scalars. */
static void add_penalty(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                        float factor) {
    const uint32_t f = gradient->feature;
    if (trainer->norm)
        fathom__sources_pull(gradient->decoder, trainer, f,
                             factor * fathom__sum_of(trainer, FATHOM__SUM_PULL, f) / trainer->norm[f]);
    if (trainer->architecture->feature) trainer->architecture->feature(gradient, trainer, own, factor);
}

static void find_gradient(struct fathom__gradient *gradient, const fathom_trainer *trainer, struct fathom__worker *own,
                          const struct fathom__update *update) {
    const size_t stride = trainer->stride;
    const uint32_t f = gradient->feature, slot = trainer->dead_slot[f];
    const float factor = (float)update->auxiliary_factor;
    const struct fathom__active *auxiliary = &trainer->auxiliary;
    gradient->input = 0;
    if (gradient->dead) {
        const float *encoder = gradient->dead + FATHOM__DEAD_CHUNK * stride;
        for (size_t j = 0; j < stride; j++) {
            gradient->decoder[j] = factor * gradient->dead[j];
            gradient->encoder[j] = factor * encoder[j];
        }
        gradient->input = factor * trainer->dead_slopes[slot];
    } else {
        memset(gradient->encoder, 0, trainer->read * sizeof(float));
        memset(gradient->decoder, 0, stride * sizeof(float));
        if (slot != UINT32_MAX && factor > 0)
            add_pairs(gradient, trainer, own, auxiliary, auxiliary->bucket[slot], auxiliary->bucket[slot + 1],
                      trainer->auxiliary_error, factor);
    }
    if (!gradient->dead || !trainer->dead_last) fathom__trainer_add_main(gradient, trainer, own, (float)update->factor);
    gradient->bias = gradient->input;
    if (!trainer->architecture->exact) add_penalty(gradient, trainer, own, (float)update->factor);
    if (trainer->options.free_norms) return;
    /* A row of length 1 can only turn. */
    const struct fathom__span span = fathom__decoder_span(trainer, f);
    const float *decoder = trainer->decoder.value + span.at;
    fathom__add_scaled(gradient->decoder, -fathom__dot(gradient->decoder, decoder, span.n), decoder, span.n);
}

static void scale(float *row, float factor, size_t n) {
    for (size_t j = 0; j < n; j++)
        row[j] *= factor;
}

static void catch_up_feature(fathom_trainer *trainer, uint32_t feature, struct rates rates) {
    const struct fathom__span span = fathom__decoder_span(trainer, feature);
    catch_up(trainer->encoder, feature * trainer->read, trainer->read, rates);
    catch_up(trainer->encoder_bias, feature, 1, rates);
    for (uint32_t i = 0; i < trainer->architecture->n_scalars; i++)
        catch_up(trainer->scalar[i], feature, 1, rates);
    if (!trainer->options.freeze_decoder) catch_up(trainer->decoder, span.at, span.n, rates);
}

static void apply(struct fathom__gradient *gradient, fathom_trainer *trainer, const struct updating *updating) {
    const struct fathom__span span = fathom__decoder_span(trainer, gradient->feature);
    const uint64_t now = trainer->step + 1;
    const struct rates rates =
        find_rates(trainer, updating->update->learning_rate, now - trainer->touched[gradient->feature]);
    if (updating->clip != 1) {
        scale(gradient->encoder, updating->clip, trainer->read);
        scale(gradient->decoder, updating->clip, span.n);
        gradient->bias *= updating->clip;
        scale(gradient->scalar, updating->clip, trainer->architecture->n_scalars);
    }
    fathom__average_before(trainer, gradient->feature);
    if (rates.drift > 0) catch_up_feature(trainer, gradient->feature, rates);
    adam(trainer->encoder, gradient->feature * trainer->read, gradient->encoder, trainer->read, rates);
    adam(trainer->encoder_bias, gradient->feature, &gradient->bias, 1, rates);
    for (uint32_t i = 0; i < trainer->architecture->n_scalars; i++)
        adam(trainer->scalar[i], gradient->feature, &gradient->scalar[i], 1, rates);
    if (trainer->architecture->revive && updating->update->auxiliary_factor > 0 &&
        trainer->dead_slot[gradient->feature] != UINT32_MAX)
        trainer->architecture->revive(trainer, gradient->feature);
    if (!trainer->options.freeze_decoder) {
        adam(trainer->decoder, span.at, gradient->decoder, span.n, rates);
        float *decoder = trainer->decoder.value + span.at;
        const float length = sqrtf(fathom__dot(decoder, decoder, span.n));
        if (!trainer->options.free_norms) scale(decoder, 1 / length, span.n);
        if (trainer->norm)
            trainer->norm[gradient->feature] =
                fmaxf(trainer->options.n_sources ? fathom__sources_length(trainer, decoder) : length, FLT_MIN);
    }
    trainer->touched[gradient->feature] = (uint32_t)now;
    fathom__average_after(trainer, gradient->feature);
}

/* Dead features whose gradients are summed already are updated by themselves. */
static bool summed_already(const fathom_trainer *trainer, const struct fathom__update *update, uint32_t f) {
    return update->auxiliary_factor > 0 && trainer->n_layers == 1 && trainer->dead_slot[f] != UINT32_MAX;
}

/* 0: the feature has no gradient. */
static uint32_t count_pairs(const fathom_trainer *trainer, const struct fathom__update *update, uint32_t f) {
    const uint32_t slot = trainer->dead_slot[f];
    uint32_t pairs = trainer->main.bucket[f + 1] - trainer->main.bucket[f];
    if (trainer->options.inactive_coefficient > 0) pairs++; /* has a gradient without pairs */
    if (trainer->updates_all) pairs++;
    if (trainer->near.count && fathom__sum_of(trainer, FATHOM__SUM_SCALAR, f) != 0) pairs++;
    if (update->auxiliary_factor > 0 && slot != UINT32_MAX) pairs += fathom__dead_pairs(trainer, slot);
    return pairs;
}

/* The part of the features that belongs to a worker, by the work they make: it depends on the batch and the team's size
 * only. */
static void share_features(uint32_t *first, uint32_t *last, const struct updating *updating, uint32_t worker,
                           uint32_t n_workers) {
    enum { FEATURE_COST = 4 }; /* the optimiser's share, in pairs */
    const fathom_trainer *trainer = updating->trainer;
    const struct fathom__update *update = updating->update;
    double all = 0, done = 0;
    for (uint32_t f = updating->first; f < updating->last; f++)
        if (!summed_already(trainer, update, f)) all += FEATURE_COST + count_pairs(trainer, update, f);
    *first = *last = updating->first;
    for (uint32_t f = updating->first; f < updating->last; f++) {
        if (done < all * worker / n_workers) *first = f + 1;
        if (done < all * (worker + 1) / n_workers || worker + 1 == n_workers) *last = f + 1;
        if (!summed_already(trainer, update, f)) done += FEATURE_COST + count_pairs(trainer, update, f);
    }
    if (worker == 0) *first = updating->first;
}

static void update_group(struct fathom__gradient *group, uint32_t n, fathom_trainer *trainer,
                         const struct updating *updating, struct fathom__worker *own) {
    const size_t read = trainer->read;
    const double begin = fathom__seconds();
    for (uint32_t i = 0; i < n; i++) {
        find_gradient(&group[i], trainer, own, updating->update);
        own->norm +=
            (double)fathom__dot(group[i].encoder, group[i].encoder, read) + (double)group[i].bias * group[i].bias;
        for (uint32_t s = 0; s < trainer->architecture->n_scalars; s++)
            own->norm += (double)group[i].scalar[s] * group[i].scalar[s];
        if (!trainer->options.freeze_decoder)
            own->norm +=
                fathom__dot(group[i].decoder, group[i].decoder, fathom__decoder_span(trainer, group[i].feature).n);
    }
    const double middle = fathom__seconds();
    own->seconds[FATHOM_TRAINER_GRADIENTS] += middle - begin;
    if (updating->measure) return;
    for (uint32_t i = 0; i < n; i++) {
        if (!trainer->options.d_out)
            fathom__add_scaled(own->bias_gradient, -group[i].input, trainer->encoder.value + group[i].feature * read,
                               read);
        apply(&group[i], trainer, updating);
    }
    own->seconds[FATHOM_TRAINER_OPTIMISER] += fathom__seconds() - middle;
}

/* Gathers a group of features and updates it when it is full. */
struct grouping {
    struct fathom__gradient group[GROUP];
    uint32_t n;
};

static void add_to_group(struct grouping *grouping, uint32_t feature, const float *dead, fathom_trainer *trainer,
                         const struct updating *updating, struct fathom__worker *own) {
    grouping->group[grouping->n].feature = feature;
    grouping->group[grouping->n++].dead = dead;
    if (grouping->n < GROUP) return;
    update_group(grouping->group, grouping->n, trainer, updating, own);
    grouping->n = 0;
}

static void end_group(struct grouping *grouping, fathom_trainer *trainer, const struct updating *updating,
                      struct fathom__worker *own) {
    if (grouping->n) update_group(grouping->group, grouping->n, trainer, updating, own);
    grouping->n = 0;
}

static void update_dead(struct grouping *grouping, uint32_t worker, uint32_t n_workers, fathom_trainer *trainer,
                        const struct updating *updating) {
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n_dead, GROUP, worker, n_workers);
    for (size_t slot = first; slot < last; slot++) {
        const uint32_t f = trainer->dead[slot];
        if (count_pairs(trainer, updating->update, f))
            add_to_group(grouping, f, fathom__dead_gradient(trainer, slot), trainer, updating, own);
    }
}

static void update_features(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct updating *updating = payload;
    fathom_trainer *trainer = updating->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t stride = trainer->stride;
    struct grouping grouping = {.n = 0};
    uint32_t first, last;
    for (uint32_t i = 0; i < GROUP; i++)
        grouping.group[i] = (struct fathom__gradient){.encoder = own->gradients + 2 * i * stride,
                                                      .decoder = own->gradients + (2 * i + 1) * stride};
    if (updating->which != OTHERS && updating->update->auxiliary_factor > 0 && trainer->n_layers == 1)
        update_dead(&grouping, worker, n_workers, trainer, updating);
    first = last = 0;
    if (updating->which != DEAD) share_features(&first, &last, updating, worker, n_workers);
    for (uint32_t f = first; f < last; f++)
        if (!summed_already(trainer, updating->update, f) && count_pairs(trainer, updating->update, f))
            add_to_group(&grouping, f, NULL, trainer, updating, own);
    end_group(&grouping, trainer, updating, own);
}

size_t fathom__trainer_update_scratch(size_t stride) {
    return 2 * GROUP * stride;
}

void fathom__trainer_adam(const fathom_trainer *trainer, const struct fathom__parameter *parameter,
                          const float *gradient, size_t n, double learning_rate) {
    adam(*parameter, 0, gradient, n, find_rates(trainer, learning_rate, 1));
}

static double total_norm(const fathom_trainer *trainer, double skip) {
    double sum = skip;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        sum += trainer->workers[w].norm;
    return sqrt(sum);
}

/* An SAE's b_dec appears twice: added to the reconstruction, and subtracted from what is encoded. */
static void update_decoder_bias(fathom_trainer *trainer, const struct updating *updating, const double *errors) {
    float *gradient = trainer->workers[0].gradients;
    for (size_t j = 0; j < trainer->stride; j++) {
        double g = updating->update->factor * errors[j];
        for (uint32_t w = 0; w < trainer->n_workers && !trainer->options.d_out; w++)
            g += trainer->workers[w].bias_gradient[j];
        gradient[j] = (float)(g * updating->clip);
    }
    adam(trainer->decoder_bias, 0, gradient, trainer->stride, find_rates(trainer, updating->update->learning_rate, 1));
}

static double skip_gradient(fathom_trainer *trainer, const struct fathom__update *update) {
    return trainer->skip.value ? fathom__skip_gradient(trainer, (float)update->factor) : 0;
}

/* Sets what is summed over the features to 0. */
static void clear_sums(fathom_trainer *trainer) {
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        struct fathom__worker *own = &trainer->workers[w];
        own->norm = own->sum_inactive = 0;
        memset(own->bias_gradient, 0, trainer->stride * sizeof *own->bias_gradient);
    }
}

static void update(struct updating *updating) {
    fathom_trainer *trainer = updating->trainer;
    const struct fathom_trainer_options *options = &trainer->options;
    const bool in_turn = trainer->prefix_error && updating->which != DEAD;
    updating->last = 0;
    if (updating->which != DEAD) clear_sums(trainer);
    for (uint32_t g = 0; g < (in_turn ? options->n_groups : 1); g++) {
        updating->first = updating->last;
        updating->last = in_turn ? updating->first + options->groups[g] : options->n_features;
        fathom__team_run(trainer->team, update_features, updating);
        if (in_turn) fathom__nested_next(trainer, g, updating->which == OTHERS);
    }
}

void fathom__trainer_update_others(fathom_trainer *trainer, struct fathom__update *how) {
    struct updating updating = {.trainer = trainer, .update = how, .which = OTHERS, .clip = 1};
    how->skip_norm = skip_gradient(trainer, how);
    how->begun = true;
    update(&updating);
}

double fathom__trainer_update(fathom_trainer *trainer, const struct fathom__update *how, const double *errors) {
    struct updating updating = {.trainer = trainer, .update = how, .which = how->begun ? DEAD : EVERY, .clip = 1};
    const size_t n_skip = trainer->options.d_out * trainer->stride;
    const double skip = how->begun ? how->skip_norm : skip_gradient(trainer, how);
    if (trainer->options.gradient_clip > 0) {
        updating.measure = true;
        update(&updating);
        const double norm = total_norm(trainer, skip);
        updating.measure = false;
        if (norm > trainer->options.gradient_clip) updating.clip = (float)(trainer->options.gradient_clip / norm);
    }
    update(&updating);
    const double gradient_norm = total_norm(trainer, skip);
    if (trainer->skip.value) {
        if (updating.clip != 1) scale(trainer->skip_gradient, updating.clip, n_skip);
        fathom__trainer_adam(trainer, &trainer->skip, trainer->skip_gradient, n_skip, how->learning_rate);
    }
    update_decoder_bias(trainer, &updating, errors);
    fathom__average_shared(trainer);
    return gradient_norm;
}
