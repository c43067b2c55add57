/* hearth keys: the keys with which clients may use the server, in the database that a server on
 * this machine uses, too. It says of a new or revoked key at its next request.
 *
 * What may be done is decided where the server decides it (server/api_keys.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/run_history.h"
#include "server/api_dispatch.h"

/* ---- asking ------------------------------------------------------------------------- */

/* Prints what is wrong; an answer that is none is released. */
static bool is_answered(struct api_answer *answer) {
    const json_t *error = json_object_get(answer->body, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    if (answer->body && answer->status < 400) return true;
    fprintf(stderr, "hearth: %s\n", message ? message : "no memory for an answer");
    api_answer_release(answer);
    return false;
}

/* As whoever looks after the server; `id` and `body` nullable. */
static bool ask(const char *method, const char *id, const json_t *body,
                const struct api_parameter *parameter, struct api_answer *answer) {
    static const struct asker owner = {.kind = ASKER_LOCAL};
    const char *const parts[] = {"keys", id};
    const struct api_request request = {.method = method,
                                        .parts = parts,
                                        .n_parts = id ? 2 : 1,
                                        .query = parameter,
                                        .n_query = parameter ? 1 : 0,
                                        .body = body,
                                        .asker = &owner,
                                        .now = date_now_ms()};
    struct store_pool *pool = NULL;
    hearth_error err = {0};
    char *path = NULL;
    hearth_status status = run_history_file(&path, &err);
    if (status == HEARTH_OK) status = store_pool_open(&pool, path, &err);
    if (status == HEARTH_OK)
        api_dispatch(pool, &request, NULL, answer);
    else
        command_fail(&err);
    store_pool_close(pool);
    mem_free(path);
    return status == HEARTH_OK && is_answered(answer);
}

static void print_json(const json_t *value) {
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
}

/* ---- list ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *key, const char *name) {
    const char *text = json_string_value(json_object_get(key, name));
    return text ? text : "-";
}

/* The day of a date, which is enough for a table. */
static int day_bytes(const char *date) {
    return (int)strcspn(date, "T");
}

static void print_limit(const json_t *key, const char *name, const char *unit) {
    json_int_t n = json_integer_value(json_object_get(json_object_get(key, "limits"), name));
    if (n > 0) printf("  %lld %s", (long long)n, unit);
}

/* Names are anybody's who may make keys: nothing of them moves a terminal's cursor. */
static const char *plain_name(const json_t *key, char out[KEY_NAME_MAX_BYTES + 1]) {
    snprintf(out, KEY_NAME_MAX_BYTES + 1, "%s", text_of(key, "name"));
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return out;
}

static void print_key(const json_t *key, int width) {
    char name[KEY_NAME_MAX_BYTES + 1];
    const char *created = text_of(key, "created"), *used = text_of(key, "last_used"),
               *revoked = json_string_value(json_object_get(key, "revoked")),
               *expires = revoked ? "revoked" : text_of(key, "expires");
    printf("%s  %-*s  %s…  %-5s  %-10.*s  %-10.*s  %-10.*s", text_of(key, "id"), width,
           plain_name(key, name), text_of(key, "prefix"), text_of(key, "role"), day_bytes(created),
           created, day_bytes(used), used, day_bytes(expires), expires);
    print_limit(key, "requests_per_minute", "requests/min");
    print_limit(key, "tokens_per_minute", "tokens/min");
    print_limit(key, "concurrent", "at a time");
    putchar('\n');
}

static void print_table(const json_t *keys) {
    int width = 4;
    size_t i;
    const json_t *key;
    json_array_foreach(keys, i, key) {
        int n = (int)strlen(text_of(key, "name"));
        if (n > width) width = n;
    }
    if (json_array_size(keys) == 0) {
        fputs("no keys: 'hearth keys create NAME' makes the first\n", stderr);
        return;
    }
    printf("%-*s  %-*s  %-*s  %-5s  %-10s  %-10s  %-10s  %s\n", STORE_ID_BYTES - 1, "ID", width,
           "NAME", KEY_SHOWN_BYTES, "KEY", "ROLE", "CREATED", "LAST USED", "EXPIRES", "LIMITS");
    json_array_foreach(keys, i, key) {
        print_key(key, width);
    }
}

static int keys_list(int argc, char **argv) {
    static const struct api_parameter revoked = {"revoked", "1"};
    bool json = false, all = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json},
        {.name = "all",
         .letter = 'a',
         .help = "those that were revoked as well",
         .type = OPTION_FLAG,
         .flag = &all},
    };
    const struct option_table table = {.command = "hearth keys list",
                                       .summary = "Lists the keys of the server's clients.",
                                       .specs = specs,
                                       .n_specs = sizeof specs / sizeof specs[0]};
    struct option_arguments arguments;
    struct api_answer answer = {0};
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (!ask("GET", NULL, NULL, all ? &revoked : NULL, &answer)) return EXIT_FAILED;
    const json_t *keys = json_object_get(answer.body, "keys");
    if (json)
        print_json(keys);
    else
        print_table(keys);
    api_answer_release(&answer);
    return EXIT_OK;
}

/* ---- create ------------------------------------------------------------------------------ */

struct creation {
    bool admin, user, json;
    int64_t requests, tokens, concurrent;
    const char *expires;
};

/* "90d" from now, or a date; NULL: none of both. */
static json_t *time_of(const char *text) {
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}, {'y', 31536000}};
    char date[DATE_TEXT_BYTES], *end;
    int64_t ms;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end != text && *end == units[i].unit && !end[1] && !errno && n > 0 && n <= 100000000)
            return json_string(date_format(date_now_ms() + n * units[i].seconds * 1000, date));
    snprintf(date, sizeof date, "%.10sT00:00:00Z", text);
    if (date_parse(text, &ms) || (strlen(text) == 10 && date_parse(date, &ms)))
        return json_string(date_format(ms, date));
    return NULL;
}

/* What the server takes for a new key; NULL: a message was printed. */
static json_t *body_of(const struct creation *c, const char *name) {
    json_t *limits = json_object(), *expires = NULL;
    if (c->requests) json_object_set_new(limits, "requests_per_minute", json_integer(c->requests));
    if (c->tokens) json_object_set_new(limits, "tokens_per_minute", json_integer(c->tokens));
    if (c->concurrent) json_object_set_new(limits, "concurrent", json_integer(c->concurrent));
    if (c->expires && !(expires = time_of(c->expires))) {
        fprintf(stderr, "hearth keys create: '%s' is no time to come: 90d, 12h, 2027-01-31\n",
                c->expires);
        json_decref(limits);
        return NULL;
    }
    json_t *body = json_pack("{s:s, s:s*, s:o, s:o*}", "name", name, "role",
                             c->admin  ? "admin"
                             : c->user ? "user"
                                       : NULL,
                             "limits", limits, "expires", expires);
    if (!body) fputs("hearth keys create: the name is not UTF-8\n", stderr);
    return body;
}

/* The key alone on standard output, so that it can be caught. */
static void print_made(const json_t *key) {
    char name[KEY_NAME_MAX_BYTES + 1];
    fprintf(stderr, "key '%s' (%s), of the role %s; it is not shown again:\n",
            plain_name(key, name), text_of(key, "id"), text_of(key, "role"));
    puts(text_of(key, "key"));
}

static size_t creation_specs(struct creation *c, struct option_spec *specs) {
    const struct option_spec own[] = {
        {.name = "admin",
         .help = "may look after keys, settings and models; the first key always may",
         .type = OPTION_FLAG,
         .flag = &c->admin},
        {.name = "user",
         .help = "may only ask (default, but for the first key)",
         .type = OPTION_FLAG,
         .flag = &c->user},
        {.name = "requests-per-minute",
         .argument = "N",
         .help = "limit of requests a minute",
         .type = OPTION_INT,
         .least = 1,
         .most = 1e9,
         .integer = &c->requests},
        {.name = "tokens-per-minute",
         .argument = "N",
         .help = "limit of tokens a minute, of prompts and answers",
         .type = OPTION_INT,
         .least = 1,
         .most = 1e9,
         .integer = &c->tokens},
        {.name = "concurrent",
         .argument = "N",
         .help = "limit of requests at a time",
         .type = OPTION_INT,
         .least = 1,
         .most = 1e9,
         .integer = &c->concurrent},
        {.name = "expires",
         .argument = "WHEN",
         .help = "after so long, as 90d or 12h, or at a time, as 2027-01-31",
         .type = OPTION_STRING,
         .string = &c->expires},
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &c->json},
    };
    memcpy(specs, own, sizeof own);
    return sizeof own / sizeof own[0];
}

static int keys_create(int argc, char **argv) {
    struct creation c = {0};
    struct option_spec specs[8];
    const struct option_table table = {
        .command = "hearth keys create",
        .arguments = "NAME",
        .summary = "Makes a key and prints it, once: only its hash is kept. As soon as there is a\n"
                   "key, a server needs one of all who ask.",
        .examples = "hearth keys create team --requests-per-minute 60 --expires 90d\n"
                    "KEY=$(hearth keys create ci)",
        .specs = specs,
        .n_specs = creation_specs(&c, specs),
        .min_arguments = 1,
        .max_arguments = 1};
    struct option_arguments arguments;
    struct api_answer answer = {0};
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    json_t *body = body_of(&c, arguments.items[0]);
    if (!body) return EXIT_USAGE;
    bool made = ask("POST", NULL, body, NULL, &answer);
    json_decref(body);
    if (!made) return EXIT_FAILED;
    if (c.json)
        print_json(answer.body);
    else
        print_made(answer.body);
    api_answer_release(&answer);
    return EXIT_OK;
}

/* ---- revoke ------------------------------------------------------------------------------ */

/* The id of the key that is meant, by its id or by a name that no other has; false: a message was
 * printed. */
static bool find_key(const char *meant, char id[STORE_ID_BYTES]) {
    struct api_answer answer = {0};
    const json_t *key;
    size_t i, n_named = 0;
    bool found = false;
    if (!ask("GET", NULL, NULL, NULL, &answer)) return false;
    json_array_foreach(json_object_get(answer.body, "keys"), i, key) {
        bool is_id = strcmp(text_of(key, "id"), meant) == 0;
        bool is_name = strcmp(text_of(key, "name"), meant) == 0;
        if (is_id || (is_name && !found)) snprintf(id, STORE_ID_BYTES, "%s", text_of(key, "id"));
        found = found || is_id;
        n_named += is_name;
    }
    api_answer_release(&answer);
    if (found || n_named == 1) return true;
    if (n_named)
        fprintf(stderr, "hearth: %zu keys are named '%s'; say which by its id\n", n_named, meant);
    else
        fprintf(stderr, "hearth: there is no key '%s'; 'hearth keys list' shows them\n", meant);
    return false;
}

static int keys_revoke(int argc, char **argv) {
    const struct option_table table = {
        .command = "hearth keys revoke",
        .arguments = "KEY...",
        .summary = "Ends keys for good, and the sessions of the app that were begun with them.\n"
                   "KEY is an id, or a name that only one key has. What they used stays on record.",
        .min_arguments = 1};
    struct option_arguments arguments;
    struct api_answer answer = {0};
    char id[STORE_ID_BYTES] = "";
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    code = EXIT_OK;
    for (size_t i = 0; i < arguments.count; i++)
        if (find_key(arguments.items[i], id) && ask("DELETE", id, NULL, NULL, &answer)) {
            printf("revoked %s\n", id);
            api_answer_release(&answer);
        } else
            code = EXIT_FAILED;
    return code;
}

/* ---- the command ------------------------------------------------------------------------- */

int cmd_keys(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } words[] = {{"list", keys_list}, {"create", keys_create}, {"revoke", keys_revoke}};
    const struct option_table table = {
        .command = "hearth keys",
        .arguments = "list|create|revoke",
        .summary = "Looks after the keys with which clients may use 'hearth serve', also while it\n"
                   "runs. 'hearth keys create --help' and so on say more.",
        .examples = "hearth keys create team --requests-per-minute 60\n"
                    "hearth keys list\n"
                    "hearth keys revoke team",
        .min_arguments = 1};
    struct option_arguments arguments;
    int code;
    for (size_t i = 0; argc > 1 && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(argv[1], words[i].name) == 0) return words[i].run(argc - 1, argv + 1);
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    fprintf(stderr, "hearth keys: '%s' is none of list, create and revoke\n", arguments.items[0]);
    return EXIT_USAGE;
}
