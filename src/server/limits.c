#include "server/limits.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"

/* What a minute allows is also the most that can be saved up. */
struct bucket {
    double level;
    uint64_t filled_ns;
};

struct entry {
    char id[KEY_ID_BYTES]; /* "": free */
    struct bucket requests, tokens;
    uint32_t running;
};

struct limits {
    pthread_mutex_t mutex;
    struct entry *entries; /* open addressing, by the hash of the id */
    size_t capacity, count;
};

hearth_status limits_open(struct limits **out, hearth_error *err) {
    enum { FIRST_CAPACITY = 64 };
    struct limits *l = mem_calloc(1, sizeof *l);
    *out = NULL;
    if (l) l->entries = mem_calloc(FIRST_CAPACITY, sizeof *l->entries);
    if (!l || !l->entries) {
        mem_free(l);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for limits");
    }
    l->capacity = FIRST_CAPACITY;
    pthread_mutex_init(&l->mutex, NULL);
    *out = l;
    return HEARTH_OK;
}

void limits_close(struct limits *l) {
    if (!l) return;
    pthread_mutex_destroy(&l->mutex);
    mem_free(l->entries);
    mem_free(l);
}

static uint64_t hash_of(const char *id) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    return hash;
}

static struct entry *slot_of(struct entry *entries, size_t capacity, const char *id) {
    size_t i = (size_t)hash_of(id) & (capacity - 1);
    while (entries[i].id[0] && strcmp(entries[i].id, id) != 0)
        i = (i + 1) & (capacity - 1);
    return &entries[i];
}

static bool grow(struct limits *l) {
    size_t capacity = l->capacity * 2;
    struct entry *grown = mem_calloc(capacity, sizeof *grown);
    if (!grown) return false;
    for (size_t i = 0; i < l->capacity; i++)
        if (l->entries[i].id[0]) *slot_of(grown, capacity, l->entries[i].id) = l->entries[i];
    mem_free(l->entries);
    l->entries = grown;
    l->capacity = capacity;
    return true;
}

/* A new key has a full minute. NULL: no memory, or more keys than can be. */
static struct entry *entry_of(struct limits *l, const struct key_identity *key, uint64_t now_ns) {
    struct entry *entry = slot_of(l->entries, l->capacity, key->id);
    if (entry->id[0]) return entry;
    if (l->count == LIMITS_MOST_KEYS || (l->count * 2 >= l->capacity && !grow(l))) return NULL;
    entry = slot_of(l->entries, l->capacity, key->id);
    *entry = (struct entry){.requests = {key->limits.requests_per_minute, now_ns},
                            .tokens = {key->limits.tokens_per_minute, now_ns}};
    memcpy(entry->id, key->id, sizeof entry->id);
    l->count++;
    return entry;
}

static void refill(struct bucket *b, double per_minute, uint64_t now_ns) {
    if (now_ns > b->filled_ns) b->level += per_minute * (double)(now_ns - b->filled_ns) / 60e9;
    if (b->level > per_minute) b->level = per_minute;
    b->filled_ns = now_ns;
}

static unsigned seconds_until(const struct bucket *b, double level, double per_minute) {
    double seconds = ceil((level - b->level) * 60 / per_minute);
    return seconds < 1 ? 1 : (unsigned)seconds;
}

static bool may_begin(struct entry *e, const struct key_limits *limits, uint64_t now_ns,
                      unsigned *retry_s, const char **exhausted) {
    double requests = limits->requests_per_minute, tokens = limits->tokens_per_minute;
    if (limits->concurrent && e->running >= limits->concurrent) {
        *retry_s = 1;
        *exhausted = "requests at a time";
        return false;
    }
    if (tokens > 0) {
        refill(&e->tokens, tokens, now_ns);
        *exhausted = "tokens a minute";
        if (e->tokens.level <= 0) {
            *retry_s = seconds_until(&e->tokens, 1, tokens);
            return false;
        }
    }
    if (requests > 0) {
        refill(&e->requests, requests, now_ns);
        *exhausted = "requests a minute";
        if (e->requests.level < 1) {
            *retry_s = seconds_until(&e->requests, 1, requests);
            return false;
        }
        e->requests.level -= 1;
    }
    return true;
}

bool limits_begin(struct limits *l, const struct key_identity *key, uint64_t now_ns,
                  unsigned *retry_s, const char **exhausted) {
    pthread_mutex_lock(&l->mutex);
    struct entry *entry = entry_of(l, key, now_ns);
    bool may = entry != NULL;
    *retry_s = 1;
    *exhausted = "keys";
    if (entry) may = may_begin(entry, &key->limits, now_ns, retry_s, exhausted);
    if (entry && may) entry->running++;
    pthread_mutex_unlock(&l->mutex);
    return may;
}

void limits_end(struct limits *l, const struct key_identity *key) {
    pthread_mutex_lock(&l->mutex);
    struct entry *entry = slot_of(l->entries, l->capacity, key->id);
    if (entry->running > 0) entry->running--;
    pthread_mutex_unlock(&l->mutex);
}

void limits_count_tokens(struct limits *l, const struct key_identity *key, uint64_t n,
                         uint64_t now_ns) {
    pthread_mutex_lock(&l->mutex);
    struct entry *entry = slot_of(l->entries, l->capacity, key->id);
    if (entry->id[0] && key->limits.tokens_per_minute) {
        refill(&entry->tokens, key->limits.tokens_per_minute, now_ns);
        entry->tokens.level -= (double)n;
    }
    pthread_mutex_unlock(&l->mutex);
}
