#include "hub/trailing_hash.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 1 << 18 };

/* `lock` guards ready_bytes and stop; the rest belongs to the thread until it is
 * joined. */
struct trailing_hash {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fd;
    uint64_t size_bytes, ready_bytes;
    bool stop, failed;
    struct sha256 sha;
    uint8_t block[BLOCK_BYTES];
};

/* Waits for bytes after `at`: how many may be read, 0 to stop. */
static uint64_t wait_for_bytes(struct trailing_hash *h, uint64_t at) {
    pthread_mutex_lock(&h->lock);
    while (!h->stop && h->ready_bytes == at)
        pthread_cond_wait(&h->changed, &h->lock);
    uint64_t left = h->stop ? 0 : h->ready_bytes - at;
    pthread_mutex_unlock(&h->lock);
    return left < BLOCK_BYTES ? left : BLOCK_BYTES;
}

static void *follow_writer(void *context) {
    struct trailing_hash *h = context;
    for (uint64_t at = 0; at < h->size_bytes;) {
        uint64_t n = wait_for_bytes(h, at);
        if (n == 0) break;
        if (pread(h->fd, h->block, (size_t)n, (off_t)at) != (ssize_t)n) {
            h->failed = true;
            break;
        }
        sha256_update(&h->sha, h->block, (size_t)n);
        at += n;
    }
    return NULL;
}

hearth_status trailing_hash_start(struct trailing_hash **hash, int fd, uint64_t size_bytes,
                                  hearth_error *err) {
    struct trailing_hash *h = mem_calloc(1, sizeof *h);
    *hash = NULL;
    if (!h) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to check a download");
    h->fd = fd;
    h->size_bytes = size_bytes;
    sha256_init(&h->sha);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    if (pthread_create(&h->thread, NULL, follow_writer, h) != 0) {
        mem_free(h);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no thread to check a download");
    }
    *hash = h;
    return HEARTH_OK;
}

void trailing_hash_advance(struct trailing_hash *hash, uint64_t ready_bytes) {
    pthread_mutex_lock(&hash->lock);
    if (ready_bytes > hash->ready_bytes) {
        hash->ready_bytes = ready_bytes;
        pthread_cond_signal(&hash->changed);
    }
    pthread_mutex_unlock(&hash->lock);
}

static void join(struct trailing_hash *hash) {
    pthread_join(hash->thread, NULL);
    pthread_cond_destroy(&hash->changed);
    pthread_mutex_destroy(&hash->lock);
}

hearth_status trailing_hash_finish(struct trailing_hash *hash, char hex[SHA256_HEX_BYTES],
                                   hearth_error *err) {
    uint8_t digest[SHA256_BYTES];
    join(hash);
    bool failed = hash->failed;
    sha256_final(&hash->sha, digest);
    sha256_hex(digest, hex);
    mem_free(hash);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_IO, "cannot read back what was downloaded; check the disk");
}

void trailing_hash_abandon(struct trailing_hash *hash) {
    if (!hash) return;
    pthread_mutex_lock(&hash->lock);
    hash->stop = true;
    pthread_cond_signal(&hash->changed);
    pthread_mutex_unlock(&hash->lock);
    join(hash);
    mem_free(hash);
}
