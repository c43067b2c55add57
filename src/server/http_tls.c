#include "server/http_tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private_file.h"

#define MAX_FILE_BYTES ((size_t)1 << 20)

/* A certificate with its key. */
struct identity {
    struct identity *former;
    char *certificate, *key; /* the texts of the files */
    size_t n_certificate, n_key;
    gnutls_certificate_credentials_t credentials;
    int64_t expires_s;
};

struct http_tls {
    const char *certificate_file, *key_file;
    struct identity *first;
    pthread_mutex_t mutex;
    struct identity *current;
};

static void free_identity(struct identity *identity) {
    if (!identity) return;
    if (identity->credentials) gnutls_certificate_free_credentials(identity->credentials);
    if (identity->key) gnutls_memset(identity->key, 0, identity->n_key);
    mem_free(identity->certificate);
    mem_free(identity->key);
    mem_free(identity);
}

static hearth_status make_credentials(const struct http_tls *tls, struct identity *identity,
                                      hearth_error *err) {
    const gnutls_datum_t certificate = {(unsigned char *)identity->certificate,
                                        (unsigned)identity->n_certificate},
                         key = {(unsigned char *)identity->key, (unsigned)identity->n_key};
    int code = gnutls_certificate_allocate_credentials(&identity->credentials);
    if (code >= 0)
        code = gnutls_certificate_set_x509_key_mem(identity->credentials, &certificate, &key,
                                                   GNUTLS_X509_FMT_PEM);
    if (code >= 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "cannot use the certificate '%s' with the key '%s': %s; both must be PEM and "
                     "belong together",
                     tls->certificate_file, tls->key_file, gnutls_strerror(code));
}

/* Of the first certificate in the file, which is the server's own. */
static hearth_status read_expiry(const struct http_tls *tls, struct identity *identity,
                                 hearth_error *err) {
    const gnutls_datum_t text = {(unsigned char *)identity->certificate,
                                 (unsigned)identity->n_certificate};
    gnutls_x509_crt_t certificate;
    int code = gnutls_x509_crt_init(&certificate);
    if (code < 0) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a certificate");
    code = gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM);
    if (code >= 0) identity->expires_s = gnutls_x509_crt_get_expiration_time(certificate);
    gnutls_x509_crt_deinit(certificate);
    if (code < 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "cannot read the certificate '%s': %s",
                         tls->certificate_file, gnutls_strerror(code));
    if (identity->expires_s < (int64_t)time(NULL))
        log_message(LOG_WARNING, "the certificate '%s' is not valid any more",
                    tls->certificate_file);
    return HEARTH_OK;
}

static hearth_status read_identity(const struct http_tls *tls, struct identity **out,
                                   hearth_error *err) {
    struct identity *identity = mem_calloc(1, sizeof *identity);
    *out = NULL;
    if (!identity) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a certificate");
    hearth_status status = file_read(tls->certificate_file, MAX_FILE_BYTES, &identity->certificate,
                                     &identity->n_certificate, err);
    if (status == HEARTH_OK)
        status =
            private_file_text(tls->key_file, MAX_FILE_BYTES, &identity->key, &identity->n_key, err);
    if (status == HEARTH_OK) status = make_credentials(tls, identity, err);
    if (status == HEARTH_OK) status = read_expiry(tls, identity, err);
    if (status == HEARTH_OK)
        *out = identity;
    else
        free_identity(identity);
    return status;
}

static bool is_same(const struct identity *a, const struct identity *b) {
    return a->n_certificate == b->n_certificate && a->n_key == b->n_key &&
           memcmp(a->certificate, b->certificate, a->n_certificate) == 0 &&
           gnutls_memcmp(a->key, b->key, a->n_key) == 0;
}

hearth_status http_tls_open(struct http_tls **out, const char *certificate_file,
                            const char *key_file, hearth_error *err) {
    struct http_tls *tls = mem_calloc(1, sizeof *tls);
    *out = NULL;
    if (!tls) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a certificate");
    tls->certificate_file = certificate_file;
    tls->key_file = key_file;
    pthread_mutex_init(&tls->mutex, NULL);
    hearth_status status = read_identity(tls, &tls->first, err);
    tls->current = tls->first;
    if (status == HEARTH_OK)
        *out = tls;
    else
        http_tls_close(tls);
    return status;
}

void http_tls_close(struct http_tls *tls) {
    if (!tls) return;
    while (tls->current) {
        struct identity *identity = tls->current;
        tls->current = identity->former;
        free_identity(identity);
    }
    pthread_mutex_destroy(&tls->mutex);
    mem_free(tls);
}

hearth_status http_tls_reload(struct http_tls *tls, hearth_error *err) {
    struct identity *identity;
    RETURN_IF_ERROR(read_identity(tls, &identity, err));
    pthread_mutex_lock(&tls->mutex);
    bool same = is_same(identity, tls->current);
    if (!same) {
        identity->former = tls->current;
        tls->current = identity;
    }
    pthread_mutex_unlock(&tls->mutex);
    if (same) free_identity(identity);
    return HEARTH_OK;
}

const char *http_tls_certificate(const struct http_tls *tls) {
    return tls->first->certificate;
}

const char *http_tls_key(const struct http_tls *tls) {
    return tls->first->key;
}

/* Replaces the credentials that libmicrohttpd has set; a failure leaves those. */
void http_tls_prepare(struct http_tls *tls, void *session) {
    pthread_mutex_lock(&tls->mutex);
    gnutls_certificate_credentials_t credentials = tls->current->credentials;
    pthread_mutex_unlock(&tls->mutex);
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
}

int64_t http_tls_expires(struct http_tls *tls) {
    pthread_mutex_lock(&tls->mutex);
    int64_t expires_s = tls->current->expires_s;
    pthread_mutex_unlock(&tls->mutex);
    return expires_s;
}
