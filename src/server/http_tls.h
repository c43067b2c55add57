/* http_tls.h - the certificate of a server that speaks TLS, and its change while the server runs;
 * private to the room.
 *
 * libmicrohttpd does the handshakes. It takes a certificate once, so each connection is given the
 * current one when it begins. Former ones stay until the end, since connections may still use them;
 * there are as many as there were different ones. Any thread. */
#ifndef HEARTH_SERVER_HTTP_TLS_H
#define HEARTH_SERVER_HTTP_TLS_H

#include <stdint.h>

#include "base/status.h"

struct http_tls;

/* TLS 1.2 (RFC 5246) with forward secrecy and authenticated ciphers only, and TLS 1.3 (RFC 8446),
 * as GnuTLS writes it. */
#define HTTP_TLS_PRIORITIES                                                                        \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"               \
    "-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM"

/* Files in PEM: the certificate and those between it and the root; its key, which nobody but its
 * owner may read, or a group if it is root's. Both names are borrowed until http_tls_close. */
hearth_status http_tls_open(struct http_tls **out, const char *certificate_file,
                            const char *key_file, hearth_error *err);
void http_tls_close(struct http_tls *tls); /* NULL is fine */
/* Reads the files again. What is wrong with them changes nothing: the former certificate stays. */
hearth_status http_tls_reload(struct http_tls *tls, hearth_error *err);

/* The texts of the first ones, as libmicrohttpd wants them; until http_tls_close. */
const char *http_tls_certificate(const struct http_tls *tls);
const char *http_tls_key(const struct http_tls *tls);
/* The current certificate onto a session (gnutls_session_t) that has not begun its handshake. */
void http_tls_prepare(struct http_tls *tls, void *session);
/* When the current one ends to be valid, in seconds since 1970. */
int64_t http_tls_expires(struct http_tls *tls);

#endif
