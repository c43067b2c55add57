/* api.h - the parts of Hearth's own interface (/api/hearth/v1) that only need the store: a
 * request that is already taken apart goes in, a status and JSON come out. No sockets here.
 *
 * Whoever calls has found out who asks (asker.h), and that changes may be made. A handler sees
 * paths that begin with its own word and answers everything below it: unknown places with 404,
 * other methods with 405. Handlers run in jobs of a store_pool; what fails changes nothing. */
#ifndef HEARTH_SERVER_API_H
#define HEARTH_SERVER_API_H

#include <jansson.h>
#include <stddef.h>

#include "server/asker.h"
#include "store/store_pool.h"

struct api_parameter {
    const char *name, *value; /* decoded */
};

struct api_request {
    const char *method;       /* "GET", … */
    const char *const *parts; /* of the path behind /api/hearth/v1/, decoded */
    size_t n_parts;           /* 1 or more */
    const struct api_parameter *query;
    size_t n_query;
    const json_t *body; /* NULL: none came */
    const struct asker *asker;
    const char *cookie; /* the token of the session, or NULL */
    int64_t now;        /* milliseconds since 1970 */
};

enum api_cookie { COOKIE_STAYS, COOKIE_SET, COOKIE_REMOVED };

struct api_answer {
    int status;   /* of HTTP */
    json_t *body; /* NULL only where there was no memory for one */
    enum api_cookie cookie;
    char token[STORE_TOKEN_BYTES]; /* COOKIE_SET */
    int64_t cookie_expires;
};
void api_answer_release(struct api_answer *answer);

typedef void (*api_handler)(struct store *store, const struct api_request *request,
                            struct api_answer *answer);
/* Carries it out in a job of the pool; an answer that is no failure is on the disk. */
void api_call(struct store_pool *pool, api_handler handler, const struct api_request *request,
              struct api_answer *answer);

/* ---- what handlers are made of ---------------------------------------------------------- */

bool api_method_is(const struct api_request *request, const char *method);
const char *api_parameter(const struct api_request *request, const char *name); /* or NULL */

/* Takes `body`; NULL: no memory for it. */
void api_give(struct api_answer *answer, int status, json_t *body);
/* {"error":{"message","field"}}; a field of NULL is left out. */
void api_fail(struct api_answer *answer, int status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What the store said; its own troubles go to the log, and are not told to clients. */
void api_fail_store(struct api_answer *answer, hearth_status status, const hearth_error *err);
void api_fail_place(struct api_answer *answer);
/* `methods`: those that there are. */
void api_fail_method(struct api_answer *answer, const char *methods);
/* False, and the answer says so: who asks does not look after this server. */
bool api_need_admin(const struct api_request *request, struct api_answer *answer);

/* ISO 8601; 0 is null. */
json_t *api_date(int64_t ms);

#endif
