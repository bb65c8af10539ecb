/* Whether edits change what follows and only that, and whether rows are whose they claim to be. */
#include "base/memory.h"
#include "base/random.h"
#include "engine/doctor_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The least relative change that counts as an effect: far above rounding, far below what the edits here do. */
#define EFFECT_BOUND 1e-4
/* How much nearer a row must be to its own text run alone than to the other text's. A row that is the other text's comes
 * to more than 1. Where all texts have nearly the same row, as at a sink of attention, a GPU that rounds to f16 can come
 * to a tenth; that nothing of one text reaches the other is checked bit by bit. */
#define OWN_BOUND 0.5
/* An edit adds noise of this many times a row's root mean square. */
#define EDIT_SIZE 0.5f

enum { EDIT_SEED = 7 };

struct change {
    int32_t sequence; /* whose rows; -1: all */
    bool zero;        /* write the same values back */
};

/* Adds noise, fixed by the seed; attention's parts are scaled down instead, each by itself, so that masks stay masks
 * and no norm takes the change back. */
static int change_rows(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct change *change = payload;
    bool attention = block->hook.kind == FATHOM_HOOK_ATTN_SCORES || block->hook.kind == FATHOM_HOOK_PATTERN;
    struct fathom__random random;
    fathom__random_seed(&random, EDIT_SEED);
    *changed = true;
    for (size_t r = 0; r < block->n_rows && !change->zero; r++) {
        if (change->sequence >= 0 && block->sequences[r] != change->sequence) continue;
        float *row = rows + r * block->width;
        double square = 0.0;
        for (size_t i = 0; i < block->width; i++)
            square += (double)row[i] * row[i];
        double size = (double)EDIT_SIZE * sqrt(square / (double)block->width);
        for (size_t i = 0; i < block->width; i++)
            row[i] = attention ? row[i] * (1.0f - (float)fathom__random_unit(&random))
                               : row[i] + (float)(size * fathom__random_normal(&random));
    }
    return FATHOM_OK;
}

/* Taps after every layer and the logits, of both texts run together. */
struct stream {
    struct fathom__seen *seen; /* [n_layers] resid_post, then logits where the architecture has that point */
    size_t n, n_layers;
};

static int watch_stream(struct stream *stream, struct fathom__doctor *doctor, fathom_session *session) {
    *stream = (struct stream){.n_layers = doctor->model->shape.n_layers};
    int status = fathom__alloc(&stream->seen, stream->n_layers + 1, sizeof *stream->seen);
    for (; !status && stream->n < stream->n_layers; stream->n++)
        status = fathom__doctor_watch(&stream->seen[stream->n], session,
                                      (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)stream->n});
    struct fathom_hook logits = {FATHOM_HOOK_LOGITS, -1};
    if (!status && fathom_hook_exists(NULL, NULL, doctor->model, logits)) {
        status = fathom__doctor_watch(&stream->seen[stream->n], session, logits);
        stream->n++;
    }
    return status;
}

static void free_stream(struct stream *stream) {
    fathom__doctor_unsee(stream->seen, stream->n);
    fathom_free(stream->seen);
    *stream = (struct stream){0};
}

/* Takes what was seen; the next run starts with nothing seen. */
static int take_stream(struct stream *out, struct stream *from) {
    int status = fathom__alloc(&out->seen, from->n, sizeof *out->seen);
    if (status) return status;
    memcpy(out->seen, from->seen, from->n * sizeof *out->seen);
    out->n = from->n;
    out->n_layers = from->n_layers;
    for (size_t i = 0; i < from->n; i++)
        from->seen[i].values = NULL;
    return FATHOM_OK;
}

static const float *row_of(const struct fathom__seen *seen, size_t row) {
    return seen->values + row * seen->width;
}

static bool same_row(const struct fathom__seen *a, const struct fathom__seen *b, size_t row) {
    return memcmp(row_of(a, row), row_of(b, row), a->width * sizeof(float)) == 0;
}

/* Rows that differ in any bit among those of sequence `sequence` (-1: all) at points [first, last). */
static size_t count_changed(const struct stream *a, const struct stream *b, size_t first, size_t last,
                            int32_t sequence) {
    size_t n = 0;
    for (size_t i = first; i < last; i++)
        for (size_t row = 0; row < a->seen[i].n_rows; row++)
            if (sequence < 0 || (int32_t)row % FATHOM__DOCTOR_TEXTS == sequence)
                n += !same_row(&a->seen[i], &b->seen[i], row);
    return n;
}

/* The smallest relative change of a row of sequence 0 at points [first, last). */
static double least_change(const struct stream *a, const struct stream *b, size_t first, size_t last) {
    double least = INFINITY;
    for (size_t i = first; i < last; i++)
        for (size_t row = 0; row < a->seen[i].n_rows; row += FATHOM__DOCTOR_TEXTS)
            least = fathom__doctor_smaller(
                least, fathom__doctor_difference(row_of(&a->seen[i], row), row_of(&b->seen[i], row), a->seen[i].width));
    return least;
}

/* Edits of one text's residual stream after an early, a middle and the last layer. */
static int check_reach(struct fathom__doctor *doctor, struct stream *stream, const struct stream *plain) {
    uint32_t n_layers = doctor->model->shape.n_layers;
    const uint32_t layers[] = {0, n_layers / 2, n_layers - 1};
    size_t before = 0, others = 0;
    double effect = INFINITY;
    int status = FATHOM_OK;
    for (size_t i = 0; !status && i < sizeof layers / sizeof layers[0]; i++) {
        struct change change = {.sequence = 0};
        int id = 0;
        status = fathom_session_edit(
            &id, doctor->plain, (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)layers[i]}, change_rows, &change);
        if (!status) status = fathom__doctor_run(doctor, doctor->plain, -1, true);
        fathom_session_unhook(doctor->plain, id);
        if (status) break;
        before += count_changed(plain, stream, 0, layers[i], -1);
        others += count_changed(plain, stream, layers[i], stream->n, 1);
        effect = fathom__doctor_smaller(effect, least_change(plain, stream, layers[i], stream->n));
    }
    if (!status)
        status = fathom__doctor_check(doctor, "an edit leaves earlier layers as they were", (double)before, false, 0.0,
                                      "rows changed in any bit before layers 0, %u and %u, edited in turn", layers[1],
                                      layers[2]);
    if (!status)
        status =
            fathom__doctor_check(doctor, "an edit leaves other texts in the batch as they were", (double)others, false,
                                 0.0, "rows of the other text changed in any bit, from the edited layer to the logits");
    if (!status)
        status = fathom__doctor_check(
            doctor, "an edit changes every row that follows", effect, true, EFFECT_BOUND,
            "smallest relative change of a row of the edited text, from the edited layer to the logits");
    return status;
}

/* One kind of point in one session: the same values written back, then changed ones. */
static int try_point(size_t *bits, double *effect, struct fathom__doctor *doctor, struct fathom_hook hook) {
    bool attention = hook.kind == FATHOM_HOOK_ATTN_SCORES || hook.kind == FATHOM_HOOK_PATTERN;
    fathom_session *session = attention ? doctor->exact : doctor->plain;
    size_t last = FATHOM__DOCTOR_TOKENS - 1, size = doctor->model->info.n_vocab * sizeof(float);
    struct fathom__seen tapped = {.values = NULL};
    struct change change = {.sequence = -1, .zero = true};
    float *plain = NULL;
    int status = fathom__alloc(&plain, doctor->model->info.n_vocab, sizeof *plain);
    if (!status) status = fathom__doctor_watch(&tapped, session, hook);
    if (!status) status = fathom__doctor_run(doctor, session, 0, true);
    if (!status) memcpy(plain, fathom_session_logits(session, last), size);
    if (!status) status = fathom_session_edit(NULL, session, hook, change_rows, &change);
    if (!status) status = fathom__doctor_run(doctor, session, 0, true);
    if (!status && memcmp(plain, fathom_session_logits(session, last), size) != 0) ++*bits;
    change.zero = false;
    if (!status) status = fathom__doctor_run(doctor, session, 0, true);
    if (!status)
        *effect = fathom__doctor_difference(plain, fathom_session_logits(session, last), doctor->model->info.n_vocab);
    fathom_session_unhook_all(session);
    fathom__doctor_unsee(&tapped, 1);
    fathom_free(plain);
    return status;
}

static int check_points(struct fathom__doctor *doctor) {
    int32_t middle = (int32_t)doctor->model->shape.n_layers / 2;
    size_t bits = 0, n = 0;
    double least = INFINITY;
    char weakest[FATHOM_HOOK_NAME_SIZE] = "none";
    for (int kind = 0; kind < FATHOM_HOOK_COUNT; kind++) {
        struct fathom_hook hook = {(enum fathom_hook_kind)kind, -1};
        if (!fathom_hook_exists(NULL, NULL, doctor->model, hook)) hook.layer = middle;
        if (!fathom_hook_exists(NULL, NULL, doctor->model, hook)) continue;
        double effect = 0.0;
        int status = try_point(&bits, &effect, doctor, hook);
        if (status == FATHOM_ERROR_UNSUPPORTED && doctor->model->shape.architecture == FATHOM__ARCH_OTHER) continue;
        if (status) return status;
        n++;
        if (isnan(least) || effect >= least) continue;
        least = effect;
        fathom_hook_name(weakest, hook);
    }
    int status = fathom__doctor_check(
        doctor, "writing the same values back changes no bit", (double)bits, false, 0.0,
        "points whose zero edit changes the logits, of %zu kinds at layer %d, against the same taps without it", n,
        (int)middle);
    if (status) return status;
    return fathom__doctor_check(doctor, "an edit at every kind of point changes the logits", least, true, EFFECT_BOUND,
                                "smallest relative change of the last row's logits, at %s, of %zu kinds", weakest, n);
}

int fathom__doctor_edits(struct fathom__doctor *doctor) {
    struct stream stream = {0}, plain = {0};
    int status = watch_stream(&stream, doctor, doctor->plain);
    if (!status) status = fathom__doctor_run(doctor, doctor->plain, -1, true);
    if (!status) status = take_stream(&plain, &stream);
    if (!status) status = check_reach(doctor, &stream, &plain);
    fathom_session_unhook_all(doctor->plain);
    free_stream(&stream);
    free_stream(&plain);
    if (!status) status = check_points(doctor);
    return status;
}

/* How far the rows of both texts run together are from those of their own text alone, as a part of how far they are
 * from the other's. */
static double own_distance(const struct stream *together, const struct stream alone[FATHOM__DOCTOR_TEXTS]) {
    double worst = 0.0;
    for (size_t i = 0; i < together->n; i++) {
        const struct fathom__seen *seen = &together->seen[i];
        for (size_t row = 0; row < seen->n_rows; row++) {
            size_t text = row % FATHOM__DOCTOR_TEXTS, position = row / FATHOM__DOCTOR_TEXTS;
            double own =
                fathom__doctor_difference(row_of(seen, row), row_of(&alone[text].seen[i], position), seen->width);
            double other =
                fathom__doctor_difference(row_of(seen, row), row_of(&alone[1 - text].seen[i], position), seen->width);
            worst = fathom__doctor_larger(worst, other > 0.0 ? own / other : INFINITY);
        }
    }
    return worst;
}

int fathom__doctor_rows(struct fathom__doctor *doctor) {
    struct stream stream = {0}, first = {0}, alone[FATHOM__DOCTOR_TEXTS] = {{0}, {0}};
    struct fathom__seen middle = {.values = NULL};
    struct fathom_hook hook = {FATHOM_HOOK_RESID_POST, (int32_t)doctor->model->shape.n_layers / 2};
    size_t again = 0, stopped = 0;
    int status = watch_stream(&stream, doctor, doctor->plain);
    for (int t = 0; !status && t < FATHOM__DOCTOR_TEXTS; t++) {
        status = fathom__doctor_run(doctor, doctor->plain, t, true);
        if (!status) status = take_stream(&alone[t], &stream);
    }
    if (!status) status = fathom__doctor_run(doctor, doctor->plain, -1, true);
    if (!status) status = take_stream(&first, &stream);
    if (!status) status = fathom__doctor_run(doctor, doctor->plain, -1, true);
    if (!status) again = count_changed(&first, &stream, 0, stream.n, -1);
    fathom_session_unhook_all(doctor->plain);
    if (!status) status = fathom__doctor_watch(&middle, doctor->plain, hook);
    if (!status) status = fathom__doctor_run(doctor, doctor->plain, -1, false);
    for (size_t row = 0; !status && row < middle.n_rows; row++)
        stopped += !same_row(&middle, &first.seen[hook.layer], row);
    fathom_session_unhook_all(doctor->plain);

    if (!status)
        status = fathom__doctor_check(doctor, "the same run gives the same bits", (double)again, false, 0.0,
                                      "rows that differ in any bit, all layers and logits");
    if (!status)
        status = fathom__doctor_check(doctor, "rows belong to the texts they claim", own_distance(&first, alone), false,
                                      OWN_BOUND,
                                      "two texts in turns in one batch: distance of a row to its own text run alone, "
                                      "as a part of that to the other text; worst row");
    if (!status)
        status = fathom__doctor_check(
            doctor, "a run that stops after the last tap reads the same", (double)stopped, false, 0.0,
            "rows of resid_post.%d that differ in any bit from a run of all layers", (int)hook.layer);
    fathom__doctor_unsee(&middle, 1);
    free_stream(&stream);
    free_stream(&first);
    for (int t = 0; t < FATHOM__DOCTOR_TEXTS; t++)
        free_stream(&alone[t]);
    return status;
}
