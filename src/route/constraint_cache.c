#include "route/constraint_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define KEY_MAX_BYTES ((size_t)256 << 20)

struct cached_constraint {
    struct constraint *constraint;
    char *key; /* kind, vocabulary and source */
    size_t n_users;
    struct cached_constraint *next; /* used more recently ones first */
};

struct constraint_cache {
    const struct tokenizer *tokenizer;
    const struct answer_form *form;
    pthread_mutex_t mutex;
    struct constraint_vocabulary *vocabularies[2]; /* [control]; NULL: not needed so far */
    struct cached_constraint *first;
};

hearth_status constraint_cache_open(struct constraint_cache **out,
                                    const struct tokenizer *tokenizer,
                                    const struct answer_form *form, hearth_error *err) {
    struct constraint_cache *cache = mem_calloc(1, sizeof *cache);
    *out = cache;
    if (!cache) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for constraints");
    cache->tokenizer = tokenizer;
    cache->form = form;
    pthread_mutex_init(&cache->mutex, NULL);
    return HEARTH_OK;
}

static void free_entry(struct cached_constraint *entry) {
    constraint_close(entry->constraint);
    mem_free(entry->key);
    mem_free(entry);
}

void constraint_cache_close(struct constraint_cache *cache) {
    if (!cache) return;
    for (struct cached_constraint *next, *entry = cache->first; entry; entry = next) {
        next = entry->next;
        free_entry(entry);
    }
    for (size_t i = 0; i < 2; i++)
        constraint_vocabulary_close(cache->vocabularies[i]);
    pthread_mutex_destroy(&cache->mutex);
    mem_free(cache);
}

/* ---- the vocabulary ------------------------------------------------------------- */

static hearth_status open_vocabulary(struct constraint_cache *cache, bool control,
                                     hearth_error *err) {
    const struct tokenizer *t = cache->tokenizer;
    size_t n = tokenizer_n_vocab(t);
    struct constraint_token *tokens = mem_calloc(n, sizeof *tokens);
    if (!tokens) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a vocabulary");
    for (size_t i = 0; i < n; i++) {
        int32_t id = (int32_t)i;
        struct text piece = tokenizer_piece(t, id);
        tokens[i].ends = tokenizer_is_end_of_generation(t, id);
        bool is_tag = control && cache->form &&
                      answer_form_is_of_calls(cache->form, piece.data, piece.length);
        if (tokens[i].ends || (tokenizer_is_special(t, id) && !is_tag)) continue;
        tokens[i].bytes = piece.data;
        tokens[i].n_bytes = piece.length;
        tokens[i].control = tokenizer_is_special(t, id);
    }
    hearth_status status =
        constraint_vocabulary_open(&cache->vocabularies[control], tokens, n, err);
    mem_free(tokens);
    return status;
}

/* ---- what is kept ----------------------------------------------------------------- */

/* NULL: no memory. */
static char *key_of(const struct constraint_wanted *wanted) {
    struct buf key;
    char *schema =
        wanted->schema ? json_dumps(wanted->schema, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    bool whole = schema || !wanted->schema;
    buf_init(&key, KEY_MAX_BYTES);
    buf_append_format(&key, "%d %d ", (int)wanted->kind, (int)wanted->control);
    if (schema) buf_append_text(&key, schema);
    if (wanted->text) buf_append_text(&key, wanted->text);
    free(schema);
    char *text = whole ? buf_take(&key) : NULL;
    buf_release(&key);
    return text;
}

static struct cached_constraint *find(struct constraint_cache *cache, const char *key) {
    for (struct cached_constraint **link = &cache->first; *link; link = &(*link)->next) {
        struct cached_constraint *entry = *link;
        if (strcmp(entry->key, key) != 0) continue;
        *link = entry->next;
        entry->next = cache->first;
        cache->first = entry;
        return entry;
    }
    return NULL;
}

/* Those that were used longest ago go first. */
static void forget_old(struct constraint_cache *cache) {
    size_t n_idle = 0;
    for (struct cached_constraint **link = &cache->first; *link;) {
        struct cached_constraint *entry = *link;
        if (entry->n_users == 0 && ++n_idle > CONSTRAINT_CACHE_KEPT) {
            *link = entry->next;
            free_entry(entry);
        } else
            link = &entry->next;
    }
}

/* Takes the key. */
static hearth_status add(struct constraint_cache *cache, const struct constraint_wanted *wanted,
                         char *key, struct cached_constraint **out, hearth_error *err) {
    struct cached_constraint *entry = mem_calloc(1, sizeof *entry);
    hearth_status status =
        entry ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a constraint");
    if (status == HEARTH_OK && !cache->vocabularies[wanted->control])
        status = open_vocabulary(cache, wanted->control, err);
    if (status == HEARTH_OK)
        status = constraint_open(&entry->constraint, cache->vocabularies[wanted->control],
                                 wanted->kind, wanted->schema, wanted->text, err);
    if (status == HEARTH_OK && wanted->n_marks > 0)
        status = constraint_set_marks(entry->constraint, wanted->marks, wanted->n_marks, err);
    if (status != HEARTH_OK) {
        if (entry) constraint_close(entry->constraint);
        mem_free(entry);
        mem_free(key);
        return status;
    }
    entry->key = key;
    entry->next = cache->first;
    cache->first = entry;
    *out = entry;
    return HEARTH_OK;
}

hearth_status constraint_cache_take(struct constraint_cache *cache,
                                    const struct constraint_wanted *wanted,
                                    struct cached_constraint **out, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    char *key = key_of(wanted);
    *out = NULL;
    if (!key) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a constraint");
    pthread_mutex_lock(&cache->mutex);
    *out = find(cache, key);
    if (*out)
        mem_free(key);
    else
        status = add(cache, wanted, key, out, err);
    if (*out) (*out)->n_users++;
    pthread_mutex_unlock(&cache->mutex);
    return status;
}

void constraint_cache_give_back(struct constraint_cache *cache,
                                struct cached_constraint *constraint) {
    if (!constraint) return;
    pthread_mutex_lock(&cache->mutex);
    constraint->n_users--;
    forget_old(cache);
    pthread_mutex_unlock(&cache->mutex);
}

struct constraint *cached_constraint_of(struct cached_constraint *constraint) {
    return constraint->constraint;
}
