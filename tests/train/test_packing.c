/* Batches: every sequence once an epoch, apart from the others, and the same ones again
 * from any saved state. */
#include "format/scratch.h"

#include "base/buf.h"
#include "train/packing.h"

enum { N_RECORDS = 500, MAX_ROWS = 96, MAX_LENGTH = 40 };

struct scene {
    struct directory directory;
    struct tokenizer *tokenizer;
    struct example_maker *maker;
    struct dataset *dataset;
};

static void open_scene(struct scene *s, const char *file) {
    hearth_error err = {0};
    const char *path = scratch(file);
    *s = (struct scene){0};
    assert_ok(gguf_open(&s->directory, testdata("tokenizers/gpt-2/vocab.gguf"), &err), &err);
    assert_ok(tokenizer_open(&s->tokenizer, &s->directory.metadata, &err), &err);
    const struct example_options options = {.tokenizer = s->tokenizer, .max_length = MAX_LENGTH};
    assert_ok(example_maker_open(&s->maker, &options, &err), &err);
    assert_ok(dataset_open(&s->dataset, &path, 1, NULL, &err), &err);
}

static void close_scene(struct scene *s) {
    dataset_close(s->dataset);
    example_maker_close(s->maker);
    tokenizer_close(s->tokenizer);
    directory_close(&s->directory);
}

/* Record i answers with " x" i % 7 + 1 times, after its number. */
static void put_records(void) {
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < N_RECORDS; i++) {
        buf_append_format(&text, "{\"prompt\":\"%d\",\"completion\":\"#%d", i, i);
        for (int k = 0; k <= i % 7; k++)
            buf_append_text(&text, " x");
        buf_append_text(&text, "\"}\n");
    }
    scratch_put("records.jsonl", text.data, text.length);
    buf_release(&text);
}

static struct packer *open_packer(const struct scene *s, struct packing_options options) {
    struct packer *p;
    hearth_error err = {0};
    options.dataset = s->dataset;
    options.maker = s->maker;
    if (!options.max_rows) options.max_rows = MAX_ROWS;
    assert_ok(packer_open(&p, &options, &err), &err);
    return p;
}

static struct train_batch next(struct packer *p, bool *epoch_ends) {
    struct train_batch batch;
    hearth_error err = {0};
    assert_ok(packer_next(p, &batch, epoch_ends, &err), &err);
    return batch;
}

/* The number of the record that a sequence came from, by what it trains: "#N x x…". */
static int check_sequence(const struct scene *s, const struct train_batch *b, uint32_t q) {
    struct buf text;
    uint32_t begin = b->starts[q], end = b->starts[q + 1], trained = 0;
    char *rest;
    buf_init(&text, 4096);
    assert_true(begin < end);
    for (uint32_t i = begin; i < end; i++) {
        if (b->targets[i] < 0) continue;
        if (i + 1 < end) assert_int_equal(b->targets[i], b->tokens[i + 1]);
        assert_int_equal(tokenizer_decode(s->tokenizer, &b->targets[i], 1, true, &text, NULL),
                         HEARTH_OK);
        trained++;
    }
    assert_int_equal(buf_text(&text)[0], '#');
    int record = (int)strtol(text.data + 1, &rest, 10);
    for (int k = 0; k <= record % 7; k++, rest += 2)
        assert_memory_equal(rest, " x", 2);
    assert_string_equal(rest, "<|endoftext|>"); /* predicted, never read */
    assert_true(trained >= 3);
    buf_release(&text);
    return record;
}

/* One epoch; `order` [N_RECORDS] becomes the records in the order of the batches. */
static unsigned run_epoch(const struct scene *s, struct packer *p, int *order,
                          uint32_t max_sequences) {
    char seen[N_RECORDS] = {0};
    unsigned n_batches = 0, n = 0;
    bool ends = false;
    while (!ends) {
        struct train_batch b = next(p, &ends);
        assert_true(b.n_rows > 0 && b.n_rows <= MAX_ROWS);
        assert_int_equal(b.starts[0], 0);
        assert_int_equal(b.starts[b.n_sequences], b.n_rows);
        if (max_sequences) assert_true(b.n_sequences <= max_sequences);
        for (uint32_t q = 0; q < b.n_sequences; q++) {
            int record = check_sequence(s, &b, q);
            assert_in_range(record, 0, N_RECORDS - 1);
            assert_int_equal(seen[record]++, 0);
            order[n++] = record;
        }
        n_batches++;
    }
    assert_int_equal(n, N_RECORDS);
    return n_batches;
}

static void every_record_comes_once_an_epoch(void **state) {
    static const struct packing_options variants[] = {{.seed = 3},
                                                      {.seed = 3, .method = PACK_BY_LENGTH},
                                                      {.seed = 3, .max_sequences = 2},
                                                      {.seed = 3, .keep_order = true}};
    struct scene s;
    (void)state;
    put_records();
    open_scene(&s, "records.jsonl");
    for (size_t v = 0; v < 4; v++) {
        int first[N_RECORDS], second[N_RECORDS];
        struct packer *p = open_packer(&s, variants[v]);
        unsigned n = run_epoch(&s, p, first, variants[v].max_sequences);
        struct packing_statistics all = packer_statistics(p);
        assert_int_equal(all.n_batches, n);
        assert_int_equal(all.n_sequences, N_RECORDS);
        assert_int_equal(all.n_room, (uint64_t)n * MAX_ROWS);
        if (v == 0) assert_true(all.n_rows * 10 > all.n_room * 9); /* the fill */
        run_epoch(&s, p, second, variants[v].max_sequences);
        bool same = memcmp(first, second, sizeof first) == 0;
        assert_int_equal(same, variants[v].keep_order);
        packer_close(p);
    }
    close_scene(&s);
}

struct copied {
    int32_t tokens[MAX_ROWS], targets[MAX_ROWS];
    uint32_t starts[MAX_ROWS + 1], n_rows, n_sequences;
};

static struct copied copy_of(struct train_batch b) {
    struct copied c;
    memset(&c, 0, sizeof c);
    c.n_rows = b.n_rows;
    c.n_sequences = b.n_sequences;
    memcpy(c.tokens, b.tokens, b.n_rows * sizeof *b.tokens);
    memcpy(c.targets, b.targets, b.n_rows * sizeof *b.targets);
    memcpy(c.starts, b.starts, (b.n_sequences + 1) * sizeof *b.starts);
    return c;
}

/* Over the end of an epoch, from the state before any batch, asking for ends or not. */
static void a_saved_state_gives_the_same_batches(void **state) {
    enum { STEPS = 400 };
    static struct copied batches[STEPS];
    struct packing_state states[STEPS];
    struct scene s;
    bool ends;
    (void)state;
    put_records();
    open_scene(&s, "records.jsonl");
    for (int method = PACK_FIRST_FIT; method <= PACK_BY_LENGTH; method++) {
        const struct packing_options options = {
            .seed = 99, .method = (enum packing_method)method, .max_sequences = 3};
        struct packer *p = open_packer(&s, options);
        for (int i = 0; i < STEPS; i++) {
            states[i] = packer_state(p);
            batches[i] = copy_of(next(p, i % 3 ? &ends : NULL));
        }
        assert_true(states[STEPS - 1].epoch >= 1);
        packer_close(p);
        for (int from = 0; from < STEPS; from += 37) {
            hearth_error err = {0};
            p = open_packer(&s, (struct packing_options){.method = (enum packing_method)method,
                                                         .max_sequences = 3});
            assert_ok(packer_seek(p, states[from], &err), &err);
            for (int i = from; i < STEPS && i < from + 50; i++) {
                struct copied again = copy_of(next(p, NULL));
                assert_memory_equal(&again, &batches[i], sizeof again);
            }
            packer_close(p);
        }
    }
    close_scene(&s);
}

static void other_data_is_noticed(void **state) {
    struct scene s;
    hearth_error err = {0};
    (void)state;
    put_records();
    open_scene(&s, "records.jsonl");
    struct packer *p = open_packer(&s, (struct packing_options){.seed = 1});
    assert_int_equal(packer_seek(p, (struct packing_state){.record = N_RECORDS}, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "it is other data");
    assert_int_equal(packer_seek(p, (struct packing_state){.batch = 100000}, &err),
                     HEARTH_ERROR_ARGUMENT);
    packer_close(p);
    struct packing_options options = {
        .dataset = s.dataset, .maker = s.maker, .max_rows = MAX_LENGTH - 2};
    assert_int_equal(packer_open(&p, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "do not hold sequences of up to 40 tokens");
    options.part = PART_EVAL;
    assert_int_equal(packer_open(&p, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "no records to evaluate with");
    close_scene(&s);
}

static void pairs_stay_together(void **state) {
    struct scene s;
    struct buf text;
    bool ends = false;
    unsigned n = 0;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 100; i++)
        buf_append_format(&text, "{\"prompt\":\"%d\",\"chosen\":\"#%d x\",\"rejected\":\"#%d\"}\n",
                          i, i + 6 - i % 7, i);
    scratch_put("pairs.jsonl", text.data, text.length);
    buf_release(&text);
    open_scene(&s, "pairs.jsonl");
    struct packer *p = open_packer(&s, (struct packing_options){.seed = 5});
    while (!ends) {
        struct train_batch b = next(p, &ends);
        assert_int_equal(b.n_sequences % 2, 0);
        for (uint32_t q = 0; q < b.n_sequences; q += 2, n++) { /* the same prompt, chosen first */
            uint32_t x = b.starts[q], y = b.starts[q + 1], i = 0;
            while (b.targets[x + i] < 0 && b.targets[y + i] < 0) {
                assert_int_equal(b.tokens[x + i], b.tokens[y + i]);
                i++;
            }
            assert_true(i > 5);
            assert_int_equal(b.starts[q + 1] - b.starts[q], b.starts[q + 2] - b.starts[q + 1] + 1);
        }
    }
    assert_int_equal(n, 100);
    packer_close(p);
    close_scene(&s);
}

static void count_problem(void *context, const struct dataset_place *place,
                          const struct example_outcome *outcome) {
    assert_int_equal(place->line, 2);
    assert_int_equal(outcome->result, EXAMPLE_TOO_LONG);
    ++*(unsigned *)context;
}

static void dropped_records_are_reported(void **state) {
    char question[400], text[1000];
    struct scene s;
    unsigned n = 0;
    bool ends = false;
    hearth_error err;
    struct train_batch batch;
    (void)state;
    memset(question, '7', sizeof question - 1);
    question[sizeof question - 1] = '\0';
    snprintf(text, sizeof text,
             "{\"prompt\":\"1\",\"completion\":\"#0 x\"}\n{\"prompt\":\"%s\",\"completion\":\"a\"}",
             question);
    scratch_put_text("long.jsonl", text);
    open_scene(&s, "long.jsonl");
    struct packer *p =
        open_packer(&s, (struct packing_options){.on_problem = count_problem, .context = &n});
    assert_int_equal(next(p, NULL).n_sequences, 1);
    assert_int_equal(n, 1);
    packer_close(p);
    close_scene(&s);
    scratch_put_text("long.jsonl", strchr(text, '\n') + 1); /* nothing is left */
    open_scene(&s, "long.jsonl");
    p = open_packer(&s, (struct packing_options){0});
    assert_int_equal(packer_next(p, &batch, &ends, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "all were dropped");
    packer_close(p);
    close_scene(&s);
}

static void failed_allocations_do_not_break_it(void **state) {
    struct scene s;
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    (void)state;
    scratch_put_text("two.jsonl", "{\"prompt\":\"1\",\"completion\":\"#1 x x\"}\n"
                                  "{\"prompt\":\"2\",\"completion\":\"#2 x x x\"}\n");
    open_scene(&s, "two.jsonl");
    for (uint64_t n = 1; status != HEARTH_OK; n++) {
        struct packing_options options = {
            .dataset = s.dataset, .maker = s.maker, .max_rows = MAX_ROWS};
        struct packer *p;
        struct train_batch batch = {0};
        mem_fail_after(n);
        status = packer_open(&p, &options, NULL);
        if (status == HEARTH_OK) status = packer_next(p, &batch, NULL, NULL);
        bool untouched = mem_fail_pending() != 0;
        mem_fail_after(0);
        if (status == HEARTH_OK) assert_int_equal(batch.n_sequences, 2);
        if (status != HEARTH_OK) assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
        if (!untouched) status = HEARTH_ERROR_NO_MEMORY;
        packer_close(p);
    }
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_comes_once_an_epoch),
        cmocka_unit_test(a_saved_state_gives_the_same_batches),
        cmocka_unit_test(other_data_is_noticed),
        cmocka_unit_test(pairs_stay_together),
        cmocka_unit_test(dropped_records_are_reported),
        cmocka_unit_test(failed_allocations_do_not_break_it),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
