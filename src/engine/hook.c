#include "base/error.h"
#include "engine/points.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names: `alias` alone for points without a layer, else blocks.N.`name` and `alias`.N. */
static const struct {
    const char *name, *alias;
    bool layered;
} table[FATHOM_HOOK_COUNT] = {
    [FATHOM_HOOK_EMBED] = {"hook_embed", "embed", false},
    [FATHOM_HOOK_RESID_PRE] = {"hook_resid_pre", "resid_pre", true},
    [FATHOM_HOOK_RESID_MID] = {"hook_resid_mid", "resid_mid", true},
    [FATHOM_HOOK_RESID_POST] = {"hook_resid_post", "resid_post", true},
    [FATHOM_HOOK_ATTN_IN] = {"attn.hook_in", "attn_in", true},
    [FATHOM_HOOK_Q] = {"attn.hook_q", "q", true},
    [FATHOM_HOOK_K] = {"attn.hook_k", "k", true},
    [FATHOM_HOOK_V] = {"attn.hook_v", "v", true},
    [FATHOM_HOOK_ROT_Q] = {"attn.hook_rot_q", "rot_q", true},
    [FATHOM_HOOK_ROT_K] = {"attn.hook_rot_k", "rot_k", true},
    [FATHOM_HOOK_ATTN_SCORES] = {"attn.hook_attn_scores", "attn_scores", true},
    [FATHOM_HOOK_PATTERN] = {"attn.hook_pattern", "pattern", true},
    [FATHOM_HOOK_Z] = {"attn.hook_z", "z", true},
    [FATHOM_HOOK_ATTN_OUT] = {"hook_attn_out", "attn_out", true},
    [FATHOM_HOOK_MLP_IN] = {"mlp.hook_in", "mlp_in", true},
    [FATHOM_HOOK_MLP_PRE] = {"mlp.hook_pre", "mlp_pre", true},
    [FATHOM_HOOK_MLP_POST] = {"mlp.hook_post", "mlp_post", true},
    [FATHOM_HOOK_MLP_OUT] = {"hook_mlp_out", "mlp_out", true},
    [FATHOM_HOOK_FINAL_NORM] = {"ln_final.hook_out", "final_norm", false},
    [FATHOM_HOOK_LOGITS] = {"logits", "logits", false},
};

enum { NEAREST_SHOWN = 3, LONGEST_COMPARED = 48 };

void fathom_hook_name(char out[FATHOM_HOOK_NAME_SIZE], struct fathom_hook hook) {
    const char *name = (unsigned)hook.kind < FATHOM_HOOK_COUNT ? table[hook.kind].name : "?";
    if (hook.layer >= 0)
        snprintf(out, FATHOM_HOOK_NAME_SIZE, "blocks.%d.%s", (int)hook.layer, name);
    else
        snprintf(out, FATHOM_HOOK_NAME_SIZE, "%s", name);
}

void fathom_hook_alias(char out[FATHOM_HOOK_NAME_SIZE], struct fathom_hook hook) {
    const char *alias = (unsigned)hook.kind < FATHOM_HOOK_COUNT ? table[hook.kind].alias : "?";
    if (hook.layer >= 0)
        snprintf(out, FATHOM_HOOK_NAME_SIZE, "%s.%d", alias, (int)hook.layer);
    else
        snprintf(out, FATHOM_HOOK_NAME_SIZE, "%s", alias);
}

const char *fathom__hook_missing(const fathom_model *model, struct fathom_hook hook) {
    const struct fathom__model_shape *shape = &model->shape;
    if (shape->architecture == FATHOM__ARCH_OTHER) {
        bool offered = hook.kind == FATHOM_HOOK_RESID_POST || (hook.kind == FATHOM_HOOK_RESID_PRE && hook.layer > 0);
        return offered ? NULL : "only the residual stream between layers is offered on this architecture";
    }
    switch (hook.kind) {
    case FATHOM_HOOK_RESID_MID:
        return shape->parallel_residual ? "attention and MLP read the same residual stream in this model" : NULL;
    case FATHOM_HOOK_ROT_Q:
    case FATHOM_HOOK_ROT_K:
        return shape->architecture == FATHOM__ARCH_GPT2 ? "this architecture does not rotate queries and keys" : NULL;
    default: return NULL;
    }
}

bool fathom_hook_exists(uint32_t *heads, uint32_t *width_per_head, const fathom_model *model, struct fathom_hook hook) {
    const struct fathom__model_shape *shape = &model->shape;
    if ((unsigned)hook.kind >= FATHOM_HOOK_COUNT) return false;
    if (table[hook.kind].layered ? hook.layer < 0 || (uint32_t)hook.layer >= shape->n_layers : hook.layer != -1)
        return false;
    if (fathom__hook_missing(model, hook)) return false;
    uint32_t n = 1, width = shape->d_model;
    switch (hook.kind) {
    case FATHOM_HOOK_Q:
    case FATHOM_HOOK_ROT_Q:
        n = shape->n_heads;
        width = shape->d_head_k;
        break;
    case FATHOM_HOOK_K:
    case FATHOM_HOOK_ROT_K:
        n = shape->n_heads_kv;
        width = shape->d_head_k;
        break;
    case FATHOM_HOOK_V:
        n = shape->n_heads_kv;
        width = shape->d_head_v;
        break;
    case FATHOM_HOOK_ATTN_SCORES:
    case FATHOM_HOOK_PATTERN:
        n = shape->n_heads;
        width = 0;
        break;
    case FATHOM_HOOK_Z:
        n = shape->n_heads;
        width = shape->d_head_v;
        break;
    case FATHOM_HOOK_MLP_PRE:
    case FATHOM_HOOK_MLP_POST: width = shape->d_mlp; break;
    case FATHOM_HOOK_LOGITS: width = shape->n_vocab; break;
    default: break;
    }
    if (heads) *heads = n;
    if (width_per_head) *width_per_head = width;
    return true;
}

/* Splits "blocks.11.hook_q" or "q.11" into the name without its number and the number. False: neither form. */
static bool split_name(char base[FATHOM_HOOK_NAME_SIZE], long *layer, bool *has_layer, bool *full, const char *name) {
    *full = strncmp(name, "blocks.", strlen("blocks.")) == 0;
    const char *number = NULL, *end = NULL;
    if (*full) {
        number = name + strlen("blocks.");
    } else {
        const char *dot = strrchr(name, '.');
        number = dot && (dot[1] == '-' || isdigit((unsigned char)dot[1])) ? dot + 1 : NULL;
    }
    *has_layer = number != NULL;
    if (!number) return snprintf(base, FATHOM_HOOK_NAME_SIZE, "%s", name) < FATHOM_HOOK_NAME_SIZE;
    char *after = NULL;
    *layer = strtol(number, &after, 10);
    end = after;
    if (end == number || isspace((unsigned char)*number) || *number == '+') return false;
    if (*full) return *end == '.' && snprintf(base, FATHOM_HOOK_NAME_SIZE, "%s", end + 1) < FATHOM_HOOK_NAME_SIZE;
    return *end == '\0' &&
           snprintf(base, FATHOM_HOOK_NAME_SIZE, "%.*s", (int)(number - 1 - name), name) < FATHOM_HOOK_NAME_SIZE;
}

/* Edit distance, for suggestions. */
static size_t distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST_COMPARED) n = LONGEST_COMPARED;
    if (m > LONGEST_COMPARED) m = LONGEST_COMPARED;
    size_t row[LONGEST_COMPARED + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

static int fail_unknown(const char *name, const char *base) {
    bool shown[FATHOM_HOOK_COUNT] = {false};
    char list[NEAREST_SHOWN * (FATHOM_HOOK_NAME_SIZE + 8)] = "";
    size_t used = 0;
    for (int n = 0; n < NEAREST_SHOWN; n++) {
        size_t best = SIZE_MAX;
        int nearest = 0;
        for (int i = 0; i < FATHOM_HOOK_COUNT; i++) {
            size_t by_alias = distance(base, table[i].alias), by_name = distance(base, table[i].name);
            size_t near = by_alias < by_name ? by_alias : by_name;
            if (!shown[i] && near < best) {
                best = near;
                nearest = i;
            }
        }
        shown[nearest] = true;
        int wrote = snprintf(list + used, sizeof list - used, "%s%s%s", n ? ", " : "", table[nearest].alias,
                             table[nearest].layered ? ".N" : "");
        if (wrote > 0) used += (size_t)wrote;
    }
    return fathom__fail(FATHOM_ERROR_NOT_FOUND, "there is no hook point \"%.*s\"; the nearest are %s",
                        FATHOM_HOOK_NAME_SIZE, name, list);
}

int fathom_hook_parse(struct fathom_hook *out, const fathom_model *model, const char *name) {
    if (!out || !model || !name)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_hook_parse: out, model and name are required");
    char base[FATHOM_HOOK_NAME_SIZE] = "";
    long layer = -1;
    bool has_layer = false, full = false;
    if (!split_name(base, &layer, &has_layer, &full, name))
        return fathom__fail(FATHOM_ERROR_NOT_FOUND,
                            "there is no hook point \"%.*s\"; names are like blocks.3.hook_resid_post or resid_post.3",
                            FATHOM_HOOK_NAME_SIZE, name);
    int kind = 0;
    for (; kind < FATHOM_HOOK_COUNT; kind++) {
        bool match = strcmp(base, table[kind].name) == 0 && (full || !table[kind].layered);
        if (match || (!full && strcmp(base, table[kind].alias) == 0)) break;
    }
    if (kind == FATHOM_HOOK_COUNT) return fail_unknown(name, base);

    long n_layers = (long)model->shape.n_layers;
    if (table[kind].layered && !has_layer)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "hook point \"%s\" needs a layer from 0 to %ld (or -1 for the last), such as %s.0", name,
                            n_layers - 1, table[kind].alias);
    if (!table[kind].layered && has_layer)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "hook point \"%s\": %s has no layers", name, table[kind].alias);
    struct fathom_hook hook = {.kind = (enum fathom_hook_kind)kind, .layer = -1};
    if (has_layer) {
        if (layer < -n_layers || layer >= n_layers)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "hook point \"%s\": the model has layers 0 to %ld (or -1 to %ld from the end)", name,
                                n_layers - 1, -n_layers);
        hook.layer = (int32_t)(layer < 0 ? layer + n_layers : layer);
    }
    const char *missing = fathom__hook_missing(model, hook);
    if (missing)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "hook point \"%s\" does not exist in %s models: %s", name,
                            model->info.architecture, missing);
    *out = hook;
    return FATHOM_OK;
}
