#include "route/local_slots.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "infer/prefix_file.h"

struct slot {
    int32_t *tokens; /* [n_tokens]; NULL: none */
    uint32_t n_tokens;
    struct adapter_set adapters;
};

struct local_slots {
    pthread_mutex_t mutex;
    uint32_t n_slots;
    struct slot slots[];
};

hearth_status local_slots_open(struct local_slots **out, uint32_t n_slots, hearth_error *err) {
    struct local_slots *s = mem_calloc(1, sizeof *s + n_slots * sizeof s->slots[0]);
    *out = s;
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u slots", n_slots);
    s->n_slots = n_slots;
    pthread_mutex_init(&s->mutex, NULL);
    return HEARTH_OK;
}

void local_slots_close(struct local_slots *s) {
    if (!s) return;
    for (uint32_t i = 0; i < s->n_slots; i++)
        mem_free(s->slots[i].tokens);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

void local_slots_keep(struct local_slots *s, uint32_t number, int32_t *tokens, uint32_t n_tokens,
                      const struct adapter_set *adapters) {
    if (number < s->n_slots) {
        struct slot *slot = &s->slots[number];
        pthread_mutex_lock(&s->mutex);
        int32_t *before = slot->tokens;
        *slot = (struct slot){tokens, n_tokens, *adapters};
        pthread_mutex_unlock(&s->mutex);
        tokens = before;
    }
    mem_free(tokens);
}

/* A copy, given: the place may be used meanwhile. */
static hearth_status copy_slot(struct local_slots *s, uint32_t number, struct slot *out,
                               hearth_error *err) {
    const struct slot *slot = &s->slots[number];
    hearth_status status = HEARTH_OK;
    pthread_mutex_lock(&s->mutex);
    *out = *slot;
    if (slot->tokens) {
        out->tokens = mem_alloc_array(slot->n_tokens, sizeof *out->tokens);
        if (out->tokens)
            memcpy(out->tokens, slot->tokens, slot->n_tokens * sizeof *out->tokens);
        else
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a slot's tokens");
    }
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* ---- what is asked of them ------------------------------------------------------------- */

static hearth_status say(json_t *out, const char *tokens, uint32_t n_tokens, const char *bytes,
                         uint64_t n_bytes, hearth_error *err) {
    json_t *facts =
        json_pack("{s:I, s:I}", tokens, (json_int_t)n_tokens, bytes, (json_int_t)n_bytes);
    int failed = facts ? json_object_update(out, facts) : -1;
    json_decref(facts);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the reply");
}

static hearth_status save(struct local_model *m, const struct backend_slot *call, json_t *out,
                          hearth_error *err) {
    struct slot slot;
    uint32_t n_saved = 0;
    uint64_t n_bytes = 0;
    RETURN_IF_ERROR(copy_slot(m->slots, call->number, &slot, err));
    const struct scheduler_prefix prefix = {slot.tokens, slot.n_tokens, &slot.adapters};
    hearth_status status = HEARTH_OK;
    if (slot.tokens)
        status = scheduler_save_prefix(m->scheduler, &prefix, call->path, &n_saved, err);
    if (status == HEARTH_OK && n_saved > 0) status = file_size(call->path, &n_bytes, err);
    mem_free(slot.tokens);
    return status == HEARTH_OK ? say(out, "n_saved", n_saved, "n_written", n_bytes, err) : status;
}

/* With the adapters that are on; the file says whether it is good for them. */
static hearth_status restore(struct local_model *m, const struct backend_slot *call, json_t *out,
                             hearth_error *err) {
    int32_t *tokens = NULL;
    uint32_t n_tokens, n_found;
    uint64_t n_bytes = 0;
    pthread_mutex_lock(&m->adapters);
    const struct adapter_set adapters = m->adapters_on;
    pthread_mutex_unlock(&m->adapters);
    RETURN_IF_ERROR(prefix_file_tokens(call->path, &tokens, &n_tokens, err));
    const struct scheduler_prefix prefix = {tokens, n_tokens, &adapters};
    hearth_status status = scheduler_load_prefix(m->scheduler, &prefix, call->path, &n_found, err);
    if (status == HEARTH_OK) status = file_size(call->path, &n_bytes, err);
    if (status == HEARTH_OK)
        local_slots_keep(m->slots, call->number, tokens, n_found, &adapters);
    else
        mem_free(tokens);
    return status == HEARTH_OK ? say(out, "n_restored", n_found, "n_read", n_bytes, err) : status;
}

static hearth_status erase(struct local_slots *s, uint32_t number, json_t *out, hearth_error *err) {
    const struct adapter_set none = {.count = 0};
    pthread_mutex_lock(&s->mutex);
    uint32_t n = s->slots[number].n_tokens;
    pthread_mutex_unlock(&s->mutex);
    local_slots_keep(s, number, NULL, 0, &none);
    if (json_object_set_new(out, "n_erased", json_integer(n)) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the reply");
}

hearth_status local_slots_call(struct local_model *m, const struct backend_slot *call, json_t *out,
                               hearth_error *err) {
    if (!m->slots)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "slots of '%s' are not kept", m->name);
    if (call->number >= m->slots->n_slots)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "there is no slot %u; '%s' has %u",
                         call->number, m->name, m->slots->n_slots);
    switch (call->action) {
    case SLOT_SAVE: return save(m, call, out, err);
    case SLOT_RESTORE: return restore(m, call, out, err);
    case SLOT_ERASE: break;
    }
    return erase(m->slots, call->number, out, err);
}
