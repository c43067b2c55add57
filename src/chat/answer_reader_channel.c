/* Harmony, the form of gpt-oss: an answer is a sequence of messages
 *
 *     <|start|>assistant to=functions.NAME<|channel|>commentary json<|message|>{…}<|call|>
 *
 * whose first begins in the prompt. The channel says whether a message is thinking (analysis) or
 * answer, the recipient, that it is a call. Source:
 * https://cookbook.openai.com/articles/openai-harmony */
#include <string.h>

#include "chat/answer_reader_parts.h"

const char *const channel_tags[N_CHANNEL_TAGS] = {"<|end|>", "<|return|>", "<|call|>", "<|start|>",
                                                  "<|channel|>"};

static const char message_tag[] = "<|message|>";

void channel_open(struct answer_reader *r, const char *tag) {
    struct call_reading *k = &r->call;
    bool ended = tag && tag != channel_tags[3] && tag != channel_tags[4];
    answer_enter(r, READ_HEADER);
    if (!tag) r->after_tag = false;
    buf_clear(&k->held);
    if (tag && !ended && !buf_append_text(&k->held, tag)) r->failed = true;
}

/* The text after `mark`, up to the next blank or tag. */
static size_t word_after(const char *header, const char *mark, const char **word) {
    const char *found = strstr(header, mark);
    if (!found) return 0;
    *word = found + strlen(mark);
    return strcspn(*word, " \n\r\t<");
}

static void open_message(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    const char *header = buf_text(&k->held), *name = NULL, *channel = NULL;
    size_t n_name = word_after(header, channel_mark, &name);
    size_t n_channel = word_after(header, "<|channel|>", &channel);
    bool analysis = n_channel == 8 && memcmp(channel, "analysis", 8) == 0;
    answer_enter(r, analysis ? READ_THINKING : READ_TEXT);
    if (n_name > 0 && n_name <= CALL_NAME_MAX && r->tools) {
        char copy[CALL_NAME_MAX + 1];
        memcpy(copy, name, n_name);
        call_open_named(r, copy, n_name);
    }
}

/* Whether a header may begin so; an answer without one is text. */
static bool begins_a_header(const char *text, size_t n) {
    static const char *const beginnings[] = {"<|channel|>",   "<|start|>", message_tag,
                                             "<|constrain|>", "to=",       "assistant"};
    size_t which;
    while (n > 0 && (unsigned char)*text <= ' ')
        text++, n--;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        size_t length = strlen(beginnings[i]);
        if (n >= length && memcmp(text, beginnings[i], length) == 0) return true;
    }
    return tag_match(beginnings, sizeof beginnings / sizeof beginnings[0], text, n, &which) !=
           TAG_NONE;
}

/* What is held of a header is text. */
static void refuse_header(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    r->mode = READ_TEXT;
    answer_put(r, buf_text(&k->held), k->held.length);
    buf_clear(&k->held);
}

void channel_feed_header(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    if (!buf_append_char(&k->held, c)) r->failed = true;
    size_t n = k->held.length, n_message = sizeof message_tag - 1;
    size_t n_mark = strlen(channel_mark);
    if (!begins_a_header(buf_text(&k->held), n) || n > ANSWER_HEADER_MAX) {
        k->held.length--; /* the byte is looked at again: a tag may begin with it */
        refuse_header(r);
        answer_feed(r, c);
        return;
    }
    if (n >= n_mark && memcmp(k->held.data + n - n_mark, channel_mark, n_mark) == 0 && r->tools)
        answer_mark_call(r, channel_mark);
    if (n >= n_message && memcmp(k->held.data + n - n_message, message_tag, n_message) == 0)
        open_message(r);
}

void channel_finish(struct answer_reader *r) {
    if (strstr(buf_text(&r->call.held), "<|"))
        buf_clear(&r->call.held); /* a header that was cut off says nothing */
    refuse_header(r);
}
