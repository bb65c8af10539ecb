#include "catalogue/ledger_json.h"

#include <math.h>

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *dictionary_json(const struct fathom_ledger_dictionary *d) {
    json_t *json = json_pack("{s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:b}", "path", d->path, "hook", d->hook, "hook_out",
                             d->hook_out, "architecture", d->architecture, "features", (json_int_t)d->n_features, "k",
                             (json_int_t)d->k, "seed", (json_int_t)d->seed, "finished", (int)d->finished);
    if (!d->finished) return json;
    json_object_set_new(json, "fve", number(d->fve));
    json_object_set_new(json, "l0", number(d->l0));
    json_object_set_new(json, "dead_fraction", number(d->dead_fraction));
    json_object_set_new(json, "threshold", number(d->threshold));
    json_object_set_new(json, "steps", json_integer((json_int_t)d->steps));
    json_object_set_new(json, "tokens", json_integer((json_int_t)d->tokens));
    return json;
}

json_t *fathom__ledger_run_json(const struct fathom_ledger_run *run) {
    json_t *dictionaries = json_array(), *points = json_array();
    json_t *notes = json_loads(run->notes, 0, NULL);
    for (size_t i = 0; i < run->n_dictionaries; i++)
        json_array_append_new(dictionaries, dictionary_json(&run->dictionaries[i]));
    for (size_t i = 0; i < run->n_points; i++) {
        const struct fathom_ledger_point *p = &run->points[i];
        json_array_append_new(points, json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "dictionary",
                                                (json_int_t)p->dictionary, "step", (json_int_t)p->step, "tokens",
                                                (json_int_t)p->tokens, "loss", number(p->loss), "fve", number(p->fve),
                                                "l0", number(p->l0), "dead_fraction", number(p->dead_fraction),
                                                "seconds", number(p->seconds)));
    }
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "run",
                     (json_int_t)run->number, "state", run->state, "message", run->message, "started", run->started,
                     "command", run->command, "model", run->model_name, "model_identity", run->model_identity,
                     "corpus_hash", run->corpus_hash, "version", run->version, "seed", (json_int_t)run->seed, "tokens",
                     (json_int_t)run->tokens, "steps", (json_int_t)run->steps, "seconds", number(run->seconds),
                     "dictionaries", dictionaries, "notes", notes ? notes : json_object(), "points", points);
}
