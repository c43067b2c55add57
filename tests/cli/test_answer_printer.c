/* What a person sees of an answer, event by event. */
#include "testdata.h"

#include <string.h>

#include "cli/answer_printer.h"

static unsigned n_woken;

static void note_woken(void) {
    n_woken++;
}

struct shown {
    struct answer_printer printer;
    struct event_sink sink;
    char *text;
    size_t n;
};

static void open_printer(struct shown *s, bool hide_thinking) {
    struct answer_printer_settings settings = {
        .hide_thinking = hide_thinking, .n_ctx = 100, .wake = note_woken};
    *s = (struct shown){0};
    settings.out = open_memstream(&s->text, &s->n);
    assert_non_null(settings.out);
    answer_printer_init(&s->printer, &settings);
    s->sink = answer_printer_sink(&s->printer);
    n_woken = 0;
}

static void close_printer(struct shown *s) {
    fclose(s->printer.settings.out);
    free(s->text);
    answer_printer_release(&s->printer);
}

static void tell(struct shown *s, enum event_kind kind, const char *text) {
    struct event event = {.kind = kind};
    event.text.data = text;
    event.text.length = strlen(text);
    assert_true(s->sink.take(s->sink.context, &event));
}

static void end(struct shown *s, enum finish_reason reason) {
    struct event finished = {.kind = EVENT_FINISHED}, done = {.kind = EVENT_DONE};
    finished.finished.reason = reason;
    done.usage.n_answer = 7;
    assert_true(s->sink.take(s->sink.context, &finished));
    assert_false(answer_printer_is_over(&s->printer));
    assert_int_equal(n_woken, 1);
    s->sink.take(s->sink.context, &done);
    assert_true(answer_printer_is_over(&s->printer));
    assert_int_equal(n_woken, 2);
}

static void thinking_stands_apart(void **state) {
    (void)state;
    for (int hide = 0; hide < 2; hide++) {
        struct shown s;
        open_printer(&s, hide);
        assert_false(answer_printer_has_begun(&s.printer));
        tell(&s, EVENT_REASONING, "Let me ");
        assert_true(answer_printer_has_begun(&s.printer));
        tell(&s, EVENT_REASONING, "see.");
        assert_string_equal(s.text, hide ? "" : "Let me see."); /* at once */
        tell(&s, EVENT_TEXT, " 4");
        tell(&s, EVENT_TEXT, " 2");
        end(&s, FINISH_STOP);
        assert_string_equal(s.text, hide ? "4 2" : "Let me see.\n\n4 2");
        assert_string_equal(buf_text(&s.printer.content), " 4 2");
        assert_string_equal(buf_text(&s.printer.reasoning), "Let me see.");
        assert_int_equal(s.printer.reason, FINISH_STOP);
        assert_int_equal(s.printer.usage.n_answer, 7);
        assert_int_equal(s.printer.status, HEARTH_OK);
        close_printer(&s);
    }
}

static void failures_are_kept(void **state) {
    struct shown s;
    struct event failed = {.kind = EVENT_FAILED};
    (void)state;
    open_printer(&s, false);
    tell(&s, EVENT_TEXT, "Half");
    failed.failed.status = HEARTH_ERROR_LIMIT;
    failed.failed.message = "too much of 100%";
    s.sink.take(s.sink.context, &failed);
    assert_true(answer_printer_is_over(&s.printer));
    assert_int_equal(n_woken, 2);
    assert_int_equal(s.printer.status, HEARTH_ERROR_LIMIT);
    assert_string_equal(s.printer.err.message, "too much of 100%");
    close_printer(&s);
}

/* Nobody reads: the answer need not go on. */
static void a_full_disk_ends_the_answer(void **state) {
    struct answer_printer printer;
    struct answer_printer_settings settings = {.wake = note_woken};
    struct event event = {.kind = EVENT_TEXT};
    (void)state;
    settings.out = fopen("/dev/full", "we");
    if (!settings.out) skip();
    n_woken = 0;
    answer_printer_init(&printer, &settings);
    struct event_sink sink = answer_printer_sink(&printer);
    event.text.data = "lost";
    event.text.length = 4;
    assert_false(sink.take(sink.context, &event));
    assert_true(answer_printer_is_over(&printer));
    assert_int_equal(n_woken, 2);
    fclose(settings.out);
    answer_printer_release(&printer);
}

static void without_a_stream_the_text_is_kept(void **state) {
    struct answer_printer printer;
    const struct answer_printer_settings settings = {.wake = note_woken};
    struct event event = {.kind = EVENT_TEXT};
    (void)state;
    answer_printer_init(&printer, &settings);
    struct event_sink sink = answer_printer_sink(&printer);
    event.text.data = "kept";
    event.text.length = 4;
    assert_true(sink.take(sink.context, &event));
    assert_string_equal(buf_text(&printer.content), "kept");
    answer_printer_release(&printer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinking_stands_apart),
        cmocka_unit_test(failures_are_kept),
        cmocka_unit_test(a_full_disk_ends_the_answer),
        cmocka_unit_test(without_a_stream_the_text_is_kept),
    };
    return cmocka_run_group_tests_name("cli/answer_printer", tests, NULL, NULL);
}
