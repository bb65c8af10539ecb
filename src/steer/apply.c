#include "steer/apply.h"
#include "detect/read.h"
#include <math.h>
#include <string.h>

static const double radians = 3.14159265358979323846 / 180.0;

bool fathom__edit_reads(const struct fathom__edit *edit) {
    return edit->what == FATHOM_STEER_FEATURE && edit->how != FATHOM_STEER_HOW_ADD &&
           edit->how != FATHOM_STEER_HOW_PROJECT_OUT && edit->how != FATHOM_STEER_HOW_ROTATE;
}

static double dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static bool add(float *row, const float *vector, float times, size_t width) {
    if (times == 0) {
        return false;
    }
    for (size_t i = 0; i < width; i++) {
        row[i] += times * vector[i];
    }
    return true;
}

static bool multiply(float *row, float factor, size_t width) {
    if (factor == 1) {
        return false;
    }
    for (size_t i = 0; i < width; i++) {
        row[i] *= factor;
    }
    return true;
}

/* In the plane of the row x and the unit vector u, at an angle φ to each other: x = p u + q e with e at right angles to
 * u. The row at φ' is |x| cos φ' u + (sin φ' / sin φ) (x - p u). */
static bool rotate(float *row, const struct fathom__edit *edit, double degrees) {
    double length = fathom__norm(row, edit->width);
    double unit = sqrt((double)edit->inverse); /* times the vector is u */
    double along = dot(row, edit->vector, edit->width) * unit;
    double across = sqrt(fmax(0, length * length - along * along));
    if (degrees == 0 || length <= 0 || across <= 1e-6 * length) {
        return false; /* at u already, or away from it in no one plane */
    }
    double angle = atan2(across, along);
    double wanted = fmin(fmax(angle - degrees * radians, 0), 180 * radians);
    double rest = length * sin(wanted) / across;
    double times = (length * cos(wanted) - rest * along) * unit;
    for (size_t i = 0; i < edit->width; i++) {
        row[i] = (float)(rest * row[i] + times * edit->vector[i]);
    }
    return true;
}

static bool patch_row(float *row, const struct fathom__edit *edit, const struct fathom__row_facts *facts) {
    const float *other = edit->targets + facts->target * edit->width;
    bool changed = memcmp(row, other, edit->width * sizeof *row) != 0;
    if (!changed || facts->amount >= 1) {
        memcpy(row, other, edit->width * sizeof *row);
        return changed;
    }
    for (size_t i = 0; i < edit->width; i++) {
        row[i] += facts->amount * (other[i] - row[i]);
    }
    return true;
}

/* By how much the level is to rise, of the whole. */
static float rise(const struct fathom__edit *edit, const struct fathom__row_facts *facts, float level) {
    switch (edit->how) {
    case FATHOM_STEER_HOW_CLAMP: return (edit->value - level) * edit->share;
    case FATHOM_STEER_HOW_ADD: return edit->value * edit->share;
    case FATHOM_STEER_HOW_CAP: return fminf(fmaxf(level, edit->value), edit->offset) - level;
    case FATHOM_STEER_HOW_AFFINE: return (edit->value - 1) * level + edit->offset;
    case FATHOM_STEER_HOW_PATCH: return edit->targets[facts->target] - level;
    default: return -level;
    }
}

bool fathom__edit_apply(float *row, const struct fathom__edit *edit, const struct fathom__row_facts *facts) {
    float amount = facts->amount;
    if (amount == 0) {
        return false;
    }
    bool ablates = edit->how == FATHOM_STEER_HOW_ABLATE;
    if (edit->what == FATHOM_STEER_ROW) {
        return edit->how == FATHOM_STEER_HOW_PATCH
                   ? patch_row(row, edit, facts)
                   : multiply(row, 1 + amount * ((ablates ? 0 : edit->value) - 1), edit->width);
    }
    if (edit->what == FATHOM_STEER_ERROR) {
        return add(row, facts->error, amount * ((ablates ? 0 : edit->value) - 1), edit->width);
    }
    if (edit->how == FATHOM_STEER_HOW_ROTATE) {
        return rotate(row, edit, (double)(amount * edit->value * edit->share));
    }
    bool feature = edit->what == FATHOM_STEER_FEATURE;
    bool out = edit->how == FATHOM_STEER_HOW_PROJECT_OUT;
    if (out || (ablates && !feature)) {
        float part = out ? edit->value : 1;
        double along = dot(row, edit->vector, edit->width) * (double)edit->inverse;
        return add(row, edit->vector, (float)(-along * (double)(part * amount)), edit->width);
    }
    float level = facts->level;
    if (!feature && edit->how != FATHOM_STEER_HOW_ADD) {
        level = (float)(dot(row, edit->vector, edit->width) * (double)edit->inverse) + edit->bias;
    }
    return add(row, edit->vector, rise(edit, facts, level) * amount * facts->worth, edit->width);
}
