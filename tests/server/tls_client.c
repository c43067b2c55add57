#include "tls_client.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum { LIMIT_MS = 10000 };

/* ---- certificates ------------------------------------------------------------------- */

static void must(int code) {
    if (code < 0) fail_msg("%s", gnutls_strerror(code));
}

static void write_file(const char *path, const gnutls_datum_t *data) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data->data, 1, data->size, file), data->size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void write_key(gnutls_x509_privkey_t key, const char *path) {
    gnutls_datum_t text;
    must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text));
    write_file(path, &text);
    gnutls_free(text.data);
}

void tls_make_certificate(const char *name, const char *certificate_file, const char *key_file) {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t text;
    const time_t now = time(NULL);
    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    must(gnutls_x509_crt_init(&certificate));
    must(gnutls_x509_crt_set_version(certificate, 3));
    must(gnutls_x509_crt_set_serial(certificate, "\1", 1));
    must(gnutls_x509_crt_set_activation_time(certificate, now - 60));
    must(gnutls_x509_crt_set_expiration_time(certificate, now + 3600));
    must(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned)strlen(name)));
    must(gnutls_x509_crt_set_key(certificate, key));
    must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0));
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &text));
    write_file(certificate_file, &text);
    write_key(key, key_file);
    gnutls_free(text.data);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
}

/* ---- the tunnel ------------------------------------------------------------------------ */

static bool await(int fd, short events) {
    struct pollfd one = {.fd = fd, .events = events};
    return poll(&one, 1, LIMIT_MS) == 1;
}

static bool to_server(struct tls_tunnel *t) {
    char block[16384];
    ssize_t n = recv(t->inner, block, sizeof block, 0);
    for (ssize_t sent = 0; sent < n;) {
        ssize_t code = gnutls_record_send(t->session, block + sent, (size_t)(n - sent));
        if (code >= 0)
            sent += code;
        else if (code != GNUTLS_E_AGAIN || !await(t->socket, POLLOUT))
            return false;
    }
    return n > 0;
}

static bool from_server(struct tls_tunnel *t) {
    char block[16384];
    ssize_t n = gnutls_record_recv(t->session, block, sizeof block);
    if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) return true;
    for (ssize_t sent = 0; sent < n;) {
        ssize_t code = send(t->inner, block + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (code <= 0) return false;
        sent += code;
    }
    return n > 0;
}

static void *pump(void *context) {
    struct tls_tunnel *t = context;
    for (bool open = true; open;) {
        struct pollfd both[] = {{.fd = t->inner, .events = POLLIN},
                                {.fd = t->socket, .events = POLLIN}};
        bool pending = gnutls_record_check_pending(t->session) > 0;
        if (!pending) poll(both, 2, -1);
        if (both[0].revents) open = to_server(t);
        if (open && (pending || both[1].revents)) open = from_server(t);
    }
    shutdown(t->inner, SHUT_RDWR);
    close(t->socket);
    return NULL;
}

static void take_peer(struct tls_tunnel *t) {
    unsigned n;
    size_t size = sizeof t->peer;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(t->session, &n);
    gnutls_x509_crt_t certificate;
    assert_non_null(chain);
    must(gnutls_x509_crt_init(&certificate));
    must(gnutls_x509_crt_import(certificate, chain, GNUTLS_X509_FMT_DER));
    must(gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, t->peer,
                                       &size));
    gnutls_x509_crt_deinit(certificate);
}

static void release(struct tls_tunnel *t) {
    gnutls_deinit(t->session);
    gnutls_certificate_free_credentials(t->credentials);
}

int tls_tunnel_open(struct tls_tunnel *t, unsigned port, const char *priorities) {
    int pair[2], code;
    must(gnutls_certificate_allocate_credentials(&t->credentials));
    must(gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK));
    must(gnutls_priority_set_direct(t->session, priorities ? priorities : "NORMAL", NULL));
    must(gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->credentials));
    t->socket = wire_connect(port);
    gnutls_transport_set_int(t->session, t->socket);
    do
        code = gnutls_handshake(t->session);
    while ((code == GNUTLS_E_AGAIN && await(t->socket, POLLIN)) || code == GNUTLS_E_INTERRUPTED);
    if (code < 0) {
        close(t->socket);
        release(t);
        return -1;
    }
    take_peer(t);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    t->inner = pair[1];
    assert_int_equal(pthread_create(&t->thread, NULL, pump, t), 0);
    return pair[0];
}

void tls_tunnel_close(struct tls_tunnel *t) {
    pthread_join(t->thread, NULL);
    close(t->inner);
    release(t);
}
