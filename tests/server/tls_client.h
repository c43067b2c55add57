/* tls_client.h - certificates made for a test, and a client that speaks TLS: what is written to a
 * socket goes through TLS to the server and back, so that wire.h can be used as without. */
#ifndef HEARTH_TESTS_SERVER_TLS_CLIENT_H
#define HEARTH_TESTS_SERVER_TLS_CLIENT_H

#include "testdata.h"

#include <gnutls/gnutls.h>
#include <pthread.h>

/* A certificate of this name that signs itself, and its key (mode 0600), as PEM. */
void tls_make_certificate(const char *name, const char *certificate_file, const char *key_file);

struct tls_tunnel {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int socket, inner; /* to the server; to whoever holds the other end of the pair */
    pthread_t thread;
    char peer[64]; /* the name in the server's certificate */
};

/* What a test reads and writes, or -1: the handshake failed. Closing it hangs up on the server.
 * `priorities` as GnuTLS writes them; NULL: the usual ones. */
int tls_tunnel_open(struct tls_tunnel *tunnel, unsigned port, const char *priorities);
/* After its end was closed. Not for one whose handshake failed. */
void tls_tunnel_close(struct tls_tunnel *tunnel);

#endif
