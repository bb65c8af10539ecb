/* Edits of every kind in a plan, where they act, and plans as texts.
 *
 * An edit is made of what is turned, how, where, and how far. Everything but whole rows and a dictionary's error has a
 * level in each row x, and a vector w that raises the level by one where it is added:
 *
 *   what        level                                       w
 *   feature     f_i(x), its activation                      d_i / s (times what an undone norm took away)
 *   direction   v · x / m, a unit vector v over the         m v
 *               median row norm m of the layer
 *   vector      c · x / |c|², a control vector c            c
 *   probe       the log-odds g · x + b, g = weights /       g / |g|²
 *               deviations
 *
 *   how         what becomes of a row
 *   clamp       x + share (value - level) w
 *   add         x + share value w
 *   ablate      x - level w for a feature; as project out for the others
 *   project out x - value (u · x) u, u = w / |w|; 1 takes the whole away (Arditi et al. 2024)
 *   cap         the level is brought into low … high
 *   affine      the level becomes value · level + offset
 *   rotate      x is turned towards u by share · value degrees, in the plane of both, and never past u; its length
 *               stays (after Vu & Nguyen 2025, whose plane is fixed)
 *   patch       the level becomes the one that another text's row had
 *
 * Of a whole row: ablate makes it 0, affine multiplies it by value, patch replaces it by the other text's. Of the error
 * x - x^ that a dictionary makes: ablate takes it away, affine multiplies it.
 *
 * share is one part of the n layers for clamp, add and rotate, unless `whole`, and 1 for everything else. Control
 * vectors are `whole` always.
 *
 * Order. At one hook point all conditions and all activations of features are read from the row as it came; then the
 * edits are made in the plan's order, and each that projects (directions, vectors, probes, project out, rotate) sees
 * the row as the edits before it left it. An edit that changes nothing writes nothing: no bit changes.
 *
 * Features and errors leave alone rows that the dictionary does not cover; directions and probes leave alone position 0
 * and rows longer than ten times the median, or than the probe's limit; control vectors and whole rows act on all, as
 * the engine's own control vectors do.
 */
#ifndef FATHOM_PLAN_H
#define FATHOM_PLAN_H

#include <fathom/steer.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fathom_steer_what {
    FATHOM_STEER_FEATURE = 0,
    FATHOM_STEER_DIRECTION,
    FATHOM_STEER_VECTOR,
    FATHOM_STEER_PROBE,
    FATHOM_STEER_ERROR,
    FATHOM_STEER_ROW
};

enum fathom_steer_how {
    FATHOM_STEER_HOW_CLAMP = 0,
    FATHOM_STEER_HOW_ADD,
    FATHOM_STEER_HOW_ABLATE,
    FATHOM_STEER_HOW_PROJECT_OUT,
    FATHOM_STEER_HOW_CAP,
    FATHOM_STEER_HOW_AFFINE,
    FATHOM_STEER_HOW_ROTATE,
    FATHOM_STEER_HOW_PATCH
};

/* Conditions ---------------------------------------------------------------------------------------------- */

enum fathom_steer_measure {
    FATHOM_STEER_LEVEL = 0, /* as above */
    FATHOM_STEER_COSINE,    /* of a direction: v · x / |x| */
    FATHOM_STEER_CAST       /* of a direction: cos(x, tanh(v v · x)) (Lee et al. 2024) */
};

enum fathom_steer_over {
    FATHOM_STEER_OVER_ROW = 0, /* the row itself, or the mean of the last `window` rows that were read */
    FATHOM_STEER_OVER_EVER,    /* this or any earlier row of the sequence: once on, on */
    FATHOM_STEER_OVER_PROMPT   /* the mean over the prompt's rows; acts on the answer only */
};

/* A level that switches an edit. It is read no later in the model than where the edit acts. Rows that are not read
 * switch nothing on. */
struct fathom_steer_condition {
    const fathom_dictionary *dictionary; /* a feature of it … */
    uint32_t feature;
    const fathom_probe *probe;                /* … or a probe … */
    const struct fathom_direction *direction; /* … or a direction's vector at `layer` (copied); the others NULL */
    int32_t layer;
    enum fathom_steer_measure measure;
    float level;
    bool below; /* on where the level is < `level`; else where it is >= */
    enum fathom_steer_over over;
    uint32_t window; /* 0: 1; rows a level is the mean of */
};

/* Edits --------------------------------------------------------------------------------------------------- */

enum { FATHOM_STEER_MOST_CONDITIONS = 8 };

struct fathom_steer_edit {
    enum fathom_steer_what what;
    const fathom_dictionary *dictionary; /* feature, error; borrowed while the plan lives */
    uint32_t feature;
    const struct fathom_direction *direction; /* direction, vector (lengths × vectors; norms ignored): copied */
    const fathom_probe *probe;                /* borrowed while the plan lives */

    enum fathom_steer_how how;
    /* clamp: level; add: amount; project out: part; cap: low; affine: factor; rotate: degrees. In the level's units */
    float value;
    float offset; /* cap: high; affine: what is added */

    /* Where. Without `placed`: the dictionary's or the probe's own point, all layers of the direction. Rows need it,
     * errors cannot have it. */
    bool placed;
    enum fathom_hook_kind kind;      /* of rows, and of directions and vectors that act `elsewhere`; the others have */
    bool elsewhere;                  /* their own */
    int32_t first_layer, last_layer; /* inclusive; negative counts from the end */
    bool whole;
    enum fathom_steer_rows rows;
    bool positioned;                       /* only positions first … last, which count from the prompt's end where */
    int32_t first_position, last_position; /* they are negative (-1: its last token) */
    const char *after_text;                /* only from the row on whose token completes this text; NULL. Copied */
    const int32_t *after_token;            /* only from the first row of this token on; NULL. Copied */
    const struct fathom_steer_condition *conditions; /* all of them must be on */
    size_t n_conditions;
    /* n > 0: the amount grows to its whole over n rows from where the edit begins to act; n < 0: it fades from the
     * whole to nothing over -n rows; 0: neither */
    int32_t ramp;

    /* patch: the other text; it is run plainly when the edit is added. Row p takes from its row p, or with `from_end`
     * from the one as far from its end as p is from the prompt's. Rows without a counterpart are left alone. */
    const int32_t *source;
    size_t n_source;
    bool from_end;
};

/* Adds an edit, at each of its layers. Errors: those of fathom_steer_add_feature; ARGUMENT (a value that is not finite
 * or out of range, a how that the what has not, conditions read after the edit, positions), MISMATCH (a probe or
 * direction that does not fit), UNSUPPORTED. On an error the plan is as it was. */
FATHOM_API int fathom_steer_add(fathom_steer *plan, const struct fathom_steer_edit *edit);

/* Plans as texts ------------------------------------------------------------------------------------------ */

/* What a plan's text may leave unsaid. */
struct fathom_steer_context {
    const fathom_dictionary *dictionary; /* of edits that name none; NULL: the model's default one, when it is needed */
    fathom_catalogue *catalogue;         /* of that dictionary; NULL: its default one, or none */
};

/* What a plan is compared with: the same edits at the same places under the same conditions, but for each feature another
 * one (fathom_feature_control) at the same multiples of its own maximum, and for each direction, control vector and probe
 * a random vector of the same length, one for all layers of an edit. How active features are, the context's catalogue
 * says of the context's dictionary; of others, or with NULL, their default catalogue or else a few sentences of Fathom's
 * own. `plan` must outlive *out (fathom_steer_close). Errors: UNSUPPORTED (patches, whole rows and errors have no
 * control), NOT_FOUND (no other feature is as active). */
FATHOM_API int fathom_steer_control(fathom_steer **out, const fathom_steer *plan,
                                    const struct fathom_steer_context *context, uint64_t seed);

/* Adds the edits of a text to a plan: a JSON document (docs/plan.schema.json) or an expression (docs/steering.md),
 * such as
 *
 *   "golden gate"@16 +8 while answering; rows mlp_out@3 *0.5
 *
 * Strengths of features are multiples of their maximum there, or with the unit "activation" the dictionary's own. What
 * the text names by file is opened and belongs to the plan. `name` stands for the text in messages. Errors: FORMAT
 * (says where and what was expected), NOT_FOUND (files, words that no label has, a feature that never fired), those of
 * fathom_steer_add. On an error the plan is as it was. */
FATHOM_API int fathom_steer_read(fathom_steer *plan, const char *text, size_t length, const char *name,
                                 const struct fathom_steer_context *context);

/* The JSON document that an expression stands for, as new text (fathom_free). A document is checked for its form and
 * returned as it is. Nothing is opened. */
FATHOM_API int fathom_steer_translate(char **out, const char *text, size_t length, const char *name);

/* In force ------------------------------------------------------------------------------------------------ */

/* Has the plan act on one sequence alone (-1: on all again), so that several plans can share a session's batches. */
FATHOM_API void fathom_steering_only(fathom_steering *steering, int32_t sequence);
/* Tells what a sequence begins with that was not computed under this steering (a forked prefix): texts to come after,
 * thinking and tokens are looked for in it. Not needed for what is decoded while it is attached. */
FATHOM_API int fathom_steering_history(fathom_steering *steering, int32_t sequence, const int32_t *tokens, size_t n);

#ifdef __cplusplus
}
#endif
#endif
