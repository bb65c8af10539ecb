#include "base/error.h"
#include "base/memory.h"
#include "engine/session_internal.h"
#include <string.h>

static int check_hook(const struct fathom_session *session, struct fathom_hook hook) {
    char name[FATHOM_HOOK_NAME_SIZE];
    fathom_hook_name(name, hook);
    if (!fathom_hook_exists(NULL, NULL, session->model, hook)) {
        const char *missing =
            (unsigned)hook.kind < FATHOM_HOOK_COUNT ? fathom__hook_missing(session->model, hook) : NULL;
        return fathom__fail(missing ? FATHOM_ERROR_UNSUPPORTED : FATHOM_ERROR_ARGUMENT,
                            "hook point %s does not exist in %s%s%s", name, session->model->info.path,
                            missing ? ": " : "", missing ? missing : "");
    }
    bool of_attention = hook.kind == FATHOM_HOOK_ATTN_SCORES || hook.kind == FATHOM_HOOK_PATTERN;
    if (of_attention && session->flash_attention)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "hook point %s needs a session without flash attention, which never has these values (`exact`)", name);
    return FATHOM_OK;
}

static int add(int *id, struct fathom_session *session, struct fathom__hooked hooked) {
    if (session->running)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "taps and edits cannot be added while a decode is under way");
    int status = check_hook(session, hooked.hook);
    if (!status && !session->known) status = fathom__session_learn(session);
    if (!status)
        status = fathom__grow(&session->hooks, &session->hooks_capacity, session->n_hooks + 1, sizeof *session->hooks);
    if (status) return status;
    hooked.point = fathom__points_at(&session->points, hooked.hook);
    if (!hooked.point->found) {
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, hooked.hook);
        bool known = session->model->shape.architecture != FATHOM__ARCH_OTHER;
        return fathom__fail(known ? FATHOM_ERROR_ENGINE : FATHOM_ERROR_UNSUPPORTED,
                            "%s: no node of the engine's graph is known to be hook point %s", session->model->info.path,
                            name);
    }
    hooked.id = ++session->last_id;
    hooked.sequence = session->scope;
    session->hooks[session->n_hooks++] = hooked;
    session->hooks_changed = true;
    if (id) *id = hooked.id;
    return FATHOM_OK;
}

int fathom_session_tap(int *id, fathom_session *session, struct fathom_hook hook, fathom_tap_fn fn, void *payload) {
    if (!session || !fn) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_session_tap: session and fn are required");
    return add(id, session, (struct fathom__hooked){.hook = hook, .tap = fn, .payload = payload});
}

int fathom_session_edit(int *id, fathom_session *session, struct fathom_hook hook, fathom_edit_fn fn, void *payload) {
    if (!session || !fn) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_session_edit: session and fn are required");
    return add(id, session, (struct fathom__hooked){.hook = hook, .edit = fn, .payload = payload});
}

int fathom_session_scope(fathom_session *session, int32_t sequence) {
    if (!session || sequence < -1 || sequence >= (int32_t)session->n_sequences)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_session_scope: sequence %d is not one of the session's",
                            (int)sequence);
    session->scope = sequence;
    return FATHOM_OK;
}

void fathom_session_unhook(fathom_session *session, int id) {
    for (size_t i = 0; i < session->n_hooks; i++)
        if (session->hooks[i].id == id) session->hooks[i].removed = true;
    session->hooks_changed = true;
}

void fathom_session_unhook_all(fathom_session *session) {
    for (size_t i = 0; i < session->n_hooks; i++)
        session->hooks[i].removed = true;
    session->hooks_changed = true;
}

static int watch_for(size_t *index, struct fathom_session *session, const struct fathom__point *point,
                     enum fathom__watch_role role) {
    const char *name = role == FATHOM__WATCH_SCORES ? point->softmax : point->name;
    uint32_t occurrence = role == FATHOM__WATCH_SCORES ? 0 : point->occurrence;
    for (size_t i = 0; i < session->n_watches; i++) {
        const struct fathom__watch *watch = &session->watches[i];
        if (watch->role == role && watch->occurrence == occurrence && strcmp(watch->name, name) == 0) {
            *index = i;
            return FATHOM_OK;
        }
    }
    int status =
        fathom__grow(&session->watches, &session->watches_capacity, session->n_watches + 1, sizeof *session->watches);
    if (status) return status;
    session->watches[session->n_watches] = (struct fathom__watch){
        .point = point, .role = role, .name = name, .hash = fathom__graph_name_hash(name), .occurrence = occurrence};
    *index = session->n_watches++;
    return FATHOM_OK;
}

static int fill_slots(struct fathom_session *session) {
    size_t n = 16;
    while (n < 4 * session->n_watches)
        n *= 2;
    int status = fathom__grow(&session->slots, &session->slots_capacity, n, sizeof *session->slots);
    if (status) return status;
    session->n_slots = n;
    memset(session->slots, 0, n * sizeof *session->slots);
    for (size_t i = 0; i < session->n_watches; i++) {
        size_t slot = session->watches[i].hash & (n - 1);
        while (session->slots[slot])
            slot = (slot + 1) & (n - 1);
        session->slots[slot] = (uint32_t)i + 1;
    }
    return FATHOM_OK;
}

int fathom__session_prepare_watches(struct fathom_session *session) {
    if (!session->hooks_changed) return FATHOM_OK;
    size_t kept = 0;
    for (size_t i = 0; i < session->n_hooks; i++)
        if (!session->hooks[i].removed) session->hooks[kept++] = session->hooks[i];
    session->n_hooks = kept;
    session->n_watches = 0;
    for (size_t i = 0; i < session->n_hooks; i++) {
        struct fathom__hooked *hooked = &session->hooks[i];
        bool scores = hooked->hook.kind == FATHOM_HOOK_ATTN_SCORES;
        size_t cut = 0;
        int status = scores ? watch_for(&cut, session, hooked->point, FATHOM__WATCH_CUT) : FATHOM_OK;
        if (!status)
            status =
                watch_for(&hooked->watch, session, hooked->point, scores ? FATHOM__WATCH_SCORES : FATHOM__WATCH_VALUES);
        if (status) return status;
    }
    int status = fill_slots(session);
    if (!status) session->hooks_changed = false;
    return status;
}

void fathom__session_arm(struct fathom_session *session, bool complete) {
    bool any_tap = false;
    for (size_t i = 0; i < session->n_hooks; i++)
        any_tap = any_tap || session->hooks[i].tap;
    session->stop_allowed = !complete && any_tap && session->n_logits == 0;
    session->n_wanted = session->n_done = 0;
    for (size_t i = 0; i < session->n_watches; i++) {
        struct fathom__watch *watch = &session->watches[i];
        watch->passed = 0;
        watch->done = false;
        watch->wanted =
            watch->point != fathom__points_at(&session->points, (struct fathom_hook){FATHOM_HOOK_LOGITS, -1}) ||
            session->n_logits > 0;
        if (watch->wanted && watch->role != FATHOM__WATCH_CUT) session->n_wanted++;
    }
}

int fathom__session_check_done(const struct fathom_session *session) {
    for (size_t i = 0; i < session->n_hooks; i++) {
        const struct fathom__hooked *hooked = &session->hooks[i];
        const struct fathom__watch *watch = &session->watches[hooked->watch];
        if (hooked->removed || !watch->wanted || watch->done) continue;
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, hooked->hook);
        return fathom__fail(FATHOM_ERROR_ENGINE, "hook point %s: node %s never came up in the engine's graph", name,
                            watch->name);
    }
    return FATHOM_OK;
}
