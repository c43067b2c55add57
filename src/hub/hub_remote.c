#include "hub/hub_remote.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_LISTING_BYTES = 64 << 20, URL_BYTES = 8192, HEADS_AT_ONCE = 8 };
static const uint64_t max_file_bytes = UINT64_C(1) << 50;

/* ---- refusals ---------------------------------------------------------- */

hearth_status hub_remote_refuse(void *context, const struct http_response *response,
                                hearth_error *err) {
    const struct hub_remote *remote = context;
    const struct hub *hub = remote->hub;
    char code[64] = "";
    bool asked = hub->authorization != NULL;
    if (response->status >= 200 && response->status < 300) return HEARTH_OK;
    http_header(response, "x-error-code", code, sizeof code);
    bool gated = strcmp(code, "GatedRepo") == 0;
    if (gated || (response->status == 403 && asked))
        return error_set(err, HEARTH_ERROR_IO,
                         "'%s' is gated (status %ld): accept its licence at %s/%s%s", remote->repo,
                         response->status, hub->endpoint, remote->repo,
                         asked ? " with the account of your HF_TOKEN, then pull again"
                               : ", then set HF_TOKEN to a token of that account");
    if (strcmp(code, "RevisionNotFound") == 0)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "'%s' has no revision '%s'", remote->repo,
                         remote->revision);
    if (response->status == 401 || response->status == 403)
        return error_set(err, HEARTH_ERROR_IO,
                         "'%s' does not exist or may not be read (status %ld): check the name, %s",
                         remote->repo, response->status,
                         asked ? "and that HF_TOKEN is valid and may read it"
                               : "or set HF_TOKEN if it is private or gated");
    if (response->status == 404)
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "%s has no '%s' at revision '%s': check the name", hub->endpoint,
                         remote->repo, remote->revision);
    hearth_status status = http_check(response, err);
    return error_prefix(err, status, "cannot pull '%s'", remote->repo);
}

/* ---- listing ----------------------------------------------------------- */

static hearth_status bad_listing(const struct hub_remote *remote, const char *why,
                                 hearth_error *err) {
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "the answer of %s about '%s' is not a model listing: %s; check HF_ENDPOINT",
                     remote->hub->endpoint, remote->repo, why);
}

static hearth_status add_sibling(const struct hub_remote *remote, struct hub_files *files,
                                 json_t *item, hearth_error *err) {
    const char *name = json_string_value(json_object_get(item, "rfilename"));
    json_int_t size = json_integer_value(json_object_get(item, "size"));
    if (!name) return bad_listing(remote, "a file without a name", err);
    if (!hub_safe_file(name)) return bad_listing(remote, "a file name that is not safe", err);
    if (size < 0 || (uint64_t)size > max_file_bytes)
        return bad_listing(remote, "a file of impossible size", err);
    return hub_files_add(files, name, (uint64_t)size, 0, err);
}

static hearth_status parse_listing(struct hub_remote *remote, const struct buf *body,
                                   struct hub_files *files, hearth_error *err) {
    json_error_t where;
    json_t *root = json_loadb(buf_text(body), body->length, 0, &where);
    json_t *siblings = json_object_get(root, "siblings"), *item;
    const char *sha = json_string_value(json_object_get(root, "sha"));
    hearth_status status = HEARTH_OK;
    size_t i;
    if (!root)
        status = bad_listing(remote, where.text, err);
    else if (!sha || !hub_safe_commit(sha))
        status = bad_listing(remote, "no commit", err);
    else if (!json_is_array(siblings))
        status = bad_listing(remote, "no list of files", err);
    else
        snprintf(remote->commit, sizeof remote->commit, "%s", sha);
    json_array_foreach(siblings, i, item) {
        if (status == HEARTH_OK) status = add_sibling(remote, files, item, err);
    }
    json_decref(root);
    hub_files_sort(files);
    return status;
}

hearth_status hub_remote_list(struct hub_remote *remote, struct hub_files *files,
                              hearth_error *err) {
    struct buf url;
    struct http_response response = {0};
    buf_init(&url, URL_BYTES);
    buf_append_format(&url, "%s/api/models/%s/revision/", remote->hub->endpoint, remote->repo);
    http_escape(&url, remote->revision, "");
    buf_append_text(&url, "?blobs=true");
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    if (url.failed)
        error_set(err, status, "the address of '%s' is too long", remote->repo);
    else {
        struct http_request request = {.url = url.data,
                                       .authorization = remote->hub->authorization,
                                       .max_body_bytes = MAX_LISTING_BYTES};
        status = http_perform(remote->client, &request, &response, err);
    }
    if (status == HEARTH_OK) status = hub_remote_refuse(remote, &response, err);
    if (status == HEARTH_OK) status = parse_listing(remote, &response.body, files, err);
    http_response_release(&response);
    buf_release(&url);
    return status;
}

/* ---- identity of files ------------------------------------------------- */

char *hub_remote_url(const struct hub_remote *remote, const char *file) {
    struct buf url;
    buf_init(&url, URL_BYTES);
    buf_append_format(&url, "%s/%s/resolve/%s/", remote->hub->endpoint, remote->repo,
                      remote->commit);
    http_escape(&url, file, "/");
    return buf_take(&url);
}

/* Removes W/ and the quotes of an entity tag (RFC 9110, 8.8.3). */
static bool read_etag(const struct http_response *response, const char *header,
                      char out[HUB_ETAG_BYTES]) {
    char value[HUB_ETAG_BYTES + 8];
    if (!http_header(response, header, value, sizeof value)) return false;
    char *from = strncmp(value, "W/", 2) == 0 ? value + 2 : value;
    size_t length = strlen(from);
    if (length >= 2 && from[0] == '"' && from[length - 1] == '"') {
        from[length - 1] = '\0';
        from++;
    }
    if (!hub_safe_etag(from)) return false;
    memcpy(out, from, strlen(from) + 1);
    return true;
}

static bool read_size(const struct http_response *response, const char *header, uint64_t *size) {
    char value[32], *end;
    if (!http_header(response, header, value, sizeof value)) return false;
    if (value[0] < '0' || value[0] > '9') return false;
    unsigned long long n = strtoull(value, &end, 10);
    if (*end || n > max_file_bytes) return false;
    *size = n;
    return true;
}

static hearth_status read_identity(struct hub_remote *remote, const struct http_response *response,
                                   struct hub_file *file, hearth_error *err) {
    char commit[HUB_COMMIT_BYTES];
    bool redirected = response->status >= 300 && response->status < 400;
    if (!redirected) RETURN_IF_ERROR(hub_remote_refuse(remote, response, err));
    if (http_header(response, "x-repo-commit", commit, sizeof commit) &&
        strcmp(commit, remote->commit) != 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "'%s' of '%s' is of commit %.12s, but %.12s was asked for; pull again",
                         file->name, remote->repo, commit, remote->commit);
    uint64_t size = 0;
    bool sized = read_size(response, "x-linked-size", &size) ||
                 (!redirected && read_size(response, "content-length", &size));
    if (!sized || (!read_etag(response, "x-linked-etag", file->etag) &&
                   !read_etag(response, "etag", file->etag)))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "%s does not say size and ETag of '%s'; check HF_ENDPOINT and proxies",
                         remote->hub->endpoint, file->name);
    file->size_bytes = size;
    return HEARTH_OK;
}

static hearth_status start_head(struct hub_remote *remote, struct hub_file *file, char **url,
                                hearth_error *err) {
    struct http_transfer *transfer;
    *url = hub_remote_url(remote, file->name);
    if (!*url)
        return error_set(err, HEARTH_ERROR_LIMIT, "the address of '%s' is too long", file->name);
    static const char *const plain[] = {"Accept-Encoding: identity"}; /* for Content-Length */
    struct http_request request = {.method = HTTP_HEAD,
                                   .url = *url,
                                   .authorization = remote->hub->authorization,
                                   .headers = plain,
                                   .n_headers = 1,
                                   .answer_header = "X-Linked-Etag",
                                   .context = file};
    return http_start(remote->client, &request, &transfer, err);
}

/* A group of at most HEADS_AT_ONCE. */
static hearth_status identify_some(struct hub_remote *remote, struct hub_file **chosen,
                                   size_t count, hearth_error *err) {
    char *urls[HEADS_AT_ONCE] = {0};
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; status == HEARTH_OK && i < count; i++)
        status = start_head(remote, chosen[i], &urls[i], err);
    for (struct http_transfer *t; (t = http_next(remote->client));) {
        struct http_response response;
        hearth_error mine = {0};
        struct hub_file *file = http_transfer_context(t);
        hearth_status one = http_finish(t, &response, &mine);
        if (one == HEARTH_OK) one = read_identity(remote, &response, file, &mine);
        if (status == HEARTH_OK && one != HEARTH_OK) {
            status = one;
            if (err) *err = mine;
        }
        http_response_release(&response);
    }
    for (size_t i = 0; i < count; i++)
        mem_free(urls[i]);
    return status;
}

hearth_status hub_remote_identify(struct hub_remote *remote, struct hub_file **chosen, size_t count,
                                  hearth_error *err) {
    for (size_t i = 0; i < count; i += HEADS_AT_ONCE) {
        size_t n = count - i < HEADS_AT_ONCE ? count - i : HEADS_AT_ONCE;
        RETURN_IF_ERROR(identify_some(remote, chosen + i, n, err));
    }
    return HEARTH_OK;
}
