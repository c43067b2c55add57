#include "cli/lineedit.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"

enum { PROMPT_BYTES = 64, PASTE_CHUNK = 256 };

/* Bytes of a coloured prompt that take no room on the screen stand between marks. */
static const char prompt_mark = '\1';
static const char paste_on[] = "\x1b[?2004h", paste_off[] = "\x1b[?2004l";

struct lineedit {
    FILE *in, *out;
    bool has_prompt; /* a person is at the keyboard */
    char prompt[PROMPT_BYTES], continuation[PROMPT_BYTES];
    bool continues; /* which prompt is next */
    char *history_path;
    EditLine *edit; /* NULL: plain lines */
    History *history;
    bool interrupted, was_empty; /* set by Ctrl-C */
};

/* ---- libedit -------------------------------------------------------------- */

static char *show_prompt(EditLine *edit) {
    struct lineedit *e = NULL;
    el_get(edit, EL_CLIENTDATA, (void *)&e);
    return e->continues ? e->continuation : e->prompt;
}

static unsigned char on_interrupt(EditLine *edit, int key) {
    struct lineedit *e = NULL;
    const LineInfo *line = el_line(edit);
    (void)key;
    el_get(edit, EL_CLIENTDATA, (void *)&e);
    e->interrupted = true;
    e->was_empty = line->lastchar == line->buffer;
    return CC_EOF; /* ends el_gets without a line */
}

static unsigned char on_suspend(EditLine *edit, int key) {
    (void)edit;
    (void)key;
    raise(SIGTSTP); /* libedit's handler puts the terminal in order and back */
    return CC_REDISPLAY;
}

/* Whether the characters read so far end with "ESC [ 2 0 1 ~". */
static bool ends_paste(const wchar_t *text, size_t length) {
    static const wchar_t end[] = L"\x1b[201~";
    size_t n = wcslen(end);
    return length >= n && wmemcmp(text + length - n, end, n) == 0;
}

/* Everything between the marks of a bracketed paste goes into the line as it is, line
 * breaks too; what does not fit is dropped at the line's own limit. */
static unsigned char on_paste(EditLine *edit, int key) {
    wchar_t text[PASTE_CHUNK + 1], c;
    size_t length = 0;
    (void)key;
    while (el_wgetc(edit, &c) == 1) {
        if (c == L'\r') c = L'\n';
        text[length++] = c;
        bool over = ends_paste(text, length);
        if (over) length -= wcslen(L"\x1b[201~");
        /* Keeps enough behind to recognise the mark across a flush. */
        size_t flushed = over ? length : length == PASTE_CHUNK ? length - 8 : 0;
        if (flushed > 0) {
            wchar_t kept = text[flushed];
            text[flushed] = L'\0';
            el_winsertstr(edit, text);
            text[flushed] = kept;
            length -= flushed;
            wmemmove(text, text + flushed, length);
        }
        if (over) break;
    }
    return CC_REFRESH;
}

static hearth_status open_edit(struct lineedit *e, hearth_error *err) {
    HistEvent event;
    e->edit = el_init("hearth", e->in, e->out, stderr);
    e->history = history_init();
    if (!e->edit || !e->history)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start line editing");
    history(e->history, &event, H_SETSIZE, LINEEDIT_HISTORY);
    history(e->history, &event, H_SETUNIQUE, 1);
    if (e->history_path) history(e->history, &event, H_LOAD, e->history_path);
    el_set(e->edit, EL_CLIENTDATA, e);
    el_set(e->edit, EL_PROMPT_ESC, show_prompt, prompt_mark);
    el_set(e->edit, EL_EDITOR, "emacs");
    el_set(e->edit, EL_HIST, history, e->history);
    el_set(e->edit, EL_ADDFN, "hearth-interrupt", "clear the line or leave", on_interrupt);
    el_set(e->edit, EL_ADDFN, "hearth-suspend", "suspend the program", on_suspend);
    el_set(e->edit, EL_ADDFN, "hearth-paste", "insert pasted text", on_paste);
    el_source(e->edit, NULL);      /* the user's ~/.editrc */
    el_set(e->edit, EL_SIGNAL, 1); /* suspended or terminated, leave the terminal in order */
    /* While a line is edited, Ctrl-C is a key and not a signal. */
    el_set(e->edit, EL_SETTY, "-d", "-isig", NULL);
    el_set(e->edit, EL_BIND, "^C", "hearth-interrupt", NULL);
    el_set(e->edit, EL_BIND, "^Z", "hearth-suspend", NULL);
    el_set(e->edit, EL_BIND, "\\e[200~", "hearth-paste", NULL);
    return HEARTH_OK;
}

/* 1 a line was added to *line, 0 the end, -1 Ctrl-C. */
static int read_edited(struct lineedit *e, struct buf *line) {
    int length = 0;
    e->interrupted = false;
    fputs(paste_on, e->out);
    fflush(e->out);
    /* Before the prompt invites typing: el_gets itself does it only afterwards. */
    el_set(e->edit, EL_PREP_TERM, 1);
    const char *text = el_gets(e->edit, &length);
    fputs(paste_off, e->out);
    if (e->interrupted || !text || length <= 0) fputc('\n', e->out);
    fflush(e->out);
    if (e->interrupted) return -1;
    if (!text || length <= 0) return 0;
    buf_append(line, text, (size_t)length);
    return 1;
}

/* ---- plain lines ---------------------------------------------------------- */

/* Gives up where the buffer does: input without line breaks has no end to wait for. */
static int read_plain(struct lineedit *e, struct buf *line) {
    int c;
    if (e->has_prompt) {
        fputs(e->continues ? e->continuation : e->prompt, e->out);
        fflush(e->out);
    }
    size_t n_read = 0;
    while ((c = getc(e->in)) != EOF) {
        n_read++;
        if (!buf_append_char(line, (char)c) || c == '\n') break;
    }
    return n_read > 0;
}

/* ---- messages ------------------------------------------------------------- */

static hearth_status too_long(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "the message has more than %d bytes, or memory ran out", LINEEDIT_MAX_BYTES);
}

static void strip_line_break(struct buf *line) {
    if (line->length > 0 && line->data[line->length - 1] == '\n') line->length--;
    if (line->length > 0 && line->data[line->length - 1] == '\r') line->length--;
}

static void remember(struct lineedit *e, const char *message) {
    HistEvent event;
    if (e->edit && message[strspn(message, " \t\n")]) history(e->history, &event, H_ENTER, message);
}

static hearth_status finish(struct lineedit *e, struct line_joiner *joiner, char **message,
                            hearth_error *err) {
    if (joiner->text.length > 0 && memchr(joiner->text.data, '\0', joiner->text.length))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the message contains a NUL byte; expected text");
    *message = buf_take(&joiner->text);
    if (!*message) return too_long(err);
    remember(e, *message);
    return HEARTH_OK;
}

/* Reads one line into the joiner. *done: the message is whole, or there is none. */
static hearth_status take_line(struct lineedit *e, struct line_joiner *joiner, struct buf *line,
                               bool *done, bool *leave, hearth_error *err) {
    buf_clear(line);
    e->continues = joiner->in_block || joiner->has_lines;
    int got = e->edit ? read_edited(e, line) : read_plain(e, line);
    if (got < 0) {
        bool was_idle = e->was_empty && !e->continues;
        line_joiner_release(joiner);
        line_joiner_init(joiner);
        *done = *leave && was_idle; /* the second Ctrl-C in a row */
        if (was_idle && !*leave) fputs("(Ctrl-C again or Ctrl-D leaves)\n", e->out);
        *leave = was_idle;
        return HEARTH_OK;
    }
    *leave = got == 0;
    *done = got == 0;
    if (got == 0) return HEARTH_OK;
    if (line->failed) return too_long(err);
    strip_line_break(line);
    *done = line_joiner_add(joiner, line->data, line->length);
    return joiner->text.failed ? too_long(err) : HEARTH_OK;
}

hearth_status lineedit_read(struct lineedit *editor, char **message, hearth_error *err) {
    struct line_joiner joiner;
    struct buf line;
    bool done = false, leave = false;
    hearth_status status = HEARTH_OK;
    *message = NULL;
    line_joiner_init(&joiner);
    buf_init(&line, LINEEDIT_MAX_BYTES);
    while (status == HEARTH_OK && !done)
        status = take_line(editor, &joiner, &line, &done, &leave, err);
    /* Input that ends inside a message still is that message. */
    bool has_message = !leave || joiner.has_lines;
    if (status == HEARTH_OK && ferror(editor->in))
        status = error_set_errno(err, "cannot read the input");
    else if (status == HEARTH_OK && has_message)
        status = finish(editor, &joiner, message, err);
    line_joiner_release(&joiner);
    buf_release(&line);
    return status;
}

/* ---- opening -------------------------------------------------------------- */

static void copy_prompt(char *out, const char *prompt, bool coloured) {
    snprintf(out, PROMPT_BYTES, coloured ? "\1\x1b[1;32m\1%.40s\1\x1b[0m\1" : "%.40s", prompt);
}

hearth_status lineedit_open(struct lineedit **editor, const struct lineedit_options *options,
                            hearth_error *err) {
    *editor = NULL;
    struct lineedit *e = mem_calloc(1, sizeof *e);
    if (!e) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read lines");
    bool person = term_is_terminal(options->in) && term_is_terminal(options->out);
    bool editing = person && !term_is_dumb();
    bool coloured = editing && term_has_colour(options->out);
    e->in = options->in;
    e->out = options->out;
    e->has_prompt = person;
    copy_prompt(e->prompt, options->prompt ? options->prompt : "> ", coloured);
    copy_prompt(e->continuation, options->continuation ? options->continuation : ". ", coloured);
    hearth_status status = HEARTH_OK;
    if (options->history_path && !(e->history_path = mem_strdup(options->history_path)))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read lines");
    if (status == HEARTH_OK && editing) {
        /* libedit reads characters of the locale; without one, take UTF-8 for granted. */
        setlocale(LC_CTYPE, "");
        if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
        status = open_edit(e, err);
    }
    if (status != HEARTH_OK) {
        lineedit_close(e);
        return status;
    }
    *editor = e;
    return HEARTH_OK;
}

/* What a person typed is theirs alone: mode 0600, and complete or not there at all. */
static void save_history(struct lineedit *e) {
    HistEvent event;
    struct file_writer writer;
    if (file_writer_open(&writer, e->history_path, NULL) != HEARTH_OK) return;
    bool saved = fchmod(fileno(writer.stream), 0600) == 0 &&
                 history(e->history, &event, H_SAVE_FP, writer.stream) >= 0;
    if (saved)
        file_writer_commit(&writer, NULL);
    else
        file_writer_discard(&writer);
}

void lineedit_close(struct lineedit *editor) {
    if (!editor) return;
    if (editor->edit && editor->history && editor->history_path) save_history(editor);
    if (editor->history) history_end(editor->history);
    if (editor->edit) el_end(editor->edit);
    mem_free(editor->history_path);
    mem_free(editor);
}

bool lineedit_is_interactive(const struct lineedit *editor) {
    return editor->has_prompt;
}

char *lineedit_history_path(void) {
    char *folder = path_home(PATH_STATE), *path = NULL;
    if (folder && file_make_folders(folder, NULL) == HEARTH_OK) path = path_join(folder, "history");
    mem_free(folder);
    return path;
}
