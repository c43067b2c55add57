/* Messages that were acknowledged are there, and the database is sound, after its process was
 * killed or the power failed at any moment. HEARTH_KILLS says how often (20). */
#include "store/opened.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/rng.h"
#include "store/database.h"
#include "store/power_loss.h"
#include "store/store_pool.h"
#include "store/stored_messages.h"

enum { THREADS = 2, MOST_MESSAGES = 1 << 16, MOST_BYTES = 12000, CHECKPOINT_PAGES = 40 };

/* What a writer says through the pipe once a message is stored. */
struct said {
    uint32_t writer, number;
};

static char conversations[THREADS][STORE_ID_BYTES];
static unsigned char stored[THREADS][MOST_MESSAGES];
static struct rng rng;

static int rounds(void) {
    const char *text = getenv("HEARTH_KILLS");
    long n = text ? strtol(text, NULL, 10) : 20;
    return n > 0 ? (int)n : 20;
}

static void begin(void) {
    const struct stored_conversation empty = {.title = "t", .settings = "{}"};
    const char *text = getenv("HEARTH_SEED");
    uint64_t seed = text && *text ? strtoull(text, NULL, 10) : rng_entropy();
    print_message("HEARTH_SEED=%llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed);
    memset(stored, 0, sizeof stored);
    struct store *store = open_store("s.db");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(stored_conversations_add(store, "", &empty, conversations[i], NULL),
                         HEARTH_OK);
    store_close(store);
}

/* ---- writing -------------------------------------------------------------------------------- */

struct writer {
    uint32_t number, next;
    struct store_pool *pool;
    int ends; /* of the pipe */
};

/* Message n of a writer: its number, and as much more as decides itself by the number. */
static void write_content(uint32_t n, char *out) {
    size_t length = (size_t)(rng_at(n, 0) % MOST_BYTES);
    int used = snprintf(out, 16, "%u ", n);
    for (size_t i = (size_t)used; i < length; i++)
        out[i] = i % 7 == 6 ? ' ' : (char)('a' + (n + i) % 26);
    out[length > (size_t)used ? length : (size_t)used] = '\0';
}

static hearth_status add_next(struct store *store, void *context, hearth_error *err) {
    const struct writer *writer = context;
    char content[MOST_BYTES + 16], id[STORE_ID_BYTES];
    const struct stored_message message = {.role = "user", .content = content, .created = 1};
    write_content(writer->next, content);
    return stored_messages_add(store, "", conversations[writer->number], &message, id, err);
}

static void say(const struct writer *writer) {
    const struct said said = {writer->number, writer->next};
    if (write(writer->ends, &said, sizeof said) != (ssize_t)sizeof said) _exit(3);
}

static void *write_on(void *context) {
    struct writer *writer = context;
    for (; writer->next < MOST_MESSAGES; writer->next++) {
        if (store_pool_write(writer->pool, add_next, writer, NULL) != HEARTH_OK) _exit(2);
        say(writer);
    }
    return NULL;
}

/* Where each writer goes on: behind what is there. */
static void find_ends(uint32_t next[THREADS]) {
    for (int t = 0; t < THREADS; t++)
        for (next[t] = 0; next[t] < MOST_MESSAGES && stored[t][next[t]];)
            next[t]++;
}

/* Until it is killed. */
static void write_in_threads(int ends) {
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    struct store_pool *pool;
    uint32_t next[THREADS];
    find_ends(next);
    if (store_pool_open(&pool, scratch("s.db"), NULL) != HEARTH_OK) _exit(1);
    for (uint32_t t = 0; t < THREADS; t++) {
        writers[t] = (struct writer){t, next[t], pool, ends};
        if (pthread_create(&threads[t], NULL, write_on, &writers[t]) != 0) _exit(1);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    _exit(0);
}

/* Until the power fails; the log is copied into the database often, so that it fails there, too. */
static void write_alone(int ends, uint64_t countdown, uint64_t seed) {
    struct writer writer = {.ends = ends};
    struct store *store;
    uint32_t next[THREADS];
    find_ends(next);
    writer.next = next[0];
    power_loss_install(countdown, seed);
    if (store_open(&store, scratch("s.db"), NULL) != HEARTH_OK) _exit(1);
    sqlite3_wal_autocheckpoint(store->db, CHECKPOINT_PAGES);
    for (; writer.next < MOST_MESSAGES; writer.next++) {
        if (add_next(store, &writer, NULL) != HEARTH_OK) _exit(2);
        say(&writer);
    }
    _exit(0);
}

/* ---- looking afterwards -----------------------------------------------------------------------
 */

static unsigned char found[MOST_MESSAGES];

static hearth_status see(void *context, const struct stored_message *message, hearth_error *err) {
    char content[MOST_BYTES + 16];
    unsigned long number = strtoul(message->content, NULL, 10);
    (void)context;
    (void)err;
    assert_true(number < MOST_MESSAGES);
    write_content((uint32_t)number, content);
    assert_string_equal(message->content, content);
    assert_int_equal(found[number]++, 0);
    return HEARTH_OK;
}

static void assert_says(struct store *store, const char *sql, const char *expected) {
    sqlite3_stmt *statement;
    assert_int_equal(store_prepare(store, sql, &statement, NULL), HEARTH_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal(store_text_at(statement, 0), expected);
    sqlite3_finalize(statement);
}

/* Reads up to `most` acknowledgements, or to the end of the pipe. */
static void hear(int ends, size_t most) {
    struct said said;
    for (ssize_t n; most > 0 && (n = read(ends, &said, sizeof said)) > 0; most--) {
        assert_int_equal(n, sizeof said);
        stored[said.writer][said.number] = 1;
    }
}

/* Everything that was acknowledged is found again; what is there
 * without having been acknowledged, because the end came in between, counts from now on. */
static void look(int ends) {
    hear(ends, SIZE_MAX);
    struct store *store = open_store("s.db");
    for (int t = 0; t < THREADS; t++) {
        memset(found, 0, sizeof found);
        assert_int_equal(stored_messages_each(store, "", conversations[t], see, NULL, NULL),
                         HEARTH_OK);
        for (size_t i = 0; i < MOST_MESSAGES; i++) {
            if (stored[t][i] && !found[i]) fail_msg("message %zu of writer %d is lost", i, t);
            stored[t][i] = found[i];
        }
    }
    assert_says(store, "PRAGMA integrity_check", "ok");
    assert_says(store, "SELECT count(*) FROM pragma_foreign_key_check", "0");
    assert_says(store,
                "SELECT count(*) FROM conversations AS c WHERE n_messages <>"
                " (SELECT count(*) FROM messages WHERE conversation = c.seq) OR n_bytes <>"
                " (SELECT coalesce(sum(length(content)), 0) FROM messages"
                "  WHERE conversation = c.seq)",
                "0");
    hearth_error err = {0};
    assert_ok(store_execute(store,
                            "INSERT INTO message_words (message_words, rank)"
                            " VALUES ('integrity-check', 1)",
                            &err),
              &err);
    store_close(store);
}

static size_t count_stored(void) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof stored; i++)
        n += (&stored[0][0])[i];
    return n;
}

/* While it writes; every fourth time at any moment since its start. */
static void killed_at_any_moment(void **state) {
    int ends[2], how;
    (void)state;
    begin();
    for (int round = 0; round < rounds(); round++) {
        assert_int_equal(pipe(ends), 0);
        size_t n_heard = rng_u64(&rng) % 4 == 0 ? 0 : 1 + (size_t)(rng_u64(&rng) % 12);
        uint64_t wait_ns = rng_u64(&rng) % 10000000;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) write_in_threads(ends[1]);
        close(ends[1]);
        hear(ends[0], n_heard);
        clock_rest(1 + wait_ns);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        look(ends[0]);
        close(ends[0]);
    }
    print_message("%d kills, %zu messages, none lost\n", rounds(), count_stored());
    scratch_clear();
}

static void without_power_at_any_moment(void **state) {
    int ends[2], how;
    (void)state;
    begin();
    for (int round = 0; round < rounds(); round++) {
        assert_int_equal(pipe(ends), 0);
        uint64_t countdown = 1 + rng_u64(&rng) % 1500, seed = rng_u64(&rng);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) write_alone(ends[1], countdown, seed);
        close(ends[1]);
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), POWER_LOSS_EXIT);
        unlink(scratch("s.db-shm")); /* was memory */
        look(ends[0]);
        close(ends[0]);
    }
    print_message("%d losses of power, %zu messages, none lost\n", rounds(), count_stored());
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment),
        cmocka_unit_test(without_power_at_any_moment),
    };
    return cmocka_run_group_tests_name("store/survival", tests, scratch_open, scratch_close);
}
